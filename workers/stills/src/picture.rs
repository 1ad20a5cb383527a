//! A picture copied out of a frame ring: its planes without padding, its identity, its times.

use protocol::stream::{Colour, FrameId, PixelFormat};
use protocol::time::{MonoNs, UtcNs};
use shmring::Frame;

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
    pub times: Times,
}

/// When it was where on its way here, on the monotonic clock. Zero is "not said".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub capture: MonoNs,
    pub ingest: MonoNs,
    pub decoded: MonoNs,
    /// In the frame ring that it was read from.
    pub published: MonoNs,
}

impl Picture {
    /// Copies what is visible; the lease ends with the caller's frame. `None` of what is no picture.
    pub fn copied(frame: &Frame) -> Option<Self> {
        let meta = frame.meta();
        let picture = meta.picture()?;
        let planes = (0..picture.format.planes())
            .filter_map(|number| frame.plane(number))
            .map(|plane| {
                let mut samples = Vec::new();
                plane.copy_to(&mut samples);
                samples
            })
            .collect();
        let arrival = if meta.ingest == MonoNs(0) { frame.published() } else { meta.ingest };
        Some(Self {
            format: picture.format,
            width: picture.width,
            height: picture.height,
            colour: picture.colour,
            planes,
            stamp: PictureStamp {
                id: frame.frame_id(),
                epoch: frame.epoch(),
                sequence: frame.sequence(),
                capture_utc: meta.capture.utc,
                arrival,
                times: Times {
                    capture: meta.capture.mono,
                    ingest: meta.ingest,
                    decoded: meta.decoded,
                    published: frame.published(),
                },
            },
        })
    }

    /// The samples of row `y` of `plane`.
    pub fn row(&self, plane: usize, y: usize) -> &[u8] {
        let extent = self.format.plane_extent(plane, self.width, self.height);
        let bytes = extent.row_bytes as usize;
        &self.planes[plane][y * bytes..(y + 1) * bytes]
    }
}
