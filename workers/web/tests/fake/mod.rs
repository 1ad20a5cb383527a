//! A made-up system: cameras with moving, frame-coded pictures, rings and workers, and a clock that
//! a test can move.
#![allow(dead_code, reason = "each test program uses its own part of it")]

pub(crate) mod h264;
pub(crate) mod packets;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use protocol::admin::RingStatus;
use protocol::name::{RingName, WorkerName};
use protocol::stream::{Colour, FrameId, PixelFormat};
use protocol::time::{MonoNs, Stamp};
use web::insight::passage::Passage;
use web::picture::{Picture, PictureStamp, Times};
use web::site::{About, Site};
use web::sources::{PacketTap, PictureTap, Sources, TimesTap, Trouble};

use packets::{Absent, FakePackets};

pub(crate) const WIDTH: u32 = 320;
pub(crate) const HEIGHT: u32 = 192;
const FPS: u64 = 25;
const STRIP: u32 = 16;

/// The system. Cameras named here are not there, or stand still since the start.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) cameras: Vec<String>,
    pub(crate) missing: BTreeSet<String>,
    pub(crate) frozen: BTreeSet<String>,
    pub(crate) silent_supervisor: AtomicBool,
    /// Packet rings are inputs, too.
    pub(crate) live: bool,
    /// How often the writers of the packet rings were restarted.
    pub(crate) restarts: Arc<AtomicU64>,
    /// Attached taps now, and pictures copied so far.
    pub(crate) attached: Arc<AtomicU32>,
    pub(crate) copied: Arc<AtomicU64>,
    pub(crate) opened: Mutex<Vec<RingName>>,
    began: MonoNs,
    ahead_ns: AtomicU64,
    /// Where the clock stands but for jumps; 0: it goes.
    stands_ns: AtomicU64,
}

impl Fake {
    pub(crate) fn new(cameras: impl IntoIterator<Item = String>) -> Self {
        Self {
            cameras: cameras.into_iter().collect(),
            began: shmring::clock::mono(),
            ..Self::default()
        }
    }

    /// `count` cameras; of many, one stands still and one is missing.
    pub(crate) fn of(count: usize) -> Self {
        let names: Vec<String> = (1..=count).map(|n| format!("cam{n:02}")).collect();
        let mut fake = Self::new(names.clone());
        if count > 4 {
            fake.frozen.insert(names[2].clone());
            fake.missing.insert(names[5 % count].clone());
        }
        fake
    }

    pub(crate) fn site(self: &Arc<Self>) -> Arc<Site> {
        self.live_site(None)
    }

    /// With live video of rings, which are no made-up ones.
    pub(crate) fn live_site(self: &Arc<Self>, webrtc: Option<whep::Door>) -> Arc<Site> {
        let frames = self.cameras.iter().map(|camera| format!("{camera}.frames"));
        let packets = self.cameras.iter().map(|camera| format!("{camera}.packets"));
        let inputs: Vec<RingName> = frames
            .chain(packets.filter(|_| self.live))
            .chain(["motion.events".to_owned()])
            .map(|name| name.parse().expect("a ring name"))
            .collect();
        let about = About {
            project: "demo".parse().expect("a project name"),
            worker: "web".parse().expect("a worker name"),
            version: "0.0.0",
            inputs,
        };
        Arc::new(Site::new(about, Arc::clone(self) as Arc<dyn Sources>, 80).live(webrtc))
    }

    /// The number of the picture that is newest now.
    pub(crate) fn newest(&self, camera: &str) -> u64 {
        self.number(camera)
    }

    pub(crate) fn jump(&self, seconds: u64) {
        self.ahead_ns.fetch_add(seconds * 1_000_000_000, Ordering::Relaxed);
    }

    /// From now on time passes by jumps alone, however long a thread of a busy machine rests.
    pub(crate) fn stand(&self) {
        self.stands_ns.store(shmring::clock::mono().0, Ordering::Relaxed);
    }

    fn mono(&self) -> MonoNs {
        let stands_ns = self.stands_ns.load(Ordering::Relaxed);
        MonoNs(clock_ns(stands_ns) + self.ahead_ns.load(Ordering::Relaxed))
    }

    fn number(&self, camera: &str) -> u64 {
        if self.frozen.contains(camera) {
            return 1;
        }
        1 + (self.mono().0 - self.began.0) * FPS / 1_000_000_000
    }

    /// Of its ingest.
    fn pid(&self, camera: &str) -> u32 {
        let place = self.cameras.iter().position(|one| one == camera).unwrap_or(0);
        100 + u32::try_from(place).expect("few cameras")
    }

    fn ring(&self, camera: &str, kind: &str) -> RingStatus {
        let name: RingName = format!("{camera}.{kind}").parse().expect("a ring name");
        let number = self.number(camera);
        let made_ns = self.began.0 + (number - 1) * 1_000_000_000 / FPS;
        let readers = serde_json::json!([
            {"name": "motion", "lag": 0, "missed": 0, "pid": 1, "leases": 1},
            {"name": "notebook", "lag": 3, "missed": if self.frozen.contains(camera) { 12 } else { 0 },
             "pid": 9, "leases": 0},
        ]);
        RingStatus {
            epoch: 1_763_650_000_000_000,
            head: number,
            readers: serde_json::from_value(readers).expect("readers"),
            bytes: 8 << 20,
            live: true,
            writer_pid: (kind == "packets").then(|| self.pid(camera)),
            age_ms: Some((self.mono().0 - made_ns) / 1_000_000),
            width: WIDTH,
            height: HEIGHT,
            ..RingStatus::absent(name)
        }
    }
}

impl Sources for Fake {
    fn now(&self) -> Stamp {
        Stamp { mono: self.mono(), utc: shmring::clock::now().utc }
    }

    fn workers(&self) -> Result<String, Trouble> {
        if self.silent_supervisor.load(Ordering::Relaxed) {
            let fault = worker::Fault::unavailable("the supervisor did not answer within 2 s");
            return Err(fault.into());
        }
        let ingest = |name: &String| {
            let (state, why) = if self.frozen.contains(name) || self.missing.contains(name) {
                ("degraded", "rtsp://10.0.1.14/main: 401 Unauthorized, trying again in 8 s")
            } else {
                ("running", "")
            };
            serde_json::json!({"name": name, "kind": "ingest", "pid": self.pid(name), "state": state, "why": why,
                "restarts": 0, "uptime_s": 7_923.0, "last_exit": "", "restart_ms": null, "extra": 1})
        };
        let mut list: Vec<_> = self.cameras.iter().map(ingest).collect();
        list.push(
            serde_json::json!({"name": "motion", "kind": "motion", "pid": null, "state": "backoff",
            "why": "SIGSEGV, next try in 8 s", "restarts": 4, "uptime_s": 0.0,
            "last_exit": "SIGSEGV", "restart_ms": 9.5}),
        );
        Ok(serde_json::Value::from(list).to_string())
    }

    fn rings(&self) -> Vec<RingStatus> {
        let there = self.cameras.iter().filter(|camera| !self.missing.contains(*camera));
        there.flat_map(|camera| ["frames", "packets"].map(|kind| self.ring(camera, kind))).collect()
    }

    fn logs(&self, worker: &WorkerName, lines: u32) -> Result<Option<String>, Trouble> {
        if self.silent_supervisor.load(Ordering::Relaxed) {
            let fault = worker::Fault::unavailable("the supervisor did not answer within 2 s");
            return Err(fault.into());
        }
        if !self.cameras.iter().any(|camera| camera == worker.as_str()) {
            return Ok(None);
        }
        let now = shmring::clock::now().utc.0;
        let line = |n: u32| {
            let (level, ago) = (if n % 7 == 3 { "WARN" } else { "INFO" }, u64::from(lines - n));
            serde_json::json!({"worker": worker, "time_utc_ns": now - ago * 1_000_000_000, "stream": "stderr",
                "text": format!("{level} {worker}: made up, line {n}")})
        };
        Ok(Some(
            serde_json::Value::from((0..lines.min(40)).map(line).collect::<Vec<_>>()).to_string(),
        ))
    }

    fn open_times(&self, ring: &RingName) -> Result<Option<Box<dyn TimesTap>>, Trouble> {
        if self.missing.contains(ring.camera()) {
            let project = "fake".parse().expect("a valid name");
            return Err(shmring::Error::NoSuchRing { ring: ring.clone(), project }.into());
        }
        Ok(Some(Box::new(FakeTimes(self.ahead_ns.load(Ordering::Relaxed)))))
    }

    fn open(&self, ring: &RingName) -> Result<Box<dyn PictureTap>, Trouble> {
        self.opened.lock().expect("a lock").push(ring.clone());
        if self.missing.contains(ring.camera()) {
            let project = "fake".parse().expect("a valid name");
            return Err(shmring::Error::NoSuchRing { ring: ring.clone(), project }.into());
        }
        self.attached.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(FakeTap {
            ring: ring.clone(),
            began: self.began,
            ahead_ns: self.ahead_ns.load(Ordering::Relaxed),
            stands_ns: self.stands_ns.load(Ordering::Relaxed),
            frozen: self.frozen.contains(ring.camera()),
            given: 0,
            attached: Arc::clone(&self.attached),
            copied: Arc::clone(&self.copied),
        }))
    }

    fn packets(&self, ring: &RingName) -> Box<dyn PacketTap> {
        if self.missing.contains(ring.camera()) {
            return Box::new(Absent(format!("ring {ring} has no writer yet")));
        }
        if self.frozen.contains(ring.camera()) {
            return Box::new(Absent(format!("ring {ring} is quiet")));
        }
        Box::new(FakePackets::new(self.began, Arc::clone(&self.restarts)))
    }
}

struct FakeTap {
    ring: RingName,
    began: MonoNs,
    ahead_ns: u64,
    stands_ns: u64,
    frozen: bool,
    given: u64,
    attached: Arc<AtomicU32>,
    copied: Arc<AtomicU64>,
}

impl PictureTap for FakeTap {
    fn newest(&mut self) -> Result<Option<Picture>, Trouble> {
        let now = clock_ns(self.stands_ns) + self.ahead_ns;
        let number = if self.frozen { 1 } else { 1 + (now - self.began.0) * FPS / 1_000_000_000 };
        if number == self.given {
            return Ok(None);
        }
        self.given = number;
        self.copied.fetch_add(1, Ordering::Relaxed);
        let stamp = PictureStamp {
            id: FrameId {
                ring: format!("{}.packets", self.ring.camera()).parse().expect("a ring name"),
                epoch: packets::EPOCH,
                sequence: number,
            },
            epoch: 6,
            sequence: number,
            capture_utc: shmring::clock::now().utc,
            arrival: MonoNs(self.began.0 + (number - 1) * 1_000_000_000 / FPS),
            times: times(now),
        };
        Ok(Some(coded_picture(number, stamp)))
    }
}

/// The time now, or where it stands.
fn clock_ns(stands_ns: u64) -> u64 {
    if stands_ns == 0 { shmring::clock::mono().0 } else { stands_ns }
}

/// 12 ms from the camera, 6 ms in the decoder, and in the ring at `now`.
fn times(now: u64) -> Times {
    let before = |ms: u64| MonoNs(now.saturating_sub(ms * 1_000_000));
    Times { capture: before(18), ingest: before(6), decoded: before(0), published: before(0) }
}

/// A packet a call, as old as it would be.
struct FakeTimes(u64);

impl TimesTap for FakeTimes {
    fn drain(&mut self, take: &mut dyn FnMut(Passage)) -> Result<(), Trouble> {
        let at = Passage::from(times(shmring::clock::mono().0 + self.0));
        take(Passage { decoded: MonoNs(0), ..at });
        Ok(())
    }
}

impl Drop for FakeTap {
    fn drop(&mut self) {
        self.attached.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A moving picture with the frame code in its top and bottom strips.
pub(crate) fn coded_picture(number: u64, stamp: PictureStamp) -> Picture {
    let box_x = u32::try_from(number * 3 % u64::from(WIDTH)).expect("below the width");
    let luma = |x: u32, y: u32| -> u8 {
        if !(STRIP..HEIGHT - STRIP).contains(&y) {
            return if code_bit(number, x * 32 / WIDTH) { 235 } else { 16 };
        }
        let inside = (x + WIDTH - box_x) % WIDTH < 45 && (60..105).contains(&y);
        if inside { 210 } else { u8::try_from(40 + y * 120 / HEIGHT).expect("below 256") }
    };
    let chroma = |plane: u32, x: u32| -> u8 {
        u8::try_from(100 + (x * 56 / (WIDTH / 2)) * plane % 90).expect("below 256")
    };
    let grid = |width: u32, height: u32, at: &dyn Fn(u32, u32) -> u8| -> Vec<u8> {
        (0..height).flat_map(|y| (0..width).map(move |x| at(x, y))).collect()
    };
    let strip = |y: u32| !(STRIP / 2..(HEIGHT - STRIP) / 2).contains(&y);
    let colour = |plane| move |x, y| if strip(y) { 128 } else { chroma(plane, x) };
    Picture {
        format: PixelFormat::Yuv420p,
        width: WIDTH,
        height: HEIGHT,
        colour: Colour { range: 1, matrix: 6, ..Colour::default() },
        planes: vec![
            grid(WIDTH, HEIGHT, &luma),
            grid(WIDTH / 2, HEIGHT / 2, &colour(1)),
            grid(WIDTH / 2, HEIGHT / 2, &colour(2)),
        ],
        stamp,
    }
}

/// Bit `cell` of the code: 24 bits of the number, then the xor of its three bytes.
fn code_bit(number: u64, cell: u32) -> bool {
    let low = number & 0xff_ffff;
    let check = (low ^ (low >> 8) ^ (low >> 16)) & 0xff;
    ((low | check << 24) >> cell) & 1 == 1
}

/// What moves in picture `number` of `cam01`, with the box around it.
pub(crate) fn seen(number: u64) -> protocol::record::Record {
    let x = number * 3 % u64::from(WIDTH);
    let boxes = serde_json::json!([{"x": x, "y": 60, "w": 45, "h": 45, "label": "cat"}]);
    protocol::record::Record {
        id: "motion-3".to_owned(),
        kind: "motion.update".to_owned(),
        camera: "cam01".to_owned(),
        frame: Some(FrameId {
            ring: "cam01.packets".parse().expect("a ring name"),
            epoch: packets::EPOCH,
            sequence: number,
        }),
        time_utc_ns: shmring::clock::now().utc.0,
        data: serde_json::json!({"score": x, "boxes": boxes, "width": WIDTH, "height": HEIGHT}),
    }
}

/// A motion record of `cam01`, `second` seconds after some begin; 9 is another one, going on now.
pub(crate) fn record(second: u64, kind: &str) -> protocol::record::Record {
    let now = shmring::clock::now().utc.0;
    let ago = if second == 9 { 0 } else { 60 - 4 * second };
    protocol::record::Record {
        id: if second == 9 { "motion-2" } else { "motion-1" }.to_owned(),
        kind: format!("motion.{kind}"),
        camera: "cam01".to_owned(),
        frame: None,
        time_utc_ns: now - ago * 1_000_000_000,
        data: serde_json::json!({"score": 0.12}),
    }
}
