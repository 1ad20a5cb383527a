//! When each picture of a camera was taken, by the number that is drawn in it: what tells how late a picture is,
//! whatever way it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::{FrameOptions, Next, PacketOptions, Policy, Start};
use worker::{FrameInput, PacketInput};

use super::{LOOP_PICTURES, ms};
use crate::project::Project;
use crate::{Failure, Outcome, framecode, wait_for};

const WAIT: Duration = Duration::from_millis(50);
/// A looped camera shows a number again a minute later: what is later than this is another picture.
const LATEST: Duration = Duration::from_secs(30);

/// Numbers and moments, in the order of time.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<(u32, MonoNs)>);

impl Times {
    /// From when the picture was taken until it was seen.
    pub(super) fn late_ms(&self, (number, seen_ns): (Option<u32>, u64)) -> Option<f64> {
        let number = number?;
        let before = self.0.partition_point(|(_, taken)| taken.0 <= seen_ns);
        let same = self.0[..before].iter().rev().find(|(other, _)| *other == number);
        let late_ns = same.map(|(_, taken)| seen_ns - taken.0)?;
        (Duration::from_nanos(late_ns) < LATEST).then(|| ms(late_ns))
    }
}

/// Notes them, of the camera `cam` with the decoder of its own, until it is finished.
#[derive(Debug)]
pub(super) struct Truth {
    stop: Arc<AtomicBool>,
    watch: JoinHandle<Outcome<Vec<(u64, MonoNs)>>>,
    /// A picture's number is its packet's less this, begun anew after [`LOOP_PICTURES`].
    behind: u64,
}

impl Truth {
    pub(super) fn of(camera: &Project) -> Outcome<Self> {
        let ring = Project::ring("cam.packets")?;
        let options = PacketOptions { reader: "truth".to_owned(), start: Start::Newest };
        let input = PacketInput::detached(camera.name(), &ring, options);
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let watch = thread::spawn(move || noted(input, &stopped));
        Ok(Self { stop, watch, behind: behind(camera)? })
    }

    pub(super) fn finish(self) -> Outcome<Times> {
        self.stop.store(true, Ordering::Relaxed);
        let noted = self.watch.join().unwrap_or_else(|_| Err(Failure::new("it panicked")))?;
        let number = |sequence: u64| {
            let round = u64::from(LOOP_PICTURES);
            u32::try_from((sequence + round - self.behind % round) % round).unwrap_or(u32::MAX)
        };
        Ok(Times(noted.into_iter().map(|(sequence, taken)| (number(sequence), taken)).collect()))
    }
}

fn noted(mut input: PacketInput, stop: &AtomicBool) -> Outcome<Vec<(u64, MonoNs)>> {
    let mut noted = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match input.poll(WAIT).map_err(Failure::new)? {
            Some(Next::Item(packet)) => noted.push((packet.sequence, packet.meta.capture.mono)),
            Some(Next::NewEpoch { .. }) if !noted.is_empty() => {
                return Err(Failure::new("the camera was started again"));
            }
            _ => {}
        }
    }
    Ok(noted)
}

/// Of one picture that can be read; then its decoder has no reader any more, and rests.
fn behind(camera: &Project) -> Outcome<u64> {
    let options = FrameOptions { policy: Policy::Latest, ..FrameOptions::named("truth") };
    let mut frames = FrameInput::detached(camera.name(), &Project::ring("cam.frames")?, options);
    let readable = || {
        let Ok(Some(Next::Item(frame))) = frames.poll(WAIT) else { return None };
        let luma = frame.plane(0)?;
        let mut rows = Vec::new();
        luma.copy_to(&mut rows);
        let (top, bottom) = framecode::read(&rows, luma.row_bytes());
        let number = top.filter(|top| Some(*top) == bottom)?;
        Some(frame.frame_id().sequence + u64::from(LOOP_PICTURES - number))
    };
    Ok(wait_for(60, "a picture with a frame code", readable)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_as_late_as_the_last_one_of_its_number_before_it_was_seen() {
        let s = 1_000_000_000;
        let times = Times(vec![(7, MonoNs(s)), (8, MonoNs(2 * s)), (7, MonoNs(61 * s))]);
        assert_eq!(times.late_ms((Some(7), 61 * s + 5_000_000)), Some(5.0));
        assert_eq!(times.late_ms((Some(8), 3 * s)), Some(1000.0));
        assert_eq!(times.late_ms((Some(9), 3 * s)), None);
        assert_eq!(times.late_ms((Some(8), 50 * s)), None);
        assert_eq!(times.late_ms((None, 3 * s)), None);
    }
}
