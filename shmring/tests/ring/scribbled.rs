//! Random bytes in every shared structure: errors are fine, panics, hangs and busy loops are not.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use proptest::prelude::*;
use shmring::{
    Frame, FrameOptions, FrameReader, FrameWriter, Next, PacketReader, PacketWriter, Policy, Start,
    census, clock,
};

use crate::frames::send;
use crate::packets::{options, publish};
use crate::{NOW, Project};

/// Much longer than anything here takes, much shorter than for ever.
const BOUND: Duration = Duration::from_secs(10);
/// Steps of each reader after a scribble.
const STEPS: usize = 60;

/// One word written where it does not belong.
#[derive(Clone, Debug)]
struct Scribble {
    /// Which of the ring's files, counted in the order of their names.
    file: usize,
    at: u64,
    value: u64,
}

/// Words that matter come first in every file; the rest is hit now and then.
fn places() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0u64..128, 4 => 0u64..1024, 1 => 8_000u64..9_000, 1 => 0u64..200_000]
        .prop_map(|word| word * 4)
}

fn values() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 128, 1 << 20, (1 << 20) + 128, 1 << 32, 1 << 63, u64::MAX - 127, u64::MAX];
    prop_oneof![
        any::<u64>(),
        0u64..5_000,
        (0u64..10_000).prop_map(|lines| lines * 128),
        proptest::sample::select(edges.to_vec()),
    ]
}

fn scribbles() -> impl Strategy<Value = Vec<Scribble>> {
    let one = (0usize..8, places(), values());
    let one = one.prop_map(|(file, at, value)| Scribble { file, at, value });
    proptest::collection::vec(one, 1..8)
}

fn apply(project: &Project, scribbles: &[Scribble]) {
    let files: Vec<File> = project.files().iter().map(|name| open(name)).collect();
    for scribble in scribbles {
        let file = &files[scribble.file % files.len()];
        // Never longer: the file stays what it is, only its content is wrong.
        if scribble.at + 8 <= file.metadata().unwrap().len() {
            file.write_all_at(&scribble.value.to_le_bytes(), scribble.at).unwrap();
        }
    }
}

fn open(name: &str) -> File {
    OpenOptions::new().write(true).open(format!("/dev/shm/{name}")).unwrap()
}

fn drain_packets(reader: &mut PacketReader) {
    for _ in 0..STEPS {
        if let Ok(Next::Quiet | Next::Ended) = reader.next(NOW) {
            break;
        }
    }
}

fn drain_frames(reader: &mut FrameReader, held: &mut Vec<Frame>) {
    for _ in 0..STEPS {
        match reader.next(NOW) {
            Ok(Next::Item(frame)) => {
                let mut samples = Vec::new();
                let planes = (0..4).filter_map(|number| frame.plane(number));
                planes.for_each(|plane| plane.copy_to(&mut samples));
                held.push(frame);
                held.truncate(1);
            }
            Ok(Next::Quiet | Next::Ended) => break,
            Ok(_) | Err(_) => {}
        }
    }
}

fn packets_survive(scribbled: &[Scribble]) {
    let project = Project::new();
    // An events ring: its log is short, and the rest is the same.
    let contract = project.contract("cam.events", 6);
    let mut first = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let starts = [
        Start::Oldest,
        Start::Newest,
        Start::NewestKey,
        Start::After { epoch: first.epoch(), sequence: 3 },
    ];
    let attach = || {
        let attach = |start| PacketReader::attach(&project.0, &contract.name, &options(start)).ok();
        starts.into_iter().filter_map(attach).collect::<Vec<_>>()
    };
    for number in 0..40 {
        publish(&mut first, number % 8 == 0, &[7; 3000]);
    }
    let mut attached =
        PacketReader::attach(&project.0, &contract.name, &options(Start::Oldest)).unwrap();
    attached.next(NOW).unwrap();
    apply(&project, scribbled);
    drain_packets(&mut attached);
    attach().iter_mut().for_each(drain_packets);
    for number in 0..10 {
        publish(&mut first, number == 5, &[8; 50_000]);
    }
    attach().iter_mut().for_each(drain_packets);
    census::rings(&project.0);
    drop(first);
    let mut second = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    publish(&mut second, true, b"x");
    drain_packets(&mut attached);
    attach().iter_mut().for_each(drain_packets);
}

fn frames_survive(scribbled: &[Scribble]) {
    let project = Project::new();
    let contract = project.contract("cam.frames", 4);
    let first = FrameWriter::create(&project.0, &contract, None).unwrap();
    let attach = |policy| {
        let options = FrameOptions { policy, ..FrameOptions::named("scribbled") };
        FrameReader::attach(&project.0, &contract.name, &options)
    };
    let policies = [Policy::Latest, Policy::Sequential];
    for value in 0..30 {
        send(&first, value);
    }
    let mut held = Vec::new();
    let mut attached = policies.map(|policy| attach(policy).unwrap());
    for reader in &mut attached {
        send(&first, 9);
        reader.next(NOW).unwrap();
    }
    apply(&project, scribbled);
    let mut read_all = || {
        attached.iter_mut().for_each(|reader| drain_frames(reader, &mut held));
        let new = policies.into_iter().filter_map(|policy| attach(policy).ok());
        new.for_each(|mut reader| drain_frames(&mut reader, &mut held));
    };
    read_all();
    for value in 0..30 {
        // A lease page that claims everything may cost pictures, never the writer.
        let Ok(mut loan) = first.loan(4096, 1) else { continue };
        loan.bytes_mut().fill(value);
        first.publish(loan.slot(), &crate::frames::gray(64)).unwrap();
    }
    read_all();
    census::rings(&project.0);
    drop(first);
    let second = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&second, 1);
    read_all();
}

fn within_bound(work: impl FnOnce()) {
    let before = clock::mono();
    work();
    let took = clock::mono().saturating_since(before);
    assert!(took < BOUND, "{took:?}");
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if asked { ProptestConfig::default().cases } else { 60 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_scribbled_packet_ring_gives_errors_and_no_panic_or_loop(scribbled in scribbles()) {
        within_bound(|| packets_survive(&scribbled));
    }

    #[test]
    fn a_scribbled_frame_ring_gives_errors_and_no_panic_or_loop(scribbled in scribbles()) {
        within_bound(|| frames_survive(&scribbled));
    }
}
