//! The index of a recorder's directory: `DIR/index.sqlite`, filled from the files and from nothing else,
//! so that it can be lost.
//!
//! A row of a file counts for a reader as long as length and time of the file are those it was read with;
//! otherwise the file itself is asked. So an index that lags, or is wrong about a file that was changed by
//! hand, makes an answer slow and never wrong.

mod fill;
mod indexer;
mod look;
mod notes;
mod schema;
mod survey;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

pub use indexer::{Indexer, Turn};
pub use look::facts;
pub use notes::{Noted, Notes};

/// In the recorder's directory, beside those of its cameras.
pub const INDEX_FILE: &str = "index.sqlite";
/// As recordings: the owner and a group, nobody else.
const FILE_MODE: u32 = 0o640;
/// Recording does not wait for it; another recorder of the directory may have it for some syncs.
const WRITER_WAITS: Duration = Duration::from_secs(5);
/// A commit takes a few syncs. A reader has the files too.
const READER_WAITS: Duration = Duration::from_millis(500);
/// More than there are; as compiled, each is some KiB.
const STATEMENTS_MAX: usize = 64;

/// Why there is no index at the moment.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{}: it is not on the disk where the recordings are written", .0.display())]
    OtherDisk(PathBuf),
    #[error(transparent)]
    Read(#[from] crate::Error),
    #[error("{}: {source}{}", path.display(), cure(source))]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

fn cure(source: &rusqlite::Error) -> &'static str {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; a program holds it, end that; recording goes on"
        }
        Some(ErrorCode::DiskFull) => "; free space there; recording is not held up by it",
        _ => "; recording goes on, and it is tried again",
    }
}

impl IndexError {
    /// Whether nothing but another index helps.
    fn is_unfit(&self) -> bool {
        let Self::Sqlite { source, .. } = self else { return false };
        let code = source.sqlite_error_code();
        matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }
}

/// Which directory or file it is, whatever its name: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub fn of(path: &Path) -> io::Result<Self> {
        let facts = fs::metadata(path)?;
        Ok(Self { device: facts.dev(), inode: facts.ino() })
    }
}

/// Which index it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    file: Identity,
    made: String,
}

/// How an index was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    AsItWas,
    /// There was none.
    New,
    /// It could not be read, or is of another version; it was thrown away.
    Unfit,
}

#[derive(Debug)]
pub struct Index {
    db: Connection,
    path: PathBuf,
    identity: Identity,
}

impl Index {
    /// For the one who fills it: what is unfit makes room for an empty one.
    pub fn open(root: &Path) -> Result<(Self, Found), IndexError> {
        let path = root.join(INDEX_FILE);
        match Self::open_or_make(&path) {
            Ok(found) => Ok(found),
            Err(error) if error.is_unfit() => {
                throw_away(&path)?;
                let (index, _) = Self::open_or_make(&path)?;
                Ok((index, Found::Unfit))
            }
            Err(error) => Err(error),
        }
    }

    /// For all others. `None` when there is none that can be read now: the files have it all.
    pub fn read(root: &Path) -> Option<Self> {
        let path = root.join(INDEX_FILE);
        let identity = Identity::of(&path).ok()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&path, flags).ok()?;
        db.busy_timeout(READER_WAITS).ok()?;
        db.execute_batch(schema::FOR_READING).ok()?;
        (version(&db).ok()? == Some(schema::VERSION)).then_some(Self { db, path, identity })
    }

    /// Told from all others, also from one that had this file's name and inode.
    fn name(&self) -> Result<Name, IndexError> {
        let made = self.db.query_row("SELECT name FROM made", [], |row| row.get(0));
        Ok(Name { file: self.identity, made: made.map_err(self.failed())? })
    }

    fn open_or_make(path: &Path) -> Result<(Self, Found), IndexError> {
        let mut found = if path.exists() { Found::AsItWas } else { Found::New };
        let mut options = OpenOptions::new();
        // SQLite would make it readable by all.
        let made = options.append(true).create(true).mode(FILE_MODE).open(path);
        made.map_err(|source| IndexError::File { doing: "open", path: path.to_owned(), source })?;
        let failed = |source| IndexError::Sqlite { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
        db.busy_timeout(WRITER_WAITS).map_err(failed)?;
        db.execute_batch(schema::FOR_WRITING).map_err(failed)?;
        // Statements are compiled once: neither for want of a place nor for the values that they are given.
        db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
        if version(&db).map_err(failed)? != Some(schema::VERSION) {
            if found == Found::AsItWas {
                found = Found::Unfit;
            }
            make(&mut db).map_err(failed)?;
        }
        let identity = Identity::of(path);
        let identity = identity.map_err(|source| IndexError::File {
            doing: "look at",
            path: path.to_owned(),
            source,
        })?;
        Ok((Self { db, path: path.to_owned(), identity }, found))
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> IndexError + use<> {
        let path = self.path.clone();
        move |source| IndexError::Sqlite { path: path.clone(), source }
    }
}

/// `None` when it is not one of ours, or empty.
fn version(db: &Connection) -> rusqlite::Result<Option<i32>> {
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let ours = number("application_id")? == schema::APPLICATION;
    Ok(ours.then_some(number("user_version")?))
}

/// Empties it of what another version made, and makes the tables. Another recorder may do the same.
fn make(db: &mut Connection) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&tx)? == Some(schema::VERSION) {
        return Ok(());
    }
    let old: Vec<(String, String)> = tx
        .prepare("SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (kind, name) in old {
        tx.execute_batch(&format!("DROP {kind} \"{}\"", name.replace('"', "\"\"")))?;
    }
    tx.execute_batch(schema::TABLES)?;
    tx.pragma_update(None, "application_id", schema::APPLICATION)?;
    tx.pragma_update(None, "user_version", schema::VERSION)?;
    tx.commit()
}

fn throw_away(path: &Path) -> Result<(), IndexError> {
    for path in [path.to_owned(), journal_of(path)] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(IndexError::File { doing: "remove", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn journal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-journal");
    name.into()
}
