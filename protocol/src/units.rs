//! Durations, byte counts and bit rates as people write them: `250ms`, `8MiB`, `2M`.
//!
//! In human-readable formats they are text with a unit; in binary ones a plain u64.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{seen}': expected {expected}")]
pub struct UnitError {
    pub seen: String,
    pub expected: &'static str,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $expected:literal, [$(($unit:literal, $factor:expr)),* $(,)?]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl $name {
            const UNITS: &'static [(&'static str, u64)] = &[$(($unit, $factor)),*];
        }

        impl FromStr for $name {
            type Err = UnitError;
            fn from_str(text: &str) -> Result<Self, UnitError> {
                parse(text, Self::UNITS)
                    .map(Self)
                    .ok_or_else(|| UnitError { seen: text.to_owned(), expected: $expected })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (unit, factor) = Self::UNITS
                    .iter()
                    .rev()
                    .find(|(_, factor)| self.0 % factor == 0 && self.0 >= *factor)
                    .unwrap_or(&Self::UNITS[0]);
                write!(f, "{}{unit}", self.0 / factor)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_u64(self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
                } else {
                    u64::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

quantity!(
    /// A span of time, in ns.
    Span,
    "a duration with its unit (ns, us, ms, s, m, h, d), for example 250ms",
    [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ]
);
quantity!(
    /// A number of bytes.
    Bytes,
    "a size with its unit (B, KiB, MiB, GiB, TiB, KB, MB, GB, TB), for example 8MiB",
    [
        ("B", 1),
        ("KB", 1_000),
        ("KiB", 1_024),
        ("MB", 1_000_000),
        ("MiB", 1_048_576),
        ("GB", 1_000_000_000),
        ("GiB", 1_073_741_824),
        ("TB", 1_000_000_000_000),
        ("TiB", 1_099_511_627_776),
    ]
);
quantity!(
    /// A bit rate, in bit/s.
    BitRate,
    "a bit rate with its unit (k, M, G), for example 8M",
    [("bit", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)]
);

impl Span {
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    pub fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// `<digits>[.<digits>]<unit>`; at most nine decimals, exact in integers.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let factor = u128::from(units.iter().find(|(name, _)| *name == unit)?.1);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(decimals.len()).ok()?);
    let scaled =
        whole.parse::<u64>().ok().map(u128::from)? * scale + decimals.parse::<u128>().ok()?;
    u64::try_from(scaled.checked_mul(factor)? / scale).ok()
}

/// A gain or a level, in tenths of a decibel: text such as `-6dB` where people read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decibels(pub i32);

impl Decibels {
    /// What samples are multiplied with.
    pub fn factor(self) -> f32 {
        // Whole numbers below 2^24 are exact.
        10f32.powf(self.0.clamp(-10_000, 10_000) as f32 / 200.0)
    }
}

impl FromStr for Decibels {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "decibels with their unit, to a tenth, for example -6dB";
        tenths(text).map(Self).ok_or_else(|| UnitError { seen: text.to_owned(), expected })
    }
}

/// `[+|-]<digits>[.<digit>]dB`.
fn tenths(text: &str) -> Option<i32> {
    let number = text.strip_suffix("dB")?;
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, tenth) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(tenth) || tenth.len() > 1 || whole.len() > 4 {
        return None;
    }
    Some(sign * (whole.parse::<i32>().ok()? * 10 + tenth.parse::<i32>().ok()?))
}

impl fmt::Display for Decibels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, tenths) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        match tenths % 10 {
            0 => write!(f, "{sign}{}dB", tenths / 10),
            tenth => write!(f, "{sign}{}.{tenth}dB", tenths / 10),
        }
    }
}

impl Serialize for Decibels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i32(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Decibels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            i32::deserialize(deserializer).map(Self)
        }
    }
}

/// A picture size, `WIDTHxHEIGHT`; text in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl FromStr for Size {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad =
            || UnitError { seen: text.to_owned(), expected: "a picture size such as 640x480" };
        let (width, height) = text.split_once('x').ok_or_else(bad)?;
        let side = |part: &str| {
            part.parse().ok().filter(|side| (1..=16_384).contains(side)).ok_or_else(bad)
        };
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

impl TryFrom<String> for Size {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_people_write_them() {
        assert_eq!("0.25s".parse(), Ok(Span::from_millis(250)));
        assert_eq!("2m".parse::<Span>().unwrap().duration(), Duration::from_secs(120));
        assert_eq!("8MiB".parse(), Ok(Bytes(8 << 20)));
        assert_eq!("2.5M".parse(), Ok(BitRate(2_500_000)));
    }

    #[test]
    fn a_number_without_its_unit_is_refused() {
        for bad in ["5", "", "s", "-1s", "1 s", "1.s", "1e3s", "99999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_quantity_prints_as_it_was_written() {
        for text in ["250ms", "8MiB", "1h", "90s"] {
            let shown = if text.ends_with('B') {
                text.parse::<Bytes>().unwrap().to_string()
            } else {
                text.parse::<Span>().unwrap().to_string()
            };
            assert_eq!(shown, text);
        }
    }

    #[test]
    fn decibels_read_and_print_to_a_tenth_and_are_factors() {
        for (text, tenths) in [("-6dB", -60), ("0dB", 0), ("2.5dB", 25), ("-0.5dB", -5)] {
            assert_eq!(text.parse(), Ok(Decibels(tenths)), "{text}");
            assert_eq!(Decibels(tenths).to_string(), text);
        }
        assert_eq!("+3dB".parse(), Ok(Decibels(30)));
        for bad in ["-6", "", "dB", "6 dB", "--6dB", "1.25dB", "-dB", "99999dB", "6db"] {
            assert!(bad.parse::<Decibels>().is_err(), "{bad:?} was taken");
        }
        assert!((Decibels(-60).factor() - 0.501_187).abs() < 1e-5);
        assert!((Decibels(200).factor() - 10.0).abs() < 1e-4);
    }
}
