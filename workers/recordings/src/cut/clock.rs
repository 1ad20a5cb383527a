//! When the pictures of a camera were captured, told from what its recording says of single packets. Pure.
//!
//! A recording has one capture time a fragment. Where that is the time of arrival, it is late by what the
//! network needed, now more, now less; the packet that needed least tells best. So in each stretch of a
//! minute the smallest difference between capture time and the stream's own time counts. A stretch ends
//! at a gap too. What the other packets needed more is the jitter.

use protocol::time::UtcNs;

/// Long enough to hold a packet that was quick, short enough that no clock runs away by a millisecond
/// or two: cameras are off by some 20 ppm.
const STRETCH_NS: i64 = 60_000_000_000;

/// A packet of which the capture time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// On the camera's timeline.
    pub pts_ns: i64,
    pub capture: UtcNs,
    pub behind_gap: bool,
}

/// From here on the timeline is `offset_ns` behind UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub pts_ns: i64,
    pub offset_ns: i64,
}

/// From a camera's timeline to UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// In the order of time.
    points: Vec<Point>,
    /// 19 of 20 packets came no later than this after what the clock says.
    pub jitter_ns: i64,
}

impl Clock {
    pub fn of(sightings: &[Sighting]) -> Self {
        let mut points: Vec<Point> = Vec::new();
        let mut late = Vec::with_capacity(sightings.len());
        for stretch in stretches(sightings) {
            let offsets = || stretch.iter().map(Sighting::offset_ns);
            let Some(offset_ns) = offsets().min() else { continue };
            points.push(Point { pts_ns: stretch[0].pts_ns, offset_ns });
            late.extend(offsets().map(|offset| offset.saturating_sub(offset_ns)));
        }
        late.sort_unstable();
        let jitter_ns = late.get(late.len() * 19 / 20).copied().unwrap_or(0);
        Self { points, jitter_ns }
    }

    /// When a picture was captured that is shown at `pts_ns`.
    pub fn utc(&self, pts_ns: i64) -> UtcNs {
        let at = self.points.partition_point(|point| point.pts_ns <= pts_ns);
        let point = self.points.get(at.saturating_sub(1));
        let offset_ns = point.map_or(0, |point| point.offset_ns);
        UtcNs(u64::try_from(pts_ns.saturating_add(offset_ns)).unwrap_or(0))
    }

    /// The instant of the timeline that was captured at `utc`; the last one where several were, because a
    /// clock was set back.
    pub fn pts_ns(&self, utc: UtcNs) -> i64 {
        let at = self.points.iter().rposition(|point| self.utc(point.pts_ns) <= utc);
        let point = self.points.get(at.unwrap_or(0));
        let utc_ns = i64::try_from(utc.0).unwrap_or(i64::MAX);
        utc_ns.saturating_sub(point.map_or(0, |point| point.offset_ns))
    }

    /// The points that matter from `from_ns` to `to_ns`.
    pub fn points(&self, from_ns: i64, to_ns: i64) -> Vec<Point> {
        let first = self.points.partition_point(|point| point.pts_ns <= from_ns).saturating_sub(1);
        let points = self.points.iter().skip(first).take_while(|point| point.pts_ns < to_ns);
        points.map(|point| Point { pts_ns: point.pts_ns.max(from_ns), ..*point }).collect()
    }
}

impl Sighting {
    fn offset_ns(&self) -> i64 {
        i64::try_from(self.capture.0).unwrap_or(i64::MAX).saturating_sub(self.pts_ns)
    }
}

fn stretches(sightings: &[Sighting]) -> Vec<&[Sighting]> {
    let mut found = Vec::new();
    let mut begin = 0;
    for (at, sighting) in sightings.iter().enumerate().skip(1) {
        let lasts_ns = sighting.pts_ns.saturating_sub(sightings[begin].pts_ns);
        if sighting.behind_gap || lasts_ns >= STRETCH_NS {
            found.push(&sightings[begin..at]);
            begin = at;
        }
    }
    if begin < sightings.len() {
        found.push(&sightings[begin..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const ZERO: i64 = 1_800_000_000 * SECOND;

    /// A second each, captured that many ms late.
    fn sightings(late_ms: &[i64]) -> Vec<Sighting> {
        let sighting = |(second, late_ms): (i64, &i64)| Sighting {
            pts_ns: second * SECOND,
            capture: UtcNs(u64::try_from(ZERO + second * SECOND + late_ms * 1_000_000).unwrap()),
            behind_gap: false,
        };
        (0..).zip(late_ms).map(sighting).collect()
    }

    fn utc(ns: i64) -> UtcNs {
        UtcNs(u64::try_from(ns).unwrap())
    }

    #[test]
    fn the_packet_that_came_quickest_tells_the_time() {
        let clock = Clock::of(&sightings(&[30, 12, 10, 50]));
        assert_eq!(clock.utc(5 * SECOND), utc(ZERO + 5 * SECOND + 10_000_000));
        assert_eq!(clock.jitter_ns, 40_000_000);
    }

    #[test]
    fn a_gap_begins_anew_and_so_does_a_minute() {
        let mut all = sightings(&[10; 130]);
        all[100].behind_gap = true;
        for sighting in &mut all[100..] {
            sighting.capture.0 += 5_000_000;
        }
        let clock = Clock::of(&all);
        assert_eq!(clock.utc(99 * SECOND), utc(ZERO + 99 * SECOND + 10_000_000));
        assert_eq!(clock.utc(100 * SECOND), utc(ZERO + 100 * SECOND + 15_000_000));
        let begins =
            |points: Vec<Point>| points.iter().map(|p| p.pts_ns / SECOND).collect::<Vec<_>>();
        assert_eq!(begins(clock.points(0, 130 * SECOND)), [0, 60, 100]);
        assert_eq!(begins(clock.points(70 * SECOND, 90 * SECOND)), [70]);
    }

    #[test]
    fn an_instant_is_found_again_by_its_time() {
        let mut all = sightings(&[10; 130]);
        all[100].behind_gap = true;
        for sighting in &mut all[100..] {
            sighting.capture.0 += 5_000_000;
        }
        let clock = Clock::of(&all);
        for second in [-3, 0, 59, 61, 99, 101, 500] {
            assert_eq!(clock.pts_ns(clock.utc(second * SECOND)), second * SECOND, "{second} s");
        }
    }

    #[test]
    fn nothing_seen_is_no_clock() {
        let clock = Clock::of(&[]);
        assert_eq!((clock.utc(7), clock.jitter_ns), (UtcNs(7), 0));
    }
}
