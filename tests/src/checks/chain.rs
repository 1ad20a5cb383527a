//! A command's raw pictures, looked at by a Python program, marked, composed, encoded, served and published: the
//! longest way that there is, begun and ended again and again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use protocol::name::ProjectName;
use protocol::time::{MonoNs, NS_PER_S};
use protocol::units::Size;
use serde_json::{Value, json};
use shmring::{FrameOptions, Next, PacketOptions, Policy, Start};
use worker::{FrameInput, PacketInput};

use crate::project::{Project, free_port, source_root};
use crate::{Failure, Outcome, ensure, processes, wait_for};

use super::python::{python, python_path};

const FPS: u32 = 30;
/// From the moment a picture was taken to the moment a viewer has it.
pub const LATENCY_MS: f64 = 150.0;
/// Packets of the same picture are the same bytes; so many of their last ones tell them apart.
const TAIL: usize = 48;

/// The chain with pictures of `size`, whose viewer is another ingest, and whose second server is an ffmpeg that
/// waits for somebody to publish.
fn chain(size: Size) -> Outcome<Project> {
    let (served, published) = (free_port()?, free_port()?);
    let (path, python) = (python_path()?, python());
    let marks = source_root().join("scripts/examples/marks.py");
    Project::new(&format!(
        "version: 1
workers:
  cam:
    run: [ffmpeg, -nostdin, -v, error, -re, -f, lavfi, -i, 'testsrc2=size={size}:rate={FPS}', -f, rawvideo,
          -pix_fmt, yuv420p, '-']
    stdout: cam.frames
    raw: {{format: yuv420p, size: {size}, fps: {FPS}}}
  marks:
    run: ['{python}', '{marks}']
    env: {{PYTHONPATH: '{path}'}}
    in: cam.frames
    out: marks.frames
    restart: {{delay: 0s, limit: none}}
  mix:
    use: compositor
    in: [cam.frames, marks.frames]
    size: {size}
    fps: {FPS}
    wait: 40ms
    places: {{marks.frames: {{over: cam.frames}}}}
  encode: {{use: encoder, in: mix.frames, codec: h264, bitrate: 4M}}
  rtsp: {{use: rtsp, in: encode.packets, listen: '127.0.0.1:{served}'}}
  back: {{use: ingest, source: 'rtsp://127.0.0.1:{served}/encode', after: rtsp}}
  server:
    run: [ffmpeg, -nostdin, -v, error, -y, -rtsp_flags, listen, -i, 'rtsp://127.0.0.1:{published}/mix', -c, copy,
          -flush_packets, '1', -f, mpegts, '{{dir}}/published.ts']
  push: {{use: rtsp-push, in: encode.packets, to: 'rtsp://127.0.0.1:{published}/mix', after: server}}
",
        marks = marks.display(),
    ))
}

/// Begins and ends the chain so many times, each at once after the other; in the first of them the analyzer is
/// killed amid `seconds` of watching.
pub fn of_raw_pictures(size: Size, cycles: u32, seconds: u64) -> Outcome<Value> {
    let project = chain(size)?;
    let mut figures = json!({});
    for cycle in 0..cycles {
        project.up()?;
        is_published(&project).map_err(|failure| Failure(format!("start {cycle}: {failure}")))?;
        if cycle == 0 {
            figures = watched(&project, seconds)?;
        }
        project.down()?;
        let left = || processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str());
        let none = || left().is_empty().then_some(());
        wait_for(60, "the processes to end", none)
            .map_err(|failure| Failure(format!("start {cycle}: {failure}: {:?}", left())))?;
    }
    figures["starts"] = json!(cycles);
    Ok(figures)
}

/// Nobody found a port in use or lost heart: the second server has pictures.
fn is_published(project: &Project) -> Outcome<()> {
    let file = project.dir().join("published.ts");
    let begun = || {
        let runs = project.worker("push").ok()?.state == WorkerState::Running;
        (runs && file.metadata().is_ok_and(|it| it.len() > 0)).then_some(())
    };
    wait_for(60, "the second server to have pictures", begun)?;
    // Who is held up by a busy machine says so for a while.
    let bad = |state| !matches!(state, WorkerState::Ready | WorkerState::Running);
    let are_well = || project.ps().ok()?.iter().all(|row| !bad(row.state)).then_some(());
    wait_for(60, "all to be well", are_well)
        .map_err(|failure| Failure(format!("{failure}: {:?}", project.ps())))?;
    let rows = project.ps()?;
    let troubled: Vec<_> = rows.iter().filter(|row| row.restarts > 0).collect();
    ensure(troubled.is_empty(), || format!("not well: {troubled:?}"))?;
    std::fs::remove_file(&file).map_err(Failure::new)
}

fn watched(project: &Project, seconds: u64) -> Outcome<Value> {
    let half = Duration::from_secs(seconds) / 2;
    let stop = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let name = project.name();
        let frames = |ring| scope.spawn(frames_of(name, ring, &stop));
        let packets = |ring| scope.spawn(packets_of(name, ring, &stop));
        let threads = (frames("cam.frames"), frames("mix.frames"));
        let coded = (packets("encode.packets"), packets("back.packets"));
        thread::sleep(half);
        let killed = kill_the_analyzer(project);
        thread::sleep(half);
        stop.store(true, Ordering::Relaxed);
        let panicked = |_| Failure::new("a reader panicked");
        let seen = Seen {
            taken: threads.0.join().map_err(panicked)??,
            composed: threads.1.join().map_err(panicked)??,
            encoded: coded.0.join().map_err(panicked)??,
            viewed: coded.1.join().map_err(panicked)??,
        };
        killed.map(|()| seen)
    })?;
    seen.is_steady()?;
    seen.told()
}

fn kill_the_analyzer(project: &Project) -> Outcome<()> {
    let before = project.pid("marks")?;
    processes::signal(before, Signal::SIGKILL);
    project.wait_restarted("marks", before).map(drop)
}

/// What was read of the four rings.
struct Seen {
    taken: Vec<Taken>,
    composed: Vec<Taken>,
    encoded: Vec<Coded>,
    viewed: Vec<Coded>,
}

/// A picture of a ring.
#[derive(Clone, Copy, Debug)]
struct Taken {
    capture: MonoNs,
    published: MonoNs,
}

/// A packet of a ring, told apart by its last bytes.
#[derive(Clone, Debug)]
struct Coded {
    capture: MonoNs,
    came: MonoNs,
    published: MonoNs,
    tail: Vec<u8>,
}

fn frames_of<'a>(
    project: &'a ProjectName,
    ring: &'static str,
    stop: &'a AtomicBool,
) -> impl FnOnce() -> Outcome<Vec<Taken>> + Send + 'a {
    move || {
        let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("check") };
        let mut input = FrameInput::detached(project, &Project::ring(ring)?, options);
        let mut seen = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            match input.poll(Duration::from_millis(50)).map_err(Failure::new)? {
                Some(Next::Item(frame)) => {
                    let (capture, published) = (frame.meta().capture.mono, frame.published());
                    seen.push(Taken { capture, published });
                }
                Some(Next::NewEpoch { .. }) => {
                    return Err(Failure(format!("the writer of {ring} was started again")));
                }
                _ => {}
            }
        }
        Ok(seen)
    }
}

fn packets_of<'a>(
    project: &'a ProjectName,
    ring: &'static str,
    stop: &'a AtomicBool,
) -> impl FnOnce() -> Outcome<Vec<Coded>> + Send + 'a {
    move || {
        let options = PacketOptions { reader: "check".into(), start: Start::NewestKey };
        let mut input = PacketInput::detached(project, &Project::ring(ring)?, options);
        let mut seen = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            match input.poll(Duration::from_millis(50)).map_err(Failure::new)? {
                Some(Next::Item(packet)) => seen.push(Coded {
                    capture: packet.meta.capture.mono,
                    came: packet.meta.ingest,
                    published: packet.published,
                    tail: packet.payload[packet.payload.len().saturating_sub(TAIL)..].to_vec(),
                }),
                Some(Next::NewEpoch { .. }) => {
                    return Err(Failure(format!("the writer of {ring} was started again")));
                }
                // This program was too slow, which says nothing of the chain: what came before is forgotten.
                Some(Next::Overrun { .. }) => seen.clear(),
                _ => {}
            }
        }
        Ok(seen)
    }
}

impl Seen {
    /// What is published has a picture for each tick, whoever dies. A machine that stands still gives up some.
    fn is_steady(&self) -> Outcome<()> {
        let fps = u64::from(FPS);
        let steps = self.encoded.windows(2).map(|pair| pair[1].capture.0 - pair[0].capture.0);
        let ticks = |step: u64| (step * fps + NS_PER_S / 2) / NS_PER_S;
        let uneven: Vec<u64> = steps
            .clone()
            .filter(|step| *step == 0 || step.abs_diff(ticks(*step) * NS_PER_S / fps) > 1_000)
            .collect();
        let holes = steps.filter(|step| ticks(*step) > 1).count();
        let pictures = self.encoded.len();
        ensure(uneven.is_empty() && pictures > 1 && holes * 10 < pictures, || {
            format!("{pictures} pictures published, {holes} holes, steps of {uneven:?} ns")
        })
    }

    /// How long a picture takes from hop to hop, in ms, of those that a viewer got.
    fn told(&self) -> Outcome<Value> {
        let encoded: BTreeMap<&[u8], &Coded> =
            self.encoded.iter().map(|it| (it.tail.as_slice(), it)).collect();
        let composed: BTreeMap<MonoNs, &Taken> =
            self.composed.iter().map(|it| (it.capture, it)).collect();
        let mut hops = Hops::default();
        for viewed in &self.viewed {
            let Some(encoded) = encoded.get(viewed.tail.as_slice()) else { continue };
            let tick = encoded.capture;
            let shown = self.taken.iter().rev().find(|taken| taken.capture <= tick);
            let (Some(shown), Some(composed)) = (shown, composed.get(&tick)) else { continue };
            hops.add("to_its_ring", shown.capture, shown.published);
            hops.add("shown_at_a_tick", shown.capture, tick);
            hops.add("wait_and_draw", tick, composed.published);
            hops.add("encode", composed.published, encoded.published);
            hops.add("rtsp", encoded.published, viewed.came);
            hops.add("capture_to_rtsp", shown.capture, viewed.came);
        }
        hops.told()
    }
}

/// Times of each hop, in ns.
#[derive(Default)]
struct Hops(BTreeMap<&'static str, Vec<u64>>);

impl Hops {
    fn add(&mut self, hop: &'static str, from: MonoNs, to: MonoNs) {
        self.0.entry(hop).or_default().push(to.0.saturating_sub(from.0));
    }

    fn told(mut self) -> Outcome<Value> {
        let mut figures = json!({});
        for (hop, times) in &mut self.0 {
            times.sort_unstable();
            let at = |percent: usize| super::ms(times[(times.len() - 1) * percent / 100]);
            figures[*hop] = json!({"p50_ms": at(50), "p95_ms": at(95), "pictures": times.len()});
        }
        let pictures = figures["capture_to_rtsp"]["pictures"].as_u64().unwrap_or_default();
        ensure(pictures > 10, || format!("only {pictures} pictures came to the viewer"))?;
        Ok(figures)
    }
}
