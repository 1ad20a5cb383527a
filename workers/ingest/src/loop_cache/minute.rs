//! The cached minute as a file: a head, then the pictures in their order. Little-endian.
//!
//! ```text
//! head     magic 8 | bytes of the file 8 | pictures 4 | n 4 | extradata n | CRC-32 of all that 4
//! picture  length, bit 31 when it is a key frame 4 | CRC-32 of that word and the payload 4 | payload
//! ```
//!
//! Nothing has to be parsed, probed or decoded before the first picture is out. A file that is cut short is
//! known by its length when it is opened, a flipped bit by its picture's sum when it is read.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crc32fast::Hasher;
use media::EncodedUnit;

const MAGIC: [u8; 8] = *b"fvloop01";
/// In front of the extradata.
const FIXED_BYTES: usize = 24;
const KEY: u32 = 1 << 31;
/// As much as a ring describes, and no more is believed.
const EXTRADATA_MAX: u32 = 60 * 1024;

/// A minute that is played for ever.
#[derive(Debug)]
pub(super) struct Minute {
    file: BufReader<File>,
    extradata: Vec<u8>,
    pictures: u32,
    /// Where the first picture begins.
    begin: u64,
    end: u64,
    /// Of this round.
    read: u32,
}

impl Minute {
    /// An error of kind `InvalidData` is a file that is not, or not all of, what was written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?.len();
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let mut head = vec![0; FIXED_BYTES];
        fill(&mut file, &mut head)?;
        let extradata_bytes = word(&head, 20);
        let told = u64::from_le_bytes(array(&head, 8));
        if head[..8] != MAGIC || extradata_bytes > EXTRADATA_MAX {
            return Err(damage("it does not begin as a loop"));
        }
        if told != found {
            return Err(damage(&format!("it has {found} bytes, expected {told}")));
        }
        let pictures = word(&head, 16);
        let mut extradata = vec![0; extradata_bytes as usize];
        fill(&mut file, &mut extradata)?;
        let mut sum = [0; 4];
        fill(&mut file, &mut sum)?;
        head.extend_from_slice(&extradata);
        if crc32fast::hash(&head) != u32::from_le_bytes(sum) || pictures == 0 {
            return Err(damage("its head does not match its checksum"));
        }
        let begin = head.len() as u64 + 4;
        Ok(Self { file, extradata, pictures, begin, end: found, read: 0 })
    }

    /// Annex B.
    pub(super) fn extradata(&self) -> &[u8] {
        &self.extradata
    }

    /// The next picture; behind the last one the first again.
    pub(super) fn next(&mut self) -> io::Result<EncodedUnit> {
        if self.read == self.pictures {
            self.file.seek(SeekFrom::Start(self.begin))?;
            self.read = 0;
        }
        self.read += 1;
        let mut front = [0; 8];
        fill(&mut self.file, &mut front)?;
        let length = word(&front, 0) & !KEY;
        if u64::from(length) > self.end {
            return Err(damage(&format!("picture {} is longer than the file", self.read)));
        }
        let mut payload = vec![0; length as usize];
        fill(&mut self.file, &mut payload)?;
        if sum_of(&front[..4], &payload) != word(&front, 4) {
            return Err(damage(&format!("picture {} does not match its checksum", self.read)));
        }
        Ok(EncodedUnit { key: word(&front, 0) & KEY != 0, payload })
    }

    /// Whether every picture is as it was written.
    pub(super) fn is_sound(path: &Path) -> bool {
        let all = |mut minute: Self| (0..minute.pictures).all(|_| minute.next().is_ok());
        Self::open(path).is_ok_and(all)
    }
}

/// A minute that is being written; it is no minute before [`Self::finish`].
#[derive(Debug)]
pub(super) struct Draft {
    file: BufWriter<File>,
    bytes: u64,
    pictures: u32,
    /// Known with the first picture.
    extradata: Vec<u8>,
}

impl Draft {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        Ok(Self { file, bytes: 0, pictures: 0, extradata: Vec::new() })
    }

    /// `extradata` is taken with the first picture.
    pub(super) fn add(
        &mut self,
        unit: &EncodedUnit,
        extradata: impl FnOnce() -> Vec<u8>,
    ) -> io::Result<()> {
        if self.pictures == 0 {
            self.extradata = extradata();
            let room = vec![0; self.head(0).len()];
            self.write(&room)?;
        }
        let length = u32::try_from(unit.payload.len()).ok().filter(|length| *length < KEY);
        let length = length.ok_or_else(|| io::Error::other("a picture of 2 GiB or more"))?;
        let front = (length | if unit.key { KEY } else { 0 }).to_le_bytes();
        self.write(&front)?;
        self.write(&sum_of(&front, &unit.payload).to_le_bytes())?;
        self.write(&unit.payload)?;
        self.pictures += 1;
        Ok(())
    }

    /// On disk as a whole: after a power cut half of it would be taken for the loop.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_ref();
        file.write_all_at(&self.head(self.bytes), 0)?;
        file.sync_data()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Of a file of so many bytes.
    fn head(&self, bytes: u64) -> Vec<u8> {
        let extradata_bytes = u32::try_from(self.extradata.len()).unwrap_or(u32::MAX);
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&bytes.to_le_bytes());
        head.extend_from_slice(&self.pictures.to_le_bytes());
        head.extend_from_slice(&extradata_bytes.to_le_bytes());
        head.extend_from_slice(&self.extradata);
        let sum = crc32fast::hash(&head);
        head.extend_from_slice(&sum.to_le_bytes());
        head
    }
}

/// The file was as long as it said: less is damage, not an end.
fn fill(file: &mut BufReader<File>, bytes: &mut [u8]) -> io::Result<()> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => damage("it ends too soon"),
        _ => error,
    })
}

fn damage(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

fn sum_of(front: &[u8], payload: &[u8]) -> u32 {
    let mut sum = Hasher::new();
    sum.update(front);
    sum.update(payload);
    sum.finalize()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|offset| bytes[at + offset])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        /// Three pictures, the first a key frame.
        fn new(test: &str) -> Self {
            let name = format!("ingest-minute-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let mut draft = Draft::create(&path).unwrap();
            for picture in pictures() {
                draft.add(&picture, || vec![0, 0, 0, 1, 0x67]).unwrap();
            }
            draft.finish().unwrap();
            Self(path)
        }

        fn bytes(&self) -> Vec<u8> {
            fs::read(&self.0).unwrap()
        }

        /// All that a reader makes of these bytes.
        fn read(&self, bytes: &[u8]) -> io::Result<Vec<EncodedUnit>> {
            fs::write(&self.0, bytes).unwrap();
            let mut minute = Minute::open(&self.0)?;
            (0..3).map(|_| minute.next()).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn pictures() -> Vec<EncodedUnit> {
        let picture = |key, fill, length| EncodedUnit { key, payload: vec![fill; length] };
        vec![picture(true, 1, 300), picture(false, 2, 7), picture(false, 3, 1)]
    }

    #[test]
    fn what_was_written_is_read_round_after_round() {
        let scratch = Scratch::new("rounds");
        let mut minute = Minute::open(&scratch.0).unwrap();
        assert_eq!(minute.extradata(), [0, 0, 0, 1, 0x67]);
        let two_rounds: Vec<EncodedUnit> = (0..6).map(|_| minute.next().unwrap()).collect();
        assert_eq!(two_rounds, [pictures(), pictures()].concat());
        assert!(Minute::is_sound(&scratch.0));
    }

    #[test]
    fn a_file_that_is_cut_short_anywhere_is_not_opened() {
        let scratch = Scratch::new("short");
        let whole = scratch.bytes();
        for length in 0..whole.len() {
            let error = scratch.read(&whole[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{length} bytes: {error}");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let scratch = Scratch::new("flipped");
        let whole = scratch.bytes();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            let error = scratch.read(&flipped).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "byte {at}: {error}");
            assert!(!Minute::is_sound(&scratch.0), "byte {at}");
        }
    }

    #[test]
    fn a_draft_is_no_minute_before_it_is_finished() {
        let scratch = Scratch::new("draft");
        let mut draft = Draft::create(&scratch.0).unwrap();
        draft.add(&pictures()[0], Vec::new).unwrap();
        drop(draft);
        assert_eq!(Minute::open(&scratch.0).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
