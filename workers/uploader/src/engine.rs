//! Looks, sends a few at a time, waits when the store is in trouble. Runs in a thread of its own, so that the
//! worker answers whatever a disk or a store does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use https::Backoff;
use object_store::path::Path as Key;
use protocol::time::MonoNs;
use shmring::clock;
use tokio::task::JoinSet;

use crate::backlog::{Backlog, Id, Seen};
use crate::error::Error;
use crate::look::Looker;
use crate::send::{Sender, Sent, blocking};
use crate::status::Status;

/// How soon a stop is seen, and what has come due.
const TICK: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) sender: Arc<Sender>,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) parallel: usize,
    /// What a predecessor that was killed had on its way has arrived by then.
    pub(crate) begins: MonoNs,
    /// `None` while it looks.
    pub(crate) looker: Option<Looker>,
    pub(crate) backlog: Backlog,
    pub(crate) backoff: Backoff,
    /// A store may take files and never let go of parts: that holds up nothing.
    pub(crate) giving_up: Backoff,
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
                        self.take_in(outcome);
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
        let Ok((looker, (found, unread))) = looked.await else { return };
        self.looker = Some(looker);
        for found in found {
            let lost = self.backlog.see(&found.folder, found.unsent, now);
            self.lost(&found.folder, lost, now);
            self.remove(found.stored).await;
        }
        match unread {
            Some(error) => self.trouble(&error, now),
            None if !self.backlog.is_in_trouble() => self.status.lock().unreadable = None,
            None => {}
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

    fn take_in(&mut self, (id, seen, sent): Outcome) {
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
        // Several that were under way fail of one trouble.
        if self.backoff.wait(now).is_zero() {
            self.backoff.failed(now, random());
        }
        facts.trouble = why;
        facts.tried_again = Some(now + self.backoff.wait(now));
    }

    /// What a person or a recorder wants to keep stays.
    async fn remove(&self, stored: Vec<PathBuf>) {
        if stored.is_empty() {
            return;
        }
        let removed = blocking(move || Ok(stored.iter().filter(|path| is_removed(path)).count()));
        if let Ok(files) = removed.await {
            self.status.lock().files_removed += files as u64;
        }
    }

    async fn give_up_leftover(&mut self) {
        let now = clock::mono();
        if !self.backoff.wait(now).is_zero() || !self.giving_up.wait(now).is_zero() {
            return;
        }
        let Some(begun) = self.sender.unfinished().take_left() else { return };
        let given_up = if begun.store == self.sender.store.name() {
            self.sender.store.give_up(&Key::from(begun.key.as_str()), &begun.id).await
        } else {
            // Of a store that is no longer ours: its own rules for parts have to do.
            Ok(())
        };
        let ended = given_up.and_then(|()| self.sender.unfinished().end(&begun.id));
        match ended {
            Ok(()) => self.giving_up.succeeded(),
            Err(error) => {
                tracing::warn!(%error, key = %begun.key, "parts of an upload that was cut short are not given up yet");
                self.sender.unfinished().leave(&begun.id);
                self.giving_up.failed(clock::mono(), random());
            }
        }
    }

    fn report(&self) {
        self.status.lock().backlog = self.backlog.sum(clock::mono());
    }
}

/// Whether it went by this.
fn is_removed(path: &Path) -> bool {
    remove(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "a recording that is uploaded stays");
        false
    })
}

fn remove(path: &Path) -> Result<bool, Error> {
    if recordings::is_pinned(path) {
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::Mutex;
    use std::sync::mpsc::{self, Receiver};

    use protocol::config::UploaderConfig;
    use protocol::secret::Secret;
    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::pace::Pace;
    use crate::store::Store;
    use crate::unfinished::{Begun, Unfinished};

    /// Of a store where nobody listens.
    const NOBODY: &str = "http://127.0.0.1:1";

    /// Two uploads of an earlier life are known.
    fn engine(dir: &Path, endpoint: &str) -> Engine {
        let config = UploaderConfig {
            endpoint: Some(endpoint.parse().unwrap()),
            credentials: Some(Secret::new("key:secret")),
            ..UploaderConfig::of(dir.to_owned(), "s3://cameras".parse().unwrap())
        };
        let store = Store::open(&config).unwrap();
        let path = dir.join("upload.json");
        let mut earlier = Unfinished::load(path.clone()).unwrap();
        for id in ["1", "2"] {
            let (store, key) = (store.name().to_owned(), id.to_owned());
            earlier.begin(Begun { store, key, id: id.to_owned() }).unwrap();
        }
        let unfinished = Unfinished::load(path).unwrap();
        let (pace, unfinished) = (Mutex::new(Pace::new(None)), Mutex::new(unfinished));
        Engine {
            sender: Arc::new(Sender { store, pace, unfinished }),
            status: Arc::default(),
            stop: Arc::default(),
            parallel: 4,
            begins: MonoNs::default(),
            looker: None,
            backlog: Backlog::default(),
            backoff: Backoff::default(),
            giving_up: Backoff::default(),
        }
    }

    fn left(engine: &Engine) -> Vec<String> {
        let next = || engine.sender.unfinished().take_left();
        std::iter::from_fn(next).map(|begun| begun.id).collect()
    }

    /// Begins uploads in parts, and lets go of none; tells what it was asked.
    fn store() -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
                let line = head.next().unwrap();
                assert!(head.any(|line| line.is_empty()));
                let begun = "<InitiateMultipartUploadResult><UploadId>new</UploadId></InitiateMultipartUploadResult>";
                let (status, body) =
                    if line.starts_with("POST") { ("200 OK", begun) } else { ("403 No", "") };
                tell.send(line).unwrap();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        (endpoint, told)
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn parts_that_a_store_does_not_let_go_of_hold_up_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = engine(dir.path(), NOBODY);
        runtime().block_on(engine.give_up_leftover());
        assert!(engine.giving_up.is_in_trouble() && !engine.backoff.is_in_trouble());
        assert_eq!(left(&engine), ["2", "1"], "the other one is next");
    }

    #[test]
    fn an_upload_whose_file_cannot_be_read_is_given_up_until_the_store_lets_go_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (endpoint, told) = store();
        let engine = engine(dir.path(), &endpoint);
        // It opens, and no byte of it can be read.
        let unreadable = Arc::new(File::open(dir.path()).unwrap());
        let (key, bytes) = (Key::from("cam1/x.mp4"), 9 << 20);
        let sent = engine.sender.transfer(&key, "00", &unreadable, dir.path(), bytes);
        let error = runtime().block_on(sent).unwrap_err();
        assert!(!error.is_of_store(), "{error}");
        let asked: Vec<String> = told.try_iter().collect();
        assert!(asked.iter().any(|line| line.starts_with("DELETE")), "{asked:?}");
        assert_eq!(left(&engine), ["1", "2", "new"], "this life tries again");
    }

    #[test]
    fn uploads_that_fail_together_are_one_failure() {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = engine(dir.path(), NOBODY);
        let now = MonoNs(1);
        (0..10).for_each(|_| engine.trouble(&Error::Store("away".to_owned()), now));
        let wait = engine.backoff.wait(now);
        assert!(wait < Duration::from_secs(2), "{wait:?}");
    }
}
