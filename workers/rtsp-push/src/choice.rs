//! What of a ring goes to a target, and why something stays behind. Pure.

use bitstream::Family;
use media::ParameterSets;
use protocol::config::push::Protocol;
use protocol::stream::{Codec, Track};

/// Tracks of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// As they are sent: pictures first.
    pub(crate) tracks: Vec<Track>,
    /// For each track of the ring, which of them it is.
    pub(crate) places: Vec<Option<u32>>,
    /// Sound that cannot go along, with what to do.
    pub(crate) left_out: Option<String>,
}

/// Why there is nothing to connect for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As long as the ring carries this; with what to do.
    Never(String),
    /// What is needed comes in the stream, or not.
    NotYet(String),
}

/// `begin` is the packet that it would begin with.
pub(crate) fn choose(
    protocol: Protocol,
    with_sound: bool,
    ring: &[Track],
    begin: &[u8],
) -> Result<Choice, Refusal> {
    let carries = |track: &Track| protocol.carries().contains(&track.codec);
    let video = ring.iter().position(|track| track.codec.is_video());
    let sounds = || (0..).zip(ring).filter(|(_, track)| !track.codec.is_video());
    let mut choice = Choice { tracks: Vec::new(), places: vec![None; ring.len()], left_out: None };
    if let Some(at) = video {
        let track = &ring[at];
        if !carries(track) {
            return Err(Refusal::Never(no_picture(protocol, track.codec)));
        }
        choice.add(at, described(track, begin)?);
    }
    let sound = sounds().find(|(_, track)| carries(track)).filter(|_| with_sound);
    match sound {
        Some((_, track)) if track.codec == Codec::Aac && track.extradata.is_empty() => {
            let why = "the sound has not told its AAC configuration yet";
            choice.left_out = Some(why.to_owned());
        }
        Some((at, track)) => choice.add(at, track.clone()),
        None if with_sound => {
            choice.left_out = sounds().next().map(|(_, track)| no_sound(protocol, track.codec));
        }
        None => {}
    }
    match (choice.tracks.is_empty(), &choice.left_out) {
        (false, _) => Ok(choice),
        (true, Some(why)) => Err(Refusal::Never(why.clone())),
        (true, None) => {
            let why = "the ring has nothing but sound, and audio is false: write audio: true";
            Err(Refusal::Never(why.to_owned()))
        }
    }
}

impl Choice {
    fn add(&mut self, at: usize, track: Track) {
        self.places[at] = u32::try_from(self.tracks.len()).ok();
        self.tracks.push(track);
    }
}

/// With its parameter sets, which some cameras tell in their pictures alone.
fn described(track: &Track, begin: &[u8]) -> Result<Track, Refusal> {
    let Some(family) = Family::of(track.codec).filter(|_| track.extradata.is_empty()) else {
        return Ok(track.clone());
    };
    let sets = ParameterSets::of(family, begin);
    if sets.is_empty() {
        let why = format!("waiting for the parameter sets of its {} pictures", name(track.codec));
        return Err(Refusal::NotYet(why));
    }
    Ok(Track { extradata: sets.to_annexb(), ..track.clone() })
}

fn no_picture(protocol: Protocol, codec: Codec) -> String {
    let (carrier, seen, taken) = (protocol.carrier(), name(codec), names(protocol, true));
    format!(
        "{carrier} does not carry {seen} pictures; expected {taken}: let the camera send that, or push the ring of \
         an encoder of its frames (use: encoder, codec: h264)"
    )
}

fn no_sound(protocol: Protocol, codec: Codec) -> String {
    let (carrier, seen, taken) = (protocol.carrier(), name(codec), names(protocol, false));
    format!(
        "the sound stays behind: {carrier} does not carry {seen}; expected {taken}: write audio: aac at the camera, \
         or audio: false here"
    )
}

fn names(protocol: Protocol, is_video: bool) -> String {
    let fit = protocol.carries().iter().filter(|codec| codec.is_video() == is_video);
    let names: Vec<&str> = fit.map(|codec| name(*codec)).collect();
    names.join(", ")
}

/// As people call it.
fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H.264",
        Codec::H265 => "H.265",
        Codec::Av1 => "AV1",
        Codec::Mjpeg => "MJPEG",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::Mpeg4 => "MPEG-4",
        Codec::Aac => "AAC",
        Codec::Opus => "Opus",
        Codec::PcmMulaw | Codec::PcmAlaw => "G.711",
        Codec::PcmS16le => "PCM",
        Codec::G722 => "G.722",
    }
}

#[cfg(test)]
mod tests {
    use protocol::time::TimeBase;

    use super::*;

    const SETS: &[u8] = &[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0x95, 0xa0, 0, 0, 0, 1, 0x68, 0xce];

    fn track(codec: Codec) -> Track {
        Track {
            codec,
            time_base: TimeBase { num: 1, den: 90_000 },
            width: 0,
            height: 0,
            sample_rate_hz: 8_000,
            channels: 1,
            frame_rate: (0, 1),
            extradata: vec![1],
        }
    }

    fn of(protocol: Protocol, codecs: &[Codec]) -> Result<Choice, Refusal> {
        let ring: Vec<Track> = codecs.iter().map(|codec| track(*codec)).collect();
        choose(protocol, true, &ring, &[])
    }

    #[test]
    fn pictures_and_sound_go_together_in_one_order() {
        let choice = of(Protocol::Rtmp, &[Codec::Aac, Codec::H264]).unwrap();
        assert_eq!(choice.places, [Some(1), Some(0)]);
        assert_eq!(choice.left_out, None);
        let codecs: Vec<_> = choice.tracks.iter().map(|track| track.codec).collect();
        assert_eq!(codecs, [Codec::H264, Codec::Aac]);
    }

    #[test]
    fn what_a_target_cannot_carry_is_told_with_what_to_do() {
        for (protocol, codec) in [
            (Protocol::Rtmp, Codec::H265),
            (Protocol::Udp, Codec::Vp9),
            (Protocol::Srt, Codec::Mjpeg),
            (Protocol::Rtsp, Codec::Av1),
        ] {
            let Err(Refusal::Never(why)) = of(protocol, &[codec, Codec::Aac]) else { panic!() };
            assert!(why.contains(protocol.carrier()) && why.contains(name(codec)), "{why}");
            assert!(why.contains("H.264") && why.contains("use: encoder"), "{why}");
        }
        let choice = of(Protocol::Rtmp, &[Codec::H264, Codec::PcmAlaw]).unwrap();
        assert_eq!(choice.places, [Some(0), None]);
        let why = choice.left_out.unwrap();
        assert!(why.contains("G.711") && why.contains("audio: aac"), "{why}");
        assert_eq!(of(Protocol::Rtsp, &[Codec::H264, Codec::PcmAlaw]).unwrap().left_out, None);
    }

    #[test]
    fn sound_that_nobody_wants_stays_behind_in_silence() {
        let ring = [track(Codec::H264), track(Codec::PcmMulaw)];
        let choice = choose(Protocol::Rtmp, false, &ring, &[]).unwrap();
        assert_eq!((choice.places, choice.left_out), (vec![Some(0), None], None));
        let alone = choose(Protocol::Rtmp, false, &ring[1..], &[]);
        assert!(matches!(alone, Err(Refusal::Never(_))), "{alone:?}");
        assert_eq!(of(Protocol::Rtsp, &[Codec::Opus]).unwrap().places, [Some(0)]);
    }

    #[test]
    fn parameter_sets_are_taken_from_the_first_picture_where_the_ring_has_none() {
        let bare = Track { extradata: Vec::new(), ..track(Codec::H264) };
        let choice = choose(Protocol::Rtsp, true, std::slice::from_ref(&bare), SETS).unwrap();
        assert_eq!(choice.tracks[0].extradata, SETS);
        let none = choose(Protocol::Rtsp, true, &[bare], &[0, 0, 0, 1, 0x65, 1]);
        assert!(matches!(none, Err(Refusal::NotYet(_))), "{none:?}");
    }
}
