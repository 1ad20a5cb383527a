//! How far it is: for its next life in the same run of the project.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use matching::Kept;
use protocol::name::RingName;
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

/// What was told longer ago than this is nothing to act on any more: who was away for an hour does not call the police
/// for what was then.
pub(crate) const FRESH: Duration = Duration::from_secs(60);

/// Epoch and sequence of the last record read.
pub(crate) type Place = (u64, u64);

/// Where a ring is begun with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Behind(Place),
    /// With what comes: what is in it is old.
    Now,
    /// With the oldest record: the ring was not there when the life before began.
    WithAll,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Notes {
    /// When it was written down.
    pub(crate) at: MonoNs,
    pub(crate) places: BTreeMap<RingName, Place>,
    pub(crate) events: Kept,
    /// Whether the places still count.
    pub(crate) is_fresh: bool,
}

impl Notes {
    /// Those of an earlier life, as far as they still count. Nothing that can be read is nothing.
    pub(crate) fn load(path: &Path, now: MonoNs) -> Self {
        let text = fs::read(path).unwrap_or_default();
        serde_json::from_slice::<Self>(&text).unwrap_or_default().resumed_at(now)
    }

    /// Of another boot nothing counts: its clock was another one.
    fn resumed_at(self, now: MonoNs) -> Self {
        if self.at > now {
            return Self::default();
        }
        if now.saturating_since(self.at) <= FRESH {
            return self;
        }
        if !self.places.is_empty() {
            tracing::warn!(
                "it was away for longer than a minute: what was told meanwhile is passed over"
            );
        }
        // What went on then is over now, which is to be told.
        Self { places: BTreeMap::new(), is_fresh: false, ..self }
    }

    /// Where to begin with a ring.
    pub(crate) fn begin(&self, ring: &RingName) -> Begin {
        match self.places.get(ring) {
            Some(place) => Begin::Behind(*place),
            None if self.is_fresh => Begin::WithAll,
            None => Begin::Now,
        }
    }

    /// All of them, or those that were there before.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or_else(|| Path::new(".")))?;
        let fresh = path.with_added_extension("new");
        fs::write(&fresh, serde_json::to_vec(self)?)?;
        fs::rename(&fresh, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    #[test]
    fn a_life_goes_on_where_the_last_one_was_unless_that_is_long_ago() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/alerts.json");
        assert_eq!(Notes::load(&path, s(1)), Notes::default());
        let places = BTreeMap::from([("motion.events".parse().unwrap(), (7, 9))]);
        let notes = Notes { at: s(100), places, events: Kept::default(), is_fresh: true };
        notes.save(&path).unwrap();
        assert_eq!(Notes::load(&path, s(160)), notes);
        let (known, other) = ("motion.events".parse().unwrap(), "door.events".parse().unwrap());
        assert_eq!(
            (notes.begin(&known), notes.begin(&other)),
            (Begin::Behind((7, 9)), Begin::WithAll)
        );
        let late = Notes::load(&path, s(161));
        assert_eq!((late.begin(&known), late.at), (Begin::Now, s(100)));
        assert_eq!(Notes::default().begin(&known), Begin::Now);
        assert_eq!(Notes::load(&path, s(99)), Notes::default(), "the clock began anew");
        fs::write(&path, "{").unwrap();
        assert_eq!(Notes::load(&path, s(160)), Notes::default());
    }
}
