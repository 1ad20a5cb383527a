//! The writer's book of packets that are too large for the log. Each lies in a segment of its own, from
//! before its record is shown until the floor passes that record. Pure.

use std::collections::VecDeque;

/// Most packets that lie apart at once: a file each.
const SEGMENTS_MAX: usize = 16;

/// Numbers as those of generations; the log is the first.
const FIRST: u32 = 2;

#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u32,
    bytes: u64,
    /// Of its record.
    position: u64,
}

#[derive(Debug)]
pub(super) struct Apart {
    next: u32,
    /// In the order of their records.
    segments: VecDeque<Segment>,
    /// Sum of theirs; `bytes <= bytes_max`.
    bytes: u64,
    bytes_max: u64,
}

impl Apart {
    /// Together they may take as much as the log.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { next: FIRST, segments: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// A number that no segment of this epoch has had; `None` when there are no more.
    pub(super) fn number(&mut self) -> Option<u32> {
        let number = self.next;
        self.next = number.checked_add(1)?;
        Some(number)
    }

    /// Where the floor must be for `bytes` more: behind the record at this position, if anywhere.
    pub(super) fn in_the_way(&self, bytes: u64) -> Option<u64> {
        let is_full = self.segments.len() >= SEGMENTS_MAX || self.bytes + bytes > self.bytes_max;
        self.segments.front().filter(|_| is_full).map(|oldest| oldest.position)
    }

    pub(super) fn add(&mut self, number: u32, bytes: u64, position: u64) {
        self.segments.push_back(Segment { number, bytes, position });
        self.bytes += bytes;
        debug_assert!(self.bytes <= self.bytes_max);
    }

    /// The next segment whose record the floor has passed.
    pub(super) fn passed(&mut self, floor: u64) -> Option<u32> {
        let oldest = self.segments.front().filter(|oldest| oldest.position < floor)?;
        let Segment { number, bytes, .. } = *oldest;
        self.bytes -= bytes;
        self.segments.pop_front();
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_go_in_turn_when_the_floor_passes_them_and_no_number_comes_twice() {
        let mut apart = Apart::new(100);
        let numbers: Vec<u32> = (0..3).map(|_| apart.number().unwrap_or(0)).collect();
        assert_eq!(numbers, [2, 3, 4]);
        apart.add(2, 40, 0);
        apart.add(3, 40, 256);
        assert_eq!((apart.in_the_way(20), apart.in_the_way(21)), (None, Some(0)));
        assert_eq!((apart.passed(0), apart.passed(1), apart.passed(1)), (None, Some(2), None));
        assert_eq!(apart.in_the_way(60), None);
        assert_eq!((apart.passed(1000), apart.passed(1000)), (Some(3), None));
    }

    #[test]
    fn there_are_never_more_than_sixteen() {
        let mut apart = Apart::new(u64::MAX);
        for position in 0..16 {
            assert_eq!(apart.in_the_way(1), None);
            apart.add(2, 1, position);
        }
        assert_eq!(apart.in_the_way(1), Some(0));
    }
}
