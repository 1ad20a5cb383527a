//! What was chosen for every verb: which topology and project, and the form of what is printed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use protocol::name::ProjectName;

use super::error::CliError;
use super::{Form, Globals};
use crate::place::Place;
use crate::topology::Topology;

/// What every verb is told.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) files: Vec<PathBuf>,
    pub(super) form: Form,
    pub(super) globals: Globals,
}

impl Context {
    /// Where a project of this topology runs.
    pub(super) fn place_of(&self, topology: &Topology) -> Result<Place, CliError> {
        self.place_named(&topology.project)
    }

    pub(super) fn place_named(&self, project: &ProjectName) -> Result<Place, CliError> {
        match &self.globals.runtime_dir {
            Some(path) => Place::at(path).map_err(CliError::io("runtime directory")),
            None => Ok(Place::default_of(project)),
        }
    }

    /// Where the project meant runs: its topology is read only if nothing else names it.
    pub(super) fn place(&self) -> Result<Place, CliError> {
        match (&self.globals.runtime_dir, &self.globals.project) {
            (Some(path), _) => Place::at(path).map_err(CliError::io("runtime directory")),
            (None, Some(project)) => Ok(Place::default_of(project)),
            (None, None) => self.place_of(&self.topology()?),
        }
    }

    /// What to type for another verb about the same project.
    pub(super) fn hint(&self, verb: &str) -> String {
        let files = self.files.iter().map(|file| format!(" -f {}", file.display()));
        let project = self.globals.project.as_ref().map(|project| format!(" -p {project}"));
        let place = self.globals.runtime_dir.as_ref();
        let place = place.map(|place| format!(" --runtime-dir {}", place.display()));
        let given = files.chain(project).chain(place).collect::<String>();
        format!("`framevisor{given} {verb}`")
    }

    pub(super) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// The same choices for another process of this command.
    pub(super) fn arguments(&self, verb: &str) -> Result<Vec<OsString>, CliError> {
        let absolute =
            |path: &Path| std::path::absolute(path).map_err(CliError::io("current directory"));
        let mut args = self.file_arguments(verb == "guard")?;
        if let Some(project) = &self.globals.project {
            args.extend(["--project".into(), project.as_str().into()]);
        }
        if let Some(path) = &self.globals.runtime_dir {
            args.extend(["--runtime-dir".into(), absolute(path)?.into()]);
        }
        if let Some(folder) = &self.globals.rehearsal {
            args.extend(["--rehearsal".into(), absolute(folder)?.into()]);
        }
        if let Some(pid) = &self.globals.rehearsed_by {
            args.extend(["--rehearsed-by".into(), pid.to_string().into()]);
        }
        if let Some(playing) = &self.globals.playing {
            let text = serde_json::to_string(playing).map_err(CliError::skew("replay"))?;
            args.extend(["--playing".into(), text.into()]);
        }
        args.push(verb.into());
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_repeats_what_was_given() {
        let globals = Globals { project: "yard".parse().ok(), ..Globals::default() };
        let named = Context { files: vec!["y.yml".into()], form: Form::Text, globals };
        assert_eq!(named.hint("ps"), "`framevisor -f y.yml -p yard ps`");
        let globals = Globals::default();
        let plain = Context { files: Vec::new(), form: Form::Text, globals };
        assert_eq!(plain.hint("ps"), "`framevisor ps`");
    }
}
