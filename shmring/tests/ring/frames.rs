//! Frame rings.

use protocol::control::RingContract;
use protocol::stream::PixelFormat;
use shmring::{
    Demand, Error, Frame, FrameMeta, FrameOptions, FrameReader, FrameStart, FrameWriter, Loan,
    Next, Picture, Policy, SourceId, census, clock,
};

use crate::{NOW, Project, SOON};

const SIDE: u32 = 64;

pub(crate) fn gray(side: u32) -> FrameMeta {
    let picture = Picture::packed(side, side, PixelFormat::Gray8, 1).unwrap();
    let source = Some(SourceId { epoch: 1, sequence: 2 });
    FrameMeta { source, ..FrameMeta::of(picture) }
}

pub(crate) fn fill(writer: &FrameWriter, value: u8, side: u32) -> (Loan, u64) {
    let mut loan = writer.loan((side * side) as usize, 1).unwrap();
    loan.bytes_mut().fill(value);
    let sequence = writer.publish(loan.slot(), &gray(side)).unwrap();
    (loan, sequence)
}

pub(crate) fn send(writer: &FrameWriter, value: u8) -> u64 {
    fill(writer, value, SIDE).1
}

fn send_many(writer: &FrameWriter, pictures: u8) {
    for value in 0..pictures {
        send(writer, value);
    }
}

pub(crate) fn attach(project: &Project, contract: &RingContract, policy: Policy) -> FrameReader {
    let options = FrameOptions { policy, ..FrameOptions::named("test") };
    FrameReader::attach(&project.0, &contract.name, &options).unwrap()
}

pub(crate) fn item(next: Next<Frame>) -> Frame {
    match next {
        Next::Item(frame) => frame,
        other => panic!("expected a frame, got {other:?}"),
    }
}

pub(crate) fn pixels(frame: &Frame) -> Vec<u8> {
    let mut all = Vec::new();
    frame.plane(0).unwrap().copy_to(&mut all);
    all
}

#[test]
fn a_frame_arrives_with_its_identity_and_pixels() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let source = "cam.packets".parse().unwrap();
    let writer = FrameWriter::create(&project.0, &contract, Some(&source)).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    send(&writer, 9);
    let frame = item(reader.next(SOON).unwrap());
    assert_eq!(pixels(&frame), vec![9; (SIDE * SIDE) as usize]);
    let id = frame.frame_id();
    assert_eq!((id.ring, id.epoch, id.sequence), (source, 1, 2));
}

#[test]
fn a_leased_frame_does_not_change_however_much_is_published() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    send(&writer, 1);
    let held = item(reader.next(SOON).unwrap());
    for value in 2..200 {
        send(&writer, value);
    }
    assert_eq!(pixels(&held), vec![1; (SIDE * SIDE) as usize]);
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 199);
}

#[test]
fn latest_skips_and_sequential_tells_what_it_missed() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut latest = attach(&project, &contract, Policy::Latest);
    let mut sequential = attach(&project, &contract, Policy::Sequential);
    for value in 0..100 {
        send(&writer, value);
    }
    assert_eq!(item(latest.next(NOW).unwrap()).sequence(), 100);
    let (mut got, mut missed) = (0, 0);
    loop {
        match sequential.next(NOW).unwrap() {
            Next::Item(frame) => {
                got += 1;
                assert_eq!(frame.sequence(), got + missed);
            }
            Next::Overrun { missed: more } => missed += more,
            _ => break,
        }
    }
    assert_eq!(got + missed, 100);
    assert!(got >= 2 && missed > 0, "got {got}, missed {missed}");
}

#[test]
fn a_reader_that_holds_all_it_may_is_told_and_the_writer_goes_on() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    let mut held = Vec::new();
    for value in 0..2 {
        send(&writer, value);
        held.push(item(reader.next(SOON).unwrap()));
    }
    send(&writer, 3);
    assert!(matches!(reader.next(NOW), Err(Error::NoLease { quota: 2, .. })));
    held.remove(0);
    assert_eq!(item(reader.next(NOW).unwrap()).sequence(), 3);
    for value in 0..200 {
        send(&writer, value);
    }
}

#[test]
fn a_reader_that_wants_to_hold_more_takes_more_places_and_gives_them_back() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 4);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = |quota| FrameOptions { quota, ..FrameOptions::named("many") };
    let attach = |quota| FrameReader::attach(&project.0, &contract.name, &options(quota));
    let mut reader = attach(7).unwrap();
    assert_eq!(writer.readers(), 4, "two for each place");
    let mut held = Vec::new();
    for value in 0..7 {
        send(&writer, value);
        held.push(item(reader.next(SOON).unwrap()));
    }
    send(&writer, 7);
    assert!(matches!(reader.next(NOW), Err(Error::NoLease { quota: 7, .. })));
    for value in 8..200 {
        send(&writer, value);
    }
    let values: Vec<u8> = held.iter().map(|frame| pixels(frame)[0]).collect();
    assert_eq!(values, [0, 1, 2, 3, 4, 5, 6]);
    let rows = census::status(&project.0, &contract.name, clock::mono()).readers;
    assert_eq!(rows.iter().filter(|row| row.name == "many").count(), 1);
    held.remove(3);
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 199);
    drop((reader, held));
    assert!(matches!(attach(9), Err(Error::NoPlace { .. })));
    assert_eq!(writer.readers(), 0, "none is kept by one that was refused");
}

#[test]
fn who_holds_more_does_so_in_the_next_epoch_too() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let first = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions { quota: 4, ..FrameOptions::named("many") };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    send(&first, 1);
    let before = item(reader.next(SOON).unwrap());
    drop(first);
    let second = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut held = Vec::new();
    for value in 10..13 {
        send(&second, value);
        let frame = loop {
            if let Next::Item(frame) = reader.next(SOON).unwrap() {
                break frame;
            }
        };
        held.push(frame);
    }
    for value in 20..100 {
        send(&second, value);
    }
    let values: Vec<u8> = held.iter().map(|frame| pixels(frame)[0]).collect();
    assert_eq!((values, pixels(&before)[0]), (vec![10, 11, 12], 1));
}

#[test]
fn a_published_slot_on_loan_stays_readable_and_is_not_reused() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let (reference, _) = fill(&writer, 77, SIDE);
    for value in 0..100 {
        send(&writer, value);
    }
    // The decoder shows its reference picture once more (VP9 show-existing-frame).
    writer.publish(reference.slot(), &gray(SIDE)).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 77);
}

#[test]
fn a_slot_published_twice_keeps_the_first_lease_valid() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    let (loan, _) = fill(&writer, 5, SIDE);
    let first = item(reader.next(NOW).unwrap());
    writer.publish(loan.slot(), &gray(SIDE)).unwrap();
    let second = item(reader.next(NOW).unwrap());
    drop((loan, second));
    for value in 100..200 {
        send(&writer, value);
    }
    assert_eq!(pixels(&first), vec![5; (SIDE * SIDE) as usize]);
}

#[test]
fn a_file_that_has_the_next_name_already_stops_no_picture() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 4);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let ring_files = format!("/dev/shm/fv.{}.cam.frames.e{}", project.0, writer.epoch());
    let theirs = [1, 4, 6].map(|number| format!("{ring_files}.g{number}"));
    theirs.iter().for_each(|path| std::fs::write(path, b"theirs").unwrap());
    let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("test") };
    let options = FrameOptions { quota: 5, ..options };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let mut held = Vec::new();
    for (value, side) in (0..).zip([SIDE, 2 * SIDE, 3 * SIDE, 4 * SIDE]) {
        // Slots of two generations are alive, each in a bank of its own.
        (0..3).for_each(|_| drop(fill(&writer, value, side)));
        held.push((value, item(reader.next(NOW).unwrap())));
        (0..2).for_each(|_| drop(reader.next(NOW).unwrap()));
    }
    for (value, frame) in &held {
        assert!(pixels(frame).iter().all(|sample| sample == value), "{value}");
    }
    assert!(theirs.iter().all(|path| std::fs::read(path).unwrap() == b"theirs"));
}

#[test]
fn a_larger_picture_begins_a_generation_that_attached_readers_follow() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    send(&writer, 1);
    let small = item(reader.next(NOW).unwrap());
    for side in [128, 256, 512] {
        fill(&writer, 2, side);
        let large = item(reader.next(NOW).unwrap());
        assert_eq!(
            (large.meta().picture().unwrap().width, pixels(&large)),
            (side, vec![2; (side * side) as usize])
        );
    }
    assert_eq!(pixels(&small), vec![1; (SIDE * SIDE) as usize], "a lease outlives its generation");
}

#[test]
fn a_picture_decoded_before_a_size_change_may_be_shown_after_it() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Sequential);
    let mut late = writer.loan((SIDE * SIDE) as usize, 1).unwrap();
    late.bytes_mut().fill(3);
    fill(&writer, 4, 256);
    writer.publish(late.slot(), &gray(SIDE)).unwrap();
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 4);
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 3);
}

#[test]
fn a_reader_follows_a_restarted_writer_and_its_held_frame_stays_valid() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let first = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    send(&first, 1);
    let held = item(reader.next(NOW).unwrap());
    drop(first);
    let second = FrameWriter::create(&project.0, &contract, None).unwrap();
    for value in 2..60 {
        send(&second, value);
    }
    assert!(matches!(reader.next(SOON).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 59);
    assert_eq!(pixels(&held)[0], 1);
}

#[test]
fn the_writer_knows_whether_anyone_reads() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    assert_eq!(writer.readers(), 0);
    let reader = attach(&project, &contract, Policy::Latest);
    assert_eq!(writer.readers(), 1);
    drop(reader);
    assert_eq!(writer.readers(), 0);
}

#[test]
fn leases_can_never_exhaust_the_ring() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 3);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut readers: Vec<_> = (0..3).map(|_| attach(&project, &contract, Policy::Latest)).collect();
    let mut held = Vec::new();
    for value in 0..2 {
        send(&writer, value);
        held.extend(readers.iter_mut().map(|reader| item(reader.next(NOW).unwrap())));
    }
    for value in 0..100 {
        send(&writer, value);
    }
}

#[test]
fn a_max_fps_reader_takes_no_more_than_it_asked_for() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions { max_fps: Some(1), ..FrameOptions::named("slow") };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let before = clock::mono();
    send(&writer, 1);
    item(reader.next(NOW).unwrap());
    send(&writer, 2);
    // Not yet, unless this test was not scheduled for that second.
    let second = match reader.next(NOW).unwrap() {
        Next::Quiet => reader.next(SOON).unwrap(),
        late => late,
    };
    let passed = clock::mono().saturating_since(before);
    assert!(passed >= std::time::Duration::from_millis(990), "{passed:?}");
    assert_eq!(item(second).sequence(), 2);
}

#[test]
fn a_picture_that_leaves_its_slot_is_refused() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let loan = writer.loan(4096, 1).unwrap();
    let too_large = gray(4096);
    assert!(matches!(writer.publish(loan.slot(), &too_large), Err(Error::BadPicture { .. })));
}

#[test]
fn what_is_written_through_a_closed_window_reaches_nobody() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    // Not the first slot of the memory, so that its place in it counts.
    send(&writer, 1);
    let mut loan = writer.loan((SIDE * SIDE) as usize, 1).unwrap();
    let window = loan.window().unwrap();
    assert!(window.bytes() >= (SIDE * SIDE) as usize);
    // SAFETY: the window lives and is so long.
    unsafe { window.as_ptr().write_bytes(7, window.bytes()) };
    window.close().unwrap();
    writer.publish(loan.slot(), &gray(SIDE)).unwrap();
    let frame = item(reader.next(SOON).unwrap());
    // SAFETY: as above.
    unsafe { window.as_ptr().write_bytes(9, window.bytes()) };
    assert_eq!(pixels(&frame), vec![7; (SIDE * SIDE) as usize]);
}

#[test]
fn each_third_picture_is_taken_and_the_others_are_not_missed() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let sequential = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("third") };
    let options = FrameOptions { every: 3, ..sequential };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let mut taken = Vec::new();
    for value in 1..=10 {
        send(&writer, value);
        while let Next::Item(frame) = reader.next(NOW).unwrap() {
            taken.push(frame.sequence());
        }
    }
    assert_eq!(taken, [3, 6, 9]);
    assert_eq!((reader.lag(), missed_of(&project, "third")), (0, 0));
    for value in 0..100 {
        send(&writer, value);
    }
    // 12, 15 ... are gone: only wanted ones count.
    let Next::Overrun { missed } = reader.next(NOW).unwrap() else { panic!("told nothing") };
    let next = item(reader.next(NOW).unwrap()).sequence();
    assert_eq!((next % 3, next), (0, 9 + 3 * (missed + 1)));
}

#[test]
fn a_reader_of_key_pictures_passes_over_all_others_and_misses_none() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 3);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let latest = FrameOptions { key_only: true, ..FrameOptions::named("newest") };
    let sequential =
        FrameOptions { key_only: true, policy: Policy::Sequential, ..FrameOptions::named("all") };
    let attach = |options| FrameReader::attach(&project.0, &contract.name, options).unwrap();
    let (mut newest, mut all) = (attach(&latest), attach(&sequential));
    let mut taken = Vec::new();
    for number in 1..=10 {
        let loan = writer.loan((SIDE * SIDE) as usize, 1).unwrap();
        let meta = FrameMeta { key: number % 4 == 1, ..gray(SIDE) };
        writer.publish(loan.slot(), &meta).unwrap();
        while let Next::Item(frame) = all.next(NOW).unwrap() {
            taken.push(frame.sequence());
        }
    }
    assert_eq!(taken, [1, 5, 9]);
    assert_eq!((all.lag(), missed_of(&project, "all")), (0, 0));
    // It may be gone by now; another one it is never.
    while let Next::Item(frame) = newest.next(NOW).unwrap() {
        assert_eq!(frame.sequence(), 9);
    }
    assert_eq!(newest.lag(), 0);
}

#[test]
fn a_writer_hears_what_its_readers_want_and_leaves_out_the_rest() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 4);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    assert_eq!(writer.demand(), Demand::default());
    let attach = |options| FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let every = |every, name| FrameOptions { every, ..FrameOptions::named(name) };
    let keys = attach(FrameOptions { key_only: true, ..FrameOptions::named("keys") });
    assert_eq!(writer.demand(), Demand { readers: 1, keys: true, every: 0, max_fps: None });
    let slow = FrameOptions { max_fps: Some(5), ..every(10, "slow") };
    let (mut tenth, _fourth) = (attach(slow), attach(every(4, "fourth")));
    drop(keys);
    assert_eq!(writer.demand(), Demand { readers: 2, keys: false, every: 2, max_fps: None });

    send(&writer, 1);
    for expected in [2, 4, 6, 8, 10] {
        let loan = writer.loan((SIDE * SIDE) as usize, 1).unwrap();
        assert_eq!(writer.publish_each(loan.slot(), &gray(SIDE), 2).unwrap(), expected);
    }
    assert_eq!(item(tenth.next(NOW).unwrap()).sequence(), 10);
    assert_eq!((tenth.lag(), missed_of(&project, "slow")), (0, 0));
}

#[test]
fn numbers_that_a_writer_leaves_out_are_not_missed() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 4);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let attach = |every, name| {
        let named = FrameOptions::named(name);
        let options = FrameOptions { every, policy: Policy::Sequential, ..named };
        FrameReader::attach(&project.0, &contract.name, &options).unwrap()
    };
    let (mut all, mut fourth) = (attach(1, "all"), attach(4, "fourth"));
    for expected in [5, 10, 15] {
        let loan = writer.loan((SIDE * SIDE) as usize, 1).unwrap();
        assert_eq!(writer.publish_each(loan.slot(), &gray(SIDE), 5).unwrap(), expected);
        assert_eq!(item(all.next(NOW).unwrap()).sequence(), expected);
        assert!(matches!(fourth.next(NOW).unwrap(), Next::Quiet), "before {expected}");
    }
    let loan = writer.loan((SIDE * SIDE) as usize, 1).unwrap();
    assert_eq!(writer.publish(loan.slot(), &gray(SIDE)).unwrap(), 16);
    assert_eq!(item(fourth.next(NOW).unwrap()).sequence(), 16);
    assert_eq!((missed_of(&project, "all"), missed_of(&project, "fourth")), (0, 0));
}

fn missed_of(project: &Project, reader: &str) -> u64 {
    let readers = census::rings(&project.0).remove(0).readers;
    readers.iter().find(|status| status.name == reader).unwrap().missed
}

#[test]
fn a_latest_reader_of_each_fourth_picture_takes_the_newest_of_those() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions { every: 4, ..FrameOptions::named("fourth") };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    send_many(&writer, 9);
    assert_eq!(item(reader.next(NOW).unwrap()).sequence(), 8);
    assert!(matches!(reader.next(NOW).unwrap(), Next::Quiet));
}

#[test]
fn a_wanted_picture_that_is_gone_does_not_hide_the_end_of_the_ring() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions { every: 50, ..FrameOptions::named("fiftieth") };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    send_many(&writer, 99);
    writer.finish();
    assert!(matches!(reader.next(SOON).unwrap(), Next::Ended));
}

#[test]
fn a_reader_that_starts_at_the_oldest_picture_takes_all_that_are_there_and_misses_none() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send_many(&writer, 50);
    let sequential = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("late") };
    let options = FrameOptions { start: FrameStart::Oldest, ..sequential };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let first = item(reader.next(NOW).unwrap()).sequence();
    let rest = std::iter::from_fn(|| match reader.next(NOW).unwrap() {
        Next::Item(frame) => Some(frame.sequence()),
        _ => None,
    });
    assert!(first < 50, "more than the newest is there");
    assert_eq!(rest.collect::<Vec<_>>(), (first + 1..=50).collect::<Vec<_>>());
}

#[test]
fn a_reader_goes_on_behind_the_picture_it_had_and_is_told_what_is_gone() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send_many(&writer, 50);
    let since = |sequence| {
        let start = FrameStart::After { epoch: writer.epoch(), sequence };
        let sequential = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("back") };
        let options = FrameOptions { start, ..sequential };
        FrameReader::attach(&project.0, &contract.name, &options).unwrap()
    };
    assert_eq!(item(since(48).next(NOW).unwrap()).sequence(), 49);
    let mut reader = since(3);
    let Next::Overrun { missed } = reader.next(NOW).unwrap() else { panic!("told nothing") };
    assert_eq!(item(reader.next(NOW).unwrap()).sequence(), 3 + missed + 1);
    drop(reader);
    assert!(matches!(since(50).next(NOW).unwrap(), Next::Quiet));
    assert!(matches!(since(99).next(NOW).unwrap(), Next::Quiet), "a place that never was");
}

#[test]
fn a_reader_that_comes_back_to_another_epoch_is_told_that_pictures_are_gone() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let first = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&first, 1);
    let start = FrameStart::After { epoch: first.epoch(), sequence: 1 };
    drop(first);
    let second = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&second, 2);
    let sequential = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("back") };
    let options = FrameOptions { start, ..sequential };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    assert!(matches!(reader.next(NOW).unwrap(), Next::Overrun { missed: 0 }));
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 2);
}

#[test]
fn the_census_shows_since_when_pictures_are_held_and_how_often_none_was_left_to_hold() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    let status = || census::rings(&project.0).remove(0).readers.remove(0);
    assert_eq!((status().leases, status().held_ms), (0, None));
    let mut held = Vec::new();
    for value in 0..2 {
        send(&writer, value);
        held.push(item(reader.next(SOON).unwrap()));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let both = status();
    assert!(both.leases == 2 && both.held_ms >= Some(40), "{both:?}");
    send(&writer, 3);
    assert!(matches!(reader.next(NOW), Err(Error::NoLease { .. })));
    assert_eq!(status().refused, 1);
    held.remove(0);
    let newer = status();
    assert!(newer.leases == 1 && newer.held_ms >= Some(20), "{newer:?}");
    assert!(newer.held_ms < both.held_ms || newer.held_ms >= Some(40), "{newer:?}");
    held.clear();
    assert_eq!((status().leases, status().held_ms), (0, None));
}
