//! A disk that is full, for whoever runs this: a limit on the length of files stands for it, which needs no file
//! system of one's own and no rights.

use std::process::Command;

use protocol::admin::WorkerState;
use protocol::name::RingKind;
use serde_json::json;
use tests::project::Project;
use tests::{Failure, Outcome, ensure, recordings, wait_for};

use crate::first_light::holds;

const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=10&gop=10'}
  rec: {use: recorder, in: cam1.packets, dir: '{dir}/recordings'}
";

#[test]
fn a_recorder_that_may_write_no_more_says_so_and_loses_nothing_when_it_may_again() {
    holds(|| {
        let project = Project::new(TOPOLOGY)?;
        project.up()?;
        wait_for(60, "two seconds in the files", || (recorded(&project) > 20).then_some(()))?;
        let pid = project.pid("rec")?;
        limit(pid, "0:")?;
        let told = || {
            let worker = project.worker("rec").ok()?;
            let is_told = worker.state == WorkerState::Degraded && worker.why.contains("disk full");
            is_told.then_some(worker.why)
        };
        let (why, _) = wait_for(60, "the recorder to say that the disk is full", told)?;
        let (full, head) = (recorded(&project), project.heads(RingKind::Packets));
        // The ring holds far more than these.
        let goes_on = || (project.heads(RingKind::Packets) > head + 20).then_some(());
        wait_for(60, "pictures that nobody may write", goes_on)?;
        let meanwhile = recorded(&project);
        ensure(meanwhile == full, || format!("{meanwhile} packets written, {full} before"))?;
        limit(pid, "unlimited:")?;
        let caught_up = || (recorded(&project) as u64 > head + 20).then_some(());
        wait_for(60, "the recorder to catch up", caught_up)?;
        ensure(project.pid("rec")? == pid, || "the recorder died of it".to_owned())?;
        project.down()?;
        let packets = recordings::packets(&project.recordings(), "cam1")?;
        let ends = packets.first().zip(packets.last());
        let ((epoch, first), (last_epoch, last)) = ends.ok_or_else(|| Failure::new("nothing"))?;
        let expected = last - first + 1;
        ensure(epoch == last_epoch && *first == 1 && packets.len() as u64 == expected, || {
            format!("{} packets from {first} to {last}", packets.len())
        })?;
        project.succeed(&["recordings", "verify"])?;
        Ok(json!({"why": why, "packets": expected}))
    });
}

fn recorded(project: &Project) -> usize {
    recordings::packets(&project.recordings(), "cam1").map_or(0, |packets| packets.len())
}

/// Sets the soft limit on the length of its files.
fn limit(pid: u32, bytes: &str) -> Outcome<()> {
    let (pid, size) = (pid.to_string(), format!("--fsize={bytes}"));
    let status = Command::new("prlimit").args(["--pid", &pid, &size]).status();
    let is_set = status.map_err(Failure::new)?.success();
    ensure(is_set, || format!("prlimit --pid {pid} {size}"))
}
