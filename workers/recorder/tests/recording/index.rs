//! The index of a directory that is being recorded: always of what is in the files, whatever becomes of it or
//! of the recorder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use protocol::config::Keep;
use protocol::units::Bytes;
use recorder::{Indexing, Job, Keeper};
use recordings::index::{INDEX_FILE, Index, Indexer, Notes};
use recordings::{Facts, list};
use shmring::clock;

use crate::feed::Feed;
use crate::rig::{InThread, Rig, wait_until};

fn index_file(rig: &Rig) -> PathBuf {
    rig.root().join(INDEX_FILE)
}

fn rows_in(root: &Path) -> Vec<String> {
    Index::read(root).unwrap().dump().unwrap()
}

/// What an index says that is made of the files alone.
fn rebuilt_in(root: &Path) -> Vec<String> {
    fs::remove_file(root.join(INDEX_FILE)).unwrap();
    let notes = Notes::new();
    notes.opened(&root.join("cam1"), u64::MAX);
    let mut indexer = Indexer::new(root);
    while indexer.turn(notes.take(), clock::mono()).unwrap().more {}
    rows_in(root)
}

/// The index of a stopped recorder has all that is in its files, and nothing else.
pub(crate) fn assert_is_of_the_files(root: &Path) {
    let kept = rows_in(root);
    assert_eq!(kept, rebuilt_in(root));
}

/// How many files the index knows as they are; what it says of them is what they say.
pub(crate) fn told_rightly(root: &Path) -> usize {
    // One whose recorder died in a commit cannot be read before the next one has put it right.
    let Some(index) = Index::read(root) else { return 0 };
    let entries = list(&root.join("cam1")).unwrap();
    let known = entries.iter().filter(|entry| match index.facts("cam1", entry) {
        Ok(Some(told)) => {
            assert_eq!(told, Facts::read(&entry.path).unwrap(), "{}", entry.path.display());
            true
        }
        Ok(None) | Err(_) => false,
    });
    known.count()
}

/// A recorder in this process with an index.
fn recorder(rig: &Rig) -> (InThread, Indexing) {
    with_index(rig, rig.job(rig.folder()))
}

pub(crate) fn with_index(rig: &Rig, mut job: Job) -> (InThread, Indexing) {
    let root = job.folder.parent().unwrap();
    let indexing = Indexing::begin(root, Duration::from_millis(20)).unwrap();
    job.index = indexing.notes();
    job.keeper = Arc::new(Keeper::new(&rig.keep, rig.min_free).telling(indexing.notes()));
    (InThread::start(job), indexing)
}

fn segments(rig: &Rig) -> usize {
    let told = Index::read(&rig.root()).and_then(|index| index.dump().ok()).unwrap_or_default();
    told.iter().filter(|row| row.starts_with("segments")).count()
}

#[test]
fn kills_at_any_instant_leave_an_index_of_what_is_in_the_files() {
    let mut rig = Rig::new();
    // Each group of pictures is a file, and so a note.
    rig.segment = Duration::from_secs(1);
    let mut feed = Feed::made_up(2000);
    let mut writer = rig.writer(&feed.tracks);
    // The index is written all the time: some lives end before it is opened, some in a commit.
    let mut told = 0;
    for life in 0..40 {
        let recorder = rig.process();
        feed.publish(&mut writer, 10 + life * 37 % 200, Duration::from_micros(900));
        recorder.kill();
        told += told_rightly(&rig.root());
    }
    let recorder = rig.process();
    feed.publish(&mut writer, 100, Duration::from_millis(1));
    recorder.stop();
    assert!(told > 0, "no index outlived its recorder");
    assert_eq!(told_rightly(&rig.root()), rig.recorded().files.len());
    assert_is_of_the_files(&rig.root());
}

#[test]
fn an_index_that_is_deleted_under_a_running_recorder_comes_back() {
    let mut rig = Rig::new();
    rig.segment = Duration::from_secs(1);
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let (recorder, indexing) = recorder(&rig);
    feed.publish(&mut writer, 200, Duration::ZERO);
    wait_until("files are in the index", || segments(&rig) >= 3);
    fs::remove_file(index_file(&rig)).unwrap();
    wait_until("the index is back", || segments(&rig) >= 3);
    feed.publish(&mut writer, 200, Duration::ZERO);
    recorder.wait_until("all read", |status| status.read().1 == 400);
    recorder.stop();
    indexing.end();
    assert_is_of_the_files(&rig.root());
    assert_eq!(segments(&rig), rig.recorded().files.len());
}

#[test]
fn an_index_that_cannot_be_made_is_told_and_costs_no_packet() {
    let rig = Rig::new();
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    // Nobody can make a file of that name.
    fs::create_dir_all(index_file(&rig)).unwrap();
    let (recorder, indexing) = recorder(&rig);
    let published = feed.publish(&mut writer, 200, Duration::ZERO);
    wait_until("the index is missed", || indexing.trouble().is_some());
    let why = indexing.trouble().unwrap();
    assert!(why.contains(INDEX_FILE), "{why}");
    recorder.wait_until("all read", |status| status.read().1 == 200);
    fs::remove_dir(index_file(&rig)).unwrap();
    wait_until("it is made", || indexing.trouble().is_none() && segments(&rig) > 0);
    recorder.stop();
    indexing.end();
    rig.recorded().assert_all_of(&published);
    assert_is_of_the_files(&rig.root());
}

#[test]
fn what_retention_removes_leaves_the_index() {
    let mut rig = Rig::new();
    rig.segment = Duration::from_secs(1);
    rig.keep = Keep { size: Some(Bytes(150_000)), ..Keep::default() };
    let mut feed = Feed::made_up(1000);
    let mut writer = rig.writer(&feed.tracks);
    let (recorder, indexing) = recorder(&rig);
    feed.publish(&mut writer, 800, Duration::ZERO);
    recorder.wait_until("all read", |status| status.read().1 == 800);
    recorder.stop();
    indexing.end();
    let files = rig.recorded().files.len();
    assert!((2..8).contains(&files), "{files}");
    assert_eq!(segments(&rig), files);
    assert_is_of_the_files(&rig.root());
}
