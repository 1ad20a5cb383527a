//! How long a picture lasts before the next one is there to tell, and what follows from a wrong guess. Pure.
//!
//! A fragment is sent when its picture comes, so its duration is a guess: the step from the picture before, or twice what
//! was guessed for that if the step was longer.
//! Players take pictures that are decoded more than twice a duration apart for a hole, and show nothing until the next
//! key frame (Media Source Extensions, coded frame processing). So after a step that was longer than expected the
//! decode time is told a little early; when the picture is shown stays exact, and no player minds.

/// A picture's duration when nothing tells: 25 a second.
const UNKNOWN_NS: i64 = 40_000_000;
/// Steps that are taken for durations; what is outside is a hole or a mistake of the clock.
const STEPS_NS: std::ops::RangeInclusive<i64> = 1_000_000..=10_000_000_000;

/// Guesses durations and keeps decode times close enough together.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    expected_ns: i64,
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    dts_ns: i64,
    told_ns: i64,
    lasts_ns: i64,
}

/// What is told of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// At or before its true decode time.
    pub dts_ns: i64,
    pub lasts_ns: i64,
}

impl Pace {
    /// `frame_rate`: pictures and seconds, 0/1 when unknown.
    pub fn new(frame_rate: (u32, u32)) -> Self {
        Self { expected_ns: interval_ns(frame_rate).unwrap_or(UNKNOWN_NS), last: None }
    }

    /// The next picture. `duration_ns` is what its packet says, 0 for nothing; `entry`: players begin here, and no step
    /// before it is too long.
    pub fn next(&mut self, dts_ns: i64, duration_ns: i64, entry: bool) -> Told {
        let told = match self.last {
            None if STEPS_NS.contains(&duration_ns) => Told { dts_ns, lasts_ns: duration_ns },
            None => Told { dts_ns, lasts_ns: self.expected_ns },
            Some(last) => Told {
                dts_ns: if entry { dts_ns } else { dts_ns.min(last.latest_ns()) },
                // By and by: one long step is a hole, and no camera of one picture a second.
                lasts_ns: Some(dts_ns.saturating_sub(last.dts_ns))
                    .filter(|step_ns| STEPS_NS.contains(step_ns))
                    .map_or(last.lasts_ns, |step_ns| step_ns.min(2 * last.lasts_ns)),
            },
        };
        self.last = Some(Last { dts_ns, told_ns: told.dts_ns, lasts_ns: told.lasts_ns });
        told
    }
}

impl Last {
    /// Twice the duration, less what rounding to ticks may add.
    fn latest_ns(self) -> i64 {
        self.told_ns.saturating_add(2 * self.lasts_ns - self.lasts_ns / 8)
    }
}

/// Time from picture to picture.
pub fn interval_ns((pictures, seconds): (u32, u32)) -> Option<i64> {
    let ns = (i64::from(seconds) * 1_000_000_000).checked_div(i64::from(pictures))?;
    STEPS_NS.contains(&ns).then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn a_steady_stream_is_told_as_it_is() {
        let mut pace = Pace::new((25, 1));
        for number in 0..50 {
            let told = pace.next(number * 40 * MS, 0, number == 0);
            assert_eq!(told, Told { dts_ns: number * 40 * MS, lasts_ns: 40 * MS });
        }
    }

    #[test]
    fn a_late_picture_is_told_to_be_decoded_before_players_call_it_a_hole() {
        let mut pace = Pace::new((25, 1));
        pace.next(0, 0, true);
        let late = pace.next(500 * MS, 0, false);
        assert_eq!(late, Told { dts_ns: 75 * MS, lasts_ns: 80 * MS });
        // The hole was one picture long.
        assert_eq!(pace.next(540 * MS, 0, false), Told { dts_ns: 225 * MS, lasts_ns: 40 * MS });
    }

    #[test]
    fn a_camera_that_slows_down_for_good_is_learnt_within_some_pictures() {
        let mut pace = Pace::new((25, 1));
        let told: Vec<Told> = (0..12).map(|n| pace.next(n * 1_000 * MS, 0, n == 0)).collect();
        let lasts: Vec<i64> = told.iter().map(|told| told.lasts_ns / MS).collect();
        assert_eq!(lasts[..7], [40, 80, 160, 320, 640, 1_000, 1_000]);
        assert_eq!(told[11].dts_ns, 11_000 * MS, "decode times have caught up");
    }

    #[test]
    fn a_key_frame_is_told_as_it_is_whatever_came_before() {
        let mut pace = Pace::new((25, 1));
        pace.next(0, 0, true);
        assert_eq!(pace.next(9_000 * MS, 0, true).dts_ns, 9_000 * MS);
    }

    #[test]
    fn a_rate_nobody_told_is_learnt_from_the_packet_or_the_first_step() {
        assert_eq!(Pace::new((0, 1)).next(0, 0, true).lasts_ns, 40 * MS);
        let mut pace = Pace::new((0, 1));
        assert_eq!(pace.next(0, 200 * MS, true).lasts_ns, 200 * MS);
        assert_eq!(pace.next(100 * MS, 200 * MS, false).lasts_ns, 100 * MS);
        assert_eq!(
            [interval_ns((30, 1)), interval_ns((0, 1)), interval_ns((25, 0))],
            [Some(33_333_333), None, None]
        );
    }

    proptest! {
        #[test]
        fn no_step_is_more_than_twice_the_duration_before_it_and_none_is_told_late(
            steps in proptest::collection::vec((0i64..20_000 * MS, any::<bool>()), 1..60),
        ) {
            let mut pace = Pace::new((25, 1));
            let (mut dts_ns, mut before): (i64, Option<Told>) = (0, None);
            for (step_ns, entry) in steps {
                dts_ns += step_ns;
                let told = pace.next(dts_ns, 0, entry);
                prop_assert!(told.dts_ns <= dts_ns && told.lasts_ns > 0);
                if let Some(before) = before.filter(|_| !entry) {
                    prop_assert!(told.dts_ns - before.dts_ns <= 2 * before.lasts_ns);
                }
                before = Some(told);
            }
        }
    }
}
