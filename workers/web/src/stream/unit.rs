//! A fragment, and the stretch of a stream that it belongs to.

use std::sync::Arc;

use axum::body::Bytes;
use protocol::time::{MonoNs, UtcNs};

/// Decode times of a stretch count from here: a stream begins at zero or above, and B-pictures decode a little
/// before that.
pub const ZERO_NS: i64 = -10_000_000_000;

/// A stretch of a stream in which nothing changes that a player must be told: one epoch, the same tracks, times
/// that only rise. Compared by place (`Arc::ptr_eq`): two stretches may begin with the same bytes.
#[derive(Debug)]
pub struct Run {
    /// Rises by one from run to run (`numbers`).
    pub number: u64,
    pub epoch: u64,
    pub init: Init,
    /// Stream time that is zero in the fragments.
    pub zero_ns: i64,
}

/// What stands before the fragments.
#[derive(Debug)]
pub struct Init {
    /// The same for the same bytes.
    pub name: String,
    /// Both as players ask: `avc1.64001e,mp4a.40.2`, and the same in `video/mp4; codecs="..."`.
    pub codecs: String,
    pub mime: String,
    pub width: u32,
    pub height: u32,
    /// Pictures and seconds, 0/1 when unknown.
    pub frame_rate: (u32, u32),
    /// Index of the picture's track in the ring; `None` for sound alone.
    pub video: Option<u32>,
    /// Which tracks are not in it, and why.
    pub left_out: Vec<String>,
    pub bytes: Bytes,
}

/// One fragment, `uuid moof mdat`: a picture and the sounds since the one before it, or sounds alone.
#[derive(Debug)]
pub struct Unit {
    pub run: Arc<Run>,
    /// Playing can begin here.
    pub entry: bool,
    pub has_picture: bool,
    /// `gop_index` of the ring.
    pub group: u64,
    /// Of the picture, else of the first sound, on the stream's clock.
    pub pts_ns: i64,
    pub dts_ns: i64,
    /// Of the picture; what it is expected to last, since the next one is not there yet.
    pub lasts_ns: i64,
    pub sequence: u64,
    pub captured: UtcNs,
    /// When this host had all of it.
    pub arrived: MonoNs,
    pub bytes: Bytes,
}

impl Unit {
    pub fn end_ns(&self) -> i64 {
        self.dts_ns.saturating_add(self.lasts_ns)
    }

    /// Where it is shown on the clock of the fragments, in s.
    pub fn shown_s(&self) -> f64 {
        seconds(self.pts_ns.saturating_sub(self.run.zero_ns))
    }
}

/// ns to s; exact to a ns for a hundred days.
#[expect(clippy::cast_precision_loss, reason = "some days of ns")]
pub fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}
