//! Which pictures are encoded, and which of them begin a group. By the pictures' own times; pure.

use protocol::time::NS_PER_S;
use protocol::units::Span;

/// At most so many pictures a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// 0: all.
    period_ns: i64,
    due_ns: Option<i64>,
}

impl Pace {
    pub(crate) fn new(max_fps: Option<u32>) -> Self {
        let period_ns = max_fps.map_or(0, |fps| NS_PER_S / u64::from(fps.max(1)));
        Self { period_ns: i64::try_from(period_ns).unwrap_or(0), due_ns: None }
    }

    pub(crate) fn begin_anew(&mut self) {
        self.due_ns = None;
    }

    /// Whether a picture of this time is wanted.
    pub(crate) fn takes(&mut self, pts_ns: i64) -> bool {
        if self.period_ns == 0 {
            return true;
        }
        // Times of a camera jitter: of 25 pictures a second every other one is wanted of 12.5.
        let due_ns = self.due_ns.unwrap_or(pts_ns);
        if pts_ns < due_ns - self.period_ns / 8 {
            return false;
        }
        let in_step = pts_ns - due_ns < self.period_ns;
        self.due_ns = Some(if in_step { due_ns } else { pts_ns }.saturating_add(self.period_ns));
        true
    }

    /// How long a picture is shown.
    pub(crate) fn duration_ns(&self, own_ns: i64) -> i64 {
        own_ns.max(self.period_ns)
    }
}

/// A key frame at least so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    every_ns: i64,
    last_ns: Option<i64>,
}

impl Groups {
    pub(crate) fn new(every: Span) -> Self {
        Self { every_ns: i64::try_from(every.0).unwrap_or(i64::MAX), last_ns: None }
    }

    pub(crate) fn begin_anew(&mut self) {
        self.last_ns = None;
    }

    pub(crate) fn begins_with(&mut self, pts_ns: i64) -> bool {
        let begins = self.last_ns.is_none_or(|last_ns| pts_ns - last_ns >= self.every_ns);
        if begins {
            self.last_ns = Some(pts_ns);
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rate_that_jitters_is_halved_evenly() {
        let mut pace = Pace::new(Some(10));
        // 20 pictures a second, off by up to 3 ms.
        let times = (0..200i64).map(|n| n * 50_000_000 + (n * 7 % 7 - 3) * 1_000_000);
        let taken: Vec<i64> = times.filter(|at| pace.takes(*at)).collect();
        assert_eq!(taken.len(), 100);
        assert!(
            taken.windows(2).all(|pair| (pair[1] - pair[0]).abs_diff(100_000_000) < 10_000_000)
        );
    }

    #[test]
    fn key_frames_come_as_often_as_asked_and_at_the_begin() {
        let mut groups = Groups::new(Span::from_millis(1_000));
        let keys = (0..60i64).filter(|n| groups.begins_with(n * 40_000_000)).collect::<Vec<_>>();
        assert_eq!(keys, [0, 25, 50]);
        groups.begin_anew();
        assert!(groups.begins_with(0));
    }

    proptest! {
        #[test]
        fn no_second_has_more_pictures_than_wanted(
            fps in 1u32..60, steps in proptest::collection::vec(1i64..200, 1..400),
        ) {
            let mut pace = Pace::new(Some(fps));
            let mut at_ns = 0;
            let mut taken = Vec::new();
            for step in steps {
                at_ns += step * 1_000_000;
                if pace.takes(at_ns) {
                    taken.push(at_ns);
                }
            }
            for (first, at) in taken.iter().enumerate() {
                let within = taken[first..].iter().take_while(|it| **it < at + 1_000_000_000).count();
                // Two more fit where a second begins with a late one and ends with an early one.
                prop_assert!(within <= fps as usize + 2, "{within}");
            }
        }
    }
}
