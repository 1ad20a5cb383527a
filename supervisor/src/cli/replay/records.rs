//! What the analyzers found, as lines of a file: the records of all event rings, each ring's in its order.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use shmring::{Next, PacketOptions, RecordReader, Start};

use super::super::{CliError, terminal};
use crate::topology::Topology;

const READER: &str = "framevisor replay";

#[derive(Debug)]
pub(super) struct Records {
    path: PathBuf,
    file: BufWriter<File>,
    project: ProjectName,
    /// A ring that its writer has not made yet has no reader.
    rings: Vec<(RingName, Option<RecordReader>)>,
    count: u64,
}

impl Records {
    pub(super) fn create(
        path: &Path,
        project: &ProjectName,
        topology: &Topology,
    ) -> Result<Self, CliError> {
        let file = File::create(path);
        let file = file.map_err(|source| CliError::Output { path: path.to_owned(), source })?;
        let rings = topology.rings.iter().filter(|ring| ring.name.kind() == RingKind::Events);
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            project: project.clone(),
            rings: rings.map(|ring| (ring.name.clone(), None)).collect(),
            count: 0,
        })
    }

    /// Writes what has come since.
    pub(super) fn take(&mut self) -> Result<(), CliError> {
        let options = PacketOptions { reader: READER.to_owned(), start: Start::Oldest };
        let output = |source| CliError::Output { path: self.path.clone(), source };
        for (name, reader) in &mut self.rings {
            if reader.is_none() {
                *reader = RecordReader::attach(&self.project, name, &options).ok();
            }
            let Some(ring) = reader else { continue };
            loop {
                match ring.next(Duration::ZERO) {
                    Ok(Next::Item(record)) => {
                        let line = serde_json::to_string(&record);
                        let line = line.map_err(|error| output(error.into()))?;
                        writeln!(self.file, "{line}").map_err(output)?;
                        self.count += 1;
                    }
                    Ok(Next::Overrun { missed }) => {
                        terminal::talk(&format!("{missed} records of {name} were overwritten"));
                    }
                    Ok(Next::NewEpoch { .. } | Next::Evicted { .. }) => {}
                    Ok(Next::Quiet | Next::Ended) => break,
                    // Its writer is gone, or wrote what is no record: the next one is attached to anew.
                    Err(error) => {
                        terminal::talk(&error.to_string());
                        *reader = None;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// How many there were, and where they are.
    pub(super) fn finish(mut self) -> Result<(u64, PathBuf), CliError> {
        let flushed = self.file.flush();
        flushed.map_err(|source| CliError::Output { path: self.path.clone(), source })?;
        Ok((self.count, self.path))
    }
}
