//! Which recordings are to be sent, and in which order. Pure: what is seen of the files goes in.
//!
//! ```text
//! seen ── unchanged for a while, and not being written ──> waits ── taken ──> under way ── done
//!                                                            ▲                     │
//!                                                            └──── rest ── failed ─┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use https::Backoff;
use protocol::time::{MonoNs, UtcNs};

/// A file that its recorder has ended stays as it is, but for one case: after a kill the group of pictures at its
/// end goes to the next file and is cut off. That is done within a group and a sync.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// A recorder that is not there may come back and join on to its newest files: cut or remove them. It can as long as
/// the ring holds what they end with, which is seconds, or some minutes of a slow camera.
pub(crate) const LEFT_AFTER: Duration = Duration::from_secs(600);

/// A recording of one camera.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) folder: PathBuf,
    pub(crate) number: u64,
}

/// A recording as it lies there, and is not in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) path: PathBuf,
    pub(crate) capture: Option<UtcNs>,
    pub(crate) bytes: u64,
    pub(crate) modified_ns: u64,
    /// By the clock of the machine it has not been changed for long.
    pub(crate) quiet: bool,
    /// A recorder may be writing it.
    pub(crate) live: bool,
    /// A recorder that is not there now may join on to it.
    pub(crate) left: bool,
}

#[derive(Debug)]
struct Waiting {
    seen: Seen,
    /// Unchanged since.
    since: MonoNs,
    under_way: bool,
    backoff: Backoff,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// When the oldest was captured.
    pub(crate) oldest: Option<UtcNs>,
}

/// All that is not in the store yet.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    waiting: BTreeMap<Id, Waiting>,
}

impl Backlog {
    /// All that a camera's folder holds and the store does not. What had been waiting and is gone from the folder
    /// is counted: retention took it, or a person.
    pub(crate) fn see(&mut self, folder: &PathBuf, seen: Vec<(u64, Seen)>, now: MonoNs) -> u64 {
        let there: BTreeSet<u64> = seen.iter().map(|(number, _)| *number).collect();
        let of_folder = |id: &Id| id.folder == *folder;
        let gone: Vec<Id> = self
            .waiting
            .iter()
            .filter(|(id, it)| of_folder(id) && !it.under_way && !there.contains(&id.number))
            .map(|(id, _)| id.clone())
            .collect();
        // A recorder takes back what it has only begun.
        let gone = gone.iter().filter_map(|id| self.waiting.remove(id));
        let lost = gone.filter(|it| !it.seen.live && !it.seen.left).count();
        for (number, seen) in seen {
            let id = Id { folder: folder.clone(), number };
            let waiting = self.waiting.entry(id).or_insert_with(|| Waiting {
                seen: seen.clone(),
                since: now,
                under_way: false,
                backoff: Backoff::default(),
            });
            if waiting.seen != seen {
                // Who comes back to it may be about to cut it.
                let hands = |seen: &Seen| seen.live || seen.left;
                let same = (waiting.seen.bytes, waiting.seen.modified_ns)
                    == (seen.bytes, seen.modified_ns)
                    && (hands(&seen) || !hands(&waiting.seen));
                waiting.since = if same { waiting.since } else { now };
                waiting.seen = seen;
            }
        }
        lost as u64
    }

    /// The next to be sent, which is under way from here on: the oldest of those that have failed least.
    pub(crate) fn take(&mut self, now: MonoNs) -> Option<(Id, Seen)> {
        let is_due =
            |it: &Waiting| it.is_settled(now) && !it.under_way && it.backoff.wait(now).is_zero();
        let (id, waiting) = self
            .waiting
            .iter_mut()
            .filter(|(_, it)| is_due(it))
            .min_by_key(|(id, it)| (it.backoff.is_in_trouble(), it.seen.capture, id.number))?;
        waiting.under_way = true;
        Some((id.clone(), waiting.seen.clone()))
    }

    /// It is in the store, or no more.
    pub(crate) fn done(&mut self, id: &Id) {
        self.waiting.remove(id);
    }

    /// It is tried again later.
    pub(crate) fn failed(&mut self, id: &Id, now: MonoNs, random: u64) {
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.under_way = false;
            waiting.backoff.failed(now, random);
        }
    }

    /// It is tried again as soon as it has settled: it has changed meanwhile.
    pub(crate) fn changed(&mut self, id: &Id, now: MonoNs) {
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.under_way = false;
            waiting.since = now;
        }
    }

    /// What is to be sent, with what is under way.
    pub(crate) fn sum(&self, now: MonoNs) -> Sum {
        let due = self.waiting.values().filter(|it| it.is_settled(now));
        due.fold(Sum::default(), |sum, it| Sum {
            files: sum.files + 1,
            bytes: sum.bytes + it.seen.bytes,
            oldest: match (sum.oldest, it.seen.capture) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        })
    }

    /// Whether there is a file that could not be sent.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.waiting.values().any(|it| it.backoff.is_in_trouble())
    }

    /// Whether a folder holds what may become due without any change that can be seen.
    pub(crate) fn holds_any_of(&self, folder: &PathBuf) -> bool {
        let first = Id { folder: folder.clone(), number: 0 };
        let of_folder = self.waiting.range(first..).take_while(|(id, _)| id.folder == *folder);
        // One that is written shows it when it ends: there is a newer one.
        of_folder.map(|(_, it)| it).any(|it| !it.seen.live)
    }
}

impl Waiting {
    fn is_settled(&self, now: MonoNs) -> bool {
        let after = if self.seen.left { LEFT_AFTER } else { SETTLED_AFTER };
        let unchanged = now.saturating_since(self.since) >= after;
        !self.seen.live && (self.seen.quiet || unchanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    fn seen(number: u64, bytes: u64, live: bool) -> (u64, Seen) {
        let path = format!("/r/cam1/{number}.mp4").into();
        let (capture, modified_ns) = (Some(UtcNs(number)), bytes);
        (number, Seen { path, capture, bytes, modified_ns, quiet: false, live, left: false })
    }

    fn folder() -> PathBuf {
        "/r/cam1".into()
    }

    fn number(taken: Option<(Id, Seen)>) -> Option<u64> {
        taken.map(|(id, _)| id.number)
    }

    #[test]
    fn a_file_is_sent_when_it_has_not_changed_for_a_while_and_nobody_writes_it() {
        let mut backlog = Backlog::default();
        backlog.see(&folder(), vec![seen(1, 10, false), seen(2, 5, true)], at(0));
        assert_eq!(number(backlog.take(at(4))), None);
        // Its last group of pictures was cut off.
        backlog.see(&folder(), vec![seen(1, 8, false), seen(2, 7, true)], at(4));
        assert_eq!(number(backlog.take(at(6))), None);
        let (id, taken) = backlog.take(at(9)).unwrap();
        assert_eq!((id.number, taken.bytes), (1, 8));
        assert_eq!(number(backlog.take(at(100))), None, "the other one is being written");
        backlog.done(&id);
        backlog.see(&folder(), vec![seen(2, 7, false), seen(3, 1, true)], at(100));
        assert_eq!(number(backlog.take(at(104))), None, "a recorder may still join on to it");
        assert_eq!(backlog.sum(at(105)), Sum { files: 1, bytes: 7, oldest: Some(UtcNs(2)) });
        assert_eq!(number(backlog.take(at(105))), Some(2));
    }

    #[test]
    fn a_file_that_a_recorder_may_come_back_to_is_sent_when_none_came_for_long() {
        let left = |number| {
            let (number, seen) = seen(number, 10, false);
            vec![(number, Seen { left: true, ..seen })]
        };
        let mut backlog = Backlog::default();
        backlog.see(&folder(), left(1), at(0));
        assert_eq!(number(backlog.take(at(599))), None);
        assert_eq!(number(backlog.take(at(600))), Some(1), "its camera is gone for good");
        // A recorder came back, and took the whole file into its next one: nothing is lost.
        let mut backlog = Backlog::default();
        backlog.see(&folder(), left(1), at(0));
        assert_eq!(backlog.see(&folder(), vec![seen(2, 1, true)], at(60)), 0);
        // Or it took a part of it, a moment after it had begun the next one.
        let mut backlog = Backlog::default();
        backlog.see(&folder(), left(1), at(0));
        backlog.see(&folder(), vec![seen(1, 10, false), seen(2, 1, true)], at(60));
        assert_eq!(number(backlog.take(at(62))), None);
        backlog.see(&folder(), vec![seen(1, 8, false), seen(2, 9, true)], at(63));
        assert_eq!(backlog.take(at(68)).unwrap().1.bytes, 8);
    }

    #[test]
    fn a_file_of_an_earlier_day_need_not_be_watched_first() {
        let mut backlog = Backlog::default();
        let (number, old) = seen(1, 10, false);
        backlog.see(&folder(), vec![(number, Seen { quiet: true, ..old })], at(0));
        assert!(backlog.take(at(0)).is_some());
    }

    #[test]
    fn the_oldest_go_first_and_one_that_fails_holds_up_no_other() {
        let mut backlog = Backlog::default();
        backlog.see(&folder(), (1..=3).map(|number| seen(number, 1, false)).collect(), at(0));
        let (first, _) = backlog.take(at(10)).unwrap();
        backlog.failed(&first, at(10), 0);
        assert_eq!(number(backlog.take(at(20))), Some(2));
        assert_eq!(number(backlog.take(at(20))), Some(3));
        assert_eq!(number(backlog.take(at(20))), Some(1));
        backlog.failed(&first, at(20), 0);
        assert_eq!(number(backlog.take(at(20))), None);
        assert_eq!(number(backlog.take(at(23))), Some(1));
    }

    #[test]
    fn what_goes_before_it_was_sent_is_counted() {
        let mut backlog = Backlog::default();
        backlog.see(&folder(), (1..=3).map(|number| seen(number, 1, false)).collect(), at(0));
        let other: PathBuf = "/r/cam2".into();
        backlog.see(&other, vec![seen(1, 1, false)], at(0));
        backlog.take(at(10)).unwrap();
        // The one under way is read to its end.
        assert_eq!(backlog.see(&folder(), vec![seen(3, 1, false)], at(10)), 1);
        assert!(backlog.holds_any_of(&folder()) && backlog.holds_any_of(&other));
        assert_eq!(backlog.see(&other, Vec::new(), at(10)), 1);
        assert!(!backlog.holds_any_of(&other));
        // One that had only begun.
        backlog.see(&other, vec![seen(1, 1, true)], at(10));
        assert!(!backlog.holds_any_of(&other));
        assert_eq!(backlog.see(&other, Vec::new(), at(11)), 0);
    }
}
