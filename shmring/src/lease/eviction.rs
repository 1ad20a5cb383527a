//! How an essential reader learns that it was let go of: an entry for each place, in the index.

use protocol::name::RingName;
use protocol::units::Span;

use super::book::{Eviction, Reason};
use super::told;
use crate::anchor::IndexView;
use crate::layout::{eviction as at, index};
use crate::segment::Mapping;
use crate::seqlock;
use crate::sync::Ordering;

/// Writer: says so to the reader in `place`, before anything that it has not had is overwritten.
pub(crate) fn write(map: &Mapping, place: u32, eviction: &Eviction) {
    let words = [
        (at::AT_HEAD, eviction.head),
        (at::AT_TAKEN, eviction.taken),
        (at::AT_DEADLINE_NS, u64::try_from(eviction.deadline.as_nanos()).unwrap_or(u64::MAX)),
        (at::AT_REASON, code(eviction.reason)),
    ];
    let table = map.word(index::AT_EVICTIONS).load(Ordering::Relaxed);
    let entry = usize::try_from(table).unwrap_or(0) + place as usize * at::BYTES;
    told::tell(map.word(entry + at::AT_LOCK), || {
        words.iter().for_each(|(at, word)| map.word(entry + at).store(*word, Ordering::Relaxed));
    });
    map.word(index::AT_LET_GO).fetch_add(1, Ordering::Relaxed);
}

/// A reader's eye on the entry of its place.
#[derive(Debug)]
pub(crate) struct EvictionWatch {
    /// `None` in a ring that has no essential readers.
    entry: Option<usize>,
    told: u64,
}

impl EvictionWatch {
    /// From now on; before the page says which epoch it is about, so that no eviction falls between.
    pub(crate) fn begin(index: &IndexView, place: u32) -> Self {
        let mut watch = Self { entry: index.evictions(place), told: 0 };
        watch.told = watch.lock_of(index);
        watch
    }

    /// In a ring that lets go of nobody.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.entry.is_none()
    }

    /// What this reader is to be told, once.
    #[inline]
    pub(crate) fn news(&mut self, index: &IndexView, ring: &RingName) -> Option<String> {
        let entry = self.entry?;
        let seen = self.lock_of(index);
        if seen == self.told { None } else { self.read(index, entry, seen, ring) }
    }

    #[cold]
    fn read(
        &mut self,
        index: &IndexView,
        entry: usize,
        seen: u64,
        ring: &RingName,
    ) -> Option<String> {
        let map = &index.map;
        let word = |at: usize| map.word(entry + at).load(Ordering::Relaxed);
        let words = || [at::AT_HEAD, at::AT_TAKEN, at::AT_DEADLINE_NS, at::AT_REASON].map(word);
        let is_whole = |lock: u64| lock == seen && lock.is_multiple_of(2);
        let [head, taken, deadline_ns, reason] =
            seqlock::read(map.word(entry + at::AT_LOCK), is_whole, words)?;
        self.told = seen;
        Some(text(ring, head.saturating_sub(taken), Span(deadline_ns), reason))
    }

    fn lock_of(&self, index: &IndexView) -> u64 {
        self.entry.map_or(0, |entry| told::count(index.map.word(entry + at::AT_LOCK)))
    }
}

fn text(ring: &RingName, behind: u64, deadline: Span, reason: u64) -> String {
    let why = match reason {
        at::FULL => "the ring was full of what it had not taken",
        at::WAITED => "the writer waited as long as that for it",
        _ => "what it had not taken is older than that",
    };
    format!(
        "ring {ring}: this reader is essential, but {behind} items behind and let go of with its \
         deadline of {deadline}: {why}; it reads on as any other until it has caught up"
    )
}

fn code(reason: Reason) -> u64 {
    match reason {
        Reason::Full => at::FULL,
        Reason::Late => at::LATE,
        Reason::Waited => at::WAITED,
    }
}

/// Bytes of the table.
pub(crate) fn table_bytes(places: u32) -> usize {
    places as usize * at::BYTES
}
