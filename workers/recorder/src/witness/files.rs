//! What recorded files hold, by the scanner alone. What cannot be read holds nothing.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use protocol::name::RingName;

use super::Id;

/// Of all folders together: the packets of `ring` in files that were written since then.
pub(super) fn recorded(ring: &RingName, folders: &[PathBuf], since: SystemTime) -> HashSet<Id> {
    let files = folders.iter().flat_map(|folder| written_since(folder, since));
    let mut found = HashSet::new();
    for path in files {
        // One that is being removed, or is torn, is told by what is missing then.
        let Ok(scan) = File::open(&path).and_then(|mut file| fmp4::scan(&mut file)) else {
            continue;
        };
        let origins = scan.fragments.iter().map(|fragment| &fragment.origin);
        for origin in origins.filter(|origin| origin.ring == *ring) {
            found.extend(origin.recorded().map(|sequence| (origin.epoch, sequence)));
        }
    }
    found
}

fn written_since(folder: &Path, since: SystemTime) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_new = |path: &PathBuf| {
        let changed = path.metadata().and_then(|facts| facts.modified());
        path.extension().is_some_and(|ending| ending == "mp4")
            && changed.is_ok_and(|time| time >= since)
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_new).collect()
}
