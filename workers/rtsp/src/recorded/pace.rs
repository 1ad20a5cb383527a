//! When a unit is due, for one client. Pure.

use std::time::Duration;

use protocol::time::MonoNs;

/// Who is later than this, since it took nothing meanwhile or the disk was slow, goes on from here: what it
/// missed is not made up for in a burst.
const LATE_MAX: Duration = Duration::from_secs(1);

/// Begins with the first unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// When what is due at zero was due.
    began: Option<MonoNs>,
    paused: Option<MonoNs>,
}

impl Pace {
    pub fn pause(&mut self, now: MonoNs) {
        self.paused.get_or_insert(now);
    }

    /// Time did not pass meanwhile.
    pub fn resume(&mut self, now: MonoNs) {
        if let (Some(paused), Some(began)) = (self.paused.take(), self.began) {
            self.began = Some(began + now.saturating_since(paused));
        }
    }

    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// When a unit is due that is played `due_ns` behind the first one.
    pub fn due(&mut self, due_ns: u64, now: MonoNs) -> MonoNs {
        *self.began.get_or_insert(now) + Duration::from_nanos(due_ns)
    }

    /// It is sent now.
    pub fn sent(&mut self, due_ns: u64, now: MonoNs) {
        let late = now.saturating_since(self.due(due_ns, now));
        if let Some(began) = self.began
            && late > LATE_MAX
        {
            self.began = Some(began + late);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(second: u64) -> MonoNs {
        MonoNs(second * S)
    }

    #[test]
    fn units_are_due_as_far_apart_as_they_are_played() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(0, at(100)), at(100));
        assert_eq!(pace.due(5 * S, at(101)), at(105));
    }

    #[test]
    fn a_pause_is_no_time() {
        let mut pace = Pace::default();
        pace.sent(0, at(100));
        pace.pause(at(102));
        pace.pause(at(104));
        assert!(pace.is_paused());
        pace.resume(at(110));
        assert_eq!(pace.due(3 * S, at(110)), at(111));
        pace.resume(at(120));
        assert_eq!(pace.due(3 * S, at(120)), at(111), "it was not paused");
    }

    #[test]
    fn who_is_late_is_not_sent_all_it_missed_at_once() {
        let mut pace = Pace::default();
        pace.sent(0, at(100));
        pace.sent(S / 2, at(101));
        assert_eq!(pace.due(S, at(101)), at(101), "half a second is made up for");
        pace.sent(S, at(131));
        assert_eq!(pace.due(2 * S, at(131)), at(132));
    }
}
