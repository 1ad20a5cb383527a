//! Each verb's `--help` ends with examples: every one of them is run as it stands, in a shell, on a
//! project made by `framevisor init`. A new verb is among them without a line here; what it needs
//! beside that is said in the lists below, with a reason.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use tests::project::{Project, binary};
use tests::{Failure, Outcome, ensure, processes, wait_for};

use crate::first_light::ONE_AT_A_TIME;

/// Long enough for a measurement on a loaded machine.
const ENDS_WITHIN_S: u64 = 180;

/// Examples that are not run: their beginning, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("gc --all", "it cleans up behind every project of this machine, also of other tests"),
    ("export 'cam*' --from 14:00", "nobody knows what was recorded at that time of the day"),
    ("drill", "it ends workers for minutes; tests/system/drill.rs runs it"),
    ("-p yard drill", "no project yard runs"),
    ("probe", "no camera is there; workers/ingest/src/probe/tests.rs reads some"),
    ("-o json probe", "as above"),
    (
        "discover",
        "nobody answers here; workers/discover/src/discover/tests.rs has a device of a script",
    ),
    ("-o json discover", "as above"),
    ("bench", "it loads the machine until something is lost; tests/system/bench.rs runs it"),
    (
        "replay",
        "it wants a place of its own, and all share one here; tests/system/replay.rs runs it",
    ),
    ("-p rerun replay", "as above"),
    ("send detector", "no worker of the demo listens; supervisor/python/tests sends messages"),
    ("promote", "no worker of the demo is a shadow; tests/system/shadows.rs promotes one"),
    ("compare", "as above"),
    ("upgrade --binary", "no second framevisor is at that place"),
];

/// Examples that go on until they are interrupted: how they begin, and a word that ends them.
const ENDLESS: &[(&str, &str)] = &[
    ("logs -f", "--lines"),
    ("events -f", "--count"),
    ("rings 'cam1.*' --watch", "--seconds"),
    ("hz", "--seconds"),
    ("tap cam1.frames", "--frames"),
    ("top", "--once"),
    // In the foreground.
    ("up", "--wait"),
];

/// Examples that want a terminal: how they begin, and a word that spares them it.
const ON_A_TERMINAL: &[(&str, &str)] = &[("tap cam1.frames", "--png"), ("top", "--once")];

/// Other exit codes than 0 that are an answer too, and why.
const OTHER_ANSWERS: &[(&str, i32, &str)] =
    &[("doctor", 5, "not every machine has a delegated control group, or a synchronized clock")];

/// Examples that go on from what another one made: how they begin, and that one.
const AFTER: &[(&str, &str)] =
    &[("export --verify", "export cam1 --last 5s --manifest --hash sha256 -o evidence")];

/// Verbs that start a project, or a topology, where there is none.
const WITHOUT_PROJECT: &[&str] = &["up"];
const WITHOUT_FILE: &[&str] = &["init"];
/// Cameras that have files of their own beside the topology: `add` adds them, `remove` finds them.
const ADDED: [&str; 3] = ["cam9", "cam10", "cam11"];

#[test]
fn the_examples_of_every_help_run_as_they_stand() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let stage = Stage::set().unwrap();
    let mut failures = Vec::new();
    for verb in verbs() {
        let examples = examples(&verb);
        assert!(!examples.is_empty(), "{verb} --help has no examples");
        for example in examples {
            if let Err(failure) = stage.play(&verb, &example) {
                failures.push(format!("framevisor {example}\n    {failure}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// As `--help` lists them.
fn verbs() -> Vec<String> {
    let help = help(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    // A line that goes on below is indented deeper.
    let names = listed.filter_map(|line| line.strip_prefix("  ")).filter(|l| !l.starts_with(' '));
    let names = names.filter_map(|line| line.split_whitespace().next());
    let names: Vec<String> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    assert!(names.iter().any(|name| name == "ps"), "{help}");
    names
}

fn examples(verb: &str) -> Vec<String> {
    let help = help(&[verb, "--help"]);
    let examples = help.lines().skip_while(|line| *line != "Examples:");
    examples.filter_map(|line| line.strip_prefix("  framevisor ")).map(str::to_owned).collect()
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(binary("framevisor")).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A project to run them on, and the folders of a user.
struct Stage {
    project: Project,
}

impl Stage {
    fn set() -> Outcome<Self> {
        let project = Project::new("")?;
        let stage = Self { project };
        for folder in ["home", "empty"] {
            fs::create_dir(stage.dir().join(folder)).map_err(Failure::new)?;
        }
        let file = stage.dir().join("empty/framevisor.yml");
        stage.succeed("init", &stage.dir().join("empty"))?;
        // Ports that nobody else has; the rest as a user finds it.
        let text = fs::read_to_string(&file).map_err(Failure::new)?;
        let text =
            text.replace("127.0.0.1:8554", "127.0.0.1:0").replace("127.0.0.1:8080", "127.0.0.1:0");
        fs::remove_file(&file).map_err(Failure::new)?;
        // One that `describe` can be asked for.
        let hook = "hooks: {tell: {on: worker.held, run: ['true']}}\n";
        stage.project.write_topology(&format!("{text}{hook}"))?;
        let demo = stage.dir().join("demo.yml");
        fs::copy(stage.project.file(), demo).map_err(Failure::new)?;
        for name in ADDED {
            let text =
                format!("version: 1\nworkers: {{{name}: {{use: ingest, source: 'test:'}}}}\n");
            fs::write(stage.dir().join(format!("{name}.yml")), text).map_err(Failure::new)?;
        }
        Ok(stage)
    }

    fn dir(&self) -> &Path {
        self.project.dir()
    }

    fn play(&self, verb: &str, example: &str) -> Outcome<()> {
        if let Some((_, why)) = NOT_RUN.iter().find(|(start, _)| example.starts_with(start)) {
            println!("not run: framevisor {example}: {why}");
            return Ok(());
        }
        let folder = self.prepare(verb)?;
        let before = entries(&folder);
        let mut earlier = AFTER.iter().filter(|(start, _)| example.starts_with(start));
        let result = earlier
            .try_for_each(|(_, line)| self.succeed(line, &folder))
            .and_then(|()| self.run(example, &folder, &before));
        // The next example finds what this one found.
        for new in entries(&folder).difference(&before) {
            let _ = fs::remove_file(new).or_else(|_| fs::remove_dir_all(new));
        }
        result
    }

    /// The folder it is to be run in, with what it needs.
    fn prepare(&self, verb: &str) -> Outcome<PathBuf> {
        if WITHOUT_FILE.contains(&verb) {
            return Ok(self.dir().join("empty"));
        }
        let runs = self.framevisor("ps", self.dir()).output().is_ok_and(|ps| ps.status.success());
        if WITHOUT_PROJECT.contains(&verb) {
            if runs {
                self.succeed("down", self.dir())?;
            }
        } else if runs {
            self.succeed("start '*'", self.dir())?;
            wait_for(60, "all workers to work", || self.all_work().then_some(()))?;
        } else {
            self.succeed("up -d --wait --timeout 180s", self.dir())?;
        }
        if verb == "remove" {
            self.add_missing()?;
        }
        Ok(self.dir().to_owned())
    }

    fn add_missing(&self) -> Outcome<()> {
        let rows = self.project.ps()?;
        let missing =
            ADDED.iter().filter(|name| !rows.iter().any(|row| row.name.as_str() == **name));
        for name in missing {
            self.succeed(&format!("add {name}.yml"), self.dir())?;
        }
        Ok(())
    }

    fn all_work(&self) -> bool {
        let works = |state| matches!(state, WorkerState::Ready | WorkerState::Running);
        self.project.ps().is_ok_and(|workers| workers.iter().all(|worker| works(worker.state)))
    }

    fn run(&self, example: &str, folder: &Path, before: &BTreeSet<PathBuf>) -> Outcome<()> {
        let own = format!("-p {}", self.project.name());
        let line = example.replace("-p demo", &own);
        if let Some((_, file)) = line.split_once("> ~/") {
            let parent = self.dir().join("home").join(file);
            fs::create_dir_all(parent.parent().unwrap_or(&parent)).map_err(Failure::new)?;
        }
        let said = self.dir().join("said");
        let file = File::create(&said).map_err(Failure::new)?;
        let mut command = self.framevisor(&line, folder);
        command.stdout(file.try_clone().map_err(Failure::new)?).stderr(file);
        let mut child = command.process_group(0).spawn().map_err(Failure::new)?;
        let told = || fs::read_to_string(&said).unwrap_or_default();
        let outcome = if is_endless(&line) {
            let shows =
                || !told().is_empty() || entries(folder).difference(before).any(|p| *p != said);
            interrupted(&mut child, shows)
        } else {
            ended(&mut child).and_then(|status| is_an_answer(&line, status))
        };
        outcome.map_err(|failure| Failure(format!("{failure}\n{}", told())))
    }

    fn succeed(&self, line: &str, folder: &Path) -> Outcome<()> {
        let output = self.framevisor(line, folder).output().map_err(Failure::new)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success(), || format!("before it: framevisor {line}: {said}"))
    }

    /// As typed into a shell.
    fn framevisor(&self, line: &str, folder: &Path) -> Command {
        let mut line = format!("exec framevisor {line}");
        let on_terminal = |(start, spared): &(&str, &str)| {
            line.starts_with(&format!("exec framevisor {start}")) && !line.contains(spared)
        };
        if ON_A_TERMINAL.iter().any(on_terminal) {
            // Its stdin is the terminal too.
            line = format!("exec script -qec \"{line}\" /dev/null");
        }
        let programs = binary("framevisor");
        let programs = programs.parent().unwrap_or_else(|| Path::new("."));
        let path = std::env::var("PATH").unwrap_or_default();
        // What runs these in the background of a script ignores Ctrl-C, and would hand that on.
        let mut command = Command::new("env");
        command
            .args(["--default-signal=INT", "sh", "-c", &line])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", self.dir().join("home"))
            .env("FRAMEVISOR_RUNTIME_DIR", self.dir().join("run"))
            .env("XDG_STATE_HOME", self.dir().join("state"))
            .env("XDG_CACHE_HOME", std::env::temp_dir().join("framevisor-test-cache"))
            .stdin(Stdio::null());
        command
    }
}

fn entries(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // What a running project and these tests write by themselves.
    let own = ["said", "run", "state", "home", "recordings"];
    entries.map(|e| e.path()).filter(|p| !own.iter().any(|name| p.ends_with(name))).collect()
}

fn is_endless(line: &str) -> bool {
    let begins = |start: &str| {
        line.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    ENDLESS.iter().any(|(start, end)| begins(start) && !line.contains(end))
}

/// It shows something, and a Ctrl-C ends it: as a signal does, or by an end of its own.
fn interrupted(child: &mut Child, shows: impl Fn() -> bool) -> Outcome<()> {
    wait_for(60, "something to be shown", || shows().then_some(()))?;
    ensure(matches!(child.try_wait(), Ok(None)), || "it has ended, not gone on".to_owned())?;
    processes::signal(child.id(), Signal::SIGINT);
    let status = ended(child)?;
    let fine =
        status.signal() == Some(Signal::SIGINT as i32) || matches!(status.code(), Some(0 | 130));
    ensure(fine, || format!("interrupted: {status}"))
}

fn ended(child: &mut Child) -> Outcome<ExitStatus> {
    let status = wait_for(ENDS_WITHIN_S, "its end", || child.try_wait().ok().flatten());
    if status.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    Ok(status?.0)
}

fn is_an_answer(line: &str, status: ExitStatus) -> Outcome<()> {
    let other = OTHER_ANSWERS
        .iter()
        .any(|(start, code, _)| line.starts_with(start) && status.code() == Some(*code));
    ensure(status.success() || other, || status.to_string())
}
