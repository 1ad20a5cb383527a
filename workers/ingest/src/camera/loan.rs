//! A camera that plays, in the hands of the worker's loop until it is lost.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::Message;
use crate::rtsp::{Client, Happening, RtspError};

/// A camera that plays.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) client: Client,
    is_first: bool,
}

impl Play {
    pub(super) fn new(client: Client) -> Self {
        Self { client, is_first: true }
    }

    /// What it sends next; `None` when that is nothing within `wait`.
    pub(super) fn next(&mut self, wait: Duration) -> Result<Option<Message>, RtspError> {
        let Some(happening) = self.client.read(wait)? else { return Ok(None) };
        Ok(Some(match happening {
            Happening::Tracks(tracks) if std::mem::take(&mut self.is_first) => {
                Message::Connected(tracks)
            }
            Happening::Tracks(tracks) => Message::Tracks(tracks),
            Happening::Unit(received) => Message::Unit(received, self.client.delay_ns()),
        }))
    }
}

/// One that goes back to its reader, with the reason. Its reader waits for that, or for the loan to be dropped.
#[derive(Debug)]
pub(super) struct Loan {
    pub(super) play: Box<Play>,
    back: SyncSender<(Client, RtspError)>,
}

impl Loan {
    /// A loan, and where it comes back.
    pub(super) fn new(play: Play) -> (Self, Receiver<(Client, RtspError)>) {
        let (back, returned) = sync_channel(1);
        (Self { play: Box::new(play), back }, returned)
    }

    /// It is lost: its reader takes leave of it, and tries again.
    pub(super) fn give_back(self, error: RtspError) {
        // Its reader waits for nothing else.
        let _ = self.back.send((self.play.client, error));
    }

    /// It is not wanted any more: takes leave of it.
    pub(super) fn end(self) {
        self.play.client.close();
    }
}
