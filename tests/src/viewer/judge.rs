//! Whether what a viewer saw is what the source sent, unit by unit. Pure.

use std::collections::HashMap;

use protocol::time::MonoNs;
use serde::Serialize;

use super::fingerprint;
use super::units::Unit;

/// An access unit that a viewer saw whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub print: u64,
    pub came: MonoNs,
    pub key: bool,
    pub damaged: bool,
}

impl Seen {
    pub fn of(unit: &Unit<'_>, came: MonoNs) -> Self {
        Self { print: fingerprint(unit.annex_b), came, key: unit.key, damaged: unit.damaged }
    }
}

/// An access unit of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub print: u64,
    pub captured: MonoNs,
    pub published: MonoNs,
    pub key: bool,
}

/// What a source sent, in order, and where a unit stands in it.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    sent: Vec<Sent>,
    places: HashMap<u64, Vec<usize>>,
}

impl Sequence {
    pub fn push(&mut self, sent: Sent) {
        self.places.entry(sent.print).or_default().push(self.sent.len());
        self.sent.push(sent);
    }

    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// What a viewer's unit was at the source.
    pub fn find(&self, seen: &Seen) -> Option<&Sent> {
        self.sent.get(self.place(seen)?)
    }

    /// A looped source sends the same bytes again and again: the last time before they came is meant.
    fn place(&self, seen: &Seen) -> Option<usize> {
        let places = self.places.get(&seen.print)?;
        places.iter().rev().copied().find(|at| self.sent[*at].published <= seen.came)
    }

    /// Follows a viewer from its first unit on.
    pub fn judge(&self, seen: &[Seen]) -> Verdict {
        let mut verdict = Verdict { units: seen.len(), ..Verdict::default() };
        verdict.begins_with_key = seen.first().is_some_and(|first| first.key);
        let mut last: Option<usize> = None;
        for one in seen {
            let follows = last.map(|last| last + 1).filter(|next| {
                self.sent.get(*next).is_some_and(|sent| sent.print == one.print && !one.damaged)
            });
            let Some(at) = follows.or_else(|| self.place(one).filter(|_| !one.damaged)) else {
                verdict.foreign += 1;
                continue;
            };
            match last {
                Some(last) if at <= last => verdict.backward += 1,
                Some(last) => verdict.lost += at - last - 1,
                None => {}
            }
            last = Some(at);
            let ns = one.came.0.saturating_sub(self.sent[at].captured.0);
            verdict.delays_ns.push(ns);
        }
        verdict
    }
}

/// What became of a viewer's units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub units: usize,
    pub begins_with_key: bool,
    /// Of no bytes that the source sent, or with a packet missing.
    pub foreign: usize,
    pub lost: usize,
    pub backward: usize,
    /// From capture to the last byte at the viewer, of each unit that is the source's.
    #[serde(skip)]
    pub delays_ns: Vec<u64>,
}

impl Verdict {
    pub fn is_exact(&self) -> bool {
        self.units > 0 && self.begins_with_key && self.foreign + self.lost + self.backward == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(prints: &[u64]) -> Sequence {
        let mut sequence = Sequence::default();
        for (at, print) in (0u64..).zip(prints) {
            let at = MonoNs(100 * at);
            sequence.push(Sent { print: *print, captured: at, published: at, key: print % 2 == 1 });
        }
        sequence
    }

    fn seen(units: &[(u64, u64)]) -> Vec<Seen> {
        let of = |&(print, came): &(u64, u64)| Seen {
            print,
            came: MonoNs(came),
            key: print % 2 == 1,
            damaged: false,
        };
        units.iter().map(of).collect()
    }

    #[test]
    fn a_viewer_that_begins_at_a_key_and_misses_nothing_is_exact() {
        let verdict = sequence(&[1, 2, 3, 4]).judge(&seen(&[(3, 210), (4, 330)]));
        assert!(verdict.is_exact(), "{verdict:?}");
        assert_eq!(verdict.delays_ns, [10, 30]);
    }

    #[test]
    fn what_is_missing_doubled_foreign_or_damaged_is_told() {
        let judge = |units| sequence(&[1, 2, 3, 4, 5]).judge(&seen(units));
        assert_eq!(judge(&[(1, 900), (4, 900)]).lost, 2);
        assert_eq!(judge(&[(1, 900), (2, 900), (2, 900)]).backward, 1);
        assert_eq!(judge(&[(1, 900), (77, 900), (2, 900)]).foreign, 1);
        assert!(!judge(&[(2, 900), (3, 900)]).is_exact(), "it began amid a group");
        let mut damaged = seen(&[(1, 900), (2, 900)]);
        damaged[1].damaged = true;
        assert_eq!(sequence(&[1, 2]).judge(&damaged).foreign, 1);
        assert!(!sequence(&[1]).judge(&[]).is_exact());
    }

    #[test]
    fn the_same_bytes_once_more_are_the_next_lap() {
        let sequence = sequence(&[1, 2, 1, 2]);
        let verdict = sequence.judge(&seen(&[(1, 205), (2, 310)]));
        assert_eq!((verdict.is_exact(), verdict.delays_ns), (true, vec![5, 10]));
        assert!(sequence.judge(&seen(&[(1, 5), (2, 110), (1, 205), (2, 310)])).is_exact());
    }
}
