//! What a process may use, set by itself between fork and exec.
//!
//! What cannot be set is told over a pipe and left as it is: the caller decides whether that matters.

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};

use crate::fork::pipe_above;
use crate::offline::Offline;

/// Limits of one process; what is `None` stays as the parent has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Largest core file, in bytes.
    pub core: Option<u64>,
    /// Private writable memory, in bytes (RLIMIT_DATA). Shared memory does not count: rings are as
    /// large as they are, whoever maps them.
    pub data: Option<u64>,
    /// Open descriptors.
    pub nofile: Option<u64>,
    /// -20 (first) to 19 (last).
    pub nice: Option<i32>,
    /// Numbers of the processors it may run on; empty: any.
    pub cpus: Vec<usize>,
    /// -1000 (never killed when memory is short) to 1000 (first).
    pub oom_score_adj: Option<i32>,
    /// It opens no sockets but unix ones.
    pub offline: bool,
}

/// One of [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Limit {
    Cgroup = 0,
    Core = 1,
    Memory = 2,
    Nofile = 3,
    Nice = 4,
    Cpus = 5,
    OomScoreAdj = 6,
    Network = 7,
}

impl Limit {
    const ALL: [Self; 8] = [
        Self::Cgroup,
        Self::Core,
        Self::Memory,
        Self::Nofile,
        Self::Nice,
        Self::Cpus,
        Self::OomScoreAdj,
        Self::Network,
    ];

    /// As a topology names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Core => "core",
            Self::Memory => "memory",
            Self::Nofile => "nofile",
            Self::Nice => "nice",
            Self::Cpus => "cpus",
            Self::OomScoreAdj => "oom_score_adj",
            Self::Network => "network",
        }
    }
}

/// A limit that the kernel refused.
#[derive(Debug)]
pub struct Refused {
    pub limit: Limit,
    pub source: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.limit.as_str(), self.source)
    }
}

/// Both sides of setting limits in a child: what it needs, prepared before the fork, and what it
/// could not do, read after the exec.
#[derive(Debug)]
pub(crate) struct Setting {
    told: File,
    /// Closed in this process once the child runs.
    tell: OwnedFd,
}

impl Setting {
    /// Descriptors lie at `above` or higher, out of the way of those the child moves.
    pub(crate) fn new(above: RawFd) -> io::Result<Self> {
        let (told, tell) = pipe_above(above)?;
        Ok(Self { told, tell })
    }

    /// `cgroup` is the open folder of its group.
    pub(crate) fn in_child(&self, limits: &Limits, cgroup: Option<RawFd>) -> InChild {
        InChild {
            tell: self.tell.as_raw_fd(),
            cgroup,
            core: limits.core,
            data: limits.data,
            nofile: limits.nofile,
            nice: limits.nice,
            cpus: cpu_set(&limits.cpus),
            oom: limits.oom_score_adj.map(Digits::of),
            offline: limits.offline.then(Offline::new),
        }
    }

    /// The child has executed its program: what it could not set.
    pub(crate) fn refused(self) -> Vec<Refused> {
        let Self { mut told, tell } = self;
        drop(tell);
        let mut bytes = Vec::new();
        // Every writer is closed, so this ends; a pipe of a few bytes has no other error.
        let _ = told.read_to_end(&mut bytes);
        let refused = |record: &[u8]| {
            let limit = Limit::ALL.into_iter().find(|limit| *limit as u8 == record[0])?;
            let code = i32::from_ne_bytes(record[1..].try_into().ok()?);
            Some(Refused { limit, source: io::Error::from_raw_os_error(code) })
        };
        bytes.chunks_exact(RECORD_BYTES).filter_map(refused).collect()
    }
}

/// One byte for the limit, four for errno.
const RECORD_BYTES: usize = 5;

/// Plain numbers: nothing here allocates or is freed in the child.
pub(crate) struct InChild {
    tell: RawFd,
    cgroup: Option<RawFd>,
    core: Option<u64>,
    data: Option<u64>,
    nofile: Option<u64>,
    nice: Option<i32>,
    cpus: Option<libc::cpu_set_t>,
    oom: Option<Digits>,
    offline: Option<Offline>,
}

impl InChild {
    /// System calls only: this runs between fork and exec. Files first, before the number of
    /// descriptors shrinks. An error, which is told too, is one without which the program must not run.
    pub(crate) fn apply(&self, in_group: bool) -> io::Result<()> {
        if let Some(cgroup) = self.cgroup.filter(|_| !in_group) {
            self.tell_unless(Limit::Cgroup, write_at(cgroup, c"cgroup.procs", b"0"));
        }
        if let Some(digits) = &self.oom {
            let path = c"/proc/self/oom_score_adj";
            let done = write_at(libc::AT_FDCWD, path, digits.bytes());
            self.tell_unless(Limit::OomScoreAdj, done);
        }
        if let Some(nice) = self.nice {
            // SAFETY: takes numbers; 0 is this process.
            let set = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
            self.tell_unless(Limit::Nice, set == 0);
        }
        if let Some(cpus) = &self.cpus {
            // SAFETY: the set lives through the call and its size is given with it.
            let set = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), cpus) };
            self.tell_unless(Limit::Cpus, set == 0);
        }
        for (limit, resource, value) in [
            (Limit::Core, libc::RLIMIT_CORE, self.core),
            (Limit::Memory, libc::RLIMIT_DATA, self.data),
            (Limit::Nofile, libc::RLIMIT_NOFILE, self.nofile),
        ] {
            if let Some(value) = value {
                let both = libc::rlimit { rlim_cur: value, rlim_max: value };
                // SAFETY: the structure lives through the call.
                let set = unsafe { libc::setrlimit(resource, &both) };
                self.tell_unless(limit, set == 0);
            }
        }
        // Whoever wrote this relies on it: unlike the others it is kept, or nothing is run.
        let kept = self.offline.as_ref().map_or(Ok(()), Offline::apply);
        kept.inspect_err(|error| self.tell(Limit::Network, error))
    }

    fn tell_unless(&self, limit: Limit, done: bool) {
        if !done {
            // Reads errno, which is a variable of this thread; allocates nothing.
            self.tell(limit, &io::Error::last_os_error());
        }
    }

    fn tell(&self, limit: Limit, error: &io::Error) {
        let code = error.raw_os_error().unwrap_or(0).to_ne_bytes();
        let record = [limit as u8, code[0], code[1], code[2], code[3]];
        write_all(self.tell, &record);
    }
}

/// A few bytes into a pipe or a file of the kernel's: all or nothing.
fn write_all(fd: RawFd, bytes: &[u8]) -> bool {
    // SAFETY: pointer and length are those of one slice; a closed number gives EBADF.
    let count = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(count) == Ok(bytes.len())
}

fn write_at(folder: RawFd, path: &CStr, bytes: &[u8]) -> bool {
    // SAFETY: the path ends with a zero and lives through the call.
    let fd = unsafe { libc::openat(folder, path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return false;
    }
    let done = write_all(fd, bytes);
    if done {
        // A descriptor that is not closed here closes on exec; after a failure errno stays for the teller.
        // SAFETY: the number was opened above and belongs to nobody else.
        unsafe { libc::close(fd) };
    }
    done
}

/// A number in decimal, made before the fork.
struct Digits {
    bytes: [u8; 5],
    used: usize,
}

impl Digits {
    fn of(number: i32) -> Self {
        let mut digits = Self { bytes: [0; 5], used: 0 };
        for (to, from) in digits.bytes.iter_mut().zip(number.to_string().bytes()) {
            *to = from;
            digits.used += 1;
        }
        digits
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

fn cpu_set(cpus: &[usize]) -> Option<libc::cpu_set_t> {
    if cpus.is_empty() {
        return None;
    }
    // SAFETY: all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { MaybeUninit::zeroed().assume_init() };
    let most = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    for &cpu in cpus.iter().filter(|cpu| **cpu < most) {
        // SAFETY: the number is below the size of the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    Some(set)
}

pub(crate) fn duplicate_above(fd: BorrowedFd<'_>, above: RawFd) -> io::Result<OwnedFd> {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(above))?;
    // SAFETY: fcntl has just made this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_from_the_network_is_not_run_and_says_so() {
        let setting = Setting::new(10).unwrap();
        let plain = setting.in_child(&Limits::default(), None);
        assert!(plain.apply(true).is_ok());
        // Refused before it changes anything of this process.
        let offline = Some(Offline::of_another_machine());
        let refused = InChild { offline, ..plain }.apply(true).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOSYS));
        let told: Vec<Limit> = setting.refused().iter().map(|it| it.limit).collect();
        assert_eq!(told, [Limit::Network]);
    }
}
