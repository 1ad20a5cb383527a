//! What is known of one source's sound, by the mix's own numbers. Pure.

use std::collections::VecDeque;

use crate::schedule::RATE_HZ;

/// More than this ahead of the mix is kept of no source: its clock is wrong.
const AHEAD_MAX: i64 = 10 * RATE_HZ as i64;

/// Samples at their places; where there are none is silence.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    channels: usize,
    /// Number of the first sample that is held.
    first: i64,
    /// Of all channels by turns.
    samples: VecDeque<f32>,
}

/// What of some samples could not be used, in samples of each channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unused {
    /// Their time was mixed already.
    pub(crate) late: i64,
    /// So far in the future that they cannot be.
    pub(crate) early: i64,
}

impl Store {
    pub(crate) fn new(channels: usize) -> Self {
        Self { channels: channels.max(1), first: 0, samples: VecDeque::new() }
    }

    /// Takes samples that begin at `at`. `position` is where the mix is; what lies before it, and what is
    /// there already, is left out.
    pub(crate) fn put(&mut self, at: i64, samples: &[f32], position: i64) -> Unused {
        let count = self.frames(samples.len());
        let late = position.saturating_sub(at).clamp(0, count);
        let early = (at + count).saturating_sub(position + AHEAD_MAX).clamp(0, count - late);
        let twice = if self.samples.is_empty() { 0 } else { self.end() - at };
        let skipped = late.max(twice).clamp(0, count - early);
        let (from, to) = (self.index(skipped), self.index(count - early));
        let fresh = samples.get(from..to).unwrap_or_default();
        if !fresh.is_empty() {
            self.silence_until(at + skipped);
            self.samples.extend(fresh);
        }
        Unused { late, early }
    }

    /// Adds the samples from `from` on to `mix`, and lets go of what lies before the end of that. The gain
    /// goes evenly from the one to the other. Answers the loudest of them, with its gain.
    pub(crate) fn add_to(&mut self, mix: &mut [f32], from: i64, gains: [f32; 2]) -> f32 {
        let count = self.frames(mix.len());
        let [begin, end] = gains;
        let mut peak = 0.0f32;
        for (number, frame) in (0u16..).zip(mix.chunks_exact_mut(self.channels)) {
            let at = from + i64::from(number) - self.first;
            if at < 0 {
                continue;
            }
            let gain = begin + (end - begin) * f32::from(number) / count as f32;
            for (channel, sum) in frame.iter_mut().enumerate() {
                let held = self.samples.get(self.index(at) + channel);
                let sample = held.map_or(0.0, |sample| sample * gain);
                peak = peak.max(sample.abs());
                *sum += sample;
            }
        }
        self.forget_before(from + count);
        peak
    }

    fn forget_before(&mut self, at: i64) {
        let gone = self.index((at - self.first).max(0)).min(self.samples.len());
        self.samples.drain(..gone);
        self.first = self.first.max(at);
    }

    /// What comes next is at `at`, not before the end.
    fn silence_until(&mut self, at: i64) {
        if self.samples.is_empty() {
            self.first = at;
            return;
        }
        let hole = self.index((at - self.end()).max(0));
        self.samples.extend(std::iter::repeat_n(0.0, hole));
    }

    fn end(&self) -> i64 {
        self.first + self.frames(self.samples.len())
    }

    fn frames(&self, values: usize) -> i64 {
        i64::try_from(values / self.channels).unwrap_or(i64::MAX)
    }

    fn index(&self, frames: i64) -> usize {
        usize::try_from(frames).unwrap_or(0) * self.channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: [f32; 2] = [1.0, 1.0];

    fn taken(store: &mut Store, from: i64, count: usize) -> Vec<f32> {
        let mut mix = vec![0.0; count];
        store.add_to(&mut mix, from, PLAIN);
        mix
    }

    #[test]
    fn samples_are_heard_where_they_lie_and_silence_elsewhere() {
        let mut store = Store::new(1);
        store.put(102, &[1.0, 2.0], 100);
        store.put(106, &[3.0], 100);
        assert_eq!(taken(&mut store, 100, 4), [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(taken(&mut store, 104, 4), [0.0, 0.0, 3.0, 0.0]);
        assert_eq!(taken(&mut store, 108, 2), [0.0, 0.0]);
    }

    #[test]
    fn what_comes_late_twice_or_from_the_future_is_left_out_and_told() {
        let mut store = Store::new(1);
        assert_eq!(store.put(98, &[1.0, 2.0, 3.0], 100), Unused { late: 2, early: 0 });
        assert_eq!(store.put(100, &[9.0, 4.0], 100), Unused::default());
        assert_eq!(taken(&mut store, 100, 3), [3.0, 4.0, 0.0]);
        assert_eq!(store.put(90, &[1.0], 103), Unused { late: 1, early: 0 });
        let far = 103 + AHEAD_MAX;
        assert_eq!(store.put(far, &[1.0], 103), Unused { late: 0, early: 1 });
        assert_eq!(taken(&mut store, 103, 1), [0.0]);
    }

    #[test]
    fn a_gain_goes_evenly_from_one_to_the_other_and_channels_stay_apart() {
        let mut store = Store::new(2);
        store.put(0, &[1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0], 0);
        let mut mix = vec![0.5; 8];
        let peak = store.add_to(&mut mix, 0, [0.0, 1.0]);
        assert_eq!(mix, [0.5, 0.5, 0.75, 0.25, 1.0, 0.0, 1.25, -0.25]);
        assert_eq!(peak, 0.75);
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_the_mix_is_as_long_as_asked(
            puts in proptest::collection::vec((-2_000_000i64..2_000_000, 1usize..2_000), 1..40),
        ) {
            let mut store = Store::new(1);
            for (round, (at, count)) in (0..).zip(puts) {
                store.put(at, &vec![1.0; count], round * 960);
                prop_assert!(store.frames(store.samples.len()) <= AHEAD_MAX);
                let mix = taken(&mut store, round * 960, 960);
                prop_assert!(mix.iter().all(|sample| (0.0..=1.0).contains(sample)));
            }
        }
    }
}
