//! What dead writers left, and who may remove it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use protocol::control::RingContract;
use protocol::stream::PixelFormat;
use shmring::leftovers::{self, State};
use shmring::{FrameWriter, PacketMeta, PacketWriter, census, layout};

use crate::{Project, SOON, frames};

fn written(project: &Project) -> (RingContract, PacketWriter) {
    let contract = project.contract("cam.packets", 2);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    writer.publish(&PacketMeta::default(), b"x").unwrap();
    (contract, writer)
}

/// A child that another test has just forked shares our locks until it has become its program.
fn settle(project: &Project) {
    let until = shmring::clock::mono() + SOON;
    let dead = || leftovers::of(&project.0).iter().all(|left| left.state == State::Dead);
    while !dead() && shmring::clock::mono() < until {
        std::thread::yield_now();
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/dev/shm").join(name)
}

#[test]
fn a_living_writer_is_named_and_its_ring_is_left_alone() {
    let project = Project::new();
    let (contract, mut writer) = written(&project);
    let left = leftovers::remove(&project.0, &contract.name);
    assert_eq!(left.state, State::Live { pid: Some(std::process::id()) });
    assert_eq!(left.files, project.files());
    writer.publish(&PacketMeta::default(), b"y").unwrap();
    assert_eq!(census::rings(&project.0)[0].head, 2);
}

#[test]
fn a_dead_writers_ring_goes_whole_and_says_its_size() {
    let project = Project::new();
    let (contract, writer) = written(&project);
    let other = project.contract("cam.frames", 1);
    let living = FrameWriter::create(&project.0, &other, None).unwrap();
    drop(writer);
    let gone = || leftovers::remove(&project.0, &contract.name);
    let mut removed = gone();
    while removed.state != State::Dead {
        std::thread::yield_now();
        removed = gone();
    }
    assert!(removed.bytes > 1 << 20 && removed.files.len() >= 5, "{removed:?}");
    assert!(project.files().iter().all(|file| file.contains("cam.frames")));
    drop(living);
}

#[test]
fn only_looking_changes_nothing() {
    let project = Project::new();
    let (_, writer) = written(&project);
    drop(writer);
    settle(&project);
    let files = project.files();
    let found = leftovers::of(&project.0);
    assert_eq!((found.len(), &found[0].state), (1, &State::Dead));
    assert_eq!((found[0].files.clone(), project.files()), (files.clone(), files));
}

#[test]
fn a_ring_of_another_layout_and_a_strange_file_are_named_and_kept() {
    let project = Project::new();
    let (contract, writer) = written(&project);
    drop(writer);
    settle(&project);
    let anchor = format!("fv.{}.cam.packets", project.0);
    let file = OpenOptions::new().write(true).open(path(&anchor)).unwrap();
    let at = u64::try_from(layout::anchor::AT_MAJOR).unwrap();
    file.write_all_at(&7u32.to_le_bytes(), at).unwrap();
    let strange = format!("fv.{}.notes.txt", project.0);
    fs::write(path(&strange), b"mine").unwrap();
    let before = project.files();
    let kept = leftovers::remove(&project.0, &contract.name).state;
    let found = leftovers::of(&project.0);
    let after = project.files();
    file.write_all_at(&layout::MAJOR.to_le_bytes(), at).unwrap();
    fs::remove_file(path(&strange)).unwrap();
    assert_eq!(kept, State::Layout { major: 7, minor: layout::MINOR });
    assert_eq!((found[1].ring.clone(), &found[1].state), (None, &State::Stray));
    assert_eq!(found[1].files, [strange]);
    assert_eq!(before, after);
}

#[test]
fn a_ring_tells_its_content_to_who_only_looks() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let source = "cam.packets".parse().unwrap();
    let writer = FrameWriter::create(&project.0, &contract, Some(&source)).unwrap();
    let content = || census::content(&project.0, &contract.name);
    assert_eq!((content().source, content().format), (Some(source), None));
    frames::send(&writer, 7);
    assert_eq!(content().format, Some(PixelFormat::Gray8));
    assert!(shmring::project::all().contains(&project.0));
    drop(writer);
    settle(&project);
    leftovers::remove(&project.0, &contract.name);
    assert_eq!(content(), census::Content::default());
}
