//! Every example topology is accepted as it stands.

use std::process::Command;

use tests::project::{binary, source_root};

#[test]
fn every_example_topology_is_accepted_by_check() {
    let folder = source_root().join("scripts/topologies");
    let files: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let topologies: Vec<_> =
        files.iter().filter(|path| path.extension().is_some_and(|e| e == "yml")).collect();
    assert!(!topologies.is_empty());
    for topology in topologies {
        let recordings = std::env::temp_dir();
        let check = Command::new(binary("framevisor"))
            .arg("-f")
            .arg(topology)
            .arg("check")
            .env("FRAMEVISOR_RECORDINGS", recordings)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{}: {said}", topology.display());
    }
}
