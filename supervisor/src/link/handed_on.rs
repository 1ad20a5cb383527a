//! A link that another supervisor goes on with.

use serde::{Deserialize, Serialize};

use super::{Conversation, Language, Link, MESSAGES_PER_SECOND};
use crate::manifest::{Leaving, Left, ManifestError};
use crate::meter::Meter;

#[derive(Debug, Serialize, Deserialize)]
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

    pub(crate) fn resume(handed: Handed, language: Language) -> Result<Self, ManifestError> {
        Ok(Self {
            socket: handed.socket.take()?,
            language,
            conversation: handed.conversation,
            listens: handed.listens,
            meter: Meter::new(MESSAGES_PER_SECOND),
            queue: handed.queue.into(),
        })
    }
}
