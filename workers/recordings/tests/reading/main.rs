//! What is recorded is found again: every packet once, in order, on one clock, with every hole told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod camera;
mod gaps;
mod index;
mod reel;
mod samples;
