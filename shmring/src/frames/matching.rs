//! Which pictures of several cameras belong together: a pure decision over what is known of each
//! camera's next picture.
//!
//! A group is the oldest picture there is and every other that was taken within the tolerance after it.
//! So each picture is in exactly one group, groups come in the order of time, and what is decided does
//! not depend on how much later it is decided. A camera whose picture could still fall into the group is
//! waited for; one that has shown a later picture, or takes its next one later, is not.

use std::time::Duration;

use protocol::time::MonoNs;

/// What is known of a camera's next picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// It is here, and was taken then.
    Taken(MonoNs),
    /// It is not here yet; it was taken then or later.
    Awaited { from: MonoNs },
    /// There is none to wait for.
    Absent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Whose pictures belong together, and how far apart in time they are.
    Group { members: Vec<bool>, skew: Duration },
    /// Somebody's picture may yet belong to the oldest.
    Wait,
    /// No picture is here.
    Nothing,
}

/// `is_overdue`: the group has waited as long as it may.
pub(super) fn decide(candidates: &[Candidate], tolerance: Duration, is_overdue: bool) -> Decision {
    let Some(oldest) = candidates.iter().filter_map(|candidate| candidate.taken()).min() else {
        return Decision::Nothing;
    };
    let last = oldest + tolerance;
    let may_come =
        |candidate: &Candidate| matches!(candidate, Candidate::Awaited { from } if *from <= last);
    if !is_overdue && candidates.iter().any(may_come) {
        return Decision::Wait;
    }
    let members: Vec<bool> = candidates
        .iter()
        .map(|candidate| candidate.taken().is_some_and(|taken| taken <= last))
        .collect();
    let times = candidates.iter().filter_map(|candidate| candidate.taken());
    let newest = times.filter(|taken| *taken <= last).max().unwrap_or(oldest);
    Decision::Group { members, skew: newest.saturating_since(oldest) }
}

impl Candidate {
    pub(super) fn taken(self) -> Option<MonoNs> {
        match self {
            Self::Taken(when) => Some(when),
            Self::Awaited { .. } | Self::Absent => None,
        }
    }
}

/// Which groups of all there are come to who wants each so manyth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thinning {
    every: u32,
    /// Since the last that came.
    passed: u32,
}

impl Thinning {
    pub(super) fn new(every: u32) -> Self {
        // The first is wanted at once.
        let every = every.max(1);
        Self { every, passed: every - 1 }
    }

    /// A group is there. When one is due that lacks a camera, the next whole one comes in its place; but not for ever,
    /// or a camera that is gone would stop the others.
    pub(super) fn takes(&mut self, is_whole: bool) -> bool {
        self.passed = self.passed.saturating_add(1);
        let is_due = self.passed >= self.every;
        let takes = is_due && (is_whole || self.passed - self.every >= self.every - 1);
        if takes {
            self.passed = 0;
        }
        takes
    }
}

/// How often a camera takes pictures, as far as it matters for what to wait for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cadence {
    last: MonoNs,
    /// The newest intervals; 0 where time went back.
    intervals_ns: [u64; INTERVALS],
    /// Pictures so far.
    count: usize,
}

/// The shortest of so many counts, so that neither a lost picture nor a late one makes a camera seem
/// slower than it is: that would leave its picture out of a group.
const INTERVALS: usize = 4;

impl Cadence {
    pub(super) fn took(&mut self, when: MonoNs) {
        if self.count > 0 {
            let interval_ns = when.0.saturating_sub(self.last.0);
            self.intervals_ns[(self.count - 1) % INTERVALS] = interval_ns;
        }
        self.last = when;
        self.count += 1;
    }

    /// Before this it will hardly take its next picture, when its times are off by `jitter` at most, or
    /// by a quarter of an interval.
    pub(super) fn next_from(&self, jitter: Duration) -> MonoNs {
        let known = self.count.saturating_sub(1).min(INTERVALS);
        let shortest_ns = self.intervals_ns[..known].iter().min().copied().unwrap_or(0);
        let jitter_ns = u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX).min(shortest_ns / 4);
        MonoNs(self.last.0.saturating_add(shortest_ns - jitter_ns))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> Candidate {
        Candidate::Taken(MonoNs(ms * MS))
    }

    fn awaited(ms: u64) -> Candidate {
        Candidate::Awaited { from: MonoNs(ms * MS) }
    }

    fn group(members: &[bool], skew_ms: u64) -> Decision {
        Decision::Group { members: members.to_vec(), skew: ms(skew_ms) }
    }

    #[test]
    fn pictures_within_the_tolerance_are_one_group_and_a_later_one_is_left_for_the_next() {
        let candidates = [at(100), at(95), at(130), Candidate::Absent];
        assert_eq!(decide(&candidates, ms(20), false), group(&[true, true, false, false], 5));
    }

    #[test]
    fn only_a_camera_whose_picture_could_still_belong_is_waited_for_and_only_so_long() {
        assert_eq!(decide(&[at(100), awaited(90)], ms(20), false), Decision::Wait);
        assert_eq!(decide(&[at(100), awaited(121)], ms(20), false), group(&[true, false], 0));
        assert_eq!(decide(&[at(100), awaited(90)], ms(20), true), group(&[true, false], 0));
        assert_eq!(decide(&[awaited(0), Candidate::Absent], ms(20), true), Decision::Nothing);
        assert_eq!(decide(&[], ms(20), true), Decision::Nothing);
    }

    #[test]
    fn each_nth_group_comes_and_rather_a_whole_one() {
        let taken = |every, groups: &str| -> Vec<usize> {
            let mut thinning = Thinning::new(every);
            let takes = |(at, it)| thinning.takes(it == '#').then_some(at);
            groups.chars().enumerate().filter_map(takes).collect()
        };
        assert_eq!(taken(1, "#.#.."), [0, 1, 2, 3, 4]);
        assert_eq!(taken(3, "#######"), [0, 3, 6]);
        assert_eq!(taken(3, "#...#..#"), [0, 4, 7], "the whole one behind it");
        assert_eq!(taken(3, "#............"), [0, 5, 10], "there are none but such");
    }

    #[test]
    fn a_slow_camera_is_known_by_its_pace_and_one_lost_picture_does_not_make_it_slow() {
        let mut cadence = Cadence::default();
        let jitter = ms(20);
        assert_eq!(cadence.next_from(jitter), MonoNs(0));
        for picture in 1..=5 {
            cadence.took(MonoNs(picture * 200 * MS));
        }
        assert_eq!(cadence.next_from(jitter), MonoNs(1_180 * MS));
        assert_eq!(cadence.next_from(ms(1_000)), MonoNs(1_150 * MS));
        cadence.took(MonoNs(1_400 * MS));
        assert_eq!(cadence.next_from(jitter), MonoNs(1_580 * MS));
        cadence.took(MonoNs(1_300 * MS));
        assert_eq!(
            cadence.next_from(jitter),
            MonoNs(1_300 * MS),
            "time went back: nothing is known"
        );
    }

    /// Ascending capture times in ms of one camera.
    fn camera() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(1u64..100, 0..12).prop_map(|intervals| {
            let sums = intervals.iter().scan(0, |sum, interval| {
                *sum += interval;
                Some(*sum)
            });
            sums.collect()
        })
    }

    /// Everything that is given out when every picture comes in time, by camera and time.
    fn groups(cameras: &[Vec<u64>], tolerance: Duration) -> Vec<Vec<Option<u64>>> {
        let mut next = vec![0; cameras.len()];
        let mut given = Vec::new();
        loop {
            let candidate = |(camera, next): (&Vec<u64>, &usize)| {
                camera.get(*next).map_or(Candidate::Absent, |ms| at(*ms))
            };
            let candidates: Vec<_> = cameras.iter().zip(&next).map(candidate).collect();
            let Decision::Group { members, skew } = decide(&candidates, tolerance, false) else {
                return given;
            };
            let times = members.iter().enumerate().map(|(number, is_member)| {
                let time = cameras[number].get(next[number]).copied().filter(|_| *is_member);
                next[number] += usize::from(*is_member);
                time
            });
            let times: Vec<_> = times.collect();
            let known = || times.iter().flatten();
            assert_eq!(skew, ms(known().max().unwrap() - known().min().unwrap()));
            given.push(times);
        }
    }

    proptest! {
        #[test]
        fn every_picture_is_in_one_group_groups_are_in_order_and_no_wider_than_the_tolerance(
            cameras in prop::collection::vec(camera(), 1..6),
            tolerance_ms in 0u64..120,
        ) {
            let given = groups(&cameras, ms(tolerance_ms));
            for (number, camera) in cameras.iter().enumerate() {
                let of_camera: Vec<u64> = given.iter().filter_map(|times| times[number]).collect();
                prop_assert_eq!(&of_camera, camera);
            }
            let mut before = 0;
            for times in &given {
                let oldest = times.iter().flatten().min().unwrap();
                let newest = times.iter().flatten().max().unwrap();
                prop_assert!(newest - oldest <= tolerance_ms);
                prop_assert!(*oldest >= before);
                before = *oldest;
            }
        }

        #[test]
        fn a_wait_never_changes_what_comes_out_and_a_group_leaves_out_nobody_who_belongs_to_it(
            known in prop::collection::vec((0u64..200, any::<bool>(), 0u64..200), 1..6),
            tolerance_ms in 0u64..120,
        ) {
            let candidates: Vec<_> = known
                .iter()
                .map(|(taken, is_here, from)| if *is_here { at(*taken) } else { awaited(*from) })
                .collect();
            // What comes while we wait, comes when it was said to, or later.
            let complete: Vec<_> = known
                .iter()
                .map(|(taken, is_here, from)| at(if *is_here { *taken } else { from + taken }))
                .collect();
            let tolerance = ms(tolerance_ms);
            let Decision::Group { members, .. } = decide(&candidates, tolerance, false) else {
                return Ok(());
            };
            let oldest = candidates.iter().filter_map(|c| c.taken()).min().unwrap();
            for (candidate, is_member) in complete.iter().zip(members) {
                let taken = candidate.taken().unwrap();
                // Only an awaited picture older than the group's first would have been another's.
                if taken >= oldest {
                    prop_assert_eq!(is_member, taken <= oldest + tolerance);
                }
            }
        }
    }
}
