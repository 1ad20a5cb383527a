//! Texts with names and times in them. Pure.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use protocol::config::compositor::Zone;
use protocol::time::UtcNs;

/// The time zones that texts may be in.
#[derive(Clone, Debug)]
pub(crate) struct Zones {
    local: TimeZone,
}

impl Zones {
    /// The machine's local zone, or UTC where it has none.
    pub(crate) fn of_machine() -> Self {
        Self { local: TimeZone::system() }
    }

    /// `{name}` is the name; what begins with `%` is a part of the time. A text that is no pattern of a
    /// time stays as it is.
    pub(crate) fn worded(&self, text: &str, name: &str, at: UtcNs, zone: Zone) -> String {
        let worded = match self.zoned(at, zone) {
            Some(time) if text.contains('%') => {
                strtime::format(text, &time).unwrap_or_else(|_| text.to_owned())
            }
            _ => text.to_owned(),
        };
        worded.replace("{name}", name)
    }

    fn zoned(&self, at: UtcNs, zone: Zone) -> Option<Zoned> {
        let time = Timestamp::from_nanosecond(i128::from(at.0)).ok()?;
        let zone = match zone {
            Zone::Local => self.local.clone(),
            Zone::Utc => TimeZone::UTC,
        };
        Some(time.to_zoned(zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T06:07:08.25Z.
    const AT: UtcNs = UtcNs(1_795_327_628_250_000_000);

    fn zones() -> Zones {
        Zones { local: TimeZone::fixed(jiff::tz::offset(2)) }
    }

    #[test]
    fn names_and_times_are_filled_in() {
        let worded = |text, zone| zones().worded(text, "Yard", AT, zone);
        assert_eq!(worded("{name} %Y-%m-%d %H:%M:%S", Zone::Utc), "Yard 2026-11-22 06:07:08");
        assert_eq!(worded("%H:%M:%S", Zone::Local), "08:07:08");
        assert_eq!(worded("%S%.3f %%", Zone::Utc), "08.250 %");
        assert_eq!(worded("plain {other}", Zone::Utc), "plain {other}");
    }

    #[test]
    fn a_name_is_no_pattern_and_a_bad_pattern_stays() {
        assert_eq!(zones().worded("{name} %H", "50%Q", AT, Zone::Utc), "50%Q 06");
        assert_eq!(zones().worded("100%!", "x", AT, Zone::Utc), "100%!");
    }
}
