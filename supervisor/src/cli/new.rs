//! `new`: a program of one's own to begin with, and the topology that runs it. It never writes over a file.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::ValueEnum;
use protocol::name::{NameError, WorkerName};
use serde_json::json;

use super::{CliError, Context, FormArg, terminal};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor new analyzer counter
  framevisor new analyzer counter --lang rust
  framevisor new analyzer counter --lang c --dir programs/counter";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A program that looks at pictures and writes what it sees as records
    Analyzer(Analyzer),
}

#[derive(Debug, clap::Args)]
struct Analyzer {
    /// What the program, its worker and its ring of events are called
    #[arg(value_parser = plain_name)]
    name: WorkerName,
    /// The language it is written in
    #[arg(long, default_value = "python", value_name = "LANGUAGE")]
    lang: Language,
    /// The folder to write, which is made [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Rust only: the folder of framevisor's sources [default: where it was built, if they are still there]
    #[arg(long, value_name = "DIR")]
    sources: Option<PathBuf>,
    #[command(flatten)]
    form: FormArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    C,
    Cpp,
    Python,
    Rust,
}

/// A file to write, by its path within the folder.
type Draft = (String, String);

impl Args {
    pub(super) fn take_form(&mut self) -> FormArg {
        let What::Analyzer(analyzer) = &mut self.what;
        std::mem::take(&mut analyzer.form)
    }
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let What::Analyzer(analyzer) = args.what;
    let name = analyzer.name.as_str();
    if analyzer.lang == Language::Python && hides_a_module(name) {
        return Err(CliError::HidesModule { name: name.to_owned() });
    }
    let dir = analyzer.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    let sources = match &analyzer.sources {
        Some(given) => Some(source_tree(given)?),
        None => built_from(),
    };
    let drafts = drafts(name, analyzer.lang, sources.as_deref())?;
    write(&dir, &drafts)?;
    let files: Vec<PathBuf> = drafts.iter().map(|(file, _)| dir.join(file)).collect();
    if context.is_json() {
        terminal::json(&json!({"dir": dir, "files": files}))?;
    }
    for file in &files {
        terminal::talk(&format!("wrote {}", file.display()));
    }
    if let Some(lack) = lack(analyzer.lang, sources.as_deref()) {
        terminal::talk(&lack);
    }
    terminal::talk(&format!("next: {}", next(name, &dir, analyzer.lang)));
    Ok(ExitCode::SUCCESS)
}

/// Not a part of a command with pipes: that is nobody's to name.
fn plain_name(text: &str) -> Result<WorkerName, NameError> {
    let name: WorkerName = text.parse()?;
    match name.owner() {
        None => Ok(name),
        Some(_) => Err(NameError::Part { what: "worker", seen: text.to_owned() }),
    }
}

fn drafts(name: &str, lang: Language, sources: Option<&Path>) -> Result<Vec<Draft>, CliError> {
    let fill = |text: &str| text.replace("{name}", name);
    let program: Vec<Draft> = match lang {
        Language::C => vec![
            (format!("{name}.c"), fill(include_str!("templates/analyzer/analyzer.c"))),
            ("Makefile".to_owned(), fill(include_str!("templates/analyzer/makefile.c"))),
        ],
        Language::Cpp => vec![
            (format!("{name}.cpp"), fill(include_str!("templates/analyzer/analyzer.cpp"))),
            ("Makefile".to_owned(), fill(include_str!("templates/analyzer/makefile.cpp"))),
        ],
        Language::Python => {
            vec![(format!("{name}.py"), fill(include_str!("templates/analyzer/analyzer.py")))]
        }
        Language::Rust => rust(sources.ok_or(CliError::NoSources)?, fill)?,
    };
    // The camera's workers have its name before theirs.
    let camera = if name.starts_with("cam1") { "camera" } else { "cam1" };
    let topology = include_str!("templates/analyzer/framevisor.yml").replace("cam1", camera);
    let topology = fill(&topology).replace("{command}", &command(name, lang));
    Ok([("framevisor.yml".to_owned(), topology)].into_iter().chain(program).collect())
}

/// With the versions of packages that framevisor itself was built with: those are here already.
fn rust(sources: &Path, fill: impl Fn(&str) -> String) -> Result<Vec<Draft>, CliError> {
    let lock = sources.join("Cargo.lock");
    let locked =
        fs::read_to_string(&lock).map_err(|source| CliError::Read { path: lock, source })?;
    let manifest = fill(include_str!("templates/analyzer/cargo.toml"));
    let manifest = manifest.replace("{sources}", &sources.display().to_string());
    Ok(vec![
        ("Cargo.toml".to_owned(), manifest),
        ("Cargo.lock".to_owned(), locked),
        ("src/main.rs".to_owned(), fill(include_str!("templates/analyzer/main.rs"))),
    ])
}

/// As `run` has it.
fn command(name: &str, lang: Language) -> String {
    match lang {
        Language::C | Language::Cpp => format!("./{name}"),
        Language::Python => format!("python3, {name}.py"),
        Language::Rust => format!("./target/release/analyzer-{name}"),
    }
}

/// What to type.
fn next(name: &str, dir: &Path, lang: Language) -> String {
    let build = match lang {
        Language::C | Language::Cpp => "make; ",
        Language::Python => "",
        Language::Rust => "cargo build --release; ",
    };
    let dir = dir.display();
    format!(
        "cd {dir}; {build}framevisor up -d --wait; framevisor tap {name}.events --frames 3; framevisor down"
    )
}

/// What is missing here for it to run, and how to come by it.
fn lack(lang: Language, sources: Option<&Path>) -> Option<String> {
    let script = |name: &str| match sources {
        Some(sources) => sources.join("scripts").join(name).display().to_string(),
        None => format!("scripts/{name}"),
    };
    match lang {
        Language::C | Language::Cpp if !succeeds("pkg-config", &["--exists", "shmring"]) => {
            let script = script("c-path");
            Some(format!("first the C library: export PKG_CONFIG_PATH=$({script})"))
        }
        Language::Python if !succeeds("python3", &["-c", "import numpy, shmring"]) => {
            let script = script("python-path");
            Some(format!(
                "python3 lacks numpy or shmring: install numpy, and export PYTHONPATH=$({script})"
            ))
        }
        Language::Rust if !succeeds("cargo", &["--version"]) => {
            Some("cargo is not installed: https://rustup.rs".to_owned())
        }
        _ => None,
    }
}

/// Python looks for modules beside its program first: `random.py` there breaks numpy.
fn hides_a_module(name: &str) -> bool {
    const HIDES: i32 = 3;
    let script = format!(
        "import sys; sys.exit({HIDES} if sys.argv[1] in {{*sys.stdlib_module_names, 'numpy', 'shmring'}} else 0)"
    );
    let mut command = Command::new("python3");
    command.args(["-c", &script, name]).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status();
    // Without a Python nothing is known, and nothing is hidden yet.
    status.is_ok_and(|status| status.code() == Some(HIDES))
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn source_tree(sources: &Path) -> Result<PathBuf, CliError> {
    let whole = fs::canonicalize(sources)
        .map_err(|source| CliError::Read { path: sources.to_owned(), source })?;
    if is_source_tree(&whole) { Ok(whole) } else { Err(CliError::NoSources) }
}

/// Nobody need have kept them.
fn built_from() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.filter(|root| is_source_tree(root)).map(Path::to_owned)
}

fn is_source_tree(root: &Path) -> bool {
    root.join("shmring/Cargo.toml").is_file() && root.join("Cargo.lock").is_file()
}

/// All of them, or none where one is there already.
fn write(dir: &Path, drafts: &[Draft]) -> Result<(), CliError> {
    let there = drafts.iter().map(|(file, _)| dir.join(file)).find(|path| path.exists());
    if let Some(path) = there {
        return Err(CliError::Taken { path });
    }
    for (file, text) in drafts {
        let path = dir.join(file);
        create(&path, text).map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => CliError::Taken { path },
            _ => CliError::Output { path, source },
        })?;
    }
    Ok(())
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    const ALL: [Language; 4] = [Language::C, Language::Cpp, Language::Python, Language::Rust];

    fn root() -> PathBuf {
        built_from().unwrap()
    }

    #[test]
    fn every_topology_runs_the_program_beside_it_on_a_camera() {
        for lang in ALL {
            let drafts = drafts("my-counter", lang, Some(&root())).unwrap();
            let (_, text) = &drafts[0];
            let file = "/srv/my-counter/framevisor.yml".as_ref();
            let topology = topology::parse(text, file, &Overrides::default());
            let topology = topology.unwrap_or_else(|report| panic!("{lang:?}: {report}"));
            let worker = topology.workers.iter().find(|it| it.name.as_str() == "my-counter");
            let inputs = &worker.unwrap().inputs;
            assert_eq!(inputs.iter().map(|it| it.as_str()).collect::<Vec<_>>(), ["cam1.frames"]);
            assert_eq!(topology::schema_refusal(text), None, "{lang:?}");
        }
    }

    #[test]
    fn an_analyzer_may_be_called_like_the_camera_of_the_others() {
        for name in ["cam1", "cam1-decoder"] {
            let drafts = drafts(name, Language::Python, None).unwrap();
            let (_, text) = &drafts[0];
            let file = "/srv/mine/framevisor.yml".as_ref();
            let topology = topology::parse(text, file, &Overrides::default());
            let topology = topology.unwrap_or_else(|report| panic!("{name}: {report}"));
            let worker = topology.workers.iter().find(|it| it.name.as_str() == name).unwrap();
            assert_eq!(worker.inputs[0].as_str(), "camera.frames");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for lang in ALL {
            for (file, text) in drafts("mine", lang, Some(&root())).unwrap() {
                for gap in ["{name}", "{command}", "{sources}"] {
                    assert!(!text.contains(gap), "{file}: {gap}");
                }
            }
        }
    }

    #[test]
    fn a_name_may_not_name_a_part_of_a_worker() {
        assert!(plain_name("counter").is_ok());
        for wrong in ["counter/pipe", "Counter", ""] {
            assert!(plain_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rust_needs_the_sources_and_no_other_language_does() {
        for lang in ALL {
            assert_eq!(drafts("mine", lang, None).is_err(), lang == Language::Rust, "{lang:?}");
        }
        assert!(source_tree(Path::new("/dev")).is_err());
    }
}
