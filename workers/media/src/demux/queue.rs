//! Units that were read and not given out. Pure.
//!
//! Matroska keeps times of showing only. Of a stream that reorders its pictures FFmpeg finds the decoding
//! times of all but the first few, which it gives without: those wait for the first one that has one, and
//! count back from there.

use std::collections::VecDeque;

use super::AccessUnit;

/// Pictures of a track that may wait: H.264 and H.265 reorder at most 16.
const WAITING_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Queue {
    units: VecDeque<Queued>,
}

#[derive(Debug)]
struct Queued {
    unit: AccessUnit,
    /// Its decoding time is known.
    is_timed: bool,
}

impl Queue {
    /// A unit whose decoding time is known. Those of its track that wait for one get theirs.
    pub(super) fn push(&mut self, unit: AccessUnit) {
        let mut dts_ns = unit.dts_ns;
        let waiting = self.units.iter_mut().rev();
        let own = waiting.filter(|queued| !queued.is_timed && queued.unit.track == unit.track);
        for Queued { unit, is_timed } in own {
            dts_ns = dts_ns.saturating_sub(unit.duration_ns);
            // A picture is not shown before it is decoded.
            dts_ns = dts_ns.min(unit.pts_ns);
            unit.dts_ns = dts_ns;
            *is_timed = true;
        }
        self.units.push_back(Queued { unit, is_timed: true });
    }

    /// A unit that has its time of showing in place of the other, which the next ones will tell. Whether
    /// it is worth to wait for them.
    pub(super) fn push_untimed(&mut self, unit: AccessUnit) -> bool {
        let own = |queued: &&Queued| !queued.is_timed && queued.unit.track == unit.track;
        let is_endless = self.units.iter().filter(own).count() >= WAITING_MAX;
        self.units.push_back(Queued { unit, is_timed: false });
        if is_endless {
            self.settle();
        }
        !is_endless
    }

    /// No more is known: what waits is decoded when it is shown.
    pub(super) fn settle(&mut self) {
        self.units.iter_mut().for_each(|queued| queued.is_timed = true);
    }

    /// The next unit in the order they came.
    pub(super) fn pop(&mut self) -> Option<AccessUnit> {
        self.units.pop_front_if(|queued| queued.is_timed).map(|queued| queued.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(track: u32, pts_ns: i64) -> AccessUnit {
        let (dts_ns, duration_ns, payload) = (pts_ns, 40, Vec::new());
        AccessUnit { track, key: false, corrupt: false, pts_ns, dts_ns, duration_ns, payload }
    }

    fn drained(queue: &mut Queue) -> Vec<(u32, i64, i64)> {
        let units = std::iter::from_fn(|| queue.pop());
        units.map(|unit| (unit.track, unit.pts_ns, unit.dts_ns)).collect()
    }

    #[test]
    fn the_first_pictures_count_back_from_the_first_known_time_and_keep_their_place() {
        let mut queue = Queue::default();
        queue.push_untimed(unit(0, 20));
        queue.push(unit(1, 5));
        queue.push_untimed(unit(0, 180));
        assert_eq!(drained(&mut queue), []);
        queue.push(AccessUnit { dts_ns: 20, ..unit(0, 100) });
        let expected = [(0, 20, -60), (1, 5, 5), (0, 180, -20), (0, 100, 20)];
        assert_eq!(drained(&mut queue), expected);
    }

    #[test]
    fn no_picture_is_shown_before_it_is_decoded() {
        let mut queue = Queue::default();
        queue.push_untimed(unit(0, 20));
        queue.push(unit(0, 500));
        assert_eq!(drained(&mut queue), [(0, 20, 20), (0, 500, 500)]);
    }

    #[test]
    fn a_stream_without_any_decoding_times_is_not_held_up() {
        let mut queue = Queue::default();
        let pictures = i64::try_from(WAITING_MAX).unwrap();
        assert!((0..pictures).all(|at| queue.push_untimed(unit(0, at * 40))));
        assert_eq!(drained(&mut queue), []);
        assert!(!queue.push_untimed(unit(0, pictures * 40)));
        assert_eq!(drained(&mut queue).len(), WAITING_MAX + 1);
        // The end of a short one.
        queue.push_untimed(unit(0, 7));
        queue.settle();
        assert_eq!(drained(&mut queue), [(0, 7, 7)]);
    }
}
