//! What is kept of a worker's deaths, so that each explains itself afterwards.

use std::collections::VecDeque;

use protocol::admin::RingStatus;
use protocol::control::ItemId;
use protocol::health::Health;
use protocol::name::RingName;
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

/// Deaths kept of each worker.
const DEATHS_MAX: usize = 10;
/// Lines kept of each death, and how much of each: a flood of text may not fill the memory.
pub(crate) const LINES: usize = 20;
const LINE_MAX_CHARS: usize = 300;
/// A page may read every ring there is.
const RINGS_MAX: usize = 64;

/// One death, as `why` shows it. More keys may come; these stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Death {
    pub(crate) time_utc_ns: UtcNs,
    /// `null` when the process could not be started.
    pub(crate) pid: Option<u32>,
    pub(crate) uptime_s: f64,
    pub(crate) reason: String,
    /// Somebody wanted it to end.
    pub(crate) asked_for: bool,
    /// What it was working on; `null` when on nothing, or when it does not say.
    pub(crate) item: Option<ItemId>,
    /// Sequences last taken in and given out; `null` when it does not say.
    pub(crate) progress: Option<Progress>,
    /// The last it printed, oldest first.
    pub(crate) lines: Vec<String>,
    /// Its rings at that moment, inputs first.
    pub(crate) rings: Vec<RingHead>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) in_sequence: u64,
    pub(crate) out_sequence: u64,
    pub(crate) missed: u64,
}

/// How far a ring was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RingHead {
    pub(crate) name: RingName,
    pub(crate) live: bool,
    pub(crate) epoch: u64,
    pub(crate) head: u64,
    pub(crate) age_ms: Option<u64>,
}

/// The last deaths of one worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Dossier {
    deaths: VecDeque<Death>,
}

impl Dossier {
    pub(crate) fn add(&mut self, death: Death) {
        if self.deaths.len() == DEATHS_MAX {
            self.deaths.pop_front();
        }
        self.deaths.push_back(death);
    }

    /// Oldest first.
    pub(crate) fn deaths(&self) -> Vec<&Death> {
        self.deaths.iter().collect()
    }

    /// What the last to die said of it: the text of its last ERROR line.
    pub(crate) fn last_words(&self) -> Option<&str> {
        let lines = &self.deaths.back()?.lines;
        lines.iter().rev().find_map(|line| line.trim_start().strip_prefix("ERROR ")).map(str::trim)
    }
}

/// What the worker was working on. It writes its page itself: a lie costs it an item of its own input.
pub(crate) fn item_in_hand(health: &Health) -> Option<ItemId> {
    let item = ItemId { epoch: health.item_epoch, sequence: health.item_sequence };
    (item.sequence != 0).then_some(item)
}

impl Progress {
    pub(crate) fn of(health: &Health) -> Self {
        let Health { in_sequence, out_sequence, missed, .. } = *health;
        Self { in_sequence, out_sequence, missed }
    }
}

impl RingHead {
    pub(crate) fn of(ring: RingStatus) -> Self {
        let RingStatus { name, live, epoch, head, age_ms, .. } = ring;
        Self { name, live, epoch, head, age_ms }
    }
}

/// As many of a worker's rings as are looked at when it dies.
pub(crate) fn looked_at<T>(rings: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    rings.take(RINGS_MAX)
}

pub(crate) fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE_MAX_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn death(reason: &str, sequence: u64) -> Death {
        let health = Health { item_epoch: 7, item_sequence: sequence, ..Health::default() };
        Death {
            time_utc_ns: UtcNs(0),
            pid: Some(1),
            uptime_s: 0.5,
            reason: reason.to_owned(),
            asked_for: false,
            item: item_in_hand(&health),
            progress: Some(Progress::of(&health)),
            lines: Vec::new(),
            rings: Vec::new(),
        }
    }

    #[test]
    fn the_last_words_are_those_of_the_last_error() {
        let mut dossier = Dossier::default();
        assert_eq!(dossier.last_words(), None);
        let lines = [" INFO begins", "ERROR first", "ERROR /x.mp4: no such file", " WARN bye"];
        dossier.add(Death { lines: lines.map(str::to_owned).to_vec(), ..death("exit 69", 1) });
        assert_eq!(dossier.last_words(), Some("/x.mp4: no such file"));
    }

    #[test]
    fn the_last_ten_deaths_are_kept() {
        let mut dossier = Dossier::default();
        for sequence in 0..25 {
            dossier.add(death("SIGKILL", sequence));
        }
        let items: Vec<_> = dossier.deaths().iter().map(|death| death.item).collect();
        assert_eq!(items.len(), DEATHS_MAX);
        assert_eq!(items[9], Some(ItemId { epoch: 7, sequence: 24 }));
        assert_eq!(death("SIGKILL", 0).item, None);
    }

    #[test]
    fn long_lines_are_shortened_between_characters() {
        let short = shortened(&"ü".repeat(1000));
        assert_eq!(short.chars().count(), LINE_MAX_CHARS + 3);
        assert_eq!(shortened("x"), "x");
    }
}
