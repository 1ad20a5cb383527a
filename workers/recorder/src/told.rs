//! Of which cameras people and hooks were told that they are recorded. Kept in a file for the run of the
//! project, so that a recorder that was killed neither tells of a start again nor owes a stop for ever.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use protocol::name::RingName;

use crate::status::Turn;

/// The starts that no stop has followed yet, with their reasons.
#[derive(Debug)]
pub(crate) struct Told {
    file: PathBuf,
    recording: BTreeMap<RingName, String>,
    unkept: bool,
}

impl Told {
    /// As an earlier life left it; nothing when there was none.
    pub(crate) fn load(file: PathBuf) -> Self {
        let recording = read(&file).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "what was told of recordings cannot be read: a start may be told twice");
            BTreeMap::new()
        });
        Self { file, recording, unkept: false }
    }

    /// Why a camera was told to be recorded.
    pub(crate) fn why(&self, ring: &RingName) -> Option<&str> {
        self.recording.get(ring).map(String::as_str)
    }

    /// To be called behind the telling: what is told twice does less harm than what is never told.
    pub(crate) fn enter(&mut self, ring: &RingName, turn: &Turn) {
        if turn.began {
            self.recording.insert(ring.clone(), turn.why.clone());
        } else {
            self.recording.remove(ring);
        }
        self.unkept = true;
    }

    /// Writes what has changed.
    pub(crate) fn keep(&mut self) {
        if !std::mem::take(&mut self.unkept) {
            return;
        }
        if let Err(error) = self.write() {
            tracing::warn!(file = %self.file.display(), %error, "what was told of recordings cannot be kept: after a kill it is told again");
        }
    }

    /// Whole or not at all; it need not survive more than this process.
    fn write(&self) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(&self.file);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let unfinished = self.file.with_added_extension("new");
        fs::write(&unfinished, serde_json::to_vec(&self.recording)?)?;
        fs::rename(&unfinished, &self.file)
    }
}

fn read(file: &PathBuf) -> io::Result<BTreeMap<RingName, String>> {
    match fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        bytes => Ok(serde_json::from_slice(&bytes?)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(began: bool, why: &str) -> Turn {
        Turn { began, why: why.to_owned() }
    }

    #[test]
    fn a_start_is_known_to_the_next_life_until_its_stop_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("notes/recorder.json");
        let (cam1, cam2): (RingName, RingName) =
            ("cam1.packets".parse().unwrap(), "cam2.packets".parse().unwrap());
        let mut told = Told::load(file.clone());
        assert_eq!(told.why(&cam1), None);
        told.enter(&cam1, &turn(true, "door of ext.door.events"));
        told.enter(&cam2, &turn(true, "by command"));
        told.keep();
        let mut told = Told::load(file.clone());
        assert_eq!(told.why(&cam1), Some("door of ext.door.events"));
        told.enter(&cam1, &turn(false, "no event"));
        told.keep();
        let told = Told::load(file.clone());
        assert_eq!((told.why(&cam1), told.why(&cam2)), (None, Some("by command")));
        fs::write(&file, "[").unwrap();
        assert_eq!(Told::load(file).why(&cam2), None);
    }
}
