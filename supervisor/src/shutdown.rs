//! In which order a project ends, and by when. Pure.
//!
//! Sources end first and readers after them, so that everything captured is also written: ingest and replays,
//! decoders and compositors, then encoders, mixers, analyzers and commands, then recorders, and last the servers
//! people look at and what tells or sends to others.

use std::time::Duration;

use protocol::config::Kind;
use protocol::time::MonoNs;

/// The whole stop ends within 10 s; what is left is killed in time for that.
const KILL_ALL_AFTER: Duration = Duration::from_millis(9_500);
/// One press of Ctrl-C can arrive twice (the terminal tells a whole process group, a service
/// manager a whole control group). Later than this it is a person who means it.
const SAME_REQUEST: Duration = Duration::from_millis(500);

/// Lower ends earlier. `None` is a `run:` worker.
pub(crate) fn stage(kind: Option<Kind>) -> u8 {
    match kind {
        Some(Kind::Ingest | Kind::Replay) => 0,
        Some(Kind::Compositor | Kind::Decoder) => 1,
        Some(Kind::Detect | Kind::Encoder | Kind::Mixer | Kind::Motion | Kind::Pipe) | None => 2,
        // What analyzers said last is worth as much as what they said before.
        Some(Kind::Recorder | Kind::Rules) => 3,
        Some(Kind::Notify | Kind::Rtsp | Kind::RtspPush | Kind::Uploader | Kind::Web) => 4,
    }
}

/// A stop under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shutdown {
    asked: MonoNs,
    immediate: bool,
}

impl Shutdown {
    pub(crate) fn ordered(now: MonoNs) -> Self {
        Self { asked: now, immediate: false }
    }

    /// Somebody asked again; whether there is no time for order from now on.
    pub(crate) fn again(&mut self, now: MonoNs) -> bool {
        let is_another = now.saturating_since(self.asked) >= SAME_REQUEST;
        is_another && !std::mem::replace(&mut self.immediate, true)
    }

    pub(crate) fn at_once(&mut self) {
        self.immediate = true;
    }

    /// Everything that lives must be killed.
    pub(crate) fn kills_all(&self, now: MonoNs) -> bool {
        self.immediate || now >= self.deadline()
    }

    pub(crate) fn deadline(&self) -> MonoNs {
        self.asked + KILL_ALL_AFTER
    }

    /// The stage whose turn it is, given the stages of all workers that still live.
    pub(crate) fn turn(living: impl Iterator<Item = u8>) -> Option<u8> {
        living.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn sources_end_before_recorders_and_recorders_before_servers() {
        let kinds =
            [Some(Kind::Ingest), Some(Kind::Decoder), None, Some(Kind::Recorder), Some(Kind::Web)];
        assert!(kinds.is_sorted_by_key(|kind| stage(*kind)));
        let living = kinds[1..].iter().map(|kind| stage(*kind));
        assert_eq!(Shutdown::turn(living), Some(1));
        assert_eq!(Shutdown::turn(std::iter::empty()), None);
    }

    #[test]
    fn a_second_request_is_immediate_but_an_echo_is_not() {
        let mut stop = Shutdown::ordered(at(0));
        assert!(!stop.again(at(20)) && !stop.kills_all(at(20)));
        assert!(stop.again(at(600)) && stop.kills_all(at(600)));
        assert!(!stop.again(at(700)) && stop.kills_all(at(700)));
    }

    #[test]
    fn a_stop_never_lasts_ten_seconds() {
        let stop = Shutdown::ordered(at(1000));
        assert!(!stop.kills_all(at(10_000)));
        assert!(stop.kills_all(at(10_500)));
    }
}
