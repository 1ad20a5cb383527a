//! A camera or program that publishes to us (RFC 2326 sections 10.3 and 10.11): the other direction of the same
//! protocol, with the same packets.
//!
//! ```text
//!  a connection with its ANNOUNCE ──> newcomer ──> guest ──> intake ──> Received
//!  (handed on by an rtsp worker)         │           ├─ session: SETUP, RECORD, PAUSE, TEARDOWN; offer
//!                                        │           └─ meter: whether it keeps to the bit rate
//!                                        └─ announce: what it has, and what of it is carried
//! ```
//! Pure: all but `newcomer` and `guest`, which have the sockets.

mod announce;
mod gone;
mod guest;
mod meter;
mod newcomer;
mod offer;
mod session;

pub(crate) use gone::Gone;
pub(crate) use guest::Guest;
pub(crate) use newcomer::{Newcomer, Refused};
