//! docs/c.md tells of every call, and its programs are programs.

use std::fs;
use std::process::Command;

use protocol::stream::PixelFormat;

use crate::header;
use crate::tools::{Project, Running, compile, root};

fn page() -> String {
    fs::read_to_string(root().join("docs/c.md")).unwrap()
}

/// The program of the page in this language.
fn program(language: &str) -> String {
    let page = page();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn every_call_and_every_error_is_on_the_page() {
    let page = page();
    let told = |name: &str| page.contains(&format!("`{name}"));
    let silent: Vec<String> = header::functions()
        .into_iter()
        .chain(header::errors())
        .filter(|name| !told(name))
        .collect();
    assert!(silent.is_empty(), "docs/c.md is silent on {silent:?}");
}

#[test]
fn the_first_program_of_the_page_tells_the_brightness_of_each_picture() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    let source = folder.path().join("mean.c");
    fs::write(&source, program("c")).unwrap();
    let program = compile(source.to_str().unwrap(), folder.path());
    painter.paint((8, 6), PixelFormat::Yuv420p, |_, _, _| 40);
    // Line by line, as on a terminal.
    let mut command = Command::new("stdbuf");
    command.arg("-oL").arg(program).arg("cam1.frames");
    command.env("FRAMEVISOR_PROJECT", project.as_str());
    let mut running = Running::start(&mut command);
    assert_eq!(running.line(), "40");
    painter.paint((9, 7), PixelFormat::Nv12, |_, x, _| if x == 0 { 90 } else { 0 });
    assert_eq!(running.line(), "10");
}

#[test]
fn the_program_of_the_page_in_cpp_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("sizes.cpp");
    fs::write(&source, program("cpp")).unwrap();
    compile(source.to_str().unwrap(), folder.path());
}
