//! A disk that is full, slow, failing or gone, under a project that runs on it: told, waited for, over by
//! itself, and nothing is lost that the ring holds. What this user or machine cannot have is skipped, and
//! says why.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::{WorkerState, WorkerStatus};
use serde_json::{Value, json};

use super::SIZE;
use super::recording::every_file_plays;
use crate::disks::{Frozen, Here, Injected, Mount};
use crate::framecode::Run;
use crate::processes::{self, Pauses};
use crate::project::{Project, free_port};
use crate::recordings::{self, Balance};
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, ffmpeg, wait_for};

/// A camera that is recorded and served.
struct Recorded {
    // Unmounted before the project's folder goes.
    disk: Option<Mount>,
    project: Project,
    witness: Witness,
    rtsp_url: String,
}

impl Recorded {
    /// `disk` makes the file system at the place of the recordings.
    fn start(disk: impl FnOnce(&Project) -> Here<Option<Mount>>) -> Outcome<Here<Self>> {
        let port = free_port()?;
        let project = Project::new(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}}
  recorder:
    use: recorder
    in: cam1.packets
    dir: '{{dir}}/recordings'
    segment: 5s
    restart: {{delay: 0s, limit: none}}
  rtsp: {{use: rtsp, in: cam1.packets, listen: '127.0.0.1:{port}'}}
"
        ))?;
        fs::create_dir(project.recordings()).map_err(Failure::new)?;
        let disk = match disk(&project) {
            Ok(disk) => disk,
            Err(why) => return Ok(Err(why)),
        };
        project.up()?;
        let ring = Project::ring("cam1.packets")?;
        let witness = Witness::start(project.name(), &[ring]);
        let rtsp_url = format!("rtsp://127.0.0.1:{port}/cam1");
        Ok(Ok(Self { disk, project, witness, rtsp_url }))
    }

    /// Until the recorder says that its disk is in this state.
    fn wait_degraded(&self, state: &str) -> Outcome<WorkerStatus> {
        let told = || {
            let status = self.project.worker("recorder").ok()?;
            (status.state == WorkerState::Degraded && status.why.contains(state)).then_some(status)
        };
        Ok(wait_for(60, &format!("ps to say '{state}'"), told)?.0)
    }

    fn wait_running(&self) -> Outcome<()> {
        let runs = || {
            let status = self.project.worker("recorder").ok()?;
            (status.state == WorkerState::Running).then_some(())
        };
        wait_for(60, "the recorder to go on by itself", runs).map(drop)
    }

    /// Frame numbers over RTSP have no hole now.
    fn live_is_exact(&self) -> Outcome<()> {
        let input = ["-rtsp_transport", "tcp", "-i", &self.rtsp_url, "-t", "2"];
        let run = Run::of(&ffmpeg::codes(&input, SIZE.0, SIZE.1)?, None);
        ensure(run.is_exact(), || format!("frame numbers over RTSP: {run:?}"))
    }

    /// All that was captured is in files that play.
    fn finish(self) -> Outcome<Balance> {
        self.project.down()?;
        let folder = self.project.recordings();
        let balance = recordings::balance(&folder, &self.witness.finish())?;
        ensure(balance.lost == 0 && balance.captured > 0, || format!("packets lost: {balance:?}"))?;
        every_file_plays(&folder, "cam1")?;
        let run = ffmpeg::run_of_files(&recordings::files(&folder, "cam1")?, SIZE, None)?;
        ensure(run.is_exact(), || format!("frame numbers: {run:?}"))?;
        drop(self.disk);
        Ok(balance)
    }
}

fn skipped(why: &str) -> Outcome<Value> {
    Ok(json!({ "skipped": why }))
}

/// A small disk fills up and is freed again and again, and the recorder dies while it is full each second
/// time: it says so, viewers notice nothing, and the ring keeps what cannot be written.
pub fn a_disk_fills_up_and_is_freed(rounds: u32, seed: u64) -> Outcome<Value> {
    let small = |project: &Project| Mount::tmpfs(&project.recordings(), "24m").map(Some);
    let recorded = match Recorded::start(small)? {
        Ok(recorded) => recorded,
        Err(why) => return skipped(&why),
    };
    let mut pauses = Pauses::new(seed);
    let ballast = recorded.project.recordings().join("ballast");
    for round in 0..rounds {
        thread::sleep(pauses.below(Duration::from_secs(1)));
        fill(&ballast)?;
        recorded.wait_degraded("disk full")?;
        if round == 0 {
            recorded.live_is_exact()?;
        }
        if round % 2 == 1 {
            let pid = recorded.project.pid("recorder")?;
            processes::signal(pid, Signal::SIGKILL);
            recorded.project.wait_restarted("recorder", pid)?;
        }
        fs::remove_file(&ballast).map_err(Failure::new)?;
        recorded.wait_running()?;
    }
    let balance = recorded.finish()?;
    Ok(json!({ "rounds": rounds, "seed": seed, "packets_captured": balance.captured,
        "packets_lost": balance.lost }))
}

/// Until not a byte is left.
fn fill(ballast: &Path) -> Outcome<()> {
    let mut file = fs::File::create(ballast).map_err(Failure::new)?;
    let block = vec![1; 1 << 16];
    loop {
        match file.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(Failure(format!("{}: {error}", ballast.display()))),
        }
    }
}

/// Writes, syncs and opens of the recorder fail with EIO for a while, again and again.
pub fn a_disk_fails_now_and_then(rounds: u32, seed: u64) -> Outcome<Value> {
    let Ok(recorded) = Recorded::start(|_| Ok(None))? else { return skipped("no disk") };
    let mut pauses = Pauses::new(seed);
    for round in 0..rounds {
        thread::sleep(pauses.below(Duration::from_millis(800)));
        let call = ["write", "fdatasync", "openat"][round as usize % 3];
        let pid = recorded.project.pid("recorder")?;
        match Injected::into(pid, call, "error=EIO") {
            Err(why) => return skipped(&why),
            Ok(injected) => {
                if call != "openat" {
                    recorded.wait_degraded("disk failing")?;
                }
                thread::sleep(pauses.below(Duration::from_millis(800)));
                drop(injected);
            }
        }
        recorded.wait_running()?;
    }
    let restarts = recorded.project.worker("recorder")?.restarts;
    ensure(restarts == 0, || format!("the recorder was started again {restarts} times"))?;
    let balance = recorded.finish()?;
    Ok(json!({ "rounds": rounds, "seed": seed, "packets_captured": balance.captured,
        "packets_lost": balance.lost }))
}

/// A disk that answers nothing for longer than anybody would let a worker stand still: told as slow while it
/// lasts, and the recorder is not killed for it.
pub fn a_disk_hangs(seconds: u64) -> Outcome<Value> {
    let image = |project: &Project| {
        Mount::ext4(&project.dir().join("disk.img"), 64, &project.recordings()).map(Some)
    };
    let recorded = match Recorded::start(image)? {
        Ok(recorded) => recorded,
        Err(why) => return skipped(&why),
    };
    let frozen = match Frozen::new(&recorded.project.recordings()) {
        Ok(frozen) => frozen,
        Err(why) => return skipped(&why),
    };
    let told = recorded.wait_degraded("disk slow: a write took")?;
    recorded.live_is_exact()?;
    thread::sleep(Duration::from_secs(seconds));
    let why = recorded.wait_degraded("wait in the ring")?.why;
    drop(frozen);
    recorded.wait_running()?;
    let restarts = recorded.project.worker("recorder")?.restarts;
    ensure(restarts == 0 && told.pid == recorded.project.worker("recorder")?.pid, || {
        format!("the recorder was started again {restarts} times")
    })?;
    let balance = recorded.finish()?;
    Ok(json!({ "seconds": seconds, "ps_said": why, "packets_captured": balance.captured,
        "packets_lost": balance.lost }))
}

/// The disk is unmounted while it is recorded to: an alarm, nothing is written to the disk beneath, and it
/// goes on by itself, without a hole, when the disk is back.
pub fn a_disk_is_unmounted_and_comes_back() -> Outcome<Value> {
    let disk_of = |project: &Project| project.dir().join("disk");
    let mut beneath = None;
    let bound = |project: &Project| {
        let disk = disk_of(project);
        fs::create_dir(&disk).map_err(|error| error.to_string())?;
        beneath = Some(Mount::tmpfs(&disk, "24m")?);
        Mount::bind(&disk, &project.recordings()).map(Some)
    };
    let mut recorded = match Recorded::start(bound)? {
        Ok(recorded) => recorded,
        Err(why) => return skipped(&why),
    };
    recorded.disk = None;
    recorded.wait_degraded("disk missing")?;
    thread::sleep(Duration::from_secs(2));
    let place = recorded.project.recordings();
    let written = fs::read_dir(&place).map_err(Failure::new)?.count();
    ensure(written == 0, || format!("{written} entries beneath the disk that was unmounted"))?;
    let events = recorded.project.succeed(&["events", "recorder"])?;
    ensure(events.contains("degraded") && events.contains("disk missing"), || {
        format!("no event tells of it:\n{events}")
    })?;
    recorded.disk = Some(Mount::bind(&disk_of(&recorded.project), &place).map_err(Failure)?);
    recorded.wait_running()?;
    let balance = recorded.finish()?;
    drop(beneath);
    Ok(json!({ "packets_captured": balance.captured, "packets_lost": balance.lost,
        "written_beneath": written }))
}
