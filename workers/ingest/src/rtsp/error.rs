//! Why there are no pictures, told apart as far as the user's cure differs. None of these texts has
//! credentials in it.

use std::io::ErrorKind;

/// `name` is the camera's URL without its credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RtspError {
    #[error(
        "{name}: the camera closed the connection while {doing}; expected a running stream: see the camera's own log"
    )]
    Closed { name: String, doing: &'static str },
    #[error(
        "{name}: only {bytes} bytes of an answer within {seconds} s while {doing}; expected all of it: is the network path overloaded?"
    )]
    Drip { name: String, doing: &'static str, bytes: u64, seconds: u64 },
    #[error("{name}: the stream has a codec that is read another way")]
    ForFfmpeg { name: String },
    #[error(
        "{name}: what answers is no RTSP server; expected one there: is the port right? Most cameras have 554"
    )]
    NotRtsp { name: String },
    #[error(
        "{name}: no such stream (404); expected one of this path: see the camera's manual for its paths"
    )]
    NotFound { name: String },
    #[error(
        "{name}: nothing to carry in it, saw {seen}; expected H.264, H.265, AV1, MJPEG, VP8, VP9 or MPEG-4 video, or AAC, Opus, G.711 or L16 audio"
    )]
    NoTracks { name: String, seen: String },
    #[error(
        "{name}: no picture for {seconds} s, though {packets} packets of sound came; expected both: is the camera's encoder on?"
    )]
    OnlySound { name: String, seconds: u64, packets: u64 },
    #[error(
        "{name}: no picture for {seconds} s, though {bytes} bytes came; expected a live stream: is the camera's encoder on?"
    )]
    NoPicture { name: String, seconds: u64, bytes: u64 },
    #[error(
        "{name}: redirected more than {most} times, last to {last}; expected a stream: is the camera's redirect right?"
    )]
    Redirects { name: String, most: u32, last: String },
    #[error(
        "{name}: connection refused; expected an RTSP server there: is the camera on, and is the port right?"
    )]
    Refused { name: String },
    #[error(
        "{name}: answered {method} with {status} {reason}; expected 200: see the camera's own log"
    )]
    Rejected { name: String, method: &'static str, status: u16, reason: String },
    #[error(
        "{name}: its host has no address ({source}); expected one: check the name, and the DNS"
    )]
    Resolve { name: String, source: std::io::Error },
    #[error(
        "{name}: no answer within {seconds} s while {doing}; expected one: is the network path up?"
    )]
    Silent { name: String, doing: &'static str, seconds: u64 },
    #[error(
        "{name}: nothing came for {seconds} s; expected a live stream: is the camera still on, and the network path up?"
    )]
    Stalled { name: String, seconds: u64 },
    #[error("the worker is stopping")]
    Stopping,
    #[error(
        "{name}: the camera does not send by {transport} ({status} {reason}); expected it to: try another `transport`"
    )]
    Transport { name: String, transport: &'static str, status: u16, reason: String },
    #[error(
        "{name}: user or password refused (401); expected rtsp://USER:PASSWORD@HOST/: check the credentials"
    )]
    Unauthorized { name: String },
    #[error(
        "{name}: host or network unreachable; expected a route to the camera: check address and cabling"
    )]
    Unreachable { name: String },
    #[error("{name}: {doing} failed: {source}; expected a connection: is the network path up?")]
    Io {
        name: String,
        doing: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// How soon to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody is there, or it went away: it may be back at any time, and asking costs it nothing.
    Absent,
    /// It is there and says no.
    Refusing,
    /// A wrong password: many cameras lock the account after a handful of tries.
    Password,
}

impl RtspError {
    pub(crate) fn io(name: &str, doing: &'static str, source: std::io::Error) -> Self {
        let name = name.to_owned();
        match source.kind() {
            ErrorKind::ConnectionRefused => Self::Refused { name },
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                Self::Unreachable { name }
            }
            ErrorKind::TimedOut => Self::Silent { name, doing, seconds: super::PATIENCE_S },
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
                Self::Closed { name, doing }
            }
            _ => Self::Io { name, doing, source },
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Unauthorized { .. } => Cause::Password,
            Self::ForFfmpeg { .. }
            | Self::NotRtsp { .. }
            | Self::NotFound { .. }
            | Self::NoTracks { .. }
            | Self::Redirects { .. }
            | Self::Rejected { .. }
            | Self::Transport { .. } => Cause::Refusing,
            _ => Cause::Absent,
        }
    }
}
