//! Runs the tests of this folder that are written in Python, in an interpreter that imports the
//! library just built.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo put the library and the examples: this program is `<folder>/deps/python-<hash>`.
fn built() -> PathBuf {
    let program = env::current_exe().expect("a test has a path");
    program.parent().and_then(Path::parent).expect("cargo puts tests in a folder").to_owned()
}

/// The module, and the writers its tests read from: for a test alone cargo builds neither a library to
/// load nor the examples of another package.
fn build() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "-p",
        "shmring-python",
        "-p",
        "shmring",
        "-p",
        "shmring-cuda",
        "--lib",
        "--examples",
    ]);
    cargo.env("CARGO_TARGET_DIR", built().parent().expect("cargo has a folder a profile"));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "module and examples do not build");
}

/// `$PYTHON`, else the system's, which has the system's numpy.
fn interpreter() -> PathBuf {
    let system = Path::new("/usr/bin/python3");
    let fallback = if system.exists() { system } else { Path::new("python3") };
    env::var_os("PYTHON").map_or_else(|| fallback.to_owned(), PathBuf::from)
}

/// The package as `scripts/python-path` lays it out: sources and library side by side.
fn lay_out(folder: &Path) -> std::io::Result<()> {
    let package = folder.join("shmring");
    fs::create_dir(&package)?;
    symlink(built().join("libshmring_py.so"), package.join("_native.abi3.so"))?;
    for source in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("shmring"))? {
        let source = source?;
        symlink(source.path(), package.join(source.file_name()))?;
    }
    Ok(())
}

#[test]
fn the_python_tests_pass() {
    build();
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path()).unwrap();
    let driver = shmring_cuda::fake::build(folder.path());
    let status = Command::new(interpreter())
        .args(["-B", "-m", "unittest", "discover"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
        .env("PYTHONPATH", folder.path())
        .env("FRAMEVISOR_LIBCUDA", driver)
        .env("SHMRING_EXAMPLES", built().join("examples"))
        // For `scripts/wheel` and `scripts/python-path`, which then find everything built.
        .env("CARGO_TARGET_DIR", built().parent().expect("cargo has a folder a profile"))
        .env("FRAMEVISOR_PROFILE", if cfg!(debug_assertions) { "dev" } else { "release" })
        .status()
        .expect("Python runs (Debian: apt install python3 python3-numpy)");
    assert!(status.success(), "see the report of unittest above");
}
