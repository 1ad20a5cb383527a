//! One fault of one worker: what the supervisor made of it, and whom else it touched.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use protocol::admin::{ReaderStatus, ReplyError, RingStatus, WorkerState, WorkerStatus};
use protocol::name::{RingName, WorkerName};
use protocol::time::{MonoNs, UtcNs};
use shmring::clock;

use super::super::CliError;
use super::super::client::Client;
use crate::admin::verbs::{EventsWanted, Names};
use crate::history::Change;
use crate::supervisor::drill::{Drilled, Fault, Wanted};

/// A worker that hangs is found after five to seven seconds; a start may take five.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// A worker that another fault has reached comes back within this, or the drill ends.
const UP_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Readers have seen what there is to see.
const SETTLE: Duration = Duration::from_millis(300);

/// Who is to suffer.
pub(super) struct Victim<'a> {
    pub(super) name: &'a WorkerName,
    pub(super) kind: &'a str,
    /// Pid of the drill's own reader.
    pub(super) witness: u32,
}

/// One fault, done or not.
#[derive(Clone, Debug)]
pub(super) struct Try {
    pub(super) worker: WorkerName,
    pub(super) kind: String,
    pub(super) fault: Fault,
    /// Everything published from here to the next try belongs to it.
    pub(super) began: MonoNs,
    pub(super) outcome: Outcome,
    /// What it writes.
    pub(super) writes: Vec<RingName>,
    /// Readers, by ring, with what they were told.
    pub(super) touched: Vec<Touched>,
    /// Others that were started again meanwhile.
    pub(super) also_restarted: Vec<WorkerName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing was done: nobody could find it, for this reason.
    Blind(String),
    /// Done, and not found in time.
    Unnoticed,
    /// Found after `detect`; `restart` from the SIGKILL that ended it, ours or the supervisor's, to ready.
    Back { detect: Duration, restart: Duration },
}

/// A reader that noticed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Touched {
    pub(super) ring: RingName,
    pub(super) reader: String,
    pub(super) saw: &'static str,
}

/// Everything of the project at one instant.
struct Look {
    workers: Vec<WorkerStatus>,
    rings: Vec<RingStatus>,
}

impl Look {
    fn at(client: &mut Client) -> Result<Self, CliError> {
        Ok(Self { workers: client.ask("ps", &())?, rings: client.ask("rings", &())? })
    }
}

impl Victim<'_> {
    pub(super) fn suffer(&self, client: &mut Client, fault: Fault) -> Result<Try, CliError> {
        let before = Look::at(client)?;
        let mut done = Try {
            worker: self.name.clone(),
            kind: self.kind.to_owned(),
            fault,
            began: clock::mono(),
            outcome: Outcome::Unnoticed,
            writes: Vec::new(),
            touched: Vec::new(),
            also_restarted: Vec::new(),
        };
        let (since, pid) = match self.fault(client, fault)? {
            Drilled::Blind(why) => return Ok(Try { outcome: Outcome::Blind(why), ..done }),
            Drilled::Done { utc_ns, mono_ns, pid } => {
                done.began = mono_ns;
                (utc_ns, pid)
            }
        };
        done.outcome = self.outcome(client, fault, since)?;
        done.writes = written_by(&before.rings, pid);
        wait_for_flow(client, &done.writes, &before.rings)?;
        thread::sleep(SETTLE);
        let after = Look::at(client)?;
        done.touched = touched(&before.rings, &after.rings, [self.witness, pid]);
        done.also_restarted = self.also_restarted(&before.workers, &after.workers);
        Ok(done)
    }

    /// Waits for a worker that is just being started again.
    fn fault(&self, client: &mut Client, fault: Fault) -> Result<Drilled, CliError> {
        let deadline = clock::mono() + UP_WITHIN;
        loop {
            let wanted = Wanted { name: self.name.clone(), fault };
            match client.ask("drill", &wanted) {
                Err(CliError::Answer(ReplyError { code, .. }))
                    if code == "worker" && clock::mono() < deadline =>
                {
                    thread::sleep(LOOK_EVERY);
                }
                other => return other,
            }
        }
    }

    fn outcome(
        &self,
        client: &mut Client,
        fault: Fault,
        since: UtcNs,
    ) -> Result<Outcome, CliError> {
        let deadline = clock::mono() + BACK_WITHIN;
        let name = || vec![self.name.clone().into()];
        while clock::mono() < deadline {
            thread::sleep(LOOK_EVERY);
            let wanted = EventsWanted { names: name(), count: 16, ..EventsWanted::all() };
            let changes: Vec<Change> = client.ask("events", &wanted)?;
            if let Some(outcome) = told(&changes, fault, since) {
                return Ok(outcome);
            }
        }
        // Nobody else will end it.
        let _: Vec<WorkerName> = client.ask("restart", &Names { names: name() })?;
        Ok(Outcome::Unnoticed)
    }

    fn also_restarted(&self, before: &[WorkerStatus], after: &[WorkerStatus]) -> Vec<WorkerName> {
        let old: BTreeMap<&WorkerName, u64> =
            before.iter().map(|worker| (&worker.name, worker.restarts)).collect();
        let again = |worker: &&WorkerStatus| {
            worker.name != *self.name
                && old.get(&worker.name).is_some_and(|restarts| *restarts < worker.restarts)
        };
        after.iter().filter(again).map(|worker| worker.name.clone()).collect()
    }
}

/// `None` until it is up again. Pure.
fn told(changes: &[Change], fault: Fault, since: UtcNs) -> Option<Outcome> {
    let mut later = changes.iter().filter(|change| change.time_utc_ns >= since);
    let is_up = |state: WorkerState| {
        matches!(state, WorkerState::Ready | WorkerState::Running | WorkerState::Degraded)
    };
    let found = later.find(|change| is_up(change.from) && !is_up(change.to))?;
    let back = later.find(|change| is_up(change.to) && !is_up(change.from))?;
    let after = |change: &Change, since: UtcNs| {
        Duration::from_nanos(change.time_utc_ns.0.saturating_sub(since.0))
    };
    let killed = if fault == Fault::Kill { since } else { found.time_utc_ns };
    Some(Outcome::Back { detect: after(found, since), restart: after(back, killed) })
}

fn written_by(rings: &[RingStatus], pid: u32) -> Vec<RingName> {
    let mine = rings.iter().filter(|ring| ring.writer_pid == Some(pid));
    mine.map(|ring| ring.name.clone()).collect()
}

/// Until what the victim writes has gone on, for as long as that usually takes and more.
fn wait_for_flow(
    client: &mut Client,
    writes: &[RingName],
    before: &[RingStatus],
) -> Result<(), CliError> {
    // Records come when there is something to tell.
    let flows = |ring: &RingStatus| {
        !writes.contains(&ring.name)
            || ring.kind == protocol::name::RingKind::Events
            || ring.head > 0
                && before.iter().any(|old| old.name == ring.name && old.epoch < ring.epoch)
    };
    let deadline = clock::mono() + UP_WITHIN;
    while clock::mono() < deadline {
        let rings: Vec<RingStatus> = client.ask("rings", &())?;
        if rings.iter().all(flows) {
            break;
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Readers that were told something, apart from the drill's own and the victim. Pure.
fn touched(before: &[RingStatus], after: &[RingStatus], not: [u32; 2]) -> Vec<Touched> {
    let mut touched = Vec::new();
    for old in before {
        let Some(new) = after.iter().find(|ring| ring.name == old.name) else { continue };
        let new_epoch = new.epoch > old.epoch;
        for reader in old.readers.iter().filter(|reader| !not.contains(&reader.pid)) {
            let mut tell = |saw| {
                let (ring, reader) = (old.name.clone(), reader.name.clone());
                touched.push(Touched { ring, reader, saw });
            };
            if new_epoch {
                tell("new-epoch");
            }
            let now = new.readers.iter().find(|other| other.pid == reader.pid);
            let counted = |count: fn(&ReaderStatus) -> u64| {
                let had = if new_epoch { 0 } else { count(reader) };
                now.is_some_and(|now| count(now) > had)
            };
            if counted(|reader| reader.missed) {
                tell("overrun");
            }
            if counted(|reader| reader.evicted) {
                tell("evicted");
            }
        }
    }
    touched
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(ms: u64, from: WorkerState, to: WorkerState) -> Change {
        Change {
            time_utc_ns: UtcNs(ms * 1_000_000),
            worker: "cam1".parse().unwrap(),
            from,
            to,
            reason: String::new(),
            events: Vec::new(),
            data: None,
        }
    }

    #[test]
    fn a_kill_is_timed_from_the_signal_and_a_stop_from_its_finding() {
        use WorkerState::{Ready, Running, Starting, Stopping};
        let since = UtcNs(1_000_000_000);
        let killed = [
            change(900, Starting, Running),
            change(1_002, Running, Starting),
            change(1_009, Starting, Ready),
        ];
        let ms = Duration::from_millis;
        let back = Outcome::Back { detect: ms(2), restart: ms(9) };
        assert_eq!(told(&killed, Fault::Kill, since), Some(back));
        assert_eq!(told(&killed[..2], Fault::Kill, since), None);
        let stopped = [
            change(3_100, Running, Stopping),
            change(3_101, Stopping, Starting),
            change(3_120, Starting, Running),
        ];
        let back = Outcome::Back { detect: ms(2_100), restart: ms(20) };
        assert_eq!(told(&stopped, Fault::Stop, since), Some(back));
    }

    fn ring(epoch: u64, missed: u64) -> RingStatus {
        let name: RingName = "cam1.packets".parse().unwrap();
        let reader = |name: &str, pid| ReaderStatus {
            name: name.to_owned(),
            pid,
            missed,
            ..ReaderStatus::default()
        };
        let readers = vec![reader("recorder", 10), reader("drill", 11)];
        RingStatus { epoch, readers, ..RingStatus::absent(name) }
    }

    #[test]
    fn readers_are_touched_by_new_epochs_and_by_what_they_missed() {
        let saw = |before, after| {
            let touched = touched(&[before], &[after], [11, 12]);
            touched.into_iter().map(|it| (it.reader, it.saw)).collect::<Vec<_>>()
        };
        assert_eq!(saw(ring(7, 3), ring(7, 3)), []);
        assert_eq!(saw(ring(7, 3), ring(8, 0)), [("recorder".to_owned(), "new-epoch")]);
        assert_eq!(saw(ring(7, 3), ring(7, 4)), [("recorder".to_owned(), "overrun")]);
    }
}
