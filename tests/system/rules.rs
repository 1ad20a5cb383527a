//! Rules through the whole system: what a door that is another program tells becomes one event, which is recorded, kept
//! as a picture, posted, and runs a command, while other effects hang.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::RingKind;
use protocol::record::Record;
use serde_json::{Value, json};
use shmring::{RecordWriter, clock};
use tests::project::Project;
use tests::webhooks::Webhooks;
use tests::{Failure, Outcome, ensure, processes, recordings, wait_for};

use crate::first_light::holds;

/// Another program: who stands at the door, ring by ring.
struct Door(RecordWriter);

impl Door {
    fn open(project: &Project) -> Outcome<Self> {
        let contract =
            RingContract::new(Project::ring("ext.door.events")?, RingConfig::default(), 8);
        RecordWriter::create(project.name(), &contract).map(Self).map_err(Failure::new)
    }

    fn tell(&mut self, id: u64, label: &str) -> Outcome<()> {
        let record = Record {
            id: id.to_string(),
            kind: "door".to_owned(),
            camera: "cam1".to_owned(),
            frame: None,
            time_utc_ns: clock::now().utc.0,
            data: json!({"label": label, "score": 0.9}),
        };
        self.0.emit(&record).map(drop).map_err(Failure::new)
    }
}

fn topology(url: &str, silent: &str) -> String {
    format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=loop&bitrate=500k'}}
  decode: {{use: decoder, in: cam1.packets}}
  alerts:
    use: rules
    in: [ext.door.events, cam1.frames]
    rules: {{guest: {{type: door, label: person, quiet: 2s, update: 10m, snapshot: true}}}}
    snapshots: '{{dir}}/pictures'
  rec:
    use: recorder
    in: cam1.packets
    dir: '{{dir}}/recordings'
    when: {{events: alerts.events, type: guest, pre: 2s, post: 2s}}
  tell: {{use: notify, url: '{url}', on: 'rule.*'}}
  stuck: {{use: notify, url: '{silent}', on: 'rule.*', timeout: 2m}}
hooks:
  log: {{on: 'rule.guest.*', run: [sh, -c, 'cat >> told.jsonl; echo >> told.jsonl']}}
  hung: {{on: rule.guest.begin, run: [sleep, '600'], timeout: 10m}}
"
    )
}

/// What the hook `log` got so far.
fn told(project: &Project) -> Vec<Value> {
    let text = fs::read_to_string(project.dir().join("told.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn of(told: &[Value], event: &str) -> Vec<Value> {
    told.iter().filter(|it| it["event"] == event).cloned().collect()
}

/// Pictures a second of the camera, each a packet.
const FPS: u64 = 25;

/// Until the camera has sent so many more.
fn wait_packets(project: &Project, more: u64) -> Outcome<()> {
    let head = || project.heads(RingKind::Packets);
    let before = head();
    wait_for(90, "packets", || (head() >= before + more).then_some(())).map(drop)
}

fn wait_told(project: &Project, event: &str, count: usize) -> Outcome<Vec<Value>> {
    let found = || Some(of(&told(project), event)).filter(|found| found.len() >= count);
    Ok(wait_for(90, event, found)?.0)
}

#[test]
fn one_event_is_recorded_kept_posted_and_runs_a_command_while_others_hang() {
    holds(|| {
        let server = Webhooks::start()?;
        // It takes connections and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").map_err(Failure::new)?;
        let silent = format!("http://{}/", silent.local_addr().map_err(Failure::new)?);
        let project = Project::new(&topology(&server.url(), &silent))?;
        project.up()?;
        let mut door = Door::open(&project)?;
        wait_packets(&project, 3 * FPS)?;
        // Nobody asks for a cat.
        door.tell(1, "cat")?;
        for id in 2..5 {
            door.tell(id, "person")?;
        }
        let begin = wait_told(&project, "rule.guest.begin", 1)?.remove(0);
        let kept = wait_told(&project, "rule.guest.snapshot", 1)?.remove(0);
        let end = wait_told(&project, "rule.guest.end", 1)?.remove(0);
        ensure(begin["data"]["id"] == end["data"]["id"], || format!("{begin} {end}"))?;
        ensure(end["data"]["records"] == 3, || format!("three stood there: {end}"))?;
        ensure(begin["data"]["of"]["id"] == "2", || format!("not the first person: {begin}"))?;
        let path = kept["data"]["path"].as_str().unwrap_or_default();
        let jpeg = fs::read(path).map_err(|error| Failure(format!("{path}: {error}")))?;
        ensure(jpeg.starts_with(&[0xff, 0xd8]), || format!("{path} is no JPEG"))?;
        ensure(path.contains("/pictures/cam1/"), || path.to_owned())?;
        wait_for(60, "the server to be told", || {
            let events: BTreeSet<String> =
                server.took().iter().map(|it| it.headers["x-framevisor-event"].clone()).collect();
            let wanted = ["rule.guest.begin", "rule.guest.end", "rule.guest.snapshot"];
            wanted.iter().all(|event| events.contains(*event)).then_some(())
        })?;
        // What hangs, hangs alone.
        for (name, states) in [
            ("alerts", &[WorkerState::Running, WorkerState::Ready][..]),
            ("cam1", &[WorkerState::Running]),
        ] {
            // Who is held up by a busy machine says so for a while.
            let is_well =
                || project.worker(name).ok().filter(|row| states.contains(&row.state)).map(drop);
            wait_for(60, &format!("{name} to be well"), is_well)?;
        }
        ensure(of(&told(&project), "rule.guest.begin").len() == 1, || "told twice".to_owned())?;
        wait_for(60, "a recording", || project.recordings().join("cam1").exists().then_some(()))?;
        wait_packets(&project, 3 * FPS)?;
        project.down()?;
        let packets = recordings::packets(&project.recordings(), "cam1")?.len();
        // From two seconds before to two after it.
        ensure(packets > 4 * usize::try_from(FPS).unwrap_or(0), || {
            format!("{packets} packets around the event")
        })?;
        Ok(json!({ "packets": packets, "picture_bytes": jpeg.len() }))
    });
}

#[test]
fn an_event_goes_on_under_its_id_when_the_worker_is_killed() {
    holds(|| {
        let server = Webhooks::start()?;
        let text = topology(&server.url(), &server.url()).replace("quiet: 2s", "quiet: 20s");
        let project = Project::new(&text)?;
        project.up()?;
        let mut door = Door::open(&project)?;
        door.tell(1, "person")?;
        let begin = wait_told(&project, "rule.guest.begin", 1)?.remove(0);
        let pid = project.pid("alerts")?;
        processes::signal(pid, Signal::SIGKILL);
        door.tell(2, "person")?;
        project.wait_restarted("alerts", pid)?;
        let update = wait_told(&project, "rule.guest.update", 1)?.remove(0);
        ensure(update["data"]["id"] == begin["data"]["id"], || format!("{begin} {update}"))?;
        let end = wait_told(&project, "rule.guest.end", 1)?.remove(0);
        ensure(end["data"]["id"] == begin["data"]["id"], || format!("{begin} {end}"))?;
        ensure(end["data"]["records"] == 2, || format!("a record was lost: {end}"))?;
        let begins = of(&told(&project), "rule.guest.begin");
        let ids: BTreeSet<String> = begins.iter().map(|it| it["data"]["id"].to_string()).collect();
        ensure(ids.len() == 1, || format!("begun anew: {begins:?}"))?;
        project.down()?;
        Ok(json!({ "begins": begins.len() }))
    });
}
