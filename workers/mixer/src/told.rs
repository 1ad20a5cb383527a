//! What people are told of a source. Pure: it is asked at any time.

use std::time::Duration;

use protocol::control::Condition;
use protocol::time::MonoNs;

use crate::schedule::RATE_HZ;
use crate::store::Unused;

/// Without a packet for so long a source is quiet.
const QUIET_AFTER: Duration = Duration::from_secs(2);
/// What was wrong is told for so long after it happened last.
const TOLD_FOR: Duration = Duration::from_secs(10);

/// Why a source is not heard as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// It is not there; silence stands for it.
    Absent(String),
    /// It is there, and something is wrong with it.
    Trouble(String),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Why the ring is not there; empty while it is.
    absence: String,
    /// Why nothing of it can be heard; empty otherwise.
    unheard: String,
    /// Of the last packet, and of the last one with sound.
    present: Option<MonoNs>,
    heard: Option<MonoNs>,
    trouble: Option<(String, MonoNs)>,
    /// That came late, where that is the trouble.
    late_ms: i64,
}

impl Told {
    pub(crate) fn absent(&mut self, why: String) {
        (self.absence, self.heard, self.present) = (why, None, None);
    }

    pub(crate) fn present(&mut self, now: MonoNs) {
        self.absence.clear();
        self.present = Some(now);
        // Its sound is expected from here on.
        self.heard.get_or_insert(now);
    }

    pub(crate) fn heard(&mut self, now: MonoNs) {
        self.heard = Some(now);
    }

    pub(crate) fn cannot_be_heard(&mut self, why: String) {
        self.unheard = why;
    }

    pub(crate) fn can_be_heard(&mut self) {
        self.unheard.clear();
    }

    pub(crate) fn damaged(&mut self, why: String, now: MonoNs) {
        (self.trouble, self.late_ms) = (Some((why, now)), 0);
    }

    pub(crate) fn unused(&mut self, unused: Unused, now: MonoNs) {
        let late_ms = unused.late * 1_000 / i64::from(RATE_HZ);
        match &mut self.trouble {
            // In the same words until it is much more: other words are told anew.
            Some((_, at)) if unused.late > 0 && late_ms < 2 * self.late_ms => *at = now,
            trouble if unused.late > 0 => {
                let why = format!(
                    "{late_ms} ms of its sound came after they were mixed; expected all of it \
                     within 'wait': give it more"
                );
                (*trouble, self.late_ms) = (Some((why, now)), late_ms);
            }
            _ if unused.early > 0 => {
                let why =
                    "its times are over 10 s ahead; expected this machine's: see to its clock";
                self.damaged(why.to_owned(), now);
            }
            _ => {}
        }
    }

    pub(crate) fn lack(&mut self, now: MonoNs) -> Option<Lack> {
        let is_old = |since: MonoNs, span| now.saturating_since(since) > span;
        self.trouble.take_if(|(_, at)| is_old(*at, TOLD_FOR));
        if !self.absence.is_empty() {
            return Some(Lack::Absent(self.absence.clone()));
        }
        if !self.unheard.is_empty() {
            return Some(Lack::Trouble(self.unheard.clone()));
        }
        match (self.present, self.heard) {
            (None, _) => return Some(Lack::Absent("nothing came yet".to_owned())),
            (Some(at), _) if is_old(at, QUIET_AFTER) => {
                return Some(Lack::Absent("nothing comes".to_owned()));
            }
            (_, Some(at)) if is_old(at, QUIET_AFTER) => {
                return Some(Lack::Trouble("packets come, and no sound".to_owned()));
            }
            _ => {}
        }
        self.trouble.as_ref().map(|(why, _)| Lack::Trouble(why.clone()))
    }
}

/// Of all sources together: how the worker is, and why.
pub(crate) fn in_words(sources: &[(&str, Option<Lack>)]) -> (Condition, String) {
    let mut is_troubled = false;
    let mut absent = 0;
    let mut words = Vec::new();
    for (name, lack) in sources {
        match lack {
            None => continue,
            Some(Lack::Absent(why)) => {
                absent += 1;
                words.push(format!("without {name}: {why}"));
            }
            Some(Lack::Trouble(why)) => {
                is_troubled = true;
                words.push(format!("{name}: {why}"));
            }
        }
    }
    let condition = match absent {
        _ if is_troubled => Condition::Degraded,
        absent if absent == sources.len() => Condition::Waiting,
        _ => Condition::Flowing,
    };
    (condition, words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    #[test]
    fn a_source_is_absent_quiet_without_sound_or_well() {
        let mut told = Told::default();
        told.absent("ring mic.packets has no writer yet".to_owned());
        assert!(matches!(told.lack(s(1)), Some(Lack::Absent(why)) if why.contains("no writer")));
        told.present(s(2));
        told.heard(s(2));
        assert_eq!(told.lack(s(3)), None);
        told.present(s(8));
        assert!(matches!(told.lack(s(9)), Some(Lack::Trouble(why)) if why.contains("no sound")));
        assert_eq!(told.lack(s(20)), Some(Lack::Absent("nothing comes".to_owned())));
        told.cannot_be_heard("has no sound".to_owned());
        assert_eq!(told.lack(s(20)), Some(Lack::Trouble("has no sound".to_owned())));
    }

    #[test]
    fn what_came_late_is_told_for_a_while() {
        let mut told = Told::default();
        told.present(s(1));
        told.unused(Unused { late: 4_800, early: 0 }, s(1));
        told.present(s(10));
        told.heard(s(10));
        assert!(matches!(told.lack(s(10)), Some(Lack::Trouble(why)) if why.contains("100 ms")));
        told.present(s(12));
        told.heard(s(12));
        assert_eq!(told.lack(s(12)), None);
        // In the same words, as long as it is about as much.
        for (late, words) in [(960, "20 ms"), (480, "20 ms"), (1_440, "20 ms"), (1_920, "40 ms")] {
            told.unused(Unused { late, early: 0 }, s(12));
            assert!(matches!(told.lack(s(12)), Some(Lack::Trouble(why)) if why.starts_with(words)));
        }
    }

    #[test]
    fn one_that_is_missing_is_named_and_the_mix_flows() {
        let gone = || Some(Lack::Absent("nothing comes".to_owned()));
        let (condition, why) = in_words(&[("mic", None), ("door", gone())]);
        assert_eq!((condition, why.as_str()), (Condition::Flowing, "without door: nothing comes"));
        assert_eq!(in_words(&[("mic", gone()), ("door", gone())]).0, Condition::Waiting);
        let trouble = Some(Lack::Trouble("has no sound".to_owned()));
        assert_eq!(in_words(&[("mic", None), ("door", trouble)]).0, Condition::Degraded);
        assert_eq!(in_words(&[("mic", None)]), (Condition::Flowing, String::new()));
    }
}
