//! `framevisor bench` on real processes. How many cameras a machine carries is its own affair, so no test
//! asserts it: only what one or two of them cost, and that nothing is left.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::PoisonError;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::project::Project;
use tests::{processes, wait_for};

use crate::first_light::ONE_AT_A_TIME;

/// In a temporary place of its own, so that whatever is left there is its.
fn bench(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.command(&[&["bench"], arguments].concat());
    fs::create_dir_all(temporary(project)).unwrap();
    command.env("TMPDIR", temporary(project)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn temporary(project: &Project) -> PathBuf {
    project.dir().join("t")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

fn assert_nothing_is_left(project: &Project, bench: u32) {
    let left: Vec<_> = fs::read_dir(temporary(project)).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    for cameras in 1..=2 {
        let name = format!("bench-{bench}-{cameras}");
        let alive = processes::with_environment("FRAMEVISOR_PROJECT", &name);
        assert!(alive.is_empty(), "of {name} these live on: {alive:?}");
        assert!(
            shmring::census::names(&name.parse().unwrap()).is_empty(),
            "rings of {name} are left"
        );
    }
}

#[test]
fn one_camera_and_then_two_are_measured_and_nothing_of_them_is_left() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new("").unwrap();
    let arguments = ["--cameras-max", "2", "--for", "1s", "-o", "json"];
    let child = bench(&project, &arguments).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_nothing_is_left(&project, pid);
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps[0]["cameras"], 1, "{report}");
    for step in steps {
        assert_eq!((&step["lost"], &step["unproven"]), (&0.into(), &Value::Null), "{step}");
        assert!(step["packets"].as_u64().unwrap() > 0, "{step}");
        assert!(step["shm_bytes"].as_u64().unwrap() > 100_000, "{step}");
        assert!(step["descriptors"]["open"].as_u64().unwrap() > 3, "{step}");
        let kinds = step["cpu_by_kind"].as_array().unwrap();
        for kind in ["ingest", "recorder", "supervisor", "witness", "others"] {
            assert!(kinds.iter().any(|share| share["name"] == kind), "{kind}: {step}");
        }
    }
    // Two, unless other tests leave the machine nothing to spare: then it says so.
    let is_busy = report["bottleneck"]["what"] != "none";
    assert!(is_busy || (report["cameras"] == 2 && steps.len() == 2), "{report}");
}

#[test]
fn ctrl_c_ends_it_in_order_with_what_it_has() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new("").unwrap();
    // Of a terminal's foreground group, as in a shell.
    let arguments = ["--for", "10m", "-o", "json"];
    let child = bench(&project, &arguments).process_group(0).spawn().unwrap();
    let pid = child.id();
    let name = format!("bench-{pid}-1");
    let started =
        || (!processes::with_environment("FRAMEVISOR_PROJECT", &name).is_empty()).then_some(());
    wait_for(120, "a worker of the first step", started).unwrap();
    let group = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::killpg(group, Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let report = report(&output);
    assert_eq!((&report["interrupted"], output.status.code()), (&true.into(), Some(0)), "{report}");
    assert_nothing_is_left(&project, pid);
}

#[test]
fn a_camera_that_cannot_be_is_refused_with_what_is_expected() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let project = Project::new("").unwrap();
    let output = bench(&project, &["--size", "321x192"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("size=321x192") && said.contains("multiple of 32"), "{said}");
}
