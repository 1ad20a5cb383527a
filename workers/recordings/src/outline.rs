//! When a camera was recorded, and why not, without a look at every fragment: for lists and for the
//! timelines that people look at. From the index, or from the files where there is none that fits.

use std::path::Path;

use protocol::time::UtcNs;

use crate::error::Error;
use crate::facts::Facts;
use crate::folder::{Entry, is_written, list, named};
use crate::gap::Gap;
use crate::index::{self, Index};
use crate::timeline::{Range, Timeline};

/// A camera over a stretch of time. As late as the index is: two seconds while it is being recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Of all time.
    pub files: u64,
    pub bytes: u64,
    pub from: Option<UtcNs>,
    pub to: Option<UtcNs>,
    /// From and to without a hole, of what reaches into the range.
    pub ranges: Vec<(UtcNs, UtcNs)>,
    pub gaps: Vec<Gap>,
}

impl Outline {
    pub fn read(folder: &Path, range: Range) -> Result<Self, Error> {
        let camera = folder.file_name().unwrap_or_default().to_string_lossy();
        let index = folder.parent().and_then(Index::read);
        let told = index.and_then(|index| index.outline(&camera, range).ok().flatten());
        match told.filter(|told| fits(told, folder)) {
            Some(told) => Ok(told),
            None => Self::of_files(folder, &camera, range),
        }
    }

    fn of_files(folder: &Path, camera: &str, range: Range) -> Result<Self, Error> {
        let entries = list(folder)?;
        let index = folder.parent().and_then(Index::read);
        let facts = |entry: &Entry| index::facts(index.as_ref(), camera, entry);
        let ends = |facts: Facts| {
            let (first, last) = (facts.fragments.first()?, facts.fragments.last()?);
            Some((first.capture, last.end))
        };
        let first = entries.iter().find_map(|entry| facts(entry).ok().and_then(ends));
        let last = entries.iter().rev().find_map(|entry| facts(entry).ok().and_then(ends));
        let timeline = Timeline::read(folder, range)?;
        Ok(Self {
            files: entries.len() as u64,
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            from: first.map(|(from, _)| from),
            to: last.map(|(_, to)| to),
            ranges: timeline.spans.iter().map(|span| (span.from, span.to)).collect(),
            gaps: timeline.gaps,
        })
    }

    /// What files of these times are without the gaps between them.
    pub(crate) fn ranges_of(files: &[(UtcNs, UtcNs)], gaps: &[Gap]) -> Vec<(UtcNs, UtcNs)> {
        let Some((mut from, _)) = files.first().copied() else { return Vec::new() };
        let to = files.iter().map(|(_, to)| *to).max().unwrap_or(from);
        let mut ranges = Vec::new();
        for gap in gaps {
            if from < gap.from {
                ranges.push((from, gap.from));
            }
            from = from.max(gap.to);
        }
        if from < to {
            ranges.push((from, to));
        }
        ranges
    }
}

/// Whether it is about the files that are there. A recorder that runs has some more, or less.
fn fits(told: &Outline, folder: &Path) -> bool {
    let there = named(folder).map_or(0, |files| files.len() as u64);
    there == told.files || (is_written(folder) && there.abs_diff(told.files) <= FILES_BEHIND)
}

/// What may come or go between two looks of an index.
const FILES_BEHIND: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gap::GapReason;
    use crate::packet_id::PacketId;

    #[test]
    fn gaps_are_taken_out_of_what_the_files_cover() {
        let at = UtcNs;
        let id = PacketId { epoch: 1, sequence: 1 };
        let gap = |from, to| Gap {
            from: at(from),
            to: at(to),
            missing: 0,
            reason: GapReason::Missing,
            before: id,
            after: id,
        };
        let files = [(at(10), at(20)), (at(20), at(40)), (at(50), at(60))];
        let ranges = Outline::ranges_of(&files, &[gap(5, 9), gap(25, 30), gap(40, 50)]);
        assert_eq!(ranges, [(at(10), at(25)), (at(30), at(40)), (at(50), at(60))]);
        assert_eq!(Outline::ranges_of(&[], &[gap(1, 2)]), []);
    }
}
