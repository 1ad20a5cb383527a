//! Capture times by the camera's own clock, as its RTCP sender reports tell it. Pure.
//!
//! A report says what time it was at the camera (UTC) at one instant of the stream. The distance between
//! the two is all that is kept:
//!
//! ```text
//!            report            report agrees                     3 reports agree on another time
//! arrival ──────────> joining ──────────────> the camera's clock ───────────────────────────────> joining
//!    ^                                               │
//!    └───── the time cannot be: over 5 s before or 1 s after the picture's arrival
//! ```
//!
//! A new distance is never jumped to: the line runs somewhat faster or slower until it is there, so times
//! rise with the stream's. While it is far from where it should be, times are marked as those of arrival.

use std::time::Duration;

use protocol::time::{ClockSource, MonoNs, Stamp, UtcNs};

/// Reports that differ by less are of one clock: some cameras read it when they send, not when they
/// capture.
const JITTER_NS: i64 = 50_000_000;
/// Reports that must agree before a clock counts as set anew; one alone is an outlier.
const STRAYS: u32 = 3;
/// Newer reports weigh this part, once there are as many: drift is followed within a minute.
const WEIGHT: i64 = 4;
/// How much faster or slower the line may run to follow its clock: 2 ms a second.
const DRIFT_PART: i64 = 500;
/// The same while it joins another distance: half as fast again, or half as slow.
const JOIN_PART: i64 = 2;
/// A picture whose capture lies so long before its arrival was taken by a clock that is wrong.
const BEHIND_NS: i64 = 5_000_000_000;
/// So was one that lies after it by so much; well kept clocks agree within milliseconds, but cameras that
/// agree with each other and not quite with this host are of use.
const AHEAD_NS: i64 = 1_000_000_000;
/// The shortest delay is forgotten by this part of the time that passes: 100 ms a second.
const FORGET_PART: i64 = 10;
/// The host's UTC was set when it moves so much against its monotonic clock from one picture to the next: ntpd
/// leads what is less than 128 ms, and a thread that loses its processor between the two readings is back sooner.
const SET_NS: i64 = 100_000_000;

/// What a report was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The first one: from here on the camera's time is known.
    First,
    Agrees,
    /// Off by more than reports are; not believed unless more follow that agree with it.
    Stray,
    /// The camera's clock was set, by so many ns.
    Set(i64),
}

/// What is known of one track's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct CameraClock {
    /// From stream time to UTC, as the reports have it.
    target_ns: Option<i64>,
    /// Reports in `target_ns`, at most [`WEIGHT`].
    reports: i64,
    /// The newest outlier, and how many agreed with it in a row.
    stray: Option<(i64, u32)>,
    line: Line,
    /// Shortest time from a picture's capture to its arrival, and when it was looked at.
    delay: Option<(i64, MonoNs)>,
    /// The latest time told. Invariant: at most [`AHEAD_NS`] after the arrival it was told for.
    last_utc_ns: Option<i64>,
    /// The host's UTC less its monotonic time, at the latest arrival.
    host_ns: Option<i64>,
}

/// Times as they are told: UTC over stream time, rising.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Times are told by it; else by arrival.
    in_use: bool,
    offset_ns: i64,
    /// The latest stream time seen.
    head_ns: i64,
    joining: bool,
}

impl CameraClock {
    /// A report: what has the stream time `stream_ns` was captured at `utc`. `wrap_ns` is how long the RTP
    /// clock counts before it begins again; the stream time may be wrong by whole rounds.
    pub(crate) fn report(&mut self, stream_ns: i64, utc: UtcNs, wrap_ns: i64) -> Heard {
        let seen_ns = signed(utc).saturating_sub(stream_ns);
        let Some(target_ns) = self.target_ns else {
            self.believe(seen_ns);
            return Heard::First;
        };
        let off_ns = within_a_round(seen_ns.saturating_sub(target_ns), wrap_ns);
        let seen_ns = target_ns.saturating_add(off_ns);
        if off_ns.unsigned_abs() <= JITTER_NS.unsigned_abs() {
            self.stray = None;
            self.reports = (self.reports + 1).min(WEIGHT);
            self.target_ns = Some(target_ns.saturating_add(off_ns / self.reports));
            return Heard::Agrees;
        }
        let agreed = match self.stray {
            Some((stray_ns, agreed)) if stray_ns.abs_diff(seen_ns) <= JITTER_NS.unsigned_abs() => {
                agreed + 1
            }
            _ => 1,
        };
        if agreed < STRAYS {
            self.stray = Some((seen_ns, agreed));
            return Heard::Stray;
        }
        self.believe(seen_ns);
        self.line.joining = true;
        Heard::Set(off_ns)
    }

    /// When a picture was captured that has the stream time `stream_ns` and came at `arrival`, and by
    /// whose clock that is.
    pub(crate) fn date(&mut self, stream_ns: i64, arrival: Stamp) -> (Stamp, ClockSource) {
        self.follow_host(arrival);
        let arrival_ns = signed(arrival.utc);
        let target_ns =
            self.target_ns.filter(|target_ns| self.can_be(stream_ns, *target_ns, arrival));
        let latest_ns = arrival_ns.saturating_add(AHEAD_NS);
        let Some(target_ns) = target_ns else {
            self.line.in_use = false;
            // A camera whose clock is ahead told later times than this; they do not step back.
            let held_ns = self.last_utc_ns.map_or(arrival_ns, |last_ns| last_ns.max(arrival_ns));
            return self.tell(held_ns.min(latest_ns), arrival, ClockSource::Arrival);
        };
        if !self.line.in_use {
            self.line.begin(stream_ns, target_ns, self.last_utc_ns);
        }
        let utc_ns = self.line.advance(stream_ns, target_ns);
        let source = if self.line.joining { ClockSource::Arrival } else { ClockSource::Camera };
        self.tell(utc_ns.min(latest_ns), arrival, source)
    }

    /// How long before their arrival pictures are captured by this clock, at the least; `None` before
    /// there was a report. Negative: the camera's clock is ahead.
    pub(crate) fn delay_ns(&self) -> Option<i64> {
        self.delay.filter(|_| self.target_ns.is_some()).map(|(delay_ns, _)| delay_ns)
    }

    /// From stream time to the camera's UTC, in ns; `None` before there was a report.
    pub(crate) fn distance_ns(&self) -> Option<i64> {
        self.target_ns
    }

    /// When the host's UTC was set, what was said by it is of the clock as it was before. It goes along, so that
    /// monotonic times rise on, and the camera is judged by the new one.
    fn follow_host(&mut self, arrival: Stamp) {
        let host_ns = signed(arrival.utc).saturating_sub_unsigned(arrival.mono.0);
        let before_ns = self.host_ns.replace(host_ns).unwrap_or(host_ns);
        let set_ns = host_ns.saturating_sub(before_ns);
        if set_ns.unsigned_abs() <= SET_NS.unsigned_abs() {
            return;
        }
        let moved = |ns: i64| ns.saturating_add(set_ns);
        self.last_utc_ns = self.last_utc_ns.map(moved);
        self.delay = self.delay.map(|(delay_ns, at)| (moved(delay_ns), at));
        self.line.in_use = false;
    }

    fn believe(&mut self, target_ns: i64) {
        self.target_ns = Some(target_ns);
        self.reports = 1;
        self.stray = None;
        self.delay = None;
    }

    /// Whether the clock may be right. A burst of late pictures says nothing about it, so the shortest
    /// delay counts.
    fn can_be(&mut self, stream_ns: i64, target_ns: i64, arrival: Stamp) -> bool {
        let seen_ns = signed(arrival.utc).saturating_sub(stream_ns.saturating_add(target_ns));
        let least_ns = self.delay.map_or(seen_ns, |(least_ns, at)| {
            let passed = arrival.mono.saturating_since(at).as_nanos();
            let passed_ns = i64::try_from(passed).unwrap_or(i64::MAX);
            seen_ns.min(least_ns.saturating_add(passed_ns / FORGET_PART))
        });
        self.delay = Some((least_ns, arrival.mono));
        (-AHEAD_NS..=BEHIND_NS).contains(&least_ns)
    }

    fn tell(&mut self, utc_ns: i64, arrival: Stamp, source: ClockSource) -> (Stamp, ClockSource) {
        self.last_utc_ns = self.last_utc_ns.max(Some(utc_ns));
        let delay_ns = signed(arrival.utc).saturating_sub(utc_ns);
        let delay = Duration::from_nanos(delay_ns.unsigned_abs());
        let mono = if delay_ns >= 0 {
            MonoNs(arrival.mono.0.saturating_sub(delay_ns.unsigned_abs()))
        } else {
            arrival.mono + delay
        };
        let utc = UtcNs(u64::try_from(utc_ns).unwrap_or(0));
        (Stamp { mono, utc }, source)
    }
}

impl Line {
    /// From the times told so far to those of the clock.
    fn begin(&mut self, stream_ns: i64, target_ns: i64, last_utc_ns: Option<i64>) {
        let least_ns = last_utc_ns.map_or(i64::MIN, |last_ns| last_ns.saturating_sub(stream_ns));
        self.in_use = true;
        self.offset_ns = target_ns.max(least_ns);
        self.head_ns = stream_ns;
        self.joining = self.offset_ns != target_ns;
    }

    /// The time at `stream_ns`; of a stream time that rises, it rises.
    fn advance(&mut self, stream_ns: i64, target_ns: i64) -> i64 {
        let step_ns = stream_ns.saturating_sub(self.head_ns);
        if step_ns > 0 {
            let part = if self.joining { JOIN_PART } else { DRIFT_PART };
            let most_ns = step_ns / part;
            let off_ns = target_ns.saturating_sub(self.offset_ns);
            self.offset_ns = self.offset_ns.saturating_add(off_ns.clamp(-most_ns, most_ns));
            self.head_ns = stream_ns;
        }
        self.joining &= self.offset_ns != target_ns;
        stream_ns.saturating_add(self.offset_ns)
    }
}

fn signed(utc: UtcNs) -> i64 {
    i64::try_from(utc.0).unwrap_or(i64::MAX)
}

/// The difference without whole rounds of the RTP clock.
fn within_a_round(off_ns: i64, wrap_ns: i64) -> i64 {
    let half_ns = wrap_ns / 2;
    if half_ns <= 0 {
        return off_ns;
    }
    match off_ns.rem_euclid(wrap_ns) {
        rest_ns if rest_ns > half_ns => rest_ns - wrap_ns,
        rest_ns => rest_ns,
    }
}

#[cfg(test)]
mod tests;
