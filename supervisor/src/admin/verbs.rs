//! What the supervisor answers to each verb of the control socket.

use std::path::PathBuf;

use protocol::admin::{ADMIN_VERSION, Reply, ReplyError, Request};
use protocol::name::WorkerName;
use protocol::time::{MonoNs, UtcNs};
use protocol::units::Span;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shmring::clock;

use super::why::Whose;
use super::{Asker, ClientId, Follows, selects};
use crate::history::ChangesWanted;
use crate::lifecycle::Input;
use crate::logs::LogLine;
use crate::rings;
use crate::selector::Selector;
use crate::supervisor::Supervisor;
use crate::topology::{Graph, RingSpec, Topology};
use crate::worker::{Role, Worker};
use crate::workers::WorkerId;

/// What becomes of a request that is not refused.
#[derive(Debug)]
pub(crate) enum Answer {
    Now(Value),
    /// Whoever has it in hand answers with [`Supervisor::answer_late`].
    Later,
}

/// Arguments of `restart`, `start` and `stop`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Names {
    pub(crate) names: Vec<Selector>,
}

/// Arguments of `logs`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogsWanted {
    /// An empty list is all workers.
    #[serde(default)]
    pub(crate) names: Vec<Selector>,
    /// Newest lines of each.
    pub(crate) lines: usize,
    #[serde(default)]
    pub(crate) follow: bool,
    /// Not older than this.
    #[serde(default)]
    pub(crate) since: Option<Span>,
    /// A line must contain it; empty is any line.
    #[serde(default)]
    pub(crate) grep: String,
}

impl LogsWanted {
    /// All that are kept, of all workers.
    pub(crate) fn all() -> Self {
        Self {
            names: Vec::new(),
            lines: usize::MAX,
            follow: false,
            since: None,
            grep: String::new(),
        }
    }
}

/// Arguments of `events`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsWanted {
    /// An empty list is all workers.
    #[serde(default)]
    pub(crate) names: Vec<Selector>,
    /// Newest of all of them together.
    pub(crate) count: usize,
    #[serde(default)]
    pub(crate) follow: bool,
    /// Not older, and not newer than these.
    #[serde(default)]
    pub(crate) from_utc_ns: Option<UtcNs>,
    #[serde(default)]
    pub(crate) to_utc_ns: Option<UtcNs>,
    /// Names of events as `hooks:` have them, or patterns; an empty list is all.
    #[serde(default)]
    pub(crate) types: Vec<String>,
}

impl EventsWanted {
    /// All that are kept, of all workers.
    pub(crate) fn all() -> Self {
        Self {
            names: Vec::new(),
            count: usize::MAX,
            follow: false,
            from_utc_ns: None,
            to_utc_ns: None,
            types: Vec::new(),
        }
    }
}

/// Arguments of `upgrade`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpgradeWanted {
    /// The program to become; without one the supervisor's own, as it is there now.
    #[serde(default)]
    pub(crate) binary: Option<PathBuf>,
}

/// Answer of `upgrade`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Upgraded {
    /// Versions.
    pub(crate) from: String,
    pub(crate) to: String,
    /// That run, as before.
    pub(crate) workers: usize,
}

/// Answer of `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) project: String,
    pub(crate) supervisor: u32,
    pub(crate) guard: u32,
    /// The topology's.
    #[serde(default)]
    pub(crate) file: PathBuf,
    pub(crate) uptime_s: f64,
    pub(crate) stopping: bool,
    /// Open in the supervisor, what it keeps back apart.
    #[serde(default)]
    pub(crate) descriptors: usize,
    /// Rings without data whose writer is not parked; `up --wait` waits for this to become empty.
    pub(crate) not_flowing: Vec<NotFlowing>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
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
            let result = match result {
                Ok(Answer::Later) => continue,
                Ok(Answer::Now(value)) => Ok(value),
                Err(error) => Err(error),
            };
            self.admin.reply(client, &Reply::of(id, result), &mut self.poller);
        }
        self.admin.settle(client, &mut self.poller);
    }

    fn answer(
        &mut self,
        now: MonoNs,
        client: ClientId,
        request: Request,
    ) -> Result<Answer, ReplyError> {
        let asker = Asker { client, request: request.id };
        if request.v != ADMIN_VERSION {
            let text =
                format!("request version {}: this supervisor speaks {ADMIN_VERSION}", request.v);
            return Err(error("version", text, "use the framevisor command of the same release"));
        }
        let answered = match request.verb.as_str() {
            "add" => return self.add(asker, arguments(request)?),
            "down" => {
                self.stop_requested(now);
                Ok(Value::Bool(true))
            }
            "drill" => self.drill(now, arguments(request)?),
            "events" => self.events(client, arguments(request)?),
            "graph" => Ok(json!(Graph::of(self.topology()))),
            "hooks" => Ok(json!(self.hook_rows())),
            "logs" => self.logs(client, arguments(request)?),
            "plan" => return self.plan(asker, arguments(request)?),
            "ps" => Ok(json!(self.rows(now))),
            "recorders" => Ok(json!(self.recorders())),
            "reload" => return self.reload(asker, arguments(request)?),
            "promote" => return self.promote(asker, arguments(request)?),
            "remove" => return self.remove(asker, arguments(request)?),
            "replace" => return self.replace_named(asker, arguments(request)?),
            "restart" => self.restart(now, arguments(request)?),
            "rings" => Ok(json!(self.outlook().census_of(self.topology()))),
            "send" => return self.send_message(now, asker, arguments(request)?),
            "start" => self.start_again(now, arguments(request)?),
            "status" => Ok(json!(self.status(now))),
            "stop" => self.stop_named(now, arguments(request)?),
            "upgrade" => {
                let wanted: UpgradeWanted = arguments(request)?;
                return self.begin_upgrade(now, asker, wanted.binary).map(|()| Answer::Later);
            }
            "why" => self.why_named(now, arguments(request)?),
            other => Err(error(
                "verb",
                format!("unknown verb '{other}'"),
                "this supervisor knows add, down, drill, events, graph, hooks, logs, plan, promote, ps, recorders, reload, remove, replace, restart, rings, send, start, status, stop, upgrade and why",
            )),
        };
        answered.map(Answer::Now)
    }

    fn restart(&mut self, now: MonoNs, args: Names) -> Result<Value, ReplyError> {
        let places = self.startable(&args.names)?;
        for &at in &places {
            self.tell(at, now, Input::Restart);
        }
        Ok(self.names_of(&places))
    }

    /// Those that run stay as they are; the others are forgiven whatever they did.
    fn start_again(&mut self, now: MonoNs, args: Names) -> Result<Value, ReplyError> {
        let places = self.startable(&args.names)?;
        for &at in &places {
            if !self.workers[at].life.runs() {
                self.tell(at, now, Input::Restart);
            }
        }
        Ok(self.names_of(&places))
    }

    fn stop_named(&mut self, now: MonoNs, args: Names) -> Result<Value, ReplyError> {
        let places = self.places_of(&args.names)?;
        self.stop_in_order(&places, now);
        Ok(self.names_of(&places))
    }

    /// Writers before their readers. Whoever starts a worker takes back that it was to stop.
    fn startable(&mut self, names: &[Selector]) -> Result<Vec<WorkerId>, ReplyError> {
        if self.is_stopping() {
            let text = "the project is stopping".to_owned();
            return Err(error("stopping", text, "start it with `framevisor up`"));
        }
        let mut places = self.places_of(names)?;
        // A process that keeps its last clients is not started again: its successor is.
        places.retain(|at| self.workers[*at].role == Role::Member);
        if let Some(held) = self.held_by_change(&places) {
            let name = &self.workers[held].spec.name;
            let text = format!("a change of the topology that is under way has {name} in hand");
            return Err(error("busy", text, "try again when it is done"));
        }
        let order = self.topology().start_order();
        let turn =
            |at: &WorkerId| order.iter().position(|spec| spec.name == self.workers[*at].spec.name);
        places.sort_by_cached_key(turn);
        self.keep_running(&places);
        Ok(places)
    }

    fn logs(&mut self, client: ClientId, args: LogsWanted) -> Result<Value, ReplyError> {
        let is_hook = |s: &Selector| self.hooks().any(|(name, _)| s.matches(name));
        let of_workers: Vec<Selector> =
            args.names.iter().filter(|selector| !is_hook(selector)).cloned().collect();
        let places = self.places_of(&of_workers)?;
        let oldest =
            args.since.map_or(UtcNs(0), |since| UtcNs(clock::now().utc.0.saturating_sub(since.0)));
        let wanted = |at: &WorkerId| args.names.is_empty() || places.contains(at);
        let workers = self.workers.iter().filter(|(at, _)| wanted(at));
        let hooks = self.hooks().filter(|(name, _)| selects(&args.names, name));
        let books = workers.map(|(_, worker)| &worker.log).chain(hooks.map(|(_, log)| log));
        let mut lines: Vec<&LogLine> =
            books.flat_map(|log| log.last(args.lines, oldest, &args.grep)).collect();
        lines.sort_by_key(|line| line.time_utc_ns);
        let lines = json!(lines);
        if args.follow {
            let workers = with_workers_of_cameras(self.topology(), args.names);
            self.admin.follow(client, Follows::Lines { workers, grep: args.grep });
        }
        Ok(lines)
    }

    fn events(&mut self, client: ClientId, args: EventsWanted) -> Result<Value, ReplyError> {
        self.places_of(&args.names)?;
        let EventsWanted { names, count, follow, from_utc_ns, to_utc_ns, types } = args;
        let (from, to) = (from_utc_ns, to_utc_ns);
        let workers = with_workers_of_cameras(self.topology(), names);
        let wanted = ChangesWanted { workers, types, from, to };
        let changes = json!(self.history.last(count, |change| wanted.holds(change)));
        if follow {
            self.admin.follow(client, Follows::Changes(wanted.of_what_is_to_come()));
        }
        Ok(changes)
    }

    fn why_named(&self, now: MonoNs, args: Whose) -> Result<Value, ReplyError> {
        let at = self.id_of(&args.name)?;
        Ok(json!(self.why(now, at)))
    }

    pub(crate) fn id_of(&self, name: &WorkerName) -> Result<WorkerId, ReplyError> {
        let names = self.workers.values().map(|worker| worker.spec.name.as_str());
        self.workers.named(name).ok_or_else(|| unknown_worker(&name.clone().into(), names))
    }

    fn names_of(&self, places: &[WorkerId]) -> Value {
        let mut names: Vec<&WorkerName> =
            places.iter().map(|&at| &self.workers[at].spec.name).collect();
        // One that was replaced may still be there beside its successor.
        names.dedup();
        json!(names)
    }

    /// Each worker, and behind it those it has replaced.
    pub(crate) fn places_of(&self, selectors: &[Selector]) -> Result<Vec<WorkerId>, ReplyError> {
        let names = || self.workers.values().map(|worker| worker.spec.name.as_str());
        let selected = |s: &Selector| self.workers.values().any(|w| self.is_meant(s, &w.spec.name));
        if let Some(unknown) = selectors.iter().find(|selector| !selected(selector)) {
            return Err(unknown_worker(unknown, names()));
        }
        let wanted =
            |worker: &Worker| selectors.iter().any(|s| self.is_meant(s, &worker.spec.name));
        let workers = self.workers.iter().filter(|(_, worker)| wanted(worker));
        let mut places: Vec<WorkerId> = workers.map(|(at, _)| at).collect();
        let place = |at: &WorkerId| {
            let worker = &self.workers[*at];
            let specs = &self.topology().workers;
            let place = specs.iter().position(|spec| spec.name == worker.spec.name);
            (place.unwrap_or(usize::MAX), worker.role != Role::Member)
        };
        places.sort_by_cached_key(place);
        Ok(places)
    }

    /// By its own name, or by that of the camera whose it is.
    fn is_meant(&self, selector: &Selector, name: &WorkerName) -> bool {
        let topology = self.topology();
        let of_camera = |camera: &str| {
            let own = topology.workers_of(camera).unwrap_or_default();
            selector.matches_text(camera) && own.contains(name)
        };
        selector.matches(name) || topology.cameras().any(of_camera)
    }

    fn status(&self, now: MonoNs) -> Status {
        Status {
            project: self.topology().project.to_string(),
            supervisor: std::process::id(),
            guard: self.guard_pid(),
            file: self.topology().file.clone(),
            uptime_s: now.saturating_since(self.started()).as_secs_f64(),
            stopping: self.is_stopping(),
            descriptors: self.reserve().in_use().unwrap_or_default(),
            not_flowing: self.not_flowing(now),
        }
    }

    fn not_flowing(&self, now: MonoNs) -> Vec<NotFlowing> {
        let topology = self.topology();
        let waits = topology.rings.iter().filter_map(|ring| {
            let worker = &self.workers[self.workers.named(&ring.writer)?];
            let life = &worker.life;
            let outlook = self.outlook();
            let is_left_out = || {
                let of_same = |other: &&RingSpec| other.writer == ring.writer;
                let writes_several = topology.rings.iter().filter(of_same).nth(1).is_some();
                writes_several && rings::is_unread(outlook, &ring.name)
            };
            let waits = !life.is_parked() && !rings::flows(outlook, &ring.name) && !is_left_out();
            waits.then(|| NotFlowing {
                ring: ring.name.to_string(),
                writer: ring.writer.to_string(),
                state: life.state().as_str().to_owned(),
                why: worker.why(now),
            })
        });
        waits.collect()
    }
}

/// What is yet to come tells no more than the name of its worker.
fn with_workers_of_cameras(topology: &Topology, mut names: Vec<Selector>) -> Vec<Selector> {
    let is_meant = |camera: &&str| names.iter().any(|selector| selector.matches_text(camera));
    let cameras: Vec<&str> = topology.cameras().filter(is_meant).collect();
    let theirs = cameras.into_iter().filter_map(|camera| topology.workers_of(camera)).flatten();
    names.extend(theirs.cloned().map(Selector::from));
    names
}

pub(super) fn arguments<T: DeserializeOwned>(request: Request) -> Result<T, ReplyError> {
    serde_json::from_value(request.args).map_err(|cause| {
        error(
            "args",
            format!("{}: {cause}", request.verb),
            "see docs/protocol.md for its arguments",
        )
    })
}

fn unknown_worker<'a>(name: &Selector, known: impl Iterator<Item = &'a str> + Clone) -> ReplyError {
    if name.is_pattern() {
        let hint = format!("the workers are {}", known.collect::<Vec<_>>().join(", "));
        return error("worker", format!("no worker matches '{name}'"), &hint);
    }
    let name = name.to_string();
    let near = known.clone().max_by(|a, b| {
        let likeness = |known| strsim::jaro_winkler(known, &name);
        likeness(a).total_cmp(&likeness(b))
    });
    let hint = match near.filter(|near| strsim::jaro_winkler(near, &name) > 0.8) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the workers are {}", known.collect::<Vec<_>>().join(", ")),
    };
    error("worker", format!("no worker is named {name}"), &hint)
}

pub(crate) fn error(code: &str, text: String, hint: &str) -> ReplyError {
    ReplyError { code: code.to_owned(), text, hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::topology::{Overrides, parse};

    #[test]
    fn who_names_a_camera_follows_all_the_workers_that_it_has_alone() {
        let text = "version: 1\ncameras: {cam1: {url: 'test:', serve: false, motion: true}, cam2: {url: 'test:', serve: false}}";
        let topology =
            parse(text, Path::new("/srv/framevisor.yml"), &Overrides::default()).unwrap();
        let followed = |names: &[&str]| {
            let names = names.iter().map(|name| name.parse().unwrap()).collect();
            let selectors = with_workers_of_cameras(&topology, names);
            let all = topology.workers.iter().map(|spec| &spec.name);
            all.filter(|name| selects(&selectors, name)).map(WorkerName::as_str).collect::<Vec<_>>()
        };
        assert_eq!(followed(&["cam1"]), ["cam1", "cam1-decode", "cam1-motion"]);
        assert_eq!(followed(&["cam2", "cam1-motion"]), ["cam1-motion", "cam2"]);
        assert_eq!(followed(&[]).len(), topology.workers.len());
    }

    #[test]
    fn a_mistyped_worker_gets_the_nearest_name() {
        let refused = unknown_worker(&"montion".parse().unwrap(), ["cam1", "motion"].into_iter());
        assert_eq!(refused.hint, "did you mean motion?");
        let refused = unknown_worker(&"xyz".parse().unwrap(), ["cam1", "motion"].into_iter());
        assert_eq!(refused.hint, "the workers are cam1, motion");
        let refused = unknown_worker(&"x*".parse().unwrap(), ["cam1", "motion"].into_iter());
        assert_eq!(refused.text, "no worker matches 'x*'");
    }
}
