//! When to say something: one episode of motion is a begin, updates at most once a second, and an
//! end after two quiet seconds, all under one id. Pure.
//!
//! ```text
//!   quiet ──2 moving looks──> open ──2 s without──> quiet
//!     |  one look that moves is noise,  | tells updates
//!     |  and so are two far apart       |
//! ```

use std::time::Duration;

use protocol::time::MonoNs;

/// Moving looks in a row that begin an episode.
const BEGIN_LOOKS: u32 = 2;
/// Looks farther apart are no row: a camera that was away has two things to tell of, not one.
const ROW_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Motion that pauses shorter than this goes on.
const QUIET: Duration = Duration::from_secs(2);
/// Updates are not closer than this.
const UPDATE_EVERY: Duration = Duration::from_secs(1);

/// What is told of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Begin,
    Update,
    End,
}

impl Phase {
    /// The record's type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Begin => "motion.begin",
            Self::Update => "motion.update",
            Self::End => "motion.end",
        }
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub phase: Phase,
    pub id: String,
    /// From its begin to its last motion.
    pub lasted: Duration,
    /// Highest score so far.
    pub peak: f32,
}

/// The state between looks.
#[derive(Clone, Debug, Default)]
pub struct Episodes {
    /// Moving looks in a row, and when the first and the last was.
    run: u32,
    run_began: MonoNs,
    run_last: MonoNs,
    open: Option<Open>,
}

#[derive(Clone, Debug)]
struct Open {
    id: String,
    began: MonoNs,
    last_moving: MonoNs,
    last_told: MonoNs,
    peak: f32,
}

impl Episodes {
    /// A picture that moves with `score`; `id` names a new episode.
    pub fn moving(&mut self, at: MonoNs, score: f32, id: impl FnOnce() -> String) -> Option<Told> {
        if let Some(open) = &mut self.open {
            open.last_moving = at;
            open.peak = open.peak.max(score);
            let due = at.saturating_since(open.last_told) >= UPDATE_EVERY;
            return due.then(|| {
                open.last_told = at;
                open.told(Phase::Update)
            });
        }
        if at.saturating_since(self.run_last) >= ROW_PAUSE_MAX {
            self.run = 0;
        }
        if self.run == 0 {
            self.run_began = at;
        }
        self.run_last = at;
        self.run += 1;
        if self.run < BEGIN_LOOKS {
            return None;
        }
        self.run = 0;
        let began = self.run_began;
        let open = Open { id: id(), began, last_moving: at, last_told: at, peak: score };
        Some(self.open.insert(open).told(Phase::Begin))
    }

    /// Whether one has begun and has not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A picture without motion.
    pub fn still(&mut self, at: MonoNs) -> Option<Told> {
        self.run = 0;
        self.idle(at)
    }

    /// Time passed, with or without pictures.
    pub fn idle(&mut self, at: MonoNs) -> Option<Told> {
        let open = self.open.take_if(|open| at.saturating_since(open.last_moving) >= QUIET)?;
        Some(open.told(Phase::End))
    }

    /// Nothing more will be seen: an open episode ends now.
    pub fn finish(&mut self) -> Option<Told> {
        self.run = 0;
        Some(self.open.take()?.told(Phase::End))
    }
}

impl Open {
    fn told(&self, phase: Phase) -> Told {
        let lasted = self.last_moving.saturating_since(self.began);
        Told { phase, id: self.id.clone(), lasted, peak: self.peak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays looks 200 ms apart, `#` moving and `.` still; tells what was said at which look.
    fn play(looks: &str) -> Vec<(usize, Phase, String)> {
        let mut episodes = Episodes::default();
        let mut told = Vec::new();
        for (index, look) in looks.bytes().enumerate() {
            let at = MonoNs(index as u64 * 200_000_000);
            let said = match look {
                b'#' => episodes.moving(at, 0.5, || format!("e{index}")),
                b'.' => episodes.still(at),
                _ => episodes.idle(at),
            };
            told.extend(said.map(|said| (index, said.phase, said.id)));
        }
        told
    }

    fn said(at: usize, phase: Phase, id: &str) -> (usize, Phase, String) {
        (at, phase, id.to_owned())
    }

    #[test]
    fn one_look_is_noise_two_begin_an_episode() {
        assert_eq!(play(".#.#.#."), []);
        assert_eq!(play(".##"), [said(2, Phase::Begin, "e2")]);
    }

    #[test]
    fn two_looks_between_which_nobody_looked_for_long_begin_none() {
        let begins = |pause: Duration| {
            let mut episodes = Episodes::default();
            let id = || "a".to_owned();
            let first = episodes.moving(MonoNs(0), 0.5, id);
            assert_eq!((first, episodes.idle(MonoNs(0) + pause)), (None, None));
            episodes.moving(MonoNs(0) + pause, 0.5, id).is_some()
        };
        // Of a camera with a picture in some seconds, and of one that was away.
        assert!(begins(Duration::from_secs(5)) && !begins(ROW_PAUSE_MAX));
    }

    #[test]
    fn an_episode_ends_two_seconds_after_its_last_motion() {
        assert_eq!(
            play("##.............."),
            [said(1, Phase::Begin, "e1"), said(11, Phase::End, "e1")]
        );
    }

    #[test]
    fn a_pause_does_not_end_it_and_updates_come_once_a_second() {
        assert_eq!(
            play("######.....#######"),
            [
                said(1, Phase::Begin, "e1"),
                said(11, Phase::Update, "e1"),
                said(16, Phase::Update, "e1")
            ]
        );
    }

    #[test]
    fn it_ends_also_when_no_picture_comes() {
        assert_eq!(
            play("##___________##"),
            [
                said(1, Phase::Begin, "e1"),
                said(11, Phase::End, "e1"),
                said(14, Phase::Begin, "e14")
            ]
        );
    }

    #[test]
    fn finishing_ends_what_is_open_with_its_length_and_peak() {
        let mut episodes = Episodes::default();
        assert_eq!(episodes.finish(), None);
        for (at, score) in [(0, 0.1), (1, 0.9), (2, 0.3)] {
            episodes.moving(MonoNs(at * 500_000_000), score, || "e".to_owned());
        }
        let end = episodes.finish().unwrap();
        assert_eq!((end.phase, end.lasted, end.peak), (Phase::End, Duration::from_secs(1), 0.9));
        assert_eq!(episodes.finish(), None);
    }
}
