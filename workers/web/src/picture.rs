//! A picture copied out of a frame ring: its planes without padding, its identity, its times.

use protocol::stream::{Colour, FrameId, PixelFormat};
use protocol::time::{MonoNs, UtcNs};

/// One copied picture. `planes[i].len() == row_bytes * rows` of `format.plane_extent(i, ..)`.
#[derive(Clone, Debug)]
pub struct Picture {
    pub format: PixelFormat,
    pub width: u32,
    pub height: u32,
    pub colour: Colour,
    pub planes: Vec<Vec<u8>>,
    pub stamp: PictureStamp,
}

/// Which picture it is and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureStamp {
    /// Where it entered the system.
    pub id: FrameId,
    /// Epoch and sequence in the frame ring it was read from.
    pub epoch: u64,
    pub sequence: u64,
    pub capture_utc: UtcNs,
    /// When this host got it; staleness is counted from here, because a camera's own clock may be wrong.
    pub arrival: MonoNs,
}

impl Picture {
    /// The samples of row `y` of `plane`.
    pub fn row(&self, plane: usize, y: usize) -> &[u8] {
        let extent = self.format.plane_extent(plane, self.width, self.height);
        let bytes = extent.row_bytes as usize;
        &self.planes[plane][y * bytes..(y + 1) * bytes]
    }
}
