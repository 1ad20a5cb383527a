//! `framevisor-decoder keep`: what `framevisor why --save` wants of a ring: its newest picture, or the item
//! that a worker had in hand.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::control::ItemId;
use protocol::name::RingKind;
use protocol::time::UtcNs;
use protocol::verb::{Keep, KeepWhat, Kept};
use serde_json::Value;
use shmring::{Frame, FrameOptions, FrameReader, FrameStart, Next, Policy};
use worker::item::{self, Item};
use worker::verb::{VerbError, answer, arguments};

use crate::pictures::{Pictures, still_of};

const READER: &str = "framevisor why";
/// A parked decoder begins within this when cameras send key frames often; it is no reason to wait longer.
const PICTURE_WITHIN: Duration = Duration::from_secs(2);

pub(crate) fn verb(text: &str) -> Result<(), VerbError> {
    let keep: Keep = arguments(text)?;
    let kept = match keep.what {
        KeepWhat::Picture => picture(&keep)?,
        KeepWhat::Item(id) if keep.ring.kind() == RingKind::Frames => frame(&keep, id)?,
        KeepWhat::Item(id) => packet(&keep, id)?,
    };
    answer(&kept)
}

fn picture(keep: &Keep) -> Result<Kept, VerbError> {
    let mut pictures = Pictures::attach(&keep.project, &keep.ring)?;
    let shown = pictures.newest(PICTURE_WITHIN, true)?;
    let shown = shown.ok_or_else(|| {
        let seconds = PICTURE_WITHIN.as_secs();
        VerbError::timeout(format!(
            "ring {}: it holds no picture, and none came within {seconds} s",
            keep.ring
        ))
    })?;
    let png = shown.still.png().map_err(VerbError::failed)?;
    let (epoch, sequence) = (shown.epoch, shown.sequence);
    let files = vec![write(keep, &format!("{}.png", keep.ring), &png)?];
    Ok(Kept { files, epoch, sequence, captured_utc_ns: shown.capture.utc })
}

fn packet(keep: &Keep, id: ItemId) -> Result<Kept, VerbError> {
    let found = item::find_packet(&keep.project, &keep.ring, READER, id)?;
    let item = found.ok_or_else(|| gone(keep, id))?;
    let captured = item.facts["capture_utc_ns"].as_u64().unwrap_or(0);
    let files = write_item(keep, &item)?;
    let ItemId { epoch, sequence } = id;
    Ok(Kept { files, epoch, sequence, captured_utc_ns: UtcNs(captured) })
}

fn frame(keep: &Keep, id: ItemId) -> Result<Kept, VerbError> {
    let frame = find_frame(keep, id)?.ok_or_else(|| gone(keep, id))?;
    let mut files = write_item(keep, &Item::of_frame(&keep.ring, &frame))?;
    // Tensors have none.
    if frame.meta().picture().is_some() {
        let png = still_of(&frame)?.png().map_err(VerbError::failed)?;
        let name = format!("{}-{}-{}.png", keep.ring, id.epoch, id.sequence);
        files.push(write(keep, &name, &png)?);
    }
    let captured_utc_ns = frame.meta().capture.utc;
    Ok(Kept { files, epoch: id.epoch, sequence: id.sequence, captured_utc_ns })
}

fn find_frame(keep: &Keep, id: ItemId) -> Result<Option<Frame>, VerbError> {
    let start = FrameStart::After { epoch: id.epoch, sequence: id.sequence.saturating_sub(1) };
    let options =
        FrameOptions { policy: Policy::Sequential, quota: 1, start, ..FrameOptions::named(READER) };
    let mut reader = FrameReader::attach(&keep.project, &keep.ring, &options)?;
    loop {
        match reader.next(Duration::ZERO)? {
            Next::Item(frame) => {
                let is_it = (frame.epoch(), frame.sequence()) == (id.epoch, id.sequence);
                return Ok(is_it.then_some(frame));
            }
            Next::Quiet | Next::Ended => return Ok(None),
            // The sequences tell.
            _ => {}
        }
    }
}

fn gone(keep: &Keep, ItemId { epoch, sequence }: ItemId) -> VerbError {
    VerbError::failed(format!(
        "ring {}: it holds item {sequence} of epoch {epoch} no more; later ones have taken its place",
        keep.ring
    ))
}

fn write_item(keep: &Keep, item: &Item) -> Result<Vec<PathBuf>, VerbError> {
    let Item { name, extension, bytes, facts } = item;
    let described = |facts: &Value| format!("{facts:#}\n");
    Ok(vec![
        write(keep, &format!("{name}.{extension}"), bytes)?,
        write(keep, &format!("{name}.json"), described(facts).as_bytes())?,
    ])
}

/// Its name in the folder.
fn write(keep: &Keep, name: &str, bytes: &[u8]) -> Result<PathBuf, VerbError> {
    let path = keep.folder.join(name);
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    let cannot = |error| VerbError::failed(format!("cannot write {}: {error}", path.display()));
    written.map_err(cannot)?;
    Ok(Path::new(name).to_owned())
}
