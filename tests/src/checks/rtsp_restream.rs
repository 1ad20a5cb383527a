//! One camera taken in, recorded and served again: what that costs, beside ffmpeg and whatever `PEER_CMD` starts,
//! all at the same time from the same camera.

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::median_and_worst;
use crate::peer::Peer;
use crate::processes;
use crate::project::{Project, free_port};
use crate::viewer::{self, Over};
use crate::{Failure, Outcome, ensure, wait_for};

const WINDOWS: usize = 11;

/// Who does it, by the processes that take part.
struct Side {
    pids: Vec<u32>,
    viewer: Viewer,
    spent_ns: Vec<f64>,
}

/// Compares for so many seconds in all.
pub fn beside_others(seconds: u64) -> Outcome<Value> {
    let port = free_port()?;
    let camera = Project::new(&format!(
        "version: 1
workers:
  cam: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&bitrate=2000k&mode=loop'}}
  rtsp: {{use: rtsp, in: cam.packets, listen: '127.0.0.1:{port}'}}
"
    ))?;
    camera.up()?;
    let source = format!("rtsp://127.0.0.1:{port}/cam");
    let (project, served) = own(&source)?;
    let ffmpeg = Ffmpeg::start(&source, &project)?;
    let folder = project.dir().join("peer");
    std::fs::create_dir_all(&folder).map_err(Failure::new)?;
    let given =
        Peer::given(&[("PEER_SOURCE", source), ("PEER_DIR", folder.display().to_string())])?;
    let mut pids: Vec<u32> = project.ps()?.iter().filter_map(|worker| worker.pid).collect();
    pids.extend([project.supervisor_pid()?, project.guard_pid()?]);
    let mut sides = vec![
        Side { pids, viewer: Viewer::of(served)?, spent_ns: Vec::new() },
        Side {
            pids: vec![ffmpeg.child.id()],
            viewer: Viewer::of_rtp(&ffmpeg),
            spent_ns: Vec::new(),
        },
    ];
    if let Some(peer) = &given {
        let pids = [&[peer.pid()][..], &processes::children(peer.pid())].concat();
        sides.push(Side { pids, viewer: Viewer::of(peer.port())?, spent_ns: Vec::new() });
    }
    let window = Duration::from_secs(seconds) / u32::try_from(WINDOWS).unwrap_or(1);
    measure(&mut sides, window)?;
    let restarts: u64 = project.ps()?.iter().map(|worker| worker.restarts).sum();
    ensure(restarts == 0, || format!("{restarts} restarts"))?;
    let expected = seconds * super::FPS;
    for (side, who) in sides.iter().zip(["ours", "ffmpeg", "PEER_CMD"]) {
        let seen = side.viewer.units();
        ensure(seen * 10 >= expected * 9, || {
            format!("the viewer of {who} had {seen} units of {expected}: not the same work")
        })?;
    }
    let figures = figures(&sides, window);
    drop((sides, ffmpeg, given));
    project.down()?;
    camera.down()?;
    Ok(figures)
}

fn own(source: &str) -> Outcome<(Project, u16)> {
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  cam: {{use: ingest, source: '{source}'}}
  recorder: {{use: recorder, in: cam.packets, dir: '{{dir}}/recordings'}}
  rtsp: {{use: rtsp, in: cam.packets, listen: '127.0.0.1:{port}'}}
"
    ))?;
    project.up()?;
    Ok((project, port))
}

/// All sides over the same windows.
fn measure(sides: &mut [Side], window: Duration) -> Outcome<()> {
    let now = |side: &Side| -> u64 { side.pids.iter().map(|pid| processes::cpu_ns(*pid)).sum() };
    for side in &mut *sides {
        side.viewer.begin()?;
    }
    let mut before: Vec<u64> = sides.iter().map(now).collect();
    for _ in 0..WINDOWS {
        thread::sleep(window);
        for (side, before) in sides.iter_mut().zip(&mut before) {
            let after = now(side);
            side.spent_ns.push(after.saturating_sub(*before) as f64);
            *before = after;
        }
    }
    Ok(())
}

fn figures(sides: &[Side], window: Duration) -> Value {
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let percent = |side: &Side| {
        let mut spent: Vec<f64> = side.spent_ns.clone();
        round(median_and_worst(&mut spent).0 / window.as_nanos() as f64 * 100.0)
    };
    let own = &sides[0].spent_ns;
    let ratio = |side: &Side| {
        let mut all: Vec<f64> =
            own.iter().zip(&side.spent_ns).map(|(own, peer)| own / peer.max(1.0)).collect();
        round(median_and_worst(&mut all).0)
    };
    // The same against itself, a window later: what a ratio means here.
    let itself = own.windows(2).map(|pair| pair[1] / pair[0].max(1.0));
    let spread =
        [round(itself.clone().fold(f64::INFINITY, f64::min)), round(itself.fold(0.0, f64::max))];
    let ratios: Vec<f64> = sides[1..].iter().map(ratio).collect();
    let best = ratios.iter().copied().fold(0.0, f64::max);
    json!({
        "windows": WINDOWS, "window_s": round(window.as_secs_f64()),
        "cpu_percent": percent(&sides[0]), "cpu_percent_ffmpeg": percent(&sides[1]),
        "cpu_percent_peer_cmd": sides.get(2).map(percent),
        "ratio_ffmpeg": ratios[0], "ratio_peer_cmd": ratios.get(1),
        // The best peer is the one that ours is the most of.
        "ratio_best": best, "against_itself": spread,
    })
}

/// ffmpeg as people write it: a file a minute, and RTP to one viewer, for it serves no RTSP.
struct Ffmpeg {
    child: Child,
    rtp: Arc<UdpSocket>,
}

impl Ffmpeg {
    fn start(source: &str, project: &Project) -> Outcome<Self> {
        let folder = project.dir().join("ffmpeg");
        std::fs::create_dir_all(&folder).map_err(Failure::new)?;
        let rtp = UdpSocket::bind("127.0.0.1:0").map_err(Failure::new)?;
        let to = format!("rtp://{}", rtp.local_addr().map_err(Failure::new)?);
        let child = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "quiet", "-rtsp_transport", "tcp", "-i", source])
            .args(["-c", "copy", "-f", "segment", "-segment_time", "60", "-segment_format", "mp4"])
            .args([
                "-segment_format_options",
                "movflags=+frag_keyframe+empty_moov+default_base_moof",
            ])
            .arg(folder.join("%05d.mp4"))
            .args(["-c", "copy", "-f", "rtp", &to])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| Failure(format!("ffmpeg: {error}")))?;
        Ok(Self { child, rtp: Arc::new(rtp) })
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        processes::signal(self.child.id(), Signal::SIGINT);
        let _ = self.child.wait();
    }
}

/// Somebody who watches one side and counts units.
struct Viewer {
    seen: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    _thread: JoinHandle<()>,
}

impl Viewer {
    fn of(port: u16) -> Outcome<Self> {
        let url = format!("rtsp://127.0.0.1:{port}/cam");
        let (client, _) = viewer::play_again(port, &url, Over::Tcp)?;
        Ok(Self::spawn(move |seen, stop| {
            // What it has not seen when its server ends is told by the count.
            let _ = client.watch(|_| {
                seen.fetch_add(1, Ordering::Relaxed);
                !stop.load(Ordering::Relaxed)
            });
        }))
    }

    fn of_rtp(ffmpeg: &Ffmpeg) -> Self {
        let socket = Arc::clone(&ffmpeg.rtp);
        // A moment without packets is the moment to look whether it is over.
        let _ = socket.set_read_timeout(Some(Duration::from_millis(200)));
        Self::spawn(move |seen, stop| {
            let mut bytes = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                let marked =
                    socket.recv(&mut bytes).is_ok_and(|count| count > 1 && bytes[1] & 0x80 != 0);
                seen.fetch_add(u64::from(marked), Ordering::Relaxed);
            }
        })
    }

    fn spawn(watch: impl FnOnce(&AtomicU64, &AtomicBool) + Send + 'static) -> Self {
        let (seen, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let own = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || watch(&own.0, &own.1));
        Self { seen, stop, _thread: thread }
    }

    /// Waits for its first unit, and counts from there.
    fn begin(&self) -> Outcome<()> {
        let has_begun = || (self.units() > 0).then_some(());
        wait_for(60, "a viewer's first unit", has_begun)?;
        self.seen.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn units(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
