//! Which recordings hold something that an event asked for: `CAMERA/marks.jsonl`, a line for each, written by the
//! recorder that hears the events. Retention may keep those longer than what was recorded anyway.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::lines::{self, Lines};

/// In the directory of its camera.
const MARKS_FILE: &str = "marks.jsonl";
/// Of the lines; a reader passes over those of another.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Mark {
    v: u32,
    /// Of the recording.
    number: u64,
    /// What asked for it, in words.
    event: String,
}

/// By the numbers of the recordings: what asked for them first.
pub fn marks(folder: &Path) -> Result<BTreeMap<u64, String>, Error> {
    let lines = lines::read::<Mark>(&folder.join(MARKS_FILE))?;
    let mut found = BTreeMap::new();
    for mark in lines.into_iter().filter(|mark| mark.v == VERSION) {
        found.entry(mark.number).or_insert(mark.event);
    }
    Ok(found)
}

/// Notes durably what asked for a recording.
pub fn mark(folder: &Path, number: u64, event: &str) -> Result<(), Error> {
    let mark = Mark { v: VERSION, number, event: event.to_owned() };
    Lines::open(&folder.join(MARKS_FILE))?.push(&mark)
}

/// Forgets recordings that are not wanted any more.
pub fn forget_marks(folder: &Path, keep: impl Fn(u64) -> bool) -> Result<(), Error> {
    let path = folder.join(MARKS_FILE);
    if !path.exists() {
        return Ok(());
    }
    let lines = Lines::open(&path)?;
    let kept = marks(folder)?.into_iter().filter(|(number, _)| keep(*number));
    let kept: Vec<Mark> = kept.map(|(number, event)| Mark { v: VERSION, number, event }).collect();
    lines.replace(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_marked_once_and_forgotten_with_the_others() {
        let dir = tempfile::tempdir().unwrap();
        assert!(marks(dir.path()).unwrap().is_empty());
        for (number, event) in [(4, "motion"), (5, "door"), (4, "door")] {
            mark(dir.path(), number, event).unwrap();
        }
        assert_eq!(marks(dir.path()).unwrap()[&4], "motion");
        forget_marks(dir.path(), |number| number > 4).unwrap();
        assert_eq!(marks(dir.path()).unwrap().into_keys().collect::<Vec<_>>(), [5]);
    }
}
