//! A moment as people write it.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use protocol::time::UtcNs;
use protocol::units::Span;

/// `10m` ago, or `2026-11-20T13:09:00Z` as `events` and `logs` print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Ago(Span),
    At(UtcNs),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{seen}': expected how long ago, for example 10m, or a UTC time, for example 2026-11-20T13:09:00Z"
)]
pub(super) struct NoMoment {
    seen: String,
}

impl Moment {
    pub(super) fn utc(self, now: UtcNs) -> UtcNs {
        match self {
            Self::Ago(span) => UtcNs(now.0.saturating_sub(span.0)),
            Self::At(utc) => utc,
        }
    }
}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        let time = humantime::parse_rfc3339_weak(text).ok();
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let ns = since.as_ref().map(Duration::as_nanos).and_then(|ns| u64::try_from(ns).ok());
        ns.map(|ns| Self::At(UtcNs(ns))).ok_or_else(|| NoMoment { seen: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_so_long_ago_or_a_time_as_it_is_printed() {
        let utc =
            |text: &str| text.parse().map(|moment: Moment| moment.utc(UtcNs(700_000_000_000)));
        assert_eq!(utc("10m"), Ok(UtcNs(100_000_000_000)));
        assert_eq!(utc("1h"), Ok(UtcNs(0)));
        assert_eq!(utc("1970-01-01T00:00:01.500Z"), Ok(UtcNs(1_500_000_000)));
        assert_eq!(utc("1970-01-01 00:01:00"), Ok(UtcNs(60_000_000_000)));
        for wrong in ["", "10", "yesterday", "1969-01-01T00:00:00Z", "13:09"] {
            assert!(utc(wrong).is_err(), "{wrong}");
        }
    }
}
