//! `test:?mode=loop`: one minute of the pattern, encoded once for all cameras of the same kind,
//! kept in a cache, and replayed with times that go on.
//!
//! ```text
//! Waiting ──lock free──> Building ──60 s encoded, renamed──> Playing
//!    │ └────────── the file is there ─────────────────────────^ │
//!    └<─────────── the file is damaged: it goes ────────────────┘
//! ```

mod minute;
mod player;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use protocol::config::ingest::TestPattern;
use shmring::clock;
use worker::Fault;

use crate::pattern;
use crate::source::Event;
use crate::test_source::PatternEncoder;
use minute::{Draft, Minute};
use player::Player;

const LOOP_SECONDS: u64 = 60;
/// One turn of encoding, well below a step's length.
const TURN: Duration = Duration::from_millis(50);

/// Replays the cached minute, and encodes it first when it is not there.
#[derive(Debug)]
pub(crate) struct LoopSource {
    wanted: TestPattern,
    path: PathBuf,
    /// Pictures played before this one was opened: times go on over damage.
    played: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    Building(Box<Builder>),
    Playing(Box<Player>),
}

impl LoopSource {
    pub(crate) fn open(wanted: &TestPattern) -> Result<Self, Fault> {
        Self::open_in(&cache_folder(), wanted)
    }

    fn open_in(folder: &Path, wanted: &TestPattern) -> Result<Self, Fault> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| cache_fault(folder, &error))?;
        check_owner(folder).map_err(|error| cache_fault(folder, &error))?;
        let path = folder.join(file_name(wanted));
        let mut source = Self { wanted: *wanted, path, played: 0, state: State::Waiting };
        source.play_or_build()?;
        Ok(source)
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        match &mut self.state {
            State::Playing(player) => match player.next(wait) {
                Ok(event) => Ok(event),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    self.played = player.played();
                    self.state = State::Waiting;
                    self.forget(&error)?;
                    Ok(Event::Preparing("the cached loop is damaged".to_owned()))
                }
                Err(error) => Err(cache_fault(&self.path, &error)),
            },
            State::Building(builder) => match builder.encode_a_turn(&self.path)? {
                Progress::Done => {
                    self.state = State::Waiting;
                    self.play_or_build()?;
                    Ok(Event::Quiet)
                }
                Progress::Percent(percent) => {
                    Ok(Event::Preparing(format!("encoding the loop once, {percent} % done")))
                }
            },
            State::Waiting => {
                thread::sleep(wait);
                self.play_or_build()?;
                Ok(Event::Preparing("another ingest is encoding the same loop".to_owned()))
            }
        }
    }

    fn play_or_build(&mut self) -> Result<(), Fault> {
        if self.play()? {
            return Ok(());
        }
        let lock = Builder::lock(&self.path).map_err(|error| cache_fault(&self.path, &error))?;
        let Some(lock) = lock else {
            return Ok(());
        };
        // Whoever held the lock a moment ago may have finished in between.
        if self.play()? {
            return Ok(());
        }
        self.state = State::Building(Box::new(Builder::begin(&self.wanted, &self.path, lock)?));
        Ok(())
    }

    /// Whether it plays: not when there is no file, or one that is damaged, which goes.
    fn play(&mut self) -> Result<bool, Fault> {
        match Minute::open(&self.path) {
            Ok(minute) => {
                let player = Player::new(minute, &self.wanted, self.played);
                self.state = State::Playing(Box::new(player));
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                self.forget(&error)?;
                Ok(false)
            }
            Err(error) => Err(cache_fault(&self.path, &error)),
        }
    }

    /// Another ingest may have found the same damage, and put a whole file in its place already.
    fn forget(&self, why: &io::Error) -> Result<(), Fault> {
        if Minute::is_sound(&self.path) {
            return Ok(());
        }
        tracing::warn!("{}: {why}; it is encoded again", self.path.display());
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(cache_fault(&self.path, &error))
            }
            _ => Ok(()),
        }
    }
}

/// Encodes into a temporary name, a turn at a time.
#[derive(Debug)]
struct Builder {
    encoder: PatternEncoder,
    temporary: PathBuf,
    draft: Draft,
    number: u64,
    total: u64,
    /// Held until the file has its name; the kernel frees it when this process dies.
    _lock: File,
}

enum Progress {
    Percent(u64),
    Done,
}

impl Builder {
    /// `None` when another process is at it.
    fn lock(path: &Path) -> io::Result<Option<File>> {
        let file = File::create(path.with_extension("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn begin(wanted: &TestPattern, path: &Path, lock: File) -> Result<Self, Fault> {
        let temporary = path.with_extension("tmp");
        let draft = Draft::create(&temporary).map_err(|error| cache_fault(&temporary, &error))?;
        Ok(Self {
            encoder: PatternEncoder::open(wanted).map_err(Fault::unavailable)?,
            temporary,
            draft,
            number: 0,
            total: LOOP_SECONDS * u64::from(wanted.fps),
            _lock: lock,
        })
    }

    fn encode_a_turn(&mut self, path: &Path) -> Result<Progress, Fault> {
        let deadline = clock::mono() + TURN;
        while self.number < self.total {
            if clock::mono() >= deadline {
                // Tens only: each change is a message to the supervisor.
                return Ok(Progress::Percent(self.number * 10 / self.total * 10));
            }
            let unit = self.encoder.encode(self.number).map_err(Fault::failed)?;
            self.number += 1;
            self.draft
                .add(&unit, || self.encoder.track().extradata)
                .map_err(|error| cache_fault(&self.temporary, &error))?;
        }
        self.draft
            .finish()
            .and_then(|()| fs::rename(&self.temporary, path))
            .map_err(|error| cache_fault(path, &error))?;
        Ok(Progress::Done)
    }
}

/// Every parameter that changes a byte is in the name.
fn file_name(wanted: &TestPattern) -> String {
    format!(
        "test-v{}-{}-{}fps-gop{}-{}bps-{}-{LOOP_SECONDS}s.loop",
        pattern::VERSION,
        wanted.size,
        wanted.fps,
        wanted.gop,
        wanted.bitrate.0,
        wanted.picture.as_str()
    )
}

/// XDG base directories, else the temporary folder: a cache may be lost at any time.
fn cache_folder() -> PathBuf {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("framevisor")
}

/// In a temporary folder another user may have made ours first, to plant what we would write to.
fn check_owner(folder: &Path) -> io::Result<()> {
    let ours = fs::metadata("/proc/self")?.uid();
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == ours {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it belongs to user {}, expected a folder of user {ours}",
        found.uid()
    )))
}

fn cache_fault(path: &Path, error: &io::Error) -> Fault {
    Fault::unavailable(format!(
        "{}: {error}; expected a place for the encoded loop: set XDG_CACHE_HOME to a writable folder",
        path.display()
    ))
}

#[cfg(test)]
mod tests;
