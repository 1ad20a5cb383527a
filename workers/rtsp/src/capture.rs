//! Which UTC instant a stream time stands for: what sender reports state. Pure.
//!
//! The ring dates every packet, by the camera's clock or by its arrival, and arrival jitters. Clients
//! place audio beside video by these dates (ffmpeg moves a whole track at each report), so one
//! smoothed distance between the two clocks serves all tracks of a camera.

use protocol::time::UtcNs;

/// Each packet moves the distance by one in this many of what it is off: a jitter of 20 ms moves a
/// report by a third of a millisecond, a drift of the camera's clock is followed within seconds.
const SMOOTHING: i64 = 64;
/// Further off than this is no jitter: a clock was set, or the source is another one.
const STEP_NS: i64 = 1_000_000_000;

/// The distance from stream time to UTC.
#[derive(Debug, Default)]
pub struct CaptureClock {
    distance_ns: Option<i64>,
}

impl CaptureClock {
    /// Learns that `stream_ns` was captured at `captured`.
    pub fn learn(&mut self, stream_ns: i64, captured: UtcNs) {
        let captured_ns = i64::try_from(captured.0).unwrap_or(i64::MAX);
        let seen_ns = captured_ns.saturating_sub(stream_ns);
        self.distance_ns = Some(match self.distance_ns {
            Some(distance_ns) if seen_ns.abs_diff(distance_ns) <= STEP_NS.unsigned_abs() => {
                distance_ns + (seen_ns - distance_ns) / SMOOTHING
            }
            _ => seen_ns,
        });
    }

    pub fn utc(&self, stream_ns: i64) -> UtcNs {
        let utc_ns = stream_ns.saturating_add(self.distance_ns.unwrap_or(0));
        UtcNs(u64::try_from(utc_ns).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const NOON: u64 = 1_800_000_000_000_000_000;

    fn utc(ms: u64) -> UtcNs {
        UtcNs(NOON + ms * 1_000_000)
    }

    #[test]
    fn the_first_packet_sets_the_clock() {
        let mut clock = CaptureClock::default();
        clock.learn(500 * MS, utc(0));
        assert_eq!(clock.utc(540 * MS), utc(40));
    }

    #[test]
    fn jitter_of_arrival_hardly_moves_it() {
        let mut clock = CaptureClock::default();
        clock.learn(0, utc(0));
        for frame in 1..1000 {
            let late = frame % 3 * 10;
            clock.learn(i64::try_from(frame).unwrap() * 40 * MS, utc(frame * 40 + late));
            let off = clock.utc(0).0.abs_diff(utc(10).0);
            assert!(off < 11_000_000, "{off} ns off at frame {frame}");
            if frame > 300 {
                assert!(off < 1_000_000, "{off} ns off at frame {frame}");
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_is_believed_at_once() {
        let mut clock = CaptureClock::default();
        clock.learn(0, utc(0));
        clock.learn(40 * MS, utc(3_600_040));
        assert_eq!(clock.utc(80 * MS), utc(3_600_080));
    }
}
