//! Uploads in parts that have begun and not ended: a store keeps their parts, and has them paid for, until
//! somebody gives them up. So their names are kept where they outlive this process.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Bucket and endpoint: another one knows nothing of it.
    pub(crate) store: String,
    pub(crate) key: String,
    pub(crate) id: String,
}

/// Those of one worker, in one small file.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    begun: Vec<Begun>,
    /// Those of `begun` that nobody goes on with: to be given up.
    left: VecDeque<Begun>,
}

impl Unfinished {
    /// What an earlier life left. A file that holds something else is as good as none.
    pub(crate) fn load(path: PathBuf) -> Result<Self, Error> {
        let begun: Vec<Begun> = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        Ok(Self { path, left: begun.iter().cloned().collect(), begun })
    }

    /// Durable when this returns.
    pub(crate) fn begin(&mut self, begun: Begun) -> Result<(), Error> {
        self.begun.push(begun);
        self.save()
    }

    pub(crate) fn end(&mut self, id: &str) -> Result<(), Error> {
        self.begun.retain(|begun| begun.id != id);
        self.save()
    }

    /// Nobody goes on with one that has begun, and the store has not let go of it.
    pub(crate) fn leave(&mut self, id: &str) {
        self.left.extend(self.begun.iter().find(|begun| begun.id == id).cloned());
    }

    /// The next to be given up. When that fails it is to be left once more, and comes last.
    pub(crate) fn take_left(&mut self) -> Option<Begun> {
        self.left.pop_front()
    }

    fn save(&self) -> Result<(), Error> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let fresh = self.path.with_added_extension("new");
        let failed = || Error::io("write", &fresh);
        let text = serde_json::to_vec(&self.begun).map_err(|error| failed()(error.into()))?;
        let mut file = File::create(&fresh).map_err(failed())?;
        file.write_all(&text).map_err(failed())?;
        file.sync_all().map_err(failed())?;
        fs::rename(&fresh, &self.path).map_err(Error::io("replace", &self.path))?;
        let opened = File::open(folder).map_err(Error::io("open", folder))?;
        opened.sync_all().map_err(Error::io("sync", folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_begun_is_known_to_the_next_life_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/upload.json");
        let begun = |id: &str| Begun { store: "s".into(), key: "k".into(), id: id.into() };
        let mut unfinished = Unfinished::load(path.clone()).unwrap();
        unfinished.begin(begun("1")).unwrap();
        unfinished.begin(begun("2")).unwrap();
        unfinished.end("1").unwrap();
        assert_eq!(left(&path), [begun("2")]);
        fs::write(&path, "[{").unwrap();
        assert_eq!(left(&path), []);
    }

    #[test]
    fn what_was_left_is_known_to_this_life_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut unfinished = Unfinished::load(dir.path().join("upload.json")).unwrap();
        for id in ["1", "2"] {
            unfinished.begin(Begun { store: "s".into(), key: "k".into(), id: id.into() }).unwrap();
        }
        assert_eq!(unfinished.take_left(), None, "they are under way");
        unfinished.leave("2");
        assert_eq!(unfinished.take_left().unwrap().id, "2");
        assert_eq!(unfinished.take_left(), None);
    }

    fn left(path: &Path) -> Vec<Begun> {
        let mut unfinished = Unfinished::load(path.to_owned()).unwrap();
        std::iter::from_fn(|| unfinished.take_left()).collect()
    }
}
