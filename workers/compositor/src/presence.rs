//! What is shown of an input: its picture, its last one, a slate, or nothing. Pure.

use std::time::Duration;

use protocol::config::compositor::Missing;
use protocol::time::MonoNs;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The one that belongs to the tick; a late one's is the last that came.
    Picture,
    Slate,
    Nothing,
}

/// `came`: when the newest picture came here; `has_picture`: one was taken by the tick.
pub(crate) fn presence(
    missing: Missing,
    has_picture: bool,
    came: Option<MonoNs>,
    now: MonoNs,
    slate_after: Duration,
) -> Presence {
    let is_fresh = came.is_some_and(|came| now.saturating_since(came) <= slate_after);
    match missing {
        _ if has_picture && is_fresh => Presence::Picture,
        Missing::Last if has_picture => Presence::Picture,
        Missing::Nothing => Presence::Nothing,
        Missing::Slate | Missing::Last => Presence::Slate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(2);

    fn at(missing: Missing, has_picture: bool, came_s: Option<u64>, now_s: u64) -> Presence {
        let at = |s: u64| MonoNs(s * 1_000_000_000);
        presence(missing, has_picture, came_s.map(at), at(now_s), AFTER)
    }

    #[test]
    fn a_late_input_shows_its_last_picture_and_then_a_slate() {
        assert_eq!(at(Missing::Slate, true, Some(10), 12), Presence::Picture);
        assert_eq!(at(Missing::Slate, true, Some(10), 13), Presence::Slate);
        assert_eq!(at(Missing::Slate, true, Some(14), 14), Presence::Picture);
    }

    #[test]
    fn what_never_had_a_picture_has_a_slate_too() {
        assert_eq!(at(Missing::Slate, false, None, 1), Presence::Slate);
        assert_eq!(at(Missing::Last, false, None, 1), Presence::Slate);
        assert_eq!(at(Missing::Nothing, false, None, 1), Presence::Nothing);
    }

    #[test]
    fn the_last_picture_stays_or_goes_where_that_is_asked_for() {
        assert_eq!(at(Missing::Last, true, Some(10), 4_000), Presence::Picture);
        assert_eq!(at(Missing::Nothing, true, Some(10), 13), Presence::Nothing);
        assert_eq!(at(Missing::Nothing, true, Some(10), 11), Presence::Picture);
    }
}
