//! What is counted from one look to the next, for the metrics. Pure: looks and their times come from outside.
//!
//! Counters begin with this process, as Prometheus expects of one that was restarted; but those of restarts,
//! which begin with what the supervisor has counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::admin::{RingStatus, WorkerStatus};
use protocol::name::{RingName, WorkerName};
use protocol::time::{MonoNs, NS_PER_S, UtcNs};

/// Upper bounds of the buckets, in ms: from a camera beside the host to one behind a bad line.
pub const BUCKETS_MS: [u64; 12] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];
/// Rings are looked at while somebody asks for the metrics as often as this.
const ASKED_WITHIN: Duration = Duration::from_secs(300);
/// What was recorded is known to the index so soon, that of a recorder which has to catch up too.
const KNOWN_WITHIN_NS: u64 = 600 * NS_PER_S;
/// All readers that are no workers share this name: theirs are of their own choosing.
pub const EXTERNAL: &str = "external";

/// How late items came, by how many of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Of each bucket alone; behind the last, those that are above all bounds.
    counts: [u64; BUCKETS_MS.len() + 1],
    pub sum_ns: u64,
}

impl Histogram {
    fn add(&mut self, ns: u64) {
        let bucket = BUCKETS_MS.iter().position(|bound| ns <= bound * 1_000_000);
        self.counts[bucket.unwrap_or(BUCKETS_MS.len())] += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    /// Of each bound, those at or below it; then all.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Bytes and gaps of what is recorded of a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    pub bytes: u64,
    pub gap_ns: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub struct Tally {
    late: BTreeMap<RingName, Late>,
    restarts: BTreeMap<WorkerName, Restarts>,
    recorded: BTreeMap<String, Recorded>,
    gaps: BTreeMap<String, Gaps>,
    missed: BTreeMap<RingName, Missed>,
    asked: Option<MonoNs>,
}

/// How far the gaps of a camera were counted.
#[derive(Debug)]
struct Gaps {
    /// When they were last looked for.
    looked: UtcNs,
    /// The end of the last that was counted.
    to: UtcNs,
}

/// What the readers of a ring missed.
#[derive(Debug, Default)]
struct Missed {
    /// Of those that are there, by name and process, as each said last.
    seen: BTreeMap<(String, u32), u64>,
    /// Of all there were, by worker or as external.
    all: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Late {
    /// Epoch and sequence of what was counted last.
    last: (u64, u64),
    histogram: Histogram,
}

#[derive(Debug, Default)]
struct Restarts {
    /// As the supervisor says.
    all: u64,
    by_reason: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Somebody asks for the metrics.
    pub fn asked(&mut self, now: MonoNs) {
        self.asked = Some(now);
    }

    /// Whether somebody asks now and then.
    pub fn is_wanted(&self, now: MonoNs) -> bool {
        self.asked.is_some_and(|asked| now.saturating_since(asked) <= ASKED_WITHIN)
    }

    /// One look at the rings: each item counts once, and what a reader missed goes on counting when it has left.
    /// Which readers are workers was told by the last look at those.
    pub fn rings(&mut self, rings: &[RingStatus]) {
        let here: BTreeSet<&RingName> = rings.iter().map(|ring| &ring.name).collect();
        self.late.retain(|name, _| here.contains(name));
        self.missed.retain(|name, _| here.contains(name));
        let workers: BTreeSet<&str> = self.restarts.keys().map(WorkerName::as_str).collect();
        for ring in rings {
            self.missed.entry(ring.name.clone()).or_default().look(ring, &workers);
            let Some(late_ns) = ring.late_ns else { continue };
            let late = self.late.entry(ring.name.clone()).or_default();
            let item = (ring.epoch, ring.late_sequence);
            if std::mem::replace(&mut late.last, item) != item {
                late.histogram.add(late_ns);
            }
        }
    }

    /// One look at the workers: what was restarted since the last was restarted for its last reason.
    pub fn workers(&mut self, workers: &[WorkerStatus]) {
        self.restarts.retain(|name, _| workers.iter().any(|worker| worker.name == *name));
        for worker in workers {
            let restarts = self.restarts.entry(worker.name.clone()).or_default();
            if worker.restarts < restarts.all {
                // Another supervisor counts anew.
                *restarts = Restarts::default();
            }
            let more = worker.restarts - restarts.all;
            if more > 0 {
                *restarts.by_reason.entry(reason(&worker.last_exit)).or_default() += more;
            }
            restarts.all = worker.restarts;
        }
    }

    /// A file of a camera is complete.
    pub fn recorded(&mut self, camera: &str, bytes: u64) {
        let recorded = self.recorded.entry(camera.to_owned()).or_default();
        recorded.bytes = recorded.bytes.saturating_add(bytes);
    }

    /// From when on gaps of a camera are to be looked for, by a worker that began at `began`: not all that there
    /// ever were, each time anew.
    pub fn gaps_from(&self, camera: &str, began: UtcNs) -> UtcNs {
        let looked = self.gaps.get(camera).map_or(0, |gaps| gaps.looked.0);
        UtcNs(looked.saturating_sub(KNOWN_WITHIN_NS).max(began.0))
    }

    /// One look at the gaps of a camera, oldest first, each from and to: a time counts once, from `began` on. What
    /// retention takes later was missing all the same.
    pub fn missing(&mut self, camera: &str, began: UtcNs, now: UtcNs, gaps: &[(UtcNs, UtcNs)]) {
        let none = Gaps { looked: began, to: began };
        let counted = self.gaps.entry(camera.to_owned()).or_insert(none);
        let recorded = self.recorded.entry(camera.to_owned()).or_default();
        for (from, to) in gaps {
            let gap_ns = to.0.saturating_sub(from.0.max(counted.to.0));
            recorded.gap_ns = recorded.gap_ns.saturating_add(gap_ns);
            counted.to = UtcNs(counted.to.0.max(to.0));
        }
        counted.looked = UtcNs(counted.looked.0.max(now.0));
    }

    /// By ring, and worker or external.
    pub fn overruns(&self) -> impl Iterator<Item = (&RingName, &str, u64)> {
        self.missed.iter().flat_map(|(ring, missed)| {
            missed.all.iter().map(move |(reader, count)| (ring, reader.as_str(), *count))
        })
    }

    pub fn late(&self) -> impl Iterator<Item = (&RingName, &Histogram)> {
        self.late.iter().map(|(ring, late)| (ring, &late.histogram))
    }

    pub fn restarts(&self) -> impl Iterator<Item = (&WorkerName, &'static str, u64)> {
        self.restarts.iter().flat_map(|(worker, restarts)| {
            restarts.by_reason.iter().map(move |(reason, count)| (worker, *reason, *count))
        })
    }

    pub fn recordings(&self) -> impl Iterator<Item = (&str, &Recorded)> {
        self.recorded.iter().map(|(camera, recorded)| (camera.as_str(), recorded))
    }
}

impl Missed {
    fn look(&mut self, ring: &RingStatus, workers: &BTreeSet<&str>) {
        let mut seen: BTreeMap<(String, u32), u64> = BTreeMap::new();
        for reader in &ring.readers {
            *seen.entry((reader.name.clone(), reader.pid)).or_default() += reader.missed;
        }
        for (reader, missed) in &seen {
            let before = self.seen.get(reader).copied().unwrap_or_default();
            let name = workers.get(reader.0.as_str()).copied().unwrap_or(EXTERNAL);
            // Less is said when one of several readers of a process has left.
            *self.all.entry(name.to_owned()).or_default() += missed.saturating_sub(before);
        }
        self.seen = seen;
    }
}

/// One of a few words for the text of an exit, which may have numbers and names in it.
fn reason(last_exit: &str) -> &'static str {
    const BEGINNINGS: [(&str, &str); 22] = [
        ("SIGABRT", "sigabrt"),
        ("SIGBUS", "sigbus"),
        ("SIGFPE", "sigfpe"),
        ("SIGILL", "sigill"),
        ("SIGINT", "sigint"),
        ("SIGKILL", "sigkill"),
        ("SIGSEGV", "sigsegv"),
        ("SIGSYS", "sigsys"),
        ("SIGTERM", "sigterm"),
        ("SIGTRAP", "sigtrap"),
        ("SIG", "signal"),
        ("signal", "signal"),
        ("exit 0", "finished"),
        ("exit 101", "panic"),
        ("exit", "exit"),
        ("oom", "oom"),
        ("not ready", "start-timeout"),
        ("no heartbeat", "no-heartbeat"),
        ("no progress", "no-progress"),
        ("broke the control protocol", "protocol"),
        ("cannot start", "spawn"),
        ("asked to", "asked"),
    ];
    let found = BEGINNINGS.iter().find(|(beginning, _)| last_exit.starts_with(beginning));
    found.map_or("other", |(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::admin::ReaderStatus;

    fn ring(epoch: u64, sequence: u64, late_ms: u64) -> RingStatus {
        let name: RingName = "cam1.frames".parse().unwrap();
        RingStatus {
            epoch,
            late_sequence: sequence,
            late_ns: Some(late_ms * 1_000_000),
            ..RingStatus::absent(name)
        }
    }

    fn worker(restarts: u64, last_exit: &str) -> WorkerStatus {
        serde_json::from_value(serde_json::json!({
            "name": "motion", "kind": "motion", "pid": null, "state": "backoff", "why": "",
            "restarts": restarts, "uptime_s": 0.0, "last_exit": last_exit, "restart_ms": null
        }))
        .unwrap()
    }

    #[test]
    fn an_item_counts_once_however_often_it_is_looked_at() {
        let mut tally = Tally::default();
        for _ in 0..3 {
            tally.rings(&[ring(1, 7, 40)]);
        }
        tally.rings(&[ring(1, 8, 5)]);
        tally.rings(&[ring(2, 8, 60_000)]);
        let (name, histogram) = tally.late().next().unwrap();
        assert_eq!((name.as_str(), histogram.count()), ("cam1.frames", 3));
        assert_eq!(histogram.sum_ns, 60_045 * 1_000_000);
        let cumulative: Vec<u64> = histogram.cumulative().collect();
        assert_eq!(cumulative, [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
    }

    #[test]
    fn gaps_are_looked_for_since_the_last_look_and_not_since_the_begin() {
        let mut tally = Tally::default();
        let day = |days: u64| UtcNs(days * 86_400 * NS_PER_S);
        assert_eq!(tally.gaps_from("cam1", day(1)), day(1));
        tally.missing("cam1", day(1), day(30), &[]);
        assert_eq!(tally.gaps_from("cam1", day(1)), UtcNs(day(30).0 - KNOWN_WITHIN_NS));
        assert_eq!(tally.gaps_from("cam2", day(1)), day(1));
        tally.missing("cam1", day(1), day(2), &[]);
        assert!(tally.gaps_from("cam1", day(1)) > day(29), "a look that took long");
    }

    #[test]
    fn what_readers_missed_stays_counted_when_they_leave() {
        let look = |tally: &mut Tally, readers: &[(&str, u32, u64)]| -> Vec<(String, u64)> {
            let reader = |(name, pid, missed): &(&str, u32, u64)| ReaderStatus {
                name: (*name).to_owned(),
                pid: *pid,
                missed: *missed,
                ..ReaderStatus::default()
            };
            let readers = readers.iter().map(reader).collect();
            tally.rings(&[RingStatus { readers, ..ring(1, 1, 1) }]);
            tally.overruns().map(|(_, reader, count)| (reader.to_owned(), count)).collect()
        };
        let seen = |external: u64, motion: u64| {
            [("external", external), ("motion", motion)].map(|(name, n)| (name.to_owned(), n))
        };
        let mut tally = Tally::default();
        tally.workers(&[worker(0, "")]);
        let all = [("motion", 5, 2), ("notebook", 7, 10), ("evil\"}", 8, 1)];
        assert_eq!(look(&mut tally, &all), seen(11, 2));
        assert_eq!(look(&mut tally, &all), seen(11, 2), "what was counted is not counted again");
        let restarted = [("motion", 6, 1), ("notebook", 7, 12)];
        assert_eq!(look(&mut tally, &restarted), seen(13, 3));
        assert_eq!(look(&mut tally, &[]), seen(13, 3));
        tally.rings(&[]);
        assert_eq!(tally.overruns().count(), 0, "the ring is gone");
    }

    #[test]
    fn restarts_are_counted_by_reason_and_never_fall_while_the_supervisor_lives() {
        let mut tally = Tally::default();
        let counts = |tally: &Tally| -> Vec<(&'static str, u64)> {
            tally.restarts().map(|(_, reason, count)| (reason, count)).collect()
        };
        tally.workers(&[worker(2, "SIGKILL")]);
        tally.workers(&[worker(2, "SIGKILL")]);
        tally.workers(&[worker(3, "exit 1 (failed)")]);
        tally.workers(&[worker(5, "SIGSEGV (core dumped)")]);
        assert_eq!(counts(&tally), [("exit", 1), ("sigkill", 2), ("sigsegv", 2)]);
        tally.workers(&[worker(1, "oom: 2 GiB")]);
        assert_eq!(counts(&tally), [("oom", 1)], "another supervisor");
        tally.workers(&[]);
        assert!(counts(&tally).is_empty());
    }

    #[test]
    fn reasons_are_a_few_words() {
        for (text, word) in [
            ("exit 101 (panic)", "panic"),
            ("exit 0", "finished"),
            ("exit 78 (contract)", "exit"),
            ("not ready in time", "start-timeout"),
            ("SIGPIPE", "signal"),
            ("signal 34", "signal"),
            ("<script>\"} 1", "other"),
            ("", "other"),
        ] {
            assert_eq!(reason(text), word, "{text}");
        }
    }

    #[test]
    fn what_was_missing_stays_missing_and_metrics_nobody_asks_for_are_not_wanted() {
        let mut tally = Tally::default();
        tally.recorded("cam1", 100);
        tally.recorded("cam1", 50);
        let gaps = [(90, 104), (110, 115)].map(|(from, to)| (UtcNs(from), UtcNs(to)));
        tally.missing("cam1", UtcNs(100), UtcNs(200), &gaps[..1]);
        for _ in 0..2 {
            tally.missing("cam1", UtcNs(100), UtcNs(300), &gaps);
        }
        tally.missing("cam1", UtcNs(100), UtcNs(400), &[]);
        let recorded = tally.recordings().next().unwrap();
        assert_eq!(recorded, ("cam1", &Recorded { bytes: 150, gap_ns: 9 }), "each once");
        let now = MonoNs(1_000_000_000_000);
        assert!(!tally.is_wanted(now));
        tally.asked(now);
        assert!(tally.is_wanted(now + ASKED_WITHIN));
        assert!(!tally.is_wanted(now + ASKED_WITHIN + Duration::from_secs(1)));
    }
}
