//! What was written and may not have reached the disk when a session ended in trouble.
//!
//! What a failed sync leaves in the page cache can be read and may never be on the disk, and a second sync
//! would say that all is well. So it is cut off and taken from the ring again, with all that was written
//! behind it; unless the ring has let go of it: then bytes that may be there are better than none.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::error::Error;
use crate::folder::{Folder, GroupAt};
use crate::packet_id::PacketId;

/// One file's unsynced end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsafe {
    pub(crate) path: PathBuf,
    pub(crate) synced_bytes: u64,
    /// The first packet behind them.
    pub(crate) first: PacketId,
}

/// Never empty, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) files: Vec<Unsafe>,
    /// A sync of the first has failed; else nobody knows.
    pub(crate) failed: bool,
}

impl Doubt {
    /// Afterwards the folder holds nothing that only seems to be safe. The first packet that has to be
    /// recorded again, if any. `holds` tells whether the ring still has a packet. Can be tried again.
    pub(crate) fn settle(
        &mut self,
        folder: &Folder,
        holds: impl Fn(PacketId) -> bool,
    ) -> Result<Option<PacketId>, Error> {
        if !self.failed {
            let fails = self.files.iter().position(|file| !can_be_synced(file));
            let Some(at) = fails else { return Ok(None) };
            self.files.drain(..at);
            self.failed = true;
        }
        let Some(Unsafe { path, first, .. }) = self.files.first() else { return Ok(None) };
        let first = *first;
        if !holds(first) {
            let file = path.display();
            tracing::error!(%file, from = %first, "a sync failed and the ring has moved on: this may not survive a power cut");
            return Ok(None);
        }
        // Newest first: a death in between leaves no hole.
        while let Some(file) = self.files.last() {
            let is_first = self.files.len() == 1;
            let at_bytes = if is_first { file.synced_bytes } else { 0 };
            let group = GroupAt { path: file.path.clone(), at_bytes, is_all: at_bytes == 0 };
            tracing::warn!(file = %file.path.display(), at_bytes, "cut where it is safe, to be recorded again");
            match folder.cut(&group) {
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                other => other?,
            }
            self.files.pop();
        }
        Ok(Some(first))
    }
}

fn can_be_synced(file: &Unsafe) -> bool {
    match File::open(&file.path) {
        Ok(file) => file.sync_data().is_ok(),
        // Removed meanwhile: nothing is left to be in doubt.
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::UtcNs;
    use std::io::Write;

    fn id(sequence: u64) -> PacketId {
        PacketId { epoch: 1, sequence }
    }

    fn folder_with(contents: &[&[u8]]) -> (tempfile::TempDir, Folder, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        let write = |bytes: &&[u8]| {
            let (path, mut file) = folder.create(UtcNs(0)).unwrap();
            file.write_all(bytes).unwrap();
            path
        };
        let paths = contents.iter().map(write).collect();
        (dir, folder, paths)
    }

    fn doubt(paths: &[PathBuf], failed: bool) -> Doubt {
        let (first, newer) = paths.split_first().unwrap();
        let mut files = vec![Unsafe { path: first.clone(), synced_bytes: 4, first: id(20) }];
        let newer = newer.iter().map(|path| (path.clone(), id(30)));
        files.extend(newer.map(|(path, first)| Unsafe { path, synced_bytes: 0, first }));
        Doubt { files, failed }
    }

    #[test]
    fn after_a_failed_sync_only_what_is_safe_stays_and_the_rest_comes_from_the_ring() {
        let (_dir, folder, paths) = folder_with(&[b"safe and not", b"newer"]);
        let again = doubt(&paths, true).settle(&folder, |first| first == id(20)).unwrap();
        assert_eq!(again, Some(id(20)));
        assert_eq!(std::fs::read(&paths[0]).unwrap(), b"safe");
        assert!(!paths[1].exists());
    }

    #[test]
    fn what_the_ring_no_longer_holds_is_left_as_it_is() {
        let (_dir, folder, paths) = folder_with(&[b"safe and not", b"newer"]);
        let again = doubt(&paths, true).settle(&folder, |_| false).unwrap();
        assert_eq!(again, None);
        assert_eq!(std::fs::read(&paths[0]).unwrap(), b"safe and not");
        assert!(paths[1].exists());
    }

    #[test]
    fn what_can_be_synced_after_all_stays() {
        let (_dir, folder, paths) = folder_with(&[b"safe and now all"]);
        let again = doubt(&paths, false).settle(&folder, |_| true).unwrap();
        assert_eq!(again, None);
        assert_eq!(std::fs::read(&paths[0]).unwrap(), b"safe and now all");
    }

    #[test]
    fn a_file_that_is_gone_is_in_no_doubt() {
        let (_dir, folder, paths) = folder_with(&[b"safe and not", b"newer"]);
        folder.remove(&paths[1]).unwrap();
        doubt(&paths, true).settle(&folder, |_| true).unwrap();
        assert_eq!(std::fs::read(&paths[0]).unwrap(), b"safe");
    }
}
