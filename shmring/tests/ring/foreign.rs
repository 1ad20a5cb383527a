//! Programs that can wait for nothing but a named semaphore, and the helper that posts it for them.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmring::{FrameWriter, PacketWriter, census, clock};

use crate::frames::send;
use crate::packets::publish;
use crate::{Project, SOON};

const HELPER: &str = env!("CARGO_BIN_EXE_shmring-semaphore");

/// The helper at work; it ends with its test, and its semaphore with it.
struct Helper {
    process: Child,
    semaphore: String,
}

impl Helper {
    /// Begins to post `/<project>`, and has attached when this returns.
    fn start(project: &Project, ring: &str, options: &[&str]) -> Self {
        let semaphore = format!("/{}", project.0);
        let mut command = Command::new(HELPER);
        command.args(["--project", project.0.as_str(), ring, &semaphore]).args(options);
        let process = command.spawn().unwrap();
        let helper = Self { process, semaphore };
        until(|| helper.file().exists() && is_level(project, ring), "it attaches");
        helper
    }

    fn file(&self) -> PathBuf {
        Path::new("/dev/shm").join(format!("sem.{}", &self.semaphore[1..]))
    }

    /// Whether it sleeps (proc(5)). It posts for what it has taken before it does, and only then.
    fn rests(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
    }

    fn end_by(mut self, signal: Signal) -> bool {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), signal).unwrap();
        self.process.wait().unwrap().success()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(self.file());
    }
}

/// Whether the one reader there is has taken everything.
fn is_level(project: &Project, ring: &str) -> bool {
    let status = census::status(&project.0, &ring.parse().unwrap(), clock::mono());
    status.readers.len() == 1 && status.readers.iter().all(|reader| reader.lag == 0)
}

fn until(condition: impl Fn() -> bool, what: &str) {
    let deadline = clock::mono() + SOON;
    while !condition() {
        assert!(clock::mono() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// The C program, compiled; `None` on a machine without a compiler.
#[expect(clippy::print_stdout, reason = "what was skipped, and why")]
fn foreign_program() -> Option<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("foreign");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ring/foreign.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let arguments: [&OsStr; 4] =
        [source.as_ref(), "-o".as_ref(), program.as_ref(), "-pthread".as_ref()];
    match Command::new(compiler).args(arguments).status() {
        Ok(status) => {
            assert!(status.success(), "foreign.c does not compile");
            Some((folder, program))
        }
        Err(error) => {
            println!("skipped: no C compiler: {error}");
            None
        }
    }
}

/// What it prints after so many waits: the semaphore's value.
fn wait_in_c(program: &Path, semaphore: &str, times: usize) -> u32 {
    let mut command = Command::new(program);
    let output = command.args([semaphore, &times.to_string()]).stderr(Stdio::inherit()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_program_in_c_that_knows_only_semaphores_is_woken_for_each_item() {
    let Some((_folder, program)) = foreign_program() else {
        return;
    };
    let project = Project::new();
    let mut writer =
        PacketWriter::create(&project.0, &project.contract("cam.packets", 1), &[]).unwrap();
    let helper = Helper::start(&project, "cam.packets", &[]);
    let semaphore = helper.semaphore.clone();
    let waiting = std::thread::spawn(move || wait_in_c(&program, &semaphore, 20));
    for _ in 0..20 {
        publish(&mut writer, true, b"x");
    }
    assert_eq!(waiting.join().unwrap(), 0, "one post for each");
}

#[test]
fn a_semaphore_nobody_waits_for_stays_at_its_maximum_and_follows_a_restarted_writer() {
    let Some((_folder, program)) = foreign_program() else {
        return;
    };
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let helper = Helper::start(&project, "cam.frames", &["--max", "5"]);
    for value in 0..100 {
        send(&writer, value);
    }
    // What it has taken and not yet posted would count for who has waited five times meanwhile.
    until(|| is_level(&project, "cam.frames") && helper.rests(), "it takes all and posts it");
    assert_eq!(wait_in_c(&program, &helper.semaphore, 5), 0);
    drop(writer);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    send(&writer, 1);
    assert_eq!(wait_in_c(&program, &helper.semaphore, 1), 0);
}

#[test]
fn the_helper_takes_its_semaphore_with_it_unless_it_is_killed_and_then_the_next_one_takes_it_over()
{
    let project = Project::new();
    let mut writer =
        PacketWriter::create(&project.0, &project.contract("cam.packets", 1), &[]).unwrap();
    let helper = Helper::start(&project, "cam.packets", &["--create-mode", "0660"]);
    let file = helper.file();
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o660);
    publish(&mut writer, true, b"x");
    // As a kill would, with its name and its value left behind.
    let kept = file.with_extension("kept");
    std::fs::hard_link(&file, &kept).unwrap();
    assert!(helper.end_by(Signal::SIGTERM));
    assert!(!file.exists());
    std::fs::rename(&kept, &file).unwrap();
    let helper = Helper::start(&project, "cam.packets", &[]);
    if let Some((_folder, program)) = foreign_program() {
        assert_eq!(wait_in_c(&program, &helper.semaphore, 0), 0, "nothing of before counts");
    }
    publish(&mut writer, true, b"x");
    assert!(helper.end_by(Signal::SIGINT));
    assert!(!file.exists());
}

#[test]
fn a_mistake_and_a_second_helper_are_refused_in_one_line() {
    let project = Project::new();
    let _writer =
        PacketWriter::create(&project.0, &project.contract("cam.packets", 2), &[]).unwrap();
    let helper = Helper::start(&project, "cam.packets", &[]);
    let refused = |ring: &str, name: &str| {
        let arguments = ["--project", project.0.as_str(), ring, name];
        let output = Command::new(HELPER).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        (output.status.code().unwrap(), text)
    };
    let (code, text) = refused("cam.packets", &helper.semaphore);
    assert!(code == 1 && text.contains("another shmring-semaphore posts it"), "{text}");
    let (code, text) = refused("other.packets", "/x");
    assert!(code == 1 && text.contains("no such ring"), "{text}");
    let (code, text) = refused("cam.packets", "x");
    assert!(code == 2 && text.contains("a slash"), "{text}");
}
