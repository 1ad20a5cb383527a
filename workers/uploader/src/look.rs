//! What lies in the cameras' folders and is not in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::config::UploaderConfig;
use protocol::config::uploader::DeleteAfter;
use protocol::time::MonoNs;
use recordings::{Named, Upload};
use shmring::clock;

use crate::backlog::{LEFT_AFTER, Seen};
use crate::error::Error;

/// How often a folder that changes, or of which something waits, is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often any folder is.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// How often every file of a folder is compared with what was sent: somebody may have repaired it.
const ALL_EVERY: Duration = Duration::from_secs(3600);
/// So long unchanged by the clock of the machine, which may have been set meanwhile.
const QUIET_AFTER: Duration = Duration::from_secs(15);
/// These a recorder may still cut, without anything else in its folder changing.
const NEWEST: usize = 4;
/// These are never removed: a recorder may have to join on to the second newest.
const STAY: usize = 2;

/// Looks again and again, and remembers what need not be looked at.
#[derive(Debug)]
pub(crate) struct Looker {
    dir: PathBuf,
    store: Place,
    /// What is in the store is wanted there alone.
    removes: bool,
    folders: BTreeMap<PathBuf, Folder>,
}

/// Where objects go.
#[derive(Debug)]
struct Place {
    /// What all URLs begin with.
    url: String,
    endpoint: Option<String>,
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
    /// What may go since the store has it.
    pub(crate) stored: Vec<PathBuf>,
}

impl Looker {
    pub(crate) fn new(config: &UploaderConfig) -> Self {
        let endpoint = config.endpoint.as_ref().map(ToString::to_string);
        let store = Place { url: format!("{}/", config.to), endpoint };
        let removes = config.delete_after == DeleteAfter::Uploaded;
        Self { dir: config.dir.clone(), store, removes, folders: BTreeMap::new() }
    }

    /// Looks into those folders where something may be new; `busy` are those of which something waits. One that cannot
    /// be read holds up no other: the first error comes beside what was found.
    pub(crate) fn look(
        &mut self,
        busy: &BTreeSet<PathBuf>,
        now: MonoNs,
    ) -> (Vec<Found>, Option<Error>) {
        let cameras = match cameras(&self.dir) {
            Ok(cameras) => cameras,
            Err(error) => return (Vec::new(), Some(error)),
        };
        let (mut found, mut failed) = (Vec::new(), None);
        for path in cameras {
            let is_busy = busy.contains(&path);
            match self.look_into(path, is_busy, now) {
                Ok(new) => found.extend(new),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        (found, failed)
    }

    /// `None` when nothing can be new.
    fn look_into(
        &mut self,
        path: PathBuf,
        busy: bool,
        now: MonoNs,
    ) -> Result<Option<Found>, Error> {
        let folder = match self.folders.get_mut(&path) {
            Some(folder) => folder,
            None => {
                let stored = Folder::load(&path, &self.store)?;
                self.folders.entry(path.clone()).or_insert(stored)
            }
        };
        let modified_ns = modified_ns(&path);
        if !folder.is_due(modified_ns, busy, now) {
            return Ok(None);
        }
        let found = folder.found(path, self.removes, now)?;
        folder.modified_ns = modified_ns;
        folder.looked = Some(now);
        Ok(Some(found))
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
    fn load(path: &Path, store: &Place) -> Result<Self, Error> {
        let of_store = |upload: &&Upload| store.holds(upload);
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

    fn found(&mut self, path: PathBuf, removes: bool, now: MonoNs) -> Result<Found, Error> {
        let files = recordings::named(&path).map_err(Error::io("list", &path))?;
        let all = self.compared.is_none_or(|last| now.saturating_since(last) >= ALL_EVERY);
        if all {
            self.forget(&path, &files)?;
            self.compared = Some(now);
        }
        let is_written = recordings::is_written(&path);
        let (count, mut unsent, mut may_go) = (files.len(), Vec::new(), Vec::new());
        for (at, file) in files.into_iter().enumerate() {
            let stored = self.stored.get(&file.number);
            if removes && at + STAY < count && stored.is_some() && stored == length(&file).as_ref()
            {
                may_go.push(file.path);
                continue;
            }
            if stored.is_some() && !all && at + NEWEST < count {
                continue;
            }
            let hands =
                Hands { is_written, is_newest: at + 1 == count, may_join: at + STAY >= count };
            let Some(seen) = see(&file, hands) else { continue };
            if stored != Some(&seen.bytes) {
                unsent.push((file.number, seen));
            }
        }
        Ok(Found { folder: path, unsent, stored: may_go })
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

impl Place {
    /// What lies deeper is of another prefix.
    fn holds(&self, upload: &Upload) -> bool {
        let rest = upload.url.strip_prefix(&self.url);
        let is_below = rest.is_some_and(|rest| rest.matches('/').count() == 1);
        is_below && upload.endpoint == self.endpoint
    }
}

/// `None` when it is gone.
fn length(file: &Named) -> Option<u64> {
    fs::metadata(&file.path).ok().map(|facts| facts.len())
}

/// What a recorder may have to do with a file.
#[derive(Clone, Copy)]
struct Hands {
    /// It is there.
    is_written: bool,
    is_newest: bool,
    /// It, or one that comes later, may join on to the file.
    may_join: bool,
}

/// `None` when it is gone, or there is nothing in it yet.
fn see(file: &Named, hands: Hands) -> Option<Seen> {
    let Hands { is_written, is_newest, may_join } = hands;
    let facts = fs::metadata(&file.path).ok().filter(|facts| facts.len() > 0)?;
    let modified_ns = since_1970(facts.modified());
    let age = Duration::from_nanos(clock::now().utc.0.saturating_sub(modified_ns));
    Some(Seen {
        path: file.path.clone(),
        capture: file.capture,
        bytes: facts.len(),
        modified_ns,
        quiet: age >= if may_join { LEFT_AFTER } else { QUIET_AFTER },
        live: is_written && is_newest,
        left: may_join && !is_written,
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
        let (name, path) = (entry.file_name(), entry.path());
        let is_other = name == "lost+found" || name.to_string_lossy().starts_with('.');
        // A camera's folder may lie on another disk, by a link.
        if !is_other && path.is_dir() {
            found.push(path);
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

    fn looker(dir: &Path) -> Looker {
        let config = UploaderConfig::of(dir.to_owned(), "s3://cameras".parse().unwrap());
        Looker::new(&config)
    }

    /// All that was found; nothing was unreadable.
    fn all((found, unread): (Vec<Found>, Option<Error>)) -> Vec<Found> {
        assert!(unread.is_none(), "{unread:?}");
        found
    }

    fn note(folder: &Path, number: u64, bytes: u64, url: &str, endpoint: Option<&str>) {
        let upload = Upload::new(number, bytes, "00".to_owned(), url.to_owned(), UtcNs(1));
        let upload = upload.at(endpoint.map(str::to_owned));
        recordings::add_upload(folder, &upload).unwrap();
    }

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
            note(&folder, number, bytes, &url, None);
        }
        let mut looker = looker(dir.path());
        let (idle, at) = (BTreeSet::new(), |seconds: u64| MonoNs(seconds * 1_000_000_000));
        assert_eq!(numbers(all(looker.look(&idle, at(1)))), [2, 3]);
        looker.stored(&folder, 2, 20);
        let busy = BTreeSet::from([folder]);
        assert_eq!(numbers(all(looker.look(&busy, at(3)))), [3]);
        // A recorder cut it.
        fs::write(first, "123456789").unwrap();
        assert_eq!(numbers(all(looker.look(&busy, at(5)))), [1, 3]);
    }

    #[test]
    fn a_folder_where_nothing_happens_is_looked_at_once_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), 1, 10);
        let mut away = looker(&dir.path().join("away"));
        let mut looker = looker(dir.path());
        let idle = BTreeSet::new();
        let mut looked =
            |seconds: u64| all(looker.look(&idle, MonoNs(seconds * 1_000_000_000))).len();
        assert_eq!([looked(1), looked(30), looked(61), looked(62)], [1, 0, 1, 0]);
        assert!(all(away.look(&idle, MonoNs(1))).is_empty());
    }

    #[test]
    fn a_store_of_another_endpoint_or_prefix_is_another_store() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cam1");
        (1..=3).for_each(|number| drop(file(dir.path(), number, 10)));
        note(&folder, 1, 10, "s3://cameras/cam1/x.mp4", None);
        note(&folder, 2, 10, "s3://cameras/site1/cam1/x.mp4", None);
        note(&folder, 3, 10, "s3://cameras/cam1/x.mp4", Some("http://10.0.0.9:9000"));
        let found = looker(dir.path()).look(&BTreeSet::new(), MonoNs(1));
        assert_eq!(numbers(all(found)), [2, 3]);
    }

    #[test]
    fn what_the_store_has_may_go_but_for_the_two_newest_and_what_was_changed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cam1");
        let paths: Vec<PathBuf> = (1..=5).map(|number| file(dir.path(), number, 10)).collect();
        for (number, bytes) in [(1, 10), (2, 9), (4, 10), (5, 10)] {
            note(&folder, number, bytes, "s3://cameras/cam1/x.mp4", None);
        }
        let look = |delete_after| {
            let to = "s3://cameras".parse().unwrap();
            let config = UploaderConfig::of(dir.path().to_owned(), to);
            let config = UploaderConfig { delete_after, ..config };
            let mut found = all(Looker::new(&config).look(&BTreeSet::new(), MonoNs(1)));
            found.remove(0).stored
        };
        assert_eq!(look(DeleteAfter::Uploaded), paths[..1]);
        assert!(look(DeleteAfter::Never).is_empty());
    }

    #[test]
    fn without_a_recorder_the_two_newest_may_be_joined_on_to_unless_they_are_old() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (1..=3).map(|number| file(dir.path(), number, 10)).collect();
        let age = |path: &Path, seconds| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(clock::now().utc.0);
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(at - Duration::from_secs(seconds)).unwrap();
        };
        age(&paths[0], 60);
        age(&paths[1], 60);
        age(&paths[2], 3600);
        let found = all(looker(dir.path()).look(&BTreeSet::new(), MonoNs(1))).remove(0).unsent;
        let told: Vec<(bool, bool)> = found.iter().map(|(_, it)| (it.left, it.quiet)).collect();
        assert_eq!(told, [(false, true), (true, false), (true, true)]);
    }

    #[test]
    fn a_folder_that_cannot_be_read_holds_up_no_other_and_links_are_followed() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(dir.path(), 1, 10);
        file(other.path(), 1, 10);
        std::os::unix::fs::symlink(other.path().join("cam1"), dir.path().join("cam2")).unwrap();
        let broken = dir.path().join("broken");
        // No lines can be read from a folder.
        fs::create_dir_all(recordings::uploads_file(&broken)).unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        let mut looker = looker(dir.path());
        let (found, unread) = looker.look(&BTreeSet::new(), MonoNs(1));
        let told = unread.unwrap().to_string();
        assert!(told.contains("broken"), "{told}");
        assert_eq!(numbers(found), [1, 1]);
        fs::remove_dir(recordings::uploads_file(&broken)).unwrap();
        assert_eq!(all(looker.look(&BTreeSet::new(), MonoNs(2))).len(), 1);
    }
}
