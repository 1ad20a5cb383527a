//! Shell scripts are looked through by shellcheck, where it is installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tests::project::source_root;

/// Those that begin as one, and what they read.
fn scripts() -> Vec<PathBuf> {
    let files = ["scripts", "scripts/lib"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(source_root().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    });
    let is_shell = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        path.extension().is_some_and(|end| end == "sh") || text.starts_with("#!/usr/bin/env bash")
    };
    files.filter(is_shell).collect()
}

#[test]
fn shellcheck_finds_no_error_in_any_script() {
    let scripts = scripts();
    assert!(scripts.len() > 10, "only {} scripts", scripts.len());
    let mut check = Command::new("shellcheck");
    check
        .args(["--shell=bash", "--severity=error", "--external-sources"])
        .current_dir(source_root());
    let Ok(checked) = check.args(&scripts).output() else {
        println!("skipped: shellcheck is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn bash_takes_every_script() {
    for script in scripts() {
        let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {said}", script.display());
    }
}
