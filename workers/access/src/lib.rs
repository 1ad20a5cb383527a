//! Who may do what at a server: users and their passwords, HTTP authentication (RFC 7616, RFC 7617) from the
//! server's side, rules by path and action, and what becomes of those who guess.
//!
//! ```text
//!   users: ──> Access ─────────────┐
//!   a request's Authorization ──> Gate (one a connection) ──> Verdict
//!   tokens: ──> Keys, by what a request bears ──> Holder, who may do some things
//!   wrong passwords ──> Guesses (one a server) ──> when the next may be tried, and what people are told
//!   right ones of a page ──> Proven ──> they need not wait behind the wrong ones
//! ```
//! Pure: time and random numbers are arguments, and nothing here knows RTSP or HTTP. What belongs here is the
//! same for every server; what a method means and how a refusal looks belongs to the server.
#![forbid(unsafe_code)]

pub mod digest;
pub mod gate;
pub mod guesses;
pub mod header;
pub mod keys;
pub mod mint;
pub mod proven;
pub mod users;

pub use gate::{Asked, Challenge, Gate, Verdict};
pub use guesses::{Guesses, Turn, origin};
pub use keys::{Holder, Keys};
pub use mint::Mint;
pub use proven::{Proof, Proven};
pub use users::{Access, Action, Identity};
