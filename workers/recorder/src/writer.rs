//! The file being written: one write a fragment, durable every two seconds.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use protocol::time::MonoNs;

use crate::assembler::Piece;
use crate::error::Error;
use crate::folder::{Folder, GroupAt};
use crate::packet_id::PacketId;

/// What a power cut costs beside the open fragment. A sync a fragment would be one a second and
/// camera, which a disk of spinning rust cannot give to sixteen cameras.
const SYNC_EVERY: Duration = Duration::from_secs(2);

/// The end of an old file that is being recorded again in the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joint {
    pub(crate) group: GroupAt,
    /// The last packet of the old file. When it is safe in the new file the old one is cut.
    pub(crate) until: PacketId,
}

#[derive(Debug)]
pub(crate) struct Writer {
    folder: Folder,
    current: Option<Current>,
    joint: Option<Joint>,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// `synced_bytes <= bytes`
    synced_bytes: u64,
    synced_at: MonoNs,
}

impl Writer {
    pub(crate) fn new(folder: Folder) -> Self {
        Self { folder, current: None, joint: None }
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Of the file being written.
    pub(crate) fn bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.bytes)
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
        if let Some(capture) = piece.begins {
            self.sync(now)?;
            let (path, file) = self.folder.create(capture)?;
            self.current = Some(Current { path, file, bytes: 0, synced_bytes: 0, synced_at: now });
        }
        if let Some(current) = &mut self.current {
            current.append(&piece.bytes)?;
        }
        if self.joint.as_ref().is_some_and(|joint| joint.until <= piece.last) {
            self.sync(now)?;
            return self.cut_old_file();
        }
        self.sync_when_due(now)
    }

    pub(crate) fn sync_when_due(&mut self, now: MonoNs) -> Result<(), Error> {
        let due = self.current.as_ref().is_some_and(|current| current.is_due(now));
        if due { self.sync(now) } else { Ok(()) }
    }

    /// Makes all that is written durable.
    pub(crate) fn sync(&mut self, now: MonoNs) -> Result<(), Error> {
        self.current.as_mut().map_or(Ok(()), |current| current.sync(now))
    }

    /// The new file holds, durably, what is cut off here: no moment without it.
    fn cut_old_file(&mut self) -> Result<(), Error> {
        self.joint.take().map_or(Ok(()), |joint| self.folder.cut(&joint.group))
    }
}

impl Current {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::io("write", &self.path))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn is_due(&self, now: MonoNs) -> bool {
        self.synced_bytes < self.bytes && now.saturating_since(self.synced_at) >= SYNC_EVERY
    }

    fn sync(&mut self, now: MonoNs) -> Result<(), Error> {
        if self.synced_bytes == self.bytes {
            return Ok(());
        }
        if let Err(source) = self.file.sync_data() {
            // What a failed sync leaves in the page cache may never reach the disk, although it
            // can be read: it is given up here and taken from the ring again.
            let _ = self.file.set_len(self.synced_bytes);
            return Err(Error::io("sync", &self.path)(source));
        }
        self.synced_bytes = self.bytes;
        self.synced_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::UtcNs;

    fn piece(begins: Option<UtcNs>, bytes: &[u8], sequence: u64) -> Piece {
        Piece { begins, bytes: bytes.to_vec(), last: PacketId { epoch: 1, sequence } }
    }

    fn writer_with_old_file(dir: &std::path::Path, is_all: bool) -> (Writer, PathBuf) {
        let mut folder = Folder::open(dir).unwrap();
        let (path, mut file) = folder.create(UtcNs(0)).unwrap();
        file.write_all(b"whole group").unwrap();
        let mut writer = Writer::new(folder);
        let until = PacketId { epoch: 1, sequence: 20 };
        let group = GroupAt { path: path.clone(), at_bytes: 5, is_all };
        writer.repeat_until(Joint { group, until });
        (writer, path)
    }

    #[test]
    fn the_old_group_goes_only_when_the_new_file_has_all_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, old) = writer_with_old_file(dir.path(), false);
        writer.write(&piece(Some(UtcNs(1)), b"a", 19), MonoNs(0)).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"whole group");
        assert!(writer.is_repeating());
        writer.write(&piece(None, b"b", 20), MonoNs(0)).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"whole");
        assert!(!writer.is_repeating());
    }

    #[test]
    fn an_old_file_of_one_group_goes_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, old) = writer_with_old_file(dir.path(), true);
        writer.write(&piece(Some(UtcNs(1)), b"ab", 25), MonoNs(0)).unwrap();
        assert!(!old.exists());
    }

    #[test]
    fn a_sync_is_due_after_two_seconds_with_something_to_sync() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(Folder::open(dir.path()).unwrap());
        writer.write(&piece(Some(UtcNs(1)), b"ab", 25), MonoNs(0)).unwrap();
        let current = writer.current.as_ref().unwrap();
        assert!(!current.is_due(MonoNs(1_999_999_999)));
        assert!(current.is_due(MonoNs(2_000_000_000)));
        writer.sync_when_due(MonoNs(2_000_000_000)).unwrap();
        assert!(!writer.current.as_ref().unwrap().is_due(MonoNs(9_000_000_000)));
    }
}
