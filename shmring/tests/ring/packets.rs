//! Packet and record rings.

use protocol::control::RingContract;
use protocol::name::RingName;
use protocol::record::Record;
use shmring::{
    Error, Next, Packet, PacketMeta, PacketOptions, PacketReader, PacketWriter, RecordReader,
    RecordWriter, Start, census,
};

use crate::{NOW, Project, SOON};

pub(crate) fn options(start: Start) -> PacketOptions {
    PacketOptions { reader: "test".into(), start }
}

pub(crate) fn attach(project: &Project, contract: &RingContract, start: Start) -> PacketReader {
    PacketReader::attach(&project.0, &contract.name, &options(start)).unwrap()
}

pub(crate) fn publish(writer: &mut PacketWriter, key: bool, payload: &[u8]) -> u64 {
    writer.publish(&PacketMeta { key, ..PacketMeta::default() }, payload).unwrap()
}

pub(crate) fn item(next: Next<Packet>) -> Packet {
    match next {
        Next::Item(packet) => packet,
        other => panic!("expected a packet, got {other:?}"),
    }
}

#[test]
fn packets_arrive_in_order_and_whole() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 2);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Oldest);
    for number in 1..=200u8 {
        publish(&mut writer, false, &vec![number; usize::from(number)]);
    }
    for number in 1..=200u8 {
        let packet = item(reader.next(NOW).unwrap());
        assert_eq!(
            (packet.sequence, packet.payload),
            (u64::from(number), vec![number; usize::from(number)])
        );
    }
    assert!(matches!(reader.next(NOW).unwrap(), Next::Quiet));
}

#[test]
fn a_waiting_reader_is_woken_by_a_publish() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Newest);
    let waiting = std::thread::spawn(move || item(reader.next(SOON).unwrap()).payload);
    publish(&mut writer, true, b"hello");
    assert_eq!(waiting.join().unwrap(), b"hello");
}

#[test]
fn a_slow_reader_is_told_exactly_how_many_it_missed() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 2);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Oldest);
    let total = 3000u64;
    for _ in 0..total {
        publish(&mut writer, true, &[7; 10_000]);
    }
    let (mut got, mut missed) = (0, 0);
    loop {
        match reader.next(NOW).unwrap() {
            Next::Item(packet) => {
                got += 1;
                assert_eq!(packet.sequence, got + missed);
            }
            Next::Overrun { missed: more } => missed += more,
            _ => break,
        }
    }
    assert!(missed > 0);
    assert_eq!(got + missed, total);
}

#[test]
fn a_late_reader_starts_at_the_newest_key_packet() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 2);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    for number in 1..=10 {
        publish(&mut writer, number % 4 == 0, b"x");
    }
    let mut reader = attach(&project, &contract, Start::NewestKey);
    assert_eq!(item(reader.next(NOW).unwrap()).sequence, 8);
}

#[test]
fn a_reader_continues_behind_the_packet_it_had() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 2);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    for _ in 0..10 {
        publish(&mut writer, false, b"x");
    }
    let epoch = writer.epoch();
    let mut reader = attach(&project, &contract, Start::After { epoch, sequence: 6 });
    assert_eq!(item(reader.next(NOW).unwrap()).sequence, 7);
}

#[test]
fn a_restarted_reader_finishes_the_previous_epoch_first() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 2);
    let mut first = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    for _ in 0..5 {
        publish(&mut first, false, b"old");
    }
    let old = first.epoch();
    drop(first);
    let mut second = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    publish(&mut second, true, b"new");
    let mut reader = attach(&project, &contract, Start::After { epoch: old, sequence: 3 });
    assert_eq!(item(reader.next(NOW).unwrap()).sequence, 4);
    assert_eq!(item(reader.next(NOW).unwrap()).sequence, 5);
    assert!(
        matches!(reader.next(NOW).unwrap(), Next::NewEpoch { epoch } if epoch == second.epoch())
    );
    assert_eq!(item(reader.next(NOW).unwrap()).payload, b"new");
}

#[test]
fn an_attached_reader_follows_a_restarted_writer() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 2);
    let mut first = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Oldest);
    publish(&mut first, true, b"last words");
    drop(first);
    let mut second = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    publish(&mut second, true, b"first words");
    assert_eq!(item(reader.next(NOW).unwrap()).payload, b"last words");
    assert!(matches!(reader.next(NOW).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(item(reader.next(NOW).unwrap()).payload, b"first words");
}

#[test]
fn a_finished_ring_says_so_once_drained() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Oldest);
    publish(&mut writer, true, b"x");
    writer.finish();
    assert_eq!(item(reader.next(NOW).unwrap()).sequence, 1);
    assert!(matches!(reader.next(SOON).unwrap(), Next::Ended));
}

#[test]
fn a_ring_has_one_writer() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let _first = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let second = PacketWriter::create(&project.0, &contract, &[]);
    assert!(matches!(second, Err(Error::HasWriter { .. })));
}

#[test]
fn places_are_limited_and_the_error_names_their_holders() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let _writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let first = attach(&project, &contract, Start::Oldest);
    let error =
        PacketReader::attach(&project.0, &contract.name, &options(Start::Oldest)).unwrap_err();
    assert!(error.to_string().contains("test (pid"), "{error}");
    drop(first);
    attach(&project, &contract, Start::Oldest);
}

#[test]
fn an_epoch_is_above_the_floor_and_the_one_before() {
    let project = Project::new();
    let mut contract = project.contract("cam.packets", 1);
    contract.epoch_floor = u64::MAX / 2;
    let first = PacketWriter::create(&project.0, &contract, &[]).unwrap().epoch();
    contract.epoch_floor = 0;
    let second = PacketWriter::create(&project.0, &contract, &[]).unwrap().epoch();
    assert!(first > u64::MAX / 2 && second > first);
}

#[test]
fn the_census_shows_readers_and_their_lag() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 3);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Oldest);
    for _ in 0..5 {
        publish(&mut writer, true, b"x");
    }
    item(reader.next(NOW).unwrap());
    let rings = census::rings(&project.0);
    assert_eq!((rings.len(), rings[0].head, rings[0].live), (1, 5, true));
    assert_eq!((rings[0].readers[0].name.as_str(), rings[0].readers[0].lag), ("test", 4));
}

#[test]
fn a_sweep_leaves_a_living_ring_alone() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    census::sweep_unowned(&project.0);
    let mut reader = attach(&project, &contract, Start::Oldest);
    publish(&mut writer, true, b"x");
    assert_eq!(item(reader.next(NOW).unwrap()).sequence, 1);
}

#[test]
fn a_reader_finds_the_ring_again_after_it_was_swept_and_made_anew() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let first = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Oldest);
    drop(first);
    census::sweep(&project.0, std::slice::from_ref(&contract.name));
    let mut second = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    publish(&mut second, true, b"again");
    assert!(matches!(reader.next(SOON).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(item(reader.next(NOW).unwrap()).payload, b"again");
}

#[test]
fn records_travel_as_json() {
    let project = Project::new();
    let contract = project.contract("motion.events", 1);
    let mut writer = RecordWriter::create(&project.0, &contract).unwrap();
    let ring: RingName = "motion.events".parse().unwrap();
    let mut reader = RecordReader::attach(&project.0, &ring, &options(Start::Oldest)).unwrap();
    let record = Record {
        id: "1".into(),
        kind: "motion.begin".into(),
        camera: "cam1".into(),
        frame: None,
        time_utc_ns: 5,
        data: serde_json::json!({"score": 0.5}),
    };
    writer.emit(&record).unwrap();
    assert!(matches!(reader.next(NOW).unwrap(), Next::Item(seen) if seen == record));
}
