//! Keeps an index in step with the files of a recorder: pure of threads and clocks; whoever owns it calls
//! [`Indexer::turn`] now and then with what was noted.
//!
//! ```text
//! notes ───────────────────┐
//! survey of a directory ───┼─> pending files ── read their headers ──> one transaction a turn
//! comments.jsonl, changed ─┤
//! uploads.jsonl, grown ────┘
//! ```
//!
//! A survey follows each opening of a directory and of the index, and each change of a directory that
//! nobody noted. So it does not matter what is missed, as long as something comes later.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::time::MonoNs;

use super::fill::{Batch, Gone, Reading, Said, Stored, StoredRead};
use super::notes::{Change, Noted, Opened, What};
use super::survey::{Look, survey};
use super::{Found, INDEX_FILE, Identity, Index, IndexError, Name, throw_away};
use crate::comments::{comments, comments_file};
use crate::error::Error;
use crate::facts::Facts;
use crate::folder::modified_ns;
use crate::uploads::{uploads_file, uploads_from};

/// Files of a turn: between two of them nothing is held up for long, and little has to be kept.
const FILES_A_TURN: usize = 64;
/// Directories looked through in a turn.
const SURVEYS_A_TURN: usize = 4;
/// Between two looks at a directory that changes, at least; and for each file in it: below 1 % of a core,
/// however many cameras there are.
const SURVEY_EVERY: Duration = Duration::from_secs(10);
const SURVEY_EVERY_A_FILE: Duration = Duration::from_millis(7);

/// The index of one directory.
#[derive(Debug)]
pub struct Indexer {
    root: PathBuf,
    /// That directory as the recorder found it when it last opened one of its cameras.
    root_identity: Option<Identity>,
    /// The index that has all that was done.
    filled: Option<Name>,
    cameras: BTreeMap<PathBuf, Camera>,
}

/// What came of a turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// There is work left; else nothing is to be done before something is noted or changes.
    pub more: bool,
    /// The index was opened in this turn.
    pub found: Option<Found>,
    /// Files that cannot be read; tried again later.
    pub unreadable: Vec<Error>,
}

#[derive(Debug, Default)]
struct Camera {
    /// Of its directory.
    name: String,
    /// Files up to this number are complete.
    settled: u64,
    /// The file being written, as far as it is durable: a survey leaves it alone.
    live: Option<(u64, Change)>,
    survey: Option<Look>,
    surveyed: Option<MonoNs>,
    /// How many files the index had of it then, and when the directory had changed last.
    files: usize,
    modified_ns: u64,
    pending: BTreeMap<u64, Change>,
    /// Length and time of the comments in the index; `None` when it has not been asked yet.
    comments: Option<(u64, u64)>,
    /// How far its uploads are in the index; `None` as above.
    uploads: Option<StoredRead>,
}

impl Indexer {
    /// Of the directory of a recorder. Nothing is opened before a camera's directory is.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), root_identity: None, filled: None, cameras: BTreeMap::new() }
    }

    /// Takes what was noted and does a part of what there is to do. After an error nothing is lost: the
    /// next turn goes on.
    pub fn turn(&mut self, noted: Vec<(PathBuf, Noted)>, now: MonoNs) -> Result<Turn, IndexError> {
        for (folder, noted) in noted {
            self.note(folder, noted);
        }
        if self.cameras.is_empty() {
            return Ok(Turn::default());
        }
        match self.work(now) {
            Err(error) if error.is_unfit() => self.begin_anew(now),
            worked => worked,
        }
    }

    /// Some damage shows only when a page is read.
    fn begin_anew(&mut self, now: MonoNs) -> Result<Turn, IndexError> {
        throw_away(&self.root.join(INDEX_FILE))?;
        self.filled = None;
        let turn = self.work(now)?;
        Ok(Turn { found: Some(Found::Unfit), ..turn })
    }

    fn note(&mut self, folder: PathBuf, noted: Noted) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let camera =
            self.cameras.entry(folder).or_insert_with(|| Camera { name, ..Camera::default() });
        if let Some(Opened { root, settled }) = noted.opened {
            self.root_identity = root.or(self.root_identity);
            camera.settled = settled;
            camera.live = None;
            camera.survey = Some(Look::Facts);
        }
        for (number, change) in noted.files {
            if matches!(change.what, What::Durable { again: false, .. }) {
                camera.settled = camera.settled.max(number.saturating_sub(1));
                camera.live = Some((number, change.clone()));
            }
            camera.add(number, change);
        }
    }

    /// Nothing is open between two turns: who looks after the disk may want to unmount it.
    fn work(&mut self, now: MonoNs) -> Result<Turn, IndexError> {
        let mut turn = Turn::default();
        if !self.has_work(now) {
            return Ok(turn);
        }
        let mut index = self.open(&mut turn)?;
        self.survey(&index, now)?;
        let batch = self.batch(&index, &mut turn.unreadable)?;
        if !batch.is_empty() {
            index.write(&batch)?;
            self.done(&batch);
        }
        turn.more = self
            .cameras
            .values()
            .any(|camera| !camera.pending.is_empty() || camera.survey == Some(Look::Facts));
        Ok(turn)
    }

    fn has_work(&self, now: MonoNs) -> bool {
        let mut cameras = self.cameras.iter();
        !self.is_in_place() || cameras.any(|(folder, camera)| camera.has_work(folder, now))
    }

    /// Whether the file that was filled still has its name.
    fn is_in_place(&self) -> bool {
        let there = Identity::of(&self.root.join(INDEX_FILE)).ok();
        there.is_some() && there == self.filled.as_ref().map(|filled| filled.file)
    }

    /// One that is not the one filled before lacks everything.
    fn open(&mut self, turn: &mut Turn) -> Result<Index, IndexError> {
        // Not on whatever disk happens to be there while the right one is away.
        let here = Identity::of(&self.root).ok();
        if here.is_none() || here != self.root_identity {
            return Err(IndexError::OtherDisk(self.root.clone()));
        }
        let (mut index, found) = Index::open(&self.root)?;
        let name = index.name()?;
        if self.filled.as_ref() == Some(&name) {
            return Ok(index);
        }
        index.forget_cameras(|name| !self.root.join(name).is_dir())?;
        for camera in self.cameras.values_mut() {
            camera.survey = Some(Look::Facts);
            camera.comments = None;
            camera.uploads = None;
            if let Some((number, change)) = camera.live.clone() {
                camera.pending.entry(number).or_insert(change);
            }
        }
        self.filled = Some(name);
        turn.found = Some(found);
        Ok(index)
    }

    /// Looks through some of the directories that have to be.
    fn survey(&mut self, index: &Index, now: MonoNs) -> Result<(), IndexError> {
        let mut left = SURVEYS_A_TURN;
        for (folder, camera) in &mut self.cameras {
            // What is named already is read first: a million names take memory.
            if left == 0 || camera.pending.len() >= FILES_A_TURN {
                continue;
            }
            if let Some(look) = camera.due(folder, now) {
                left -= 1;
                camera.take_survey(folder, index, look)?;
                camera.surveyed = Some(now);
            }
        }
        Ok(())
    }

    /// Reads the newest of what is pending of each camera, and comments that have changed.
    fn batch(&mut self, index: &Index, unreadable: &mut Vec<Error>) -> Result<Batch, IndexError> {
        let mut batch = Batch::default();
        let each = (FILES_A_TURN / self.cameras.len().max(1)).max(1);
        for (folder, camera) in &mut self.cameras {
            let newest: Vec<u64> = camera.pending.keys().rev().take(each).copied().collect();
            for number in newest {
                match camera.read(folder, index, number) {
                    Ok(Some(reading)) => batch.readings.push(reading),
                    Ok(None) => batch.gone.push(Gone { camera: camera.name.clone(), number }),
                    Err(IndexError::Read(error)) => {
                        unreadable.push(error);
                        camera.pending.remove(&number);
                    }
                    Err(error) => return Err(error),
                }
            }
            batch.said.extend(camera.said(folder, index)?);
            batch.stored.extend(camera.stored(folder, index)?);
        }
        Ok(batch)
    }

    fn done(&mut self, batch: &Batch) {
        for camera in self.cameras.values_mut() {
            let own = |name: &str| name == camera.name;
            for reading in batch.readings.iter().filter(|reading| own(&reading.camera)) {
                camera.pending.remove(&reading.number);
            }
            for gone in batch.gone.iter().filter(|gone| own(&gone.camera)) {
                camera.pending.remove(&gone.number);
            }
            if let Some(said) = batch.said.iter().find(|said| own(&said.camera)) {
                camera.comments = Some((said.bytes, said.modified_ns));
            }
            if let Some(stored) = batch.stored.iter().find(|stored| own(&stored.camera)) {
                camera.uploads = Some(stored.read);
            }
        }
    }
}

impl Camera {
    fn has_work(&self, folder: &Path, now: MonoNs) -> bool {
        let is_said = || self.comments == Some(said_there(folder));
        let is_stored = || self.uploads == Some(stored_there(folder));
        !self.pending.is_empty() || self.due(folder, now).is_some() || !is_said() || !is_stored()
    }

    fn add(&mut self, number: u64, change: Change) {
        let before = self.pending.get(&number).map(|before| before.what);
        let what = before.map_or(change.what, |before| before.then(change.what));
        self.pending.insert(number, Change { what, ..change });
    }

    /// How closely the directory is to be looked through now.
    fn due(&self, folder: &Path, now: MonoNs) -> Option<Look> {
        let files = u32::try_from(self.files).unwrap_or(u32::MAX);
        let every = SURVEY_EVERY.max(SURVEY_EVERY_A_FILE.saturating_mul(files));
        let rested = self.surveyed.is_none_or(|last| now.saturating_since(last) >= every);
        let changed = || time_of(folder) != self.modified_ns;
        self.survey.or_else(|| (rested && changed()).then_some(Look::Names))
    }

    fn take_survey(&mut self, folder: &Path, index: &Index, look: Look) -> Result<(), IndexError> {
        let known = index.known(&self.name)?;
        // Before it is looked through: what changes meanwhile is found by the next look.
        self.modified_ns = time_of(folder);
        let found = survey(folder, &known, self.settled, look).map_err(|source| {
            let path = folder.to_owned();
            IndexError::File { doing: "list", path, source }
        })?;
        self.survey = found.more.then_some(look);
        self.files = known.len() + found.unread.len();
        for number in found.gone {
            let change = Change { file: String::new(), what: What::Gone };
            self.pending.entry(number).or_insert(change);
        }
        for (number, file) in found.unread {
            let what = What::Durable { upto_bytes: u64::MAX, again: true };
            self.pending.entry(number).or_insert(Change { file, what });
        }
        Ok(())
    }

    /// `None`: the file is no more.
    fn read(
        &self,
        folder: &Path,
        index: &Index,
        number: u64,
    ) -> Result<Option<Reading>, IndexError> {
        let Some(Change { file, what }) = self.pending.get(&number) else { return Ok(None) };
        let What::Durable { upto_bytes, again } = *what else { return Ok(None) };
        let known = if again { None } else { index.known_file(&self.name, number)? };
        let is_begun = known
            .filter(|known| !known.is_damaged && (1..=upto_bytes).contains(&known.whole_bytes));
        let from_bytes = is_begun.map(|known| known.whole_bytes);
        match Facts::read_part(&folder.join(file), from_bytes, upto_bytes) {
            Ok(facts) => {
                let (camera, file) = (self.name.clone(), file.clone());
                Ok(Some(Reading { camera, number, file, from_bytes, facts }))
            }
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What was said, when that is not what the index has.
    fn said(&mut self, folder: &Path, index: &Index) -> Result<Option<Said>, IndexError> {
        let there = said_there(folder);
        let read = match self.comments {
            Some(read) => read,
            None => index.comments_read(&self.name)?,
        };
        self.comments = Some(read);
        if there == read {
            return Ok(None);
        }
        let (bytes, modified_ns) = there;
        let camera = self.name.clone();
        Ok(Some(Said { camera, comments: comments(folder)?, bytes, modified_ns }))
    }

    /// What came to its uploads since they were read. A file with another inode was written anew.
    fn stored(&mut self, folder: &Path, index: &Index) -> Result<Option<Stored>, IndexError> {
        let there = stored_there(folder);
        let read = match self.uploads {
            Some(read) => read,
            None => index.uploads_read(&self.name)?,
        };
        self.uploads = Some(read);
        if there == read {
            return Ok(None);
        }
        let goes_on = there.inode == read.inode && there.bytes >= read.bytes;
        let from = if goes_on { read.bytes } else { 0 };
        let (uploads, bytes) = uploads_from(folder, from)?;
        let upto = StoredRead { inode: there.inode, bytes };
        if upto == read {
            // A line that a power cut tore.
            return Ok(None);
        }
        let read = upto;
        Ok(Some(Stored { camera: self.name.clone(), uploads, goes_on, read }))
    }
}

/// Which file of uploads is there, and how long it is.
fn stored_there(folder: &Path) -> StoredRead {
    let facts = fs::metadata(uploads_file(folder));
    facts.map_or_else(
        |_| StoredRead::default(),
        |facts| StoredRead { inode: facts.ino(), bytes: facts.len() },
    )
}

/// Length and time of the comments of a camera.
fn said_there(folder: &Path) -> (u64, u64) {
    let facts = fs::metadata(comments_file(folder));
    facts.map_or((0, 0), |facts| (facts.len(), modified_ns(&facts)))
}

/// 0 when it is not there.
fn time_of(folder: &Path) -> u64 {
    fs::metadata(folder).map_or(0, |facts| modified_ns(&facts))
}
