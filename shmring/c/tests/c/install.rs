//! scripts/c-install puts the library where a packager or an administrator says.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::tools::{Project, compile_with, pkg_config, script, text};

#[test]
fn an_installed_library_is_found_by_pkg_config_and_the_loader() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let prefix = folder.path().join("opt");
    text(script("c-install").arg(&prefix).output().unwrap());
    let words = pkg_config(&prefix.join("lib/pkgconfig"), &["--cflags", "--libs"]);
    assert!(!words.iter().any(|word| word.contains("rpath")), "{words:?}");
    let program = compile_with("tests/programs/round_trip.c", folder.path(), &words);
    let mut run = Command::new(program);
    run.arg(project.as_str()).env("LD_LIBRARY_PATH", prefix.join("lib"));
    assert_eq!(text(run.output().unwrap()), "all as expected\n");
    let header = fs::symlink_metadata(prefix.join("include/shmring.h")).unwrap();
    assert!(header.is_file(), "an installed header does not lead back to the sources");
}

#[test]
fn destdir_is_where_it_lies_and_the_prefix_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut install = script("c-install");
    install.arg("/usr").env("DESTDIR", folder.path()).env("LIBDIR", "/usr/lib/x86_64-linux-gnu");
    text(install.output().unwrap());
    let libraries = folder.path().join("usr/lib/x86_64-linux-gnu");
    let pc = fs::read_to_string(libraries.join("pkgconfig/shmring.pc")).unwrap();
    assert!(
        pc.contains("prefix=/usr\n") && pc.contains("libdir=/usr/lib/x86_64-linux-gnu\n"),
        "{pc}"
    );
    assert!(pc.contains(concat!("Version: ", env!("CARGO_PKG_VERSION"), "\n")), "{pc}");
    assert_eq!(
        fs::read_link(libraries.join("libshmring.so")).unwrap().to_str(),
        Some("libshmring.so.0")
    );
    assert!(libraries.join("libshmring.a").exists() && libraries.join("libshmring.so.0").exists());
}

#[test]
fn a_program_that_runs_keeps_its_library_when_another_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let libraries = folder.path().join("lib");
    fs::create_dir(&libraries).unwrap();
    fs::write(folder.path().join("before"), "the library before").unwrap();
    // A file that is written over would change under the program that maps it.
    fs::hard_link(folder.path().join("before"), libraries.join("libshmring.so.0")).unwrap();
    symlink("libshmring.so.0", libraries.join("libshmring.so")).unwrap();
    text(script("c-install").arg(folder.path()).output().unwrap());
    assert_eq!(fs::read_to_string(folder.path().join("before")).unwrap(), "the library before");
    assert!(fs::metadata(libraries.join("libshmring.so")).unwrap().len() > 100_000);
}

#[test]
fn a_prefix_that_is_no_full_path_is_refused() {
    let refused = script("c-install").arg("here").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("expected a full path"));
}
