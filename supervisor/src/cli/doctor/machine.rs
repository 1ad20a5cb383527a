//! Asking this machine: limits, kernel, disks, cameras. All of `doctor` that has effects.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use rustix::thread::futex;
use shmring::clock;

/// Enough to get past a disk's first memory; little enough to write in passing.
const WRITTEN_MIB: usize = 32;
/// A camera in the same building answers within milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// The soft limit; `None` when there is none, or it cannot be asked.
pub(super) fn limit(of: Resource) -> Option<u64> {
    let (soft, _) = getrlimit(of).ok()?;
    (soft != nix::libc::RLIM_INFINITY).then_some(soft)
}

/// How many more threads may begin: by the user's limit, the control group's, and the kernel's.
pub(super) fn threads_left() -> Option<u64> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = own_cgroup().map(|group| format!("/sys/fs/cgroup{group}"));
    let of_group = |file: &str| number(&format!("{}/{file}", group.as_ref()?));
    let left = of_group("pids.max")
        .zip(of_group("pids.current"))
        .map(|(max, now)| max.saturating_sub(now));
    // root is not held to the user's limit.
    let user = limit(Resource::RLIMIT_NPROC).filter(|_| !nix::unistd::geteuid().is_root());
    let kernel = number("/proc/sys/kernel/threads-max");
    [left, user, kernel].into_iter().flatten().min()
}

fn own_cgroup() -> Option<String> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned())
}

/// Whether control groups can be made below the one this command is in.
pub(super) fn cgroup_is_delegated() -> bool {
    let Some(group) = own_cgroup() else { return false };
    let folder = format!("/sys/fs/cgroup{group}");
    let writable =
        |file: &str| OpenOptions::new().write(true).open(format!("{folder}/{file}")).is_ok();
    writable("cgroup.procs") && writable("cgroup.subtree_control")
}

pub(super) fn has_seccomp() -> bool {
    Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

pub(super) fn has_pidfd() -> bool {
    pidfd_open(getpid(), PidfdFlags::empty()).is_ok()
}

/// A kernel that has it dislikes an empty list; one that has not does not know the call.
pub(super) fn has_futex_waitv() -> bool {
    let asked = futex::waitv(&[], futex::WaitvFlags::empty(), None, futex::ClockId::Monotonic);
    asked != Err(rustix::io::Errno::NOSYS)
}

pub(super) fn kernel_release() -> String {
    let name = nix::sys::utsname::uname();
    name.map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned())
}

/// Bytes a second that reach the disk of `dir`, or of what is there of its path.
pub(super) fn write_rate(dir: &Path) -> io::Result<u64> {
    let there = dir.ancestors().find(|path| path.is_dir()).unwrap_or_else(|| Path::new("/"));
    let path = there.join(format!(".framevisor-doctor-{}", std::process::id()));
    let measured = written(&path);
    // It was made for this alone.
    let _ = fs::remove_file(&path);
    measured
}

fn written(path: &Path) -> io::Result<u64> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let block = vec![0x5a; 1 << 20];
    let began = clock::mono();
    for _ in 0..WRITTEN_MIB {
        file.write_all(&block)?;
    }
    file.sync_data()?;
    let us = clock::mono().saturating_since(began).as_micros().max(1);
    let bytes = u128::try_from(WRITTEN_MIB << 20).unwrap_or(0);
    Ok(u64::try_from(bytes * 1_000_000 / us).unwrap_or(u64::MAX))
}

/// How long a connection to `host:port` took; names are looked up too, which nobody can interrupt.
pub(super) fn connect(address: &str) -> Result<Duration, String> {
    let (sender, told) = channel();
    let address = address.to_owned();
    let began = clock::mono();
    let trying = move || sender.send(tried(&address));
    thread::Builder::new().spawn(trying).map_err(|error| error.to_string())?;
    let slow = || format!("no answer within {} s", CONNECT_WITHIN.as_secs());
    // A little longer than the attempt itself, so that its own reason is told.
    let tried = told.recv_timeout(CONNECT_WITHIN + Duration::from_secs(1)).map_err(|_| slow())?;
    tried.map(|()| clock::mono().saturating_since(began))
}

fn tried(address: &str) -> Result<(), String> {
    let addresses = address.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut last = "its name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
