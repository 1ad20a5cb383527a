//! `replayable`, run by `framevisor replay`: what there is to play, before anything is started.

use protocol::verb::{Replayable, ReplayableTape};
use recordings::{Range, Timeline};
use worker::verb::{VerbError, answer, arguments};

use crate::tape::{Found, found};

pub(crate) fn replayable(text: &str) -> Result<(), VerbError> {
    let wanted: Replayable = arguments(text)?;
    let range = Range { from: wanted.from, to: wanted.to };
    let mut tapes = Vec::new();
    for folder in wanted.folders {
        let timeline = Timeline::read(&folder, range).map_err(VerbError::failed)?;
        let Found { ring, from, to, packets, gaps } = found(&timeline);
        tapes.push(ReplayableTape { folder, ring, from, to, packets, gaps });
    }
    answer(&tapes)
}
