//! Memory of a device, this process's own or another's, and pictures in and out of it.

use std::marker::PhantomData;

use crate::device::Device;
use crate::error::Error;
use crate::raw::Side;

/// `CU_IPC_HANDLE_SIZE`.
pub(crate) const HANDLE_BYTES: usize = 64;

/// Drivers cut smaller allocations out of blocks of so many bytes, and export the block with all that is in it
/// (CUDA C++ Programming Guide, Interprocess Communication).
const BLOCK: u64 = 2 << 20;

/// What another process opens memory with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub [u8; HANDLE_BYTES]);

/// Rows of one plane: where they begin, how far apart and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// From the region's start.
    pub offset: u64,
    /// From one row to the next.
    pub pitch: usize,
    pub row_bytes: usize,
    pub rows: usize,
}

impl Rows {
    /// Bytes from the first row's begin to the last one's end; `None` for rows that overlap or that no memory
    /// can hold.
    pub(crate) fn extent(&self, pitch: usize) -> Option<u64> {
        if self.rows == 0 || self.row_bytes == 0 {
            return Some(0);
        }
        let whole = pitch.checked_mul(self.rows - 1)?.checked_add(self.row_bytes)?;
        (self.rows == 1 || pitch >= self.row_bytes).then(|| u64::try_from(whole).ok())?
    }
}

/// Rows of somebody else's in the device's memory: FFmpeg's pictures.
#[derive(Clone, Copy, Debug)]
pub struct Outside<'a> {
    address: u64,
    pitch: usize,
    row_bytes: usize,
    rows: usize,
    _owner: PhantomData<&'a ()>,
}

impl Outside<'_> {
    /// # Safety
    /// At `address` in the memory of the device that it will be given to, there are `rows` rows of `row_bytes`
    /// bytes, `pitch` bytes apart, as long as `'a`.
    pub unsafe fn new(address: u64, pitch: usize, row_bytes: usize, rows: usize) -> Self {
        Self { address, pitch, row_bytes, rows, _owner: PhantomData }
    }

    fn side(&self, rows: &Rows) -> Result<Side, Error> {
        if rows.row_bytes > self.row_bytes || rows.rows > self.rows {
            return Err(Error::Outside { bytes: (self.row_bytes * self.rows) as u64 });
        }
        Ok(Side::Device { address: self.address, pitch: self.pitch })
    }
}

/// A piece of a device's memory.
#[derive(Debug)]
pub struct Region {
    device: Device,
    address: u64,
    bytes: u64,
}

impl Region {
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// In the device's own address space: nothing that the processor may follow.
    pub fn address(&self) -> u64 {
        self.address
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From the host's memory, rows `from_pitch` bytes apart.
    pub fn upload(&self, rows: &Rows, from: &[u8], from_pitch: usize) -> Result<(), Error> {
        let to = self.side(rows)?;
        check(rows.extent(from_pitch), from.len() as u64)?;
        let from = Side::Host { address: from.as_ptr().cast_mut(), pitch: from_pitch };
        self.copy(from, to, rows)
    }

    /// Into the host's memory, rows `into_pitch` bytes apart.
    pub fn download(&self, rows: &Rows, into: &mut [u8], into_pitch: usize) -> Result<(), Error> {
        let from = self.side(rows)?;
        check(rows.extent(into_pitch), into.len() as u64)?;
        self.copy(from, Side::Host { address: into.as_mut_ptr(), pitch: into_pitch }, rows)
    }

    /// From memory of this device that is somebody else's.
    pub fn copy_from(&self, rows: &Rows, from: Outside<'_>) -> Result<(), Error> {
        self.copy(from.side(rows)?, self.side(rows)?, rows)
    }

    /// Into memory of this device that is somebody else's.
    pub fn copy_to(&self, rows: &Rows, to: Outside<'_>) -> Result<(), Error> {
        self.copy(self.side(rows)?, to.side(rows)?, rows)
    }

    /// The rows, if they lie in this region.
    fn side(&self, rows: &Rows) -> Result<Side, Error> {
        let end = rows.extent(rows.pitch).and_then(|extent| rows.offset.checked_add(extent));
        check(end, self.bytes)?;
        Ok(Side::Device { address: self.address + rows.offset, pitch: rows.pitch })
    }

    fn copy(&self, from: Side, to: Side, rows: &Rows) -> Result<(), Error> {
        if rows.row_bytes == 0 || rows.rows == 0 {
            return Ok(());
        }
        let context = self.device.context();
        // SAFETY: the rows on the host lie in the caller's slice, which is borrowed until the device has
        // finished; those here lie in this region, which lives; others its maker answers for.
        unsafe { context.copy(from, to, rows.row_bytes, rows.rows) }?;
        // Neither from nor to a device does the driver promise to have finished.
        context.settle()
    }
}

fn check(end: Option<u64>, bytes: u64) -> Result<(), Error> {
    end.filter(|end| *end <= bytes).map(drop).ok_or(Error::Outside { bytes })
}

/// Memory of this process, freed with it.
#[derive(Debug)]
pub struct Allocation(Region);

impl Allocation {
    pub(crate) fn new(device: Device, bytes: u64) -> Result<Self, Error> {
        let outside = || Error::Outside { bytes };
        let whole = bytes.checked_next_multiple_of(BLOCK).ok_or_else(outside)?;
        let size = usize::try_from(whole).map_err(|_| outside())?;
        let address = device.context().allocate(size)?;
        Ok(Self(Region { device, address, bytes }))
    }

    pub fn region(&self) -> &Region {
        &self.0
    }

    /// For other processes. Whoever has it may write there as well as read.
    pub fn export(&self) -> Result<Handle, Error> {
        self.0.device.context().export(self.0.address).map(Handle)
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        let context = self.0.device.context();
        if context.is_here() {
            // What cannot be freed goes with the process.
            let _ = context.free(self.0.address);
        }
    }
}

/// Memory of another process, let go of with this value.
#[derive(Debug)]
pub struct Imported(Region);

impl Imported {
    pub(crate) fn open(device: Device, handle: &Handle, bytes: u64) -> Result<Self, Error> {
        let address = device.context().open(&handle.0)?;
        let opened = Self(Region { device, address, bytes });
        // What another process says of its memory is not believed where the driver knows.
        match opened.0.device.context().extent(address)? {
            Some(there) if there < bytes => Err(Error::Short { bytes, there }),
            Some(_) | None => Ok(opened),
        }
    }

    pub fn region(&self) -> &Region {
        &self.0
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        let context = self.0.device.context();
        if context.is_here() {
            let _ = context.close(self.0.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_reach_from_their_first_byte_to_their_last() {
        let rows = Rows { offset: 0, pitch: 64, row_bytes: 60, rows: 3 };
        assert_eq!((rows.extent(64), rows.extent(60)), (Some(188), Some(180)));
        assert_eq!(rows.extent(59), None, "rows overlap");
        assert_eq!(rows.extent(usize::MAX), None);
        assert_eq!(Rows { rows: 0, ..rows }.extent(0), Some(0));
        assert_eq!(Rows { rows: 1, ..rows }.extent(0), Some(60), "one row is behind none");
    }
}
