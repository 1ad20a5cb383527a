//! Starting one process: its group, death signal, folder, environment and descriptors.
//!
//! Everything that allocates happens before fork; between fork and exec only system calls run.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::limits::{InChild, Limits, Refused, Setting, duplicate_above};

/// The first inherited descriptor gets this number, the next ones follow.
pub const FIRST_INHERITED: RawFd = 3;

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start {} in {}: {source}", program.display(), cwd.display())]
    Exec { program: PathBuf, cwd: PathBuf, source: io::Error },
    #[error("cannot prepare descriptors for {}: {source}", program.display())]
    Descriptors { program: PathBuf, source: io::Error },
}

/// Where stdout and stderr of the new process go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// To this process's own.
    Inherited,
    /// Into a pipe each, given back in [`Running`].
    Piped,
}

/// Where stdin of the new process comes from.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// /dev/null.
    Nothing,
    From(BorrowedFd<'a>),
}

/// What to start. It gets its own process group; of the descriptors of this process it sees `inherit`
/// and no other.
#[derive(Debug)]
pub struct Command<'a> {
    pub program: &'a Path,
    pub args: &'a [OsString],
    pub cwd: &'a Path,
    /// The whole environment: nothing else is passed on.
    pub env: &'a [(OsString, OsString)],
    /// Become 3, 4, 5... in this order.
    pub inherit: &'a [BorrowedFd<'a>],
    pub input: Input<'a>,
    pub output: Output,
    pub limits: &'a Limits,
    /// The open `cgroup.procs` of the group it is born into.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Sent by the kernel when the *thread* that calls [`Command::start`] ends: call it from the
    /// main thread.
    pub death_signal: Signal,
}

/// A process just started. Reaping it is the caller's work.
#[derive(Debug)]
pub struct Running {
    pub pid: u32,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    /// Limits that could not be set; it runs without them.
    pub refused: Vec<Refused>,
}

impl Command<'_> {
    pub fn start(&self) -> Result<Running, StartError> {
        let failed = |source| StartError::Descriptors { program: self.program.to_owned(), source };
        let count = RawFd::try_from(self.inherit.len()).unwrap_or(RawFd::MAX);
        let above = FIRST_INHERITED.saturating_add(count);
        // std reports a failed exec through a pipe of its own: it must not get a number that the
        // child is about to overwrite.
        let _low = occupy_below(above).map_err(failed)?;
        let sources = self.duplicates(above).map_err(failed)?;
        let numbers = sources.iter().map(AsRawFd::as_raw_fd).collect();
        let stdin = self.stdin(above).map_err(failed)?;
        let setting = Setting::new(self.cgroup, above).map_err(failed)?;
        let limits = setting.in_child(self.limits);
        let mut command = self.command(numbers, stdin, limits);
        let mut child = command.spawn().map_err(|source| StartError::Exec {
            program: self.program.to_owned(),
            cwd: self.cwd.to_owned(),
            source,
        })?;
        Ok(Running {
            pid: child.id(),
            stdout: child.stdout.take().map(OwnedFd::from),
            stderr: child.stderr.take().map(OwnedFd::from),
            refused: setting.refused(),
        })
    }

    /// A copy above the final numbers, like the others.
    fn stdin(&self, above: RawFd) -> io::Result<Stdio> {
        match self.input {
            Input::Nothing => Ok(Stdio::null()),
            Input::From(fd) => duplicate_above(fd, above).map(Stdio::from),
        }
    }

    /// Copies above the final numbers, so that moving one never overwrites another.
    fn duplicates(&self, above: RawFd) -> io::Result<Vec<OwnedFd>> {
        self.inherit.iter().map(|fd| duplicate_above(fd.as_fd(), above)).collect()
    }

    fn command(&self, sources: Vec<RawFd>, stdin: Stdio, limits: InChild) -> std::process::Command {
        let mut command = std::process::Command::new(self.program);
        let output = || match self.output {
            Output::Inherited => Stdio::inherit(),
            Output::Piped => Stdio::piped(),
        };
        command
            .args(self.args)
            .current_dir(self.cwd)
            .env_clear()
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(stdin)
            .stdout(output())
            .stderr(output())
            .process_group(0);
        let parent = std::process::id();
        let death_signal = self.death_signal;
        let prepare = move || {
            limits.apply();
            keep_only(&sources)?;
            die_with(parent, death_signal)
        };
        // SAFETY: the closure runs between fork and exec; it makes system calls on numbers computed
        // before, allocates nothing and takes no lock.
        unsafe { command.pre_exec(prepare) };
        command
    }
}

/// Fills every free number below `above`.
fn occupy_below(above: RawFd) -> io::Result<Vec<File>> {
    let mut low = Vec::new();
    loop {
        let file = File::open("/dev/null")?;
        if file.as_raw_fd() >= above {
            return Ok(low);
        }
        low.push(file);
    }
}

/// In the child: everything above stderr closes on exec, but for `sources`, moved to 3, 4, 5...
fn keep_only(sources: &[RawFd]) -> io::Result<()> {
    // An old kernel refuses this, and nothing is lost: all our own descriptors carry the flag, it
    // is there for what this process itself was started with.
    // SAFETY: close_range with CLOEXEC sets a flag on descriptors; it takes no pointer.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST_INHERITED,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    for (target, &source) in (FIRST_INHERITED..).zip(sources) {
        // SAFETY: in the child of a fork the descriptor table is private; the target is one of the
        // numbers `occupy_below` filled, so no owner of this process's is overwritten.
        check(unsafe { libc::dup2(source, target) })?;
    }
    Ok(())
}

/// In the child: the kernel sends `signal` when the parent ends. It may have ended already.
fn die_with(parent: u32, signal: Signal) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a number and changes this process only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong) })?;
    if std::os::unix::process::parent_id() == parent {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limit;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    fn shell(script: &str, inherit: &[BorrowedFd<'_>]) -> Running {
        limited(script, inherit, &Limits::default())
    }

    fn limited(script: &str, inherit: &[BorrowedFd<'_>], limits: &Limits) -> Running {
        let args = ["-c".into(), script.into()];
        let env = [("PATH".into(), "/usr/bin:/bin".into())];
        let command = Command {
            program: Path::new("/bin/sh"),
            args: &args,
            cwd: Path::new("/"),
            env: &env,
            inherit,
            input: Input::Nothing,
            output: Output::Piped,
            limits,
            cgroup: None,
            death_signal: Signal::SIGKILL,
        };
        command.start().unwrap()
    }

    fn said(running: Running) -> String {
        let mut text = String::new();
        File::from(running.stdout.unwrap()).read_to_string(&mut text).unwrap();
        wait(running.pid);
        text
    }

    fn wait(pid: u32) -> WaitStatus {
        waitpid(Pid::from_raw(i32::try_from(pid).unwrap()), None).unwrap()
    }

    #[test]
    fn inherited_descriptors_get_the_numbers_from_three_on_and_no_other_is_open() {
        let (a, mut a_in) = std::io::pipe().unwrap();
        let (b, mut b_in) = std::io::pipe().unwrap();
        writeln!(a_in, "first").unwrap();
        writeln!(b_in, "second").unwrap();
        let leaked = nix::unistd::dup(&a).unwrap();
        fcntl(&leaked, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        let script = "read x <&3; read y <&4; echo $x $y; ls /proc/$$/fd";
        let text = said(shell(script, &[a.as_fd(), b.as_fd()]));
        // Beyond 4 the shell may hold numbers of its own (10 and above), never ours.
        let ours = text.lines().filter(|line| line.len() < 2 || line.starts_with('f'));
        assert_eq!(ours.collect::<Vec<_>>(), ["first second", "0", "1", "2", "3", "4"]);
    }

    #[test]
    fn the_child_leads_its_own_group_with_only_the_given_environment() {
        let running = shell("cut -d' ' -f5 /proc/$$/stat; env", &[]);
        let pid = running.pid.to_string();
        let text = said(running);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(pid.as_str()));
        assert!(
            lines.all(|line| ["PATH=", "PWD=", "OLDPWD=", "_=", "SHLVL="]
                .iter()
                .any(|known| line.starts_with(known))),
            "{text}"
        );
    }

    #[test]
    fn the_child_dies_with_the_thread_that_started_it() {
        let running = std::thread::spawn(|| shell("exec sleep 1000", &[])).join().unwrap();
        assert!(matches!(wait(running.pid), WaitStatus::Signaled(_, Signal::SIGKILL, _)));
    }

    #[test]
    fn limits_hold_in_the_child_and_not_in_its_parent() {
        let before = std::fs::read_to_string("/proc/self/limits").unwrap();
        let (a, _a_in) = std::io::pipe().unwrap();
        let limits = Limits {
            core: Some(0),
            data: Some(64 << 20),
            nofile: Some(40),
            nice: Some(7),
            cpus: vec![0],
            oom_score_adj: Some(321),
        };
        let script = "cat /proc/self/limits /proc/self/oom_score_adj; \
                      grep Cpus_allowed_list /proc/self/status; cut -d' ' -f19 /proc/self/stat";
        let running = limited(script, &[a.as_fd()], &limits);
        assert!(running.refused.is_empty(), "{:?}", running.refused);
        let text = said(running);
        let values = |name: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            rest.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(values("Max core file size"), "0 0");
        assert_eq!(values("Max data size"), "67108864 67108864");
        assert_eq!(values("Max open files"), "40 40");
        assert_eq!(values("Cpus_allowed_list:"), "0");
        assert!(text.lines().any(|line| line == "321"), "{text}");
        assert_eq!(text.lines().last(), Some("7"));
        assert_eq!(std::fs::read_to_string("/proc/self/limits").unwrap(), before);
    }

    #[test]
    fn a_limit_that_cannot_be_set_is_told_and_the_program_runs() {
        // No machine has this processor, so its set is empty.
        let limits = Limits { cpus: vec![1023], nofile: Some(40), ..Limits::default() };
        let running = limited("ulimit -n", &[], &limits);
        let refused: Vec<Limit> = running.refused.iter().map(|it| it.limit).collect();
        assert_eq!(refused, [Limit::Cpus]);
        assert!(running.refused[0].to_string().starts_with("cpus: Invalid argument"));
        assert_eq!(said(running), "40\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let command = Command {
            program: Path::new("/nonexistent/worker"),
            args: &[],
            cwd: Path::new("/"),
            env: &[],
            inherit: &[],
            input: Input::Nothing,
            output: Output::Inherited,
            limits: &Limits::default(),
            cgroup: None,
            death_signal: Signal::SIGKILL,
        };
        let error = command.start().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/worker"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }
}
