//! Rings for readers that are not trusted: a process of the project hands out their segments.
//!
//! A brokered ring has no names. Its segments are memory files, sealed against resizing and, but for
//! the writer's own mapping, against writing. The broker keeps a description of each for reading and
//! gives every reader one of its own, together with one lease page that nobody had before. So a reader
//! can neither cut off nor write what others read, take no lock that another looks at, and reach no
//! other reader's page.
//!
//! ```text
//!   writer ── begin, link, announce ──> broker <── open, claim ── reader        one SOCK_SEQPACKET
//!      ^                                  │                                      socket in the runtime
//!      └──────── a new reader's page ─────┘                                      directory
//! ```
//!
//! Whoever has its segments does without the broker until the next epoch.

mod memory;
mod message;
mod registry;
mod server;

pub(crate) use memory::{create, inode, reopen, seal_for_maker};
pub(crate) use message::{Received, Reply, Request, receive, send};

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use protocol::admin::RingStatus;
use protocol::control::env;
use protocol::name::{ProjectName, RingName};
use rustix::event::{EventfdFlags, eventfd};

use crate::clock;
use crate::segments::Part;
use registry::Registry;

/// The socket's name in a runtime directory.
pub const SOCKET: &str = "broker.sock";

/// Serves the brokered rings of a project from a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Broker {
    registry: Arc<Mutex<Registry>>,
    socket: PathBuf,
    /// Readable when the thread is to end.
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Listens at `socket`, which must not be there yet. Members of `group` may ask; without one only
    /// this process's user may.
    pub fn open(
        project: &ProjectName,
        rings: impl IntoIterator<Item = RingName>,
        socket: &Path,
        group: Option<u32>,
    ) -> io::Result<Self> {
        let registry = Arc::new(Mutex::new(Registry::new(project.to_string(), rings)));
        let listener = server::listen(socket, group)?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let server = server::Server::new(listener, Arc::clone(&registry), group.is_some());
        let until = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || server.run(&until))?;
        Ok(Self { registry, socket: socket.to_owned(), stop, thread: Some(thread) })
    }

    /// Whether the ring is one of those it was opened with.
    pub fn serves(&self, ring: &RingName) -> bool {
        lock(&self.registry).serves(ring)
    }

    /// How a ring does, as [`crate::census::status`] says it of one with a name.
    pub fn status(&self, ring: &RingName) -> RingStatus {
        lock(&self.registry).status(ring, clock::mono())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        let told = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        // One that was not told is left to end with the process.
        if told.is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn lock(registry: &Mutex<Registry>) -> MutexGuard<'_, Registry> {
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the broker of a project may listen: `FRAMEVISOR_BROKER` alone when it is set, else the runtime
/// directories of this user and of root.
pub(crate) fn sockets(project: &ProjectName) -> Vec<PathBuf> {
    if let Some(socket) = std::env::var_os(env::BROKER).filter(|socket| !socket.is_empty()) {
        return vec![PathBuf::from(socket)];
    }
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let session = session.filter(|session| session.is_absolute());
    let user = nix::unistd::geteuid();
    let temporary = std::env::temp_dir().join(format!("framevisor-{user}"));
    let bases = [
        session.map(|session| session.join("framevisor")),
        Some(PathBuf::from("/run/framevisor")),
        // Anybody may make one in this user's name, and listen there for its pictures.
        Some(temporary).filter(|base| is_of_this_user_alone(base)),
    ];
    let bases = bases.into_iter().flatten();
    bases.map(|base| base.join(project.as_str()).join(SOCKET)).collect()
}

fn is_of_this_user_alone(folder: &Path) -> bool {
    let user = nix::unistd::geteuid().as_raw();
    let is_ours =
        |meta: std::fs::Metadata| meta.is_dir() && meta.uid() == user && meta.mode() & 0o022 == 0;
    std::fs::symlink_metadata(folder).is_ok_and(is_ours)
}

/// What errors, and /proc, call a segment of a brokered ring.
pub(crate) fn path_of(project: &str, ring: &RingName, part: Part) -> PathBuf {
    let stem = format!("{}{project}.{ring}", crate::segments::PREFIX);
    let name = match part {
        Part::Anchor => stem,
        Part::Index { epoch } => format!("{stem}.e{epoch}"),
        Part::Data { epoch, generation } => format!("{stem}.e{epoch}.g{generation}"),
        Part::Lease { place } => format!("{stem}.l{place}"),
    };
    Path::new("memfd:").join(name)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_others_may_write_or_have_made_is_not_this_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for (mode, is_ours) in [(0o700, true), (0o755, true), (0o775, false), (0o777, false)] {
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_of_this_user_alone(path), is_ours, "{mode:o}");
        }
        std::os::unix::fs::symlink(path, path.join("link")).unwrap();
        assert!(!is_of_this_user_alone(&path.join("link")));
        assert!(!is_of_this_user_alone(&path.join("nowhere")));
    }
}
