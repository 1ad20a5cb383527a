//! The runtime directory of a project: who runs it, and where its sockets are.
//!
//! ```text
//! pid           locked while anything of the project lives; names supervisor and guard
//! control.sock  mode 0600
//! broker.sock   mode 0600, or 0660 for the project's group; only with rings that need it
//! log, log.1    what `up -d` says, and what it said before that
//! tmp/N         TMPDIR of the Nth process, removed after it
//! tmp/N.sock    where it waits for another supervisor, if it may outlive this one
//! notes/        what workers keep for their next life in this run
//! manifest      what that supervisor finds
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::{Gid, chown};
use protocol::control::NOTES_DIR;
use protocol::name::ProjectName;

/// sockaddr_un holds this many bytes of path and a zero.
const SOCKET_PATH_MAX_BYTES: usize = 107;
/// Below the runtime directory: the socket of a hand-over, with the name ipc-channel gives it.
const LONGEST_SOCKET: &str = "tmp/1234567/.tmpabcdef/socket";

/// Mode of a runtime directory whose broker serves a group.
const PASSABLE: u32 = 0o710;

/// A pid that is not written yet.
const UNKNOWN: &str = "unknown (it is just starting or ending)";

#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("project {project} is already running, pid {pid}: stop it with `framevisor down`")]
    AlreadyRunning { project: ProjectName, pid: String },
    #[error("runtime directory {}: {step}: {source}", path.display())]
    Io { path: PathBuf, step: &'static str, source: io::Error },
    #[error("runtime directory {} belongs to uid {owner}, not to {me}: choose another with --runtime-dir", path.display())]
    Foreign { path: PathBuf, owner: u32, me: u32 },
    #[error("runtime directory {} is open to others (mode {mode:o}): expected 700; close it with chmod or choose another with --runtime-dir", path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("runtime directory {} is too long: a socket in it needs {needed} bytes and the system allows {SOCKET_PATH_MAX_BYTES}; choose a shorter one with --runtime-dir", path.display())]
    TooLong { path: PathBuf, needed: usize },
}

/// Where a project's runtime directory is; it need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    path: PathBuf,
}

/// Held while the project runs; the lock ends with its last duplicate.
#[derive(Debug)]
pub(crate) struct Lock {
    pub(crate) file: File,
}

impl Place {
    /// What `--runtime-dir` names.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: std::path::absolute(path)? })
    }

    pub(crate) fn default_of(project: &ProjectName) -> Self {
        Self { path: framevisor_client::runtime_dir(project) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    pub(crate) fn broker_socket(&self) -> PathBuf {
        self.path.join(shmring::broker::SOCKET)
    }

    /// What a supervisor that is killed leaves to the next.
    pub(crate) fn will(&self) -> PathBuf {
        self.path.join("manifest")
    }

    /// Where the process with this number listens for another supervisor. Beside its TMPDIR, which its
    /// death removes.
    pub(crate) fn adoption(&self, number: u64) -> PathBuf {
        self.path.join("tmp").join(format!("{number}.sock"))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// The TMPDIR of the process with this number.
    pub(crate) fn tmp(&self, number: u64) -> PathBuf {
        self.path.join("tmp").join(number.to_string())
    }

    /// Makes the directory and takes its lock, or says who has it.
    pub(crate) fn take(&self, project: &ProjectName, guard: u32) -> Result<Lock, PlaceError> {
        self.check_length()?;
        self.create()?;
        let path = self.path.join("pid");
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path);
        let mut file = open.map_err(self.failed("open pid file"))?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => {
                let project = project.clone();
                return Err(PlaceError::AlreadyRunning { project, pid: supervisor_in(&file) });
            }
            Err(errno) => return Err(self.failed("lock pid file")(errno.into())),
        }
        let text = format!("supervisor {}\nguard {guard}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(self.failed("write pid file"))?;
        self.clear()?;
        Ok(Lock { file })
    }

    /// The lock of a project that goes on, as it was handed on.
    pub(crate) fn keep(lock: OwnedFd) -> Lock {
        Lock { file: File::from(lock) }
    }

    /// As [`Self::take`], of a project that goes on: `lock` is what it had, `heirs` are the processes that
    /// keep their folders and sockets.
    pub(crate) fn take_over(
        &self,
        lock: OwnedFd,
        guard: u32,
        heirs: &[u64],
    ) -> Result<Lock, PlaceError> {
        let file = File::from(lock);
        // The descriptor's place in the file is where the last writer left it.
        let text = format!("supervisor {}\nguard {guard}\n", std::process::id());
        file.write_all_at(text.as_bytes(), 0)
            .and_then(|()| file.set_len(text.len() as u64))
            .map_err(self.failed("write pid file"))?;
        let kept = |name: &str| {
            let number = name.strip_suffix(".sock").unwrap_or(name).parse();
            number.is_ok_and(|number: u64| heirs.contains(&number))
        };
        for entry in fs::read_dir(self.path.join("tmp")).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(kept) {
                // A file or a folder; what stays goes when the project ends.
                let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
            }
        }
        let _ = fs::remove_file(self.broker_socket());
        match fs::remove_file(self.control_socket()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove what an earlier run left")(error))
            }
            _ => Ok(Lock { file }),
        }
    }

    /// Removes what a project left behind. Only for the holder of its lock.
    pub(crate) fn clear(&self) -> Result<(), PlaceError> {
        for gone in [
            fs::remove_dir_all(self.path.join("tmp")),
            fs::remove_dir_all(self.path.join(NOTES_DIR)),
            fs::remove_file(self.control_socket()),
            fs::remove_file(self.broker_socket()),
            fs::remove_file(self.will()),
        ] {
            match gone {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed("remove what an earlier run left")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether anything of the project lives.
    pub(crate) fn is_taken(&self) -> bool {
        let Ok(file) = File::open(self.path.join("pid")) else {
            return false;
        };
        let mut probe = whole_file(libc::F_WRLCK);
        let asked = fcntl(&file, FcntlArg::F_OFD_GETLK(&mut probe));
        asked.is_ok() && i32::from(probe.l_type) != libc::F_UNLCK
    }

    /// The supervisor's pid as its pid file tells it.
    pub(crate) fn supervisor(&self) -> String {
        File::open(self.path.join("pid"))
            .map_or_else(|_| UNKNOWN.to_owned(), |file| supervisor_in(&file))
    }

    /// Makes the directory for its owner alone.
    pub(crate) fn create(&self) -> Result<(), PlaceError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(self.failed("create"))?;
        let found = fs::symlink_metadata(&self.path).map_err(self.failed("stat"))?;
        let me = nix::unistd::geteuid().as_raw();
        if !found.is_dir() {
            return Err(self.failed("open")(io::ErrorKind::NotADirectory.into()));
        }
        if found.uid() != me {
            let (path, owner) = (self.path.clone(), found.uid());
            return Err(PlaceError::Foreign { path, owner, me });
        }
        self.close_to_others(found.mode() & 0o777)
    }

    /// A folder somebody made for us is closed; one with other things in it is theirs to decide.
    fn close_to_others(&self, mode: u32) -> Result<(), PlaceError> {
        if mode & 0o077 == 0 {
            return Ok(());
        }
        if mode == PASSABLE {
            // As an earlier run left it that had a broker.
            let closed = fs::set_permissions(&self.path, Permissions::from_mode(0o700));
            return closed.map_err(self.failed("chmod"));
        }
        let mut entries = fs::read_dir(&self.path).map_err(self.failed("list"))?;
        if entries.next().is_some() {
            let path = self.path.clone();
            return Err(PlaceError::Open { path, mode });
        }
        fs::set_permissions(&self.path, Permissions::from_mode(0o700)).map_err(self.failed("chmod"))
    }

    /// Lets the group's members pass, and no more, to a socket whose own mode lets them in. The folders
    /// above may still be closed to them: that is said, not changed, for they are not ours alone.
    pub(crate) fn open_to(&self, group: u32) -> Result<(), PlaceError> {
        chown(&self.path, None, Some(Gid::from_raw(group)))
            .map_err(|errno| self.failed("chown to the group")(errno.into()))?;
        fs::set_permissions(&self.path, Permissions::from_mode(PASSABLE))
            .map_err(self.failed("chmod"))?;
        let closed = self.path.ancestors().skip(1).find(|folder| {
            let mode = |meta: fs::Metadata| {
                if meta.gid() == group { meta.mode() >> 3 } else { meta.mode() }
            };
            fs::metadata(folder).is_ok_and(|meta| mode(meta) & 1 == 0)
        });
        if let Some(folder) = closed {
            tracing::warn!(
                folder = %folder.display(), group,
                "members of the group cannot pass this folder and so not reach the broker's socket: \
                 open it with chmod o+x, or choose another with --runtime-dir"
            );
        }
        Ok(())
    }

    fn check_length(&self) -> Result<(), PlaceError> {
        let needed = self.path.join(LONGEST_SOCKET).as_os_str().len();
        if needed > SOCKET_PATH_MAX_BYTES {
            let path = self.path.clone();
            return Err(PlaceError::TooLong { path, needed });
        }
        Ok(())
    }

    fn failed(&self, step: &'static str) -> impl FnOnce(io::Error) -> PlaceError {
        let path = self.path.clone();
        move |source| PlaceError::Io { path, step, source }
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    let short = |value: libc::c_int| libc::c_short::try_from(value).unwrap_or_default();
    libc::flock {
        l_type: short(kind),
        l_whence: short(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn supervisor_in(mut file: &File) -> String {
    let mut text = String::new();
    let pid = match file.read_to_string(&mut text) {
        Ok(_) => text.lines().find_map(|line| line.strip_prefix("supervisor ")),
        Err(_) => None,
    };
    pid.unwrap_or(UNKNOWN).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("fvp-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn project() -> ProjectName {
        "demo".parse().unwrap()
    }

    #[test]
    fn the_second_taker_is_told_who_has_it() {
        let scratch = Scratch::new("second");
        let place = Place::at(&scratch.0.join("rt")).unwrap();
        assert!(!place.is_taken());
        let lock = place.take(&project(), 7).unwrap();
        assert!(place.is_taken());
        let refused = place.take(&project(), 8).unwrap_err().to_string();
        let me = std::process::id();
        assert!(refused.contains(&format!("already running, pid {me}")), "{refused}");
        drop(lock);
        assert!(!place.is_taken());
        let mode = fs::metadata(place.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_is_open_to_others_is_used_only_when_empty() {
        let scratch = Scratch::new("open");
        fs::set_permissions(&scratch.0, Permissions::from_mode(0o755)).unwrap();
        let place = Place::at(&scratch.0).unwrap();
        fs::write(scratch.0.join("theirs"), "").unwrap();
        let refused = place.create();
        assert!(matches!(refused, Err(PlaceError::Open { mode: 0o755, .. })));
        fs::remove_file(scratch.0.join("theirs")).unwrap();
        place.create().unwrap();
        assert_eq!(fs::metadata(&scratch.0).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_path_too_long_for_sockets_is_refused_with_both_lengths() {
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(100)));
        let place = Place::at(&long).unwrap();
        let text = place.take(&project(), 1).unwrap_err().to_string();
        assert!(text.contains("107") && text.contains("needs 135"), "{text}");
        assert!(!long.exists());
    }
}
