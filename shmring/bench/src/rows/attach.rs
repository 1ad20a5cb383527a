//! Coming and going of readers.

use shmring::Policy;

use super::Plan;
use crate::Outcome;
use crate::lines::{Frames, Sender, attach, contract, sweep};
use crate::machine::time_of;
use crate::report::Report;

const BYTES: usize = 1920 * 1080 * 3 / 2;
const A_BATCH: u32 = 100;

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    let contract = contract("frames")?;
    let mut frames = Frames::create(&contract, BYTES)?;
    frames.prepare(None)?;
    frames.send()?;
    let mut trouble = None;
    let each_ns = time_of(plan.rounds, A_BATCH, || {
        if let Err(error) = attach(&contract.name, Policy::Latest) {
            trouble = Some(error);
        }
    });
    trouble.map_or(Ok(()), Err)?;
    report.figure("attach", "one attach and detach", each_ns / 1e3, "us");
    report.figure("attach", "in a second", 1e9 / each_ns, "times");
    drop(frames);
    sweep();
    Ok(())
}
