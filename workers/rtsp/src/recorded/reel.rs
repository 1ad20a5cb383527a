//! The samples of a recording on one clock of playing, which begins at zero. Pure.
//!
//! A recording is read in parts, each on a clock of its own, which overlap: the last sample of the one is in
//! the next, and tells the distance of their clocks. Where nothing was recorded no time passes: what follows a
//! gap is played at once.

use recordings::{PacketId, Sample};

#[derive(Debug, Default)]
pub struct Reel {
    /// From the clock of the part to the one of playing.
    shift_ns: i64,
    last: Option<Last>,
    /// Where all that was placed ends, and where it ended before the last one.
    end_ns: i64,
    end_before_ns: i64,
    /// The part under way was seen to go on where the one before it ended.
    joined: bool,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    id: PacketId,
    /// `None` when it was passed over.
    dts_ns: Option<i64>,
}

/// A sample that is to be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub pts_ns: i64,
    pub dts_ns: i64,
    /// Nothing decodes before the next key frame.
    pub behind_gap: bool,
}

impl Reel {
    /// The samples that follow are on another clock.
    pub fn next_part(&mut self) {
        self.joined = false;
    }

    /// `None` for a sample that was placed before.
    pub fn place(&mut self, sample: &Sample) -> Option<Placed> {
        if let Some(last) = self.last
            && sample.id <= last.id
        {
            if let Some(dts_ns) = last.dts_ns.filter(|_| sample.id == last.id) {
                self.shift_ns = dts_ns.saturating_sub(sample.dts_ns);
                self.joined = true;
            }
            return None;
        }
        let behind_gap = sample.behind_gap || !self.joined;
        if behind_gap {
            self.shift_ns = self.end_ns.saturating_sub(sample.dts_ns);
            self.joined = true;
        }
        let dts_ns = sample.dts_ns.saturating_add(self.shift_ns);
        let pts_ns = sample.pts_ns.saturating_add(self.shift_ns);
        self.end_before_ns = self.end_ns;
        self.end_ns = self.end_ns.max(dts_ns.saturating_add(sample.duration_ns));
        self.last = Some(Last { id: sample.id, dts_ns: Some(dts_ns) });
        Some(Placed { pts_ns, dts_ns, behind_gap })
    }

    /// The sample that was placed last is not played, and takes no time.
    pub fn pass_over(&mut self) {
        self.end_ns = self.end_before_ns;
        self.joined = false;
        if let Some(last) = &mut self.last {
            last.dts_ns = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::UtcNs;

    /// The `sequence`th of a stream of 40 ms each, on a clock that begins with `zero`.
    fn sample(sequence: u64, zero: u64) -> Sample {
        let dts_ns = i64::try_from((sequence - zero) * 40).unwrap();
        Sample {
            id: PacketId { epoch: 1, sequence },
            track: 0,
            key: false,
            pts_ns: dts_ns + 80,
            dts_ns,
            duration_ns: 40,
            capture: UtcNs(0),
            camera_clock: false,
            file: 0,
            at_bytes: 0,
            bytes: 1,
            wanted: true,
            behind_gap: false,
        }
    }

    fn dts(placed: Option<Placed>) -> Option<(i64, bool)> {
        placed.map(|placed| (placed.dts_ns, placed.behind_gap))
    }

    #[test]
    fn parts_that_overlap_are_one_line() {
        let mut reel = Reel::default();
        let first: Vec<_> = (10..13).map(|n| dts(reel.place(&sample(n, 10)))).collect();
        assert_eq!(first, [Some((0, true)), Some((40, false)), Some((80, false))]);
        reel.next_part();
        let second: Vec<_> = (11..15).map(|n| reel.place(&sample(n, 11))).collect();
        assert_eq!(second[..2], [None, None], "played before");
        assert_eq!((dts(second[2]), dts(second[3])), (Some((120, false)), Some((160, false))));
        assert_eq!(second[3].map(|placed| placed.pts_ns), Some(240));
    }

    #[test]
    fn what_follows_a_gap_is_played_at_once() {
        let mut reel = Reel::default();
        reel.place(&sample(1, 1));
        let later = Sample { behind_gap: true, ..sample(100, 1) };
        assert_eq!(dts(reel.place(&later)), Some((40, true)));
        assert_eq!(dts(reel.place(&sample(101, 1))), Some((80, false)));
        reel.next_part();
        assert_eq!(dts(reel.place(&sample(500, 499))), Some((120, true)), "no overlap is a gap");
    }

    #[test]
    fn what_is_passed_over_takes_no_time() {
        let mut reel = Reel::default();
        reel.place(&sample(1, 1));
        for number in 2..5 {
            reel.place(&sample(number, 1));
            reel.pass_over();
        }
        assert_eq!(dts(reel.place(&sample(5, 1))), Some((40, true)));
        assert_eq!(dts(reel.place(&sample(6, 1))), Some((80, false)));
    }
}
