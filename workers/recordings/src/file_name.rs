//! Names of recordings: `20261120T130900.123Z-00000042.mp4`.

use std::fmt;
use std::time::{Duration, SystemTime};

use protocol::time::UtcNs;

/// Capture time of the first packet, and the camera's number for the file, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName {
    pub capture: UtcNs,
    pub number: u64,
}

impl FileName {
    /// The number in the name of a recording; `None` for any other file. The time is for people.
    pub fn number_in(name: &str) -> Option<u64> {
        let (time, number) = name.strip_suffix(".mp4")?.rsplit_once('-')?;
        let digits = number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit());
        (digits && time.ends_with('Z')).then(|| number.parse().ok())?
    }

    /// The time in the name of a recording; `None` when it tells none.
    pub fn capture_in(name: &str) -> Option<UtcNs> {
        let (time, _) = name.rsplit_once('-')?;
        if !time.is_ascii() || time.len() < "20261120T130900Z".len() {
            return None;
        }
        let (date, clock) = time.split_once('T')?;
        let (year, month_and_day) = date.split_at_checked(4)?;
        let (month, day) = month_and_day.split_at_checked(2)?;
        let (hour, rest) = clock.split_at_checked(2)?;
        let (minute, second) = rest.split_at_checked(2)?;
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}");
        let time = humantime::parse_rfc3339(&text).ok()?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        u64::try_from(since.as_nanos()).ok().map(UtcNs)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.capture.0);
        // RFC 3339 without the marks that other systems refuse in file names.
        let text = humantime::format_rfc3339_millis(time).to_string().replace(['-', ':'], "");
        write!(f, "{text}-{:08}.mp4", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_time_and_the_number() {
        let name = FileName { capture: UtcNs(1_795_180_140_123_999_999), number: 42 };
        assert_eq!(name.to_string(), "20261120T130900.123Z-00000042.mp4");
        assert_eq!(FileName::number_in(&name.to_string()), Some(42));
        assert_eq!(FileName::capture_in(&name.to_string()), Some(UtcNs(1_795_180_140_123_000_000)));
    }

    #[test]
    fn a_name_that_tells_no_time_has_none() {
        for name in ["Z-00000001.mp4", "2026T-1", "yesterdayTnoonüüüüüüüü-00000001.mp4", "", "-"]
        {
            assert_eq!(FileName::capture_in(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_outgrow_eight_digits_and_other_files_are_not_ours() {
        let name = FileName { capture: UtcNs(0), number: 123_456_789 };
        assert_eq!(FileName::number_in(&name.to_string()), Some(123_456_789));
        for other in ["holiday.mp4", "a-1.mp4", "20261120T130900.123Z-00000042.mp4.part", ".lock"] {
            assert_eq!(FileName::number_in(other), None, "{other}");
        }
    }
}
