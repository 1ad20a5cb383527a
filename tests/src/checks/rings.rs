//! The promises of the rings: the tools that hold them are scripts and tests of their own, run here for
//! real, and one pipeline with a reader that never lets go of anything.

use std::process::Command;
use std::thread;
use std::time::Duration;

use protocol::name::RingName;
use serde_json::{Map, Value, json};
use shmring::{Error, FrameOptions, FrameReader, Next, census};

use super::{RESTART_AT_ONCE, two_cameras};
use crate::processes;
use crate::project::{Project, source_root};
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, recordings, wait_for};

/// `scripts/torture` for so long: its own report, or what it said instead.
pub fn torture(seconds: u64, seed: u64) -> Outcome<Value> {
    let (seconds, seed) = (seconds.to_string(), seed.to_string());
    let report = report_of("torture", &["--seconds", &seconds, "--seed", &seed])?;
    let witnesses = report["witnesses"].as_array().cloned().unwrap_or_default();
    ensure(!witnesses.is_empty() && witnesses.iter().all(|one| one["flat"] == true), || {
        format!("a witness grew: {witnesses:?}")
    })?;
    Ok(json!({
        "readers_killed": report["killed"]["readers"],
        "writers_killed": report["killed"]["writers"],
        "readers_stopped": report["stopped_readers"],
        "frames_checked": report["frames"]["checked"],
        "torn": report["frames"]["torn"],
        "packets_checked": report["packets"]["checked"],
        "bad": report["packets"]["bad"],
        "unaccounted": report["packets"]["unaccounted"],
        "names_left": report["names_left"].as_array().map_or(0, Vec::len),
    }))
}

/// Torture with the pin taken out must find torn pictures, and the model every missing fence: else
/// neither proves anything.
pub fn sabotage_is_noticed(seed: u64) -> Outcome<Value> {
    let seed = seed.to_string();
    let pin = report_of("torture", &["--seconds", "10", "--seed", &seed, "--sabotage", "pin"])?;
    let fence = report_of("torture", &["--sabotage", "fence"])?;
    Ok(json!({
        "torn_without_pin": pin["frames"]["torn"],
        "mutants_noticed": fence["mutants_noticed"],
        "mutants_missed": fence["mutants_missed"],
    }))
}

/// `scripts/bench rings` in its short form: every row.
pub fn bench() -> Outcome<Value> {
    report_of("bench", &["rings", "--quick"])
}

/// Tests of one crate by a part of their names: at least one, and all pass.
pub fn named_tests(package: &str, test: &str, names: &[&str]) -> Outcome<Value> {
    let said = tests_with(package, test, names, &[])?;
    let passed: u64 = said.lines().filter_map(passed_tests).sum();
    let skipped: Vec<&str> = said.lines().filter(|line| line.contains("skipped:")).collect();
    let mut figures = Map::from_iter([("tests_passed".to_owned(), json!(passed))]);
    if !skipped.is_empty() {
        figures.insert("skipped".into(), json!(skipped));
    }
    figures.extend(said.lines().filter_map(told_figure));
    Ok(Value::Object(figures))
}

/// `figure: NAME NUMBER`, which a test may print.
fn told_figure(line: &str) -> Option<(String, Value)> {
    let (_, figure) = line.split_once("figure: ")?;
    let (name, number) = figure.split_once(' ')?;
    Some((name.to_owned(), json!(number.trim().parse::<f64>().ok()?)))
}

/// As [`named_tests`], in an environment; what the tests printed.
pub fn tests_with(
    package: &str,
    test: &str,
    names: &[&str],
    environment: &[(&str, &str)],
) -> Outcome<String> {
    let words = [&["--"], names, &["--nocapture"]].concat();
    let said = cargo_test(package, test, &words, environment)?;
    let passed: u64 = said.lines().filter_map(passed_tests).sum();
    ensure(passed > 0, || format!("{package} {test} {names:?}: none has run\n{said}"))?;
    Ok(said)
}

/// What `cargo test` of one program printed; an error when it failed.
fn cargo_test(
    package: &str,
    test: &str,
    words: &[&str],
    environment: &[(&str, &str)],
) -> Outcome<String> {
    // With one selection of packages all test programs share one build of what they rest on.
    let selected = match package {
        "shmring-python" => &["-p", "shmring-python"][..],
        _ => &["--workspace", "--exclude", "shmring-python"],
    };
    let output = Command::new("cargo")
        .args(["test", "--release", "--locked", "--quiet"])
        .args(selected)
        .args(selected_program(test))
        .args(words)
        .envs(environment.iter().copied())
        .current_dir(source_root())
        .output()
        .map_err(|error| Failure(format!("cargo in {}: {error}", source_root().display())))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure(output.status.success(), || {
        let why = String::from_utf8_lossy(&output.stderr);
        format!("{package} {test} {words:?}: {}\n{said}{why}", output.status)
    })?;
    Ok(said)
}

/// `bin NAME` are the tests inside a program.
fn selected_program(test: &str) -> [&str; 2] {
    match test.strip_prefix("bin ") {
        Some(name) => ["--bin", name],
        None => ["--test", test],
    }
}

/// `test result: ok. 3 passed; ...` of a test program, or `Ran 3 tests in 0.1s` of Python's.
fn passed_tests(line: &str) -> Option<u64> {
    line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse().ok()
}

/// A reader that takes every place and lease there is, and holds them: capture, recording and the
/// restart of every writer go on.
pub fn a_hoarder_stops_nobody() -> Outcome<Value> {
    let running = two_cameras(RESTART_AT_ONCE)?;
    let project = &running.project;
    project.up()?;
    let packets = Project::ring("cam1.packets")?;
    let witness = Witness::start(project.name(), std::slice::from_ref(&packets));
    let mut hoard = Hoard::default();
    hoard.take_all(project, &Project::ring("cam1.frames")?)?;
    let (places, leases) = (hoard.readers.len(), hoard.frames.len());
    ensure(places > 0 && leases >= places, || format!("{places} places, {leases} leases"))?;
    let mut moved = Map::new();
    for victim in ["cam1-decoder", "cam1"] {
        let before = project.pid(victim)?;
        processes::signal(before, nix::sys::signal::Signal::SIGKILL);
        project.wait_restarted(victim, before)?;
        moved.insert(victim.into(), json!(pictures_within(project, Duration::from_secs(1))?));
    }
    drop(hoard);
    project.down()?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0, || format!("packets lost: {balance:?}"))?;
    Ok(json!({
        "places_held": places, "leases_held": leases, "pictures_after_restart": moved,
        "packets": balance.captured, "lost": balance.lost,
    }))
}

#[derive(Default)]
struct Hoard {
    // Frames first: they go before their readers.
    frames: Vec<shmring::Frame>,
    readers: Vec<FrameReader>,
}

impl Hoard {
    /// Attaches until there is no place, then takes frames until there is no lease.
    fn take_all(&mut self, project: &Project, ring: &RingName) -> Outcome<()> {
        loop {
            match FrameReader::attach(project.name(), ring, &FrameOptions::named("hoarder")) {
                Ok(reader) => self.readers.push(reader),
                Err(Error::NoPlace { .. }) => break,
                Err(error) => return Err(Failure::new(error)),
            }
        }
        for reader in &mut self.readers {
            loop {
                match reader.next(Duration::from_secs(5)) {
                    Ok(Next::Item(frame)) => self.frames.push(frame),
                    Ok(_) => {}
                    Err(Error::NoLease { .. }) => break,
                    Err(error) => return Err(Failure::new(error)),
                }
            }
        }
        Ok(())
    }
}

/// Pictures published into cam1's frame ring, at least one.
fn pictures_within(project: &Project, time: Duration) -> Outcome<u64> {
    let ring = Project::ring("cam1.frames")?;
    let head = || census::status(project.name(), &ring, shmring::clock::mono());
    let first = head();
    let flows = || {
        let now = head();
        (now.epoch != first.epoch || now.head > first.head).then_some(())
    };
    wait_for(60, "pictures after the restart", flows)?;
    let before = head();
    thread::sleep(time);
    let after = head();
    Ok(if after.epoch == before.epoch { after.head - before.head } else { after.head })
}

/// Runs a script of the project; the JSON of its last line.
fn report_of(script: &str, arguments: &[&str]) -> Outcome<Value> {
    let output = Command::new(source_root().join("scripts").join(script))
        .args(arguments)
        .output()
        .map_err(|error| Failure(format!("scripts/{script}: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    ensure(output.status.success(), || {
        let why = String::from_utf8_lossy(&output.stderr);
        format!("scripts/{script} {arguments:?}: {}\n{last}\n{why}", output.status)
    })?;
    serde_json::from_str(last).map_err(|error| {
        Failure(format!("scripts/{script}: its last line is no report: {error}: {last}"))
    })
}
