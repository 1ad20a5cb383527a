//! An offer into a viewer.

use std::net::{IpAddr, SocketAddr};
use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use str0m::change::SdpOffer;
use str0m::media::{MediaKind, Mid, Pt};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, Rtc, RtcConfig, RtcError};

use crate::formats::{Lineup, Media, Served};
use crate::offer::{malformed, offered, tidy};
use crate::refusal::Refusal;
use crate::ticks::Ticks;
use crate::viewer::{Sending, Viewer};

/// Packets that can be sent again: two seconds of 4 Mbit/s, 1.2 MiB.
const RESENDS: usize = 1_024;

/// What an offer is answered for.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) camera: &'a str,
    pub(crate) origin: IpAddr,
    pub(crate) edition: u64,
    pub(crate) lineup: &'a Lineup,
    /// Where the viewer is to send.
    pub(crate) local: Vec<SocketAddr>,
    /// Nobody may guess them: where the RTP clocks of pictures and sound begin.
    pub(crate) chance: [u32; 2],
}

/// The viewer, and the answer for it. What the stack cannot read, however it says so, is a refusal.
pub(crate) fn answer(
    offer: &str,
    asked: &Asked<'_>,
    now: Instant,
) -> Result<(Viewer, String), Refusal> {
    let tidied = tidy(offer, asked.lineup)?;
    // The stack counts on payload types that a browser would choose; another's may end in a panic. Nothing
    // that is half made outlives it.
    let answered = panic::catch_unwind(AssertUnwindSafe(|| -> Result<_, RtcError> {
        let offer = SdpOffer::from_sdp_string(&tidied)?;
        let mut viewer = viewer(asked, now)?;
        let answer = viewer.change(|rtc| rtc.sdp_api().accept_offer(offer))?;
        Ok((viewer, answer.to_sdp_string()))
    }));
    let answered = answered.unwrap_or_else(|_| Err(no_sense("its numbers contradict each other")));
    let (mut viewer, answer) = answered.map_err(|error| malformed(&plain(&error)))?;
    agree(&mut viewer, asked, offer, &answer)?;
    if let Some(end) = viewer.end() {
        return Err(malformed(&end.to_string()));
    }
    Ok((viewer, one_stream(&answer, asked.camera)))
}

/// The answer with pictures and sound as one stream of the camera's name (RFC 8830 section 2): browsers keep
/// those of one stream in step. The stack makes a stream of each.
fn one_stream(answer: &str, camera: &str) -> String {
    let renamed = |line: &str| {
        if line.starts_with("a=msid-semantic:") {
            return format!("a=msid-semantic: WMS {camera}\r\n");
        }
        let said = match line.strip_prefix("a=ssrc:") {
            Some(rest) => {
                rest.split_once(" msid:").map(|(ssrc, said)| (format!("a=ssrc:{ssrc} msid:"), said))
            }
            None => line.strip_prefix("a=msid:").map(|said| ("a=msid:".to_owned(), said)),
        };
        match said.and_then(|(before, said)| Some((before, said.split_once(' ')?.1))) {
            Some((before, track)) => format!("{before}{camera} {track}\r\n"),
            None => format!("{line}\r\n"),
        }
    };
    answer.lines().map(renamed).collect()
}

fn no_sense(why: &str) -> RtcError {
    RtcError::RemoteSdp(why.to_owned())
}

/// The stack's words may repeat lines of the offer.
fn plain(error: &RtcError) -> String {
    let is_plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
    error.to_string().chars().filter(is_plain).take(200).collect()
}

fn viewer(asked: &Asked<'_>, now: Instant) -> Result<Viewer, RtcError> {
    let rtc = asked.lineup.configure(config()).build(now);
    let mut viewer =
        Viewer::new(rtc, asked.camera, asked.origin, asked.edition, asked.local.clone(), now);
    for address in &asked.local {
        let candidate = Candidate::host(*address, "udp")?;
        viewer.change(|rtc| {
            rtc.add_local_candidate(candidate);
            Ok(())
        })?;
    }
    Ok(viewer)
}

/// Viewers find us; we send what the camera sends, whatever bandwidth there is, and so ask nobody about it.
fn config() -> RtcConfig {
    let mut extensions = ExtensionMap::empty();
    extensions.set(4, Extension::RtpMid);
    extensions.set(5, Extension::AbsoluteCaptureTime);
    RtcConfig::new().set_ice_lite(true).set_extension_map(extensions).set_send_buffer_video(RESENDS)
}

/// Which line of the offer gets which track, in which form.
fn agree(viewer: &mut Viewer, asked: &Asked<'_>, offer: &str, answer: &str) -> Result<(), Refusal> {
    for (mid, kind) in lines_of(answer) {
        let (media, chance) = match kind {
            MediaKind::Audio => (Media::Audio, asked.chance[0]),
            MediaKind::Video => (Media::Video, asked.chance[1]),
        };
        let Some(&served) = asked.lineup.of_media(media) else { continue };
        let Ok(Some(payload)) = viewer.change(|rtc| Ok(payload(rtc, mid, &served))) else {
            continue;
        };
        let ticks = Ticks::new(served.format.frequency().get(), chance);
        let place = match media {
            Media::Audio => &mut viewer.audio,
            Media::Video => &mut viewer.video,
        };
        place.get_or_insert(Sending { mid, payload, served, ticks });
    }
    in_common(viewer, asked, offer)
}

/// The lines of an answer, in its order. The stack itself tells of them only when the viewer is connected.
fn lines_of(answer: &str) -> Vec<(Mid, MediaKind)> {
    let mut kind = None;
    let mut lines = Vec::new();
    for line in answer.lines() {
        match line {
            video if video.starts_with("m=video") => kind = Some(MediaKind::Video),
            audio if audio.starts_with("m=audio") => kind = Some(MediaKind::Audio),
            other if other.starts_with("m=") => kind = None,
            _ => {}
        }
        let mid = line.strip_prefix("a=mid:");
        lines.extend(mid.zip(kind).map(|(mid, kind)| (Mid::from(mid), kind)));
    }
    lines
}

/// Pictures are what it is about: sound alone is for a camera that has nothing else.
fn in_common(viewer: &Viewer, asked: &Asked<'_>, offer: &str) -> Result<(), Refusal> {
    let (media, has) = match (asked.lineup.video, asked.lineup.audio) {
        (Some(video), _) => (Media::Video, video),
        (None, Some(audio)) => (Media::Audio, audio),
        (None, None) => return Ok(()),
    };
    let is_agreed = match media {
        Media::Audio => viewer.audio.is_some(),
        Media::Video => viewer.video.is_some(),
    };
    if is_agreed {
        return Ok(());
    }
    Err(Refusal::NothingInCommon {
        camera: asked.camera.to_owned(),
        has: has.format.name(),
        offered: offered(offer, media),
    })
}

/// The payload type that `served` goes by; `None` when the offer has none for it, or does not receive there.
fn payload(rtc: &mut Rtc, mid: Mid, served: &Served) -> Option<Pt> {
    if rtc.media(mid).is_none_or(|media| !media.direction().is_sending()) {
        return None;
    }
    let writer = rtc.writer(mid)?;
    let forms = writer.payload_params().filter(|it| it.spec().codec == served.format.coded());
    let best = forms.min_by(|one, other| served.compare(&one.spec().format, &other.spec().format));
    best.map(|form| form.pt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_an_answer_are_known_by_their_names_and_kinds() {
        let answer = "v=0\r\nm=audio 9 x 111\r\na=mid:0\r\nm=application 9 x\r\na=mid:1\r\nm=video 9 x 96\r\na=mid:v\r\n";
        let wanted = [(Mid::from("0"), MediaKind::Audio), (Mid::from("v"), MediaKind::Video)];
        assert_eq!(lines_of(answer), wanted);
    }

    #[test]
    fn pictures_and_sound_are_one_stream_of_the_cameras_name() {
        let answer = "v=0\r\na=msid-semantic:WMS x y\r\na=msid:x one\r\na=ssrc:7 cname:one\r\na=ssrc:7 msid:x one\r\n\
            a=msid:y two\r\n";
        let wanted = "v=0\r\na=msid-semantic: WMS cam1\r\na=msid:cam1 one\r\na=ssrc:7 cname:one\r\n\
            a=ssrc:7 msid:cam1 one\r\na=msid:cam1 two\r\n";
        assert_eq!(one_stream(answer, "cam1"), wanted);
    }
}
