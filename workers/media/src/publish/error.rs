//! Why nothing goes out, told apart as far as the user's cure differs. Pure; `name` is the target as a
//! person may see it, and nothing that FFmpeg or a server says is repeated but for a status and its reason.

use ffmpeg_next::Error as Av;
use ffmpeg_next::error::{
    ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, ENOTCONN, EPIPE, ETIMEDOUT,
};
use protocol::config::push::Protocol;

/// A reason of a server's is no longer than this.
const REASON_MAX_CHARS: usize = 80;

/// What a person may see of a connection that failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(
        "{name}: the server closed the connection while {doing}; expected it to go on: see the server's own log"
    )]
    Closed { name: String, doing: &'static str },
    #[error("{name}: given up while {doing}, as asked")]
    Interrupted { name: String, doing: &'static str },
    #[error("{name}: this machine's FFmpeg has no {what}; install Debian's libavformat59")]
    Missing { name: String, what: &'static str },
    #[error(
        "{name}: the SRT listener refuses the connection; expected its consent: are passphrase, streamid and pbkeylen those that it wants?"
    )]
    NoEntry { name: String },
    #[error("{name}: what answers is no {what} server; expected one there: is the port right?")]
    NotTheProtocol { name: String, what: &'static str },
    #[error(
        "{name}: connection refused; expected a server there: is it on, and is the port right?"
    )]
    Refused { name: String },
    #[error(
        "{name}: the server refuses to take it ({said}); expected its consent: see its paths, and who may publish to them"
    )]
    Rejected { name: String, said: String },
    #[error("{name}: its host has no address; expected one: check the name, and the DNS")]
    Resolve { name: String },
    #[error("{name}: no answer in time while {doing}; expected one: is the network path up?")]
    Timeout { name: String, doing: &'static str },
    #[error(
        "{name}: user or password refused ({said}); expected USER:PASSWORD@ before the host: check the credentials"
    )]
    Unauthorized { name: String, said: String },
    #[error(
        "{name}: host or network unreachable; expected a route to it: check address and cabling"
    )]
    Unreachable { name: String },
    #[error("{name}: {doing} failed: {source}; expected a connection: see the server's own log")]
    Other {
        name: String,
        doing: &'static str,
        #[source]
        source: Av,
    },
}

impl PublishError {
    /// `said`: what FFmpeg logged during the call.
    pub(super) fn of(
        name: &str,
        protocol: Protocol,
        doing: &'static str,
        source: Av,
        said: &str,
    ) -> Self {
        let answer = Answer::in_log(said);
        let name = name.to_owned();
        match (source, answer) {
            (Av::Exit, _) => Self::Interrupted { name, doing },
            (_, Some(Answer::Status { code: 401, said })) => Self::Unauthorized { name, said },
            (_, Some(Answer::Status { said, .. })) => Self::Rejected { name, said },
            (_, Some(Answer::Rtmp { said })) if is_about_credentials(&said) => {
                Self::Unauthorized { name, said }
            }
            (_, Some(Answer::Rtmp { said })) => Self::Rejected { name, said },
            (_, Some(Answer::NoAddress)) => Self::Resolve { name },
            (Av::HttpUnauthorized, _) => Self::Unauthorized { name, said: "401".to_owned() },
            (Av::HttpForbidden, _) => Self::Rejected { name, said: "403".to_owned() },
            (Av::HttpNotFound, _) => Self::Rejected { name, said: "404".to_owned() },
            (Av::HttpBadRequest | Av::HttpOther4xx, _) => {
                Self::Rejected { name, said: "4xx".to_owned() }
            }
            (Av::HttpServerError, _) => Self::Rejected { name, said: "5xx".to_owned() },
            (Av::MuxerNotFound | Av::ProtocolNotFound, _) => {
                Self::Missing { name, what: protocol.scheme() }
            }
            (Av::Other { errno: ECONNREFUSED }, _) => Self::Refused { name },
            (Av::Other { errno: ETIMEDOUT }, _) => Self::Timeout { name, doing },
            (Av::Other { errno: EHOSTUNREACH | ENETUNREACH }, _) => Self::Unreachable { name },
            (Av::Other { errno: ECONNRESET | ECONNABORTED | ENOTCONN | EPIPE } | Av::Eof, _) => {
                Self::Closed { name, doing }
            }
            // A listener that is not there says nothing at all, and is waited for.
            (_, _) if protocol == Protocol::Srt && doing == super::CONNECTING => {
                Self::NoEntry { name }
            }
            (_, _) if protocol == Protocol::Srt => Self::Closed { name, doing },
            (Av::InvalidData, _) if doing == super::CONNECTING => {
                Self::NotTheProtocol { name, what: protocol.carrier() }
            }
            (source, _) => Self::Other { name, doing, source },
        }
    }
}

/// What a server answered, as FFmpeg's log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    NoAddress,
    Rtmp { said: String },
    Status { code: u16, said: String },
}

impl Answer {
    fn in_log(text: &str) -> Option<Self> {
        text.lines().rev().find_map(Self::in_line)
    }

    fn in_line(line: &str) -> Option<Self> {
        // rtsp.c: "method ANNOUNCE failed: 403 Forbidden"
        if let Some((_, answer)) = line.split_once("method ")
            && let Some((method, answer)) = answer.split_once(" failed: ")
        {
            let code = answer.get(..3)?.parse().ok()?;
            let reason = plain(answer.get(3..).unwrap_or_default());
            return Some(Self::Status { code, said: format!("{method}: {code}{reason}") });
        }
        // rtmpproto.c: "Server error: NetStream.Publish.BadName"
        if let Some((_, said)) = line.split_once("Server error: ") {
            return Some(Self::Rtmp { said: plain(said) });
        }
        line.contains("Failed to resolve hostname").then_some(Self::NoAddress)
    }
}

/// Of what others say only what a terminal and a log can bear. An address in it may be ours, with all that
/// lets in.
fn plain(text: &str) -> String {
    let text = text.split("://").next().unwrap_or_default();
    text.trim_end().chars().filter(|c| !c.is_control()).take(REASON_MAX_CHARS).collect()
}

/// RTMP has no codes for it: servers say it in words.
fn is_about_credentials(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["auth", "password", "credential", "denied", "forbidden"].iter().any(|it| said.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(protocol: Protocol, source: Av, said: &str) -> String {
        PublishError::of("rtsp://h/x", protocol, super::super::CONNECTING, source, said).to_string()
    }

    #[test]
    fn answers_of_servers_are_told_apart() {
        let refused = Av::Other { errno: ECONNREFUSED };
        for (protocol, source, said, expected) in [
            (Protocol::Rtsp, refused, "", "connection refused"),
            (Protocol::Rtsp, Av::HttpUnauthorized, "", "user or password refused (401)"),
            (
                Protocol::Rtsp,
                Av::InvalidData,
                "[rtsp] method RECORD failed: 401 Unauthorized",
                "user or password refused (RECORD: 401 Unauthorized)",
            ),
            (
                Protocol::Rtsp,
                Av::HttpOther4xx,
                "x\nmethod ANNOUNCE failed: 415 Unsupported\ny",
                "refuses to take it (ANNOUNCE: 415 Unsupported)",
            ),
            (Protocol::Rtsp, Av::InvalidData, "", "no RTSP server"),
            (
                Protocol::Rtmp,
                Av::Unknown,
                "Server error: NetStream.Publish.BadName",
                "refuses to take it (NetStream.Publish.BadName)",
            ),
            (Protocol::Rtmp, Av::Unknown, "Server error: Authentication failed.", "user or"),
            (Protocol::Rtmp, Av::Eof, "", "closed the connection"),
            (
                Protocol::Rtmp,
                Av::Other { errno: ffmpeg_next::error::EIO },
                "[tcp] Failed to resolve hostname nowhere: Name or service not known",
                "has no address",
            ),
            (Protocol::Srt, Av::Other { errno: ffmpeg_next::error::EIO }, "", "listener refuses"),
            (Protocol::Srt, Av::ProtocolNotFound, "", "has no srt"),
        ] {
            let told = told(protocol, source, said);
            assert!(told.contains(expected), "{told}: expected {expected}");
        }
    }

    #[test]
    fn nothing_hostile_and_no_address_of_ours_is_repeated() {
        let said = format!("Server error: \u{1b}[31mno rtmp://u:hunter2@h/app {}", "x".repeat(999));
        let told = told(Protocol::Rtmp, Av::Unknown, &said);
        assert!(!told.contains('\u{1b}') && !told.contains("hunter2"), "{told}");
        assert!(told.len() < 300, "{told}");
    }
}
