//! A driver that is none, for tests on machines without a device: `fake/libcuda.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("../fake/libcuda.c");

/// Compiles it into `folder`, under the name that FFmpeg looks for, too.
///
/// # Panics
/// Without a C compiler (`$CC`, else `cc`).
pub fn build(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("libcuda.c"), folder.join("libcuda.so.1"));
    fs::write(&source, SOURCE).expect("the folder can be written");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-std=gnu11", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"]);
    command.arg(&library).arg(&source).arg("-lpthread");
    assert!(command.status().expect("a C compiler").success(), "the fake driver does not compile");
    library
}
