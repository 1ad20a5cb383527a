//! The start-up hand-over: a throw-away thread connects to the worker's one-shot
//! ipc-channel server and sends. It may block there; then the start deadline kills the worker and
//! the thread ends with it. The supervisor never holds an `IpcReceiver`: a hostile peer can make
//! one abort the process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use ipc_channel::ipc::IpcSender;
use nix::sys::eventfd::{EfdFlags, EventFd};
use protocol::control::StartUp;

use crate::link::Violation;
use crate::process::ProcessId;

/// How one hand-over went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) process: ProcessId,
    pub(crate) result: Result<(), String>,
}

/// All hand-overs under way; readable when one has ended.
#[derive(Debug)]
pub(crate) struct HandOvers {
    bell: Arc<EventFd>,
    outcome: Sender<Outcome>,
    outcomes: Receiver<Outcome>,
}

impl HandOvers {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let (outcome, outcomes) = channel();
        Ok(Self { bell: Arc::new(bell), outcome, outcomes })
    }

    /// `server` is what the worker said; it must be a socket inside the TMPDIR it was given.
    pub(crate) fn start(
        &self,
        process: ProcessId,
        server: String,
        tmp: &Path,
        start_up: StartUp,
    ) -> Result<(), Violation> {
        if !is_inside(Path::new(&server), tmp) {
            return Err(Violation::HandOver { seen: server });
        }
        let (bell, outcome) = (Arc::clone(&self.bell), self.outcome.clone());
        let work = move || {
            let result = send(server, start_up);
            // Nobody listens any more when the supervisor ends.
            let _ = outcome.send(Outcome { process, result });
            let _ = bell.write(1);
        };
        let started = std::thread::Builder::new().name("hand-over".to_owned()).spawn(work);
        if let Err(error) = started {
            let result = Err(format!("cannot start a thread: {error}"));
            let _ = self.outcome.send(Outcome { process, result });
            let _ = self.bell.write(1);
        }
        Ok(())
    }

    /// Whether none is under way: each thread has a share in the bell.
    pub(crate) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.bell) == 1
    }

    /// Those that have ended since.
    pub(crate) fn ended(&self) -> Vec<Outcome> {
        let _ = self.bell.read();
        self.outcomes.try_iter().collect()
    }
}

impl AsFd for HandOvers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn send(server: String, start_up: StartUp) -> Result<(), String> {
    let sender = IpcSender::connect(server).map_err(|error| format!("connect: {error}"))?;
    sender.send(start_up).map_err(|error| format!("send: {error}"))
}

/// By name alone: a worker runs as our own user, so this catches mistakes, not malice.
fn is_inside(server: &Path, tmp: &Path) -> bool {
    let plain = |part| matches!(part, Component::Normal(_) | Component::RootDir);
    server.components().all(plain) && server.starts_with(tmp) && server != tmp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_in_the_workers_own_folder_is_connected_to() {
        let tmp = Path::new("/run/fv/demo/tmp/7");
        assert!(is_inside(Path::new("/run/fv/demo/tmp/7/.tmpabcdef/socket"), tmp));
        for outside in [
            "/run/fv/demo/tmp/8/.tmpabcdef/socket",
            "/run/fv/demo/tmp/7/../8/socket",
            "/run/fv/demo/tmp/7",
            "/run/fv/demo/tmp/77/socket",
            "tmp/7/socket",
            "",
        ] {
            assert!(!is_inside(Path::new(outside), tmp), "{outside}");
        }
    }
}
