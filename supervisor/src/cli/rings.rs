//! `rings`: what flows, how fast, and who reads it. From the census: a supervisor need not run.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use protocol::admin::{ReaderStatus, RingStatus};
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::Track;
use protocol::time::MonoNs;
use serde::Serialize;
use serde_json::{Value, json};
use shmring::census::{self, Content};
use shmring::clock;

use super::{CliError, Context, FileArg, interrupt::Interrupt, project, table, terminal};
use crate::selector::RingSelector;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor rings
  framevisor rings 'cam1.*' --watch
  framevisor rings --all -o json";

/// Long enough to see a dozen pictures; short enough for a command that lists something.
const MEASURED_OVER: Duration = Duration::from_millis(500);
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A ring without anything new for so long stands still; before that it may just be slow.
const STILL_AFTER_MS: u64 = 2_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these rings, by name or pattern ('cam1.*')
    names: Vec<RingSelector>,
    /// Those of all projects, not of one
    #[arg(long)]
    all: bool,
    /// Go on, each second anew, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let interrupt = Interrupt::listen()?;
    let mut before = look(context, args)?;
    tell_of_refusal(&before);
    if before.iter().any(|seen| seen.status.live) {
        thread::sleep(MEASURED_OVER);
    }
    loop {
        let now = look(context, args)?;
        let rows: Vec<Row> = now.iter().map(|seen| Row::new(seen, &before)).collect();
        show(context, args, &rows)?;
        if !args.watch || interrupt.within(WATCH_EVERY) {
            return Ok(ExitCode::SUCCESS);
        }
        before = now;
    }
}

/// A ring at an instant.
struct Seen {
    project: ProjectName,
    at: MonoNs,
    status: RingStatus,
}

fn look(context: &Context, args: &Args) -> Result<Vec<Seen>, CliError> {
    let (mut seen, mut told) = (Vec::new(), BTreeMap::new());
    for (project, ring) in wanted(context, args)? {
        let at = clock::mono();
        let mut status = census::named(&project, &ring, at);
        if status.epoch == 0 {
            // Without names: only the project's supervisor sees it.
            let told =
                told.entry(project.clone()).or_insert_with(|| project::told(context, &project));
            status = told.iter().find(|told| told.name == ring).cloned().unwrap_or(status);
        }
        seen.push(Seen { project, at, status });
    }
    Ok(seen)
}

/// Once, of the first ring: the cure is the same for all of a project.
fn tell_of_refusal(seen: &[Seen]) {
    let refusal = |seen: &Seen| census::refusal(&seen.project, &seen.status.name);
    let absent = seen.iter().filter(|seen| seen.status.epoch == 0);
    if let Some(refusal) = absent.filter_map(refusal).next() {
        terminal::talk(&refusal.to_string());
    }
}

fn wanted(context: &Context, args: &Args) -> Result<Vec<(ProjectName, RingName)>, CliError> {
    let projects = if args.all { shmring::project::all() } else { vec![context.project()?] };
    let mut wanted = Vec::new();
    for project in projects {
        let rings = match project::rings_of(context, &project, &args.names) {
            // A pattern may mean something in one project and nothing in the next.
            Err(CliError::NoRing { .. } | CliError::NoRings { .. }) if args.all => Vec::new(),
            rings => rings?,
        };
        wanted.extend(rings.into_iter().map(|ring| (project.clone(), ring)));
    }
    Ok(wanted)
}

/// A ring as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    project: ProjectName,
    #[serde(flatten)]
    status: RingStatus,
    /// Items a second; `null` while it cannot be told.
    rate_hz: Option<f64>,
    source: Option<RingName>,
    format: Option<&'static str>,
    tracks: Vec<Value>,
    #[serde(skip)]
    content: String,
}

impl Row {
    fn new(seen: &Seen, before: &[Seen]) -> Self {
        let same = |old: &&Seen| old.project == seen.project && old.status.name == seen.status.name;
        let rate_hz = before.iter().find(same).and_then(|old| rate_hz(old, seen));
        let Content { tracks, source, format } = census::content(&seen.project, &seen.status.name);
        let format = format.map(protocol::stream::PixelFormat::as_str);
        let is_denied = || {
            seen.status.epoch == 0 && census::refusal(&seen.project, &seen.status.name).is_some()
        };
        let content = in_words(&seen.status, &tracks, format);
        Self {
            project: seen.project.clone(),
            content: if is_denied() { "denied".to_owned() } else { content },
            tracks: tracks.iter().map(track).collect(),
            status: seen.status.clone(),
            rate_hz,
            source,
            format,
        }
    }

    /// How long ago what the reader takes next was published.
    fn behind_ms(&self, reader: &ReaderStatus) -> Option<f64> {
        match self.rate_hz {
            _ if reader.lag == 0 => Some(0.0),
            Some(rate_hz) if rate_hz > 0.0 => Some(1000.0 * table::real(reader.lag) / rate_hz),
            _ => None,
        }
    }
}

/// From the times of the newest items, so that a short look counts whole intervals.
fn rate_hz(before: &Seen, after: &Seen) -> Option<f64> {
    rate_between((&before.status, before.at), (&after.status, after.at))
}

/// As seen at two instants.
pub(super) fn rate_between(
    (old, old_at): (&RingStatus, MonoNs),
    (new, new_at): (&RingStatus, MonoNs),
) -> Option<f64> {
    if old.epoch != new.epoch || !new.live {
        return None;
    }
    let published_ms = |ring: &RingStatus, at: MonoNs| (at.0 / 1_000_000).checked_sub(ring.age_ms?);
    let items = new.head.checked_sub(old.head)?;
    if items == 0 {
        return new.age_ms.is_some_and(|age| age > STILL_AFTER_MS).then_some(0.0);
    }
    let ms =
        published_ms(new, new_at)?.checked_sub(published_ms(old, old_at)?).filter(|ms| *ms > 0)?;
    Some(1000.0 * table::real(items) / table::real(ms))
}

fn track(track: &Track) -> Value {
    if track.codec.is_video() {
        let (pictures, seconds) = track.frame_rate;
        json!({"codec": track.codec, "width": track.width, "height": track.height,
               "frame_rate": format!("{pictures}/{seconds}")})
    } else {
        json!({"codec": track.codec, "sample_rate_hz": track.sample_rate_hz,
               "channels": track.channels})
    }
}

fn in_words(ring: &RingStatus, tracks: &[Track], format: Option<&str>) -> String {
    let one = |track: &Track| {
        let codec = format!("{:?}", track.codec).to_lowercase();
        if track.codec.is_video() {
            format!("{codec} {}x{}", track.width, track.height)
        } else {
            format!("{codec} {} Hz", track.sample_rate_hz)
        }
    };
    match ring.kind {
        RingKind::Packets if !tracks.is_empty() => {
            tracks.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        RingKind::Frames if ring.width > 0 => {
            format!("{} {}x{}", format.unwrap_or_default(), ring.width, ring.height)
                .trim_start()
                .to_owned()
        }
        RingKind::Events if ring.epoch > 0 => "json".to_owned(),
        _ => "-".to_owned(),
    }
}

fn show(context: &Context, args: &Args, rows: &[Row]) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(&rows);
    }
    let page = page(rows, args.all);
    if args.watch { terminal::screen(&page) } else { terminal::data(&page) }
}

fn page(rows: &[Row], all: bool) -> String {
    let of = |row: &Row, cells: Vec<String>| {
        let project = all.then(|| row.project.to_string());
        project.into_iter().chain(cells).collect::<Vec<String>>()
    };
    let head = |names: &[&'static str]| {
        all.then_some("PROJECT").into_iter().chain(names.iter().copied()).collect::<Vec<_>>()
    };
    let rings: Vec<Vec<String>> = rows.iter().map(|row| of(row, ring_cells(row))).collect();
    let readers = rows.iter().flat_map(|row| {
        row.status.readers.iter().map(move |reader| of(row, reader_cells(row, reader)))
    });
    let readers: Vec<Vec<String>> = readers.collect();
    let rings_head = head(&[
        "NAME", "WRITER", "EPOCH", "HEAD", "RATE", "AGE", "CONTENT", "MEMORY", "READERS", "DROPS",
    ]);
    let mut page = table::render(&rings_head, &rings);
    if !readers.is_empty() {
        let readers_head =
            head(&["RING", "READER", "PID", "LAG", "BEHIND", "MISSED", "HELD", "TROUBLE"]);
        page.push('\n');
        page.push_str(&table::render(&readers_head, &readers));
    }
    page
}

fn ring_cells(row: &Row) -> Vec<String> {
    let ring = &row.status;
    let writer = match ring.writer_pid {
        Some(pid) if ring.live => pid.to_string(),
        _ if ring.live => "alive".to_owned(),
        _ => "none".to_owned(),
    };
    let dash = || "-".to_owned();
    vec![
        ring.name.to_string(),
        writer,
        ring.epoch.to_string(),
        ring.head.to_string(),
        row.rate_hz.map_or_else(dash, |rate| format!("{rate:.1}/s")),
        ring.age_ms.map_or_else(dash, |ms| table::short(Duration::from_millis(ms))),
        row.content.clone(),
        table::bytes(ring.bytes),
        ring.readers.len().to_string(),
        reasons(&[
            ("no slot", ring.drops.no_slot),
            ("too large", ring.drops.too_large),
            ("let go", ring.drops.let_go),
            ("copied", ring.drops.copied),
        ]),
    ]
}

fn reader_cells(row: &Row, reader: &ReaderStatus) -> Vec<String> {
    vec![
        row.status.name.to_string(),
        reader.name.clone(),
        reader.pid.to_string(),
        reader.lag.to_string(),
        row.behind_ms(reader).map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}ms")),
        reader.missed.to_string(),
        reader.held_ms.map_or_else(
            || reader.leases.to_string(),
            |ms| format!("{} for {}", reader.leases, table::short(Duration::from_millis(ms))),
        ),
        reasons(&[("let go of", reader.evicted), ("refused", reader.refused)]),
    ]
}

/// Those that happened, and how often.
fn reasons(counts: &[(&str, u64)]) -> String {
    let happened = counts.iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> = happened.map(|(reason, count)| format!("{reason} {count}")).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at_ms: u64, head: u64, age_ms: u64) -> Seen {
        let mut status = census::absent(&"cam.packets".parse().unwrap());
        status.live = true;
        (status.epoch, status.head, status.age_ms) = (1, head, Some(age_ms));
        Seen { project: "yard".parse().unwrap(), at: MonoNs(at_ms * 1_000_000), status }
    }

    #[test]
    fn a_rate_counts_whole_intervals_between_the_newest_items() {
        // Looked at 512 ms apart; 12 pictures of 40 ms came.
        assert_eq!(rate_hz(&seen(1_000, 100, 5), &seen(1_512, 112, 37)), Some(25.0));
    }

    #[test]
    fn a_ring_that_stands_still_has_no_rate_and_a_slow_one_is_not_told() {
        assert_eq!(rate_hz(&seen(9_000, 7, 8_000), &seen(9_500, 7, 8_500)), Some(0.0));
        assert_eq!(rate_hz(&seen(9_000, 7, 300), &seen(9_500, 7, 800)), None);
        let mut restarted = seen(9_500, 1, 0);
        restarted.status.epoch = 2;
        assert_eq!(rate_hz(&seen(9_000, 7, 300), &restarted), None);
    }

    #[test]
    fn reasons_are_told_only_when_they_happened() {
        assert_eq!(reasons(&[("no slot", 0), ("copied", 0)]), "-");
        assert_eq!(reasons(&[("no slot", 3), ("let go", 0), ("copied", 9)]), "no slot 3, copied 9");
    }

    #[test]
    fn a_reader_is_behind_by_its_items_at_the_rings_rate() {
        let reader = |lag| ReaderStatus { name: "r".to_owned(), lag, ..ReaderStatus::default() };
        let row = Row::new(&seen(1_512, 112, 37), &[seen(1_000, 100, 5)]);
        assert_eq!(
            (row.behind_ms(&reader(5)), row.behind_ms(&reader(0))),
            (Some(200.0), Some(0.0))
        );
        assert_eq!(Row::new(&seen(1_512, 112, 37), &[]).behind_ms(&reader(5)), None);
    }
}
