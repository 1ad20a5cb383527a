//! Hears what the supervisor tells of workers and recordings, as any program may, on a thread of its own. Without
//! it the page goes on: only who follows events hears less.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use framevisor_client::{Connection, Error};
use protocol::name::RingName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::events::WorkerChange;
use crate::site::Site;

/// A supervisor that is being replaced is back within this, mostly.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A file of a camera is complete.
const SEGMENT: &str = "recording.segment";

/// A line of the supervisor's `events`.
#[derive(Clone, Debug, Deserialize)]
struct Heard {
    #[serde(flatten)]
    change: WorkerChange,
    /// What more is told of it.
    #[serde(default)]
    data: Option<Value>,
}

/// For ever: it ends with the process.
pub fn begin(site: Arc<Site>, runtime_dir: PathBuf) -> std::io::Result<()> {
    let run = move || {
        loop {
            match follow(&site, &runtime_dir) {
                Ok(()) => tracing::debug!("the supervisor has ended the connection"),
                Err(error) => tracing::debug!(%error, "changes are not heard"),
            }
            thread::sleep(AGAIN_AFTER);
        }
    };
    thread::Builder::new().name("changes".into()).spawn(run).map(drop)
}

fn follow(site: &Site, runtime_dir: &std::path::Path) -> Result<(), Error> {
    let mut connection = Connection::open(runtime_dir)?;
    let _: Vec<Value> = connection.ask("events", &json!({ "count": 0, "follow": true }))?;
    while let Some(heard) = connection.next_event::<Heard>()? {
        take(site, heard);
    }
    Ok(())
}

/// Files are counted and not told one by one: on a good day there is nothing else. That what a rule describes goes
/// on is told by its records: it would push out what happened to workers.
fn take(site: &Site, heard: Heard) {
    let Heard { change, data } = heard;
    let is = |wanted: &dyn Fn(&str) -> bool| change.events.iter().any(|event| wanted(event));
    if is(&|event| event == SEGMENT) {
        if let Some((camera, bytes)) = data.as_ref().and_then(recorded) {
            site.tally().recorded(camera, bytes);
        }
    } else if !is(&|event| event.starts_with("rule.") && event.ends_with(".update")) {
        site.events.changed(change);
    }
}

/// Of which camera, and how much. A worker tells it: what is no name of a camera is no label of a metric.
fn recorded(data: &Value) -> Option<(&str, u64)> {
    let (camera, bytes) = (data["camera"].as_str()?, data["bytes"].as_u64()?);
    let is_name = format!("{camera}.packets").parse::<RingName>().is_ok();
    is_name.then_some((camera, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_supervisor_is_understood_with_and_without_its_facts() {
        let heard = |text: &str| serde_json::from_str::<Heard>(text).unwrap();
        let died = heard(
            r#"{"time_utc_ns": 5, "worker": "motion", "from": "running", "to": "backoff",
                "reason": "SIGKILL", "events": ["worker.died"], "data": null, "more": 1}"#,
        );
        assert_eq!((died.change.worker.as_str(), died.data), ("motion", None));
        let segment = heard(
            r#"{"time_utc_ns": 5, "worker": "rec", "from": "running", "to": "running", "reason": "",
                "events": ["recording.segment"], "data": {"camera": "cam1", "bytes": 12}}"#,
        );
        assert_eq!(recorded(&segment.data.unwrap()), Some(("cam1", 12)));
    }

    #[test]
    fn what_is_no_name_of_a_camera_is_not_counted() {
        for (camera, counts) in [("cam1", true), ("cam1.small", true), ("cam1\"} 1\nx", false)] {
            let data = json!({ "camera": camera, "bytes": 5 });
            assert_eq!(recorded(&data).is_some(), counts, "{camera}");
        }
        for nothing in [json!({}), json!(null), json!({"camera": "cam1", "bytes": -1})] {
            assert_eq!(recorded(&nothing), None, "{nothing}");
        }
    }
}
