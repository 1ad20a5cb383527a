//! `cameras:`, ranges, templates and defaults: what short forms stand for.

use protocol::units::{BitRate, Span};

use super::*;

#[test]
fn a_camera_of_one_line_is_served() {
    for text in ["cameras: {front: {url: 'test:'}}", "cameras: {front: 'test:'}"] {
        let topology = written(text);
        assert_eq!(names(&topology), ["front", "rtsp", "web"]);
        assert_eq!(inputs_of(&topology, "rtsp"), ["front.packets"]);
    }
}

#[test]
fn a_camera_with_everything_is_what_one_would_write_by_hand() {
    let short = written(
        "cameras:
  front:
    url: clip.mp4
    loop: false
    record: {dir: rec, segment: 5m, policy: {essential: 2s}}
    serve: [rtsp, web]
    frames: {threads: 2}
    motion: {sensitivity: 60}
    max_bitrate: 16M
    restart: {limit: none}
    after: [media]
workers:
  media: {run: [x]}",
    );
    let long = written(
        "workers:
  front: {use: ingest, source: clip.mp4, loop: false, restart: {limit: none}, after: [media]}
  front-decode: {use: decoder, in: front.packets, threads: 2, restart: {limit: none}}
  front-motion: {use: motion, in: front.frames, sensitivity: 60, restart: {limit: none}}
  recorder: {use: recorder, in: front.packets, dir: rec, segment: 5m, policy: {essential: 2s}}
  rtsp: {use: rtsp, in: front.packets}
  web: {use: web, in: [front.packets, front.frames, front-motion.events]}
  media: {run: [x]}
rings: {front.packets: {max_bitrate: 16M}}",
    );
    assert_eq!(short.workers, long.workers);
    assert_eq!(short.rings, long.rings);
}

#[test]
fn cameras_share_what_serves_them_and_recorders_by_their_settings() {
    let topology = written(
        "cameras:
  a: {url: 'test:', record: {dir: x}, serve: web}
  b: {url: 'test:', record: {dir: y}, serve: []}
  c: {url: 'test:', record: x}
  d: {url: 'test:', record: true}
workers:
  page: {use: web, in: ext.notebook.events, listen: '127.0.0.1:99'}",
    );
    assert_eq!(names(&topology), ["a", "b", "c", "d", "recorder", "b-record", "rtsp", "page"]);
    assert_eq!(inputs_of(&topology, "recorder"), ["a.packets", "c.packets", "d.packets"]);
    assert_eq!(inputs_of(&topology, "b-record"), ["b.packets"]);
    assert_eq!(inputs_of(&topology, "rtsp"), ["c.packets", "d.packets"]);
    let page = ["ext.notebook.events", "a.packets", "c.packets", "d.packets"];
    assert_eq!(inputs_of(&topology, "page"), page);
}

#[test]
fn a_range_is_as_many_entries_each_with_its_numbers() {
    let topology = written(
        "cameras:
  hall-{08..10}: {url: 'rtsp://10.0.1.1{08..10}/{1..3}', serve: rtsp}
workers:
  all: {run: [sh, -c, 'echo {1..3}'], in: 'hall-{08..09}.packets', after: ['hall-{08..10}']}
rings:
  hall-{08..10}.packets: {max_bitrate: 2M}",
    );
    assert_eq!(names(&topology), ["hall-08", "hall-09", "hall-10", "rtsp", "all"]);
    assert_eq!(source_of(&topology, "hall-10"), "rtsp://10.0.1.110/3");
    assert_eq!(inputs_of(&topology, "all"), ["hall-08.packets", "hall-09.packets"]);
    assert_eq!(worker(&topology, "all").after.len(), 3);
    assert!(topology.rings.iter().all(|ring| ring.config.max_bitrate == BitRate(2_000_000)));
    let Launch::Run { argv, .. } = &worker(&topology, "all").launch else { panic!() };
    assert_eq!(argv[2], "echo {1..3}", "a command's braces are the shell's");
}

#[test]
fn an_entry_is_like_another_or_a_template_and_its_own_keys_win() {
    let topology = written(
        "templates:
  base: {serve: [], motion: {fps: 3, sensitivity: 20}}
  outdoor: {like: base, motion: {sensitivity: 70}}
cameras:
  yard-{1..2}: {like: outdoor, url: 'rtsp://10.0.0.{1..2}/x'}
  back: {like: yard-2, motion: {fps: 9}}
  still: {like: yard-1, motion: false, url: 'test:'}
  again: {like: outdoor, motion: true, url: 'test:'}
workers:
  a: {run: [x], env: {A: '1', B: '1'}}
  b: {like: a, env: {B: '2'}}",
    );
    assert_eq!(source_of(&topology, "back"), "rtsp://10.0.0.2/x");
    let motion = |name: &str| match &worker(&topology, name).launch {
        Launch::Use(WorkerConfig::Motion(motion)) => (motion.fps, motion.sensitivity),
        other => panic!("{other:?}"),
    };
    assert_eq!(motion("yard-1-motion"), (3, 70));
    assert_eq!(motion("back-motion"), (9, 70));
    assert_eq!(motion("again-motion"), (3, 70));
    assert!(!names(&topology).contains(&"still-motion"));
    let Launch::Run { argv, env } = &worker(&topology, "b").launch else { panic!() };
    assert_eq!((argv.len(), env["A"].value(), env["B"].value()), (1, "1", "2"));
}

#[test]
fn defaults_lie_beneath_everything_of_their_kind() {
    let topology = written(
        "defaults:
  cameras: {record: true, serve: web}
  workers: {restart: {limit: none}}
  rings: {spare_readers: 5}
  recorder: {dir: /srv/rec, restart: {delay: 2s}}
  run: {env: {A: x}}
cameras:
  a: {url: 'test:'}
  b: {url: 'test:', serve: []}
workers:
  own: {run: [x]}
rings: {a.packets: {max_bitrate: 2M}}",
    );
    assert_eq!(names(&topology), ["a", "b", "recorder", "web", "own"]);
    assert!(topology.workers.iter().all(|worker| worker.restart.limit.is_none()));
    assert!(topology.rings.iter().all(|ring| ring.config.spare_readers == 5));
    let recorder = worker(&topology, "recorder");
    assert_eq!(recorder.restart.delay, Span::from_millis(2_000));
    let Launch::Use(WorkerConfig::Recorder(config)) = &recorder.launch else { panic!() };
    assert_eq!(config.dir, Path::new("/srv/rec"));
    let Launch::Run { env, .. } = &worker(&topology, "own").launch else { panic!() };
    assert_eq!(env["A"].value(), "x");
}

#[test]
fn mistakes_of_what_expands_are_told_once_and_where_they_were_made() {
    let text = "version: 1
defaults:
  decoder: {thread: 2, in: x}
  injest: {}
  cameras: {motion: {fps: 0}}
cameras:
  a-{1..3}: {url: 'rtsp://{1..2}/x', frames: {threads: 99, use: motion}}
  b: {like: c, frames: yes, serve: [hls], record: }
  d: {like: e, url: 'rtsp://'}
  e: {like: d, url: 'test:', uri: x}
  f-{3..1}: {}
  a-2: {url: 'test:'}
workers:
  e-decode: {run: [x]}
  web: {run: [x]}";
    let report = yard(text).unwrap_err();
    let found: Vec<_> = report
        .mistakes()
        .iter()
        .map(|mistake| format!("{}: {}", mistake.line.unwrap_or(0), mistake.text))
        .collect();
    let expected = [
        "3: defaults of decoder: unknown key 'thread'",
        "3: defaults of decoder: unknown key 'in'",
        "4: unknown key 'injest'",
        "5: worker a-1-motion: fps is 0: expected 1 to 240",
        "7: camera a-1: needs worker web for itself, which is written by hand as well (line 15)",
        "7: camera a-1: range {1..2} has 2 numbers: expected 3, as in {1..3}",
        "7: worker a-1-decode: threads is 99: expected 1 to 16",
        "7: camera a-1: unknown key 'use'",
        "8: camera b: missing key 'url'",
        "8: camera b: is like 'c', and there is none",
        "8: camera b: frames is 'yes': expected true, false or a section with keys",
        "8: camera b: serve is 'hls': expected a list of rtsp and web",
        "8: camera b: record is nothing: expected true, false, a folder or a section with keys",
        "9: camera e: cannot be like 'e', which is like it or is it",
        "9: camera d: url: source has no host: expected SCHEME://HOST[:PORT]/PATH",
        "10: camera e: needs worker e-decode for itself, which is written by hand as well (line 14)",
        "10: camera d: cannot be like 'd', which is like it or is it",
        "10: camera d: unknown key 'uri'",
        "11: camera f-{3..1}: range {3..1} ends before it begins",
        "12: camera a-2: 'a-2' is there twice (first in line 7)",
    ];
    assert_eq!(found, expected, "{report}");
}

#[test]
fn a_range_in_a_range_does_not_fill_the_memory() {
    let entry = "{use: motion, in: [a, b, c, d, e, f, g, h, i, j]}";
    let many: String = (0..500).map(|n| format!("  w{n}-{{1..2000}}: {entry}\n")).collect();
    let found = mistakes(&format!("version: 1\nworkers:\n{many}"));
    assert!(found.iter().any(|text| text.starts_with("more than 100000 values")), "{found:?}");
}
