//! An RTSP 1.0 server over packet rings (`docs/rtsp.md`). No media library is linked: access units
//! are cut into RTP packets as they are.
//!
//! ```text
//!   packet ring ── fanout ──> feed (history) ──> connection ──> client
//!   (a thread      packets     one log a camera,   one a client: session (RTSP) and
//!    a camera)     to units    shared by viewers   playback (RTP) meet the socket
//! ```
//! Pure, with time as an argument: [`rtp`], `capture`, `history`, `inbox`, `outbox`, `playback`, `sdp`,
//! `session`, `target`, `transport`. Effects: [`fanout`], `connection`, [`server`],
//! `rtsp` (the worker). What was recorded is played by [`recorded`].
#![forbid(unsafe_code)]

pub mod capture;
pub mod chance;
pub mod connection;
pub mod fanout;
pub mod feed;
pub mod history;
pub mod inbox;
pub mod outbox;
pub mod playback;
pub mod recorded;
pub mod reply;
pub mod rtp;
pub mod rtsp;
pub mod sdp;
pub mod server;
pub mod session;
pub mod target;
pub mod transport;
pub mod unit;

pub use rtsp::Rtsp;
