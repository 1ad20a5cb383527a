//! Starts the parts, kills and stops them at random, sweeps between writers, and asks all to finish.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::name::ProjectName;
use protocol::time::MonoNs;
use shmring::{census, clock};

use crate::Plan;
use crate::ledger::Ledger;
use crate::parts::CHILD;
use crate::random::Random;
use crate::report::{Report, Tally};

/// Who plays. Writers and witnesses one of each; the readers are those that are killed most.
const CAST: [(&str, Role); 12] = [
    ("frame-writer", Role::Writer),
    ("packet-writer", Role::Writer),
    ("frame-reader", Role::Reader),
    ("frame-reader", Role::Reader),
    ("frame-reader", Role::Reader),
    ("packet-reader", Role::Reader),
    ("packet-reader", Role::Reader),
    ("packet-reader", Role::Reader),
    ("frame-hostile", Role::Hostile),
    ("frame-hostile", Role::Hostile),
    ("frame-witness", Role::Witness),
    ("packet-witness", Role::Witness),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Hostile,
    Reader,
    /// Never killed: it must not grow.
    Witness,
    Writer,
}

/// The project's name begins so, its director's pid follows.
const PROJECT: &str = "torture";

/// Longest pause between two kills.
const PAUSE: Duration = Duration::from_millis(25);
/// How long a stopped reader stands still.
const STANDSTILL: Duration = Duration::from_millis(300);
/// How long the parts may take to read what is left and say that it ended.
const FINISH: Duration = Duration::from_secs(30);

/// A child that does not outlive the torture, even one that fails.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Its page of the ledger.
    pub(crate) page: u64,
    child: Child,
    stopped_until: Option<MonoNs>,
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The project's files, gone with it.
struct Rings(ProjectName);

impl Drop for Rings {
    fn drop(&mut self) {
        census::sweep_unowned(&self.0);
    }
}

pub(crate) fn torture(plan: &Plan) -> Report {
    sweep_killed_runs();
    let rings = Rings(format!("{PROJECT}{}", std::process::id()).parse().unwrap());
    let ledger = Ledger::create(ledger_path(&std::process::id().to_string())).unwrap();
    let mut stage =
        Stage { rings, ledger, random: Random::new(plan.seed), tally: Tally::default() };
    let mut parts: Vec<Part> = (1..).zip(CAST).map(|(page, cast)| stage.cast(page, cast)).collect();
    let until = clock::mono() + plan.time;
    while clock::mono() < until {
        std::thread::sleep(PAUSE.mul_f64(stage.random.below(1000) as f64 / 1000.0));
        stage.act(&mut parts);
    }
    wake_due(&mut parts, MonoNs(u64::MAX));
    stage.ledger.ask_to_finish();
    let all_ended = wait_for_end(&mut parts);
    let figures = parts.iter().map(|part| (part.name, part.role, stage.ledger.figures(part.page)));
    let figures = figures.collect();
    drop(parts);
    census::sweep_unowned(&stage.rings.0);
    let names_left = names(&format!("fv.{}.", stage.rings.0));
    Report { plan: *plan, tally: stage.tally, figures, all_ended, names_left }
}

struct Stage {
    rings: Rings,
    ledger: Ledger,
    random: Random,
    tally: Tally,
}

impl Stage {
    fn cast(&mut self, page: u64, (name, role): (&'static str, Role)) -> Part {
        Part { name, role, page, child: self.start(name, page), stopped_until: None }
    }

    fn start(&mut self, name: &str, page: u64) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args([CHILD, name, self.rings.0.as_str()])
            .arg(format!("{}:{page}", self.ledger.path().display()))
            .arg(self.random.next().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Does one thing to one part.
    fn act(&mut self, parts: &mut [Part]) {
        wake_due(parts, clock::mono());
        let part = self.random.pick(parts);
        if part.role == Role::Witness || part.stopped_until.is_some() {
            return;
        }
        if part.role == Role::Reader && self.random.one_in(12) {
            part.signal(Signal::SIGSTOP);
            part.stopped_until = Some(clock::mono() + STANDSTILL);
            self.tally.stops += 1;
            return;
        }
        self.tally.ended_by_themselves += u64::from(part.child.try_wait().unwrap().is_some());
        let _ = part.child.kill();
        part.child.wait().unwrap();
        match part.role {
            Role::Writer => {
                self.tally.killed_writers += 1;
                // What `down` and `up` do.
                if self.random.one_in(6) {
                    census::sweep_unowned(&self.rings.0);
                    self.tally.sweeps += 1;
                }
            }
            Role::Reader => self.tally.killed_readers += 1,
            Role::Hostile | Role::Witness => {}
        }
        part.child = self.start(part.name, part.page);
    }
}

/// Lets stopped parts go on whose time has come by `now`.
fn wake_due(parts: &mut [Part], now: MonoNs) {
    for part in parts.iter_mut().filter(|part| part.stopped_until.is_some_and(|due| now >= due)) {
        part.stopped_until = None;
        part.signal(Signal::SIGCONT);
    }
}

impl Part {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }
}

/// Whether all parts ended by themselves, well and in time.
fn wait_for_end(parts: &mut [Part]) -> bool {
    let until = clock::mono() + FINISH;
    let mut ended = 0;
    for part in parts.iter_mut() {
        while clock::mono() < until {
            if let Some(status) = part.child.try_wait().unwrap() {
                ended += usize::from(status.success());
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    ended == parts.len()
}

/// A director that was killed could not clean up.
fn sweep_killed_runs() {
    for name in names(&format!("fv.{PROJECT}")) {
        let pid = name["fv.".len() + PROJECT.len()..].split('.').next().unwrap_or_default();
        if pid.parse::<u32>().is_ok() && !Path::new(&format!("/proc/{pid}")).exists() {
            census::sweep_unowned(&format!("{PROJECT}{pid}").parse().unwrap());
            let _ = std::fs::remove_file(ledger_path(pid));
        }
    }
}

fn ledger_path(pid: &str) -> PathBuf {
    std::env::temp_dir().join(format!("shmring-torture-{pid}"))
}

fn names(prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/dev/shm").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}
