//! What comes of a source, counted: rates, key frames, order. Pure.

use media::AccessUnit;
use protocol::stream::{Codec, Track};
use protocol::time::NS_PER_S;
use protocol::units::{BitRate, Size};
use protocol::verb::ProbedTrack;

use super::profile;

/// Steps between pictures that are told as uneven: beyond these parts of the middle one, in percent.
const EVEN_PERCENT: std::ops::RangeInclusive<i64> = 50..=150;
/// So many steps off of a hundred are nothing to speak of: a camera's clock stumbles now and then.
const UNEVEN_OF_100: usize = 10;
/// Steps that are enough to judge by.
const STEPS_MIN: usize = 10;

/// Of all tracks.
#[derive(Debug, Default)]
pub(super) struct Measure {
    tallies: Vec<Tally>,
}

/// Of one track.
#[derive(Clone, Debug, Default)]
struct Tally {
    units: u64,
    bytes: u64,
    corrupt: u64,
    keys_ns: Vec<i64>,
    /// Times of showing, as they came.
    pts_ns: Vec<i64>,
    reorders: bool,
}

/// What can be said of a video track beside numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Conduct {
    pub(super) reorders: bool,
    pub(super) is_uneven: bool,
    pub(super) keys: usize,
    pub(super) corrupt: u64,
}

impl Measure {
    pub(super) fn take(&mut self, unit: &AccessUnit) {
        let track = usize::try_from(unit.track).unwrap_or(0);
        if self.tallies.len() <= track {
            self.tallies.resize(track + 1, Tally::default());
        }
        let tally = &mut self.tallies[track];
        tally.units += 1;
        tally.bytes += u64::try_from(unit.payload.len()).unwrap_or(0);
        tally.corrupt += u64::from(unit.corrupt);
        if unit.key {
            tally.keys_ns.push(unit.pts_ns);
        }
        tally.reorders |= tally.pts_ns.last().is_some_and(|last_ns| unit.pts_ns < *last_ns);
        tally.pts_ns.push(unit.pts_ns);
    }

    /// Units of the first track.
    pub(super) fn units(&self) -> u64 {
        self.tallies.first().map_or(0, |tally| tally.units)
    }

    /// Key frames of the first track.
    pub(super) fn keys(&self) -> usize {
        self.tallies.first().map_or(0, |tally| tally.keys_ns.len())
    }

    /// From the first unit of the first track to its last, in ns.
    pub(super) fn span_ns(&self) -> u64 {
        self.tallies.first().map_or(0, Tally::span_ns)
    }

    pub(super) fn conduct(&self) -> Conduct {
        let Some(tally) = self.tallies.first() else { return Conduct::default() };
        Conduct {
            reorders: tally.reorders,
            is_uneven: tally.is_uneven(),
            keys: tally.keys_ns.len(),
            corrupt: tally.corrupt,
        }
    }

    pub(super) fn tracks(&self, tracks: &[Track]) -> Vec<ProbedTrack> {
        let none = Tally::default();
        let tally = |at: usize| self.tallies.get(at).unwrap_or(&none);
        tracks.iter().enumerate().map(|(at, track)| tally(at).track(track)).collect()
    }
}

impl Tally {
    fn track(&self, track: &Track) -> ProbedTrack {
        let is_video = track.codec.is_video();
        let size = Size { width: track.width, height: track.height };
        ProbedTrack {
            codec: track.codec,
            profile: profile::of(track),
            size: is_video.then_some(size),
            sample_rate_hz: (!is_video).then_some(track.sample_rate_hz),
            channels: (!is_video).then_some(track.channels),
            declared_rate: rate_of(track.frame_rate).filter(|_| is_video),
            rate: self.rate().filter(|_| is_video),
            key_every_ns: self.key_every_ns().filter(|_| is_video && track.codec != Codec::Mjpeg),
            units: self.units,
            bit_rate: BitRate(self.bit_rate()),
        }
    }

    fn sorted(&self) -> Vec<i64> {
        let mut sorted = self.pts_ns.clone();
        sorted.sort_unstable();
        sorted
    }

    fn span_ns(&self) -> u64 {
        let times = (self.pts_ns.iter().min(), self.pts_ns.iter().max());
        match times {
            (Some(first), Some(last)) => first.abs_diff(*last),
            _ => 0,
        }
    }

    /// Units a second.
    fn rate(&self) -> Option<f64> {
        let span_ns = self.span_ns();
        (self.units > 1 && span_ns > 0)
            .then(|| real(self.units - 1) * real(NS_PER_S) / real(span_ns))
    }

    fn bit_rate(&self) -> u64 {
        // The last unit lasts as long as those before it.
        let steps = u128::from(self.units.saturating_sub(1));
        let lasts_ns = u128::from(self.span_ns()) * u128::from(self.units);
        let bits = u128::from(self.bytes) * 8 * u128::from(NS_PER_S) * steps;
        bits.checked_div(lasts_ns).and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
    }

    /// The middle one of the steps between key frames.
    fn key_every_ns(&self) -> Option<u64> {
        let mut steps: Vec<u64> =
            self.keys_ns.windows(2).map(|pair| pair[0].abs_diff(pair[1])).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied()
    }

    fn is_uneven(&self) -> bool {
        let mut steps: Vec<i64> =
            self.sorted().windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        steps.sort_unstable();
        let Some(middle) = steps.get(steps.len() / 2).copied().filter(|step| *step > 0) else {
            return false;
        };
        let off = steps
            .iter()
            .filter(|step| !EVEN_PERCENT.contains(&(step.saturating_mul(100) / middle)));
        steps.len() >= STEPS_MIN && off.count() * 100 > steps.len() * UNEVEN_OF_100
    }
}

fn rate_of((num, den): (u32, u32)) -> Option<f64> {
    (num > 0 && den > 0).then(|| f64::from(num) / f64::from(den))
}

/// For a quotient that people read.
#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use protocol::time::TimeBase;

    use super::*;

    const MS: i64 = 1_000_000;

    fn track() -> Track {
        Track {
            codec: Codec::H264,
            time_base: TimeBase { num: 1, den: 90_000 },
            width: 640,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: Vec::new(),
        }
    }

    fn measured(times_ms: impl Iterator<Item = i64>, key_each: usize) -> Measure {
        let mut measure = Measure::default();
        for (at, ms) in times_ms.enumerate() {
            measure.take(&AccessUnit {
                track: 0,
                key: at % key_each == 0,
                corrupt: false,
                pts_ns: ms * MS,
                dts_ns: ms * MS,
                duration_ns: 0,
                payload: vec![0; 1_000],
            });
        }
        measure
    }

    #[test]
    fn an_even_stream_is_told_by_its_own_numbers() {
        let measure = measured((0..51).map(|at| 700 + at * 40), 25);
        let told = &measure.tracks(&[track()])[0];
        assert_eq!(told.rate, Some(25.0));
        assert_eq!(told.declared_rate, Some(25.0));
        assert_eq!(told.key_every_ns, Some(1_000_000_000));
        assert_eq!(told.bit_rate, BitRate(200_000));
        assert_eq!((measure.keys(), measure.span_ns()), (3, 2_000_000_000));
        let expected = Conduct { keys: 3, ..Conduct::default() };
        assert_eq!(measure.conduct(), expected);
    }

    #[test]
    fn pictures_out_of_order_are_seen_and_are_not_uneven() {
        let order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11, 15, 13, 14];
        let conduct = measured(order.iter().map(|at| at * 40), 100).conduct();
        assert_eq!((conduct.reorders, conduct.is_uneven), (true, false));
    }

    #[test]
    fn a_rate_that_varies_is_told_and_a_stumble_is_not() {
        let varies = (0..40).scan(0, |ms, at| {
            *ms += if at % 3 == 0 { 120 } else { 40 };
            Some(*ms)
        });
        assert!(measured(varies, 10).conduct().is_uneven);
        let stumbles = (0..40).map(|at| at * 40 + if at > 20 { 30 } else { 0 });
        assert!(!measured(stumbles, 10).conduct().is_uneven);
    }

    #[test]
    fn of_nothing_nothing_is_told() {
        let measure = Measure::default();
        let told = &measure.tracks(&[track()])[0];
        assert_eq!((told.rate, told.key_every_ns, told.bit_rate.0), (None, None, 0));
        assert_eq!(measure.conduct(), Conduct::default());
    }
}
