//! What recorders have written, for all that read it: lists, timelines, exports, playback.
//!
//! What belongs here: names, the files of a camera and what they hold, what is missing between them.
//! What does not: boxes (`fmp4`), rings, and writing recordings (`recorder`). A recorder may write a
//! directory while it is read here. `docs/recording.md` has the rules.
//!
//! ```text
//! DIR/CAMERA ── list ──> Entry ── Facts::read ──> Fragment* ──> Timeline: spans, gaps
//!                                (headers only)                     ├── samples ──> Sample*, payloads
//!                                                                   ├── cut::Footage ─┐
//!                                                                   └── Reel: segments ┴─> Strip: bytes
//! ```
#![forbid(unsafe_code)]

mod comments;
pub mod cut;
mod error;
mod facts;
mod file;
mod file_name;
mod folder;
mod gap;
mod hold;
pub mod index;
mod lines;
mod marks;
mod outline;
mod packet_id;
mod reel;
mod samples;
mod strip;
mod timeline;
mod unread;
mod upload_status;
mod uploads;
mod window;

/// Plays several videos on one clock: an ES module, for pages that show recordings.
pub const SYNC_SCRIPT: &str = include_str!("../page/sync.js");

pub use comments::{
    Comment, Remark, add_comment, comments, comments_file, forget_comments, remove_comment,
};
pub use error::Error;
pub use facts::{Facts, Fragment};
pub use file::{Fragments, RecordingFile};
pub use file_name::FileName;
pub use folder::{
    Entry, LOCK_FILE, Named, is_pinned, is_written, list, named, pin, pin_of, pinned,
};
pub use gap::{Gap, GapReason};
pub use hold::{Hold, claim, hold};
pub use marks::{forget_marks, mark, marks};
pub use outline::Outline;
pub use packet_id::PacketId;
pub use reel::{Growth, Init, Reel, Segment};
pub use samples::{Sample, Samples};
pub use strip::{Shown, Stretch, Strip, StripReader, file_name, pictures};
pub use timeline::{Range, Span, Timeline, TimelineFragment};
pub use unread::Unread;
pub use upload_status::UploadStatus;
pub use uploads::{Upload, add_upload, forget_uploads, uploads, uploads_file};
