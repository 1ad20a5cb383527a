//! Whole pictures: each is put in place, told of, and every line of it looked at by every reader.

use std::hint::black_box;
use std::time::Instant;

use super::{Plan, placements};
use crate::Outcome;
use crate::lines::{Line, Load, Way, sweep};
use crate::machine::{Touch, touch};
use crate::report::Report;
use crate::stage::pin;
use crate::stats::{Arm, Rounds};

const HD_BYTES: usize = 1920 * 1080 * 3 / 2;
const PEERS: [Way; 4] = [Way::Iceoryx, Way::IpcBytes, Way::Pipe, Way::Stream];

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    let cores = *placements(report, "frames").last().ok_or("no processor")?;
    pin(cores.director())?;
    for readers in [1, 4] {
        let load = Load { bytes: HD_BYTES, readers, ahead: 2, touch: Touch::Lines, cores };
        with(report, plan, load)?;
        sweep();
    }
    Ok(())
}

fn with(report: &mut Report, plan: &Plan, load: Load) -> Outcome<()> {
    let row = format!("frames, {} readers", load.readers);
    let picture = vec![7; load.bytes];
    let ways: Vec<Way> = [Way::FrameRing].into_iter().chain(PEERS).collect();
    let mut lines = ways.iter().map(|way| Line::open(*way, load)).collect::<Outcome<Vec<_>>>()?;
    let mut arms = vec![floor(&picture, load.readers, plan.pictures)];
    for (line, way) in lines.iter_mut().zip(&ways) {
        let picture = &picture;
        let measure = move || {
            let begin = Instant::now();
            (0..plan.pictures).try_for_each(|_| line.pass(picture))?;
            Ok(each_ms(begin, plan.pictures))
        };
        arms.push(Arm { name: way.as_str(), measure: Box::new(measure) });
    }
    let rounds = Rounds::measure(plan.rounds, &mut arms)?;
    drop(arms);
    for way in &ways {
        report.compared(&row, way.as_str(), &rounds.compare(way.as_str()), "ms a picture");
    }
    let noise = rounds.compare(Way::FrameRing.as_str()).ratio_spread.1;
    for peer in PEERS {
        let ratio = rounds.ratio(Way::FrameRing.as_str(), peer.as_str());
        report.against(&row, peer.as_str(), ratio, noise);
    }
    Ok(())
}

/// One copy, and a look for each reader, all in one process.
fn floor(picture: &[u8], readers: usize, pictures: usize) -> Arm<'_> {
    let mut slot = vec![0; picture.len()];
    let measure = move || {
        let begin = Instant::now();
        for _ in 0..pictures {
            black_box(&mut slot).copy_from_slice(black_box(picture));
            (0..readers).for_each(|_| touch(black_box(&slot), Touch::Lines));
        }
        Ok(each_ms(begin, pictures))
    };
    Arm { name: "one process", measure: Box::new(measure) }
}

fn each_ms(begin: Instant, pictures: usize) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3 / pictures as f64
}
