//! Whether a command prints what was declared, told by how fast its bytes come. Raw pictures have no marks:
//! four of 1280x720 have exactly the bytes of one of 1920x1920, and only their rate differs. Pure.

use std::time::Duration;

use protocol::config::Raw;
use protocol::time::{MonoNs, NS_PER_S};
use protocol::units::Size;

/// How long bytes are counted before they are judged: what is wrong is to be told within 3 s.
const WINDOW: Duration = Duration::from_millis(1_500);
/// But as long as so many pictures take, of which one more or less then matters little.
const PICTURES_MIN: u32 = 6;
/// What a camera's rate may be of the declared one, in percent: 1280x960 in place of 1280x720 is 133.
const FROM_PERCENT: u64 = 80;
const TO_PERCENT: u64 = 125;
/// A size whose pictures have the seen bytes, to so many percent, is worth to be named.
const FIT_PERCENT: u64 = 6;
/// A rate that changed by less is told as before, so that the text stays the same.
const STEADY_PERCENT: u64 = 10;

/// Sizes that cameras and encoders are set to.
const SIZES: [(u32, u32); 34] = [
    (160, 120),
    (176, 144),
    (320, 180),
    (320, 240),
    (352, 288),
    (424, 240),
    (480, 270),
    (640, 360),
    (640, 400),
    (640, 480),
    (704, 576),
    (720, 480),
    (720, 576),
    (800, 600),
    (854, 480),
    (960, 540),
    (1024, 576),
    (1024, 768),
    (1280, 720),
    (1280, 800),
    (1280, 960),
    (1280, 1024),
    (1456, 1088),
    (1536, 864),
    (1600, 1200),
    (1640, 1232),
    (1920, 1080),
    (1920, 1920),
    (2304, 1296),
    (2592, 1944),
    (2560, 1440),
    (3840, 2160),
    (4056, 3040),
    (4608, 2592),
];

/// Watches a command from its first bytes until they come as they should.
#[derive(Debug)]
pub(crate) struct RateWatch {
    raw: Raw,
    /// Of one picture.
    picture: u64,
    /// When this window began; `None` before the first bytes.
    since: Option<MonoNs>,
    bytes: u64,
    is_right: bool,
    /// The wrong rate that was told last.
    told: Option<u64>,
}

impl RateWatch {
    /// `None` where nothing can be reckoned.
    pub(crate) fn new(raw: Raw) -> Option<Self> {
        let picture = raw.picture_bytes().filter(|bytes| *bytes > 0 && raw.fps > 0)?;
        Some(Self { raw, picture, since: None, bytes: 0, is_right: false, told: None })
    }

    /// Whether the bytes have come at the declared rate once.
    pub(crate) fn is_right(&self) -> bool {
        self.is_right
    }

    /// So many came. What is wrong in words, at the end of a window in which it was.
    pub(crate) fn took(&mut self, bytes: usize, now: MonoNs) -> Option<String> {
        if self.is_right {
            return None;
        }
        // What the pipe held before anybody looked came at no rate.
        let since = *self.since.get_or_insert(now);
        if since != now {
            self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
        let passed = now.saturating_since(since);
        if passed < self.window() {
            return None;
        }
        let seen = per_second(self.bytes, passed);
        (self.since, self.bytes) = (Some(now), 0);
        self.is_right = (FROM_PERCENT..=TO_PERCENT).contains(&percent(seen, self.declared()));
        (!self.is_right).then(|| self.tell(seen))
    }

    fn window(&self) -> Duration {
        WINDOW.max(Duration::from_secs(1) * PICTURES_MIN / self.raw.fps)
    }

    /// Bytes a second.
    fn declared(&self) -> u64 {
        self.picture.saturating_mul(u64::from(self.raw.fps))
    }

    fn tell(&mut self, seen: u64) -> String {
        let steady = 100 - STEADY_PERCENT..=100 + STEADY_PERCENT;
        let told = self.told.filter(|told| steady.contains(&percent(seen, *told))).unwrap_or(seen);
        self.told = Some(told);
        let Raw { format, size, fps, .. } = self.raw;
        let format = format!("{format:?}").to_lowercase();
        let (seen_text, declared) = (rate(told), rate(self.declared()));
        let other_rate = hundredths(told.saturating_mul(100) / self.picture);
        let fit = match self.fitting(told / u64::from(fps)) {
            Some(other) => {
                format!("{other} at {fps} a second would fit, or {size} at {other_rate}")
            }
            None => format!("{size} at {other_rate} a second would fit"),
        };
        format!(
            "prints {seen_text}; expected {declared} of {size} {format} at {fps} a second, so nothing is \
             published: {fit}. A command that keeps to no rate says `pace: as-fast`"
        )
    }

    /// The size whose pictures have about so many bytes.
    fn fitting(&self, bytes: u64) -> Option<Size> {
        let sizes = SIZES.into_iter().map(|(width, height)| Size { width, height });
        let off = |size: Size| Some((self.bytes_of(size)?.abs_diff(bytes), size));
        let (off, size) = sizes.filter_map(off).min_by_key(|(off, _)| *off)?;
        (off.saturating_mul(100) <= bytes.saturating_mul(FIT_PERCENT)).then_some(size)
    }

    /// Without a stride: that of another size is unknown.
    fn bytes_of(&self, size: Size) -> Option<u64> {
        Raw { size, stride: 0, ..self.raw }.picture_bytes()
    }
}

fn per_second(bytes: u64, passed: Duration) -> u64 {
    let ns = passed.as_nanos().max(1);
    u64::try_from(u128::from(bytes) * u128::from(NS_PER_S) / ns).unwrap_or(u64::MAX)
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}

/// `34.6 MB/s`, `921 kB/s`.
fn rate(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB/s", bytes / 1_000),
        _ => format!("{}.{} MB/s", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// `6.25`, `25`.
fn hundredths(value: u64) -> String {
    match (value / 100, value % 100) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest:02}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use protocol::stream::PixelFormat;

    use super::*;

    fn watch(width: u32, height: u32, fps: u32) -> RateWatch {
        let size = Size { width, height };
        let raw = Raw { format: PixelFormat::Yuv420p, size, stride: 0, fps, pace: None };
        RateWatch::new(raw).unwrap()
    }

    /// What is told of pictures of so many bytes, one each `every_ms`, until `until_ms`.
    fn fed(watch: &mut RateWatch, bytes: usize, every_ms: u64, until_ms: u64) -> Vec<String> {
        let times = (0..=until_ms / every_ms).map(|at| MonoNs(1 + at * every_ms * 1_000_000));
        times.filter_map(|now| watch.took(bytes, now)).collect()
    }

    #[test]
    fn a_size_that_only_has_the_same_bytes_is_told_within_three_seconds_with_the_one_that_fits() {
        let mut watch = watch(1920, 1920, 25);
        let told = fed(&mut watch, 1280 * 720 * 3 / 2, 40, 3_000);
        assert!(!watch.is_right());
        assert_eq!(
            told[0],
            "prints 34.5 MB/s; expected 138.2 MB/s of 1920x1920 yuv420p at 25 a second, so nothing is published: \
             1280x720 at 25 a second would fit, or 1920x1920 at 6.25. A command that keeps to no rate says \
             `pace: as-fast`"
        );
    }

    #[test]
    fn what_was_declared_is_right_after_one_window_and_stays_so() {
        let mut watch = watch(640, 480, 30);
        assert!(fed(&mut watch, 640 * 480 * 3 / 2, 33, 3_000).is_empty());
        assert!(watch.is_right());
        // Whatever a camera does later, its pictures have this size.
        assert_eq!(watch.took(1, MonoNs(u64::MAX)), None);
    }

    #[test]
    fn a_start_that_is_slow_or_comes_in_one_burst_harms_nothing() {
        let mut slow = watch(640, 480, 25);
        let picture = 640 * 480 * 3 / 2;
        assert_eq!(fed(&mut slow, picture, 400, 1_600).len(), 1);
        assert!(fed_from(&mut slow, picture, 1_640, 40, 50).is_empty() && slow.is_right());
        let mut late = watch(640, 480, 25);
        assert_eq!(late.took(50 * picture, MonoNs(5)), None);
        assert!(fed_from(&mut late, picture, 40, 40, 50).is_empty() && late.is_right());
    }

    fn fed_from(
        watch: &mut RateWatch,
        bytes: usize,
        from: u64,
        every: u64,
        count: u64,
    ) -> Vec<String> {
        let times = (0..count).map(|at| MonoNs(5 + (from + at * every) * 1_000_000));
        times.filter_map(|now| watch.took(bytes, now)).collect()
    }

    #[test]
    fn a_rate_that_trembles_is_told_in_the_same_words() {
        let mut watch = watch(1920, 1080, 25);
        let (mut told, mut now) = (Vec::new(), 0);
        for at in 0..400u64 {
            now += 39 + at % 3;
            told.extend(watch.took(640 * 480 * 3 / 2, MonoNs(1 + now * 1_000_000)));
        }
        told.dedup();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("640x480 at 25 a second would fit"), "{told:?}");
    }

    #[test]
    fn at_a_picture_a_second_it_waits_for_enough_of_them() {
        let mut slow = watch(320, 240, 1);
        assert!(fed(&mut slow, 320 * 240 * 3 / 2, 1_000, 5_000).is_empty() && !slow.is_right());
        assert!(fed_from(&mut slow, 320 * 240 * 3 / 2, 6_000, 1_000, 1).is_empty());
        assert!(slow.is_right());
    }

    #[test]
    fn of_a_size_that_nobody_has_only_the_rate_is_told() {
        let mut odd = watch(1280, 720, 25);
        let told = fed(&mut odd, 1_020_000, 40, 2_000);
        assert!(told[0].contains("1280x720 at 18.44 a second would fit"), "{told:?}");
    }
}
