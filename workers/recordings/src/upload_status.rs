//! What an uploader last said of itself, for programs that do not ask it: a small file in the state folder of
//! the project, written over every few seconds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::name::WorkerName;
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

/// How an uploader does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadStatus {
    /// When it was said.
    pub at_utc_ns: UtcNs,
    pub backlog_files: u64,
    pub backlog_bytes: u64,
    /// How long ago the oldest recording that waits was begun; 0 when none does.
    pub oldest_s: u64,
    /// Since its start.
    pub files_sent: u64,
    pub bytes_sent: u64,
    pub files_lost: u64,
    /// Nothing goes out at the moment.
    pub in_trouble: bool,
}

impl UploadStatus {
    /// Below `state`, the state folder of the project.
    fn path(state: &Path, worker: &WorkerName) -> PathBuf {
        state.join("uploads").join(format!("{worker}.status.json"))
    }

    /// All of it or what was there: not durable, since the next word comes soon.
    pub fn write(&self, state: &Path, worker: &WorkerName) -> io::Result<()> {
        let path = Self::path(state, worker);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let fresh = path.with_added_extension("new");
        fs::write(&fresh, serde_json::to_vec(self)?)?;
        fs::rename(&fresh, &path)
    }

    /// `None` when nothing was said, or nothing that can be read.
    pub fn read(state: &Path, worker: &WorkerName) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(state, worker)).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_read_and_there_is_none_before_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let worker: WorkerName = "upload".parse().unwrap();
        assert_eq!(UploadStatus::read(dir.path(), &worker), None);
        for backlog_files in [7, 3] {
            let status = UploadStatus { backlog_files, ..UploadStatus::default() };
            status.write(dir.path(), &worker).unwrap();
            assert_eq!(UploadStatus::read(dir.path(), &worker), Some(status));
        }
    }
}
