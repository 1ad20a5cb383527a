//! The writer while one reader is stopped with a picture in its hands and another is killed again and
//! again, against the writer without them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use protocol::name::RingName;
use shmring::Policy;

use super::{Plan, placements};
use crate::Outcome;
use crate::lines::{Frames, Receiver, Sender, attach, contract, sweep};
use crate::machine::Touch;
use crate::report::{Report, Target};
use crate::stage::{Child, pin};
use crate::stats::{Arm, Rounds, quantile};

/// The issue's: publish p99 with them by that without.
const RATIO: f64 = 2.0;
const PICTURE_BYTES: usize = 640 * 360;
const PERIOD: Duration = Duration::from_micros(250);
/// What a reader may take to attach and take its pictures.
const PATIENCE: Duration = Duration::from_secs(5);
const KILLED_EVERY: Duration = Duration::from_secs(1);

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    let cores = *placements(report, "disturbed").last().ok_or("no processor")?;
    pin(cores.director())?;
    let contract = contract("frames")?;
    let mut frames = Frames::create(&contract, PICTURE_BYTES)?;
    let mut reader = Child::spawn(Some(cores.child()), |seat| read(seat, &contract.name))?;
    reader.wait()?;
    let frames = std::cell::RefCell::new(&mut frames);
    let (ring, core) = (&contract.name, cores.child());
    let mut arms = [
        Arm {
            name: "alone",
            measure: Box::new(|| publish(*frames.borrow_mut(), plan.window, || Ok(()))),
        },
        Arm {
            name: "disturbed",
            measure: Box::new(|| disturbed(*frames.borrow_mut(), plan.window, ring, core)),
        },
    ];
    let rounds = Rounds::measure(plan.rounds, &mut arms)?;
    drop(arms);
    let seen = rounds.compare("disturbed");
    report.target("disturbed", "loan and publish, p99", &seen, "us", Target::Ratio(RATIO));
    let items = reader.seat.items.load(Ordering::Relaxed);
    report.must("disturbed", "the reader beside them", items > 0, &format!("{items} pictures"));
    drop(reader);
    sweep();
    Ok(())
}

fn disturbed(frames: &mut Frames, window: Duration, ring: &RingName, core: usize) -> Outcome<f64> {
    let mut stopped = Child::spawn(Some(core), |seat| hold(seat, ring))?;
    // It takes what is published meanwhile.
    let until = Instant::now() + PATIENCE;
    while !stopped.has_rung() && Instant::now() < until {
        frames.prepare(None)?;
        frames.send()?;
        std::thread::sleep(PERIOD);
    }
    stopped.wait()?;
    stopped.signal(Signal::SIGSTOP)?;
    let spawn = || Child::spawn(Some(core), |seat| read(seat, ring));
    let (mut victim, mut born) = (spawn()?, Instant::now());
    // A short window has one kill in its middle.
    let lives = KILLED_EVERY.min(window / 2);
    let p99 = publish(frames, window, || {
        if born.elapsed() >= lives {
            victim.signal(Signal::SIGKILL)?;
            (victim, born) = (spawn()?, Instant::now());
        }
        Ok(())
    })?;
    stopped.kill();
    Ok(p99)
}

/// Publishes at a steady pace; the 99th of a hundred of what taking a slot and publishing took, in us.
fn publish(
    frames: &mut Frames,
    window: Duration,
    mut meanwhile: impl FnMut() -> Outcome<()>,
) -> Outcome<f64> {
    let end = Instant::now() + window;
    let mut took_us = Vec::new();
    while Instant::now() < end {
        meanwhile()?;
        let begin = Instant::now();
        // Without a slot this is an error: a reader would have cost the writer a picture.
        frames.prepare(None)?;
        frames.send()?;
        took_us.push(begin.elapsed().as_secs_f64() * 1e6);
        std::thread::sleep(PERIOD);
    }
    Ok(quantile(&took_us, 0.99))
}

fn read(seat: &crate::stage::Seat, ring: &RingName) -> Outcome<()> {
    let mut pictures = attach(ring, Policy::Latest)?;
    seat.done.ring();
    while !seat.is_to_stop() {
        let taken = pictures.receive(Touch::Lines)?;
        seat.items.fetch_add(u64::from(taken), Ordering::Relaxed);
    }
    Ok(())
}

/// Takes as many pictures as a reader may hold, and keeps them.
fn hold(seat: &crate::stage::Seat, ring: &RingName) -> Outcome<()> {
    let mut pictures = attach(ring, Policy::Latest)?;
    let held = pictures.hold()?;
    seat.done.ring();
    while !seat.is_to_stop() {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(held);
    Ok(())
}
