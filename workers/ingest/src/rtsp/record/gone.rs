//! Why a publisher is gone, in words. None of these texts has anything in it that the publisher sent.

use std::net::SocketAddr;

use super::meter::Excess;
use super::session::TIMEOUT_S;
use crate::rtsp::PATIENCE_S;

/// Why a publisher is gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Gone {
    #[error("publisher {0} closed the connection; expected it to go on: see its own log")]
    Closed(SocketAddr),
    #[error("publisher {0} ended its stream")]
    Ended(SocketAddr),
    #[error("publisher {0} gave way to {1}")]
    Replaced(SocketAddr, SocketAddr),
    #[error("publisher {0} sends what is no RTSP; expected requests and packets")]
    NotRtsp(SocketAddr),
    #[error(
        "publisher {0}: nothing came for {1} s; expected a live stream: is its network path up?"
    )]
    Stalled(SocketAddr, u64),
    #[error(
        "publisher {peer}: no picture for {seconds} s, though {bytes} bytes came; expected a live stream: is its encoder on?"
    )]
    NoPicture { peer: SocketAddr, seconds: u64, bytes: u64 },
    #[error(
        "publisher {peer}: no picture for {seconds} s, though {packets} packets of sound came; expected a live stream: is its encoder on?"
    )]
    OnlySound { peer: SocketAddr, seconds: u64, packets: u64 },
    #[error(
        "publisher {0} announced a stream and did not begin it within {PATIENCE_S} s; expected SETUP and RECORD"
    )]
    Dawdled(SocketAddr),
    #[error("publisher {0} paused for {TIMEOUT_S} s; expected RECORD or a sign of life")]
    Paused(SocketAddr),
    #[error(
        "publisher {peer} sent {} bytes within {:.1} s; expected at most twice max_bitrate ({}) over 10 s: lower its rate, or raise max_bitrate",
        .excess.bytes, .excess.within.as_secs_f64(), .excess.most
    )]
    TooFast { peer: SocketAddr, excess: Excess },
    #[error("publisher {peer}: {doing} failed: {source}")]
    Io {
        peer: SocketAddr,
        doing: &'static str,
        #[source]
        source: std::io::Error,
    },
}
