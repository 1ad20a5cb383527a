//! Times of the week: `mon-fri 08:00-18:00`, `sat,sun`, `22:00-06:00`.

use std::fmt;
use std::str::FromStr;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const ALL_DAYS: u8 = 0x7f;
const DAY_MIN: u16 = 24 * 60;

/// A moment of the week on the clocks of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// 0 is Monday.
    pub weekday: u8,
    /// Since midnight; below 1440.
    pub minute: u16,
}

/// One part of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Form", try_from = "Form")]
pub struct Hours {
    /// Bit 0 is Monday. Hours over midnight belong to the day they begin in.
    days: u8,
    from_min: u16,
    /// Not included; at most `from_min` when midnight lies between.
    to_min: u16,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}': expected days, hours or both, such as 'mon-fri 08:00-18:00', 'sat,sun' or '22:00-06:00'"
)]
pub struct ScheduleError(String);

/// All of its parts together; without any, always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<Hours>);

impl Schedule {
    pub fn holds(&self, at: LocalTime) -> bool {
        self.0.is_empty() || self.0.iter().any(|hours| hours.hold(at))
    }
}

impl Hours {
    fn hold(self, LocalTime { weekday, minute }: LocalTime) -> bool {
        let on = |day: u8| (self.days >> (day % 7)) & 1 == 1;
        if self.from_min < self.to_min {
            return on(weekday) && (self.from_min..self.to_min).contains(&minute);
        }
        (on(weekday) && minute >= self.from_min) || (on(weekday + 6) && minute < self.to_min)
    }
}

impl FromStr for Hours {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let parsed = match words.as_slice() {
            [days, hours] => days_of(days).zip(hours_of(hours)),
            [one] => days_of(one)
                .map(|days| (days, (0, DAY_MIN)))
                .or_else(|| Some((ALL_DAYS, hours_of(one)?))),
            _ => None,
        };
        let (days, (from_min, to_min)) = parsed.ok_or_else(|| ScheduleError(text.to_owned()))?;
        Ok(Self { days, from_min, to_min })
    }
}

/// `mon-fri`, `sat,sun`, `fri-mon`.
fn days_of(text: &str) -> Option<u8> {
    let day = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let mut days = 0;
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (day(from)?, day(to)?);
        // Around the end of the week too.
        let count = (to + 7 - from) % 7;
        days |= (0..=count).fold(0, |days, next| days | (1 << ((from + next) % 7)));
    }
    Some(days)
}

fn hours_of(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minutes(from)?, minutes(to)?);
    // From a time until itself is a day or nothing: nobody can tell.
    (from < DAY_MIN && from != to).then_some((from, to))
}

/// `06:30`; `24:00` is the end of a day.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str, most: u16| {
        let fits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|number: &u16| fits && *number <= most)
    };
    let (hour, minute) = (number(hour, 24)?, number(minute, 59).filter(|_| minute.len() == 2)?);
    Some(hour * 60 + minute).filter(|at| *at <= DAY_MIN)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = DAYS.iter().enumerate().filter(|(day, _)| (self.days >> day) & 1 == 1);
        let days: Vec<&str> = named.map(|(_, name)| *name).collect();
        let clock = |min: u16| format!("{:02}:{:02}", min / 60, min % 60);
        let hours = format!("{}-{}", clock(self.from_min), clock(self.to_min));
        match (self.days, (self.from_min, self.to_min)) {
            (_, (0, DAY_MIN)) => f.write_str(&days.join(",")),
            (ALL_DAYS, _) => f.write_str(&hours),
            _ => write!(f, "{} {hours}", days.join(",")),
        }
    }
}

/// Text where people read it, numbers elsewhere: what is between processes is the same.
#[derive(Serialize, Deserialize)]
struct Form(String);

impl From<Hours> for Form {
    fn from(hours: Hours) -> Self {
        Self(hours.to_string())
    }
}

impl TryFrom<Form> for Hours {
    type Error = ScheduleError;

    fn try_from(form: Form) -> Result<Self, ScheduleError> {
        form.0.parse()
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] if serializer.is_human_readable() => one.serialize(serializer),
            all => serializer.collect_seq(all),
        }
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(ScheduleVisitor);
        }
        Vec::deserialize(deserializer).map(Self)
    }
}

struct ScheduleVisitor;

impl<'de> Visitor<'de> for ScheduleVisitor {
    type Value = Schedule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("times such as 'mon-fri 08:00-18:00', or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Schedule, E> {
        text.parse().map(|hours| Schedule(vec![hours])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Schedule, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn holds(text: &str, weekday: u8, clock: &str) -> bool {
        let minute = minutes(clock).unwrap();
        Schedule(vec![hours(text)]).holds(LocalTime { weekday, minute })
    }

    #[test]
    fn hours_are_those_of_their_days() {
        assert!(
            holds("mon-fri 08:00-18:00", 0, "08:00") && holds("mon-fri 08:00-18:00", 4, "17:59")
        );
        assert!(
            !holds("mon-fri 08:00-18:00", 4, "18:00") && !holds("mon-fri 08:00-18:00", 5, "12:00")
        );
        assert!(
            holds("sat,sun", 6, "00:00")
                && holds("sat,sun", 6, "23:59")
                && !holds("sat,sun", 0, "00:00")
        );
        assert!(
            holds("fri-mon", 0, "12:00")
                && holds("fri-mon", 6, "12:00")
                && !holds("fri-mon", 1, "12:00")
        );
        assert!(holds("06:00-24:00", 3, "23:59") && !holds("06:00-24:00", 3, "05:59"));
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_they_begin_in() {
        assert!(
            holds("22:00-06:00", 2, "23:00")
                && holds("22:00-06:00", 2, "05:59")
                && !holds("22:00-06:00", 2, "06:00")
        );
        // The night from Friday to Saturday, and no other.
        assert!(holds("fri 22:00-06:00", 4, "22:00") && holds("fri 22:00-06:00", 5, "03:00"));
        assert!(!holds("fri 22:00-06:00", 4, "03:00") && !holds("fri 22:00-06:00", 5, "22:00"));
        // That from Sunday to Monday goes over the end of the week.
        assert!(holds("sun 22:00-06:00", 0, "03:00") && !holds("sun 22:00-06:00", 6, "03:00"));
        assert!(holds("22:00-00:00", 1, "23:00") && !holds("22:00-00:00", 1, "00:00"));
    }

    #[test]
    fn without_a_part_it_always_holds_and_with_several_when_one_does() {
        let at = |minute| LocalTime { weekday: 3, minute };
        assert!(Schedule::default().holds(at(0)));
        let both = Schedule(vec![hours("06:00-07:00"), hours("18:00-19:00")]);
        assert!(both.holds(at(6 * 60)) && both.holds(at(18 * 60)) && !both.holds(at(12 * 60)));
    }

    #[test]
    fn what_no_week_has_is_refused_and_the_rest_comes_back_as_it_was_meant() {
        for bad in [
            "",
            "sometimes",
            "mon-",
            "25:00-26:00",
            "08:00",
            "8-18",
            "08:00-08:00",
            "24:00-08:00",
            "08:0-9:00",
            "mon 08:00-18:00 x",
            "08:60-09:00",
            "24:30-01:00",
        ] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
        for (text, shown) in [
            ("MON-Wed 8:00-9:30", "mon,tue,wed 08:00-09:30"),
            ("mon-sun 22:00-06:00", "22:00-06:00"),
            ("sat,sun 00:00-24:00", "sat,sun"),
        ] {
            assert_eq!(hours(text).to_string(), shown);
            assert_eq!(hours(shown), hours(text));
        }
    }
}
