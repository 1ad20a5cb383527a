//! Pictures that lie on a CUDA device: fetched from there, or copied to where an encoder takes them there.

use media::{Place, SPARE_BYTES, Still};
use shmring::{Frame, OnDevice, Picture};
use shmring_cuda::{Device, DeviceId, Driver, Error, Handle, Imported, Region, Rows};

/// The allocation that the newest picture lay in.
#[derive(Debug, Default)]
pub(crate) struct There {
    open: Option<Open>,
    is_told: bool,
}

#[derive(Debug)]
struct Open {
    epoch: u64,
    handle: [u8; 64],
    memory: Imported,
}

impl There {
    /// The picture in ordinary memory, that of `samples`. Errors are for people: the next picture tries again.
    pub(crate) fn fetched(
        &mut self,
        frame: &Frame,
        picture: &Picture,
        mut samples: Vec<u8>,
    ) -> Result<Still, String> {
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(ring = %frame.ring(), "each picture is copied here from its device, to be encoded");
        }
        let planes = || (0..picture.format.planes()).map(|plane| rows(picture, plane));
        let bytes: usize = planes().map(|rows| rows.row_bytes * rows.rows).sum();
        samples.reserve((bytes + SPARE_BYTES).saturating_sub(samples.len()));
        samples.resize(bytes, 0);
        self.with(frame, |memory, on| {
            let mut rest = &mut samples[..];
            for rows in planes() {
                let (own, behind) = rest.split_at_mut(rows.row_bytes * rows.rows);
                let offset = on.offset() + rows.offset;
                memory.download(&Rows { offset, ..rows }, own, rows.row_bytes)?;
                rest = behind;
            }
            Ok(())
        })?;
        let Picture { format, width, height, colour, .. } = *picture;
        Ok(Still { format, width, height, colour, samples })
    }

    /// The picture, which is NV12, to where the encoder takes it: what is odd loses a row or a column.
    pub(crate) fn fill(
        &mut self,
        frame: &Frame,
        picture: &Picture,
        place: &Place,
    ) -> Result<(), String> {
        let even = Picture { width: picture.width & !1, height: picture.height & !1, ..*picture };
        self.with(frame, |memory, on| {
            for plane in 0..even.format.planes() {
                let rows = rows(&even, plane);
                if let Some(to) = place.plane(plane) {
                    memory.copy_to(&Rows { offset: on.offset() + rows.offset, ..rows }, to)?;
                }
            }
            Ok(())
        })
    }

    /// Whoever wrote the ring was there all the time, or it is an error.
    fn with(
        &mut self,
        frame: &Frame,
        copy: impl FnOnce(&Region, &OnDevice<'_>) -> Result<(), Error>,
    ) -> Result<(), String> {
        let Some(on) = frame.device() else { return Ok(()) };
        let copied = self.open(frame, &on).and_then(|memory| copy(memory.region(), &on));
        if on.is_lost() {
            return Err(format!(
                "picture {} of {} went with its writer and the device's memory",
                frame.sequence(),
                frame.ring()
            ));
        }
        copied.map_err(|error| format!("{}: {error}", frame.ring()))
    }

    fn open(&mut self, frame: &Frame, on: &OnDevice<'_>) -> Result<&Imported, Error> {
        let (epoch, block) = (frame.epoch(), *on.block());
        let is_it = |open: &Open| open.epoch == epoch && open.handle == block.handle;
        if self.open.as_ref().is_some_and(is_it) {
            return self.open.as_ref().map(|open| &open.memory).ok_or(Error::NoDevice);
        }
        // A device has room for one of them more easily than for two.
        self.open = None;
        let device = Device::with_id(Driver::here()?, DeviceId(block.device))?;
        let memory = device.import(&Handle(block.handle), block.bytes)?;
        let open = Open { epoch, handle: block.handle, memory };
        Ok(&self.open.insert(open).memory)
    }
}

/// A plane's rows, from the slot's start.
fn rows(picture: &Picture, plane: usize) -> Rows {
    let extent = picture.format.plane_extent(plane, picture.width, picture.height);
    let at = picture.planes[plane];
    Rows {
        offset: u64::from(at.offset),
        pitch: at.linesize as usize,
        row_bytes: extent.row_bytes as usize,
        rows: extent.rows as usize,
    }
}
