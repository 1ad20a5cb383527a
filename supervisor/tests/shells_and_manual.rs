//! Completions and the manual page are what shells and man take.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::text;

fn framevisor(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_framevisor")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What a program says of `input`; `None` when this machine does not have it.
fn judged_by(program: &[&str], input: &str) -> Option<(bool, String)> {
    let started = Command::new(program[0])
        .args(&program[1..])
        .env("MANROFFOPT", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        println!("skipped: there is no {} here", program[0]);
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeding = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program that refuses early closes its end: its status tells.
    let _ = feeding.join().unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    Some((output.status.success(), said))
}

#[test]
fn completions_know_every_verb_and_their_shells_take_them() {
    for shell in ["bash", "zsh", "fish"] {
        let script = framevisor(&["completion", shell]);
        for verb in ["events", "restart", "why", "rings", "hz", "gc", "dump", "tap"] {
            assert!(script.contains(verb), "{shell} does not know {verb}");
        }
        assert!(!script.is_empty());
        if let Some((taken, said)) = judged_by(&[shell, "-n"], &script) {
            assert!(taken, "{shell}: {said}");
        }
    }
}

#[test]
fn the_manual_page_is_taken_by_man_and_mandoc() {
    let page = framevisor(&["man"]);
    assert!(page.contains(".TH framevisor"), "{page}");
    if let Some((taken, shown)) = judged_by(&["man", "-l", "-"], &page) {
        assert!(taken && shown.contains("FRAMEVISOR WHY"), "{shown}");
    }
    if let Some((taken, said)) = judged_by(&["mandoc", "-T", "lint", "-W", "error"], &page) {
        assert!(taken, "{said}");
    }
}

#[test]
fn bash_loads_the_completions_and_completes_a_verb() {
    let script = framevisor(&["completion", "bash"]);
    // What bash does at a Tab behind `framevisor eve`.
    let tab = "\ncomplete -p framevisor\nCOMP_WORDS=(framevisor eve) COMP_CWORD=1\n\
               _framevisor framevisor eve framevisor\necho \"offers ${COMPREPLY[*]}\"\n";
    if let Some((done, said)) = judged_by(&["bash", "--norc"], &(script + tab)) {
        assert!(done && said.contains("offers events"), "{said}");
        assert!(said.contains("-F _framevisor"), "{said}");
    }
}
