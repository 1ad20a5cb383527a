//! Watches a frame ring by its name: number, size, age and mean brightness of the newest picture.
//!
//! ```text
//! cargo run --example watch -- demo cam1.frames
//! ```
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::time::Duration;

use shmring::{Frame, FrameOptions, FrameReader, Next, clock};

/// Ctrl-C ends the program at any time, so this only sets how often silence is told.
const WAIT: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [project, ring] = arguments.as_slice() else {
        return Err("usage: watch PROJECT RING".into());
    };
    let options = FrameOptions::named("watch");
    let mut reader = FrameReader::attach(&project.parse()?, &ring.parse()?, &options)?;
    loop {
        match reader.next(WAIT)? {
            Next::Item(frame) => show(&frame),
            Next::NewEpoch { epoch } => println!("the writer restarted: epoch {epoch}"),
            Next::Overrun { missed } => println!("missed {missed}"),
            Next::Evicted { reason } => println!("{reason}"),
            Next::Quiet => println!("no picture for {} s", WAIT.as_secs()),
            Next::Ended => return Ok(()),
        }
    }
}

fn show(frame: &Frame) {
    let meta = frame.meta();
    let age = clock::mono().saturating_since(meta.capture.mono);
    println!(
        "{} {} {:.1} ms old, mean {:.1}",
        frame.sequence(),
        meta.content,
        age.as_secs_f64() * 1e3,
        mean(frame),
    );
}

/// Mean of the samples of the first plane: brightness, for a planar picture.
fn mean(frame: &Frame) -> f64 {
    let mut samples = Vec::new();
    if let Some(plane) = frame.plane(0) {
        plane.copy_to(&mut samples);
    }
    let sum: u64 = samples.iter().map(|sample| u64::from(*sample)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    let mean = sum as f64 / samples.len().max(1) as f64;
    mean
}
