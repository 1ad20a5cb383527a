//! Where a drill happens: in the project that runs, or in one of our own.

use std::io::{self, IsTerminal, Write};

use protocol::name::ProjectName;

use super::super::interrupt::Interrupt;
use super::super::rehearsal::{Rehearsal, Source};
use super::super::{CliError, Context, terminal};
use crate::place::Place;

pub(super) enum Stage {
    Own(Rehearsal),
    Running { place: Place, project: ProjectName },
}

impl Stage {
    /// The project that is meant if it runs, when somebody agrees; else its topology, or the demo, brought
    /// up for this.
    pub(super) fn find(
        context: &Context,
        agreed: bool,
        interrupt: &Interrupt,
    ) -> Result<Self, CliError> {
        let has_file = context.has_files();
        let is_named = context.globals.project.is_some() || context.globals.runtime_dir.is_some();
        if !has_file && !is_named {
            return Self::own(&Source::Text(include_str!("../templates/demo.yml")), interrupt);
        }
        let place = context.place()?;
        if place.is_taken() {
            let project = Self::project_at(context, &place)?;
            confirm(&project, agreed)?;
            return Ok(Self::Running { place, project });
        }
        if has_file {
            // Its mistakes are told here and not by another process.
            context.topology()?;
            return Self::own(&Source::Files(context.files()), interrupt);
        }
        // Says where it looked.
        let project = Self::project_at(context, &place)?;
        Ok(Self::Running { place, project })
    }

    fn own(source: &Source<'_>, interrupt: &Interrupt) -> Result<Self, CliError> {
        let mut rehearsal = Rehearsal::new(&format!("drill-{}", std::process::id()), source)?;
        terminal::talk("no such project runs: bringing one up in a temporary place");
        rehearsal.up(interrupt)?;
        Ok(Self::Own(rehearsal))
    }

    fn project_at(context: &Context, place: &Place) -> Result<ProjectName, CliError> {
        let mut client = super::Client::connect(place)?;
        if let Some(project) = &context.globals.project {
            return Ok(project.clone());
        }
        let status: crate::admin::verbs::Status = client.ask("status", &())?;
        status.project.parse().map_err(|_| CliError::NoProject)
    }

    pub(super) fn place(&self) -> Result<Place, CliError> {
        match self {
            Self::Own(rehearsal) => rehearsal.context().place(),
            Self::Running { place, .. } => Ok(place.clone()),
        }
    }

    pub(super) fn project(&self) -> Result<ProjectName, CliError> {
        match self {
            Self::Own(rehearsal) => rehearsal.context().project(),
            Self::Running { project, .. } => Ok(project.clone()),
        }
    }

    /// Our own project is over; another's goes on.
    pub(super) fn end(&mut self) -> Result<(), CliError> {
        match self {
            Self::Own(rehearsal) => rehearsal.down(),
            Self::Running { .. } => Ok(()),
        }
    }
}

fn confirm(project: &ProjectName, agreed: bool) -> Result<(), CliError> {
    if agreed {
        return Ok(());
    }
    let refused = || CliError::Unconfirmed { project: project.clone() };
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    let question = format!(
        "framevisor: project {project} runs: its workers are ended one after the other, and viewers may \
         notice. Go on? [y/N] "
    );
    // Whoever cannot see the question does not answer it.
    let _ = io::stderr().write_all(question.as_bytes());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(CliError::io("stdin"))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(refused()) }
}
