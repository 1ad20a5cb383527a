//! Times as RTSP writes them: `20261120T130900.25Z` (RFC 2326 section 3.7), and seconds of normal play time
//! (section 3.6). Pure.

use protocol::config::replay::Utc;
use protocol::time::{NS_PER_S, UtcNs};

/// Digits of a date, and of a time of day.
const DATE: [usize; 3] = [4, 2, 2];
const CLOCK: [usize; 3] = [2, 2, 2];
/// Digits that seconds have behind the point at most: ns.
const FRACTION_DIGITS: usize = 9;
/// What times of play are told in.
const NS_PER_US: u64 = 1_000;

/// A time of UTC, with the marks of RFC 3339 or without them.
pub fn utc(text: &str) -> Option<UtcNs> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let date = digits(date, '-', DATE)?;
    let clock = digits(clock, ':', CLOCK)?;
    let is_fraction = !fraction.is_empty() && fraction.len() <= FRACTION_DIGITS;
    if !is_fraction || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{date}T{clock}.{fraction}Z").parse::<Utc>().ok().map(|utc| utc.0)
}

/// The numbers with their marks, whether they were there or not.
fn digits(text: &str, mark: char, lengths: [usize; 3]) -> Option<String> {
    let bare = text.replace(mark, "");
    let count: usize = lengths.iter().sum();
    if bare.len() != count || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (first, rest) = bare.split_at(lengths[0]);
    let (second, third) = rest.split_at(lengths[1]);
    let marked = format!("{first}{mark}{second}{mark}{third}");
    (text == bare || text == marked).then_some(marked)
}

/// As [`utc`] reads it: without marks, with as much of a fraction as it takes.
pub fn to_clock(time: UtcNs) -> String {
    let text = Utc(time).to_string().replace(['-', ':'], "");
    // Of a fraction, which is always there, the zeros at its end, and the point when nothing is left.
    let bare = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{bare}Z")
}

/// Seconds, or hours, minutes and seconds: ns.
pub fn npt(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.rsplit(':');
    let mut number = |most: u64| match parts.next() {
        None => Some(0),
        Some(part) => {
            let fits = (1..=10).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u64>().ok().filter(|number| fits && *number <= most)
        }
    };
    let is_clock = whole.contains(':');
    let (seconds, minutes) = (number(if is_clock { 59 } else { u64::MAX })?, number(59)?);
    let hours = number(u64::MAX)?;
    if parts.next().is_some() || fraction.len() > FRACTION_DIGITS {
        return None;
    }
    let ns: u64 = match fraction {
        "" => 0,
        _ if !fraction.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        _ => format!("{fraction:0<FRACTION_DIGITS$}").parse().ok()?,
    };
    let seconds = hours.checked_mul(3_600)?.checked_add(minutes * 60)?.checked_add(seconds)?;
    seconds.checked_mul(NS_PER_S)?.checked_add(ns)
}

/// Seconds to the us, rounded up: who asks for what was told begins there, and not before it.
pub fn to_npt(ns: u64) -> String {
    let us = ns.div_ceil(NS_PER_US);
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: UtcNs = UtcNs(1_795_180_140_250_000_000);

    #[test]
    fn a_time_may_have_its_marks_or_not() {
        for text in ["20261120T130900.25Z", "2026-11-20T13:09:00.250Z", "2026-11-20T130900.25Z"] {
            assert_eq!(utc(text), Some(AT), "{text}");
        }
        assert_eq!(to_clock(AT), "20261120T130900.25Z");
        assert_eq!(to_clock(UtcNs(1_795_180_200_000_000_000)), "20261120T131000Z");
        for text in [
            "",
            "Z",
            "TZ",
            "20261120T130900",
            "2026-1120T130900Z",
            "20261120T1309Z",
            "20261320T130900Z",
            "20261120T130900.Z",
            "20261120T130900.1234567890Z",
            "20261120T13090aZ",
            "é0261120T130900Z",
            "20261120 130900Z",
            "20261120T130900.2.5Z",
        ] {
            assert_eq!(utc(text), None, "{text:?}");
        }
    }

    #[test]
    fn play_time_is_in_seconds_or_on_a_clock() {
        for (text, ns) in [
            ("0", 0),
            ("0.000", 0),
            ("12.5", 12_500_000_000),
            ("123.000000001", 123_000_000_001),
            ("1:02:03.25", 3_723_250_000_000),
            ("02:03", 123_000_000_000),
        ] {
            assert_eq!(npt(text), Some(ns), "{text}");
        }
        for text in [
            "",
            ".",
            ".5",
            "now",
            "-1",
            "1:60",
            "1:2:3:4",
            "1e3",
            "99999999999",
            "1.0000000000",
            "1:",
            "1.x",
        ] {
            assert_eq!(npt(text), None, "{text:?}");
        }
        assert_eq!(to_npt(12_500_000_000), "12.500000");
    }

    proptest! {
        #[test]
        fn what_is_told_is_read_again(ns in 0u64..4_000_000_000_000_000_000, play_ns in 0u64..1 << 50) {
            prop_assert_eq!(utc(&to_clock(UtcNs(ns))), Some(UtcNs(ns)));
            let read = npt(&to_npt(play_ns)).unwrap();
            prop_assert!(read >= play_ns && read - play_ns < NS_PER_US);
        }

        #[test]
        fn random_text_never_panics(text in "[0-9TZ:.\\-]{0,30}") {
            utc(&text);
            npt(&text);
        }
    }
}
