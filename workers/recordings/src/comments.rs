//! What people and programs say of a recording while it runs, or later: beside the files of the camera,
//! so that it lives as long as they do, whatever becomes of an index.
//!
//! `CAMERA/comments.jsonl` has one JSON object a line and only grows. A removed comment gets a line of its
//! own that says so. A line that a power cut tore is passed over; the next one begins behind it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::stream::FrameId;
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::lines::{self, Lines};

/// In the directory of its camera.
const COMMENTS_FILE: &str = "comments.jsonl";
/// Of the lines; a reader passes over those of another.
const VERSION: u32 = 1;

/// What is to be said of a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    let mut found = BTreeMap::new();
    for line in read(&comments_file(folder))? {
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

fn read(path: &Path) -> Result<Vec<Line>, Error> {
    let lines = lines::read::<Line>(path)?;
    Ok(lines.into_iter().filter(|line| line.v == VERSION).collect())
}

fn append(folder: &Path, what: What, made_utc_ns: UtcNs) -> Result<u64, Error> {
    let lines = Lines::open(&comments_file(folder))?;
    let id = lines.last::<Line>()?.map_or(1, |last| last.id.saturating_add(1));
    lines.push(&Line { v: VERSION, id, made_utc_ns, what })?;
    Ok(id)
}

/// Forgets what was said of moments before this one; how many comments. Their ids are not used again.
pub fn forget_comments(folder: &Path, before: UtcNs) -> Result<usize, Error> {
    let path = comments_file(folder);
    if !comments(folder)?.iter().any(|comment| comment.remark.utc_ns < before) {
        return Ok(0);
    }
    let lines = Lines::open(&path)?;
    let all = comments(folder)?;
    let last = read(&path)?.pop();
    let said = all.len();
    let kept = all.into_iter().filter(|comment| comment.remark.utc_ns >= before);
    let mut kept: Vec<Line> = kept.map(Line::of).collect();
    let forgotten = said - kept.len();
    if let Some(last) = last.filter(|last| kept.last().is_none_or(|kept| kept.id < last.id)) {
        // Where ids go on.
        kept.push(Line { what: What::Removes(last.id), ..last });
    }
    lines.replace(&kept)?;
    Ok(forgotten)
}

impl Line {
    fn of(comment: Comment) -> Self {
        let Comment { id, made_utc_ns, remark } = comment;
        Self { v: VERSION, id, made_utc_ns, what: What::Remark(remark) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lines::LINE_MAX_BYTES;

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
    fn what_was_said_of_moments_that_are_gone_goes_and_no_id_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let at = |utc_ns| Remark { utc_ns: UtcNs(utc_ns), ..remark("x") };
        for utc_ns in [10, 30, 20] {
            add_comment(dir.path(), &at(utc_ns), UtcNs(1)).unwrap();
        }
        assert_eq!(forget_comments(dir.path(), UtcNs(5)).unwrap(), 0);
        assert_eq!(forget_comments(dir.path(), UtcNs(25)).unwrap(), 2);
        let ids = |dir: &Path| comments(dir).unwrap().iter().map(|c| c.id).collect::<Vec<_>>();
        assert_eq!(ids(dir.path()), [2]);
        assert_eq!(forget_comments(dir.path(), UtcNs(99)).unwrap(), 1);
        assert!(ids(dir.path()).is_empty());
        assert_eq!(add_comment(dir.path(), &at(100), UtcNs(2)).unwrap().id, 4);
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
