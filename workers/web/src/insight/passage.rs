//! The way of a packet or a picture, by the stamps that each stage puts on it, and the latency of each hop. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::name::RingName;
use protocol::time::MonoNs;
use schemars::JsonSchema;
use serde::Serialize;
use stills::picture::Times;

/// Hops are told of the last so many seconds.
pub const WINDOW: Duration = Duration::from_secs(10);
/// And of so many items at most.
const KEPT: usize = 1_000;

/// Where an item was when. Zero is "not said".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    pub capture: MonoNs,
    pub ingest: MonoNs,
    pub decoded: MonoNs,
    pub published: MonoNs,
    /// When this worker copied it, and when it was a JPEG.
    pub taken: MonoNs,
    pub encoded: MonoNs,
}

/// One end of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Capture,
    Ingest,
    Decoded,
    Published,
    Taken,
    Encoded,
}

/// A hop's latency over the window.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Hop {
    pub ring: RingName,
    pub from: Stage,
    pub to: Stage,
    pub median_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub count: usize,
}

/// Stages in their order.
const STAGES: [Stage; 6] =
    [Stage::Capture, Stage::Ingest, Stage::Decoded, Stage::Published, Stage::Taken, Stage::Encoded];

impl From<Times> for Passage {
    fn from(times: Times) -> Self {
        let Times { capture, ingest, decoded, published } = times;
        Self { capture, ingest, decoded, published, ..Self::default() }
    }
}

impl Passage {
    /// When it was at a stage, if that is said.
    pub fn at(&self, stage: Stage) -> Option<MonoNs> {
        let time = match stage {
            Stage::Capture => self.capture,
            Stage::Ingest => self.ingest,
            Stage::Decoded => self.decoded,
            Stage::Published => self.published,
            Stage::Taken => self.taken,
            Stage::Encoded => self.encoded,
        };
        (time.0 != 0).then_some(time)
    }
}

/// The newest passages of one ring.
#[derive(Clone, Debug, Default)]
pub struct Passages(VecDeque<Passage>);

impl Passages {
    pub fn add(&mut self, passage: Passage) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(passage);
    }

    /// The hops between neighbouring stages that items of the window before `now` have said, from `first` on: what
    /// is before is another ring's to tell.
    pub fn hops(&self, ring: &RingName, first: Stage, now: MonoNs) -> Vec<Hop> {
        let in_window = |passage: &&Passage| passage.published + WINDOW >= now;
        let recent: Vec<Passage> = self.0.iter().filter(in_window).copied().collect();
        let begin = STAGES.iter().position(|stage| *stage == first).unwrap_or(0);
        let said = |stage: &&Stage| recent.iter().any(|passage| passage.at(**stage).is_some());
        let stages: Vec<Stage> = STAGES[begin..].iter().filter(said).copied().collect();
        let hop = |pair: &[Stage]| hop(ring, pair[0], pair[1], &recent);
        stages.windows(2).filter_map(hop).collect()
    }
}

fn hop(ring: &RingName, from: Stage, to: Stage, passages: &[Passage]) -> Option<Hop> {
    let took = |passage: &Passage| Some(passage.at(to)?.saturating_since(passage.at(from)?));
    let mut sorted: Vec<Duration> = passages.iter().filter_map(took).collect();
    sorted.sort_unstable();
    // The smallest value that so many per cent do not exceed.
    let at = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map(|took| round(took.as_secs_f64() * 1e3))
    };
    Some(Hop {
        ring: ring.clone(),
        from,
        to,
        median_ms: at(50)?,
        p99_ms: at(99)?,
        max_ms: at(100)?,
        count: sorted.len(),
    })
}

/// To the us: a clock tells no more.
fn round(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const NOW: MonoNs = MonoNs(100_000 * MS);

    fn ring() -> RingName {
        "cam1.frames".parse().unwrap()
    }

    fn passage(published_ms: u64, decoding_ms: u64) -> Passage {
        let at = |ms: u64| MonoNs(ms * MS);
        Passage {
            capture: at(published_ms - decoding_ms - 20),
            ingest: at(published_ms - decoding_ms),
            decoded: at(published_ms),
            published: at(published_ms),
            ..Passage::default()
        }
    }

    fn told(hops: &[Hop]) -> Vec<(Stage, Stage, f64, f64, f64, usize)> {
        let one = |hop: &Hop| (hop.from, hop.to, hop.median_ms, hop.p99_ms, hop.max_ms, hop.count);
        hops.iter().map(one).collect()
    }

    #[test]
    fn hops_are_between_the_stages_that_are_said() {
        let mut passages = Passages::default();
        (1..=100).for_each(|ms| passages.add(passage(99_000 + ms, ms)));
        let hops = passages.hops(&ring(), Stage::Capture, NOW);
        assert_eq!(
            told(&hops),
            [
                (Stage::Capture, Stage::Ingest, 20.0, 20.0, 20.0, 100),
                (Stage::Ingest, Stage::Decoded, 50.0, 99.0, 100.0, 100),
                (Stage::Decoded, Stage::Published, 0.0, 0.0, 0.0, 100),
            ]
        );
        assert_eq!(hops[0].ring, ring());
        assert_eq!(told(&passages.hops(&ring(), Stage::Decoded, NOW)).len(), 1);
    }

    #[test]
    fn a_stage_that_nobody_says_is_passed_over() {
        let mut passages = Passages::default();
        let born = Passage { ingest: MonoNs(0), decoded: MonoNs(0), ..passage(99_500, 10) };
        passages.add(born);
        let hops = passages.hops(&ring(), Stage::Capture, NOW);
        assert_eq!(told(&hops), [(Stage::Capture, Stage::Published, 30.0, 30.0, 30.0, 1)]);
    }

    #[test]
    fn what_is_long_past_is_not_told() {
        let mut passages = Passages::default();
        passages.add(passage(80_000, 10));
        assert_eq!(passages.hops(&ring(), Stage::Capture, NOW), []);
        (0..KEPT + 5).for_each(|_| passages.add(passage(99_999, 1)));
        assert_eq!(passages.hops(&ring(), Stage::Capture, NOW)[0].count, KEPT);
    }

    #[test]
    fn clocks_that_disagree_make_no_time_run_backwards() {
        let mut passages = Passages::default();
        let ahead = Passage { capture: MonoNs(99_990 * MS), ..passage(99_500, 10) };
        passages.add(ahead);
        assert_eq!(passages.hops(&ring(), Stage::Capture, NOW)[0].median_ms, 0.0);
    }
}
