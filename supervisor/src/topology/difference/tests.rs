//! What a change touches, and what it leaves alone.

use super::*;
use crate::topology::{Overrides, parse};

const CAM1: &str = "  cam1: {use: ingest, source: 'test:'}\n";
const CAM2: &str = "  cam2: {use: ingest, source: 'test:'}\n";
const RTSP: &str = "  rtsp: {use: rtsp, in: '*.packets'}\n";

fn topology(workers: &[&str]) -> Topology {
    let text = format!("version: 1\nworkers:\n{}", workers.concat());
    parse(&text, "/srv/yard/framevisor.yml".as_ref(), &Overrides::default()).unwrap()
}

fn change(old: &[&str], new: &[&str]) -> Change {
    difference(&topology(old), &topology(new), &Laid::new())
}

fn names(names: &[&str]) -> Vec<WorkerName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn the_same_again_changes_nothing() {
    let change = change(&[CAM1, RTSP], &[RTSP, CAM1]);
    assert!(change.is_empty() && change.viewers.is_empty(), "{change:?}");
    assert_eq!(change.keep, names(&["cam1", "rtsp"]));
}

const FLIP: &str = "  flip: {run: [./flip], stdin: cam1.packets, stdout: flip.frames,
    raw: {format: nv12, size: 64x48, fps: 25}}\n";

fn restarts(change: &Change) -> Vec<(&str, String)> {
    let restarts = change.restart.iter();
    restarts.map(|it| (it.worker.as_str(), it.why.join(", "))).collect()
}

#[test]
fn a_command_and_its_pipe_worker_restart_together_whichever_of_the_two_has_changed() {
    let other = FLIP.replace("./flip", "./flop");
    let change = self::change(&[CAM1, FLIP], &[CAM1, &other]);
    let why = |it: &str| it.to_owned();
    let expected = [("flip/command", why("run")), ("flip/pipe", why("flip/command restarts"))];
    assert_eq!(restarts(&change), expected);
    assert_eq!(change.keep, names(&["cam1"]));
    let other = FLIP.replace("64x48", "32x24").replace("[./flip]", "[./flip], policy: sequential");
    let change = self::change(&[CAM1, FLIP], &[CAM1, &other]);
    let expected = [("flip/command", why("policy")), ("flip/pipe", why("stdout, policy"))];
    assert_eq!(restarts(&change), expected);
    let change = replacement(&topology(&[CAM1, FLIP]), &names(&["flip/pipe"]), &Laid::new());
    let expected = [("flip/command", why("flip/pipe restarts")), ("flip/pipe", why("asked to"))];
    assert_eq!(restarts(&change), expected);
}

#[test]
fn a_further_camera_starts_and_who_reads_all_of_them_is_replaced_beside_its_viewers() {
    let change = change(&[CAM1, RTSP], &[CAM1, CAM2, RTSP]);
    assert_eq!((change.start, change.keep), (names(&["cam2"]), names(&["cam1"])));
    let [rtsp] = change.restart.as_slice() else { panic!("{:?}", change.restart) };
    assert_eq!((rtsp.how, rtsp.why.as_slice()), (How::Beside, &["in".to_owned()][..]));
    assert_eq!(change.rings.created, ["cam2.packets".parse().unwrap()]);
    assert!(change.memory.after_bytes > change.memory.before_bytes);
    assert!(change.viewers[0].loses.starts_with("nothing"));
}

#[test]
fn a_camera_that_is_taken_away_is_stopped_with_its_ring() {
    let change = change(&[CAM1, CAM2], &[CAM1]);
    assert_eq!((change.stop, change.keep), (names(&["cam2"]), names(&["cam1"])));
    assert_eq!(change.rings.removed, ["cam2.packets".parse().unwrap()]);
}

#[test]
fn a_key_of_a_worker_is_named_and_a_camera_is_never_ingested_twice() {
    let faster = "  cam1: {use: ingest, source: 'test:?fps=30'}\n";
    let change = change(&[CAM1, RTSP], &[faster, RTSP]);
    let [cam1] = change.restart.as_slice() else { panic!("{:?}", change.restart) };
    assert_eq!((cam1.how, cam1.why.as_slice()), (How::InPlace, &["source".to_owned()][..]));
    assert_eq!(change.keep, names(&["rtsp"]));
}

#[test]
fn what_only_the_supervisor_reads_restarts_nobody() {
    let patient = "  cam1: {use: ingest, source: 'test:', restart: {limit: none}}\n";
    let change = change(&[CAM1], &[patient]);
    assert_eq!(change.adjust[0].keys, ["restart"]);
    assert!(change.restart.is_empty());
}

#[test]
fn a_port_that_moves_is_opened_and_closed() {
    let moved = "  rtsp: {use: rtsp, in: '*.packets', listen: '127.0.0.1:9554'}\n";
    let change = change(&[CAM1, RTSP], &[CAM1, moved]);
    assert_eq!(change.ports.opened[0].address.port(), 9554);
    assert_eq!(change.ports.closed[0].address.port(), 8554);
    assert_eq!(change.restart[0].why, ["listen"]);
}

#[test]
fn a_spare_place_takes_a_further_reader_and_a_writer_is_restarted_only_for_want_of_one() {
    let reader = |number| format!("  r{number}: {{run: [x], in: cam1.packets}}\n");
    let readers: Vec<String> = (0..4).map(reader).collect();
    let with = |count: usize| {
        let readers = readers[..count].iter().map(String::as_str);
        topology(&[CAM1].into_iter().chain(readers).collect::<Vec<_>>())
    };
    let spared = difference(&with(1), &with(3), &Laid::new());
    assert!(spared.restart.is_empty() && spared.keep.len() == 2, "{spared:?}");
    let outgrown = difference(&with(1), &with(4), &Laid::new());
    assert_eq!(outgrown.restart[0].why, ["cam1.packets has 3 places, 4 are needed"]);
    // What the ring was really given counts, not what the topology of the moment would give it.
    let laid = Laid::from([("cam1.packets".parse().unwrap(), 3)]);
    assert_eq!(difference(&with(3), &with(4), &laid).restart.len(), 1);
    assert!(difference(&with(3), &with(4), &Laid::new()).restart.is_empty());
}

#[test]
fn settings_of_a_ring_restart_its_writer_and_its_readers_stay() {
    let larger = format!("{CAM1}{RTSP}rings:\n  cam1.packets: {{max_bitrate: 20M}}\n");
    let change = change(&[CAM1, RTSP], &[&larger]);
    assert_eq!(change.restart[0].why, ["rings.cam1.packets.max_bitrate"]);
    assert_eq!(change.rings.resized, ["cam1.packets".parse().unwrap()]);
    assert_eq!(change.keep, names(&["rtsp"]));
}

#[test]
fn hooks_that_come_go_or_change_are_named_and_touch_no_worker() {
    let hook = |name: &str, timeout: u32| {
        format!("  {name}: {{on: worker.died, run: [x], timeout: {timeout}s}}\n")
    };
    let with = |hooks: &[String]| topology(&[CAM1, "hooks:\n", &hooks.concat()]);
    let old = with(&[hook("a", 1), hook("b", 1), hook("c", 1)]);
    let change = difference(&old, &with(&[hook("b", 2), hook("c", 1), hook("d", 1)]), &Laid::new());
    let Hooks { added, removed, changed } = &change.hooks;
    let named = |name: &str| vec![name.parse::<WorkerName>().unwrap()];
    assert_eq!((added, removed, changed), (&named("hook/d"), &named("hook/a"), &named("hook/b")));
    assert!(!change.is_empty() && change.touched().next().is_none());
    assert_eq!(change.keep, names(&["cam1"]));
}

#[test]
fn a_replacement_is_the_change_of_nothing_but_its_processes() {
    let running = topology(&[CAM1, RTSP]);
    let change = replacement(&running, &names(&["rtsp", "cam1"]), &Laid::new());
    let how: Vec<How> = change.restart.iter().map(|restart| restart.how).collect();
    assert_eq!(how, [How::InPlace, How::Beside]);
    assert!(change.keep.is_empty() && change.rings == Rings::default());
}
