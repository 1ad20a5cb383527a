//! The verbs that change the topology. Each is answered when the change is done, refused or undone.

use std::path::PathBuf;
use std::time::Duration;

use protocol::admin::ReplyError;
use protocol::name::WorkerName;
use protocol::units::Span;
use serde::{Deserialize, Serialize};

use super::Asker;
use super::verbs::{Answer, Names, error};
use crate::preparing::Wish;
use crate::selector::Selector;
use crate::supervisor::{Supervisor, Wanted};
use crate::topology::Change;
use crate::worker::Role;

/// Arguments of `reload` and `plan`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReloadWanted {
    /// Another topology of the same project, absolute paths; without any, the files that run, as they are
    /// now.
    pub(crate) files: Vec<PathBuf>,
    /// Nobody else may change; empty is anybody.
    pub(crate) names: Vec<Selector>,
    /// How long a worker that is not healthy has beyond its start deadline.
    pub(crate) wait: Option<Span>,
}

/// Arguments of `add`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesAdded {
    /// Absolute paths of texts in the form of a topology; they add to what runs.
    pub(crate) files: Vec<PathBuf>,
    /// As in [`ReloadWanted`].
    #[serde(default)]
    pub(crate) wait: Option<Span>,
}

/// Arguments of `promote`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShadowNamed {
    pub(crate) name: WorkerName,
    /// Only to know what would change.
    #[serde(default)]
    pub(crate) plan: bool,
}

/// Answer of these verbs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Changed {
    /// False when it was only asked what would change.
    pub(crate) applied: bool,
    pub(crate) change: Change,
}

impl Supervisor {
    pub(super) fn reload(
        &mut self,
        asker: Asker,
        args: ReloadWanted,
    ) -> Result<Answer, ReplyError> {
        self.reload_or_plan(asker, args, false)
    }

    pub(super) fn plan(&mut self, asker: Asker, args: ReloadWanted) -> Result<Answer, ReplyError> {
        self.reload_or_plan(asker, args, true)
    }

    fn reload_or_plan(
        &mut self,
        asker: Asker,
        args: ReloadWanted,
        plan: bool,
    ) -> Result<Answer, ReplyError> {
        let patience = args.wait.map(Span::duration).unwrap_or_default();
        let wish = Wish::Reload { files: args.files, only: args.names };
        self.want(Wanted { asker, wish, plan, patience })?;
        Ok(Answer::Later)
    }

    pub(super) fn add(&mut self, asker: Asker, args: FilesAdded) -> Result<Answer, ReplyError> {
        if args.files.is_empty() || !args.files.iter().all(|file| file.is_absolute()) {
            let text = "add: files: expected absolute paths".to_owned();
            return Err(error("args", text, "name the files to add"));
        }
        let patience = args.wait.map(Span::duration).unwrap_or_default();
        let wish = Wish::Add { files: args.files };
        self.want(Wanted { asker, wish, plan: false, patience })?;
        Ok(Answer::Later)
    }

    pub(super) fn remove(&mut self, asker: Asker, args: Names) -> Result<Answer, ReplyError> {
        let wish = Wish::Remove { names: args.names };
        self.want(Wanted { asker, wish, plan: false, patience: Duration::ZERO })?;
        Ok(Answer::Later)
    }

    pub(super) fn promote(
        &mut self,
        asker: Asker,
        args: ShadowNamed,
    ) -> Result<Answer, ReplyError> {
        let wish = Wish::Promote { shadow: args.name };
        self.want(Wanted { asker, wish, plan: args.plan, patience: Duration::ZERO })?;
        Ok(Answer::Later)
    }

    pub(super) fn replace_named(
        &mut self,
        asker: Asker,
        args: Names,
    ) -> Result<Answer, ReplyError> {
        let meant = self.places_of(&args.names)?;
        let members = meant.iter().map(|at| &self.workers[*at]);
        let names: Vec<WorkerName> = members
            .filter(|worker| worker.role == Role::Member)
            .map(|worker| worker.spec.name.clone())
            .collect();
        let wish = Wish::Replace { names };
        self.want(Wanted { asker, wish, plan: false, patience: Duration::ZERO })?;
        Ok(Answer::Later)
    }
}
