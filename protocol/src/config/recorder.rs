//! `use: recorder`: packet rings into fragmented MP4 files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// What the user writes under `use: recorder`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecorderConfig {
    /// Files go to `DIR/CAMERA/UTC-SEQ.mp4`. A relative path starts at the topology file's folder.
    pub dir: PathBuf,
    /// A file is cut at the first key frame after this long. Default 1m.
    #[serde(default = "one_minute")]
    pub segment: Span,
}

fn one_minute() -> Span {
    Span::from_millis(60_000)
}
