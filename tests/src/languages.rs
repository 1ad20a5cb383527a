//! What `framevisor new analyzer` writes, made to run: in each language, with the tools that are here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checks::python::{python, python_path};
use crate::project::{Project, source_root};
use crate::{Failure, Outcome, ensure};

/// What a language needs beside the folder that `new` writes.
#[derive(Debug)]
pub struct Tools {
    /// Run in the folder before `up`.
    pub build: Option<Command>,
    /// For `up`, and so for the program that it runs.
    pub environment: Vec<(&'static str, String)>,
}

/// What there is, or why the language is passed over here.
pub type Found = Outcome<Result<Tools, String>>;

impl Tools {
    /// Builds the program in its folder, where it has to be built.
    pub fn make(&mut self, folder: &Path) -> Outcome<()> {
        let Some(build) = &mut self.build else { return Ok(()) };
        let output = build.current_dir(folder).output().map_err(Failure::new)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success(), || format!("{build:?}: {}\n{said}", output.status))
    }
}

/// With `python3` as the interpreter of the tests, in a folder below this one.
pub fn of_python(folder: &Path) -> Found {
    if !succeeds(&python(), &["-c", "import numpy"]) {
        return Ok(Err(format!("{} has no numpy", python())));
    }
    let programs = folder.join("bin");
    fs::create_dir(&programs).map_err(Failure::new)?;
    symlink(python(), programs.join("python3")).map_err(Failure::new)?;
    let path = format!("{}:{}", programs.display(), search_path());
    Ok(Ok(Tools { build: None, environment: vec![("PATH", path), ("PYTHONPATH", python_path()?)] }))
}

/// C and C++.
pub fn with_make(compiler: &str) -> Found {
    for program in ["make", "pkg-config", compiler] {
        if !succeeds(program, &["--version"]) {
            return Ok(Err(format!("there is no {program}")));
        }
    }
    let mut build = Command::new("make");
    build.env("PKG_CONFIG_PATH", c_path()?);
    Ok(Ok(Tools { build: Some(build), environment: Vec::new() }))
}

/// What a user types, with the packages that are here; what it makes lies in `target`.
pub fn of_rust(target: &Path) -> Found {
    if !succeeds("cargo", &["--version"]) {
        return Ok(Err("there is no cargo".to_owned()));
    }
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--offline", "--quiet", "--target-dir"]).arg(target);
    build.env_remove("CARGO_TARGET_DIR");
    Ok(Ok(Tools { build: Some(build), environment: Vec::new() }))
}

pub fn search_path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

/// The folder of the C library's pkg-config file.
fn c_path() -> Outcome<String> {
    let output =
        Command::new(source_root().join("scripts/c-path")).output().map_err(Failure::new)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("scripts/c-path: {}\n{said}", output.status))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// The files of `framevisor new`, beside which the project's own name is all that is added. The analyzer is
/// called `mine`.
pub fn made(project: &Project, language: &str) -> Outcome<Vec<PathBuf>> {
    fs::remove_file(project.file()).map_err(Failure::new)?;
    let dir = project.dir().to_string_lossy().into_owned();
    let sources = source_root().to_string_lossy().into_owned();
    let arguments =
        ["new", "analyzer", "mine", "--lang", language, "--dir", &dir, "--sources", &sources];
    project.succeed(&arguments)?;
    let topology = fs::read_to_string(project.file()).map_err(Failure::new)?;
    project.write_topology(&topology)?;
    let entries = fs::read_dir(project.dir()).map_err(Failure::new)?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}
