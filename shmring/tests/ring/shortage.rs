//! Too little of what the kernel gives: shared memory and descriptors. Each test is this program again,
//! which takes the shortage upon itself alone.

#![expect(clippy::print_stdout, reason = "says what was skipped, and why a part failed")]

use std::process::{Command, Output};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::config::RingConfig;
use protocol::control::RingContract;
use shmring::{Error, FrameOptions, FrameReader, FrameWriter, Next, Start};

use crate::brokered::Brokerage;
use crate::frames::{item, pixels, send};
use crate::packets::{attach, publish};
use crate::{NOW, Project, SOON};

/// Set in the child: it is to play its test's part.
const PART: &str = "SHMRING_TEST_SHORTAGE";

/// Bytes of the /dev/shm that the child sees.
const SMALL: &str = "size=6m";
/// Ten slots of this do not fit.
const LARGE_BYTES: usize = 1 << 20;

fn play(test: &str) -> Output {
    let arguments = ["--exact", test, "--nocapture"];
    Command::new("/proc/self/exe").args(arguments).env(PART, "1").output().unwrap()
}

fn is_part() -> bool {
    std::env::var_os(PART).is_some()
}

fn passes(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter(|line| line.contains("skipped:")).for_each(|line| println!("{line}"));
    let why = String::from_utf8_lossy(&output.stderr);
    let played = output.status.success() && said.contains("1 passed");
    assert!(played, "{}\n{said}\n{why}", output.status);
}

/// A /dev/shm of this thread's own. `false` where the kernel does not allow it.
fn has_small_memory() -> bool {
    let none: Option<&str> = None;
    let made = unshare(CloneFlags::CLONE_NEWNS).and_then(|()| {
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), MsFlags::empty(), Some(SMALL))
    });
    if let Err(error) = made {
        println!("skipped: no /dev/shm of our own here: {error}");
    }
    made.is_ok()
}

#[test]
fn a_full_dev_shm_is_an_error_with_its_cure_and_never_a_signal() {
    if !is_part() {
        return passes(&play(
            "shortage::a_full_dev_shm_is_an_error_with_its_cure_and_never_a_signal",
        ));
    }
    if !has_small_memory() {
        return;
    }
    let project = Project::new();
    let writer = FrameWriter::create(&project.0, &project.contract("cam.frames", 2), None).unwrap();
    send(&writer, 3);
    let ring = "cam.frames".parse().unwrap();
    let mut reader =
        FrameReader::attach(&project.0, &ring, &FrameOptions::named("witness")).unwrap();
    let held = item(reader.next(NOW).unwrap());
    let said = writer.loan(LARGE_BYTES, 1).unwrap_err();
    assert!(matches!(said, Error::NoSpace { .. }), "{said}");
    assert!(said.to_string().contains("--shm-size"), "{said}");
    // What there was goes on.
    assert_eq!(pixels(&held)[0], 3);
    send(&writer, 4);
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 4);
    let files = project.files();
    assert!(files.iter().all(|file| !file.contains(".tmp-")), "{files:?}");
    // Neither does a new ring that has no room, and it leaves nothing.
    let config = RingConfig::default();
    let contract = RingContract::new("cam.packets".parse().unwrap(), config, 2);
    let refused = shmring::PacketWriter::create(&project.0, &contract, &[]).unwrap_err();
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
    shmring::census::sweep(&project.0, &[contract.name]);
    assert_eq!(project.files(), files);
    drop((held, reader, writer));
}

#[test]
fn a_large_packet_that_no_descriptor_is_left_for_is_an_error_and_is_read_later() {
    if !is_part() {
        return passes(&play(
            "shortage::a_large_packet_that_no_descriptor_is_left_for_is_an_error_and_is_read_later",
        ));
    }
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let mut writer = shmring::PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let mut reader = attach(&project, &contract, Start::Oldest);
    let large = vec![7; writer.payload_max_bytes() + 1];
    publish(&mut writer, true, &large);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 100.min(hard), hard).unwrap();
    let null = || std::fs::File::open("/dev/null").ok();
    let all: Vec<_> = std::iter::from_fn(null).collect();
    for _ in 0..2 {
        let refused = reader.next(NOW).err().map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|text| text.contains("EMFILE")), "{refused:?}");
    }
    drop(all);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    let Next::Item(packet) = reader.next(NOW).unwrap() else { panic!("something was missed") };
    assert!(packet.payload == large);
}

#[test]
fn without_descriptors_attaching_fails_in_words_and_takes_no_place() {
    if !is_part() {
        return passes(&play(
            "shortage::without_descriptors_attaching_fails_in_words_and_takes_no_place",
        ));
    }
    let project = Project::new();
    let places = 1;
    let contract = project.contract("cam.frames", places);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&writer, 3);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let mut refusals = 0;
    for more in 0.. {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, open - 1 + more, hard).unwrap();
        let options = FrameOptions::named("short of descriptors");
        match FrameReader::attach(&project.0, &contract.name, &options) {
            Ok(mut reader) => {
                // Looking at a picture needs one more.
                match reader.next(NOW) {
                    Ok(Next::Item(frame)) => {
                        assert_eq!(pixels(&frame)[0], 3);
                        break;
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => assert!(error.to_string().contains("EMFILE"), "{error}"),
                }
            }
            Err(error) => assert!(error.to_string().contains("EMFILE"), "{error}"),
        }
        refusals += 1;
    }
    assert!(refusals > 2, "{refusals} refusals show nothing");
}

#[test]
fn a_slot_is_not_overwritten_under_a_reader_whose_page_no_descriptor_was_left_for() {
    if !is_part() {
        return passes(&play(
            "shortage::a_slot_is_not_overwritten_under_a_reader_whose_page_no_descriptor_was_left_for",
        ));
    }
    let brokerage = Brokerage::new();
    let writer = brokerage.frames(2);
    send(&writer, 1);
    let mut reader = brokerage.attach("reader").unwrap();
    let held = item(reader.next(SOON).unwrap());
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 100.min(hard), hard).unwrap();
    let null = || std::fs::File::open("/dev/null").ok();
    let all: Vec<_> = std::iter::from_fn(null).collect();
    // The page waits for the writer, who has not looked since before it came.
    for _ in 0..3 {
        let refused = writer.loan(1, 1).unwrap_err();
        assert!(matches!(refused, Error::NoFreeSlot { .. }), "{refused}");
    }
    drop(all);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    for value in 2..200 {
        send(&writer, value);
    }
    assert!(pixels(&held).iter().all(|sample| *sample == 1));
    assert_eq!(pixels(&item(reader.next(NOW).unwrap()))[0], 199);
}

#[test]
fn a_broker_that_could_not_wait_for_want_of_descriptors_serves_on_once_it_can() {
    if !is_part() {
        return passes(&play(
            "shortage::a_broker_that_could_not_wait_for_want_of_descriptors_serves_on_once_it_can",
        ));
    }
    let brokerage = Brokerage::new();
    let writer = brokerage.frames(1);
    send(&writer, 1);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // It waits for more descriptors than this, which poll(2) refuses then.
    setrlimit(Resource::RLIMIT_NOFILE, 1, hard).unwrap();
    // Makes it look.
    drop(writer);
    std::thread::sleep(std::time::Duration::from_millis(100));
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    send(&brokerage.frames(1), 2);
    let mut reader = brokerage.attach("reader").unwrap();
    assert_eq!(pixels(&item(reader.next(SOON).unwrap()))[0], 2);
}
