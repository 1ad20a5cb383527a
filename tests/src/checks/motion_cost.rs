//! Sixteen cameras through `use: motion`: what all of it takes of a processor, and which pictures nobody looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use protocol::admin::RingStatus;
use protocol::name::RingName;
use serde_json::{Map, Value, json};
use shmring::clock;

use super::analysis_languages::rounded;
use super::{median_and_worst, ring_now};
use crate::project::Project;
use crate::{Outcome, ensure, processes};

const CAMERAS: usize = 16;
const FPS: u64 = 5;
/// Windows whose processor time is compared.
const WINDOWS: u32 = 11;
/// Each picture is the newest for 200 ms, so none comes and goes between two looks at the rings.
const LOOK: Duration = Duration::from_millis(40);
/// Taken but not decoded or looked at yet when the count begins or ends.
const UNDER_WAY: u64 = 2;

/// Sixteen of 640x360 at 5 pictures a second, for so many seconds in all.
pub fn of_sixteen_cameras(seconds: u64) -> Outcome<Value> {
    let project = Project::new(&topology())?;
    project.succeed(&["up", "-d", "--wait", "--timeout", "300s"])?;
    let mut cameras = names().map(|name| Camera::of(&name)).collect::<Outcome<Vec<_>>>()?;
    let kinds = Kinds::of(&project)?;
    let window = Duration::from_secs(seconds) / WINDOWS;
    let mut spent: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut before = kinds.spent();
    for camera in &mut cameras {
        camera.begin(&project);
    }
    for _ in 0..WINDOWS {
        let end = clock::mono() + window;
        while clock::mono() < end {
            std::thread::sleep(LOOK);
            cameras.iter_mut().for_each(|camera| camera.look(&project));
        }
        let now = kinds.spent();
        for (kind, ns) in &now {
            let took = ns.saturating_sub(before[kind]) as f64 / window.as_nanos() as f64;
            spent.entry(kind).or_default().push(took);
        }
        before = now;
    }
    let restarts: u64 = project.ps()?.iter().map(|worker| worker.restarts).sum();
    ensure(restarts == 0, || format!("{restarts} restarts"))?;
    project.down()?;
    figures(&cameras, spent, seconds)
}

fn names() -> impl Iterator<Item = String> {
    (1..=CAMERAS).map(|number| format!("cam{number:02}"))
}

fn topology() -> String {
    let mut text = "version: 1\nworkers:\n".to_owned();
    for name in names() {
        // Writing to a text never fails.
        let _ = writeln!(
            text,
            "  {name}: {{use: ingest, source: 'test:?size=640x360&fps={FPS}&gop={FPS}&mode=loop'}}
  {name}-decode: {{use: decoder, in: {name}.packets}}
  {name}-motion: {{use: motion, in: {name}.frames, fps: {FPS}}}"
        );
    }
    text
}

/// Processes by kind of worker.
struct Kinds(BTreeMap<&'static str, Vec<u32>>);

impl Kinds {
    fn of(project: &Project) -> Outcome<Self> {
        let workers = project.ps()?;
        let of = |kind: &'static str| {
            let its = workers.iter().filter(|worker| worker.kind == kind);
            (kind, its.filter_map(|worker| worker.pid).collect::<Vec<u32>>())
        };
        let kinds = BTreeMap::from(["ingest", "decoder", "motion"].map(of));
        ensure(kinds.values().all(|pids| pids.len() == CAMERAS), || format!("{kinds:?}"))?;
        Ok(Self(kinds))
    }

    fn spent(&self) -> BTreeMap<&'static str, u64> {
        let sum = |pids: &Vec<u32>| pids.iter().map(|pid| processes::cpu_ns(*pid)).sum();
        self.0.iter().map(|(kind, pids)| (*kind, sum(pids))).collect()
    }
}

/// What became of one camera's pictures.
struct Camera {
    name: String,
    packets: RingName,
    frames: RingName,
    /// Head of its packets, and what the ring of frames had lost, at the beginning and now.
    captured: [u64; 2],
    no_slot: [u64; 2],
    /// Sequences that were the newest, and those that motion had taken.
    decoded: BTreeSet<u64>,
    taken: BTreeSet<u64>,
}

impl Camera {
    fn of(name: &str) -> Outcome<Self> {
        Ok(Self {
            name: name.to_owned(),
            packets: Project::ring(&format!("{name}.packets"))?,
            frames: Project::ring(&format!("{name}.frames"))?,
            captured: [0; 2],
            no_slot: [0; 2],
            decoded: BTreeSet::new(),
            taken: BTreeSet::new(),
        })
    }

    fn begin(&mut self, project: &Project) {
        self.look(project);
        self.captured[0] = self.captured[1];
        self.no_slot[0] = self.no_slot[1];
        self.decoded.clear();
        self.taken.clear();
    }

    fn look(&mut self, project: &Project) {
        self.captured[1] = ring_now(project.name(), &self.packets).head;
        let frames = ring_now(project.name(), &self.frames);
        self.no_slot[1] = frames.drops.no_slot;
        self.decoded.insert(frames.head);
        self.taken.extend(taken(&frames));
    }

    /// Named by where they stayed: the decoder made none (motion wants so many a second, and this one came too soon
    /// after another), there was no place for it in the ring, or it was there and not looked at.
    fn drops(&self) -> [(&'static str, u64); 3] {
        let [captured, no_slot] = [self.captured, self.no_slot].map(|[from, to]| to - from);
        let (decoded, taken) = (self.decoded.len() as u64, self.taken.len() as u64);
        let beyond = |more: u64, less: u64| more.saturating_sub(less).saturating_sub(UNDER_WAY);
        [
            ("left_out", beyond(captured, decoded + no_slot)),
            ("no_slot", no_slot),
            ("not_looked_at", beyond(decoded, taken)),
        ]
    }
}

/// What motion, the ring's only reader, has taken last.
fn taken(frames: &RingStatus) -> Option<u64> {
    frames.readers.first().map(|reader| frames.head.saturating_sub(reader.lag))
}

fn figures(cameras: &[Camera], spent: BTreeMap<&str, Vec<f64>>, seconds: u64) -> Outcome<Value> {
    let captured: u64 = cameras.iter().map(|camera| camera.captured[1] - camera.captured[0]).sum();
    let expected = CAMERAS as u64 * FPS * seconds;
    ensure(captured * 10 >= expected * 9, || {
        format!("{captured} pictures of {expected}: this machine is too slow for it")
    })?;
    let mut told = Map::from_iter([
        ("cameras".to_owned(), json!(cameras.len())),
        ("seconds".to_owned(), json!(seconds)),
        ("pictures".to_owned(), json!(captured)),
    ]);
    for (kind, mut windows) in spent {
        let (median, worst) = median_and_worst(&mut windows);
        told.insert(format!("cores_{kind}"), json!(rounded(median)));
        told.insert(format!("cores_{kind}_worst"), json!(rounded(worst)));
    }
    let mut by_camera = Map::new();
    for camera in cameras {
        let drops = camera.drops();
        for (why, count) in drops {
            let sum = told.get(why).and_then(Value::as_u64).unwrap_or(0);
            told.insert(why.to_owned(), json!(sum + count));
        }
        if drops.iter().any(|(_, count)| *count > 0) {
            let drops = drops.into_iter().map(|(why, count)| (why.to_owned(), json!(count)));
            by_camera.insert(camera.name.clone(), Value::Object(drops.collect()));
        }
    }
    told.insert("drops_by_camera".to_owned(), Value::Object(by_camera));
    Ok(Value::Object(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_stays_away_is_named_by_where_it_stayed() {
        let mut camera = Camera::of("cam01").unwrap();
        camera.captured = [100, 200];
        camera.no_slot = [1, 4];
        camera.decoded = (1..=90).collect();
        camera.taken = (1..=80).collect();
        let names = [("left_out", 5), ("no_slot", 3), ("not_looked_at", 8)];
        assert_eq!(camera.drops(), names);
        camera.captured[1] = 195;
        camera.taken = (2..=89).collect();
        assert_eq!(camera.drops(), [("left_out", 0), ("no_slot", 3), ("not_looked_at", 0)]);
    }
}
