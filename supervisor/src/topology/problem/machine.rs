//! What this machine lacks for a topology that is right in itself.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MachineProblem {
    #[error("cannot write recordings to {}: {}: {reason}", dir.display(), at.display())]
    CannotRecord { dir: PathBuf, at: PathBuf, reason: String },
    #[error("cannot read {}: {reason}", path.display())]
    NoCertificate { path: PathBuf, reason: String },
    #[error("this machine has no group {group}")]
    NoGroup { group: String },
    #[error("command {program} cannot be run: {reason}")]
    NoCommand { program: String, reason: String },
    #[error("cannot read model {}: {reason}", path.display())]
    NoModel { path: PathBuf, reason: String },
    #[error("cannot read recordings of {}: {reason}", path.display())]
    NoRecording { path: PathBuf, reason: String },
    #[error("cannot read source {}: {reason}", path.display())]
    NoSource { path: PathBuf, reason: String },
}

impl MachineProblem {
    pub(super) fn help(&self) -> String {
        match self {
            Self::CannotRecord { at, .. } => format!(
                "let the user that runs framevisor write to {}, or give 'dir' another folder",
                at.display()
            ),
            Self::NoCertificate { .. } => {
                "let 'tls' name files (PEM) that the user who runs framevisor may read; a relative path starts at the topology's folder"
                    .into()
            }
            Self::NoGroup { group } => {
                format!("make it with `groupadd {group}`, or give 'group' one that is there")
            }
            Self::NoCommand { program, .. } if program.contains('/') => {
                "make the file executable, or correct the path; it starts at the topology's folder"
                    .into()
            }
            Self::NoCommand { .. } => "install it, or write its path".into(),
            Self::NoRecording { .. } => {
                "give 'from' what a recorder wrote of one camera, DIR/CAMERA; `framevisor recordings ls` lists it"
                    .into()
            }
            Self::NoModel { .. } | Self::NoSource { .. } => {
                "correct the path; a relative one starts at the topology's folder".into()
            }
        }
    }
}
