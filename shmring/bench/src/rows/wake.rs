//! From just before an item is told of until its reader, which slept, has looked at it.

use super::{Plan, placements, told, trips};
use crate::Outcome;
use crate::lines::{Line, Way, sweep};
use crate::report::{Report, Target};
use crate::stage::{Cores, pin};
use crate::stats::{Rounds, quantile};

/// Targets of docs/bench.md: one-way wake p50 with 16 places and one reader.
const TWO_CORES_RATIO: f64 = 1.10;
const ONE_CORE_ADDED_US: f64 = 0.5;
const PART_OF_ICEORYX2: f64 = 0.5;
/// And flat from 64 B to 25 MB.
const FLAT_RATIO: f64 = 1.1;

const OTHERS: [Way; 5] = [Way::PacketRing, Way::Iceoryx, Way::IpcBytes, Way::Pipe, Way::Seqpacket];
const SMALL_BYTES: usize = 64;
const LARGE_BYTES: usize = 25_000_000;

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    for cores in placements(report, "wake") {
        pin(cores.director())?;
        on(report, plan, cores)?;
        sweep();
    }
    Ok(())
}

fn on(report: &mut Report, plan: &Plan, cores: Cores) -> Outcome<()> {
    let row = format!("wake, {}", cores.as_str());
    let load = told(SMALL_BYTES, cores);
    let ways: Vec<Way> = [Way::Futex, Way::FrameRing].into_iter().chain(OTHERS).collect();
    let mut lines = ways.iter().map(|way| Line::open(*way, load)).collect::<Outcome<Vec<_>>>()?;
    let arms = lines.iter_mut().zip(&ways).map(|(line, way)| trips(line, *way, plan.trips));
    let rounds = Rounds::measure(plan.rounds, &mut arms.collect::<Vec<_>>())?;
    let ours = rounds.compare(Way::FrameRing.as_str());
    let target = match cores {
        Cores::One => Target::Added(ONE_CORE_ADDED_US),
        Cores::Two => Target::Ratio(TWO_CORES_RATIO),
    };
    report.target(&row, Way::FrameRing.as_str(), &ours, "us", target);
    for way in OTHERS {
        report.compared(&row, way.as_str(), &rounds.compare(way.as_str()), "us");
    }
    let theirs = rounds.compare(Way::Iceoryx.as_str());
    if cores == Cores::One {
        let part = ours.added.max(0.0) / theirs.added;
        report.limit(&row, "added, by what iceoryx2 adds", part, "x", PART_OF_ICEORYX2);
    }
    for way in OTHERS.into_iter().filter(|way| *way != Way::PacketRing) {
        let ratio = rounds.ratio(Way::FrameRing.as_str(), way.as_str());
        report.against(&row, way.as_str(), ratio, ours.ratio_spread.1);
    }
    Ok(())
}

/// The same, by the size of what was written beforehand.
pub(super) fn flat(report: &mut Report, plan: &Plan) -> Outcome<()> {
    let cores = *placements(report, "flat").last().ok_or("no processor")?;
    pin(cores.director())?;
    let mut small = Line::open(Way::FrameRing, told(SMALL_BYTES, cores))?;
    let mut large = Line::open(Way::FrameRing, told(LARGE_BYTES, cores))?;
    // Every slot once: a page is mapped when it is first looked at.
    (0..100).try_for_each(|_| large.trip().and(small.trip()).map(drop))?;
    let mut arms = [
        trips(&mut small, Way::FrameRing, plan.trips),
        super::Arm { name: "25 MB", ..trips(&mut large, Way::FrameRing, plan.trips) },
    ];
    let rounds = Rounds::measure(plan.rounds, &mut arms)?;
    drop(arms);
    report.target(
        "flat",
        "25 MB against 64 B",
        &rounds.compare("25 MB"),
        "us",
        Target::Ratio(FLAT_RATIO),
    );
    drop((small, large));
    sweep();
    for bytes in [SMALL_BYTES, 4096, 65536, 1_000_000 / 64 * 64, 3_110_400] {
        let mut line = Line::open(Way::FrameRing, told(bytes, cores))?;
        let all = (0..100 + plan.trips).map(|_| line.trip()).collect::<Outcome<Vec<_>>>()?;
        report.figure("flat", &format!("{bytes} B"), quantile(&all[100..], 0.5) / 1e3, "us");
        drop(line);
        sweep();
    }
    for way in [Way::Stream, Way::Pipe, Way::IpcBytes] {
        let mut line = Line::open(way, told(LARGE_BYTES, cores))?;
        let all = (0..11).map(|_| line.trip()).collect::<Outcome<Vec<_>>>()?;
        report.figure(
            "flat",
            &format!("25 MB by {}", way.as_str()),
            quantile(&all, 0.5) / 1e3,
            "us",
        );
    }
    Ok(())
}
