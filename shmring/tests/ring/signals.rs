//! Waiting for readers: for many at once, from other threads, through descriptors.

use std::time::Duration;

use protocol::time::MonoNs;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use shmring::{
    Error, FrameOptions, FrameReader, FrameWriter, Next, PacketReader, PacketWriter, Pollable,
    RecordReader, Start, Waitable, census, clock, wait_any,
};

use crate::frames::send;
use crate::packets::{attach, options, publish};
use crate::{NOW, Project, SOON};

/// Longest a reader sleeps without looking (shmring's slice); a lost wake-up shows as one.
const SLICE: Duration = Duration::from_millis(250);

fn writer(project: &Project, ring: &str) -> PacketWriter {
    PacketWriter::create(&project.0, &project.contract(ring, 2), &[]).unwrap()
}

fn reader(project: &Project, ring: &str) -> PacketReader {
    attach(project, &project.contract(ring, 2), Start::Oldest)
}

fn frame_reader(project: &Project, max_fps: Option<u32>) -> FrameReader {
    let options = FrameOptions { max_fps, ..FrameOptions::named("test") };
    FrameReader::attach(&project.0, &"cam.frames".parse().unwrap(), &options).unwrap()
}

fn all<T: Waitable>(readers: &[T]) -> Vec<&dyn Waitable> {
    readers.iter().map(|reader| reader as _).collect()
}

fn drain(reader: &mut PacketReader) -> usize {
    let mut taken = 0;
    loop {
        match reader.next(NOW).unwrap() {
            Next::Item(_) => taken += 1,
            Next::Evicted { .. } | Next::NewEpoch { .. } | Next::Overrun { .. } => {}
            Next::Quiet | Next::Ended => return taken,
        }
    }
}

/// Whether it is readable, or becomes so within `wait`.
fn is_readable(pollable: &Pollable, wait: Duration) -> bool {
    let wait = Timespec::try_from(wait).unwrap();
    poll(&mut [PollFd::new(pollable, PollFlags::IN)], Some(&wait)).unwrap() == 1
}

/// Runs `rounds` and tells how many of them a lost wake-up may have lengthened.
fn slow_rounds(rounds: u32, mut round: impl FnMut(u32)) -> usize {
    let durations = (0..rounds).map(|number| {
        let before = clock::mono();
        round(number);
        clock::mono().saturating_since(before)
    });
    durations.filter(|duration| *duration > SLICE / 2).count()
}

#[test]
fn a_reader_of_each_third_picture_is_not_waited_for_in_vain() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let frames = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions { every: 3, ..FrameOptions::named("third") };
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let semaphore = reader.semaphore();
    send(&frames, 1);
    send(&frames, 2);
    assert_eq!((semaphore.count(), semaphore.try_wait()), (0, false));
    send(&frames, 3);
    assert_eq!((semaphore.count(), semaphore.try_wait()), (1, true));
    assert!(matches!(reader.next(NOW).unwrap(), Next::Item(_)));
    assert!(!semaphore.try_wait());
}

#[test]
fn of_many_readers_those_that_have_something_are_named() {
    let project = Project::new();
    let names = ["a.packets", "b.packets", "c.packets"];
    let mut writers = names.map(|name| writer(&project, name));
    let mut readers = names.map(|name| reader(&project, name));
    assert!(wait_any(&all(&readers), Duration::from_millis(20)).is_empty());
    publish(&mut writers[2], true, b"x");
    assert_eq!(wait_any(&all(&readers), SOON), [2]);
    publish(&mut writers[0], true, b"x");
    assert_eq!(wait_any(&all(&readers), SOON), [0, 2]);
    assert_eq!(drain(&mut readers[2]), 1);
    assert_eq!(wait_any(&all(&readers), SOON), [0]);
}

#[test]
fn readers_of_every_kind_are_waited_for_together() {
    let project = Project::new();
    let mut packets = writer(&project, "cam.packets");
    let frames = FrameWriter::create(&project.0, &project.contract("cam.frames", 2), None).unwrap();
    let mut events = writer(&project, "w.events");
    let of_packets = reader(&project, "cam.packets");
    let of_frames = frame_reader(&project, None);
    let of_records =
        RecordReader::attach(&project.0, &"w.events".parse().unwrap(), &options(Start::Newest))
            .unwrap();
    let semaphore = of_frames.semaphore();
    let waited: [&dyn Waitable; 4] = [&of_packets, &of_frames, &of_records, &semaphore];
    send(&frames, 1);
    assert_eq!(wait_any(&waited, SOON), [1, 3]);
    publish(&mut packets, true, b"x");
    publish(&mut events, true, b"{}");
    assert_eq!(wait_any(&waited, SOON), [0, 1, 2, 3]);
}

#[test]
fn more_readers_than_the_kernel_takes_at_once_are_waited_for_without_spinning() {
    let project = Project::new();
    let mut writer = writer(&project, "cam.events");
    let contract = project.contract("cam.events", 2);
    let reader = attach(&project, &contract, Start::Newest);
    // Their words are the same, which the kernel does not mind, and files of 150 rings are many.
    let semaphores: Vec<_> = (0..150).map(|_| reader.semaphore()).collect();
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    let used = || Duration::from(clock.now().unwrap());
    let before = used();
    assert!(wait_any(&all(&semaphores), Duration::from_secs(1)).is_empty());
    let used = used() - before;
    assert!(used < Duration::from_millis(200), "{used:?} of a second's wait");
    let waiting = std::thread::spawn(move || wait_any(&all(&semaphores), SOON).len());
    publish(&mut writer, true, b"x");
    assert_eq!(waiting.join().unwrap(), 150);
}

#[test]
fn a_new_epoch_the_end_and_the_loss_of_a_writer_end_a_wait_each_once() {
    let project = Project::new();
    let first = writer(&project, "cam.packets");
    let mut reader = reader(&project, "cam.packets");
    assert_eq!(drain(&mut reader), 0);
    drop(first);
    assert_eq!(wait_any(&[&reader], SOON), [0], "the writer is lost");
    assert!(!reader.writer_lives());
    assert_eq!(drain(&mut reader), 0);
    assert!(wait_any(&[&reader], 2 * SLICE).is_empty(), "that was told");
    let mut second = writer(&project, "cam.packets");
    assert_eq!(wait_any(&[&reader], SOON), [0]);
    assert!(matches!(reader.next(NOW).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(drain(&mut reader), 0);
    assert!(wait_any(&[&reader], NOW).is_empty());
    second.finish();
    assert_eq!(wait_any(&[&reader], SOON), [0]);
    assert!(matches!(reader.next(NOW).unwrap(), Next::Ended));
    drop(second);
    assert!(wait_any(&[&reader], 2 * SLICE).is_empty(), "the end was told");
}

#[test]
fn a_ring_taken_down_and_one_brought_up_again_end_a_wait() {
    let project = Project::new();
    let first = writer(&project, "cam.packets");
    let mut reader = reader(&project, "cam.packets");
    drop(first);
    assert_eq!(drain(&mut reader), 0);
    census::sweep(&project.0, &["cam.packets".parse().unwrap()]);
    assert_eq!(wait_any(&[&reader], SOON), [0]);
    assert!(matches!(reader.next(NOW), Err(Error::NoSuchRing { .. })));
    assert!(wait_any(&[&reader], 2 * SLICE).is_empty(), "that was told");
    let mut second = writer(&project, "cam.packets");
    publish(&mut second, true, b"x");
    assert_eq!(wait_any(&[&reader], SOON), [0]);
    assert_eq!(drain(&mut reader), 1);
    publish(&mut second, true, b"x");
    assert_eq!(wait_any(&[&reader], SOON), [0]);
}

#[test]
fn an_epoch_lost_before_the_reader_came_to_it_is_news_until_it_is_told() {
    let project = Project::new();
    let old = writer(&project, "cam.packets").epoch() - 1;
    let _writer = writer(&project, "cam.packets");
    let start = Start::After { epoch: old, sequence: 7 };
    let mut reader = attach(&project, &project.contract("cam.packets", 2), start);
    assert!(reader.semaphore().try_wait());
    assert_eq!(drain(&mut reader), 0);
    assert!(!reader.semaphore().try_wait());
}

#[test]
fn a_semaphore_counts_what_its_reader_has_not_taken_whatever_thread_asks() {
    let project = Project::new();
    let mut writer = writer(&project, "cam.packets");
    let mut reader = reader(&project, "cam.packets");
    let semaphore = reader.semaphore();
    assert!(!semaphore.try_wait());
    for count in 1..=1000 {
        publish(&mut writer, true, b"x");
        assert_eq!(semaphore.count(), count);
    }
    let asked = semaphore.clone();
    assert!(std::thread::spawn(move || asked.wait() && asked.try_wait()).join().unwrap());
    assert_eq!(semaphore.count(), 1000, "waiting takes nothing");
    drop(reader.next(NOW).unwrap());
    assert_eq!(semaphore.count(), 999);
    assert_eq!(drain(&mut reader), 999);
    assert_eq!(semaphore.count(), 0);
    assert!(!semaphore.wait_until(clock::mono() + Duration::from_millis(10)));
    assert!(!semaphore.wait_until(MonoNs(0)));
}

#[test]
fn a_semaphore_follows_its_reader_into_the_next_epoch() {
    let project = Project::new();
    let mut first = writer(&project, "cam.packets");
    let mut reader = reader(&project, "cam.packets");
    let semaphore = reader.semaphore();
    publish(&mut first, true, b"x");
    assert_eq!(drain(&mut reader), 1);
    drop(first);
    let mut second = writer(&project, "cam.packets");
    assert!(semaphore.wait(), "a new epoch ends a wait");
    assert_eq!(drain(&mut reader), 0);
    publish(&mut second, true, b"x");
    publish(&mut second, true, b"x");
    assert!(semaphore.wait());
    assert_eq!(semaphore.count(), 2);
}

#[test]
fn a_semaphore_whose_reader_is_gone_lets_its_waiters_go() {
    let project = Project::new();
    let _writer = writer(&project, "cam.packets");
    let before = (project.mappings(), project.descriptors());
    let reader = reader(&project, "cam.packets");
    let (semaphore, kept) = (reader.semaphore(), reader.semaphore());
    let waiting = std::thread::spawn(move || (semaphore.wait(), semaphore.count()));
    drop(reader);
    assert_eq!(waiting.join().unwrap(), (false, 0));
    assert!(!kept.try_wait());
    assert_eq!(
        (project.mappings(), project.descriptors()),
        before,
        "a handle keeps nothing mapped"
    );
}

#[test]
fn no_wake_up_of_a_semaphore_is_lost() {
    let project = Project::new();
    let mut writer = writer(&project, "cam.packets");
    let mut reader = reader(&project, "cam.packets");
    let (woken, was_woken) = std::sync::mpsc::channel();
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let (semaphore, woken) = (reader.semaphore(), woken.clone());
            let (go, going) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::spawn(move || {
                while going.recv().is_ok() && semaphore.wait() {
                    woken.send(()).unwrap();
                }
            });
            (go, thread)
        })
        .collect();
    let slow = slow_rounds(500, |_| {
        waiters.iter().for_each(|(go, _)| go.send(()).unwrap());
        publish(&mut writer, true, b"x");
        waiters.iter().for_each(|_| was_woken.recv_timeout(SOON).unwrap());
        assert_eq!(drain(&mut reader), 1);
    });
    for (go, thread) in waiters {
        drop(go);
        thread.join().unwrap();
    }
    assert!(slow < 10, "{slow} of 500 wake-ups came a slice late");
}

#[test]
fn a_descriptor_is_readable_while_something_untaken_is_there() {
    let project = Project::new();
    let mut writer = writer(&project, "cam.packets");
    let mut reader = reader(&project, "cam.packets");
    let pollable = reader.pollable().unwrap();
    assert!(!is_readable(&pollable, Duration::from_millis(20)));
    for _ in 0..3 {
        publish(&mut writer, true, b"x");
    }
    assert!(is_readable(&pollable, SOON));
    for _ in 0..3 {
        assert!(is_readable(&pollable, NOW), "level-triggered");
        assert!(matches!(reader.next(NOW).unwrap(), Next::Item(_)));
    }
    // The helper may have filled it once more in the moment before.
    assert!(matches!(reader.next(NOW).unwrap(), Next::Quiet));
    assert!(!is_readable(&pollable, NOW));
}

#[test]
fn a_descriptor_made_after_something_was_published_is_readable_too() {
    let project = Project::new();
    let mut writer = writer(&project, "cam.packets");
    publish(&mut writer, true, b"x");
    let reader = reader(&project, "cam.packets");
    assert!(is_readable(&reader.pollable().unwrap(), SOON));
}

#[test]
fn a_cleared_descriptor_tells_of_what_comes_next() {
    let project = Project::new();
    let mut writer = writer(&project, "cam.packets");
    let mut reader = reader(&project, "cam.packets");
    let pollable = reader.pollable().unwrap();
    let slow = slow_rounds(300, |_| {
        publish(&mut writer, true, b"x");
        assert!(is_readable(&pollable, SOON));
        pollable.clear();
        assert_eq!(drain(&mut reader), 1);
    });
    assert!(slow < 10, "{slow} of 300 wake-ups came a slice late");
    publish(&mut writer, true, b"x");
    assert!(is_readable(&pollable, SOON));
    pollable.clear();
    assert!(is_readable(&pollable, SOON), "what is forgotten shows again");
}

#[test]
fn a_descriptor_tells_of_a_new_epoch_of_its_items_of_the_end_and_of_a_lost_writer() {
    let project = Project::new();
    let first = writer(&project, "cam.packets");
    let mut reader = reader(&project, "cam.packets");
    let pollable = reader.pollable().unwrap();
    drop(first);
    assert!(is_readable(&pollable, SOON), "lost");
    assert_eq!(drain(&mut reader), 0);
    assert!(!is_readable(&pollable, 2 * SLICE), "once");
    let mut second = writer(&project, "cam.packets");
    assert!(is_readable(&pollable, SOON), "a new epoch");
    assert_eq!(drain(&mut reader), 0);
    assert!(!is_readable(&pollable, NOW));
    for _ in 0..3 {
        publish(&mut second, true, b"x");
        assert!(is_readable(&pollable, SOON), "an item of it");
        assert_eq!(drain(&mut reader), 1);
    }
    second.finish();
    assert!(is_readable(&pollable, SOON), "the end");
    assert!(matches!(reader.next(NOW).unwrap(), Next::Ended));
    assert!(!is_readable(&pollable, 2 * SLICE));
}

#[test]
fn a_reader_that_rests_between_pictures_is_not_readable_before_its_time() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    // The second picture is due a second after the first was published.
    let is_early = |before| clock::mono().saturating_since(before) < Duration::from_millis(990);
    // When this test is not scheduled for that second there is no rest to be seen: then with another reader.
    let (mut reader, pollable, before) = loop {
        let mut reader = frame_reader(&project, Some(1));
        let pollable = reader.pollable().unwrap();
        let before = clock::mono();
        send(&writer, 1);
        assert!(matches!(reader.next(SOON).unwrap(), Next::Item(_)));
        send(&writer, 2);
        if matches!(reader.next(NOW).unwrap(), Next::Quiet) {
            break (reader, pollable, before);
        }
        assert!(!is_early(before));
    };
    assert!(is_readable(&pollable, SOON));
    assert!(!is_early(before));
    assert!(matches!(reader.next(NOW).unwrap(), Next::Item(_)));
}

#[test]
fn an_epoll_loop_over_many_rings_takes_every_item_of_restarting_writers() {
    const RINGS: usize = 70;
    const EPOCHS: usize = 3;
    const ITEMS: usize = 20;
    let project = Project::new();
    let names: Vec<String> = (0..RINGS).map(|number| format!("c{number}.events")).collect();
    let firsts: Vec<_> = names.iter().map(|name| writer(&project, name)).collect();
    let mut readers: Vec<_> = names.iter().map(|name| reader(&project, name)).collect();
    let pollables: Vec<_> = readers.iter().map(|reader| reader.pollable().unwrap()).collect();
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    for (number, pollable) in pollables.iter().enumerate() {
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&set, pollable, data, epoll::EventFlags::IN).unwrap();
    }
    drop(firsts);
    let mut taken = vec![0; RINGS];
    std::thread::scope(|scope| {
        for names in names.chunks(RINGS.div_ceil(4)) {
            let project = &project;
            scope.spawn(move || {
                for epoch in 1..=EPOCHS {
                    for name in names {
                        let mut writer = writer(project, name);
                        for _ in 0..ITEMS {
                            publish(&mut writer, true, b"x");
                        }
                        if epoch == EPOCHS {
                            writer.finish();
                        }
                    }
                }
            });
        }
        let mut ended = 0;
        while ended < RINGS {
            let mut events = Vec::with_capacity(RINGS);
            let wait = Timespec::try_from(SOON).unwrap();
            epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), Some(&wait)).unwrap();
            assert!(!events.is_empty(), "{ended} rings ended, then silence");
            for event in events {
                let ring = usize::try_from(event.data.u64()).unwrap();
                match readers[ring].next(NOW).unwrap() {
                    Next::Item(_) => taken[ring] += 1,
                    Next::Ended => ended += 1,
                    _ => {}
                }
            }
        }
    });
    // The first epoch may be gone before a slow reader comes to it; the last two are there.
    for (name, taken) in names.iter().zip(taken) {
        assert!((2 * ITEMS..=EPOCHS * ITEMS).contains(&taken), "{name}: {taken}");
    }
}

#[test]
fn no_wake_up_of_a_descriptor_is_lost() {
    let project = Project::new();
    let rings = 4;
    let names: Vec<String> = (0..rings).map(|number| format!("c{number}.events")).collect();
    let mut writers: Vec<_> = names.iter().map(|name| writer(&project, name)).collect();
    let (done, is_done) = std::sync::mpsc::channel();
    let readers: Vec<_> = names
        .iter()
        .map(|name| {
            let mut reader = reader(&project, name);
            let pollable = reader.pollable().unwrap();
            let done = done.clone();
            std::thread::spawn(move || {
                loop {
                    let mut polled = [PollFd::new(&pollable, PollFlags::IN)];
                    poll(&mut polled, None).unwrap();
                    match reader.next(NOW).unwrap() {
                        Next::Item(_) => done.send(()).unwrap(),
                        Next::Ended => return,
                        _ => {}
                    }
                }
            })
        })
        .collect();
    let slow = slow_rounds(500, |round| {
        for writer in &mut writers {
            publish(writer, true, b"x");
            // Readers take items at every stage of the helper's round.
            (0..round % 50 * 20).for_each(|_| std::hint::spin_loop());
        }
        (0..rings).for_each(|_| is_done.recv_timeout(SOON).unwrap());
    });
    writers.iter_mut().for_each(PacketWriter::finish);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(slow < 10, "{slow} of 500 wake-ups came a slice late");
}

#[test]
fn nothing_of_a_descriptor_is_left_when_it_is_dropped_before_or_after_its_reader() {
    let project = Project::new();
    let mut writer = writer(&project, "cam.packets");
    let before = (project.descriptors(), project.mappings());
    for reader_first in [false, true] {
        let reader = reader(&project, "cam.packets");
        let (one, other) = (reader.pollable().unwrap(), reader.pollable().unwrap());
        publish(&mut writer, true, b"x");
        assert!(is_readable(&one, SOON) && is_readable(&other, SOON));
        if reader_first {
            drop(reader);
            assert!(is_readable(&one, NOW), "as at the end of a file");
            drop((one, other));
        } else {
            drop(one);
            assert!(is_readable(&other, NOW), "the other one goes on");
            drop(other);
            drop(reader);
        }
        let until = clock::mono() + SOON;
        // The helper lets go of what it was sleeping on a moment later.
        while (project.descriptors(), project.mappings()) != before && clock::mono() < until {
            std::thread::yield_now();
        }
        assert_eq!((project.descriptors(), project.mappings()), before);
    }
}
