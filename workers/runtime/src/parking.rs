//! Whether anybody looks: without readers who makes something rests. Pure.

use std::time::Duration;

use protocol::time::MonoNs;

/// A reader that is restarted is away for less than this; parking for it would cost more than it
/// saves.
const GRACE: Duration = Duration::from_secs(2);

/// Of a worker whose output may have no readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parking {
    #[default]
    Parked,
    /// Since when nobody reads, if so.
    Working { alone_since: Option<MonoNs> },
}

/// What has to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    GoOn,
    Park,
    Resume,
}

impl Parking {
    /// As of one whose readers are about to come.
    pub fn working() -> Self {
        Self::Working { alone_since: None }
    }

    /// So many read it now.
    pub fn update(&mut self, readers: u32, now: MonoNs) -> Turn {
        let (next, turn) = match *self {
            Self::Parked if readers == 0 => (Self::Parked, Turn::GoOn),
            Self::Parked => (Self::Working { alone_since: None }, Turn::Resume),
            Self::Working { .. } if readers > 0 => {
                (Self::Working { alone_since: None }, Turn::GoOn)
            }
            Self::Working { alone_since: Some(since) } if now.saturating_since(since) >= GRACE => {
                (Self::Parked, Turn::Park)
            }
            Self::Working { alone_since } => {
                (Self::Working { alone_since: alone_since.or(Some(now)) }, Turn::GoOn)
            }
        };
        *self = next;
        turn
    }

    /// Whether it rests.
    pub fn is_parked(self) -> bool {
        self == Self::Parked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn the_first_reader_wakes_it_at_once() {
        let mut parking = Parking::default();
        assert_eq!(parking.update(0, at(0)), Turn::GoOn);
        assert_eq!(parking.update(1, at(1)), Turn::Resume);
        assert_eq!(parking.update(1, at(2)), Turn::GoOn);
    }

    #[test]
    fn it_parks_only_after_two_seconds_without_readers() {
        let mut parking = Parking::Working { alone_since: None };
        assert_eq!(parking.update(0, at(0)), Turn::GoOn);
        assert_eq!(parking.update(0, at(1_999)), Turn::GoOn);
        assert_eq!(parking.update(0, at(2_000)), Turn::Park);
        assert!(parking.is_parked());
    }

    #[test]
    fn a_restarted_reader_does_not_park_it() {
        let mut parking = Parking::Working { alone_since: None };
        for second in (0..20_000).step_by(1_500) {
            assert_eq!(parking.update(0, at(second)), Turn::GoOn);
            assert_eq!(parking.update(1, at(second + 100)), Turn::GoOn);
        }
    }
}
