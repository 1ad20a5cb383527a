//! One recording, read as far as it is wanted: its tracks, its fragments one after the other, the bytes
//! of a sample. Media is never held.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fmp4::{Damage, FoundFragment, FoundSample, FoundTrack, Init, is_intact};
use protocol::stream::Track;

use crate::error::Error;
use crate::window::Window;

/// A recording as it was when it was opened: what is appended later needs another opening. It reads on
/// to its end when it is removed meanwhile.
#[derive(Debug)]
pub struct RecordingFile {
    path: PathBuf,
    window: Window,
    init: Init,
}

impl RecordingFile {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let mut window = Window::new(file).map_err(Error::io("read", path))?;
        match fmp4::read_init(&mut window).map_err(Error::io("read", path))? {
            Ok(init) => Ok(Self { path: path.to_owned(), window, init }),
            Err(damage) => Err(Error::Damaged { path: path.to_owned(), damage }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file when it was opened.
    pub fn bytes(&self) -> u64 {
        self.window.bytes()
    }

    /// Bytes in front of the first fragment.
    pub fn init_bytes(&self) -> u64 {
        self.init.bytes
    }

    pub fn tracks(&self) -> &[FoundTrack] {
        &self.init.tracks
    }

    /// The track with this index in the ring.
    pub fn track(&self, index: u32) -> Option<&FoundTrack> {
        self.init.tracks.iter().find(|track| track.track == index)
    }

    /// The track with this index in the ring, as the ring would describe it.
    pub fn stream(&self, index: u32) -> Option<&Track> {
        let at = self.init.tracks.iter().position(|track| track.track == index)?;
        self.init.streams.get(at)?.as_ref()
    }

    /// `ftyp` and `moov` as they stand in the file.
    pub fn init_segment(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.read(0, self.init.bytes, &mut bytes)?;
        Ok(bytes)
    }

    /// The fragments, by their headers, from the first on.
    pub fn fragments(&mut self) -> Fragments<'_> {
        let at_bytes = self.init.bytes;
        self.fragments_from(at_bytes)
    }

    /// The fragments from the one on that begins at `at_bytes`.
    pub fn fragments_from(&mut self, at_bytes: u64) -> Fragments<'_> {
        Fragments { file: self, at_bytes, damage: None }
    }

    /// The fragment that begins at `at_bytes`.
    pub fn fragment(&mut self, at_bytes: u64) -> Result<FoundFragment, Error> {
        self.found(at_bytes)?.map_err(|damage| Error::Damaged { path: self.path.clone(), damage })
    }

    fn found(&mut self, at_bytes: u64) -> Result<Result<FoundFragment, Damage>, Error> {
        let found = fmp4::read_fragment(&mut self.window, at_bytes, &self.init.tracks);
        found.map_err(Error::io("read", &self.path))
    }

    /// Compares the checksum of a fragment's every byte.
    pub fn is_intact(&mut self, fragment: &FoundFragment) -> Result<bool, Error> {
        is_intact(&mut self.window, fragment).map_err(Error::io("read", &self.path))
    }

    /// Puts that many bytes of the file in place of what `into` holds.
    pub fn read(&self, at_bytes: u64, bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        // Who asks for more than there is gets an error, not the memory for it.
        let there = bytes.min(self.bytes().saturating_sub(at_bytes)) == bytes;
        let length = usize::try_from(bytes).ok().filter(|_| there);
        into.resize(length.unwrap_or(0), 0);
        let read = match length {
            Some(_) => self.window.file().read_exact_at(into, at_bytes),
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
        };
        read.map_err(Error::io("read", &self.path))
    }

    /// The bytes of a sample as they stand in the file: NAL units behind their lengths, sound as it is.
    pub fn payload(&self, sample: &FoundSample, into: &mut Vec<u8>) -> Result<(), Error> {
        self.read(sample.at_bytes, sample.bytes.into(), into)
    }

    /// The packet that a sample was in its ring: see [`fmp4::as_packet`].
    pub fn packet(&self, sample: &FoundSample) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.payload(sample, &mut bytes)?;
        let what = "a sample is not what its track says";
        let damage = Damage { at_bytes: sample.at_bytes, what };
        let stream = self.stream(sample.track);
        stream
            .and_then(|stream| fmp4::as_packet(stream, sample.key, &bytes))
            .ok_or_else(|| Error::Damaged { path: self.path.clone(), damage })
    }
}

/// Ends at the file's end, or where it is torn, as the end of a file being written may be.
#[derive(Debug)]
pub struct Fragments<'a> {
    file: &'a mut RecordingFile,
    at_bytes: u64,
    damage: Option<Damage>,
}

impl Fragments<'_> {
    /// Why the file is not whole behind the fragments given so far.
    pub fn damage(&self) -> Option<Damage> {
        self.damage
    }

    /// Where the next fragment begins, or the whole part of the file ends.
    pub fn at_bytes(&self) -> u64 {
        self.at_bytes
    }
}

impl Iterator for Fragments<'_> {
    type Item = Result<FoundFragment, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.damage.is_some() || self.at_bytes >= self.file.bytes() {
            return None;
        }
        match self.file.found(self.at_bytes) {
            Ok(Ok(fragment)) => {
                self.at_bytes += fragment.bytes;
                Some(Ok(fragment))
            }
            Ok(Err(damage)) => {
                self.damage = Some(damage);
                None
            }
            Err(error) => {
                self.at_bytes = u64::MAX;
                Some(Err(error))
            }
        }
    }
}
