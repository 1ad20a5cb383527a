//! A worker that prints without end; what others do to their control link is in `faults.rs`.

use std::time::Duration;

use crate::harness::{Project, wait_for};

#[test]
fn a_worker_that_prints_without_end_waits_for_its_reader() {
    let mut project = Project::new("  spam: {run: [yes, spam]}\n");
    project.up();
    let written_bytes = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", project.pid("spam"))).unwrap();
        let count = io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
        count.parse::<u64>().unwrap()
    };
    wait_for("some output", || written_bytes() > 1 << 20);
    let before = written_bytes();
    std::thread::sleep(Duration::from_secs(1));
    // Unhindered it is a hundred times as much.
    let more = written_bytes() - before;
    assert!(more < 16 << 20, "{more} bytes in a second");
    assert!(more > 1 << 16, "{more} bytes in a second");
}
