//! How sending goes, in words. Pure.

use std::time::Duration;

use protocol::control::Condition;
use protocol::time::MonoNs;
use serde_json::{Value, json};

/// So long after it was too slow a server counts as slow.
const SLOW_FOR: Duration = Duration::from_secs(10);

/// Where the sender is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing was tried yet, or not since the last connection ended.
    #[default]
    Begun,
    Connected {
        since: MonoNs,
    },
    /// It cannot be reached or does not take it; tried again then.
    Down {
        why: String,
        again: MonoNs,
    },
    /// There is nothing that could be sent, for now.
    NotYet {
        why: String,
    },
    /// There is nothing that could be sent, as long as the ring carries this.
    Unfit {
        why: String,
    },
}

/// All that people may want to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) state: State,
    /// Sound that cannot go along.
    pub(crate) left_out: Option<String>,
    pub(crate) connections: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) dropped: u64,
    /// When something was last left out.
    pub(crate) slow_at: Option<MonoNs>,
}

impl Told {
    /// So much was left out because the server was too slow, of all connections together.
    pub(crate) fn has_dropped(&mut self, dropped: u64, now: MonoNs) {
        if std::mem::replace(&mut self.dropped, dropped) != dropped {
            self.slow_at = Some(now);
        }
    }

    /// For `ps`; `name` is the target as people may see it.
    pub(crate) fn condition(&self, name: &str, now: MonoNs) -> (Condition, String) {
        match &self.state {
            State::Begun => (Condition::Waiting, format!("connecting to {name}")),
            State::NotYet { why } => (Condition::Waiting, why.clone()),
            State::Unfit { why } => (Condition::Degraded, format!("{name}: {why}")),
            State::Down { why, .. } => (Condition::Degraded, why.clone()),
            State::Connected { .. } if self.is_slow(now) => {
                // Without their number: with each other one it would be told anew.
                let why = format!(
                    "{name} takes less than is sent: packets are left out, up to key frames; lower the \
                     bitrate, or give it more of the network"
                );
                (Condition::Degraded, why)
            }
            State::Connected { .. } => match &self.left_out {
                Some(why) => (Condition::Degraded, format!("{name}: {why}")),
                None => (Condition::Flowing, format!("to {name}")),
            },
        }
    }

    /// For programs.
    pub(crate) fn status(&self, name: &str, now: MonoNs) -> Value {
        let seconds = |span: Duration| (span.as_secs_f64() * 1000.0).round() / 1000.0;
        let mut status = json!({
            "to": name,
            "connected": matches!(self.state, State::Connected { .. }),
            "connections": self.connections,
            "packets_sent": self.packets,
            "bytes_sent": self.bytes,
            "packets_left_out": self.dropped,
        });
        match &self.state {
            State::Connected { since } => {
                status["connected_s"] = seconds(now.saturating_since(*since)).into();
            }
            State::Down { why, again } => {
                status["trouble"] = why.as_str().into();
                status["tried_again_in_s"] = seconds(again.saturating_since(now)).into();
            }
            State::NotYet { why } | State::Unfit { why } => status["trouble"] = why.as_str().into(),
            State::Begun => {}
        }
        if let Some(why) = &self.left_out {
            status["sound"] = why.as_str().into();
        }
        status
    }

    fn is_slow(&self, now: MonoNs) -> bool {
        self.slow_at.is_some_and(|at| now.saturating_since(at) < SLOW_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> MonoNs {
        MonoNs(s * 1_000_000_000)
    }

    #[test]
    fn a_slow_server_is_told_until_it_has_kept_up_for_a_while() {
        let mut told = Told { state: State::Connected { since: at(0) }, ..Told::default() };
        let flows = (Condition::Flowing, "to rtsp://h/x".to_owned());
        assert_eq!(told.condition("rtsp://h/x", at(1)), flows);
        told.has_dropped(0, at(1));
        assert_eq!(told.condition("rtsp://h/x", at(1)), flows);
        told.has_dropped(25, at(2));
        told.has_dropped(25, at(11));
        let (condition, why) = told.condition("rtsp://h/x", at(11));
        assert_eq!(condition, Condition::Degraded);
        assert!(why.contains("takes less than is sent"), "{why}");
        told.has_dropped(26, at(11));
        assert_eq!(told.condition("rtsp://h/x", at(11)).1, why, "the same words for one more");
        assert_eq!(told.condition("rtsp://h/x", at(21)), flows);
    }

    #[test]
    fn sound_that_stays_behind_is_told_as_long_as_it_does() {
        let state = State::Connected { since: at(1) };
        let left_out = Some("the sound stays behind".to_owned());
        let told = Told { state, left_out, ..Told::default() };
        let (condition, why) = told.condition("rtmp://h/a/***", at(9));
        assert_eq!(condition, Condition::Degraded);
        assert_eq!(why, "rtmp://h/a/***: the sound stays behind");
        assert_eq!(told.status("rtmp://h/a/***", at(9))["connected_s"], 8.0);
    }

    #[test]
    fn who_is_down_is_degraded_with_the_reason_and_the_next_try() {
        let state = State::Down { why: "it is off".to_owned(), again: at(5) };
        let told = Told { state, connections: 2, ..Told::default() };
        assert_eq!(told.condition("x", at(1)), (Condition::Degraded, "it is off".to_owned()));
        let status = told.status("x", at(1));
        assert_eq!(
            (&status["trouble"], &status["tried_again_in_s"]),
            (&json!("it is off"), &json!(4.0))
        );
        assert_eq!(status["connected"], false);
    }
}
