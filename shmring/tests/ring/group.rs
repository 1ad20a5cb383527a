//! Who of a machine's users may do what with a ring that a group may read. Another user is a child of
//! this test that has given up root, so without root there is nothing to see.

#![expect(clippy::print_stdout, reason = "says what was skipped; the other user answers in words")]

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt, chown};
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::unistd::{geteuid, setgid, setgroups, setuid};
use protocol::config::RingConfig;
use protocol::control::RingContract;
use shmring::{Error, FrameOptions, FrameReader, FrameWriter, Next};

use crate::brokered::Brokerage;
use crate::frames::{item, pixels, send};
use crate::hostile::lock;
use crate::{NOW, Project, SOON};

/// No user or group of any machine.
const MEMBER: u32 = 61_001;
const STRANGER: u32 = 61_002;
const GROUP: u32 = 61_009;

/// Which of [`as_another_user`]'s parts this process is to play.
const PART: &str = "SHMRING_TEST_PART";
const PROJECT: &str = "SHMRING_TEST_PROJECT";

fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        println!("skipped: only root can become another user");
    }
    root
}

impl Project {
    fn of_group(&self, ring: &str, places: u32) -> RingContract {
        RingContract { group: Some(GROUP), ..self.contract(ring, places) }
    }

    /// Runs `part` as another user; it answers with what it prints and its status.
    fn other(&self, part: &str) -> Child {
        // Where a broker of this project listens, if one does.
        let broker = format!("/tmp/fvb-{}/broker.sock", self.0);
        Command::new("/proc/self/exe")
            .args(["--exact", "group::as_another_user", "--nocapture", "--ignored"])
            .env(PART, part)
            .env(PROJECT, self.0.as_str())
            .env(protocol::control::env::BROKER, broker)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn passes(&self, part: &str) {
        let output = self.other(part).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
#[ignore = "a part of the tests below"]
fn as_another_user() {
    let (Ok(part), Ok(project)) = (std::env::var(PART), std::env::var(PROJECT)) else { return };
    let (user, group) = if part == "stranger" || part == "uninvited" {
        (STRANGER, STRANGER)
    } else {
        (MEMBER, GROUP)
    };
    setgroups(&[]).unwrap();
    setgid(group.into()).unwrap();
    setuid(user.into()).unwrap();
    let project = project.parse().unwrap();
    let ring = "cam.frames".parse().unwrap();
    let attach = || FrameReader::attach(&project, &ring, &FrameOptions::named("another user"));
    match part.as_str() {
        "stranger" => {
            let said = attach().unwrap_err().to_string();
            for part in
                ["permission denied to user 61002", "group 61009", "usermod -aG 61009 61002"]
            {
                assert!(said.contains(part), "{said}");
            }
            let refusal = shmring::census::refusal(&project, &ring).unwrap();
            assert_eq!(refusal.to_string(), said);
        }
        "private" => {
            let said = attach().unwrap_err().to_string();
            assert!(said.contains("user 61001") && said.contains("`group:`"), "{said}");
        }
        "reader" => {
            let mut reader = attach().unwrap();
            assert_eq!(pixels(&item(reader.next(SOON).unwrap()))[0], 7);
        }
        "outsider" => {
            let contract = RingContract {
                group: Some(STRANGER),
                ..RingContract::new("cam.frames".parse().unwrap(), RingConfig::default(), 1)
            };
            let said = FrameWriter::create(&project, &contract, None).unwrap_err().to_string();
            assert!(said.contains("usermod -aG 61002 61001"), "{said}");
            shmring::census::sweep_unowned(&project);
        }
        "client" => {
            let _reader = attach().unwrap();
            let refused = attach().unwrap_err();
            assert!(matches!(refused, Error::NoPlace { .. }), "{refused}");
        }
        "uninvited" => assert!(attach().is_err()),
        "hoarder" => hoard(project.as_str()),
        other => panic!("no part {other}"),
    }
}

/// Takes every lock it can get on every file of the ring, and holds them until its input ends.
fn hoard(project: &str) {
    let prefix = format!("fv.{project}.");
    let names = std::fs::read_dir("/dev/shm").unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files = Vec::new();
    for name in names.filter(|name| name.starts_with(&prefix)) {
        let path = format!("/dev/shm/{name}");
        let is_page = name.contains(".frames.l") && !name.ends_with(".lock");
        let open = |write| OpenOptions::new().read(true).write(write).open(&path);
        // Neither data nor index nor anchor can be written, and the ring's lock not even opened.
        assert_eq!(open(true).is_ok(), is_page, "{name}");
        assert_eq!(open(false).is_ok(), !name.ends_with(".lock"), "{name}");
        files.extend(open(true).or_else(|_| open(false)).ok());
    }
    for file in &files {
        let _ = lock(file, libc::F_WRLCK) || lock(file, libc::F_RDLCK);
        // Whoever may write a page may also cut it off.
        let _ = file.set_len(0);
    }
    println!("hoarded");
    let _ = std::io::read_to_string(std::io::stdin());
}

#[test]
fn a_member_of_the_group_reads_and_a_stranger_is_told_how_to_become_one() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    let contract = project.of_group("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&writer, 7);
    project.passes("reader");
    project.passes("stranger");
}

#[test]
fn without_a_group_a_ring_is_its_users_alone() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    let _writer =
        FrameWriter::create(&project.0, &project.contract("cam.frames", 2), None).unwrap();
    project.passes("private");
}

#[test]
fn a_member_that_takes_every_lock_and_page_stops_neither_capture_nor_its_restart() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    let contract = project.of_group("cam.frames", 3);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions::named("honest");
    let mut honest = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    send(&writer, 1);
    let held = item(honest.next(SOON).unwrap());
    let mut hoarder = project.other("hoarder");
    let mut said = std::io::BufReader::new(hoarder.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("hoarded\n") {
        assert_ne!(std::io::BufRead::read_line(&mut said, &mut line).unwrap(), 0, "{line}");
    }
    for value in 2..100 {
        send(&writer, value);
    }
    // Its page was cut off under it, and its name with it: that costs it its claims, not its life.
    drop(held);
    assert_eq!(pixels(&item(honest.next(SOON).unwrap()))[0], 99);
    let refused = FrameReader::attach(&project.0, &contract.name, &options).unwrap_err();
    assert!(matches!(refused, Error::NoPlace { .. }), "{refused}");
    assert!(refused.to_string().contains("3 that do not say who they are"), "{refused}");
    drop(writer);
    let second = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&second, 200);
    assert!(matches!(honest.next(SOON).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(pixels(&item(honest.next(NOW).unwrap()))[0], 200);
    drop(hoarder.stdin.take());
    assert!(hoarder.wait().unwrap().success());
}

#[test]
fn a_page_that_a_stranger_has_put_in_place_is_not_used() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let path = format!("/dev/shm/fv.{}.cam.frames.l0", project.0);
    let theirs = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path).unwrap();
    theirs.write_all_at(b"theirs", 0).unwrap();
    chown(&path, Some(STRANGER), None).unwrap();
    let _writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions::named("reader");
    let _reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let mut begin = [0; 6];
    OpenOptions::new().read(true).open(&path).unwrap().read_exact_at(&mut begin, 0).unwrap();
    assert_ne!(&begin, b"theirs");
    assert_eq!(theirs.metadata().unwrap().len(), 6, "nothing was done to it");
}

#[test]
fn a_writer_outside_the_group_is_told_how_to_become_a_member() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    project.passes("outsider");
}

#[test]
fn a_broker_lets_members_of_the_group_ask_and_gives_them_the_spare_places_only() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    let open = std::path::PathBuf::from(format!("/tmp/fvb-{}", project.0));
    let mine = std::env::temp_dir().join(format!("framevisor-0/{}", project.0));
    std::fs::create_dir_all(&open).unwrap();
    std::fs::create_dir_all(&mine).unwrap();
    std::os::unix::fs::symlink(open.join("broker.sock"), mine.join("broker.sock")).unwrap();
    let ring: protocol::name::RingName = "cam.frames".parse().unwrap();
    let socket = open.join("broker.sock");
    let broker =
        shmring::broker::Broker::open(&project.0, [ring.clone()], &socket, Some(GROUP)).unwrap();
    let config = RingConfig {
        access: protocol::config::Access::Brokered,
        spare_readers: 1,
        ..RingConfig::default()
    };
    let contract = RingContract::new(ring.clone(), config, 3);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&writer, 1);
    project.passes("client");
    project.passes("uninvited");
    // Two places are left for the project's own.
    let attach = || FrameReader::attach(&project.0, &ring, &FrameOptions::named("own"));
    let own = [attach().unwrap(), attach().unwrap(), attach().unwrap()];
    drop((own, writer, broker));
    std::fs::remove_dir_all(&open).unwrap();
    std::fs::remove_dir_all(&mine).unwrap();
}

#[test]
fn a_name_that_a_stranger_has_put_in_place_leads_no_reader_away_from_the_broker() {
    if !is_root() {
        return;
    }
    let brokerage = Brokerage::new();
    let project = &brokerage.project.0;
    let theirs = format!("/dev/shm/fv.{project}.cam.frames");
    let plant = |mode| {
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&theirs).unwrap();
        chown(&theirs, Some(STRANGER), None).unwrap();
    };
    plant(0o600);
    // Not before the ring is begun either: who waits for it waits for the broker's.
    assert!(brokerage.attach("early").unwrap_err().is_absent());
    let writer = brokerage.frames(2);
    send(&writer, 5);
    let mut reader = brokerage.attach("reader").unwrap();
    assert_eq!(pixels(&item(reader.next(SOON).unwrap()))[0], 5);
    let ring = "cam.frames".parse().unwrap();
    assert!(shmring::census::status(project, &ring, shmring::clock::mono()).live);
    assert!(shmring::census::refusal(project, &ring).is_none());
    std::fs::remove_file(&theirs).unwrap();
}

#[test]
fn a_ring_with_names_is_read_beside_a_broker_and_a_strangers_in_its_place_is_not() {
    if !is_root() {
        return;
    }
    let brokerage = Brokerage::new();
    let project = &brokerage.project;
    let contract = project.contract("named.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&writer, 5);
    let options = FrameOptions::named("reader");
    let attach = || FrameReader::attach(&project.0, &contract.name, &options);
    assert_eq!(pixels(&item(attach().unwrap().next(SOON).unwrap()))[0], 5);
    // The whole of it, as a stranger could make one of this name.
    for name in project.files() {
        chown(format!("/dev/shm/{name}"), Some(STRANGER), None).unwrap();
    }
    assert!(attach().unwrap_err().is_absent());
}

#[test]
fn an_epoch_that_a_stranger_has_put_in_place_is_not_read() {
    if !is_root() {
        return;
    }
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let path = format!("/dev/shm/fv.{}.cam.frames.e{}", project.0, writer.epoch());
    chown(&path, Some(STRANGER), None).unwrap();
    let options = FrameOptions::named("reader");
    let refused = FrameReader::attach(&project.0, &contract.name, &options).unwrap_err();
    assert!(matches!(refused, Error::NoSuchRing { .. }), "{refused}");
}
