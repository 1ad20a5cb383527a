//! Two cameras of another project, one behind a link that is late now more, now less: what their own
//! clocks, as sender reports tell them, make of it.

use std::time::Duration;

use serde_json::Value;
use shmring::clock;
use tests::link::Link;
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, wait_for};

use crate::exports::{export, holds, numbers, seconds};

/// The cameras: frame-coded, 25 pictures a second. They are recorded as they are, so that the moments of
/// their pictures are known.
const CAMERAS: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}
  cam2: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}
  rec: {use: recorder, in: [cam1.packets, cam2.packets], dir: '{dir}/recordings', segment: 10m}
  rtsp: {use: rtsp, in: [cam1.packets, cam2.packets], listen: '127.0.0.1:{port}'}
groups: {pair: [cam1, cam2]}
";
/// Who watches them.
const WATCHERS: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'rtsp://127.0.0.1:{near}/cam1'}
  cam2: {use: ingest, source: 'rtsp://127.0.0.1:{far}/cam2'}
  rec: {use: recorder, in: [cam1.packets, cam2.packets], dir: '{dir}/recordings', segment: 10m}
groups: {pair: [cam1, cam2]}
";

/// A pair that was watched over links; the manifest of its export, and how far apart in time, in s, the
/// export shows pictures that were made at the same time.
fn watched(without_reports: bool, states: &str) -> Outcome<(Value, f64)> {
    let port = free_port()?;
    let near = Link { late_ms: 0..1, without_reports, seed: 1 }.to(port)?;
    let far = Link { late_ms: 10..51, without_reports, seed: 2 }.to(port)?;
    let cameras = Project::new(&CAMERAS.replace("{port}", &port.to_string()))?;
    cameras.up()?;
    let text = WATCHERS.replace("{near}", &near.to_string()).replace("{far}", &far.to_string());
    let watchers = Project::new(&text)?;
    watchers.up()?;
    for camera in ["cam1", "cam2"] {
        let why = || watchers.worker(camera).ok().filter(|worker| worker.why == states);
        wait_for(60, &format!("{camera} to state {states:?}"), why)?;
    }
    // What came before was dated by a clock that was not known yet; a group of pictures ends after that.
    let settled = clock::mono() + Duration::from_secs(2);
    std::thread::sleep(Duration::from_secs(10));
    watchers.down()?;
    cameras.down()?;
    let (_, made) = zeros(&cameras, "1h")?;
    let ago_s = clock::mono().saturating_since(settled).as_secs();
    let (manifest, told) = zeros(&watchers, &format!("{ago_s}s"))?;
    // How late each camera's pictures are said to be; the difference is what sets the two apart.
    let late: Vec<f64> = told.iter().zip(&made).map(|(told, made)| told - made).collect();
    println!("pictures are dated {late:?} s late; skew as told: {}", manifest["skew"]);
    Ok((manifest, (late[1] - late[0]).abs()))
}

/// The manifest of an export, and when each camera's picture 0 was made by what it says.
/// From `ago` on.
fn zeros(project: &Project, ago: &str) -> Outcome<(Value, Vec<f64>)> {
    let out = project.dir().join("pair");
    let told = export(project, &["pair", "--from", ago, "-o", &out.display().to_string()])?;
    let mut zeros = Vec::new();
    for camera in told["cameras"].as_array().into_iter().flatten() {
        let file = &camera["files"][0];
        let path = out.join(file["file"].as_str().unwrap_or_default());
        let first = numbers(&path)?.first().copied().ok_or_else(|| Failure::new("no picture"))?;
        zeros.push(seconds(&file["from"])? - f64::from(first) / 25.0);
    }
    ensure(zeros.len() == 2, || format!("two cameras are wanted: {told}"))?;
    Ok((told, zeros))
}

fn sources(manifest: &Value) -> Vec<&str> {
    let cameras = manifest["cameras"].as_array().into_iter().flatten();
    cameras.filter_map(|camera| camera["clock"]["source"].as_str()).collect()
}

#[test]
fn a_pair_with_sender_reports_is_within_a_frame_and_the_manifest_names_the_clock() {
    holds(|| {
        let (manifest, apart) = watched(false, "on the camera's clock")?;
        ensure(sources(&manifest) == ["camera", "camera"], || manifest.to_string())?;
        ensure(manifest["skew"]["max_ms"].as_f64().is_some_and(|max| max <= 41.0), || {
            manifest["skew"].to_string()
        })?;
        ensure(apart <= 0.04, || format!("pictures of one moment are {apart} s apart"))
    });
}

#[test]
fn a_pair_without_sender_reports_is_within_a_tenth_and_the_manifest_says_so() {
    holds(|| {
        let (manifest, apart) = watched(true, "")?;
        ensure(sources(&manifest) == ["arrival", "arrival"], || manifest.to_string())?;
        ensure(manifest["skew"]["uncertain_ms"].as_f64().is_some(), || manifest.to_string())?;
        ensure(apart < 0.1, || format!("pictures of one moment are {apart} s apart"))
    });
}
