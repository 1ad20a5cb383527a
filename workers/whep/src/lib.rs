//! Packet rings to browsers by WebRTC: the server side of WHEP (draft-ietf-wish-whep), without its HTTP,
//! which is the web worker's. A crate of its own for what it links: a WebRTC stack and its cryptography.
//!
//! ```text
//!  HTTP ─ Door ─ offer, leave ─> Hub ── one UDP socket ──> viewers
//!                                 ^ units
//!  ring ─ Tap (a thread, while somebody watches) ─ Intake ─ Feed
//! ```
//!
//! | file | what |
//! |---|---|
//! | `door.rs` | what the web worker sees: offers in, answers and figures out, the thread's life |
//! | `hub.rs` | the one owner of all viewers: its socket, its commands, its clock |
//! | `command.rs`, `wire.rs`, `chance.rs` | what is asked of it; the UDP socket; random numbers |
//! | `viewer.rs` | one viewer without any input or output: datagrams and time in, datagrams out |
//! | `answer.rs` | an offer into a viewer |
//! | `offer.rs` | which offers are looked at at all, and what of them (pure) |
//! | `formats.rs` | which tracks of a ring WebRTC can carry, and as what (pure) |
//! | `ticks.rs` | stream times to RTP times, squeezed while a viewer catches up (pure) |
//! | `pace.rs` | datagrams that wait for their turn (pure) |
//! | `recent.rs` | the newest units of a camera, and a viewer's place among them (pure) |
//! | `feed.rs`, `intake.rs`, `tap.rs` | a camera for its viewers; packets into units; the thread that reads |
//! | `annexb.rs` | NAL units, and key frames with several parameter sets (pure) |
//! | `moment.rs` | the one place that reads the clocks |
#![forbid(unsafe_code)]

mod annexb;
mod answer;
mod chance;
mod command;
mod door;
mod feed;
mod figures;
mod formats;
mod hub;
mod intake;
mod moment;
mod offer;
mod pace;
mod recent;
mod refusal;
mod tap;
mod ticks;
mod unit;
mod viewer;
mod wire;

pub use door::{Answered, Caller, Door, Service};
pub use figures::{CameraFigures, Figures, ViewerFigures};
pub use offer::OFFER_MAX_BYTES;
pub use refusal::Refusal;
