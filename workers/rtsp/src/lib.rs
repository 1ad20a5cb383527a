//! An RTSP 1.0 server over packet rings (`docs/rtsp.md`). No media library is linked: access units
//! are cut into RTP packets as they are.
//!
//! ```text
//!   packet ring ── fanout ──> feed (history) ──> connection ──> client
//!   (a thread      packets     one log a camera,   one a client: session (RTSP) and
//!    a camera)     to units    shared by viewers   playback (RTP) meet the socket
//!                                     │                 │ while it keeps up
//!                                     └────> relay <────┘ one a camera, to all such viewers over TCP
//! ```
//! Pure, with time as an argument: [`rtp`], `admission`, `capture`, `envelope`, `history`, `inbox`, `outbox`, `pace`,
//! `playback`, `print`, `sdp`, `session`, `target`, `transport`, and of a tunnel its beginning and its base64. Effects:
//! [`fanout`], `certificate`, `crowd`, `lobby`, `greeting`, `socket`, `connection` with its `scene`, `datagram`,
//! `cast`, `relay`, `publishers`, [`server`], `rtsp` (the worker). Recordings:
//! [`recorded`]; for who looks for cameras: [`onvif`].
#![forbid(unsafe_code)]

pub mod admission;
pub mod capture;
pub mod cast;
pub mod chance;
pub mod clients;
pub mod connection;
pub mod datagram;
pub mod envelope;
pub mod fanout;
pub mod feed;
pub mod greeting;
pub mod history;
pub mod house;
pub mod inbox;
pub mod note;
pub mod onvif;
pub mod outbox;
pub mod pace;
pub mod playback;
pub mod print;
pub mod publishers;
pub mod recorded;
pub mod relay;
pub mod reply;
pub mod rtp;
pub mod rtsp;
pub mod scene;
pub mod sdp;
pub mod server;
pub mod session;
pub mod sessions;
pub mod socket;
pub mod target;
pub mod transport;
pub mod tunnel;
pub mod unit;
pub mod wait;
pub mod wire;

pub use ::lobby::{self, certificate, crowd};
pub use rtsp::Rtsp;
