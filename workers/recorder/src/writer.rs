//! The files being written: one write a fragment, durable every two seconds.
//!
//! ```text
//! write ──> files: [ ended, being synced ] [ being written ]
//!                        │ order                 │ order, every two seconds
//!                        └───────> Syncer <──────┘      done ──> safe: survives a power cut
//! ```
//! Only this thread knows what is safe; the syncer's answers are taken in at each write.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::time::{MonoNs, UtcNs};
use recordings::index::Notes;

use crate::assembler::Piece;
use crate::doubt::{Doubt, Unsafe};
use crate::error::Error;
use crate::folder::{Folder, GroupAt};
use crate::packet_id::PacketId;
use crate::segments::Segments;
use crate::syncer::{Done, Syncer, Ticket};

/// What a power cut costs beside the open fragment. A sync a fragment would be one a second and
/// camera, which a disk of spinning rust cannot give to sixteen cameras.
///
/// Fragments come a second apart, and what is due is seen when one is written: two seconds in all.
const SYNC_AFTER: Duration = Duration::from_millis(1500);

/// The end of an old file that is being recorded again in the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joint {
    pub(crate) group: GroupAt,
    /// The last packet of the old file. When it is safe in the new file the old one is cut.
    pub(crate) until: PacketId,
}

#[derive(Debug)]
pub(crate) struct Writer<'a> {
    folder: Folder,
    syncer: &'a mut Syncer,
    /// Oldest first. All but the last have ended and are not yet all on the disk.
    files: VecDeque<Written>,
    joint: Option<Joint>,
    safe: Option<PacketId>,
    /// A sync has failed.
    failed: bool,
    index: Notes,
    segments: Segments,
    /// The newest files of an earlier session, oldest first: complete when another one begins, and nothing of them
    /// has to be repeated any more.
    before: Vec<PathBuf>,
}

#[derive(Debug)]
struct Written {
    path: PathBuf,
    /// Nothing more is written to it.
    ended: bool,
    file: Arc<File>,
    bytes: u64,
    last: PacketId,
    /// `synced_bytes <= bytes`
    synced_bytes: u64,
    /// The first packet behind `synced_bytes`.
    unsafe_from: PacketId,
    asked: VecDeque<Asked>,
    /// The last time; at first when it was made.
    asked_at: MonoNs,
    /// Its folder was synced, or is going to be, since it was made.
    named: bool,
}

/// A sync under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    ticket: Ticket,
    /// What it makes durable.
    bytes: u64,
    last: PacketId,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(folder: Folder, syncer: &'a mut Syncer) -> Self {
        Self {
            folder,
            syncer,
            files: VecDeque::new(),
            joint: None,
            safe: None,
            failed: false,
            index: Notes::default(),
            segments: Segments::default(),
            before: Vec::new(),
        }
    }

    /// Notes there what is durable.
    pub(crate) fn telling(self, index: Notes) -> Self {
        Self { index, ..self }
    }

    /// Notes there which files are complete; `before` are the newest that are there already.
    pub(crate) fn completing(self, segments: Segments, before: Vec<PathBuf>) -> Self {
        Self { segments, before, ..self }
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Of the file being written.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.back().map_or(0, |current| current.bytes)
    }

    /// The last packet of which it is known that it survives a power cut, and all this writer wrote
    /// before it.
    pub(crate) fn safe(&self) -> Option<PacketId> {
        self.safe
    }

    /// Fails when somebody has removed or moved the file being written: what goes into it would be gone
    /// with it.
    pub(crate) fn look_for_file(&self) -> Result<(), Error> {
        let Some(current) = self.files.back() else { return Ok(()) };
        let failed = || Error::io("look at", &current.path);
        let own = current.file.metadata().map_err(failed())?;
        let there = match std::fs::metadata(&current.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            facts => Some(facts.map_err(failed())?),
        };
        let is_own = |there: Metadata| (there.dev(), there.ino()) == (own.dev(), own.ino());
        if there.is_some_and(is_own) { Ok(()) } else { Err(Error::Removed(current.path.clone())) }
    }

    /// Cuts the old file once its last group stands in the new one.
    pub(crate) fn repeat_until(&mut self, joint: Joint) {
        self.joint = Some(joint);
    }

    /// Whether the last group of the old file is still being repeated.
    pub(crate) fn is_repeating(&self) -> bool {
        self.joint.is_some()
    }

    pub(crate) fn write(&mut self, piece: &Piece, now: MonoNs) -> Result<(), Error> {
        self.take_in()?;
        if let Some(capture) = piece.begins {
            self.ask(now);
            self.begin(capture, piece.first, now)?;
        }
        if let Some(current) = self.files.back_mut() {
            current.append(piece)?;
        }
        if self.joint.as_ref().is_some_and(|joint| joint.until <= piece.last) {
            self.finish(now)?;
            self.cut_old_file()?;
        }
        if self.joint.is_none() {
            self.before.drain(..).for_each(|before| self.segments.complete(&before));
        }
        self.sync_when_due(now)
    }

    /// The file under way is complete once it is synced: nothing more will be written to it.
    pub(crate) fn end_file(&mut self) {
        if let Some(current) = self.files.back_mut() {
            current.ended = true;
        }
        self.tell_complete();
    }

    fn tell_complete(&self) {
        for file in self.files.iter().filter(|file| file.is_complete()) {
            self.segments.complete(&file.path);
        }
    }

    /// Takes in what has become durable, and asks for more when it is time.
    pub(crate) fn sync_when_due(&mut self, now: MonoNs) -> Result<(), Error> {
        self.take_in()?;
        if self.files.back().is_some_and(|current| current.is_due(now)) {
            self.ask(now);
        }
        Ok(())
    }

    /// Asks for all that is written; the answer is taken in later.
    pub(crate) fn sync(&mut self, now: MonoNs) -> Result<(), Error> {
        self.take_in()?;
        self.ask(now);
        Ok(())
    }

    /// Makes all that is written durable, and waits for it.
    pub(crate) fn finish(&mut self, now: MonoNs) -> Result<(), Error> {
        self.ask(now);
        while let Some(waiting) = self.files.iter().find(|file| !file.asked.is_empty()) {
            let failed = Error::io("sync", &waiting.path);
            let done = self.syncer.wait().map_err(failed)?;
            self.done(done)?;
        }
        Ok(())
    }

    /// What may not have reached the disk, now that nothing more is written.
    pub(crate) fn into_doubt(self) -> Option<Doubt> {
        let unsafe_files: Vec<Unsafe> = self
            .files
            .into_iter()
            .filter(|file| file.synced_bytes < file.bytes)
            .map(|file| Unsafe {
                path: file.path,
                synced_bytes: file.synced_bytes,
                first: file.unsafe_from,
            })
            .collect();
        (!unsafe_files.is_empty()).then_some(Doubt { files: unsafe_files, failed: self.failed })
    }

    /// The file before is no longer written; its last sync may still be under way.
    fn begin(&mut self, capture: UtcNs, first: PacketId, now: MonoNs) -> Result<(), Error> {
        self.end_file();
        self.files.retain(|file| file.synced_bytes < file.bytes);
        let (path, file) = self.folder.create(capture)?;
        self.files.push_back(Written {
            path,
            ended: false,
            file: Arc::new(file),
            bytes: 0,
            last: first,
            synced_bytes: 0,
            unsafe_from: first,
            asked: VecDeque::new(),
            asked_at: now,
            named: false,
        });
        Ok(())
    }

    fn ask(&mut self, now: MonoNs) {
        let Some(current) = self.files.back_mut() else { return };
        if current.asked_bytes() < current.bytes {
            let folder = (!current.named).then(|| self.folder.path().to_owned());
            let ticket = self.syncer.order(&current.file, folder);
            current.named = true;
            current.asked_at = now;
            current.asked.push_back(Asked { ticket, bytes: current.bytes, last: current.last });
        }
    }

    fn take_in(&mut self) -> Result<(), Error> {
        while let Some(done) = self.syncer.done() {
            self.done(done)?;
        }
        Ok(())
    }

    fn done(&mut self, done: Done) -> Result<(), Error> {
        let asked = |file: &Written| file.asked.front().is_some_and(|a| a.ticket == done.ticket);
        let Some(at) = self.files.iter().position(asked) else {
            // Of an earlier session, which has settled it its own way.
            return Ok(());
        };
        let file = &mut self.files[at];
        if let Err(source) = done.result {
            self.failed = true;
            return Err(Error::io("sync", &file.path)(source));
        }
        if let Some(asked) = file.asked.pop_front() {
            file.synced_bytes = asked.bytes;
            file.unsafe_from = PacketId { sequence: asked.last.sequence + 1, ..asked.last };
            self.safe = Some(asked.last);
            self.index.durable(&file.path, file.synced_bytes);
        }
        self.tell_complete();
        while self.files.len() > 1 && self.files[0].synced_bytes == self.files[0].bytes {
            self.files.pop_front();
        }
        Ok(())
    }

    /// The new file holds, durably, what is cut off here: no moment without it.
    fn cut_old_file(&mut self) -> Result<(), Error> {
        let Some(joint) = self.joint.take() else { return Ok(()) };
        self.folder.cut(&joint.group)?;
        self.index.changed(&joint.group.path);
        Ok(())
    }
}

impl Written {
    fn append(&mut self, piece: &Piece) -> Result<(), Error> {
        let mut file: &File = &self.file;
        let written: io::Result<()> = file.write_all(&piece.bytes);
        written.map_err(Error::io("write", &self.path))?;
        self.bytes += piece.bytes.len() as u64;
        self.last = piece.last;
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.ended && self.bytes > 0 && self.synced_bytes == self.bytes
    }

    fn asked_bytes(&self) -> u64 {
        self.asked.back().map_or(self.synced_bytes, |asked| asked.bytes)
    }

    /// A sync under way is not overtaken by another: a disk that cannot follow gets no more to do.
    fn is_due(&self, now: MonoNs) -> bool {
        self.asked.is_empty()
            && self.synced_bytes < self.bytes
            && now.saturating_since(self.asked_at) >= SYNC_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use crate::syncer::ByHand;

    fn id(sequence: u64) -> PacketId {
        PacketId { epoch: 1, sequence }
    }

    /// A piece of one packet.
    fn piece(begins: Option<UtcNs>, bytes: &[u8], sequence: u64) -> Piece {
        Piece { begins, bytes: bytes.to_vec(), first: id(sequence), last: id(sequence) }
    }

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    fn syncer() -> Syncer {
        Syncer::start("cam1", &Arc::new(Status::new("cam1.packets"))).unwrap()
    }

    fn with_old_file<'a>(
        dir: &std::path::Path,
        syncer: &'a mut Syncer,
        is_all: bool,
    ) -> (Writer<'a>, PathBuf) {
        let mut folder = Folder::open(dir).unwrap();
        let (path, mut file) = folder.create(UtcNs(0)).unwrap();
        file.write_all(b"whole group").unwrap();
        let mut writer = Writer::new(folder, syncer);
        let group = GroupAt { path: path.clone(), at_bytes: 5, is_all };
        writer.repeat_until(Joint { group, until: id(20) });
        (writer, path)
    }

    #[test]
    fn the_old_group_goes_only_when_the_new_file_has_all_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut syncer = syncer();
        let (mut writer, old) = with_old_file(dir.path(), &mut syncer, false);
        writer.write(&piece(Some(UtcNs(1)), b"a", 19), at(0)).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"whole group");
        assert!(writer.is_repeating());
        writer.write(&piece(None, b"b", 20), at(0)).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"whole");
        assert!(!writer.is_repeating());
        assert_eq!(writer.safe(), Some(id(20)));
    }

    #[test]
    fn an_old_file_of_one_group_goes_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut syncer = syncer();
        let (mut writer, old) = with_old_file(dir.path(), &mut syncer, true);
        writer.write(&piece(Some(UtcNs(1)), b"ab", 25), at(0)).unwrap();
        assert!(!old.exists());
    }

    #[test]
    fn all_that_was_written_is_safe_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut syncer = syncer();
        let mut writer = Writer::new(Folder::open(dir.path()).unwrap(), &mut syncer);
        writer.write(&piece(Some(UtcNs(1)), b"ab", 25), at(0)).unwrap();
        writer.write(&piece(Some(UtcNs(2)), b"cd", 26), at(1)).unwrap();
        writer.finish(at(1)).unwrap();
        assert_eq!(writer.safe(), Some(id(26)));
        assert_eq!(writer.into_doubt(), None);
    }

    #[test]
    fn writing_goes_on_while_a_sync_hangs_and_what_is_safe_follows_later() {
        let dir = tempfile::tempdir().unwrap();
        let (mut syncer, by_hand) = ByHand::syncer();
        let mut writer = Writer::new(Folder::open(dir.path()).unwrap(), &mut syncer);
        writer.write(&piece(Some(UtcNs(1)), b"ab", 1), at(0)).unwrap();
        assert_eq!(by_hand.orders(), 0);
        writer.write(&piece(None, b"cd", 2), at(2)).unwrap();
        assert_eq!(by_hand.orders(), 1);
        // It hangs: no other is asked for, and another file begins.
        writer.write(&piece(None, b"ef", 3), at(9)).unwrap();
        assert_eq!(by_hand.orders(), 0);
        writer.write(&piece(Some(UtcNs(2)), b"gh", 4), at(10)).unwrap();
        assert_eq!(by_hand.orders(), 1);
        assert_eq!((writer.safe(), writer.bytes()), (None, 2));
        by_hand.answer(0, Ok(()));
        writer.sync_when_due(at(10)).unwrap();
        assert_eq!(writer.safe(), Some(id(2)));
        by_hand.answer(1, Ok(()));
        writer.sync_when_due(at(11)).unwrap();
        assert_eq!(writer.safe(), Some(id(3)));
        writer.sync_when_due(at(12)).unwrap();
        assert_eq!(by_hand.orders(), 1);
        by_hand.answer(2, Ok(()));
        writer.sync_when_due(at(12)).unwrap();
        assert_eq!((writer.safe(), writer.into_doubt()), (Some(id(4)), None));
    }

    #[test]
    fn a_sync_that_fails_leaves_in_doubt_what_was_written_since_the_last_good_one() {
        let dir = tempfile::tempdir().unwrap();
        let (mut syncer, by_hand) = ByHand::syncer();
        let mut writer = Writer::new(Folder::open(dir.path()).unwrap(), &mut syncer);
        writer.write(&piece(Some(UtcNs(1)), b"ab", 1), at(0)).unwrap();
        writer.write(&piece(None, b"cd", 2), at(2)).unwrap();
        by_hand.answer(0, Ok(()));
        writer.write(&piece(None, b"ef", 3), at(3)).unwrap();
        writer.write(&piece(Some(UtcNs(2)), b"gh", 4), at(4)).unwrap();
        by_hand.answer(1, Err(io::Error::other("no disk")));
        let failed = writer.write(&piece(None, b"ij", 5), at(5)).unwrap_err().to_string();
        assert!(failed.contains("cannot sync") && failed.contains("no disk"), "{failed}");
        let doubt = writer.into_doubt().unwrap();
        let files: Vec<_> = doubt.files.iter().map(|f| (f.synced_bytes, f.first)).collect();
        assert_eq!((doubt.failed, files), (true, vec![(4, id(3)), (0, id(4))]));
    }
}
