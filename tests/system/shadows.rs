//! A worker that is tried beside another one: compared by what both say of the same pictures, and promoted.

use protocol::admin::RingStatus;
use serde_json::{Value, json};
use tests::checks::python::{python, python_path};
use tests::project::Project;
use tests::{Failure, Outcome, ensure, wait_for};

use crate::first_light::holds;

/// Says of each picture the same thing, in a box as high as it is told.
const SEES: &str = "import sys, shmring
with shmring.attach() as ring:
    for f in ring:
        ring.emit('seen', {'label': 'thing', 'box': [0, 0, 10, int(sys.argv[1])]}, at=f)
";

fn yard() -> Outcome<Project> {
    let (python, path) = (python(), python_path()?);
    let sees = |height: u8| {
        format!(
            "run: [{python}, see.py, '{height}'], in: cam1.frames, policy: every 5, env: {{PYTHONPATH: '{path}'}}"
        )
    };
    let (used, tried) = (sees(10), sees(8));
    let project = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25'}}
  dec: {{use: decoder, in: cam1.packets}}
  used: {{{used}, out: used.events}}
  tried: {{{tried}, out: tried.events, shadow: used}}
  hears: {{use: web, in: ['cam1.packets', '*.events'], listen: '127.0.0.1:0'}}
"
    ))?;
    std::fs::write(project.dir().join("see.py"), SEES).map_err(Failure::new)?;
    project.up()?;
    Ok(project)
}

fn asked(project: &Project, arguments: &[&str]) -> Outcome<Value> {
    let text = project.succeed(arguments)?;
    serde_json::from_str(&text).map_err(|error| Failure(format!("{arguments:?}: {text}: {error}")))
}

/// Who was restarted, and for which keys.
fn restarted(answer: &Value) -> Vec<(String, Value)> {
    let all = answer["change"]["restart"].as_array().cloned().unwrap_or_default();
    let one =
        |it: &Value| (it["worker"].as_str().unwrap_or_default().to_owned(), it["why"].clone());
    all.iter().map(one).collect()
}

#[test]
fn a_shadow_is_compared_by_frame_ids_heard_by_nobody_and_promoted_by_a_command() {
    holds(|| {
        let project = yard()?;
        let compared = || {
            let report = asked(&project, &["compare", "tried", "-o", "json"]).ok()?;
            (report["pictures"]["both"].as_u64()? >= 3).then_some(report)
        };
        let (report, _) = wait_for(120, "both to say something of the same pictures", compared)?;
        let overlap = &report["overlap"];
        ensure(overlap["least"] == 0.8 && overlap["most"] == 0.8, || report.to_string())?;
        let things = &report["things"];
        ensure(things["both"] == report["pictures"]["both"] && things["used"] == 0, || {
            report.to_string()
        })?;
        ensure(report["used"] == "used.events" && report["tried"] == "tried.events", || {
            report.to_string()
        })?;
        let hears = |rings: &[RingStatus], name: &str| {
            let ring = rings.iter().find(|ring| ring.name.as_str() == name);
            ring.map(|ring| ring.readers.iter().any(|it| it.name == "hears"))
        };
        // Who hears comes to a ring in its own time.
        let heard =
            || project.rings().ok().filter(|rings| hears(rings, "used.events") == Some(true));
        let (rings, _) = wait_for(60, "used.events to be heard", heard)?;
        let readers = |name: &str| hears(&rings, name);
        ensure(
            (readers("used.events"), readers("tried.events")) == (Some(true), Some(false)),
            || format!("who reads: {rings:?}"),
        )?;

        let planned = asked(&project, &["promote", "tried", "--plan", "-o", "json"])?;
        ensure(planned["applied"] == false, || planned.to_string())?;
        let before = project.pid("used")?;
        let promoted = asked(&project, &["promote", "tried", "-o", "json"])?;
        let both = vec![("used".to_owned(), json!(["run"])), ("tried".to_owned(), json!(["run"]))];
        ensure(promoted["applied"] == true && restarted(&promoted) == both, || {
            promoted.to_string()
        })?;
        ensure(project.pid("used")? != before, || "used runs on as it was".to_owned())?;

        let kept = project.run(&["remove", "tried"])?;
        let said = String::from_utf8_lossy(&kept.stderr).into_owned();
        ensure(!kept.status.success() && said.contains("since that was promoted"), || said)?;
        // A file that says the same leaves it; the second time it is undone.
        let reloaded = asked(&project, &["reload", "-o", "json"])?;
        ensure(restarted(&reloaded).is_empty(), || reloaded.to_string())?;
        let undone = asked(&project, &["promote", "tried", "-o", "json"])?;
        ensure(restarted(&undone) == both, || undone.to_string())?;
        let refused = project.run(&["promote", "used"])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure(!refused.status.success() && said.contains("used is no shadow"), || said)?;
        project.down()?;
        Ok(json!({"pictures": report["pictures"], "things": report["things"]}))
    });
}
