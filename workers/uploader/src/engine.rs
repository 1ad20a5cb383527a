//! Looks, sends a few at a time, waits when the store is in trouble. Runs in a thread of its own, so that the
//! worker answers whatever a disk or a store does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use https::Backoff;
use object_store::path::Path as Key;
use protocol::config::uploader::DeleteAfter;
use protocol::time::MonoNs;
use shmring::clock;
use tokio::task::JoinSet;

use crate::backlog::{Backlog, Id, Seen};
use crate::error::Error;
use crate::look::Looker;
use crate::send::{Sender, Sent, blocking};
use crate::status::Status;
use crate::unfinished::Begun;

/// How soon a stop is seen, and what has come due.
const TICK: Duration = Duration::from_millis(200);
/// A recorder may have to join on to the second newest.
const STAY: usize = 2;

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) sender: Arc<Sender>,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) parallel: usize,
    pub(crate) delete_after: DeleteAfter,
    /// What a predecessor that was killed had on its way has arrived by then.
    pub(crate) begins: MonoNs,
    /// `None` while it looks.
    pub(crate) looker: Option<Looker>,
    pub(crate) backlog: Backlog,
    pub(crate) backoff: Backoff,
    /// Parts of an earlier life, to be given up.
    pub(crate) leftovers: Vec<Begun>,
}

type Outcome = (Id, Seen, Result<Sent, Error>);

impl Engine {
    /// Until the stop; what is under way then is left as it is, as by a kill.
    pub(crate) async fn run(mut self) {
        let mut active: JoinSet<Outcome> = JoinSet::new();
        while !self.stop.load(Ordering::Acquire) {
            self.look().await;
            self.give_up_leftover().await;
            self.begin_some(&mut active);
            self.report();
            tokio::select! {
                Some(outcome) = active.join_next() => {
                    if let Ok(outcome) = outcome {
                        self.take_in(outcome).await;
                    }
                }
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    async fn look(&mut self) {
        let Some(mut looker) = self.looker.take() else { return };
        let busy: BTreeSet<PathBuf> =
            looker.known().filter(|folder| self.backlog.holds_any_of(folder)).cloned().collect();
        let now = clock::mono();
        let looked = blocking(move || {
            let found = looker.look(&busy, now);
            Ok((looker, found))
        });
        let Ok((looker, found)) = looked.await else { return };
        self.looker = Some(looker);
        match found {
            Ok(found) => {
                for found in found {
                    let lost = self.backlog.see(&found.folder, found.unsent, now);
                    self.lost(&found.folder, lost, now);
                }
                if !self.backlog.is_in_trouble() {
                    self.status.lock().unreadable = None;
                }
            }
            Err(error) => self.trouble(&error, now),
        }
    }

    fn lost(&self, folder: &Path, files: u64, now: MonoNs) {
        if files > 0 {
            let folder = folder.display();
            tracing::error!(%folder, files, "recordings were removed before they were uploaded");
            let mut facts = self.status.lock();
            facts.files_lost += files;
            facts.lost_at = Some(now);
        }
    }

    /// A store in trouble is asked by one upload at a time.
    fn begin_some(&mut self, active: &mut JoinSet<Outcome>) {
        let now = clock::mono();
        if now < self.begins {
            return;
        }
        let most = if self.backoff.is_in_trouble() { 1 } else { self.parallel };
        while active.len() < most && self.backoff.wait(now).is_zero() {
            let Some((id, seen)) = self.backlog.take(now) else { return };
            let sender = Arc::clone(&self.sender);
            active.spawn(async move {
                let sent = sender.send(id.clone(), seen.clone()).await;
                (id, seen, sent)
            });
        }
    }

    async fn take_in(&mut self, (id, seen, sent): Outcome) {
        let now = clock::mono();
        match sent {
            Ok(Sent::Stored { bytes, found }) => {
                self.well();
                self.backlog.done(&id);
                if let Some(looker) = &mut self.looker {
                    looker.stored(&id.folder, id.number, bytes);
                }
                self.count(bytes, found);
                tracing::debug!(file = %seen.path.display(), bytes, found, "in the store");
                self.remove(&id, &seen).await;
            }
            Ok(Sent::Changed) => self.backlog.changed(&id, now),
            Ok(Sent::Gone) => {
                self.backlog.done(&id);
                self.lost(&id.folder, 1, now);
            }
            Err(error) => {
                self.backlog.failed(&id, now, random());
                self.trouble(&error, now);
            }
        }
    }

    fn count(&self, bytes: u64, found: bool) {
        let mut facts = self.status.lock();
        if found {
            facts.files_found += 1;
        } else {
            facts.files_sent += 1;
            facts.bytes_sent += bytes;
        }
    }

    fn well(&mut self) {
        self.backoff.succeeded();
        let mut facts = self.status.lock();
        (facts.trouble, facts.tried_again) = (None, None);
    }

    fn trouble(&mut self, error: &Error, now: MonoNs) {
        let why = Some(error.to_string());
        let mut facts = self.status.lock();
        // What is wrong with a file is not wrong with the others.
        if !error.is_of_store() {
            facts.unreadable = why;
            return;
        }
        self.backoff.failed(now, random());
        facts.trouble = why;
        facts.tried_again = Some(now + self.backoff.wait(now));
    }

    /// What a person or a recorder wants to keep stays.
    async fn remove(&mut self, id: &Id, seen: &Seen) {
        if self.delete_after == DeleteAfter::Never {
            return;
        }
        let (folder, path) = (id.folder.clone(), seen.path.clone());
        match blocking(move || remove(&folder, &path)).await {
            Ok(true) => self.status.lock().files_removed += 1,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a recording that is uploaded stays"),
        }
    }

    async fn give_up_leftover(&mut self) {
        if self.leftovers.is_empty() || !self.backoff.wait(clock::mono()).is_zero() {
            return;
        }
        let Some(begun) = self.leftovers.pop() else { return };
        let given_up = if begun.store == self.sender.store.name() {
            self.sender.store.give_up(&Key::from(begun.key.as_str()), &begun.id).await
        } else {
            // Of a store that is no longer ours: its own rules for parts have to do.
            Ok(())
        };
        let ended = given_up.and_then(|()| self.sender.unfinished().end(&begun.id));
        if let Err(error) = ended {
            self.leftovers.push(begun);
            self.trouble(&error, clock::mono());
        }
    }

    fn report(&self) {
        self.status.lock().backlog = self.backlog.sum(clock::mono());
    }
}

/// Whether it is gone.
fn remove(folder: &Path, path: &Path) -> Result<bool, Error> {
    let files = recordings::named(folder).map_err(Error::io("list", folder))?;
    let may_go = files.iter().rev().skip(STAY).any(|file| file.path == *path);
    if !may_go || recordings::is_pinned(path) {
        return Ok(false);
    }
    match recordings::claim(path) {
        Ok(None) => Ok(false),
        Ok(Some(_claimed)) => {
            std::fs::remove_file(path).map_err(Error::io("remove", path))?;
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// For jitter: any number will do.
fn random() -> u64 {
    getrandom::u64().unwrap_or(7)
}
