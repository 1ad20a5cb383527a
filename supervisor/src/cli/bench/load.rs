//! What the machine and each process of the bench use, as /proc tells. What cannot be read counts as nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use protocol::name::ProjectName;
use protocol::time::MonoNs;
use serde::Serialize;
use shmring::{census, clock};

use super::super::table::real;

/// Whatever else runs on this machine.
const OTHERS: &str = "others";

/// A process that is looked at.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) name: String,
    /// Of the worker.
    pub(super) kind: String,
    pub(super) pid: u32,
}

/// At one instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    at: MonoNs,
    machine: Machine,
    /// Time, in µs, in which somebody waited for storage; `None` where the kernel does not count it.
    stalled_us: Option<u64>,
    processes: Vec<Process>,
    rings_bytes: u64,
    shm: Space,
    disk: Space,
}

/// Ticks of all cores together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Machine {
    cores: u64,
    busy: u64,
    waiting_for_storage: u64,
    all: u64,
}

#[derive(Clone, Debug, Default)]
struct Process {
    name: String,
    kind: String,
    ticks: u64,
    written_bytes: u64,
    open_files: u64,
    /// 0 where it cannot be told.
    open_files_max: u64,
}

/// Of a file system, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Space {
    used: u64,
    all: u64,
    free: u64,
}

/// From one instant to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Used {
    /// Of all cores together, by whatever runs on this machine.
    pub(super) cpu_percent: f64,
    /// Who takes it, the largest first: workers by kind, [`OTHERS`] for what is none of ours.
    pub(super) cpu_by_kind: Vec<Share>,
    /// The process of ours that takes most of one core.
    pub(super) busiest: Share,
    pub(super) written_bytes_s: u64,
    /// Time in which somebody waited for storage.
    pub(super) disk_stalled_percent: f64,
    pub(super) disk_free_bytes: u64,
    /// Of all rings of the bench.
    pub(super) shm_bytes: u64,
    /// Of /dev/shm, whoever took it.
    pub(super) shm_percent: f64,
    /// Of the process that is nearest to its limit.
    pub(super) descriptors: Descriptors,
}

impl Used {
    /// Of all cores together, by what is none of ours.
    pub(super) fn others_percent(&self) -> f64 {
        let others = self.cpu_by_kind.iter().find(|share| share.name == OTHERS);
        others.map_or(0.0, |share| share.percent)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Share {
    pub(super) name: String,
    pub(super) percent: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Descriptors {
    pub(super) name: String,
    pub(super) open: u64,
    pub(super) limit: u64,
}

impl Load {
    pub(super) fn now(project: &ProjectName, running: &[Running]) -> Self {
        Self {
            at: clock::mono(),
            machine: Machine::read(&text("/proc/stat")),
            stalled_us: stalled_us(&text("/proc/pressure/io")),
            processes: running.iter().map(Process::now).collect(),
            rings_bytes: census::rings(project).iter().map(|ring| ring.bytes).sum(),
            shm: Space::of("/dev/shm".as_ref()),
            disk: Space::of(&std::env::temp_dir()),
        }
    }

    pub(super) fn since(&self, before: &Self) -> Used {
        let all = self.machine.all.saturating_sub(before.machine.all).max(1);
        let busy = self.machine.busy.saturating_sub(before.machine.busy);
        let ours = self.processes.iter().map(|process| (process, process.ticks_since(before)));
        let ours: Vec<(&Process, u64)> = ours.collect();
        let busiest = ours.iter().max_by_key(|(_, ticks)| *ticks);
        let core = (all / self.machine.cores.max(1)).max(1);
        let ns = u64::try_from(self.at.saturating_since(before.at).as_nanos()).unwrap_or(u64::MAX);
        let written = self.written_bytes().saturating_sub(before.written_bytes());
        Used {
            cpu_percent: percent(busy, all),
            cpu_by_kind: by_kind(&ours, busy, all),
            busiest: busiest.map_or_else(Share::default, |(process, ticks)| Share {
                name: process.name.clone(),
                percent: percent(*ticks, core),
            }),
            written_bytes_s: written.saturating_mul(1000) / (ns / 1_000_000).max(1),
            disk_stalled_percent: self.stalled_percent(before, ns, all),
            disk_free_bytes: self.disk.free,
            shm_bytes: self.rings_bytes,
            shm_percent: percent(self.shm.used, self.shm.all.max(1)),
            descriptors: self.descriptors(),
        }
    }

    fn written_bytes(&self) -> u64 {
        self.processes.iter().map(|process| process.written_bytes).sum()
    }

    /// Cores that had nothing else to do than to wait, where pressure is not counted.
    fn stalled_percent(&self, before: &Self, ns: u64, all: u64) -> f64 {
        match (self.stalled_us, before.stalled_us) {
            (Some(now), Some(then)) => percent(now.saturating_sub(then), (ns / 1000).max(1)),
            _ => {
                let then = before.machine.waiting_for_storage;
                percent(self.machine.waiting_for_storage.saturating_sub(then), all)
            }
        }
    }

    fn descriptors(&self) -> Descriptors {
        let known = self.processes.iter().filter(|process| process.open_files_max > 0);
        let share = |process: &&Process| percent(process.open_files, process.open_files_max);
        let nearest = known.max_by(|a, b| share(a).total_cmp(&share(b)));
        nearest.map_or_else(Descriptors::default, |process| Descriptors {
            name: process.name.clone(),
            open: process.open_files,
            limit: process.open_files_max,
        })
    }
}

/// The largest first.
fn by_kind(ours: &[(&Process, u64)], busy: u64, all: u64) -> Vec<Share> {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for (process, ticks) in ours {
        *kinds.entry(&process.kind).or_default() += ticks;
    }
    let taken = kinds.values().sum();
    kinds.insert(OTHERS, busy.saturating_sub(taken));
    let mut shares: Vec<Share> = (kinds.into_iter())
        .map(|(kind, ticks)| Share { name: kind.to_owned(), percent: percent(ticks, all) })
        .collect();
    shares.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    shares
}

impl Process {
    fn now(running: &Running) -> Self {
        let of = |file: &str| text(&format!("/proc/{}/{file}", running.pid));
        let open = fs::read_dir(format!("/proc/{}/fd", running.pid)).map_or(0, Iterator::count);
        Self {
            name: running.name.clone(),
            kind: running.kind.clone(),
            ticks: ticks(&of("stat")),
            written_bytes: value(&of("io"), "write_bytes:"),
            open_files: u64::try_from(open).unwrap_or(0),
            open_files_max: value(&of("limits"), "Max open files"),
        }
    }

    fn ticks_since(&self, before: &Load) -> u64 {
        let then = before.processes.iter().find(|process| process.name == self.name);
        self.ticks.saturating_sub(then.map_or(0, |process| process.ticks))
    }
}

impl Machine {
    /// `cpu  user nice system idle iowait irq softirq steal ...`, then a line for each core.
    fn read(stat: &str) -> Self {
        let line = stat.lines().next().unwrap_or_default();
        let ticks = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok());
        let ticks: Vec<u64> = ticks.collect();
        let waiting_for_storage = ticks.get(4).copied().unwrap_or(0);
        let idle = ticks.get(3).copied().unwrap_or(0) + waiting_for_storage;
        let all = ticks.iter().sum::<u64>();
        let cores = stat.lines().skip(1).take_while(|line| line.starts_with("cpu")).count();
        Self {
            cores: u64::try_from(cores).unwrap_or(1),
            busy: all.saturating_sub(idle),
            waiting_for_storage,
            all,
        }
    }
}

impl Space {
    fn of(path: &Path) -> Self {
        let Ok(space) = rustix::fs::statvfs(path) else { return Self::default() };
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Self {
            used: bytes(space.f_blocks.saturating_sub(space.f_bfree)),
            all: bytes(space.f_blocks),
            free: bytes(space.f_bavail),
        }
    }
}

/// To a tenth: more digits are noise.
fn percent(part: u64, of: u64) -> f64 {
    (real(part) * 1000.0 / real(of)).round() / 10.0
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=N`.
fn stalled_us(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find(|line| line.starts_with("some "))?;
    some.rsplit_once("total=")?.1.parse().ok()
}

/// User and system time: fields 14 and 15; its name may hold anything but ends with the last ')'.
fn ticks(stat: &str) -> u64 {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|word| word.parse::<u64>().ok()).sum()
}

/// The first number behind a key at the beginning of a line.
fn value(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_the_kernel_writes_it() {
        let stat = "cpu  10 5 20 100 15 1 2 3 9 9\ncpu0 1 2\ncpu1 3 4\nintr 5\ncpux";
        let machine = Machine { cores: 2, busy: 41, waiting_for_storage: 15, all: 156 };
        assert_eq!(Machine::read(stat), machine);
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 120 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), 150);
        assert_eq!(value("rchar: 5\nwrite_bytes: 4096\n", "write_bytes:"), 4096);
        assert_eq!(value("Max open files     1024    4096   files\n", "Max open files"), 1024);
        let pressure = "some avg10=2.44 avg60=3.97 total=421\nfull avg10=0.00 total=5\n";
        assert_eq!(stalled_us(pressure), Some(421));
        assert_eq!((ticks(""), value("", "x"), stalled_us("")), (0, 0, None));
    }

    fn process(name: &str, kind: &str, ticks: u64, open_files: u64) -> Process {
        let (name, kind) = (name.to_owned(), kind.to_owned());
        let written_bytes = ticks * 100;
        Process { name, kind, ticks, written_bytes, open_files, open_files_max: 100 }
    }

    /// Two instants 2 s apart, on two cores: 200 ticks each.
    fn two_seconds() -> Used {
        let before = Load {
            at: MonoNs(1_000_000_000),
            machine: Machine { cores: 2, busy: 50, waiting_for_storage: 7, all: 100 },
            stalled_us: Some(100),
            processes: vec![process("cam1", "ingest", 3, 10), process("rec", "recorder", 4, 20)],
            ..Load::default()
        };
        let after = Load {
            at: MonoNs(3_000_000_000),
            machine: Machine { cores: 2, busy: 350, waiting_for_storage: 27, all: 500 },
            stalled_us: Some(500_100),
            processes: vec![process("cam1", "ingest", 43, 60), process("rec", "recorder", 194, 21)],
            rings_bytes: 9,
            shm: Space { used: 1, all: 4, free: 3 },
            disk: Space { used: 1, all: 8, free: 7 },
        };
        after.since(&before)
    }

    #[test]
    fn what_was_used_is_the_difference_of_two_instants() {
        let used = two_seconds();
        assert_eq!((used.cpu_percent, used.written_bytes_s), (75.0, 11_500));
        assert_eq!((used.shm_bytes, used.shm_percent, used.disk_free_bytes), (9, 25.0, 7));
        assert_eq!(used.disk_stalled_percent, 25.0);
        let descriptors = Descriptors { name: "cam1".to_owned(), open: 60, limit: 100 };
        assert_eq!(used.descriptors, descriptors);
    }

    #[test]
    fn who_took_the_time_is_told_by_kind_and_one_process_by_its_core() {
        let used = two_seconds();
        let shares: Vec<(&str, f64)> =
            used.cpu_by_kind.iter().map(|share| (share.name.as_str(), share.percent)).collect();
        assert_eq!(shares, [("recorder", 47.5), ("others", 17.5), ("ingest", 10.0)]);
        assert_eq!(used.busiest, Share { name: "rec".to_owned(), percent: 95.0 });
    }
}
