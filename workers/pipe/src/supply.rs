//! What a ring supplies, as the bytes that go into a command's stdin.

use protocol::config::ReadPolicy;
use protocol::control::Condition;
use protocol::name::{RingKind, RingName};
use protocol::stream::{Codec, Track};
use shmring::{Content, Frame, FrameOptions, Next, Packet, Policy, Start};
use worker::{Context, Fault, FrameInput, PacketInput};

use std::time::Duration;

/// A temporal delimiter (AV1, 5.6): rings leave them out, byte streams begin every unit with one.
const AV1_DELIMITER: [u8; 2] = [0x12, 0x00];

/// One item at a time; a stream without headers of its own cannot change what it is made of.
#[derive(Debug)]
pub(crate) enum Supply {
    Frames {
        input: Box<FrameInput>,
        /// Of the first picture.
        form: Option<Content>,
    },
    Packets {
        input: Box<PacketInput>,
        /// Of the first packet.
        codec: Option<Codec>,
    },
}

/// What asking the ring came to.
#[derive(Debug)]
pub(crate) enum Supplied {
    /// The bytes of the next item; none for one that the stream leaves out.
    Item,
    /// Nothing within the time; there may be something in a moment.
    Nothing,
    /// Nothing, and a person should know why.
    Lack(Condition, String),
}

impl Supply {
    pub(crate) fn new(cx: &Context, ring: &RingName, policy: ReadPolicy) -> Self {
        match ring.kind() {
            RingKind::Frames => {
                let input = FrameInput::new(cx, ring, frame_options(cx.worker().as_str(), policy));
                Self::Frames { input: Box::new(input), form: None }
            }
            RingKind::Packets | RingKind::Events => {
                let input = PacketInput::new(cx, ring, Start::NewestKey);
                Self::Packets { input: Box::new(input), codec: None }
            }
        }
    }

    /// Appends the next item's bytes; what was leased for that is given back before this returns.
    pub(crate) fn next(
        &mut self,
        cx: &mut Context,
        wait: Duration,
        bytes: &mut Vec<u8>,
    ) -> Result<Supplied, Fault> {
        let supplied = match self {
            Self::Frames { input, form } => match input.next(cx, wait)? {
                Next::Item(frame) => {
                    put_frame(&frame, form, bytes)?;
                    Supplied::Item
                }
                other => nothing(&other, input.ring(), input.lack()),
            },
            Self::Packets { input, codec } => match input.next(cx, wait)? {
                Next::Item(packet) => {
                    put_packet(&packet, input, codec, bytes)?;
                    Supplied::Item
                }
                other => nothing(&other, input.ring(), input.lack()),
            },
        };
        // It is copied: whatever happens from here on is not its doing.
        cx.done();
        Ok(supplied)
    }

    pub(crate) fn ring(&self) -> &RingName {
        match self {
            Self::Frames { input, .. } => input.ring(),
            Self::Packets { input, .. } => input.ring(),
        }
    }
}

fn frame_options(reader: &str, policy: ReadPolicy) -> FrameOptions {
    let (policy, every) = match policy {
        ReadPolicy::Latest => (Policy::Latest, 1),
        ReadPolicy::Every(number) => (Policy::Latest, number),
        ReadPolicy::Sequential | ReadPolicy::Essential(_) => (Policy::Sequential, 1),
    };
    FrameOptions { policy, every, quota: 1, ..FrameOptions::named(reader) }
}

fn nothing<T>(next: &Next<T>, ring: &RingName, lack: Option<(Condition, String)>) -> Supplied {
    match (next, lack) {
        (_, Some((condition, why))) => Supplied::Lack(condition, why),
        (Next::Ended, None) => Supplied::Lack(Condition::Waiting, format!("ring {ring} has ended")),
        _ => Supplied::Nothing,
    }
}

/// Its visible bytes, plane after plane.
fn put_frame(frame: &Frame, form: &mut Option<Content>, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    let content = frame.meta().content;
    let first = form.get_or_insert(content);
    if !first.is_like(&content) {
        return Err(changed(frame.ring(), "pictures", first, &content));
    }
    if let Some(tensor) = frame.tensor() {
        tensor.copy_to(bytes);
    }
    for plane in (0..).map_while(|number| frame.plane(number)) {
        plane.copy_to(bytes);
    }
    Ok(())
}

fn put_packet(
    packet: &Packet,
    input: &PacketInput,
    first: &mut Option<Codec>,
    bytes: &mut Vec<u8>,
) -> Result<(), Fault> {
    let Some(codec) = codec_of(packet, input.tracks()) else { return Ok(()) };
    let first = *first.get_or_insert(codec);
    if first != codec {
        return Err(changed(input.ring(), "packets", &name(first), &name(codec)));
    }
    if !is_stream(codec) {
        let (ring, codec) = (input.ring(), name(codec));
        return Err(Fault::failed(format!(
            "ring {ring}: {codec} packets one behind the other cannot be told apart; expected h264, h265, \
             av1, mpeg4, mjpeg, pcm_mulaw, pcm_alaw, pcm_s16le or g722. Let the command attach to the ring instead of 'stdin'"
        )));
    }
    if codec == Codec::Av1 {
        bytes.extend_from_slice(&AV1_DELIMITER);
    }
    bytes.extend_from_slice(&packet.payload);
    Ok(())
}

fn changed(
    ring: &RingName,
    what: &str,
    first: &impl std::fmt::Display,
    now: &impl std::fmt::Display,
) -> Fault {
    Fault::failed(format!(
        "ring {ring}: its {what} were {first} and are {now}; a command cannot be told that on its stdin, so it \
         is started again"
    ))
}

/// Of a packet of the one track that a stdin gets; `None` for the others.
fn codec_of(packet: &Packet, tracks: &[Track]) -> Option<Codec> {
    let at = usize::try_from(packet.meta.track).ok()?;
    (at == chosen(tracks)).then(|| tracks.get(at).map(|track| track.codec))?
}

/// The first with pictures, else the first.
fn chosen(tracks: &[Track]) -> usize {
    tracks.iter().position(|track| track.codec.is_video()).unwrap_or(0)
}

/// Whether its packets one behind the other can be told apart again.
fn is_stream(codec: Codec) -> bool {
    !matches!(codec, Codec::Vp8 | Codec::Vp9 | Codec::Aac | Codec::Opus)
}

fn name(codec: Codec) -> String {
    format!("{codec:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::TimeBase;
    use protocol::units::Span;

    fn track(codec: Codec) -> Track {
        Track {
            codec,
            time_base: TimeBase { num: 1, den: 90_000 },
            width: 0,
            height: 0,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (0, 1),
            extradata: Vec::new(),
        }
    }

    #[test]
    fn of_several_tracks_the_first_with_pictures_is_chosen() {
        assert_eq!(chosen(&[track(Codec::Aac), track(Codec::H264), track(Codec::H265)]), 1);
        assert_eq!(chosen(&[track(Codec::PcmAlaw), track(Codec::Opus)]), 0);
        assert_eq!(chosen(&[]), 0);
    }

    #[test]
    fn a_policy_says_which_pictures_a_command_gets() {
        let options = |policy| {
            let FrameOptions { policy, every, .. } = frame_options("x", policy);
            (policy, every)
        };
        assert_eq!(options(ReadPolicy::Latest), (Policy::Latest, 1));
        assert_eq!(options(ReadPolicy::Every(5)), (Policy::Latest, 5));
        assert_eq!(options(ReadPolicy::Sequential), (Policy::Sequential, 1));
        let essential = ReadPolicy::Essential(Span::from_millis(2_000));
        assert_eq!(options(essential), (Policy::Sequential, 1));
    }
}
