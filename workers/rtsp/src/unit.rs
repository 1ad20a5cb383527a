//! One access unit or audio frame, cut for sending once and shared by every client.

use protocol::time::UtcNs;

use crate::rtp::Piece;

/// What the log of a camera holds.
#[derive(Debug)]
pub struct Unit {
    /// Index of its track in the ring.
    pub track: u32,
    /// Whether a viewer may begin here: a key frame of the first video track.
    pub entry: bool,
    /// Presentation time on the camera's stream clock, which never steps back (`worker::timeline`).
    pub pts_ns: i64,
    /// When it was captured (`capture`).
    pub captured: UtcNs,
    pub pieces: Vec<Piece>,
    pub payload: Vec<u8>,
}
