//! What the supervisor is to be told, and how fast: it takes so many messages of a worker a second, and ends one that says
//! more. A site where everything begins at once tells the last of it some seconds later. Pure; time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::control::Happening;
use protocol::time::MonoNs;
use serde_json::{Map, Value};

/// Less than half of what the supervisor takes: its seconds are not ours.
const A_SECOND: u32 = 200;
const SECOND: Duration = Duration::from_secs(1);
/// Messages that wait. More are made up by an analyzer that has gone mad, and are dropped.
const WAITING_MAX: usize = 5_000;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Letter {
    pub(crate) what: Happening,
    pub(crate) camera: String,
    pub(crate) why: String,
    pub(crate) data: Map<String, Value>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Letter>,
    /// When the present second began, and how many went out in it.
    began: MonoNs,
    sent: u32,
    dropped: u64,
}

impl Outbox {
    /// Behind all others; whether there was room.
    pub(crate) fn put(&mut self, letter: Letter) -> bool {
        let has_room = self.waiting.len() < WAITING_MAX;
        if has_room {
            self.waiting.push_back(letter);
        } else {
            self.dropped += 1;
        }
        has_room
    }

    /// The next one that may go out now.
    pub(crate) fn next(&mut self, now: MonoNs) -> Option<Letter> {
        if now.saturating_since(self.began) >= SECOND {
            (self.began, self.sent) = (now, 0);
        }
        if self.sent >= A_SECOND {
            return None;
        }
        let letter = self.waiting.pop_front()?;
        self.sent += 1;
        Some(letter)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many were dropped since this was asked last.
    pub(crate) fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(number: usize) -> Letter {
        let (what, camera, data) = (Happening::RuleBegan, "front".to_owned(), Map::new());
        Letter { what, camera, why: number.to_string(), data }
    }

    fn at(ms: u64) -> MonoNs {
        MonoNs(9_000_000_000 + ms * 1_000_000)
    }

    /// How many go out at this moment.
    fn out(outbox: &mut Outbox, ms: u64) -> usize {
        std::iter::from_fn(|| outbox.next(at(ms))).count()
    }

    #[test]
    fn what_happens_all_at_once_goes_out_in_its_order_and_no_faster_than_is_taken() {
        let mut outbox = Outbox::default();
        assert!((0..450).all(|number| outbox.put(letter(number))));
        assert_eq!(outbox.next(at(0)), Some(letter(0)));
        assert_eq!((out(&mut outbox, 0), out(&mut outbox, 999)), (199, 0));
        assert_eq!(outbox.next(at(1_000)), Some(letter(200)));
        assert_eq!((out(&mut outbox, 1_500), out(&mut outbox, 2_000)), (199, 50));
        assert_eq!((outbox.waiting(), outbox.dropped()), (0, 0));
    }

    #[test]
    fn an_analyzer_that_has_gone_mad_fills_no_memory() {
        let mut outbox = Outbox::default();
        let kept = (0..WAITING_MAX + 7).filter(|number| outbox.put(letter(*number))).count();
        assert_eq!((kept, outbox.dropped(), outbox.dropped()), (WAITING_MAX, 7, 0));
    }
}
