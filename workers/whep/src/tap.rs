//! The thread that reads a camera's ring, from its newest key frame on: the ring itself is the cache that a first
//! viewer begins from. There is one while somebody watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use shmring::{Next, PacketOptions, Start, clock};
use worker::{Fault, PacketInput};

use crate::feed::Feed;
use crate::intake::Intake;

/// Longest wait for a packet: a stop is seen this soon.
const WAIT: Duration = Duration::from_millis(100);
/// How often a finished ring is looked at: `Ended` answers at once, a successor is worth no more.
const ENDED_WAIT: Duration = Duration::from_millis(20);
/// A packet that is no older than this is one of now.
const LIVE: Duration = Duration::from_millis(250);

/// Ends its thread when dropped, without waiting for it: what it reads goes to its own feed.
#[derive(Debug)]
pub(crate) struct Tap {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Tap {
    /// Begins to read `ring` into `feed`.
    pub(crate) fn open(
        project: &ProjectName,
        ring: &RingName,
        reader: &str,
        feed: Arc<Feed>,
    ) -> std::io::Result<Self> {
        let options = PacketOptions { reader: reader.to_owned(), start: Start::NewestKey };
        let input = PacketInput::detached(project, ring, options);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let run = move || {
            if let Err(fault) = read(input, &feed, &stopped) {
                tracing::error!(%fault, "reading for viewers by WebRTC ended");
            }
        };
        let thread = thread::Builder::new().name(format!("whep {}", ring.camera())).spawn(run)?;
        Ok(Self { thread, stop })
    }

    /// Whether the thread ended by itself, which it does only with a fault.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn read(mut input: PacketInput, feed: &Feed, stop: &AtomicBool) -> Result<(), Fault> {
    let mut intake = Intake::default();
    while !stop.load(Ordering::Relaxed) {
        match input.poll(WAIT)? {
            Some(Next::Item(packet)) => {
                let is_live = clock::mono().saturating_since(packet.published) < LIVE;
                intake.take(packet, input.tracks(), feed);
                if is_live {
                    feed.is_read();
                }
            }
            Some(Next::Overrun { missed }) => {
                let ring = input.ring();
                tracing::warn!(%ring, missed, "ring overrun: viewers go on at the next key frame");
                intake.gap();
            }
            // What is lost of it follows as an overrun.
            Some(Next::Evicted { .. } | Next::NewEpoch { .. }) => {}
            Some(Next::Quiet) => {
                feed.is_read();
                feed.lacks("its ring is quiet");
            }
            Some(Next::Ended) => {
                feed.is_read();
                feed.lacks("its ring has ended");
                thread::sleep(ENDED_WAIT);
            }
            None => feed.lacks(&input.absence()),
        }
    }
    Ok(())
}
