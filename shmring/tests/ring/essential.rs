//! Essential readers: what is kept for them, and what becomes of one that is too slow.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use protocol::config::Access;
use protocol::control::{Essential, RingContract};
use protocol::units::{BitRate, Span};
use shmring::layout::{index, lease};
use shmring::{
    FrameOptions, FrameReader, FrameStart, FrameWriter, Next, PacketMeta, PacketOptions,
    PacketReader, PacketWriter, Policy, Start, census, clock,
};

use crate::brokered::Brokerage;
use crate::frames::{item as picture, pixels, send};
use crate::packets::item;
use crate::{NOW, Project, SOON};

const READER: &str = "recorder";
/// Long enough that no machine is so slow.
const NEVER: Span = Span::from_millis(600_000);
const AT_ONCE: Span = Span::from_millis(20);
/// Four of these fill the log of an events ring, whose payloads are at most a quarter of it.
const LARGE: usize = 200_000;

fn contract(project: &Project, ring: &str, deadline: Span) -> RingContract {
    let mut contract = project.contract(ring, 3);
    contract.essential = vec![Essential { reader: READER.to_owned(), deadline }];
    // So that the depth bought is next to nothing.
    contract.config.max_bitrate = BitRate(8);
    contract
}

fn attach(project: &Project, contract: &RingContract) -> PacketReader {
    let options = PacketOptions { reader: READER.to_owned(), start: Start::Oldest };
    PacketReader::attach(&project.0, &contract.name, &options).unwrap()
}

fn frame_reader(project: &Project, contract: &RingContract) -> FrameReader {
    let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named(READER) };
    let options = FrameOptions { start: FrameStart::Oldest, ..options };
    FrameReader::attach(&project.0, &contract.name, &options).unwrap()
}

fn publish(writer: &mut PacketWriter, bytes: usize) -> u64 {
    writer.publish(&PacketMeta::default(), &vec![7; bytes]).unwrap()
}

/// Publishes until the writer has looked at the pages: it does so at the latest after 50 ms.
fn publish_until(writer: &mut PacketWriter, is_enough: impl Fn() -> bool) {
    let deadline = clock::mono() + SOON;
    while !is_enough() {
        assert!(clock::mono() < deadline, "never");
        publish(writer, 1);
        thread::sleep(Duration::from_millis(1));
    }
}

fn let_go_of(project: &Project) -> u64 {
    census::rings(&project.0).remove(0).drops.let_go
}

#[test]
fn a_reader_past_its_deadline_is_told_so_once_and_reads_on() {
    let project = Project::new();
    let contract = contract(&project, "cam.packets", AT_ONCE);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract);
    publish_until(&mut writer, || let_go_of(&project) == 1);
    let Next::Evicted { reason } = reader.next(NOW).unwrap() else { panic!("told nothing") };
    for part in ["ring cam.packets", "deadline of 20ms", "items behind", "older than that"] {
        assert!(reason.contains(part), "{part} is not in: {reason}");
    }
    assert_eq!(item(reader.next(NOW).unwrap()).sequence, 1, "nothing was overwritten yet");
    let status = census::rings(&project.0).remove(0);
    assert_eq!((status.readers[0].evicted, status.readers[0].missed), (1, 0));
}

#[test]
fn a_reader_whose_name_is_longer_than_its_page_has_room_for_is_essential() {
    let project = Project::new();
    // In the middle of a letter.
    let name = format!("x{}", "ü".repeat(lease::NAME_MAX));
    let mut contract = contract(&project, "cam.packets", AT_ONCE);
    contract.essential[0].reader.clone_from(&name);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let options = PacketOptions { reader: name, start: Start::Oldest };
    let mut reader = PacketReader::attach(&project.0, &contract.name, &options).unwrap();
    publish_until(&mut writer, || let_go_of(&project) == 1);
    assert!(matches!(reader.next(NOW).unwrap(), Next::Evicted { .. }));
}

#[test]
fn a_reader_that_has_caught_up_is_essential_again() {
    let project = Project::new();
    let contract = contract(&project, "cam.packets", AT_ONCE);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract);
    for times in 1..=3 {
        publish_until(&mut writer, || let_go_of(&project) == times);
        let mut told = 0;
        loop {
            match reader.next(NOW).unwrap() {
                Next::Evicted { .. } => told += 1,
                Next::Quiet => break,
                _ => {}
            }
        }
        assert_eq!(told, 1);
    }
}

#[test]
fn a_live_ring_full_of_what_a_reader_has_not_taken_lets_go_of_it_and_tells_it_before_the_loss() {
    let project = Project::new();
    let contract = contract(&project, "cam.events", NEVER);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract);
    for _ in 0..20 {
        publish(&mut writer, LARGE);
    }
    let Next::Evicted { reason } = reader.next(NOW).unwrap() else { panic!("told nothing") };
    assert!(reason.contains("full"), "{reason}");
    assert!(matches!(reader.next(NOW).unwrap(), Next::Overrun { missed } if missed >= 10));
}

#[test]
fn depth_is_bought_for_the_deadline_at_the_highest_rate() {
    let project = Project::new();
    let mut plain = project.contract("a.packets", 2);
    let mut deep = project.contract("b.packets", 2);
    (plain.config.max_bitrate, deep.config.max_bitrate) = (BitRate(8_000_000), BitRate(8_000_000));
    deep.essential =
        vec![Essential { reader: READER.to_owned(), deadline: Span::from_millis(2_000) }];
    let _writers = [plain, deep].map(|c| PacketWriter::create(&project.0, &c, &[]).unwrap());
    let [plain, deep] = ["a.packets", "b.packets"].map(|ring| {
        census::rings(&project.0).into_iter().find(|status| status.name.as_str() == ring).unwrap()
    });
    // Two seconds of 1 MB, and a table of two entries of 64 bytes.
    let more = deep.bytes - plain.bytes;
    // Both logs are whole pages.
    assert!((1_996_000..2_005_000).contains(&more), "{more}");
}

#[test]
fn a_writer_that_may_wait_loses_nothing_of_a_slow_reader() {
    let project = Project::new();
    let contract = RingContract { waits: true, ..contract(&project, "cam.events", NEVER) };
    loses_nothing_of_a_slow_reader(&project, &contract);
    assert_eq!(let_go_of(&project), 0);
}

#[test]
fn a_writer_that_may_wait_does_so_for_a_reader_by_the_broker_too() {
    let brokerage = Brokerage::new();
    let project = &brokerage.project;
    let mut contract = RingContract { waits: true, ..contract(project, "cam.events", NEVER) };
    contract.config.access = Access::Brokered;
    loses_nothing_of_a_slow_reader(project, &contract);
}

fn loses_nothing_of_a_slow_reader(project: &Project, contract: &RingContract) {
    let mut writer = PacketWriter::create(&project.0, contract, &[]).unwrap();
    let mut reader = attach(project, contract);
    const PACKETS: u64 = 60;
    let reading = thread::spawn(move || {
        for expected in 1..=PACKETS {
            assert_eq!(item(reader.next(SOON).unwrap()).sequence, expected);
            thread::sleep(Duration::from_millis(2));
        }
    });
    for _ in 0..PACKETS {
        publish(&mut writer, LARGE);
    }
    reading.join().unwrap();
}

#[test]
fn a_writer_that_may_wait_does_so_no_longer_than_the_deadline_and_not_when_it_is_told_to_stop() {
    let project = Project::new();
    let contract = RingContract { waits: true, ..contract(&project, "cam.events", AT_ONCE) };
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract);
    for _ in 0..20 {
        publish(&mut writer, LARGE);
    }
    let Next::Evicted { reason } = reader.next(NOW).unwrap() else { panic!("told nothing") };
    assert!(reason.contains("waited"), "{reason}");

    let other = project.contract("other.events", 1);
    let contract = RingContract { name: other.name, ..contract };
    let essential = vec![Essential { reader: READER.to_owned(), deadline: NEVER }];
    let contract = RingContract { essential, ..contract };
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract);
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    writer.while_waiting(move || counter.fetch_add(1, Ordering::Relaxed) < 3);
    for _ in 0..20 {
        publish(&mut writer, LARGE);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert!(matches!(reader.next(NOW).unwrap(), Next::Evicted { .. }));
}

#[test]
fn pictures_are_kept_for_an_essential_reader_as_far_as_depth_was_bought() {
    let project = Project::new();
    // Four seconds: a test that is not scheduled for one or two is not late.
    let contract = contract(&project, "cam.frames", Span::from_millis(4_000));
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = frame_reader(&project, &contract);
    send(&writer, 0);
    assert_eq!(pixels(&picture(reader.next(NOW).unwrap()))[0], 0);
    // Thirty for each second, and no more than a few others that the ring has anyway.
    for value in 1..=120 {
        send(&writer, value);
    }
    for value in 1..=120 {
        assert_eq!(pixels(&picture(reader.next(NOW).unwrap()))[0], value);
    }
    for value in 0..190 {
        send(&writer, value);
    }
    let Next::Evicted { reason } = reader.next(NOW).unwrap() else { panic!("told nothing") };
    assert!(reason.contains("full"), "{reason}");
    assert!(matches!(reader.next(NOW).unwrap(), Next::Overrun { .. }));
    assert!(matches!(reader.next(NOW).unwrap(), Next::Item(_)));
}

#[test]
fn a_loan_that_may_wait_does_so_until_the_reader_has_taken_a_picture() {
    let project = Project::new();
    let deadline = Span::from_millis(1);
    let contract = RingContract { waits: true, ..contract(&project, "cam.frames", deadline) };
    let essential = vec![Essential { reader: READER.to_owned(), deadline: NEVER }];
    // A short deadline for few slots, a long one for patience.
    let contract = RingContract { essential, places: 1, ..contract };
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = frame_reader(&project, &contract);
    let (told, tell) = mpsc::channel();
    writer.while_waiting(move || {
        let _ = told.send(());
        true
    });
    let reading = thread::spawn(move || {
        // Not before the writer waits.
        tell.recv_timeout(SOON).unwrap();
        let mut expected = 1;
        while expected <= 400 {
            let frame = picture(reader.next(SOON).unwrap());
            assert_eq!(frame.sequence(), expected);
            expected += 1;
        }
    });
    for value in 0..400u32 {
        send(&writer, u8::try_from(value % 256).unwrap());
    }
    reading.join().unwrap();
    assert_eq!(let_go_of(&project), 0);
}

#[test]
fn a_reader_of_each_hundredth_picture_is_not_late_for_those_it_does_not_want() {
    let project = Project::new();
    let contract = contract(&project, "cam.frames", AT_ONCE);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named(READER) };
    let options = FrameOptions { every: 1_000_000, ..options };
    let _reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let until = clock::mono() + 5 * AT_ONCE.duration();
    while clock::mono() < until {
        send(&writer, 1);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(let_go_of(&project), 0);
}

#[test]
fn a_page_of_a_strangers_hand_costs_the_honest_reader_nothing() {
    let project = Project::new();
    let contract = contract(&project, "cam.events", NEVER);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    // It has the lower place, the same name and a lock of its own, and never reads.
    let stranger = attach(&project, &contract);
    let mut reader = attach(&project, &contract);
    let path = format!("/dev/shm/fv.{}.cam.events.l0", project.0);
    let page = OpenOptions::new().write(true).open(path).unwrap();
    let mut taken = 0;
    for (number, cursor) in (0..200u64).zip([0, u64::MAX, 5, u64::MAX - 1, 1 << 40].iter().cycle())
    {
        page.write_all_at(&cursor.to_le_bytes(), lease::AT_CURSOR as u64).unwrap();
        if number == 100 {
            page.set_len(100).unwrap();
        }
        publish(&mut writer, LARGE);
        taken += 1;
        assert_eq!(item(reader.next(NOW).unwrap()).sequence, taken);
    }
    drop(stranger);
}

#[test]
fn a_ring_without_essential_readers_has_no_table_of_evictions() {
    let project = Project::new();
    let writer = PacketWriter::create(&project.0, &project.contract("cam.events", 1), &[]).unwrap();
    let index_file = format!("/dev/shm/fv.{}.cam.events.e{}", project.0, writer.epoch());
    let mut table = [1; 8];
    let file = std::fs::File::open(&index_file).unwrap();
    file.read_exact_at(&mut table, index::AT_EVICTIONS as u64).unwrap();
    assert_eq!(u64::from_le_bytes(table), 0);
    assert_eq!(file.metadata().unwrap().len(), index::AT_VERSIONS as u64);
}

/// What tells a process of this test that it is the reader of [`a_stopped_process_is_let_go_of`].
const RING_OF_CHILD: &str = "SHMRING_TEST_ESSENTIAL";

/// Dies with the test.
struct Reading(Child);

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stopped_process_is_let_go_of_and_told_so_when_it_goes_on() {
    let project = Project::new();
    let contract = contract(&project, "cam.packets", Span::from_millis(200));
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "essential::reads_in_another_process", "--nocapture", "--quiet"]);
    command.env(RING_OF_CHILD, project.0.as_str()).stdout(Stdio::piped());
    let mut child = Reading(command.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut hear = |word: &str| lines.find(|line| line.starts_with(word)).unwrap();
    hear("attached");
    publish(&mut writer, 1);
    hear("took 1");
    let pid = Pid::from_raw(i32::try_from(child.0.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    publish_until(&mut writer, || let_go_of(&project) == 1);
    kill(pid, Signal::SIGCONT).unwrap();
    let told = hear("evicted");
    assert!(told.contains("deadline of 200ms") && told.contains("ring cam.packets"), "{told}");
    hear("took 2");
}

#[test]
fn reads_in_another_process() {
    let Ok(project) = std::env::var(RING_OF_CHILD) else { return };
    let parent = getppid();
    let options = PacketOptions { reader: READER.to_owned(), start: Start::Oldest };
    let (project, ring) = (project.parse().unwrap(), "cam.packets".parse().unwrap());
    let mut reader = PacketReader::attach(&project, &ring, &options).unwrap();
    println!("\nattached");
    while getppid() == parent {
        match reader.next(Duration::from_millis(100)).unwrap() {
            Next::Item(packet) => println!("took {}", packet.sequence),
            Next::Evicted { reason } => println!("evicted: {reason}"),
            _ => {}
        }
    }
}
