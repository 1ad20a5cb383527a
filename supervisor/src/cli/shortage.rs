//! What to do when the rings do not fit into shared memory. Pure.

use std::fmt;

use protocol::name::RingName;
use protocol::units::{BitRate, Size};

use super::table::bytes;
use crate::budget::{self, Memory, memory_of, memory_with};
use crate::topology::{RingSpec, Topology};

/// /dev/shm as it is for this project: its own rings, which it will make anew, count as free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SharedMemory {
    pub(super) free_bytes: u64,
    pub(super) all_bytes: u64,
}

/// The rings take more than is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    needed_bytes: u64,
    shm: SharedMemory,
    /// The largest first.
    largest: Vec<Large>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Large {
    ring: RingName,
    bytes: u64,
    /// The one setting of this ring that makes all fit, if there is one.
    cure: Option<String>,
}

/// Rings that a message names.
const NAMED_MAX: usize = 3;

/// `None` when all that is known fits.
pub(super) fn of(topology: &Topology, shm: SharedMemory) -> Option<Shortage> {
    let (needed_bytes, _) = budget::total(topology);
    let excess = needed_bytes.checked_sub(shm.free_bytes).filter(|excess| *excess > 0)?;
    let mut rings: Vec<(&RingSpec, Memory)> =
        topology.rings.iter().map(|ring| (ring, memory_of(topology, ring))).collect();
    rings.sort_by_key(|(_, memory)| std::cmp::Reverse(memory.bytes));
    rings.truncate(NAMED_MAX);
    let large = |(ring, memory): (&RingSpec, Memory)| Large {
        ring: ring.name.clone(),
        bytes: memory.bytes,
        cure: memory.bytes.checked_sub(excess).and_then(|at_most| cure(ring, memory, at_most)),
    };
    Some(Shortage { needed_bytes, shm, largest: rings.into_iter().map(large).collect() })
}

/// The mildest change of one setting with which the ring takes no more than `at_most` bytes.
fn cure(ring: &RingSpec, memory: Memory, at_most: u64) -> Option<String> {
    let fits = |ring: &RingSpec, size| memory_with(ring, size).bytes <= at_most;
    let slower = bit_rates(ring).map(|rate| {
        let mut slower = ring.clone();
        slower.config.max_bitrate = rate;
        (slower, format!("max_bitrate: {rate}"))
    });
    let fewer_places = (0..ring.config.spare_readers).rev().map(|spare_readers| {
        let mut fewer = ring.clone();
        fewer.config.spare_readers = spare_readers;
        (fewer, format!("spare_readers: {spare_readers}"))
    });
    let shorter = (0..ring.config.history).rev().map(|history| {
        let mut shorter = ring.clone();
        shorter.config.history = history;
        (shorter, format!("history: {history}"))
    });
    let mut settings = slower.chain(fewer_places).chain(shorter);
    let setting = settings.find(|(changed, _)| fits(changed, memory.size));
    setting.map(|(_, text)| text).or_else(|| {
        // What a command prints is its own affair.
        let size = memory.size.filter(|_| !memory.exact)?;
        let size = smaller(size).find(|size| fits(ring, Some(*size)))?;
        Some(format!("pictures of {size} (`size=` of its source)"))
    })
}

/// Lower ones in steps of a sixteenth, the highest first.
fn bit_rates(ring: &RingSpec) -> impl Iterator<Item = BitRate> + use<> {
    const STEP_BITS: u64 = 100_000;
    let BitRate(now) = ring.config.max_bitrate;
    let lower = (1..16).rev().map(move |part| now / 16 * part / STEP_BITS * STEP_BITS);
    lower.filter(|bits| *bits > 0).map(BitRate)
}

/// Smaller ones of nearly the same shape, the largest first. A synthetic camera's width is a multiple
/// of 32, its height even.
fn smaller(size: Size) -> impl Iterator<Item = Size> {
    let scaled = |side: u32, part: u32, step: u32| side / 16 * part / step * step;
    let sizes = (1..16).rev();
    let sizes = sizes.map(move |part| Size {
        width: scaled(size.width, part, 32),
        height: scaled(size.height, part, 2),
    });
    sizes.filter(|size| size.width >= 128 && size.height >= 64)
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed_bytes, shm, largest } = self;
        let (needed, free) = (bytes(*needed_bytes), bytes(shm.free_bytes));
        writeln!(
            f,
            "its rings take at least {needed}, /dev/shm has {free} for them; the largest:"
        )?;
        for Large { ring, bytes: taken, cure } in largest {
            let taken = bytes(*taken);
            match cure {
                Some(cure) => writeln!(f, "  {ring} {taken}: all fits with {cure}")?,
                None => writeln!(f, "  {ring} {taken}: no setting of it alone is enough")?,
            }
        }
        let mib = needed_bytes.saturating_sub(shm.free_bytes).saturating_add(shm.all_bytes);
        let mib = mib.div_ceil(1 << 20);
        write!(
            f,
            "or make it larger: `mount -o remount,size={mib}M /dev/shm`, in a container `--shm-size={mib}m`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    const MIB: u64 = 1 << 20;

    fn topology() -> Topology {
        let text = "version: 1\nworkers:
  a: {use: ingest, source: 'test:?size=1920x1080'}
  b: {use: ingest, source: 'rtsp://127.0.0.1/x'}
  da: {use: decoder, in: a.packets}
  m: {use: motion, in: a.frames}
rings:
  b.packets: {max_bitrate: 80M}
";
        topology::parse(text, "/srv/framevisor.yml".as_ref(), &Overrides::default()).unwrap()
    }

    fn shortage(missing: u64) -> Option<Shortage> {
        let (needed, _) = budget::total(&topology());
        of(&topology(), SharedMemory { free_bytes: needed - missing, all_bytes: 256 * MIB })
    }

    #[test]
    fn what_fits_exactly_is_no_shortage() {
        assert_eq!(shortage(0), None);
        assert!(shortage(1).is_some());
    }

    #[test]
    fn the_largest_rings_are_named_with_the_mildest_setting_that_helps() {
        let said = shortage(10 * MIB).unwrap().to_string();
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[1].starts_with("  b.packets 190"), "{said}");
        assert!(lines[1].ends_with("all fits with max_bitrate: 75M"), "{said}");
        assert!(lines[2].starts_with("  a.frames 30"), "{said}");
        assert!(lines[2].ends_with("all fits with spare_readers: 0"), "{said}");
        assert!(lines[3].starts_with("  a.packets 19"), "{said}");
        assert!(lines[3].ends_with("no setting of it alone is enough"), "{said}");
        assert!(lines[4].contains("size=266M") && lines[4].contains("--shm-size=266m"), "{said}");
    }

    #[test]
    fn each_setting_named_makes_all_fit_and_the_next_milder_one_does_not() {
        let topology = topology();
        for missing in 1..120 {
            let (needed, _) = budget::total(&topology);
            let excess = missing * MIB;
            let Some(shortage) = shortage(excess) else { panic!("{missing}") };
            let [packets, ..] = shortage.largest.as_slice() else { panic!("no ring") };
            let Some(rate) = packets.cure.as_deref() else { continue };
            let rate: BitRate = rate.strip_prefix("max_bitrate: ").unwrap().parse().unwrap();
            let mut lower = topology.ring(&packets.ring).unwrap().clone();
            lower.config.max_bitrate = rate;
            let saved = packets.bytes - memory_with(&lower, None).bytes;
            assert!(saved >= excess && needed > saved, "{missing} MiB: {rate}");
        }
    }

    #[test]
    fn pictures_are_made_smaller_only_when_fewer_of_them_are_not_enough() {
        let said = shortage(25 * MIB).unwrap().to_string();
        assert!(said.contains("a.frames"), "{said}");
        assert!(said.contains("`size=` of its source"), "{said}");
    }
}
