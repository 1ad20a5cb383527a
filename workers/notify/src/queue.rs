//! What waits to be delivered, and what need not be told again. Pure.

use std::collections::VecDeque;

use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// As many as the supervisor keeps: more would be lost by a kill anyway.
const WAITING_MAX: usize = 1000;
/// Ids of the newest events, so that none is taken twice when the same are read again.
const KNOWN_MAX: usize = 3000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    known: VecDeque<String>,
    /// Of the newest event taken: those before it are not asked for again.
    pub(crate) newest: UtcNs,
    /// Dropped since the queue was full.
    #[serde(skip)]
    pub(crate) overflown: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) event: Event,
}

impl Queue {
    /// Nothing before this is anybody's business.
    pub(crate) fn since(newest: UtcNs) -> Self {
        Self { newest, ..Self::default() }
    }

    /// Whether it is new.
    pub(crate) fn take(&mut self, id: String, event: Event) -> bool {
        if self.known.contains(&id) {
            return false;
        }
        self.newest = self.newest.max(event.time_utc_ns);
        self.known.push_back(id.clone());
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
        self.waiting.push_back(Waiting { id, event });
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
            self.overflown += 1;
        }
        true
    }

    pub(crate) fn next(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// It is delivered, or given up.
    pub(crate) fn done(&mut self, id: &str) {
        if self.waiting.front().is_some_and(|next| next.id == id) {
            self.waiting.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    fn ids(queue: &Queue) -> Vec<&str> {
        queue.waiting.iter().map(|waiting| waiting.id.as_str()).collect()
    }

    #[test]
    fn an_event_is_taken_once_and_they_go_in_their_order() {
        let mut queue = Queue::since(UtcNs(5));
        for (id, time) in [("a", 10), ("b", 11), ("a", 10)] {
            queue.take(id.to_owned(), event(time));
        }
        assert_eq!((ids(&queue), queue.newest), (vec!["a", "b"], UtcNs(11)));
        queue.done("a");
        assert!(!queue.take("a".to_owned(), event(10)), "it was delivered");
        let text = serde_json::to_string(&queue).unwrap();
        let mut again: Queue = serde_json::from_str(&text).unwrap();
        assert_eq!(again, queue);
        assert!(!again.take("b".to_owned(), event(11)));
        assert_eq!(again.next().map(|next| next.id.as_str()), Some("b"));
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_counts() {
        let mut queue = Queue::default();
        for number in 0..WAITING_MAX + 3 {
            queue.take(number.to_string(), event(number as u64));
        }
        assert_eq!((queue.len(), queue.overflown), (WAITING_MAX, 3));
        assert_eq!(queue.next().map(|next| next.id.as_str()), Some("3"));
        // The one under way was dropped meanwhile: its end ends no other.
        queue.done("0");
        assert_eq!(queue.len(), WAITING_MAX);
    }
}
