//! The tables. Another version of them is another index, made anew from the files.

/// `PRAGMA application_id`: "fvix".
pub(super) const APPLICATION: i32 = 0x6676_6978;
/// `PRAGMA user_version`.
pub(super) const VERSION: i32 = 3;

/// Small: what is not here is read from the file, and a recorder has better uses for its memory. Rollback
/// journal and full syncs: see `docs/recording.md`, Index.
pub(super) const FOR_WRITING: &str = "
PRAGMA journal_mode = TRUNCATE;
PRAGMA synchronous = FULL;
PRAGMA cache_size = -256;
PRAGMA temp_store = MEMORY;
PRAGMA mmap_size = 0;
PRAGMA trusted_schema = OFF;
";

pub(super) const FOR_READING: &str = "
PRAGMA cache_size = -1024;
PRAGMA mmap_size = 0;
PRAGMA trusted_schema = OFF;
PRAGMA query_only = ON;
";

/// All times are ns since 1970, UTC.
pub(super) const TABLES: &str = "
-- Which index it is: a file made anew may have the inode of the one before.
CREATE TABLE made (name TEXT NOT NULL);
INSERT INTO made VALUES (lower(hex(randomblob(16))));
CREATE TABLE cameras (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- of comments.jsonl when it was read
    comments_bytes INTEGER NOT NULL DEFAULT 0,
    comments_modified_ns INTEGER NOT NULL DEFAULT 0,
    -- of uploads.jsonl: which file it was, and how far it was read
    uploads_inode INTEGER NOT NULL DEFAULT 0,
    uploads_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE segments (
    camera INTEGER NOT NULL,
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    ring TEXT,
    -- of the file when it was read
    bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    -- where its whole part ends
    whole_bytes INTEGER NOT NULL,
    from_utc_ns INTEGER,
    to_utc_ns INTEGER,
    packets INTEGER NOT NULL,
    damage TEXT,
    PRIMARY KEY (camera, number)
) WITHOUT ROWID;
CREATE INDEX segments_by_time ON segments (camera, from_utc_ns);
CREATE TABLE fragments (
    camera INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at_bytes INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    from_utc_ns INTEGER NOT NULL,
    to_utc_ns INTEGER NOT NULL,
    -- sequence of the key frame it begins with
    key INTEGER,
    -- bit 0: discontinuity, bit 1: the camera's own clock, bit 2: paused
    flags INTEGER NOT NULL,
    PRIMARY KEY (camera, number, at_bytes)
) WITHOUT ROWID;
-- In front of the fragment with this place.
CREATE TABLE gaps (
    camera INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at_bytes INTEGER NOT NULL,
    from_utc_ns INTEGER NOT NULL,
    to_utc_ns INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    reason TEXT NOT NULL,
    before_epoch INTEGER NOT NULL,
    before_sequence INTEGER NOT NULL,
    after_epoch INTEGER NOT NULL,
    after_sequence INTEGER NOT NULL,
    PRIMARY KEY (camera, number, at_bytes)
) WITHOUT ROWID;
CREATE TABLE comments (
    camera INTEGER NOT NULL,
    id INTEGER NOT NULL,
    made_utc_ns INTEGER NOT NULL,
    utc_ns INTEGER NOT NULL,
    ring TEXT,
    epoch INTEGER,
    sequence INTEGER,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    -- a JSON list of strings
    tags TEXT NOT NULL,
    PRIMARY KEY (camera, id)
) WITHOUT ROWID;
CREATE INDEX comments_by_time ON comments (camera, utc_ns);
-- Where the stores of uploaders have a segment.
CREATE TABLE uploads (
    camera INTEGER NOT NULL,
    number INTEGER NOT NULL,
    url TEXT NOT NULL,
    -- of the store; empty for Amazon's
    endpoint TEXT NOT NULL,
    -- of the file when it was sent
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    at_utc_ns INTEGER NOT NULL,
    PRIMARY KEY (camera, number, url, endpoint)
) WITHOUT ROWID;
CREATE VIEW objects AS
    SELECT c.name AS camera, s.file, s.from_utc_ns, s.to_utc_ns, u.url, u.endpoint, u.bytes, u.sha256, u.at_utc_ns
    FROM uploads u
    JOIN segments s ON s.camera = u.camera AND s.number = u.number
    JOIN cameras c ON c.id = u.camera
    -- One that was changed since is sent again.
    WHERE s.bytes = u.bytes;
CREATE VIEW key_frames AS
    SELECT c.name AS camera, s.file, s.ring, f.epoch, f.key AS sequence, f.from_utc_ns AS utc_ns, f.at_bytes
    FROM fragments f
    JOIN segments s ON s.camera = f.camera AND s.number = f.number
    JOIN cameras c ON c.id = f.camera
    WHERE f.key IS NOT NULL;
";
