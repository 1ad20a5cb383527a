//! `framevisor-detect examine`: what runs a model on this machine, for `framevisor doctor`. It loads the model and
//! runs it once.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;

use protocol::config::DetectConfig;
use protocol::units::Size;
use protocol::verb::ExaminedModel;
use worker::verb::{VerbError, answer, arguments};

use crate::runner::load;

pub fn verb(text: &str) -> Result<(), VerbError> {
    let config: DetectConfig = arguments(text)?;
    let scratch = Scratch::below(&std::env::temp_dir()).map_err(|error| {
        VerbError::failed(format!("no folder for what the model's engine makes: {error}"))
    })?;
    let (_, loaded) = load(&config, &scratch.0).map_err(VerbError::failed)?;
    let (width, height) = loaded.wish.size;
    answer(&ExaminedModel {
        by: loaded.by,
        fell_back: loaded.fell_back,
        form: loaded.meaning.form().as_str().to_owned(),
        size: Size { width, height },
        labels: loaded.labels.all().to_vec(),
    })
}

/// Other folders of ours that were left here by a kill.
const LEFT_MAX: u32 = 100;

/// A folder that only we can have made: an engine runs what it finds there. Gone afterwards.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn below(dir: &Path) -> io::Result<Self> {
        let path = |number: u32| dir.join(format!("framevisor-examine-{}-{number}", process::id()));
        let make = |number: u32| {
            let path = path(number);
            DirBuilder::new().mode(0o700).create(&path).map(|()| Self(path))
        };
        let is_there = |made: &io::Result<Self>| {
            made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
        };
        (0..LEFT_MAX).map(make).find(|made| !is_there(made)).unwrap_or_else(|| make(LEFT_MAX))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is served by a word about a folder of the system's own cleaning.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn nothing_is_taken_from_a_folder_that_was_there_before() {
        let dir = Scratch::below(&std::env::temp_dir()).unwrap();
        let theirs = dir.0.join(format!("framevisor-examine-{}-0", process::id()));
        fs::create_dir(&theirs).unwrap();
        let ours = Scratch::below(&dir.0).unwrap();
        assert_ne!(ours.0, theirs);
        assert_eq!(fs::metadata(&ours.0).unwrap().permissions().mode() & 0o777, 0o700);
        let path = ours.0.clone();
        fs::write(path.join("engine"), "made").unwrap();
        drop(ours);
        assert!(!path.exists() && theirs.exists());
        assert!(Scratch::below(&dir.0.join("nowhere")).is_err());
    }
}
