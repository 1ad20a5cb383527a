//! How much shared memory the rings of a topology take. Pure; the layout is shmring's.

use protocol::config::WorkerConfig;
use protocol::config::ingest::Source;
use protocol::name::{RingKind, RingName};
use protocol::time::NS_PER_S;
use protocol::units::{Size, Span};
use serde::Serialize;
use shmring::layout::{anchor, descriptor, eviction, index, lease};

use crate::topology::{Launch, RingSpec, Topology};

/// docs: LAYOUT.md of shmring; a test compares them with a ring that exists.
const LOG_MIN_BYTES: u64 = 8 << 20;
const LOG_SECONDS: u64 = 10;
const PAGE_BYTES: u64 = 4096;
const RECORD_LOG_BYTES: u64 = 1 << 20;
const FRAME_SLOTS_MAX: u64 = 256;
const LEASES_A_READER: u32 = 2;
const IN_FLIGHT: u32 = 2;
const ESSENTIAL_FPS: u32 = 30;
const ESSENTIAL_PICTURES_MAX: u32 = 128;

/// What one ring takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Without pictures whose size is not known yet.
    pub(crate) bytes: u64,
    /// False when pictures come on top: of a size not known, or held by the decoder.
    pub(crate) exact: bool,
    /// Frame rings: pictures that the ring has room for, beside those its decoder holds.
    pub(crate) pictures: Option<u32>,
    /// Of those pictures, where the topology tells.
    #[serde(skip)]
    pub(crate) size: Option<Size>,
}

pub(crate) fn memory_of(topology: &Topology, ring: &RingSpec) -> Memory {
    let places = u64::from(ring.places());
    let evictions = if ring.essential.is_empty() { 0 } else { whole(eviction::BYTES) * places };
    let common =
        whole(anchor::BYTES) + whole(lease::BYTES) * places + whole(index::AT_VERSIONS) + evictions;
    let base = match ring.name.kind() {
        RingKind::Events => RECORD_LOG_BYTES,
        RingKind::Frames => return frames(topology, ring, common),
        RingKind::Packets => {
            (ring.config.max_bitrate.0 / 8).saturating_mul(LOG_SECONDS).max(LOG_MIN_BYTES)
        }
    };
    let log = base.saturating_add(essential_bytes(ring)).div_ceil(PAGE_BYTES);
    let log = log.saturating_mul(PAGE_BYTES);
    Memory { bytes: common.saturating_add(log), exact: true, pictures: None, size: None }
}

fn frames(topology: &Topology, ring: &RingSpec, common: u64) -> Memory {
    let table = FRAME_SLOTS_MAX * 16 + 4 * FRAME_SLOTS_MAX * whole(descriptor::BYTES);
    let held = ring.places().saturating_mul(LEASES_A_READER);
    let pictures = [IN_FLIGHT, 1, ring.config.history, essential_pictures(ring)];
    let pictures = pictures.into_iter().fold(held, u32::saturating_add);
    let size = size_of(topology, ring);
    let data = size.map_or(0, |size| picture_bytes(size).saturating_mul(u64::from(pictures)));
    Memory { bytes: common + table + data, exact: false, pictures: Some(pictures), size }
}

/// How far behind an essential reader may be.
fn deadline(ring: &RingSpec) -> Span {
    ring.essential.iter().map(|essential| essential.deadline).max().unwrap_or_default()
}

fn essential_bytes(ring: &RingSpec) -> u64 {
    let bits = u128::from(deadline(ring).0) * u128::from(ring.config.max_bitrate.0);
    u64::try_from(bits / (8 * u128::from(NS_PER_S))).unwrap_or(u64::MAX)
}

fn essential_pictures(ring: &RingSpec) -> u32 {
    let pictures = u128::from(deadline(ring).0) * u128::from(ESSENTIAL_FPS);
    let pictures = pictures.div_ceil(u128::from(NS_PER_S));
    u32::try_from(pictures).unwrap_or(u32::MAX).min(ESSENTIAL_PICTURES_MAX)
}

/// One picture of 8 bit 4:2:0, what nearly every camera sends.
pub(crate) fn picture_bytes(size: Size) -> u64 {
    u64::from(size.width) * u64::from(size.height) * 3 / 2
}

/// Of the synthetic camera at the other end of the ring's decoder; any other says it when it runs.
fn size_of(topology: &Topology, ring: &RingSpec) -> Option<Size> {
    let decoder = topology.worker(&ring.writer)?;
    let source = topology.ring(decoder.inputs.first()?)?;
    match &topology.worker(&source.writer)?.launch {
        Launch::Use(WorkerConfig::Ingest(ingest)) => match &ingest.source {
            Source::Test(pattern) => Some(pattern.size),
            Source::File(_) | Source::Rtsp(_) => None,
        },
        _ => None,
    }
}

fn whole(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// All rings together, and the names of those whose pictures have no known size.
pub(crate) fn total(topology: &Topology) -> (u64, Vec<&RingName>) {
    let all = || topology.rings.iter().map(|ring| (ring, memory_of(topology, ring)));
    let bytes = all().fold(0, |sum: u64, (_, memory)| sum.saturating_add(memory.bytes));
    let open = all().filter(|(_, memory)| memory.pictures.is_some() && memory.size.is_none());
    (bytes, open.map(|(ring, _)| &ring.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    #[test]
    fn a_ring_grows_with_its_rate_its_readers_and_its_pictures() {
        let text = "version: 1\nworkers:
  a: {use: ingest, source: 'test:?size=640x480'}
  b: {use: ingest, source: 'rtsp://127.0.0.1/x'}
  da: {use: decoder, in: a.packets}
  db: {use: decoder, in: b.packets}
  m: {use: motion, in: a.frames}
rings:
  b.packets: {max_bitrate: 80M}
";
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(text, file, &Overrides::default()).unwrap();
        let of = |name: &str| memory_of(&topology, topology.ring(&name.parse().unwrap()).unwrap());
        assert!(of("a.packets").bytes > 10_000_000 && of("b.packets").bytes > 100_000_000);
        // One reader and two to spare hold two each; one is the newest, one before it, two are made.
        let frames = of("a.frames");
        assert_eq!(frames.pictures, Some(10));
        assert!(frames.bytes > 10 * 640 * 480 * 3 / 2 && !frames.exact);
        assert_eq!(of("b.frames").size, None);
        assert_eq!(total(&topology).1, [&"b.frames".parse::<RingName>().unwrap()]);
    }
}
