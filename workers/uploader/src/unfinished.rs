//! Uploads in parts that have begun and not ended: a store keeps their parts, and has them paid for, until
//! somebody gives them up. So their names are kept where they outlive this process.

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
}

impl Unfinished {
    /// What an earlier life left. A file that holds something else is as good as none.
    pub(crate) fn load(path: PathBuf) -> Result<Self, Error> {
        let begun = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        Ok(Self { path, begun })
    }

    pub(crate) fn all(&self) -> &[Begun] {
        &self.begun
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
        assert_eq!(Unfinished::load(path.clone()).unwrap().all(), [begun("2")]);
        fs::write(&path, "[{").unwrap();
        assert_eq!(Unfinished::load(path).unwrap().all(), []);
    }
}
