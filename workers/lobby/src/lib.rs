//! What the workers that listen share at their door: how many may be inside, the certificate, and what becomes
//! of wrong passwords there. No protocol is spoken here.
//!
//! ```text
//!   an accepted connection ──> Crowd ──> Seat ──> (rustls, with the ServerConfig of certificate::load)
//!   its passwords ──> Lobby (access::Access and access::Guesses)
//! ```
#![forbid(unsafe_code)]

pub mod certificate;
pub mod crowd;
pub mod lobby;

pub use crowd::{Crowd, Seat, Welcome};
pub use lobby::Lobby;
