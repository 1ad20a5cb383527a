//! What the faults add up to. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName, WorkerName};
use protocol::witness::{Seen, SeenWindow};
use serde::Serialize;

use super::super::table;
use super::act::{Outcome, Touched, Try};
use crate::supervisor::drill::Fault;

/// A median beyond so many targets is a failure.
const FAILS_AT: f64 = 3.0;
/// A ring of pictures that stands still for so long is seen to do so.
const QUIET_MS: f64 = 1000.0;

/// What `drill -o json` prints. More keys may come; these stay.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) project: ProjectName,
    pub(super) seed: u64,
    /// Nothing was lost, everything was found and came back, and no median is beyond three targets.
    pub(super) ok: bool,
    /// Every median is within its target.
    pub(super) targets_met: bool,
    /// Over the whole drill, its calm beginning included.
    pub(super) packets_captured: u64,
    pub(super) packets_lost: u64,
    /// Packet rings that nobody records: nothing can be said of them.
    pub(super) not_recorded: Vec<RingName>,
    /// What could not be proven, by ring.
    pub(super) unproven: BTreeMap<RingName, String>,
    pub(super) drills: Vec<Row>,
}

/// One fault of one worker, as often as it was done.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) worker: WorkerName,
    pub(super) kind: String,
    pub(super) fault: Fault,
    pub(super) times: usize,
    /// Why it was not done; empty when it was.
    pub(super) skipped: String,
    /// Faults that nobody found.
    pub(super) unnoticed: usize,
    /// Published meanwhile.
    pub(super) packets: u64,
    /// Of these, in no file.
    pub(super) packets_lost: u64,
    /// Sent by a source and never published, its own death apart.
    pub(super) capture_lost: u64,
    /// Packets that became no picture; `null` where it cannot be told.
    pub(super) frames_lost: Option<u64>,
    /// What the source sent while its ingest was gone; `null` for workers that are none.
    pub(super) source_gap_ms: Option<Spread>,
    pub(super) detect_ms: Option<Spread>,
    /// From the SIGKILL that ended it to ready.
    pub(super) restart_ms: Option<Spread>,
    pub(super) target_ms: f64,
    pub(super) readers: Vec<Affected>,
    pub(super) also_restarted: BTreeSet<WorkerName>,
}

/// A reader, and what it was told.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Affected {
    pub(super) ring: RingName,
    pub(super) reader: String,
    pub(super) saw: BTreeSet<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Spread {
    /// Nearest rank; `None` of nothing.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let tenth = |value: f64| (value * 10.0).round() / 10.0;
        Some(Self { p50: tenth(values[last / 2]), p99: tenth(values[last * 99 / 100]) })
    }
}

/// The design's targets, from kill to ready: what links FFmpeg loads it first, what the user wrote may be
/// a Python program.
fn target_ms(kind: &str) -> f64 {
    match kind {
        "ingest" | "decoder" | "encoder" | "compositor" => 60.0,
        "run" => 500.0,
        _ => 10.0,
    }
}

impl Report {
    pub(super) fn of(project: ProjectName, seed: u64, tries: &[Try], seen: &[Seen]) -> Self {
        let packets = || seen.iter().filter(|ring| ring.ring.kind() == RingKind::Packets);
        let all = || packets().flat_map(|ring| &ring.windows);
        let is_recorded = |ring: &&Seen| ring.windows.iter().any(|window| window.lost.is_some());
        let drills = rows(tries, seen);
        let troubled = seen.iter().filter(|ring| !ring.trouble.is_empty());
        let unproven: BTreeMap<RingName, String> =
            troubled.map(|ring| (ring.ring.clone(), ring.trouble.clone())).collect();
        let packets_lost = all().filter_map(|window| window.lost).sum();
        let proven = !unproven.keys().any(|ring| ring.kind() == RingKind::Packets);
        let not_recorded = packets().filter(|ring| ring.trouble.is_empty() && !is_recorded(ring));
        Self {
            project,
            seed,
            ok: proven && packets_lost == 0 && drills.iter().all(Row::is_ok),
            targets_met: drills.iter().all(|row| row.is_within(1.0)),
            packets_captured: all().map(|window| window.items).sum(),
            packets_lost,
            not_recorded: not_recorded.map(|ring| ring.ring.clone()).collect(),
            unproven,
            drills,
        }
    }
}

impl Row {
    fn is_ok(&self) -> bool {
        let nothing_lost = self.packets_lost == 0 && self.capture_lost == 0;
        nothing_lost && self.unnoticed == 0 && self.is_within(FAILS_AT)
    }

    fn is_within(&self, targets: f64) -> bool {
        self.restart_ms.is_none_or(|spread| spread.p50 <= targets * self.target_ms)
    }
}

/// By worker and fault, in the order in which they first came up by name.
fn rows(tries: &[Try], seen: &[Seen]) -> Vec<Row> {
    let mut groups: BTreeMap<(WorkerName, Fault), Vec<(usize, &Try)>> = BTreeMap::new();
    for (at, one) in tries.iter().enumerate() {
        // The window before the first instant is the calm one.
        groups.entry((one.worker.clone(), one.fault)).or_default().push((at + 1, one));
    }
    groups.into_values().filter_map(|group| row(&group, seen)).collect()
}

fn row(group: &[(usize, &Try)], seen: &[Seen]) -> Option<Row> {
    let (_, first) = group.first()?;
    let done: Vec<&(usize, &Try)> =
        group.iter().filter(|(_, one)| !matches!(one.outcome, Outcome::Blind(_))).collect();
    let blind = group.iter().find_map(|(_, one)| match &one.outcome {
        Outcome::Blind(why) => Some(why.clone()),
        _ => None,
    });
    let costs: Vec<Cost> = done.iter().map(|(at, one)| Cost::of(*at, one, seen)).collect();
    let frames: Vec<u64> = costs.iter().filter_map(|cost| cost.frames).collect();
    let times = |pick: fn(Duration, Duration) -> Duration| {
        let ms = done.iter().filter_map(|(_, one)| match one.outcome {
            Outcome::Back { detect, restart } => Some(pick(detect, restart).as_secs_f64() * 1e3),
            _ => None,
        });
        Spread::of(ms.collect())
    };
    Some(Row {
        worker: first.worker.clone(),
        kind: first.kind.clone(),
        fault: first.fault,
        times: done.len(),
        skipped: blind.filter(|_| done.is_empty()).unwrap_or_default(),
        unnoticed: done.iter().filter(|(_, one)| one.outcome == Outcome::Unnoticed).count(),
        packets: costs.iter().map(|cost| cost.packets).sum(),
        packets_lost: costs.iter().map(|cost| cost.lost).sum(),
        capture_lost: costs.iter().map(|cost| cost.missing).sum(),
        frames_lost: (!frames.is_empty()).then(|| frames.iter().sum()),
        source_gap_ms: Spread::of(costs.iter().filter_map(|cost| cost.gap_ms).collect()),
        detect_ms: times(|detect, _| detect),
        restart_ms: times(|_, restart| restart),
        target_ms: target_ms(&first.kind),
        readers: affected(&done, seen),
        also_restarted: done.iter().flat_map(|(_, one)| one.also_restarted.clone()).collect(),
    })
}

/// What one try cost, by all rings together.
#[derive(Default)]
struct Cost {
    packets: u64,
    lost: u64,
    missing: u64,
    frames: Option<u64>,
    gap_ms: Option<f64>,
}

impl Cost {
    fn of(at: usize, one: &Try, seen: &[Seen]) -> Self {
        let mut cost = Self::default();
        for (ring, window) in windows(at, seen) {
            let lost = window.lost;
            if ring.kind() == RingKind::Frames {
                cost.frames = cost.frames.map_or(lost, |sum| Some(sum + lost.unwrap_or(0)));
                continue;
            }
            cost.packets += window.items;
            cost.lost += lost.unwrap_or(0);
            cost.missing += window.missing;
            match window.source_gap_ms {
                Some(gap) if one.writes.contains(ring) => {
                    cost.gap_ms = Some(cost.gap_ms.map_or(gap, |worst| worst.max(gap)));
                }
                // Its writer died of another's fault: at least one packet was not taken.
                Some(_) => cost.missing += window.new_epochs,
                None => {}
            }
        }
        cost
    }
}

fn windows(at: usize, seen: &[Seen]) -> impl Iterator<Item = (&RingName, &SeenWindow)> {
    seen.iter().filter_map(move |ring| Some((&ring.ring, ring.windows.get(at)?)))
}

/// Readers of what the victim writes also see how long it stands still.
fn affected(done: &[&(usize, &Try)], seen: &[Seen]) -> Vec<Affected> {
    let mut readers: BTreeMap<(RingName, String), BTreeSet<&'static str>> = BTreeMap::new();
    for (at, one) in done {
        let stood_still = |ring: &RingName| {
            one.writes.contains(ring)
                && windows(*at, seen).any(|(it, window)| it == ring && window.pause_ms >= QUIET_MS)
        };
        for Touched { ring, reader, saw } in &one.touched {
            let told = readers.entry((ring.clone(), reader.clone())).or_default();
            told.insert(saw);
            if stood_still(ring) {
                told.insert("quiet");
            }
        }
    }
    readers.into_iter().map(|((ring, reader), saw)| Affected { ring, reader, saw }).collect()
}

impl Report {
    pub(super) fn in_words(&self) -> String {
        let head = [
            "WORKER",
            "FAULT",
            "TIMES",
            "LOST",
            "FRAMES",
            "GAP",
            "FOUND",
            "RESTART p50",
            "p99",
            "TARGET",
            "READERS",
        ];
        let rows: Vec<Vec<String>> = self.drills.iter().map(Row::cells).collect();
        let mut text = table::render(&head, &rows);
        let _ = writeln!(
            text,
            "\n{} packets captured, {} lost; times in ms; seed {}",
            self.packets_captured, self.packets_lost, self.seed
        );
        for ring in &self.not_recorded {
            let _ = writeln!(text, "{ring} is not recorded: nothing is said of it");
        }
        for (ring, why) in &self.unproven {
            let _ = writeln!(text, "{ring}: nothing is proven: {why}");
        }
        for row in &self.drills {
            row.remark(&mut text);
        }
        text.push_str(match (self.ok, self.targets_met) {
            (true, true) => {
                "ok: capture and recording lost nothing, restarts are within their targets\n"
            }
            (true, false) => {
                "ok: capture and recording lost nothing; some restarts are beyond their target\n"
            }
            (false, _) => "FAILED: see above\n",
        });
        text
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let number = |value: f64| format!("{value:.1}");
        let p50 = |spread: Option<Spread>| spread.map_or_else(dash, |it| number(it.p50));
        let p99 = |spread: Option<Spread>| spread.map_or_else(dash, |it| number(it.p99));
        let readers = self.readers.iter().map(|it| {
            let saw: Vec<&str> = it.saw.iter().copied().collect();
            format!("{} ({})", it.reader, saw.join(" "))
        });
        let readers: BTreeSet<String> = readers.collect();
        vec![
            self.worker.to_string(),
            self.fault.as_str().to_owned(),
            self.times.to_string(),
            (self.packets_lost + self.capture_lost).to_string(),
            self.frames_lost.map_or_else(dash, |lost| lost.to_string()),
            p50(self.source_gap_ms),
            p50(self.detect_ms),
            p50(self.restart_ms),
            p99(self.restart_ms),
            format!("{:.0}", self.target_ms),
            if readers.is_empty() {
                dash()
            } else {
                readers.into_iter().collect::<Vec<_>>().join(", ")
            },
        ]
    }

    fn remark(&self, text: &mut String) {
        let (worker, fault) = (&self.worker, self.fault.as_str());
        let mut say = |what: String| text.push_str(&format!("{worker} {fault}: {what}\n"));
        if !self.skipped.is_empty() {
            say(format!("not done: {}", self.skipped));
        }
        if self.packets_lost > 0 {
            say(format!("{} packets are in no file", self.packets_lost));
        }
        if self.capture_lost > 0 {
            say(format!("{} packets never came to their ring", self.capture_lost));
        }
        if self.unnoticed > 0 {
            say(format!("{} of {} were not found", self.unnoticed, self.times));
        }
        if !self.is_within(1.0) {
            let beyond = if self.is_within(FAILS_AT) { "" } else { " by more than three times" };
            say(format!("restarts are beyond the target of {} ms{beyond}", self.target_ms));
        }
        if !self.also_restarted.is_empty() {
            let others: Vec<&str> = self.also_restarted.iter().map(WorkerName::as_str).collect();
            say(format!("{} restarted too", others.join(", ")));
        }
    }
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests;
