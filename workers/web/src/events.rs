//! What happened lately: records of the event rings, and changes of workers' states. Kept newest first for who
//! asks, and numbered for who follows. Of one thing's updates only the newest record is kept: sixteen cameras
//! that move would else push everything else out within seconds.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::admin::WorkerState;
use protocol::name::{RingName, WorkerName};
use protocol::record::Record;
use protocol::time::UtcNs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::insight::records::Records;

/// Kept of each kind: about a minute of a busy site, and a page a person can scroll.
pub const KEPT: usize = 200;
/// And no more than this of records that are large: who follows is given all of it at once.
const BYTES_MAX: usize = 4 << 20;

/// A record and the ring it came from.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    pub ring: RingName,
    #[serde(flatten)]
    pub record: Record,
}

/// A change of a worker's state, as the supervisor tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerChange {
    pub time_utc_ns: UtcNs,
    pub worker: WorkerName,
    pub from: WorkerState,
    pub to: WorkerState,
    /// Empty when there is nothing to say.
    pub reason: String,
    /// What hooks call it: `worker.backoff`, and `worker.died` or `camera.down` with it.
    #[serde(default)]
    pub events: Vec<String>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    Record(Event),
    Change(WorkerChange),
}

/// What is new to who follows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Oldest first, with their numbers.
    pub news: Vec<(u64, News)>,
    /// Where to go on.
    pub newest: u64,
    /// Something between was kept no longer.
    pub missed: bool,
}

/// Filled by the worker, read by requests.
#[derive(Debug)]
pub struct EventLog {
    state: Mutex<State>,
    /// The number of the newest.
    newest: watch::Sender<u64>,
    /// All records, ring by ring.
    pub records: Records,
}

#[derive(Debug, Default)]
struct State {
    /// Newest first.
    kept: VecDeque<Kept>,
    /// Of the newest; the first is 1.
    number: u64,
    /// The highest that had to go for newer ones.
    dropped: u64,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    /// Of a record, as JSON.
    bytes: usize,
    news: News,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { state: Mutex::default(), newest: watch::Sender::new(0), records: Records::default() }
    }
}

impl EventLog {
    pub fn push(&self, ring: &RingName, record: Record) {
        let bytes = self.records.push(ring, &record);
        let event = Event { ring: ring.clone(), record };
        let mut state = self.lock();
        if is_update(&event.record) {
            state.kept.retain(|kept| !is_older(&kept.news, &event));
        }
        self.add(state, News::Record(event), bytes);
    }

    pub fn changed(&self, change: WorkerChange) {
        self.add(self.lock(), News::Change(change), 0);
    }

    /// Records alone.
    pub fn newest_first(&self) -> Vec<Event> {
        let state = self.lock();
        let records = state.kept.iter().filter_map(|kept| match &kept.news {
            News::Record(event) => Some(event.clone()),
            News::Change(_) => None,
        });
        records.collect()
    }

    /// What came behind this number. One that was never given is of another process: all that is known is
    /// that something may be missing.
    pub fn after(&self, number: u64) -> Batch {
        let state = self.lock();
        if number > state.number {
            return Batch { news: Vec::new(), newest: state.number, missed: true };
        }
        let new = state.kept.iter().take_while(|kept| kept.number > number);
        let mut news: Vec<(u64, News)> = new.map(|kept| (kept.number, kept.news.clone())).collect();
        news.reverse();
        Batch { news, newest: state.number, missed: state.dropped > number }
    }

    /// The number of the newest, now and whenever it changes.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn add(&self, mut state: MutexGuard<'_, State>, news: News, bytes: usize) {
        state.number += 1;
        let number = state.number;
        state.kept.push_front(Kept { number, bytes, news });
        state.make_room();
        drop(state);
        self.newest.send_replace(number);
    }

    /// A poisoned lock still guards a whole list: every change is one call.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Each kind has room of its own: a worker that dies all day long leaves the records where they are.
    fn make_room(&mut self) {
        let Some(newest) = self.kept.front() else { return };
        let is_record = matches!(newest.news, News::Record(_));
        let is_same = |kept: &Kept| matches!(kept.news, News::Record(_)) == is_record;
        let sizes = self.kept.iter().filter(|kept| is_same(kept)).map(|kept| kept.bytes);
        let (mut count, mut bytes) = sizes.fold((0, 0), |(count, sum), own| (count + 1, sum + own));
        while count > KEPT || (bytes > BYTES_MAX && count > 1) {
            let oldest = self.kept.iter().rposition(is_same);
            let Some(gone) = oldest.and_then(|oldest| self.kept.remove(oldest)) else { return };
            self.dropped = self.dropped.max(gone.number);
            (count, bytes) = (count - 1, bytes - gone.bytes);
        }
    }
}

fn is_update(record: &Record) -> bool {
    record.kind.ends_with(".update")
}

/// An update of the same thing.
fn is_older(news: &News, event: &Event) -> bool {
    matches!(news, News::Record(old)
        if is_update(&old.record) && old.record.id == event.record.id && old.ring == event.ring)
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

    fn change(n: u64) -> WorkerChange {
        WorkerChange {
            time_utc_ns: UtcNs(n),
            worker: "motion".parse().unwrap(),
            from: WorkerState::Running,
            to: WorkerState::Backoff,
            reason: "SIGKILL".to_owned(),
            events: vec!["worker.died".to_owned()],
        }
    }

    #[test]
    fn who_follows_is_given_each_once_in_its_order_and_told_of_those_that_are_gone() {
        let log = EventLog::default();
        let ring: RingName = "motion.events".parse().unwrap();
        assert_eq!(log.after(0), Batch::default());
        log.push(&ring, record(1));
        log.changed(change(1));
        let first = log.after(0);
        assert_eq!((first.news.len(), first.newest, first.missed), (2, 2, false));
        assert!(matches!(&first.news[0], (1, News::Record(_))) && first.news[1].0 == 2);
        assert!(log.after(2).news.is_empty());
        for n in 0..=KEPT {
            log.push(&ring, record(n));
        }
        let late = log.after(0);
        assert!(late.missed && !log.after(late.newest).missed);
        assert_eq!(log.newest_first().len(), KEPT);
        assert!(late.news.iter().any(|(_, news)| matches!(news, News::Change(_))), "its own room");
        let stranger = log.after(1_000_000);
        assert!(stranger.missed && stranger.news.is_empty() && stranger.newest == late.newest);
    }

    #[test]
    fn large_records_are_fewer_and_who_follows_is_told_of_those_that_are_gone() {
        let log = EventLog::default();
        let ring: RingName = "motion.events".parse().unwrap();
        log.changed(change(1));
        for n in 0..100 {
            let data = serde_json::json!({ "mask": "x".repeat(100_000) });
            log.push(&ring, Record { data, ..record(n) });
        }
        let kept = log.newest_first();
        assert!((20..=BYTES_MAX / 100_000).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept[0].record.id, "99");
        let all = log.after(0);
        assert!(all.missed && all.news.len() == kept.len() + 1, "the change is kept");
        let data = serde_json::json!({ "mask": "x".repeat(2 * BYTES_MAX) });
        log.push(&ring, Record { data, ..record(100) });
        assert_eq!(log.newest_first().len(), 1, "the newest is kept whatever it is");
    }

    #[test]
    fn an_update_that_was_replaced_is_not_missed() {
        let log = EventLog::default();
        let ring: RingName = "motion.events".parse().unwrap();
        for _ in 0..3 {
            log.push(&ring, told("1", "motion.update"));
        }
        let batch = log.after(0);
        assert_eq!((batch.news.len(), batch.newest, batch.missed), (1, 3, false));
    }

    #[tokio::test]
    async fn who_follows_is_woken() {
        let log = EventLog::default();
        let mut follow = log.follow();
        log.changed(change(1));
        follow.changed().await.unwrap();
        assert_eq!(*follow.borrow(), 1);
    }
}
