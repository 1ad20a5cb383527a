//! What is remembered of a recorder's directories, in one file of the project's state folder.
//!
//! It only guards against a wrong disk: without it, or when it cannot be kept, recording goes on.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The directories that are right at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Never empty; the newest last. More than one where disks take turns.
    pub(crate) ids: Vec<String>,
    /// Where the newest was seen last.
    pub(crate) file_system: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    directories: BTreeMap<PathBuf, Known>,
}

impl Known {
    pub(crate) fn newest(&self) -> &str {
        self.ids.last().map_or("", String::as_str)
    }
}

/// What is remembered of `root`; `None` when nothing is.
pub(crate) fn load(file: &Path, root: &Path) -> Option<Known> {
    let kept = read(file).unwrap_or_else(|error| {
        tracing::warn!(file = %file.display(), %error, "what is remembered of recording directories cannot be read: any is right");
        Kept::default()
    });
    kept.directories.get(root).filter(|known| !known.ids.is_empty()).cloned()
}

pub(crate) fn store(file: &Path, root: &Path, known: &Known) {
    if let Err(error) = write(file, root, known) {
        tracing::warn!(file = %file.display(), %error, "the recording directory cannot be remembered: a wrong disk would not be noticed");
    }
}

fn read(file: &Path) -> io::Result<Kept> {
    match fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Kept::default()),
        bytes => Ok(serde_json::from_slice(&bytes?)?),
    }
}

/// Whole or not at all.
fn write(file: &Path, root: &Path, known: &Known) -> io::Result<()> {
    let mut kept = read(file).unwrap_or_default();
    kept.directories.insert(root.to_owned(), known.clone());
    let folder = file.parent().unwrap_or(file);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = file.with_extension("tmp");
    let mut new = File::create(&unfinished)?;
    new.write_all(&serde_json::to_vec_pretty(&kept)?)?;
    new.sync_all()?;
    fs::rename(&unfinished, file)?;
    File::open(folder)?.sync_all()
}
