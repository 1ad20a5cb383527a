//! The motion worker: pictures of a frame ring to `motion.*` records in its event ring.
//!
//! | file | what |
//! |---|---|
//! | `motion.rs` | the worker: takes a picture, lets it go, tells what moved |
//! | `grid.rs` | a picture as block averages of its luma (pure) |
//! | `detect.rs` | what changed against the background (pure) |
//! | `parts.rs` | which blocks count, and which zones move (pure) |
//! | `area.rs` | changed blocks to boxes in pixels (pure) |
//! | `episode.rs` | begin, update, end: when to say something (pure) |
#![forbid(unsafe_code)]

pub mod area;
pub mod detect;
pub mod episode;
pub mod grid;
pub mod motion;
pub mod parts;
