//! Where a source's samples lie in the mix. Pure.
//!
//! ```text
//! block ──> does it go on behind the last one? ── no ──> a new line begins where it was captured
//!                      │ yes
//!                      └── how far is the line from where it should be? ──> a little faster or slower
//! ```
//!
//! A source's own times say how its samples follow each other; when it was captured says where all of them
//! lie. Between the two is a distance that jitters with the network and creeps with the source's clock: of
//! some seconds the shortest is believed, since nothing arrives before it was heard.

use crate::resample::Resampler;
use crate::schedule::{RATE_HZ, sample_at};
use crate::store::{Store, Unused};

/// Times of packets may be rounded by so much (a millisecond in Matroska) and jitter a little.
const SLACK_NS: i64 = 10_000_000;
/// Times that step back by more are another line's, whether the source says so or not.
const BACK_NS: i64 = 1_000_000_000;
/// Farther from its place than this a line begins anew: 200 ms in samples of the mix.
const JUMP: f64 = 9_600.0;
/// Nearer than this, half a millisecond, it is left alone.
const NEAR: f64 = 24.0;
/// Most that a source is made faster or slower, which nobody hears; no clock drifts as much.
const SPEED_MAX: f64 = 0.001;
/// A shortest distance is believed for so long, and for as long again while another is looked for.
const WINDOW_NS: i64 = 2_000_000_000;

/// A block of a source, its channels those of the mix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub(crate) pts_ns: i64,
    /// When its first sample was heard, by this machine's clock.
    pub(crate) captured_ns: i64,
    pub(crate) rate_hz: u32,
    pub(crate) samples: &'a [f32],
    /// It has nothing to do with what was before.
    pub(crate) anew: bool,
}

#[derive(Debug)]
pub(crate) struct Line {
    channels: usize,
    resampler: Resampler,
    rate_hz: u32,
    /// The next output's place in the mix.
    next: i64,
    /// Inputs so far.
    given: i64,
    /// Where the next block's time should be; `None` before the first one.
    end_ns: Option<i64>,
    distance: Distance,
}

impl Line {
    pub(crate) fn new(channels: usize) -> Self {
        Self {
            channels,
            resampler: Resampler::new(RATE_HZ, RATE_HZ, channels),
            rate_hz: RATE_HZ,
            next: 0,
            given: 0,
            end_ns: None,
            distance: Distance::default(),
        }
    }

    /// Puts the block where it belongs. `position` is where the mix is.
    pub(crate) fn take(&mut self, block: &Block<'_>, store: &mut Store, position: i64) -> Unused {
        let is_back = |end_ns: i64| block.pts_ns < end_ns.saturating_sub(BACK_NS);
        if block.anew || self.end_ns.is_some_and(is_back) {
            self.distance = Distance::default();
        }
        self.distance.see(block.captured_ns.saturating_sub(block.pts_ns), block.pts_ns);
        let wanted = sample_at(block.pts_ns.saturating_add(self.distance.shortest_ns()));
        let follows = self.follows(block).then(|| self.off(wanted));
        let speed = match follows {
            Some(off) if off.abs() <= JUMP => speed(off),
            _ => {
                self.begin(block.rate_hz, wanted);
                1.0
            }
        };
        let out = self.resampler.convert(block.samples, speed);
        let count = i64::try_from(block.samples.len() / self.channels).unwrap_or(0);
        self.given += count;
        let length_ns = count * 1_000_000_000 / i64::from(block.rate_hz.max(1));
        self.end_ns = Some(block.pts_ns.saturating_add(length_ns));
        let unused = store.put(self.next, &out, position);
        self.next += i64::try_from(out.len() / self.channels).unwrap_or(0);
        unused
    }

    fn follows(&self, block: &Block<'_>) -> bool {
        let gap_ns = self.end_ns.map(|end_ns| block.pts_ns.saturating_sub(end_ns));
        let near = gap_ns.is_some_and(|gap_ns| (-SLACK_NS..=SLACK_NS).contains(&gap_ns));
        near && !block.anew && block.rate_hz == self.rate_hz
    }

    fn begin(&mut self, rate_hz: u32, at: i64) {
        self.resampler = Resampler::new(rate_hz, RATE_HZ, self.channels);
        (self.rate_hz, self.next, self.given) = (rate_hz, at, 0);
    }

    /// How much later in the mix than it would come to lie the next input belongs, in samples of the mix.
    fn off(&self, wanted: i64) -> f64 {
        let inputs = self.given as f64 - self.resampler.instant();
        wanted as f64 - (self.next as f64 + inputs / self.resampler.step())
    }
}

/// Of a line that is so far from its place: there within some seconds, and slower the nearer it is.
fn speed(off: f64) -> f64 {
    if off.abs() <= NEAR {
        return 1.0;
    }
    // What is to lie later is stretched.
    1.0 - (off / f64::from(RATE_HZ)).clamp(-SPEED_MAX, SPEED_MAX)
}

/// From a source's times to when it was captured, the shortest of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Distance {
    before_ns: Option<i64>,
    current_ns: Option<i64>,
    /// When the current one began, on the source's times.
    since_ns: i64,
}

impl Distance {
    fn see(&mut self, distance_ns: i64, pts_ns: i64) {
        if !(0..WINDOW_NS).contains(&pts_ns.saturating_sub(self.since_ns)) {
            (self.before_ns, self.current_ns) = (self.current_ns, None);
            self.since_ns = pts_ns;
        }
        self.current_ns = Some(self.current_ns.map_or(distance_ns, |it| it.min(distance_ns)));
    }

    fn shortest_ns(&self) -> i64 {
        self.before_ns.into_iter().chain(self.current_ns).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
