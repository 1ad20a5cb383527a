//! What is known of the project's cameras and rules: what a panel at home shows. Pure.
//!
//! It is what events add up to, begun with what the supervisor and the recorders say when they are asked. Both
//! are heard again and again, and in any order that ends with the newest: the sum is the same.

use std::collections::{BTreeMap, BTreeSet};

use protocol::admin::{WorkerState, WorkerStatus};
use protocol::health::PictureHealth;
use protocol::name::WorkerName;
use protocol::recorder::Told;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Event;

/// Events that change it, whatever people wait for.
pub(crate) const EVENTS: [&str; 7] = [
    "camera.*",
    "recording.started",
    "recording.stopped",
    "rule.*",
    "worker.died",
    "worker.starting",
    "worker.stopped",
];
/// Then the rule's name, then what happens to it.
const RULE: &str = "rule.";
/// Of a second stream, after the camera's name (docs/topology.md, cameras).
const SUB: &str = "-sub";
/// More cameras and rules than a panel can show; what comes above it is left out.
const MAX: usize = 2_000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Home {
    pub(crate) cameras: BTreeMap<String, Camera>,
    /// By camera, then by the rule's name.
    pub(crate) rules: BTreeMap<String, BTreeMap<String, Rule>>,
    /// Events that it has heard.
    #[serde(skip)]
    heard: u64,
}

/// `None`: nobody has said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Camera {
    pub(crate) connected: Option<bool>,
    pub(crate) health: Option<String>,
    pub(crate) recording: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    worker: WorkerName,
    pub(crate) is_on: bool,
    /// What was told of it last: a JSON object, as text.
    pub(crate) about: String,
}

/// What goes on, as a rules worker says it (`"status"`).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Open {
    pub(crate) rule: String,
    pub(crate) camera: String,
}

impl Home {
    /// All workers there are. Cameras that are gone are forgotten, and what they had.
    pub(crate) fn see(&mut self, workers: &[WorkerStatus]) {
        let names: BTreeSet<&str> = workers.iter().map(|worker| worker.name.as_str()).collect();
        let cameras =
            workers.iter().filter(|it| is_camera(it) && !is_sub(it.name.as_str(), &names));
        let cameras: BTreeMap<&str, &WorkerStatus> =
            cameras.take(MAX).map(|worker| (worker.name.as_str(), worker)).collect();
        self.cameras.retain(|name, _| cameras.contains_key(name.as_str()));
        for (name, worker) in &cameras {
            let camera = self.cameras.entry((*name).to_owned()).or_default();
            camera.connected = Some(worker.state == WorkerState::Running);
        }
        for (name, camera) in &mut self.cameras {
            let was_known = camera.health.take().is_some();
            let unknown = || was_known.then(|| PictureHealth::Unknown.as_str().to_owned());
            camera.health = health_of(name, &cameras, workers).or_else(unknown);
        }
        for rules in self.rules.values_mut() {
            rules.retain(|_, rule| names.contains(rule.worker.as_str()));
        }
        self.rules.retain(|_, rules| !rules.is_empty());
    }

    /// What a recorder says of its cameras.
    pub(crate) fn recorded(&mut self, told: &[Told]) {
        for told in told {
            if let Some(camera) = self.cameras.get_mut(&told.camera) {
                camera.recording = Some(told.recording);
            }
        }
    }

    /// What a rules worker says of what goes on: an end that nobody heard is an end, too.
    pub(crate) fn ruled(&mut self, by: &WorkerName, open: &[Open]) {
        for (camera, rules) in &mut self.rules {
            for (name, rule) in rules.iter_mut().filter(|(_, rule)| rule.worker == *by) {
                rule.is_on = open.iter().any(|it| it.camera == *camera && it.rule == *name);
            }
        }
    }

    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    pub(crate) fn hear(&mut self, event: &Event) {
        self.heard += 1;
        for name in &event.events {
            match name.as_str() {
                "camera.up" => self.set_connected(event, true),
                "camera.down" => self.set_connected(event, false),
                "camera.health" => self.set_health(event),
                "recording.started" => self.set_recording(event, true),
                "recording.stopped" => self.set_recording(event, false),
                name if name.starts_with(RULE) => match name.rsplit('.').next() {
                    Some("begin" | "update") => self.set_rule(event, true),
                    Some("end") => self.set_rule(event, false),
                    _ => {}
                },
                "worker.died" | "worker.starting" | "worker.stopped" => self.ended(event),
                _ => {}
            }
        }
    }

    fn camera(&mut self, name: &str) -> Option<&mut Camera> {
        self.cameras.get_mut(name)
    }

    /// Only cameras that the supervisor has named: a second stream is none.
    fn set_connected(&mut self, event: &Event, is: bool) {
        if let Some(camera) = self.camera(event.worker.as_str()) {
            camera.connected = Some(is);
        }
    }

    fn set_health(&mut self, event: &Event) {
        let (Some(name), Some(health)) = (word(event, "camera"), word(event, "health")) else {
            return;
        };
        if let Some(camera) = self.camera(name) {
            camera.health = Some(health.to_owned());
        }
    }

    /// Its reason begins with the camera: `front: motion.begin of motion.events`.
    fn set_recording(&mut self, event: &Event, is: bool) {
        let name = event.reason.split_once(':').map_or("", |(name, _)| name);
        if let Some(camera) = self.camera(name) {
            camera.recording = Some(is);
        }
    }

    fn set_rule(&mut self, event: &Event, is_on: bool) {
        let (Some(camera), Some(rule)) = (word(event, "camera"), word(event, "rule")) else {
            return;
        };
        let known: usize = self.rules.values().map(BTreeMap::len).sum();
        let rules = self.rules.entry(camera.to_owned()).or_default();
        if known >= MAX && !rules.contains_key(rule) {
            return;
        }
        let about = event.data.as_ref().map(Value::to_string).unwrap_or_default();
        rules.insert(rule.to_owned(), Rule { worker: event.worker.clone(), is_on, about });
    }

    /// Who does not run sees nothing going on: a rules worker that comes back says again what does.
    fn ended(&mut self, event: &Event) {
        let rules = self.rules.values_mut().flat_map(BTreeMap::values_mut);
        for rule in rules.filter(|rule| rule.worker == event.worker) {
            rule.is_on = false;
        }
        self.set_connected(event, false);
    }
}

fn is_camera(worker: &WorkerStatus) -> bool {
    worker.kind == "ingest" || worker.kind == "replay"
}

fn is_sub(name: &str, all: &BTreeSet<&str>) -> bool {
    name.strip_suffix(SUB).is_some_and(|camera| all.contains(camera))
}

/// Its ingest and its decoder look at different things (`front`, `front-decode`): a fault of either counts.
fn health_of(
    camera: &str,
    cameras: &BTreeMap<&str, &WorkerStatus>,
    workers: &[WorkerStatus],
) -> Option<String> {
    let is_own = |worker: &&WorkerStatus| {
        // Of several cameras whose names begin alike the longest is meant.
        let fits = cameras.keys().filter(|it| belongs(worker.name.as_str(), it));
        fits.max_by_key(|it| it.len()) == Some(&camera)
    };
    let said = workers.iter().filter(is_own).map(|it| it.health).filter(|it| !it.is_unknown());
    let worst = said.max_by_key(|health| health.is_fault())?;
    Some(worst.as_str().to_owned())
}

fn belongs(worker: &str, camera: &str) -> bool {
    worker.strip_prefix(camera).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn word<'a>(event: &'a Event, key: &str) -> Option<&'a str> {
    event.data.as_ref()?.get(key)?.as_str()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::tests::event;

    pub(crate) fn worker(name: &str, kind: &str, state: &str) -> WorkerStatus {
        serde_json::from_value(json!({
            "name": name, "kind": kind, "pid": 1, "state": state, "why": "", "restarts": 0,
            "uptime_s": 1.0, "last_exit": "", "restart_ms": null
        }))
        .unwrap()
    }

    pub(crate) fn happened(name: &str, worker: &str, reason: &str, data: Value) -> Event {
        let (reason, data) = (reason.to_owned(), Some(data).filter(Value::is_object));
        let worker = worker.parse().unwrap();
        Event { worker, reason, events: vec![name.to_owned()], data, ..event(1) }
    }

    pub(crate) fn yard() -> Home {
        let mut home = Home::default();
        home.see(&[
            worker("front", "ingest", "running"),
            worker("front-sub", "ingest", "degraded"),
            worker("door", "ingest", "degraded"),
            worker("alerts", "rules", "running"),
        ]);
        home
    }

    #[test]
    fn cameras_are_those_that_the_supervisor_names_without_their_second_streams() {
        let mut home = yard();
        assert_eq!(home.cameras.keys().collect::<Vec<_>>(), ["door", "front"]);
        assert_eq!(home.cameras["front"].connected, Some(true));
        assert_eq!(home.cameras["door"].connected, Some(false));
        home.hear(&happened("camera.down", "front-sub", "", Value::Null));
        assert_eq!(home.cameras["front"].connected, Some(true));
        home.see(&[worker("door", "ingest", "running")]);
        assert_eq!(home.cameras.keys().collect::<Vec<_>>(), ["door"]);
    }

    #[test]
    fn a_fault_that_any_worker_of_a_camera_sees_is_its_own() {
        let with = |name: &str, kind: &str, health: &str| WorkerStatus {
            health: serde_json::from_value(json!(health)).unwrap(),
            ..worker(name, kind, "running")
        };
        let mut home = Home::default();
        home.see(&[
            with("hall", "ingest", "ok"),
            with("hall-decode", "decoder", "black"),
            with("hall-2", "ingest", "ok"),
            with("hall-2-decode", "decoder", "ok"),
            worker("yard", "ingest", "running"),
        ]);
        let health = |name: &str| home.cameras[name].health.as_deref();
        assert_eq!(
            (health("hall"), health("hall-2"), health("yard")),
            (Some("black"), Some("ok"), None)
        );
    }

    #[test]
    fn events_add_up_to_what_is() {
        let mut home = yard();
        home.hear(&happened("camera.down", "front", "no route", Value::Null));
        home.hear(&happened(
            "camera.health",
            "door",
            "",
            json!({"camera": "door", "health": "black"}),
        ));
        home.hear(&happened("recording.started", "recorder", "front: by command", Value::Null));
        let front = &home.cameras["front"];
        assert_eq!((front.connected, front.recording), (Some(false), Some(true)));
        assert_eq!(home.cameras["door"].health.as_deref(), Some("black"));
        home.hear(&happened("recording.stopped", "recorder", "front: no event", Value::Null));
        assert_eq!(home.cameras["front"].recording, Some(false));
        // Of a camera that is not there nothing is made.
        home.hear(&happened("recording.started", "recorder", "gone: always", Value::Null));
        assert!(!home.cameras.contains_key("gone"));
    }

    #[test]
    fn a_rule_is_on_until_its_end_or_that_of_its_worker() {
        let mut home = yard();
        let data = json!({"rule": "night", "camera": "front", "score": 0.5});
        home.hear(&happened("rule.night.begin", "alerts", "", data.clone()));
        assert!(home.rules["front"]["night"].is_on);
        home.hear(&happened("rule.night.end", "alerts", "", data.clone()));
        assert!(!home.rules["front"]["night"].is_on);
        home.hear(&happened("rule.night.begin", "alerts", "", data));
        home.hear(&happened("worker.died", "other", "SIGKILL", Value::Null));
        assert!(home.rules["front"]["night"].is_on);
        home.hear(&happened("worker.died", "alerts", "SIGKILL", Value::Null));
        assert!(!home.rules["front"]["night"].is_on);
        assert!(home.rules["front"]["night"].about.contains("0.5"));
        home.see(&[worker("front", "ingest", "running")]);
        assert!(home.rules.is_empty());
    }

    #[test]
    fn an_end_that_nobody_heard_is_asked_for() {
        let mut home = yard();
        for rule in ["night", "day"] {
            let data = json!({"rule": rule, "camera": "front"});
            home.hear(&happened(&format!("rule.{rule}.begin"), "alerts", "", data));
        }
        let open = [Open { rule: "day".to_owned(), camera: "front".to_owned() }];
        home.ruled(&"others".parse().unwrap(), &[]);
        assert!(home.rules["front"]["night"].is_on && home.rules["front"]["day"].is_on);
        home.ruled(&"alerts".parse().unwrap(), &open);
        assert!(!home.rules["front"]["night"].is_on && home.rules["front"]["day"].is_on);
    }

    #[test]
    fn what_a_recorder_says_counts_for_the_cameras_there_are() {
        let mut home = yard();
        let told = |camera: &str, recording: bool| {
            serde_json::from_value::<Told>(json!({
                "camera": camera, "recording": recording, "order": "auto",
                "until_utc_ns": null, "why": "", "kept": true
            }))
            .unwrap()
        };
        home.recorded(&[told("front", true), told("front.sub", true)]);
        assert_eq!(home.cameras["front"].recording, Some(true));
        assert_eq!(home.cameras.len(), 2);
    }
}
