//! `limits: {memory: 512MiB, nice: 5}` of a worker.

use protocol::config::LimitsConfig;

use super::ranges;
use super::section::Section;

/// What the section says; nothing of it after a mistake.
pub(super) fn read(worker: &mut Section<'_>) -> LimitsConfig {
    let Some(mut section) = worker.below("limits") else { return LimitsConfig::default() };
    section.typed(&[], ranges::of_limits).unwrap_or_default()
}
