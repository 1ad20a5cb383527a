//! When each event was spoken of last in the worker's ring, however seldom others are told of it. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use matching::{Stage, Told};
use protocol::time::MonoNs;

/// Whoever follows the ring, such as a recorder, takes an event for over when nothing is said of it for a minute.
const AGAIN_AFTER: Duration = Duration::from_secs(20);

/// By rule and camera.
#[derive(Debug, Default)]
pub(crate) struct Said(BTreeMap<(String, String), MonoNs>);

impl Said {
    /// This stands in the ring now.
    pub(crate) fn note(&mut self, told: &Told, now: MonoNs) {
        let key = (told.rule.clone(), told.camera.clone());
        if told.stage == Stage::End {
            self.0.remove(&key);
        } else {
            self.0.insert(key, now);
        }
    }

    /// Whether an event that goes on is to be spoken of again.
    pub(crate) fn is_due(&self, told: &Told, now: MonoNs) -> bool {
        let key = (told.rule.clone(), told.camera.clone());
        self.0.get(&key).is_none_or(|at| now.saturating_since(*at) >= AGAIN_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn told(stage: Stage, camera: &str) -> Told {
        let (rule, camera, id) = ("night".to_owned(), camera.to_owned(), "night-1-1".to_owned());
        Told { stage, rule, camera, id, frame: None, time_utc_ns: 0, data: Map::new() }
    }

    fn s(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    #[test]
    fn what_goes_on_is_spoken_of_again_before_anybody_takes_it_for_over() {
        let mut said = Said::default();
        said.note(&told(Stage::Begin, "front"), s(100));
        let again = told(Stage::Update, "front");
        assert!(!said.is_due(&again, s(119)) && said.is_due(&again, s(120)));
        said.note(&again, s(120));
        assert!(!said.is_due(&again, s(139)));
        assert!(said.is_due(&told(Stage::Update, "back"), s(121)), "each for itself");
        said.note(&told(Stage::End, "front"), s(140));
        assert!(said.0.is_empty());
    }
}
