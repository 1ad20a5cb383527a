//! When pictures are to be decoded: RTP tells only when they are shown. Pure.
//!
//! They come in decoding order. Where none is shown after one that comes later, both times are the same;
//! else the decoding time is the showing time of one some places before, in the order of showing.

/// The most that H.264 and H.265 allow.
const DEPTH_MAX: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct DecodeTimes {
    /// Pictures that may come before one that is shown before them.
    depth: usize,
    /// The last `depth + 1` showing times, sorted.
    last_ns: Vec<i64>,
    /// For the first pictures, of which nothing is known: between two of them.
    frame_ns: i64,
}

impl DecodeTimes {
    /// `depth` as the stream's parameters have it; more is found out by itself. `frame_ns`: 0 when unknown.
    pub(crate) fn new(depth: usize, frame_ns: i64) -> Self {
        let frame_ns = if frame_ns > 0 { frame_ns } else { 40_000_000 };
        Self { depth: depth.min(DEPTH_MAX), last_ns: Vec::new(), frame_ns }
    }

    /// The decoding time of the next picture, not after its showing time once the depth is known.
    pub(crate) fn of(&mut self, pts_ns: i64) -> i64 {
        let at = self.last_ns.partition_point(|last_ns| *last_ns <= pts_ns);
        // Shown before everything that is remembered: there are more to come between than was thought.
        let is_early = at == 0 && self.last_ns.len() > self.depth;
        if is_early && self.depth < DEPTH_MAX {
            self.depth += 1;
        }
        self.last_ns.insert(at, pts_ns);
        let missing = (self.depth + 1).saturating_sub(self.last_ns.len());
        if missing > 0 {
            let before = i64::try_from(missing).unwrap_or(0).saturating_mul(self.frame_ns);
            return self.last_ns[0].saturating_sub(before);
        }
        while self.last_ns.len() > self.depth + 1 {
            self.last_ns.remove(0);
        }
        self.last_ns[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: i64 = 40;

    fn all(depth: usize, shown: &[i64]) -> Vec<(i64, i64)> {
        let mut times = DecodeTimes::new(depth, FRAME);
        shown.iter().map(|number| (number * FRAME, times.of(number * FRAME))).collect()
    }

    #[test]
    fn without_reordering_both_times_are_the_same() {
        assert!(all(0, &[0, 1, 2, 5, 6]).iter().all(|(pts, dts)| pts == dts));
    }

    #[test]
    fn pictures_that_are_shown_later_are_decoded_a_place_earlier() {
        // I P B P B: one place.
        let times = all(1, &[0, 2, 1, 4, 3, 6, 5]);
        let decoded: Vec<i64> = times.iter().map(|(_, dts)| dts / FRAME).collect();
        assert_eq!(decoded, [-1, 0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_the_parameters_do_not_tell_is_found_out() {
        // B pyramids: two places.
        let shown = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 16, 14, 13, 15];
        let times = all(0, &shown);
        for pair in times[8..].windows(2) {
            assert!(pair[1].1 > pair[0].1 && pair[1].0 >= pair[1].1, "{times:?}");
        }
    }

    proptest! {
        #[test]
        fn any_times_are_taken(depth in 0usize..40, shown in proptest::collection::vec(any::<i64>(), 0..100)) {
            let mut times = DecodeTimes::new(depth, 0);
            for pts_ns in shown {
                times.of(pts_ns);
                prop_assert!(times.last_ns.len() <= DEPTH_MAX + 1);
            }
        }
    }
}
