//! What people and programs say of a recording while it runs, or later: beside the files of the camera,
//! so that it lives as long as they do, whatever becomes of an index.
//!
//! `CAMERA/comments.jsonl` has one JSON object a line and only grows. A removed comment gets a line of its
//! own that says so. A line that a power cut tore is passed over; the next one begins behind it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use protocol::stream::FrameId;
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// In the directory of its camera.
const COMMENTS_FILE: &str = "comments.jsonl";
/// Of the lines; a reader passes over those of another.
const VERSION: u32 = 1;
/// Longest line. The last one is looked for in twice that from the file's end.
const LINE_MAX_BYTES: usize = 16 << 10;
/// As recordings: the owner and a group, nobody else.
const FILE_MODE: u32 = 0o640;

/// What is to be said of a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remark {
    /// The moment it is about.
    pub utc_ns: UtcNs,
    /// The picture it is about, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<FrameId>,
    /// Who says it: a person or a program. May be empty.
    #[serde(default)]
    pub author: String,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A remark as it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Counts up for each camera.
    pub id: u64,
    /// When it was made.
    pub made_utc_ns: UtcNs,
    #[serde(flatten)]
    pub remark: Remark,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    id: u64,
    made_utc_ns: UtcNs,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Remark(Remark),
    /// The id of the comment that is no more.
    Removes(u64),
}

/// Where the comments of a camera are.
pub fn comments_file(folder: &Path) -> PathBuf {
    folder.join(COMMENTS_FILE)
}

/// Keeps a remark, durably. The recorder of the camera may run, and other programs may do the same.
pub fn add_comment(folder: &Path, remark: &Remark, made: UtcNs) -> Result<Comment, Error> {
    let what = What::Remark(remark.clone());
    let id = append(folder, what, made)?;
    Ok(Comment { id, made_utc_ns: made, remark: remark.clone() })
}

/// Whether there was such a comment.
pub fn remove_comment(folder: &Path, id: u64, made: UtcNs) -> Result<bool, Error> {
    if !comments(folder)?.iter().any(|comment| comment.id == id) {
        return Ok(false);
    }
    append(folder, What::Removes(id), made).map(|_| true)
}

/// The comments of a camera in the order in which they were made.
pub fn comments(folder: &Path) -> Result<Vec<Comment>, Error> {
    let path = comments_file(folder);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let mut found = BTreeMap::new();
    for line in lines(&bytes) {
        match line.what {
            What::Remark(remark) => {
                let comment = Comment { id: line.id, made_utc_ns: line.made_utc_ns, remark };
                found.insert(line.id, comment);
            }
            What::Removes(id) => {
                found.remove(&id);
            }
        }
    }
    Ok(found.into_values().collect())
}

fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = Line> + '_ {
    let lines = bytes.split(|&byte| byte == b'\n');
    let parsed = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    parsed.filter(|line| line.v == VERSION)
}

fn append(folder: &Path, what: What, made_utc_ns: UtcNs) -> Result<u64, Error> {
    let path = comments_file(folder);
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(FILE_MODE);
    let file = options.open(&path).map_err(Error::io("open", &path))?;
    lock(&file).map_err(Error::io("lock", &path))?;
    let (tail, ends_in_line) = tail(&file).map_err(Error::io("read", &path))?;
    let id = lines(&tail).next_back().map_or(1, |last| last.id.saturating_add(1));
    let line = Line { v: VERSION, id, made_utc_ns, what };
    let mut text = if ends_in_line { String::new() } else { "\n".to_owned() };
    text.push_str(
        &serde_json::to_string(&line).map_err(|error| Error::io("write", &path)(error.into()))?,
    );
    text.push('\n');
    if text.len() > LINE_MAX_BYTES {
        return Err(Error::LongComment { bytes: text.len(), max_bytes: LINE_MAX_BYTES });
    }
    // One write at the file's end: whoever reads meanwhile sees all of it or, after a power cut, a torn line.
    io::Write::write_all(&mut &file, text.as_bytes()).map_err(Error::io("write", &path))?;
    file.sync_data().map_err(Error::io("sync", &path))?;
    if is_new {
        let folder = File::open(folder).map_err(Error::io("open", folder))?;
        folder.sync_all().map_err(Error::io("sync", &path))?;
    }
    Ok(id)
}

/// The file's last bytes, and whether a new line may begin behind them.
fn tail(file: &File) -> io::Result<(Vec<u8>, bool)> {
    let bytes = file.metadata()?.len();
    let from = bytes.saturating_sub(2 * LINE_MAX_BYTES as u64);
    let mut tail = vec![0; usize::try_from(bytes - from).unwrap_or(0)];
    file.read_exact_at(&mut tail, from)?;
    let ends_in_line = tail.last().is_none_or(|&last| last == b'\n');
    Ok((tail, ends_in_line))
}

/// Until the file is closed: two that write at once would take the same id.
fn lock(file: &File) -> io::Result<()> {
    let whole = libc::flock {
        #[expect(clippy::cast_possible_truncation, reason = "F_WRLCK is 1")]
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLKW(&whole)).map(|_| ()).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remark(text: &str) -> Remark {
        let frame = FrameId { ring: "cam1.packets".parse().unwrap(), epoch: 7, sequence: u64::MAX };
        Remark {
            utc_ns: UtcNs(9),
            frame: Some(frame),
            author: "anna".to_owned(),
            text: text.to_owned(),
            tags: vec!["storm".to_owned()],
        }
    }

    #[test]
    fn comments_are_read_back_in_their_order_without_the_removed_ones() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(comments(dir.path()).unwrap(), []);
        let first = add_comment(dir.path(), &remark("a\nb"), UtcNs(10)).unwrap();
        let second = add_comment(dir.path(), &remark("c"), UtcNs(5)).unwrap();
        assert_eq!((first.id, second.id), (1, 2));
        assert!(remove_comment(dir.path(), 1, UtcNs(11)).unwrap());
        assert!(!remove_comment(dir.path(), 1, UtcNs(12)).unwrap());
        let third = add_comment(dir.path(), &Remark::default(), UtcNs(13)).unwrap();
        assert_eq!(third.id, 4, "the removal took a line of its own");
        assert_eq!(comments(dir.path()).unwrap(), [second, third]);
    }

    #[test]
    fn a_torn_line_is_passed_over_and_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let first = add_comment(dir.path(), &remark("whole"), UtcNs(1)).unwrap();
        let path = comments_file(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"v\":1,\"id\":2,\"made_u");
        fs::write(&path, bytes).unwrap();
        let second = add_comment(dir.path(), &remark("behind it"), UtcNs(2)).unwrap();
        assert_eq!(comments(dir.path()).unwrap(), [first, second]);
    }

    #[test]
    fn the_longest_line_is_kept_and_a_longer_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            add_comment(dir.path(), &remark(&"x".repeat(LINE_MAX_BYTES - 300)), UtcNs(1)).unwrap();
        }
        let ids: Vec<u64> = comments(dir.path()).unwrap().iter().map(|c| c.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        let long = remark(&"x".repeat(LINE_MAX_BYTES));
        let refused = add_comment(dir.path(), &long, UtcNs(1)).unwrap_err().to_string();
        assert!(refused.contains("at most 16384"), "{refused}");
    }
}
