//! Mistakes of what stands for something else: ranges, `like`, `cameras`.

use super::super::tree::Place;
use super::suggest;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpandProblem {
    #[error("needs worker {worker} for itself, which is written by hand as well")]
    CameraWorker { worker: String, first: Place },
    #[error("{key} has another value already")]
    Conflict { key: String, first: Place },
    #[error("cannot be like '{name}', which is like it or is it")]
    LikeItself { name: String },
    #[error("is like '{name}', and there is none")]
    LikeNobody { name: String, known: Vec<String> },
    #[error("range {seen} ends before it begins")]
    RangeBackwards { seen: String },
    #[error("range {seen} has {length} numbers: expected {expected}, as in {other}")]
    RangeLength { seen: String, length: usize, expected: usize, other: String },
    #[error("range {seen} has more than {max} numbers")]
    RangeTooLong { seen: String, max: usize },
    #[error("'{name}' is there twice")]
    Twice { name: String, first: Place },
}

impl ExpandProblem {
    pub(super) fn other(&self) -> Option<(&'static str, Place)> {
        match self {
            Self::CameraWorker { first, .. } | Self::Conflict { first, .. } => Some(("", *first)),
            Self::Twice { first, .. } => Some(("first in ", *first)),
            _ => None,
        }
    }

    pub(super) fn help(&self) -> String {
        match self {
            Self::CameraWorker { .. } => {
                "rename that worker, or give its keys in the camera's section".into()
            }
            Self::Conflict { .. } => {
                "keep one of the two: files add to each other, none overrides another".into()
            }
            Self::LikeItself { .. } => "leave out one 'like' of the circle".into(),
            Self::LikeNobody { name, known } => suggest(name, known, "to be had here"),
            Self::RangeBackwards { .. } => {
                "write the smaller number first, for example {1..16}".into()
            }
            Self::RangeLength { .. } => {
                "ranges of one entry run together: give them the same length".into()
            }
            Self::RangeTooLong { .. } => "split it into several projects".into(),
            Self::Twice { .. } => "rename one of the two, or shorten the range".into(),
        }
    }
}
