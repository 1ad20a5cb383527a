//! One clock for a camera's stream across restarts of its writer.
//!
//! Each epoch has timestamps of its own. Viewers and servers elsewhere stay connected over a restart, so
//! their clock must go on: the first packet of a new epoch is placed as far behind the last one as the host's
//! clock says it came. Pure; the distance between packets of one epoch is never touched.

use protocol::time::MonoNs;

/// A jump inside an epoch that differs from the host's clock by more than this is a cut in the
/// source (a camera that reconnected, a file that began again), not a late packet.
const CUT_NS: i64 = 1_000_000_000;

/// Times of one packet as its writer gave them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub pts_ns: i64,
    pub dts_ns: i64,
}

/// Places packets on the stream's clock.
#[derive(Debug, Default)]
pub struct Timeline {
    offset_ns: i64,
    placed: Option<Placed>,
    /// Set when the next packet belongs to another epoch.
    cut: bool,
}

/// The newest packet. Invariant: `dts_ns <= end_ns`, and no packet placed so far is beyond `end_ns`.
#[derive(Clone, Copy, Debug)]
struct Placed {
    dts_ns: i64,
    end_ns: i64,
    published: MonoNs,
}

impl Timeline {
    /// What follows is of another epoch: its times are unrelated to those before.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// The packet's times on the stream's clock.
    pub fn place(&mut self, times: Times, discontinuity: bool, published: MonoNs) -> Times {
        if let Some(last) = self.placed
            && (self.cut || self.jumps(last, times, discontinuity, published))
        {
            let next_ns = last.dts_ns.saturating_add(host_ns(last.published, published));
            self.offset_ns =
                next_ns.max(last.end_ns.saturating_add(1)).saturating_sub(times.dts_ns);
        }
        self.cut = false;
        let placed = self.moved(times);
        self.placed = Some(Placed {
            dts_ns: placed.dts_ns,
            end_ns: self
                .placed
                .map_or(i64::MIN, |last| last.end_ns)
                .max(placed.pts_ns)
                .max(placed.dts_ns),
            published,
        });
        placed
    }

    fn jumps(&self, last: Placed, times: Times, discontinuity: bool, published: MonoNs) -> bool {
        let stream_ns = self.moved(times).dts_ns.saturating_sub(last.dts_ns);
        let off_ns = stream_ns.saturating_sub(host_ns(last.published, published));
        // Tracks are interleaved, so a small step back is another track's packet.
        stream_ns < -CUT_NS || (discontinuity && off_ns.saturating_abs() > CUT_NS)
    }

    fn moved(&self, times: Times) -> Times {
        Times {
            pts_ns: times.pts_ns.saturating_add(self.offset_ns),
            dts_ns: times.dts_ns.saturating_add(self.offset_ns),
        }
    }
}

fn host_ns(from: MonoNs, to: MonoNs) -> i64 {
    i64::try_from(to.saturating_since(from).as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Times {
        Times { pts_ns: ms * MS, dts_ns: ms * MS }
    }

    fn host(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn times_of_one_epoch_are_left_alone() {
        let mut timeline = Timeline::default();
        for ms in [500, 540, 580, 3_000] {
            // However late it is published.
            assert_eq!(timeline.place(at(ms), false, host(7_000)), at(ms));
        }
    }

    #[test]
    fn a_restarted_camera_goes_on_by_the_walls_distance() {
        let mut timeline = Timeline::default();
        timeline.place(at(90_000), false, host(1_000));
        timeline.cut();
        assert_eq!(timeline.place(at(0), false, host(3_000)), at(92_000));
        assert_eq!(timeline.place(at(40), false, host(3_050)), at(92_040));
    }

    #[test]
    fn pictures_of_a_new_epoch_come_after_those_shown_late_by_reordering() {
        let mut timeline = Timeline::default();
        timeline.place(Times { pts_ns: 200 * MS, dts_ns: 0 }, false, host(0));
        timeline.cut();
        assert!(timeline.place(at(0), false, host(1)).dts_ns > 200 * MS);
    }

    #[test]
    fn a_source_that_begins_again_inside_an_epoch_goes_on_too() {
        let mut timeline = Timeline::default();
        timeline.place(at(60_000), false, host(0));
        assert_eq!(timeline.place(at(0), true, host(40)), at(60_040));
        assert_eq!(timeline.place(at(50_000), true, host(80)), at(60_080));
    }

    #[test]
    fn lost_packets_leave_their_gap() {
        let mut timeline = Timeline::default();
        timeline.place(at(0), false, host(0));
        assert_eq!(timeline.place(at(400), true, host(400)), at(400));
    }

    #[test]
    fn audio_a_little_behind_video_is_no_jump() {
        let mut timeline = Timeline::default();
        timeline.place(at(100), false, host(0));
        assert_eq!(timeline.place(at(60), false, host(1)), at(60));
    }

    proptest! {
        #[test]
        fn decoding_times_never_step_back_over_restarts(
            epochs in proptest::collection::vec((any::<i32>(), 1usize..20, 0u64..5_000), 1..6),
        ) {
            let mut timeline = Timeline::default();
            let (mut now, mut last) = (0, i64::MIN);
            for (begin, packets, gap) in epochs {
                now += gap;
                timeline.cut();
                for n in 0..packets {
                    let times = at(i64::from(begin) + 40 * i64::try_from(n).unwrap());
                    let placed = timeline.place(times, false, host(now)).dts_ns;
                    prop_assert!(placed > last);
                    last = placed;
                    now += 40;
                }
            }
        }
    }
}
