//! Packet rings attached for their times alone, while somebody looks at how long a camera's packets take. Each asks
//! for what came since the last question, so nothing runs between two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::name::RingName;
use protocol::time::MonoNs;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::insight::passage::{Hop, Passages, Stage};
use crate::sources::{Sources, TimesTap, Trouble};

/// A ring that nobody asked about for this long is let go.
const LOOK_LASTS: Duration = Duration::from_secs(5);

/// The packet rings that are looked at.
#[derive(Debug, Default)]
pub struct Gauges {
    rings: Mutex<BTreeMap<RingName, Arc<Mutex<Gauge>>>>,
}

#[derive(Default)]
struct Gauge {
    tap: Option<Box<dyn TimesTap>>,
    passages: Passages,
    asked: MonoNs,
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gauge").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Gauges {
    /// The hops of a packet ring's packets; none where it is not there, or its times cannot be read.
    pub async fn hops(&self, sources: Arc<dyn Sources>, ring: &RingName) -> Vec<Hop> {
        let gauge = Arc::clone(self.rings.lock().await.entry(ring.clone()).or_default());
        let mut gauge = gauge.lock_owned().await;
        gauge.asked = sources.now().mono;
        let name = ring.clone();
        let reading = tokio::task::spawn_blocking(move || read(gauge, sources.as_ref(), &name));
        // A panic while reading: the next question begins anew.
        reading.await.unwrap_or_default()
    }

    /// Lets go of every ring nobody asks about any more.
    pub fn rest(&self, now: MonoNs) {
        let Ok(mut rings) = self.rings.try_lock() else { return };
        rings.retain(|_, gauge| {
            // A held lock is a question in progress.
            let Ok(gauge) = gauge.try_lock() else { return true };
            now.saturating_since(gauge.asked) < LOOK_LASTS
        });
    }
}

fn read(mut gauge: OwnedMutexGuard<Gauge>, sources: &dyn Sources, ring: &RingName) -> Vec<Hop> {
    if let Err(trouble) = gauge.drain(sources, ring) {
        tracing::debug!(%ring, %trouble, "times of packets");
        gauge.tap = None;
    }
    gauge.passages.hops(ring, Stage::Capture, sources.now().mono)
}

impl Gauge {
    fn drain(&mut self, sources: &dyn Sources, ring: &RingName) -> Result<(), Trouble> {
        if self.tap.is_none() {
            self.tap = sources.open_times(ring)?;
        }
        let Some(tap) = self.tap.as_mut() else { return Ok(()) };
        tap.drain(&mut |passage| self.passages.add(passage))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    use protocol::admin::RingStatus;
    use protocol::time::{NS_PER_S, Stamp};

    use super::*;
    use crate::insight::passage::Passage;
    use crate::sources::{PacketTap, PictureTap};

    #[derive(Debug, Default)]
    struct Made {
        now: AtomicU64,
        attached: Arc<AtomicU32>,
    }

    struct Tap(Arc<AtomicU32>);

    impl TimesTap for Tap {
        fn drain(&mut self, take: &mut dyn FnMut(Passage)) -> Result<(), Trouble> {
            let at = |ms: u64| MonoNs(100 * NS_PER_S + ms * 1_000_000);
            take(Passage { capture: at(0), ingest: at(7), published: at(8), ..Passage::default() });
            Ok(())
        }
    }

    impl Drop for Tap {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Sources for Made {
        fn now(&self) -> Stamp {
            Stamp { mono: MonoNs(self.now.load(Ordering::Relaxed)), ..Stamp::default() }
        }

        fn workers(&self) -> Result<String, Trouble> {
            Err(Trouble::Gone)
        }

        fn rings(&self) -> Vec<RingStatus> {
            Vec::new()
        }

        fn open(&self, _: &RingName) -> Result<Box<dyn PictureTap>, Trouble> {
            Err(Trouble::Gone)
        }

        fn packets(&self, _: &RingName) -> Box<dyn PacketTap> {
            unreachable!("a gauge reads times alone")
        }

        fn open_times(&self, ring: &RingName) -> Result<Option<Box<dyn TimesTap>>, Trouble> {
            if ring.camera() == "gone" {
                return Err(Trouble::Gone);
            }
            self.attached.fetch_add(1, Ordering::Relaxed);
            Ok(Some(Box::new(Tap(Arc::clone(&self.attached)))))
        }
    }

    #[tokio::test]
    async fn a_ring_is_attached_while_it_is_asked_about() {
        let made = Arc::new(Made::default());
        made.now.store(101 * NS_PER_S, Ordering::Relaxed);
        let (gauges, ring) = (Gauges::default(), "a.packets".parse().unwrap());
        for asked in 1..=3 {
            let hops = gauges.hops(Arc::clone(&made) as Arc<dyn Sources>, &ring).await;
            let told: Vec<_> = hops.iter().map(|hop| (hop.to, hop.median_ms, hop.count)).collect();
            assert_eq!(told, [(Stage::Ingest, 7.0, asked), (Stage::Published, 1.0, asked)]);
        }
        assert_eq!(made.attached.load(Ordering::Relaxed), 1);
        gauges.rest(MonoNs(104 * NS_PER_S));
        assert_eq!(made.attached.load(Ordering::Relaxed), 1);
        gauges.rest(MonoNs(107 * NS_PER_S));
        assert_eq!(made.attached.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_ring_that_is_not_there_has_no_hops() {
        let made = Arc::new(Made::default());
        let ring = "gone.packets".parse().unwrap();
        assert_eq!(Gauges::default().hops(made, &ring).await, []);
    }
}
