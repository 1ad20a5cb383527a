//! How far apart in time the pictures are that cameras show together. Pure.
//!
//! At an instant each camera shows the newest picture that was captured by then. The skew of the instant
//! is the time between the oldest and the newest of these captures. Cameras that show nothing then, or
//! have shown the same picture for a second, do not count.

use serde::Serialize;

/// An instant is looked at every second.
const STEP_NS: u64 = 1_000_000_000;
/// A picture older than that stands still: a gap, which is told elsewhere.
const FRESH_NS: u64 = 1_000_000_000;

/// What was measured between all cameras of an export.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Skew {
    /// Instants at which two cameras or more showed something.
    pub instants: usize,
    pub median_ms: f64,
    pub max_ms: f64,
    /// Capture times are known no better than this: the largest jitter of a camera.
    pub uncertain_ms: f64,
}

/// `pictures`: of each camera, when its pictures were captured, oldest first. `None` when no two cameras
/// ever show something together.
pub(crate) fn between(pictures: &[&[u64]], uncertain_ns: i64) -> Option<Skew> {
    let first = pictures.iter().filter_map(|of| of.first()).min()?;
    let last = pictures.iter().filter_map(|of| of.last()).max()?;
    let step = usize::try_from(STEP_NS).unwrap_or(usize::MAX);
    let mut skews: Vec<u64> =
        (*first..=*last).step_by(step).filter_map(|instant| at(pictures, instant)).collect();
    skews.sort_unstable();
    let max = *skews.last()?;
    let median = skews[skews.len() / 2];
    let uncertain_ms = ms(u64::try_from(uncertain_ns).unwrap_or(0));
    Some(Skew { instants: skews.len(), median_ms: ms(median), max_ms: ms(max), uncertain_ms })
}

fn at(pictures: &[&[u64]], instant: u64) -> Option<u64> {
    let shown = |of: &&[u64]| {
        let newest = *of.get(of.partition_point(|capture| *capture <= instant).checked_sub(1)?)?;
        (instant - newest < FRESH_NS).then_some(newest)
    };
    let shown: Vec<u64> = pictures.iter().filter_map(shown).collect();
    let (oldest, newest) = (shown.iter().min()?, shown.iter().max()?);
    (shown.len() > 1).then(|| newest - oldest)
}

/// Milliseconds with three decimals.
pub(crate) fn ms(ns: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people; 2^53 us are 285 years")]
    let us = (ns / 1000) as f64;
    us / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture every 40 ms for so many seconds.
    fn pictures(from_ms: u64, seconds: u64) -> Vec<u64> {
        (0..seconds * 25).map(|number| (from_ms + number * 40) * 1_000_000).collect()
    }

    #[test]
    fn cameras_that_are_apart_by_a_part_of_a_picture_show_that() {
        let (one, other) = (pictures(0, 10), pictures(15, 10));
        let skew = between(&[&one, &other], 3_000_000).unwrap();
        // At full seconds the one shows a picture of now, the other one of 25 ms ago.
        assert_eq!((skew.median_ms, skew.max_ms, skew.uncertain_ms), (25.0, 25.0, 3.0));
        assert_eq!(skew.instants, 9);
    }

    #[test]
    fn a_camera_in_a_gap_does_not_count() {
        let (one, other) = (pictures(0, 10), pictures(0, 2));
        let skew = between(&[&one, &other], 0).unwrap();
        // Its last picture is one of 1.96 s: at 2 s it is shown still, at 3 s it stands still.
        assert_eq!((skew.instants, skew.max_ms), (3, 40.0));
    }

    #[test]
    fn one_camera_has_no_skew() {
        assert_eq!(between(&[&pictures(0, 3)], 0), None);
        assert_eq!(between(&[], 0), None);
        assert_eq!(between(&[&pictures(0, 1), &pictures(60_000, 1)], 0), None);
    }
}
