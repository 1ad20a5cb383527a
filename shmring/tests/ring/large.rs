//! Packets that are too large for the log, and groups of pictures that are.

use protocol::control::RingContract;
use protocol::time::MonoNs;
use shmring::{Error, Next, Packet, PacketMeta, PacketReader, PacketWriter, Start, census};

use crate::packets::{attach, item, publish};
use crate::{NOW, Project};

/// A short log: that of an event ring.
const LOG_BYTES: usize = 1 << 20;
const LARGE_BYTES: usize = LOG_BYTES / 4 + 1;

fn ring(project: &Project) -> (RingContract, PacketWriter) {
    let contract = project.contract("cam.events", 2);
    let writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    (contract, writer)
}

fn large(value: u8) -> Vec<u8> {
    vec![value; LARGE_BYTES]
}

fn apart(project: &Project) -> Vec<String> {
    let is_apart = |name: &String| {
        let number = name.rsplit_once(".g").and_then(|(_, number)| number.parse::<u32>().ok());
        number.is_some_and(|number| number > 1)
    };
    project.files().into_iter().filter(is_apart).collect()
}

fn drain(reader: &mut PacketReader) -> (Vec<Packet>, u64) {
    let (mut packets, mut missed) = (Vec::new(), 0);
    loop {
        match reader.next(NOW).unwrap() {
            Next::Item(packet) => packets.push(packet),
            Next::Overrun { missed: more } => missed += more,
            _ => return (packets, missed),
        }
    }
}

#[test]
fn a_large_packet_arrives_whole_and_in_its_turn() {
    let project = Project::new();
    let (contract, mut writer) = ring(&project);
    let mut reader = attach(&project, &contract, Start::Oldest);
    publish(&mut writer, false, b"before");
    let odd: Vec<u8> = (0..LARGE_BYTES + 5).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let meta = PacketMeta { key: true, pts_ns: 7, gop_index: 3, ..PacketMeta::default() };
    assert_eq!(writer.publish(&meta, &odd).unwrap(), 2);
    publish(&mut writer, false, b"after");
    assert_eq!(item(reader.next(NOW).unwrap()).payload, b"before");
    let packet = item(reader.next(NOW).unwrap());
    assert_eq!((packet.sequence, packet.meta), (2, meta));
    assert!(packet.payload == odd);
    assert_eq!(item(reader.next(NOW).unwrap()).payload, b"after");
    // Who comes late begins with it.
    let mut late = attach(&project, &contract, Start::NewestKey);
    assert!(item(late.next(NOW).unwrap()).payload == odd);
}

#[test]
fn the_file_of_a_large_packet_goes_when_the_log_has_gone_round() {
    let project = Project::new();
    let (contract, mut writer) = ring(&project);
    let mut slow = attach(&project, &contract, Start::Oldest);
    publish(&mut writer, true, &large(1));
    assert_eq!(apart(&project).len(), 1);
    for _ in 0..5 {
        publish(&mut writer, true, &[2; LOG_BYTES / 4]);
    }
    assert_eq!(apart(&project), Vec::<String>::new());
    let (packets, missed) = drain(&mut slow);
    assert_eq!(missed + packets.len() as u64, 6);
    assert!(packets.iter().all(|packet| packet.payload == [2; LOG_BYTES / 4]));
}

#[test]
fn large_packets_together_take_no_more_than_the_log_and_the_newest_stay() {
    let project = Project::new();
    let (contract, mut writer) = ring(&project);
    for value in 1..=40 {
        publish(&mut writer, true, &large(value));
        let files = apart(&project);
        let bytes = |name: &String| std::fs::metadata(format!("/dev/shm/{name}")).unwrap().len();
        assert!(files.iter().map(bytes).sum::<u64>() <= LOG_BYTES as u64, "{files:?}");
    }
    let mut reader = attach(&project, &contract, Start::Oldest);
    let (packets, missed) = drain(&mut reader);
    let values: Vec<u8> = packets.iter().map(|packet| packet.payload[0]).collect();
    assert_eq!((values, missed), (vec![38, 39, 40], 0));
}

#[test]
fn a_packet_larger_than_the_log_is_refused_and_counted_and_the_ring_goes_on() {
    let project = Project::new();
    let (contract, mut writer) = ring(&project);
    let mut reader = attach(&project, &contract, Start::Oldest);
    let meta = PacketMeta::default();
    let refused = writer.publish(&meta, &vec![0; LOG_BYTES + 1]);
    assert!(matches!(refused, Err(Error::PacketTooLarge { limit: LOG_BYTES, .. })), "{refused:?}");
    publish(&mut writer, true, &vec![3; LOG_BYTES]);
    assert!(item(reader.next(NOW).unwrap()).payload == vec![3; LOG_BYTES]);
    assert_eq!(census::status(&project.0, &contract.name, MonoNs(0)).drops.too_large, 1);
}

#[test]
fn a_record_that_is_too_large_is_refused_with_a_cure_that_helps() {
    let project = Project::new();
    let contract = project.contract("w.events", 1);
    let mut writer = shmring::PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let refused = writer.publish(&PacketMeta::default(), &vec![0; 4 << 20]).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("a record of 4194304 bytes") && said.contains("into a file"), "{said}");
    assert!(!said.contains("max_bitrate"), "it changes nothing of a record ring: {said}");
}

#[test]
fn a_large_packet_whose_file_was_taken_away_is_missed_and_the_next_ones_are_read() {
    let project = Project::new();
    let (contract, mut writer) = ring(&project);
    let mut reader = attach(&project, &contract, Start::Oldest);
    publish(&mut writer, true, &large(1));
    publish(&mut writer, true, b"next");
    for name in apart(&project) {
        std::fs::remove_file(format!("/dev/shm/{name}")).unwrap();
    }
    assert!(matches!(reader.next(NOW).unwrap(), Next::Overrun { missed: 1 }));
    assert_eq!(item(reader.next(NOW).unwrap()).payload, b"next");
}

#[test]
fn a_large_packet_whose_file_was_cut_off_is_a_damage_of_the_ring_and_no_signal() {
    let project = Project::new();
    let (contract, mut writer) = ring(&project);
    let mut reader = attach(&project, &contract, Start::Oldest);
    publish(&mut writer, true, &large(1));
    let [name] = <[String; 1]>::try_from(apart(&project)).unwrap();
    let file = std::fs::File::options().write(true).open(format!("/dev/shm/{name}")).unwrap();
    file.set_len(100).unwrap();
    let error = reader.next(NOW).unwrap_err();
    assert!(error.to_string().contains("shorter than the packet"), "{error}");
    publish(&mut writer, true, b"next");
    assert_eq!(item(reader.next(NOW).unwrap()).payload, b"next");
}

#[test]
fn large_packets_of_a_dead_writer_are_read_to_the_last_and_go_with_its_epoch() {
    let project = Project::new();
    let (contract, mut first) = ring(&project);
    let mut reader = attach(&project, &contract, Start::Oldest);
    publish(&mut first, true, &large(1));
    drop(first);
    let mut second = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    publish(&mut second, true, &large(2));
    assert!(item(reader.next(NOW).unwrap()).payload == large(1));
    assert!(matches!(reader.next(NOW).unwrap(), Next::NewEpoch { .. }));
    assert!(item(reader.next(NOW).unwrap()).payload == large(2));
    drop(second);
    // The epoch before the previous one goes at once.
    let third = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    assert_eq!(apart(&project).len(), 1);
    drop(third);
    census::sweep_unowned(&project.0);
    assert_eq!(project.files(), Vec::<String>::new());
}

#[test]
fn a_group_of_pictures_larger_than_the_log_is_counted_once() {
    let project = Project::new();
    let (contract, mut writer) = ring(&project);
    let overflows = || census::status(&project.0, &contract.name, MonoNs(0)).gop_overflow;
    let delta = |writer: &mut PacketWriter| publish(writer, false, &[1; LOG_BYTES / 8]);
    publish(&mut writer, true, b"key");
    for _ in 0..4 {
        delta(&mut writer);
    }
    assert_eq!(overflows(), 0);
    for _ in 0..20 {
        delta(&mut writer);
    }
    assert_eq!(overflows(), 1);
    // Nothing can be decoded until the next key, which is there at once for who comes late.
    publish(&mut writer, true, b"key again");
    let mut late = attach(&project, &contract, Start::NewestKey);
    assert_eq!(item(late.next(NOW).unwrap()).payload, b"key again");
    for _ in 0..20 {
        delta(&mut writer);
    }
    assert_eq!(overflows(), 2);
}
