//! `Range` and `Scale` of a PLAY (RFC 2326 sections 12.29 and 12.34), and how they are told. Pure.

use protocol::time::UtcNs;

use super::moment;

/// What there is of a recording: its first picture or sound, and where the last one ends. Normal play time
/// counts from `from`. Invariant: `from < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: UtcNs,
    pub to: UtcNs,
}

/// What times are told in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    Clock,
    #[default]
    Npt,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where it is.
    Here,
    /// ns behind the beginning.
    Npt(u64),
    Clock(UtcNs),
}

/// A range as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub unit: Unit,
    from: Place,
    to: Option<Place>,
}

/// What of it there is. Invariant: `from < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from: UtcNs,
    pub to: UtcNs,
}

/// It cannot be understood, or there is nothing of it: 457.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl Wanted {
    pub fn of(header: &str) -> Result<Self, Invalid> {
        // Behind a semicolon stands when it is to begin, which is now.
        let text = header.split(';').next().unwrap_or_default();
        let (unit, range) = text.split_once('=').ok_or(Invalid)?;
        let unit = match unit.trim().to_ascii_lowercase().as_str() {
            "npt" => Unit::Npt,
            "clock" => Unit::Clock,
            _ => return Err(Invalid),
        };
        let range = range.trim();
        let (from, to) = split(unit, range).ok_or(Invalid)?;
        let place = |text: &str| match unit {
            _ if text.is_empty() => Ok(None),
            Unit::Npt if text.eq_ignore_ascii_case("now") => Ok(Some(Place::Here)),
            Unit::Npt => moment::npt(text).map(|ns| Some(Place::Npt(ns))).ok_or(Invalid),
            Unit::Clock => moment::utc(text).map(|utc| Some(Place::Clock(utc))).ok_or(Invalid),
        };
        Ok(Self { unit, from: place(from)?.unwrap_or(Place::Here), to: place(to)? })
    }

    /// What of it there is. `here` is where the playing is.
    pub fn within(&self, window: Window, here: UtcNs) -> Result<Stretch, Invalid> {
        let at = |place| match place {
            Place::Here => here,
            Place::Npt(ns) => UtcNs(window.from.0.saturating_add(ns)),
            Place::Clock(utc) => utc,
        };
        let (from, to) = (at(self.from), self.to.map_or(window.to, at));
        let stretch = Stretch { from: from.max(window.from), to: to.min(window.to) };
        if from < to && stretch.from < stretch.to { Ok(stretch) } else { Err(Invalid) }
    }
}

/// The two ends. A time with marks has hyphens of its own.
fn split(unit: Unit, range: &str) -> Option<(&str, &str)> {
    let at = match unit {
        Unit::Npt => range.find('-')?,
        Unit::Clock => range.find("Z-").map(|at| at + 1).or_else(|| range.find('-'))?,
    };
    Some((range[..at].trim(), range[at + 1..].trim()))
}

impl Stretch {
    /// As a `Range` header has it.
    pub fn told(&self, unit: Unit, window: Window) -> String {
        let npt = |at: UtcNs| moment::to_npt(at.0.saturating_sub(window.from.0));
        match unit {
            Unit::Npt => format!("npt={}-{}", npt(self.from), npt(self.to)),
            Unit::Clock => {
                format!("clock={}-{}", moment::to_clock(self.from), moment::to_clock(self.to))
            }
        }
    }
}

impl Window {
    /// All of it, for an SDP.
    pub fn told(&self) -> String {
        Stretch { from: self.from, to: self.to }.told(Unit::Npt, *self)
    }
}

/// How much faster than it was recorded, in thousandths. Above 1000 key frames alone are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(u32);

impl Scale {
    pub const NORMAL: Self = Self(1_000);
    /// Slower is a picture every few seconds, faster more key frames than a disk likes.
    const LEAST: u32 = 100;
    const MOST: u32 = 64_000;

    /// The nearest that can be done, as section 12.34 wants it: backwards cannot.
    pub fn of(header: &str) -> Self {
        match header.trim().parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => {
                let most = f64::from(Self::MOST) / 1_000.0;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and 64000"
                )]
                let thousandths = (factor.min(most) * 1_000.0).round() as u32;
                Self(thousandths.clamp(Self::LEAST, Self::MOST))
            }
            _ => Self::NORMAL,
        }
    }

    /// As a `Scale` header has it.
    pub fn told(self) -> String {
        format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }

    pub fn is_key_frames_only(self) -> bool {
        self.0 > 1_000
    }

    /// How long it takes to play so much.
    pub fn played_ns(self, recorded_ns: i64) -> i64 {
        let played = i128::from(recorded_ns) * 1_000 / i128::from(self.0);
        i64::try_from(played).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;
    /// 2026-11-20T13:09:00Z.
    const NOON: u64 = 1_795_180_140 * S;
    const WINDOW: Window = Window { from: UtcNs(NOON), to: UtcNs(NOON + 100 * S) };
    const HERE: UtcNs = UtcNs(NOON + 30 * S);

    /// Seconds behind the beginning.
    fn of(header: &str) -> Result<(u64, u64), Invalid> {
        let stretch = Wanted::of(header)?.within(WINDOW, HERE)?;
        let second = |at: UtcNs| (at.0 - NOON) / S;
        Ok((second(stretch.from), second(stretch.to)))
    }

    #[test]
    fn ranges_are_read_as_players_write_them() {
        for (header, expected) in [
            ("npt=0.000-", (0, 100)),
            ("npt=10-20", (10, 20)),
            ("npt = 0:00:10.0 - 0:01:10", (10, 70)),
            ("NPT=now-", (30, 100)),
            ("npt=-40", (30, 40)),
            ("npt=10-500", (10, 100)),
            ("npt=0-;time=20261120T130900Z", (0, 100)),
            ("clock=20261120T130910Z-20261120T130920Z", (10, 20)),
            ("clock=20261120T130910.0Z-", (10, 100)),
            ("clock=2026-11-20T13:09:10Z-2026-11-20T13:09:20Z", (10, 20)),
            ("clock=-20261120T130950Z", (30, 50)),
            ("clock=20261120T120000Z-", (0, 100)),
        ] {
            assert_eq!(of(header), Ok(expected), "{header}");
        }
    }

    #[test]
    fn a_range_of_which_there_is_nothing_is_invalid() {
        for header in [
            "",
            "npt",
            "npt=",
            "npt=x-",
            "npt=20-10",
            "npt=10-10",
            "npt=100-",
            "npt=500-600",
            "smpte=0:00:00-",
            "clock=20261120T131100Z-",
            "clock=20261120T120000Z-20261120T120100Z",
            "clock=yesterday-",
            "npt=1-2-3",
        ] {
            assert_eq!(of(header), Err(Invalid), "{header:?}");
        }
    }

    #[test]
    fn what_is_played_is_told_in_the_unit_of_the_question() {
        let stretch = Wanted::of("npt=10.5-20").unwrap().within(WINDOW, HERE).unwrap();
        assert_eq!(stretch.told(Unit::Npt, WINDOW), "npt=10.500000-20.000000");
        assert_eq!(stretch.told(Unit::Clock, WINDOW), "clock=20261120T130910.5Z-20261120T130920Z");
        assert_eq!(WINDOW.told(), "npt=0.000000-100.000000");
    }

    #[test]
    fn a_scale_that_cannot_be_done_becomes_the_nearest() {
        for (header, told) in [
            ("1", "1.000"),
            ("2.0", "2.000"),
            (" 0.5 ", "0.500"),
            ("1000", "64.000"),
            ("0.01", "0.100"),
            ("-1", "1.000"),
            ("0", "1.000"),
            ("x", "1.000"),
            ("nan", "1.000"),
            ("inf", "1.000"),
            ("", "1.000"),
        ] {
            assert_eq!(Scale::of(header).told(), told, "{header:?}");
        }
        assert!(Scale::of("1.5").is_key_frames_only() && !Scale::of("0.5").is_key_frames_only());
        assert_eq!(Scale::of("4").played_ns(8), 2);
        assert_eq!(Scale::of("0.5").played_ns(-8), -16);
    }

    proptest! {
        #[test]
        fn random_ranges_never_panic(header in "(npt|clock)=[0-9TZ:.;\\-now]{0,40}") {
            let _ = of(&header);
        }
    }
}
