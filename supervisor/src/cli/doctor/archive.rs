//! A `.tar.gz` of a few texts (POSIX ustar).

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

const BLOCK_BYTES: usize = 512;

/// Ends with [`Archive::finish`].
#[derive(Debug)]
pub(super) struct Archive<W: Write> {
    out: GzEncoder<W>,
    /// Seconds since 1970, the time of each file.
    time_s: u64,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W, time_s: u64) -> Self {
        Self { out: GzEncoder::new(out, Compression::default()), time_s }
    }

    /// `name` has at most 100 bytes, which the caller's own names keep to.
    pub(super) fn add(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.out.write_all(&header(name, text.len(), self.time_s)?)?;
        self.out.write_all(text.as_bytes())?;
        let over = text.len() % BLOCK_BYTES;
        self.out.write_all(&[0; BLOCK_BYTES][..(BLOCK_BYTES - over) % BLOCK_BYTES])
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK_BYTES])?;
        self.out.finish()?.flush()
    }
}

fn header(name: &str, bytes: usize, time_s: u64) -> io::Result<[u8; BLOCK_BYTES]> {
    let mut block = [0; BLOCK_BYTES];
    let mut put = |at: usize, size: usize, text: &str| {
        let field = block.get_mut(at..at + size).and_then(|field| field.get_mut(..text.len()));
        let too_long = || io::Error::other(format!("{name}: too long for an archive"));
        field.ok_or_else(too_long).map(|field| field.copy_from_slice(text.as_bytes()))
    };
    put(0, 100, name)?;
    put(100, 8, "0000600\0")?;
    put(108, 8, "0000000\0")?;
    put(116, 8, "0000000\0")?;
    put(124, 12, &format!("{bytes:011o}\0"))?;
    put(136, 12, &format!("{time_s:011o}\0"))?;
    // The sum is made as if its own field were blank.
    put(148, 8, "        ")?;
    put(156, 1, "0")?;
    put(257, 8, "ustar\x0000")?;
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}
