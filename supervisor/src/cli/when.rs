//! Points in time as people type them, for every verb that takes one, and the instants they mean. A time without
//! `Z` or an offset is local.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use protocol::time::UtcNs;
use protocol::units::Span;
use shmring::clock;

/// Said where a text is none.
const EXPECTED: &str =
    "expected a time such as 10:00, 2026-11-20T10:00, 2026-11-20T10:00:00Z, -5m (ago) or now";

/// A point in time as typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum When {
    /// `-5m`, or `5m` as `events --since` has it: before now.
    Ago(Span),
    /// `2026-11-20T10:00:00Z`, or with another offset.
    At(UtcNs),
    /// `10:00`, of the day that is meant: local.
    Clock(Time),
    /// `2026-11-20T10:00`: local.
    Local(DateTime),
    Now,
    /// `+5m`: behind where the range begins.
    Later(Span),
}

/// What times are told against.
#[derive(Clone, Debug)]
pub(super) struct Here {
    pub(super) now: UtcNs,
    pub(super) zone: TimeZone,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum WhenError {
    #[error("'{0}' is no time; {EXPECTED}")]
    None(String),
    #[error("'{0}' is never: the clocks of this time zone, or this program, know no such time")]
    Never(String),
}

impl FromStr for When {
    type Err = WhenError;

    fn from_str(text: &str) -> Result<Self, WhenError> {
        let none = || WhenError::None(text.to_owned());
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Some(span) = text.strip_prefix('-') {
            return span.parse().map(Self::Ago).map_err(|_| none());
        }
        if let Some(span) = text.strip_prefix('+') {
            return span.parse().map(Self::Later).map_err(|_| none());
        }
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        // `10` is a time to the parser too, and nothing that people mean.
        if text.contains(':') && text.len() <= "10:00:00.000000000".len() && !text.contains('-') {
            return text.parse().map(Self::Clock).map_err(|_| none());
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            let ns = u64::try_from(at.as_nanosecond());
            return ns.map(|ns| Self::At(UtcNs(ns))).map_err(|_| WhenError::Never(text.to_owned()));
        }
        text.parse().map(Self::Local).map_err(|_| none())
    }
}

impl Here {
    /// This machine, now.
    pub(super) fn now() -> Self {
        Self { now: clock::now().utc, zone: TimeZone::system() }
    }

    /// Where a range begins: `10:00` is the last time the clock showed that.
    pub(super) fn from(&self, moment: &When) -> Result<UtcNs, WhenError> {
        match moment {
            When::Clock(time) => {
                let today = self.on(self.today()?, *time)?;
                if today <= self.now {
                    return Ok(today);
                }
                let before = self.today()?.yesterday().map_err(|_| never(time))?;
                self.on(before, *time)
            }
            When::Later(span) => Ok(UtcNs(self.now.0.saturating_add(span.0))),
            other => self.plain(other),
        }
    }

    /// Where a range ends that begins at `from`: `10:00` is the next time behind it.
    pub(super) fn to(&self, moment: &When, from: UtcNs) -> Result<UtcNs, WhenError> {
        match moment {
            When::Clock(time) => {
                let day = self.day_of(from)?;
                let same = self.on(day, *time)?;
                if same > from {
                    return Ok(same);
                }
                self.on(day.tomorrow().map_err(|_| never(time))?, *time)
            }
            When::Later(span) => Ok(UtcNs(from.0.saturating_add(span.0))),
            other => self.plain(other),
        }
    }

    fn plain(&self, moment: &When) -> Result<UtcNs, WhenError> {
        match moment {
            When::Ago(span) => Ok(UtcNs(self.now.0.saturating_sub(span.0))),
            When::At(at) => Ok(*at),
            When::Local(local) => self.instant(*local),
            When::Clock(_) | When::Later(_) | When::Now => Ok(self.now),
        }
    }

    fn today(&self) -> Result<jiff::civil::Date, WhenError> {
        self.day_of(self.now)
    }

    fn day_of(&self, at: UtcNs) -> Result<jiff::civil::Date, WhenError> {
        let at = Timestamp::from_nanosecond(at.0.into());
        at.map(|at| self.zone.to_datetime(at).date())
            .map_err(|_| WhenError::Never("now".to_owned()))
    }

    fn on(&self, day: jiff::civil::Date, time: Time) -> Result<UtcNs, WhenError> {
        self.instant(day.to_datetime(time))
    }

    /// Where clocks are set, a time that is there twice is the first one, and one that is not there is
    /// as much later as they were set.
    fn instant(&self, local: DateTime) -> Result<UtcNs, WhenError> {
        let at = self.zone.to_ambiguous_timestamp(local).compatible();
        let ns = at.ok().and_then(|at| u64::try_from(at.as_nanosecond()).ok());
        ns.map(UtcNs).ok_or_else(|| never(&local))
    }
}

fn never(what: &impl ToString) -> WhenError {
    WhenError::Never(what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// 2026-11-20T13:09:00Z, which is 14:09 in Vienna.
    fn here() -> Here {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        Here { now: UtcNs(1_795_180_140 * SECOND), zone }
    }

    fn from(text: &str) -> i64 {
        let at = here().from(&text.parse().unwrap()).unwrap();
        (i64::try_from(at.0).unwrap() - i64::try_from(here().now.0).unwrap()) / 1_000_000_000
    }

    #[test]
    fn times_are_those_that_people_mean() {
        assert_eq!((from("now"), from("-5m"), from("5m"), from("-1.5h")), (0, -300, -300, -5400));
        assert_eq!(from("14:00"), -540);
        assert_eq!(from("14:08:30.5"), -29);
        // Not yet today: that of yesterday.
        assert_eq!(from("15:09"), -23 * 3600);
        assert_eq!(from("2026-11-20T14:00"), -540);
        assert_eq!(from("2026-11-20 14:00:00"), -540);
        assert_eq!(from("2026-11-20T13:00:00Z"), -540);
        assert_eq!(from("2026-11-20T15:00:00+02:00"), -540);
    }

    #[test]
    fn an_end_is_behind_its_begin() {
        let to = |begin: &str, end: &str| {
            let begin = here().from(&begin.parse().unwrap()).unwrap();
            (here().to(&end.parse().unwrap(), begin).unwrap().0 - begin.0) / SECOND
        };
        assert_eq!(to("14:00", "14:05"), 300);
        assert_eq!(to("23:50", "00:10"), 1200);
        assert_eq!(to("14:00", "+90s"), 90);
        assert_eq!(to("-5m", "now"), 300);
        assert_eq!(to("-5m", "-1m"), 240);
    }

    #[test]
    fn clocks_that_are_set_leave_no_time_without_a_meaning() {
        let at = |text: &str| here().from(&text.parse().unwrap()).unwrap().0 / SECOND;
        assert_eq!(at("2026-03-29T02:30"), at("2026-03-29T03:30"));
        assert_eq!(at("2026-10-25T02:30"), at("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused_with_examples() {
        for bad in
            ["", "10", "25:00", "10:60", "-5", "+", "yesterday", "2026-13-01T10:00", "-5m ago"]
        {
            let refused = bad.parse::<When>().map_err(|error| error.to_string());
            assert!(
                refused.as_ref().is_err_and(|said| said.contains("-5m (ago)")),
                "{bad}: {refused:?}"
            );
        }
        assert!("1960-01-01T00:00:00Z".parse::<When>().is_err());
    }
}
