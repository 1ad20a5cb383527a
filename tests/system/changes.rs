//! Changes of a running project, seen by those who look on: real cameras, clients and readers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::admin::WorkerState;
use serde_json::json;
use shmring::{FrameOptions, Next, Policy};
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, ffmpeg, framecode, wait_for};
use worker::FrameInput;

use crate::first_light::holds;

const SIZE: (usize, usize) = (320, 192);
const CAM1: &str = "  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}\n";
const CAM2: &str = "  cam2: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}\n";
const PATIENCE: Duration = Duration::from_secs(60);

fn topology(workers: &[&str]) -> String {
    format!("version: 1\nworkers:\n{}", workers.concat())
}

fn server(kind: &str, inputs: &str, port: u16) -> String {
    format!("  {kind}: {{use: {kind}, in: [{inputs}], listen: '127.0.0.1:{port}'}}\n")
}

/// An RTSP client for so long, and the frame numbers it saw. It has a picture already: a connection alone may still
/// wait in the socket, where the next process finds it.
fn watch(port: u16, seconds: u32) -> Outcome<JoinHandle<Outcome<framecode::Run>>> {
    let (tell, told) = channel();
    let watching = thread::spawn(move || {
        let (url, seconds) = (format!("rtsp://127.0.0.1:{port}/cam1"), seconds.to_string());
        let input = ["-rtsp_transport", "tcp", "-i", &url, "-t", &seconds];
        let codes = ffmpeg::codes_told(&input, SIZE.0, SIZE.1, || {
            // Only the first one is waited for.
            let _ = tell.send(());
        })?;
        Ok(framecode::Run::of(&codes, None))
    });
    wait_for(60, "a picture of an RTSP client", || told.try_recv().ok())?;
    Ok(watching)
}

fn joined(watching: JoinHandle<Outcome<framecode::Run>>) -> Outcome<framecode::Run> {
    watching.join().map_err(|_| Failure::new("the client panicked"))?
}

#[test]
fn a_reload_that_adds_a_camera_leaves_no_gap_for_who_watches_another() {
    holds(|| {
        let port = free_port()?;
        let one = server("rtsp", "'*.packets'", port);
        let project = Project::new(&topology(&[CAM1, &one]))?;
        project.up()?;
        let before = project.pid("rtsp")?;
        let watching = watch(port, 25)?;
        project.write_topology(&topology(&[CAM1, CAM2, &one]))?;
        project.succeed(&["reload"])?;
        let drains = |state| project.ps().is_ok_and(|rows| rows.iter().any(|r| r.state == state));
        ensure(drains(WorkerState::Draining), || "nobody drains".into())?;
        ensure(project.pid("rtsp")? != before, || "rtsp was not replaced".into())?;
        // The old process leaves the door at its next turn: until then it may be met there, and knows no second camera.
        let url = format!("rtsp://127.0.0.1:{port}/cam2");
        let input = ["-rtsp_transport", "tcp", "-i", &url, "-t", "1"];
        let served = || ffmpeg::complaints(&input).ok()?.is_empty().then_some(());
        wait_for(20, "the new process to serve the new camera", served)?;
        let run = joined(watching)?;
        ensure(run.is_exact() && run.pictures > 100, || format!("frame numbers: {run:?}"))?;
        let gone = || (!drains(WorkerState::Draining)).then_some(());
        wait_for(60, "the old process to end with its last client", gone)?;
        project.down()?;
        Ok(json!({ "pictures": run.pictures, "first": run.first, "last": run.last }))
    });
}

#[test]
fn a_replaced_rtsp_server_disconnects_and_refuses_nobody() {
    holds(|| {
        let port = free_port()?;
        let project = Project::new(&topology(&[CAM1, &server("rtsp", "cam1.packets", port)]))?;
        project.up()?;
        let watching = watch(port, 15)?;
        let options = || ask_rtsp(([127, 0, 0, 1], port).into());
        let asked = meanwhile(options, || {
            thread::sleep(Duration::from_millis(500));
            project.succeed(&["replace", "rtsp"]).map(drop)?;
            thread::sleep(Duration::from_millis(500));
            Ok(())
        })?;
        let run = joined(watching)?;
        ensure(run.is_exact() && run.pictures > 100, || format!("frame numbers: {run:?}"))?;
        project.down()?;
        Ok(json!({ "connections": asked, "refused": 0, "pictures": run.pictures }))
    });
}

#[test]
fn a_replaced_web_server_disconnects_and_refuses_nobody() {
    holds(|| {
        let port = free_port()?;
        let project = Project::new(&topology(&[CAM1, &server("web", "cam1.packets", port)]))?;
        project.up()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // One that keeps its connection as long as it may, beside those that come anew.
        let mut kept: Option<BufReader<TcpStream>> = None;
        let again = move || ask_page(address, &mut kept);
        let asked = meanwhile(again, || {
            for _ in 0..3 {
                project.succeed(&["replace", "web"]).map(drop)?;
                thread::sleep(Duration::from_millis(300));
            }
            Ok(())
        })?;
        project.down()?;
        Ok(json!({ "requests": asked, "refused": 0, "replaced": 3 }))
    });
}

#[test]
fn a_replaced_decoder_loses_no_picture() {
    holds(|| {
        let decoder = "  cam1-decoder: {use: decoder, in: cam1.packets}\n";
        // Six seconds, for a watcher that a busy machine lets wait.
        let camera = CAM1.replace("fps=25&gop=25", "fps=10&gop=10");
        let rings = "rings:\n  cam1.frames: {history: 64}\n";
        let project = Project::new(&topology(&[&camera, decoder, rings]))?;
        project.up()?;
        let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("watcher") };
        let ring = Project::ring("cam1.frames")?;
        let mut input = FrameInput::detached(project.name(), &ring, options);
        let mut seen: Vec<(u64, u64)> = Vec::new();
        let (mut epochs, mut missed) = (0, 0);
        type Until<'a> = &'a dyn Fn(usize) -> bool;
        let mut look = |until: Until<'_>, seen: &mut Vec<(u64, u64)>| -> Outcome<()> {
            while !until(seen.len()) {
                let next = input.poll(Duration::from_millis(20)).map_err(Failure::new)?;
                match next {
                    Some(Next::Item(frame)) => {
                        let id = frame.frame_id();
                        seen.push((id.epoch, id.sequence));
                    }
                    Some(Next::NewEpoch { .. }) => epochs += 1,
                    Some(Next::Overrun { missed: more }) => missed += more,
                    Some(Next::Ended) => return Err(Failure::new("the ring has ended")),
                    _ => {}
                }
            }
            Ok(())
        };
        // So many, however long a busy machine takes for them.
        let has_or_late = |wanted: usize| {
            let late = shmring::clock::mono() + PATIENCE;
            move |seen: usize| seen >= wanted || shmring::clock::mono() > late
        };
        look(&has_or_late(20), &mut seen)?;
        ensure(seen.len() >= 20, || format!("{} pictures before it", seen.len()))?;
        let done = AtomicBool::new(false);
        thread::scope(|scope| -> Outcome<()> {
            let replaced = scope.spawn(|| {
                let replaced = project.succeed(&["replace", "cam1-decoder"]);
                done.store(true, Ordering::Release);
                replaced
            });
            look(&|_: usize| done.load(Ordering::Acquire), &mut seen)?;
            replaced.join().map_err(|_| Failure::new("replace panicked"))?.map(drop)
        })?;
        let so_far = seen.len();
        look(&has_or_late(so_far + 30), &mut seen)?;
        let holes = seen.windows(2).filter(|pair| pair[1] != (pair[0].0, pair[0].1 + 1)).count();
        ensure(epochs == 1, || format!("{epochs} epochs followed"))?;
        ensure(seen.len() > so_far + 25, || format!("{} pictures after it", seen.len() - so_far))?;
        ensure(holes == 0 && missed == 0, || format!("{holes} holes, {missed} missed: {seen:?}"))?;
        project.down()?;
        Ok(json!({ "pictures": seen.len(), "holes": holes, "missed": missed }))
    });
}

#[test]
fn sixteen_cameras_come_and_go_by_a_script_and_leave_nothing() {
    holds(tests::checks::scripts::sixteen_cameras_come_and_go);
}

/// Repeats `ask` while `work` goes on; any failure of it is the answer. How often it was asked.
fn meanwhile(
    mut ask: impl FnMut() -> Outcome<()> + Send,
    work: impl FnOnce() -> Outcome<()>,
) -> Outcome<u64> {
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    thread::scope(|scope| {
        let asking = scope.spawn(move || -> Outcome<u64> {
            let mut asked = 0;
            while !ended.load(Ordering::Acquire) {
                ask()?;
                asked += 1;
            }
            Ok(asked)
        });
        let worked = work();
        over.store(true, Ordering::Release);
        let asked = asking.join().map_err(|_| Failure::new("the client panicked"))??;
        worked?;
        ensure(asked > 10, || format!("only {asked} were asked"))?;
        Ok(asked)
    })
}

fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address).map_err(|e| Failure(format!("refused: {e}")))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(Failure::new)?;
    Ok(stream)
}

fn ask_rtsp(address: SocketAddr) -> Outcome<()> {
    let mut stream = connect(address)?;
    let url = format!("rtsp://{address}/cam1");
    write!(stream, "OPTIONS {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n").map_err(Failure::new)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(Failure::new)?;
    ensure(line.starts_with("RTSP/1.0 200"), || format!("answered: {line:?}"))
}

/// On the connection that is there, until an answer says that it closes.
fn ask_page(address: SocketAddr, kept: &mut Option<BufReader<TcpStream>>) -> Outcome<()> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => BufReader::new(connect(address)?),
    };
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.get_mut().write_all(request.as_bytes()).map_err(Failure::new)?;
    let (mut length, mut closes, mut line) = (0, false, String::new());
    let mut first = true;
    loop {
        line.clear();
        stream.read_line(&mut line).map_err(Failure::new)?;
        let lower = line.trim().to_ascii_lowercase();
        if std::mem::take(&mut first) {
            ensure(lower.starts_with("http/1.1 200"), || format!("answered: {line:?}"))?;
        }
        if lower.is_empty() {
            break;
        }
        closes |= lower == "connection: close";
        if let Some(bytes) = lower.strip_prefix("content-length: ") {
            length = bytes.parse().map_err(Failure::new)?;
        }
    }
    stream.read_exact(&mut vec![0; length]).map_err(Failure::new)?;
    *kept = (!closes).then_some(stream);
    Ok(())
}
