//! How much shared memory a ring takes, from its contract. Pure: the writers size their rings with these
//! very functions, and who plans a topology asks them before anything is started.

use protocol::config::Memory;
use protocol::control::RingContract;
use protocol::name::RingKind;
use protocol::time::NS_PER_S;
use protocol::units::Span;

use crate::frames::{self, QUOTA};
use crate::layout::{PAGE, anchor, device, index, lease};
use crate::lease::{longest_deadline, table_bytes};

/// Smallest log: late joiners of a low-rate camera still find several groups of pictures.
pub const LOG_MIN_BYTES: u64 = 8 << 20;
/// Seconds of the highest rate a log holds: what a recorder may take to restart, many times over.
pub const LOG_SECONDS: u64 = 10;
/// Log of a record ring: thousands of JSON records.
const RECORD_LOG_BYTES: u64 = 1 << 20;

/// Slots in flight between loan and publish, beside what a decoder holds.
const IN_FLIGHT: u32 = 2;
/// The newest picture, beside the history.
const NEWEST: u32 = 1;
/// Of pictures kept for essential readers: what most cameras send a second, and half of what a ring can
/// have.
const ESSENTIAL_FPS: u32 = 30;
const ESSENTIAL_PICTURES_MAX: u32 = frames::SLOTS / 2;
/// Depth for essential readers where the writer waits: so much that it does not stop for each item.
const WAITING_DEPTH: Span = Span::from_millis(1_000);

/// What the pictures of a frame ring take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Bytes of one, as [`crate::Picture::slot_bytes`] tells.
    pub slot_bytes: u64,
    /// Slots its writer holds at once: a decoder's reference pictures.
    pub writer_need: u32,
}

/// Bytes of all files of a ring with one epoch. Of a frame ring whose pictures are not known yet, give
/// `None`: their memory comes on top. Packets that are too large for a packet ring's log take, together, at most
/// [`log_bytes`] more.
pub fn ring_bytes(contract: &RingContract, pictures: Option<Pictures>) -> u64 {
    let pages = u64::from(contract.places) * whole(lease::BYTES);
    let attached = whole(anchor::BYTES).saturating_add(pages);
    attached.saturating_add(epoch_bytes(contract, pictures))
}

/// The most it takes: a packet or record ring whose writer was restarted keeps the epoch before for 30 s, so that
/// its readers can finish it. Packets that are too large for the log come on top.
pub fn most_bytes(contract: &RingContract, pictures: Option<Pictures>) -> u64 {
    let before = match contract.name.kind() {
        RingKind::Events | RingKind::Packets => epoch_bytes(contract, pictures),
        RingKind::Frames => 0,
    };
    ring_bytes(contract, pictures).saturating_add(before)
}

/// Bytes of the index and data of one epoch.
pub fn epoch_bytes(contract: &RingContract, pictures: Option<Pictures>) -> u64 {
    let evictions = if contract.essential.is_empty() { 0 } else { contract.places };
    let (index, data) = match (contract.name.kind(), pictures) {
        (RingKind::Events | RingKind::Packets, _) => (index::AT_VERSIONS, log_bytes(contract)),
        (RingKind::Frames, None) => (frames::INDEX_BYTES, 0),
        (RingKind::Frames, Some(Pictures { slot_bytes, writer_need })) => {
            let slots = u64::from(slots(contract, writer_need));
            let data = pages(slot_bytes.max(1)).saturating_mul(slots);
            let on_device = contract.config.memory != Memory::Host;
            (frames::INDEX_BYTES, if on_device { whole(device::BYTES) } else { data })
        }
    };
    whole(index).saturating_add(whole(table_bytes(evictions))).saturating_add(data)
}

/// Depth of a packet or record ring's log.
pub fn log_bytes(contract: &RingContract) -> u64 {
    let a_second = contract.config.max_bitrate.0 / 8;
    let base = match contract.name.kind() {
        RingKind::Events => RECORD_LOG_BYTES,
        RingKind::Frames | RingKind::Packets => {
            let usual = a_second.saturating_mul(LOG_SECONDS).max(LOG_MIN_BYTES);
            usual.saturating_add(at_highest_rate(contract, contract.pre_roll))
        }
    };
    pages(base.saturating_add(essential_bytes(contract)))
}

/// Slots of a frame ring's generation: leases can never exhaust it.
pub fn slots(contract: &RingContract, writer_need: u32) -> u32 {
    let leased = contract.places.saturating_mul(QUOTA);
    let counts = [leased, contract.config.history, essential_pictures(contract), writer_need];
    counts.into_iter().fold(IN_FLIGHT + NEWEST, u32::saturating_add)
}

/// How much more than usual is kept for essential readers. A writer that waits for them needs no room for
/// all that they may be behind by.
fn essential_span(contract: &RingContract) -> Span {
    let deadline = longest_deadline(contract);
    if contract.waits { deadline.min(WAITING_DEPTH) } else { deadline }
}

/// What comes within the longest deadline of an essential reader, at the highest rate.
fn essential_bytes(contract: &RingContract) -> u64 {
    at_highest_rate(contract, essential_span(contract))
}

fn at_highest_rate(contract: &RingContract, span: Span) -> u64 {
    let bits = u128::from(span.0) * u128::from(contract.config.max_bitrate.0);
    u64::try_from(bits / (8 * u128::from(NS_PER_S))).unwrap_or(u64::MAX)
}

/// What an essential reader may be behind by: its deadline at the rate of a camera, within reason. A
/// faster ring is full before the deadline.
fn essential_pictures(contract: &RingContract) -> u32 {
    let pictures = u128::from(essential_span(contract).0) * u128::from(ESSENTIAL_FPS);
    let pictures = pictures.div_ceil(u128::from(NS_PER_S));
    u32::try_from(pictures).unwrap_or(u32::MAX).min(ESSENTIAL_PICTURES_MAX)
}

/// Rounded up to whole pages. More than any machine has is refused when it is reserved.
fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(whole(PAGE)).saturating_mul(whole(PAGE))
}

fn whole(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
