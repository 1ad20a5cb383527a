//! What an export costs, beside `cp` of the same files.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use shmring::clock;

use super::{median_and_worst, ms_since};
use crate::project::Project;
use crate::{Failure, Outcome, ensure};

/// Pairs of an export and a copy.
const PAIRS: usize = 11;

/// Records `cameras` of 2 Mbit/s for so long, then exports and copies all of it in turn. The speed is that
/// of the copy in time over that of the export: 0.5 takes twice as long.
pub fn beside_cp(cameras: usize, seconds: u64) -> Outcome<Value> {
    let project = recorded(cameras, seconds)?;
    let (recordings, to) = (project.recordings(), project.dir().join("to"));
    let bytes = bytes_below(&recordings)?;
    let copy = || timed(&to, || run(Command::new("cp").arg("-r").arg(&recordings).arg(&to)));
    // Both read what the first one brought into memory.
    copy()?;
    let (mut copies, mut exports) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        copies.push(copy()?);
        exports.push(timed(&to, || exported(&project, &to, cameras, bytes))?);
    }
    let speeds = copies.iter().zip(&exports).map(|(copy, export)| copy / export);
    // The same against itself, a turn later: what a ratio means here.
    let itself = copies.windows(2).map(|pair| pair[1] / pair[0]);
    let (least, most) = itself
        .fold((f64::INFINITY, 0.0_f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let median = |mut values: Vec<f64>| round(median_and_worst(&mut values).0);
    Ok(json!({
        "cameras": cameras,
        "seconds": seconds,
        "bytes": bytes,
        "pairs": PAIRS,
        "cp_ms": median(copies.clone()),
        "export_ms": median(exports.clone()),
        "speed_of_cp": median(speeds.collect()),
        "cp_against_itself": [round(least), round(most)],
    }))
}

fn recorded(cameras: usize, seconds: u64) -> Outcome<Project> {
    let names: Vec<String> = (1..=cameras).map(|number| format!("cam{number:02}")).collect();
    let mut text = "version: 1\nworkers:\n".to_owned();
    for name in &names {
        // Writing to a text never fails.
        let _ = writeln!(
            text,
            "  {name}: {{use: ingest, source: \
             'test:?size=320x192&fps=25&gop=25&bitrate=2000k&mode=loop'}}"
        );
    }
    let rings: Vec<String> = names.iter().map(|name| format!("{name}.packets")).collect();
    let rings = rings.join(", ");
    let _ =
        writeln!(text, "  recorder: {{use: recorder, in: [{rings}], dir: '{{dir}}/recordings'}}");
    let project = Project::new(&text)?;
    project.succeed(&["up", "-d", "--wait", "--timeout", "300s"])?;
    thread::sleep(Duration::from_secs(seconds));
    project.down()?;
    Ok(project)
}

/// Everything, as a folder with manifest and page.
fn exported(project: &Project, to: &Path, cameras: usize, bytes: u64) -> Outcome<()> {
    let folder = to.display().to_string();
    project.succeed(&["export", "cam*", "--last", "24h", "-o", &folder])?;
    let manifest = fs::read(to.join("manifest.json")).map_err(Failure::new)?;
    let manifest: Value = serde_json::from_slice(&manifest).map_err(Failure::new)?;
    let told = manifest["cameras"].as_array().map_or(0, Vec::len);
    ensure(told == cameras, || format!("{told} cameras in the manifest, {cameras} recorded"))?;
    let exported = bytes_below(to)?;
    ensure(exported * 100 >= bytes * 99, || format!("{exported} bytes exported of {bytes}"))
}

/// In ms; what was made is removed.
fn timed(made: &Path, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let start = clock::mono();
    work()?;
    let took = ms_since(start);
    fs::remove_dir_all(made).map_err(Failure::new)?;
    Ok(took)
}

fn run(command: &mut Command) -> Outcome<()> {
    let status = command.status().map_err(Failure::new)?;
    ensure(status.success(), || format!("{command:?}: {status}"))
}

fn bytes_below(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(Failure::new)? {
        let entry = entry.map_err(Failure::new)?;
        let metadata = entry.metadata().map_err(Failure::new)?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
