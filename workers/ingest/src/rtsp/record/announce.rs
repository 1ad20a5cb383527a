//! What a publisher announces (RFC 2326 section 10.3), and which of it the ring carries. Pure.

use protocol::stream::TRACKS_MAX;

use crate::rtsp::format::{self, Choice, Format};
use crate::rtsp::message::{Request, plain};
use crate::rtsp::sdp::{self, Kind};
use crate::rtsp::url::resolve;

/// Real ones have one or two, with data beside them three; a hostile one as many as fit into 64 KiB.
const MEDIAS_MAX: usize = 16;
/// Streams that a refusal names.
const NAMED_MAX: usize = 8;

/// What is told to the publisher, and to people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {why}")]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) why: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

/// Its tracks, in the order of the description.
#[derive(Debug)]
pub(crate) struct Announced {
    pub(crate) tracks: Vec<Track>,
}

/// One track, as it may be set up.
#[derive(Debug)]
pub(crate) struct Track {
    /// What SETUP is expected to name, without slashes at its end.
    url: String,
    /// The same as the description has it; empty when it has none.
    control: String,
    pub(crate) payload_type: u8,
    /// `None` when the ring does not carry it: its packets are taken and thrown away, for a publisher whose
    /// track is refused takes the others back.
    pub(crate) format: Option<Format>,
}

impl Announced {
    /// Reads an ANNOUNCE.
    pub(crate) fn read(request: &Request) -> Result<Self, Refusal> {
        let kind = request.header("Content-Type").unwrap_or("application/sdp");
        if !kind.to_ascii_lowercase().contains("application/sdp") {
            let seen = plain(kind);
            return Err(Refusal::new(
                415,
                format!("announced as {seen}; expected application/sdp"),
            ));
        }
        let description = sdp::read(&request.body);
        let count = description.medias.len();
        if !(1..=MEDIAS_MAX).contains(&count) {
            let why = format!("announced {count} streams; expected 1 to {MEDIAS_MAX}");
            return Err(Refusal::new(400, why));
        }
        let mut choice = Chosen::default();
        let formats: Vec<_> = description.medias.iter().map(|media| choice.format(media)).collect();
        if choice.carried == 0 {
            let why = format!(
                "announced nothing to carry: {}; expected H.264 or H.265, AAC, Opus, G.711 or L16",
                choice.seen.join(", ")
            );
            return Err(Refusal::new(415, why));
        }
        for left_out in &choice.left_out {
            tracing::info!("track is left out: {left_out}");
        }
        let base = resolve(&request.url, description.control.as_deref());
        let tracks = description.medias.iter().zip(formats).map(|(media, format)| Track {
            url: trimmed(&resolve(&base, media.control.as_deref())).to_owned(),
            control: trimmed(media.control.as_deref().unwrap_or_default()).to_owned(),
            payload_type: media.payload_type,
            format,
        });
        Ok(Self { tracks: tracks.collect() })
    }

    /// The track that a SETUP of `url` is for, of those that are not `taken`. Publishers build that URL from
    /// base and control in many ways; where there is no control it tells nothing.
    pub(crate) fn find(&self, url: &str, taken: impl Fn(usize) -> bool) -> Option<usize> {
        let url = trimmed(url);
        let free = |at: &usize| !taken(*at);
        let all = || (0..self.tracks.len()).filter(free);
        let ends = |at: &usize| {
            let control = self.tracks[*at].control.as_str();
            !control.is_empty() && url.strip_suffix(control).is_some_and(|rest| rest.ends_with('/'))
        };
        all()
            .find(|at| self.tracks[*at].url == url)
            .or_else(|| all().find(ends))
            .or_else(|| (self.tracks.len() == 1).then_some(0).filter(free))
    }
}

/// What is carried, as the streams of a description are looked at one after the other.
#[derive(Debug, Default)]
struct Chosen {
    carried: usize,
    has_video: bool,
    seen: Vec<String>,
    left_out: Vec<String>,
}

impl Chosen {
    /// Of several videos the first: the ring's key packets are those of one.
    fn format(&mut self, media: &sdp::Media) -> Option<Format> {
        let name = format!("{:?} {}", media.kind, media.encoding);
        if self.seen.len() < NAMED_MAX {
            self.seen.push(name.clone());
        }
        let is_video = media.kind == Kind::Video;
        match format::of(media) {
            Choice::Ours(_) if is_video && self.has_video => {
                self.left_out.push(format!("{name} is a second video"));
            }
            Choice::Ours(format) if self.carried < TRACKS_MAX => {
                self.carried += 1;
                self.has_video |= is_video;
                return Some(*format);
            }
            _ => self.left_out.push(format!("{name} is not carried")),
        }
        None
    }
}

fn trimmed(url: &str) -> &str {
    url.trim().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::message::{Inbox, Incoming};
    use proptest::prelude::*;

    const VIDEO: &str =
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n";
    const SOUND: &str = "m=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n";

    fn announce(kind: &str, body: &str) -> Result<Announced, Refusal> {
        let length = body.len();
        let text = format!(
            "ANNOUNCE rtsp://h:8554/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut inbox = Inbox::default();
        inbox.push(text.as_bytes());
        let Ok(Some(Incoming::Request(request))) = inbox.next() else { panic!("{text}") };
        Announced::read(&request)
    }

    fn of(body: &str) -> Result<Announced, Refusal> {
        announce("application/sdp", body)
    }

    #[test]
    fn tracks_are_found_however_their_url_is_built() {
        let announced = of(&format!("v=0\r\n{VIDEO}{SOUND}")).unwrap();
        let found = |url| announced.find(url, |_| false);
        for url in [
            "rtsp://h:8554/cam/streamid=1",
            "rtsp://h:8554/cam/streamid=1/",
            "rtsp://10.0.0.1/cam/streamid=1",
            "rtsp://h/elsewhere/streamid=1",
        ] {
            assert_eq!(found(url), Some(1), "{url}");
        }
        assert_eq!(found("rtsp://h:8554/cam"), None);
        assert_eq!(found("rtsp://h:8554/cam/streamid=11"), None);
        assert_eq!(announced.find("rtsp://h:8554/cam/streamid=1", |at| at == 1), None, "twice");
    }

    #[test]
    fn tracks_without_a_control_are_taken_one_after_the_other() {
        let without = format!("{VIDEO}{SOUND}").replace("a=control:streamid=0\r\n", "");
        let without = without.replace("a=control:streamid=1\r\n", "");
        let announced = of(&without).unwrap();
        assert_eq!(announced.find("rtsp://h:8554/cam", |_| false), Some(0));
        assert_eq!(announced.find("rtsp://h:8554/cam/", |at| at == 0), Some(1));
        let one = of("m=audio 0 RTP/AVP 0\r\na=control:x\r\n").unwrap();
        assert_eq!(one.find("rtsp://h/anything", |_| false), Some(0));
        assert_eq!(one.find("rtsp://h/anything", |_| true), None);
    }

    #[test]
    fn what_is_not_carried_may_be_set_up_and_is_left_out() {
        let data = "m=application 0 RTP/AVP 107\r\na=control:streamid=2\r\n";
        let announced = of(&[VIDEO, SOUND, VIDEO, data].concat()).unwrap();
        let carried: Vec<_> = announced.tracks.iter().map(|track| track.format.is_some()).collect();
        assert_eq!(carried, [true, true, false, false]);
    }

    #[test]
    fn an_announcement_of_nothing_is_refused_with_what_it_has() {
        for (body, status, words) in [
            ("", 400, "0 streams"),
            ("nonsense", 400, "0 streams"),
            (&*SOUND.repeat(17), 400, "17 streams; expected 1 to 16"),
            ("m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-MAGIC/90000\r\n", 415, "Video X-MAGIC"),
        ] {
            let refusal = of(body).unwrap_err();
            assert_eq!(refusal.status, status, "{body}");
            assert!(refusal.why.contains(words), "{refusal}");
        }
        let refusal = announce("text/parameters", VIDEO).unwrap_err();
        assert!(refusal.status == 415 && refusal.why.contains("text/parameters"), "{refusal}");
        let odd = "m=video 0 RTP/AVP 96\na=rtpmap:96 X/1\n".repeat(16);
        assert_eq!(of(&odd).unwrap_err().why.matches("Video X").count(), NAMED_MAX);
    }

    proptest! {
        #[test]
        fn any_announcement_is_read_or_refused(body in "([mac]=(audio|video)?)?[ -~\r\n]{0,200}") {
            if let Ok(announced) = of(&body) {
                for url in ["rtsp://h:8554/cam", "", "/", "*"] {
                    announced.find(url, |at| at == 0);
                }
            }
        }
    }
}
