//! What is counted, for metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// All of it, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// By the camera's name; cameras that somebody has watched.
    pub cameras: BTreeMap<String, CameraFigures>,
    /// The most viewers at once.
    pub viewers_max: usize,
    /// Offers that were not answered with a viewer.
    pub refused: u64,
}

/// Of one camera; all but `viewers` since the worker's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraFigures {
    /// Viewers now.
    pub viewers: usize,
    pub sessions: u64,
    /// Pictures and pieces of sound that were sent.
    pub units: u64,
    /// Those that were left out because a viewer was late.
    pub skipped: u64,
    /// Of datagrams.
    pub bytes: u64,
    /// How often viewers asked for a key frame.
    pub key_requests: u64,
}

/// One viewer, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewerFigures {
    pub camera: String,
    /// Where its last word came from.
    pub peer: Option<SocketAddr>,
    /// Since its offer was answered.
    pub lasts: Duration,
    pub pictures: u64,
    /// Of datagrams.
    pub bytes: u64,
    /// Pictures and pieces of sound that were left out because it was late.
    pub skipped: u64,
    /// Something was, lately.
    pub slow: bool,
}

impl CameraFigures {
    /// Adds what was counted since; not who is there.
    pub(crate) fn add(&mut self, tally: &Self) {
        self.sessions += tally.sessions;
        self.units += tally.units;
        self.skipped += tally.skipped;
        self.bytes += tally.bytes;
        self.key_requests += tally.key_requests;
    }
}

impl Figures {
    pub fn viewers(&self) -> usize {
        self.cameras.values().map(|camera| camera.viewers).sum()
    }
}
