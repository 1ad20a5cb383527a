//! Looking at processes through /proc, and ending them by pid.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::{Failure, Outcome};

/// Sends a signal; a process that is gone already is fine.
pub fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Whether the process exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state follows the command name, which may itself hold spaces and parentheses.
        Ok(stat) => !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => false,
    }
}

/// The arguments a process was started with; empty when it is gone.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// All processes whose environment holds `variable=value`, whoever their parent is.
pub fn with_environment(variable: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{variable}={value}");
    let holds = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    all().into_iter().filter(holds).filter(|pid| is_alive(*pid)).collect()
}

/// Children of a process, zombies among them.
pub fn children(parent: u32) -> Vec<u32> {
    all().into_iter().filter(|pid| stat_field(*pid, 1) == Some(u64::from(parent))).collect()
}

/// Children that ended and were not reaped.
pub fn zombies(parent: u32) -> usize {
    children(parent).into_iter().filter(|pid| !is_alive(*pid)).count()
}

/// Entries of one of its folders in /proc: `fd` for open descriptors, `task` for threads.
pub fn entries(pid: u32, folder: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count)
}

/// Memory that a process shares with nobody, rings apart: of those, pages that nobody else maps just now
/// count as private too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Private {
    /// What it has written: what one more process of its kind costs.
    pub dirty_kib: u64,
    /// Pages of its program and libraries that no other process maps just now; a second one shares them.
    pub clean_kib: u64,
}

impl Private {
    /// From its smaps; `None` when it is gone.
    pub fn of(pid: u32) -> Option<Self> {
        let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
        let mut sum = Self::default();
        let mut of_ring = false;
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let first = words.next()?;
            let kib = match first {
                "Private_Dirty:" => &mut sum.dirty_kib,
                "Private_Clean:" => &mut sum.clean_kib,
                // The head of a mapping: address, rights, offset, device, inode, path.
                _ if !first.ends_with(':') => {
                    of_ring = words.nth(4).is_some_and(is_ring);
                    continue;
                }
                _ => continue,
            };
            if !of_ring {
                *kib += words.next()?.parse::<u64>().ok()?;
            }
        }
        Some(sum)
    }
}

fn is_ring(path: &str) -> bool {
    path.starts_with("/dev/shm/fv.") || path.starts_with("/memfd:")
}

/// Resident memory in KiB.
pub fn resident_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The most resident memory it has had, in KiB.
pub fn peak_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Processor time of a process and of its children that ended, in clock ticks of 10 ms.
pub fn cpu_ticks(pid: u32) -> u64 {
    (11..=14).filter_map(|field| stat_field(pid, field)).sum()
}

/// Processor time of the thread that asks, in ns.
pub fn own_cpu_ns() -> Outcome<u64> {
    let spent = ClockId::CLOCK_THREAD_CPUTIME_ID.now().map_err(Failure::new)?;
    u64::try_from(Duration::from(spent).as_nanos()).map_err(Failure::new)
}

/// Processor time of a process so far, of its threads that live, in ns.
pub fn cpu_ns(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |task: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    tasks.filter_map(of).sum()
}

/// A number of /proc/PID/stat, counted from the state behind the command's name: 1 is the parent, 11 to
/// 14 are processor times.
fn stat_field(pid: u32, index: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.split_whitespace().nth(index)?.parse().ok()
}

fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A repeatable sequence of pauses: kill tests print its seed.
#[derive(Clone, Debug)]
pub struct Pauses(u64);

impl Pauses {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A pause below `most` (xorshift64; Marsaglia 2003).
    pub fn below(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let most_us = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.0 % most_us)
    }
}
