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
    let old = before.iter().find(|old| old.name == worker.name);
    let again = old.is_none_or(|old| old.restarts < worker.restarts);
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
