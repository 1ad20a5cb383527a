//! What a PLAY of a recording does, beside what is played already. Pure.
//!
//! | the client plays | it asks for | it gets |
//! |---|---|---|
//! | something | nothing | that goes on |
//! | nothing, since it paused | nothing | that goes on |
//! | nothing yet, or it came to the end | nothing | all from the beginning |
//! | anything | another scale | from where it is |
//! | anything | a range | that range, at the scale asked for or the normal one |

use protocol::time::UtcNs;

use super::range::{Invalid, Scale, Stretch, Unit, Wanted, Window};

/// What is played already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    pub rest: Stretch,
    pub scale: Scale,
    pub is_over: bool,
}

/// What the client asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    pub range: Option<&'a str>,
    pub scale: Option<&'a str>,
    /// Whether it plays, so far.
    pub plays: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Nothing changes.
    Stay,
    /// It paused.
    Resume,
    Seek {
        stretch: Stretch,
        scale: Scale,
        unit: Unit,
    },
}

impl Course {
    pub fn of(
        request: Request<'_>,
        present: Option<Present>,
        window: Window,
    ) -> Result<Self, Invalid> {
        let present = present.filter(|present| !present.is_over);
        let asked = request.scale.map(Scale::of);
        if let Some(header) = request.range {
            let wanted = Wanted::of(header)?;
            let here = present.map_or(window.from, |present| present.rest.from);
            let stretch = wanted.within(window, here)?;
            let scale = asked.unwrap_or(Scale::NORMAL);
            return Ok(Self::Seek { stretch, scale, unit: wanted.unit });
        }
        let all = Stretch { from: window.from, to: window.to };
        let unit = Unit::default();
        Ok(match present {
            None => Self::Seek { stretch: all, scale: asked.unwrap_or(Scale::NORMAL), unit },
            Some(Present { rest, scale, .. }) => match asked {
                Some(asked) if asked != scale && rest.from < rest.to => {
                    Self::Seek { stretch: rest, scale: asked, unit }
                }
                _ if request.plays => Self::Stay,
                _ => Self::Resume,
            },
        })
    }
}

/// What PLAY is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cue {
    /// Nothing changes.
    Stays { range: String, scale: Scale },
    /// Units of this stretch may follow the answer.
    Begins { range: String, scale: Scale },
    /// There is nothing of the range: 457.
    Invalid,
    /// Too many play at this moment: 453.
    Busy,
    /// The tracks were others then: the client has to describe anew.
    OtherTracks,
    /// It is gone, or cannot be read.
    Gone,
}

impl Cue {
    pub fn begins(stretch: Stretch, scale: Scale, unit: Unit, window: Window) -> Self {
        Self::Begins { range: told(stretch, unit, window), scale }
    }

    pub fn stays(stretch: Stretch, scale: Scale, window: Window) -> Self {
        Self::Stays { range: told(stretch, Unit::default(), window), scale }
    }
}

/// A key frame may stand in front of the window's beginning by a clock that was set.
fn told(stretch: Stretch, unit: Unit, window: Window) -> String {
    let from = UtcNs(stretch.from.0.max(window.from.0));
    Stretch { from, ..stretch }.told(unit, window)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> UtcNs {
        UtcNs(1_795_180_140_000_000_000 + second * 1_000_000_000)
    }
    const WINDOW: Window = Window { from: at(0), to: at(100) };
    const ALL: Stretch = Stretch { from: at(0), to: at(100) };
    const PRESENT: Present = Present {
        rest: Stretch { from: at(30), to: at(50) },
        scale: Scale::NORMAL,
        is_over: false,
    };

    fn course(
        range: Option<&str>,
        scale: Option<&str>,
        plays: bool,
        present: Option<Present>,
    ) -> Course {
        Course::of(Request { range, scale, plays }, present, WINDOW).unwrap()
    }

    fn seek(stretch: Stretch, scale: &str, unit: Unit) -> Course {
        Course::Seek { stretch, scale: Scale::of(scale), unit }
    }

    #[test]
    fn a_play_without_a_range_begins_goes_on_or_changes_nothing() {
        assert_eq!(course(None, None, false, None), seek(ALL, "1", Unit::Npt));
        assert_eq!(course(None, Some("2"), false, None), seek(ALL, "2", Unit::Npt));
        assert_eq!(course(None, None, true, Some(PRESENT)), Course::Stay);
        assert_eq!(course(None, Some("1.0"), true, Some(PRESENT)), Course::Stay);
        assert_eq!(course(None, None, false, Some(PRESENT)), Course::Resume);
        let over = Present { is_over: true, ..PRESENT };
        assert_eq!(course(None, None, false, Some(over)), seek(ALL, "1", Unit::Npt));
    }

    #[test]
    fn another_scale_goes_on_from_where_it_is() {
        for plays in [true, false] {
            let changed = course(None, Some("4"), plays, Some(PRESENT));
            assert_eq!(changed, seek(PRESENT.rest, "4", Unit::Npt));
        }
    }

    #[test]
    fn a_range_is_played_whatever_was_played_before() {
        let wanted = Stretch { from: at(10), to: at(20) };
        for (plays, present) in [(false, None), (true, Some(PRESENT)), (false, Some(PRESENT))] {
            assert_eq!(
                course(Some("npt=10-20"), None, plays, present),
                seek(wanted, "1", Unit::Npt)
            );
        }
        let clock =
            course(Some("clock=20261120T130910Z-20261120T130920Z"), Some("2"), true, Some(PRESENT));
        assert_eq!(clock, seek(wanted, "2", Unit::Clock));
        let here = course(Some("npt=now-"), None, true, Some(PRESENT));
        assert_eq!(here, seek(Stretch { from: at(30), to: at(100) }, "1", Unit::Npt));
        let request = Request { range: Some("npt=200-"), ..Request::default() };
        assert_eq!(Course::of(request, None, WINDOW), Err(Invalid));
    }
}
