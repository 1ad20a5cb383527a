//! `bench`: how many cameras this machine records. Synthetic cameras, twice as many each time until
//! something is lost or a resource is used up, then between the last good number and the first bad one.

mod load;
mod report;
mod search;
mod step;
mod verdict;

use std::process::ExitCode;

use protocol::config::ingest::TestPattern;
use protocol::units::{BitRate, Size, Span};

use super::interrupt::Interrupt;
use super::{CliError, Context, FormArg, terminal};
use report::Report;
use search::Search;
use step::Plan;
use verdict::{Limit, Step};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor bench
  framevisor bench --cameras-max 2 --for 1s -o json
  framevisor bench --size 1280x704 --fps 30 --bitrate 6M
  TMPDIR=/srv/recordings framevisor bench

Each camera repeats a minute that was encoded once, so what is measured is ingest, rings and recording,
and no decoding. Recordings go below TMPDIR: let it be on the disk that is meant.";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// No more cameras than these
    #[arg(long, default_value = "256", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    cameras_max: u32,
    /// How long each number of cameras is measured, 1s or more
    #[arg(long = "for", default_value = "5s", value_name = "SPAN", value_parser = measurable)]
    span: Span,
    /// Of the pictures of each camera
    #[arg(long, default_value = "320x192", value_name = "SIZE")]
    size: Size,
    /// Pictures a second of each camera
    #[arg(long, default_value = "25", value_name = "N")]
    fps: u32,
    /// Of each camera
    #[arg(long, default_value = "2M", value_name = "RATE")]
    bitrate: BitRate,
    #[command(flatten)]
    pub(super) form: FormArg,
}

/// Shorter ones hold too few packets to tell a slow camera from the edges of the window.
fn measurable(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: protocol::units::UnitError| error.to_string())?;
    if span < Span::from_millis(1000) {
        return Err(format!("{span} is too short to measure: expected 1s or more"));
    }
    Ok(span)
}

impl Args {
    fn plan(&self) -> Result<Plan, CliError> {
        let Self { size, fps, bitrate, .. } = self;
        let pattern = format!("size={size}&fps={fps}&gop={fps}&bitrate={bitrate}&mode=loop");
        // What no camera can be is told here, and not as a mistake in a file that nobody wrote.
        let _: TestPattern = pattern.parse().map_err(CliError::Camera)?;
        Ok(Plan { source: format!("test:?{pattern}"), fps: *fps, span: self.span })
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let plan = args.plan()?;
    let interrupt = Interrupt::listen()?;
    let steps = steps(&plan, args.cameras_max, &interrupt)?;
    let report = Report::of(&plan, args.cameras_max, steps, interrupt.came());
    if context.is_json() {
        terminal::json(&report)?;
    } else {
        terminal::data(&report.in_words())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Those that were measured to their end.
fn steps(plan: &Plan, cameras_max: u32, interrupt: &Interrupt) -> Result<Vec<Step>, CliError> {
    let mut search = Search::up_to(cameras_max);
    let mut steps: Vec<Step> = Vec::new();
    while let Some(cameras) = search.next() {
        let step = match plan.measure(cameras, interrupt) {
            Err(CliError::Interrupted) => break,
            // One camera more may be one too many; the first one finds something broken.
            Err(CliError::Rehearsal { said }) if search.good() > 0 => {
                Step::not_started(cameras, Limit::Start { said })
            }
            Err(CliError::NoMemory { shortage, .. }) => {
                let said = shortage.to_string();
                Step::not_started(cameras, Limit::SharedMemory { said })
            }
            other => other?,
        };
        if interrupt.came() {
            break;
        }
        terminal::talk(&step.in_words());
        search.note(cameras, step.is_good());
        steps.push(step);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        <Alone as clap::Parser>::try_parse_from(words).map(|alone| alone.args)
    }

    #[test]
    fn the_cameras_are_those_of_large_sites_where_nothing_else_is_said() {
        let plan = args("").unwrap().plan().unwrap();
        assert_eq!(plan.source, "test:?size=320x192&fps=25&gop=25&bitrate=2M&mode=loop");
        let plan = args("--size 1280x704 --fps 30 --bitrate 6M").unwrap().plan().unwrap();
        assert_eq!(plan.source, "test:?size=1280x704&fps=30&gop=30&bitrate=6M&mode=loop");
    }

    #[test]
    fn a_camera_that_cannot_be_is_refused_before_anything_starts() {
        let error = args("--size 321x192").unwrap().plan().unwrap_err().to_string();
        assert!(error.contains("size=321x192"), "{error}");
        assert!(args("--fps 0").unwrap().plan().is_err());
        assert!(args("--for 900ms").is_err() && args("--cameras-max 0").is_err());
    }
}
