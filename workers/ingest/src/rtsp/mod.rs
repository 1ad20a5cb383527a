//! An RTSP client: what a camera sends, as access units with the times of its own clock.
//!
//! ```text
//!  connection ──> message ──> lane: order ──> nal, audio ──> decode_times, camera clock ──> Received
//!  (sockets)      (bytes)     (a track's packets in order, into units, with their times)
//!       └──────── client: DESCRIBE, SETUP, PLAY (sdp, url, transport, auth), reports, patience
//! ```
//! The other direction, cameras that publish by themselves, is [`record`].
//! Pure: all but `connection`, `resolve`, `ports`, `intake` and `client`, which have the sockets.
//!
//! FFmpeg's own client is left for codecs that are not taken out of their packets here (`format`): it
//! says neither which pictures miss packets nor what time its reports tell of which picture
//! (docs/decisions.md 32).

mod audio;
mod auth;
mod client;
mod connection;
mod decode_times;
mod error;
mod format;
mod intake;
mod lane;
pub(crate) mod message;
mod nal;
mod order;
mod ports;
pub(crate) mod record;
mod resolve;
mod rtcp;
mod sdp;
mod streams;
mod transport;
mod url;

use std::time::Duration;

pub(crate) use client::{Client, Wanted};
pub(crate) use error::{Cause, RtspError};
pub(crate) use lane::Received;
pub(crate) use streams::Happening;

/// Longest silence of a camera, and longest set-up of a connection: it is told before 10 s are over.
pub(crate) const PATIENCE: Duration = Duration::from_secs(PATIENCE_S);
const PATIENCE_S: u64 = 9;
/// A packet that is missing over UDP may come within this.
const REORDER: Duration = Duration::from_millis(120);
/// How often a wait looks whether the worker is to stop.
const STOP_POLL: Duration = Duration::from_millis(50);
