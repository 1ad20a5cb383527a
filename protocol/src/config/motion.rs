//! `use: motion`: a frame ring to motion events.

use serde::{Deserialize, Serialize};

/// What the user writes under `use: motion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MotionConfig {
    /// Pictures looked at each second; the rest are skipped.
    pub fps: u32,
    /// 1 (only large, strong changes) to 100 (anything that moves).
    pub sensitivity: u8,
}

impl Default for MotionConfig {
    fn default() -> Self {
        Self { fps: 5, sensitivity: 50 }
    }
}
