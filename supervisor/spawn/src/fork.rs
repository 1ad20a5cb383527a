//! One fork and one exec by system calls alone: into a cgroup at birth, and with word of what failed.
//!
//! std's Command forks into the group of the parent. To move a process afterwards the kernel waits
//! for a grace period (about 8 ms, also for the one process of the newcomer); `clone3` with
//! `CLONE_INTO_CGROUP` (Linux 5.7) puts it there without waiting.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::limits::{InChild, duplicate_above};

/// A program with its words, its environment and its folder, in the form the kernel takes them.
pub(crate) struct Image {
    program: CString,
    cwd: CString,
    args: Words,
    env: Words,
}

/// What the child does before it becomes the program. The numbers are descriptors; it allocates
/// nothing and frees nothing.
pub(crate) struct Setup<'a> {
    /// For stdin, stdout and stderr; `None` leaves the parent's.
    pub(crate) standard: [Option<RawFd>; 3],
    /// Become `first`, `first + 1`... All of them lie above that.
    pub(crate) inherit: &'a [RawFd],
    pub(crate) first: RawFd,
    pub(crate) limits: &'a InChild,
    pub(crate) death_signal: libc::c_int,
}

/// C strings and the pointers to them, with the null behind that ends such a list.
struct Words {
    pointers: Vec<*const libc::c_char>,
    /// What they point to.
    _strings: Vec<CString>,
}

impl Image {
    /// A program without a slash is looked for in the `PATH` of its own environment.
    pub(crate) fn new(
        program: &Path,
        args: &[OsString],
        cwd: &Path,
        env: &[(OsString, OsString)],
    ) -> io::Result<Self> {
        let pair = |(key, value): &(OsString, OsString)| {
            c_string([key.as_bytes(), b"=", value.as_bytes()].concat())
        };
        let named =
            std::iter::once(program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
        Ok(Self {
            program: c_string(found(program, env)?.as_os_str().as_bytes())?,
            cwd: c_string(cwd.as_os_str().as_bytes())?,
            args: Words::new(
                named.map(|word| c_string(word.as_bytes())).collect::<Result<_, _>>()?,
            ),
            env: Words::new(env.iter().map(pair).collect::<Result<_, _>>()?),
        })
    }

    /// Forks, into `group` if one is given (a descriptor of its folder), and returns the pid once the
    /// program runs. An error is that of the first call that failed in the child; the child is reaped.
    /// Descriptors lie at `above` or higher, out of the way of those the child moves.
    pub(crate) fn run(
        &self,
        group: Option<RawFd>,
        setup: &Setup<'_>,
        above: RawFd,
    ) -> io::Result<u32> {
        let (told, tell) = pipe_above(above)?;
        let parent = std::process::id();
        let pid = {
            let _quiet = Quiet::now()?;
            let (pid, in_group) = fork(group)?;
            if pid == 0 {
                self.become_it(setup, parent, in_group, tell.as_raw_fd());
            }
            pid
        };
        drop(tell);
        let Some(error) = failure(told) else { return Ok(pid.unsigned_abs()) };
        // Only this thread knows the pid yet, and a child that failed ends at once.
        let _ = waitpid(Pid::from_raw(pid), None);
        Err(error)
    }

    /// In the child. System calls only, and never back to the caller.
    fn become_it(&self, setup: &Setup<'_>, parent: u32, in_group: bool, tell: RawFd) -> ! {
        let Err(error) = setup.apply(&self.cwd, parent, in_group).and_then(|()| self.exec());
        let code = error.raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes();
        // SAFETY: pointer and length are those of one array.
        unsafe { libc::write(tell, code.as_ptr().cast(), code.len()) };
        // SAFETY: ends the child at once and runs nothing of the parent's.
        unsafe { libc::_exit(127) }
    }

    fn exec(&self) -> io::Result<std::convert::Infallible> {
        // SAFETY: all strings end with a zero, both lists with a null, and they live as long as `self`.
        unsafe {
            libc::execve(
                self.program.as_ptr(),
                self.args.pointers.as_ptr(),
                self.env.pointers.as_ptr(),
            )
        };
        Err(io::Error::last_os_error())
    }
}

impl Setup<'_> {
    fn apply(&self, cwd: &CString, parent: u32, in_group: bool) -> io::Result<()> {
        for (target, source) in (0..).zip(self.standard) {
            source.map_or(Ok(()), |source| move_to(source, target))?;
        }
        // SAFETY: the path ends with a zero.
        check(unsafe { libc::chdir(cwd.as_ptr()) })?;
        // SAFETY: takes numbers; 0 is this process.
        check(unsafe { libc::setpgid(0, 0) })?;
        self.limits.apply(in_group)?;
        self.keep_only()?;
        die_with(parent, self.death_signal)?;
        as_programs_expect()
    }

    /// Everything above stderr closes on exec, but for what is inherited.
    fn keep_only(&self) -> io::Result<()> {
        // An old kernel refuses this, and nothing is lost: all our own descriptors carry the flag, it
        // is there for what this process itself was started with.
        // SAFETY: close_range with CLOEXEC sets a flag on descriptors; it takes no pointer.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                self.first,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        (self.first..).zip(self.inherit).try_for_each(|(target, &source)| move_to(source, target))
    }
}

/// Over whatever the child had there: its table is its own, and all that is still needed lies higher.
fn move_to(source: RawFd, target: RawFd) -> io::Result<()> {
    // SAFETY: numbers; in the child of a fork no owner of the parent's is touched.
    check(unsafe { libc::dup2(source, target) })
}

/// The kernel sends `signal` when the parent ends. It may have ended already.
fn die_with(parent: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a number and changes this process only.
    check(unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::from(signal.unsigned_abs()))
    })?;
    if std::os::unix::process::parent_id() == parent {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

/// Rust ignores SIGPIPE and [`Quiet`] blocks everything; an exec keeps both.
fn as_programs_expect() -> io::Result<()> {
    // SAFETY: the default action has no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    Ok(SigSet::empty().thread_set_mask()?)
}

/// The pid of the child, or 0 in it, and whether it was born into the group. Where the kernel does
/// not do that (it is old, or the group takes no newcomers this way) the child is told to move itself.
fn fork(group: Option<RawFd>) -> io::Result<(libc::pid_t, bool)> {
    if let Some(group) = group
        && let Ok(pid) = clone(Some(group))
    {
        return Ok((pid, true));
    }
    Ok((clone(None)?, false))
}

/// fork(2) by `clone3`: none of glibc's handlers runs, which exist for children that go on in this
/// program.
fn clone(group: Option<RawFd>) -> io::Result<libc::pid_t> {
    // SAFETY: all zeros asks for what fork does.
    let mut how: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    how.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    if let Some(group) = group {
        how.flags = CLONE_INTO_CGROUP;
        how.cgroup = u64::from(group.unsigned_abs());
    }
    // SAFETY: without CLONE_VM the child has memory and stack of its own, a copy; it makes system
    // calls on what was prepared before and then executes or exits, so it needs no lock that another
    // thread may have held. The structure lives through the call and its size is given with it.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &how, size_of::<libc::clone_args>()) };
    match libc::pid_t::try_from(pid) {
        Ok(pid) if pid >= 0 => Ok(pid),
        _ => match Errno::last() {
            // A container's filter that does not know clone3 says so with ENOSYS.
            Errno::ENOSYS if group.is_none() => old_fork(),
            errno => Err(errno.into()),
        },
    }
}

/// linux/sched.h; newer than what libc's type of its flags can hold.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn old_fork() -> io::Result<libc::pid_t> {
    // SAFETY: as for clone3.
    let pid = unsafe { libc::fork() };
    check(pid.min(0)).map(|()| pid)
}

/// No signal handler runs while this lives: in the child it would write into what the parent reads.
struct Quiet(SigSet);

impl Quiet {
    fn now() -> io::Result<Self> {
        Ok(Self(SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A set that the kernel gave it takes back.
        let _ = self.0.thread_set_mask();
    }
}

/// A pipe to read, and its other end at `above` or higher.
pub(crate) fn pipe_above(above: RawFd) -> io::Result<(File, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((File::from(OwnedFd::from(read)), duplicate_above(write.as_fd(), above)?))
}

/// What the child said before it ended; nothing when it became the program.
fn failure(mut told: File) -> Option<io::Error> {
    let mut code = [0; size_of::<libc::c_int>()];
    told.read_exact(&mut code).ok()?;
    Some(io::Error::from_raw_os_error(libc::c_int::from_ne_bytes(code)))
}

fn found(program: &Path, env: &[(OsString, OsString)]) -> io::Result<PathBuf> {
    if program.as_os_str().as_bytes().contains(&b'/') {
        return Ok(program.to_owned());
    }
    let path = env.iter().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_os_str());
    let executable =
        |file: &PathBuf| nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok();
    let mut files =
        std::env::split_paths(path.unwrap_or_default()).map(|folder| folder.join(program));
    files.find(|file| file.is_file() && executable(file)).ok_or_else(|| Errno::ENOENT.into())
}

fn c_string(bytes: impl Into<Vec<u8>>) -> io::Result<CString> {
    // A zero within.
    CString::new(bytes).map_err(|_| Errno::EINVAL.into())
}

impl Words {
    fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, _strings: strings }
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
