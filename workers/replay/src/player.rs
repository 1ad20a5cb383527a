//! When the next packet goes out, and what its times are. Pure.
//!
//! ```text
//!  held ──play──> playing ──pause──> held        step: one picture, then held again
//! ```

use std::time::Duration;

use protocol::config::replay::Speed;
use protocol::time::{MonoNs, UtcNs};

/// When a packet goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(MonoNs),
    Now,
    /// When somebody says so.
    Held,
}

/// How far somebody wants it to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// Up to the next key frame, which is the first picture of the step after it.
    Group,
    Pictures(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Held,
    Playing,
    Stepping(Steps),
}

#[derive(Clone, Debug)]
pub(crate) struct Player {
    speed: Speed,
    /// Longest that is waited where nothing was recorded.
    pause_ns: i64,
    mode: Mode,
    /// When zero is played; `None` before anything was.
    zero: Option<MonoNs>,
    /// From the tape's times to those since zero: where zero lies on it, and what of gaps is cut.
    cut_ns: i64,
    /// Of what was taken from the tape.
    newest_ns: Option<i64>,
    /// A picture of the step under way went out.
    begun: bool,
}

impl Player {
    pub(crate) fn new(speed: Speed, pause: Duration, hold: bool) -> Self {
        let mode = if hold || speed == Speed::Step { Mode::Held } else { Mode::Playing };
        let pause_ns = i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX);
        let (zero, cut_ns, newest_ns, begun) = (None, 0, None, false);
        Self { speed, pause_ns, mode, zero, cut_ns, newest_ns, begun }
    }

    /// Plays on: what the tape has at `dts_ns` is due `now`.
    pub(crate) fn play(&mut self, dts_ns: i64, now: MonoNs) {
        if self.mode != Mode::Playing {
            self.zero = Some(earlier(now, self.scaled(self.since_zero(dts_ns))));
        }
        self.mode = Mode::Playing;
    }

    /// Plays so that what was captured at `zero` is due at `start`: cameras that are told the same keep
    /// in step. `first` is when the tape's first packet was captured.
    pub(crate) fn play_together(&mut self, zero: UtcNs, start: MonoNs, first: UtcNs) {
        self.cut_ns = signed(zero).saturating_sub(signed(first));
        self.zero = Some(start);
        self.mode = Mode::Playing;
    }

    pub(crate) fn pause(&mut self) {
        self.mode = Mode::Held;
    }

    pub(crate) fn step(&mut self, steps: Steps) {
        self.begun = false;
        self.mode = match steps {
            Steps::Pictures(0) => Mode::Held,
            steps => Mode::Stepping(steps),
        };
    }

    pub(crate) fn is_held(&self) -> bool {
        self.mode == Mode::Held
    }

    /// The tape's next packet was taken from it.
    pub(crate) fn take(&mut self, dts_ns: i64, discontinuity: bool) {
        if let Some(newest_ns) = self.newest_ns.filter(|_| discontinuity) {
            let gap_ns = dts_ns.saturating_sub(newest_ns);
            let cut_ns = gap_ns.saturating_sub(self.pause_ns).max(0);
            self.cut_ns = self.cut_ns.saturating_add(cut_ns);
        }
        self.newest_ns = self.newest_ns.max(Some(dts_ns));
    }

    /// When it goes out.
    pub(crate) fn when(&mut self, dts_ns: i64, now: MonoNs) -> When {
        let (at_ns, scaled_ns) = (self.since_zero(dts_ns), self.scaled(self.since_zero(dts_ns)));
        match (self.mode, self.speed) {
            (Mode::Held, _) => When::Held,
            (Mode::Playing, Speed::Paced { .. }) => {
                let zero = *self.zero.get_or_insert_with(|| earlier(now, scaled_ns));
                When::At(later(zero, scaled_ns))
            }
            (Mode::Playing, Speed::Max | Speed::Step) => {
                let zero = *self.zero.get_or_insert_with(|| earlier(now, at_ns));
                if zero > now { When::At(zero) } else { When::Now }
            }
            (Mode::Stepping(_), _) => {
                self.zero.get_or_insert_with(|| earlier(now, at_ns));
                When::Now
            }
        }
    }

    /// Whether a packet that is due belongs to the next step already: it waits then.
    pub(crate) fn ends_before(&mut self, is_picture: bool, key: bool) -> bool {
        let ends = match self.mode {
            Mode::Stepping(Steps::Group) => is_picture && key && self.begun,
            Mode::Stepping(Steps::Pictures(left)) => is_picture && left == 0,
            Mode::Held | Mode::Playing => false,
        };
        if ends {
            self.mode = Mode::Held;
        }
        ends
    }

    /// A packet went out.
    pub(crate) fn went(&mut self, is_picture: bool) {
        if let (Mode::Stepping(Steps::Pictures(left)), true) = (&mut self.mode, is_picture) {
            *left = left.saturating_sub(1);
        }
        self.begun |= is_picture;
    }

    /// When a packet would have come from a camera: as far from others as it was then, whatever the speed.
    pub(crate) fn captured(&self, dts_ns: i64, now: MonoNs) -> MonoNs {
        self.zero.map_or(now, |zero| later(zero, self.since_zero(dts_ns)))
    }

    fn since_zero(&self, dts_ns: i64) -> i64 {
        dts_ns.saturating_sub(self.cut_ns)
    }

    /// Recorded time as time that passes.
    fn scaled(&self, ns: i64) -> i64 {
        let Speed::Paced { thousandths } = self.speed else { return ns };
        let scaled = i128::from(ns) * 1_000 / i128::from(thousandths.max(1));
        i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
    }
}

fn later(time: MonoNs, ns: i64) -> MonoNs {
    MonoNs(time.0.saturating_add_signed(ns))
}

fn earlier(time: MonoNs, ns: i64) -> MonoNs {
    later(time, ns.saturating_neg())
}

fn signed(time: UtcNs) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: MonoNs = MonoNs(100_000_000_000);
    const FRAME_NS: i64 = 40_000_000;

    fn player(speed: &str) -> Player {
        Player::new(speed.parse().unwrap(), Duration::from_secs(1), false)
    }

    fn due(player: &mut Player, dts_ns: i64, gap: bool, now: MonoNs) -> MonoNs {
        player.take(dts_ns, gap);
        match player.when(dts_ns, now) {
            When::At(due) => due,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pictures_are_as_far_apart_as_they_were_and_twice_as_near_at_twice_the_speed() {
        for (speed, apart_ns) in [("1x", 40_000_000), ("2x", 20_000_000), ("0.5x", 80_000_000)] {
            let mut player = player(speed);
            let first = due(&mut player, 7, true, NOW);
            assert_eq!(first, NOW);
            // Late as it may be, the next is due when it is.
            let second = due(&mut player, 7 + FRAME_NS, false, MonoNs(NOW.0 + 1_000_000_000));
            assert_eq!(second.0 - first.0, apart_ns, "{speed}");
        }
    }

    #[test]
    fn what_was_not_recorded_takes_a_second_at_most() {
        let mut player = player("1x");
        let first = due(&mut player, 0, true, NOW);
        let short = due(&mut player, 600_000_000, true, NOW);
        assert_eq!(short.0 - first.0, 600_000_000);
        let long = due(&mut player, 3_600_600_000_000, true, NOW);
        assert_eq!(long.0 - short.0, 1_000_000_000);
        let next = due(&mut player, 3_600_600_000_000 + FRAME_NS, false, NOW);
        assert_eq!(next.0 - long.0, 40_000_000);
        // The times of the pictures agree with that.
        let captured = player.captured(3_600_600_000_000 + 2 * FRAME_NS, NOW);
        assert_eq!(captured.0 - next.0, 40_000_000);
    }

    #[test]
    fn cameras_that_begin_together_are_in_step() {
        let (zero, start) = (UtcNs(5_000_000_000), MonoNs(NOW.0 + 1));
        let due_of = |first: UtcNs, dts_ns| {
            let mut player = Player::new(Speed::default(), Duration::MAX, true);
            player.play_together(zero, start, first);
            due(&mut player, dts_ns, true, NOW)
        };
        // Captured at the same moment, on tapes that begin 2 s apart.
        assert_eq!(
            due_of(zero, 3_000_000_000),
            due_of(UtcNs(zero.0 + 2_000_000_000), 1_000_000_000)
        );
        assert_eq!(due_of(zero, 0), start);
    }

    #[test]
    fn a_pause_moves_what_follows_and_nothing_is_skipped() {
        let mut player = player("1x");
        due(&mut player, 0, true, NOW);
        player.pause();
        player.take(FRAME_NS, false);
        assert_eq!(player.when(FRAME_NS, NOW), When::Held);
        let later = MonoNs(NOW.0 + 60_000_000_000);
        player.play(FRAME_NS, later);
        assert_eq!(player.when(FRAME_NS, later), When::At(later));
    }

    #[test]
    fn a_step_is_a_picture_with_the_sound_behind_it() {
        let mut player = player("step");
        player.take(0, true);
        assert_eq!(player.when(0, NOW), When::Held);
        player.step(Steps::Pictures(2));
        let mut went = Vec::new();
        for (number, is_picture) in [true, false, true, false, true].into_iter().enumerate() {
            if player.ends_before(is_picture, false) {
                break;
            }
            assert_eq!(player.when(0, NOW), When::Now);
            player.went(is_picture);
            went.push(number);
        }
        assert_eq!(went, [0, 1, 2, 3]);
        assert!(player.is_held());
    }

    #[test]
    fn a_step_of_a_group_ends_before_the_next_key_frame() {
        let mut player = player("step");
        player.step(Steps::Group);
        let keys = [true, false, false, true];
        let count = keys.iter().take_while(|key| {
            let goes = !player.ends_before(true, **key);
            player.went(true);
            goes
        });
        assert_eq!(count.count(), 3);
    }

    proptest! {
        #[test]
        fn nothing_overflows(
            speed in prop_oneof![Just("0.01x"), Just("100x"), Just("max")],
            times in proptest::collection::vec((any::<i64>(), any::<bool>()), 1..20),
            zero: u64, start: u64, first: u64,
        ) {
            let mut player = player(speed);
            player.play_together(UtcNs(zero), MonoNs(start), UtcNs(first));
            for (dts_ns, gap) in times {
                player.take(dts_ns, gap);
                player.when(dts_ns, NOW);
                player.captured(dts_ns, NOW);
            }
        }
    }
}
