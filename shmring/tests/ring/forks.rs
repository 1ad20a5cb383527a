//! What becomes of handles when their process forks.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, alarm, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shmring::{
    Error, FrameOptions, FrameReader, FrameWriter, Next, PacketWriter, Pollable, Start, census,
    clock, wait_any,
};

use crate::frames::{fill, gray, item, pixels, send};
use crate::packets::{attach, publish};
use crate::{NOW, Project, SOON};

/// A child that is not ended by its test ends itself, and none takes so long.
const STAYS: Duration = Duration::from_secs(25);

/// A process that does not outlive its test.
struct Process(Pid);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        // Not of a grandchild, which is nobody's zombie here.
        let _ = waitpid(self.0, None);
    }
}

/// A forked child that does `work`.
fn forked(work: impl FnOnce()) -> Process {
    // SAFETY: glibc makes memory allocation work in the child of a program with threads; of the locks
    // that other threads may have held, `work` takes none, which is what is tested.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => Process(child),
        ForkResult::Child => {
            // One that hangs is killed by a signal, which is no exit.
            alarm::set(30);
            let outcome = catch_unwind(AssertUnwindSafe(work));
            // SAFETY: ends the child without running what belongs to the parent.
            unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) }
        }
    }
}

fn in_child(work: impl FnOnce()) {
    let status = waitpid(forked(work).0, None).unwrap();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "the child: {status:?}");
}

fn is_refused<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Forked { .. }))
}

fn is_readable(pollable: &Pollable) -> bool {
    let wait = Timespec::try_from(SOON).unwrap();
    poll(&mut [PollFd::new(pollable, PollFlags::IN)], Some(&wait)).unwrap() == 1
}

fn frame_reader(project: &Project) -> FrameReader {
    let name = "cam.frames".parse().unwrap();
    FrameReader::attach(&project.0, &name, &FrameOptions::named("test")).unwrap()
}

#[test]
fn a_forked_child_is_refused_waits_for_nothing_of_its_parents_and_makes_its_own() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 4);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Oldest);
    let (pollable, semaphore) = (reader.pollable().unwrap(), reader.semaphore());
    publish(&mut writer, true, b"x");
    assert!(is_readable(&pollable));
    in_child(|| {
        assert!(is_refused(reader.next(NOW)) && is_refused(reader.pollable()));
        assert!(!semaphore.wait() && wait_any(&[&reader], NOW).is_empty());
        pollable.clear();
        let own = attach(&project, &contract, Start::Oldest);
        assert!(is_readable(&own.pollable().unwrap()));
    });
    assert!(is_readable(&pollable), "the child did not empty it");
    assert!(matches!(reader.next(NOW).unwrap(), Next::Item(_)));
    assert!(matches!(reader.next(NOW).unwrap(), Next::Quiet));
    publish(&mut writer, true, b"x");
    assert!(is_readable(&pollable));
}

#[test]
fn a_forked_child_can_neither_write_its_parents_ring_nor_end_it() {
    let project = Project::new();
    let frames = FrameWriter::create(&project.0, &project.contract("cam.frames", 2), None).unwrap();
    let mut packets =
        PacketWriter::create(&project.0, &project.contract("cam.packets", 2), &[]).unwrap();
    let mut reader = frame_reader(&project);
    let mut loan = frames.loan(64 * 64, 1).unwrap();
    loan.bytes_mut().fill(5);
    // What a child takes out of an option is still there in its parent.
    let mut clone = Some(frames.clone());
    in_child(|| {
        assert!(is_refused(frames.loan(1, 1)));
        assert!(is_refused(frames.publish(loan.slot(), &gray(64))));
        assert!(is_refused(packets.publish(&shmring::PacketMeta::default(), b"x")));
        loan.bytes_mut().fill(6);
        frames.count_dropped();
        frames.finish();
        packets.finish();
        drop(clone.take());
    });
    frames.publish(loan.slot(), &gray(64)).unwrap();
    let frame = item(reader.next(SOON).unwrap());
    assert!(pixels(&frame).iter().all(|sample| *sample == 5));
    assert!(matches!(reader.next(NOW).unwrap(), Next::Quiet), "not ended");
    publish(&mut packets, true, b"x");
}

#[test]
fn what_a_forked_child_drops_stays_its_parents() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = frame_reader(&project);
    send(&writer, 1);
    let mut all = Some((item(reader.next(SOON).unwrap()), reader, fill(&writer, 2, 64), writer));
    // What the child takes out of it is still there in its parent.
    in_child(|| drop(all.take()));
    let (held, _reader, _kept, writer) = all.unwrap();
    let status = census::status(&project.0, &contract.name, clock::mono());
    assert!(status.live, "the writer's lock");
    assert_eq!(status.readers.len(), 1, "the reader's lock");
    assert_eq!(status.readers[0].leases, 1);
    for value in 3..200 {
        send(&writer, value);
    }
    assert!(pixels(&held).iter().all(|sample| *sample == 1), "the slot was reused under a lease");
}

#[test]
fn a_killed_process_leaves_place_and_ring_free_though_its_forked_child_lives() {
    let project = Project::new();
    let read = project.contract("cam.frames", 1);
    let written = project.contract("w.packets", 1);
    let writer = FrameWriter::create(&project.0, &read, None).unwrap();
    send(&writer, 1);
    let (mut child_says, mut says) = pipe().unwrap();
    let parent = forked(|| {
        let mut reader = frame_reader(&project);
        let _held = item(reader.next(SOON).unwrap());
        let _pollable = reader.pollable().unwrap();
        let _own = PacketWriter::create(&project.0, &written, &[]).unwrap();
        let _child = forked(|| {
            says.write_all(&std::process::id().to_ne_bytes()).unwrap();
            std::thread::sleep(STAYS);
        });
        std::thread::sleep(STAYS);
    });
    let mut pid = [0; 4];
    child_says.read_exact(&mut pid).unwrap();
    let grandchild = Process(Pid::from_raw(i32::from_ne_bytes(pid)));
    let row = |name| census::status(&project.0, name, clock::mono());
    assert_eq!((row(&read.name).readers.len(), row(&written.name).live), (1, true));
    drop(parent);
    assert_eq!((row(&read.name).readers.len(), row(&written.name).live), (0, false));
    let _reader = frame_reader(&project);
    let _writer = PacketWriter::create(&project.0, &written, &[]).unwrap();
    assert_eq!(kill(grandchild.0, None), Ok(()), "it was there all the time");
}

#[test]
fn what_is_attached_while_another_thread_forks_is_shared_with_no_child() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let _writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let (project, contract) = (&project, &contract);
        scope.spawn(move || {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                drop(attach(project, contract, Start::Oldest));
            }
        });
        // There is one place: a child that held it would keep the next one out.
        let _children: Vec<_> = (0..50).map(|_| forked(|| std::thread::sleep(STAYS))).collect();
        std::thread::sleep(Duration::from_millis(50));
        drop(stop);
    });
}

/// How many of its descriptors hold a lock of `project`: a lock is listed with them (proc(5)).
fn locks(process: Pid, project: &Project) -> usize {
    let prefix = format!("/dev/shm/fv.{}.", project.0);
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let holds = |descriptor: &std::fs::DirEntry| {
        let leads = std::fs::read_link(descriptor.path());
        let info = format!("/proc/{process}/fdinfo/{}", descriptor.file_name().display());
        leads.is_ok_and(|path| path.to_string_lossy().starts_with(&prefix))
            && std::fs::read_to_string(info).is_ok_and(|text| text.contains("lock:"))
    };
    descriptors.map(Result::unwrap).filter(holds).count()
}

/// Forks a writer's process while it may have no descriptor from a limit on, which is made of one that is
/// older than the writer's.
fn shares_no_lock(limit: fn(File) -> RawFd) {
    in_child(|| {
        let older = File::open("/dev/null").unwrap();
        let project = Project::new();
        let contract = project.contract("cam.packets", 1);
        let writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
        let (mut ready, mut tell) = pipe().unwrap();
        let (few, many) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let limit = limit(older).try_into().unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, limit, many).unwrap();
        let child = forked(|| {
            tell.write_all(b"x").unwrap();
            std::thread::sleep(STAYS);
        });
        setrlimit(Resource::RLIMIT_NOFILE, few, many).unwrap();
        ready.read_exact(&mut [0]).unwrap();
        assert_eq!((locks(Pid::this(), &project), locks(child.0, &project)), (2, 0));
        drop((child, writer));
    });
}

#[test]
fn a_child_of_a_process_that_has_no_descriptor_left_shares_no_lock_either() {
    shares_no_lock(|older| {
        let lowest_free = older.try_clone().unwrap().as_raw_fd();
        // It stays open: its number would be free.
        let _ = older.into_raw_fd();
        lowest_free
    });
}

#[test]
fn a_child_whose_limit_of_descriptors_is_beneath_its_parents_locks_shares_none() {
    shares_no_lock(|older| older.as_raw_fd() + 1);
}
