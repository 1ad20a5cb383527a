//! Writers that come and go under attached readers, and rings that are swept and made anew.

use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use protocol::control::RingContract;
use shmring::{
    Error, FrameOptions, FrameReader, FrameWriter, Next, PacketMeta, PacketReader, PacketWriter,
    Start, census, clock,
};

use crate::frames::{item, pixels, send};
use crate::packets::{attach, options, publish};
use crate::{NOW, Project, SOON};

/// What a reader says until it is quiet: "3" a packet of sequence 3, "-2" two missed, "|" a new epoch.
fn told(reader: &mut PacketReader) -> String {
    let mut told = Vec::new();
    loop {
        match reader.next(NOW).unwrap() {
            Next::Item(packet) => told.push(packet.sequence.to_string()),
            Next::Overrun { missed } => told.push(format!("-{missed}")),
            Next::NewEpoch { .. } => told.push("|".to_owned()),
            Next::Evicted { .. } => told.push("!".to_owned()),
            Next::Quiet | Next::Ended => return told.join(" "),
        }
    }
}

fn write_epoch(project: &Project, packets: usize) -> PacketWriter {
    let contract = project.contract("cam.packets", 2);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    for _ in 0..packets {
        publish(&mut writer, true, b"x");
    }
    writer
}

#[test]
fn a_reader_that_slept_through_two_restarts_reads_the_epoch_between_them() {
    let project = Project::new();
    let first = write_epoch(&project, 2);
    let mut reader = attach(&project, &project.contract("cam.packets", 2), Start::Oldest);
    drop(first);
    drop(write_epoch(&project, 3));
    let _third = write_epoch(&project, 1);
    assert_eq!(told(&mut reader), "1 2 | 1 2 3 | 1");
}

#[test]
fn a_reader_that_slept_through_more_restarts_is_told_that_whole_epochs_are_gone() {
    let project = Project::new();
    let first = write_epoch(&project, 1);
    let mut reader = attach(&project, &project.contract("cam.packets", 2), Start::Oldest);
    drop(first);
    drop(write_epoch(&project, 9));
    drop(write_epoch(&project, 2));
    let _fourth = write_epoch(&project, 1);
    assert_eq!(told(&mut reader), "1 -0 | 1 2 | 1");
}

#[test]
fn a_reader_whose_last_epoch_is_gone_is_told_so() {
    let project = Project::new();
    let writer = write_epoch(&project, 2);
    let contract = project.contract("cam.packets", 2);
    let after = Start::After { epoch: writer.epoch() - 1, sequence: 7 };
    assert_eq!(told(&mut attach(&project, &contract, after)), "-0 1 2");
}

#[test]
fn what_was_overwritten_before_a_reader_reached_its_epoch_counts_as_missed() {
    let project = Project::new();
    let first = write_epoch(&project, 0);
    let mut reader = attach(&project, &project.contract("cam.packets", 2), Start::Newest);
    drop(first);
    let mut second = write_epoch(&project, 0);
    let total = 2000;
    for _ in 0..total {
        second.publish(&PacketMeta::default(), &[7; 10_000]).unwrap();
    }
    second.finish();
    let (mut got, mut missed) = (0, 0);
    loop {
        match reader.next(SOON).unwrap() {
            Next::Item(_) => got += 1,
            Next::Overrun { missed: more } => missed += more,
            Next::NewEpoch { .. } | Next::Evicted { .. } => {}
            Next::Quiet | Next::Ended => break,
        }
    }
    assert!(missed > 0);
    assert_eq!(got + missed, total);
}

#[test]
fn a_reader_of_the_newest_accounts_for_all_it_jumped_over() {
    let project = Project::new();
    let mut writer = write_epoch(&project, 5);
    let mut reader = attach(&project, &project.contract("cam.packets", 2), Start::Newest);
    let total = 2000;
    for _ in 0..total {
        writer.publish(&PacketMeta::default(), &[7; 10_000]).unwrap();
    }
    assert_eq!(told(&mut reader), "", "nothing newer than the newest yet");
    writer.finish();
    assert_eq!(told(&mut reader), format!("-{total}"));
}

#[test]
fn a_reader_that_attaches_to_a_busy_ring_has_missed_nothing() {
    let project = Project::new();
    let mut writer = write_epoch(&project, 1);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                publish(&mut writer, true, b"x");
            }
        });
        // Dropped by a failing assertion too, which ends the writer.
        let _stop = stop;
        for _ in 0..1000 {
            let contract = project.contract("cam.packets", 2);
            let mut reader = attach(&project, &contract, Start::Newest);
            let first = reader.next(SOON).unwrap();
            assert!(matches!(first, Next::Item(_)), "{first:?}");
        }
    });
}

#[test]
fn a_reader_is_not_stuck_when_the_epoch_it_was_called_to_is_swept() {
    let project = Project::new();
    let first = write_epoch(&project, 1);
    let contract = project.contract("cam.packets", 2);
    let mut reader = attach(&project, &contract, Start::Oldest);
    drop(first);
    // The old anchor now names an epoch that this reader never opened, and that goes at once.
    drop(write_epoch(&project, 1));
    census::sweep(&project.0, std::slice::from_ref(&contract.name));
    let _third = write_epoch(&project, 2);
    assert_eq!(told(&mut reader), "1 | 1 2");
}

#[test]
fn a_swept_ring_wakes_who_waits_for_it_within_a_slice() {
    let project = Project::new();
    let writer = write_epoch(&project, 0);
    let contract = project.contract("cam.packets", 2);
    let mut reader = attach(&project, &contract, Start::Oldest);
    let before = clock::mono();
    let waiting = std::thread::spawn(move || reader.next(Duration::from_secs(60)));
    drop(writer);
    census::sweep(&project.0, std::slice::from_ref(&contract.name));
    assert!(matches!(waiting.join().unwrap(), Err(Error::NoSuchRing { .. })));
    assert!(clock::mono().saturating_since(before) < SOON);
}

/// Who waited out its slice instead would see each of these restarts some 230 ms late.
#[test]
fn a_restart_is_seen_at_once_by_who_sleeps() {
    let project = Project::new();
    let (frames, packets) = (project.contract("cam.frames", 1), project.contract("cam.packets", 1));
    let create = || {
        let of_frames = FrameWriter::create(&project.0, &frames, None).unwrap();
        (of_frames, PacketWriter::create(&project.0, &packets, &[]).unwrap())
    };
    let mut writers = Some(create());
    let mut of_frames =
        FrameReader::attach(&project.0, &frames.name, &FrameOptions::named("test")).unwrap();
    let mut of_packets = attach(&project, &packets, Start::Newest);
    let (rounds, mut late) = (10, 0);
    for _ in 0..rounds {
        std::thread::scope(|scope| {
            let waiting = [
                scope.spawn(|| {
                    let told = of_frames.next(Duration::from_secs(60)).unwrap();
                    (matches!(told, Next::NewEpoch { .. }), clock::mono())
                }),
                scope.spawn(|| {
                    let told = of_packets.next(Duration::from_secs(60)).unwrap();
                    (matches!(told, Next::NewEpoch { .. }), clock::mono())
                }),
            ];
            // Both sleep by then; one that does not sees it anyhow.
            std::thread::sleep(Duration::from_millis(20));
            drop(writers.take());
            writers = Some(create());
            let restarted = clock::mono();
            for waiting in waiting {
                let (is_told, seen) = waiting.join().unwrap();
                assert!(is_told);
                let at_once = Duration::from_millis(100);
                late += u32::from(seen.saturating_since(restarted) > at_once);
            }
        });
    }
    assert!(late < rounds, "{late} of {} restarts were seen late", 2 * rounds);
}

#[test]
fn a_lease_taken_after_down_and_up_is_one_the_new_writer_sees() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let first = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader =
        FrameReader::attach(&project.0, &contract.name, &FrameOptions::named("test")).unwrap();
    drop(first);
    census::sweep(&project.0, std::slice::from_ref(&contract.name));
    let second = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&second, 1);
    assert!(matches!(reader.next(SOON).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(second.readers(), 1);
    let held = item(reader.next(SOON).unwrap());
    for value in 2..200 {
        send(&second, value);
    }
    assert!(pixels(&held).iter().all(|sample| *sample == 1), "the slot was reused under a lease");
}

#[test]
fn a_new_writer_clears_away_what_a_killed_one_was_building() {
    let project = Project::new();
    drop(write_epoch(&project, 1));
    let stem = format!("/dev/shm/fv.{}.cam.packets", project.0);
    let left = ["tmp-1-2", "e5", "e5.g1"].map(|suffix| format!("{stem}.{suffix}"));
    for name in &left {
        std::fs::write(name, b"half").unwrap();
    }
    let _second = write_epoch(&project, 1);
    for name in &left {
        assert!(!std::path::Path::new(name).exists(), "{name}");
    }
}

#[test]
fn a_writer_that_finds_no_memory_leaves_none_taken() {
    let project = Project::new();
    drop(write_epoch(&project, 1));
    let before = project.files();
    for bits_per_second in [1 << 45, u64::MAX] {
        let mut contract = project.contract("cam.packets", 2);
        contract.config.max_bitrate.0 = bits_per_second;
        let refused = PacketWriter::create(&project.0, &contract, &[]);
        assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
        assert_eq!(project.files(), before);
    }
    let contract = project.contract("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let before = project.files();
    for slot_bytes in [1 << 40, usize::MAX] {
        assert!(matches!(writer.loan(slot_bytes, 1), Err(Error::NoSpace { .. })));
        assert_eq!(project.files(), before);
    }
    send(&writer, 1);
}

#[test]
fn the_modes_of_the_files_are_the_same_under_any_umask() {
    // A user is a member of its own group.
    let group = nix::unistd::getegid().as_raw();
    for (group, read, write) in [(None, 0o600, 0o600), (Some(group), 0o640, 0o660)] {
        let project = Project::new();
        let contract = RingContract { group, ..project.contract("cam.packets", 2) };
        // Of the whole process, but no other test looks at modes.
        let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        let _writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
        nix::sys::stat::umask(old);
        for name in project.files() {
            let mode = std::fs::metadata(format!("/dev/shm/{name}")).unwrap().mode() & 0o777;
            let suffix = name.rsplit('.').next().unwrap();
            let expected = match suffix.as_bytes()[0] {
                b'l' if suffix == "lock" => 0o600,
                b'l' => write,
                _ => read,
            };
            assert_eq!(mode, expected, "{name}");
        }
    }
}

#[test]
fn nothing_stays_open_or_mapped_when_writers_and_readers_come_and_go() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let mut reader = None;
    let mut held = Vec::new();
    for _ in 0..20 {
        let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
        send(&writer, 1);
        let reader = reader.get_or_insert_with(|| {
            FrameReader::attach(&project.0, &contract.name, &FrameOptions::named("test")).unwrap()
        });
        while !matches!(reader.next(NOW).unwrap(), Next::Item(_)) {}
        drop(writer);
        held.push((project.descriptors(), project.mappings()));
    }
    assert_eq!(held[1], held[19], "descriptors and mappings of this ring");
    drop(reader);
    assert_eq!((project.descriptors(), project.mappings()), (0, 0));
}

#[test]
fn a_ring_asked_to_serve_too_many_is_refused_with_the_cure() {
    let project = Project::new();
    let refused =
        FrameWriter::create(&project.0, &project.contract("cam.frames", 200), None).unwrap_err();
    assert!(refused.to_string().contains("lower `spare_readers`"), "{refused}");
    let refused =
        PacketWriter::create(&project.0, &project.contract("cam.packets", 1000), &[]).unwrap_err();
    assert!(refused.to_string().contains("at most 256"), "{refused}");
    let frames = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &frames, None).unwrap();
    assert!(matches!(writer.loan(1, u32::MAX), Err(Error::TooManySlots { .. })));
}

#[test]
fn a_waiting_reader_uses_no_processor() {
    let project = Project::new();
    let _writer = write_epoch(&project, 0);
    let contract = project.contract("cam.packets", 2);
    let mut reader =
        PacketReader::attach(&project.0, &contract.name, &options(Start::Oldest)).unwrap();
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    let used = || Duration::from(clock.now().unwrap());
    let before = used();
    assert!(matches!(reader.next(Duration::from_secs(1)).unwrap(), Next::Quiet));
    let used = used() - before;
    assert!(used < Duration::from_millis(20), "{used:?} of a second's wait");
}

#[test]
fn how_far_a_ring_is_is_told_as_its_whole_status_tells_it() {
    let project = Project::new();
    let name = project.contract("cam.packets", 2).name;
    assert_eq!(census::reach(&project.0, &name), census::Reach::default());
    for packets in [3, 1] {
        drop(write_epoch(&project, packets));
        let status = census::status(&project.0, &name, clock::mono());
        let reach = census::reach(&project.0, &name);
        assert_eq!(reach.head, packets as u64);
        let told = (reach.epoch, reach.head, reach.gop_index);
        assert_eq!(told, (status.epoch, status.head, status.gop_index));
    }
}
