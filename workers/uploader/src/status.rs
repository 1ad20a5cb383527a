//! What the engine tells the worker's own thread.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::control::Condition;
use protocol::time::{MonoNs, UtcNs};
use recordings::UploadStatus;
use serde_json::{Value, json};

use crate::backlog::Sum;

/// How long it is told that something went before it was sent.
const TOLD_FOR: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<Facts>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) backlog: Sum,
    /// Why nothing goes out.
    pub(crate) trouble: Option<String>,
    /// What of the recordings cannot be read.
    pub(crate) unreadable: Option<String>,
    /// When the store is tried again.
    pub(crate) tried_again: Option<MonoNs>,
    pub(crate) files_sent: u64,
    pub(crate) bytes_sent: u64,
    /// They were in the store already.
    pub(crate) files_found: u64,
    /// Removed here once they were there.
    pub(crate) files_removed: u64,
    /// Removed by others before they were there.
    pub(crate) files_lost: u64,
    pub(crate) lost_at: Option<MonoNs>,
}

impl Status {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    /// In few different words: each other one is a line of a log.
    pub(crate) fn condition(&self, store: &str, now: MonoNs) -> (Condition, String) {
        let Sum { files, bytes, .. } = self.backlog;
        let waiting =
            format!("{} files, {} MB or more wait", coarse(files), coarse(bytes / 1_000_000));
        if let Some(trouble) = &self.trouble {
            let waiting = if files == 0 { String::new() } else { format!("; {waiting}") };
            return (Condition::Degraded, format!("{store}: {trouble}{waiting}"));
        }
        if let Some(why) = &self.unreadable {
            return (Condition::Degraded, why.clone());
        }
        let lost = self.lost_at.filter(|at| now.saturating_since(*at) < TOLD_FOR);
        if lost.is_some() {
            let lost = coarse(self.files_lost);
            let why = format!("{lost} or more recordings were removed before they were uploaded");
            return (Condition::Degraded, why);
        }
        (Condition::Flowing, if files == 0 { String::new() } else { waiting })
    }

    /// For programs that do not ask: see [`UploadStatus`].
    pub(crate) fn brief(&self, utc: UtcNs) -> UploadStatus {
        UploadStatus {
            at_utc_ns: utc,
            backlog_files: self.backlog.files,
            backlog_bytes: self.backlog.bytes,
            oldest_s: self.oldest_s(utc).unwrap_or(0),
            files_sent: self.files_sent,
            bytes_sent: self.bytes_sent,
            files_lost: self.files_lost,
            in_trouble: self.trouble.is_some() || self.unreadable.is_some(),
        }
    }

    fn oldest_s(&self, utc: UtcNs) -> Option<u64> {
        self.backlog.oldest.map(|oldest| utc.0.saturating_sub(oldest.0) / 1_000_000_000)
    }

    pub(crate) fn json(&self, store: &str, utc: UtcNs, now: MonoNs) -> Value {
        let again = self.tried_again.map(|at| at.saturating_since(now).as_secs_f64());
        json!({
            "store": store,
            "backlog": {
                "files": self.backlog.files,
                "bytes": self.backlog.bytes,
                "oldest_s": self.oldest_s(utc),
            },
            "trouble": self.trouble.as_ref().or(self.unreadable.as_ref()),
            "tried_again_in_s": again,
            "files_sent": self.files_sent,
            "bytes_sent": self.bytes_sent,
            "files_found": self.files_found,
            "files_removed": self.files_removed,
            "files_lost": self.files_lost,
        })
    }
}

/// 1, 2, 5, 10, 20...: the highest of these that is not above it.
fn coarse(number: u64) -> u64 {
    let mut power = 1;
    while number / 10 >= power {
        power *= 10;
    }
    match number / power {
        0 => 0,
        1 => power,
        2..5 => 2 * power,
        _ => 5 * power,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_steps() {
        let told = [0, 1, 2, 4, 5, 9, 10, 19, 20, 49, 50, 99, 12_345].map(coarse);
        assert_eq!(told, [0, 1, 2, 2, 5, 5, 10, 10, 20, 20, 50, 50, 10_000]);
    }

    #[test]
    fn trouble_comes_before_what_was_lost_and_both_before_what_waits() {
        let now = MonoNs(1);
        let mut facts = Facts::default();
        assert_eq!(facts.condition("s", now), (Condition::Flowing, String::new()));
        facts.backlog = Sum { files: 7, bytes: 25_000_000, oldest: None };
        let waiting = "5 files, 20 MB or more wait";
        assert_eq!(facts.condition("s", now), (Condition::Flowing, waiting.to_owned()));
        (facts.files_lost, facts.lost_at) = (3, Some(now));
        let (condition, why) = facts.condition("s", now);
        assert!(condition == Condition::Degraded && why.contains("removed before"), "{why}");
        facts.trouble = Some("away".to_owned());
        assert_eq!(facts.condition("s", now).1, format!("s: away; {waiting}"));
        facts.trouble = None;
        assert_eq!(facts.condition("s", now + TOLD_FOR).0, Condition::Flowing);
    }
}
