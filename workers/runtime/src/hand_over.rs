//! The start-up hand-over: the worker opens a one-shot ipc-channel server, names it over the
//! control link, and receives one typed [`StartUp`].
//!
//! The supervisor only ever sends here. ipc-channel's `accept` has no deadline of its own; the
//! supervisor's start deadline ends a worker that waits for ever.

use ipc_channel::ipc::IpcOneShotServer;
use protocol::control::{CONTROL_VERSION, StartUp, ToSupervisor};

use crate::fault::Fault;
use crate::link::Link;

pub(crate) fn receive(link: &Link) -> Result<StartUp, Fault> {
    let opened = IpcOneShotServer::<StartUp>::new();
    let (server, name) =
        opened.map_err(|error| Fault::unavailable(format!("hand-over channel: {error}")))?;
    link.send(&ToSupervisor::Hello { version: CONTROL_VERSION, hand_over: name })?;
    let accepted = server.accept();
    let (_, start_up) = accepted.map_err(|error| Fault::failed(format!("hand-over: {error}")))?;
    if start_up.version != CONTROL_VERSION {
        return Err(Fault::contract(format!(
            "the supervisor speaks control version {}, this worker {CONTROL_VERSION}: install both from one release",
            start_up.version
        )));
    }
    Ok(start_up)
}
