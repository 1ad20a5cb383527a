//! One file a row. A row measures and notes; what it may not do is decide what a figure means.

mod attach;
mod decode;
mod disturbed;
mod floors;
mod foreign;
mod frames;
mod packets;
mod publish;
mod restart;
mod uhd;
mod wake;

use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;
use crate::lines::{Line, Load, Way};
use crate::machine::Touch;
use crate::report::Report;
use crate::stage::Cores;
use crate::stats::{Arm, median};

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Rounds of the arms of a row.
    pub(crate) rounds: usize,
    /// Trips of an arm in a round.
    pub(crate) trips: usize,
    /// Pictures of an arm in a round.
    pub(crate) pictures: usize,
    /// Length of a window beside which readers are stopped and killed.
    pub(crate) window: Duration,
    /// Length of the row of large pictures.
    pub(crate) uhd: Duration,
    /// The program that decodes with and without a ring, and what it decodes.
    pub(crate) decode: Option<(PathBuf, PathBuf)>,
    /// The Python program of the pattern that ours replaces.
    pub(crate) python: Option<PathBuf>,
}

type Row = fn(&mut Report, &Plan) -> Outcome<()>;

/// In the order they run and are printed.
pub(crate) const ROWS: &[(&str, Row)] = &[
    ("floors", floors::row),
    ("wake", wake::row),
    ("flat", wake::flat),
    ("publish", publish::row),
    ("frames", frames::row),
    ("packets", packets::row),
    ("disturbed", disturbed::row),
    ("uhd", uhd::row),
    ("decode", decode::row),
    ("attach", attach::row),
    ("restart", restart::row),
    ("gstreamer", foreign::gstreamer),
    ("python", foreign::python),
];

/// An item that is there before it is told of, and of which the first and last line are looked at.
fn told(bytes: usize, cores: Cores) -> Load {
    Load { bytes, readers: 1, ahead: 2, touch: Touch::Ends, cores }
}

/// The median of so many one-way trips, in microseconds, as an arm.
fn trips<'a>(line: &'a mut Line, way: Way, count: usize) -> Arm<'a> {
    let measure = move || {
        let trips = (0..count).map(|_| line.trip()).collect::<Outcome<Vec<_>>>()?;
        Ok(median(&trips) / 1e3)
    };
    Arm { name: way.as_str(), measure: Box::new(measure) }
}

/// Both ways to place the processes, as far as there are processors.
fn placements(report: &mut Report, row: &str) -> Vec<Cores> {
    if crate::machine::processors() > 1 {
        return vec![Cores::One, Cores::Two];
    }
    report.skipped(row, Cores::Two.as_str(), "this machine has one processor");
    vec![Cores::One]
}
