//! `use: motion`: a frame ring to motion events.

use serde::{Deserialize, Serialize};

use super::zone::Zones;

/// What the user writes under `use: motion`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MotionConfig {
    /// Pictures looked at each second; the rest are skipped.
    pub fps: u32,
    /// 1 (only large, strong changes) to 100 (anything that moves).
    pub sensitivity: u8,
    /// With any, only what moves in one of them counts. Default: the whole picture.
    pub zones: Zones,
    /// What moves here never counts: trees, a road, the clock in the picture.
    pub ignore: Zones,
}

impl Default for MotionConfig {
    fn default() -> Self {
        Self { fps: 5, sensitivity: 50, zones: Zones::new(), ignore: Zones::new() }
    }
}
