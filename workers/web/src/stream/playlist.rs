//! A camera's segments as HLS playlists (RFC 8216, and its second edition for parts and blocking). Pure.
//!
//! | name | what |
//! |---|---|
//! | `index.m3u8` | what there is to play: codecs, size, bits a second |
//! | `live.m3u8` | the list of segments and parts |
//! | `init-NAME.mp4` | what stands in front of segments |
//! | `NUMBER.m4s`, `NUMBER.PART.m4s` | a segment, a part of it |
//!
//! Names are relative to the playlist's own, so that the page may live below any path.

use std::fmt::Write;
use std::sync::Arc;

use super::segments::{Segment, Segments};
use super::unit::{Run, seconds};
use crate::playback::playlist::date;

/// Parts are listed in the segments of so many target durations (RFC 8216bis 6.2.2).
const PARTS_TARGETS: i64 = 3;
/// Players stay so many of them behind the end (RFC 8216bis 4.4.3.8): the least there may be.
const HOLD_BACK: i64 = 3;
const SECOND_NS: i64 = 1_000_000_000;
/// What an index says before a segment is complete: an ordinary camera.
const UNKNOWN_BITS: u64 = 4_000_000;

/// A file of a camera's stream, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    Index,
    Init(String),
    Live,
    Part { number: u64, part: usize },
    Segment(u64),
}

impl File {
    /// `None`: there is no such name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "index.m3u8" => return Some(Self::Index),
            "live.m3u8" => return Some(Self::Live),
            _ => {}
        }
        if let Some(init) = name.strip_prefix("init-").and_then(|rest| rest.strip_suffix(".mp4")) {
            return Some(Self::Init(init.to_owned()));
        }
        let stem = name.strip_suffix(".m4s")?;
        Some(match stem.split_once('.') {
            Some((segment, part)) => Self::Part { number: number(segment)?, part: number(part)? },
            None => Self::Segment(number(stem)?),
        })
    }
}

/// Digits alone: `parse` takes a sign, too.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What a request waits for (6.2.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub number: u64,
    pub part: Option<usize>,
}

/// Whether a list has what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    Now,
    Later,
    /// More than two segments ahead: no player that plays this would ask.
    TooFar,
}

pub fn has(segments: &Segments, wanted: Wanted) -> Has {
    let Some(complete) = segments.last_complete().map(|segment| segment.number) else {
        return Has::Later;
    };
    if wanted.number > complete.saturating_add(2) {
        return Has::TooFar;
    }
    let is_there = match (segments.find(wanted.number), wanted.part) {
        // Listed no more.
        (None, _) => wanted.number <= complete,
        (Some(segment), None) => segment.lasts_ns.is_some(),
        // Beyond its last part the first of the next one is meant.
        (Some(segment), Some(part)) => {
            segment.parts.len() > part
                || (segment.lasts_ns.is_some() && has_begun(segments, wanted.number + 1))
        }
    };
    if is_there { Has::Now } else { Has::Later }
}

fn has_begun(segments: &Segments, number: u64) -> bool {
    segments.find(number).is_some_and(|segment| !segment.parts.is_empty())
}

/// `index.m3u8`; `None` while there is nothing to play.
pub fn index(segments: &Segments) -> Option<String> {
    let newest = segments.last()?;
    let init = &newest.run.init;
    let rates = segments.listed().filter_map(bits_a_second);
    let peak = rates.clone().max().unwrap_or(UNKNOWN_BITS);
    let count = rates.clone().count().max(1) as u64;
    let mean = rates.sum::<u64>() / count;
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let _ = write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={peak}");
    if mean > 0 {
        let _ = write!(text, ",AVERAGE-BANDWIDTH={mean}");
    }
    let _ = write!(text, ",CODECS=\"{}\"", init.codecs);
    if init.width > 0 && init.height > 0 {
        let _ = write!(text, ",RESOLUTION={}x{}", init.width, init.height);
    }
    let (pictures, in_seconds) = init.frame_rate;
    if pictures > 0 && in_seconds > 0 {
        let _ = write!(text, ",FRAME-RATE={:.3}", f64::from(pictures) / f64::from(in_seconds));
    }
    text.push_str("\nlive.m3u8\n");
    Some(text)
}

fn bits_a_second(segment: &Segment) -> Option<u64> {
    let ns = u64::try_from(segment.lasts_ns?).ok()?.max(1);
    let bits = segment.bytes() as u64 * 8;
    u64::try_from(u128::from(bits) * 1_000_000_000 / u128::from(ns)).ok()
}

/// `live.m3u8`; `None` while nothing can be listed.
pub fn live(segments: &Segments) -> Option<String> {
    let first = segments.listed().next()?;
    let target_s = segments.target_s();
    let part_target_s = part_target_s(segments);
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
    // Writing into a text does not fail.
    let _ = writeln!(text, "#EXT-X-TARGETDURATION:{target_s}");
    let _ = writeln!(
        text,
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},HOLD-BACK={}",
        // Least of it, and a ms for what rounding takes.
        part_target_s * 3.0 + 0.001,
        HOLD_BACK * target_s,
    );
    let _ = writeln!(text, "#EXT-X-PART-INF:PART-TARGET={part_target_s:.3}");
    let _ = writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{}", first.number);
    let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", discontinuity_sequence(segments)?);
    text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    let mut before: Option<&Arc<Run>> = None;
    let without_parts = segments.listed().count() - with_parts(segments);
    for (index, segment) in segments.listed().enumerate() {
        stands_before(&mut text, before, segment);
        before = Some(&segment.run);
        if index >= without_parts {
            parts(&mut text, segment);
        }
        if let Some(lasts_ns) = segment.lasts_ns {
            let _ = writeln!(text, "#EXTINF:{:.6},\n{}.m4s", seconds(lasts_ns), segment.number);
        }
    }
    hint(&mut text, segments);
    Some(text)
}

fn stands_before(text: &mut String, before: Option<&Arc<Run>>, segment: &Segment) {
    if segment.discontinuity && before.is_some() {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if before.is_none_or(|before| !Arc::ptr_eq(before, &segment.run)) {
        let _ = writeln!(text, "#EXT-X-MAP:URI=\"init-{}.mp4\"", segment.run.init.name);
    }
    let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", date(segment.begins));
}

fn parts(text: &mut String, segment: &Segment) {
    for (index, part) in segment.parts.iter().enumerate() {
        let (lasts_s, number) = (seconds(part.lasts_ns), segment.number);
        let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
        let _ = writeln!(
            text,
            "#EXT-X-PART:DURATION={lasts_s:.6},URI=\"{number}.{index}.m4s\"{independent}"
        );
    }
}

/// The part that comes next: a request for it is answered when it is there.
fn hint(text: &mut String, segments: &Segments) {
    let Some(last) = segments.last() else { return };
    let (number, part) = (last.number, last.parts.len());
    let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{number}.{part}.m4s\"");
}

/// How many segments from the end on have their parts listed.
fn with_parts(segments: &Segments) -> usize {
    let wanted_ns = PARTS_TARGETS * segments.target_s() * SECOND_NS;
    let mut lasts_ns = 0;
    let is_near = |segment: &&Segment| {
        let near = lasts_ns < wanted_ns;
        lasts_ns += segment.so_far_ns();
        near
    };
    segments.listed().rev().take_while(is_near).count()
}

/// `EXT-X-PART-INF`: no part of the list is longer.
fn part_target_s(segments: &Segments) -> f64 {
    let shown = segments.listed().rev().take(with_parts(segments));
    let longest = shown.map(|segment| {
        let parts = segment.parts.iter().map(|part| part.lasts_ns).max();
        segment.cadence.target_ns.max(parts.unwrap_or(0))
    });
    // Whole ms, upwards.
    let ns = longest.max().unwrap_or(SECOND_NS / 5);
    seconds((ns + 999_999) / 1_000_000 * 1_000_000)
}

/// That of the first segment.
fn discontinuity_sequence(segments: &Segments) -> Option<u64> {
    Some(segments.listed().next()?.run.number)
}

#[cfg(test)]
mod tests;
