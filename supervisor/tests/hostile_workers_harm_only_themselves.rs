//! A worker that prints without end; what others do to their control link is in `faults.rs`.

use std::time::Duration;

use shmring::clock;

use crate::harness::{Project, wait_for};

#[test]
fn a_worker_that_prints_without_end_waits_for_its_reader() {
    let mut project = Project::new("  spam: {run: [yes, spam]}\n");
    project.up();
    let pid = project.pid("spam");
    let written_bytes = || {
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        let count = io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
        count.parse::<u64>().unwrap()
    };
    wait_for("some output", || written_bytes() > 1 << 20);
    let began = clock::mono();
    let before = written_bytes();
    std::thread::sleep(Duration::from_secs(1));
    // Its reader may not have been scheduled in that second.
    wait_for("more output", || written_bytes() - before > 1 << 16);
    let more = written_bytes() - before;
    let took = clock::mono().saturating_since(began);
    // Unhindered it is a hundred times as much.
    let most = (16 << 20) * took.as_millis() / 1000;
    assert!(u128::from(more) < most, "{more} bytes in {took:?}");
}
