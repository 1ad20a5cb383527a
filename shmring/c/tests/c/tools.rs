//! What the tests share: a project of their own, the laid out library, compilers, and programs that run.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::ProjectName;
use protocol::stream::PixelFormat;
use shmring::{FrameMeta, FrameWriter, Picture, census, clock};

/// A project of its own for each test, whose files are gone afterwards.
pub(crate) struct Project(ProjectName);

impl Project {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep_killed_runs);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("tc{}-{number}", std::process::id()).parse().unwrap())
    }

    pub(crate) fn name(&self) -> &ProjectName {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn contract(&self, ring: &str) -> RingContract {
        let places = 4;
        RingContract::new(ring.parse().unwrap(), RingConfig::default(), places)
    }

    pub(crate) fn painter(&self, ring: &str) -> Painter {
        self.painter_under(&self.contract(ring))
    }

    pub(crate) fn painter_under(&self, contract: &RingContract) -> Painter {
        let source = "cam1.packets".parse().unwrap();
        Painter { writer: FrameWriter::create(&self.0, contract, Some(&source)).unwrap() }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        census::sweep_unowned(&self.0);
    }
}

/// A run that was killed could not clean up.
fn sweep_killed_runs() {
    let names = std::fs::read_dir("/dev/shm").unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let projects =
        names.filter_map(|name| Some(name.strip_prefix("fv.tc")?.split_once('.')?.0.to_owned()));
    for project in projects.collect::<BTreeSet<_>>() {
        let pid = project.split_once('-').and_then(|(pid, _)| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            census::sweep_unowned(&format!("tc{project}").parse().unwrap());
        }
    }
}

/// A writer of pictures whose every sample is known.
pub(crate) struct Painter {
    pub(crate) writer: FrameWriter,
}

impl Painter {
    /// Publishes a picture with `sample(plane, byte of the row, row)` in it; its rows are padded.
    pub(crate) fn paint(
        &self,
        (width, height): (u32, u32),
        format: PixelFormat,
        sample: impl Fn(usize, usize, usize) -> u8,
    ) -> u64 {
        let (meta, bytes) = described(width, height, format);
        let planes = meta.picture().unwrap().planes;
        let mut loan = self.writer.loan(bytes, 1).unwrap();
        let slot = loan.bytes_mut();
        for (plane, layout) in planes.iter().enumerate().take(format.planes()) {
            let extent = format.plane_extent(plane, width, height);
            for y in 0..extent.rows as usize {
                let start = layout.offset as usize + y * layout.linesize as usize;
                let row = &mut slot[start..start + extent.row_bytes as usize];
                row.iter_mut().enumerate().for_each(|(x, byte)| *byte = sample(plane, x, y));
            }
        }
        self.writer.publish(loan.slot(), &meta).unwrap()
    }
}

fn described(width: u32, height: u32, format: PixelFormat) -> (FrameMeta, usize) {
    // A multiple that no row's length is, so that all have padding.
    let picture = Picture::packed(width, height, format, 1023).unwrap();
    let now = clock::now();
    let meta = FrameMeta {
        pts_ns: 40_000_000,
        duration_ns: 20_000_000,
        capture: now,
        ingest: now.mono,
        decoded: now.mono,
        source: Some(shmring::SourceId { epoch: 77, sequence: 5 }),
        key: true,
        gop_index: 9,
        ..FrameMeta::of(picture)
    };
    (meta, picture.slot_bytes())
}

/// The root of this repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A script of this repository, which builds into the folder and profile this test was built in.
pub(crate) fn script(name: &str) -> Command {
    // This program is `<target>/<profile>/deps/c-<hash>`.
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    let mut script = Command::new(root().join("scripts").join(name));
    script.env("CARGO_TARGET_DIR", target);
    script.env("FRAMEVISOR_PROFILE", if cfg!(debug_assertions) { "dev" } else { "release" });
    let cargo = Path::new(env!("CARGO")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    script.env("PATH", format!("{}:{path}", cargo.display()));
    script
}

/// What pkg-config says of the library that scripts/c-path lays out: words for the compiler.
pub(crate) fn flags() -> &'static [String] {
    static FLAGS: OnceLock<Vec<String>> = OnceLock::new();
    FLAGS.get_or_init(|| {
        let path = text(script("c-path").output().unwrap());
        pkg_config(Path::new(path.trim()), &["--cflags", "--libs"])
    })
}

/// The answer of pkg-config for our library in `folder`.
pub(crate) fn pkg_config(folder: &Path, wanted: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(wanted).arg("shmring").env("PKG_CONFIG_PATH", folder);
    text(command.output().unwrap()).split_whitespace().map(str::to_owned).collect()
}

/// Standard output of a command that worked.
pub(crate) fn text(output: Output) -> String {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaints}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Warnings that programs of users are compiled with, as errors.
pub(crate) const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// Compiles a program of `shmring/c`, as C11 or by its name as C++17, and gives its path.
pub(crate) fn compile(source: &str, folder: &Path) -> PathBuf {
    compile_with(source, folder, flags())
}

pub(crate) fn compile_with(source: &str, folder: &Path, flags: &[String]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let program = folder.join(source.file_stem().unwrap());
    let (compiler, language) = match source.extension().unwrap().to_str().unwrap() {
        "cpp" => ("c++", "-std=c++17"),
        _ => ("cc", "-std=c11"),
    };
    let mut command = Command::new(compiler);
    // For fork, nanosleep and threads, which C11 alone does not have.
    command.args([language, "-O1", "-g", "-pthread", "-D_POSIX_C_SOURCE=200809L"]).args(STRICT);
    command.arg(&source).arg("-o").arg(&program).args(flags);
    text(command.output().unwrap());
    program
}

/// A program that runs until it is dropped, read line by line.
pub(crate) struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line, "" at the end. The programs here give up by themselves, so this always ends.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Gives it a line.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Stops it where it is, as Ctrl-Z does, and sees to it that it stands.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
        let given_up = clock::mono() + Duration::from_secs(20);
        let stat = format!("/proc/{}/stat", self.pid());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            assert!(clock::mono() < given_up, "it does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it ended well.
    pub(crate) fn ends_well(mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
