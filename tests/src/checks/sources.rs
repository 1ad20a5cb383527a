//! What becomes of pictures on their way from a camera: nothing damaged reaches an analyzer unflagged, pictures
//! of several cameras are read together by the moment they were taken, and pictures that show nothing are told.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::admin::WorkerState;
use protocol::health::PictureHealth;
use protocol::name::ProjectName;
use protocol::time::ClockSource;
use serde_json::{Value, json};
use shmring::{
    Frame, FrameOptions, FrameReader, FrameSet, Next, PacketOptions, PacketReader, Policy, Start,
};
use worker::FrameInput;

use crate::framecode::Run;
use crate::gateway::{Gateway, Line, Mood};
use crate::project::{Project, free_port};
use crate::{Failure, Outcome, ensure, ffmpeg, framecode, recordings, wait_for};

/// A project with these workers, whose `cameras` are served over RTSP on the port.
pub fn served(workers: &str, cameras: &[&str]) -> Outcome<(Project, u16)> {
    let port = free_port()?;
    let rings: Vec<String> = cameras.iter().map(|camera| format!("{camera}.packets")).collect();
    let text = format!(
        "version: 1\nworkers:\n  {workers}\n  rtsp: {{use: rtsp, in: [{}], listen: '127.0.0.1:{port}'}}\n",
        rings.join(", ")
    );
    let project = Project::new(&text)?;
    project.up()?;
    Ok((project, port))
}

/// What a reader of every picture saw: its number, whether it was flagged, and what all its samples make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    number: Option<u32>,
    corrupt: bool,
    sum: u64,
}

/// Reads every picture of `cam1.frames` in a thread of its own until it is asked to stop.
struct Analyzer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<Vec<Seen>>>,
}

impl Analyzer {
    fn of(project: &Project) -> Outcome<Self> {
        let options =
            FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("analyzer") };
        let mut input =
            FrameInput::detached(project.name(), &Project::ring("cam1.frames")?, options);
        let stop = Arc::<AtomicBool>::default();
        let asked = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            while !asked.load(Ordering::Relaxed) {
                // What it was too slow for says nothing against anybody.
                let next = input.poll(Duration::from_millis(50)).map_err(Failure::new)?;
                if let Some(Next::Item(frame)) = next {
                    seen.push(looked_at(&frame));
                }
            }
            Ok(seen)
        });
        Ok(Self { stop, thread })
    }

    fn finish(self) -> Outcome<Vec<Seen>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Failure::new("the analyzer panicked"))?
    }
}

fn looked_at(frame: &Frame) -> Seen {
    let mut samples = Vec::new();
    let mut hasher = std::hash::DefaultHasher::new();
    for number in 0..3 {
        let from = samples.len();
        frame.plane(number).into_iter().for_each(|plane| plane.copy_to(&mut samples));
        hasher.write(&samples[from..]);
    }
    Seen { number: number_of(frame), corrupt: frame.meta().corrupt, sum: hasher.finish() }
}

/// The number in both strips of a picture; `None` when they disagree.
pub(crate) fn number_of(frame: &Frame) -> Option<u32> {
    let plane = frame.plane(0)?;
    let width = plane.row_bytes();
    let mut gray = Vec::new();
    plane.copy_to(&mut gray);
    match framecode::read(&gray, width) {
        (Some(top), Some(bottom)) if top == bottom => Some(top),
        _ => None,
    }
}

/// Pictures that came by a lossy UDP line for so long, beside the same ones decoded at the camera: what an
/// analyzer gets is, sample by sample, what was sent, or it is flagged.
pub fn losses_reach_no_analyzer(seconds: u64, per_1000: u64, seed: u64) -> Outcome<Value> {
    let workers = "cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25&bitrate=1M'}
  dec: {use: decoder, in: cam1.packets}";
    let (cameras, port) = served(workers, &["cam1"])?;
    let line = Line { lost_per_1000: per_1000, by_udp: true, seed, ..Line::default() };
    let gateway = Gateway::open(port, line, Mood::Passes)?;
    let watchers = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'rtsp://127.0.0.1:{}/cam1', transport: udp}}
  dec: {{use: decoder, in: cam1.packets}}
",
        gateway.port()
    ))?;
    let sent = Analyzer::of(&cameras)?;
    watchers.up()?;
    let came = Analyzer::of(&watchers)?;
    thread::sleep(Duration::from_secs(seconds));
    let came = came.finish()?;
    let sent: BTreeMap<Option<u32>, u64> =
        sent.finish()?.into_iter().map(|seen| (seen.number, seen.sum)).collect();
    watchers.down()?;
    let (lost, passed) = gateway.lost_and_passed();
    let whole = |seen: &&Seen| seen.number.is_some() && sent.get(&seen.number) == Some(&seen.sum);
    // A picture that nobody saw at the camera proves nothing.
    let known = |seen: &&Seen| seen.number.is_none() || sent.contains_key(&seen.number);
    let flagged = came.iter().filter(|seen| seen.corrupt).count();
    let damaged: Vec<&Seen> = came.iter().filter(known).filter(|seen| !whole(seen)).collect();
    let unflagged = damaged.iter().filter(|seen| !seen.corrupt).count();
    let figures = json!({
        "packets_lost": lost, "packets_passed": passed, "pictures_sent": sent.len(),
        "pictures_seen": came.len(), "flagged": flagged, "damaged_unflagged": unflagged, "seed": seed,
    });
    ensure(unflagged == 0, || format!("damaged and not flagged: {damaged:?}; {figures}"))?;
    let compared = came.iter().filter(known).count();
    ensure(lost > 0 && compared > 0, || format!("nothing was lost, or nothing seen: {figures}"))?;
    Ok(figures)
}

/// Two cameras, one behind 30 +- 20 ms and 1 % loss, read as a set for so many groups: how far apart the moments
/// are at which a group's pictures were really made, in ms.
pub fn live_sets(groups: usize, without_reports: bool, seed: u64) -> Outcome<Value> {
    let pattern = "test:?size=320x192&fps=25&gop=25";
    let workers = format!(
        "cam1: {{use: ingest, source: '{pattern}'}}\n  cam2: {{use: ingest, source: '{pattern}'}}"
    );
    let (cameras, port) = served(&workers, &["cam1", "cam2"])?;
    let near = Gateway::open(port, Line { without_reports, ..Line::default() }, Mood::Passes)?;
    let far = Line {
        late_ms: 10..51,
        lost_per_1000: 10,
        by_udp: true,
        without_reports,
        seed,
        ..Line::default()
    };
    let far = Gateway::open(port, far, Mood::Passes)?;
    let watchers = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'rtsp://127.0.0.1:{}/cam1'}}
  cam2: {{use: ingest, source: 'rtsp://127.0.0.1:{}/cam2', transport: udp}}
  dec1: {{use: decoder, in: cam1.packets}}
  dec2: {{use: decoder, in: cam2.packets}}
",
        near.port(),
        far.port()
    ))?;
    watchers.up()?;
    let (words, clock) = if without_reports {
        ("", ClockSource::Arrival)
    } else {
        ("on the camera's clock", ClockSource::Camera)
    };
    for camera in ["cam1", "cam2"] {
        let says = || watchers.worker(camera).ok().filter(|worker| worker.why == words);
        wait_for(60, &format!("{camera} to state {words:?}"), says)?;
    }
    let made = ["cam1", "cam2"].map(|camera| Moments::of(cameras.name(), camera));
    let [made1, made2] = made;
    let mut made = [made1?, made2?];
    let mut apart = Vec::new();
    let mut set = set_of(watchers.name())?;
    let began = shmring::clock::mono();
    while apart.len() < groups {
        let waited = shmring::clock::mono().saturating_since(began);
        ensure(waited < Duration::from_secs(120), || format!("only {} groups came", apart.len()))?;
        let Next::Item(group) = set.next(Duration::from_millis(200)).map_err(Failure::new)? else {
            continue;
        };
        let [Some(one), Some(two)] = group.frames.as_slice() else { continue };
        // What was decoded before the clock was known is not of this clock.
        if one.meta().clock != clock || two.meta().clock != clock {
            continue;
        }
        let (Some(first), Some(second)) = (number_of(one), number_of(two)) else {
            return Err(Failure::new("a picture of a group has no number"));
        };
        if let (Some(first), Some(second)) = (made[0].at(first)?, made[1].at(second)?) {
            apart.push(super::ms(first.abs_diff(second)));
        }
    }
    watchers.down()?;
    cameras.down()?;
    apart.sort_by(f64::total_cmp);
    let share = |percent: usize| apart[(apart.len() - 1) * percent / 100];
    Ok(json!({
        "groups": apart.len(), "apart_ms_p50": share(50), "apart_ms_p95": share(95), "apart_ms_most": share(100),
        "clock": match clock { ClockSource::Camera => "camera", ClockSource::Arrival => "arrival" },
    }))
}

fn set_of(project: &ProjectName) -> Outcome<FrameSet> {
    let attach = |ring: &str| {
        let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("set") };
        FrameReader::attach(project, &Project::ring(ring)?, &options).map_err(Failure::new)
    };
    // Half of a picture's time: of one camera there is always one that is so near to one of the other.
    let tolerance = Duration::from_millis(20);
    Ok(FrameSet::new(vec![attach("cam1.frames")?, attach("cam2.frames")?], tolerance))
}

/// When the pictures of a synthetic camera were made: its packets count as its pictures do.
struct Moments {
    reader: PacketReader,
    utc_ns: BTreeMap<u64, u64>,
}

impl Moments {
    fn of(project: &ProjectName, camera: &str) -> Outcome<Self> {
        let options = PacketOptions { reader: "check".into(), start: Start::Oldest };
        let ring = Project::ring(&format!("{camera}.packets"))?;
        let reader = PacketReader::attach(project, &ring, &options).map_err(Failure::new)?;
        Ok(Self { reader, utc_ns: BTreeMap::new() })
    }

    fn at(&mut self, number: u32) -> Outcome<Option<u64>> {
        while let Next::Item(packet) = self.reader.next(Duration::ZERO).map_err(Failure::new)? {
            // The first packet of an epoch is number 1, and shows picture 0.
            self.utc_ns.insert(packet.sequence - 1, packet.meta.capture.utc.0);
        }
        Ok(self.utc_ns.get(&u64::from(number)).copied())
    }
}

/// A camera with two streams is one: the small one is looked at, the large one recorded and served, under its
/// name alone.
pub fn main_and_sub_are_one_camera() -> Outcome<Value> {
    let pattern = |size: &str| format!("test:?size={size}&fps=10&gop=10");
    let (large, small) = (pattern("640x480"), pattern("320x192"));
    let (cameras, port) = served(
        &format!(
            "main: {{use: ingest, source: '{large}'}}\n  small: {{use: ingest, source: '{small}'}}"
        ),
        &["main", "small"],
    )?;
    let rtsp = free_port()?;
    let project = Project::new(&format!(
        "version: 1
cameras:
  door: {{url: 'rtsp://127.0.0.1:{port}/main', sub: 'rtsp://127.0.0.1:{port}/small', motion: true,
         serve: rtsp, record: '{{dir}}/recordings'}}
workers:
  rtsp: {{use: rtsp, listen: '127.0.0.1:{rtsp}'}}
"
    ))?;
    project.up()?;
    let moved = || (project.heads(protocol::name::RingKind::Events) > 0).then_some(());
    wait_for(60, "something that moves in the small stream", moved)?;
    let size = |ring: &str| -> Outcome<(u32, u32)> {
        let rings = project.rings()?;
        let found = rings.iter().find(|status| status.name.as_str() == ring);
        found
            .map(|status| (status.width, status.height))
            .ok_or_else(|| Failure(format!("no ring {ring}")))
    };
    for (ring, wanted) in [
        ("door.packets", (640, 480)),
        ("door.sub.packets", (320, 192)),
        ("door.frames", (320, 192)),
    ] {
        let seen = size(ring)?;
        ensure(seen == wanted, || format!("{ring} is {seen:?}, expected {wanted:?}"))?;
    }
    let codes = |input: &[&str]| ffmpeg::codes(input, 640, 480);
    let url = format!("rtsp://127.0.0.1:{rtsp}/door");
    let viewed = codes(&["-rtsp_transport", "tcp", "-i", &url, "-frames:v", "10"])?;
    ensure(Run::of(&viewed, None).is_exact(), || format!("seen over RTSP: {viewed:?}"))?;
    project.down()?;
    cameras.down()?;
    let files = recordings::files(&project.recordings(), "door")?;
    let run = ffmpeg::run_of_files(&files, (640, 480), None)?;
    ensure(run.is_exact(), || format!("the recording has holes: {run:?}"))?;
    Ok(json!({ "recorded_pictures": run.pictures, "viewed": viewed.len() }))
}

/// Cameras that are not well, by what they show.
const ILL: [(&str, &str, PictureHealth); 4] = [
    ("black", "picture=black", PictureHealth::Black),
    ("blank", "picture=gray", PictureHealth::Blank),
    ("frozen", "picture=frozen", PictureHealth::Frozen),
    ("slow", "fps=5", PictureHealth::Rate),
];

fn cameras_that_are(ill: bool) -> String {
    let mut text = "version: 1\ncameras:\n".to_owned();
    for (name, shows, _) in ILL {
        let shows = if ill { shows } else { "fps=10" };
        text += &format!(
            "  {name}: {{url: 'test:?size=320x192&gop=10&fps=10&{shows}', motion: true, serve: web,
           health: {{fps: 10, rate: 60%, black: 2s, blank: 2s, frozen: 3s}}}}\n"
        );
    }
    text + "workers:\n  web: {use: web, listen: '127.0.0.1:{port}'}\n"
}

/// Each is told by name, in `ps`, on the page's API, in the metrics and as an event, while it runs; and so is
/// that it is over.
pub fn pictures_that_are_not_well_are_told() -> Outcome<Value> {
    let port = free_port()?.to_string();
    let project = Project::new(&cameras_that_are(true).replace("{port}", &port))?;
    // Nothing moves, so that one of the rings of motion may stay empty.
    project.succeed(&["up", "-d"])?;
    let began = shmring::clock::mono();
    let all_are = |wanted: &dyn Fn(PictureHealth) -> PictureHealth| {
        let rows = project.ps().ok()?;
        let health = |camera: &str| {
            let own = rows.iter().filter(|row| row.name.as_str().starts_with(camera));
            own.map(|row| row.health).max_by_key(|health| (health.is_fault(), health.code()))
        };
        ILL.iter().all(|&(camera, _, fault)| health(camera) == Some(wanted(fault))).then_some(rows)
    };
    let (rows, _) = wait_for(60, "every camera's fault to be told", || all_are(&|fault| fault))?;
    let told_s = super::ms_since(began) / 1000.0;
    let degraded = rows.iter().find(|row| row.state == WorkerState::Degraded);
    ensure(degraded.is_none(), || {
        format!("a camera that sends is no worker in trouble: {degraded:?}")
    })?;
    let address = format!("http://127.0.0.1:{port}");
    for (camera, _, fault) in ILL {
        let fault = fault.as_str();
        let line = format!("framevisor_camera_health{{camera=\"{camera}\",fault=\"{fault}\"}} 1");
        says(&format!("{address}/metrics"), &line)?;
        says(&format!("{address}/api/v1/cameras"), &format!("\"health\":\"{fault}\""))?;
    }
    let events = |health: &str| -> Outcome<Vec<String>> {
        let text = project.succeed(&["events", "--type", "camera.health", "-o", "json"])?;
        let events = text.lines().map(serde_json::from_str::<Value>);
        let events = events.collect::<Result<Vec<_>, _>>().map_err(Failure::new)?;
        let mut cameras: Vec<String> = events
            .iter()
            .filter(|event| event["data"]["health"] == health)
            .filter_map(|event| event["data"]["camera"].as_str().map(str::to_owned))
            .collect();
        cameras.sort();
        cameras.dedup();
        Ok(cameras)
    };
    for (camera, _, fault) in ILL {
        let told = || events(fault.as_str()).ok().filter(|told| *told == [camera]);
        wait_for(60, &format!("the event that {camera} is {}", fault.as_str()), told)?;
    }
    project.write_topology(&cameras_that_are(false).replace("{port}", &port))?;
    project.succeed(&["reload"])?;
    wait_for(60, "every camera to be well again", || all_are(&|_| PictureHealth::Ok))?;
    // Their ingests were started again and count anew; the decoders have seen them get well.
    let (well, _) = wait_for(60, "the events of it", || {
        events("ok").ok().filter(|cameras| cameras.len() >= 3)
    })?;
    project.down()?;
    Ok(json!({ "told_s": told_s, "faults": ILL.len(), "told_as_over": well }))
}

/// Waits until a page has this in it: what it says is some moments old.
fn says(url: &str, text: &str) -> Outcome<()> {
    let page = || {
        let output = Command::new("curl").args(["-sSf", "--max-time", "60", url]).output().ok()?;
        String::from_utf8_lossy(&output.stdout).contains(text).then_some(())
    };
    wait_for(60, &format!("{text} on {url}"), page).map(drop)
}
