//! Items that killed this worker twice, kept for whoever mends it:
//!
//! ```text
//! DIR/<worker>/<ring>-<epoch>-<sequence>.h264   the packet, with its group of pictures before it
//! DIR/<worker>/<ring>-<epoch>-<sequence>.json   what it is, and where in that file it begins
//! ```
//!
//! Keeping is a service: a full disk or a vanished ring is told in the log and stops nobody.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::name::RingName;
use protocol::stream::{Codec, Track};
use serde_json::{Value, json};
use shmring::{Frame, Next, Packet, PacketOptions, PacketReader, Start};

use crate::context::Context;

/// Items kept of one worker; the oldest go.
const KEPT_ITEMS: usize = 16;
/// A group of pictures beyond this is kept without its beginning.
const GROUP_MAX_BYTES: usize = 16 << 20;

/// Keeps a packet and what a decoder needs before it.
pub(crate) fn keep_packet(cx: &Context, ring: &RingName, tracks: &[Track], packet: &Packet) {
    let track = usize::try_from(packet.meta.track).ok().and_then(|number| tracks.get(number));
    let group = group_before(cx, ring, packet);
    let facts = json!({
        "worker": cx.worker(), "ring": ring, "epoch": packet.epoch, "sequence": packet.sequence,
        "track": packet.meta.track, "codec": track.map(|track| track.codec),
        "size": track.map(|track| [track.width, track.height]), "key": packet.meta.key,
        "pts_ns": packet.meta.pts_ns, "gop_index": packet.meta.gop_index,
        "capture_utc_ns": packet.meta.capture.utc.0,
        "bytes_before": group.len(), "bytes": packet.payload.len(),
    });
    let bytes = [group, packet.payload.clone()].concat();
    let extension = track.map_or("bin", |track| extension(track.codec));
    keep(cx, &name(ring, packet.epoch, packet.sequence), extension, &bytes, &facts);
}

/// Keeps a picture's planes, tightly packed.
pub(crate) fn keep_frame(cx: &Context, ring: &RingName, frame: &Frame) {
    let mut bytes = Vec::new();
    (0..).map_while(|number| frame.plane(number)).for_each(|plane| plane.copy_to(&mut bytes));
    let facts = json!({
        "worker": cx.worker(), "ring": ring, "epoch": frame.epoch(), "sequence": frame.sequence(),
        "frame": frame.frame_id(), "what": format!("{:?}", frame.meta()), "bytes": bytes.len(),
    });
    keep(cx, &name(ring, frame.epoch(), frame.sequence()), "raw", &bytes, &facts);
}

fn keep(cx: &Context, name: &str, extension: &str, bytes: &[u8], facts: &Value) {
    let folder = cx.quarantine_dir().join(cx.worker().as_str());
    match store(&folder, name, extension, bytes, facts) {
        Ok(file) => {
            tracing::warn!(
                "passed over: this item killed the worker twice; quarantine {}",
                file.display()
            );
        }
        Err(error) => tracing::warn!(
            "passed over: item {name} killed the worker twice; it cannot be kept in {}: {error}",
            folder.display()
        ),
    }
}

fn store(
    folder: &Path,
    name: &str,
    extension: &str,
    bytes: &[u8],
    facts: &Value,
) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{name}.{extension}"));
    fs::write(&file, bytes)?;
    fs::write(folder.join(format!("{name}.json")), format!("{facts:#}\n"))?;
    for stale in stale(names_by_age(folder)?) {
        fs::remove_file(folder.join(stale))?;
    }
    Ok(file)
}

/// Names of all files of the folder, newest first.
fn names_by_age(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            files.push((entry.metadata()?.modified()?, name));
        }
    }
    files.sort_unstable();
    Ok(files.into_iter().rev().map(|(_, name)| name).collect())
}

/// The files of all but the newest items, two files each. `names`: newest first.
fn stale(names: Vec<String>) -> Vec<String> {
    names.into_iter().skip(2 * KEPT_ITEMS).collect()
}

fn name(ring: &RingName, epoch: u64, sequence: u64) -> String {
    format!("{ring}-{epoch}-{sequence}")
}

/// What players know such bytes by.
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

/// The packets of the same track and group of pictures before `packet`, as far as they are still there.
/// Empty when there is no place left in the ring.
fn group_before(cx: &Context, ring: &RingName, packet: &Packet) -> Vec<u8> {
    let options =
        PacketOptions { reader: format!("{} quarantine", cx.worker()), start: Start::Oldest };
    let mut group = Vec::new();
    let Ok(mut reader) = PacketReader::attach(cx.project(), ring, &options) else {
        return group;
    };
    // All of it has been published, so nothing is waited for.
    loop {
        match reader.next(Duration::ZERO) {
            Ok(Next::Item(earlier)) => {
                let place = (earlier.epoch, earlier.sequence);
                if place >= (packet.epoch, packet.sequence) {
                    return group;
                }
                if belongs(&earlier, packet)
                    && group.len() + earlier.payload.len() <= GROUP_MAX_BYTES
                {
                    group.extend_from_slice(&earlier.payload);
                }
            }
            Ok(Next::Overrun { .. } | Next::NewEpoch { .. }) => {}
            Ok(_) | Err(_) => return group,
        }
    }
}

fn belongs(earlier: &Packet, packet: &Packet) -> bool {
    earlier.epoch == packet.epoch
        && earlier.meta.track == packet.meta.track
        && earlier.meta.gop_index == packet.meta.gop_index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_kept_with_its_facts_and_only_the_newest_items_stay() {
        let folder = std::env::temp_dir().join(format!("fv-quarantine-{}", std::process::id()));
        for sequence in 0..20 {
            let name = name(&"cam.packets".parse().expect("a valid name"), 7, sequence);
            let facts = json!({ "sequence": sequence });
            let file = store(&folder, &name, "h264", b"packet", &facts).expect("a folder to write");
            assert_eq!(fs::read(file).expect("the file"), b"packet");
        }
        let left = names_by_age(&folder).expect("the folder");
        fs::remove_dir_all(&folder).expect("its own folder");
        assert_eq!(left.len(), 2 * KEPT_ITEMS);
        assert!(left.iter().any(|name| name == "cam.packets-7-19.h264"));
    }
}
