//! What is asked of the hub.

use tokio::sync::oneshot;

use crate::door::{Answered, Caller};
use crate::figures::ViewerFigures;
use crate::refusal::Refusal;

/// With the way back to who asked.
#[derive(Debug)]
pub(crate) enum Command {
    Leave { camera: String, id: String, reply: oneshot::Sender<bool> },
    Offer(Wanted),
    Viewers { reply: oneshot::Sender<Vec<ViewerFigures>> },
}

/// An offer that waits for its answer.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) camera: String,
    pub(crate) offer: String,
    pub(crate) caller: Caller,
    pub(crate) reply: oneshot::Sender<Result<Answered, Refusal>>,
}

/// Who asked may have gone: then nobody hears it.
pub(crate) fn refuse(command: Command, why: &str) {
    match command {
        Command::Leave { reply, .. } => {
            let _ = reply.send(false);
        }
        Command::Offer(wanted) => {
            let refusal = Refusal::Closed { why: why.to_owned() };
            let _ = wanted.reply.send(Err(refusal));
        }
        Command::Viewers { reply } => {
            let _ = reply.send(Vec::new());
        }
    }
}
