//! What a camera's directory holds of a stretch of time: spans without a hole, the gaps between them,
//! and the fragments to read.

use std::path::{Path, PathBuf};

use protocol::name::RingName;
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

use crate::comments::{Comment, comments};
use crate::error::Error;
use crate::facts::{Facts, Fragment};
use crate::folder::{Entry, list};
use crate::gap::Gap;
use crate::index::{self, Index};
use crate::packet_id::PacketId;
use crate::samples::Samples;
use crate::unread::Unread;

/// Names tell when a file began, not when it ended, and clocks are set back now and then: files are
/// opened when they are this near to what is wanted.
const NEAR_NS: u64 = 60_000_000_000;

/// A stretch of time: `from <= t < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub from: UtcNs,
    pub to: UtcNs,
}

/// Fragments that follow each other without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// When its first packet was captured.
    pub from: UtcNs,
    /// When its last picture or sound ends.
    pub to: UtcNs,
    pub first: PacketId,
    pub last: PacketId,
    /// Packets that are in the files.
    pub packets: u64,
    pub bytes: u64,
}

/// A fragment of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineFragment {
    /// Index into [`Timeline::files`].
    pub file: usize,
    pub fragment: Fragment,
    /// There is a gap in front of it.
    pub behind_gap: bool,
    /// It holds something of the range; else it is there because decoding has to start with it.
    pub wanted: bool,
}

/// What one camera recorded of a stretch of time.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Name of the directory.
    pub camera: String,
    /// The ring that was recorded; `None` when nothing was.
    pub ring: Option<RingName>,
    pub range: Range,
    /// Whole fragments: they begin before the range and end behind it.
    pub spans: Vec<Span>,
    /// Those that lie in the range, or reach into it.
    pub gaps: Vec<Gap>,
    pub files: Vec<PathBuf>,
    /// In the ring's order, from the one with the key frame before the range on. Each packet is in one.
    pub fragments: Vec<TimelineFragment>,
    /// On moments of the range, in the order of those.
    pub comments: Vec<Comment>,
    /// Of the range; the gaps tell of it too.
    pub unread: Vec<Unread>,
}

impl Range {
    pub const ALL: Self = Self { from: UtcNs(0), to: UtcNs(u64::MAX) };

    pub(crate) fn touches(&self, from: UtcNs, to: UtcNs) -> bool {
        from < self.to && to > self.from
    }
}

/// A file that may hold something of the range.
struct Candidate {
    number: u64,
    path: PathBuf,
    facts: Facts,
}

/// What stands in front of a fragment.
struct Last {
    /// Of its file.
    number: u64,
    fragment: Fragment,
    /// Something behind it is not whole.
    torn: bool,
}

impl Timeline {
    /// Reads a camera's directory; one that is not there has recorded nothing. Files that go meanwhile
    /// are as if they had never been.
    pub fn read(folder: &Path, range: Range) -> Result<Self, Error> {
        let entries = list(folder)?;
        let (mut candidates, mut unread) = (Vec::new(), Vec::new());
        let index = folder.parent().and_then(Index::read);
        let camera = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for entry in near(&entries, range) {
            let facts = match index::facts(index.as_ref(), &camera, entry) {
                Ok(facts) => facts,
                Err(error) if error.is_gone() => continue,
                Err(error) if error.damaged().is_some() => {
                    let to = UtcNs(entry.modified_ns);
                    unread.push(Unread {
                        from: entry.capture.unwrap_or(to),
                        to,
                        why: error.to_string(),
                    });
                    Facts::of_nothing(entry.bytes, entry.modified_ns, error.to_string())
                }
                Err(error) => return Err(error),
            };
            let (number, path) = (entry.number, entry.path.clone());
            candidates.push(Candidate { number, path, facts });
        }
        let mut timeline = Self::of(camera, range, candidates);
        let is_wanted = |at: UtcNs| range.from <= at && at < range.to;
        unread.retain(|unread| range.touches(unread.from, unread.to));
        timeline.unread = unread;
        timeline.comments = comments(folder)?;
        timeline.comments.retain(|comment| is_wanted(comment.remark.utc_ns));
        timeline.comments.sort_by_key(|comment| comment.remark.utc_ns);
        Ok(timeline)
    }

    fn of(camera: String, range: Range, mut candidates: Vec<Candidate>) -> Self {
        let numbers: Vec<u64> = candidates.iter().map(|candidate| candidate.number).collect();
        drop_repeated(&mut candidates);
        let ring = candidates.iter().rev().find_map(|candidate| candidate.facts.ring.clone());
        let mut all = Self {
            camera,
            ring,
            range,
            spans: Vec::new(),
            gaps: Vec::new(),
            files: candidates.iter().map(|candidate| candidate.path.clone()).collect(),
            fragments: Vec::new(),
            comments: Vec::new(),
            unread: Vec::new(),
        };
        let mut before: Option<Last> = None;
        for (file, candidate) in candidates.iter().enumerate() {
            for fragment in &candidate.facts.fragments {
                let gap = before.as_ref().and_then(|last| {
                    let gap = Gap::between(&last.fragment, last.torn, fragment)?;
                    let whole = is_whole(&numbers, last.number, candidate.number);
                    Some(if whole { gap } else { gap.without_files() })
                });
                all.gaps.extend(gap.filter(|gap| range.touches(gap.from.min(gap.to), gap.to)));
                all.fragments.push(TimelineFragment {
                    file,
                    fragment: *fragment,
                    behind_gap: gap.is_some(),
                    wanted: range.touches(fragment.capture, fragment.end),
                });
                let number = candidate.number;
                before = Some(Last { number, fragment: *fragment, torn: false });
            }
            if let Some(last) = &mut before {
                last.torn |= candidate.facts.damage.is_some();
            }
        }
        all.keep_what_is_wanted();
        all.spans = spans(&all.fragments);
        all
    }

    /// Every packet of the range in the ring's order, from the key frame before it on.
    pub fn samples(&self) -> Samples<'_> {
        Samples::new(self)
    }

    pub fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// Fragments of the range, and those in front of it that decoding has to start with.
    fn keep_what_is_wanted(&mut self) {
        let lead = self.lead();
        let mut at = 0;
        self.fragments.retain(|fragment| {
            at += 1;
            fragment.wanted || lead.contains(&(at - 1))
        });
        if let Some(first) = self.fragments.first_mut() {
            first.behind_gap = false;
        }
    }

    /// From the fragment with the key frame before the first wanted one up to that one.
    fn lead(&self) -> std::ops::Range<usize> {
        let Some(wanted) = self.fragments.iter().position(|fragment| fragment.wanted) else {
            return 0..0;
        };
        let mut begin = wanted;
        while self.fragments[begin].fragment.key.is_none() {
            if begin == 0 || self.fragments[begin].behind_gap {
                return wanted..wanted; // nothing decodes what comes before the next key frame
            }
            begin -= 1;
        }
        begin..wanted
    }
}

/// Files that may hold something of the range, with a neighbour on each side: one may hold the key frame
/// before the range, both tell of gaps at its ends.
fn near(entries: &[Entry], range: Range) -> &[Entry] {
    let may_hold = |at: usize| {
        let Some(begin) = entries[at].capture else { return true };
        let next = entries.get(at + 1).map_or(Some(UtcNs(u64::MAX)), |next| next.capture);
        let next = next.unwrap_or(UtcNs(u64::MAX));
        let from = UtcNs(begin.min(next).0.saturating_sub(NEAR_NS));
        let to = UtcNs(begin.max(next).0.saturating_add(NEAR_NS));
        range.touches(from, to)
    };
    let first = (0..entries.len()).find(|&at| may_hold(at));
    let last = (0..entries.len()).rfind(|&at| may_hold(at));
    match (first, last) {
        (Some(first), Some(last)) => {
            &entries[first.saturating_sub(1)..(last + 2).min(entries.len())]
        }
        _ => &[],
    }
}

/// While a recorder joins on to a file that ends inside a group of pictures, that group is in two files:
/// the newer one counts when it has come as far as the older.
fn drop_repeated(candidates: &mut Vec<Candidate>) {
    for at in 1..candidates.len() {
        let (older, newer) = candidates.split_at_mut(at);
        let (older, newer) = (&mut older[at - 1].facts, &mut newer[0].facts);
        let (Some(last), Some(first)) = (older.fragments.last(), newer.fragments.first()) else {
            continue;
        };
        let (last, first) = (last.last_id(), first.first_id());
        if older.ring != newer.ring || last.epoch != first.epoch || first > last {
            continue;
        }
        if newer.fragments.last().is_some_and(|newest| newest.last_id() >= last) {
            older.fragments.retain(|fragment| fragment.first_id() < first);
        } else {
            newer.fragments.clear();
        }
    }
    // One of which nothing is whole tells why something is missing.
    let tells = |facts: &Facts| !facts.fragments.is_empty() || facts.damage.is_some();
    candidates.retain(|candidate| tells(&candidate.facts));
}

/// Whether all files from one number to another are there; `numbers` ascend.
fn is_whole(numbers: &[u64], from: u64, to: u64) -> bool {
    let until = |number: u64| numbers.partition_point(|there| *there <= number) as u64;
    until(to).saturating_sub(until(from)) == to.saturating_sub(from)
}

pub(crate) fn spans(fragments: &[TimelineFragment]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for TimelineFragment { fragment, behind_gap, .. } in fragments {
        match spans.last_mut() {
            Some(span) if !behind_gap => {
                span.to = fragment.end;
                span.last = fragment.last_id();
                span.packets += fragment.recorded;
                span.bytes += fragment.bytes;
            }
            _ => spans.push(Span {
                from: fragment.capture,
                to: fragment.end,
                first: fragment.first_id(),
                last: fragment.last_id(),
                packets: fragment.recorded,
                bytes: fragment.bytes,
            }),
        }
    }
    spans
}
