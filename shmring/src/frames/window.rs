//! A slot on loan, mapped once more: for languages whose pointers cannot be taken back.

use std::os::fd::AsFd;
use std::path::Path;

use nix::unistd::{SysconfVar, sysconf};

use crate::error::Error;
use crate::layout::PAGE;
use crate::segment::Mapping;

/// A slot's bytes under an address of their own. [`Self::close`] cuts the address off from the slot:
/// who still has it reads zeros there, and what is written there reaches nobody.
#[derive(Debug)]
pub struct Window {
    map: Mapping,
    /// Where the slot begins in `map`: not at 0 where the machine's pages are larger than the layout's.
    start: usize,
    bytes: usize,
}

impl Window {
    pub(super) fn open(
        path: &Path,
        file: impl AsFd,
        map: &Mapping,
        offset: usize,
        bytes: usize,
    ) -> Result<Self, Error> {
        let start = offset % page_bytes();
        let (from, length) = (offset - start, start + bytes);
        let map = match Mapping::open_part(path, file, from, length) {
            // Sealed memory cannot be mapped for writing any more, but a mapping of it can be doubled.
            Err(Error::Denied { .. }) => map.again(path, from, length)?,
            opened => opened?,
        };
        Ok(Self { map, start, bytes })
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first of [`Self::bytes`] bytes that may be read and written for as long as this lives.
    pub fn as_ptr(&self) -> *mut u8 {
        self.map.range(self.start, self.bytes).as_ptr()
    }

    /// Cuts the address off from the slot; to be done before the slot is published.
    pub fn close(&self) -> Result<(), Error> {
        self.map.become_zeros()
    }
}

fn page_bytes() -> usize {
    let said = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    said.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(PAGE)
}
