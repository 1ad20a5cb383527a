//! The worker beside a command of the user's: a ring to its stdin, its stdout to a ring.
//!
//! What belongs here: bytes in pipes, as pictures and packets. What does not: the command itself, which
//! the supervisor starts, and anything that would need a decoder.
//!
//! ```text
//! ring --> feed (this thread) --> pipe --> the command --> pipe --> take (a thread) --> ring
//! ```
#![forbid(unsafe_code)]

mod annexb;
mod end;
mod feed;
mod jpeg;
mod pace;
mod packets;
mod pictures;
mod pipe;
mod rate;
mod samples;
mod supply;
mod take;
mod units;

pub use pipe::Pipe;
