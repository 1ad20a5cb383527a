//! Commands with rings at stdin and stdout.

use protocol::config::Makes;
use protocol::units::Span;

use super::*;

const PIPED: &str = "  cam1: {use: ingest, source: 'test:'}
  flip:
    run: [./flip]
    stdin: cam1.packets
    stdout: flip.frames
    raw: {format: nv12, size: 64x48, fps: 25}
    restart: {limit: none}
    after: [cam1]
  motion1: {use: motion, in: flip.frames, after: [flip]}";

#[test]
fn a_command_with_rings_at_stdin_and_stdout_is_two_workers() {
    let topology = meant(PIPED);
    let names: Vec<_> = topology.workers.iter().map(|worker| worker.name.as_str()).collect();
    assert_eq!(names, ["cam1", "flip/command", "flip/pipe", "motion1"]);
    let (command, pipe) = (worker(&topology, "flip/command"), worker(&topology, "flip/pipe"));
    assert_eq!((command.inputs.len(), &command.output), (0, &None));
    assert_eq!(pipe.inputs, ["cam1.packets".parse().unwrap()]);
    assert_eq!(pipe.output, Some("flip.frames".parse().unwrap()));
    assert_eq!((command.restart.limit, pipe.restart.limit), (None, None));
    let Launch::Use(WorkerConfig::Pipe(config)) = &pipe.launch else { panic!() };
    assert_eq!((config.command.as_str(), config.feeds), ("flip/command", true));
    let Some(Makes::Pictures(raw)) = config.makes else { panic!() };
    assert_eq!((raw.size.to_string(), raw.stride, raw.fps), ("64x48".to_owned(), 0, 25));
    let after: Vec<_> = worker(&topology, "motion1").after.iter().map(|it| it.as_str()).collect();
    assert_eq!(after, ["flip/command", "flip/pipe"]);
}

#[test]
fn a_container_says_itself_what_is_in_it() {
    let topology = meant("  cam: {run: [x], stdout: cam.packets, codec: {name: matroska}}");
    let Launch::Use(WorkerConfig::Pipe(config)) = &worker(&topology, "cam/pipe").launch else {
        panic!()
    };
    assert_eq!(config.makes, Some(Makes::Container(protocol::config::Container::Matroska)));
}

#[test]
fn a_policy_says_how_the_ring_of_stdin_is_read() {
    let workers = "  cam1: {use: ingest, source: 'test:'}
  dec: {use: decoder, in: cam1.packets}
  all: {run: [x], stdin: cam1.frames, policy: essential 2s}";
    let topology = meant(workers);
    let Launch::Use(WorkerConfig::Pipe(config)) = &worker(&topology, "all/pipe").launch else {
        panic!()
    };
    assert_eq!(config.policy, ReadPolicy::Essential(Span::from_millis(2_000)));
    let ring = topology.ring(&"cam1.frames".parse().unwrap()).unwrap();
    let readers: Vec<_> = ring.essential.iter().map(|it| it.reader.as_str()).collect();
    assert_eq!(readers, ["all/pipe"]);
}

#[test]
fn what_stdin_and_stdout_cannot_be_is_told() {
    let cases = [
        ("stdin: cam1.events", "cam1.events holds events"),
        ("stdin: cam2.packets", "no worker writes ring cam2.packets"),
        ("stdout: x.frames", "missing key 'raw'"),
        ("stdout: x.packets, raw: {format: rgb24, size: 8x8, fps: 5}", "is no ring of frames"),
        ("stdout: x.frames, codec: {name: h264, size: 8x8, fps: 5}", "is no ring of packets"),
        ("stdout: x.packets, codec: {name: opus, size: 8x8, fps: 5}", "name is 'opus'"),
        ("stdout: x.frames, codec: {name: mpegts}", "is no ring of packets"),
        ("stdout: x.packets, codec: {name: mpegts, fps: 5}", "unknown key 'fps'"),
        (
            "stdin: cam1.packets, stdout: x.packets, codec: {name: mpegts}",
            "beside 'stdin' cannot be",
        ),
        ("raw: {format: rgb24, size: 8x8, fps: 5}", "there is no 'stdout'"),
        ("stdout: x.frames, raw: {format: rgb24, size: 8x8}", "missing key 'fps'"),
        ("stdout: x.frames, raw: {format: rgb24, size: 8, fps: 5}", "size: '8'"),
        ("stdout: x.frames, raw: {format: rgb24, size: 8x8, fps: 5, stride: 23}", "stride is 23"),
        ("stdout: cam1.packets, codec: {name: h264, size: 8x8, fps: 5}", "as worker cam1 does"),
        ("stdin: cam1.packets, stdout: x.frames, raw: {format: rgb24}, codec: {}", "beside 'raw'"),
        ("stdout: x.packets, sound: {hz: 8000}, codec: {}", "beside 'codec'"),
        ("stdout: x.frames, sound: {hz: 8000}", "is no ring of packets"),
        ("stdout: x.packets, sound: {channels: 1}", "missing key 'hz'"),
        ("stdin: cam1.packets, policy: every 5", "expected sequential or {essential"),
        ("stdin: cam1.packets, after: [ghost]", "worker a: starts after 'ghost'"),
        ("stdin: cam1.packets, after: [a]", "worker a: starts after 'a', which"),
    ];
    for (keys, expected) in cases {
        let text = format!(
            "version: 1\nworkers:\n  cam1: {{use: ingest, source: 'test:'}}\n  a: {{run: [x], {keys}}}"
        );
        let found = mistakes(&text);
        assert!(found.iter().any(|text| text.contains(expected)), "{keys}: {found:#?}");
        assert!(!found.iter().any(|text| text.contains("a/")), "{keys}: {found:#?}");
        let once: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "{keys}: {found:#?}");
    }
    let built_in = "version: 1\nworkers: {a: {use: ingest, source: 'test:', stdout: a.packets}}";
    assert!(mistakes(built_in)[0].contains("unknown key 'stdout'"));
    let file = "version: 1\nworkers: {a: {use: pipe}}";
    assert!(mistakes(file)[0].contains("unknown kind 'pipe'"));
}
