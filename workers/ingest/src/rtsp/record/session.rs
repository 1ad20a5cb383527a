//! A publisher's conversation behind its ANNOUNCE (RFC 2326): requests in, decisions and answers out. Pure.
//!
//! ```text
//!                SETUP              RECORD
//!   announced ──────────> ready ─────────────> recording
//!                           ^ <───────────────     │
//!                           │       PAUSE          │
//!   the end  <──────────────┴──────────────────────┘  TEARDOWN
//! ```
//! A session lives in the connection that announced it: its id opens nothing from another one.

use super::announce::{Announced, Refusal};
use super::offer::{self, Offer};
use crate::rtsp::message::Request;

/// What a publisher that does not record may be silent for, in seconds; stated in every answer to SETUP.
pub(crate) const TIMEOUT_S: u64 = 60;
const METHODS: &str =
    "OPTIONS, ANNOUNCE, SETUP, RECORD, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";
/// A publisher's own number of a request; ours have fewer digits.
const SEQUENCE_DIGITS_MAX: usize = 20;

/// What is to be done for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Answer(Reply),
    /// A way for the packets of a track is to be opened, and then [`Session::was_set_up`] answers.
    SetUp {
        track: usize,
        offer: Offer,
    },
    Record(Reply),
    Pause(Reply),
    End(Reply),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub(crate) fn of(status: u16) -> Self {
        Self { status, headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// As it is sent, with the number of its request when that has one.
    pub(crate) fn to(&self, request: &Request) -> String {
        let mut text = format!("RTSP/1.0 {} {}\r\n", self.status, reason(self.status));
        if let Some(sequence) = sequence(request) {
            text.push_str(&format!("CSeq: {sequence}\r\n"));
        }
        text.push_str(concat!("Server: framevisor/", env!("CARGO_PKG_VERSION"), "\r\n"));
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + "\r\n"
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::of(refusal.status)
    }
}

/// The conversation.
#[derive(Debug)]
pub(crate) struct Session {
    id: String,
    announced: Announced,
    set_up: Vec<SetUp>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Tracks are set up.
    Announced,
    Recording,
    /// All is as it was set up, and nothing more is.
    Paused,
}

/// A track with a way for its packets.
#[derive(Clone, Copy, Debug)]
struct SetUp {
    track: usize,
    is_carried: bool,
    /// When they come on the connection.
    channels: Option<(u8, u8)>,
}

impl Session {
    /// `id` is not to be guessed.
    pub(crate) fn new(id: String, announced: Announced) -> Self {
        Self { id, announced, set_up: Vec::new(), state: State::Announced }
    }

    /// The answer to its ANNOUNCE.
    pub(crate) fn welcome(&self) -> Reply {
        Reply::of(200)
    }

    pub(crate) fn announced(&mut self) -> &mut Announced {
        &mut self.announced
    }

    pub(crate) fn decide(&mut self, request: &Request) -> Decision {
        self.decision(request).unwrap_or_else(|status| {
            let reply = Reply::of(status);
            Decision::Answer(if status == 455 { reply.with("Allow", METHODS) } else { reply })
        })
    }

    /// The answer to a SETUP whose track has a way now: its channels, or what says its ports.
    pub(crate) fn was_set_up(&mut self, track: usize, way: &Way) -> Reply {
        let (channels, transport) = match way {
            Way::Channels(channels) => (Some(*channels), offer::interleaved(*channels)),
            Way::Ports { client, server } => (None, offer::udp(*client, *server)),
        };
        let is_carried = self.announced.tracks[track].format.is_some();
        self.set_up.push(SetUp { track, is_carried, channels });
        let session = format!("{};timeout={TIMEOUT_S}", self.id);
        Reply::of(200).with("Transport", transport).with("Session", session)
    }

    /// The channels that a track is given: those it asks for, unless another track has one of them.
    pub(crate) fn channels(&self, wanted: Option<(u8, u8)>) -> Option<(u8, u8)> {
        let is_taken = |channel: u8| {
            let mut pairs = self.set_up.iter().filter_map(|set_up| set_up.channels);
            pairs.any(|(rtp, rtcp)| rtp == channel || rtcp == channel)
        };
        let is_free = |(rtp, rtcp): &(u8, u8)| !is_taken(*rtp) && !is_taken(*rtcp);
        let mut all = (0..=254).step_by(2).map(|rtp| (rtp, rtp + 1));
        wanted.filter(is_free).or_else(|| all.find(is_free))
    }

    fn decision(&mut self, request: &Request) -> Result<Decision, u16> {
        sequence(request).ok_or(400_u16)?;
        if request.header("Require").is_some() || request.header("Proxy-Require").is_some() {
            return Err(551);
        }
        if let Some(session) = request.header("Session") {
            let id = session.split(';').next().unwrap_or_default().trim();
            if id != self.id || self.set_up.is_empty() {
                return Err(454);
            }
        }
        let named = |reply: Reply| reply.with("Session", self.id.clone());
        match request.method.as_str() {
            "OPTIONS" => Ok(Decision::Answer(Reply::of(200).with("Public", METHODS))),
            "GET_PARAMETER" | "SET_PARAMETER" if request.body.is_empty() => {
                Ok(Decision::Answer(Reply::of(200)))
            }
            "GET_PARAMETER" | "SET_PARAMETER" => Err(451),
            "SETUP" => self.set_up(request),
            "TEARDOWN" => Ok(Decision::End(named(Reply::of(200)))),
            "RECORD" if self.set_up.iter().any(|set_up| set_up.is_carried) => {
                let reply = named(Reply::of(200));
                // Once more changes nothing.
                let before = std::mem::replace(&mut self.state, State::Recording);
                let records = before == State::Recording;
                Ok(if records { Decision::Answer(reply) } else { Decision::Record(reply) })
            }
            "PAUSE" if self.state == State::Recording => {
                let reply = named(Reply::of(200));
                self.state = State::Paused;
                Ok(Decision::Pause(reply))
            }
            "ANNOUNCE" | "DESCRIBE" | "PAUSE" | "PLAY" | "RECORD" => Err(455),
            _ => Err(501),
        }
    }

    fn set_up(&self, request: &Request) -> Result<Decision, u16> {
        if self.state != State::Announced {
            return Err(455);
        }
        let is_taken = |track| self.set_up.iter().any(|set_up| set_up.track == track);
        let track = self.announced.find(&request.url, is_taken).ok_or(404_u16)?;
        let header = request.header("Transport").ok_or(400_u16)?;
        let offer = offer::accept(header).ok_or(461_u16)?;
        Ok(Decision::SetUp { track, offer })
    }
}

/// How a track's packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Channels((u8, u8)),
    Ports { client: (u16, u16), server: (u16, u16) },
}

/// The number of a request, if it is one.
fn sequence(request: &Request) -> Option<&str> {
    let sequence = request.sequence();
    let is_number = (1..=SEQUENCE_DIGITS_MAX).contains(&sequence.len())
        && sequence.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(sequence)
}

/// RFC 2326 section 7.1.1.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        415 => "Unsupported Media Type",
        451 => "Parameter Not Understood",
        454 => "Session Not Found",
        455 => "Method Not Valid in This State",
        461 => "Unsupported Transport",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        551 => "Option not supported",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::message::{Inbox, Incoming};

    const SDP: &str = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n\
        m=audio 0 RTP/AVP 0\r\na=control:streamid=1\r\n";
    const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n";

    fn request(text: &str) -> Request {
        let mut inbox = Inbox::default();
        inbox.push(text.as_bytes());
        let Ok(Some(Incoming::Request(request))) = inbox.next() else { panic!("{text}") };
        request
    }

    fn asked(method: &str, track: &str, headers: &str) -> Request {
        request(&format!("{method} rtsp://h/cam{track} RTSP/1.0\r\nCSeq: 7\r\n{headers}\r\n"))
    }

    fn session() -> Session {
        let length = SDP.len();
        let announce = request(&format!(
            "ANNOUNCE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: {length}\r\n\r\n{SDP}"
        ));
        Session::new("secret".to_owned(), Announced::read(&announce).unwrap())
    }

    /// With its first track set up on channels 0 and 1.
    fn ready() -> Session {
        let mut session = session();
        let decision = session.decide(&asked("SETUP", "/streamid=0", TCP));
        let offer = Offer::Interleaved(Some((0, 1)));
        assert_eq!(decision, Decision::SetUp { track: 0, offer });
        let reply = session.was_set_up(0, &Way::Channels((0, 1)));
        let text = reply.to(&asked("SETUP", "", ""));
        assert!(
            text.contains("interleaved=0-1;mode=record\r\nSession: secret;timeout=60\r\n"),
            "{text}"
        );
        session
    }

    fn status(decision: &Decision) -> u16 {
        match decision {
            Decision::Answer(reply) => reply.status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_publisher_records_pauses_and_leaves() {
        let mut session = ready();
        let named = "Session: secret\r\n";
        assert!(matches!(session.decide(&asked("RECORD", "", named)), Decision::Record(_)));
        assert_eq!(status(&session.decide(&asked("RECORD", "", named))), 200, "once more");
        assert_eq!(status(&session.decide(&asked("GET_PARAMETER", "", named))), 200);
        assert_eq!(status(&session.decide(&asked("SETUP", "/streamid=1", TCP))), 455);
        assert!(matches!(session.decide(&asked("PAUSE", "", named)), Decision::Pause(_)));
        assert_eq!(status(&session.decide(&asked("SETUP", "/streamid=1", TCP))), 455);
        assert!(matches!(session.decide(&asked("RECORD", "", named)), Decision::Record(_)));
        let Decision::End(reply) = session.decide(&asked("TEARDOWN", "", named)) else { panic!() };
        assert!(reply.to(&asked("TEARDOWN", "", "")).starts_with("RTSP/1.0 200 OK\r\nCSeq: 7\r\n"));
    }

    #[test]
    fn requests_out_of_order_or_of_others_are_refused() {
        for (method, headers, expected) in [
            ("RECORD", "", 455),
            ("PAUSE", "", 455),
            ("ANNOUNCE", "", 455),
            ("DESCRIBE", "", 455),
            ("PLAY", "", 455),
            ("SETUP", "", 400),
            ("SETUP", "Transport: RTP/AVP;multicast\r\n", 461),
            ("SETUP", "Session: secret\r\n", 454),
            ("TEARDOWN", "Session: another\r\n", 454),
            ("SETUP", "Require: funny-ext\r\n", 551),
        ] {
            let decision = session().decide(&asked(method, "/streamid=0", headers));
            assert_eq!(status(&decision), expected, "{method} {headers}");
        }
        assert_eq!(status(&session().decide(&asked("SETUP", "/streamid=9", TCP))), 404);
        let mut session = ready();
        assert_eq!(status(&session.decide(&asked("SETUP", "/streamid=0", TCP))), 404, "twice");
        assert_eq!(status(&session.decide(&asked("RECORD", "", "Session: secret2\r\n"))), 454);
        let odd = request("SET_PARAMETER * RTSP/1.0\r\nCSeq: 7\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(status(&session.decide(&odd)), 451);
    }

    #[test]
    fn a_request_without_a_number_is_bad_and_its_words_are_not_repeated() {
        for sequence in ["", "CSeq: \r\n", "CSeq: 1\rX: y\r\n", "CSeq: abc\r\n"] {
            let request = request(&format!("OPTIONS * RTSP/1.0\r\n{sequence}\r\n"));
            let decision = session().decide(&request);
            let Decision::Answer(reply) = decision else { panic!("{decision:?}") };
            let text = reply.to(&request);
            assert!(text.starts_with("RTSP/1.0 400 ") && !text.contains("CSeq"), "{text}");
        }
    }

    #[test]
    fn tracks_never_share_a_channel() {
        let mut session = ready();
        for wanted in [Some((0, 1)), Some((1, 2)), Some((7, 0)), None] {
            assert_eq!(session.channels(wanted), Some((2, 3)), "{wanted:?}");
        }
        assert_eq!(session.channels(Some((7, 9))), Some((7, 9)));
        session.was_set_up(1, &Way::Channels((3, 2)));
        assert_eq!(session.channels(None), Some((4, 5)));
    }
}
