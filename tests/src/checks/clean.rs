//! A run that nothing disturbs: everything captured is recorded, in order, and can be played.

use std::time::Duration;
use std::{fs, thread};

use protocol::name::RingKind;
use serde_json::{Value, json};

use super::{LOOP_PICTURES, SIZE, two_cameras};
use crate::project::Project;
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, ffmpeg, recordings, wait_for};

/// Records two cameras, stops cleanly, and accounts for every packet and picture.
pub fn nothing_is_lost(seconds: u64) -> Outcome<Value> {
    let running = two_cameras("")?;
    let project = &running.project;
    project.up()?;
    let rings = [Project::ring("cam1.packets")?, Project::ring("cam2.packets")?];
    let witness = Witness::start(project.name(), &rings);
    thread::sleep(Duration::from_secs(seconds));
    let moved = || Some(project.heads(RingKind::Events)).filter(|events| *events > 0);
    let (events, _) = wait_for(60, "a motion event of a moving picture", moved)?;
    let frames = project.heads(RingKind::Frames);
    project.down()?;
    let published = witness.finish();
    let balance = recordings::balance(&project.recordings(), &published)?;
    ensure(balance.lost == 0 && balance.captured > 0, || format!("packets lost: {balance:?}"))?;
    let published = published.packets()?;
    for (ring, modulo) in [(&rings[0], None), (&rings[1], Some(LOOP_PICTURES))] {
        pictures_are_exact(project, ring.camera(), published[ring].len() as u64, modulo)?;
    }
    Ok(json!({
        "packets_captured": balance.captured,
        "packets_recorded": balance.recorded,
        "packets_lost": balance.lost,
        "frames_decoded": frames,
        "motion_events": events,
    }))
}

fn pictures_are_exact(
    project: &Project,
    camera: &str,
    captured: u64,
    modulo: Option<u32>,
) -> Outcome<()> {
    let files = recordings::files(&project.recordings(), camera)?;
    let run = ffmpeg::run_of_files(&files, SIZE, modulo)?;
    ensure(run.is_exact(), || format!("{camera}: frame numbers have holes: {run:?}"))?;
    ensure(run.pictures == captured, || {
        format!("{camera}: {} pictures in the files, {captured} captured", run.pictures)
    })
}

/// A file as source: ten seconds made by ffmpeg, looped in real time.
pub fn a_file_is_a_camera(seconds: u64) -> Outcome<Value> {
    let topology = "version: 1
workers:
  cam1: {use: ingest, source: '{dir}/f.mp4'}
  recorder: {use: recorder, in: cam1.packets, dir: '{dir}/recordings'}
";
    let project = Project::new(topology)?;
    let source = project.dir().join("f.mp4").display().to_string();
    ffmpeg::make(&["-f", "lavfi", "-i", "testsrc2=r=25", "-t", "10", "-c:v", "libx264", &source])?;
    project.up()?;
    let ring = Project::ring("cam1.packets")?;
    let witness = Witness::start(project.name(), std::slice::from_ref(&ring));
    thread::sleep(Duration::from_secs(seconds));
    // 25 a second; what a busy machine owes by now it catches up.
    wait_for(60, "a packet for each picture", || (witness.seen() >= seconds * 25).then_some(()))?;
    project.down()?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0, || format!("packets lost: {balance:?}"))?;
    for file in recordings::files(&project.recordings(), "cam1")? {
        let said = ffmpeg::complaints(&["-i", &file.display().to_string()])?;
        ensure(said.is_empty(), || format!("{}: {said}", file.display()))?;
    }
    Ok(json!({ "packets_recorded": balance.recorded, "packets_lost": balance.lost }))
}

/// Half of the start of a process that links libavformat is its loading: only who opens a file has it.
pub fn only_who_demuxes_loads_a_demuxer() -> Outcome<Value> {
    let project = Project::new(
        "version: 1
workers:
  film: {use: ingest, source: '{dir}/f.mp4'}
  pattern: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}
",
    )?;
    let source = project.dir().join("f.mp4").display().to_string();
    ffmpeg::make(&["-f", "lavfi", "-i", "testsrc2=r=25", "-t", "2", "-c:v", "libx264", &source])?;
    project.up()?;
    for (worker, library, is_there) in [
        ("film", "libavformat", true),
        ("pattern", "libavcodec", true),
        ("pattern", "libavformat", false),
    ] {
        let maps = fs::read_to_string(format!("/proc/{}/maps", project.pid(worker)?));
        let is_loaded = maps.map_err(Failure::new)?.contains(library);
        ensure(is_loaded == is_there, || format!("{library} in {worker}: {is_loaded}"))?;
    }
    project.down()?;
    Ok(json!({}))
}

/// The stream over RTSP: ffmpeg has no complaint and the numbers rise by one.
pub fn rtsp_is_exact(seconds: u64) -> Outcome<Value> {
    let running = two_cameras("")?;
    running.project.up()?;
    let seconds = seconds.to_string();
    let url = running.rtsp_url("cam1");
    let input = ["-rtsp_transport", "tcp", "-i", &url, "-t", &seconds];
    let said = ffmpeg::complaints(&input)?;
    ensure(said.is_empty(), || format!("ffmpeg said: {said}"))?;
    let codes = ffmpeg::codes(&input, SIZE.0, SIZE.1)?;
    let run = crate::framecode::Run::of(&codes, None);
    ensure(run.is_exact(), || format!("frame numbers over RTSP: {run:?}"))?;
    running.project.down()?;
    Ok(json!({ "pictures": run.pictures, "first": run.first, "last": run.last }))
}
