//! Files that are complete and safe, from the threads that write them to the one that tells of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::control::Happening;
use protocol::name::RingName;
use protocol::time::UtcNs;
use recordings::{Facts, FileName, PacketId};
use serde_json::{Map, Value, json};
use worker::Context;

/// Told twice a second; so many at once are of a test, or of a supervisor that stands still.
const UNTOLD_MAX: usize = 1000;

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub path: PathBuf,
    pub bytes: u64,
    pub from: UtcNs,
    pub to: UtcNs,
    pub first: PacketId,
    pub last: PacketId,
}

impl Segment {
    /// By its headers; `None` when it holds nothing, or is gone.
    fn read(path: &Path) -> Option<Self> {
        let facts = Facts::read(path).ok()?;
        let (first, last) = (facts.fragments.first()?, facts.fragments.last()?);
        Some(Self {
            path: path.to_owned(),
            bytes: facts.bytes,
            from: first.capture,
            to: last.end,
            first: first.first_id(),
            last: last.last_id(),
        })
    }

    /// What programs are told.
    fn data(&self, ring: &RingName) -> Map<String, Value> {
        let id = |id: PacketId| json!({"ring": ring, "epoch": id.epoch, "sequence": id.sequence});
        let data = json!({
            "camera": ring.owner(),
            "path": self.path,
            "bytes": self.bytes,
            "from_utc_ns": self.from,
            "to_utc_ns": self.to,
            "first": id(self.first),
            "last": id(self.last),
        });
        data.as_object().cloned().unwrap_or_default()
    }
}

/// Those of one camera that nobody has been told of yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Segments(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    untold: Vec<Segment>,
    /// The highest number that was noted.
    noted: u64,
}

impl Segments {
    /// Notes a file that nothing will change any more, once.
    pub(crate) fn complete(&self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(number) = name.and_then(FileName::number_in) else { return };
        if number <= self.state().noted {
            return;
        }
        let segment = Segment::read(path);
        let mut state = self.state();
        state.noted = number;
        if state.untold.len() < UNTOLD_MAX {
            state.untold.extend(segment);
        }
    }

    pub(crate) fn tell(&self, cx: &Context, ring: &RingName) {
        for segment in self.take() {
            let data = segment.data(ring);
            let why = format!("{}, {} bytes", segment.path.display(), segment.bytes);
            cx.happened_with(Happening::RecordingSegment, ring.owner(), &why, &data);
        }
    }

    pub fn take(&self) -> Vec<Segment> {
        std::mem::take(&mut self.state().untold)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
