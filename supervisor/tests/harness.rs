//! A project of its own for each test: a folder, a runtime directory, the command, and the end of
//! everything when the test ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use serde_json::Value;
use shmring::clock;

/// Long enough for a loaded machine; a test that waits this long fails.
pub(crate) const SOON: Duration = Duration::from_secs(60);

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Project {
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    guards: Vec<Child>,
    /// Whose project it is, if not the one who tests.
    owner: Option<Owner>,
}

struct Owner {
    uid: u32,
    /// A copy of the command: the original may lie where this user cannot go.
    program: PathBuf,
}

impl Project {
    /// A project with these lines under `workers:`, indented by two spaces.
    pub(crate) fn new(workers: &str) -> Self {
        let name = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("fv-{name}"));
        fs::create_dir(&dir).unwrap();
        let project = Self { dir, name, guards: Vec::new(), owner: None };
        project.write_topology(workers);
        project.write_programs();
        project
    }

    pub(crate) fn write_topology(&self, workers: &str) {
        let text = format!("version: 1\nproject: {}\nworkers:\n{workers}", self.name);
        fs::write(self.dir.join("framevisor.yml"), text).unwrap();
    }

    /// Built-in workers are this test program in another role (`fake`), the same for every kind.
    fn write_programs(&self) {
        let me = std::env::current_exe().unwrap();
        let role = "--exact fake::in_the_role_of_a_worker --nocapture --quiet";
        let folder = self.dir.join("libexec");
        fs::create_dir(&folder).unwrap();
        let program = |kind: &str| folder.join(format!("framevisor-{kind}"));
        let text = format!("#!/bin/sh\nexec '{}' {role}\n", me.display());
        write_executable(&program("decoder"), text.as_bytes());
        for kind in ["ingest", "motion", "recorder", "replay", "rtsp", "web"] {
            fs::hard_link(program("decoder"), program(kind)).unwrap();
        }
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.dir.join("rt")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let Some(Owner { uid, program }) = &self.owner else {
            return self.command_at(built(), args);
        };
        let mut command = self.command_at(program, args);
        command.uid(*uid).gid(*uid);
        command
    }

    /// Gives it to another user, before `up`; only root can.
    pub(crate) fn give_to(&mut self, uid: u32) {
        let program = self.dir.join("framevisor");
        // By another process: a file that this one has open for writing, while a test beside starts
        // something, could not be executed.
        let mut copy = Command::new("cp");
        assert!(copy.arg(built()).arg(&program).status().unwrap().success());
        for path in [&self.dir, &self.dir.join("framevisor.yml")] {
            chown(path, Some(uid), Some(uid)).unwrap();
        }
        self.owner = Some(Owner { uid, program });
    }

    pub(crate) fn command_at(&self, program: &Path, args: &[&str]) -> Command {
        self.command_on(&self.dir.join("framevisor.yml"), program, args)
    }

    fn command_on(&self, file: &Path, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-f")
            .arg(file)
            .arg("--runtime-dir")
            .arg(self.runtime_dir())
            .args(args)
            .env("FRAMEVISOR_LIBEXEC", self.dir.join("libexec"))
            .env("XDG_STATE_HOME", self.dir.join("state"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        output_of(self.command(args))
    }

    /// With another topology than the project's own.
    pub(crate) fn run_on(&self, file: &Path, args: &[&str]) -> Output {
        output_of(self.command_on(file, Path::new(env!("CARGO_BIN_EXE_framevisor")), args))
    }

    /// `up` in the foreground; its stderr goes to `up.err`.
    pub(crate) fn up(&mut self) -> u32 {
        let err = fs::File::create(self.dir.join("up.err")).unwrap();
        let guard = self.command(&["up"]).stderr(err).stdout(Stdio::null()).spawn().unwrap();
        let pid = guard.id();
        self.guards.push(guard);
        wait_for("the control socket to answer", || {
            let ended = self.guards.last_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "up has ended");
            self.run(&["ps"]).status.success()
        });
        pid
    }

    /// The exit code of the last `up`.
    pub(crate) fn up_ended(&mut self) -> Option<i32> {
        let guard = self.guards.last_mut().unwrap();
        wait_for("the end of up", || guard.try_wait().unwrap().is_some());
        guard.wait().unwrap().code()
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.dir.join("up.err")).unwrap_or_default()
    }

    pub(crate) fn ps(&self) -> Vec<Value> {
        let output = self.run(&["ps", "-o", "json"]);
        assert!(output.status.success(), "ps: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn worker(&self, name: &str) -> Value {
        let workers = self.ps();
        let found = workers.into_iter().find(|worker| worker["name"] == name);
        found.unwrap_or_else(|| panic!("no worker {name}"))
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        let pid = self.worker(name)["pid"].as_u64().unwrap_or_else(|| panic!("{name} has no pid"));
        u32::try_from(pid).unwrap()
    }

    pub(crate) fn wait_for_state(&self, name: &str, state: &str) -> Value {
        let mut last = Value::Null;
        wait_for(&format!("{name} to be {state}"), || {
            last = self.worker(name);
            last["state"] == state
        });
        last
    }

    /// A number that a worker wrote into a file of the project's folder.
    pub(crate) fn number_in(&self, file: &str) -> u32 {
        let mut number = None;
        wait_for(&format!("a number in {file}"), || {
            let text = fs::read_to_string(self.dir.join(file)).unwrap_or_default();
            number = text.strip_suffix('\n').and_then(|text| text.trim().parse().ok());
            number.is_some()
        });
        number.unwrap()
    }

    /// A connection to the control socket.
    pub(crate) fn control(&self) -> Control {
        let stream = UnixStream::connect(self.runtime_dir().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Control(BufReader::new(stream))
    }

    /// Open in the supervisor, without those that it keeps back.
    pub(crate) fn supervisor_descriptors(&self) -> usize {
        self.control().descriptors()
    }

    pub(crate) fn supervisor(&self) -> u32 {
        self.pid_of("supervisor")
    }

    pub(crate) fn guard(&self) -> u32 {
        self.pid_of("guard")
    }

    fn pid_of(&self, role: &str) -> u32 {
        let text = fs::read_to_string(self.runtime_dir().join("pid")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(role)).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- up said:\n{}", self.said());
        }
        if self.runtime_dir().join("control.sock").exists() {
            let _ = self.run(&["down"]);
        }
        for guard in &mut self.guards {
            let _ = guard.kill();
            let _ = guard.wait();
        }
        // Of a project that was killed, or a ring that a test wrote itself.
        shmring::census::sweep_unowned(&self.name.parse().unwrap());
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A port that nobody else is given until this is dropped. It is bound and not listened on, so that a
/// server that reuses addresses, as std's and Python's do, can have it meanwhile.
pub(crate) struct Reserved {
    pub(crate) address: SocketAddr,
    _socket: OwnedFd,
}

impl Reserved {
    pub(crate) fn new() -> Self {
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        set_socket_reuseaddr(&socket, true).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = getsockname(&socket).unwrap().try_into().unwrap();
        Self { address, _socket: socket }
    }
}

/// A line asked, a line answered.
pub(crate) struct Control(pub(crate) BufReader<UnixStream>);

impl Control {
    pub(crate) fn ask(&mut self, line: &str) -> Value {
        writeln!(self.0.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// As [`Project::supervisor_descriptors`], this connection's own among them.
    pub(crate) fn descriptors(&mut self) -> usize {
        let answer = self.ask(r#"{"v":1,"id":1,"verb":"status"}"#);
        let count = answer["ok"]["descriptors"].as_u64();
        count.and_then(|count| usize::try_from(count).ok()).unwrap_or_else(|| panic!("{answer}"))
    }
}

fn built() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_framevisor"))
}

/// A verb that goes on until it is interrupted, or the test ends.
pub(crate) struct Endless {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Endless {
    pub(crate) fn start(project: &Project, args: &[&str]) -> Self {
        let mut child = project.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    pub(crate) fn line_with(&mut self, words: &str) -> String {
        let line = self.out.by_ref().lines().map(Result::unwrap).find(|line| line.contains(words));
        line.unwrap_or_else(|| panic!("no line with '{words}' came"))
    }

    /// What it still says.
    pub(crate) fn interrupt(mut self) -> String {
        signal(self.child.id(), Signal::SIGINT);
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        rest
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that can be started, in the place of what was there. By another process: one that this process
/// has open for writing, while a test beside starts something, could not be executed.
pub(crate) fn write_executable(path: &Path, content: &[u8]) {
    let script = r#"rm -f "$1" && cat > "$1" && chmod 755 "$1""#;
    let mut shell = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(content).unwrap();
    assert!(shell.wait().unwrap().success(), "{}", path.display());
}

/// Runs it to its end, which comes soon or by force.
pub(crate) fn output_of(mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    ended.recv_timeout(SOON).unwrap_or_else(|_| {
        signal(pid, Signal::SIGKILL);
        panic!("{command:?} still runs after {SOON:?}")
    })
}

pub(crate) fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = clock::mono() + SOON;
    while !happened() {
        assert!(clock::mono() < deadline, "waited {SOON:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long until it happened.
pub(crate) fn time_until(what: &str, happened: impl FnMut() -> bool) -> Duration {
    let start = clock::mono();
    wait_for(what, happened);
    clock::mono().saturating_since(start)
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill(as_pid(pid), signal).unwrap();
}

/// A zombie is not alive: its reaper may take its time.
pub(crate) fn is_alive(pid: u32) -> bool {
    if kill(as_pid(pid), None) == Err(Errno::ESRCH) {
        return false;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The lines of `logs` without their times, which are in order.
pub(crate) fn lines_of(output: &Output) -> Vec<String> {
    let text = text(&output.stdout);
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once("  ")).collect();
    assert!(lines.iter().all(|(time, _)| time.len() == "2026-11-20T13:09:00.123Z".len()), "{text}");
    assert!(lines.is_sorted_by_key(|(time, _)| *time), "{text}");
    lines.into_iter().map(|(_, line)| line.to_owned()).collect()
}

pub(crate) fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}
