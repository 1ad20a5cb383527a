//! What RFC 8216 and its second edition ask of a live list, as far as a list and the one before it can show it. Each
//! answer is a sentence with what was seen; none is good. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::{Media, Part, Segment};

/// Lists have times in some decimals.
const ROUNDED_S: f64 = 1e-3;

/// What one list says that it must not.
pub fn violations(list: &Media) -> Vec<String> {
    let mut wrong = Vec::new();
    if list.has_ended {
        wrong.push("a live list has an end (4.3.3.4)".to_owned());
    }
    if list.segments.is_empty() {
        wrong.push("no segment is listed".to_owned());
    }
    wrong.extend(list.segments.iter().flat_map(|segment| of_segment(list, segment)));
    wrong.extend(of_dates(list));
    wrong.extend(of_parts(list));
    wrong
}

fn of_segment(list: &Media, segment: &Segment) -> Vec<String> {
    let mut wrong = Vec::new();
    let (number, lasts_s) = (segment.number, segment.lasts_s);
    if lasts_s.round() > list.target_s || lasts_s <= 0.0 {
        let target_s = list.target_s;
        wrong.push(format!("segment {number} lasts {lasts_s} s of {target_s} (4.3.3.1)"));
    }
    if segment.map.is_empty() {
        wrong.push(format!("segment {number} has no EXT-X-MAP before it (3.3)"));
    }
    let parts_s: f64 = segment.parts.iter().map(|part| part.lasts_s).sum();
    // Each part is rounded by itself.
    let rounded_s = segment.parts.iter().fold(ROUNDED_S, |sum, _| sum + ROUNDED_S);
    if !segment.parts.is_empty() && (parts_s - lasts_s).abs() > rounded_s {
        wrong.push(format!("segment {number} lasts {lasts_s} s, its parts {parts_s} s"));
    }
    wrong
}

/// Times of capture rise.
fn of_dates(list: &Media) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last: Option<SystemTime> = None;
    for segment in &list.segments {
        let Some(text) = &segment.date else { continue };
        let Ok(date) = humantime::parse_rfc3339_weak(text) else {
            wrong.push(format!("segment {} has a date that is none: {text}", segment.number));
            continue;
        };
        if last.is_some_and(|last| date <= last) {
            wrong.push(format!("segment {} is dated before the one before it", segment.number));
        }
        last = Some(date);
    }
    wrong
}

/// RFC 8216bis 4.4.3.7, 4.4.3.8, 4.4.4.9 and 6.2.2.
fn of_parts(list: &Media) -> Vec<String> {
    let Some(target_s) = list.part_target_s else { return Vec::new() };
    let mut wrong = Vec::new();
    if !list.can_block {
        wrong.push("parts without CAN-BLOCK-RELOAD".to_owned());
    }
    if list.part_hold_back_s.is_none_or(|hold_s| hold_s + ROUNDED_S < 3.0 * target_s) {
        wrong.push(format!("PART-HOLD-BACK {:?} of {target_s} s", list.part_hold_back_s));
    }
    let complete = list.segments.iter().map(|segment| (segment.number, &segment.parts[..], true));
    let open = [(list.next_part().0, &list.open[..], false)];
    for (number, parts, is_complete) in complete.chain(open) {
        wrong.extend(of_parts_of(number, parts, is_complete, target_s));
    }
    let kept_s = 3.0 * list.target_s;
    let mut behind_s: f64 = list.open.iter().map(|part| part.lasts_s).sum();
    for segment in list.segments.iter().rev() {
        // A part may go on being listed while its segment reaches into the last three target durations.
        if behind_s > kept_s + list.target_s && !segment.parts.is_empty() {
            wrong
                .push(format!("parts of segment {} are listed {behind_s} s later", segment.number));
        }
        behind_s += segment.lasts_s;
    }
    wrong
}

fn of_parts_of(number: u64, parts: &[Part], is_complete: bool, target_s: f64) -> Vec<String> {
    let mut wrong = Vec::new();
    if parts.first().is_some_and(|part| !part.is_independent) {
        wrong.push(format!("the first part of segment {number} is not INDEPENDENT"));
    }
    for (place, part) in parts.iter().enumerate() {
        let lasts_s = part.lasts_s;
        if lasts_s > target_s + ROUNDED_S {
            wrong.push(format!("part {number}.{place} lasts {lasts_s} s of {target_s}"));
        }
        let is_last = is_complete && place + 1 == parts.len();
        if !is_last && lasts_s < 0.85 * target_s - ROUNDED_S {
            wrong.push(format!("part {number}.{place} lasts only {lasts_s} s of {target_s}"));
        }
    }
    wrong
}

/// What has changed from a list to a later one that may not.
pub fn violations_between(before: &Media, after: &Media) -> Vec<String> {
    let mut wrong = Vec::new();
    if after.target_s.to_bits() != before.target_s.to_bits() {
        wrong.push(format!(
            "the target duration was {} s and is {} s (4.3.3.1)",
            before.target_s, after.target_s
        ));
    }
    for (what, was, is) in [
        ("EXT-X-MEDIA-SEQUENCE", before.sequence, after.sequence),
        ("EXT-X-DISCONTINUITY-SEQUENCE", before.discontinuity, after.discontinuity),
    ] {
        if is < was {
            wrong.push(format!("{what} was {was} and is {is}"));
        }
    }
    wrong.extend(of_the_known(before, after));
    wrong.extend(of_the_removed(before, after));
    wrong.extend(of_cuts(before, after));
    wrong
}

/// A segment stays what it is.
fn of_the_known(before: &Media, after: &Media) -> Vec<String> {
    let known: BTreeMap<u64, &Segment> = before.segments.iter().map(|it| (it.number, it)).collect();
    let changed = after.segments.iter().filter(|now| {
        known.get(&now.number).is_some_and(|was| {
            let same_time = (was.lasts_s - now.lasts_s).abs() < ROUNDED_S;
            // That the first one follows a cut is told by the number of cuts before it, too.
            let same_cut = was.is_cut == now.is_cut || now.number == after.sequence;
            was.uri != now.uri || was.map != now.map || !same_time || !same_cut
        })
    });
    changed.map(|now| format!("segment {} became another: {now:?}", now.number)).collect()
}

/// RFC 8216 6.2.2: what is left is three target durations at least.
fn of_the_removed(before: &Media, after: &Media) -> Option<String> {
    let removes = after.sequence > before.sequence;
    let is_short = after.lasts_s() + ROUNDED_S < 3.0 * after.target_s;
    (removes && is_short).then(|| {
        format!("segments are removed and {} s are left of {} s", after.lasts_s(), after.target_s)
    })
}

/// The number of cuts changes only where there is one, in either list.
fn of_cuts(before: &Media, after: &Media) -> Option<String> {
    let is_cut =
        |list: &Media| list.open_is_cut || list.segments.iter().any(|segment| segment.is_cut);
    let changes = after.discontinuity != before.discontinuity;
    let has_a_cut = is_cut(before) || is_cut(after);
    // A stream that was away for longer than a list lasts shares no segment with what was before.
    let end = before.sequence + before.segments.len() as u64;
    (changes && !has_a_cut && after.sequence < end).then(|| {
        format!(
            "the number of cuts was {} and is {} without one",
            before.discontinuity, after.discontinuity
        )
    })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
