//! One number of cameras: brought up in a temporary place, measured for a while, ended, and then compared
//! with the files.

use std::fmt::Write as _;

use protocol::admin::WorkerStatus;
use protocol::units::Span;
use protocol::witness::{Watch, Watched};
use shmring::clock;

use super::super::client::Client;
use super::super::interrupt::Interrupt;
use super::super::rehearsal::{Rehearsal, Source};
use super::super::witness::Witness;
use super::super::{CliError, memory};
use super::load::{Load, Running};
use super::verdict::{Measured, Step};
use crate::supervisor::drill::Recorded;

/// How long a recorder may take to write what was seen last.
const PATIENCE: Span = Span::from_millis(15_000);
/// The name under which the witness reads.
const READER: &str = "framevisor bench";

/// What every step has in common.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) source: String,
    /// Pictures a second.
    pub(super) fps: u32,
    pub(super) span: Span,
}

impl Plan {
    /// From their start to their end; nothing of them is left, however it ends.
    pub(super) fn measure(&self, cameras: u32, interrupt: &Interrupt) -> Result<Step, CliError> {
        let name = format!("bench-{}-{cameras}", std::process::id());
        let text = topology(&self.source, cameras);
        let mut rehearsal = Rehearsal::new(&name, &Source::Text(&text))?;
        memory::check(&rehearsal.context().topology()?)?;
        rehearsal.up(interrupt)?;
        let project = rehearsal.context().project()?;
        let mut client = Client::connect(&rehearsal.context().place()?)?;
        let witness = witness(&rehearsal, &mut client)?;
        let running = running(&rehearsal, &mut client, &witness)?;
        let (before, began) = (Load::now(&project, &running), clock::mono());
        interrupt.within(self.span.duration());
        let (after, ended) = (Load::now(&project, &running), clock::mono());
        let workers: Vec<WorkerStatus> = client.ask("ps", &())?;
        rehearsal.down()?;
        let seen = witness.finish(&[began, ended])?;
        let seconds = ended.saturating_since(began).as_secs_f64();
        let measured = Measured::of(&seen, &workers, f64::from(self.fps) * seconds);
        Ok(Step::of(cameras, after.since(&before), measured))
    }
}

/// One recorder for all of them, as a site would have it.
fn topology(source: &str, cameras: u32) -> String {
    let mut text = String::from("version: 1\nworkers:\n");
    for camera in 1..=cameras {
        // Writing to a text never fails.
        let _ = writeln!(text, "  cam{camera:04}: {{use: ingest, source: '{source}'}}");
    }
    text.push_str("  recorder: {use: recorder, in: '*.packets', dir: recordings}\n");
    text
}

fn witness(rehearsal: &Rehearsal, client: &mut Client) -> Result<Witness, CliError> {
    let recorded: Vec<Recorded> = client.ask("recorders", &())?;
    let rings =
        recorded.into_iter().map(|row| Watched { ring: row.ring, folders: vec![row.folder] });
    let watch = Watch {
        project: rehearsal.context().project()?,
        reader: READER.to_owned(),
        rings: rings.collect(),
        patience: PATIENCE,
    };
    Witness::start(&watch, &rehearsal.context().place()?.broker_socket())
}

/// The workers, and what measures and supervises them.
fn running(
    rehearsal: &Rehearsal,
    client: &mut Client,
    witness: &Witness,
) -> Result<Vec<Running>, CliError> {
    let workers: Vec<WorkerStatus> = client.ask("ps", &())?;
    let up = workers.into_iter().filter_map(|worker| {
        let (name, kind) = (worker.name.to_string(), worker.kind);
        worker.pid.map(|pid| Running { name, kind, pid })
    });
    let one = |name: &str, pid| Running { name: name.to_owned(), kind: name.to_owned(), pid };
    let supervisor = rehearsal.context().place()?.supervisor().parse().ok();
    let supervisor = supervisor.map(|pid| one("supervisor", pid));
    Ok(up.chain(supervisor).chain([one("witness", witness.pid())]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self as topologies, Overrides};

    #[test]
    fn every_camera_has_a_ring_and_one_recorder_reads_them_all() {
        let text = topology("test:?size=320x192&mode=loop", 12);
        let read = topologies::parse(&text, "/srv/framevisor.yml".as_ref(), &Overrides::default());
        let read = read.unwrap();
        assert_eq!((read.workers.len(), read.rings.len()), (13, 12));
        assert_eq!(read.workers[12].inputs.len(), 12);
    }
}
