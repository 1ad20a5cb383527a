//! Which pictures a reader wants, and when. Pure.

use std::time::Duration;

use protocol::time::MonoNs;

/// Which pictures a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The newest one each time; what came between is skipped, not missed.
    Latest,
    /// Every one in turn; those overwritten meanwhile are told as an overrun.
    Sequential,
}

/// Where a new reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStart {
    /// Behind a picture already had. What is gone since is told as an overrun; when the ring is in
    /// another epoch by now, all of this one counts and the overrun has no number.
    After { epoch: u64, sequence: u64 },
    /// With the newest picture there is.
    Newest,
    /// With the oldest picture still there; read in turn, it is followed by all newer ones.
    Oldest,
}

/// Each n-th picture: those whose sequence n divides, so that every reader with the same n, and one
/// that was overrun or restarted, takes the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Every(u64);

impl Every {
    /// 0 is all, like 1.
    pub(super) fn new(every: u32) -> Self {
        Self(u64::from(every.max(1)))
    }

    /// n itself, at least 1.
    #[inline(always)]
    pub(super) fn number(self) -> u64 {
        self.0
    }

    /// Those wanted up to `sequence`. Nearly every reader wants all, and a division is as long as a third
    /// of what taking a picture costs.
    #[inline(always)]
    fn count(self, sequence: u64) -> u64 {
        if self.0 == 1 { sequence } else { sequence / self.0 }
    }

    /// The newest one wanted up to `sequence`; 0 when there is none.
    #[inline(always)]
    pub(super) fn newest(self, sequence: u64) -> u64 {
        self.count(sequence) * self.0
    }

    /// The first one wanted behind `sequence`; none behind the last number there is.
    pub(super) fn following(self, sequence: u64) -> Option<u64> {
        self.newest(sequence).checked_add(self.0)
    }

    /// Those wanted behind `after`, up to `through`.
    #[inline(always)]
    pub(super) fn between(self, after: u64, through: u64) -> u64 {
        self.count(through).saturating_sub(self.count(after))
    }
}

/// When the next picture is due to a reader that wants only so many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    period: Duration,
    due: MonoNs,
}

impl Pace {
    /// `None` and 0 are no limit.
    pub(super) fn new(max_fps: Option<u32>) -> Self {
        let period = max_fps.filter(|fps| *fps > 0).map(|fps| Duration::from_secs(1) / fps);
        Self { period: period.unwrap_or_default(), due: MonoNs(0) }
    }

    /// Without a limit the time of taking does not matter.
    #[inline(always)]
    pub(super) fn is_limited(self) -> bool {
        !self.period.is_zero()
    }

    /// Nothing is taken before this.
    #[inline(always)]
    pub(super) fn due(self) -> MonoNs {
        self.due
    }

    /// A picture was taken. The next one is due a period after this one was, not after it was
    /// taken, or every wait's lateness would add up. After a pause of a period or more the count
    /// begins anew, so that it does not end in a burst; it begins when the picture was published, or a
    /// writer that makes no more than is wanted would be looked at long after each of its pictures.
    pub(super) fn took(&mut self, now: MonoNs, published: MonoNs) {
        let in_step = now.saturating_since(self.due) < self.period;
        self.due = if in_step { self.due } else { published.min(now) } + self.period;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(us: u64) -> MonoNs {
        MonoNs(us * 1_000)
    }

    #[test]
    fn without_a_limit_the_next_picture_is_due_at_once() {
        for mut pace in [Pace::new(None), Pace::new(Some(0))] {
            pace.took(at(5), at(5));
            assert_eq!(pace.due(), at(5));
        }
    }

    #[test]
    fn a_reader_that_wakes_late_each_time_still_gets_its_rate() {
        let mut pace = Pace::new(Some(100));
        pace.took(at(1_000_000), at(1_000_000));
        for _ in 0..1_000 {
            pace.took(pace.due() + Duration::from_micros(900), at(0));
        }
        assert_eq!(pace.due(), at(1_000_000 + 1_001 * 10_000));
    }

    #[test]
    fn after_a_pause_there_is_no_burst() {
        let mut pace = Pace::new(Some(10));
        pace.took(at(1_000_000), at(1_000_000));
        pace.took(at(9_000_000), at(9_000_000));
        assert_eq!(pace.due(), at(9_100_000));
    }

    #[test]
    fn a_reader_falls_in_step_with_a_writer_of_its_own_rate() {
        let mut pace = Pace::new(Some(10));
        pace.took(at(1_070_000), at(1_000_000));
        assert_eq!(pace.due(), at(1_100_000), "when the next picture comes");
        pace.took(at(1_100_000), at(1_100_000));
        assert_eq!(pace.due(), at(1_200_000));
    }

    proptest! {
        #[test]
        fn every_reader_of_each_nth_picture_takes_the_same_ones(n in 1u32..50, cursor in 0u64..1000) {
            let every = Every::new(n);
            let next = every.following(cursor).unwrap();
            prop_assert!(next > cursor && next.is_multiple_of(u64::from(n)));
            prop_assert_eq!(every.between(cursor, next), 1);
            prop_assert_eq!(every.between(cursor, next - 1), 0);
            prop_assert_eq!(every.newest(next), next);
        }

        #[test]
        fn at_the_end_of_the_numbers_nothing_follows(n: u32, back in 0u64..5) {
            let cursor = u64::MAX - back;
            prop_assert!(Every::new(n).following(cursor).is_none_or(|next| next > cursor));
        }
    }
}
