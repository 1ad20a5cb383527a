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

use protocol::name::RingName;
use protocol::stream::Track;
use shmring::{Frame, Packet};

use crate::context::Context;
use crate::item::{Item, group_before};

/// Items kept of one worker; the oldest go.
const KEPT_ITEMS: usize = 16;

/// Keeps a packet and what a decoder needs before it.
pub(crate) fn keep_packet(cx: &Context, ring: &RingName, tracks: &[Track], packet: &Packet) {
    let reader = format!("{} quarantine", cx.worker());
    let group = group_before(cx.project(), ring, &reader, packet);
    keep(cx, Item::of_packet(ring, tracks, &group, packet));
}

/// Keeps a picture's planes, tightly packed.
pub(crate) fn keep_frame(cx: &Context, ring: &RingName, frame: &Frame) {
    keep(cx, Item::of_frame(ring, frame));
}

fn keep(cx: &Context, mut item: Item) {
    item.facts["worker"] = cx.worker().as_str().into();
    let folder = cx.state_dir().join("quarantine").join(cx.worker().as_str());
    match store(&folder, &item) {
        Ok(file) => {
            tracing::warn!(
                "passed over: this item killed the worker twice; quarantine {}",
                file.display()
            );
        }
        Err(error) => tracing::warn!(
            "passed over: item {} killed the worker twice; it cannot be kept in {}: {error}",
            item.name,
            folder.display()
        ),
    }
}

fn store(folder: &Path, item: &Item) -> io::Result<PathBuf> {
    let Item { name, extension, bytes, facts } = item;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_kept_with_its_facts_and_only_the_newest_items_stay() {
        let folder = std::env::temp_dir().join(format!("fv-quarantine-{}", std::process::id()));
        for sequence in 0..20 {
            let item = Item {
                name: format!("cam.packets-7-{sequence}"),
                extension: "h264",
                bytes: b"packet".to_vec(),
                facts: json!({ "sequence": sequence }),
            };
            let file = store(&folder, &item).expect("a folder to write");
            assert_eq!(fs::read(file).expect("the file"), b"packet");
        }
        let left = names_by_age(&folder).expect("the folder");
        fs::remove_dir_all(&folder).expect("its own folder");
        assert_eq!(left.len(), 2 * KEPT_ITEMS);
        assert!(left.iter().any(|name| name == "cam.packets-7-19.h264"));
    }
}
