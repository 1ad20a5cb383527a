//! A writer is killed and its successor started: how long an attached reader sees nothing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use protocol::control::RingContract;
use shmring::Policy;

use super::Plan;
use crate::Outcome;
use crate::lines::{Frames, Receiver, Sender, attach, contract, sweep};
use crate::machine::{Touch, now_ns};
use crate::report::Report;
use crate::stage::{Child, Seat};
use crate::stats::median;

/// shmring.md 5: restart gap.
const GAP_MS: f64 = 300.0;
const BYTES: usize = 1920 * 1080 * 3 / 2;
const PERIOD: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    let contract = contract("frames")?;
    let mut reader = Child::spawn(None, |seat| read(seat, &contract))?;
    let mut writer = Child::spawn(None, |seat| write(seat, &contract))?;
    // The first epoch.
    reader.wait()?;
    let (mut from_kill, mut from_start) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        std::thread::sleep(10 * PERIOD);
        let killed_ns = now_ns();
        writer.signal(Signal::SIGKILL)?;
        writer = Child::spawn(None, |seat| write(seat, &contract))?;
        reader.wait()?;
        let seen_ns = reader.seat.stamp_ns.load(Ordering::Acquire);
        let started_ns = writer.seat.stamp_ns.load(Ordering::Acquire);
        from_kill.push(seen_ns.saturating_sub(killed_ns) as f64 / 1e6);
        from_start.push(seen_ns.saturating_sub(started_ns) as f64 / 1e6);
    }
    report.limit("restart", "kill to first new picture", median(&from_kill), "ms", GAP_MS);
    report.figure("restart", "taking the ring to first new picture", median(&from_start), "ms");
    drop((reader, writer));
    sweep();
    Ok(())
}

fn write(seat: &Seat, contract: &RingContract) -> Outcome<()> {
    seat.stamp_ns.store(now_ns(), Ordering::Release);
    let until = Instant::now() + PATIENCE;
    // The one before is killed but may not be gone.
    let mut frames = loop {
        match Frames::create(contract, BYTES) {
            Ok(frames) => break frames,
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => {}
        }
    };
    while !seat.is_to_stop() {
        frames.prepare(None)?;
        frames.send()?;
        std::thread::sleep(PERIOD);
    }
    Ok(())
}

/// Rings at the first picture of each epoch.
fn read(seat: &Seat, contract: &RingContract) -> Outcome<()> {
    let until = Instant::now() + PATIENCE;
    let mut pictures = loop {
        match attach(&contract.name, Policy::Latest) {
            Ok(pictures) => break pictures,
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut epoch = 0;
    while !seat.is_to_stop() {
        if pictures.receive(Touch::Ends)? && pictures.epoch() != epoch {
            epoch = pictures.epoch();
            seat.stamp_ns.store(now_ns(), Ordering::Release);
            seat.done.ring();
        }
    }
    Ok(())
}
