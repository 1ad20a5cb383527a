//! Every word two framevisor processes exchange: names, times, streams, configuration, messages.
//!
//! What belongs here: types, their parsing and their wire form. What does not: input or output,
//! clocks, decisions. Everybody imports this crate; it imports nobody of ours.
#![forbid(unsafe_code)]

pub mod admin;
pub mod adoption;
pub mod codec;
pub mod config;
pub mod control;
pub mod exit;
pub mod health;
pub mod name;
pub mod pattern;
pub mod record;
pub mod recorder;
pub mod secret;
pub mod shapes;
pub mod stream;
pub mod time;
pub mod units;
pub mod verb;
pub mod witness;
