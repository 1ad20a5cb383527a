//! The last minutes of every ring: how much came a second, and how far behind its readers were. Pure: the caller
//! brings the census and the time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::admin::RingStatus;
use protocol::name::RingName;
use protocol::time::MonoNs;
use schemars::JsonSchema;
use serde::Serialize;

use crate::board::count;

/// A sample is taken this often.
pub const STEP: Duration = Duration::from_secs(5);
/// And so many are kept: five minutes, as many points as a line the size of a word shows.
pub const SAMPLES: usize = 60;
/// Readers told of each ring: programs that come and go under ever new names are not all remembered.
const READERS_MAX: usize = 32;

/// What is remembered of all rings.
#[derive(Debug, Default)]
pub struct History {
    rings: BTreeMap<RingName, Past>,
}

/// `/api/v1/history`. Lines have a value a step, the newest last; `null` where nothing is known.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Told {
    pub step_ms: u64,
    pub rings: BTreeMap<RingName, Lines>,
}

/// The past of one ring.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Lines {
    /// Items a second.
    pub rate: Vec<Option<f64>>,
    /// Items behind, by the reader's name.
    pub lag: BTreeMap<String, Vec<Option<u64>>>,
}

#[derive(Debug, Default)]
struct Past {
    last: Option<Sample>,
    rate: VecDeque<Option<f64>>,
    lag: BTreeMap<String, VecDeque<Option<u64>>>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: MonoNs,
    epoch: u64,
    head: u64,
}

impl History {
    /// Takes one look at the rings; call it once a [`STEP`].
    pub fn observe(&mut self, now: MonoNs, rings: &[RingStatus]) {
        for ring in rings {
            self.rings.entry(ring.name.clone()).or_default().observe(now, ring);
        }
        for (name, past) in &mut self.rings {
            if !rings.iter().any(|ring| ring.name == *name) {
                past.vanished();
            }
        }
        self.rings.retain(|_, past| past.last.is_some() || is_known(&past.rate));
    }

    pub fn told(&self) -> Told {
        let rings = self.rings.iter().map(|(name, past)| (name.clone(), past.told())).collect();
        Told { step_ms: u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX), rings }
    }
}

impl Past {
    fn observe(&mut self, now: MonoNs, ring: &RingStatus) {
        let sample = Sample { at: now, epoch: ring.epoch, head: ring.head };
        let rate = self.last.replace(sample).and_then(|last| last.rate_until(sample));
        push(&mut self.rate, rate);
        for reader in &ring.readers {
            if self.lag.len() < READERS_MAX {
                self.lag.entry(reader.name.clone()).or_default();
            }
        }
        for (name, line) in &mut self.lag {
            // Two programs may call themselves the same: the one that is worse off is shown.
            let of_name = ring.readers.iter().filter(|reader| reader.name == *name);
            push(line, of_name.map(|reader| reader.lag).max());
        }
        self.lag.retain(|_, line| is_known(line));
    }

    fn vanished(&mut self) {
        self.last = None;
        push(&mut self.rate, None);
        self.lag.values_mut().for_each(|line| push(line, None));
        self.lag.retain(|_, line| is_known(line));
    }

    fn told(&self) -> Lines {
        let lag = self.lag.iter().map(|(name, line)| (name.clone(), padded(line)));
        Lines { rate: padded(&self.rate), lag: lag.collect() }
    }
}

impl Sample {
    /// Items a second since; `None` over a restart of the writer, whose numbers begin anew.
    fn rate_until(self, later: Self) -> Option<f64> {
        let took = later.at.saturating_since(self.at);
        let goes_on = later.epoch == self.epoch && later.head >= self.head && !took.is_zero();
        let rate = || count(self.head, later.head) / took.as_secs_f64();
        goes_on.then(|| (rate() * 10.0).round() / 10.0)
    }
}

fn push<T>(line: &mut VecDeque<Option<T>>, value: Option<T>) {
    if line.len() == SAMPLES {
        line.pop_front();
    }
    line.push_back(value);
}

fn is_known<T>(line: &VecDeque<Option<T>>) -> bool {
    line.iter().any(Option::is_some)
}

/// As long as all other lines, so that they can be drawn above each other.
fn padded<T: Clone>(line: &VecDeque<Option<T>>) -> Vec<Option<T>> {
    let unknown = std::iter::repeat_n(None, SAMPLES - line.len());
    unknown.chain(line.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::admin::ReaderStatus;
    use protocol::time::NS_PER_S;

    fn ring(epoch: u64, head: u64, readers: &[(&str, u64)]) -> RingStatus {
        let reader = |(name, lag): &(&str, u64)| ReaderStatus {
            name: (*name).to_owned(),
            lag: *lag,
            ..ReaderStatus::default()
        };
        RingStatus {
            epoch,
            head,
            readers: readers.iter().map(reader).collect(),
            ..RingStatus::absent("a.frames".parse().unwrap())
        }
    }

    fn at(step: u64) -> MonoNs {
        MonoNs(100 * NS_PER_S + step * 5 * NS_PER_S)
    }

    fn lines(history: &History) -> Lines {
        history.told().rings.remove(&"a.frames".parse().unwrap()).unwrap()
    }

    #[test]
    fn rates_are_what_came_between_two_looks() {
        let mut history = History::default();
        for step in 0..3 {
            history.observe(at(step), &[ring(1, step * 100, &[("x", step)])]);
        }
        let Lines { rate, lag } = lines(&history);
        assert_eq!(
            (rate.len(), &rate[SAMPLES - 4..]),
            (SAMPLES, &[None, None, Some(20.0), Some(20.0)][..])
        );
        assert_eq!(lag["x"][SAMPLES - 3..], [Some(0), Some(1), Some(2)]);
        assert_eq!(history.told().step_ms, 5_000);
    }

    #[test]
    fn a_new_epoch_is_a_hole_and_no_flood() {
        let mut history = History::default();
        history.observe(at(0), &[ring(1, 1_000_000, &[])]);
        history.observe(at(1), &[ring(2, 50, &[])]);
        history.observe(at(2), &[ring(2, 100, &[])]);
        assert_eq!(lines(&history).rate[SAMPLES - 3..], [None, None, Some(10.0)]);
    }

    #[test]
    fn what_is_gone_for_long_is_forgotten() {
        let mut history = History::default();
        history.observe(at(0), &[ring(1, 0, &[("x", 1)])]);
        history.observe(at(1), &[ring(1, 5, &[("y", 1), ("y", 7)])]);
        assert_eq!(lines(&history).lag["y"][SAMPLES - 1], Some(7));
        assert_eq!(lines(&history).lag["x"][SAMPLES - 2..], [Some(1), None]);
        let steps = u64::try_from(SAMPLES).unwrap();
        (2..steps + 2).for_each(|step| history.observe(at(step), &[]));
        assert_eq!(history.told().rings, BTreeMap::new());
    }

    #[test]
    fn a_crowd_of_names_is_not_remembered() {
        let mut history = History::default();
        let names: Vec<String> = (0..1_000).map(|n| format!("r{n}")).collect();
        let readers: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        history.observe(at(0), &[ring(1, 0, &readers)]);
        assert_eq!(lines(&history).lag.len(), READERS_MAX);
    }
}
