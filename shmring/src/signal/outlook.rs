//! What there is for a reader in one epoch, seen from outside the reader.

use std::sync::Arc;
use std::time::Duration;

use protocol::time::MonoNs;

use crate::anchor::{AnchorView, IndexView};
use crate::layout::index;
use crate::segments::Leads;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::wake::{self, Heard, Word};

/// The two bells of an epoch, what they announce, and how far the reader is with it. Only the reader
/// writes here; whoever waits for it reads. Nothing is ordered by these words: one that is read too old
/// makes a waiter look once too often, and the bells order all else.
#[derive(Debug)]
pub(crate) struct Outlook {
    pub(crate) anchor: Arc<AnchorView>,
    index: Arc<IndexView>,
    /// Where the index says how far the writer is, in the unit of `position`.
    at_head: usize,
    /// Of the items it wants each so manyth, by sequence.
    every: u64,
    sequence: AtomicU64,
    position: AtomicU64,
    /// The reader has something to say that is not in the ring.
    owes: AtomicBool,
    /// Before this it takes nothing.
    not_before_ns: AtomicU64,
    /// Bells heard before the reader's newest look that found nothing.
    found_nothing_at: AtomicU64,
    told_end: AtomicBool,
    told_gone: AtomicBool,
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Of the newest item taken or told as missed.
    pub(crate) sequence: u64,
    /// What the head will be read as when there is nothing more.
    pub(crate) position: u64,
    /// Of the items it wants each so manyth, by sequence; the same all its life, not 0.
    pub(crate) every: u64,
}

impl Progress {
    /// Of a frame ring's reader.
    pub(crate) fn at(sequence: u64, every: u64) -> Self {
        Self { sequence, position: sequence, every }
    }
}

/// Not a value of both bells: an anchor's never comes so far. If one did, its ring's waiters would hear
/// of news a slice later.
const NEVER: u64 = u64::MAX;

impl Outlook {
    pub(crate) fn new(anchor: Arc<AnchorView>, index: Arc<IndexView>, progress: Progress) -> Self {
        let is_log = index.map.word(index::AT_LOG_BYTES).load(Ordering::Relaxed) != 0;
        Self {
            anchor,
            index,
            every: progress.every.max(1),
            at_head: if is_log { index::AT_HEAD_POSITION } else { index::AT_HEAD },
            sequence: AtomicU64::new(progress.sequence),
            position: AtomicU64::new(progress.position),
            owes: AtomicBool::new(false),
            not_before_ns: AtomicU64::new(0),
            found_nothing_at: AtomicU64::new(NEVER),
            told_end: AtomicBool::new(false),
            told_gone: AtomicBool::new(false),
        }
    }

    pub(crate) fn hear(&self) -> Heard {
        Heard::now(self.index.bell(), self.anchor.bell())
    }

    /// For one reader by itself, which has but this ring to wait for.
    pub(super) fn wait(&self, heard: Heard, wait: Duration) {
        let (ring, anchor) = (self.index.bell(), self.anchor.bell());
        if self.anchor.successor_calls() {
            wake::wait_to_be_called(ring, anchor, heard, wait);
        } else {
            wake::wait(ring, anchor, heard, wait);
        }
    }

    /// Both bells, as [`crate::wake::wait_for_any`] wants them.
    pub(crate) fn words(&self, heard: Heard) -> [Word<'_>; 2] {
        [(self.index.bell(), heard.ring), (self.anchor.bell(), heard.anchor)]
    }

    /// Items published and neither taken nor told as missed.
    pub(crate) fn count(&self) -> u64 {
        let taken = self.sequence.load(Ordering::Relaxed);
        // A reader may stand before an item without knowing its number.
        let wanted = (self.index.head() / self.every).saturating_sub(taken / self.every);
        wanted.max(u64::from(self.has_item()))
    }

    /// Whether the reader's next look would bring something, as far as bells tell.
    pub(crate) fn has_news(&self, now: MonoNs) -> bool {
        self.found_nothing_at.load(Ordering::Relaxed) != pack(self.hear()) && self.is_ahead(now)
    }

    /// As [`Self::has_news`], and what no bell tells: what a writer did just before it was killed, and
    /// that it was. For a look once in a slice, as it asks the kernel.
    pub(crate) fn has_quiet_news(&self, now: MonoNs) -> bool {
        self.is_ahead(now) || self.has_lost_its_writer()
    }

    /// When a picture that is there may be taken, if the reader is resting until then.
    pub(crate) fn rests_until(&self, now: MonoNs) -> Option<MonoNs> {
        let until = MonoNs(self.not_before_ns.load(Ordering::Relaxed));
        (until > now && self.has_item()).then_some(until)
    }

    fn is_ahead(&self, now: MonoNs) -> bool {
        let epoch = self.anchor.epoch();
        (self.has_item() && now.0 >= self.not_before_ns.load(Ordering::Relaxed))
            || self.owes.load(Ordering::Relaxed)
            || (epoch != self.index.epoch && epoch != 0)
            || (self.index.has_ended() && !self.told_end.load(Ordering::Relaxed))
    }

    fn has_item(&self) -> bool {
        // PAIR head
        let head = self.index.map.word(self.at_head).load(Ordering::Acquire);
        let position = self.position.load(Ordering::Relaxed);
        // A head that goes back is news too, of a damage.
        head / self.every != position / self.every || head < position
    }

    /// Each of these once, until the reader has looked.
    fn has_lost_its_writer(&self) -> bool {
        if self.index.is_live() {
            return false;
        }
        match self.anchor.name_leads() {
            Leads::Here => !self.index.has_ended() && !self.index.is_known_dead(),
            Leads::Elsewhere => true,
            Leads::Nowhere => !self.told_gone.load(Ordering::Relaxed),
        }
    }
}

/// The reader's side.
impl Outlook {
    #[inline(always)]
    pub(super) fn set_progress(&self, progress: Progress) {
        self.sequence.store(progress.sequence, Ordering::Relaxed);
        self.position.store(progress.position, Ordering::Relaxed);
    }

    pub(super) fn set_owes(&self, owes: bool) {
        self.owes.store(owes, Ordering::Relaxed);
    }

    pub(super) fn set_not_before(&self, until: MonoNs) {
        self.not_before_ns.store(until.0, Ordering::Relaxed);
    }

    pub(super) fn set_found_nothing(&self, heard: Heard) {
        self.found_nothing_at.store(pack(heard), Ordering::Relaxed);
    }

    pub(super) fn set_told_end(&self) {
        self.told_end.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_told_gone(&self) {
        self.told_gone.store(true, Ordering::Relaxed);
    }
}

fn pack(heard: Heard) -> u64 {
    u64::from(heard.anchor) << 32 | u64::from(heard.ring)
}
