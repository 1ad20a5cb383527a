//! Recordings in a store of one's own, and programs that are told of each file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::Value;
use tests::checks::uploading;
use tests::project::{Project, free_port};
use tests::store::{SECRET, Store};
use tests::tls::{self, TlsFront};
use tests::webhooks::Webhooks;
use tests::witness::Witness;
use tests::{Failure, Outcome, ensure, processes, recordings, wait_for};

use crate::first_light::{ONE_AT_A_TIME, holds};

fn promise(check: impl FnOnce() -> Outcome<()>) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_store_that_is_away_holds_up_no_recording_and_gets_everything_later() {
    holds(|| uploading::the_store_is_away(6));
}

#[test]
fn a_killed_uploader_loses_nothing_and_doubles_nothing() {
    holds(|| uploading::the_uploader_is_killed_again_and_again(6, 11));
}

#[test]
fn a_key_of_a_store_is_seen_by_nobody() {
    promise(|| {
        let store = Store::start()?;
        let project = uploading::project(&store, "")?;
        project.up()?;
        let pid = project.pid("upload")?;
        let shown = [
            project.succeed(&["config", "--expanded"])?,
            project.succeed(&["-o", "json", "plan"])?,
            project.succeed(&["-o", "json", "ps"])?,
            project.succeed(&["describe", "upload"])?,
            project.succeed(&["logs"])?,
            project.succeed(&["graph", "-o", "json"])?,
            processes::command_line(pid),
            fs::read_to_string(format!("/proc/{pid}/environ")).map_err(Failure::new)?,
        ];
        let leak = shown.iter().find(|text| text.contains(SECRET));
        ensure(leak.is_none(), || format!("the key is in {leak:?}"))?;
        ensure(shown[0].contains("${cred:store}"), || format!("config shows {}", shown[0]))?;
        project.down()
    });
}

#[test]
fn a_store_behind_tls_takes_files_which_then_go_here_and_together_they_are_the_recording() {
    promise(|| {
        let store = Store::start()?;
        let front = TlsFront::before(store.address())?;
        let port = free_port()?;
        let project = Project::new(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings', segment: 1s}}
  upload: {{use: uploader, dir: '{{dir}}/recordings', {keys}, ca: '{ca}', delete_after: uploaded}}
  stranger: {{use: uploader, dir: '{{dir}}/recordings', {strange}}}
  web: {{use: web, in: cam1.packets, listen: '127.0.0.1:{port}'}}
",
            keys = store.keys_at(&front.endpoint()),
            // By another name it is another store.
            strange = store.keys_at(&front.endpoint().replace("127.0.0.1", "localhost")),
            ca = tls::authority().display(),
        ))?;
        uploading::give_credential(&project)?;
        project.up()?;
        let witness = Witness::start(project.name(), &[Project::ring("cam1.packets")?]);
        // Who does not know the authority sends nothing, and says why.
        uploading::wait_degraded(&project, "stranger", "certificate")?;
        let gone =
            || (uploading::status(&project).ok()?["files_removed"].as_u64()? >= 3).then_some(());
        wait_for(120, "files that are in the store to go here", gone)?;
        let figure = |name: &str, worker: &str| {
            let url = format!("http://127.0.0.1:{port}/metrics");
            let page =
                Command::new("curl").args(["-sSf", "--max-time", "30", &url]).output().ok()?;
            let page = String::from_utf8_lossy(&page.stdout).into_owned();
            let begin = format!("framevisor_{name}{{worker=\"{worker}\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&begin)?.parse::<u64>().ok())
        };
        let is_told = || {
            let stuck = figure("upload_in_trouble", "stranger")? == 1;
            let sent = figure("upload_files_total", "upload")? >= 3;
            let waits = figure("upload_backlog_files", "stranger")? > 0;
            (stuck && sent && waits).then_some(())
        };
        wait_for(60, "the metrics to tell both", is_told)?;
        project.down()?;
        // Here are the two newest at least, in the store all that went, and the packets of both are all there were.
        let all = project.dir().join("all/cam1");
        fs::create_dir_all(&all).map_err(Failure::new)?;
        let here = recordings::files(&project.recordings(), "cam1")?;
        ensure(here.len() >= 2, || format!("{here:?} are left"))?;
        for file in &here {
            let name = file.file_name().unwrap_or_default();
            fs::copy(file, all.join(name)).map_err(Failure::new)?;
        }
        for (key, object) in store.objects() {
            let name = key.rsplit('/').next().unwrap_or_default();
            fs::write(all.join(name), object.bytes).map_err(Failure::new)?;
        }
        let whole = recordings::balance(&project.dir().join("all"), &witness.finish())?;
        ensure(whole.lost == 0 && whole.captured > 0, || format!("{whole:?}"))
    });
}

/// Each line is what the hook was told.
const TELL: &str = "cat >> {dir}/told.jsonl; echo >> {dir}/told.jsonl; basename \"$FRAMEVISOR_EVENT_DATA_PATH\" >> {dir}/names";

#[test]
fn hooks_are_told_of_each_complete_file_also_over_a_kill() {
    promise(|| {
        let project = Project::new(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings', segment: 2s}}
hooks:
  tell: {{on: recording.segment, run: [sh, -c, '{TELL}']}}
"
        ))?;
        project.up()?;
        wait_for(60, "two files", || (told(&project).ok()?.len() >= 2).then_some(()))?;
        let pid = project.pid("recorder")?;
        processes::signal(pid, Signal::SIGKILL);
        project.wait_restarted("recorder", pid)?;
        // What is being written to the file is not whole yet.
        let (before, _) = wait_for(60, "what was told", || Some(told(&project).ok()?.len()))?;
        wait_for(60, "two more", || (told(&project).ok()?.len() >= before + 2).then_some(()))?;
        let events = project.succeed(&["events", "--type", "recording.segment", "-o", "json"])?;
        let first: Value = serde_json::from_str(events.lines().next().unwrap_or_default())
            .map_err(Failure::new)?;
        ensure(first["data"]["camera"] == "cam1", || format!("events tells {first}"))?;
        // Ended before the project: of that hooks have two seconds, which a busy machine may take for itself.
        project.succeed(&["stop", "recorder"])?;
        // What is missing then, is told by the look behind it.
        let _ = wait_for(60, "every file to be told of", || every_file_was_told(&project).ok());
        every_file_was_told(&project)?;
        project.down()
    });
}

/// By paths.
fn told(project: &Project) -> Outcome<BTreeMap<String, Value>> {
    let text = fs::read_to_string(project.dir().join("told.jsonl")).map_err(Failure::new)?;
    let events = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let event: Value = serde_json::from_str(line).map_err(Failure::new)?;
        let data = event["data"].clone();
        Ok((data["path"].as_str().unwrap_or_default().to_owned(), data))
    });
    events.collect()
}

/// With its length, and frame ids that follow on from file to file.
fn every_file_was_told(project: &Project) -> Outcome<()> {
    let files = recordings::files(&project.recordings(), "cam1")?;
    let (told, mut next) = (told(project)?, None);
    for file in &files {
        let path = file.display().to_string();
        let data = told.get(&path).ok_or_else(|| Failure(format!("{path} was not told of")))?;
        let bytes = fs::metadata(file).map_err(Failure::new)?.len();
        ensure(data["bytes"] == bytes, || format!("{path} has {bytes} bytes, told {data}"))?;
        let first = data["first"]["sequence"].as_u64();
        ensure(next.is_none() || first == next, || {
            format!("{path} begins at {first:?}, not {next:?}")
        })?;
        next = data["last"]["sequence"].as_u64().map(|last| last + 1);
    }
    let names = fs::read_to_string(project.dir().join("names")).map_err(Failure::new)?;
    let name = files[0].file_name().unwrap_or_default().to_string_lossy().into_owned();
    ensure(names.contains(&name), || format!("no variable held {name}: {names}"))
}

#[test]
fn a_web_server_gets_each_event_signed_and_when_it_is_well_again() {
    promise(|| {
        let server = Webhooks::start()?;
        let project = Project::new(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}}
  recorder: {{use: recorder, in: cam1.packets, dir: '{{dir}}/recordings', segment: 1s}}
  tell: {{use: notify, url: '{}', on: [recording.segment, worker.died], secret: '${{cred:hook}}'}}
",
            server.url()
        ))?;
        credential(project.dir(), "hook", "p3pper")?;
        project.up()?;
        wait_for(60, "a post", || (!server.took().is_empty()).then_some(()))?;
        server.refuse(true);
        let told = || {
            let status = project.worker("tell").ok()?;
            (status.state == WorkerState::Degraded && status.why.contains("500"))
                .then_some(status.why)
        };
        let (why, _) = wait_for(60, "tell to say that it is refused", told)?;
        ensure(!why.contains("t0ken"), || format!("ps shows the path of the url: {why}"))?;
        // Killed with something to tell, and then something more happens.
        let pid = project.pid("tell")?;
        processes::signal(pid, Signal::SIGKILL);
        project.wait_restarted("tell", pid)?;
        server.refuse(false);
        wait_for(90, "the death to be told", || {
            server
                .took()
                .iter()
                .any(|post| post.headers["x-framevisor-event"] == "worker.died")
                .then_some(())
        })?;
        let refused = server.refused();
        wait_for(90, "what was refused to be told", || {
            let took = server.took();
            let is_told =
                |id: &String| took.iter().any(|post| post.headers["x-framevisor-id"] == *id);
            refused.iter().all(|post| is_told(&post.headers["x-framevisor-id"])).then_some(())
        })?;
        project.down()?;
        server.took().iter().try_for_each(|post| is_sound(post, &server.url()))
    });
}

/// Who receives it checks it like this, with tools of its own.
fn is_sound(post: &tests::webhooks::Post, url: &str) -> Outcome<()> {
    ensure(url.ends_with(&post.target), || format!("posted to {}", post.target))?;
    let body: Value = serde_json::from_str(&post.body).map_err(Failure::new)?;
    ensure(body["id"] == post.headers["x-framevisor-id"], || format!("{post:?}"))?;
    let signed = format!("{}.{}", post.headers["x-framevisor-timestamp"], post.body);
    let script = "import hmac,sys; print('sha256='+hmac.new(b'p3pper',sys.argv[1].encode(),'sha256').hexdigest())";
    let python = std::process::Command::new("python3").args(["-c", script, &signed]).output();
    let expected = String::from_utf8_lossy(&python.map_err(Failure::new)?.stdout).trim().to_owned();
    let seen = &post.headers["x-framevisor-signature"];
    ensure(*seen == expected, || format!("signed {seen}, expected {expected}"))
}

fn credential(dir: &Path, name: &str, value: &str) -> Outcome<()> {
    let path = dir.join("credentials").join(name);
    fs::create_dir_all(dir.join("credentials")).map_err(Failure::new)?;
    fs::write(&path, value).map_err(Failure::new)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(Failure::new)
}
