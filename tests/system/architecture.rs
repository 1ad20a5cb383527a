//! The arrows of the design, the fence around unsafe code, and the packages we build on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::project::source_root;

/// Who may import whom, of our own crates. A new crate needs a line here and a reason in
/// docs/architecture.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("shmring", &["protocol"]),
    ("shmring-c", &["protocol", "shmring"]),
    ("shmring-cuda", &["shmring"]),
    ("shmring-python", &["protocol", "shmring", "shmring-cuda"]),
    ("spawn", &["protocol"]),
    ("framevisor-client", &["protocol"]),
    ("supervisor", &["protocol", "shmring", "spawn", "framevisor-client"]),
    ("worker", &["protocol", "shmring", "spawn"]),
    ("bitstream", &["protocol"]),
    ("media", &["protocol", "shmring-cuda", "bitstream"]),
    ("fmp4", &["protocol", "bitstream"]),
    ("ingest", &["protocol", "shmring", "worker", "bitstream", "media"]),
    ("compositor", &["protocol", "shmring", "worker", "media"]),
    (
        "decoder",
        &["protocol", "shmring", "shmring-cuda", "worker", "bitstream", "media", "tensors"],
    ),
    ("encoder", &["protocol", "shmring", "shmring-cuda", "worker", "media"]),
    ("mixer", &["protocol", "shmring", "worker", "media"]),
    ("recordings", &["protocol", "fmp4"]),
    ("matching", &["protocol"]),
    ("recorder", &["protocol", "shmring", "worker", "fmp4", "recordings", "matching"]),
    ("rules", &["protocol", "shmring", "worker", "matching", "stills"]),
    ("replay", &["protocol", "shmring", "worker", "recordings"]),
    ("access", &["protocol"]),
    ("lobby", &["protocol", "access"]),
    ("xml", &[]),
    (
        "rtsp",
        &["protocol", "shmring", "worker", "bitstream", "access", "lobby", "recordings", "xml"],
    ),
    ("rtsp-push", &["protocol", "shmring", "worker", "bitstream", "media"]),
    (
        "web",
        &[
            "protocol",
            "shmring",
            "worker",
            "fmp4",
            "recordings",
            "access",
            "lobby",
            "framevisor-client",
            "stills",
            "whep",
        ],
    ),
    ("stills", &["protocol", "shmring"]),
    ("whep", &["protocol", "shmring", "worker", "bitstream"]),
    ("motion", &["protocol", "shmring", "worker"]),
    ("tensors", &["protocol"]),
    ("detect", &["protocol", "shmring", "worker", "tensors"]),
    ("pipe", &["protocol", "shmring", "worker", "bitstream"]),
    ("https", &["protocol"]),
    ("uploader", &["protocol", "shmring", "worker", "recordings", "https"]),
    ("notify", &["protocol", "shmring", "worker", "https", "framevisor-client"]),
    ("discover", &["protocol", "shmring", "worker", "https", "xml"]),
    ("export", &["protocol", "worker", "media", "fmp4", "recordings"]),
    ("tests", &["protocol", "shmring", "shmring-cuda", "worker", "fmp4", "recordings"]),
];

/// Where `unsafe` may stand.
const UNSAFE_FENCE: &[&str] = &["shmring/", "supervisor/spawn/", "workers/media/"];

/// The packages the project is built on, each with words of a real use.
const PACKAGES: &[(&str, &str)] = &[
    ("shared_memory", "ShmemConf::new()"),
    ("nix", "posix_fallocate("),
    ("ipc-channel", "IpcOneShotServer::"),
    ("ffmpeg-next", "ffmpeg_next::"),
    ("serde", "Serialize"),
    ("bincode", "bincode::DefaultOptions"),
    ("signal-hook", "signal_hook::"),
    ("clap", "clap::"),
    ("tracing", "tracing::"),
];

#[test]
fn imports_follow_the_arrows() {
    for (package, imports) in our_dependencies() {
        let allowed = ARROWS.iter().find(|(name, _)| *name == package);
        let (_, allowed) =
            allowed.unwrap_or_else(|| panic!("crate {package} has no line in ARROWS"));
        for import in imports {
            assert!(
                allowed.contains(&import.as_str()),
                "{package} imports {import}: not an arrow of the design"
            );
        }
    }
}

#[test]
fn unsafe_code_stays_inside_its_fence() {
    // Put together here, so that this file has none of them.
    let uses = ["{", "fn", "impl", "extern"].map(|what| ["unsafe", what].join(" "));
    for file in rust_files() {
        let path = relative(&file);
        if UNSAFE_FENCE.iter().any(|fence| path.starts_with(fence)) {
            continue;
        }
        for (number, line) in code_lines(&file) {
            let outside = uses.iter().any(|word| line.contains(word));
            assert!(!outside, "{path}:{number}: unsafe outside its fence");
        }
    }
}

#[test]
fn ffmpeg_is_named_by_the_media_crate_alone() {
    for file in rust_files() {
        let path = relative(&file);
        let names_it = fs::read_to_string(&file).unwrap().contains("ffmpeg_next");
        assert!(
            !names_it || path.starts_with("workers/media") || path.ends_with("architecture.rs"),
            "{path}"
        );
    }
}

#[test]
fn each_named_package_is_a_direct_dependency_with_a_call_site() {
    let direct: Vec<String> = metadata()["packages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|package| package["dependencies"].as_array().unwrap().clone())
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect();
    let sources: Vec<String> = rust_files()
        .iter()
        .filter(|file| !relative(file).starts_with("tests/"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for (package, call) in PACKAGES {
        assert!(direct.iter().any(|name| name == package), "{package} is no direct dependency");
        assert!(
            sources.iter().any(|source| source.contains(call)),
            "{package}: no call site '{call}'"
        );
    }
}

#[test]
fn the_supervisor_and_the_runtime_forbid_unsafe_code() {
    for root in [
        "supervisor/src/lib.rs",
        "workers/runtime/src/lib.rs",
        "protocol/src/lib.rs",
        "workers/bitstream/src/lib.rs",
        "workers/fmp4/src/lib.rs",
        "workers/recordings/src/lib.rs",
        "workers/matching/src/lib.rs",
        "workers/stills/src/lib.rs",
    ] {
        let text = fs::read_to_string(source_root().join(root)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root}");
    }
}

#[test]
fn the_top_level_is_the_prescribed_one() {
    for name in [
        "Cargo.toml",
        "supervisor",
        "workers",
        "shmring",
        "protocol",
        "scripts",
        "tests",
        "README.md",
        "docs",
    ] {
        assert!(source_root().join(name).exists(), "{name} is missing");
    }
    for name in [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "CHANGELOG.md",
        "clippy.toml",
        "rustfmt.toml",
        "deny.toml",
    ] {
        assert!(source_root().join(name).exists(), "{name} is missing");
    }
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(source_root())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Our crates with the crates of ours that they import, tests of a crate apart.
fn our_dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: Vec<&str> =
        packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let imports = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let real = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
        let names = real.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
        names.filter(|name| ours.contains(&name.as_str())).collect()
    };
    packages
        .iter()
        .map(|package| (package["name"].as_str().unwrap().to_owned(), imports(package)))
        .collect()
}

fn rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["protocol", "shmring", "supervisor", "workers", "tests"] {
        collect(&source_root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn relative(file: &Path) -> String {
    file.strip_prefix(source_root()).unwrap().display().to_string()
}

/// Numbered lines without comments.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(|(number, line)| (number + 1, line.to_owned())).collect()
}
