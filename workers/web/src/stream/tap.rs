//! One thread a camera that is watched: reads its packet ring into its feed.
//!
//! It begins with the oldest packet the ring holds, so that lists of segments are long at once and the same in every
//! web worker; the ring is the history, and what nobody watches costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

use protocol::name::RingName;
use tracing::{debug, warn};

use super::feed::Feed;
use super::numbers::Numbers;
use super::packager::Packager;
use crate::sources::{PacketTap, Sources, Told};

/// Longest wait for a packet: a tap that is let go of ends this soon.
const WAIT: Duration = Duration::from_millis(100);
/// How often a finished ring is looked at: its end is told at once, a successor is worth no more.
const ENDED_WAIT: Duration = Duration::from_millis(20);
/// Pause after a trouble.
const RETRY: Duration = Duration::from_millis(500);
/// A ring that says nothing for this long is called quiet.
const QUIET_AFTER: Duration = Duration::from_secs(5);

/// A reader; dropping it lets it end by itself.
pub struct Tap {
    stop: Arc<AtomicBool>,
}

impl Tap {
    /// Begins to read `ring` into `feed`.
    pub fn open(
        ring: &RingName,
        feed: Arc<Feed>,
        numbers: Arc<Numbers>,
        sources: Arc<dyn Sources>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (ring, stopped) = (ring.clone(), Arc::clone(&stop));
        thread::Builder::new().name(format!("tap {}", ring.camera())).spawn(move || {
            let source = sources.packets(&ring);
            let mut reading =
                Reading { ring: &ring, feed: &feed, sources: sources.as_ref(), source };
            reading.run(numbers, &stopped);
        })?;
        Ok(Self { stop })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

struct Reading<'a> {
    ring: &'a RingName,
    feed: &'a Feed,
    sources: &'a dyn Sources,
    source: Box<dyn PacketTap>,
}

impl Reading<'_> {
    fn run(&mut self, numbers: Arc<Numbers>, stop: &AtomicBool) {
        let mut packager = Packager::new(self.ring, numbers);
        let mut heard = self.sources.now().mono;
        let mut is_cut_off = false;
        while !stop.load(Ordering::Relaxed) {
            // Until all that is there was read, a wait would hold up the first viewer.
            let wait = if self.feed.is_live() { WAIT } else { Duration::ZERO };
            let told = self.source.next(wait);
            let now = self.sources.now().mono;
            match told {
                Ok(Told::Packet(packet)) => {
                    heard = now;
                    if std::mem::take(&mut is_cut_off) {
                        self.feed.reads_past();
                    }
                    match packager.take(packet, self.source.tracks()) {
                        Ok(units) if units.is_empty() => self.feed.refuse(packager.refused()),
                        Ok(units) => {
                            units.into_iter().for_each(|unit| self.feed.publish(unit, now))
                        }
                        Err(error) => {
                            warn!(ring = %self.ring, %error, "a picture is left out");
                            packager.gap();
                        }
                    }
                }
                Ok(Told::Missed(missed)) => {
                    debug!(ring = %self.ring, missed, "viewers go on at the next key frame");
                    packager.gap();
                }
                Ok(Told::Quiet) => {
                    self.feed.caught_up();
                    if now.saturating_since(heard) >= QUIET_AFTER {
                        self.feed.lacks(&format!("ring {} is quiet", self.ring));
                    }
                }
                Ok(Told::Ended) => {
                    self.feed.caught_up();
                    self.feed.lacks(&format!("ring {} has ended", self.ring));
                    thread::sleep(ENDED_WAIT);
                }
                Ok(Told::Absent(why)) => {
                    is_cut_off = true;
                    self.feed.caught_up();
                    self.feed.lacks(&why);
                }
                Err(trouble) => {
                    is_cut_off = true;
                    self.feed.caught_up();
                    self.feed.lacks(&trouble.to_string());
                    thread::sleep(RETRY);
                }
            }
        }
    }
}
