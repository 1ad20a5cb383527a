//! `events`: what became of the workers, and becomes.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use protocol::time::UtcNs;

use super::client::Client;
use super::when::{Here, When};
use super::{CliError, Context, FormArg, terminal};
use crate::admin::verbs::EventsWanted;
use crate::history::Change;
use crate::selector::Selector;
use crate::topology::{EVENTS, is_event, matches};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor events
  framevisor events --since 10m --to 5m
  framevisor events --since 13:00 --to +90s
  framevisor events 'cam*' --type worker.died,camera.down
  framevisor events -f 'cam*'
  framevisor events -f -o json";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of these workers, by name or pattern ('cam*')
    names: Vec<Selector>,
    /// Go on with new ones as they come
    #[arg(short, long)]
    follow: bool,
    /// Newest events; the last 1000 are kept
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1000)]
    count: usize,
    /// Only what happened since: so long ago, for example 10m, a local time, for example 13:09, or one
    /// with its zone, for example 2026-11-20T13:09:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,
    /// Only what happened until then; +5m is behind --since
    #[arg(
        long,
        visible_alias = "until",
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "follow"
    )]
    to: Option<When>,
    /// Only these, by the names that `hooks:` know or patterns of them: worker.died, 'camera.*'
    #[arg(long = "type", value_name = "EVENTS", value_delimiter = ',')]
    types: Vec<EventType>,
    #[command(flatten)]
    pub(super) form: FormArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let Args { names, follow, count, since, to, types, form: _ } = args;
    let (from_utc_ns, to_utc_ns) = range(&Here::now(), since.as_ref(), to.as_ref())?;
    let wanted = EventsWanted {
        names,
        count,
        follow,
        from_utc_ns,
        to_utc_ns,
        types: types.into_iter().map(|EventType(pattern)| pattern).collect(),
    };
    let past: Vec<Change> = client.ask("events", &wanted)?;
    let width = past.iter().map(|change| change.worker.as_str().len()).max().unwrap_or(0);
    for change in &past {
        show(context, change, width)?;
    }
    if follow {
        while let Some(change) = client.next_event::<Change>()? {
            show(context, &change, width)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An end alone is the last time that it was then.
fn range(
    here: &Here,
    since: Option<&When>,
    to: Option<&When>,
) -> Result<(Option<UtcNs>, Option<UtcNs>), CliError> {
    let from = since.map(|since| here.from(since)).transpose().map_err(CliError::When)?;
    let end = |to: &When| from.map_or_else(|| here.from(to), |from| here.to(to, from));
    let to = to.map(end).transpose().map_err(CliError::When)?;
    match (from, to) {
        (Some(from), Some(to)) if to < from => {
            Err(CliError::Backwards { end: "--to", begin: "--since" })
        }
        range => Ok(range),
    }
}

/// One line each in either form, so that a program need not wait for an end.
fn show(context: &Context, change: &Change, width: usize) -> Result<(), CliError> {
    if context.is_json() {
        return terminal::json(change);
    }
    let Change { time_utc_ns, worker, from, to, reason, events, data: _ } = change;
    let time = time_of(*time_utc_ns);
    // No change of a state, but something that the worker told of.
    let what =
        if from == to { events.join(" ") } else { format!("{} -> {}", from.as_str(), to.as_str()) };
    let line = format!("{time}  {worker:width$}  {what}  {reason}");
    terminal::data(&format!("{}\n", line.trim_end()))
}

/// An event of a worker or camera, or a pattern that some of them have.
#[derive(Clone, Debug)]
struct EventType(String);

#[derive(Debug, thiserror::Error)]
#[error("no event is named '{seen}'; there are {}", known.join(", "))]
struct NoEvent {
    seen: String,
    known: Vec<&'static str>,
}

impl FromStr for EventType {
    type Err = NoEvent;

    fn from_str(text: &str) -> Result<Self, NoEvent> {
        let known: Vec<&str> =
            EVENTS.into_iter().filter(|event| !event.starts_with("project.")).collect();
        let is_of_rule = text.starts_with("rule.") && is_event(text);
        if is_of_rule || known.iter().any(|event| matches(text, event)) {
            return Ok(Self(text.to_owned()));
        }
        Err(NoEvent { seen: text.to_owned(), known })
    }
}

/// `2026-11-20T13:09:00.123Z`.
pub(super) fn time_of(time: UtcNs) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(time.0)).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn times_are_local_unless_they_say_otherwise_and_an_end_is_behind_its_begin() {
        // 2026-11-20T13:09:00Z, an hour later on the wall.
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let here = Here { now: UtcNs(1_795_180_140 * SECOND), zone };
        let range = |since: Option<&str>, to: Option<&str>| {
            let (since, to) =
                (since.map(|it| it.parse().unwrap()), to.map(|it| it.parse().unwrap()));
            let (from, to) = range(&here, since.as_ref(), to.as_ref())?;
            let ago = |at: UtcNs| (here.now.0 - at.0) / SECOND;
            Ok((from.map(ago), to.map(ago)))
        };
        let ok = |since, to| range(since, to).map_err(|error: CliError| error.to_string()).unwrap();
        assert_eq!(ok(Some("10m"), Some("5m")), (Some(600), Some(300)));
        assert_eq!(ok(Some("14:00"), Some("+90s")), (Some(540), Some(450)));
        assert_eq!(ok(Some("2026-11-20T13:00:00Z"), Some("14:05")), (Some(540), Some(240)));
        assert_eq!(ok(None, Some("14:05")), (None, Some(240)));
        assert_eq!(ok(None, None), (None, None));
        assert!(range(Some("5m"), Some("10m")).is_err());
    }
}
