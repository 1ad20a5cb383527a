//! A running project becomes what its file says, and only what differs is touched.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::harness::{Project, Reserved, SOON, entries, text, wait_for};

const CAM: &str = "  good-a: {use: ingest, source: 'test:'}\n";
const CAM_B: &str = "  good-b: {use: ingest, source: 'test:?fps=5'}\n";
const RUN: &str = "  r: {run: [sleep, '1000']}\n";

fn names(project: &Project) -> Vec<String> {
    let name = |row: &Value| row["name"].as_str().unwrap().to_owned();
    project.ps().iter().map(name).collect()
}

fn running(workers: &str) -> Project {
    let mut project = Project::new(workers);
    project.up();
    for name in names(&project) {
        project.wait_for_state(&name, "running");
    }
    project
}

#[test]
fn a_reload_touches_only_what_differs_and_a_plan_nothing() {
    let project = running(&[CAM, RUN].concat());
    let (a, r) = (project.pid("good-a"), project.pid("r"));
    project.write_topology(&[CAM, CAM_B].concat());
    for plan in [&["plan", "-o", "json"][..], &["reload", "--plan", "-o", "json"]] {
        let planned = project.run(plan);
        assert!(planned.status.success(), "{}", text(&planned.stderr));
        let planned: Value = serde_json::from_slice(&planned.stdout).unwrap();
        assert_eq!(planned["applied"], false);
        assert_eq!(planned["change"]["start"], serde_json::json!(["good-b"]));
        assert_eq!(planned["change"]["stop"], serde_json::json!(["r"]));
        assert_eq!(planned["change"]["rings"]["created"], serde_json::json!(["good-b.packets"]));
        assert_eq!((project.pid("good-a"), project.pid("r")), (a, r));
    }
    let others = project.run(&["reload", "good-*"]);
    assert!(text(&others.stderr).contains("changes r too"), "{}", text(&others.stderr));
    let done = project.run(&["reload"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let page = text(&done.stdout);
    assert!(page.contains("start") && page.contains("runs on: good-a"), "{page}");
    assert_eq!(names(&project), ["good-a", "good-b"]);
    assert_eq!(project.pid("good-a"), a);
    assert!(!crate::harness::is_alive(r));
    let again = project.run(&["reload"]);
    assert!(text(&again.stderr).contains("nothing changed: 2 workers run on"));
}

#[test]
fn a_broken_topology_is_refused_with_its_mistakes_and_the_running_one_stays() {
    let project = running(CAM);
    let before = project.pid("good-a");
    project.write_topology("  good-a: {use: ingst}\n  b: {run: []}\n");
    let refused = project.run(&["reload"]);
    assert_eq!(refused.status.code(), Some(3));
    let said = text(&refused.stderr);
    assert!(said.contains("framevisor.yml:4:") && said.contains("framevisor.yml:5:"), "{said}");
    assert_eq!((project.pid("good-a"), names(&project).len()), (before, 1));
}

#[test]
fn a_new_worker_that_does_not_come_up_undoes_the_change() {
    let project = running(&[CAM, RUN].concat());
    let before = (project.pid("good-a"), project.pid("r"));
    let bad = "  bad: {run: [sh, -c, 'echo no such model; exit 3']}\n";
    let faster = "  good-a: {use: ingest, source: 'test:?fps=9'}\n";
    project.write_topology(&[faster, bad].concat());
    let undone = project.run(&["reload"]);
    assert_eq!(undone.status.code(), Some(1));
    let said = text(&undone.stderr);
    assert!(said.contains("worker bad did not come up: exit 3"), "{said}");
    assert!(said.contains("bad | no such model"), "{said}");
    assert_eq!(names(&project), ["good-a", "r"]);
    assert_eq!((project.pid("good-a"), project.pid("r")), before);
}

#[test]
fn a_worker_that_fails_as_it_is_to_be_runs_again_as_it_was() {
    let mut project = running(&[CAM, RUN].concat());
    let camera = project.pid("good-a");
    project.write_topology(&[CAM, "  r: {run: [sh, -c, 'exit 3']}\n"].concat());
    let undone = project.run(&["reload"]);
    assert_eq!(undone.status.code(), Some(1), "{}", text(&undone.stderr));
    project.wait_for_state("r", "running");
    assert_eq!(project.pid("good-a"), camera);
    let command = fs::read(format!("/proc/{}/cmdline", project.pid("r"))).unwrap();
    assert!(command.starts_with(b"sleep"), "{}", text(&command));
    // It is the topology again, also for who asks later.
    project.write_topology(&[CAM, RUN].concat());
    assert!(text(&project.run(&["plan"]).stderr).contains("nothing to change"));
    assert!(project.run(&["down"]).status.success());
    assert_eq!(project.up_ended(), Some(0));
}

#[test]
fn a_second_up_changes_what_differs_and_another_file_is_another_project() {
    let project = running(CAM);
    let before = project.pid("good-a");
    project.write_topology(&[CAM, RUN].concat());
    let up = project.run(&["up", "-d"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    assert!(text(&up.stderr).contains("runs already: only what differs is changed"));
    assert_eq!((names(&project).len(), project.pid("good-a")), (2, before));
    let other = project.dir.join("other.yml");
    fs::copy(project.dir.join("framevisor.yml"), &other).unwrap();
    let refused = project.run_on(&other, &["up", "-d"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("already running"), "{}", text(&refused.stderr));
}

#[test]
fn ports_open_and_close_with_their_workers() {
    let project = running(CAM);
    let reserved = Reserved::new();
    let port = reserved.address;
    let web = format!("  good-web: {{use: web, in: good-a.packets, listen: '{port}'}}\n");
    project.write_topology(&[CAM, &web].concat());
    assert!(project.run(&["reload"]).status.success());
    TcpStream::connect(port).unwrap();
    project.write_topology(CAM);
    assert!(project.run(&["reload"]).status.success());
    // The guard held a duplicate: it lets go of it as well.
    wait_for("the port to be closed", || TcpStream::connect(port).is_err());
}

#[test]
fn a_camera_that_comes_and_goes_five_times_leaves_nothing() {
    let project = running(CAM);
    let guard = project.guard();
    let guard_fds = || entries(format!("/proc/{guard}/fd").as_ref());
    let tmp = project.runtime_dir().join("tmp");
    let web = "  good-web: {use: web, in: good-b.packets, listen: '127.0.0.1:0'}\n";
    let counts = || [project.supervisor_descriptors(), guard_fds(), entries(&tmp)];
    let mut before = None;
    for turn in 0..5 {
        project.write_topology(&[CAM, CAM_B, web].concat());
        let added = project.run(&["reload"]);
        assert!(added.status.success(), "{turn}: {}", text(&added.stderr));
        assert_eq!(names(&project).len(), 3);
        project.write_topology(CAM);
        assert!(project.run(&["reload"]).status.success());
        assert_eq!(names(&project), ["good-a"]);
        // The first turn may have opened what stays open, such as a file of names.
        let first = *before.get_or_insert_with(counts);
        wait_for("as many descriptors as before", || {
            counts().iter().zip(&first).all(|(now, first)| now <= first)
        });
    }
}

#[test]
fn a_server_that_is_replaced_keeps_its_clients_until_they_leave() {
    let web = "  stays-web: {use: web, in: good-a.packets, listen: '127.0.0.1:0'}\n";
    let project = running(&[CAM, web].concat());
    let before = project.worker("stays-web");
    let address: SocketAddr = before["listen"][0].as_str().unwrap().parse().unwrap();
    let replaced = project.run(&["replace", "stays-web"]);
    assert!(replaced.status.success(), "{}", text(&replaced.stderr));
    let rows = project.ps();
    let of = |state: &str| rows.iter().find(|row| row["state"] == state).unwrap().clone();
    let (new, old) = (of("running"), of("draining"));
    assert_eq!(old["pid"], before["pid"], "{rows:?}");
    let new = rows.iter().find(|row| row["name"] == "stays-web").unwrap_or(&new);
    assert_ne!(new["pid"], before["pid"], "the member comes first: {rows:?}");
    assert_eq!(new["listen"][0].as_str(), Some(address.to_string().as_str()));
    TcpStream::connect(address).unwrap();
    // The log goes on where it was.
    assert!(text(&project.run(&["logs", "stays-web"]).stdout).matches("start-up").count() >= 2);
    fs::write(project.dir.join("leave"), "").unwrap();
    wait_for("the end of the old one", || names(&project).len() == 2);
    assert!(!crate::harness::is_alive(u32::try_from(old["pid"].as_u64().unwrap()).unwrap()));
}

#[test]
fn a_server_with_two_predecessors_is_restarted_and_the_way_to_replace_it_is_the_one_that_is_told() {
    let web = "  stays-web: {use: web, in: good-a.packets, listen: '127.0.0.1:0'}\n";
    let project = running(&[CAM, web].concat());
    for _ in 0..2 {
        assert!(project.run(&["replace", "stays-web"]).status.success());
    }
    let restarted = project.run(&["restart", "stays-web"]);
    assert!(restarted.status.success(), "{}", text(&restarted.stderr));
    let mut client = framevisor_client::Project::at(&project.runtime_dir()).unwrap();
    client.wait_until_up(&["stays-web".parse().unwrap()], SOON).unwrap();
    let refused = project.run(&["replace", "stays-web"]);
    let said = text(&refused.stderr);
    assert!(said.contains("2 processes of it still keep clients"), "{said}");
    for verb in ["stop", "start"] {
        assert!(said.contains(&format!("`framevisor {verb} stays-web`")), "{said}");
        let done = project.run(&[verb, "stays-web"]);
        assert!(done.status.success(), "{}", text(&done.stderr));
    }
    assert!(project.run(&["replace", "stays-web"]).status.success());
}

#[test]
fn a_writer_that_is_replaced_is_followed_where_it_ends() {
    let decoder = "  good-dec: {use: decoder, in: good-a.packets}\n";
    let project = running(&[CAM, decoder].concat());
    let before = project.pid("good-dec");
    let replaced = project.run(&["replace", "good-dec", "-o", "json"]);
    assert!(replaced.status.success(), "{}", text(&replaced.stderr));
    let change: Value = serde_json::from_slice(&replaced.stdout).unwrap();
    assert_eq!(change["change"]["restart"][0]["how"], "beside");
    assert_ne!(project.pid("good-dec"), before);
    assert_eq!(names(&project).len(), 2);
    assert!(!crate::harness::is_alive(before));
    let joint =
        "took over from Joint { after: Some(ItemId { epoch: 7, sequence: 42 }), at_key: true }";
    wait_for("the successor to be told where", || {
        text(&project.run(&["logs", "good-dec"]).stdout).contains(joint)
    });
}

#[test]
fn a_camera_is_never_opened_twice() {
    let project = running(CAM);
    let before = project.pid("good-a");
    let renamed = "  good-c: {use: ingest, source: 'test:'}\n";
    project.write_topology(renamed);
    let done = project.run(&["reload", "-o", "json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(names(&project), ["good-c"]);
    // Its end came before the other's start.
    assert_came_before(&project, STOPPED, STARTING);
    assert!(!crate::harness::is_alive(before));
}

const STOPPED: [&str; 2] = ["good-a", "\"to\":\"stopped\""];
const STARTING: [&str; 2] = ["good-c", "\"to\":\"starting\""];

fn assert_came_before(project: &Project, one: [&str; 2], other: [&str; 2]) {
    let events = text(&project.run(&["events", "-o", "json"]).stdout);
    let place = |what: [&str; 2]| {
        events.lines().position(|line| what.iter().all(|word| line.contains(word)))
    };
    assert!(place(one).unwrap() < place(other).unwrap(), "{events}");
}

#[test]
fn what_a_changed_worker_gives_up_is_free_before_a_new_one_takes_it() {
    let project = running(CAM);
    let other = "  good-a: {use: ingest, source: 'test:?fps=5'}\n";
    let new = "  good-c: {use: ingest, source: 'test:'}\n";
    project.write_topology(&[other, new].concat());
    let done = project.run(&["reload"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(names(&project), ["good-a", "good-c"]);
    assert_came_before(&project, STOPPED, STARTING);
}

#[test]
fn what_a_change_has_in_hand_is_not_started_by_others_and_the_change_goes_on() {
    let stubborn = "  r: {run: [sh, -c, 'trap \"\" TERM; while :; do sleep 1; done']}\n";
    let project = running(&[CAM, stubborn].concat());
    project.write_topology(&[CAM, RUN].concat());
    let mut reload = project.command(&["reload"]).spawn().unwrap();
    project.wait_for_state("r", "stopping");
    for verb in ["restart", "start"] {
        let refused = project.run(&[verb, "r"]);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("under way has r in hand"), "{said}");
    }
    wait_for("the end of the change", || reload.try_wait().unwrap().is_some());
    assert!(reload.wait().unwrap().success());
    assert!(fs::read(format!("/proc/{}/cmdline", project.pid("r"))).unwrap().starts_with(b"sleep"));
    assert!(project.run(&["restart", "r"]).status.success());
}

#[test]
fn who_rests_before_a_change_rests_after_it_and_a_person_alone_ends_that() {
    let short = |name: &str, seconds: u32| format!("  {name}: {{run: [sleep, '{seconds}']}}\n");
    let held = "  h: {run: ['false'], restart: {delay: 0s}}\n";
    let mut project = Project::new(&[CAM, RUN, held, &short("s", 1000)].concat());
    project.up();
    project.wait_for_state("s", "running");
    project.wait_for_state("h", "held");
    assert!(project.run(&["stop", "r"]).status.success());
    let (bad, mended) = ("  s: {run: [sh, -c, 'sleep 0.5; exit 3']}\n", short("h", 1000));
    project.write_topology(&[CAM, &short("r", 1001), &mended, bad].concat());
    let undone = project.run(&["reload"]);
    assert_eq!(undone.status.code(), Some(1), "{}", text(&undone.stderr));
    project.wait_for_state("s", "running");
    assert_eq!((state(&project, "r"), state(&project, "h")), ("stopped".into(), "held".into()));
    project.write_topology(&[CAM, &short("r", 1001), &mended, &short("s", 1001)].concat());
    let done = project.run(&["reload"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!((state(&project, "r"), state(&project, "h")), ("stopped".into(), "running".into()));
    assert!(project.run(&["start", "r"]).status.success());
    let command = fs::read(format!("/proc/{}/cmdline", project.pid("r"))).unwrap();
    assert_eq!(text(&command), "sleep\x001001\0");
    assert!(project.run(&["stop", "r"]).status.success());
    assert!(project.run(&["replace", "r"]).status.success());
    assert_eq!(state(&project, "r"), "running");
}

fn state(project: &Project, name: &str) -> String {
    project.worker(name)["state"].as_str().unwrap().to_owned()
}

fn shared_memory(project: &Project) -> Vec<String> {
    let prefix = format!("fv.{}.", project.name);
    let entries = fs::read_dir("/dev/shm").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

#[test]
fn a_camera_is_added_and_removed_five_times_with_nothing_left() {
    let project = running(CAM);
    let more = project.dir.join("more.yml");
    let before = (project.pid("good-a"), shared_memory(&project));
    for turn in 0..5 {
        let camera =
            format!("cameras: {{writes-c: {{url: 'test:?fps={}', serve: false}}}}\n", turn + 1);
        fs::write(&more, camera).unwrap();
        let added = project.run(&["add", more.to_str().unwrap()]);
        assert!(added.status.success(), "{turn}: {}", text(&added.stderr));
        assert!(
            text(&added.stdout).contains("rings: +writes-c.packets"),
            "{}",
            text(&added.stdout)
        );
        let worker = project.pid("writes-c");
        wait_for("its ring", || shared_memory(&project).len() > before.1.len());
        let removed = project.run(&["remove", "writes-c"]);
        assert!(removed.status.success(), "{turn}: {}", text(&removed.stderr));
        assert!(!crate::harness::is_alive(worker));
        assert_eq!(names(&project), ["good-a"]);
        assert_eq!(shared_memory(&project), before.1);
    }
    assert_eq!(project.pid("good-a"), before.0);
    // The file alone says what runs after a reload.
    let same = project.run(&["reload"]);
    assert!(text(&same.stderr).contains("nothing changed"), "{}", text(&same.stderr));
}

#[test]
fn the_name_of_a_camera_stands_for_its_workers_and_what_still_reads_it_is_told() {
    let project = running(CAM);
    let more = project.dir.join("more.yml");
    let camera = "cameras: {good-c: {url: 'test:?fps=7', serve: false, motion: true}}\n";
    let reader = "workers:\n  good-r: {use: recorder, in: good-c.packets, dir: rec}\n";
    fs::write(&more, [camera, reader].concat()).unwrap();
    let added = project.run(&["add", more.to_str().unwrap()]);
    assert!(added.status.success(), "{}", text(&added.stderr));
    let all = ["good-c", "good-c-decode", "good-c-motion"];
    let stopped = project.run(&["stop", "good-c", "-o", "json"]);
    assert_eq!(text(&stopped.stdout), format!("{}\n", serde_json::json!(all)));
    assert!(all.iter().all(|name| project.worker(name)["state"] == "stopped"));
    assert!(project.run(&["start", "good-c"]).status.success());
    let refused = project.run(&["remove", "good-c"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("good-c.packets"), "{}", text(&refused.stderr));
    let removed = project.run(&["remove", "good-c", "good-r"]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert_eq!(names(&project), ["good-a"]);
    let unknown = project.run(&["remove", "good-c"]);
    assert!(text(&unknown.stderr).contains("no worker or camera is named good-c"));
}

#[test]
fn who_outlives_the_supervisor_cannot_change_while_it_runs_and_the_refusal_says_what_to_do() {
    let project = running(CAM);
    let before = project.pid("good-a");
    let file = project.dir.join("framevisor.yml");
    let text_before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text_before}supervisor: {{on_death: adopt}}\n")).unwrap();
    for verb in ["plan", "reload"] {
        let refused = project.run(&[verb]);
        assert_eq!(refused.status.code(), Some(1), "{verb}");
        let said = text(&refused.stderr);
        for part in ["on_death` is end", "the file says adopt", "framevisor down"] {
            assert!(said.contains(part), "no '{part}' in {said}");
        }
    }
    assert_eq!(project.pid("good-a"), before);
}
