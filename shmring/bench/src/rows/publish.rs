//! What telling one sleeping reader costs the writer, in processor time.

use super::{Plan, placements, told};
use crate::Outcome;
use crate::lines::{Line, Way, sweep};
use crate::report::{Report, Target};
use crate::stage::pin;
use crate::stats::{Arm, Rounds, median};

/// The target of docs/bench.md.
const ADDED_US: f64 = 1.5;
const WAYS: [Way; 5] = [Way::Futex, Way::FrameRing, Way::PacketRing, Way::Iceoryx, Way::Seqpacket];

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    for cores in placements(report, "publish") {
        pin(cores.director())?;
        let row = format!("publish, {}", cores.as_str());
        let load = told(64, cores);
        let mut lines =
            WAYS.iter().map(|way| Line::open(*way, load)).collect::<Outcome<Vec<_>>>()?;
        let arms = lines.iter_mut().zip(WAYS).map(|(line, way)| spent(line, way, plan.trips));
        let rounds = Rounds::measure(plan.rounds, &mut arms.collect::<Vec<_>>())?;
        drop(lines);
        sweep();
        for way in &WAYS[1..] {
            let seen = rounds.compare(way.as_str());
            match way {
                Way::FrameRing => {
                    report.target(&row, way.as_str(), &seen, "us", Target::Added(ADDED_US));
                }
                _ => report.compared(&row, way.as_str(), &seen, "us"),
            }
        }
        let ratio = rounds.ratio(Way::FrameRing.as_str(), Way::Iceoryx.as_str());
        let noise = rounds.compare(Way::FrameRing.as_str()).ratio_spread.1;
        report.against(&row, Way::Iceoryx.as_str(), ratio, noise);
    }
    Ok(())
}

/// The median of the processor time of so many sends, in microseconds.
fn spent<'a>(line: &'a mut Line, way: Way, count: usize) -> Arm<'a> {
    let measure = move || {
        let spent = (0..count).map(|_| line.send_cpu()).collect::<Outcome<Vec<_>>>()?;
        Ok(median(&spent) / 1e3)
    };
    Arm { name: way.as_str(), measure: Box::new(measure) }
}
