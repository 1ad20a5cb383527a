//! Rows from what files say. Everything here is a function of the files: read once more, it is the same.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::look::{FRAGMENT, GAP, fragment_of};
use super::{Index, IndexError};
use crate::comments::Comment;
use crate::facts::{Facts, Fragment};
use crate::gap::Gap;
use crate::uploads::Upload;

/// What one file says, or what was added to it.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) camera: String,
    pub(super) number: u64,
    /// Name of the file.
    pub(super) file: String,
    /// The file up to there is in the index already, and has not changed.
    pub(super) from_bytes: Option<u64>,
    pub(super) facts: Facts,
}

/// A file that is no more.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) camera: String,
    pub(super) number: u64,
}

/// The comments of a camera, with length and time of the file that has them.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) camera: String,
    pub(super) comments: Vec<Comment>,
    pub(super) bytes: u64,
    pub(super) modified_ns: u64,
}

/// What was noted of a camera's uploads, or what was added to it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) camera: String,
    /// In the order in which it was noted.
    pub(super) uploads: Vec<Upload>,
    /// It goes on where the index ends; else it is all there is.
    pub(super) goes_on: bool,
    pub(super) read: StoredRead,
}

/// Which file of uploads was read, and how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StoredRead {
    pub(super) inode: u64,
    pub(super) bytes: u64,
}

/// What is written at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    pub(super) readings: Vec<Reading>,
    pub(super) gone: Vec<Gone>,
    pub(super) said: Vec<Said>,
    pub(super) stored: Vec<Stored>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.readings.is_empty()
            && self.gone.is_empty()
            && self.said.is_empty()
            && self.stored.is_empty()
    }
}

impl Index {
    /// All of it or nothing; durable when it returns.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), IndexError> {
        let failed = self.failed();
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate);
        let tx = tx.map_err(&failed)?;
        write(&tx, batch).map_err(&failed)?;
        tx.commit().map_err(&failed)
    }

    /// Removes the rows of cameras whose directories are gone.
    pub(super) fn forget_cameras(
        &mut self,
        is_gone: impl Fn(&str) -> bool,
    ) -> Result<(), IndexError> {
        let failed = self.failed();
        let cameras = self.cameras()?;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate);
        let tx = tx.map_err(&failed)?;
        for (id, _) in cameras.iter().filter(|(_, name)| is_gone(name)) {
            for table in ["segments", "fragments", "gaps", "comments", "uploads"] {
                let statement = format!("DELETE FROM {table} WHERE camera = ?1");
                tx.execute(&statement, [id]).map_err(&failed)?;
            }
            tx.execute("DELETE FROM cameras WHERE id = ?1", [id]).map_err(&failed)?;
        }
        tx.commit().map_err(&failed)
    }
}

fn write(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    for gone in &batch.gone {
        let camera = camera_id(tx, &gone.camera)?;
        forget(tx, camera, gone.number.cast_signed())?;
    }
    for reading in &batch.readings {
        let camera = camera_id(tx, &reading.camera)?;
        put(tx, camera, reading)?;
    }
    for said in &batch.said {
        let camera = camera_id(tx, &said.camera)?;
        put_comments(tx, camera, said)?;
    }
    for stored in &batch.stored {
        let camera = camera_id(tx, &stored.camera)?;
        put_uploads(tx, camera, stored)?;
    }
    Ok(())
}

fn camera_id(tx: &Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
    tx.prepare_cached("INSERT INTO cameras (name) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([name])?;
    tx.prepare_cached("SELECT id FROM cameras WHERE name = ?1")?.query_row([name], |row| row.get(0))
}

fn forget(tx: &Transaction<'_>, camera: i64, number: i64) -> rusqlite::Result<()> {
    clear(tx, camera, number)?;
    tx.prepare_cached("DELETE FROM segments WHERE camera = ?1 AND number = ?2")?
        .execute([camera, number])?;
    settle_behind(tx, camera, number)
}

fn clear(tx: &Transaction<'_>, camera: i64, number: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM fragments WHERE camera = ?1 AND number = ?2")?
        .execute([camera, number])?;
    tx.prepare_cached("DELETE FROM gaps WHERE camera = ?1 AND number = ?2")?
        .execute([camera, number])?;
    Ok(())
}

fn put(tx: &Transaction<'_>, camera: i64, reading: &Reading) -> rusqlite::Result<()> {
    let number = reading.number.cast_signed();
    let before = match reading.from_bytes {
        Some(_) => last_fragment(tx, camera, number)?,
        None => {
            clear(tx, camera, number)?;
            None
        }
    };
    let fragments = &reading.facts.fragments;
    let mut last = before;
    for fragment in fragments {
        put_fragment(tx, camera, number, fragment)?;
        if let Some(gap) = last.and_then(|last| Gap::between(&last, false, fragment)) {
            put_gap(tx, camera, number, fragment.at_bytes, &gap)?;
        }
        last = Some(*fragment);
    }
    put_segment(tx, camera, reading)?;
    settle(tx, camera, number)?;
    settle_behind(tx, camera, number)
}

/// The row of a file; of one that has grown the sum of what was known and what came.
fn put_segment(tx: &Transaction<'_>, camera: i64, reading: &Reading) -> rusqlite::Result<()> {
    let Reading { number, file, facts, .. } = reading;
    let ring = facts.ring.as_ref().map(|ring| ring.as_str().to_owned());
    let packets: u64 = facts.fragments.iter().map(|fragment| fragment.recorded).sum();
    tx.prepare_cached(
        "INSERT INTO segments (camera, number, file, ring, bytes, modified_ns, whole_bytes, damage, packets,
             from_utc_ns, to_utc_ns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET file = excluded.file, bytes = excluded.bytes,
             modified_ns = excluded.modified_ns, whole_bytes = excluded.whole_bytes, damage = excluded.damage,
             ring = iif(?12, ifnull(ring, excluded.ring), excluded.ring),
             packets = iif(?12, packets + excluded.packets, excluded.packets),
             from_utc_ns = iif(?12, ifnull(from_utc_ns, excluded.from_utc_ns), excluded.from_utc_ns),
             to_utc_ns = iif(?12, ifnull(excluded.to_utc_ns, to_utc_ns), excluded.to_utc_ns)",
    )?
    .execute(params![
        camera,
        number.cast_signed(),
        file,
        ring,
        facts.bytes.cast_signed(),
        facts.modified_ns.cast_signed(),
        facts.whole_bytes.cast_signed(),
        facts.damage,
        packets.cast_signed(),
        facts.fragments.first().map(|first| first.capture.0.cast_signed()),
        facts.fragments.last().map(|last| last.end.0.cast_signed()),
        reading.from_bytes.is_some(),
    ])?;
    Ok(())
}

fn put_fragment(
    tx: &Transaction<'_>,
    camera: i64,
    number: i64,
    fragment: &Fragment,
) -> rusqlite::Result<()> {
    let flags = i64::from(fragment.discontinuity)
        | i64::from(fragment.camera_clock) << 1
        | i64::from(fragment.paused) << 2;
    let statement = format!(
        "INSERT INTO fragments (camera, number, {FRAGMENT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    );
    tx.prepare_cached(&statement)?.execute(params![
        camera,
        number,
        fragment.at_bytes.cast_signed(),
        fragment.bytes.cast_signed(),
        fragment.epoch.cast_signed(),
        fragment.first.cast_signed(),
        fragment.last.cast_signed(),
        fragment.recorded.cast_signed(),
        fragment.capture.0.cast_signed(),
        fragment.end.0.cast_signed(),
        fragment.key.map(u64::cast_signed),
        flags,
    ])?;
    Ok(())
}

fn put_gap(
    tx: &Transaction<'_>,
    camera: i64,
    number: i64,
    at_bytes: u64,
    gap: &Gap,
) -> rusqlite::Result<()> {
    let statement = format!(
        "INSERT INTO gaps (camera, number, at_bytes, {GAP}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    tx.prepare_cached(&statement)?.execute(params![
        camera,
        number,
        at_bytes.cast_signed(),
        gap.from.0.cast_signed(),
        gap.to.0.cast_signed(),
        gap.missing.cast_signed(),
        gap.reason.as_str(),
        gap.before.epoch.cast_signed(),
        gap.before.sequence.cast_signed(),
        gap.after.epoch.cast_signed(),
        gap.after.sequence.cast_signed(),
    ])?;
    Ok(())
}

/// What is missing in front of a file: that depends on the one before it.
fn settle(tx: &Transaction<'_>, camera: i64, number: i64) -> rusqlite::Result<()> {
    let Some(first) = first_fragment(tx, camera, number)? else { return Ok(()) };
    tx.prepare_cached("DELETE FROM gaps WHERE camera = ?1 AND number = ?2 AND at_bytes = ?3")?
        .execute([camera, number, first.at_bytes.cast_signed()])?;
    let Some(Before { number: older, last, torn }) = before(tx, camera, number)? else {
        return Ok(());
    };
    let Some(gap) = Gap::between(&last, torn, &first) else { return Ok(()) };
    let gap = if is_whole(tx, camera, older, number)? { gap } else { gap.without_files() };
    put_gap(tx, camera, number, first.at_bytes, &gap)
}

/// Whether all files between two numbers are there.
fn is_whole(tx: &Transaction<'_>, camera: i64, from: i64, to: i64) -> rusqlite::Result<bool> {
    let there: i64 = tx
        .prepare_cached(
            "SELECT count(*) FROM segments WHERE camera = ?1 AND number > ?2 AND number <= ?3",
        )?
        .query_row([camera, from, to], |row| row.get(0))?;
    Ok(there == to - from)
}

/// The same for the next file that holds something.
fn settle_behind(tx: &Transaction<'_>, camera: i64, number: i64) -> rusqlite::Result<()> {
    let next: Option<i64> = tx
        .prepare_cached(
            "SELECT number FROM segments WHERE camera = ?1 AND number > ?2 AND from_utc_ns IS NOT NULL
             ORDER BY number LIMIT 1",
        )?
        .query_row([camera, number], |row| row.get(0))
        .optional()?;
    next.map_or(Ok(()), |next| settle(tx, camera, next))
}

/// What stands in front of a file.
struct Before {
    /// Of the file that holds it.
    number: i64,
    last: Fragment,
    /// Something behind it is damaged.
    torn: bool,
}

fn before(tx: &Transaction<'_>, camera: i64, number: i64) -> rusqlite::Result<Option<Before>> {
    let mut statement = tx.prepare_cached(
        "SELECT number, damage IS NOT NULL FROM segments WHERE camera = ?1 AND number < ?2
         ORDER BY number DESC",
    )?;
    let mut rows = statement.query([camera, number])?;
    let mut torn = false;
    while let Some(row) = rows.next()? {
        torn |= row.get::<_, bool>(1)?;
        let number = row.get(0)?;
        if let Some(last) = last_fragment(tx, camera, number)? {
            return Ok(Some(Before { number, last, torn }));
        }
    }
    Ok(None)
}

fn first_fragment(tx: &Transaction<'_>, camera: i64, number: i64) -> Found {
    one_fragment(tx, camera, number, "ORDER BY at_bytes ASC LIMIT 1")
}

fn last_fragment(tx: &Transaction<'_>, camera: i64, number: i64) -> Found {
    one_fragment(tx, camera, number, "ORDER BY at_bytes DESC LIMIT 1")
}

/// A fragment, when the file has any.
type Found = rusqlite::Result<Option<Fragment>>;

fn one_fragment(tx: &Transaction<'_>, camera: i64, number: i64, which: &str) -> Found {
    let query =
        format!("SELECT {FRAGMENT} FROM fragments WHERE camera = ?1 AND number = ?2 {which}");
    tx.prepare_cached(&query)?.query_row([camera, number], fragment_of).optional()
}

fn put_comments(tx: &Transaction<'_>, camera: i64, said: &Said) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM comments WHERE camera = ?1")?.execute([camera])?;
    for comment in &said.comments {
        put_comment(tx, camera, comment)?;
    }
    tx.prepare_cached(
        "UPDATE cameras SET comments_bytes = ?2, comments_modified_ns = ?3 WHERE id = ?1",
    )?
    .execute([camera, said.bytes.cast_signed(), said.modified_ns.cast_signed()])?;
    Ok(())
}

fn put_comment(tx: &Transaction<'_>, camera: i64, comment: &Comment) -> rusqlite::Result<()> {
    let remark = &comment.remark;
    let frame = remark.frame.as_ref();
    tx.prepare_cached(
        "INSERT INTO comments (camera, id, made_utc_ns, utc_ns, ring, epoch, sequence, author, text, tags)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        camera,
        comment.id.cast_signed(),
        comment.made_utc_ns.0.cast_signed(),
        remark.utc_ns.0.cast_signed(),
        frame.map(|frame| frame.ring.as_str().to_owned()),
        frame.map(|frame| frame.epoch.cast_signed()),
        frame.map(|frame| frame.sequence.cast_signed()),
        remark.author,
        remark.text,
        serde_json::Value::from(remark.tags.clone()).to_string(),
    ])?;
    Ok(())
}

fn put_uploads(tx: &Transaction<'_>, camera: i64, stored: &Stored) -> rusqlite::Result<()> {
    if !stored.goes_on {
        tx.prepare_cached("DELETE FROM uploads WHERE camera = ?1")?.execute([camera])?;
    }
    for upload in &stored.uploads {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO uploads (camera, number, url, endpoint, bytes, sha256, at_utc_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            camera,
            upload.number.cast_signed(),
            upload.url,
            upload.endpoint.as_deref().unwrap_or_default(),
            upload.bytes.cast_signed(),
            upload.sha256,
            upload.at_utc_ns.0.cast_signed(),
        ])?;
    }
    tx.prepare_cached("UPDATE cameras SET uploads_inode = ?2, uploads_bytes = ?3 WHERE id = ?1")?
        .execute([camera, stored.read.inode.cast_signed(), stored.read.bytes.cast_signed()])?;
    Ok(())
}
