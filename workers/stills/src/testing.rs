//! Made-up pictures and sources for the tests of this crate.

use protocol::stream::{Colour, FrameId, PixelFormat};
use protocol::time::{MonoNs, UtcNs};

use crate::picture::{Picture, PictureStamp, Times};

/// A diagonal gradient in luma, neutral chroma, limited range.
pub(crate) fn gradient(format: PixelFormat, width: u32, height: u32) -> Picture {
    let planes = (0..format.planes())
        .map(|plane| {
            let extent = format.plane_extent(plane, width, height);
            let (row_bytes, rows) = (extent.row_bytes, extent.rows);
            let sample = |x: u32, y: u32| match plane {
                0 => u8::try_from(16 + (x + y) * 200 / (row_bytes + rows)).unwrap_or(u8::MAX),
                _ => 128,
            };
            (0..rows).flat_map(|y| (0..row_bytes).map(move |x| sample(x, y))).collect()
        })
        .collect();
    Picture { format, width, height, colour: Colour::default(), planes, stamp: stamp(1) }
}

pub(crate) fn stamp(sequence: u64) -> PictureStamp {
    PictureStamp {
        id: FrameId { ring: "cam1.packets".parse().expect("a ring name"), epoch: 7, sequence },
        epoch: 9,
        sequence,
        capture_utc: UtcNs(1_700_000_000_000_000_000),
        arrival: MonoNs(0),
        times: Times::default(),
    }
}
