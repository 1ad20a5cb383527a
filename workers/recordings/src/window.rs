//! Headers of a large file, read with few calls: a fragment's boxes stand close together, the media
//! between them does not matter.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// The boxes in front of a fragment's media: some 20 bytes a packet, and a fragment is a second.
const WINDOW_BYTES: usize = 4096;

/// A file as it was when it was opened, whatever is appended meanwhile.
#[derive(Debug)]
pub(crate) struct Window {
    file: File,
    bytes: u64,
    at: u64,
    /// What stands at `held_at`; empty at first.
    held: Vec<u8>,
    held_at: u64,
}

impl Window {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes, at: 0, held: Vec::new(), held_at: 0 })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is held from the place on.
    fn here(&self) -> &[u8] {
        let skipped = self.at.checked_sub(self.held_at).and_then(|skip| usize::try_from(skip).ok());
        skipped.and_then(|skip| self.held.get(skip..)).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.held.resize(WINDOW_BYTES, 0);
        self.held_at = self.at;
        let read = self.file.read_at(&mut self.held, self.at);
        self.held.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|_| ())
    }
}

impl Read for Window {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.bytes.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = out.len().min(left);
        let out = &mut out[..wanted];
        let read = if out.len() >= WINDOW_BYTES {
            self.file.read_at(out, self.at)?
        } else {
            if self.here().is_empty() && wanted > 0 {
                self.fill()?;
            }
            let held = self.here();
            let taken = held.len().min(wanted);
            out[..taken].copy_from_slice(&held[..taken]);
            taken
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.bytes.checked_add_signed(by),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn every_place_reads_as_the_file_itself() {
        let bytes: Vec<u8> = (0..20_000u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut window = Window::new(file).unwrap();
        for (at, length) in [(0, 16), (8, 100), (4090, 20), (15, 5000), (19_990, 10), (3, 1)] {
            let mut out = vec![0; length];
            window.seek(SeekFrom::Start(at as u64)).unwrap();
            window.read_exact(&mut out).unwrap();
            assert_eq!(out, bytes[at..at + length], "{length} at {at}");
        }
        window.seek(SeekFrom::End(-1)).unwrap();
        let mut rest = Vec::new();
        window.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, bytes[19_999..]);
        window.seek(SeekFrom::Start(90_000)).unwrap();
        assert_eq!(window.read(&mut [0; 4]).unwrap(), 0);
    }
}
