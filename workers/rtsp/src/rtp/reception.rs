//! How a client receives a stream, by its own reports (RFC 3550 section 6.4).

use std::time::Duration;

use protocol::time::{MonoNs, NS_PER_S, TimeBase};

use super::rtcp::ReportBlock;

/// A round trip above this is no measurement: the client named an old report, or guesses.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);

/// A sender report of ours.
#[derive(Clone, Copy, Debug)]
pub struct Reported {
    pub at: MonoNs,
    /// By which the client names it.
    pub ntp_middle: u32,
}

/// What a client says. It is shown and believed nowhere else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reception {
    /// When it said so.
    pub at: MonoNs,
    /// Of the packets since its report before, 0 to 1.
    pub loss: f64,
    /// Packets in all; below zero when some came twice.
    pub lost: i32,
    pub jitter: Duration,
    /// To the client and back; only from a report that names our last one.
    pub round_trip: Option<Duration>,
}

impl Reception {
    /// Of a stream with this clock, of which `reported` was the last sender report.
    pub fn of(
        block: &ReportBlock,
        clock: TimeBase,
        reported: Option<Reported>,
        now: MonoNs,
    ) -> Self {
        Self {
            at: now,
            loss: f64::from(block.fraction_lost) / 256.0,
            lost: block.lost,
            jitter: Duration::from_nanos(
                u64::from(block.jitter) * NS_PER_S / u64::from(clock.den.max(1)),
            ),
            round_trip: reported.and_then(|reported| round_trip(block, reported, now)),
        }
    }
}

/// Our reports carry capture times (`docs/time.md`), so the way back is not read from them as section 6.4.1 does, but
/// from when the one that the client names was sent.
fn round_trip(block: &ReportBlock, reported: Reported, now: MonoNs) -> Option<Duration> {
    if block.last_report != reported.ntp_middle {
        return None;
    }
    let held = Duration::from_nanos((u64::from(block.delay) * NS_PER_S) >> 16);
    let there_and_back = now.saturating_since(reported.at).checked_sub(held)?;
    (there_and_back <= ROUND_TRIP_MAX).then_some(there_and_back)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: 1,
        fraction_lost: 64,
        lost: 12,
        jitter: 900,
        last_report: 0xabcd,
        delay: 65_536 / 2,
    };

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn a_report_reads_in_parts_and_milliseconds() {
        let reported = Reported { at: at(1_000), ntp_middle: 0xabcd };
        let seen = Reception::of(&BLOCK, TimeBase::VIDEO_90K, Some(reported), at(1_530));
        assert_eq!((seen.loss, seen.lost), (0.25, 12));
        assert_eq!(seen.jitter, Duration::from_millis(10));
        assert_eq!(seen.round_trip, Some(Duration::from_millis(30)));
    }

    #[test]
    fn a_round_trip_is_only_told_of_the_report_that_the_client_names() {
        for (middle, sent_ms, heard_ms) in
            [(1, 1_000, 1_530), (0xabcd, 1_000, 1_400), (0xabcd, 0, 20_000)]
        {
            let reported = Reported { at: at(sent_ms), ntp_middle: middle };
            let seen = Reception::of(&BLOCK, TimeBase::VIDEO_90K, Some(reported), at(heard_ms));
            assert_eq!(seen.round_trip, None, "{middle} {sent_ms} {heard_ms}");
        }
        assert_eq!(Reception::of(&BLOCK, TimeBase::VIDEO_90K, None, at(9)).round_trip, None);
    }
}
