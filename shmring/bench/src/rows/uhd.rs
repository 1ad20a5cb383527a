//! 3840x2160 at thirty pictures a second with three readers, and none of it lost.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protocol::name::RingName;
use shmring::Policy;

use super::Plan;
use crate::Outcome;
use crate::lines::{Frames, Receiver, Sender, UHD_BYTES, attach, contract, sweep};
use crate::machine::{Touch, cpu_ns, processors};
use crate::report::Report;
use crate::stage::{Child, Seat, unpin};

const READERS: usize = 3;
const PERIOD: Duration = Duration::from_nanos(33_333_333);
/// The readers may still be at the last pictures.
const DRAIN: Duration = Duration::from_secs(1);

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    unpin(processors())?;
    let contract = contract("frames")?;
    let mut frames = Frames::create(&contract, UHD_BYTES)?;
    let spawn = |_| Child::spawn(None, |seat| read(seat, &contract.name));
    let mut readers = (0..READERS).map(spawn).collect::<Outcome<Vec<_>>>()?;
    readers.iter_mut().try_for_each(Child::wait)?;
    let picture = vec![7; UHD_BYTES];
    // The slots' pages are there; the picture's own were just made.
    let begin_cpu = cpu_ns();
    let begin = Instant::now();
    let mut published = 0u32;
    while PERIOD * published < plan.uhd {
        std::thread::sleep((begin + PERIOD * published).saturating_duration_since(Instant::now()));
        frames.prepare(Some(&picture))?;
        frames.send()?;
        published += 1;
    }
    let spent_ms = (cpu_ns() - begin_cpu) as f64 / 1e6 / f64::from(published);
    std::thread::sleep(DRAIN);
    report.figure("uhd", "writer's CPU", spent_ms, "ms a picture");
    for reader in &readers {
        let items = reader.seat.items.load(Ordering::Relaxed);
        let lost = u64::from(published) - items.min(u64::from(published));
        let text = format!("{items} of {published} pictures, {lost} lost");
        report.must("uhd", "a reader has all of them", lost == 0, &text);
    }
    drop(readers);
    drop(frames);
    sweep();
    Ok(())
}

fn read(seat: &Seat, ring: &RingName) -> Outcome<()> {
    let mut pictures = attach(ring, Policy::Sequential)?;
    seat.done.ring();
    while !seat.is_to_stop() {
        let taken = pictures.receive(Touch::Lines)?;
        seat.items.fetch_add(u64::from(taken), Ordering::Relaxed);
        seat.lost.store(pictures.missed, Ordering::Relaxed);
    }
    Ok(())
}
