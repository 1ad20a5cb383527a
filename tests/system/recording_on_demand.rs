//! Recording around events and by command, through the whole system: a door that is another program, a
//! recorder that is killed meanwhile, orders from the command line.

use std::thread;
use std::time::Duration;

use ::recordings::index::Index;
use ::recordings::{Range, Timeline};
use fmp4::FoundFragment;
use nix::sys::signal::Signal;
use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::record::Record;
use serde_json::{Value, json};
use shmring::{RecordWriter, clock};
use tests::project::Project;
use tests::{Failure, Outcome, ensure, processes, recordings, wait_for};

use crate::exports::wait_for_packets;
use crate::first_light::holds;

const SECOND: u64 = 1_000_000_000;
const PRE_S: u64 = 3;
const POST_S: u64 = 4;
/// Of the test camera: a group of pictures lasts so long.
const GROUP_S: u64 = 1;
/// Its pictures a second, each a packet.
const FPS: u64 = 25;

const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=loop&bitrate=500k'}
  cam2: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=loop&bitrate=500k'}
  doors:
    use: recorder
    in: cam1.packets
    dir: '{dir}/recordings'
    when: {events: ext.door.events, camera: door, type: door.open, pre: 3s, post: 4s}
  hand: {use: recorder, in: cam2.packets, dir: '{dir}/recordings', when: command}
";

#[test]
fn an_event_of_another_program_is_recorded_with_its_pre_roll_over_a_kill_of_the_recorder() {
    holds(|| {
        let project = Project::new(TOPOLOGY)?;
        project.up()?;
        // A pre-roll and a group of it are in the ring.
        wait_for_packets(&project, "cam1.packets", (PRE_S + 2 * GROUP_S) * FPS)?;
        ensure(fragments(&project, "cam1")?.is_empty(), || "recorded without an event".into())?;
        let pid = project.pid("doors")?;
        // It stays: of a program that is gone the recorder might find nothing any more.
        let (_door, opened) = open_door(&project)?;
        wait_for(60, "recording.started", || happened(&project, "recording.started", "cam1"))?;
        processes::signal(pid, Signal::SIGKILL);
        project.wait_restarted("doors", pid)?;
        wait_for(60, "recording.stopped", || happened(&project, "recording.stopped", "cam1"))?;
        let told = told(&project, "cam1")?;
        ensure(told == ["recording.started", "recording.stopped"], || format!("{told:?}"))?;
        project.down()?;
        let recorded = fragments(&project, "cam1")?;
        around(&recorded, opened)?;
        Ok(json!({"fragments": recorded.len()}))
    });
}

#[test]
fn a_recording_is_started_and_stopped_from_the_command_line() {
    holds(|| {
        let project = Project::new(TOPOLOGY)?;
        project.up()?;
        let told = |arguments: &[&str]| -> Outcome<Value> {
            let text = project.succeed(arguments)?;
            Ok(serde_json::from_str::<Value>(&text).map_err(tests::Failure::new)?[0].clone())
        };
        let start = told(&["record", "start", "cam2", "--for", "1h", "-o", "json"])?;
        ensure(start["order"] == "start", || start.to_string())?;
        // A disk may take longer than an answer waits for it.
        let is_kept =
            || (told(&["record", "ls", "cam2", "-o", "json"]).ok()?["kept"] == true).then_some(());
        wait_for(60, "the order to be kept", is_kept)?;
        wait_for(60, "recording.started", || happened(&project, "recording.started", "cam2"))?;
        let pid = project.pid("hand")?;
        project.succeed(&["restart", "hand"])?;
        project.wait_restarted("hand", pid)?;
        let held = told(&["record", "ls", "cam2", "-o", "json"])?;
        ensure(held["order"] == "start", || format!("forgotten over a restart: {held}"))?;
        wait_for(60, "two seconds of recording", || {
            let found = fragments(&project, "cam2").ok()?;
            (found.len() > 2).then_some(())
        })?;
        let noted = told(&["comment", "cam2", "the red car", "--tag", "car", "-o", "json"])?;
        let stop = told(&["record", "stop", "cam2", "-o", "json"])?;
        ensure(stop["order"] == "stop", || stop.to_string())?;
        wait_for(60, "the end of recording", || {
            let shown = told(&["record", "ls", "cam2", "-o", "json"]).ok()?;
            (shown["recording"] == false).then_some(())
        })?;
        let recorded = recordings::packets(&project.recordings(), "cam2")?.len();
        thread::sleep(Duration::from_secs(2 * GROUP_S));
        let after = recordings::packets(&project.recordings(), "cam2")?.len();
        ensure(recorded == after, || format!("{recorded} packets at the stop, {after} later"))?;
        let unknown = project.run(&["record", "start", "cam7"])?;
        let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
        ensure(!unknown.status.success() && said.contains("cam1, cam2"), || said)?;
        project.down()?;
        let kept = std::fs::read_to_string(project.recordings().join("cam2/comments.jsonl"));
        ensure(kept.is_ok_and(|text| text.contains("the red car")), || "no comment".to_owned())?;
        let number = |key: &str| noted["frame"][key].as_u64().unwrap_or_default();
        let is_recorded = recordings::packets(&project.recordings(), "cam2")?
            .contains(&(number("epoch"), number("sequence")));
        ensure(is_recorded, || format!("about a picture that is not recorded: {noted}"))?;
        is_told_everywhere(&project, &noted)?;
        Ok(json!({"packets": recorded}))
    });
}

/// A comment is at its picture in timeline, index and export.
fn is_told_everywhere(project: &Project, noted: &Value) -> Outcome<()> {
    let frame = &noted["frame"];
    let folder = project.recordings().join("cam2");
    let timeline = Timeline::read(&folder, Range::ALL).map_err(Failure::new)?;
    let told = timeline.comments.iter().map(|it| (json!(it.remark.frame), &it.remark.text));
    let told: Vec<_> = told.collect();
    ensure(told == [(frame.clone(), &"the red car".to_owned())], || format!("{told:?}"))?;
    let index = Index::read(&project.recordings()).ok_or_else(|| Failure::new("no index"))?;
    let rows = index.dump().map_err(Failure::new)?;
    let words = format!("|{}|{}|", frame["epoch"], frame["sequence"]);
    let has_row = |row: &&String| row.starts_with("comments|") && row.contains(&words);
    ensure(rows.iter().filter(has_row).count() == 1, || format!("{words} is not in {rows:?}"))?;
    let out = project.dir().join("told").display().to_string();
    let arguments = ["-o", "json", "export", "cam2", "--last", "1h", "--manifest", "-o", &out];
    let told = project.succeed(&arguments)?;
    let told: Value = serde_json::from_str(&told).map_err(Failure::new)?;
    let comments = &told["manifest"]["comments"];
    ensure(comments[0]["frame"] == *frame && comments[0]["at"].is_string(), || {
        format!("{comments} is not about {frame}")
    })?;
    project.succeed(&["export", "--verify", &out]).map(drop)
}

/// As a program outside the topology tells it; the machine's time.
fn open_door(project: &Project) -> Outcome<(RecordWriter, u64)> {
    let ring = Project::ring("ext.door.events")?;
    let contract = RingContract::new(ring, RingConfig::default(), 4);
    let mut door = RecordWriter::create(project.name(), &contract).map_err(tests::Failure::new)?;
    let time_utc_ns = clock::now().utc.0;
    let record = Record {
        id: "door-1".to_owned(),
        kind: "door.open".to_owned(),
        camera: "door".to_owned(),
        frame: None,
        time_utc_ns,
        data: Value::Null,
    };
    door.emit(&record).map_err(tests::Failure::new)?;
    Ok((door, time_utc_ns))
}

fn happened(project: &Project, event: &str, camera: &str) -> Option<()> {
    told(project, camera).ok()?.iter().any(|told| told == event).then_some(())
}

/// What is told of a camera's recording, oldest first.
fn told(project: &Project, camera: &str) -> Outcome<Vec<String>> {
    let lines = project.succeed(&[
        "events",
        "--type",
        "recording.started,recording.stopped",
        "-o",
        "json",
    ])?;
    let of_camera = |line: &str| {
        let told: Value = serde_json::from_str(line).unwrap_or_default();
        let reason = told["reason"].as_str().unwrap_or_default();
        let is_of = reason.starts_with(&format!("{camera}: "));
        is_of.then(|| told["events"][0].as_str().unwrap_or_default().to_owned())
    };
    Ok(lines.lines().filter_map(of_camera).collect())
}

/// Of all files of a camera, in their order; none while its folder is not there.
fn fragments(project: &Project, camera: &str) -> Outcome<Vec<FoundFragment>> {
    if !project.recordings().join(camera).exists() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for path in recordings::files(&project.recordings(), camera)? {
        let mut file = std::fs::File::open(&path).map_err(tests::Failure::new)?;
        let found = fmp4::scan(&mut file).map_err(tests::Failure::new)?;
        let begins = found.fragments.first().is_none_or(|it| it.begins_with_key(&found.tracks));
        ensure(begins, || format!("{} does not begin with a key frame", path.display()))?;
        all.extend(found.fragments);
    }
    Ok(all)
}

/// From a key frame within a group before the pre-roll to the end of the post-roll, without a hole.
fn around(fragments: &[FoundFragment], opened: u64) -> Outcome<()> {
    let (Some(first), Some(last)) = (fragments.first(), fragments.last()) else {
        return Err(tests::Failure::new("nothing is recorded"));
    };
    // A picture comes some milliseconds after it was taken.
    let slack = SECOND / 2;
    let begin = first.origin.capture.0;
    let (latest, earliest) = (opened - PRE_S * SECOND, opened - (PRE_S + GROUP_S) * SECOND - slack);
    ensure((earliest..=latest).contains(&begin), || {
        format!("it begins {} ms before the event", (opened - begin) / 1_000_000)
    })?;
    let pictures = last.origin.last() - first.origin.first + 1;
    let due = (opened + POST_S * SECOND - begin) / (SECOND / FPS);
    ensure(pictures.abs_diff(due) <= FPS / 2, || format!("{pictures} pictures, {due} are due"))?;
    for pair in fragments.windows(2) {
        let [before, after] = pair else { continue };
        ensure(after.origin.first == before.origin.last() + 1, || {
            format!("a hole between {} and {}", before.origin.last(), after.origin.first)
        })?;
    }
    Ok(())
}
