//! Starting one process: its group, death signal, folder, environment and descriptors.
//!
//! Everything that allocates happens before fork; between fork and exec only system calls run.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::fork::{Image, Setup, pipe_above};
use crate::limits::{Limit, Limits, Refused, Setting, duplicate_above};

/// The first inherited descriptor gets this number, the next ones follow.
pub const FIRST_INHERITED: RawFd = 3;

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start {} in {}: {source}", program.display(), cwd.display())]
    Exec { program: PathBuf, cwd: PathBuf, source: io::Error },
    #[error(
        "cannot keep {} from the network (limits: network: none), so it is not started: {source}",
        program.display()
    )]
    Offline { program: PathBuf, source: io::Error },
    #[error("cannot prepare descriptors for {}: {source}", program.display())]
    Descriptors { program: PathBuf, source: io::Error },
}

/// Where stdout and stderr of the new process go.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// To this process's own.
    Inherited,
    /// Into a pipe each, given back in [`Running`].
    Piped,
    /// Stdout to this; stderr into a pipe, given back in [`Running`].
    To(BorrowedFd<'a>),
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
    pub output: Output<'a>,
    pub limits: &'a Limits,
    /// The open folder of the cgroup it is born into.
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
    /// Limits that could not be set; it runs without them. `offline` is never among them.
    pub refused: Vec<Refused>,
}

impl Command<'_> {
    pub fn start(&self) -> Result<Running, StartError> {
        let failed = |source| StartError::Descriptors { program: self.program.to_owned(), source };
        let not_run = |source| StartError::Exec {
            program: self.program.to_owned(),
            cwd: self.cwd.to_owned(),
            source,
        };
        let count = RawFd::try_from(self.inherit.len()).unwrap_or(RawFd::MAX);
        let above = FIRST_INHERITED.saturating_add(count);
        let sources = self.duplicates(above).map_err(failed)?;
        let standard = Standard::new(self, above).map_err(failed)?;
        let setting = Setting::new(above).map_err(failed)?;
        let image = Image::new(self.program, self.args, self.cwd, self.env).map_err(not_run)?;
        let numbers: Vec<RawFd> = sources.iter().map(AsRawFd::as_raw_fd).collect();
        let group = self.cgroup.map(|fd| duplicate_above(fd, above)).transpose().map_err(failed)?;
        let group = group.as_ref().map(AsRawFd::as_raw_fd);
        let setup = Setup {
            standard: standard.numbers(),
            inherit: &numbers,
            first: FIRST_INHERITED,
            limits: &setting.in_child(self.limits, group),
            death_signal: self.death_signal as libc::c_int,
        };
        let run = image.run(group, &setup, above);
        let refused = setting.refused();
        let pid = match run {
            Ok(pid) => pid,
            Err(source) if refused.iter().any(|it| it.limit == Limit::Network) => {
                return Err(StartError::Offline { program: self.program.to_owned(), source });
            }
            Err(source) => return Err(not_run(source)),
        };
        let Standard { stdout, stderr, .. } = standard;
        Ok(Running { pid, stdout: stdout.ours, stderr: stderr.ours, refused })
    }

    /// Copies above the final numbers, so that moving one never overwrites another.
    fn duplicates(&self, above: RawFd) -> io::Result<Vec<OwnedFd>> {
        self.inherit.iter().map(|fd| duplicate_above(fd.as_fd(), above)).collect()
    }
}

/// stdin, stdout and stderr to be, above the final numbers like the others.
struct Standard {
    stdin: OwnedFd,
    stdout: Outlet,
    stderr: Outlet,
}

/// Where one of the two goes; with neither end to this process's own.
#[derive(Default)]
struct Outlet {
    ours: Option<OwnedFd>,
    theirs: Option<OwnedFd>,
}

impl Standard {
    fn new(command: &Command<'_>, above: RawFd) -> io::Result<Self> {
        let stdin = match command.input {
            Input::Nothing => duplicate_above(File::open("/dev/null")?.as_fd(), above)?,
            Input::From(fd) => duplicate_above(fd, above)?,
        };
        let (stdout, stderr) = match command.output {
            Output::Inherited => (Outlet::default(), Outlet::default()),
            Output::Piped => (Outlet::pipe(above)?, Outlet::pipe(above)?),
            Output::To(fd) => (Outlet::to(fd, above)?, Outlet::pipe(above)?),
        };
        Ok(Self { stdin, stdout, stderr })
    }

    fn numbers(&self) -> [Option<RawFd>; 3] {
        let theirs = |outlet: &Outlet| outlet.theirs.as_ref().map(AsRawFd::as_raw_fd);
        [Some(self.stdin.as_raw_fd()), theirs(&self.stdout), theirs(&self.stderr)]
    }
}

impl Outlet {
    fn pipe(above: RawFd) -> io::Result<Self> {
        let (ours, theirs) = pipe_above(above)?;
        Ok(Self { ours: Some(ours.into()), theirs: Some(theirs) })
    }

    fn to(fd: BorrowedFd<'_>, above: RawFd) -> io::Result<Self> {
        Ok(Self { ours: None, theirs: Some(duplicate_above(fd, above)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let shell = Path::new("/bin/sh");
        let command = Command { args: &args, env: &env, inherit, limits, ..bare(shell) };
        command.start().unwrap()
    }

    static NONE: Limits = Limits {
        core: None,
        data: None,
        nofile: None,
        nice: None,
        cpus: Vec::new(),
        oom_score_adj: None,
        offline: false,
    };

    /// Without arguments, environment or limits.
    fn bare(program: &Path) -> Command<'_> {
        Command {
            program,
            args: &[],
            cwd: Path::new("/"),
            env: &[],
            inherit: &[],
            input: Input::Nothing,
            output: Output::Piped,
            limits: &NONE,
            cgroup: None,
            death_signal: Signal::SIGKILL,
        }
    }

    #[test]
    fn a_program_without_a_slash_is_found_by_the_path_of_its_own_environment() {
        let named = |path: &str| {
            let (args, env) = (["here".into()], [("PATH".into(), path.into())]);
            Command { args: &args, env: &env, ..bare(Path::new("echo")) }.start()
        };
        assert_eq!(said(named("/nonexistent:/bin").unwrap()), "here\n");
        assert!(named("/nonexistent").unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn a_program_that_cannot_be_executed_leaves_no_child_behind() {
        let folder = std::env::temp_dir().join(format!("spawn-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("text");
        // By another process: a child that a test beside has just forked keeps a file open that this one
        // writes, and what somebody writes cannot be executed for another reason.
        let mut written = std::process::Command::new("sh");
        written.args(["-c", r#"echo no program > "$1" && chmod 755 "$1""#, "sh"]).arg(&file);
        assert!(written.status().unwrap().success());
        let error = bare(&file).start().unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("Exec format error"), "{error}");
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
        assert_eq!(children, "");
    }

    #[test]
    fn signals_come_through_and_a_broken_pipe_ends_the_program() {
        // proc(5): a bit for each signal, the first is signal 1.
        let text = said(shell("exec cat /proc/self/status", &[]));
        let bits = |name: &str| {
            let digits = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(digits.trim(), 16).unwrap()
        };
        assert_eq!(bits("SigBlk:"), 0);
        assert_eq!(bits("SigIgn:") & (1 << (libc::SIGPIPE - 1)), 0);
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
            offline: false,
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
    fn a_process_that_is_kept_offline_reaches_no_port_and_what_it_starts_does_neither() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // The inner shell is another program.
        let script = format!(
            "bash -c 'exec 9<>/dev/tcp/127.0.0.1/{port}' 2>&1; \
             grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status"
        );
        let told = |offline| {
            let running = limited(&script, &[], &Limits { offline, ..Limits::default() });
            assert!(running.refused.is_empty(), "{:?}", running.refused);
            said(running)
        };
        let (online, offline) = (told(false), told(true));
        assert!(!online.contains("denied"), "{online}");
        assert!(offline.contains("Permission denied"), "{offline}");
        let numbers = |text: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(":\t"));
            lines.map(|(_, number)| number.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&offline), ["1", "2"], "{offline}");
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
        let nobody = Path::new("/nonexistent/worker");
        let command = Command { output: Output::Inherited, ..bare(nobody) };
        let error = command.start().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/worker"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }
}
