//! Rows back into what files say.

use protocol::time::UtcNs;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, params};

use super::fill::StoredRead;
use super::{Index, IndexError};
use crate::error::Error;
use crate::facts::{Facts, Fragment};
use crate::folder::Entry;
use crate::gap::{Gap, GapReason};
use crate::outline::Outline;
use crate::packet_id::PacketId;
use crate::timeline::Range;

/// Columns of a fragment and of a gap, in the order in which they are read and written.
pub(super) const FRAGMENT: &str =
    "at_bytes, bytes, epoch, first, last, recorded, from_utc_ns, to_utc_ns, key, flags";
pub(super) const GAP: &str = "from_utc_ns, to_utc_ns, missing, reason, before_epoch, before_sequence, after_epoch, after_sequence";

/// A file as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) modified_ns: u64,
    pub(super) whole_bytes: u64,
    pub(super) is_damaged: bool,
}

/// What a file holds: by the index when that knows it as it is now, else by its headers.
pub fn facts(index: Option<&Index>, camera: &str, entry: &Entry) -> Result<Facts, Error> {
    // An index that cannot be read is as none.
    let known = index.and_then(|index| index.facts(camera, entry).ok().flatten());
    known.map_or_else(|| Facts::read(&entry.path), Ok)
}

impl Index {
    /// What it knows of a file, when that has not changed since.
    pub fn facts(&self, camera: &str, entry: &Entry) -> Result<Option<Facts>, IndexError> {
        self.facts_of(camera, entry).map_err(self.failed())
    }

    fn facts_of(&self, camera: &str, entry: &Entry) -> rusqlite::Result<Option<Facts>> {
        let mut statement = self.db.prepare_cached(
            "SELECT c.id, s.ring, s.whole_bytes, s.damage FROM segments s JOIN cameras c ON c.id = s.camera
             WHERE c.name = ?1 AND s.number = ?2 AND s.bytes = ?3 AND s.modified_ns = ?4
               AND (s.whole_bytes = s.bytes OR s.damage IS NOT NULL)",
        )?;
        let number = entry.number.cast_signed();
        let (bytes, modified_ns) = (entry.bytes, entry.modified_ns);
        let values = params![camera, number, bytes.cast_signed(), modified_ns.cast_signed()];
        let found = statement.query_row(values, |row| {
            let ring: Option<String> = row.get(1)?;
            let whole_bytes = unsigned(row, 2)?;
            let damage = row.get(3)?;
            let ring = ring.and_then(|ring| ring.parse().ok());
            let fragments = Vec::new();
            Ok((row.get(0)?, Facts { ring, fragments, bytes, modified_ns, whole_bytes, damage }))
        });
        let Some((camera, mut facts)): Option<(i64, Facts)> = found.optional()? else {
            return Ok(None);
        };
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT {FRAGMENT} FROM fragments WHERE camera = ?1 AND number = ?2 ORDER BY at_bytes"
        ))?;
        let rows = statement.query_map([camera, number], fragment_of)?;
        facts.fragments = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Some(facts))
    }

    /// What it knows of a camera's files, oldest first.
    pub(super) fn known(&self, camera: &str) -> Result<Vec<Known>, IndexError> {
        let read = || {
            let mut statement = self.db.prepare_cached(
                "SELECT s.number, s.bytes, s.modified_ns, s.whole_bytes, s.damage IS NOT NULL
                 FROM segments s JOIN cameras c ON c.id = s.camera WHERE c.name = ?1 ORDER BY s.number",
            )?;
            statement.query_map([camera], known_of)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed())
    }

    /// What it knows of one file.
    pub(super) fn known_file(
        &self,
        camera: &str,
        number: u64,
    ) -> Result<Option<Known>, IndexError> {
        let read = || {
            let mut statement = self.db.prepare_cached(
                "SELECT s.number, s.bytes, s.modified_ns, s.whole_bytes, s.damage IS NOT NULL
                 FROM segments s JOIN cameras c ON c.id = s.camera WHERE c.name = ?1 AND s.number = ?2",
            )?;
            statement.query_row(params![camera, number.cast_signed()], known_of).optional()
        };
        read().map_err(self.failed())
    }

    /// When a camera was recorded; `None` when it does not know it.
    pub(crate) fn outline(
        &self,
        camera: &str,
        range: Range,
    ) -> Result<Option<Outline>, IndexError> {
        self.outline_of(camera, range).map_err(self.failed())
    }

    fn outline_of(&self, camera: &str, range: Range) -> rusqlite::Result<Option<Outline>> {
        let mut statement = self.db.prepare_cached(
            "SELECT c.id, count(s.number), coalesce(sum(s.bytes), 0), min(s.from_utc_ns), max(s.to_utc_ns)
             FROM cameras c LEFT JOIN segments s ON s.camera = c.id WHERE c.name = ?1 GROUP BY c.id",
        )?;
        let time = |row: &Row<'_>, column: usize| {
            row.get::<_, Option<i64>>(column).map(|ns| ns.map(|ns| UtcNs(ns.cast_unsigned())))
        };
        let totals = statement.query_row([camera], |row| {
            let (files, bytes) = (unsigned(row, 1)?, unsigned(row, 2)?);
            let (from, to) = (time(row, 3)?, time(row, 4)?);
            Ok((row.get::<_, i64>(0)?, Outline { files, bytes, from, to, ..Outline::default() }))
        });
        let Some((id, mut outline)) = totals.optional()? else { return Ok(None) };
        let limit = |time: UtcNs| i64::try_from(time.0).unwrap_or(i64::MAX);
        let (since, until) = (limit(range.from), limit(range.to));
        let mut statement = self.db.prepare_cached(
            "SELECT from_utc_ns, to_utc_ns FROM segments
             WHERE camera = ?1 AND to_utc_ns > ?2 AND from_utc_ns < ?3 ORDER BY number",
        )?;
        let file = |row: &Row<'_>| Ok((UtcNs(unsigned(row, 0)?), UtcNs(unsigned(row, 1)?)));
        let files: Vec<(UtcNs, UtcNs)> =
            statement.query_map([id, since, until], file)?.collect::<rusqlite::Result<_>>()?;
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT {GAP} FROM gaps WHERE camera = ?1
             AND max(from_utc_ns, to_utc_ns) > ?2 AND min(from_utc_ns, to_utc_ns) < ?3
             ORDER BY number, at_bytes"
        ))?;
        let gaps = statement.query_map([id, since, until], gap_of)?;
        let gaps = gaps.collect::<rusqlite::Result<Vec<_>>>()?;
        outline.gaps = gaps.into_iter().flatten().collect();
        outline.ranges = Outline::ranges_of(&files, &outline.gaps);
        Ok(Some(outline))
    }

    /// Ids and names.
    pub(super) fn cameras(&self) -> Result<Vec<(i64, String)>, IndexError> {
        let read = || {
            let mut statement = self.db.prepare("SELECT id, name FROM cameras ORDER BY name")?;
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed())
    }

    /// Length and time of the comments of a camera when they were read.
    pub(super) fn comments_read(&self, camera: &str) -> Result<(u64, u64), IndexError> {
        let read = || {
            let mut statement = self.db.prepare_cached(
                "SELECT comments_bytes, comments_modified_ns FROM cameras WHERE name = ?1",
            )?;
            let row = |row: &Row<'_>| Ok((unsigned(row, 0)?, unsigned(row, 1)?));
            statement.query_row([camera], row).optional()
        };
        read().map(Option::unwrap_or_default).map_err(self.failed())
    }

    /// How far the uploads of a camera were read.
    pub(super) fn uploads_read(&self, camera: &str) -> Result<StoredRead, IndexError> {
        let read = || {
            let mut statement = self.db.prepare_cached(
                "SELECT uploads_inode, uploads_bytes FROM cameras WHERE name = ?1",
            )?;
            let row = |row: &Row<'_>| {
                Ok(StoredRead { inode: unsigned(row, 0)?, bytes: unsigned(row, 1)? })
            };
            statement.query_row([camera], row).optional()
        };
        read().map(Option::unwrap_or_default).map_err(self.failed())
    }

    /// Every row as text, with names in place of ids: two indexes of the same files say the same.
    pub fn dump(&self) -> Result<Vec<String>, IndexError> {
        let tables = ["segments", "fragments", "gaps", "comments", "uploads"];
        let read = |table: &str| {
            let mut statement = self.db.prepare(&format!(
                "SELECT '{table}', c.name, t.* FROM {table} t JOIN cameras c ON c.id = t.camera ORDER BY 2, 4, 5"
            ))?;
            let columns = statement.column_count();
            let line = |row: &Row<'_>| -> rusqlite::Result<String> {
                // The third is the id.
                let kept = (0..columns).filter(|&column| column != 2);
                let texts: rusqlite::Result<Vec<String>> =
                    kept.map(|column| Ok(text_of(row.get_ref(column)?))).collect();
                Ok(texts?.join("|"))
            };
            statement.query_map([], line)?.collect::<rusqlite::Result<Vec<String>>>()
        };
        let mut lines = Vec::new();
        for table in tables {
            lines.extend(read(table).map_err(self.failed())?);
        }
        Ok(lines)
    }
}

fn text_of(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "-".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// `None` for a reason of another version.
fn gap_of(row: &Row<'_>) -> rusqlite::Result<Option<Gap>> {
    let reason: String = row.get(3)?;
    let Some(reason) = GapReason::ALL.into_iter().find(|it| it.as_str() == reason) else {
        return Ok(None);
    };
    let id = |epoch, sequence| -> rusqlite::Result<PacketId> {
        Ok(PacketId { epoch: unsigned(row, epoch)?, sequence: unsigned(row, sequence)? })
    };
    Ok(Some(Gap {
        from: UtcNs(unsigned(row, 0)?),
        to: UtcNs(unsigned(row, 1)?),
        missing: unsigned(row, 2)?,
        reason,
        before: id(4, 5)?,
        after: id(6, 7)?,
    }))
}

fn known_of(row: &Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known {
        number: unsigned(row, 0)?,
        bytes: unsigned(row, 1)?,
        modified_ns: unsigned(row, 2)?,
        whole_bytes: unsigned(row, 3)?,
        is_damaged: row.get(4)?,
    })
}

/// A row of the columns [`FRAGMENT`].
pub(super) fn fragment_of(row: &Row<'_>) -> rusqlite::Result<Fragment> {
    let flags: i64 = row.get(9)?;
    Ok(Fragment {
        at_bytes: unsigned(row, 0)?,
        bytes: unsigned(row, 1)?,
        epoch: unsigned(row, 2)?,
        first: unsigned(row, 3)?,
        last: unsigned(row, 4)?,
        recorded: unsigned(row, 5)?,
        capture: UtcNs(unsigned(row, 6)?),
        end: UtcNs(unsigned(row, 7)?),
        key: row.get::<_, Option<i64>>(8)?.map(i64::cast_unsigned),
        discontinuity: flags & 1 != 0,
        camera_clock: flags & 2 != 0,
        paused: flags & 4 != 0,
    })
}
