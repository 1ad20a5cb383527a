//! H2: the lists of a camera, asked for twice a second through a restart of the camera, and held against the rules of
//! RFC 8216 and its second edition; each segment and part that they name is fetched and looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::thread;
use std::time::Duration;

use protocol::time::MonoNs;
use serde_json::{Value, json};
use shmring::clock;

use super::web_site::{SIZE, Site};
use crate::http::{self, Answer};
use crate::playlist::rules::{violations, violations_between};
use crate::playlist::{Media, Segment, Variant};
use crate::{Failure, Outcome, ensure, wait_for};

/// Between two looks.
const STEP: Duration = Duration::from_millis(500);
/// Before its time is over a segment is looked at once more: two looks.
const LAST_LOOK: Duration = Duration::from_secs(1);
const LIST_TYPE: &str = "application/vnd.apple.mpegurl";

/// Looks for so long; the camera is killed halfway.
pub fn keep_the_rules(seconds: u64) -> Outcome<Value> {
    let site = Site::plain()?;
    site.wait_for_segments()?;
    let waits = {
        let port = site.port;
        let end = clock::mono() + Duration::from_secs(seconds);
        thread::spawn(move || wait_for_parts(port, end))
    };
    let mut look = Look { port: site.port, ..Look::default() };
    let begun = clock::mono();
    let mut killed = false;
    for step in 0..seconds * 2 {
        let due = begun + STEP * u32::try_from(step).unwrap_or(u32::MAX);
        thread::sleep(due.saturating_since(clock::mono()));
        look.once()?;
        if !killed && step == seconds {
            site.kill("cam1")?;
            killed = true;
        }
    }
    // A machine that is busy elsewhere lists the new stream later.
    let there = || match (look.cuts, look.once()) {
        (0, Ok(())) => None,
        (_, looked) => Some(looked),
    };
    wait_for(60, "the restart of the camera in the list", there)?.0?;
    let waited = waits.join().map_err(|_| Failure::new("who waits for parts panicked"))?;
    look.wrong.extend(waited.wrong);
    look.wrong.extend(too_far_ahead(site.port)?);
    site.project.down()?;
    ensure(look.wrong.is_empty(), || {
        let first: Vec<_> = look.wrong.iter().take(5).cloned().collect();
        format!("{} violations: {}", look.wrong.len(), first.join("; "))
    })?;
    ensure(waited.reloads > 0 && look.segments.len() > 1, || {
        format!("{} reloads, {} segments", waited.reloads, look.segments.len())
    })?;
    Ok(json!({
        "lists": look.lists, "segments": look.segments.len(), "removed_and_there": look.outlived,
        "violations": look.wrong.len(), "cuts": look.cuts,
        "blocking_reloads": waited.reloads, "hinted_parts": waited.hinted,
    }))
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Look {
    port: u16,
    before: Option<Media>,
    /// Numbers of segments that were fetched and looked at.
    segments: BTreeSet<u64>,
    inits: BTreeMap<String, Vec<u8>>,
    /// When the list before was asked for.
    asked: MonoNs,
    /// Segments that left the list, and until when they stay.
    removed: Vec<(Segment, MonoNs)>,
    /// So many were there at the end of their time.
    outlived: u64,
    lists: u64,
    cuts: u64,
    wrong: Vec<String>,
}

impl Look {
    fn once(&mut self) -> Outcome<()> {
        let index = self.fetch("index.m3u8", LIST_TYPE)?;
        let asked = clock::mono();
        let text = self.fetch("live.m3u8", LIST_TYPE)?;
        let variant = Variant::only(&index.text()).map_err(Failure)?;
        let list = Media::parse(&text.text()).map_err(Failure)?;
        self.lists += 1;
        self.wrong.extend(violations(&list));
        if let Some(before) = self.before.take() {
            self.wrong.extend(violations_between(&before, &list));
            self.note_removed(&before, &list);
        }
        let cuts = list.segments.iter().filter(|segment| segment.is_cut).count() as u64;
        self.cuts = self.cuts.max(cuts);
        for segment in &list.segments {
            if self.segments.insert(segment.number) {
                self.look_at(segment, &variant)?;
            }
        }
        self.look_at_removed()?;
        (self.before, self.asked) = (Some(list), asked);
        Ok(())
    }

    fn fetch(&mut self, name: &str, kind: &str) -> Outcome<Answer> {
        let answer = http::get(self.port, &format!("/hls/cam1/{name}")).map_err(Failure::new)?;
        if answer.status != 200 {
            self.wrong.push(format!("{name}: {}", answer.status));
        } else if answer.header("content-type") != Some(kind) {
            self.wrong.push(format!("{name} is {:?}", answer.header("content-type")));
        }
        Ok(answer)
    }

    /// RFC 8216 6.2.2: it stays for as long as it lasts and the longest list that had it, from when it left that: behind
    /// the list before at the soonest.
    fn note_removed(&mut self, before: &Media, now: &Media) {
        let gone = before.segments.iter().filter(|segment| segment.number < now.sequence);
        for segment in gone {
            let stays = Duration::from_secs_f64(segment.lasts_s + before.lasts_s());
            self.removed.push((segment.clone(), self.asked + stays));
        }
    }

    fn look_at_removed(&mut self) -> Outcome<()> {
        let soon = clock::mono() + LAST_LOOK;
        let (due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.removed).into_iter().partition(|(_, until)| *until <= soon);
        self.removed = rest;
        for (segment, until) in due {
            let told = self.wrong.len();
            let answer = self.fetch(&segment.uri, "video/mp4")?;
            // A machine that stood still has asked, or answered, when it need not be there any more.
            if answer.status == 404 && clock::mono() > until {
                self.wrong.truncate(told);
            }
            self.outlived += u64::from(answer.status == 200);
        }
        Ok(())
    }

    /// It begins with a key frame, is its parts one after the other, and is what the index says.
    fn look_at(&mut self, segment: &Segment, variant: &Variant) -> Outcome<()> {
        let bytes = self.fetch(&segment.uri, "video/mp4")?.body;
        let mut parts = Vec::new();
        for part in &segment.parts {
            parts.extend(self.fetch(&part.uri, "video/mp4")?.body);
        }
        let number = segment.number;
        if !segment.parts.is_empty() && parts != bytes {
            self.wrong.push(format!("segment {number} is not its parts"));
        }
        if !self.inits.contains_key(&segment.map) {
            let init = self.fetch(&segment.map, "video/mp4")?.body;
            self.wrong.extend(of_index(variant, &init));
            self.inits.insert(segment.map.clone(), init);
        }
        let whole = [self.inits[&segment.map].as_slice(), &bytes].concat();
        let scan = fmp4::scan(&mut Cursor::new(&whole)).map_err(Failure::new)?;
        let begins = scan.fragments.first().is_some_and(|it| it.begins_with_key(&scan.tracks));
        if !begins || scan.damage.is_some() {
            self.wrong.push(format!("segment {number}: key {begins}, {:?}", scan.damage));
        }
        let bits = bytes.len() as f64 * 8.0 / segment.lasts_s;
        // The index is of a moment before: a camera's rate is not steady.
        if bits > variant.bits_a_second as f64 * 1.5 {
            self.wrong.push(format!(
                "segment {number} has {bits:.0} bits a second of {}",
                variant.bits_a_second
            ));
        }
        Ok(())
    }
}

/// RFC 8216 4.3.4.2: codecs and size are those of what is played.
fn of_index(variant: &Variant, init: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    let size = (SIZE.0, SIZE.1);
    let told = variant.size.map(|(width, height)| (width as usize, height as usize));
    if told != Some(size) {
        wrong.push(format!("RESOLUTION {told:?} of {size:?}"));
    }
    // The three bytes behind the version in `avcC` are profile, constraints and level (ISO 14496-15).
    let at = init.windows(4).position(|four| four == b"avcC");
    let bytes = at.and_then(|at| init.get(at + 5..at + 8));
    let codecs = bytes.map(|it| format!("avc1.{:02x}{:02x}{:02x}", it[0], it[1], it[2]));
    if codecs.as_deref().is_none_or(|codecs| !variant.codecs.eq_ignore_ascii_case(codecs)) {
        wrong.push(format!("CODECS {} of {codecs:?}", variant.codecs));
    }
    wrong
}

/// What a player by parts saw.
#[derive(Debug, Default)]
struct Waited {
    reloads: u64,
    hinted: u64,
    wrong: Vec<String>,
}

/// Asks for each list before it is there (RFC 8216bis 6.2.5.2), and for each part that is hinted at.
fn wait_for_parts(port: u16, end: MonoNs) -> Waited {
    let mut waited = Waited::default();
    let mut last: Option<Media> = None;
    while clock::mono() < end {
        let query = last.as_ref().map_or_else(String::new, |list| {
            let (number, part) = list.next_part();
            format!("?_HLS_msn={number}&_HLS_part={part}")
        });
        match http::get(port, &format!("/hls/cam1/live.m3u8{query}")) {
            Ok(answer) if answer.status == 200 => waited.hears(&answer.text(), &mut last, port),
            // The camera is down, or another one now: begin anew.
            Ok(answer) if answer.status == 503 => last = None,
            Ok(answer) => {
                waited.wrong.push(format!("live.m3u8{query}: {} {}", answer.status, answer.text()));
                last = None;
            }
            Err(fault) => {
                waited.wrong.push(format!("live.m3u8{query}: {fault}"));
                last = None;
            }
        }
    }
    waited
}

impl Waited {
    fn hears(&mut self, text: &str, last: &mut Option<Media>, port: u16) {
        let list = match Media::parse(text) {
            Ok(list) => list,
            Err(why) => return self.wrong.push(why),
        };
        if let Some(before) = last.replace(list.clone()) {
            self.reloads += 1;
            if list.next_part() <= before.next_part() {
                let (asked, has) = (before.next_part(), list.next_part());
                self.wrong
                    .push(format!("a list was asked for with {asked:?} and ends before {has:?}"));
            }
        }
        // Each third: a player that has the part already would wait for nothing.
        if self.reloads % 3 == 1
            && let Some(hint) = list.hint
        {
            self.takes_hint(&hint, port);
        }
    }

    fn takes_hint(&mut self, hint: &str, port: u16) {
        match http::get(port, &format!("/hls/cam1/{hint}")) {
            Ok(answer) if answer.status == 200 && answer.body.get(4..8) == Some(b"uuid") => {
                self.hinted += 1;
            }
            // A part that never came, for its segment ended before it; or the camera is down.
            Ok(answer) if [404, 503].contains(&answer.status) => {}
            Ok(answer) => self.wrong.push(format!("hinted {hint}: {}", answer.status)),
            Err(fault) => self.wrong.push(format!("hinted {hint}: {fault}")),
        }
    }
}

/// RFC 8216bis 6.2.5.2: a list that no player would ask for is refused.
fn too_far_ahead(port: u16) -> Outcome<Option<String>> {
    let answer = http::get(port, "/hls/cam1/live.m3u8").map_err(Failure::new)?;
    let list = Media::parse(&answer.text()).map_err(Failure)?;
    let number = list.next_part().0 + 10;
    let path = format!("/hls/cam1/live.m3u8?_HLS_msn={number}");
    let status = http::get(port, &path).map_err(Failure::new)?.status;
    Ok((status != 400).then(|| format!("ten segments ahead: {status}")))
}
