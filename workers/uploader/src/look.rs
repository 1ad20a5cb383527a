//! What lies in the cameras' folders and is not in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::time::MonoNs;
use recordings::{Named, Upload};
use shmring::clock;

use crate::backlog::Seen;
use crate::error::Error;

/// How often a folder that changes, or of which something waits, is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often any folder is.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// How often every file of a folder is compared with what was sent: somebody may have repaired it.
const ALL_EVERY: Duration = Duration::from_secs(3600);
/// So long unchanged by the clock of the machine, which may have been set meanwhile.
const QUIET_AFTER_NS: u64 = 15_000_000_000;
/// These a recorder may still cut, without anything else in its folder changing.
const NEWEST: usize = 4;

/// Looks again and again, and remembers what need not be looked at.
#[derive(Debug)]
pub(crate) struct Looker {
    dir: PathBuf,
    /// What all objects begin with.
    store: String,
    folders: BTreeMap<PathBuf, Folder>,
}

#[derive(Debug, Default)]
struct Folder {
    modified_ns: u64,
    looked: Option<MonoNs>,
    compared: Option<MonoNs>,
    /// Lengths of what is in the store, by numbers.
    stored: BTreeMap<u64, u64>,
}

/// What a folder holds that the store does not.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) folder: PathBuf,
    pub(crate) unsent: Vec<(u64, Seen)>,
}

impl Looker {
    pub(crate) fn new(dir: &Path, store: String) -> Self {
        Self { dir: dir.to_owned(), store, folders: BTreeMap::new() }
    }

    /// Looks into those folders where something may be new; `busy` are those of which something waits.
    pub(crate) fn look(
        &mut self,
        busy: &BTreeSet<PathBuf>,
        now: MonoNs,
    ) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        for path in cameras(&self.dir)? {
            let folder = match self.folders.get_mut(&path) {
                Some(folder) => folder,
                None => {
                    let stored = Folder::load(&path, &self.store)?;
                    self.folders.entry(path.clone()).or_insert(stored)
                }
            };
            let modified_ns = modified_ns(&path);
            if !folder.is_due(modified_ns, busy.contains(&path), now) {
                continue;
            }
            folder.modified_ns = modified_ns;
            folder.looked = Some(now);
            let unsent = folder.unsent(&path, now)?;
            found.push(Found { folder: path, unsent });
        }
        Ok(found)
    }

    /// Folders that were looked at before.
    pub(crate) fn known(&self) -> impl Iterator<Item = &PathBuf> {
        self.folders.keys()
    }

    /// It is in the store now.
    pub(crate) fn stored(&mut self, folder: &Path, number: u64, bytes: u64) {
        if let Some(folder) = self.folders.get_mut(folder) {
            folder.stored.insert(number, bytes);
        }
    }
}

impl Folder {
    fn load(path: &Path, store: &str) -> Result<Self, Error> {
        let of_store = |upload: &&Upload| upload.url.starts_with(store);
        let uploads = recordings::uploads(path)?;
        let stored = uploads.iter().filter_map(|(number, places)| {
            places.iter().find(of_store).map(|upload| (*number, upload.bytes))
        });
        Ok(Self { stored: stored.collect(), ..Self::default() })
    }

    fn is_due(&self, modified_ns: u64, busy: bool, now: MonoNs) -> bool {
        let Some(looked) = self.looked else { return true };
        let since = now.saturating_since(looked);
        since >= AT_LEAST_EVERY || (since >= EVERY && (busy || modified_ns != self.modified_ns))
    }

    fn unsent(&mut self, path: &Path, now: MonoNs) -> Result<Vec<(u64, Seen)>, Error> {
        let files = recordings::named(path).map_err(Error::io("list", path))?;
        let all = self.compared.is_none_or(|last| now.saturating_since(last) >= ALL_EVERY);
        if all {
            self.compared = Some(now);
            self.forget(path, &files)?;
        }
        let is_written = recordings::is_written(path);
        let (count, mut unsent) = (files.len(), Vec::new());
        for (at, file) in files.into_iter().enumerate() {
            let stored = self.stored.get(&file.number);
            if stored.is_some() && !all && at + NEWEST < count {
                continue;
            }
            let Some(seen) = see(&file, is_written && at + 1 == count) else { continue };
            if stored != Some(&seen.bytes) {
                unsent.push((file.number, seen));
            }
        }
        Ok(unsent)
    }

    /// What is said of files that are no more.
    fn forget(&mut self, path: &Path, files: &[Named]) -> Result<(), Error> {
        let there: BTreeSet<u64> = files.iter().map(|file| file.number).collect();
        let gone = self.stored.keys().filter(|number| !there.contains(number)).count();
        // Writing it anew for a few would be all it does.
        if gone > there.len().max(1000) {
            recordings::forget_uploads(path, |upload| there.contains(&upload.number))?;
            self.stored.retain(|number, _| there.contains(number));
        }
        Ok(())
    }
}

/// `None` when it is gone, or there is nothing in it yet.
fn see(file: &Named, live: bool) -> Option<Seen> {
    let facts = fs::metadata(&file.path).ok().filter(|facts| facts.len() > 0)?;
    let modified_ns = since_1970(facts.modified());
    let age_ns = clock::now().utc.0.saturating_sub(modified_ns);
    Some(Seen {
        path: file.path.clone(),
        capture: file.capture,
        bytes: facts.len(),
        modified_ns,
        quiet: age_ns >= QUIET_AFTER_NS,
        live,
    })
}

/// Folders of cameras; none while the recorder has made nothing.
fn cameras(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match dir.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", dir))?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// 0 when it is not there.
fn modified_ns(folder: &Path) -> u64 {
    fs::metadata(folder).map_or(0, |facts| since_1970(facts.modified()))
}

fn since_1970(time: std::io::Result<SystemTime>) -> u64 {
    let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use protocol::time::UtcNs;

    use super::*;

    const STORE: &str = "s3://cameras/";

    fn file(dir: &Path, number: u64, bytes: usize) -> PathBuf {
        let folder = dir.join("cam1");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("20261120T130900.123Z-{number:08}.mp4"));
        fs::write(&path, vec![0; bytes]).unwrap();
        path
    }

    fn numbers(found: Vec<Found>) -> Vec<u64> {
        found.into_iter().flat_map(|found| found.unsent).map(|(number, _)| number).collect()
    }

    #[test]
    fn what_is_noted_as_stored_is_not_sent_again_unless_it_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = (file(dir.path(), 1, 10), file(dir.path(), 2, 20));
        file(dir.path(), 3, 30);
        file(dir.path(), 4, 0);
        let folder = dir.path().join("cam1");
        for (number, bytes, bucket) in [(1, 10, "cameras"), (2, 20, "others")] {
            let url = format!("s3://{bucket}/cam1/x.mp4");
            let upload = Upload::new(number, bytes, "00".to_owned(), url, UtcNs(1));
            recordings::add_upload(&folder, &upload).unwrap();
        }
        let mut looker = Looker::new(dir.path(), STORE.to_owned());
        let (idle, at) = (BTreeSet::new(), |seconds: u64| MonoNs(seconds * 1_000_000_000));
        assert_eq!(numbers(looker.look(&idle, at(1)).unwrap()), [2, 3]);
        looker.stored(&folder, 2, 20);
        let busy = BTreeSet::from([folder]);
        assert_eq!(numbers(looker.look(&busy, at(3)).unwrap()), [3]);
        // A recorder cut it.
        fs::write(first, "123456789").unwrap();
        assert_eq!(numbers(looker.look(&busy, at(5)).unwrap()), [1, 3]);
    }

    #[test]
    fn a_folder_where_nothing_happens_is_looked_at_once_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), 1, 10);
        let mut looker = Looker::new(dir.path(), STORE.to_owned());
        let idle = BTreeSet::new();
        let mut looked =
            |seconds: u64| looker.look(&idle, MonoNs(seconds * 1_000_000_000)).unwrap().len();
        assert_eq!([looked(1), looked(30), looked(61), looked(62)], [1, 0, 1, 0]);
        let nowhere =
            Looker::new(&dir.path().join("away"), STORE.to_owned()).look(&idle, MonoNs(1));
        assert!(nowhere.unwrap().is_empty());
    }
}
