//! What the next supervisor finds if this one is killed: a manifest without descriptors in the runtime
//! directory, whole or not at all, written by a thread of its own.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::manifest::{Manifest, ManifestError};

/// Its state on the way to the disk.
#[derive(Debug)]
pub(crate) struct Will {
    is_changed: bool,
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    heirs: BTreeSet<u64>,
    thread: JoinHandle<Result<(), ManifestError>>,
}

impl Default for Will {
    /// Nothing is written yet.
    fn default() -> Self {
        Self { is_changed: true, writing: None }
    }
}

impl Will {
    /// Something happened that the next supervisor must know.
    pub(crate) fn change(&mut self) {
        self.is_changed = true;
    }

    pub(crate) fn is_due(&self) -> bool {
        self.is_changed && self.writing.is_none()
    }

    /// Writes it; `heirs` are the processes in it that may be adopted.
    pub(crate) fn write(&mut self, path: PathBuf, heirs: BTreeSet<u64>, manifest: &Manifest) {
        let bytes = manifest.bytes();
        let work = move || write(&path, &bytes?);
        let started = std::thread::Builder::new().name("will".to_owned()).spawn(work);
        // Without a thread it stays due.
        if let Ok(thread) = started {
            self.writing = Some(Writing { heirs, thread });
            self.is_changed = false;
        }
    }

    /// The processes that it names now, if a writing has ended since.
    pub(crate) fn written(&mut self) -> Option<BTreeSet<u64>> {
        let Writing { heirs, thread } =
            self.writing.take_if(|writing| writing.thread.is_finished())?;
        match thread.join() {
            Ok(Ok(())) => Some(heirs),
            Ok(Err(error)) => {
                tracing::warn!(%error, "if this supervisor is killed, all workers end with it");
                self.is_changed = true;
                None
            }
            Err(_) => None,
        }
    }
}

/// No power cut is survived by the processes that it is about, so nothing waits for a disk.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ManifestError> {
    let failed = |source: io::Error| ManifestError::Io { step: "write for a successor", source };
    let building = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file: File = options.open(&building).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    fs::rename(&building, path).map_err(failed)
}
