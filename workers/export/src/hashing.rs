//! A writer that knows how much went through it, and its SHA-256.

use std::fmt::Write as _;
use std::io::{self, Write};

use ring::digest::{Context, SHA256};

pub(crate) struct Hashing<W> {
    to: W,
    hash: Context,
    bytes: u64,
}

/// What went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    /// 64 hexadecimal digits.
    pub(crate) sha256: String,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, hash: Context::new(&SHA256), bytes: 0 }
    }

    pub(crate) fn finish(self) -> Sum {
        let mut sha256 = String::new();
        for byte in self.hash.finish().as_ref() {
            let _ = write!(sha256, "{byte:02x}");
        }
        Sum { bytes: self.bytes, sha256 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_standards_example() {
        let mut hashing = Hashing::new(Vec::new());
        hashing.write_all(b"abc").unwrap();
        let sum = hashing.finish();
        assert_eq!(sum.bytes, 3);
        // FIPS 180-4, appendix of examples.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum.sha256, expected);
    }
}
