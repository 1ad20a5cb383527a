//! `health:` of an ingest and of a decoder: from when on the pictures of a camera are not well.
//!
//! Both only tell. What judges them is in the two workers: rates where packets come in, pictures where they
//! are decoded anyway.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::{Span, UnitError};

const OFF: &str = "off";

/// What the user writes under `health` of a decoder: how long pictures may look so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PictureLimits {
    pub frozen: Patience,
    pub black: Patience,
    pub blank: Patience,
}

impl Default for PictureLimits {
    fn default() -> Self {
        // A camera that removes all noise shows a still scene as the same picture for a while, so that a
        // frozen one takes longer to tell than a covered one.
        let after = |ms| Patience::After(Span::from_millis(ms));
        Self { frozen: after(60_000), black: after(10_000), blank: after(10_000) }
    }
}

/// What the user writes under `health` of an ingest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Pictures a second that should come. Default: what the camera declares, else what it sends at first.
    pub fps: Option<u32>,
    pub rate: Share,
}

/// How long something may last before it is told; text in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Patience {
    After(Span),
    /// It is never told.
    Off,
}

impl FromStr for Patience {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == OFF {
            return Ok(Self::Off);
        }
        let expected = "a duration with its unit, for example 30s, or off";
        let bad = |_| UnitError { seen: text.to_owned(), expected };
        text.parse().map(Self::After).map_err(bad)
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(span) => span.fmt(f),
            Self::Off => f.write_str(OFF),
        }
    }
}

/// A part of what is expected; text in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Share {
    /// 1 to 99.
    Percent(u8),
    /// Any is fine.
    Off,
}

impl Default for Share {
    fn default() -> Self {
        // Cameras that halve their rate at night do so on purpose.
        Self::Percent(40)
    }
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == OFF {
            return Ok(Self::Off);
        }
        let expected = "a share such as 40%, or off";
        let digits = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
        let percent = digits.filter(|percent| (1..100).contains(percent));
        percent.map(Self::Percent).ok_or_else(|| UnitError { seen: text.to_owned(), expected })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Off => f.write_str(OFF),
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = UnitError;
            fn try_from(text: String) -> Result<Self, UnitError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

as_text!(Patience);
as_text!(Share);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_back_as_they_print_and_can_be_switched_off() {
        for text in ["1m", "250ms", "off"] {
            assert_eq!(text.parse::<Patience>().unwrap().to_string(), text);
        }
        for text in ["1%", "99%", "off"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        for bad in ["", "none", "10", "10x"] {
            assert!(bad.parse::<Patience>().unwrap_err().to_string().contains("or off"), "{bad}");
        }
        for bad in ["", "0%", "100%", "40", "40.5%", "%"] {
            assert!(bad.parse::<Share>().unwrap_err().to_string().contains("or off"), "{bad}");
        }
    }
}
