//! What the next supervisor finds if this one is killed: a manifest without descriptors in the runtime
//! directory, whole or not at all, written by a thread of its own.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::time::MonoNs;

use crate::manifest::{Manifest, ManifestError};

/// From a writing that failed to the next.
const REST: Duration = Duration::from_secs(10);

/// Its state on the way to the disk.
#[derive(Debug)]
pub(crate) struct Will {
    is_changed: bool,
    writing: Option<Writing>,
    /// The last writing failed: no other before this time.
    rests_until: Option<MonoNs>,
}

#[derive(Debug)]
struct Writing {
    heirs: BTreeSet<u64>,
    thread: JoinHandle<Result<(), ManifestError>>,
}

impl Default for Will {
    /// Nothing is written yet.
    fn default() -> Self {
        Self { is_changed: true, writing: None, rests_until: None }
    }
}

impl Will {
    /// Something happened that the next supervisor must know.
    pub(crate) fn change(&mut self) {
        self.is_changed = true;
    }

    pub(crate) fn is_due(&self, now: MonoNs) -> bool {
        let rests = self.rests_until.is_some_and(|until| now < until);
        self.is_changed && self.writing.is_none() && !rests
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
    pub(crate) fn written(&mut self, now: MonoNs) -> Option<BTreeSet<u64>> {
        let Writing { heirs, thread } =
            self.writing.take_if(|writing| writing.thread.is_finished())?;
        match thread.join() {
            Ok(Ok(())) => {
                self.rests_until = None;
                Some(heirs)
            }
            Ok(Err(error)) => {
                if self.rests_until.is_none() {
                    tracing::warn!(%error, "if this supervisor is killed, all workers end with it");
                }
                (self.is_changed, self.rests_until) = (true, Some(now + REST));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(mut will: Will, outcome: Result<(), ManifestError>, now: MonoNs) -> Will {
        let thread = std::thread::spawn(move || outcome);
        while !thread.is_finished() {
            std::thread::yield_now();
        }
        will.is_changed = false;
        will.writing = Some(Writing { heirs: BTreeSet::new(), thread });
        will.written(now);
        will
    }

    #[test]
    fn a_will_that_cannot_be_written_is_tried_again_after_a_rest() {
        let at = |seconds: u64| MonoNs(seconds * 1_000_000_000);
        let mut will = Will::default();
        assert!(will.is_due(at(0)));
        let full = ManifestError::Io { step: "write", source: io::Error::other("full") };
        will = ended(will, Err(full), at(5));
        assert_eq!([5, 14, 15].map(|second| will.is_due(at(second))), [false, false, true]);
        will = ended(will, Ok(()), at(16));
        assert!(!will.is_due(at(60)));
        will.change();
        assert!(will.is_due(at(16)));
    }
}
