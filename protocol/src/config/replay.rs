//! `use: replay`: what was recorded of a camera, into a packet ring of the same name.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::as_text::as_text;
use crate::time::UtcNs;
use crate::units::{Span, UnitError};

/// What the user writes under `use: replay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// What a recorder wrote of one camera, `DIR/CAMERA`. A relative path starts at the topology file's
    /// folder.
    pub from: PathBuf,
    /// Begins with the key frame at or before this. Default: all there is.
    #[serde(default)]
    pub since: Option<Utc>,
    /// Ends before this. Default: all there is.
    #[serde(default)]
    pub until: Option<Utc>,
    #[serde(default)]
    pub speed: Speed,
    /// Begin again at the end. Frame ids are the recorded ones each time.
    #[serde(default, rename = "loop")]
    pub repeat: bool,
    /// Longest that is waited where nothing was recorded. Default 1s.
    #[serde(default = "one_second")]
    pub pause: Span,
    /// Begin when somebody says so.
    #[serde(default)]
    pub hold: bool,
}

impl ReplayConfig {
    /// Everything at its default.
    pub fn of(from: PathBuf) -> Self {
        let speed = Speed::default();
        let pause = one_second();
        Self { from, since: None, until: None, speed, repeat: false, pause, hold: false }
    }
}

fn one_second() -> Span {
    Span::from_millis(1_000)
}

/// How fast recorded time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// So many thousandths of the recorded speed.
    Paced { thousandths: u32 },
    /// As fast as the readers of the topology take it: the writer waits for all of them.
    Max,
    /// A picture each time somebody says so.
    Step,
}

impl Speed {
    const EXPECTED: &'static str = "0.01x to 100x, max or step, for example 2x";
    const RANGE: std::ops::RangeInclusive<f64> = 0.01..=100.0;

    /// Whether the readers decide how fast it is, and lose nothing.
    pub fn waits_for_all(self) -> bool {
        matches!(self, Self::Max | Self::Step)
    }
}

impl Default for Speed {
    fn default() -> Self {
        Self::Paced { thousandths: 1_000 }
    }
}

impl FromStr for Speed {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError { seen: text.to_owned(), expected: Self::EXPECTED };
        match text {
            "max" => return Ok(Self::Max),
            "step" => return Ok(Self::Step),
            _ => {}
        }
        let digits = text.strip_suffix('x').unwrap_or(text);
        let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let times: Option<f64> = digits.parse().ok().filter(|_| plain);
        let times = times.filter(|times| Self::RANGE.contains(times)).ok_or_else(bad)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in its range it is 10 to 100000"
        )]
        let thousandths = (times * 1_000.0).round() as u32;
        Ok(Self::Paced { thousandths })
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paced { thousandths } => write!(f, "{}x", f64::from(*thousandths) / 1_000.0),
            Self::Max => f.write_str("max"),
            Self::Step => f.write_str("step"),
        }
    }
}

/// A moment of UTC as people write it: `2026-11-20T13:09:00Z`, to the ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(pub UtcNs);

impl FromStr for Utc {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "a UTC time, for example 2026-11-20T13:09:00Z";
        let time = humantime::parse_rfc3339_weak(text).ok();
        let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let ns = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        ns.map(|ns| Self(UtcNs(ns))).ok_or_else(|| UnitError { seen: text.to_owned(), expected })
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time: SystemTime = UNIX_EPOCH + Duration::from_nanos(self.0.0);
        humantime::format_rfc3339_nanos(time).fmt(f)
    }
}

as_text!(Speed);
as_text!(Utc);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_factor_or_a_word() {
        let of = |text: &str| text.parse::<Speed>();
        for (text, thousandths) in [("1x", 1_000), ("2", 2_000), ("0.25x", 250), ("100x", 100_000)]
        {
            assert_eq!(of(text), Ok(Speed::Paced { thousandths }), "{text}");
        }
        assert_eq!((of("max"), of("step")), (Ok(Speed::Max), Ok(Speed::Step)));
        for bad in ["", "x", "0x", "101", "-1", "1e1", "fast", "1xx", "NaN", "inf"] {
            assert!(of(bad).is_err(), "{bad} was taken");
        }
        for speed in ["1x", "0.25x", "max", "step"] {
            assert_eq!(of(speed).unwrap().to_string(), speed);
        }
    }

    #[test]
    fn a_moment_reads_back_as_it_prints() {
        let utc: Utc = "2026-11-20T13:09:00.123456789Z".parse().unwrap();
        assert_eq!(utc.0, UtcNs(1_795_180_140_123_456_789));
        assert_eq!(utc.to_string().parse(), Ok(utc));
        assert_eq!("2026-11-20 13:09:00".parse(), Ok(Utc(UtcNs(1_795_180_140_000_000_000))));
        assert!("13:09".parse::<Utc>().is_err() && "1969-01-01T00:00:00Z".parse::<Utc>().is_err());
    }
}
