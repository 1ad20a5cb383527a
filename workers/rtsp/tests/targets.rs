//! Promise: the targets of the fuzzer hold on the stable toolchain: on every file of their corpora, whole and
//! cut at every byte, and on what `scripts/fuzz rtsp` makes of these.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;

/// What the fuzzer begins with, and what it once found, by the names of the targets.
fn corpus() -> Vec<(&'static str, PathBuf, Vec<u8>)> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for (name, _) in targets::TARGETS {
        let folder = own.join("fuzz/corpus").join(name);
        let paths = folder.read_dir().unwrap_or_else(|_| panic!("{}", folder.display()));
        let paths = paths.map(|entry| entry.unwrap().path());
        all.extend(paths.map(|path| (name, path.clone(), std::fs::read(path).unwrap())));
    }
    all.sort();
    all
}

#[test]
fn every_target_holds_on_its_corpus_whole_and_cut_at_every_byte() {
    let files = corpus();
    for (name, _) in targets::TARGETS {
        assert!(files.iter().any(|(own, ..)| *own == name), "{name} has nothing to begin with");
    }
    for (name, path, bytes) in files {
        println!("{name}: {}", path.display());
        (0..=bytes.len()).for_each(|length| targets::run(name, &bytes[..length]));
    }
}

proptest! {
    #[test]
    fn every_target_holds_on_changed_files_of_its_corpus(
        file in any::<prop::sample::Index>(), length in any::<prop::sample::Index>(),
        scribbles in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        tail in vec(any::<u8>(), 0..24),
    ) {
        let files = corpus();
        let (name, _, bytes) = &files[file.index(files.len())];
        let mut bytes = bytes[..=length.index(bytes.len())].to_vec();
        for (at, value) in scribbles {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.extend(tail);
        targets::run(name, &bytes);
    }

    #[test]
    fn every_target_holds_on_any_bytes(
        target in 0..targets::TARGETS.len(), bytes in vec(any::<u8>(), 0..300),
    ) {
        (targets::TARGETS[target].1)(&bytes);
    }
}
