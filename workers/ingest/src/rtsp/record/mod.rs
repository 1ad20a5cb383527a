//! A camera or program that publishes to us (RFC 2326 sections 10.3 and 10.11): the other direction of the same
//! protocol, with the same packets.
//!
//! ```text
//!  a connection with its ANNOUNCE ──> guest ──> intake ──> Received
//!  (handed on by an rtsp worker)        ├─ announce: what it has, and what of it is carried
//!                                       ├─ session: SETUP, RECORD, PAUSE, TEARDOWN;  offer: its transports
//!                                       └─ meter: whether it keeps to the bit rate
//! ```
//! Pure: all but `guest`, which has the sockets.

mod announce;
mod guest;
mod meter;
mod offer;
mod session;

pub(crate) use guest::{Gone, Guest, Newcomer, Refused};
