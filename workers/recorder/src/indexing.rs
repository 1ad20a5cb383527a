//! The thread that keeps the index of the recorder's directory. Cameras leave notes and never wait for it:
//! a database that is locked, a disk that hangs, a million files to read again are its own trouble.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use recordings::index::{Found, IndexError, Indexer, Notes, Turn};
use shmring::clock;

/// Between turns while files are read again: nobody waits for that.
const WHILE_BUSY: Duration = Duration::from_millis(5);
/// Turns after the stop, for what was noted last. What is left is found at the next start.
const LAST_TURNS: usize = 8;

/// A running thread.
#[derive(Debug)]
pub struct Indexing {
    notes: Notes,
    trouble: Arc<Mutex<Option<String>>>,
    thread: JoinHandle<()>,
}

impl Indexing {
    /// Of the directory above those of the cameras. It is so far behind what is durable.
    pub fn begin(dir: &Path, behind: Duration) -> io::Result<Self> {
        let notes = Notes::new();
        let trouble = Arc::default();
        let keeper = Keeper {
            dir: dir.to_owned(),
            notes: notes.clone(),
            trouble: Arc::clone(&trouble),
            indexer: Indexer::new(dir),
            behind,
        };
        let thread = thread::Builder::new().name("index".to_owned()).spawn(|| keeper.run())?;
        Ok(Self { notes, trouble, thread })
    }

    /// For those who write and remove files.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Why the index is behind; `None` when it is not.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When all notes are left: puts them into the index, if that is to be had.
    pub fn end(self) {
        self.notes.end();
        if self.thread.join().is_err() {
            tracing::error!("the thread of the index panicked");
        }
    }
}

struct Keeper {
    dir: PathBuf,
    notes: Notes,
    trouble: Arc<Mutex<Option<String>>>,
    indexer: Indexer,
    behind: Duration,
}

impl Keeper {
    fn run(mut self) {
        let mut rest = self.behind;
        while !self.notes.wait(rest) {
            rest = if self.turn() { WHILE_BUSY } else { self.behind };
        }
        for _ in 0..LAST_TURNS {
            if !self.turn() {
                return;
            }
        }
    }

    /// Whether there is more to do at once.
    fn turn(&mut self) -> bool {
        let turn = self.indexer.turn(self.notes.take(), clock::mono());
        let why = match &turn {
            // The cameras say so themselves.
            Ok(_) | Err(IndexError::OtherDisk(_)) => None,
            Err(error) => Some(error.to_string()),
        };
        self.tell(why);
        let Ok(turn) = turn else { return false };
        self.tell_of(&turn);
        turn.more
    }

    fn tell(&self, why: Option<String>) {
        let mut shown = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown == why {
            return;
        }
        match &why {
            Some(why) => tracing::warn!(%why, "the index is behind the recordings"),
            None => tracing::info!("the index catches up with the recordings"),
        }
        *shown = why;
    }

    fn tell_of(&self, turn: &Turn) {
        let dir = self.dir.display();
        match turn.found {
            Some(Found::Unfit) => {
                tracing::warn!(%dir, "the index was unfit and is made anew from the files")
            }
            Some(Found::New) => tracing::info!(%dir, "an index is made from the files"),
            Some(Found::AsItWas) | None => {}
        }
        for error in &turn.unreadable {
            tracing::warn!(%error, "a recording cannot be read for the index");
        }
    }
}
