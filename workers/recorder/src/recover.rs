//! What an earlier life left: torn ends are cut, doubled groups are settled, and the last recorded
//! packet is found. Runs at every begin, also after a disk that was full.
//!
//! A death tears the end of a file, and nothing behind what it tears is a recording. Where more recordings
//! stand behind, a disk has failed, or somebody has changed the file: that one is left as it lies, and
//! recording goes on in a new one. `framevisor recordings` tells of it, and a person may know better.
//!
//! A death while a group of pictures was recorded again leaves it in two files. The ids in the files
//! decide: when the newer file has come as far as the older, the older is cut where the newer
//! begins; else the newer one goes, and the group is recorded again once more.

use std::fs::{File, OpenOptions};
use std::io;

use fmp4::{FoundFragment, Scan, holds_more, is_intact, scan};
use protocol::name::RingName;
use recordings::is_pinned;

use crate::error::Error;
use crate::folder::{Folder, GroupAt, Recording};
use crate::join::Tail;
use crate::packet_id::PacketId;
use crate::writer::Joint;

/// A power cut can damage what was not yet synced: two seconds and a fragment. Checksums are
/// compared over several times that before the file's end.
const CHECKED_NS: u64 = 10_000_000_000;

/// Where recording goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) tail: Tail,
    /// How to cut the last group off when it is recorded again; there when the tail has a group.
    pub(crate) joint: Option<Joint>,
}

/// A recording with at least one whole fragment.
struct Found {
    recording: Recording,
    /// What is whole.
    scan: Scan,
    /// There is more behind that, which is nobody's to cut.
    is_damaged: bool,
}

/// Settles the folder. `None` when it holds nothing of this ring.
pub(crate) fn recover(folder: &Folder, ring: &RingName) -> Result<Option<Recovered>, Error> {
    let mut recordings = folder.recordings()?;
    let Some(newest) = next_whole(folder, &mut recordings)? else {
        return Ok(None);
    };
    let newest = match next_whole(folder, &mut recordings)? {
        None => newest,
        Some(previous) => match settle(&newest, &previous) {
            Settlement::Apart => newest,
            Settlement::CutPrevious => {
                cut_from(folder, &previous, newest.first())?;
                newest
            }
            Settlement::DropNewest => {
                tracing::debug!(file = %newest.recording.path.display(), "unfinished repetition dropped");
                folder.remove(&newest.recording.path)?;
                previous
            }
        },
    };
    Ok(newest.recovered(ring))
}

/// The newest recording left in the list that holds something; torn ends are cut on the way.
fn next_whole(folder: &Folder, recordings: &mut Vec<Recording>) -> Result<Option<Found>, Error> {
    while let Some(recording) = recordings.pop() {
        let found = whole_part(recording)?;
        if !found.scan.fragments.is_empty() {
            return Ok(Some(found));
        }
        let path = &found.recording.path;
        if found.is_damaged || is_pinned(path) {
            tracing::error!(file = %path.display(), "nothing of a recording can be read; it stays");
            continue;
        }
        tracing::debug!(file = %path.display(), "recording without a whole fragment removed");
        folder.remove(path)?;
    }
    Ok(None)
}

/// Scans a file, cuts off what is torn or was not yet on the disk, and makes the rest durable.
fn whole_part(recording: Recording) -> Result<Found, Error> {
    let path = recording.path.clone();
    let failed = |doing| Error::io(doing, &path);
    let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed("open"))?;
    let mut scan = scan(&mut file).map_err(failed("read"))?;
    if let Some(damage) = scan.damage
        && holds_more(&mut file, scan.whole_bytes).map_err(failed("read"))?
    {
        tracing::error!(file = %path.display(), %damage, "a recording is damaged in the middle; it stays as it is");
        return Ok(Found { recording, scan, is_damaged: true });
    }
    drop_damaged(&mut scan, &mut file).map_err(failed("read"))?;
    let bytes = file.metadata().map_err(failed("read"))?.len();
    if scan.whole_bytes < bytes {
        let torn_bytes = bytes - scan.whole_bytes;
        tracing::info!(file = %path.display(), torn_bytes, "torn end cut off");
        file.set_len(scan.whole_bytes).map_err(failed("cut"))?;
    }
    // A recorder that was killed may not have synced its last; nobody else will.
    file.sync_data().map_err(failed("sync"))?;
    Ok(Found { recording, scan, is_damaged: false })
}

fn drop_damaged(found: &mut Scan, file: &mut File) -> io::Result<()> {
    let Some(end) = found.fragments.last().map(|fragment| fragment.origin.capture.0) else {
        return Ok(());
    };
    let recent =
        |fragment: &FoundFragment| fragment.origin.capture.0.saturating_add(CHECKED_NS) >= end;
    let from = found.fragments.iter().position(recent).unwrap_or(0);
    for at in from..found.fragments.len() {
        if !is_intact(file, &found.fragments[at])? {
            found.whole_bytes = found.fragments[at].at_bytes;
            found.fragments.truncate(at);
            break;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settlement {
    Apart,
    CutPrevious,
    DropNewest,
}

fn settle(newest: &Found, previous: &Found) -> Settlement {
    let same_ring = newest.ring() == previous.ring();
    let same_epoch = newest.first().epoch == previous.last().epoch;
    let is_damaged = newest.is_damaged || previous.is_damaged;
    if is_damaged || !same_ring || !same_epoch || newest.first() > previous.last() {
        Settlement::Apart
    } else if newest.last() >= previous.last() {
        Settlement::CutPrevious
    } else {
        Settlement::DropNewest
    }
}

/// Cuts a file in front of the fragment that begins with `first`.
fn cut_from(folder: &Folder, found: &Found, first: PacketId) -> Result<(), Error> {
    let begins_there = |fragment: &&FoundFragment| fragment.origin.first >= first.sequence;
    let Some(fragment) = found.scan.fragments.iter().find(begins_there) else {
        return Ok(());
    };
    let group = found.group_at(fragment);
    tracing::debug!(file = %group.path.display(), %first, "repeated group cut off");
    folder.cut(&group)
}

impl Found {
    fn ring(&self) -> &RingName {
        &self.end().origin.ring
    }

    /// Never empty: see [`next_whole`].
    fn end(&self) -> &FoundFragment {
        &self.scan.fragments[self.scan.fragments.len() - 1]
    }

    fn first(&self) -> PacketId {
        begin_of(&self.scan.fragments[0])
    }

    fn last(&self) -> PacketId {
        let origin = &self.end().origin;
        PacketId { epoch: origin.epoch, sequence: origin.last() }
    }

    fn group_at(&self, fragment: &FoundFragment) -> GroupAt {
        GroupAt {
            path: self.recording.path.clone(),
            at_bytes: fragment.at_bytes,
            is_all: fragment.at_bytes == self.scan.init_bytes,
        }
    }

    fn recovered(&self, ring: &RingName) -> Option<Recovered> {
        if self.ring() != ring {
            return None;
        }
        let last = self.last();
        let begins_group = |fragment: &&FoundFragment| fragment.begins_with_key(&self.scan.tracks);
        let has_video = self.scan.tracks.iter().any(|track| track.video);
        let fragments = self.scan.fragments.iter();
        // What stands behind the damage would go with a group that is cut.
        let may_be_cut = has_video && !self.is_damaged;
        let group = fragments.rev().find(begins_group).filter(|_| may_be_cut);
        let joint = group.map(|group| Joint { group: self.group_at(group), until: last });
        Some(Recovered { tail: Tail { last, group: group.map(begin_of) }, joint })
    }
}

fn begin_of(fragment: &FoundFragment) -> PacketId {
    PacketId { epoch: fragment.origin.epoch, sequence: fragment.origin.first }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::{Path, PathBuf};

    use fmp4::{Fragment, Movie, Muxer, OriginFlags, Sample};
    use protocol::stream::{Codec, Track};
    use protocol::time::{TimeBase, UtcNs};

    use super::*;

    const SETS: &[u8] = &[
        0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68,
        0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    ];

    fn ring() -> RingName {
        "cam1.packets".parse().unwrap()
    }

    /// A recording of fragments of five pictures; each second one begins with a key frame.
    fn record(folder: &mut Folder, firsts: &[u64]) -> PathBuf {
        let (path, mut file) = folder.create(UtcNs(0)).unwrap();
        let track = Track {
            codec: Codec::H264,
            time_base: TimeBase::VIDEO_90K,
            width: 640,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: SETS.to_vec(),
        };
        let mut muxer = None;
        for &first in firsts {
            let fragment = fragment(first);
            if muxer.is_none() {
                let begun = Muxer::new(Movie::new(std::slice::from_ref(&track)).0, &fragment);
                file.write_all(&begun.init_segment().unwrap()).unwrap();
                muxer = Some(begun);
            }
            let bytes = muxer.as_mut().unwrap().write(&fragment, None).unwrap();
            file.write_all(&bytes).unwrap();
        }
        path
    }

    fn fragment(first: u64) -> Fragment {
        let capture = UtcNs(first * 40_000_000);
        let mut fragment = Fragment::new(&ring(), 7, first, capture, OriginFlags::default());
        for sequence in first..first + 5 {
            let time_ns = i64::try_from(sequence).unwrap() * 40_000_000;
            fragment.push(Sample {
                key: sequence % 10 == 1,
                pts_ns: time_ns,
                dts_ns: time_ns,
                payload: vec![0, 0, 0, 1, 0x41, 7],
                ..Sample::default()
            });
        }
        fragment
    }

    fn last_in(path: &Path) -> u64 {
        let found = scan(&mut File::open(path).unwrap()).unwrap();
        assert_eq!(found.damage, None);
        found.fragments.last().unwrap().origin.last()
    }

    fn id(sequence: u64) -> PacketId {
        PacketId { epoch: 7, sequence }
    }

    #[test]
    fn an_empty_folder_has_no_tail() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(recover(&folder, &ring()).unwrap(), None);
    }

    #[test]
    fn a_torn_fragment_is_cut_off_and_the_last_group_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let path = record(&mut folder, &[1, 6, 11, 16]);
        let bytes = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes - 3).unwrap();
        let recovered = recover(&folder, &ring()).unwrap().unwrap();
        assert_eq!(recovered.tail, Tail { last: id(15), group: Some(id(11)) });
        let group = recovered.joint.unwrap().group;
        assert!(!group.is_all);
        folder.cut(&group).unwrap();
        assert_eq!(last_in(&path), 10);
    }

    #[test]
    fn a_file_without_a_whole_fragment_goes_and_the_one_before_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        record(&mut folder, &[1, 6]);
        let (empty, mut file) = folder.create(UtcNs(0)).unwrap();
        file.write_all(b"\0\0\0\x18ftypiso6").unwrap();
        let recovered = recover(&folder, &ring()).unwrap().unwrap();
        assert_eq!(recovered.tail.last, id(10));
        assert!(!empty.exists());
    }

    #[test]
    fn damage_near_the_end_is_found_by_its_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let path = record(&mut folder, &[1, 6, 11]);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(recover(&folder, &ring()).unwrap().unwrap().tail.last, id(10));
        assert_eq!(last_in(&path), 10);
    }

    #[test]
    fn a_file_that_is_damaged_in_the_middle_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let path = record(&mut folder, &[1, 6, 11, 16]);
        let mut bytes = std::fs::read(&path).unwrap();
        let third = scan(&mut File::open(&path).unwrap()).unwrap().fragments[2].at_bytes;
        bytes[usize::try_from(third).unwrap() + 5] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let recovered = recover(&folder, &ring()).unwrap().unwrap();
        assert_eq!(recovered.tail, Tail { last: id(10), group: None });
        assert_eq!((recovered.joint, std::fs::read(&path).unwrap()), (None, bytes.clone()));
        // Whatever the next one repeats.
        record(&mut folder, &[6]);
        assert_eq!(recover(&folder, &ring()).unwrap().unwrap().tail.last, id(10));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn files_of_which_nothing_can_be_read_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        record(&mut folder, &[1, 6]);
        // One whose beginning is damaged, and one of a version to come.
        let damaged = record(&mut folder, &[11, 16]);
        let of_later = record(&mut folder, &[21, 26]);
        for (path, at) in [(&damaged, 5), (&of_later, version_at(&of_later))] {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[at] += 1;
            std::fs::write(path, bytes).unwrap();
        }
        assert_eq!(recover(&folder, &ring()).unwrap().unwrap().tail.last, id(10));
        assert!(damaged.exists() && of_later.exists());
    }

    /// Where the first fragment tells the version of its box.
    fn version_at(path: &Path) -> usize {
        let found = scan(&mut File::open(path).unwrap()).unwrap();
        usize::try_from(found.init_bytes).unwrap() + 24
    }

    #[test]
    fn a_pinned_file_stays_whatever_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let (empty, _) = folder.create(UtcNs(0)).unwrap();
        recordings::pin(&empty, "storm").unwrap();
        assert_eq!(recover(&folder, &ring()).unwrap(), None);
        assert!(empty.exists());
    }

    #[test]
    fn a_repetition_that_came_far_enough_replaces_the_old_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let old = record(&mut folder, &[1, 6, 11, 16]);
        record(&mut folder, &[11, 16, 21]);
        assert_eq!(recover(&folder, &ring()).unwrap().unwrap().tail.last, id(25));
        assert_eq!(last_in(&old), 10);
    }

    #[test]
    fn a_repetition_of_all_of_a_file_replaces_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let old = record(&mut folder, &[11, 16]);
        record(&mut folder, &[11, 16]);
        assert_eq!(recover(&folder, &ring()).unwrap().unwrap().tail.last, id(20));
        assert!(!old.exists());
    }

    #[test]
    fn a_repetition_that_was_cut_short_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let old = record(&mut folder, &[1, 6, 11, 16]);
        let short = record(&mut folder, &[11]);
        assert_eq!(recover(&folder, &ring()).unwrap().unwrap().tail.last, id(20));
        assert!(!short.exists());
        assert_eq!(last_in(&old), 20);
    }

    #[test]
    fn files_of_another_ring_are_no_tail_of_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        record(&mut folder, &[1]);
        let other = "cam2.packets".parse().unwrap();
        assert_eq!(recover(&folder, &other).unwrap(), None);
    }
}
