//! A camera's directory against what the index knows of it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::look::Known;
use crate::file_name::FileName;
use crate::folder::modified_ns;

/// Most files that are named at a time; a directory may have a million.
const UNREAD_MAX: usize = 4096;

/// How closely it is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// Files that came or went.
    Names,
    /// Also those whose length or time is another than when they were read.
    Facts,
}

/// What the index lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Files it has and that are no more.
    pub(super) gone: Vec<u64>,
    /// The newest of those that have to be read, with their names.
    pub(super) unread: BTreeMap<u64, String>,
    /// There are more to read.
    pub(super) more: bool,
}

/// `known` is in the order of the numbers. Files above `settled` may be being written: they are left to
/// whoever writes them. A directory that is not there holds nothing.
pub(super) fn survey(
    folder: &Path,
    known: &[Known],
    settled: u64,
    look: Look,
) -> io::Result<Survey> {
    let mut found = Survey::default();
    let mut there = vec![false; known.len()];
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            found.gone = known.iter().map(|file| file.number).collect();
            return Ok(found);
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some(number) = FileName::number_in(name) else { continue };
        let at = known.binary_search_by_key(&number, |file| file.number).ok();
        if let Some(at) = at {
            there[at] = true;
        }
        let is_read = at.is_some_and(|at| look == Look::Names || is_as_read(&entry, &known[at]));
        if !is_read && number <= settled {
            found.unread.insert(number, name.to_owned());
            if found.unread.len() > UNREAD_MAX {
                found.unread.pop_first();
                found.more = true;
            }
        }
    }
    let gone = known.iter().zip(there).filter(|(_, there)| !there);
    found.gone = gone.map(|(file, _)| file.number).collect();
    Ok(found)
}

fn is_as_read(entry: &std::fs::DirEntry, known: &Known) -> bool {
    // One that went since is found by who reads it.
    let Ok(facts) = entry.metadata() else { return false };
    let is_all = known.whole_bytes == known.bytes || known.is_damaged;
    is_all && facts.len() == known.bytes && modified_ns(&facts) == known.modified_ns
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn name(number: u64) -> String {
        format!("20261120T130900.123Z-{number:08}.mp4")
    }

    fn known(folder: &Path, number: u64) -> Known {
        let facts = fs::metadata(folder.join(name(number))).unwrap();
        let (bytes, modified_ns) = (facts.len(), modified_ns(&facts));
        Known { number, bytes, modified_ns, whole_bytes: bytes, is_damaged: false }
    }

    #[test]
    fn what_came_what_went_and_what_changed_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for number in [2, 3, 4, 5, 9] {
            fs::write(dir.path().join(name(number)), "x").unwrap();
        }
        fs::write(dir.path().join("notes.txt"), "x").unwrap();
        let mut index: Vec<Known> = [2, 3, 4].map(|number| known(dir.path(), number)).into();
        index.insert(0, Known { number: 1, ..index[0].clone() });
        index[2].modified_ns -= 1;
        index[3].whole_bytes = 0;
        let names = survey(dir.path(), &index, 5, Look::Names).unwrap();
        assert_eq!(names.gone, [1]);
        assert_eq!(names.unread.keys().copied().collect::<Vec<_>>(), [5], "9 is being written");
        let facts = survey(dir.path(), &index, 5, Look::Facts).unwrap();
        assert_eq!(facts.unread.keys().copied().collect::<Vec<_>>(), [3, 4, 5]);
        assert!(!facts.more);
    }

    #[test]
    fn a_directory_that_is_gone_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name(1)), "x").unwrap();
        let index = [known(dir.path(), 1)];
        let found = survey(&dir.path().join("away"), &index, 9, Look::Facts).unwrap();
        assert_eq!(found, Survey { gone: vec![1], ..Survey::default() });
    }
}
