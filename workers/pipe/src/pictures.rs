//! Raw pictures into a ring of frames, read straight into its slots.

use protocol::config::Raw;
use protocol::control::RingContract;
use protocol::name::ProjectName;
use protocol::time::{ClockSource, Stamp};
use protocol::units::Size;
use shmring::{Error, FrameMeta, FrameWriter, Picture, PlaneLayout, clock};
use worker::Fault;

use crate::pace::times;

#[derive(Debug)]
pub(crate) struct Pictures {
    pub(crate) ring: FrameWriter,
    pub(crate) picture: Picture,
    /// Of one picture as it is printed.
    pub(crate) bytes: usize,
    fps: u32,
    count: u64,
}

/// Where a picture is read into.
pub(crate) enum Slot {
    Loan(shmring::Loan),
    /// All slots are taken: it is read, because the command prints on, and lost.
    Lost(Vec<u8>),
}

impl Slot {
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::Loan(loan) => loan.bytes_mut(),
            Self::Lost(bytes) => bytes,
        }
    }
}

impl Pictures {
    pub(crate) fn open(
        project: &ProjectName,
        raw: Raw,
        contract: &RingContract,
    ) -> Result<Self, Fault> {
        let picture = layout(raw).ok_or_else(|| Fault::contract("a picture of no such size"))?;
        let ring = FrameWriter::create(project, contract, None)?;
        Ok(Self { ring, picture, bytes: picture.slot_bytes(), fps: raw.fps, count: 0 })
    }

    pub(crate) fn slot(&self) -> Result<Slot, Fault> {
        match self.ring.loan(self.bytes, 1) {
            Ok(loan) => Ok(Slot::Loan(loan)),
            Err(Error::NoFreeSlot { .. }) => Ok(Slot::Lost(vec![0; self.bytes])),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn publish(&mut self, slot: Slot, capture: Stamp) -> Result<Option<u64>, Fault> {
        let at = self.count;
        self.count += 1;
        let Slot::Loan(loan) = slot else {
            self.ring.count_dropped();
            return Ok(None);
        };
        let (pts_ns, duration_ns) = times(at, self.fps);
        let meta = FrameMeta {
            pts_ns,
            duration_ns,
            capture,
            clock: ClockSource::Arrival,
            ingest: clock::mono(),
            decoded: clock::mono(),
            key: true,
            discontinuity: at == 0,
            ..FrameMeta::of(self.picture)
        };
        Ok(Some(self.ring.publish(loan.slot(), &meta)?))
    }
}

/// Where the command puts a picture's rows. `None` for a size or stride that no picture has.
fn layout(raw: Raw) -> Option<Picture> {
    let Size { width, height } = raw.size;
    let mut picture = Picture::packed(width, height, raw.format, 1)?;
    let mut offset = 0u32;
    for plane in 0..raw.format.planes() {
        let linesize = raw.linesize(plane)?;
        picture.planes[plane] = PlaneLayout { offset, linesize };
        let rows = raw.format.plane_extent(plane, width, height).rows;
        offset = offset.checked_add(linesize.checked_mul(rows)?)?;
    }
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::stream::PixelFormat;

    #[test]
    fn a_slot_holds_a_picture_as_it_is_printed() {
        let size = Size { width: 6, height: 4 };
        for (format, stride) in [(PixelFormat::Yuv420p, 0), (PixelFormat::Nv12, 16)] {
            let raw = Raw { format, size, stride, fps: 25, pace: None };
            let bytes = u64::try_from(layout(raw).unwrap().slot_bytes()).unwrap();
            assert_eq!(Some(bytes), raw.picture_bytes(), "{format:?}, {stride}");
        }
        let narrow = Raw { format: PixelFormat::Rgb24, size, stride: 17, fps: 25, pace: None };
        assert_eq!(layout(narrow), None);
    }
}
