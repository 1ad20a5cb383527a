//! Numbers of the stretches of a camera's stream, which `EXT-X-DISCONTINUITY-SEQUENCE` counts. They never fall, also over
//! restarts of this worker, and they are small: players walk from zero up to them (hls.js does so at each list).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::warn;

/// A stretch of which nothing before is known has the number of the ten minutes, since the begin of 2026, in which its
/// epoch began: so workers that know nothing of each other number alike.
const UNIT_US: u64 = 600_000_000;
const ZERO_US: u64 = 1_767_225_600_000_000;
/// Stretches that are remembered: more than a ring holds.
const KEPT: usize = 64;

/// The numbers of one camera.
#[derive(Debug, Default)]
pub struct Numbers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In their order.
    known: Vec<Known>,
    /// Where they outlive this process.
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    epoch: u64,
    /// How many of its epoch there were before.
    before: u64,
    number: u64,
}

impl Numbers {
    /// From now on they are kept in `file`, and what an earlier process wrote there counts.
    pub fn keep(&self, file: PathBuf) {
        let known = read(&file).unwrap_or_default();
        *self.lock() = State { known, file: Some(file) };
    }

    /// That of a stretch: of `epoch`, in which there were so many `before`.
    pub fn of(&self, epoch: u64, before: u64) -> u64 {
        let mut state = self.lock();
        let same = |known: &&Known| (known.epoch, known.before) == (epoch, before);
        if let Some(known) = state.known.iter().find(same) {
            return known.number;
        }
        let number = next(state.known.last(), epoch);
        state.known.push(Known { epoch, before, number });
        let surplus = state.known.len().saturating_sub(KEPT);
        state.known.drain(..surplus);
        if let Some(file) = &state.file
            && let Err(error) = write(file, &state.known)
        {
            let file = file.display();
            warn!("{file}: {error}; players of HLS may stumble when this worker is restarted");
        }
        number
    }

    /// A poisoned lock still guards a whole list: every change is one call.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more than the last: what is listed keeps its number when more comes (RFC 8216 section 6.2.2).
fn next(last: Option<&Known>, epoch: u64) -> u64 {
    last.map_or_else(|| epoch.saturating_sub(ZERO_US) / UNIT_US, |last| last.number + 1)
}

/// Nothing where there is nothing that can be read: then the time says the number.
fn read(file: &Path) -> Option<Vec<Known>> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Whole, or not at all.
fn write(file: &Path, known: &[Known]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let whole = file.with_extension("new");
    fs::write(&whole, serde_json::to_vec(known)?)?;
    fs::rename(whole, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = ZERO_US + 7 * UNIT_US + 1;

    #[test]
    fn stretches_are_counted_and_known_again() {
        let numbers = Numbers::default();
        assert_eq!(numbers.of(NOW_US, 0), 7);
        assert_eq!(numbers.of(NOW_US, 1), 8);
        assert_eq!(numbers.of(NOW_US + 40, 0), 9, "a camera that was restarted at once");
        assert_eq!([numbers.of(NOW_US, 0), numbers.of(NOW_US, 1)], [7, 8]);
        assert_eq!(numbers.of(NOW_US + 30 * UNIT_US, 0), 10, "and one much later");
    }

    #[test]
    fn workers_that_know_nothing_of_each_other_begin_alike() {
        assert_eq!(Numbers::default().of(NOW_US, 0), Numbers::default().of(NOW_US, 0));
    }

    #[test]
    fn a_worker_that_is_started_again_counts_on() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("web/cam1.json");
        let before = Numbers::default();
        before.keep(file.clone());
        let numbers: Vec<u64> = (0..100).map(|at| before.of(NOW_US + at, 0)).collect();
        let after = Numbers::default();
        after.keep(file.clone());
        assert_eq!(after.of(NOW_US + 99, 0), numbers[99]);
        assert_eq!(after.of(NOW_US + 100, 0), numbers[99] + 1);
        fs::write(&file, b"{").unwrap();
        let anew = Numbers::default();
        anew.keep(file);
        assert_eq!(anew.of(NOW_US, 0), 7, "what cannot be read is nothing");
    }

    #[test]
    fn numbers_stay_small_for_decades() {
        let year_us = 365 * 24 * 3_600 * 1_000_000;
        assert!(Numbers::default().of(ZERO_US + 20 * year_us, 0) < 1_100_000);
    }
}
