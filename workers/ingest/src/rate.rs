//! Pictures a second, against what should come: what the topology says, else what the camera declares, else
//! what it sent at first. Pure: time is an argument.

use std::time::Duration;

use protocol::config::{RateLimits, Share};
use protocol::health::PictureHealth;
use protocol::time::MonoNs;

/// Long enough for cameras of a picture a second, and for bursts that a network makes.
const WINDOW: Duration = Duration::from_secs(5);
/// So many windows in a row begin what is told, or end it.
const WINDOWS: u32 = 2;
/// What has begun ends this much nearer to what is expected, in percent.
const MARGIN: u32 = 10;
/// Without a word from anybody, the first so many windows say what is usual.
const LEARNED_FROM: usize = 6;
/// Declared rates beyond this are clock rates.
const DECLARED_MAX: f64 = 240.0;

/// Counts the pictures of one camera.
#[derive(Debug)]
pub(crate) struct RateWatch {
    limits: RateLimits,
    declared: Option<f64>,
    learning: Vec<f64>,
    learned: Option<f64>,
    window: Option<Window>,
    /// Windows in a row that said otherwise than what is told.
    against: u32,
    health: PictureHealth,
    why: String,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: MonoNs,
    pictures: u32,
}

/// Pictures a second that should come, and who says so.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Expected {
    rate: f64,
    of: &'static str,
}

impl RateWatch {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            declared: None,
            learning: Vec::new(),
            learned: None,
            window: None,
            against: 0,
            health: PictureHealth::Unknown,
            why: String::new(),
        }
    }

    /// Pictures a second as a fraction, 0/1 when the camera does not say.
    pub(crate) fn declared(&mut self, (num, den): (u32, u32)) {
        let rate = f64::from(num) / f64::from(den.max(1));
        self.declared = Some(rate).filter(|rate| (0.1..=DECLARED_MAX).contains(rate));
    }

    /// A picture came.
    pub(crate) fn picture(&mut self, now: MonoNs) {
        self.pass(now);
        let window = self.window.get_or_insert(Window { since: now, pictures: 0 });
        window.pictures = window.pictures.saturating_add(1);
    }

    /// Time passes, with or without pictures.
    pub(crate) fn pass(&mut self, now: MonoNs) {
        let Some(window) = self.window else { return };
        let lasted = now.saturating_since(window.since);
        if lasted < WINDOW {
            return;
        }
        self.window = Some(Window { since: now, pictures: 0 });
        // Who did not look for so long was away itself.
        if lasted < 2 * WINDOW {
            self.judge(f64::from(window.pictures) / lasted.as_secs_f64());
        }
    }

    /// The camera is not there: nothing is said of its rate, and what is usual stays known.
    pub(crate) fn rest(&mut self) {
        self.window = None;
        self.against = 0;
        self.health = PictureHealth::Unknown;
    }

    pub(crate) fn health(&self) -> PictureHealth {
        self.health
    }

    /// For people; it stays the same while what is told does.
    pub(crate) fn why(&self) -> &str {
        if self.health.is_fault() { &self.why } else { "" }
    }

    fn judge(&mut self, rate: f64) {
        let Share::Percent(percent) = self.limits.rate else { return };
        let Some(expected) = self.expected(rate) else { return };
        let margin = if self.health.is_fault() { MARGIN } else { 0 };
        let share = f64::from((u32::from(percent) + margin).min(100)) / 100.0;
        let is_wrong = rate < expected.rate * share || rate > expected.rate / share;
        if is_wrong == self.health.is_fault() && self.health != PictureHealth::Unknown {
            self.against = 0;
            return;
        }
        self.against += 1;
        if self.against < WINDOWS {
            return;
        }
        self.against = 0;
        self.health = if is_wrong { PictureHealth::Rate } else { PictureHealth::Ok };
        if is_wrong {
            self.why = format!(
                "{rate:.1} pictures a second came; expected about {:.0}, as {}",
                expected.rate, expected.of
            );
        }
    }

    fn expected(&mut self, rate: f64) -> Option<Expected> {
        if let Some(fps) = self.limits.fps {
            return Some(Expected { rate: f64::from(fps), of: "the topology says" });
        }
        if let Some(rate) = self.declared {
            return Some(Expected { rate, of: "the camera declares" });
        }
        if self.learned.is_none() {
            self.learning.push(rate);
            if self.learning.len() >= LEARNED_FROM {
                self.learning.sort_by(f64::total_cmp);
                self.learned = self.learning.get(LEARNED_FROM / 2).copied();
            }
        }
        Some(Expected { rate: self.learned.filter(|rate| *rate > 0.0)?, of: "it sent at first" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watch that saw `fps` pictures a second for so long, from a moment on.
    fn passes(watch: &mut RateWatch, from_s: u64, seconds: u64, fps: u64) -> PictureHealth {
        for number in 0..seconds * fps {
            watch.picture(MonoNs(from_s * 1_000_000_000 + number * 1_000_000_000 / fps));
        }
        let end = MonoNs((from_s + seconds) * 1_000_000_000);
        watch.pass(end);
        watch.health()
    }

    #[test]
    fn far_fewer_than_declared_are_told_and_so_is_their_end() {
        let mut watch = RateWatch::new(RateLimits::default());
        watch.declared((25, 1));
        assert_eq!(passes(&mut watch, 0, 10, 25), PictureHealth::Ok);
        assert_eq!(passes(&mut watch, 10, 5, 4), PictureHealth::Ok);
        assert_eq!(passes(&mut watch, 15, 6, 4), PictureHealth::Rate);
        let why = watch.why().to_owned();
        assert!(why.contains("4.0 pictures") && why.contains("about 25, as the camera declares"));
        // Just above the limit is still too near to it.
        assert_eq!(passes(&mut watch, 21, 20, 11), PictureHealth::Rate);
        assert_eq!(watch.why(), why);
        assert_eq!(passes(&mut watch, 41, 16, 24), PictureHealth::Ok);
        assert_eq!(watch.why(), "");
    }

    #[test]
    fn half_of_it_at_night_is_on_purpose_and_far_too_many_are_not() {
        let mut watch = RateWatch::new(RateLimits::default());
        watch.declared((30, 1));
        assert_eq!(passes(&mut watch, 0, 40, 15), PictureHealth::Ok);
        assert_eq!(passes(&mut watch, 40, 16, 100), PictureHealth::Rate);
    }

    #[test]
    fn the_topology_knows_best_and_without_a_word_what_came_first_is_usual() {
        let mut told = RateWatch::new(RateLimits { fps: Some(5), ..RateLimits::default() });
        told.declared((50, 1));
        assert_eq!(passes(&mut told, 0, 30, 5), PictureHealth::Ok);
        let mut untold = RateWatch::new(RateLimits::default());
        untold.declared((90_000, 1));
        assert_eq!(passes(&mut untold, 0, 60, 20), PictureHealth::Ok);
        assert_eq!(passes(&mut untold, 60, 16, 2), PictureHealth::Rate);
        assert!(untold.why().contains("20, as it sent at first"), "{}", untold.why());
    }

    #[test]
    fn no_picture_at_all_is_a_wrong_rate_until_the_camera_counts_as_gone() {
        let mut watch = RateWatch::new(RateLimits::default());
        watch.declared((25, 1));
        passes(&mut watch, 0, 11, 25);
        for second in 11..30 {
            watch.pass(MonoNs(second * 1_000_000_000));
        }
        assert_eq!(watch.health(), PictureHealth::Rate);
        watch.rest();
        assert_eq!((watch.health(), watch.why()), (PictureHealth::Unknown, ""));
    }

    #[test]
    fn a_stall_of_our_own_and_a_limit_that_is_off_say_nothing() {
        let mut watch = RateWatch::new(RateLimits::default());
        watch.declared((25, 1));
        passes(&mut watch, 0, 11, 25);
        for stall in 1..6 {
            watch.pass(MonoNs((11 + stall * 20) * 1_000_000_000));
        }
        assert_eq!(watch.health(), PictureHealth::Ok);
        let mut off = RateWatch::new(RateLimits { fps: Some(25), rate: Share::Off });
        assert_eq!(passes(&mut off, 0, 60, 1), PictureHealth::Unknown);
    }
}
