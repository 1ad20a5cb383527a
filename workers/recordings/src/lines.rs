//! Files of JSON lines beside recordings: comments, what is uploaded, what events asked for. They grow line by
//! line, each durable before its writer goes on; several programs may write one. A line that a power cut tore is
//! passed over. Now and then somebody writes such a file anew without what nobody needs any more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Longest line. The last one is looked for in twice that from the file's end.
pub(crate) const LINE_MAX_BYTES: usize = 16 << 10;
/// As recordings: the owner and a group, nobody else.
const FILE_MODE: u32 = 0o640;
/// For two seconds: whoever writes has it for as long as a sync takes.
const LOOKS: u32 = 1000;
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A file of lines that nobody else writes until this is dropped.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
    path: PathBuf,
    is_new: bool,
}

impl Lines {
    /// Makes the file when it is not there, and waits for whoever writes it, but not for ever: a recorder's
    /// ring goes on meanwhile.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Self::open_within(path, LOOKS)
    }

    fn open_within(path: &Path, looks: u32) -> Result<Self, Error> {
        loop {
            let is_new = !path.exists();
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(FILE_MODE);
            let file = options.open(path).map_err(Error::io("open", path))?;
            lock(&file, looks).map_err(Error::io("lock", path))?;
            // Whoever had it may have put another in its place.
            if is_at(&file, path) {
                return Ok(Self { file, path: path.to_owned(), is_new });
            }
        }
    }

    /// The last line that is one.
    pub(crate) fn last<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let (tail, _) = self.tail()?;
        Ok(parsed(&tail).next_back())
    }

    /// Adds a line, durably.
    pub(crate) fn push(&self, line: &impl Serialize) -> Result<(), Error> {
        let (_, ends_in_line) = self.tail()?;
        let mut text = if ends_in_line { String::new() } else { "\n".to_owned() };
        text.push_str(&self.text_of(line)?);
        // One write at the file's end: whoever reads meanwhile sees all of it or, after a power cut, a torn line.
        let written = (&self.file).write_all(text.as_bytes());
        written.map_err(Error::io("write", &self.path))?;
        self.file.sync_data().map_err(Error::io("sync", &self.path))?;
        if self.is_new { self.sync_folder() } else { Ok(()) }
    }

    /// Puts a file with these lines in its place: all of them are there at any moment, or all of the old.
    pub(crate) fn replace(self, lines: &[impl Serialize]) -> Result<(), Error> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&self.text_of(line)?);
        }
        let fresh = self.path.with_added_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let mut file = options.open(&fresh).map_err(Error::io("create", &fresh))?;
        file.write_all(text.as_bytes()).map_err(Error::io("write", &fresh))?;
        file.sync_all().map_err(Error::io("sync", &fresh))?;
        fs::rename(&fresh, &self.path).map_err(Error::io("replace", &self.path))?;
        self.sync_folder()
    }

    fn text_of(&self, line: &impl Serialize) -> Result<String, Error> {
        let text = serde_json::to_string(line);
        let mut text = text.map_err(|error| Error::io("write", &self.path)(error.into()))?;
        text.push('\n');
        if text.len() > LINE_MAX_BYTES {
            return Err(Error::LongComment { bytes: text.len(), max_bytes: LINE_MAX_BYTES });
        }
        Ok(text)
    }

    /// The file's last bytes, and whether a new line may begin behind them.
    fn tail(&self) -> Result<(Vec<u8>, bool), Error> {
        let read = || -> io::Result<Vec<u8>> {
            let bytes = self.file.metadata()?.len();
            let from = bytes.saturating_sub(2 * LINE_MAX_BYTES as u64);
            let mut tail = vec![0; usize::try_from(bytes - from).unwrap_or(0)];
            self.file.read_exact_at(&mut tail, from)?;
            Ok(tail)
        };
        let tail = read().map_err(Error::io("read", &self.path))?;
        let ends_in_line = tail.last().is_none_or(|&last| last == b'\n');
        Ok((tail, ends_in_line))
    }

    fn sync_folder(&self) -> Result<(), Error> {
        let Some(folder) = self.path.parent() else { return Ok(()) };
        let opened = File::open(folder).map_err(Error::io("open", folder))?;
        opened.sync_all().map_err(Error::io("sync", folder))
    }
}

/// All lines of a file; one that is not there has none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(parsed(&bytes).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The whole lines of a file from a place on, and where they end. One that is not there has none.
pub(crate) fn read_from<T: DeserializeOwned>(
    path: &Path,
    from: u64,
) -> Result<(Vec<T>, u64), Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(Error::io("read", path)(error)),
        Ok(_) => {}
    }
    // Of the last one more may come.
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    bytes.truncate(whole);
    Ok((parsed(&bytes).collect(), from + whole as u64))
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> impl DoubleEndedIterator<Item = T> + '_ {
    bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

/// Until the file is closed.
fn lock(file: &File, looks: u32) -> io::Result<()> {
    let whole = libc::flock {
        #[expect(clippy::cast_possible_truncation, reason = "F_WRLCK is 1")]
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    for _ in 0..looks {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
            Err(Errno::EAGAIN | Errno::EACCES) => thread::sleep(LOOK_EVERY),
            done => return done.map(|_| ()).map_err(io::Error::from),
        }
    }
    Err(io::Error::other("another program has it locked for long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_added_while_the_file_is_written_anew_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        let open = |path: &Path| Lines::open_within(path, 60 * LOOKS).unwrap();
        open(&path).push(&1).unwrap();
        let writers: Vec<_> = (0..4_u64)
            .map(|writer| {
                let path = path.clone();
                std::thread::spawn(move || {
                    for count in 0..50 {
                        let line = 100 * (writer + 1) + count;
                        open(&path).push(&line).unwrap();
                        let lines = open(&path);
                        let kept: Vec<u64> = read(&path).unwrap();
                        lines.replace(&kept).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let mut all: Vec<u64> = read(&path).unwrap();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 201);
    }

    #[test]
    fn nobody_waits_for_ever_for_a_program_that_stopped_with_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        let held = Lines::open(&path).unwrap();
        let refused = Lines::open_within(&path, 3).unwrap_err();
        assert!(refused.to_string().contains("another program"), "{refused}");
        drop(held);
        Lines::open(&path).unwrap().push(&1).unwrap();
    }

    #[test]
    fn lines_are_read_on_from_where_the_last_whole_one_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        assert_eq!(read_from::<u32>(&path, 0).unwrap(), (vec![], 0));
        fs::write(&path, "1\n2\n3").unwrap();
        let (lines, at) = read_from::<u32>(&path, 0).unwrap();
        assert_eq!((lines, at), (vec![1, 2], 4));
        fs::write(&path, "1\n2\n34\n5\n").unwrap();
        assert_eq!(read_from::<u32>(&path, at).unwrap(), (vec![34, 5], 9));
    }

    #[test]
    fn a_torn_line_is_passed_over_and_the_next_one_begins_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        fs::write(&path, "[1]\n[2").unwrap();
        let lines = Lines::open(&path).unwrap();
        assert_eq!(lines.last::<Vec<u32>>().unwrap(), Some(vec![1]));
        lines.push(&[3]).unwrap();
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), [[1], [3]]);
    }
}
