//! One line of stream times over pieces that each have their own: the rounds of a looped file, the
//! connections of a camera. Pure.

use protocol::stream::TRACKS_MAX;

/// A step of a track's decoding time beyond this is a new piece: no camera pauses so long and counts on.
const JUMP_AHEAD_NS: i64 = 10_000_000_000;
/// So is a step back by more than this; sound that begins before its picture steps back by less.
const JUMP_BACK_NS: i64 = 100_000_000;

/// Times beyond this are nonsense that the sums here must survive: 36 years either way.
const BOUND_NS: i64 = 1 << 60;

/// The times of one access unit, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) track: u32,
    pub(crate) pts_ns: i64,
    pub(crate) dts_ns: i64,
    /// 0 when unknown.
    pub(crate) duration_ns: i64,
}

/// Decoding times on the line rise on every track, for ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// From the piece's times to the line's.
    offset_ns: i64,
    /// Where a new piece begins: the latest end of any track's unit; `None` before the first.
    end_ns: Option<i64>,
    /// Of each track's last unit, on the line.
    last_dts_ns: [Option<i64>; TRACKS_MAX],
    /// The next unit begins a piece, this long after the end.
    joint_ns: Option<i64>,
    /// The unit placed last did not follow from the one before.
    jumped: bool,
}

impl Timeline {
    /// The next unit begins a new piece, `gap_ns` after the end of the last one.
    pub(crate) fn splice(&mut self, gap_ns: i64) {
        if self.end_ns.is_some() {
            self.joint_ns = Some(gap_ns.max(0));
        }
    }

    /// Whether the source's time jumped before the unit that was placed last.
    pub(crate) fn has_jumped(&self) -> bool {
        self.jumped
    }

    pub(crate) fn place(&mut self, times: Times) -> Times {
        let bounded = |ns: i64| ns.clamp(-BOUND_NS, BOUND_NS);
        let times = Times { pts_ns: bounded(times.pts_ns), dts_ns: bounded(times.dts_ns), ..times };
        let track = usize::try_from(times.track).unwrap_or(0).min(TRACKS_MAX - 1);
        let last_ns = self.last_dts_ns[track];
        self.jumped = false;
        if let Some(end_ns) = self.end_ns {
            if let Some(gap_ns) = self.joint_ns.take() {
                self.offset_ns = end_ns.saturating_add(gap_ns).saturating_sub(times.dts_ns);
            } else if self.jumps(last_ns, end_ns, times.dts_ns) {
                self.offset_ns = end_ns.saturating_sub(times.dts_ns);
                self.jumped = true;
            }
        }
        let earliest_ns = last_ns.map_or(i64::MIN, |last_ns| last_ns.saturating_add(1));
        let dts_ns = times.dts_ns.saturating_add(self.offset_ns).max(earliest_ns);
        let mut pts_ns = times.pts_ns.saturating_add(self.offset_ns);
        if times.pts_ns >= times.dts_ns {
            pts_ns = pts_ns.max(dts_ns);
        }
        let length_ns = length_ns(times.duration_ns, dts_ns, last_ns);
        self.last_dts_ns[track] = Some(dts_ns);
        self.end_ns = self.end_ns.max(Some(dts_ns.saturating_add(length_ns)));
        Times { pts_ns, dts_ns, ..times }
    }

    /// A track's first unit is compared with where the other tracks are; it may well begin earlier.
    fn jumps(&self, last_ns: Option<i64>, end_ns: i64, dts_ns: i64) -> bool {
        let placed_ns = dts_ns.saturating_add(self.offset_ns);
        let (from_ns, back_ns) =
            last_ns.map_or((end_ns, JUMP_AHEAD_NS), |last_ns| (last_ns, JUMP_BACK_NS));
        !(-back_ns..=JUMP_AHEAD_NS).contains(&placed_ns.saturating_sub(from_ns))
    }
}

/// How long a unit lasts: as it says, else as long as the one before did.
fn length_ns(duration_ns: i64, dts_ns: i64, last_ns: Option<i64>) -> i64 {
    match last_ns {
        _ if duration_ns > 0 => duration_ns,
        Some(last_ns) => (dts_ns - last_ns).min(JUMP_AHEAD_NS),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME_NS: i64 = 40_000_000;

    fn picture(dts_ns: i64, delay_ns: i64) -> Times {
        Times { track: 0, pts_ns: dts_ns + delay_ns, dts_ns, duration_ns: FRAME_NS }
    }

    #[test]
    fn the_first_piece_keeps_its_own_times() {
        let mut line = Timeline::default();
        line.splice(5);
        let first = picture(-2 * FRAME_NS, 2 * FRAME_NS);
        assert_eq!(line.place(first), first);
    }

    #[test]
    fn a_round_with_sound_longer_than_its_picture_waits_for_the_sound() {
        let mut line = Timeline::default();
        line.place(picture(0, 0));
        let sound = Times { track: 1, pts_ns: 0, dts_ns: 0, duration_ns: 2 * FRAME_NS };
        line.place(sound);
        line.splice(0);
        assert_eq!(line.place(picture(0, 0)).dts_ns, 2 * FRAME_NS);
        assert_eq!(line.place(sound).dts_ns, 2 * FRAME_NS);
    }

    #[test]
    fn a_camera_that_came_back_goes_on_after_the_gap() {
        let mut line = Timeline::default();
        line.place(picture(7_000_000_000, 0));
        line.splice(3_000_000_000);
        assert_eq!(line.place(picture(50, 0)).dts_ns, 10_000_000_000 + FRAME_NS);
    }

    #[test]
    fn a_clock_that_jumps_does_not_take_the_line_along() {
        for jump_ns in [-5_000_000_000, 3_600_000_000_000] {
            let mut line = Timeline::default();
            line.place(picture(0, 0));
            assert_eq!(line.place(picture(jump_ns, 0)).dts_ns, FRAME_NS);
            assert!(line.has_jumped());
            assert_eq!(line.place(picture(jump_ns + FRAME_NS, 0)).dts_ns, 2 * FRAME_NS);
        }
    }

    #[test]
    fn a_track_whose_clock_is_years_away_joins_the_line_where_it_is() {
        let mut line = Timeline::default();
        line.place(picture(0, 0));
        for track in 1..8 {
            let far = Times { track, pts_ns: i64::MAX, dts_ns: i64::MAX, duration_ns: FRAME_NS };
            assert!(line.place(far).dts_ns < JUMP_AHEAD_NS, "track {track}");
        }
    }

    proptest! {
        #[test]
        fn pictures_are_evenly_spaced_across_the_seams_of_a_loop(
            first_dts_ns in -1_000_000_000i64..1_000_000_000_000,
            reorder_frames in 0i64..4, frames in 1i64..40, rounds in 1usize..5,
        ) {
            let mut line = Timeline::default();
            let mut placed = Vec::new();
            for _ in 0..rounds {
                line.splice(0);
                let round = (0..frames).map(|n| picture(first_dts_ns + n * FRAME_NS, reorder_frames * FRAME_NS));
                placed.extend(round.map(|times| line.place(times)));
            }
            for pair in placed.windows(2) {
                prop_assert_eq!(pair[1].dts_ns - pair[0].dts_ns, FRAME_NS);
                prop_assert_eq!(pair[1].pts_ns - pair[0].pts_ns, FRAME_NS);
            }
        }

        #[test]
        fn decoding_times_rise_whatever_the_source_says(
            units in proptest::collection::vec((0u32..10, any::<i64>(), any::<i64>(), any::<bool>()), 1..60),
        ) {
            let mut line = Timeline::default();
            let mut last = [None; TRACKS_MAX];
            for (track, pts_ns, dts_ns, splice) in units {
                if splice {
                    line.splice(pts_ns >> 20);
                }
                let placed = line.place(Times { track, pts_ns, dts_ns, duration_ns: 0 });
                let slot = &mut last[(track as usize).min(TRACKS_MAX - 1)];
                prop_assert!(slot.is_none_or(|before| placed.dts_ns > before));
                *slot = Some(placed.dts_ns);
            }
        }
    }
}
