//! Clocks that are right, late, set, wrong and wrapped.

use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1000 * MS;
const FRAME: i64 = 40 * MS;
const NOON: i64 = 1_800_000_000 * SECOND;
/// Of an RTP clock of 90 kHz.
const WRAP: i64 = (1 << 32) * SECOND / 90_000;

fn utc(ns: i64) -> UtcNs {
    UtcNs(u64::try_from(ns).unwrap())
}

/// This host's clocks, `ns` after noon.
fn host(ns: i64) -> Stamp {
    Stamp { mono: MonoNs(u64::try_from(ns + 1000 * SECOND).unwrap()), utc: utc(NOON + ns) }
}

/// A picture each 40 ms, `late_ms(number)` after its capture; the stream's time begins at 7 s. Answers
/// how far from its capture each one is dated, in ns, and by whose clock.
fn dated(
    clock: &mut CameraClock,
    frames: std::ops::Range<i64>,
    late_ms: impl Fn(i64) -> i64,
) -> Vec<(i64, ClockSource)> {
    let date = |number: i64| {
        let arrival = host(number * FRAME + late_ms(number) * MS);
        let (stamp, source) = clock.date(7 * SECOND + number * FRAME, arrival);
        // Both clocks tell of the same instant.
        let told = signed(stamp.utc) - NOON;
        assert_eq!(i64::try_from(stamp.mono.0).unwrap() - 1000 * SECOND, told);
        (told - number * FRAME, source)
    };
    frames.map(date).collect()
}

/// What a camera reports at `ns` after noon whose clock is off by `off_ns`.
fn reported(clock: &mut CameraClock, ns: i64, off_ns: i64) -> Heard {
    clock.report(7 * SECOND + ns, utc(NOON + ns + off_ns), WRAP)
}

#[test]
fn without_reports_the_time_of_arrival_counts_and_is_marked_so() {
    let told = dated(&mut CameraClock::default(), 0..50, |number| number % 7);
    for (number, told) in (0..).zip(told) {
        assert_eq!(told, (number % 7 * MS, ClockSource::Arrival));
    }
}

#[test]
fn a_report_before_the_first_picture_dates_all_of_them() {
    let mut clock = CameraClock::default();
    assert_eq!(reported(&mut clock, 0, 0), Heard::First);
    for told in dated(&mut clock, 0..500, |number| 10 + number * 37 % 50) {
        assert_eq!(told, (0, ClockSource::Camera));
    }
    assert!(clock.delay_ns().is_some_and(|delay_ns| (10 * MS..60 * MS).contains(&delay_ns)));
}

#[test]
fn a_later_report_is_joined_without_a_step_back() {
    let mut clock = CameraClock::default();
    dated(&mut clock, 0..100, |_| 200);
    reported(&mut clock, 100 * FRAME, 0);
    let told = dated(&mut clock, 100..200, |_| 200);
    // 200 ms less are joined within half a second; until then it is no camera's clock.
    let joined = told.iter().position(|(_, source)| *source == ClockSource::Camera).unwrap();
    assert!((5..15).contains(&joined), "joined at {joined}");
    assert!(told[joined..].iter().all(|told| *told == (0, ClockSource::Camera)));
    assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 > -FRAME));
}

#[test]
fn drift_is_followed_slowly() {
    let mut clock = CameraClock::default();
    // 100 ppm: 6 ms a minute.
    for second in (0..300).step_by(5) {
        let off_ns = second * SECOND / 10_000;
        assert_ne!(reported(&mut clock, second * SECOND, off_ns), Heard::Stray);
        for (told, source) in dated(&mut clock, second * 25..(second + 5) * 25, |_| 30) {
            assert!((told - off_ns).abs() <= 3 * MS, "{told} at {second} s, the clock {off_ns}");
            assert_eq!(source, ClockSource::Camera);
        }
    }
}

#[test]
fn one_report_that_is_off_is_refused() {
    let mut clock = CameraClock::default();
    reported(&mut clock, 0, 0);
    for off_ns in [3_600 * SECOND, -400 * MS, 60 * MS] {
        assert_eq!(reported(&mut clock, 0, off_ns), Heard::Stray);
        assert_eq!(reported(&mut clock, 0, 0), Heard::Agrees);
    }
    assert!(dated(&mut clock, 0..100, |_| 30).iter().all(|told| *told == (0, ClockSource::Camera)));
}

#[test]
fn a_clock_that_was_set_a_little_is_joined_when_three_reports_say_so() {
    for off_ns in [700 * MS, -700 * MS] {
        let mut clock = CameraClock::default();
        reported(&mut clock, 0, 0);
        dated(&mut clock, 0..50, |_| 1000);
        let heard = [0, 1, 2].map(|n| reported(&mut clock, (50 + n) * FRAME, off_ns));
        assert_eq!(heard, [Heard::Stray, Heard::Stray, Heard::Set(off_ns)]);
        let told = dated(&mut clock, 50..150, |_| 1000);
        assert_eq!(told[99], (off_ns, ClockSource::Camera));
        assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 > -FRAME));
    }
}

#[test]
fn a_clock_that_cannot_be_right_is_not_used() {
    for off_ns in [-3_600 * SECOND, 3_600 * SECOND, -6 * SECOND, 2 * SECOND, i64::MIN / 2 - NOON] {
        let mut clock = CameraClock::default();
        let wrong = u64::try_from(NOON.saturating_add(off_ns)).unwrap_or(0);
        clock.report(7 * SECOND, UtcNs(wrong), WRAP);
        for told in dated(&mut clock, 0..100, |_| 30) {
            assert_eq!(told, (30 * MS, ClockSource::Arrival), "off by {off_ns}");
        }
    }
}

#[test]
fn a_clock_that_was_set_to_what_cannot_be_is_left_and_taken_up_again() {
    let mut clock = CameraClock::default();
    reported(&mut clock, 0, 0);
    dated(&mut clock, 0..50, |_| 30);
    for _ in 0..3 {
        reported(&mut clock, 50 * FRAME, -3_600 * SECOND);
    }
    assert!(dated(&mut clock, 50..100, |_| 30).iter().all(|told| told.1 == ClockSource::Arrival));
    for _ in 0..3 {
        reported(&mut clock, 100 * FRAME, 0);
    }
    assert_eq!(dated(&mut clock, 100..150, |_| 30)[49], (0, ClockSource::Camera));
}

#[test]
fn a_burst_of_late_pictures_does_not_make_the_clock_wrong() {
    let mut clock = CameraClock::default();
    reported(&mut clock, 0, 0);
    dated(&mut clock, 0..50, |_| 30);
    // 8 s of pictures come at once.
    let burst = dated(&mut clock, 50..250, |number| (250 - number) * 40 + 30);
    assert!(burst.iter().all(|told| *told == (0, ClockSource::Camera)));
}

/// The same as [`dated`] with the host's UTC off by `off_ns`: how far each picture's monotonic time is from its
/// capture.
fn monotonic(
    clock: &mut CameraClock,
    frames: std::ops::Range<i64>,
    late_ms: i64,
    off_ns: i64,
) -> Vec<(i64, ClockSource)> {
    let date = |number: i64| {
        let came = host(number * FRAME + late_ms * MS);
        let arrival = Stamp { utc: utc(signed(came.utc) + off_ns), ..came };
        let (stamp, source) = clock.date(7 * SECOND + number * FRAME, arrival);
        let told = i64::try_from(stamp.mono.0).unwrap() - 1000 * SECOND;
        assert_eq!(signed(stamp.utc), NOON + told + off_ns, "both tell of the same instant");
        (told - number * FRAME, source)
    };
    frames.map(date).collect()
}

const HOUR: i64 = 3_600 * SECOND;

#[test]
fn a_host_whose_clock_is_set_dates_on_by_arrival() {
    for set_ns in [HOUR, -HOUR, 300 * MS, -300 * MS] {
        let mut clock = CameraClock::default();
        monotonic(&mut clock, 0..50, 30, 0);
        for told in monotonic(&mut clock, 50..100, 30, set_ns) {
            assert_eq!(told, (30 * MS, ClockSource::Arrival), "set by {set_ns}");
        }
    }
}

#[test]
fn a_host_that_is_set_wrong_dates_by_arrival_and_by_the_camera_when_it_is_set_right() {
    for set_ns in [HOUR, -HOUR] {
        let mut clock = CameraClock::default();
        reported(&mut clock, 0, 0);
        assert_eq!(monotonic(&mut clock, 0..50, 30, 0)[49], (0, ClockSource::Camera));
        for told in monotonic(&mut clock, 50..100, 30, set_ns) {
            assert_eq!(told, (30 * MS, ClockSource::Arrival), "set by {set_ns}");
        }
        let told = monotonic(&mut clock, 100..150, 30, 0);
        assert!(told.iter().all(|told| (0..=30 * MS).contains(&told.0)), "{told:?}");
        assert_eq!(told[49], (0, ClockSource::Camera));
    }
}

#[test]
fn a_host_that_began_an_hour_slow_believes_the_camera_when_it_is_set() {
    let mut clock = CameraClock::default();
    reported(&mut clock, 0, 0);
    for told in monotonic(&mut clock, 0..100, 30, -HOUR) {
        assert_eq!(told, (30 * MS, ClockSource::Arrival));
    }
    let told = monotonic(&mut clock, 100..150, 30, 0);
    assert!(told[5..].iter().all(|told| *told == (0, ClockSource::Camera)), "{told:?}");
}

#[test]
fn the_rtp_clock_may_wrap_between_a_report_and_its_picture() {
    let mut clock = CameraClock::default();
    reported(&mut clock, 0, 0);
    for rounds in [-1, 1, 2] {
        let stream_ns = 7 * SECOND + SECOND + rounds * WRAP;
        assert_eq!(clock.report(stream_ns, utc(NOON + SECOND), WRAP), Heard::Agrees);
    }
    assert!(dated(&mut clock, 25..50, |_| 30).iter().all(|told| told.0.abs() < 10_000));
}

proptest! {
    /// Reports of any content, at any time, and pictures that come when they like: as long as the stream's
    /// time and the host's rise, so do the times told, and none is after its arrival by more than a second.
    #[test]
    fn times_rise_whatever_is_reported(
        steps in proptest::collection::vec(
            (1i64..2_000, 0i64..4_000, proptest::option::of((-100i64..100, -8_000i64..8_000))), 1..200,
        ),
    ) {
        let mut clock = CameraClock::default();
        let (mut stream, mut now, mut last) = (0, 0, 0);
        for (step_ms, late_ms, report) in steps {
            stream += step_ms * MS;
            now = (stream + late_ms * MS).max(now);
            if let Some((at_ms, off_ms)) = report {
                clock.report(stream + at_ms * MS, utc(NOON + stream + (at_ms + off_ms) * MS), WRAP);
            }
            let (stamp, _) = clock.date(stream, host(now));
            prop_assert!(signed(stamp.utc) >= last, "{} after {last}", signed(stamp.utc));
            last = signed(stamp.utc);
        }
    }

    /// However often the host's clock is set, monotonic times rise with the stream's, and none is after its
    /// arrival by more than a second.
    #[test]
    fn monotonic_times_rise_however_the_host_is_set(
        steps in proptest::collection::vec(
            (1i64..2_000, 0i64..4_000, proptest::option::of(-4_000_000i64..4_000_000), proptest::bool::ANY),
            1..200,
        ),
    ) {
        let mut clock = CameraClock::default();
        let (mut stream, mut now, mut off_ms, mut last) = (0, 0, 0i64, MonoNs(0));
        for (step_ms, late_ms, set_ms, report) in steps {
            stream += step_ms * MS;
            now = (stream + late_ms * MS).max(now);
            // What is less is led, not set.
            off_ms = set_ms.filter(|set_ms| set_ms.abs_diff(off_ms) > 100).unwrap_or(off_ms);
            if report {
                clock.report(stream, utc(NOON + stream), WRAP);
            }
            let came = host(now);
            let arrival = Stamp { utc: utc(signed(came.utc) + off_ms * MS), ..came };
            let (stamp, _) = clock.date(stream, arrival);
            prop_assert!(stamp.mono >= last, "{:?} after {last:?}", stamp.mono);
            prop_assert!(stamp.mono <= came.mono + Duration::from_secs(1));
            last = stamp.mono;
        }
    }

    /// Whatever the network does to pictures, a camera that reports well is dated as well as it reports.
    #[test]
    fn a_good_camera_is_dated_within_what_its_reports_jitter(
        late_ms in proptest::collection::vec(5i64..900, 500),
        jitter_ms in proptest::collection::vec(-8i64..8, 5),
        first in 0i64..50,
    ) {
        let mut clock = CameraClock::default();
        for (number, late_ms) in (0i64..).zip(&late_ms) {
            if number >= first && (number - first) % 100 == 0 {
                let jitter_ns = jitter_ms[usize::try_from((number - first) / 100).unwrap()] * MS;
                reported(&mut clock, number * FRAME, jitter_ns);
            }
            let (told, source) = dated(&mut clock, number..number + 1, |_| *late_ms)[0];
            if number > first + 75 {
                prop_assert_eq!(source, ClockSource::Camera);
                prop_assert!(told.abs() <= 9 * MS, "{} ns off at {}", told, number);
            }
        }
    }
}
