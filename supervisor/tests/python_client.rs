//! The Python control module, by its own tests, against the command just built.

use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_tests_of_the_python_control_module_pass() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let status = Command::new(interpreter())
        .args(["-B", "-m", "unittest", "discover", "--start-directory"])
        .arg(package.join("tests"))
        .env("PYTHONPATH", &package)
        .env("FRAMEVISOR", env!("CARGO_BIN_EXE_framevisor"))
        .status()
        .expect("Python runs (Debian: apt install python3)");
    assert!(status.success(), "see the report of unittest above");
}

/// `$PYTHON`, else the system's.
fn interpreter() -> PathBuf {
    let system = Path::new("/usr/bin/python3");
    let fallback = if system.exists() { system } else { Path::new("python3") };
    std::env::var_os("PYTHON").map_or_else(|| fallback.to_owned(), PathBuf::from)
}
