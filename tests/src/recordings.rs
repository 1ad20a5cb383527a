//! What is in the recorded files, read by the fMP4 scanner alone.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::witness::Published;
use crate::{Failure, Outcome};

/// The files of one camera, oldest first.
pub fn files(recordings: &Path, camera: &str) -> Outcome<Vec<PathBuf>> {
    let folder = recordings.join(camera);
    let entries =
        fs::read_dir(&folder).map_err(|error| Failure(format!("{}: {error}", folder.display())))?;
    let is_mp4 = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "mp4");
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_mp4).collect();
    files.sort();
    Ok(files)
}

/// (epoch, sequence) of every packet in a camera's files. One that is there twice is a failure.
pub fn packets(recordings: &Path, camera: &str) -> Outcome<BTreeSet<(u64, u64)>> {
    let mut packets = BTreeSet::new();
    for path in files(recordings, camera)? {
        let mut file = File::open(&path).map_err(Failure::new)?;
        let scan = fmp4::scan(&mut file).map_err(Failure::new)?;
        for fragment in &scan.fragments {
            for sequence in fragment.origin.recorded() {
                if !packets.insert((fragment.origin.epoch, sequence)) {
                    return Err(Failure(format!(
                        "{}: packet {sequence} was recorded twice",
                        path.display()
                    )));
                }
            }
        }
    }
    Ok(packets)
}

/// The epochs in a camera's files in their order, each with the word of its first fragment whether it
/// continues what stands before it.
pub fn epochs(recordings: &Path, camera: &str) -> Outcome<Vec<(u64, bool)>> {
    let mut epochs: Vec<(u64, bool)> = Vec::new();
    for path in files(recordings, camera)? {
        let mut file = File::open(&path).map_err(Failure::new)?;
        for fragment in fmp4::scan(&mut file).map_err(Failure::new)?.fragments {
            let origin = &fragment.origin;
            if epochs.last().is_none_or(|(epoch, _)| *epoch != origin.epoch) {
                epochs.push((origin.epoch, origin.flags.discontinuity));
            }
        }
    }
    Ok(epochs)
}

/// Published packets against recorded ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub captured: u64,
    pub recorded: u64,
    pub lost: u64,
}

/// Compares what a witness saw with what the files hold.
pub fn balance(recordings: &Path, published: &Published) -> Outcome<Balance> {
    let mut sum = Balance::default();
    for (ring, captured) in published.packets()? {
        // The folder of a camera that never gave anything need not be there.
        let recorded = match captured.is_empty() {
            true => BTreeSet::new(),
            false => packets(recordings, ring.camera())?,
        };
        let found = captured.iter().filter(|packet| recorded.contains(packet)).count() as u64;
        sum.captured += captured.len() as u64;
        sum.recorded += found;
        sum.lost += captured.len() as u64 - found;
    }
    Ok(sum)
}
