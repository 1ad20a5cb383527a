//! What a camera published: an independent reader of its ring, for the judge.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use shmring::{Next, Packet, PacketOptions, Start};
use worker::PacketInput;

use super::fingerprint;
use super::judge::{Sent, Sequence};
use crate::{Failure, Outcome};

/// How soon it notices that it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Reads the first track of a ring in a thread of its own until it is asked to stop.
#[derive(Debug)]
pub struct Source {
    stop: Arc<AtomicBool>,
    sequence: Arc<Mutex<Sequence>>,
    thread: JoinHandle<Outcome<()>>,
}

impl Source {
    pub fn of(project: &ProjectName, ring: &RingName) -> Self {
        Self::told(project, ring, |_| Ok(()))
    }

    /// As [`Self::of`]; each packet of the track is also told to somebody, as soon as it is there.
    pub fn told(
        project: &ProjectName,
        ring: &RingName,
        mut tell: impl FnMut(&Packet) -> Outcome<()> + Send + 'static,
    ) -> Self {
        let options = PacketOptions { reader: "source".into(), start: Start::Oldest };
        let mut input = PacketInput::detached(project, ring, options);
        let stop = Arc::<AtomicBool>::default();
        let sequence = Arc::<Mutex<Sequence>>::default();
        let (asked, kept) = (Arc::clone(&stop), Arc::clone(&sequence));
        let thread = thread::spawn(move || {
            loop {
                // Viewers may have what this thread has not read yet: it reads all there is before it stops.
                let is_asked = asked.load(Ordering::Acquire);
                let wait = if is_asked { Duration::ZERO } else { LOOK_EVERY };
                match input.poll(wait).map_err(Failure::new)? {
                    Some(Next::Item(packet)) if packet.meta.track == 0 => {
                        held(&kept).push(sent(&packet));
                        tell(&packet)?;
                    }
                    Some(Next::Overrun { missed }) => {
                        return Err(Failure(format!("the reader of the source missed {missed}")));
                    }
                    Some(Next::Quiet | Next::Ended) | None if is_asked => return Ok(()),
                    // A ring that was closed may be opened again.
                    Some(Next::Ended) => thread::sleep(Duration::from_millis(5)),
                    _ => {}
                }
            }
        });
        Self { stop, sequence, thread }
    }

    /// Units so far.
    pub fn units(&self) -> usize {
        held(&self.sequence).sent().len()
    }

    /// The place of the newest unit in its group of pictures; `None` before the first key frame.
    pub fn since_key(&self) -> Option<usize> {
        held(&self.sequence).sent().iter().rev().position(|sent| sent.key)
    }

    /// What was sent. Fails when this reader was too slow to know.
    pub fn finish(self) -> Outcome<Sequence> {
        self.stop.store(true, Ordering::Release);
        let panicked = |_| Failure::new("the reader of the source panicked");
        self.thread.join().map_err(panicked)??;
        Ok(std::mem::take(&mut *held(&self.sequence)))
    }
}

fn held(sequence: &Mutex<Sequence>) -> MutexGuard<'_, Sequence> {
    sequence.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sent(packet: &Packet) -> Sent {
    Sent {
        print: fingerprint(&packet.payload),
        captured: packet.meta.capture.mono,
        published: packet.published,
        key: packet.meta.key,
    }
}
