//! `doctor` on a machine with one camera that answers and one that does not, and its bug report.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure};

fn topology(answers: u16, silent: u16) -> String {
    format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192'}}
  there: {{use: ingest, source: 'rtsp://admin:s3cr3t-word@127.0.0.1:{answers}/main'}}
  away: {{use: ingest, source: 'rtsp://127.0.0.1:{silent}/main'}}
  recorder: {{use: recorder, in: '*.packets', dir: recordings}}
  speaker: {{run: [sh, -c, 'echo my token is $MY_TOKEN; exec sleep infinity'], env: {{MY_TOKEN: tok3n-value}}}}
"
    )
}

fn holds(check: impl FnOnce() -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn each_check_says_what_it_saw_and_a_camera_that_is_away_fails() {
    holds(|| {
        let camera = TcpListener::bind("127.0.0.1:0").map_err(Failure::new)?;
        let port = camera.local_addr().map_err(Failure::new)?.port();
        let project = Project::new(&topology(port, free_port()?))?;
        let told = project.run(&["doctor", "-o", "json"])?;
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        ensure(told.status.code() == Some(1), || format!("{}: {text}", told.status))?;
        let report: Value = serde_json::from_str(&text).map_err(Failure::new)?;
        let verdict = |check: &str| {
            let rows = report["checks"].as_array().into_iter().flatten();
            let found = rows.clone().find(|row| row["check"].as_str() == Some(check));
            found.and_then(|row| row["verdict"].as_str()).unwrap_or("none").to_owned()
        };
        ensure(verdict("camera there") == "ok" && verdict("camera away") == "fail", || {
            text.clone()
        })?;
        for check in ["shared memory", "descriptors", "processes", "codecs", "kernel"] {
            ensure(verdict(check) == "ok", || format!("{check}: {text}"))?;
        }
        let folder = project.recordings();
        ensure(verdict(&format!("disk {}", folder.display())) != "none", || text.clone())?;
        ensure(!text.contains("s3cr3t-word") && !text.contains("admin"), || text.clone())?;
        let left = fs::read_dir(project.dir()).map_err(Failure::new)?.flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        let is_left = left.iter().any(|name| name.to_string_lossy().starts_with(".framevisor"));
        ensure(!is_left, || format!("left behind: {left:?}"))
    });
}

#[test]
fn a_bug_report_has_what_is_needed_and_no_secret() {
    holds(|| {
        let silent = free_port()?;
        let project = Project::new(&topology(silent, silent))?;
        project.succeed(&["up", "-d"])?;
        let said = || project.succeed(&["logs", "speaker"]).ok().filter(|s| s.contains("tok3n"));
        tests::wait_for(60, "the speaker's line", said)?;
        let file = project.dir().join("report.tar.gz");
        let name = file.display().to_string();
        project.run(&["doctor", "--bundle", &name])?;
        let mode = fs::metadata(&file).map_err(Failure::new)?.permissions().mode();
        ensure(mode & 0o777 == 0o600, || format!("mode {mode:o}"))?;
        let unpacked = Command::new("tar").args(["-xzf", &name, "-C"]).arg(project.dir()).output();
        let unpacked = unpacked.map_err(Failure::new)?;
        ensure(unpacked.status.success() && unpacked.stderr.is_empty(), || {
            String::from_utf8_lossy(&unpacked.stderr).into_owned()
        })?;
        let folder = project.dir().join("framevisor-report");
        let read = |name: &str| {
            fs::read_to_string(folder.join(name)).map_err(|e| Failure(format!("{name}: {e}")))
        };
        let logs = read("logs.jsonl")?;
        ensure(logs.contains("my token is ***"), || logs.clone())?;
        let why: Value = serde_json::from_str(&read("why/away.json")?).map_err(Failure::new)?;
        ensure(why["worker"]["name"] == "away", || why.to_string())?;
        let ps: Value = serde_json::from_str(&read("ps.json")?).map_err(Failure::new)?;
        ensure(ps.as_array().is_some_and(|rows| rows.len() == 5), || ps.to_string())?;
        let topology = read("topology-0.txt")?;
        ensure(topology.contains("rtsp://***@127.0.0.1"), || topology.clone())?;
        let all = [
            "doctor.json",
            "versions.txt",
            "graph.json",
            "rings.json",
            "events.jsonl",
            "status.json",
        ];
        for name in all.into_iter().chain(["logs.jsonl", "topology-0.txt", "why/there.json"]) {
            let text = read(name)?;
            let holds_none =
                ["s3cr3t-word", "tok3n-value"].iter().all(|secret| !text.contains(secret));
            ensure(holds_none && !text.is_empty(), || format!("{name}: {text}"))?;
        }
        let again = project.run(&["doctor", "--bundle", &name])?;
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        ensure(said.contains("is there already"), || said)
    });
}
