//! What is published arrives: at receivers of other people's making, for each protocol, with no picture missing within
//! a connection, and again after the receiver's death.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::Value;
use tests::framecode::Run;
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, ffmpeg, processes, wait_for};

const SIZE: (usize, usize) = (320, 192);
const CAMERA: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=10'}
";
/// Enough to be sure that more comes.
const PICTURES: usize = 60;

/// An ffmpeg that waits for somebody to publish, and copies what comes into a file.
struct Receiver {
    child: Child,
    input: Vec<String>,
    file: PathBuf,
}

impl Receiver {
    fn start(input: &[String], file: PathBuf) -> Outcome<Self> {
        let child = receive(input, &file)?;
        Ok(Self { child, input: input.to_owned(), file })
    }

    /// Waits until so many pictures are in the file. The last one may not be whole yet.
    fn has(&mut self, pictures: usize) -> Outcome<()> {
        let what = format!("{pictures} pictures in {}", self.file.display());
        let enough = || {
            if packets(&self.file) >= pictures {
                return Some(Ok(()));
            }
            // It takes one connection. On a slow machine that one may have been given up, and another comes.
            if self.child.try_wait().ok().flatten().is_some() {
                match receive(&self.input, &self.file) {
                    Ok(child) => self.child = child,
                    Err(failure) => return Some(Err(failure)),
                }
            }
            // To look is work too.
            thread::sleep(Duration::from_millis(200));
            None
        };
        wait_for(120, &what, enough)?.0
    }

    /// Signals ffmpeg, of which `timeout` is the parent and ends with it.
    fn kill(&mut self, signal: Signal) -> Outcome<()> {
        if self.child.try_wait().map_err(Failure::new)?.is_some() {
            return Ok(());
        }
        let children = processes::children(self.child.id());
        if children.is_empty() {
            self.child.kill().map_err(Failure::new)?;
        }
        for child in children {
            processes::signal(child, signal);
        }
        self.child.wait().map(drop).map_err(Failure::new)
    }

    /// No picture is missing, torn or doubled; of what goes by UDP a slow receiver may miss some, and what is
    /// made up for those is not ours. Neither is what was left out, and told, because it was slow.
    fn is_right(&self, may_miss: bool) -> Outcome<Run> {
        let run = ffmpeg::run_of_files(&[&self.file], SIZE, None)?;
        ensure(run.is_exact() || may_miss && run.pictures > 20, || {
            format!("{}: {run:?}", self.file.display())
        })?;
        Ok(run)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.kill(Signal::SIGKILL);
    }
}

fn receive(input: &[String], file: &Path) -> Outcome<Child> {
    // Ended by `timeout` should the test not come to it.
    Command::new("timeout")
        .args(["600", "ffmpeg", "-nostdin", "-v", "error", "-y"])
        .args(input)
        .args(["-c", "copy", "-flush_packets", "1", "-f", "mpegts"])
        .arg(file)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| Failure(format!("ffmpeg: {error}")))
}

/// Of a file that is being written: 0 as long as it has none.
fn packets(file: &Path) -> usize {
    let size = std::fs::metadata(file).map_or(0, |meta| meta.len());
    if size == 0 { 0 } else { ffmpeg::packets(file).unwrap_or(0) }
}

fn status(project: &Project, worker: &str) -> Outcome<Value> {
    let text = project.succeed(&["send", worker, "\"status\""])?;
    serde_json::from_str(&text).map_err(|error| Failure(format!("{text}: {error}")))
}

/// Whether it was too slow for what came, and that was told: so are machines that stand still for 5 s.
fn has_left_out(project: &Project, receiver: &Receiver) -> Outcome<bool> {
    let worker = receiver.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(status(project, &worker)?["packets_left_out"] != 0)
}

fn holds(check: impl FnOnce() -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

/// A target, and how ffmpeg listens for it.
struct Road {
    name: &'static str,
    keys: String,
    input: Vec<String>,
}

fn roads(dir: &Path) -> Outcome<Vec<Road>> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    let mut roads = Vec::new();
    let mut add = |name, keys: String, input: String| {
        roads.push(Road { name, keys, input: words(input) });
    };
    let port = free_port()?;
    let url = format!("rtsp://127.0.0.1:{port}/cam");
    add("rtsp", format!("to: '{url}'"), format!("-rtsp_flags listen -i {url}"));
    let port = free_port()?;
    let url = format!("rtsp://127.0.0.1:{port}/cam");
    add("rtsp-udp", format!("to: '{url}', transport: udp"), format!("-rtsp_flags listen -i {url}"));
    let port = free_port()?;
    let url = format!("rtmp://127.0.0.1:{port}/live/cam");
    add("rtmp", format!("to: '{url}'"), format!("-f flv -listen 1 -i {url}"));
    let port = free_port()?;
    let url = format!("udp://127.0.0.1:{port}");
    add("udp", format!("to: '{url}'"), format!("-i {url}?fifo_size=100000"));
    if ffmpeg::has_protocol("srt") {
        let url = format!("srt://127.0.0.1:{}", free_port()?);
        let phrase = "passphrase=0123456789ab";
        add("srt", format!("to: '{url}?{phrase}'"), format!("-i {url}?mode=listener&{phrase}"));
    } else {
        println!("srt: skipped: this machine's ffmpeg has no srt");
    }
    let sdp = dir.join("cam.sdp").display().to_string();
    // An even one, whose neighbour is for its reports.
    let port = loop {
        let port = free_port()?;
        if port % 2 == 0 {
            break port;
        }
    };
    let to = format!("to: 'rtp://127.0.0.1:{port}?sdp={sdp}'");
    add("rtp", to, format!("-protocol_whitelist file,udp,rtp -i {sdp}"));
    Ok(roads)
}

#[test]
fn what_is_published_arrives_whole_by_every_protocol() {
    holds(|| {
        let project = Project::new(CAMERA)?;
        let roads = roads(project.dir())?;
        let workers = roads.iter().map(|road| {
            format!("  {}: {{use: rtsp-push, in: cam1.packets, {}}}\n", road.name, road.keys)
        });
        project.write_topology(&(CAMERA.to_owned() + &workers.collect::<String>()))?;
        let start = |road: &Road| -> Outcome<Receiver> {
            Receiver::start(&road.input, project.dir().join(format!("{}.ts", road.name)))
        };
        // Who reads a description can only begin when it is there.
        let (by_file, by_address): (Vec<_>, Vec<_>) =
            roads.iter().partition(|road| road.name == "rtp");
        let mut receivers = Vec::new();
        for road in by_address {
            receivers.push(start(road)?);
        }
        project.up()?;
        for road in by_file {
            let file = project.dir().join("cam.sdp");
            wait_for(60, "the description", || file.exists().then_some(()))?;
            receivers.push(start(road)?);
        }
        for receiver in &mut receivers {
            receiver.has(PICTURES)?;
        }
        for road in &roads {
            let connected =
                || (status(&project, road.name).ok()?["connected"] == true).then_some(());
            wait_for(60, &format!("{} to be connected", road.name), connected)?;
            let shown = project.worker(road.name)?;
            ensure(!format!("{shown:?}").contains("0123456789ab"), || format!("{shown:?}"))?;
        }
        for receiver in &mut receivers {
            receiver.kill(Signal::SIGINT)?;
            let by_udp = ["rtsp-udp.ts", "udp.ts", "srt.ts", "rtp.ts"];
            let by_udp = by_udp.iter().any(|name| receiver.file.ends_with(name));
            let run = receiver.is_right(by_udp || has_left_out(&project, receiver)?)?;
            println!("{}: {run:?}", receiver.file.display());
        }
        project.down()
    });
}

#[test]
fn a_killed_receiver_is_told_and_the_next_one_is_published_to_from_a_key_frame_on() {
    holds(|| {
        let project = Project::new(CAMERA)?;
        let url = format!("rtsp://127.0.0.1:{}/cam", free_port()?);
        let push = format!("  push: {{use: rtsp-push, in: cam1.packets, to: '{url}'}}\n");
        project.write_topology(&(CAMERA.to_owned() + &push))?;
        project.up()?;
        let is = |state: WorkerState, words: &str| {
            let what = format!("push to be {state:?}: {words}");
            let is_it = || {
                let row = project.worker("push").ok()?;
                (row.state == state && row.why.contains(words)).then_some(())
            };
            wait_for(60, &what, is_it).map(drop)
        };
        let listen = ["-rtsp_flags", "listen", "-i", url.as_str()].map(str::to_owned);
        let mut last = 0;
        for life in 0..2 {
            is(WorkerState::Degraded, "next try in")?;
            let file = project.dir().join(format!("life-{life}.ts"));
            let mut receiver = Receiver::start(&listen, file)?;
            receiver.has(PICTURES)?;
            is(WorkerState::Running, "")?;
            receiver.kill(Signal::SIGKILL)?;
            let run = ffmpeg::run_of_files(&[&receiver.file], SIZE, None)?;
            // What was being written when it was killed may be torn.
            let is_slow = status(&project, "push")?["packets_left_out"] != 0;
            let has_all = run.lost == 0 || is_slow;
            let whole = has_all && run.doubled + run.backward == 0 && run.pictures > 10;
            ensure(whole, || format!("life {life}: {run:?}"))?;
            let first = run.first.unwrap_or_default();
            ensure(first % 10 == 0 && (life == 0 || first >= last), || {
                format!("life {life} begins with picture {first}, behind {last}")
            })?;
            last = run.last.unwrap_or_default() / 10 * 10;
        }
        ensure(project.worker("push")?.restarts == 0, || "the worker died".to_owned())?;
        project.down()
    });
}

/// A server that opens its port a second after its start, and takes whatever is published.
const LATE_SERVER: &str = "\
import re, socket, sys, threading, time
def serve(peer):
    heard = b''
    while True:
        more = peer.recv(65536)
        if not more:
            return
        heard += more
        while heard:
            if heard[:1] == b'$':
                if len(heard) < 4 or len(heard) < 4 + int.from_bytes(heard[2:4], 'big'):
                    break
                heard = heard[4 + int.from_bytes(heard[2:4], 'big'):]
                open('got', 'a').write('.')
                continue
            head, end, rest = heard.partition(b'\\r\\n\\r\\n')
            length = re.search(rb'Content-Length: (\\d+)', head)
            length = int(length.group(1)) if length else 0
            if not end or len(rest) < length:
                break
            heard = rest[length:]
            line = lambda name: re.search(name + rb': ?([^\\r]*)', head)
            answer = b'RTSP/1.0 200 OK\\r\\nCSeq: ' + line(b'CSeq').group(1) + b'\\r\\nSession: 7\\r\\n'
            if line(b'Transport'):
                answer += b'Transport: ' + line(b'Transport').group(1) + b'\\r\\n'
            peer.sendall(answer + b'\\r\\n')
time.sleep(1)
with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as server:
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
";

#[test]
fn a_publisher_behind_a_server_that_opens_its_port_late_begins_right() {
    holds(|| {
        let project = Project::new(CAMERA)?;
        let port = free_port()?;
        std::fs::write(project.dir().join("server.py"), LATE_SERVER).map_err(Failure::new)?;
        let rest = format!(
            "  push: {{use: rtsp-push, in: cam1.packets, to: 'rtsp://127.0.0.1:{port}/cam', after: server}}
  server: {{run: [python3, server.py, '{port}'], ready: 'tcp {port}'}}
"
        );
        project.write_topology(&(CAMERA.to_owned() + &rest))?;
        project.up()?;
        let got = project.dir().join("got");
        let enough = || std::fs::metadata(&got).is_ok_and(|meta| meta.len() > 50).then_some(());
        wait_for(60, "what was published", enough)?;
        // A machine that stands still may cost it a connection, but none that came before the port was open.
        let harm =
            project.succeed(&["events", "push", "--type", "worker.degraded", "-o", "json"])?;
        ensure(!harm.contains("connection refused"), || format!("it was degraded: {harm}"))?;
        project.down()
    });
}
