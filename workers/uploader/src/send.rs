//! One recording into the store: once, whatever has happened before.
//!
//! ```text
//! hold, hash ──> is it there? ── yes ─────────────────────────────> note
//!                     └── no ──> whole, or part by part ──> there ──> note (durable)
//! ```
//! A death before the note finds the object there; one before that leaves nothing but parts, whose name is kept.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use object_store::MultipartId;
use object_store::multipart::PartId;
use object_store::path::Path as Key;
use recordings::Upload;
use sha2::{Digest, Sha256};
use shmring::clock;

use crate::backlog::{Id, Seen};
use crate::error::Error;
use crate::pace::Pace;
use crate::store::Store;
use crate::unfinished::{Begun, Unfinished};

/// Files up to this go whole. The smallest part that stores take is 5 MiB.
const PART_BYTES: u64 = 8 << 20;
/// A store takes 10000; some room is left for files that are longer by one.
const PARTS_MAX: u64 = 9_000;
const READ_BYTES: usize = 1 << 20;

/// What all uploads have in common.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) store: Store,
    pub(crate) pace: Mutex<Pace>,
    pub(crate) unfinished: Mutex<Unfinished>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is in the store, and that is noted. `found`: it was there before.
    Stored { bytes: u64, found: bool },
    /// It changed meanwhile.
    Changed,
    /// The file is no more.
    Gone,
}

impl Sender {
    pub(crate) async fn send(self: Arc<Self>, id: Id, seen: Seen) -> Result<Sent, Error> {
        let (path, bytes) = (seen.path, seen.bytes);
        let (held, opened) = (path.clone(), path.clone());
        let hold =
            blocking(move || recordings::hold(&held).map_err(Error::io("hold", &held))).await?;
        // Retention leaves it alone until it is sent.
        let Some(_hold) = hold else { return Ok(Sent::Gone) };
        let file =
            blocking(move || File::open(&opened).map_err(Error::io("open", &opened))).await?;
        let file = Arc::new(file);
        let (hashed, named) = (Arc::clone(&file), path.clone());
        let (length, sha256) = blocking(move || hash(&hashed, &named)).await?;
        let name = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let key = self.store.key(&name(id.folder.file_name()), &name(path.file_name()));
        if length != bytes {
            return Ok(Sent::Changed);
        }
        let found = self.store.has(&key, bytes, &sha256).await?;
        if !found && !self.transfer(&key, &sha256, &file, &path, bytes).await? {
            return Ok(Sent::Changed);
        }
        let url = self.store.url(&key);
        let upload =
            Upload::new(id.number, bytes, sha256, url, clock::now().utc).at(self.store.endpoint());
        blocking(move || Ok(recordings::add_upload(&id.folder, &upload)?)).await?;
        Ok(Sent::Stored { bytes, found })
    }

    /// Whether all of it was there to be sent.
    pub(crate) async fn transfer(
        &self,
        key: &Key,
        sha256: &str,
        file: &Arc<File>,
        path: &Path,
        bytes: u64,
    ) -> Result<bool, Error> {
        if bytes > PART_BYTES {
            return self.transfer_in_parts(key, sha256, file, path, bytes).await;
        }
        let Some(whole) = read(file, path, 0, bytes).await? else { return Ok(false) };
        self.wait(bytes).await;
        self.store.put(key, sha256, whole).await?;
        Ok(true)
    }

    async fn transfer_in_parts(
        &self,
        key: &Key,
        sha256: &str,
        file: &Arc<File>,
        path: &Path,
        bytes: u64,
    ) -> Result<bool, Error> {
        let id = self.store.begin(key, sha256).await?;
        let store = self.store.name().to_owned();
        let begun = Begun { store, key: key.to_string(), id: id.clone() };
        let noted = self.unfinished().begin(begun);
        if let Err(error) = noted {
            self.give_up(key, &id).await;
            return Err(error);
        }
        let parts = match self.send_parts(key, &id, file, path, bytes).await {
            Ok(Some(parts)) => parts,
            Ok(None) => {
                self.give_up(key, &id).await;
                return Ok(false);
            }
            Err(error) => {
                self.give_up(key, &id).await;
                return Err(error);
            }
        };
        if let Err(error) = self.store.complete(key, &id, parts).await {
            // What it did not tell in time it may have done.
            if self.store.has(key, bytes, sha256).await.unwrap_or(false) {
                self.unfinished().end(&id)?;
                return Ok(true);
            }
            self.give_up(key, &id).await;
            return Err(error);
        }
        self.unfinished().end(&id)?;
        Ok(true)
    }

    /// All parts of a file; `None` when it has become shorter.
    async fn send_parts(
        &self,
        key: &Key,
        id: &MultipartId,
        file: &Arc<File>,
        path: &Path,
        bytes: u64,
    ) -> Result<Option<Vec<PartId>>, Error> {
        let part_bytes = PART_BYTES.max(bytes.div_ceil(PARTS_MAX));
        let mut parts = Vec::new();
        let mut at_bytes = 0;
        while at_bytes < bytes {
            let length = part_bytes.min(bytes - at_bytes);
            let Some(part) = read(file, path, at_bytes, length).await? else { return Ok(None) };
            self.wait(length).await;
            parts.push(self.store.put_part(key, id, parts.len(), part).await?);
            at_bytes += length;
        }
        Ok(Some(parts))
    }

    /// What a store does not let go of now is tried again, by this life or the next one.
    async fn give_up(&self, key: &Key, id: &MultipartId) {
        if self.store.give_up(key, id).await.is_err() {
            self.unfinished().leave(id);
        } else if let Err(error) = self.unfinished().end(id) {
            tracing::warn!(%error, "an upload that was given up is not forgotten");
        }
    }

    async fn wait(&self, bytes: u64) {
        let wait = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.wait(bytes, clock::mono())
        };
        tokio::time::sleep(wait).await;
    }

    pub(crate) fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Length and SHA-256 of all of a file.
fn hash(mut file: &File, path: &Path) -> Result<(u64, String), Error> {
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => break,
            bytes => {
                hash.update(&buffer[..bytes]);
                length += bytes as u64;
            }
        }
    }
    let hex = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok((length, hex))
}

/// `None` when the file has become shorter.
async fn read(
    file: &Arc<File>,
    path: &Path,
    at_bytes: u64,
    bytes: u64,
) -> Result<Option<Bytes>, Error> {
    let (file, path) = (Arc::clone(file), path.to_owned());
    blocking(move || {
        let mut part = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        match file.read_exact_at(&mut part, at_bytes) {
            Ok(()) => Ok(Some(part.into())),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    })
    .await
}

/// A disk may hang: the others go on meanwhile.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Store(format!("a thread of ours ended: {error}"))),
    }
}
