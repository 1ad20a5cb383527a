//! One item of a ring as bytes of a file: a packet behind its group of pictures, so that any player opens
//! it; a picture as its planes, tightly packed; and what is known of it.

use std::time::Duration;

use protocol::control::ItemId;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Codec, Track};
use serde_json::{Value, json};
use shmring::{Frame, Next, Packet, PacketOptions, PacketReader, Start};

/// A group of pictures beyond this is kept without its beginning.
const GROUP_MAX_BYTES: usize = 16 << 20;

/// What is kept of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// `RING-EPOCH-SEQUENCE`.
    pub name: String,
    /// What players know such bytes by.
    pub extension: &'static str,
    pub bytes: Vec<u8>,
    pub facts: Value,
}

impl Item {
    /// `group`: what a decoder needs before it.
    pub fn of_packet(ring: &RingName, tracks: &[Track], group: &[u8], packet: &Packet) -> Self {
        let track = usize::try_from(packet.meta.track).ok().and_then(|number| tracks.get(number));
        let facts = json!({
            "ring": ring, "epoch": packet.epoch, "sequence": packet.sequence,
            "track": packet.meta.track, "codec": track.map(|track| track.codec),
            "size": track.map(|track| [track.width, track.height]), "key": packet.meta.key,
            "pts_ns": packet.meta.pts_ns, "gop_index": packet.meta.gop_index,
            "capture_utc_ns": packet.meta.capture.utc.0,
            "bytes_before": group.len(), "bytes": packet.payload.len(),
        });
        Self {
            name: name(ring, packet.epoch, packet.sequence),
            extension: track.map_or("bin", |track| extension(track.codec)),
            bytes: [group, &packet.payload[..]].concat(),
            facts,
        }
    }

    pub fn of_frame(ring: &RingName, frame: &Frame) -> Self {
        let mut bytes = Vec::new();
        (0..).map_while(|number| frame.plane(number)).for_each(|plane| plane.copy_to(&mut bytes));
        let facts = json!({
            "ring": ring, "epoch": frame.epoch(), "sequence": frame.sequence(),
            "frame": frame.frame_id(), "what": format!("{:?}", frame.meta()), "bytes": bytes.len(),
        });
        let name = name(ring, frame.epoch(), frame.sequence());
        Self { name, extension: "raw", bytes, facts }
    }
}

/// The packet with its group before it; `None` when the ring holds it no more.
pub fn find_packet(
    project: &ProjectName,
    ring: &RingName,
    reader: &str,
    id: ItemId,
) -> Result<Option<Item>, shmring::Error> {
    let mut held: Vec<Packet> = Vec::new();
    // Behind nothing at all: the epoch before the live one too, while it is there.
    let start = Start::After { epoch: 0, sequence: 0 };
    let mut reader = attach(project, ring, reader, start)?;
    loop {
        match reader.next(Duration::ZERO)? {
            Next::Item(packet) if (packet.epoch, packet.sequence) == (id.epoch, id.sequence) => {
                let group = group(held.iter(), &packet);
                return Ok(Some(Item::of_packet(ring, reader.tracks(), &group, &packet)));
            }
            Next::Item(packet) if (packet.epoch, packet.sequence) > (id.epoch, id.sequence) => {
                return Ok(None);
            }
            Next::Item(packet) => {
                // Of earlier groups nothing is needed.
                let gone = |earlier: &Packet| earlier.meta.gop_index != packet.meta.gop_index;
                if held.last().is_some_and(gone) {
                    held.clear();
                }
                held.push(packet);
            }
            Next::Quiet | Next::Ended => return Ok(None),
            _ => {}
        }
    }
}

/// The packets of the same track and group of pictures before `packet`, as far as they are still there.
/// Empty when there is no place left in the ring.
pub(crate) fn group_before(
    project: &ProjectName,
    ring: &RingName,
    reader: &str,
    packet: &Packet,
) -> Vec<u8> {
    let Ok(mut reader) = attach(project, ring, reader, Start::Oldest) else {
        return Vec::new();
    };
    let mut held = Vec::new();
    // All of it has been published, so nothing is waited for.
    loop {
        match reader.next(Duration::ZERO) {
            Ok(Next::Item(earlier)) => {
                if (earlier.epoch, earlier.sequence) >= (packet.epoch, packet.sequence) {
                    return group(held.iter(), packet);
                }
                if belongs(&earlier, packet) {
                    held.push(earlier);
                }
            }
            Ok(Next::Overrun { .. } | Next::NewEpoch { .. }) => {}
            Ok(_) | Err(_) => return group(held.iter(), packet),
        }
    }
}

fn attach(
    project: &ProjectName,
    ring: &RingName,
    reader: &str,
    start: Start,
) -> Result<PacketReader, shmring::Error> {
    let options = PacketOptions { reader: reader.to_owned(), start };
    PacketReader::attach(project, ring, &options)
}

/// What belongs to it, one behind the other, without what is too much.
fn group<'a>(earlier: impl Iterator<Item = &'a Packet>, packet: &Packet) -> Vec<u8> {
    let mut group = Vec::new();
    for earlier in earlier.filter(|earlier| belongs(earlier, packet)) {
        if group.len() + earlier.payload.len() <= GROUP_MAX_BYTES {
            group.extend_from_slice(&earlier.payload);
        }
    }
    group
}

fn belongs(earlier: &Packet, packet: &Packet) -> bool {
    earlier.epoch == packet.epoch
        && earlier.meta.track == packet.meta.track
        && earlier.meta.gop_index == packet.meta.gop_index
}

fn name(ring: &RingName, epoch: u64, sequence: u64) -> String {
    format!("{ring}-{epoch}-{sequence}")
}

fn extension(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::H265 => "h265",
        Codec::Av1 => "obu",
        Codec::Mjpeg => "mjpeg",
        Codec::Mpeg4 => "m4v",
        _ => "bin",
    }
}
