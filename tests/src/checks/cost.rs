//! What recording costs, beside ffmpeg doing the same at the same time from the same cameras.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::name::RingName;
use serde_json::{Value, json};

use super::median_and_worst;
use crate::processes;
use crate::project::{Project, free_port};
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, recordings, wait_for};

/// Pairs of processor times that are compared.
const WINDOWS: u32 = 11;
/// Pictures a second, and groups of pictures of a second.
const FPS: u64 = 25;
const BITRATE: &str = "2000k";

/// Cameras: synthetic, and served over RTSP, so that both sides get them the same way. Not measured.
struct Cameras {
    names: Vec<String>,
    project: Project,
    port: u16,
}

impl Cameras {
    fn start(count: usize) -> Outcome<Self> {
        let names: Vec<String> = (1..=count).map(|number| format!("cam{number:02}")).collect();
        let port = free_port()?;
        let mut text = "version: 1\nworkers:\n".to_owned();
        for name in &names {
            let source =
                format!("test:?size=320x192&fps={FPS}&gop={FPS}&bitrate={BITRATE}&mode=loop");
            // Writing to a text never fails.
            let _ = writeln!(text, "  {name}: {{use: ingest, source: '{source}'}}");
        }
        let rings = rings_of(&names);
        let _ = writeln!(text, "  rtsp: {{use: rtsp, in: [{rings}], listen: '127.0.0.1:{port}'}}");
        let project = Project::new(&text)?;
        project.succeed(&["up", "-d", "--wait", "--timeout", "300s"])?;
        Ok(Self { names, project, port })
    }

    fn url(&self, name: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{name}", self.port)
    }
}

fn rings_of(names: &[String]) -> String {
    let rings: Vec<String> = names.iter().map(|name| format!("{name}.packets")).collect();
    rings.join(", ")
}

/// An ingest for each camera and one recorder.
fn recorded(cameras: &Cameras) -> Outcome<Project> {
    let mut text = "version: 1\nworkers:\n".to_owned();
    for name in &cameras.names {
        let url = cameras.url(name);
        let _ = writeln!(text, "  {name}: {{use: ingest, source: '{url}'}}");
    }
    let rings = rings_of(&cameras.names);
    let _ =
        writeln!(text, "  recorder: {{use: recorder, in: [{rings}], dir: '{{dir}}/recordings'}}");
    let project = Project::new(&text)?;
    project.succeed(&["up", "-d", "--wait", "--timeout", "300s"])?;
    Ok(project)
}

/// One ffmpeg for each camera, as people write it: fragmented MP4, a file a minute.
struct Peers(Vec<Child>);

impl Peers {
    fn start(cameras: &Cameras, folder: &Path) -> Outcome<Self> {
        let mut peers = Self(Vec::new());
        for name in &cameras.names {
            let own = folder.join(name);
            fs::create_dir_all(&own).map_err(Failure::new)?;
            let child = Command::new("ffmpeg")
                .args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp"])
                .args(["-i", &cameras.url(name), "-c", "copy", "-f", "segment"])
                .args(["-segment_time", "60", "-segment_atclocktime", "1", "-segment_format"])
                .args(["mp4", "-segment_format_options"])
                .arg("movflags=+frag_keyframe+empty_moov+default_base_moof")
                .arg(own.join("%05d.mp4"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            peers.0.push(child.map_err(|error| Failure(format!("ffmpeg: {error}")))?);
        }
        Ok(peers)
    }

    fn pids(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }

    fn all_live(&mut self) -> Outcome<()> {
        let mut ended = self.0.iter_mut().filter_map(|child| child.try_wait().ok().flatten());
        ended.next().map_or(Ok(()), |status| Err(Failure(format!("an ffmpeg ended: {status}"))))
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            processes::signal(child.id(), Signal::SIGINT);
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// The processes of a project that records.
struct Own {
    recorder: u32,
    ingest: Vec<u32>,
    all: Vec<u32>,
}

impl Own {
    fn of(project: &Project) -> Outcome<Self> {
        let workers = project.ps()?;
        let ingest = workers.iter().filter(|worker| worker.kind == "ingest");
        let ingest: Vec<u32> = ingest.filter_map(|worker| worker.pid).collect();
        let mut all: Vec<u32> = workers.iter().filter_map(|worker| worker.pid).collect();
        all.extend([project.supervisor_pid()?, project.guard_pid()?]);
        Ok(Self { recorder: project.pid("recorder")?, ingest, all })
    }
}

/// Processor times at one instant, in ns.
#[derive(Clone, Copy, Debug)]
struct Times {
    recorder: u64,
    ingest: u64,
    /// Ingest, recorder, supervisor and guard.
    pipeline: u64,
    peers: u64,
}

impl Times {
    fn now(own: &Own, peers: &[u32]) -> Self {
        let of = |pids: &[u32]| pids.iter().map(|pid| processes::cpu_ns(*pid)).sum();
        let (recorder, ingest) = (of(&[own.recorder]), of(&own.ingest));
        Self { recorder, ingest, pipeline: of(&own.all), peers: of(peers) }
    }
}

/// Records `cameras` for so long in all, both ways at the same time, and compares what each took in each
/// window. Nothing is lost.
pub fn beside_ffmpeg(cameras: usize, seconds: u64) -> Outcome<Value> {
    let cameras = Cameras::start(cameras)?;
    let project = recorded(&cameras)?;
    let rings = cameras.names.iter().map(|name| Project::ring(&format!("{name}.packets")));
    let rings = rings.collect::<Outcome<Vec<RingName>>>()?;
    let folder: PathBuf = project.dir().join("ffmpeg");
    let mut peers = Peers::start(&cameras, &folder)?;
    let both = || {
        let wrote = |name: &String| bytes_in(&folder.join(name)) > 0;
        cameras.names.iter().all(wrote).then_some(())
    };
    wait_for(120, "every ffmpeg to write", both)?;
    let witness = Witness::start(project.name(), &rings);
    let own = Own::of(&project)?;
    let window = Duration::from_secs(seconds) / WINDOWS;
    let peer_bytes = bytes_below(&folder);
    let own_bytes = bytes_below(&project.recordings());
    let mut times = vec![Times::now(&own, &peers.pids())];
    for _ in 0..WINDOWS {
        thread::sleep(window);
        times.push(Times::now(&own, &peers.pids()));
    }
    peers.all_live()?;
    let (peer_bytes, own_bytes) =
        (bytes_below(&folder) - peer_bytes, bytes_below(&project.recordings()) - own_bytes);
    drop(peers);
    let restarts: u64 = project.ps()?.iter().map(|worker| worker.restarts).sum();
    ensure(restarts == 0, || format!("{restarts} restarts"))?;
    project.down()?;
    let balance = recordings::balance(&project.recordings(), &witness.finish())?;
    cameras.project.down()?;
    ensure(balance.lost == 0 && balance.captured > 0, || format!("packets lost: {balance:?}"))?;
    let expected = cameras.names.len() as u64 * seconds * FPS;
    ensure(balance.captured * 10 >= expected * 9, || {
        format!("{} packets of {expected}: this machine is too slow for it", balance.captured)
    })?;
    ensure(peer_bytes * 10 >= own_bytes * 7, || {
        format!("ffmpeg wrote {peer_bytes} bytes, framevisor {own_bytes}: not the same work")
    })?;
    Ok(figures(&times, window, &balance, cameras.names.len(), [own_bytes, peer_bytes]))
}

fn figures(
    times: &[Times],
    window: Duration,
    balance: &recordings::Balance,
    cameras: usize,
    bytes: [u64; 2],
) -> Value {
    let spent = |of: fn(&Times) -> u64| -> Vec<f64> {
        let took = |pair: &[Times]| of(&pair[1]).saturating_sub(of(&pair[0])) as f64;
        times.windows(2).map(took).collect()
    };
    let (recorder, pipeline) = (spent(|times| times.recorder), spent(|times| times.pipeline));
    let peers = spent(|times| times.peers);
    let ratios = |own: &[f64]| -> Vec<f64> {
        own.iter().zip(&peers).map(|(own, peer)| own / peer.max(1.0)).collect()
    };
    // The same against itself, a window later: what a ratio means here.
    let itself: Vec<f64> = pipeline.windows(2).map(|pair| pair[1] / pair[0].max(1.0)).collect();
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let median = |mut values: Vec<f64>| round(median_and_worst(&mut values).0);
    let least = itself.iter().copied().fold(f64::INFINITY, f64::min);
    let most = itself.iter().copied().fold(0.0, f64::max);
    let percent = |spent: &[f64]| {
        median(spent.iter().map(|ns| ns / window.as_nanos() as f64 * 100.0).collect())
    };
    json!({
        "cameras": cameras,
        "windows": WINDOWS,
        "window_s": round(window.as_secs_f64()),
        "packets_captured": balance.captured,
        "packets_lost": balance.lost,
        "cpu_percent_recorder": percent(&recorder),
        "cpu_percent_ingest": percent(&spent(|times| times.ingest)),
        "cpu_percent_pipeline": percent(&pipeline),
        "cpu_percent_ffmpeg": percent(&peers),
        "ratio_recorder": median(ratios(&recorder)),
        "ratio_pipeline": median(ratios(&pipeline)),
        "pipeline_against_itself": [round(least), round(most)],
        "bytes_framevisor": bytes[0],
        "bytes_ffmpeg": bytes[1],
    })
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| bytes_in(&entry.path())).sum()
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}
