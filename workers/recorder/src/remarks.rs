//! Comments on their way into the camera's folder: taken at the desk, written by the camera's thread, so
//! that a disk that hangs holds up nobody else.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::time::{MonoNs, UtcNs};
use recordings::{Remark, add_comment};

/// More than that in half a second is no person, and a disk that is away for long is told anyway.
const WAITING_MAX: usize = 1000;
/// After a write that failed: each may have waited for somebody who has the file, while the ring waits.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Shared by the desk and the camera's thread.
#[derive(Clone, Debug, Default)]
pub struct Remarks(Arc<Mutex<Pile>>);

#[derive(Debug, Default)]
struct Pile {
    /// Each with the instant it was made.
    waiting: VecDeque<(Remark, UtcNs)>,
    /// That they cannot be written was told.
    told: bool,
    /// Nothing is written before.
    not_before: MonoNs,
}

impl Remarks {
    /// False when too many wait already.
    pub(crate) fn add(&self, remark: Remark, made: UtcNs) -> bool {
        let mut pile = self.lock();
        let fits = pile.waiting.len() < WAITING_MAX;
        if fits {
            pile.waiting.push_back((remark, made));
        }
        fits
    }

    /// Whether all are in the folder.
    pub(crate) fn are_kept(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Writes the oldest of those that wait: one, since each is a wait for the disk. What cannot be written
    /// waits on.
    pub(crate) fn write(&self, folder: &Path, now: MonoNs) {
        let next = {
            let pile = self.lock();
            pile.waiting.front().filter(|_| now >= pile.not_before).cloned()
        };
        let Some((remark, made)) = next else { return };
        let written = add_comment(folder, &remark, made);
        let mut pile = self.lock();
        match written {
            Ok(_) => {
                pile.waiting.pop_front();
                pile.told = false;
            }
            Err(error) => {
                pile.not_before = now + AGAIN_AFTER;
                if !std::mem::replace(&mut pile.told, true) {
                    tracing::error!(%error, "comments wait");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_waits_for_its_folder_and_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cam1");
        let remarks = Remarks::default();
        let remark = Remark { text: "the red car".to_owned(), ..Remark::default() };
        assert!(remarks.add(remark.clone(), UtcNs(7)));
        remarks.write(&folder, MonoNs(0));
        assert!(!remarks.are_kept());
        std::fs::create_dir(&folder).unwrap();
        remarks.write(&folder, MonoNs(1));
        assert!(!remarks.are_kept(), "so soon nothing is tried again");
        remarks.write(&folder, MonoNs(0) + AGAIN_AFTER);
        remarks.write(&folder, MonoNs(0) + AGAIN_AFTER);
        assert!(remarks.are_kept());
        let kept = recordings::comments(&folder).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!((&kept[0].remark, kept[0].made_utc_ns), (&remark, UtcNs(7)));
    }
}
