//! What changed against the background. Pure: grids and times in, a verdict out.
//!
//! The background of each block is a slow average of its luma, with the usual size of its flicker
//! beside it. A block has changed when it differs by more than the sensitivity's threshold plus a
//! multiple of that flicker. The median difference of all blocks is light (a cloud, the camera's own
//! exposure), not motion, and is taken away first. All blocks teach and tell of light; only those that count
//! (`parts.rs`) move.

use std::time::Duration;

use protocol::config::zone::Field;
use protocol::time::MonoNs;

use crate::area::{self, Area};
use crate::grid::{Grid, Shape};
use crate::parts::{Moved, Parts};

/// Looks that only teach: the first pictures after a start say nothing about motion.
const LEARNING_LOOKS: u32 = 3;
/// How fast the background follows what did not change, and what did: a parked car is background
/// after half a minute, a person who stands still for some seconds is not.
const FOLLOW_STILL: Duration = Duration::from_secs(2);
const FOLLOW_CHANGED: Duration = Duration::from_secs(15);
/// A longer pause between two looks counts as this: the scene may have changed for good meanwhile,
/// but one picture does not prove it.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// After so long without a picture, as of a camera that was away, the background is of another time of day.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);
/// Flicker must be exceeded this many times.
const FLICKER_FACTOR: f32 = 3.0;

/// What the user's `sensitivity` means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensitivity {
    /// Levels of luma, of 255, a block must change.
    pub threshold: f32,
    /// Share of the picture's blocks that must have changed.
    pub share: f32,
}

impl Sensitivity {
    /// 1: 40 levels on 5 % of the picture. 50: 11 levels on 0.5 %. 100: 3 levels on 0.05 %. Each
    /// step is the same ratio, because both eyes and noise judge by ratios.
    pub fn new(sensitivity: u8) -> Self {
        let part = f32::from(sensitivity.clamp(1, 100) - 1) / 99.0;
        let between = |low: f32, high: f32| low * (high / low).powf(part);
        Self { threshold: between(40.0, 3.0), share: between(0.05, 0.0005) }
    }
}

/// The verdict on one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    pub moving: bool,
    /// Share of changed blocks, 0 to 1: of the zone where it is highest, without zones of all that counts.
    pub score: f32,
    /// Numbers of the zones that move.
    pub zones: Vec<usize>,
    /// Around what changed, the largest first.
    pub areas: Vec<Area>,
}

/// The background model and its thresholds.
#[derive(Clone, Debug)]
pub struct Detector {
    sensitivity: Sensitivity,
    field: Field,
    model: Option<Model>,
}

#[derive(Clone, Debug)]
struct Model {
    shape: Shape,
    parts: Parts,
    background: Vec<f32>,
    flicker: Vec<f32>,
    looks: u32,
    last: MonoNs,
}

impl Detector {
    /// `field`: where the camera's pictures count.
    pub fn new(sensitivity: Sensitivity, field: Field) -> Self {
        Self { sensitivity, field, model: None }
    }

    /// Forgets the background: what comes next is another scene.
    pub fn restart(&mut self) {
        self.model = None;
    }

    /// Compares a picture with the background, then lets it teach. Another size, or a long pause, starts anew.
    pub fn look(&mut self, at: MonoNs, grid: &Grid) -> Look {
        let fits = self.model.as_ref().is_some_and(|model| {
            model.shape == grid.shape && at.saturating_since(model.last) < FORGOTTEN_AFTER
        });
        if !fits {
            self.model = Some(Model::new(at, grid, &self.field));
        }
        let Some(model) = &mut self.model else {
            return Look { moving: false, score: 0.0, zones: Vec::new(), areas: Vec::new() };
        };
        let Sensitivity { threshold, share } = self.sensitivity;
        let mut changed = model.changed(grid, threshold);
        model.learn(at, grid, &changed, threshold);
        model.parts.keep_counted(&mut changed);
        verdict(model, &changed, share)
    }
}

fn verdict(model: &Model, changed: &[bool], share: f32) -> Look {
    let is_learning = model.looks <= LEARNING_LOOKS;
    let Moved { score, zones, is_motion } = model.parts.moved(changed, share);
    let areas = area::areas(&model.shape, changed);
    Look { moving: is_motion && !is_learning, score, zones, areas }
}

impl Model {
    fn new(at: MonoNs, grid: &Grid, field: &Field) -> Self {
        Self {
            shape: grid.shape,
            parts: Parts::of(field, &grid.shape),
            background: grid.luma.clone(),
            flicker: vec![0.0; grid.luma.len()],
            looks: 0,
            last: at,
        }
    }

    /// Takes a change of light into the background, then marks the blocks that differ.
    fn changed(&mut self, grid: &Grid, threshold: f32) -> Vec<bool> {
        let light = median_difference(&grid.luma, &self.background);
        for background in &mut self.background {
            *background += light;
        }
        let mut changed: Vec<bool> = grid
            .luma
            .iter()
            .zip(&self.background)
            .zip(&self.flicker)
            .map(|((luma, background), flicker)| {
                (luma - background).abs() > threshold + FLICKER_FACTOR * flicker
            })
            .collect();
        area::drop_lonely(&self.shape, &mut changed);
        changed
    }

    /// What moved is no flicker and hardly background.
    fn learn(&mut self, at: MonoNs, grid: &Grid, changed: &[bool], threshold: f32) {
        let pause = at.saturating_since(self.last).min(PAUSE_MAX);
        let (still, moving) = (weight(pause, FOLLOW_STILL), weight(pause, FOLLOW_CHANGED));
        for (block, &luma) in grid.luma.iter().enumerate() {
            let difference = luma - self.background[block];
            if changed[block] {
                self.background[block] += moving * difference;
                continue;
            }
            self.background[block] += still * difference;
            // Flicker above the threshold would hide all motion.
            let flicker = difference.abs().min(threshold);
            self.flicker[block] += still * (flicker - self.flicker[block]);
        }
        self.looks = self.looks.saturating_add(1);
        self.last = at;
    }
}

/// The part of a difference that `pause` closes when the whole takes about `span`.
fn weight(pause: Duration, span: Duration) -> f32 {
    1.0 - (-pause.as_secs_f32() / span.as_secs_f32()).exp()
}

fn median_difference(luma: &[f32], background: &[f32]) -> f32 {
    let mut differences: Vec<f32> =
        luma.iter().zip(background).map(|(luma, background)| luma - background).collect();
    if differences.is_empty() {
        return 0.0;
    }
    let middle = differences.len() / 2;
    *differences.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::config::zone::Zones;
    use protocol::stream::PixelFormat;

    const WIDTH: u32 = 640;
    const HEIGHT: u32 = 360;

    /// A scene with texture; `paint(x, y)` may put something on it.
    fn scene(mut paint: impl FnMut(u32, u32, u8) -> u8) -> Grid {
        Grid::sample(WIDTH, HEIGHT, PixelFormat::Yuv420p, |y, row| {
            let y = u32::try_from(y).unwrap();
            for (x, sample) in (0..).zip(row) {
                let texture = u8::try_from(60 + (x / 7 + y / 5) % 90).unwrap();
                *sample = paint(x, y, texture);
            }
        })
    }

    fn with_box(left: u32, side: u32) -> Grid {
        scene(|x, y, texture| {
            let inside = (left..left + side).contains(&x) && (100..100 + side).contains(&y);
            if inside { 220 } else { texture }
        })
    }

    /// Looks at pictures 200 ms apart.
    struct Watch {
        detector: Detector,
        at: MonoNs,
    }

    impl Watch {
        fn new(sensitivity: u8) -> Self {
            Self::of(sensitivity, Field::default())
        }

        fn of(sensitivity: u8, field: Field) -> Self {
            let detector = Detector::new(Sensitivity::new(sensitivity), field);
            Self { detector, at: MonoNs(0) }
        }

        fn look(&mut self, grid: &Grid) -> Look {
            self.at = self.at + Duration::from_millis(200);
            self.detector.look(self.at, grid)
        }

        fn settled(sensitivity: u8) -> Self {
            Self::new(sensitivity).settle()
        }

        fn settle(mut self) -> Self {
            let still = scene(|_, _, texture| texture);
            (0..20).for_each(|_| assert!(!self.look(&still).moving));
            self
        }
    }

    /// A small generator of made-up noise, the same in every run.
    fn noise(state: &mut u32, amplitude: u32) -> i32 {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i32::try_from((*state >> 16) % (2 * amplitude + 1)).unwrap()
            - i32::try_from(amplitude).unwrap()
    }

    #[test]
    fn a_moving_box_is_motion_where_it_is() {
        let mut watch = Watch::settled(50);
        for step in 0..10 {
            let left = 40 + step * 24;
            let look = watch.look(&with_box(left, 64));
            assert!(look.moving, "step {step}: {look:?}");
            let area = look.areas[0];
            assert!(area.x <= left && area.x + area.w >= left + 64, "step {step}: {area:?}");
            assert!(area.y.abs_diff(100) <= 8 && area.h >= 64, "step {step}: {area:?}");
        }
    }

    #[test]
    fn what_changed_while_the_camera_was_away_is_no_motion() {
        for (away, moved) in [(Duration::from_secs(30), true), (FORGOTTEN_AFTER, false)] {
            let mut watch = Watch::settled(50);
            watch.at = watch.at + away;
            let looks: Vec<bool> = (0..5).map(|_| watch.look(&with_box(200, 64)).moving).collect();
            assert_eq!(looks.contains(&true), moved, "away for {away:?}");
        }
    }

    #[test]
    fn a_still_picture_is_no_motion() {
        let mut watch = Watch::new(100);
        let still = scene(|_, _, texture| texture);
        for _ in 0..50 {
            let look = watch.look(&still);
            assert_eq!((look.moving, look.score), (false, 0.0));
        }
    }

    #[test]
    fn sensor_noise_is_no_motion() {
        for sensitivity in [20, 50, 80] {
            let (mut watch, mut state) = (Watch::new(sensitivity), 1);
            for step in 0..50 {
                let grid = scene(|_, _, texture| {
                    u8::try_from(i32::from(texture) + noise(&mut state, 15)).unwrap()
                });
                assert!(!watch.look(&grid).moving, "sensitivity {sensitivity}, step {step}");
            }
        }
    }

    #[test]
    fn a_change_of_light_is_no_motion() {
        let mut watch = Watch::settled(50);
        for level in [5, 12, 25, 40, 40, 10] {
            let look = watch.look(&scene(|_, _, texture| texture + level));
            assert!(!look.moving, "light +{level}: {look:?}");
        }
    }

    #[test]
    fn what_stays_becomes_background_and_is_motion_again_when_it_goes() {
        let mut watch = Watch::settled(50);
        let parked = with_box(200, 64);
        assert!(watch.look(&parked).moving);
        let looks = (0..600).find(|_| !watch.look(&parked).moving);
        let seconds = looks.unwrap() / 5;
        assert!((10..=120).contains(&seconds), "background after {seconds} s");
        (0..20).for_each(|_| assert!(!watch.look(&parked).moving));
        assert!(watch.look(&scene(|_, _, texture| texture)).moving);
    }

    #[test]
    fn a_small_thing_needs_high_sensitivity() {
        let small = with_box(200, 20);
        assert!(!Watch::settled(20).look(&small).moving);
        assert!(Watch::settled(90).look(&small).moving);
    }

    #[test]
    fn what_moves_where_nothing_counts_is_no_motion_and_in_a_zone_it_is_its() {
        let zones = |text: &str| Zones::from([("door".to_owned(), text.parse().unwrap())]);
        let left = "0% 0%, 40% 100%";
        let ignored = Field::of(&Zones::new(), &zones(left), "yard");
        let zone = Field::of(&zones(left), &Zones::new(), "yard");
        let other = Field::of(&zones("60% 0%, 100% 100%"), &Zones::new(), "yard");
        for (field, moves) in [(ignored, None), (zone, Some(0)), (other, None)] {
            let mut watch = Watch::of(50, field.clone()).settle();
            for step in 0..5 {
                let look = watch.look(&with_box(20 + step * 16, 64));
                assert_eq!(look.moving, moves.is_some(), "{field:?}, step {step}: {look:?}");
                assert_eq!(look.zones.first().copied(), moves, "{field:?}");
                assert_eq!(look.areas.is_empty(), moves.is_none(), "{field:?}");
            }
        }
    }

    #[test]
    fn another_size_starts_the_model_again() {
        let mut watch = Watch::settled(50);
        let other = Grid::sample(320, 240, PixelFormat::Gray8, |_, row| row.fill(200));
        for _ in 0..5 {
            let look = watch.look(&other);
            assert_eq!((look.moving, look.score), (false, 0.0));
        }
    }

    #[test]
    fn more_sensitive_is_never_less() {
        let all: Vec<_> = (1..=100).map(Sensitivity::new).collect();
        for pair in all.windows(2) {
            assert!(pair[1].threshold < pair[0].threshold && pair[1].share < pair[0].share);
        }
    }
}
