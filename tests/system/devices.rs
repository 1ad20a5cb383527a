//! Pictures on a CUDA device, through all processes: by a driver that is none. What decodes and encodes on a device
//! only a real one has.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::{Value, json};
use shmring_cuda::{Device, Driver, fake};
use tests::checks::python::{python, python_path};
use tests::framecode::Run;
use tests::project::{Project, source_root};
use tests::{Failure, Outcome, ensure, ffmpeg, processes, wait_for};

use crate::first_light::holds;
use crate::ring_verbs::dump;

/// Pictures that must be the same, before the decoder is killed and after.
const PICTURES: u64 = 25;

const TOPOLOGY: &str = "version: 1
workers:
  cam: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  decode:
    use: decoder
    in: cam.packets
    restart: {delay: 0s, limit: none}
    outputs: {here: {format: yuv420p}, rgb: {size: 160x96, format: rgb24}}
  again: {use: encoder, in: cam.frames, hardware: nvenc}
rings:
  cam.frames: {memory: cuda}
  cam.rgb.frames: {memory: cuda}
";

#[test]
fn pictures_on_a_device_are_those_of_the_machine_by_frame_id_through_a_kill_of_the_decoder() {
    holds(|| {
        let project = Project::new(TOPOLOGY)?;
        let driver = fake::build(project.dir());
        let encoded = || encoded_here(&project);
        compared(&project, &driver, encoded, "each picture is copied to GPU-")
    });
}

#[test]
fn pictures_that_a_real_device_decodes_stay_there() {
    if let Err(error) = Driver::here().and_then(Device::first) {
        return println!("skipped: no device: {error}");
    }
    holds(|| {
        let topology = TOPOLOGY.replace("format: yuv420p", "format: nv12");
        let topology =
            topology.replace("in: cam.packets\n", "in: cam.packets\n    hardware: cuda\n");
        let project = Project::new(&topology)?;
        let encoded = || {
            let told = project.succeed(&["logs", "again"])?;
            ensure(told.contains("of pictures on its device"), || told)?;
            encoded(&project)
        };
        compared(&project, Path::new("libcuda.so.1"), encoded, "pictures stay on GPU-")
    });
}

/// `way`: what the decoder says of the way that pictures take.
fn compared(
    project: &Project,
    driver: &Path,
    encoded: impl Fn() -> Outcome<u64>,
    way: &str,
) -> Outcome<Value> {
    let up = project
        .command(&["up", "-d", "--wait", "--timeout", "180s"])
        .env("FRAMEVISOR_LIBCUDA", driver)
        .output()
        .map_err(Failure::new)?;
    ensure(up.status.success(), || String::from_utf8_lossy(&up.stderr).into_owned())?;
    let mut reader = Command::new("timeout")
        .args(["120", &python()])
        .arg(source_root().join("tests/python/device_frames.py"))
        .args([project.name().as_str(), &PICTURES.to_string()])
        .env("PYTHONPATH", python_path()?)
        .env("FRAMEVISOR_LIBCUDA", driver)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Failure::new)?;
    let said = reader.stdout.take().ok_or_else(|| Failure("no stdout".to_owned()))?;
    let mut said = BufReader::new(said).lines();
    let mut line = || said.next().and_then(Result::ok).unwrap_or_default();
    let half = line();
    ensure(half == "half", || format!("device_frames.py said '{half}'"))?;
    let encoded = encoded()?;
    let before = project.pid("decode")?;
    processes::signal(before, Signal::SIGKILL);
    project.wait_restarted("decode", before)?;
    let figures: Value = serde_json::from_str(&line()).map_err(Failure::new)?;
    let status = reader.wait().map_err(Failure::new)?;
    ensure(status.success(), || format!("device_frames.py: {status}"))?;
    for life in 0..2 {
        let (equal, scaled) = (&figures["equal"][life], &figures["scaled"][life]);
        ensure(equal == scaled && equal.as_u64() >= Some(PICTURES), || figures.to_string())?;
    }
    let logs = project.succeed(&["logs", "decode"])?;
    ensure(logs.contains(way), || logs)?;
    project.down()?;
    Ok(json!({"compared": figures, "encoded": encoded}))
}

/// Without NVENC the processor encodes, which is told.
fn encoded_here(project: &Project) -> Outcome<u64> {
    let is_told = || {
        let status = project.worker("again").ok()?;
        (status.state == WorkerState::Degraded && status.why.contains("the processor does it"))
            .then_some(())
    };
    wait_for(60, "ps to tell of the missing encoder", is_told)?;
    encoded(project)
}

/// What an encoder has made of pictures on the device.
fn encoded(project: &Project) -> Outcome<u64> {
    let clip = project.dir().join("again.mp4");
    let clip_of = || {
        let dumped = dump(project, "again.packets", "5s", &clip).ok()?;
        (dumped.files.iter().map(|file| file.items).sum::<u64>() > PICTURES).then_some(())
    };
    wait_for(60, "pictures that were encoded", clip_of)?;
    let name = clip.display().to_string();
    let run = Run::of(&ffmpeg::codes(&["-i", &name], 320, 192)?, None);
    ensure(run.torn + run.unreadable + run.lost == 0 && run.pictures > PICTURES, || {
        format!("encoded: {run:?}")
    })?;
    Ok(run.pictures)
}

#[test]
fn a_ring_on_a_device_that_is_not_there_is_an_error_with_a_cure_and_the_others_go_on() {
    holds(|| {
        let project = Project::new(TOPOLOGY)?;
        let up = project
            .command(&["up", "-d"])
            .env("FRAMEVISOR_LIBCUDA", "/nowhere/libcuda.so.1")
            .output()
            .map_err(Failure::new)?;
        ensure(up.status.success(), || String::from_utf8_lossy(&up.stderr).into_owned())?;
        let told = || {
            let why = project.succeed(&["why", "decode"]).ok()?;
            let words = ["cam.frames has memory: cuda", "no CUDA driver", "give it memory: host"];
            words.iter().all(|word| why.contains(word)).then_some(())
        };
        wait_for(60, "why to tell of the missing driver", told)?;
        let flows = || (project.worker("cam").ok()?.state == WorkerState::Running).then_some(());
        wait_for(60, "the camera to flow", flows)?;
        project.down()?;
        Ok(json!({}))
    });
}
