//! Thousands of starts and deaths: what the supervisor holds afterwards is what it held before.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::name::ProjectName;
use serde_json::{Value, json};
use shmring::clock;

use super::{RESTART_AT_ONCE, ms_since};
use crate::project::Project;
use crate::{Outcome, ensure, processes, wait_for};

/// Deaths before the first count: what is made once is made by then.
const WARM_UP: u32 = 10;

/// What would grow if a death left something behind.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    zombies: usize,
    shm_files: usize,
    resident_kib: u64,
}

impl Holdings {
    fn of(project: &Project, supervisor: u32) -> Self {
        Self {
            descriptors: processes::entries(supervisor, "fd"),
            threads: processes::entries(supervisor, "task"),
            zombies: processes::zombies(supervisor),
            shm_files: shm_files(project.name()),
            resident_kib: processes::resident_kib(supervisor).unwrap_or(0),
        }
    }

    /// The most of each in two seconds: workers come and go, and so do their rings' files.
    fn most_of(project: &Project, supervisor: u32) -> Self {
        (0..20).fold(Self::of(project, supervisor), |most, _| {
            thread::sleep(Duration::from_millis(100));
            let now = Self::of(project, supervisor);
            Self {
                descriptors: most.descriptors.max(now.descriptors),
                threads: most.threads.max(now.threads),
                zombies: most.zombies.max(now.zombies),
                shm_files: most.shm_files.max(now.shm_files),
                resident_kib: most.resident_kib.max(now.resident_kib),
            }
        })
    }

    /// Memory is a figure, no promise: allocators keep what they may need again.
    fn is_within(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors
            && self.threads <= before.threads
            && self.zombies == 0
            && self.shm_files <= before.shm_files
    }
}

fn shm_files(project: &ProjectName) -> usize {
    let prefix = format!("fv.{project}.");
    let entries = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
}

/// Kills a command, a writer of a ring and its reader in turn, so many times in all.
pub fn nothing_is_left_of(deaths: u32) -> Outcome<Value> {
    let project = Project::new(&format!(
        "version: 1
workers:
  command: {{run: [sleep, '1000']{RESTART_AT_ONCE}}}
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=loop'{RESTART_AT_ONCE}}}
  cam1-decoder: {{use: decoder, in: cam1.packets{RESTART_AT_ONCE}}}
  motion: {{use: motion, in: cam1.frames{RESTART_AT_ONCE}}}
"
    ))?;
    project.up()?;
    let supervisor = project.supervisor_pid()?;
    // Both epochs of every ring are there by now.
    die(&project, WARM_UP.max(8))?;
    let before = Holdings::most_of(&project, supervisor);
    let start = clock::mono();
    die(&project, deaths)?;
    let each_ms = ms_since(start) / f64::from(deaths);
    let mut after = before;
    let settled = || {
        after = Holdings::of(&project, supervisor);
        after.is_within(&before).then_some(())
    };
    let flat = wait_for(60, "flat", settled);
    ensure(flat.is_ok(), || format!("after {deaths} deaths {before:?} became {after:?}"))?;
    project.down()?;
    let left = shm_files(project.name());
    ensure(left == 0, || format!("{left} files of the project are left in /dev/shm"))?;
    Ok(json!({
        "deaths": deaths,
        "each_ms": (each_ms * 10.0).round() / 10.0,
        "descriptors": [before.descriptors, after.descriptors],
        "threads": [before.threads, after.threads],
        "zombies": [before.zombies, after.zombies],
        "shm_files": [before.shm_files, after.shm_files],
        "resident_kib": [before.resident_kib, after.resident_kib],
    }))
}

fn die(project: &Project, deaths: u32) -> Outcome<()> {
    let victims = ["command", "cam1", "cam1-decoder", "motion"];
    for victim in (0..deaths).zip(victims.iter().cycle()).map(|(_, victim)| victim) {
        let pid = project.pid(victim)?;
        processes::signal(pid, Signal::SIGKILL);
        project.wait_restarted(victim, pid)?;
    }
    Ok(())
}
