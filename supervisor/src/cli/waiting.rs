//! Waiting for workers to be as somebody asked them to be.

use std::time::Duration;

use protocol::admin::{WorkerState, WorkerStatus};
use protocol::name::WorkerName;
use protocol::units::Span;
use shmring::clock;

use super::client::Client;
use super::{CliError, Context, terminal};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is waited for.
pub(super) struct Wait {
    pub(super) what: &'static str,
    pub(super) limit: Span,
    /// A worker that died instead ends the waiting with an error.
    pub(super) refuses_death: bool,
}

impl Wait {
    pub(super) fn until(
        &self,
        client: &mut Client,
        names: &[WorkerName],
        is_done: impl Fn(&WorkerStatus) -> bool,
    ) -> Result<(), CliError> {
        let deadline = clock::mono() + self.limit.duration();
        loop {
            let workers: Vec<WorkerStatus> = client.ask("ps", &())?;
            let mut named = workers.iter().filter(|worker| names.contains(&worker.name));
            if let Some(dead) = named.clone().find(|worker| self.refuses(worker.state)) {
                let (name, state, why) = (&dead.name, dead.state.as_str(), &dead.why);
                return Err(CliError::Degraded(format!(
                    "{name} is {state}: {why}; `framevisor why {name}` tells more"
                )));
            }
            let Some(waiting) = named.find(|worker| !is_done(worker)) else { return Ok(()) };
            if clock::mono() > deadline {
                let missing = format!(": {} is {}", waiting.name, waiting.state.as_str());
                return Err(CliError::Timeout { what: self.what, limit: self.limit, missing });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn refuses(&self, state: WorkerState) -> bool {
        self.refuses_death
            && matches!(state, WorkerState::Held | WorkerState::Quarantined | WorkerState::Backoff)
    }
}

pub(super) fn is_up(worker: &WorkerStatus) -> bool {
    matches!(worker.state, WorkerState::Ready | WorkerState::Running | WorkerState::Degraded)
}

/// It was started after `before`, and is up or has finished already.
pub(super) fn is_started_again(worker: &WorkerStatus, before: &[WorkerStatus]) -> bool {
    // Its successor is the one that is meant.
    if worker.state == WorkerState::Draining {
        return true;
    }
    let is_it = |old: &&WorkerStatus| old.name == worker.name && old.state != WorkerState::Draining;
    // A first start is no restart, and one that has finished has no pid.
    let process = |it: &WorkerStatus| (it.pid, it.restarts, it.last_exit.clone());
    let again = before.iter().find(is_it).is_none_or(|old| process(old) != process(worker));
    again && (is_up(worker) || worker.state == WorkerState::Stopped)
}

/// Which workers it was: a pattern may have meant others than its author thought.
pub(super) fn tell(context: &Context, done: &str, names: &[WorkerName]) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(&names);
    }
    let names: Vec<&str> = names.iter().map(WorkerName::as_str).collect();
    terminal::talk(&format!("{done} {}", names.join(", ")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: WorkerState, pid: Option<u32>, restarts: u64, last_exit: &str) -> WorkerStatus {
        WorkerStatus {
            name: "web".parse().unwrap(),
            kind: "web".into(),
            pid,
            state,
            why: String::new(),
            restarts,
            uptime_s: 0.0,
            last_exit: last_exit.into(),
            restart_ms: None,
            health: Default::default(),
        }
    }

    #[test]
    fn a_worker_is_started_again_when_another_process_is_up_or_has_finished() {
        let running = row(WorkerState::Running, Some(7), 0, "");
        let never = row(WorkerState::Stopped, None, 0, "");
        let again =
            |worker, before: &WorkerStatus| is_started_again(&worker, std::slice::from_ref(before));
        assert!(!again(running.clone(), &running));
        assert!(!again(row(WorkerState::Stopping, Some(7), 0, ""), &running));
        assert!(!again(row(WorkerState::Starting, Some(8), 1, "stopped"), &running));
        assert!(again(row(WorkerState::Running, Some(8), 1, "stopped"), &running));
        assert!(!again(never.clone(), &never));
        assert!(again(running, &never), "its first start");
        assert!(again(row(WorkerState::Stopped, None, 0, "exit 0"), &never), "and its end");
    }

    #[test]
    fn who_keeps_the_last_clients_of_a_replaced_server_is_not_waited_for() {
        let draining = row(WorkerState::Draining, Some(6), 3, "");
        let before = [row(WorkerState::Running, Some(7), 0, ""), draining.clone()];
        assert!(is_started_again(&draining, &before));
        assert!(!is_started_again(&before[0], &before));
        let before = [draining, before[0].clone()];
        assert!(!is_started_again(&before[1], &before), "whichever row comes first");
    }
}
