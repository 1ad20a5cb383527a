//! Whether pictures show a living scene: a black, a blank and a frozen picture are told. Pure: samples and
//! their time go in.
//!
//! ```text
//! picture ─ every 0.5 s ─> samples ──> black? blank? the same? ──> Sign ──> PictureHealth
//!                                                    (for so long)   (gone for 2 s)
//! ```

use std::time::Duration;

use protocol::config::{Patience, PictureLimits};
use protocol::health::PictureHealth;
use protocol::time::MonoNs;

/// Samples across and down a picture: 2304 of them cost some us.
pub(crate) const GRID: (u32, u32) = (64, 36);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What was wrong is well when its sign has been gone for so long: a flash in a dark room ends nothing.
const WELL_AFTER: Duration = Duration::from_secs(2);
/// Limited-range black is 16; a sensor in the dark adds some noise.
const DARK: u8 = 28;
/// One colour, as a compressor leaves it.
const FLAT_LEVELS: usize = 8;
/// Of a thousand samples so many may stand out: a dead pixel, the time in a corner of a blue picture.
const OUTLIERS_PER_1000: usize = 20;
/// A still picture that is encoded again and again differs by so much.
const SAME_LEVELS: u8 = 2;
const CHANGED_PER_1000: usize = 2;

/// Looks at the pictures of one camera.
#[derive(Debug)]
pub(crate) struct Judge {
    looked: Option<MonoNs>,
    /// What later pictures are compared with: the first of those that are the same.
    still: Vec<u8>,
    black: Sign,
    blank: Sign,
    frozen: Sign,
}

impl Judge {
    pub(crate) fn new(limits: PictureLimits) -> Self {
        Self {
            looked: None,
            still: Vec::new(),
            black: Sign::new(limits.black),
            blank: Sign::new(limits.blank),
            frozen: Sign::new(limits.frozen),
        }
    }

    /// Whether it is time for another look.
    pub(crate) fn is_due(&self, now: MonoNs) -> bool {
        self.looked.is_none_or(|looked| now.saturating_since(looked) >= LOOK_EVERY)
    }

    /// Takes the samples of a picture into account.
    pub(crate) fn look(&mut self, samples: Vec<u8>, now: MonoNs) {
        self.looked = Some(now);
        let is_black = is_black(&samples);
        self.black.see(is_black, now);
        self.blank.see(!is_black && is_blank(&samples), now);
        let is_same = is_same(&self.still, &samples);
        self.frozen.see(is_same, now);
        if !is_same {
            self.still = samples;
        }
    }

    /// No pictures come any more that it could look at.
    pub(crate) fn rest(&mut self) {
        self.looked = None;
        self.still.clear();
        for sign in [&mut self.black, &mut self.blank, &mut self.frozen] {
            sign.forget();
        }
    }

    /// What tells most: a black picture is also the same all the time.
    pub(crate) fn health(&self) -> PictureHealth {
        match self.looked {
            None => PictureHealth::Unknown,
            _ if self.black.is_told => PictureHealth::Black,
            _ if self.blank.is_told => PictureHealth::Blank,
            _ if self.frozen.is_told => PictureHealth::Frozen,
            Some(_) => PictureHealth::Ok,
        }
    }
}

/// What to do about it, for people.
pub(crate) fn in_words(health: PictureHealth) -> &'static str {
    match health {
        PictureHealth::Black => {
            "the picture is black; expected a scene: is there light, and nothing over the lens?"
        }
        PictureHealth::Blank => {
            "the picture is of one colour; expected a scene: is the lens covered, or the sensor's cable off?"
        }
        PictureHealth::Frozen => {
            "the picture is frozen: the same for long; expected one that changes: restart the camera"
        }
        _ => "",
    }
}

/// One thing that can be wrong, told once it has lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sign {
    patience: Patience,
    since: Option<MonoNs>,
    gone: Option<MonoNs>,
    is_told: bool,
}

impl Sign {
    fn new(patience: Patience) -> Self {
        Self { patience, since: None, gone: None, is_told: false }
    }

    fn see(&mut self, shows: bool, now: MonoNs) {
        let Patience::After(patience) = self.patience else { return };
        if shows {
            self.gone = None;
            let since = *self.since.get_or_insert(now);
            self.is_told |= now.saturating_since(since) >= patience.duration();
            return;
        }
        self.since = None;
        let gone = *self.gone.get_or_insert(now);
        self.is_told &= now.saturating_since(gone) < WELL_AFTER;
    }

    fn forget(&mut self) {
        *self = Self::new(self.patience);
    }
}

fn is_black(samples: &[u8]) -> bool {
    let light = samples.iter().filter(|sample| **sample > DARK).count();
    light * 1000 <= samples.len() * OUTLIERS_PER_1000
}

/// Whether all but a few lie within [`FLAT_LEVELS`].
fn is_blank(samples: &[u8]) -> bool {
    let mut of_level = [0usize; 256];
    samples.iter().for_each(|sample| of_level[usize::from(*sample)] += 1);
    let most =
        of_level.windows(FLAT_LEVELS).map(|levels| levels.iter().sum::<usize>()).max().unwrap_or(0);
    let outliers = samples.len() - most;
    outliers * 1000 <= samples.len() * OUTLIERS_PER_1000
}

/// False for another number of samples: nothing was seen before.
fn is_same(before: &[u8], samples: &[u8]) -> bool {
    let pairs = before.iter().zip(samples);
    let changed = pairs.filter(|(before, now)| before.abs_diff(**now) > SAME_LEVELS).count();
    before.len() == samples.len() && changed * 1000 <= samples.len() * CHANGED_PER_1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::units::Span;

    const SAMPLES: usize = 2304;

    fn limits() -> PictureLimits {
        let after = |ms| Patience::After(Span::from_millis(ms));
        PictureLimits { frozen: after(5_000), black: after(2_000), blank: after(2_000) }
    }

    fn at(half_seconds: u64) -> MonoNs {
        MonoNs(half_seconds * 500_000_000)
    }

    /// A scene that moves with `number`.
    fn scene(number: u64) -> Vec<u8> {
        let level = |at: u64| u8::try_from(40 + (at * 7 + number * 31) % 150).unwrap();
        (0..SAMPLES as u64).map(level).collect()
    }

    /// What is told after each of the pictures, which come two a second.
    fn told(judge: &mut Judge, from: u64, pictures: Vec<Vec<u8>>) -> Vec<PictureHealth> {
        let look = |(number, samples): (u64, Vec<u8>)| {
            judge.look(samples, at(number));
            judge.health()
        };
        (from..).zip(pictures).map(look).collect()
    }

    #[test]
    fn a_black_picture_is_told_after_its_time_and_forgiven_when_it_has_been_gone_for_a_while() {
        use PictureHealth::{Black, Ok};
        let mut judge = Judge::new(limits());
        let seen = told(&mut judge, 0, vec![vec![17; SAMPLES]; 5]);
        assert_eq!(seen, [Ok, Ok, Ok, Ok, Black]);
        // A flash is none.
        let flash = [vec![scene(1)], vec![vec![17; SAMPLES]; 2]].concat();
        assert_eq!(told(&mut judge, 5, flash), [Black; 3]);
        let lit = (8..14).map(scene).collect();
        assert_eq!(told(&mut judge, 8, lit), [Black, Black, Black, Black, Ok, Ok]);
    }

    #[test]
    fn one_colour_is_blank_and_not_black() {
        let mut judge = Judge::new(limits());
        let mut blue = vec![41; SAMPLES];
        blue[..30].fill(235); // the time in a corner
        let seen = told(&mut judge, 0, vec![blue; 20]);
        assert_eq!((seen[3], seen[4]), (PictureHealth::Ok, PictureHealth::Blank));
        assert!(!seen.contains(&PictureHealth::Frozen));
    }

    #[test]
    fn the_same_picture_is_frozen_though_it_is_encoded_anew_each_time() {
        let mut judge = Judge::new(limits());
        let again = |number: u64| {
            let wobble = |(at, level): (u64, u8)| level + u8::from((at + number).is_multiple_of(3));
            (0..).zip(scene(1)).map(wobble).collect()
        };
        let seen = told(&mut judge, 0, (0..12).map(again).collect());
        assert_eq!((seen[10], seen[11]), (PictureHealth::Ok, PictureHealth::Frozen));
        // One other picture now and then is no life.
        let seen = told(&mut judge, 12, vec![scene(2), scene(2), scene(3), scene(3), scene(3)]);
        assert_eq!(seen, [PictureHealth::Frozen; 5]);
        let seen = told(&mut judge, 17, (0..6).map(|n| scene(10 + n)).collect());
        assert_eq!(seen[5], PictureHealth::Ok);
    }

    #[test]
    fn a_slow_change_of_the_light_is_life() {
        let mut judge = Judge::new(limits());
        let dusk = |number: u8| scene(1).into_iter().map(move |level| level - number / 2);
        let pictures = (0..60).map(|number| dusk(number).collect()).collect();
        let seen = told(&mut judge, 0, pictures);
        assert!(!seen.contains(&PictureHealth::Frozen), "{seen:?}");
    }

    #[test]
    fn what_is_switched_off_is_never_told_and_a_rest_forgets() {
        let off = PictureLimits { black: Patience::Off, ..limits() };
        let mut judge = Judge::new(off);
        let seen = told(&mut judge, 0, vec![vec![16; SAMPLES]; 30]);
        assert_eq!(seen[29], PictureHealth::Frozen);
        assert!(!seen.contains(&PictureHealth::Black));
        judge.rest();
        assert_eq!(judge.health(), PictureHealth::Unknown);
        assert!(judge.is_due(at(30)));
        judge.look(vec![16; SAMPLES], at(30));
        assert_eq!(judge.health(), PictureHealth::Ok);
        assert!(!judge.is_due(at(30)) && judge.is_due(at(31)));
    }

    proptest! {
        #[test]
        fn scenes_with_contrast_that_move_are_well(seed in any::<u64>(), step in 1u64..100) {
            let mut judge = Judge::new(limits());
            for number in 0..40 {
                judge.look(scene(seed % 1000 + number * step), at(number));
                // 150 levels repeat after 150 steps of 31.
                prop_assert_ne!(judge.health(), PictureHealth::Black);
                prop_assert_ne!(judge.health(), PictureHealth::Blank);
            }
        }
    }
}
