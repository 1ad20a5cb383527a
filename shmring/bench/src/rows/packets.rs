//! A stream of packets of one to sixty kilobytes, as fast as the reader takes them.

use std::hint::black_box;
use std::time::Instant;

use super::{Plan, placements};
use crate::Outcome;
use crate::lines::{Line, Load, Way, sweep};
use crate::machine::{Touch, touch};
use crate::report::Report;
use crate::stage::pin;
use crate::stats::{Arm, Rounds};

const LARGEST_BYTES: usize = 60_000;
const SMALLEST_BYTES: usize = 1_000;
/// Packets that wait for the reader, at most: a second of a camera.
const AHEAD: u32 = 32;
/// For each trip of the plan.
const PACKETS: usize = 4;
const WAYS: [Way; 6] =
    [Way::PacketRing, Way::Iceoryx, Way::IpcBytes, Way::Pipe, Way::Stream, Way::Seqpacket];

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    let cores = *placements(report, "packets").last().ok_or("no processor")?;
    pin(cores.director())?;
    let load = Load { bytes: LARGEST_BYTES, readers: 1, ahead: AHEAD, touch: Touch::Lines, cores };
    let payload = vec![7; LARGEST_BYTES];
    let sizes: Vec<usize> = sizes().take(PACKETS * plan.trips).collect();
    let mut lines = WAYS.iter().map(|way| Line::open(*way, load)).collect::<Outcome<Vec<_>>>()?;
    let mut arms = vec![floor(&payload, &sizes)];
    for (line, way) in lines.iter_mut().zip(WAYS) {
        let (payload, sizes) = (&payload, &sizes);
        let measure = move || {
            let begin = Instant::now();
            sizes.iter().try_for_each(|bytes| line.stream(&payload[..*bytes]))?;
            line.drain()?;
            Ok(each_us(begin, sizes.len()))
        };
        arms.push(Arm { name: way.as_str(), measure: Box::new(measure) });
    }
    let rounds = Rounds::measure(plan.rounds, &mut arms)?;
    drop(arms);
    drop(lines);
    sweep();
    for way in WAYS {
        report.compared("packets", way.as_str(), &rounds.compare(way.as_str()), "us a packet");
    }
    let ours = Way::PacketRing.as_str();
    let noise = rounds.compare(ours).ratio_spread.1;
    for peer in &WAYS[1..] {
        let ratio = rounds.ratio(ours, peer.as_str());
        report.against("packets", peer.as_str(), ratio, noise);
    }
    Ok(())
}

/// The same every time, and no pattern that a cache would like.
fn sizes() -> impl Iterator<Item = usize> {
    let span = LARGEST_BYTES - SMALLEST_BYTES;
    std::iter::successors(Some(1usize), |last| Some((last * 48_271) % 0x7fff_ffff))
        .map(move |random| SMALLEST_BYTES + random % span)
}

/// One copy in, one copy out and a look, in one process.
fn floor<'a>(payload: &'a [u8], sizes: &'a [usize]) -> Arm<'a> {
    let (mut log, mut out) = (vec![0; payload.len()], vec![0; payload.len()]);
    let measure = move || {
        let begin = Instant::now();
        for bytes in sizes {
            black_box(&mut log)[..*bytes].copy_from_slice(black_box(&payload[..*bytes]));
            black_box(&mut out)[..*bytes].copy_from_slice(black_box(&log[..*bytes]));
            touch(black_box(&out[..*bytes]), Touch::Lines);
        }
        Ok(each_us(begin, sizes.len()))
    };
    Arm { name: "one process", measure: Box::new(measure) }
}

fn each_us(begin: Instant, packets: usize) -> f64 {
    begin.elapsed().as_secs_f64() * 1e6 / packets as f64
}
