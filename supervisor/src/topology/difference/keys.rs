//! In which keys two descriptions of one worker differ, and who must know.

use protocol::config::{Kind, WorkerConfig};
use serde_json::Value;

use super::kind;
use crate::topology::{Launch, WorkerSpec};

/// The key that only the supervisor looks at.
const DRAIN: &str = "drain";

#[derive(Debug)]
pub(super) struct Keys {
    /// A process reads them once, at its start.
    pub(super) restart: Vec<String>,
    pub(super) adjust: Vec<String>,
}

/// The keys in which the two differ.
pub(super) fn keys(before: &WorkerSpec, after: &WorkerSpec) -> Keys {
    // By name, so that a key that comes later is not forgotten here.
    let WorkerSpec {
        name: _,
        launch,
        inputs,
        output,
        // A key of the section says so already.
        more_outputs: _,
        policy,
        restart,
        ready,
        after: waits,
        shadow,
        limits,
    } = before;
    let is_pipe = kind(before) == Some(Kind::Pipe);
    let launch = launch_keys(launch, &after.launch);
    let (adjust, restart_for) = launch.into_iter().partition(|key| key == DRAIN);
    let mut keys = Keys { restart: restart_for, adjust };
    for (key, differs) in [
        ("in", *inputs != after.inputs),
        ("out", *output != after.output),
        ("policy", *policy != after.policy),
        ("limits", *limits != after.limits),
    ] {
        keys.restart.extend(differs.then(|| key.to_owned()));
    }
    if is_pipe {
        keys.restart = of_its_command(&keys.restart);
    }
    for (key, differs) in [
        ("restart", *restart != after.restart),
        ("ready", *ready != after.ready),
        ("after", *waits != after.after),
        // Its limits go by it, too, with its next start.
        ("shadow", *shadow != after.shadow),
    ] {
        keys.adjust.extend(differs.then(|| key.to_owned()));
    }
    keys
}

/// Keys of a pipe worker as its command's section has them, each once.
fn of_its_command(keys: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for key in keys {
        let key = match key.as_str() {
            "feeds" | "in" => "stdin",
            "makes" | "out" => "stdout",
            other => other,
        };
        if !found.iter().any(|known| known == key) {
            found.push(key.to_owned());
        }
    }
    found
}

fn launch_keys(before: &Launch, after: &Launch) -> Vec<String> {
    match (before, after) {
        (Launch::Run { argv, env }, Launch::Run { argv: new_argv, env: new_env }) => {
            let run = (argv != new_argv).then(|| "run".to_owned());
            run.into_iter().chain((env != new_env).then(|| "env".to_owned())).collect()
        }
        (Launch::Use(before), Launch::Use(after)) if before.kind() == after.kind() => {
            let differing = differing(&section(before), &section(after));
            // A value may differ where its form does not; then the kind stands for it.
            let hidden = differing.is_empty() && before != after;
            differing.into_iter().chain(hidden.then(|| "use".to_owned())).collect()
        }
        (_, Launch::Use(_)) => vec!["use".to_owned()],
        (_, Launch::Run { .. }) => vec!["run".to_owned()],
    }
}

/// The keys of a typed section, without the name of its kind around them.
pub(super) fn section(config: &WorkerConfig) -> Value {
    if let WorkerConfig::Web(web) = config {
        let mut keys = serde_json::to_value(&web.section).unwrap_or_default();
        keys["recordings"] = serde_json::to_value(&web.shelf).unwrap_or_default();
        keys["groups"] = serde_json::to_value(&web.groups).unwrap_or_default();
        return keys;
    }
    if let WorkerConfig::Rtsp(rtsp) = config {
        let mut keys = serde_json::to_value(&rtsp.section).unwrap_or_default();
        keys["recordings"] = serde_json::to_value(&rtsp.shelf).unwrap_or_default();
        return keys;
    }
    let whole = serde_json::to_value(config).unwrap_or_default();
    let inner = whole.as_object().and_then(|kind| kind.values().next().cloned());
    inner.unwrap_or(whole)
}

pub(super) fn differing(before: &Value, after: &Value) -> Vec<String> {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        return Vec::new();
    };
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}
