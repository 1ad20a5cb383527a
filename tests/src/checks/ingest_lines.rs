//! RTSP cameras whose line is bad or gone for a while, and several that have one clock: what comes of it in the
//! rings.

use std::collections::BTreeMap;
use std::slice;
use std::thread;
use std::time::Duration;

use protocol::time::{ClockSource, MonoNs};
use serde_json::{Value, json};
use shmring::{Next, PacketMeta, PacketOptions, Start, clock};
use worker::PacketInput;

use super::sources::served;
use super::{ms, ms_since};
use crate::gateway::{Gateway, Line, Mood};
use crate::project::Project;
use crate::watch::{Asked, DEEP, Taken, Watch, all_have_their_row};
use crate::{Failure, Outcome, ensure, wait_for};

const CAMERA: &str = "cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&bitrate=1M'}";
const FRAME_NS: u64 = 40_000_000;
/// Before and behind the gap.
const PICTURES: usize = 50;
/// How far pictures of one clock may be from each other.
const APART_FRAMES: u64 = 2;

/// Reads the camera behind the port, and decodes it.
fn watching(port: u16) -> Outcome<Project> {
    let project = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'rtsp://127.0.0.1:{port}/cam1'}}
  dec: {{use: decoder, in: cam1.packets}}
rings: {{cam1.frames: {DEEP}}}
"
    ))?;
    project.up()?;
    Ok(project)
}

/// Every number, each the next one.
fn asked(ring: &str, pictures: usize) -> Asked {
    Asked { ring: ring.to_owned(), pictures, goes_on: true, ..Asked::default() }
}

fn pictures_of(seconds: u64) -> Outcome<usize> {
    usize::try_from(seconds * super::FPS).map_err(Failure::new)
}

/// I3: a camera is gone for so long; when it is back its pictures are soon there, the first of them a marked key
/// frame, and times only rise.
pub fn a_camera_that_was_gone_is_back(away_s: u64) -> Outcome<Value> {
    let (cameras, port) = served(CAMERA, &["cam1"])?;
    let gateway = Gateway::open(port, Line::default(), Mood::Passes)?;
    let watchers = watching(gateway.port())?;
    let joined = Asked { joints: 1, ..asked("cam1.frames", PICTURES) };
    let frames = Watch::start(&watchers, joined)?;
    let mut packets = Packets::of(&watchers)?;
    packets.more(PICTURES)?;
    all_have_their_row(slice::from_ref(&frames), 60)?;
    gateway.set(Mood::Refuses);
    thread::sleep(Duration::from_secs(away_s));
    packets.read()?;
    let joint = packets.seen.len();
    gateway.set(Mood::Passes);
    let began = clock::mono();
    packets.more(1)?;
    let back_ms = ms_since(began).round();
    packets.more(PICTURES)?;
    let is_behind = || (frames.begun_anew() > 0 || frames.failure().is_some()).then_some(());
    wait_for(60, "a picture behind the gap", is_behind)?;
    all_have_their_row(slice::from_ref(&frames), 60)?;
    watchers.down()?;
    cameras.down()?;
    let first = &packets.seen[joint];
    ensure(first.discontinuity && first.key, || format!("behind the gap: {first:?}"))?;
    let falls =
        |pair: &[PacketMeta]| pair[1].dts_ns <= pair[0].dts_ns || pair[1].pts_ns <= pair[0].pts_ns;
    let fall = packets.seen.windows(2).position(falls);
    ensure(fall.is_none(), || format!("times do not rise behind packet {fall:?}"))?;
    Ok(json!({
        "away_s": away_s, "back_ms": back_ms, "packets": packets.seen.len(), "torn": 0,
        "joints": frames.begun_anew(),
    }))
}

/// What a reader of `cam1.packets` got.
struct Packets {
    input: PacketInput,
    seen: Vec<PacketMeta>,
}

impl Packets {
    fn of(project: &Project) -> Outcome<Self> {
        let options = PacketOptions { reader: "check".into(), start: Start::NewestKey };
        let ring = Project::ring("cam1.packets")?;
        let input = PacketInput::detached(project.name(), &ring, options);
        Ok(Self { input, seen: Vec::new() })
    }

    /// What is there now.
    fn read(&mut self) -> Outcome<()> {
        loop {
            match self.input.poll(Duration::ZERO).map_err(Failure::new)? {
                Some(Next::Item(packet)) => self.seen.push(packet.meta),
                Some(Next::Quiet | Next::Ended) | None => return Ok(()),
                Some(other) => {
                    return Err(Failure(format!("{other:?} where packets were expected")));
                }
            }
        }
    }

    fn more(&mut self, packets: usize) -> Outcome<()> {
        let wanted = self.seen.len() + packets;
        let have = || match self.read() {
            Ok(()) => (self.seen.len() >= wanted).then_some(Ok(())),
            Err(failure) => Some(Err(failure)),
        };
        wait_for(60, &format!("{packets} packets more"), have)?.0
    }
}

/// I4: a link of 30 ms that loses so many of a thousand packets, by TCP: not a picture is missing, and none is
/// later than what it takes to send again.
pub fn a_tcp_link_that_loses(seconds: u64, per_1000: u64, seed: u64) -> Outcome<Value> {
    let workers = format!("{CAMERA}\n  dec: {{use: decoder, in: cam1.packets}}");
    let (cameras, port) = served(&workers, &["cam1"])?;
    let line = Line { late_ms: 30..31, lost_per_1000: per_1000, seed, ..Line::default() };
    let gateway = Gateway::open(port, line, Mood::Passes)?;
    let near = Watch::start(&cameras, asked("cam1.frames", PICTURES))?;
    let watchers = watching(gateway.port())?;
    let far = Watch::start(&watchers, asked("cam1.frames", pictures_of(seconds)?))?;
    let watches = [near, far];
    all_have_their_row(&watches, seconds + 60)?;
    let [near, far] = [watches[0].row(), watches[1].row()];
    drop(watches);
    let (lost, passed) = gateway.lost_and_passed();
    watchers.down()?;
    cameras.down()?;
    ensure(lost > 0, || format!("nothing of {passed} packets was lost"))?;
    let shown: BTreeMap<u32, MonoNs> = near.iter().map(|it| (it.number, it.published)).collect();
    let late = far.iter().filter_map(|it| {
        let at_home = shown.get(&it.number)?;
        Some(ms(it.published.0.saturating_sub(at_home.0)))
    });
    let mut late: Vec<f64> = late.collect();
    late.sort_by(f64::total_cmp);
    ensure(!late.is_empty(), || "no picture was seen at both ends".to_owned())?;
    let share = |percent: usize| late[(late.len() - 1) * percent / 100];
    Ok(json!({
        "pictures": far.len(), "torn": 0, "packets_lost": lost, "packets_passed": passed, "seed": seed,
        "late_ms_p50": share(50), "late_ms_p99": share(99), "late_ms_most": share(100),
    }))
}

/// The cameras of I5: all show the same, so one number is one moment.
const FOUR: [&str; 4] = ["cam1", "cam2", "cam3", "cam4"];

/// I5: what four cameras of one clock show at an instant, and when each says that a picture was taken.
pub fn four_cameras_show_the_same(seconds: u64) -> Outcome<Value> {
    let (cameras, port) = served(CAMERA, &["cam1"])?;
    let workers = FOUR.map(|camera| {
        format!(
            "  {camera}: {{use: ingest, source: 'rtsp://127.0.0.1:{port}/cam1'}}
  {camera}-dec: {{use: decoder, in: {camera}.packets}}\n"
        )
    });
    let rings = FOUR.map(|camera| format!("  {camera}.frames: {DEEP}\n"));
    let watchers = Project::new(&format!(
        "version: 1\nworkers:\n{}rings:\n{}",
        workers.concat(),
        rings.concat()
    ))?;
    watchers.up()?;
    for camera in FOUR {
        let words = "on the camera's clock";
        let says = || watchers.worker(camera).ok().filter(|worker| worker.why == words);
        wait_for(60, &format!("{camera} to state {words:?}"), says)?;
    }
    let pictures = pictures_of(seconds)?;
    let watch =
        |camera: &str| Watch::start(&watchers, asked(&format!("{camera}.frames"), pictures));
    let watches = FOUR.into_iter().map(watch).collect::<Outcome<Vec<_>>>()?;
    all_have_their_row(&watches, seconds + 60)?;
    let rows: Vec<Vec<Taken>> = watches.iter().map(Watch::row).collect();
    drop(watches);
    watchers.down()?;
    cameras.down()?;
    let (compared, by_clock_ns) = apart_by_clock(&rows);
    ensure(compared > 0 && by_clock_ns <= APART_FRAMES * FRAME_NS, || {
        format!("{compared} pictures, taken {by_clock_ns} ns apart by their own clocks")
    })?;
    let apart = apart_at_instants(&rows)?;
    let beyond = apart.iter().filter(|ids| u64::from(**ids) > APART_FRAMES).count();
    Ok(json!({
        "instants": apart.len(), "ids_apart_most": apart.iter().max(), "instants_beyond_2": beyond,
        "pictures_of_all": compared, "apart_ms_by_clock_most": ms(by_clock_ns), "torn": 0,
    }))
}

/// How many pictures all have on the camera's clock, and how far the moments are apart that they name, in ns.
fn apart_by_clock(rows: &[Vec<Taken>]) -> (usize, u64) {
    let mut moments: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for taken in rows.iter().flatten().filter(|it| it.clock == ClockSource::Camera) {
        moments.entry(taken.number).or_default().push(taken.capture.utc.0);
    }
    let of_all = moments.values().filter(|moments| moments.len() == rows.len());
    let spans = of_all.filter_map(|moments| Some(moments.iter().max()? - moments.iter().min()?));
    let spans: Vec<u64> = spans.collect();
    (spans.len(), spans.into_iter().max().unwrap_or_default())
}

/// How far the numbers are apart that the rings show, a frame's time after the other.
fn apart_at_instants(rows: &[Vec<Taken>]) -> Outcome<Vec<u32>> {
    let begins = rows.iter().filter_map(|row| Some(row.first()?.published.0)).max();
    let ends = rows.iter().filter_map(|row| Some(row.last()?.published.0)).min();
    let (begins, ends) = (begins.unwrap_or_default(), ends.unwrap_or_default());
    let shown = |row: &Vec<Taken>, at: u64| {
        let count = row.partition_point(|taken| taken.published.0 <= at);
        Some(row.get(count.checked_sub(1)?)?.number)
    };
    let mut apart = Vec::new();
    let mut at = begins;
    while at <= ends {
        let ids: Vec<u32> = rows.iter().filter_map(|row| shown(row, at)).collect();
        if let (Some(most), Some(least)) = (ids.iter().max(), ids.iter().min()) {
            apart.push(most - least);
        }
        at += FRAME_NS;
    }
    ensure(!apart.is_empty(), || "no instant at which all four show something".to_owned())?;
    Ok(apart)
}

#[cfg(test)]
mod tests {
    use protocol::time::{Stamp, UtcNs};

    use super::*;

    fn row(numbers: &[u32], late_ns: u64) -> Vec<Taken> {
        let taken = |number: &u32| {
            let at = u64::from(*number) * FRAME_NS;
            let capture = Stamp { mono: MonoNs(at), utc: UtcNs(at + late_ns / 10) };
            let published = MonoNs(at + late_ns);
            Taken { number: *number, published, capture, clock: ClockSource::Camera }
        };
        numbers.iter().map(taken).collect()
    }

    #[test]
    fn rings_are_compared_where_all_have_pictures() {
        let rows = [row(&[1, 2, 3, 4, 5, 6], 0), row(&[2, 3, 4, 5], 2 * FRAME_NS)];
        assert_eq!(apart_at_instants(&rows), Ok(vec![2, 2, 2]));
        assert_eq!(apart_by_clock(&rows), (4, FRAME_NS / 5));
        assert!(apart_at_instants(&[row(&[1], 0), row(&[9], 0)]).is_err());
    }
}
