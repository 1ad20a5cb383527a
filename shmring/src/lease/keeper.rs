//! The writer's care for essential readers: it knows them by the name on a locked page, reads their
//! cursors with pread, and tells them through the index when it lets go of them.

use std::fmt;
use std::time::Duration;

use protocol::control::RingContract;
use protocol::time::MonoNs;
use protocol::units::Span;

use super::book::{Book, Seen};
use super::page::signature;
use super::{LeaseTable, eviction};
use crate::clock;
use crate::segment::Mapping;

/// A reader that has just come is known after this. Long before the base depth of a ring is over.
const LOOK_AT_MOST: Duration = Duration::from_millis(50);
/// How often a reader that is waited for is looked at.
const PAUSE: Duration = Duration::from_millis(1);

/// For rings that have essential readers; others have none of this and pay nothing.
#[derive(Debug)]
pub(crate) struct Keeper {
    names: Vec<String>,
    book: Book,
    look_every: Duration,
    next_look: MonoNs,
    /// Since when something waits for the slowest reader.
    blocked_since: Option<MonoNs>,
}

/// How far behind an essential reader of this ring may be, at most: what the ring is made deeper by.
pub(crate) fn longest_deadline(contract: &RingContract) -> Span {
    contract.essential.iter().map(|essential| essential.deadline).max().unwrap_or_default()
}

/// Asked each time the writer is about to go on waiting; `false` ends the wait.
pub(crate) struct WhileWaiting(Box<dyn FnMut() -> bool + Send>);

impl WhileWaiting {
    pub(crate) fn new(go_on: impl FnMut() -> bool + Send + 'static) -> Self {
        Self(Box::new(go_on))
    }

    /// Sleeps a little; whether to go on waiting after it.
    pub(crate) fn pause(this: Option<&mut Self>) -> bool {
        std::thread::sleep(PAUSE);
        this.is_none_or(|Self(go_on)| go_on())
    }
}

impl fmt::Debug for WhileWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhileWaiting")
    }
}

/// What to do so that an item may be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nobody needs it.
    Free,
    /// Somebody does; the writer may wait.
    Wait,
}

impl Keeper {
    /// `None` for a contract without essential readers.
    pub(crate) fn of(contract: &RingContract) -> Option<Self> {
        let deadlines: Vec<Duration> =
            contract.essential.iter().map(|essential| essential.deadline.duration()).collect();
        let shortest = deadlines.iter().min()?;
        // Names are known as pages have them.
        let names = contract.essential.iter().map(|it| signature(&it.reader).to_owned());
        Some(Self {
            names: names.collect(),
            book: Book::new(&deadlines, contract.waits),
            look_every: (*shortest / 16).min(LOOK_AT_MOST),
            next_look: MonoNs(0),
            blocked_since: None,
        })
    }

    /// After each publish.
    pub(crate) fn published(&mut self, pages: &LeaseTable, map: &Mapping, head: u64, now: MonoNs) {
        self.book.published(head, now);
        if now >= self.next_look {
            self.look(pages, map, head, now);
        }
    }

    /// Nothing waits for a reader any more.
    pub(crate) fn unblock(&mut self) {
        self.blocked_since = None;
    }

    /// Whatever is not above this may be overwritten, as of the last look.
    pub(crate) fn had_by_all(&self) -> u64 {
        self.book.had_by_all()
    }

    /// Makes way for overwriting `sequence`: after this looks again, and lets go of who is in the
    /// way, unless it may still be waited for. `patient`: whether the caller can wait now.
    pub(crate) fn make_way(
        &mut self,
        pages: &LeaseTable,
        map: &Mapping,
        (sequence, head): (u64, u64),
        patient: bool,
    ) -> Way {
        if sequence <= self.book.had_by_all() {
            self.blocked_since = None;
            return Way::Free;
        }
        let now = clock::mono();
        self.look(pages, map, head, now);
        while sequence > self.book.had_by_all() {
            let since = *self.blocked_since.get_or_insert(now);
            let waited = now.saturating_since(since);
            if patient && self.book.patience().is_some_and(|patience| waited < patience) {
                return Way::Wait;
            }
            self.blocked_since = None;
            if let Some((place, eviction)) = self.book.let_go(sequence, head, now) {
                eviction::write(map, place, &eviction);
            }
        }
        self.blocked_since = None;
        Way::Free
    }

    fn look(&mut self, pages: &LeaseTable, map: &Mapping, head: u64, now: MonoNs) {
        self.next_look = now + self.look_every;
        let seen: Vec<Seen> = pages.readings(|name| self.names.iter().position(|n| n == name));
        for (place, eviction) in self.book.look(&seen, head, now) {
            eviction::write(map, place, &eviction);
        }
    }
}
