//! The power goes: what the disk holds at that instant is a whole recording up to what was synced.
//!
//! The disk is an image with ext4 in it, which lies on a second file system. That one is frozen, which
//! takes no time and stops every write to the image at once; the image is copied, and the copy mounted:
//! the journal is played back as after a real cut. So whatever the kernel still had in memory is gone, and
//! all that it had handed to the disk is there, in order. Kinder than some hardware: a disk that loses
//! what it has confirmed, or reorders what it was not asked to keep in order, is not simulated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use recorder::Disk;
use shmring::PacketWriter;

use crate::disks::{Frozen, Mount};
use crate::feed::Feed;
use crate::index::{assert_is_of_the_files, told_rightly, with_index};
use crate::rig::{InThread, Recorded, Rig, here, wait_until};

/// How many, when nobody asks for more.
const CUTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(8);
/// Of a fragment, and of the two seconds between syncs, at one packet each [`PAUSE`].
const FRAGMENT_PACKETS: u64 = 25;
const SYNC_PACKETS: u64 = 250;

/// Publishes in a thread until it is told to stop.
struct Stream {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    thread: JoinHandle<PacketWriter>,
}

impl Stream {
    fn begin(mut feed: Feed, mut writer: PacketWriter) -> Self {
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                feed.publish(&mut writer, 1, PAUSE);
                counted.fetch_add(1, Ordering::Release);
            }
            writer
        });
        Self { stop, count, thread }
    }

    /// The sequence of the last packet.
    fn published(&self) -> u64 {
        self.count.load(Ordering::Acquire) as u64
    }

    fn end(self) -> PacketWriter {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// The disk as it was when the power went.
struct Cut {
    image: PathBuf,
    /// What the recorder had said by then to be safe.
    safe: u64,
    published: u64,
}

fn cut(outer: &Path, disk: &Path, to: PathBuf, recorder: &InThread, stream: &Stream) -> Cut {
    let safe = recorder.job.status.safe().map_or(0, |(_, sequence)| sequence);
    let published = stream.published();
    let frozen = Frozen::new(outer).unwrap();
    fs::copy(disk, &to).unwrap();
    drop(frozen);
    Cut { image: to, safe, published }
}

/// A recorder that is started on the copy goes on at once: with what the ring still holds of what was lost
/// there is no hole and nothing twice.
fn goes_on(rig: &Rig, cut: &Cut, stream: &Stream) {
    let at = rig.dir.path().join("after");
    let folder = at.join("cam1");
    let mounted = Mount::image(&cut.image, &at).unwrap();
    let mut job = rig.job(folder.clone());
    job.disk = Arc::new(Disk::any(&at));
    let (recorder, indexing) = with_index(rig, job);
    let goal = stream.published() + 20;
    recorder.wait_until("recording again", |status| status.read().1 >= goal);
    recorder.stop();
    indexing.end();
    let recorded = Recorded::read(&folder);
    let ids: Vec<u64> = recorded.ids().iter().map(|(_, sequence)| *sequence).collect();
    let (first, end) = (ids[0], ids[ids.len() - 1]);
    assert!(ids.iter().copied().eq(first..=end) && first == 1 && end >= goal, "{ids:?}");
    assert_is_of_the_files(&at);
    drop(mounted);
    let checked = Command::new("e2fsck").args(["-f", "-n"]).arg(&cut.image).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

/// How far the files of a copy come, read as they are: nobody has repaired anything.
fn durable(rig: &Rig, cut: &Cut) -> u64 {
    let at = rig.dir.path().join("after");
    let _mounted = Mount::image(&cut.image, &at).unwrap();
    let ids: Vec<u64> = match at.join("cam1").exists() {
        true => Recorded::whole_of(&at.join("cam1")),
        false => Vec::new(),
    };
    let known = told_rightly(&at);
    println!("files_known_by_the_index={known}");
    let unbroken = ids.iter().zip(1..).take_while(|(id, expected)| *id == expected).count() as u64;
    assert!(unbroken >= cut.safe, "{} was safe, but only {unbroken} is there: {ids:?}", cut.safe);
    unbroken
}

#[test]
fn a_power_cut_costs_at_most_a_fragment_and_two_seconds_and_harms_nothing_older() {
    let cuts = std::env::var("FRAMEVISOR_POWER_CUTS").ok().and_then(|cuts| cuts.parse().ok());
    let cuts = cuts.unwrap_or(CUTS);
    let mut rig = Rig::new();
    rig.segment = Duration::from_secs(4);
    let (outer, after) = (rig.dir.path().join("outer"), rig.dir.path().join("after"));
    fs::create_dir(&outer).unwrap();
    fs::create_dir(&after).unwrap();
    let image = rig.dir.path().join("outer.img");
    let Some(_outer) = here(Mount::ext4(&image, 128, &outer)) else { return };
    let disk = outer.join("disk.img");
    let Some(_disk) = here(Mount::ext4(&disk, 64, &rig.root())) else { return };
    let feed = Feed::made_up(1000);
    let writer = rig.writer(&feed.tracks);
    let (recorder, indexing) = with_index(&rig, rig.job(rig.folder()));
    let stream = Stream::begin(feed, writer);
    wait_until("recording", || recorder.job.status.safe().is_some());
    let mut worst = 0;
    for number in 0..cuts {
        // Anywhere within the sync period; 257 ms and 2 s have no common beat.
        let rest = Duration::from_millis(257 * (number as u64 % 7) + 130);
        thread::sleep(rest);
        let copy = rig.dir.path().join("copy.img");
        let cut = cut(&outer, &disk, copy, &recorder, &stream);
        let lost = cut.published.saturating_sub(durable(&rig, &cut));
        worst = worst.max(lost);
        goes_on(&rig, &cut, &stream);
    }
    drop(stream.end());
    recorder.stop();
    indexing.end();
    assert_is_of_the_files(&rig.root());
    let allowed = FRAGMENT_PACKETS + SYNC_PACKETS;
    println!("power_cuts={cuts} worst_lost_packets={worst} allowed_packets={allowed}");
    // Beside the sync period, the time that a sync itself takes on a busy machine.
    assert!(worst <= allowed + SYNC_PACKETS, "{worst} packets lost, expected {allowed} at most");
}
