//! The last records of each event ring, all of them and in their order, as JSON that is ready to be sent. Who follows
//! has no queue here: a place in the past is all there is of a viewer, and one that is too slow is told what it missed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::name::RingName;
use protocol::record::Record;
use tokio::sync::watch;

/// Kept of each ring: a minute and a half of an analyzer that looks at every picture of a quick camera.
const RECORDS_MAX: usize = 3_000;
/// And no more than this of a ring whose records are large.
const BYTES_MAX: usize = 4 << 20;
/// Given at once; the rest with the next question.
pub const PART_MAX: usize = 500;

/// The past of all event rings.
#[derive(Debug)]
pub struct Records {
    rings: Mutex<BTreeMap<RingName, Past>>,
    /// Changes with each record of any ring.
    count: watch::Sender<u64>,
}

/// Numbers of the records of one ring rise by one, from 1 on.
#[derive(Debug, Default)]
struct Past {
    kept: VecDeque<Kept>,
    bytes: usize,
    /// Number of the newest.
    newest: u64,
}

#[derive(Debug)]
struct Kept {
    /// Whom the record is about.
    camera: Box<str>,
    text: Arc<str>,
}

/// Some records of a ring behind a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many there were before these that are not kept any more.
    pub missed: u64,
    /// Number of the last that was looked at: behind it there may be more.
    pub reached: u64,
    /// Each with its number, oldest first.
    pub records: Vec<(u64, Arc<str>)>,
}

impl Default for Records {
    fn default() -> Self {
        Self { rings: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Records {
    /// How many bytes it has as JSON.
    pub fn push(&self, ring: &RingName, record: &Record) -> usize {
        // Our own types always have a JSON form.
        let Ok(text) = serde_json::to_string(record) else { return 0 };
        let bytes = text.len();
        let kept = Kept { camera: record.camera.as_str().into(), text: text.into() };
        self.lock().entry(ring.clone()).or_default().push(kept);
        self.count.send_modify(|count| *count += 1);
        bytes
    }

    /// What came behind record `after` of a ring about cameras that somebody `sees`, of [`PART_MAX`] at most. A
    /// number that was not given yet is of an earlier life of this worker: then it is all there is.
    pub fn behind(&self, ring: &RingName, after: u64, sees: impl Fn(&str) -> bool) -> Part {
        let nothing = Part { missed: 0, reached: after, records: Vec::new() };
        self.lock().get(ring).map_or(nothing, |past| past.behind(after, sees))
    }

    /// Wakes with each record of any ring.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// A poisoned lock still guards whole records: each is pushed in one call.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RingName, Past>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    fn push(&mut self, kept: Kept) {
        self.newest += 1;
        self.bytes += kept.text.len();
        self.kept.push_back(kept);
        while self.kept.len() > RECORDS_MAX || (self.bytes > BYTES_MAX && self.kept.len() > 1) {
            self.bytes -= self.kept.pop_front().map_or(0, |oldest| oldest.text.len());
        }
    }

    fn behind(&self, after: u64, sees: impl Fn(&str) -> bool) -> Part {
        let after = if after > self.newest { 0 } else { after };
        let kept = u64::try_from(self.kept.len()).unwrap_or(u64::MAX);
        let before_kept = self.newest.saturating_sub(kept);
        let begin = after.max(before_kept);
        // Nobody missed what was gone before he came.
        let missed = if after == 0 { 0 } else { begin - after };
        let skipped = usize::try_from(begin - before_kept).unwrap_or(usize::MAX);
        let mut part = Part { missed, reached: begin, records: Vec::new() };
        for (number, kept) in (begin + 1..).zip(self.kept.iter().skip(skipped)).take(PART_MAX) {
            part.reached = number;
            if sees(&kept.camera) {
                part.records.push((number, Arc::clone(&kept.text)));
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: usize, padding: usize) -> Record {
        Record {
            id: n.to_string(),
            kind: "x.update".to_owned(),
            camera: "cam1".to_owned(),
            frame: None,
            time_utc_ns: 1,
            data: serde_json::json!({ "pad": "x".repeat(padding) }),
        }
    }

    fn behind(records: &Records, ring: &RingName, after: u64) -> Part {
        records.behind(ring, after, |_| true)
    }

    fn ring() -> RingName {
        "x.events".parse().unwrap()
    }

    fn ids(part: &Part) -> Vec<(u64, String)> {
        let id = |text: &str| serde_json::from_str::<Record>(text).unwrap().id;
        part.records.iter().map(|(number, text)| (*number, id(text))).collect()
    }

    #[test]
    fn records_come_in_their_order_each_once() {
        let records = Records::default();
        for n in 1..=3 {
            records.push(&ring(), &record(n, 0));
        }
        let all = behind(&records, &ring(), 0);
        assert_eq!(ids(&all), [(1, "1".into()), (2, "2".into()), (3, "3".into())]);
        assert_eq!(ids(&behind(&records, &ring(), 2)), [(3, "3".into())]);
        assert_eq!(behind(&records, &ring(), 3), Part { missed: 0, reached: 3, records: vec![] });
        assert_eq!(behind(&records, &"y.events".parse().unwrap(), 0).records, []);
    }

    #[test]
    fn who_sees_some_cameras_is_given_records_about_them_and_goes_on_behind_the_others() {
        let records = Records::default();
        for n in 1..=2 * PART_MAX {
            let camera = if n % PART_MAX == 0 { "cam2" } else { "cam1" };
            records.push(&ring(), &Record { camera: camera.to_owned(), ..record(n, 0) });
        }
        let first = records.behind(&ring(), 0, |camera| camera == "cam2");
        assert_eq!(ids(&first), [(500, "500".into())]);
        let second = records.behind(&ring(), first.reached, |camera| camera == "cam2");
        assert_eq!((ids(&second), second.missed), (vec![(1000, "1000".into())], 0));
        let others = records.behind(&ring(), 500, |camera| camera == "cam3");
        assert_eq!((others.records.len(), others.reached), (0, 1000));
    }

    #[test]
    fn who_is_too_slow_is_told_what_it_missed() {
        let records = Records::default();
        for n in 1..=RECORDS_MAX + 10 {
            records.push(&ring(), &record(n, 0));
        }
        let late = behind(&records, &ring(), 3);
        assert_eq!((late.missed, late.records.len(), late.records[0].0), (7, PART_MAX, 11));
        assert_eq!(behind(&records, &ring(), 0).missed, 0);
    }

    #[test]
    fn large_records_are_fewer() {
        let records = Records::default();
        for n in 1..=100 {
            records.push(&ring(), &record(n, 100_000));
        }
        let kept = behind(&records, &ring(), 0).records;
        let bytes: usize = kept.iter().map(|(_, text)| text.len()).sum();
        assert!(bytes <= BYTES_MAX && kept.len() > 20, "{bytes} bytes of {}", kept.len());
        assert_eq!(kept.last().unwrap().0, 100);
    }

    #[test]
    fn a_number_of_an_earlier_life_gives_all_there_is() {
        let records = Records::default();
        records.push(&ring(), &record(1, 0));
        assert_eq!(ids(&behind(&records, &ring(), 77)), [(1, "1".into())]);
    }

    #[test]
    fn a_record_wakes_who_waits() {
        let records = Records::default();
        let mut waiting = records.watch();
        assert!(!waiting.has_changed().unwrap());
        records.push(&ring(), &record(1, 0));
        assert!(waiting.has_changed().unwrap());
        assert_eq!(*waiting.borrow_and_update(), 1);
    }
}
