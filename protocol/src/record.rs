//! The one envelope of every JSON record in an event ring.

use serde::{Deserialize, Serialize};

use crate::stream::FrameId;

/// A record: what happened, on which camera, at which picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// Unique within its ring: the same for the begin, update and end of one thing.
    pub id: String,
    /// For example `motion.begin`, `motion.update`, `motion.end`.
    #[serde(rename = "type")]
    pub kind: String,
    pub camera: String,
    /// The picture this is about.
    pub frame: Option<FrameId>,
    /// Capture time of that picture, UTC ns.
    pub time_utc_ns: u64,
    pub data: serde_json::Value,
}
