//! Where a project's sockets are.

use std::path::{Path, PathBuf};

use protocol::name::ProjectName;

/// The runtime directory of a project that was started without `--runtime-dir`: below
/// `$XDG_RUNTIME_DIR`, root's `/run`, or a private folder in the temp directory. It need not exist.
pub fn runtime_dir(project: &ProjectName) -> PathBuf {
    base().join(project.as_str())
}

fn base() -> PathBuf {
    let uid = nix::unistd::geteuid();
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(session) if Path::new(&session).is_absolute() => {
            Path::new(&session).join("framevisor")
        }
        _ if uid.is_root() => PathBuf::from("/run/framevisor"),
        _ => std::env::temp_dir().join(format!("framevisor-{uid}")),
    }
}
