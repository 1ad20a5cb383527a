//! What people do wrong, and what they are told. `docs/errors.md` shows the same rows.

use std::net::TcpListener;
use std::process::Command;

use protocol::admin::WorkerState;
use serde_json::{Value, json};

use crate::project::{Project, binary, source_root};
use crate::{Failure, Outcome, ensure, wait_for};

/// One mistake in a topology: what is written, and what stderr must say.
struct Row {
    name: &'static str,
    topology: &'static str,
    exit: i32,
    says: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        name: "unknown key",
        topology: "version: 1\nworkers:\n  cam1: {use: ingest, sorce: 'test:'}\n",
        exit: 3,
        says: &["framevisor.yml:4:", "sorce", "source"],
    },
    Row {
        name: "wrong type",
        topology: "version: 1\nworkers:\n  cam1: {use: ingest, source: 'test:'}\n  dec: {use: decoder, in: cam1.packets, threads: many}\n",
        exit: 3,
        says: &["framevisor.yml:5:", "threads", "many"],
    },
    Row {
        name: "missing file",
        topology: "version: 1\nworkers:\n  cam1: {use: ingest, source: '{dir}/nothing.mp4'}\n",
        exit: 3,
        says: &["framevisor.yml:4:", "nothing.mp4"],
    },
    Row {
        name: "ring without writer",
        topology: "version: 1\nworkers:\n  dec: {use: decoder, in: cam9.packets}\n",
        exit: 3,
        says: &["framevisor.yml:4:", "cam9.packets"],
    },
    Row {
        name: "two writers of one ring",
        topology: "version: 1\nworkers:\n  a: {use: ingest, source: 'test:', out: cam1.packets}\n  b: {use: ingest, source: 'test:', out: cam1.packets}\n",
        exit: 3,
        says: &["framevisor.yml:5:", "cam1.packets"],
    },
    Row {
        name: "no address to publish to",
        topology: "version: 1\nworkers:\n  cam1: {use: ingest, source: 'test:'}\n  push: {use: rtsp-push, in: cam1.packets, to: 'http://h/cam1'}\n",
        exit: 3,
        says: &["framevisor.yml:5:", "rtsp://", "rtmp://"],
    },
    Row {
        name: "unwritable recordings directory",
        topology: "version: 1\nworkers:\n  cam1: {use: ingest, source: 'test:'}\n  rec: {use: recorder, in: cam1.packets, dir: /proc/recordings}\n",
        exit: 3,
        says: &["framevisor.yml:5:", "/proc/recordings"],
    },
];

/// Runs every row; each names the place, what was seen and what to do.
pub fn every_row_says_what_where_and_what_to_do() -> Outcome<Value> {
    for row in ROWS {
        topology_row(row)?;
    }
    a_port_in_use_is_named()?;
    a_second_up_touches_nothing()?;
    an_unreachable_camera_is_a_state()?;
    Ok(json!({ "rows": ROWS.len() + 3 }))
}

fn topology_row(row: &Row) -> Outcome<()> {
    let project = Project::new(row.topology)?;
    for verb in [&["check"][..], &["up", "-d"]] {
        let output = project.run(verb)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(output.status.code() == Some(row.exit), || {
            format!(
                "{} ({verb:?}): exit {:?}, expected {}\n{said}",
                row.name,
                output.status.code(),
                row.exit
            )
        })?;
        for needle in row.says {
            let needle = needle.replace("{dir}", &project.dir().display().to_string());
            ensure(said.contains(&needle), || {
                format!("{} ({verb:?}): does not say '{needle}'\n{said}", row.name)
            })?;
        }
        ensure(said.contains("help:"), || {
            format!("{}: does not say what to do\n{said}", row.name)
        })?;
    }
    is_documented(row.name)
}

fn is_documented(name: &str) -> Outcome<()> {
    let document = std::fs::read_to_string(source_root().join("docs/errors.md"))
        .map_err(|error| Failure(format!("docs/errors.md: {error}")))?;
    ensure(document.contains(name), || format!("docs/errors.md has no row '{name}'"))
}

fn a_port_in_use_is_named() -> Outcome<()> {
    let taken = TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::new)?;
    let address = taken.local_addr().map_err(Failure::new)?.to_string();
    let topology = format!(
        "version: 1\nworkers:\n  cam1: {{use: ingest, source: 'test:'}}\n  rtsp: {{use: rtsp, in: cam1.packets, listen: '{address}'}}\n"
    );
    let project = Project::new(&topology)?;
    let output = project.run(&["up", "-d"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(output.status.code() == Some(1), || {
        format!("port in use: exit {:?}\n{said}", output.status.code())
    })?;
    for needle in [address.as_str(), "rtsp", "in use"] {
        ensure(said.contains(needle), || format!("port in use: does not say '{needle}'\n{said}"))?;
    }
    is_documented("port in use")
}

fn a_second_up_touches_nothing() -> Outcome<()> {
    let project = Project::new("version: 1\nworkers:\n  cam1: {use: ingest, source: 'test:'}\n")?;
    project.up()?;
    let (camera, supervisor) = (project.pid("cam1")?, project.supervisor_pid()?);
    project.succeed(&["up", "-d"])?;
    // Another file that gives itself the same name.
    let other = project.dir().join("other.yml");
    std::fs::copy(project.file(), &other).map_err(Failure::new)?;
    let mut command = Command::new(binary("framevisor"));
    command.arg("-f").arg(other).arg("--runtime-dir").arg(project.dir().join("run"));
    let output = command.args(["up", "-d"]).output().map_err(Failure::new)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(output.status.code() == Some(1), || {
        format!("second up: exit {:?}\n{said}", output.status.code())
    })?;
    ensure(said.contains("already running") && said.contains(&supervisor.to_string()), || {
        format!("second up: does not name pid {supervisor}\n{said}")
    })?;
    ensure(project.pid("cam1")? == camera, || "second up: the camera was restarted".into())?;
    project.down()?;
    is_documented("second up")
}

fn an_unreachable_camera_is_a_state() -> Outcome<()> {
    // Port 9 of loopback: nobody listens there.
    let topology = "version: 1\nworkers:\n  cam1: {use: ingest, source: 'rtsp://user:secret@127.0.0.1:9/x'}\n  cam2: {use: ingest, source: 'test:'}\n";
    let project = Project::new(topology)?;
    project.succeed(&["up", "-d"])?;
    let degraded =
        || project.worker("cam1").ok().filter(|status| status.state == WorkerState::Degraded);
    let (status, _) = wait_for(60, "the camera to be reported down", degraded)?;
    ensure(status.restarts == 0 && !status.why.is_empty(), || {
        format!("unreachable camera: {status:?}")
    })?;
    ensure(!status.why.contains("secret"), || "the password is shown".into())?;
    ensure(project.worker("cam2")?.pid.is_some(), || "the other camera was disturbed".into())?;
    project.down()?;
    is_documented("unreachable camera")
}
