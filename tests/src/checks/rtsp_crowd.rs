//! Two hundred viewers of one camera: each sees every unit, a stopped and a dripping one among them change nothing
//! for the others, and what a viewer costs, beside gst-rtsp-server serving the same file in the same run.

use std::thread;
use std::time::Duration;

use protocol::time::MonoNs;
use serde_json::{Value, json};
use shmring::clock;

use super::rtsp_clips::make_clip;
use super::{FPS, median_and_worst, ms, rtsp_floor};
use crate::peer::{Peer, Served};
use crate::processes::{self, Private};
use crate::project::{Project, free_port};
use crate::viewer::crowd::{Crowd, Laggard, Slow, Watched};
use crate::viewer::judge::Sequence;
use crate::viewer::source::Source;
use crate::{Failure, Outcome, ensure};

/// What is left out of a window's beginning: the two come, and their bursts.
const SETTLE: Duration = Duration::from_secs(1);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub viewers: usize,
    /// A window without the two slow ones, and one with them, each.
    pub pairs: usize,
    pub window_s: u64,
}

impl Extent {
    fn window(self) -> Duration {
        Duration::from_secs(self.window_s)
    }
}

/// One window: from when on and until when, and the server's processor time in it.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: MonoNs,
    until: MonoNs,
    cpu_ns: u64,
}

impl Window {
    fn of(pid: u32, long: Duration) -> Self {
        thread::sleep(SETTLE);
        let (from, before) = (clock::mono(), processes::cpu_ns(pid));
        thread::sleep(long);
        let cpu_ns = processes::cpu_ns(pid).saturating_sub(before);
        Self { from, until: clock::mono(), cpu_ns }
    }

    /// Of one viewer, in percent of a processor.
    fn percent(&self, viewers: usize) -> f64 {
        let long = self.until.saturating_since(self.from).as_nanos() as f64;
        self.cpu_ns as f64 / long * 100.0 / viewers as f64
    }
}

/// The whole measurement.
pub fn of_one_camera(extent: Extent) -> Outcome<Value> {
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  cam: {{use: ingest, source: '{{dir}}/clip.mp4'}}
  rtsp: {{use: rtsp, in: cam.packets, listen: '127.0.0.1:{port}', max_clients: 1000}}
"
    ))?;
    let clip = project.dir().join("clip.mp4");
    // The peer plays it once: its people come, and three windows.
    make_clip(&clip, 120, 25)?;
    project.up()?;
    let mut own = own(&project, port, extent)?;
    project.down()?;
    let served = Served { file: Some(&clip), ..Served::default() };
    let gst = match Peer::gst(&served)? {
        Ok(peer) => as_many_as_it_bears(peer, extent, || Ok(Peer::gst(&served)?.ok()))?,
        Err(why) => json!({ "skipped": why }),
    };
    own["floor_cpu_percent_a_viewer"] =
        json!(round(rtsp_floor::percent_a_viewer(extent.viewers, extent.window())?));
    let file = [("PEER_FILE", clip.display().to_string())];
    let given = Peer::given(&file)?;
    let given = given.map(|peer| as_many_as_it_bears(peer, extent, || Peer::given(&file)));
    Ok(told(own, &gst, given.transpose()?))
}

/// A peer that cannot serve so many on this machine is asked for half of them, and again: what one viewer costs is
/// compared, and for how many is told.
fn as_many_as_it_bears(
    peer: Peer,
    extent: Extent,
    again: impl Fn() -> Outcome<Option<Peer>>,
) -> Outcome<Value> {
    let mut failure = match beside(peer, extent) {
        Ok(seen) => return Ok(seen),
        Err(failure) => failure,
    };
    for viewers in [extent.viewers / 2, extent.viewers / 4] {
        let Some(peer) = again()? else { break };
        match beside(peer, Extent { viewers: viewers.max(1), ..extent }) {
            Ok(mut seen) => {
                seen["more_failed"] = json!(failure.to_string());
                return Ok(seen);
            }
            Err(worse) => failure = worse,
        }
    }
    Err(failure)
}

fn told(mut own: Value, gst: &Value, given: Option<Value>) -> Value {
    let ratio = |peer: &Value| {
        let own = own["cpu_percent_a_viewer"].as_f64()?;
        Some((own / peer["cpu_percent_a_viewer"].as_f64()? * 1000.0).round() / 1000.0)
    };
    let (of_gst, of_given) = (ratio(gst), given.as_ref().and_then(ratio));
    for (name, value) in [
        ("gst_cpu_percent_a_viewer", gst["cpu_percent_a_viewer"].clone()),
        ("gst_cpu_against_itself", gst["cpu_against_itself"].clone()),
        ("gst_kib_a_viewer", gst["kib_a_viewer"].clone()),
        ("gst_viewers", gst["viewers"].clone()),
        ("gst_with_more", gst["more_failed"].clone()),
        ("cpu_of_gst", json!(of_gst)),
        ("cpu_of_peer_cmd", json!(of_given)),
        ("gst_skipped", gst["skipped"].clone()),
    ] {
        if !value.is_null() {
            own[name] = value;
        }
    }
    own
}

fn own(project: &Project, port: u16, extent: Extent) -> Outcome<Value> {
    let url = format!("rtsp://127.0.0.1:{port}/cam");
    let source = Source::of(project.name(), &Project::ring("cam.packets")?);
    let pid = project.pid("rtsp")?;
    let before = memory_kib(pid)?;
    let crowd = Crowd::join(extent.viewers, port, &url)?;
    let (mut without, mut with, mut ended) = (Vec::new(), Vec::new(), 0);
    for _ in 0..extent.pairs {
        without.push(Window::of(pid, extent.window()));
        let slow = [Slow::Stopped, Slow::Drips].map(|slow| Laggard::join(slow, port, &url));
        with.push(Window::of(pid, extent.window()));
        for laggard in slow {
            ended += laggard.leave()?;
        }
    }
    let kib = memory_kib(pid)?.saturating_sub(before);
    let watched = crowd.leave()?;
    let sequence = source.finish()?;
    let restarts = project.worker("rtsp")?.restarts;
    ensure(restarts == 0, || format!("the server was restarted {restarts} times"))?;
    all_are_exact(&sequence, &watched)?;
    let units: usize = watched.iter().map(|one| one.seen.len()).sum();
    let (alone, beside) =
        (latency(&sequence, &watched, &without), latency(&sequence, &watched, &with));
    Ok(json!({
        "viewers": extent.viewers, "pairs": extent.pairs, "window_s": extent.window_s,
        "units": units, "inexact_viewers": 0, "slow_ones_ended": ended,
        "without_ms_p50": alone.p50, "without_ms_p99": alone.p99,
        "with_ms_p50": beside.p50, "with_ms_p99": beside.p99,
        "without_against_itself_ms": [alone.spread_p50, alone.spread_p99],
        "as_without": alone.is_as(&beside),
        "cpu_percent_a_viewer": median(&without, extent.viewers),
        "cpu_against_itself": against_themselves(&without, extent.viewers),
        "kib_a_viewer": round(kib as f64 / extent.viewers as f64),
    }))
}

/// Of one viewer, in percent of a processor.
fn median(windows: &[Window], viewers: usize) -> f64 {
    let mut all: Vec<f64> = windows.iter().map(|it| it.percent(viewers)).collect();
    round(median_and_worst(&mut all).0)
}

/// The least and the most that a window costs, of what the one before it costs.
fn against_themselves(windows: &[Window], viewers: usize) -> [f64; 2] {
    let ratios = windows.windows(2).map(|two| two[1].percent(viewers) / two[0].percent(viewers));
    let (least, most) =
        ratios.fold((1.0, 1.0), |(least, most), it| (f64::min(least, it), f64::max(most, it)));
    [round(least), round(most)]
}

/// A few viewers for so long: each is exact, and the server takes less than a processor for all of them.
pub fn everybody_sees_everything(viewers: usize, seconds: u64) -> Outcome<Value> {
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  cam: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&bitrate=2000k&mode=live'}}
  rtsp: {{use: rtsp, in: cam.packets, listen: '127.0.0.1:{port}'}}
"
    ))?;
    project.up()?;
    let source = Source::of(project.name(), &Project::ring("cam.packets")?);
    let pid = project.pid("rtsp")?;
    let crowd = Crowd::join(viewers, port, &format!("rtsp://127.0.0.1:{port}/cam"))?;
    let window = Window::of(pid, Duration::from_secs(seconds));
    let watched = crowd.leave()?;
    let sequence = source.finish()?;
    project.down()?;
    all_are_exact(&sequence, &watched)?;
    let percent = round(window.percent(1));
    ensure(percent < 100.0, || format!("the server took {percent} % of a processor"))?;
    Ok(json!({ "viewers": viewers, "inexact_viewers": 0, "cpu_percent": percent }))
}

fn memory_kib(pid: u32) -> Outcome<u64> {
    let private = Private::of(pid).ok_or_else(|| Failure(format!("process {pid} is gone")))?;
    Ok(private.dirty_kib)
}

fn all_are_exact(sequence: &Sequence, watched: &[Watched]) -> Outcome<()> {
    for (number, one) in watched.iter().enumerate() {
        let verdict = sequence.judge(&one.seen);
        let ended = one.ended;
        ensure(verdict.is_exact() && !ended, || {
            format!("viewer {number} of {}: ended {ended}, {verdict:?}", watched.len())
        })?;
    }
    Ok(())
}

/// Capture to viewer in some windows, in ms.
struct Latency {
    p50: f64,
    p99: f64,
    /// The most that a window differs from the next of its kind.
    spread_p50: f64,
    spread_p99: f64,
}

impl Latency {
    /// Whether the other one is no worse than windows of this kind are than each other.
    fn is_as(&self, other: &Self) -> bool {
        other.p50 <= self.p50 + self.spread_p50 && other.p99 <= self.p99 + self.spread_p99
    }
}

fn latency(sequence: &Sequence, watched: &[Watched], windows: &[Window]) -> Latency {
    let (mut all, mut p50s, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    for window in windows {
        let mut own = Vec::new();
        for one in watched {
            let inside = |came: MonoNs| came >= window.from && came < window.until;
            let begin = one.seen.partition_point(|seen| seen.came < window.from);
            let seen: Vec<_> =
                one.seen[begin..].iter().copied().take_while(|seen| inside(seen.came)).collect();
            own.extend(sequence.judge(&seen).delays_ns);
        }
        own.sort_unstable();
        p50s.push(share(&own, 50));
        p99s.push(share(&own, 99));
        all.extend(own);
    }
    all.sort_unstable();
    let spread =
        |of: &[f64]| round(of.windows(2).map(|two| (two[1] - two[0]).abs()).fold(0.0, f64::max));
    Latency {
        p50: share(&all, 50),
        p99: share(&all, 99),
        spread_p50: spread(&p50s),
        spread_p99: spread(&p99s),
    }
}

fn share(sorted_ns: &[u64], percent: usize) -> f64 {
    let at = sorted_ns.len().saturating_sub(1) * percent / 100;
    sorted_ns.get(at).map_or(f64::INFINITY, |ns| ms(*ns))
}

fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// The same crowd at another server, which has to do the same work.
fn beside(peer: Peer, extent: Extent) -> Outcome<Value> {
    let before = memory_kib(peer.pid())?;
    let crowd = Crowd::join(extent.viewers, peer.port(), &peer.url())?;
    let windows: Vec<Window> = (0..3).map(|_| Window::of(peer.pid(), extent.window())).collect();
    let kib = memory_kib(peer.pid())?.saturating_sub(before);
    let watched = crowd.leave()?;
    drop(peer);
    let (from, until) = (windows[0].from, windows[2].until);
    let expected = until.saturating_since(from).as_secs_f64() * FPS as f64;
    let least = watched
        .iter()
        .map(|one| one.seen.iter().filter(|seen| seen.came >= from && seen.came < until).count());
    let least = least.min().unwrap_or_default();
    ensure(least as f64 > expected * 0.9, || {
        format!("a viewer of the peer saw {least} units of {expected}: not the same work")
    })?;
    Ok(json!({
        "viewers": extent.viewers,
        "cpu_percent_a_viewer": median(&windows, extent.viewers),
        "cpu_against_itself": against_themselves(&windows, extent.viewers),
        "kib_a_viewer": round(kib as f64 / extent.viewers as f64),
    }))
}
