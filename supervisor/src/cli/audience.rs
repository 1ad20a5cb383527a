//! Who rehearses a project may be killed: then it ends too, and nothing of it is left.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The process that a rehearsal is for, and the folder that goes with it.
#[derive(Debug)]
pub(super) struct Audience {
    folder: Option<PathBuf>,
    is_gone: Arc<AtomicBool>,
}

impl Audience {
    /// From now on this process is asked to end, as by SIGTERM, when `pid` has ended.
    pub(super) fn watch(pid: u32, folder: Option<PathBuf>) -> io::Result<Self> {
        let is_gone = Arc::new(AtomicBool::new(false));
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let audience = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => Some(pidfd),
            // It was killed before this process came so far.
            Err(Errno::SRCH) => None,
            Err(error) => return Err(error.into()),
        };
        let gone = Arc::clone(&is_gone);
        let work = move || {
            audience.iter().for_each(wait_for_end);
            gone.store(true, Ordering::Release);
            // Ourselves: it cannot fail.
            let _ = kill(nix::unistd::getpid(), Signal::SIGTERM);
        };
        thread::Builder::new().name("audience".to_owned()).spawn(work)?;
        Ok(Self { folder, is_gone })
    }

    /// Everything has ended: what the one who was killed would have removed.
    pub(super) fn clean_up(&self) {
        if let Some(folder) = self.folder.as_ref().filter(|_| self.is_gone.load(Ordering::Acquire))
            && let Err(error) = fs::remove_dir_all(folder)
        {
            tracing::warn!(%error, "{} is left behind", folder.display());
        }
    }
}

fn wait_for_end(pidfd: &OwnedFd) {
    let wait = || poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
    while matches!(wait(), Err(nix::errno::Errno::EINTR)) {}
}
