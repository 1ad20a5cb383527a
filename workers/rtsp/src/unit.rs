//! One access unit or audio frame, cut for sending once and shared by every client.

use protocol::time::Stamp;

use crate::rtp::Piece;

/// What the log of a camera holds.
#[derive(Debug)]
pub struct Unit {
    /// Index of its track in the ring.
    pub track: u32,
    /// Whether a viewer may begin here: a key frame of the first video track.
    pub entry: bool,
    /// Presentation time on the camera's stream clock, which never steps back (`timeline`).
    pub pts_ns: i64,
    /// When it was captured, and the stream time of that instant: `pts_ns` when the camera itself
    /// dated the picture, the decoding time when the date is that of arrival (packets arrive in
    /// decoding order).
    pub captured: Stamp,
    pub captured_at_ns: i64,
    pub pieces: Vec<Piece>,
    pub payload: Vec<u8>,
}
