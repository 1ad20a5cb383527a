//! Pictures into a ring on a device: copied there from where they were made, which may be that device.

use media::{Picture, PlaneAt, Resized};
use protocol::stream::PixelFormat;
use shmring::{FrameWriter, Loan};
use shmring_cuda::{Device, Driver, Rows, Slots};

use crate::outputs::{Makes, Trouble, as_it_is};

/// Rows begin where textures may (of all devices so far 32 to 512 bytes).
const ROW_ALIGN: u32 = 512;
/// The decoder holds none of the ring's slots for a picture that it does not draw there.
const IN_HAND: u32 = 1;

/// Memory of the device that FFmpeg decodes on, too.
pub(crate) fn slots() -> Result<Slots, shmring_cuda::Error> {
    Driver::here().and_then(Device::first).map(Slots::new)
}

/// A ring's slots on a device, and what it takes to fill them.
#[derive(Debug)]
pub(crate) struct There {
    slots: Slots,
    /// Where pictures are made whose form is another one.
    staging: Vec<u8>,
    told: Option<Way>,
}

/// How pictures come there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// On the device all the time.
    Stayed,
    /// From ordinary memory.
    Uploaded,
}

impl There {
    pub(crate) fn new(slots: Slots) -> Self {
        Self { slots, staging: Vec::new(), told: None }
    }

    /// A slot with the picture in it, what it looks like there, and whether it was copied through ordinary
    /// memory.
    pub(crate) fn fill(
        &mut self,
        ring: &FrameWriter,
        makes: &mut Makes,
        picture: &Picture,
    ) -> Result<(Loan, Resized, bool), Trouble> {
        if makes.keeps_form() && picture.on_device(0).is_some() {
            let filled = self.stay(ring, picture)?;
            self.tell(ring, Way::Stayed);
            return Ok((filled.0, filled.1, false));
        }
        let filled = match makes {
            Makes::Resized(resizer) if !resizer.keeps(picture.format) => {
                self.staging.resize(resizer.bytes_for(picture), 0);
                let made = resizer.scale(picture, &mut self.staging)?;
                let staging = &self.staging;
                self.upload(ring, &made, |plane| {
                    let PlaneAt { offset_bytes, linesize_bytes } = made.planes[plane];
                    Some((staging.get(offset_bytes..)?, linesize_bytes))
                })?
            }
            _ => self.upload(ring, &as_it_is(picture, [PlaneAt::default(); 4]), |plane| {
                picture.plane(plane)
            })?,
        };
        self.tell(ring, Way::Uploaded);
        Ok((filled.0, filled.1, true))
    }

    fn stay(&self, ring: &FrameWriter, picture: &Picture) -> Result<(Loan, Resized), Trouble> {
        let (loan, shown) = self.lend(ring, &as_it_is(picture, [PlaneAt::default(); 4]))?;
        let spot = loan.spot().ok_or(Trouble::Elsewhere)?;
        for plane in 0..shown.format.planes() {
            let from = picture.on_device(plane).ok_or(Trouble::Elsewhere)?;
            self.slots.copy_from(&spot, &rows(&shown, plane), from)?;
        }
        Ok((loan, shown))
    }

    fn upload<'a>(
        &self,
        ring: &FrameWriter,
        made: &Resized,
        plane_of: impl Fn(usize) -> Option<(&'a [u8], usize)>,
    ) -> Result<(Loan, Resized), Trouble> {
        let (loan, shown) = self.lend(ring, made)?;
        let spot = loan.spot().ok_or(Trouble::Elsewhere)?;
        for plane in 0..shown.format.planes() {
            let (from, pitch) = plane_of(plane).ok_or(Trouble::Elsewhere)?;
            self.slots.upload(&spot, &rows(&shown, plane), from, pitch)?;
        }
        Ok((loan, shown))
    }

    /// A slot for such a picture, laid out as it will lie there.
    fn lend(&self, ring: &FrameWriter, made: &Resized) -> Result<(Loan, Resized), Trouble> {
        let Resized { format, width, height, .. } = *made;
        let planes = laid_out(format, width, height);
        let end = planes.iter().map(|(at, bytes)| at.offset_bytes + bytes).max().unwrap_or(0);
        let shown = Resized { planes: planes.map(|(at, _)| at), ..*made };
        Ok((ring.loan(end, IN_HAND)?, shown))
    }

    /// Once, and again when it changes: nobody sees from outside what a picture's way costs.
    fn tell(&mut self, ring: &FrameWriter, way: Way) {
        if self.told.replace(way) == Some(way) {
            return;
        }
        let (epoch, device) = (ring.epoch(), self.slots.device().id());
        match way {
            Way::Stayed => tracing::info!(epoch, "pictures stay on {device}: none is copied here"),
            Way::Uploaded => {
                tracing::info!(
                    epoch,
                    "each picture is copied to {device} once, from this machine's memory"
                );
            }
        }
    }
}

/// Each plane, and its bytes.
fn laid_out(format: PixelFormat, width: u32, height: u32) -> [(PlaneAt, usize); 4] {
    let mut next = 0;
    std::array::from_fn(|plane| {
        if plane >= format.planes() {
            return (PlaneAt::default(), 0);
        }
        let extent = format.plane_extent(plane, width, height);
        let linesize_bytes = extent.row_bytes.next_multiple_of(ROW_ALIGN) as usize;
        let (offset_bytes, bytes) = (next, linesize_bytes * extent.rows as usize);
        next += bytes;
        (PlaneAt { offset_bytes, linesize_bytes }, bytes)
    })
}

fn rows(shown: &Resized, plane: usize) -> Rows {
    let extent = shown.format.plane_extent(plane, shown.width, shown.height);
    let PlaneAt { offset_bytes, linesize_bytes } = shown.planes[plane];
    Rows {
        offset: offset_bytes as u64,
        pitch: linesize_bytes,
        row_bytes: extent.row_bytes as usize,
        rows: extent.rows as usize,
    }
}
