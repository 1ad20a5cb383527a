//! A link that another supervisor goes on with.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::{
    Conversation, Language, Link, MESSAGES_PER_SECOND, QUESTIONS_PER_SECOND, TURNS_PER_SECOND,
};
use crate::manifest::{Leaving, Left, ManifestError};
use crate::meter::Meter;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    socket: Left,
    conversation: Conversation,
    listens: bool,
    /// Not sent yet.
    queue: Vec<Vec<u8>>,
}

impl Link {
    pub(crate) fn hand_on<'a>(&'a self, leaving: &mut Leaving<'a>) -> Handed {
        Handed {
            socket: leaving.leave(&self.socket),
            conversation: self.conversation,
            listens: self.listens,
            queue: self.queue.iter().cloned().collect(),
        }
    }

    /// The connection to a built-in worker that a supervisor before this one has started.
    pub(crate) fn of_a_ready_worker(socket: OwnedFd) -> Self {
        Self {
            socket,
            language: Language::Frames,
            conversation: Conversation::Ready,
            listens: false,
            meter: Meter::new(MESSAGES_PER_SECOND),
            questions: Meter::new(QUESTIONS_PER_SECOND),
            turns: Meter::new(TURNS_PER_SECOND),
            heeded: None,
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn resume(handed: Handed, language: Language) -> Result<Self, ManifestError> {
        Ok(Self {
            socket: handed.socket.take()?,
            language,
            conversation: handed.conversation,
            listens: handed.listens,
            meter: Meter::new(MESSAGES_PER_SECOND),
            questions: Meter::new(QUESTIONS_PER_SECOND),
            turns: Meter::new(TURNS_PER_SECOND),
            heeded: None,
            queue: handed.queue.into(),
        })
    }
}
