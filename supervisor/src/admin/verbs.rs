//! What the supervisor answers to each verb of the control socket.

use protocol::admin::{ADMIN_VERSION, Reply, ReplyError, Request};
use protocol::name::WorkerName;
use protocol::time::MonoNs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ClientId;
use crate::lifecycle::Input;
use crate::logs::LogLine;
use crate::rings;
use crate::supervisor::Supervisor;

/// Arguments of `restart`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Names {
    pub(crate) names: Vec<WorkerName>,
}

/// Arguments of `logs`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogsWanted {
    /// An empty list is all workers.
    #[serde(default)]
    pub(crate) names: Vec<WorkerName>,
    /// Newest lines of each.
    pub(crate) lines: usize,
    #[serde(default)]
    pub(crate) follow: bool,
}

/// Answer of `status`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) project: String,
    pub(crate) supervisor: u32,
    pub(crate) guard: u32,
    pub(crate) uptime_s: f64,
    pub(crate) stopping: bool,
    /// Rings without data whose writer is not parked; `up --wait` waits for this to become empty.
    pub(crate) not_flowing: Vec<NotFlowing>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NotFlowing {
    pub(crate) ring: String,
    pub(crate) writer: String,
    pub(crate) state: String,
    pub(crate) why: String,
}

impl Supervisor {
    pub(crate) fn serve(&mut self, now: MonoNs, client: ClientId) {
        for request in self.admin.receive(client, &mut self.poller) {
            let (id, result) = match request {
                Ok(request) => (request.id, self.answer(now, client, request)),
                Err(error) => (0, Err(error)),
            };
            let (ok, error) = match result {
                Ok(value) => (Some(value), None),
                Err(error) => (None, Some(error)),
            };
            self.admin.reply(client, &Reply { id, ok, error }, &mut self.poller);
        }
        self.admin.settle(client, &mut self.poller);
    }

    fn answer(
        &mut self,
        now: MonoNs,
        client: ClientId,
        request: Request,
    ) -> Result<Value, ReplyError> {
        if request.v != ADMIN_VERSION {
            let text =
                format!("request version {}: this supervisor speaks {ADMIN_VERSION}", request.v);
            return Err(error("version", text, "use the framevisor command of the same release"));
        }
        match request.verb.as_str() {
            "logs" => self.logs(client, arguments(request)?),
            "ps" => Ok(json!(self.rows(now))),
            "restart" => self.restart(now, arguments(request)?),
            "rings" => Ok(json!(rings::census_of(self.topology()))),
            "status" => Ok(json!(self.status(now))),
            "stop" => {
                self.stop_requested(now);
                Ok(Value::Bool(true))
            }
            other => Err(error(
                "verb",
                format!("unknown verb '{other}'"),
                "this supervisor knows logs, ps, restart, rings, status and stop",
            )),
        }
    }

    fn restart(&mut self, now: MonoNs, args: Names) -> Result<Value, ReplyError> {
        if self.is_stopping() {
            return Err(error(
                "stopping",
                "the project is stopping".to_owned(),
                "start it with `framevisor up`",
            ));
        }
        let places = self.places_of(&args.names)?;
        for &at in &places {
            self.tell(at, now, Input::Restart);
        }
        Ok(json!(args))
    }

    fn logs(&mut self, client: ClientId, args: LogsWanted) -> Result<Value, ReplyError> {
        let places = self.places_of(&args.names)?;
        let wanted = |at: &usize| places.is_empty() || places.contains(at);
        let workers = self.workers.iter().enumerate().filter(|(at, _)| wanted(at));
        let mut lines: Vec<&LogLine> =
            workers.flat_map(|(_, worker)| worker.log.last(args.lines)).collect();
        lines.sort_by_key(|line| line.time_utc_ns);
        let lines = json!(lines);
        if args.follow {
            self.admin.follow(client, args.names);
        }
        Ok(lines)
    }

    fn places_of(&self, names: &[WorkerName]) -> Result<Vec<usize>, ReplyError> {
        let workers = &self.topology().workers;
        let place = |name: &WorkerName| {
            let at = workers.iter().position(|worker| worker.name == *name);
            at.ok_or_else(|| {
                unknown_worker(name, workers.iter().map(|worker| worker.name.as_str()))
            })
        };
        names.iter().map(place).collect()
    }

    fn status(&self, now: MonoNs) -> Status {
        Status {
            project: self.topology().project.to_string(),
            supervisor: std::process::id(),
            guard: self.guard_pid(),
            uptime_s: now.saturating_since(self.started()).as_secs_f64(),
            stopping: self.is_stopping(),
            not_flowing: self.not_flowing(now),
        }
    }

    fn not_flowing(&self, now: MonoNs) -> Vec<NotFlowing> {
        let topology = self.topology();
        let waits = topology.rings.iter().filter_map(|ring| {
            let at = topology.workers.iter().position(|worker| worker.name == ring.writer)?;
            let life = &self.workers[at].life;
            let waits = !life.is_parked() && !rings::flows(&topology.project, &ring.name);
            waits.then(|| NotFlowing {
                ring: ring.name.to_string(),
                writer: ring.writer.to_string(),
                state: life.state().as_str().to_owned(),
                why: life.why(now),
            })
        });
        waits.collect()
    }
}

fn arguments<T: DeserializeOwned>(request: Request) -> Result<T, ReplyError> {
    serde_json::from_value(request.args).map_err(|cause| {
        error(
            "args",
            format!("{}: {cause}", request.verb),
            "see docs/protocol.md for its arguments",
        )
    })
}

fn unknown_worker<'a>(
    name: &WorkerName,
    known: impl Iterator<Item = &'a str> + Clone,
) -> ReplyError {
    let near = known.clone().max_by(|a, b| {
        let likeness = |known| strsim::jaro_winkler(known, name.as_str());
        likeness(a).total_cmp(&likeness(b))
    });
    let hint = match near.filter(|near| strsim::jaro_winkler(near, name.as_str()) > 0.8) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the workers are {}", known.collect::<Vec<_>>().join(", ")),
    };
    error("worker", format!("no worker is named {name}"), &hint)
}

fn error(code: &str, text: String, hint: &str) -> ReplyError {
    ReplyError { code: code.to_owned(), text, hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_worker_gets_the_nearest_name() {
        let refused = unknown_worker(&"montion".parse().unwrap(), ["cam1", "motion"].into_iter());
        assert_eq!(refused.hint, "did you mean motion?");
        let refused = unknown_worker(&"xyz".parse().unwrap(), ["cam1", "motion"].into_iter());
        assert_eq!(refused.hint, "the workers are cam1, motion");
    }
}
