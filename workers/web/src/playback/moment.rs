//! Times of requests: `2026-11-20T13:09:00Z`, with an offset or a fraction, seconds since 1970, or how long
//! ago: `-5m`. Pure: the time it is now is an argument.

use protocol::config::replay::Utc;
use protocol::time::{NS_PER_S, UtcNs};
use protocol::units::Span;
use recordings::Range;

/// What was asked for cannot be: says why, and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    #[error("'{seen}' is no time: expected 2026-11-20T13:09:00Z, seconds since 1970, or -5m")]
    Time { seen: String },
    #[error("the range ends before it begins")]
    Backwards,
    #[error("the range is longer than {0}")]
    Long(Span),
    #[error("no range: give from=, and to= unless it is until now")]
    None,
}

/// `from` and `to` of a request, as text.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Asked {
    pub from: Option<String>,
    pub to: Option<String>,
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub range: Range,
    /// It does not depend on when it is asked.
    pub is_fixed: bool,
    /// It goes on as time does: it has no end, or one that is still to come.
    pub is_open: bool,
    /// It has no end.
    pub is_endless: bool,
}

impl Asked {
    /// `default`: how long ago the range begins when the request does not say.
    pub fn range(
        &self,
        now: UtcNs,
        default: Option<Span>,
        longest: Span,
    ) -> Result<Wanted, BadTime> {
        let given =
            |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        let (from, to) = (given(&self.from)?, given(&self.to)?);
        let end = to.unwrap_or(now);
        let begin = match (from, default) {
            (Some(from), _) => from,
            (None, Some(span)) => earlier(end, span),
            (None, None) => return Err(BadTime::None),
        };
        if begin >= end {
            return Err(BadTime::Backwards);
        }
        if u128::from(end.0 - begin.0) > longest.duration().as_nanos() {
            return Err(BadTime::Long(longest));
        }
        let is_said = |text: &Option<String>| text.as_ref().is_some_and(|it| !is_relative(it));
        Ok(Wanted {
            range: Range { from: begin, to: end },
            is_fixed: is_said(&self.from) && (self.to.is_none() || is_said(&self.to)),
            is_open: to.is_none_or(|to| to > now),
            is_endless: to.is_none(),
        })
    }
}

fn is_relative(text: &str) -> bool {
    text == "now" || text.starts_with('-')
}

/// What a text means at a time.
pub fn moment(text: &str, now: UtcNs) -> Result<UtcNs, BadTime> {
    let bad = || BadTime::Time { seen: text.chars().take(40).collect() };
    if text == "now" {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        return ago.parse().map(|span| earlier(now, span)).map_err(|_| bad());
    }
    // In a query a plus is a space.
    let text = text.replace(' ', "+");
    let found = if text.contains('T') { calendar(&text) } else { seconds(&text) };
    found.ok_or_else(bad)
}

fn earlier(than: UtcNs, by: Span) -> UtcNs {
    UtcNs(than.0.saturating_sub(u64::try_from(by.duration().as_nanos()).unwrap_or(u64::MAX)))
}

/// Seconds since 1970 with up to nine digits behind the point.
fn seconds(text: &str) -> Option<UtcNs> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !is_number(whole) || !is_number(part) {
        return None;
    }
    let ns = whole.parse::<u64>().ok()?.checked_mul(NS_PER_S)?;
    let part: u64 = format!("{part:0<9}").parse().ok()?;
    ns.checked_add(part).map(UtcNs)
}

fn calendar(text: &str) -> Option<UtcNs> {
    let utc = |text: &str| text.parse::<Utc>().ok().map(|utc| utc.0);
    if text.ends_with('Z') {
        return utc(text);
    }
    let at = text.rfind(['+', '-']).filter(|at| *at > text.find('T').unwrap_or(0))?;
    let (time, offset) = text.split_at(at);
    let (hours, minutes) = offset[1..].split_once(':')?;
    let two = |digits: &str, most: u64| {
        let fits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|number| fits && *number <= most)
    };
    let offset_ns = (two(hours, 23)? * 60 + two(minutes, 59)?) * 60 * NS_PER_S;
    let local = utc(&format!("{time}Z"))?;
    let ahead = offset.starts_with('+');
    let ns = if ahead { local.0.checked_sub(offset_ns) } else { local.0.checked_add(offset_ns) };
    ns.map(UtcNs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UtcNs = UtcNs(1_795_180_140_000_000_000);
    const HOUR: Span = Span::from_millis(3_600_000);

    fn asked(from: Option<&str>, to: Option<&str>) -> Asked {
        Asked { from: from.map(str::to_owned), to: to.map(str::to_owned) }
    }

    #[test]
    fn a_time_is_written_as_people_and_programs_do() {
        let wanted = UtcNs(1_795_180_140_500_000_000);
        for text in [
            "2026-11-20T13:09:00.5Z",
            "2026-11-20T15:09:00.5+02:00",
            "2026-11-20T15:09:00.5 02:00",
            "2026-11-20T08:39:00.5-04:30",
            "1795180140.5",
        ] {
            assert_eq!(moment(text, NOW), Ok(wanted), "{text}");
        }
        assert_eq!(moment("now", NOW), Ok(NOW));
        assert_eq!(moment("-5m", NOW), Ok(UtcNs(NOW.0 - 300 * NS_PER_S)));
    }

    #[test]
    fn what_is_no_time_is_told_and_nothing_overflows() {
        for text in [
            "",
            "yesterday",
            "-",
            "-5",
            "--5m",
            "1e9",
            "99999999999999999999",
            "18446744074",
            "1.",
            "T",
            "2026-11-20T13:09:00",
            "2026-11-20T13:09:00+2",
            "2026-11-20T13:09:00+99:00",
            "+5m",
            "-9999999d9",
            "1.0000000001",
            "../..",
            "2026-13-40T99:99:99Z",
            "éT",
            "T+aé:00",
        ] {
            // `1.` is one second: as good as any.
            if text != "1." {
                assert!(moment(text, NOW).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn a_range_is_open_when_it_ends_later_and_fixed_when_it_names_times() {
        let of = |from, to| asked(from, to).range(NOW, Some(HOUR), HOUR).unwrap();
        let wanted = of(Some("-5m"), None);
        assert!(wanted.is_open && !wanted.is_fixed);
        assert_eq!(wanted.range.to, NOW);
        assert!(of(Some("1795180000"), None).is_fixed);
        let past = of(Some("1795180000"), Some("1795180100"));
        assert!(past.is_fixed && !past.is_open);
        assert!(of(Some("1795180000"), Some("1795180200")).is_open);
        assert_eq!(of(None, None).range.from.0, NOW.0 - 3_600 * NS_PER_S);
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() {
        let of = |from, to, default| asked(from, to).range(NOW, default, HOUR);
        assert_eq!(of(Some("-1m"), Some("-2m"), None), Err(BadTime::Backwards));
        assert_eq!(of(Some("now"), Some("now"), None), Err(BadTime::Backwards));
        assert_eq!(of(Some("0"), Some("18446744073"), None), Err(BadTime::Long(HOUR)));
        assert_eq!(of(None, Some("now"), None), Err(BadTime::None));
        assert!(matches!(of(Some("x"), None, None), Err(BadTime::Time { .. })));
    }
}
