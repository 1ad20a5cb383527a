//! ipc-channel's bytes: a unix socket, one copy in and one out for every receiver.

use std::cell::RefCell;

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender};

use super::{Ends, Load, Receiver, Sender};
use crate::Outcome;
use crate::machine::{Touch, touch};

pub(super) fn ends(load: &Load) -> Outcome<Ends<'static>> {
    let channels =
        (0..load.readers).map(|_| ipc::bytes_channel()).collect::<Result<Vec<_>, _>>()?;
    let (senders, receivers): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
    let receivers: Vec<_> = receivers.into_iter().map(|r| RefCell::new(Some(r))).collect();
    let content = vec![7; load.bytes];
    Ok(Ends {
        receiver: Box::new(move |number| {
            let receiver = receivers[number].borrow_mut().take().ok_or("taken already")?;
            Ok(Box::new(BytesOut(receiver)))
        }),
        sender: Box::new(move || Ok(Box::new(BytesIn { senders, content }))),
    })
}

struct BytesIn {
    senders: Vec<IpcBytesSender>,
    content: Vec<u8>,
}

impl Sender for BytesIn {
    fn prepare(&mut self, content: Option<&[u8]>) -> Outcome<()> {
        if let Some(content) = content {
            content.clone_into(&mut self.content);
        }
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        Ok(self.senders.iter().try_for_each(|sender| sender.send(&self.content))?)
    }
}

/// It waits for ever: the director's end is closed when it is to stop, or it is killed.
struct BytesOut(IpcBytesReceiver);

impl Receiver for BytesOut {
    fn receive(&mut self, how: Touch) -> Outcome<bool> {
        let bytes = self.0.recv().map_err(|error| error.to_string())?;
        touch(&bytes, how);
        Ok(true)
    }
}
