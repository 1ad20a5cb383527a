//! Pictures and records through real rings in shared memory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use protocol::admin::RingStatus;
use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Colour, PixelFormat};
use protocol::time::Stamp;
use shmring::{FrameMeta, FrameWriter, Picture, RecordWriter, SourceId, census, clock};
use web::desk::{Desk, NoPicture};
use web::events::EventLog;
use web::live::{EventInput, Rings};
use web::sources::{PacketTap, PictureTap, Sources, Trouble};

const WIDTH: u32 = 90;
const HEIGHT: u32 = 50;
/// Rows are longer than what is visible, as a decoder's are.
const LINESIZE: u32 = 128;

/// A project of its own, swept afterwards.
struct System {
    rings: Rings,
}

impl System {
    fn new() -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let project = format!("web{}-{number}", std::process::id()).parse().unwrap();
        Arc::new(Self { rings: Rings { project, reader: "web".to_owned() } })
    }

    fn project(&self) -> &ProjectName {
        &self.rings.project
    }

    fn contract(ring: &str) -> RingContract {
        let config = RingConfig::default();
        RingContract::new(ring.parse().unwrap(), config, 2)
    }

    fn writer(&self) -> FrameWriter {
        let source: RingName = "cam1.packets".parse().unwrap();
        FrameWriter::create(self.project(), &Self::contract("cam1.frames"), Some(&source)).unwrap()
    }

    fn desk(self: &Arc<Self>) -> Desk {
        let cameras = [("cam1".to_owned(), Some("cam1.frames".parse().unwrap()))];
        Desk::new(cameras, Arc::clone(self) as Arc<dyn Sources>, 80)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        census::sweep_unowned(self.project());
    }
}

impl Sources for System {
    fn now(&self) -> Stamp {
        clock::now()
    }

    fn workers(&self) -> Result<String, Trouble> {
        Ok("[]".to_owned())
    }

    fn rings(&self) -> Vec<RingStatus> {
        self.rings.census()
    }

    fn open(&self, ring: &RingName) -> Result<Box<dyn PictureTap>, Trouble> {
        self.rings.open(ring)
    }

    fn packets(&self, ring: &RingName) -> Box<dyn PacketTap> {
        self.rings.packets(ring)
    }
}

/// Publishes a gray yuv420p picture whose luma is `luma`.
fn publish(writer: &FrameWriter, luma: u8, sequence: u64) {
    let picture = Picture::packed(WIDTH, HEIGHT, PixelFormat::Yuv420p, LINESIZE).unwrap();
    let colour = Colour { range: 2, matrix: 6, ..Colour::default() };
    let mut loan = writer.loan(picture.slot_bytes(), 1).unwrap();
    let bytes = loan.bytes_mut();
    bytes.fill(128);
    for row in bytes[..(LINESIZE * HEIGHT) as usize].chunks_exact_mut(LINESIZE as usize) {
        row[..WIDTH as usize].fill(luma);
        row[WIDTH as usize..].fill(255);
    }
    let now = clock::now();
    let meta = FrameMeta {
        capture: now,
        ingest: now.mono,
        decoded: now.mono,
        source: Some(SourceId { epoch: 77, sequence }),
        key: true,
        gop_index: 1,
        ..FrameMeta::of(Picture { colour, ..picture })
    };
    writer.publish(loan.slot(), &meta).unwrap();
}

fn gray_of(jpeg: &[u8]) -> u8 {
    let mut decoder = zune_jpeg::JpegDecoder::new(std::io::Cursor::new(jpeg));
    let pixels = decoder.decode().unwrap();
    assert_eq!(decoder.dimensions(), Some((WIDTH as usize, HEIGHT as usize)));
    let (low, high) = (pixels.iter().min().unwrap(), pixels.iter().max().unwrap());
    assert!(high - low <= 4, "no padding is seen: {low} to {high}");
    *low
}

#[tokio::test]
async fn the_newest_picture_of_a_ring_is_shown_through_a_restart_of_its_writer() {
    let system = System::new();
    let writer = system.writer();
    let desk = system.desk();
    publish(&writer, 50, 4);
    publish(&writer, 90, 5);
    let first = desk.newest("cam1").await.unwrap();
    assert!(gray_of(&first.jpeg).abs_diff(90) <= 2);
    let id = &first.stamp.id;
    assert_eq!((id.ring.as_str(), id.epoch, id.sequence), ("cam1.packets", 77, 5));
    assert_eq!(first.stamp.epoch, writer.epoch());

    drop(writer);
    assert_eq!(desk.newest("cam1").await.unwrap().stamp, first.stamp, "the last one is kept");
    let successor = system.writer();
    publish(&successor, 200, 9);
    let next = loop {
        let next = desk.newest("cam1").await.unwrap();
        if next.stamp != first.stamp {
            break next;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(gray_of(&next.jpeg).abs_diff(200) <= 2);
    assert_eq!(next.stamp.epoch, successor.epoch());
}

#[tokio::test]
async fn the_ring_has_a_reader_only_while_somebody_looks() {
    let system = System::new();
    let writer = system.writer();
    publish(&writer, 50, 1);
    let desk = system.desk();
    assert_eq!(writer.readers(), 0);
    desk.newest("cam1").await.unwrap();
    assert_eq!(writer.readers(), 1);
    desk.rest(clock::mono() + Duration::from_secs(6));
    assert_eq!(writer.readers(), 0);
}

#[tokio::test]
async fn no_lease_is_held_between_looks() {
    let system = System::new();
    let writer = system.writer();
    let desk = system.desk();
    for sequence in 1..=200 {
        publish(&writer, 50, sequence);
        if sequence % 20 == 0 {
            desk.newest("cam1").await.unwrap();
            let rings = system.rings();
            assert_eq!(rings[0].readers[0].leases, 0);
        }
    }
}

#[tokio::test]
async fn a_ring_that_is_not_there_yet_is_shown_when_it_comes() {
    let system = System::new();
    let desk = system.desk();
    let none = desk.newest("cam1").await.unwrap_err();
    assert!(
        matches!(&none, NoPicture::NotYet { why, .. } if why.contains("cam1.frames")),
        "{none}"
    );
    let writer = system.writer();
    publish(&writer, 50, 1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    desk.newest("cam1").await.unwrap();
}

#[test]
fn records_are_kept_across_a_ring_that_comes_late_and_comes_again() {
    let system = System::new();
    let log = EventLog::default();
    let mut input = EventInput::new(&"motion.events".parse().unwrap());
    input.drain(&system.rings, &log);
    let count = |wanted: usize, input: &mut EventInput| {
        let deadline = clock::mono() + Duration::from_secs(60);
        while log.newest_first().len() < wanted {
            assert!(clock::mono() < deadline, "{} of {wanted} records", log.newest_first().len());
            input.drain(&system.rings, &log);
            std::thread::yield_now();
        }
    };
    for round in 1..=3 {
        let contract = System::contract("motion.events");
        let mut writer = RecordWriter::create(system.project(), &contract).unwrap();
        writer.emit(&fake::record(0, "begin")).unwrap();
        writer.emit(&fake::record(0, "end")).unwrap();
        count(2 * round, &mut input);
        writer.finish();
    }
    let events = log.newest_first();
    assert_eq!(events[0].ring.as_str(), "motion.events");
    assert_eq!((events[0].record.kind.as_str(), events.len()), ("motion.end", 6));
}
