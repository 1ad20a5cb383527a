//! When many records that fit are one event. Pure.
//!
//! ```text
//!         fits                fitted for `for`              none for `quiet`
//!   Idle ──────> Pending ───────────────────────> Open ─────────────────────> Idle, for `cooldown` whatever fits
//!     ^             │ a pause of 2 s               │ fits: update, once in `update`
//!     └─────────────┘                              └ a thing that was told to go on holds it until its end
//! ```

use std::time::Duration;

use protocol::config::Rule;
use protocol::name::RingName;
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

/// While it is not yet an event: what is seen now and then is none. Analyzers look once a second at least.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A thing that was told to go on and of which nothing more is said is over after this long: who tells of it may have
/// died.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// Things that go on at a time on one camera: a crowd.
const HELD_MAX: usize = 64;
/// Whose id is longer holds nothing: programs outside the topology may write anything.
const ID_MAX_BYTES: usize = 200;

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Begin,
    Update,
    End,
}

impl Stage {
    /// The last part of a record's type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Update => "update",
            Self::End => "end",
        }
    }
}

/// One rule on one camera.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Episode {
    state: State,
    held: Vec<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Nothing begins before.
    Idle {
        until: MonoNs,
    },
    Pending {
        since: MonoNs,
        last: MonoNs,
    },
    Open {
        told: MonoNs,
        last: MonoNs,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Idle { until: MonoNs(0) }
    }
}

/// A thing that goes on, by its ring and its id there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    ring: RingName,
    id: String,
    /// When it was spoken of last.
    at: MonoNs,
}

impl Episode {
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. })
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Whether it is of no use to remember it.
    pub(crate) fn is_over(&self, now: MonoNs) -> bool {
        matches!(self.state, State::Idle { until } if until <= now) && self.held.is_empty()
    }

    /// A record fits. To be called behind [`Self::tick`] of the same moment, which may lie before that of another ring's
    /// record: each ring is read by itself.
    pub(crate) fn fits(&mut self, now: MonoNs, rule: &Rule) -> Option<Stage> {
        match self.state {
            State::Idle { until } if now < until => None,
            State::Idle { .. } => {
                self.state = State::Pending { since: now, last: now };
                self.begins(now, rule)
            }
            State::Pending { since, last } => {
                self.state = State::Pending { since, last: last.max(now) };
                self.begins(now, rule)
            }
            State::Open { told, last } => {
                let is_due = now.saturating_since(told) >= rule.update.duration();
                let last = last.max(now);
                self.state = State::Open { told: if is_due { now } else { told }, last };
                is_due.then_some(Stage::Update)
            }
        }
    }

    /// What the record is about goes on until it says otherwise.
    pub(crate) fn hold(&mut self, now: MonoNs, ring: &RingName, id: &str) {
        if let Some(held) = self.held.iter_mut().find(|held| held.ring == *ring && held.id == id) {
            held.at = held.at.max(now);
        } else if self.held.len() < HELD_MAX && id.len() <= ID_MAX_BYTES {
            self.held.push(Held { ring: ring.clone(), id: id.to_owned(), at: now });
        }
    }

    /// What the record is about is over; whether it was held.
    pub(crate) fn let_go(&mut self, now: MonoNs, ring: &RingName, id: &str) -> bool {
        let before = self.held.len();
        self.held.retain(|held| held.ring != *ring || held.id != id);
        let was_held = self.held.len() < before;
        if was_held {
            self.goes_on(now);
        }
        was_held
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: MonoNs, rule: &Rule) -> Option<Stage> {
        self.held.retain(|held| now.saturating_since(held.at) < SILENT_MAX);
        if !self.held.is_empty() {
            self.goes_on(now);
        }
        match self.state {
            State::Idle { .. } => None,
            State::Pending { last, .. } if now.saturating_since(last) > PAUSE_MAX => {
                self.state = State::default();
                None
            }
            State::Pending { .. } => self.begins(now, rule),
            State::Open { last, .. } => {
                let is_over =
                    self.held.is_empty() && now.saturating_since(last) >= rule.quiet.duration();
                is_over.then(|| self.end(now, rule))
            }
        }
    }

    /// Nobody looks any more: what is open ends.
    pub(crate) fn finish(&mut self, now: MonoNs, rule: &Rule) -> Option<Stage> {
        self.held.clear();
        if self.is_open() {
            return Some(self.end(now, rule));
        }
        self.state = State::default();
        None
    }

    /// Of what is pending, when it has lasted.
    fn begins(&mut self, now: MonoNs, rule: &Rule) -> Option<Stage> {
        let State::Pending { since, last } = self.state else { return None };
        // What was seen lasts from its first to its last sight, not until somebody looks at the clock.
        if last.saturating_since(since) < rule.lasting.duration() {
            return None;
        }
        self.state = State::Open { told: now, last };
        Some(Stage::Begin)
    }

    fn end(&mut self, now: MonoNs, rule: &Rule) -> Stage {
        self.state = State::Idle { until: now + rule.cooldown.duration() };
        Stage::End
    }

    fn goes_on(&mut self, now: MonoNs) {
        match &mut self.state {
            State::Pending { last, .. } | State::Open { last, .. } => *last = now.max(*last),
            State::Idle { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        serde_json::from_str(text).unwrap()
    }

    fn at(tenth: usize) -> MonoNs {
        MonoNs(tenth as u64 * 100_000_000)
    }

    fn ring() -> RingName {
        "door.events".parse().unwrap()
    }

    /// A tenth of a second for each character: `#` fits, `(` begins to go on and fits, `)` ends that, `.` is silence.
    /// What was told, and at which tenth.
    fn play(rule: &Rule, times: &str) -> Vec<(usize, &'static str)> {
        let mut episode = Episode::default();
        let mut told = Vec::new();
        for (tenth, what) in times.bytes().enumerate() {
            let now = at(tenth);
            told.extend(episode.tick(now, rule).map(|stage| (tenth, stage.as_str())));
            if what == b'(' {
                episode.hold(now, &ring(), "a");
            }
            if what == b')' {
                assert!(episode.let_go(now, &ring(), "a"));
            }
            if matches!(what, b'#' | b'(') {
                told.extend(episode.fits(now, rule).map(|stage| (tenth, stage.as_str())));
            }
        }
        told
    }

    #[test]
    fn one_record_is_an_event_that_ends_when_it_was_quiet() {
        let quick = rule(r#"{"quiet": "1s"}"#);
        assert_eq!(play(&quick, "..#............"), [(2, "begin"), (12, "end")]);
    }

    #[test]
    fn records_that_follow_each_other_are_one_event() {
        let quick = rule(r#"{"quiet": "1s", "update": "10m"}"#);
        let times = "#...#....#........#..........";
        assert_eq!(play(&quick, times), [(0, "begin"), (28, "end")]);
        assert_eq!(
            play(&quick, "#..........#.........."),
            [(0, "begin"), (10, "end"), (11, "begin"), (21, "end")]
        );
    }

    #[test]
    fn updates_come_once_in_their_time_and_only_when_something_fits() {
        let quick = rule(r#"{"quiet": "2s", "update": "500ms"}"#);
        assert_eq!(play(&quick, "#####.######..#."), [(0, "begin"), (6, "update"), (11, "update")]);
        assert_eq!(play(&quick, "#.........#"), [(0, "begin"), (10, "update")]);
    }

    #[test]
    fn what_does_not_last_is_no_event() {
        let lasting = rule(r#"{"for": "1s", "quiet": "1s"}"#);
        assert_eq!(play(&lasting, "#........................."), []);
        assert_eq!(play(&lasting, "#########................."), []);
        assert_eq!(play(&lasting, "##########."), []);
        assert_eq!(play(&lasting, "###########........."), [(10, "begin")]);
        // Seen now and then for a long time, but never for a second.
        assert_eq!(play(&lasting, &"#........................".repeat(8)), []);
        // A detector that sees it every other time sees it all the same.
        assert_eq!(play(&lasting, "#.#.#.#.#.#..."), [(10, "begin")]);
    }

    #[test]
    fn nothing_begins_while_it_cools_down() {
        let cool = rule(r#"{"quiet": "500ms", "cooldown": "2s"}"#);
        let times = "#.....####################......";
        assert_eq!(play(&cool, times), [(0, "begin"), (5, "end"), (25, "begin"), (30, "end")]);
        assert_eq!(play(&cool, "#.....####"), [(0, "begin"), (5, "end")]);
    }

    #[test]
    fn a_thing_that_goes_on_holds_the_event_until_its_end() {
        let quick = rule(r#"{"quiet": "1s"}"#);
        let times = format!("({})............", ".".repeat(40));
        assert_eq!(play(&quick, &times), [(0, "begin"), (51, "end")]);
        // It goes on: that is as good as being seen again and again.
        let lasting = rule(r#"{"for": "1s", "quiet": "1s"}"#);
        assert_eq!(play(&lasting, "(..............)"), [(10, "begin")]);
    }

    #[test]
    fn a_thing_that_nobody_speaks_of_any_more_holds_nothing() {
        let quick = rule(r#"{"quiet": "1s"}"#);
        let times = format!("({}", ".".repeat(700));
        let told = play(&quick, &times);
        assert_eq!((told.len(), told[1].1), (2, "end"));
        // A minute of silence, then what is quiet.
        assert!((605..=612).contains(&told[1].0), "{told:?}");
    }

    #[test]
    fn an_end_of_what_was_not_held_changes_nothing() {
        let mut episode = Episode::default();
        assert!(!episode.let_go(at(1), &ring(), "b") && episode.is_over(at(1)));
        episode.fits(at(2), &Rule::default());
        episode.hold(at(2), &ring(), "a");
        assert!(!episode.let_go(at(3), &"other.events".parse().unwrap(), "a"));
        episode.hold(at(3), &ring(), &"x".repeat(ID_MAX_BYTES + 1));
        assert_eq!(episode.held.len(), 1);
        for thing in 0..2 * HELD_MAX {
            episode.hold(at(3), &ring(), &thing.to_string());
        }
        assert_eq!(episode.held.len(), HELD_MAX);
    }

    #[test]
    fn what_another_ring_told_before_sets_nothing_back() {
        let quick = rule(r#"{"quiet": "1s", "update": "10m"}"#);
        let mut episode = Episode::default();
        assert_eq!(episode.fits(at(20), &quick), Some(Stage::Begin));
        assert_eq!(episode.fits(at(12), &quick), None);
        episode.hold(at(13), &ring(), "a");
        assert!(episode.let_go(at(14), &ring(), "a"));
        assert_eq!(
            (episode.tick(at(29), &quick), episode.tick(at(30), &quick)),
            (None, Some(Stage::End))
        );
    }

    #[test]
    fn finishing_ends_what_is_open_and_nothing_else() {
        let mut episode = Episode::default();
        let lasting = rule(r#"{"for": "1s"}"#);
        assert_eq!(episode.fits(at(0), &lasting), None);
        assert_eq!(episode.finish(at(1), &lasting), None);
        assert_eq!(episode.fits(at(2), &Rule::default()), Some(Stage::Begin));
        assert_eq!(episode.finish(at(3), &Rule::default()), Some(Stage::End));
        assert_eq!(episode.finish(at(4), &Rule::default()), None);
    }
}
