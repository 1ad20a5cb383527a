//! `framevisor-compositor`: pictures of several rings in one, at a steady rate.
//!
//! ```text
//! frame rings ──> Input (media::Scaler) ──> Queue ─┐ each tick
//! record rings ─> Marks (boxes) ───────────────────┴─> Scene ──> Canvas, a slot of the frame ring
//! ```
//!
//! | file | what |
//! |---|---|
//! | `compositor.rs` | the worker: when what is done |
//! | `input.rs`, `records.rs` | rings that are read |
//! | `scene.rs` | what is drawn where, in which order |
//! | `ticks.rs` | when the next picture is due (pure) |
//! | `queue.rs` | which picture of an input belongs to a tick (pure) |
//! | `presence.rs` | picture, last picture, slate or nothing (pure) |
//! | `marks.rs` | which boxes hold at a tick (pure) |
//! | `made_of.rs` | which pictures it was made of (pure) |
//! | `view.rs`, `key.rs` | an input's picture as a part of the whole one |
//! | `canvas.rs`, `colour.rs`, `font.rs`, `lettering.rs`, `wording.rs` | samples, letters, times (pure) |
#![forbid(unsafe_code)]

mod canvas;
mod colour;
mod compositor;
mod font;
mod input;
mod key;
mod lettering;
mod made_of;
mod marks;
mod presence;
mod queue;
mod records;
mod scene;
mod ticks;
mod view;
mod wording;

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run::<compositor::Compositor>()
}
