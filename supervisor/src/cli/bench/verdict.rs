//! Whether a number of cameras was too many, and what there was too little of. Pure.

use std::fmt;

use protocol::admin::WorkerStatus;
use protocol::witness::Seen;
use serde::Serialize;

use super::super::table::{bytes, real};
use super::load::{Descriptors, Share, Used};

/// Of a resource: what remains is no reserve.
const USED_UP_PERCENT: f64 = 95.0;
/// Of all cores, by other programs: when they keep a machine full, the cameras still get their turns, and
/// only a loss tells that there were too few of them.
const OTHERS_PERCENT: f64 = 50.0;
/// Of all cores: with so much taken on the average, somebody waits for one again and again.
const CROWDED_PERCENT: f64 = 80.0;
/// Of one core, by one process: its busiest thread has nothing to spare.
const OWN_CORE_PERCENT: f64 = 90.0;
/// Of the time: storage is what was waited for.
const STALLED_PERCENT: f64 = 30.0;
/// Less than this is what a segment of a few cameras takes.
const DISK_FREE_BYTES: u64 = 64 << 20;
/// Below this, a camera's packets did not come as fast as they should, lost or not.
const KEPT_UP: f64 = 0.95;
/// Packets at the edges of the window.
const EDGES: f64 = 2.0;

/// What the witness saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Measured {
    /// Published while it was measured, by all cameras.
    pub(super) packets: u64,
    pub(super) packets_expected: u64,
    /// Published, and in no file, or missing in the source's own times: from its start to its end.
    pub(super) lost: u64,
    /// Cameras that published fewer than they should.
    pub(super) late: u64,
    /// Workers that were started anew since the start, and what ended them.
    pub(super) restarted: Vec<String>,
    /// A ring that the witness could not read to its end, and why.
    pub(super) unproven: Option<String>,
}

impl Measured {
    /// The window between two instants, in which each camera should have published so many.
    pub(super) fn of(seen: &[Seen], workers: &[WorkerStatus], expected: f64) -> Self {
        let windows = || seen.iter().flat_map(|ring| &ring.windows);
        let inside = || seen.iter().filter_map(|ring| ring.windows.get(1));
        let count = |counted: usize| u64::try_from(counted).unwrap_or(u64::MAX);
        let is_late = |items: u64| real(items) < KEPT_UP * expected - EDGES;
        let troubled = seen.iter().find(|ring| !ring.trouble.is_empty());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let each = expected as u64;
        Self {
            packets: inside().map(|window| window.items).sum(),
            packets_expected: each.saturating_mul(count(seen.len())),
            lost: windows().map(|window| window.lost.unwrap_or(0) + window.missing).sum(),
            late: count(inside().filter(|window| is_late(window.items)).count()),
            restarted: workers.iter().filter(|worker| worker.restarts > 0).map(restarted).collect(),
            unproven: troubled.map(|ring| format!("{}: {}", ring.ring, ring.trouble)),
        }
    }

    fn is_whole(&self) -> bool {
        self.lost == 0 && self.late == 0 && self.restarted.is_empty() && self.unproven.is_none()
    }
}

fn restarted(worker: &WorkerStatus) -> String {
    let WorkerStatus { name, restarts, last_exit, .. } = worker;
    format!("{name} was started again {restarts} times, the last time after {last_exit}")
}

/// What there was too little of.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub(super) enum Limit {
    /// Of nothing: all was recorded, with something to spare.
    None,
    /// The cores are busy, with these.
    Cpu {
        by_kind: Vec<Share>,
    },
    /// One process has a core to itself and would need more.
    OneCore {
        busiest: Share,
    },
    SharedMemory {
        said: String,
    },
    /// Storage takes what is written too slowly.
    DiskWriteRate {
        written_bytes_s: u64,
        stalled_percent: f64,
    },
    DiskSpace {
        free_bytes: u64,
    },
    Descriptors {
        of: Descriptors,
    },
    /// It did not come up, and said this.
    Start {
        said: String,
    },
    /// A worker ended: how it did tells more than what was scarce meanwhile.
    Restarts {
        said: String,
    },
    /// Nothing was lost as far as it was seen, but not all was seen.
    Witness {
        said: String,
    },
    /// Packets were lost or late although everything that is measured had something left.
    Unknown,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("-"),
            Self::Cpu { by_kind } => {
                let named = by_kind.iter().filter(|share| share.percent >= 1.0).take(3);
                let named: Vec<String> =
                    named.map(|share| format!("{} {:.0} %", share.name, share.percent)).collect();
                write!(f, "CPU: {}", named.join(", "))
            }
            Self::OneCore { busiest } => {
                write!(f, "CPU: {} takes {:.0} % of one core", busiest.name, busiest.percent)
            }
            Self::SharedMemory { said }
            | Self::Start { said }
            | Self::Restarts { said }
            | Self::Witness { said } => {
                write!(f, "{}: {}", self.title(), said.trim().lines().next().unwrap_or_default())
            }
            Self::DiskWriteRate { written_bytes_s, stalled_percent } => {
                let rate = bytes(*written_bytes_s);
                write!(
                    f,
                    "disk write rate: {rate}/s, waited for {stalled_percent:.0} % of the time"
                )
            }
            Self::DiskSpace { free_bytes } => {
                write!(f, "disk space: {} are free", bytes(*free_bytes))
            }
            Self::Descriptors { of } => {
                write!(f, "descriptors: {} has {} of {} open", of.name, of.open, of.limit)
            }
            Self::Unknown => f.write_str("nothing that is measured here"),
        }
    }
}

impl Limit {
    fn title(&self) -> &'static str {
        match self {
            Self::SharedMemory { .. } => "shared memory",
            Self::Start { .. } => "its start",
            Self::Restarts { .. } => "a worker",
            _ => "not proven",
        }
    }
}

/// One number of cameras.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    pub(super) cameras: u32,
    #[serde(flatten)]
    pub(super) measured: Measured,
    #[serde(flatten)]
    pub(super) used: Used,
    pub(super) limit: Limit,
}

impl Step {
    pub(super) fn of(cameras: u32, used: Used, measured: Measured) -> Self {
        Self { cameras, limit: limit(&used, &measured), measured, used }
    }

    pub(super) fn not_started(cameras: u32, limit: Limit) -> Self {
        let (measured, used) = (Measured::default(), Used::default());
        Self { cameras, limit, measured, used }
    }

    pub(super) fn is_good(&self) -> bool {
        self.limit == Limit::None
    }

    pub(super) fn in_words(&self) -> String {
        let Self { cameras, limit, .. } = self;
        match limit {
            Limit::None => format!("cameras {cameras}: all recorded"),
            limit => format!("cameras {cameras}: too many; {limit}"),
        }
    }
}

/// What is used up first, also when nothing was lost yet: there is no reserve. Then, of what was lost or
/// late, the likeliest cause.
fn limit(used: &Used, measured: &Measured) -> Limit {
    let cpu = || Limit::Cpu { by_kind: used.cpu_by_kind.clone() };
    let Descriptors { open, limit, .. } = used.descriptors;
    if used.shm_percent >= USED_UP_PERCENT {
        let said = format!("{:.0} % of /dev/shm is taken", used.shm_percent);
        Limit::SharedMemory { said }
    } else if limit > 0 && real(open) * 100.0 >= real(limit) * USED_UP_PERCENT {
        Limit::Descriptors { of: used.descriptors.clone() }
    } else if used.disk_free_bytes < DISK_FREE_BYTES {
        Limit::DiskSpace { free_bytes: used.disk_free_bytes }
    } else if used.cpu_percent >= USED_UP_PERCENT && used.others_percent() < OTHERS_PERCENT {
        cpu()
    } else if measured.is_whole() {
        Limit::None
    } else if let Some(said) = measured.restarted.first() {
        Limit::Restarts { said: said.clone() }
    } else if used.busiest.percent >= OWN_CORE_PERCENT {
        Limit::OneCore { busiest: used.busiest.clone() }
    } else if used.cpu_percent >= CROWDED_PERCENT {
        cpu()
    } else if used.disk_stalled_percent >= STALLED_PERCENT {
        Limit::DiskWriteRate {
            written_bytes_s: used.written_bytes_s,
            stalled_percent: used.disk_stalled_percent,
        }
    } else {
        let unproven = measured.unproven.clone();
        unproven.map_or(Limit::Unknown, |said| Limit::Witness { said })
    }
}

#[cfg(test)]
mod tests {
    use protocol::admin::WorkerState;
    use protocol::witness::SeenWindow;

    use super::*;

    fn share(name: &str, percent: f64) -> Share {
        Share { name: name.to_owned(), percent }
    }

    fn used(cpu_percent: f64) -> Used {
        Used {
            cpu_percent,
            cpu_by_kind: vec![share("ingest", 30.0), share("recorder", 9.2), share("others", 0.1)],
            busiest: share("recorder", 18.0),
            disk_free_bytes: 1 << 30,
            descriptors: Descriptors { name: "recorder".to_owned(), open: 50, limit: 100 },
            ..Used::default()
        }
    }

    fn whole() -> Measured {
        Measured { packets: 1000, packets_expected: 1000, ..Measured::default() }
    }

    fn lossy() -> Measured {
        Measured { lost: 1, ..whole() }
    }

    fn said(used: &Used, measured: &Measured) -> String {
        limit(used, measured).to_string()
    }

    #[test]
    fn a_number_of_cameras_is_good_when_all_is_recorded_with_something_to_spare() {
        assert_eq!(limit(&used(94.9), &whole()), Limit::None);
        for measured in [
            lossy(),
            Measured { late: 1, ..whole() },
            Measured { restarted: vec!["recorder".to_owned()], ..whole() },
            Measured { unproven: Some("cam1.packets: too slow".to_owned()), ..whole() },
        ] {
            assert_ne!(limit(&used(50.0), &measured), Limit::None, "{measured:?}");
        }
    }

    #[test]
    fn what_is_used_up_ends_it_although_nothing_was_lost() {
        assert_eq!(said(&used(95.0), &whole()), "CPU: ingest 30 %, recorder 9 %");
        let full = Used { shm_percent: 97.0, ..used(99.0) };
        assert_eq!(said(&full, &whole()), "shared memory: 97 % of /dev/shm is taken");
        let open = Descriptors { name: "recorder".to_owned(), open: 96, limit: 100 };
        let open = Used { descriptors: open, ..used(50.0) };
        assert_eq!(said(&open, &whole()), "descriptors: recorder has 96 of 100 open");
        let disk = Used { disk_free_bytes: 1 << 20, ..used(50.0) };
        assert_eq!(said(&disk, &whole()), "disk space: 1.0 MiB are free");
    }

    #[test]
    fn a_machine_that_others_keep_full_is_used_up_when_something_is_lost() {
        let cpu_by_kind = vec![share("others", 90.0), share("ingest", 9.0)];
        let crowded = Used { cpu_by_kind, ..used(100.0) };
        assert_eq!(limit(&crowded, &whole()), Limit::None);
        assert_eq!(said(&crowded, &lossy()), "CPU: others 90 %, ingest 9 %");
    }

    #[test]
    fn what_was_lost_is_put_down_to_what_was_scarcest() {
        assert_eq!(said(&used(81.0), &lossy()), "CPU: ingest 30 %, recorder 9 %");
        let alone = Used { busiest: share("recorder", 97.0), ..used(60.0) };
        assert_eq!(said(&alone, &lossy()), "CPU: recorder takes 97 % of one core");
        let slow = Used { disk_stalled_percent: 60.0, written_bytes_s: 2 << 20, ..used(60.0) };
        assert_eq!(
            said(&slow, &lossy()),
            "disk write rate: 2.0 MiB/s, waited for 60 % of the time"
        );
        assert_eq!(limit(&used(60.0), &lossy()), Limit::Unknown);
        let unseen = Measured { unproven: Some("cam1.packets: overrun".to_owned()), ..whole() };
        assert_eq!(said(&used(60.0), &unseen), "not proven: cam1.packets: overrun");
    }

    fn seen(ring: &str, windows: &[SeenWindow]) -> Seen {
        Seen { ring: ring.parse().unwrap(), trouble: String::new(), windows: windows.to_vec() }
    }

    fn window(items: u64) -> SeenWindow {
        SeenWindow { items, lost: Some(0), ..SeenWindow::default() }
    }

    #[test]
    fn one_slow_camera_among_many_is_late_and_the_edges_of_the_window_are_forgiven() {
        let at = |items| seen("cam1.packets", &[window(7), window(items), window(3)]);
        assert!(Measured::of(&[at(125), at(117)], &[], 125.0).is_whole());
        let slow = Measured::of(&[at(125), at(125), at(116)], &[], 125.0);
        assert_eq!((slow.late, slow.packets, slow.packets_expected), (1, 366, 375));
    }

    #[test]
    fn what_is_lost_before_and_after_the_window_counts_too() {
        let mut windows = [window(7), window(125), window(3)];
        (windows[0].missing, windows[2].lost) = (2, Some(3));
        let measured = Measured::of(&[seen("cam1.packets", &windows)], &[], 125.0);
        assert_eq!(measured.lost, 5);
        let mut blind = seen("cam2.packets", &[]);
        blind.trouble = "overrun".to_owned();
        let unproven = Measured::of(&[blind], &[], 125.0).unproven;
        assert_eq!(unproven.as_deref(), Some("cam2.packets: overrun"));
    }

    #[test]
    fn a_recorder_that_ends_by_itself_is_no_recorder_although_its_successor_lost_nothing() {
        let worker = |restarts| WorkerStatus {
            name: "recorder".parse().unwrap(),
            kind: "recorder".to_owned(),
            pid: Some(7),
            state: WorkerState::Running,
            why: String::new(),
            restarts,
            uptime_s: 1.0,
            last_exit: "exit 1".to_owned(),
            restart_ms: None,
            health: Default::default(),
        };
        let at = [seen("cam1.packets", &[window(7), window(125), window(3)])];
        assert!(Measured::of(&at, &[worker(0)], 125.0).is_whole());
        let measured = Measured::of(&at, &[worker(2)], 125.0);
        let expected = "a worker: recorder was started again 2 times, the last time after exit 1";
        assert_eq!(said(&used(50.0), &measured), expected);
    }

    #[test]
    fn what_did_not_come_up_tells_its_first_line_to_people_and_all_of_it_to_programs() {
        let limit = Limit::Start { said: " no room\nfor it\n".to_owned() };
        assert_eq!(limit.to_string(), "its start: no room");
        let json = serde_json::to_value(Step::not_started(8, limit)).unwrap();
        assert_eq!(
            json["limit"],
            serde_json::json!({"what": "start", "said": " no room\nfor it\n"})
        );
        assert_eq!(json["cameras"], 8);
    }
}
