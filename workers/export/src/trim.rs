//! A cut at any picture without encoding: the pictures from the key frame before on, in a plain MP4 file
//! whose edit list begins with the one that is shown at the first instant asked for and ends with the last
//! one. Players that know no edit lists show the others too.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use media::{Container, Muxer};
use protocol::stream::Track;
use protocol::time::UtcNs;
use recordings::cut::{Footage, Part};
use recordings::{Range, Sample};

use crate::edits;
use crate::error::ExportError;
use crate::remux::{position, unit};
use crate::watch::Watch;

/// What is shown, on the camera's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) zero_ns: i64,
    pub(crate) end_ns: i64,
}

/// Writes what a part shows of the range to `path`. `None`, and no file, when that is nothing.
pub(crate) fn trim(
    footage: &Footage,
    part: &Part,
    path: &Path,
    watch: &Watch,
) -> Result<Option<Shown>, ExportError> {
    let Some(shown) = Shown::of(footage, part) else { return Ok(None) };
    let streams: Vec<Track> = part.streams.iter().map(|(_, stream)| stream.clone()).collect();
    let mut muxer = Muxer::create(path, Container::Mp4, &streams)?;
    let mut samples = footage.timeline.samples();
    let mut goes_on = false;
    while let Some(sample) = samples.next() {
        let sample = sample.map_err(ExportError::recording(&footage.camera))?;
        if !part.holds(&sample) {
            continue;
        }
        watch.go_on()?;
        let track = position(part, sample.track).filter(|_| shown.needs(part, &sample));
        if let Some(track) = track {
            goes_on |= sample.pts_ns >= shown.end_ns;
            muxer.write(&unit(footage, &mut samples, &sample, track, shown.zero_ns)?)?;
        }
        watch.did(sample.bytes.into());
    }
    muxer.finish()?;
    if goes_on {
        end(path, shown.end_ns - shown.zero_ns).map_err(ExportError::io("write", path))?;
    }
    Ok(Some(shown))
}

impl Shown {
    /// From the picture that is shown at the begin of the range to the last one that begins before its end.
    fn of(footage: &Footage, part: &Part) -> Option<Self> {
        let Range { from, to } = footage.timeline.range;
        let pictures = &footage.shown_ns;
        let utc = |pts_ns: &i64| footage.clock.utc(*pts_ns);
        let in_ns = |utc: UtcNs| footage.clock.pts_ns(utc);
        let begun = pictures.partition_point(|pts_ns| utc(pts_ns) <= from);
        let zero_ns = match (pictures.first(), begun.checked_sub(1)) {
            (Some(_), Some(at)) => pictures[at],
            (Some(first), None) => *first,
            (None, _) => in_ns(from),
        };
        let behind = pictures.partition_point(|pts_ns| utc(pts_ns) < to);
        let end_ns = match (pictures.is_empty(), pictures.get(behind)) {
            (false, Some(next)) => *next,
            (false, None) => i64::MAX,
            (true, _) => in_ns(to),
        };
        let shown = Self { zero_ns: zero_ns.max(part.zero_ns), end_ns: end_ns.min(part.end_ns) };
        (shown.zero_ns < shown.end_ns).then_some(shown)
    }

    /// Whether it is shown, or something that is shown may be made of it.
    fn needs(&self, part: &Part, sample: &Sample) -> bool {
        let stream = part.streams.iter().find(|(track, _)| *track == sample.track);
        if stream.is_some_and(|(_, stream)| stream.codec.is_video()) {
            return sample.dts_ns < self.end_ns;
        }
        let ends_ns = sample.pts_ns.saturating_add(sample.duration_ns);
        ends_ns > self.zero_ns && sample.pts_ns < self.end_ns
    }
}

/// Lets the edit lists of a file end after so long.
fn end(path: &Path, lasts_ns: i64) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let no_index = || io::Error::new(io::ErrorKind::InvalidData, "it has no index in front");
    let (at_bytes, length) = moov(&file)?.ok_or_else(no_index)?;
    let mut moov = vec![0; length];
    file.read_exact_at(&mut moov, at_bytes)?;
    edits::end_at(&mut moov, lasts_ns).ok_or_else(no_index)?;
    file.write_all_at(&moov, at_bytes)
}

/// Where the `moov` box of a file is, and how long: one of a few boxes in a row.
fn moov(file: &File) -> io::Result<Option<(u64, usize)>> {
    let bytes = file.metadata()?.len();
    let mut at_bytes = 0;
    while at_bytes + 16 <= bytes {
        let (mut head, mut wide) = ([0; 8], [0; 8]);
        file.read_exact_at(&mut head, at_bytes)?;
        file.read_exact_at(&mut wide, at_bytes + 8)?;
        let [short @ .., _, _, _, _] = head;
        let length = match u32::from_be_bytes(short) {
            1 => u64::from_be_bytes(wide),
            short => short.into(),
        };
        if head.ends_with(b"moov") {
            // Of a file that was written just now.
            return Ok(usize::try_from(length).ok().map(|length| (at_bytes, length)));
        }
        at_bytes += length.max(8);
    }
    Ok(None)
}
