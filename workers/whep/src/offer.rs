//! Which offers are looked at at all, and what of them. Pure.
//!
//! An offer is a text of a stranger. What its answer does not depend on is taken out before the WebRTC stack
//! reads it: candidates (a lite agent checks none and learns where a viewer is from the viewer's own checks, RFC
//! 8445 section 2.5), what the viewer would send, simulcast. What is left is one line of pictures and one of
//! sound to be received, and further lines at rest.

use std::collections::BTreeSet;

use crate::formats::{Lineup, Media};
use crate::refusal::Refusal;

/// Browsers send 5 to 12 KiB.
pub const OFFER_MAX_BYTES: usize = 64 << 10;
/// Browsers send two or three.
const MEDIA_MAX: usize = 8;
/// Of a line; fingerprints and the longest of formats are a tenth of it.
const LINE_MAX_BYTES: usize = 2_048;
/// In what is repeated of an offer.
const NAMED_MAX: usize = 8;

/// Attributes that answer nothing here.
const PASSED_OVER: [&str; 9] = [
    "a=candidate:",
    "a=end-of-candidates",
    "a=remote-candidates:",
    "a=rid:",
    "a=sctp",
    "a=simulcast:",
    "a=ssrc-group:",
    "a=ssrc:",
    "a=msid:",
];

/// A part of an offer: the lines before the first `m=`, or those of one.
struct Section<'a> {
    /// `None` for the part before the first `m=`.
    media: Option<Media>,
    lines: Vec<&'a str>,
    direction: Option<Direction>,
}

/// As the offer says it: from the viewer's side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Receives,
    Rests,
}

/// The offer as the WebRTC stack is to see it.
pub(crate) fn tidy(offer: &str, lineup: &Lineup) -> Result<String, Refusal> {
    let mut sections = sections(offer)?;
    let default = sections.first().and_then(|session| session.direction);
    let mut wanted: Vec<Media> = Vec::new();
    for section in &mut sections {
        let Some(media) = section.media else {
            // What it says for all is said of each below.
            section.direction = None;
            continue;
        };
        let receives = section.direction.or(default).unwrap_or(Direction::Receives);
        let is_first = !wanted.contains(&media);
        let is_served = lineup.of_media(media).is_some();
        if receives == Direction::Receives {
            wanted.push(media);
        }
        let goes = receives == Direction::Receives && is_first && is_served;
        section.direction = Some(if goes { Direction::Receives } else { Direction::Rests });
    }
    if sections.len() == 1 {
        return Err(malformed("it has no line m="));
    }
    Ok(sections.iter().map(Section::text).collect())
}

/// The formats it offers for `media`, by name.
pub(crate) fn offered(offer: &str, media: Media) -> String {
    let kind = match media {
        Media::Audio => "m=audio ",
        Media::Video => "m=video ",
    };
    let mut is_inside = false;
    let mut names = BTreeSet::new();
    for line in offer.lines() {
        if line.starts_with("m=") {
            is_inside = line.starts_with(kind);
        } else if is_inside && let Some(name) = encoding(line) {
            names.insert(name.to_owned());
        }
    }
    let names: Vec<String> = names.into_iter().take(NAMED_MAX).collect();
    if names.is_empty() { "nothing of the kind".to_owned() } else { names.join(", ") }
}

/// The encoding of an `a=rtpmap`, if it is one that people know: not what only repairs others.
fn encoding(line: &str) -> Option<&str> {
    let (_, map) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
    let name = map.split('/').next()?.trim();
    let is_plain = name.len() <= 16 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let repairs = ["rtx", "red", "ulpfec"].iter().any(|it| name.eq_ignore_ascii_case(it));
    (is_plain && !name.is_empty() && !repairs).then_some(name)
}

fn sections(offer: &str) -> Result<Vec<Section<'_>>, Refusal> {
    if offer.len() > OFFER_MAX_BYTES {
        return Err(Refusal::TooLarge { bytes: offer.len() });
    }
    let mut sections = vec![Section { media: None, lines: Vec::new(), direction: None }];
    for line in offer.lines() {
        if line.len() > LINE_MAX_BYTES {
            return Err(malformed(&format!("a line has more than {LINE_MAX_BYTES} bytes")));
        }
        if line.chars().any(char::is_control) {
            return Err(malformed("it has control characters"));
        }
        if line.starts_with("m=") {
            let media = Some(media(line)?);
            sections.push(Section { media, lines: Vec::new(), direction: None });
        }
        if sections.len() > MEDIA_MAX + 1 {
            return Err(malformed(&format!("it has more than {MEDIA_MAX} lines m=")));
        }
        if let Some(section) = sections.last_mut() {
            section.take(line);
        }
    }
    Ok(sections)
}

fn media(line: &str) -> Result<Media, Refusal> {
    match line[2..].split(' ').next() {
        Some("audio") => Ok(Media::Audio),
        Some("video") => Ok(Media::Video),
        Some("application") => Err(malformed("data channels are not served")),
        _ => Err(malformed("it has a line m= that is neither audio nor video")),
    }
}

impl<'a> Section<'a> {
    fn take(&mut self, line: &'a str) {
        match line {
            // A viewer sends nothing here, whatever it would.
            "a=sendrecv" | "a=recvonly" => self.direction = Some(Direction::Receives),
            "a=sendonly" | "a=inactive" => self.direction = Some(Direction::Rests),
            _ if PASSED_OVER.iter().any(|start| line.starts_with(start)) => {}
            _ => self.lines.push(line),
        }
    }

    fn text(&self) -> String {
        let direction = match self.direction {
            None => "",
            Some(Direction::Receives) => "a=recvonly\r\n",
            Some(Direction::Rests) => "a=inactive\r\n",
        };
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str(direction);
        text
    }
}

pub(crate) fn malformed(why: &str) -> Refusal {
    Refusal::Malformed { why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::stream::{Codec, Track};
    use protocol::time::TimeBase;

    use super::*;

    fn lineup(codecs: &[Codec]) -> Lineup {
        let track = |codec: &Codec| Track {
            codec: *codec,
            time_base: TimeBase::NANOSECONDS,
            width: 0,
            height: 0,
            sample_rate_hz: 48_000,
            channels: 2,
            frame_rate: (0, 1),
            extradata: Vec::new(),
        };
        Lineup::of(&codecs.iter().map(track).collect::<Vec<_>>())
    }

    fn tidied(offer: &str, codecs: &[Codec]) -> String {
        tidy(offer, &lineup(codecs)).unwrap().replace("\r\n", "|")
    }

    fn why(offer: &str) -> String {
        tidy(offer, &lineup(&[Codec::H264])).unwrap_err().to_string()
    }

    #[test]
    fn what_answers_nothing_is_taken_out() {
        let offer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=candidate:1 1 udp 1 x.local 9 typ host\r\n\
            a=ssrc:1 cname:x\r\na=sendrecv\r\n";
        let wanted = "v=0|m=video 9 UDP/TLS/RTP/SAVPF 96|a=mid:0|a=recvonly|";
        assert_eq!(tidied(offer, &[Codec::H264]), wanted);
    }

    #[test]
    fn the_first_line_of_each_kind_that_is_served_receives_and_the_others_rest() {
        let offer = "v=0\nm=audio 9 X 1\nm=video 9 X 2\nm=video 9 X 3\na=sendonly\nm=video 9 X 4\n";
        let wanted = "v=0|m=audio 9 X 1|a=inactive|m=video 9 X 2|a=recvonly|m=video 9 X 3|a=inactive|\
            m=video 9 X 4|a=inactive|";
        assert_eq!(tidied(offer, &[Codec::H264]), wanted);
        let both = tidied(offer, &[Codec::H264, Codec::Opus]);
        assert!(both.starts_with("v=0|m=audio 9 X 1|a=recvonly|"), "{both}");
    }

    #[test]
    fn a_direction_for_all_lines_is_that_of_each() {
        let offer = "v=0\na=sendonly\nm=video 9 X 2\nm=audio 9 X 1\na=recvonly\n";
        let wanted = "v=0|m=video 9 X 2|a=inactive|m=audio 9 X 1|a=recvonly|";
        assert_eq!(tidied(offer, &[Codec::H264, Codec::Opus]), wanted);
    }

    #[test]
    fn what_is_no_offer_is_refused_with_the_reason() {
        assert!(why("").contains("no line m="));
        assert!(why("v=0\r\nm=application 9 UDP/DTLS/SCTP x\r\n").contains("data channels"));
        assert!(why("m=text 9 X 1").contains("neither audio nor video"));
        assert!(why("m=video \u{1b}[2J").contains("control"));
        assert!(why(&"m=video 9 X 1\n".repeat(9)).contains("more than 8 lines"));
        assert!(why(&"x".repeat(3_000)).contains("2048 bytes"));
        assert!(why(&"x=y\n".repeat(20_000)).contains("80000 bytes"));
    }

    #[test]
    fn the_formats_offered_are_named_and_nothing_else_of_the_offer() {
        let offer = "m=audio 9 X 0\na=rtpmap:0 opus/48000/2\nm=video 9 X 1\na=rtpmap:96 VP8/90000\n\
            a=rtpmap:97 rtx/90000\na=rtpmap:98 <script>/90000\na=rtpmap:99 AV1/90000\n";
        assert_eq!(offered(offer, Media::Video), "AV1, VP8");
        assert_eq!(offered("m=audio 9 X 0\n", Media::Video), "nothing of the kind");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(m=(video|audio) [a-z0-9 ]{0,9}|a=[a-z:]{0,12}|\\PC{0,20}|\r|\n){0,40}") {
            if let Ok(tidied) = tidy(&text, &lineup(&[Codec::H264])) {
                prop_assert!(!tidied.contains("a=candidate:"));
                prop_assert!(tidied.matches("a=recvonly").count() <= 1);
            }
            offered(&text, Media::Video);
        }
    }
}
