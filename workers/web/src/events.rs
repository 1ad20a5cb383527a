//! The last records of the event rings, newest first. Of one thing's updates only the newest is kept:
//! sixteen cameras that move would else push everything else out within seconds.

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
        if is_update(&record) {
            let old = |seen: &Event| {
                is_update(&seen.record) && seen.record.id == record.id && seen.ring == *ring
            };
            if let Some(at) = kept.iter().position(old) {
                kept.remove(at);
            }
        }
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

fn is_update(record: &Record) -> bool {
    record.kind.ends_with(".update")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: usize) -> Record {
        told(&n.to_string(), "motion.begin")
    }

    fn told(id: &str, kind: &str) -> Record {
        Record {
            id: id.to_owned(),
            kind: kind.to_owned(),
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
    fn of_the_updates_of_one_thing_only_the_newest_is_kept() {
        let log = EventLog::default();
        let (a, b) = ("a.events".parse().unwrap(), "b.events".parse().unwrap());
        log.push(&a, told("1", "motion.begin"));
        for _ in 0..5 {
            log.push(&a, told("1", "motion.update"));
            log.push(&a, told("2", "motion.update"));
            log.push(&b, told("1", "motion.update"));
        }
        log.push(&a, told("1", "motion.end"));
        let kept: Vec<_> = log
            .newest_first()
            .into_iter()
            .map(|event| format!("{} {} {}", event.ring, event.record.id, event.record.kind))
            .collect();
        assert_eq!(
            kept,
            [
                "a.events 1 motion.end",
                "b.events 1 motion.update",
                "a.events 2 motion.update",
                "a.events 1 motion.update",
                "a.events 1 motion.begin",
            ]
        );
    }

    #[test]
    fn an_event_is_its_record_with_the_ring_beside_it() {
        let event = Event { ring: "motion.events".parse().unwrap(), record: record(1) };
        let json = serde_json::to_value(event).unwrap();
        assert_eq!(json["ring"], "motion.events");
        assert_eq!(json["type"], "motion.begin");
    }
}
