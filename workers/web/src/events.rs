//! The last records of the event rings, newest first.

use std::collections::VecDeque;
use std::sync::Mutex;

use protocol::name::RingName;
use protocol::record::Record;
use serde::Serialize;

/// Records kept: about a minute of a busy site, and a page a person can scroll.
pub const KEPT: usize = 200;

/// A record and the ring it came from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    pub ring: RingName,
    #[serde(flatten)]
    pub record: Record,
}

/// Filled by the worker's step, read by requests.
#[derive(Debug, Default)]
pub struct EventLog {
    kept: Mutex<VecDeque<Event>>,
}

impl EventLog {
    pub fn push(&self, ring: &RingName, record: Record) {
        let mut kept = self.lock();
        kept.truncate(KEPT - 1);
        kept.push_front(Event { ring: ring.clone(), record });
    }

    pub fn newest_first(&self) -> Vec<Event> {
        self.lock().iter().cloned().collect()
    }

    /// A poisoned lock still guards a whole list: every change is one call.
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Event>> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: usize) -> Record {
        Record {
            id: n.to_string(),
            kind: "motion.begin".to_owned(),
            camera: "cam1".to_owned(),
            frame: None,
            time_utc_ns: 1,
            data: serde_json::json!({"score": 0.5}),
        }
    }

    #[test]
    fn only_the_last_records_are_kept_newest_first() {
        let log = EventLog::default();
        let ring: RingName = "motion.events".parse().unwrap();
        for n in 0..KEPT + 5 {
            log.push(&ring, record(n));
        }
        let events = log.newest_first();
        assert_eq!(events.len(), KEPT);
        assert_eq!(events[0].record.id, (KEPT + 4).to_string());
        assert_eq!(events[KEPT - 1].record.id, "5");
    }

    #[test]
    fn an_event_is_its_record_with_the_ring_beside_it() {
        let event = Event { ring: "motion.events".parse().unwrap(), record: record(1) };
        let json = serde_json::to_value(event).unwrap();
        assert_eq!(json["ring"], "motion.events");
        assert_eq!(json["type"], "motion.begin");
    }
}
