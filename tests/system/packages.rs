//! `scripts/package`: a Debian package that installs, runs from where it is installed, and goes without a
//! trace. Installed into a folder, so that this machine stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;

use tests::project::{binary, source_root};
use tests::{Failure, Outcome, ensure};

use crate::first_light::ONE_AT_A_TIME;

/// What must be in it beside the programs of workers.
const FILES: &[&str] = &[
    "usr/bin/framevisor",
    "usr/lib/systemd/system/framevisor@.service",
    "usr/share/bash-completion/completions/framevisor",
    "usr/share/doc/framevisor/copyright",
    "usr/share/doc/framevisor/docs/topology.md",
    "usr/share/doc/framevisor/scripts/examples/mean.py",
    "usr/share/man/man1/framevisor.1.gz",
    "usr/share/zsh/vendor-completions/_framevisor",
];
const WORKERS: &[&str] = &[
    "compositor",
    "decoder",
    "detect",
    "discover",
    "encoder",
    "export",
    "ingest",
    "mixer",
    "motion",
    "notify",
    "pipe",
    "recorder",
    "replay",
    "rtsp",
    "rtsp-push",
    "rules",
    "uploader",
    "web",
];

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn succeed(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| Failure(format!("{command:?}: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("{command:?}: {}\n{said}", output.status))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_package_installs_runs_and_goes_without_a_trace() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root || Command::new("dpkg-deb").arg("--version").output().is_err() {
        println!("skipped: a package is installed by root, with dpkg");
        return;
    }
    let folder = std::env::temp_dir().join(format!("fv-package-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let folder = Folder(folder);
    check(&folder.0).unwrap_or_else(|failure| panic!("{failure}"));
}

fn check(folder: &Path) -> Outcome<()> {
    // What was built for the tests is packed.
    let debug = binary("framevisor");
    let target = debug.parent().and_then(Path::parent).ok_or_else(|| Failure::new("no target"))?;
    let mut package = Command::new(source_root().join("scripts/package"));
    package.args(["--profile", "dev", "--no-build", "--out"]).arg(folder);
    let told = succeed(package.env("CARGO_TARGET_DIR", target))?;
    let file = told.trim();

    let root = folder.join("root");
    let admin = root.join("var/lib/dpkg");
    for path in ["updates", "info", "triggers"] {
        fs::create_dir_all(admin.join(path)).map_err(Failure::new)?;
    }
    fs::write(admin.join("status"), "").map_err(Failure::new)?;
    let dpkg = || {
        let mut dpkg = Command::new("dpkg");
        let instdir = format!("--root={}", root.display());
        // Its libraries are this machine's, not those of the folder.
        dpkg.args([&instdir, "--force-depends", "--force-script-chrootless", "--log=/dev/null"]);
        dpkg
    };
    succeed(dpkg().args(["--install", file]))?;
    let workers = WORKERS.iter().map(|kind| format!("usr/libexec/framevisor/framevisor-{kind}"));
    for path in FILES.iter().map(|file| (*file).to_owned()).chain(workers) {
        ensure(root.join(&path).is_file(), || format!("{path} is not installed"))?;
    }
    let control = succeed(Command::new("dpkg-deb").args(["--field", file, "Depends"]))?;
    ensure(control.contains("libavcodec") && control.contains("libc6"), || control.clone())?;
    runs(&root, folder)?;
    succeed(dpkg().args(["--purge", "framevisor"]))?;
    ensure(!root.join("usr/bin/framevisor").exists(), || "still there".to_owned())?;
    let left = succeed(Command::new("find").arg(&root).args(["-name", "*framevisor*"]))?;
    ensure(left.is_empty(), || format!("left behind: {left}"))
}

/// The command finds its workers where the package puts them: doctor asks one.
fn runs(root: &Path, folder: &Path) -> Outcome<()> {
    let mut doctor = Command::new(root.join("usr/bin/framevisor"));
    doctor.args(["doctor", "-o", "json"]).current_dir(folder).env_remove("FRAMEVISOR_LIBEXEC");
    let output = doctor.output().map_err(Failure::new)?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: serde_json::Value = serde_json::from_str(&told).map_err(Failure::new)?;
    let rows = report["checks"].as_array().into_iter().flatten();
    let codecs = rows.clone().find(|row| row["check"] == "codecs");
    ensure(codecs.is_some_and(|row| row["verdict"] == "ok"), || told.clone())?;
    // What they name is installed beside them: a program, a model.
    for example in ["python-analyzer.yml", "detect.yml"] {
        let topology = root.join("usr/share/doc/framevisor/scripts/topologies").join(example);
        let mut check = Command::new(root.join("usr/bin/framevisor"));
        succeed(check.arg("-f").arg(topology).arg("check"))?;
    }
    Ok(())
}
