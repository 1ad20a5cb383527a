//! The last of what a ring holds: which packet a dump begins with. Pure.

use std::time::Duration;

use protocol::time::MonoNs;

/// A packet, by what the choice needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) published: MonoNs,
    /// A file may begin here.
    pub(crate) entry: bool,
}

/// Index of the last entry that is `last` older than the newest packet, else of the first one there
/// is; `None` without any.
pub(crate) fn begin(marks: &[Mark], last: Duration) -> Option<usize> {
    let newest = marks.last()?.published;
    let is_entry = |mark: &Mark| mark.entry;
    let old_enough = |mark: &Mark| newest.saturating_since(mark.published) >= last;
    let long_ago = marks.iter().rposition(|mark| is_entry(mark) && old_enough(mark));
    long_ago.or_else(|| marks.iter().position(is_entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// One a second, the given ones entries.
    fn marks(count: u64, entries: &[u64]) -> Vec<Mark> {
        let mark =
            |number| Mark { published: MonoNs(number * SECOND), entry: entries.contains(&number) };
        (0..count).map(mark).collect()
    }

    #[test]
    fn a_dump_is_as_long_as_asked_and_a_little_longer_to_begin_with_a_key_frame() {
        let marks = marks(21, &[0, 4, 8, 12, 16, 20]);
        assert_eq!(begin(&marks, Duration::from_secs(10)), Some(8));
        assert_eq!(begin(&marks, Duration::from_secs(12)), Some(8));
        assert_eq!(begin(&marks, Duration::ZERO), Some(20));
    }

    #[test]
    fn a_ring_that_holds_less_gives_all_from_its_first_key_frame() {
        assert_eq!(begin(&marks(5, &[3]), Duration::from_secs(60)), Some(3));
        assert_eq!(begin(&marks(5, &[]), Duration::from_secs(1)), None);
        assert_eq!(begin(&[], Duration::from_secs(1)), None);
    }
}
