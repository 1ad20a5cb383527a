//! What others can do to a ring's files without the writer's rights, and what accidents do with them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, chown};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use shmring::{
    Error, FrameOptions, FrameReader, FrameWriter, Next, PacketReader, PacketWriter, Start,
};

use crate::frames::{item, pixels, send};
use crate::packets::{attach, options, publish};
use crate::{NOW, Project, SOON};

impl Project {
    fn open(&self, name: &str, write: bool) -> File {
        let path = format!("/dev/shm/fv.{}.{name}", self.0);
        OpenOptions::new().read(true).write(write).open(path).unwrap()
    }
}

/// Tries an open-file-description lock on the whole file.
pub(crate) fn lock(file: &File, kind: i32) -> bool {
    let whole = libc::flock {
        l_type: i16::try_from(kind).unwrap(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole)).is_ok()
}

#[test]
fn a_reader_that_takes_every_lock_stops_neither_writer_nor_restart_nor_the_attached() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 4);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let options = FrameOptions::named("honest");
    let mut honest = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let files: Vec<File> = project
        .files()
        .iter()
        .map(|name| {
            // What a member of the group may: lease pages for writing, the rest for reading.
            let name = name.strip_prefix(&format!("fv.{}.", project.0)).unwrap();
            project.open(name, name.contains(".frames.l") && !name.ends_with(".lock"))
        })
        .collect();
    for file in &files {
        let _ = lock(file, libc::F_WRLCK) || lock(file, libc::F_RDLCK);
    }
    send(&writer, 1);
    assert_eq!(pixels(&item(honest.next(SOON).unwrap()))[0], 1);
    let refused = FrameReader::attach(&project.0, &contract.name, &options);
    assert!(matches!(refused, Err(Error::NoPlace { .. })));
    drop(writer);
    // `.lock` is the writer's user alone, so this test, which runs as that user, lets go of it.
    drop(files);
    let second = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&second, 2);
    assert!(matches!(honest.next(SOON).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(pixels(&item(honest.next(NOW).unwrap()))[0], 2);
}

#[test]
fn a_read_lock_on_a_dead_epoch_does_not_make_it_live() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let reader = attach(&project, &contract, Start::Oldest);
    let index = project.open(&format!("cam.packets.e{}", writer.epoch()), false);
    assert!(!lock(&index, libc::F_RDLCK), "the writer was first");
    drop(writer);
    assert!(lock(&index, libc::F_RDLCK));
    assert!(!reader.writer_lives());
}

#[test]
fn a_lease_page_that_was_cut_off_serves_the_next_reader() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    project.open("cam.frames.l0", true).set_len(0).unwrap();
    send(&writer, 1);
    let options = FrameOptions::named("next");
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let held = item(reader.next(SOON).unwrap());
    for value in 2..200 {
        send(&writer, value);
    }
    assert!(pixels(&held).iter().all(|sample| *sample == 1));
}

#[test]
fn claims_in_a_page_nobody_has_locked_hold_back_no_slot() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 2);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&writer, 1);
    let index = project.open(&format!("cam.frames.e{}", writer.epoch()), false);
    for round in 0..50u8 {
        // A claim on every slot there is, as far as two pages hold them.
        let mut versions = [0; 16 * 8];
        index.read_exact_at(&mut versions, 69632 + 2048).unwrap();
        for place in 0..2 {
            let page = project.open(&format!("cam.frames.l{place}"), true);
            page.write_all_at(&writer.epoch().to_le_bytes(), 128).unwrap();
            page.write_all_at(&versions[place * 64..place * 64 + 64], 136).unwrap();
        }
        send(&writer, round);
    }
}

#[test]
fn an_anchor_that_no_epoch_can_follow_is_replaced() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    drop(PacketWriter::create(&project.0, &contract, &[]).unwrap());
    project.open("cam.packets", true).write_all_at(&u64::MAX.to_le_bytes(), 128).unwrap();
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    publish(&mut writer, true, b"x");
    let mut reader =
        PacketReader::attach(&project.0, &contract.name, &options(Start::Oldest)).unwrap();
    assert!(matches!(reader.next(NOW).unwrap(), Next::Item(_)));
}

#[test]
fn an_anchor_that_another_user_has_put_there_is_not_used() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    drop(PacketWriter::create(&project.0, &contract, &[]).unwrap());
    let path = format!("/dev/shm/fv.{}.cam.packets", project.0);
    let theirs = project.open("cam.packets", true);
    // Only root can give a file away; for others the kernel has nothing to show here.
    if chown(&path, Some(12_345), None).is_err() {
        return;
    }
    let _writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    assert_eq!(theirs.metadata().unwrap().len(), 4096);
    let named = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    assert_eq!(named, nix::unistd::geteuid().as_raw());
}

#[test]
#[should_panic(expected = "is published and must not change")]
fn a_published_slot_cannot_be_written_through_its_loan() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let (mut loan, _) = crate::frames::fill(&writer, 1, 64);
    loan.bytes_mut().fill(2);
}

#[test]
fn a_slice_kept_over_the_publication_tears_its_own_picture_and_nothing_else() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&writer, 1);
    let options = FrameOptions::named("reader");
    let mut reader = FrameReader::attach(&project.0, &contract.name, &options).unwrap();
    let before = item(reader.next(SOON).unwrap());
    let mut loan = writer.loan(before.plane(0).unwrap().linesize() * 64, 1).unwrap();
    let slot = loan.slot();
    let bytes = loan.bytes_mut();
    bytes.fill(2);
    writer.publish(slot, before.meta()).unwrap();
    let torn = item(reader.next(SOON).unwrap());
    bytes[0] = 9;
    assert_eq!((pixels(&torn)[0], pixels(&torn)[1]), (9, 2));
    assert!(pixels(&before).iter().all(|sample| *sample == 1));
}
