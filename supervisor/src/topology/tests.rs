//! What a whole topology means, and that the page about it tells the truth.

use proptest::prelude::*;
use protocol::config::Makes;
use protocol::config::ingest::Source;
use protocol::units::{BitRate, Span};

use super::*;

pub(super) const PAGE: &str = include_str!("../../../docs/topology.md");

fn yard(text: &str) -> Result<Topology, Report> {
    parse(text, Path::new("/srv/Back Yard/framevisor.yml"), &Overrides::default())
}

fn meant(workers: &str) -> Topology {
    yard(&format!("version: 1\nworkers:\n{workers}")).unwrap_or_else(|report| panic!("{report}"))
}

fn mistakes(text: &str) -> Vec<String> {
    let report = yard(text).expect_err("it was taken");
    report.mistakes().iter().map(|mistake| mistake.text.clone()).collect()
}

fn worker<'a>(topology: &'a Topology, name: &str) -> &'a WorkerSpec {
    topology.worker(&name.parse().unwrap()).unwrap()
}

#[test]
fn rings_take_the_names_of_workers_and_cameras() {
    let topology = meant(
        "  cam1: {use: ingest, source: 'test:'}
  decode1: {use: decoder, in: cam1.packets}
  motion1: {use: motion, in: cam1.frames}
  counter: {run: [x], in: cam1.frames}",
    );
    let names: Vec<_> = topology.rings.iter().map(|ring| ring.name.as_str()).collect();
    assert_eq!(names, ["cam1.packets", "cam1.frames", "motion1.events"]);
    let frames = topology.ring(&"cam1.frames".parse().unwrap()).unwrap();
    assert_eq!((frames.writer.as_str(), frames.readers.len(), frames.places()), ("decode1", 2, 4));
    assert_eq!(worker(&topology, "counter").output, None);
}

#[test]
fn globs_name_the_readable_rings_once_and_never_the_workers_own() {
    let topology = meant(
        "  cam1: {use: ingest, source: 'test:'}
  cam2: {use: ingest, source: 'test:'}
  all: {run: [x], in: [cam2.packets, '*'], out: all.events}
  rtsp: {use: rtsp, in: '*'}
  web: {use: web, in: ['*.frames', '*.packets']}",
    );
    let inputs =
        |name| worker(&topology, name).inputs.iter().map(RingName::as_str).collect::<Vec<_>>();
    assert_eq!(inputs("all"), ["cam2.packets", "cam1.packets"]);
    assert_eq!(inputs("rtsp"), ["cam1.packets", "cam2.packets"]);
    assert_eq!(inputs("web"), ["cam1.packets", "cam2.packets"]);
}

#[test]
fn relative_paths_start_at_the_topologys_folder() {
    let topology = meant(
        "  cam1: {use: ingest, source: 'file:clips/a.mp4'}
  recorder: {use: recorder, in: cam1.packets, dir: ./rec}
  own: {run: [./own, ./arg]}
  shell: {run: [sh]}",
    );
    let Launch::Use(WorkerConfig::Ingest(ingest)) = &worker(&topology, "cam1").launch else {
        panic!()
    };
    assert_eq!(ingest.source, Source::File("/srv/Back Yard/clips/a.mp4".into()));
    let Launch::Use(WorkerConfig::Recorder(recorder)) = &worker(&topology, "recorder").launch
    else {
        panic!()
    };
    assert_eq!(recorder.dir, Path::new("/srv/Back Yard/rec"));
    let argv = |name| match &worker(&topology, name).launch {
        Launch::Run { argv, .. } => argv.clone(),
        Launch::Use(_) => panic!(),
    };
    assert_eq!(argv("own"), ["/srv/Back Yard/own", "./arg"]);
    assert_eq!(argv("shell"), ["sh"]);
}

#[test]
fn the_project_is_the_overrides_the_files_or_the_folders() {
    let text = "version: 1\nworkers: {cam1: {use: ingest, source: 'test:'}}\n";
    assert_eq!(yard(text).unwrap().project.as_str(), "back-yard");
    assert_eq!(yard(&format!("{text}project: own\n")).unwrap().project.as_str(), "own");
    let overrides = Overrides { project: Some("mine".parse().unwrap()), ..Overrides::default() };
    let topology = parse(text, Path::new("/srv/x/framevisor.yml"), &overrides).unwrap();
    assert_eq!(topology.project.as_str(), "mine");
    let nameless = parse(text, Path::new("/framevisor.yml"), &Overrides::default()).unwrap_err();
    assert_eq!(nameless.mistakes()[0].text, "missing key 'project'");
}

#[test]
fn restart_and_ring_settings_are_taken() {
    let topology = yard(
        "version: 1
workers:
  cam1: {use: ingest, source: 'test:', restart: {delay: 0s, limit: none}}
rings:
  cam1.packets: {max_bitrate: 16M}",
    )
    .unwrap();
    let restart = topology.workers[0].restart;
    assert_eq!((restart.delay, restart.delay_max, restart.limit), (Span(0), Span(0), None));
    assert_eq!(topology.rings[0].config.max_bitrate, BitRate(16_000_000));
    assert_eq!(topology.rings[0].config.spare_readers, RingConfig::default().spare_readers);
}

#[test]
fn a_ring_of_an_external_program_needs_no_writer() {
    let topology = meant(
        "  cam1: {use: ingest, source: 'test:'}
  web: {use: web, in: [cam1.packets, ext.notebook.events]}",
    );
    assert_eq!(worker(&topology, "web").inputs.len(), 2);
    assert_eq!(topology.rings.len(), 1);
}

#[test]
fn a_recorder_reads_the_events_it_records_by_and_rings_keep_its_pre_roll() {
    let with = |when: &str| {
        meant(&format!(
            "  cam1: {{use: ingest, source: 'test:'}}
  decode1: {{use: decoder, in: cam1.packets}}
  motion1: {{use: motion, in: cam1.frames}}
  recorder: {{use: recorder, in: '*.packets', dir: x, policy: essential 2s, when: {when}}}"
        ))
    };
    let topology = with("[{pre: 7s}, {events: [motion1.events, ext.door.events], pre: 20s}]");
    let recorder = worker(&topology, "recorder");
    let inputs: Vec<_> = recorder.inputs.iter().map(RingName::as_str).collect();
    assert_eq!(inputs, ["cam1.packets", "motion1.events", "ext.door.events"]);
    assert_eq!(recorder.recorded().count(), 1);
    let ring = |name: &str| topology.ring(&name.parse().unwrap()).unwrap();
    let (packets, events) = (ring("cam1.packets"), ring("motion1.events"));
    assert_eq!(packets.pre_roll, Span::from_millis(20_000));
    assert_eq!((packets.essential.len(), events.essential.len()), (1, 0));
    assert_eq!(events.readers.len(), 1);
    let always = with("always");
    let bytes = |topology: &Topology| crate::budget::memory_of(topology, &topology.rings[0]).bytes;
    // Rings are whole pages.
    assert!((20_000_000..20_000_000 + 4096).contains(&(bytes(&topology) - bytes(&always))));
    assert_eq!(worker(&always, "recorder").inputs.len(), 1);
}

#[test]
fn a_recorder_that_could_never_record_is_a_mistake() {
    let refused = |when: &str| {
        let text = format!(
            "version: 1\nworkers:\n  cam1: {{use: ingest, source: 'test:'}}
  recorder: {{use: recorder, in: cam1.packets, dir: x, when: {when}}}"
        );
        mistakes(&text).join("; ")
    };
    for (when, text) in [
        ("events", "worker recorder: '*.events' matches no ring that this worker can read"),
        ("{events: door.events}", "worker recorder: no worker writes ring door.events"),
        (
            "{events: cam1.packets}",
            "worker recorder: when is 'cam1.packets': expected rings of events, by name or with stars",
        ),
        (
            "[always, sometimes]",
            "worker recorder: when: 'sometimes': expected always, command, events,",
        ),
        ("{events: ext.a.events, pre: 10m}", "worker recorder: pre is 10m: expected 0ns to 5m"),
        ("{evnts: ext.a.events}", "worker recorder: unknown key 'evnts'"),
    ] {
        let refused = refused(when);
        assert!(refused.starts_with(text), "{refused}");
    }
}

#[test]
fn one_broken_worker_does_not_make_others_wrong() {
    let text = "version: 1
workers:
  cam1: {use: injest, source: 'test:'}
  decode1: {use: decoder, in: cam1.packets}
  recorder: {use: recorder, in: ['*.packets', cam1.packets], dir: rec}
rings:
  cam1.packets: {}";
    assert_eq!(mistakes(text), ["worker cam1: unknown kind 'injest'"]);
}

#[test]
fn every_mistake_of_one_section_is_found() {
    let text = "version: 1
workers:
  motion1: {use: motion, in: cam1.packets, fps: x, sensitivity: y, a: 1, b: 2, out: 1}";
    let found = mistakes(text);
    for key in
        ["fps is 'x'", "sensitivity is 'y'", "unknown key 'a'", "unknown key 'b'", "ring name '1'"]
    {
        assert!(found.iter().any(|text| text.contains(key)), "{key} in {found:#?}");
    }
}

#[test]
fn a_ring_with_more_readers_than_places_is_refused() {
    let mut text = String::from("version: 1\nworkers:\n  cam1: {use: ingest, source: 'test:'}\n");
    for number in 0..255 {
        text += &format!("  reader{number}: {{run: [x], in: cam1.packets}}\n");
    }
    assert_eq!(
        mistakes(&text),
        ["ring cam1.packets: has 257 places for readers: at most 256 are possible"]
    );
}

#[test]
fn more_workers_than_a_host_takes_are_refused_at_once() {
    let workers: String = (0..2_001).map(|n| format!("  w{n}: {{run: [x]}}\n")).collect();
    let expected = "workers is a section of 2001: expected 1 to 2000 workers";
    assert_eq!(mistakes(&format!("version: 1\nworkers:\n{workers}")), [expected]);
}

#[test]
fn a_report_for_programs_has_five_keys() {
    let report = yard("version: 1\nworkers: {a: {use: x}}\n").unwrap_err().to_json();
    let mistake = report[0].as_object().unwrap();
    let keys: Vec<_> = mistake.keys().map(String::as_str).collect();
    assert_eq!(keys, ["column", "file", "help", "line", "text"]);
    assert_eq!((&mistake["line"], &mistake["column"]), (&2.into(), &20.into()));
}

#[test]
fn what_is_no_text_file_is_refused_as_a_whole() {
    let folder = std::env::temp_dir().join(format!("framevisor-topology-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("framevisor.yml");
    let refusal = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        load(std::slice::from_ref(&file), &Overrides::default()).unwrap_err().mistakes()[0]
            .text
            .clone()
    };
    assert_eq!(refusal(b"\xff\xfe"), "the file is no UTF-8 text");
    assert_eq!(refusal(&vec![b' '; FILE_MAX_BYTES + 1]), "the file is larger than 1048576 bytes");
    assert_eq!(refusal("\u{feff}# nothing".as_bytes()), "the file holds no topology");
    std::fs::remove_dir_all(&folder).unwrap();
    let missing = load(std::slice::from_ref(&file), &Overrides::default()).unwrap_err();
    assert!(missing.to_string().contains("cannot read the topology"), "{missing}");
}

#[test]
fn the_examples_are_topologies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/topologies");
    let mut count = 0;
    let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    // Who tries an example here leaves its recordings here.
    for path in paths.filter(|path| path.is_file()) {
        let topology = load(std::slice::from_ref(&path), &Overrides::default())
            .unwrap_or_else(|report| panic!("{report}"));
        assert!(!topology.rings.is_empty(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 4, "only {count} examples in {}", folder.display());
}

/// The page's examples: YAML, and the output that follows it, if one does.
pub(super) fn page_blocks() -> Vec<(&'static str, Option<&'static str>)> {
    let mut blocks = Vec::new();
    for piece in PAGE.split("```yaml\n").skip(1) {
        let (yaml, rest) = piece.split_once("```").unwrap();
        let output = rest.trim_start().strip_prefix("```text\n");
        blocks.push((yaml, output.map(|text| text.split_once("```").unwrap().0)));
    }
    blocks
}

#[test]
fn the_pages_examples_print_what_the_page_says() {
    let blocks = page_blocks();
    assert!(blocks.len() > 18);
    for (yaml, expected) in blocks {
        let read = parse(yaml, Path::new("/srv/yard/framevisor.yml"), &Overrides::default());
        let printed = match (read, expected) {
            (Err(report), _) => report.to_string(),
            (Ok(topology), Some(_)) => probe::check(&topology).expect_err(yaml).to_string(),
            (Ok(_), None) => String::new(),
        };
        assert_eq!(printed, expected.unwrap_or_default(), "{yaml}");
    }
}

#[test]
fn the_rows_of_what_goes_wrong_are_real_texts() {
    let outputs: String = page_blocks().into_iter().filter_map(|(_, output)| output).collect();
    let rows: Vec<_> = PAGE.lines().filter(|line| line.contains(" | 3 | `")).collect();
    assert!(rows.len() > 15);
    for row in rows {
        let cells: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").collect();
        for cell in &cells[2..4] {
            assert!(outputs.contains(cell.trim_matches('`')), "{cell}");
        }
    }
}

#[test]
fn the_page_has_a_row_for_every_key() {
    use protocol::config::*;
    let sections = [
        serde_json::json!(DecoderConfig::default()),
        serde_json::json!(IngestConfig { source: Source::File("x".into()), repeat: true }),
        serde_json::json!(MotionConfig::default()),
        serde_json::json!(RecorderConfig::at("x".into())),
        serde_json::json!(RtspConfig::default()),
        serde_json::json!(WebConfig::default()),
        serde_json::json!(RingConfig::default()),
    ];
    for key in sections.iter().flat_map(|section| section.as_object().unwrap().keys()) {
        assert!(PAGE.contains(&format!("\n| `{key}` |")), "{key}");
    }
}

/// Pieces that topologies are made of, so that random texts reach deep into the reader.
const PIECES: [&str; 40] = [
    "version: 1\n",
    "workers:\n",
    "  cam1:\n",
    "    use: ",
    "    run: ",
    "    in: ",
    "    out: ",
    "ingest\n",
    "decoder\n",
    "motion\n",
    "recorder\n",
    "web\n",
    "rtsp\n",
    "    source: test:\n",
    "cam1.packets\n",
    "cam1.frames\n",
    "'*.events'\n",
    "    dir: x\n",
    "rings:\n",
    "  cam1.packets: {",
    "}",
    "[",
    "]",
    ", ",
    ": ",
    "&a ",
    "*a",
    "<<",
    "- ",
    "\n",
    "\t",
    "${A}",
    "${A:-",
    "'",
    "\"",
    "    restart: {delay: 0s}\n",
    "    listen: 127.0.0.1:0\n",
    "\u{feff}",
    "|\n",
    "!x ",
];

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,300}") {
        let _ = yard(&text).map_err(|report| report.to_string());
    }

    #[test]
    fn no_topology_makes_the_reader_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        let text = pieces.concat();
        let _ = yard(&text).map_err(|report| (report.to_string(), report.to_json()));
        let _ = yard(&format!("version: 1\nworkers:\n  cam1:\n    {text}"));
    }

    #[test]
    fn what_is_reported_lies_in_the_file(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        let text = pieces.concat();
        if let Err(report) = yard(&text) {
            prop_assert!(!report.mistakes().is_empty());
            for line in report.mistakes().iter().filter_map(|mistake| mistake.line) {
                prop_assert!((1..=text.lines().count().max(1)).contains(&line), "{}", report);
            }
        }
    }
}

#[test]
fn a_group_is_found_by_name_or_number_and_one_that_is_not_there_is_a_mistake() {
    let meant = |group: &str| {
        let text =
            format!("version: 1\ngroup: {group}\nworkers:\n  a: {{use: ingest, source: 'test:'}}");
        parse(&text, Path::new("/srv/yard/framevisor.yml"), &Overrides::default()).unwrap()
    };
    assert_eq!(probe::group_id(&meant("root")), Ok(Some(0)));
    assert_eq!(probe::group_id(&meant("'61009'")), Ok(Some(61_009)));
    let report = probe::check(&meant("no-such-group")).unwrap_err().to_string();
    assert!(report.contains("no group no-such-group") && report.contains("groupadd"), "{report}");
}

#[test]
fn a_policy_is_one_word_two_or_a_deadline() {
    let topology = meant(
        "  cam1: {use: ingest, source: a.mp4}
  decode1: {use: decoder, in: cam1.packets}
  cam2: {use: ingest, source: 'test:'}
  recorder: {use: recorder, in: ['*.packets'], dir: r, policy: {essential: 1.5s}}
  counter: {run: [x], in: cam1.frames, policy: every 5}
  checker: {run: [x], in: cam1.frames, policy: essential 2s}
  other: {run: [x], in: cam1.frames}",
    );
    let deadline = Span::from_millis(1_500);
    assert_eq!(worker(&topology, "recorder").policy, Some(ReadPolicy::Essential(deadline)));
    assert_eq!(worker(&topology, "counter").policy, Some(ReadPolicy::Every(5)));
    assert_eq!(worker(&topology, "other").policy, None);
    let of = |ring: &str| topology.ring(&ring.parse().unwrap()).unwrap();
    let essential = |reader: &str, ms| {
        vec![Essential { reader: reader.to_owned(), deadline: Span::from_millis(ms) }]
    };
    assert_eq!(of("cam1.packets").essential, essential("recorder", 1_500));
    assert_eq!(of("cam2.packets").essential, essential("recorder", 1_500));
    assert_eq!(of("cam1.frames").essential, essential("checker", 2_000));
    let waits = ["cam1.packets", "cam1.frames", "cam2.packets"].map(|ring| of(ring).waits);
    assert_eq!(waits, [true, true, false], "only what comes from a file can wait");
}

#[test]
fn a_policy_that_makes_no_sense_says_what_would() {
    let text = "version: 1
workers:
  cam1: {use: ingest, source: 'test:', policy: latest}
  r: {use: recorder, in: cam1.packets, dir: r, policy: latest}
  a: {run: [x], in: cam1.packets, policy: newest}
  b: {run: [x], in: cam1.packets, policy: {essential: 5}}
  c: {run: [x], in: cam1.packets, policy: {essential: 1h}}
  d: {run: [x], in: cam1.packets, policy: {deadline: 1s}}
  e: {run: [x], in: cam1.packets, policy: every 0}";
    let expected =
        "latest, sequential, every N or essential SPAN, for example every 5 or essential 2s";
    assert_eq!(
        mistakes(text),
        [
            "worker cam1: unknown key 'policy'".to_owned(),
            "worker r: policy is 'latest': expected sequential or {essential: SPAN}".to_owned(),
            format!("worker a: policy is 'newest': expected {expected}"),
            "worker b: policy.essential is '5': expected a deadline, for example 2s".to_owned(),
            "worker c: policy is essential 1h: expected 100ms to 1m".to_owned(),
            "worker d: missing key 'essential'".to_owned(),
            "worker d: unknown key 'deadline'".to_owned(),
            "worker e: policy is every 0: expected 1 to 1000".to_owned(),
        ]
    );
}

fn names(topology: &Topology) -> Vec<&str> {
    topology.workers.iter().map(|worker| worker.name.as_str()).collect()
}

fn source_of(topology: &Topology, name: &str) -> String {
    match &worker(topology, name).launch {
        Launch::Use(WorkerConfig::Ingest(ingest)) => ingest.source.to_string(),
        other => panic!("{other:?}"),
    }
}

fn inputs_of(topology: &Topology, name: &str) -> Vec<String> {
    worker(topology, name).inputs.iter().map(ToString::to_string).collect()
}

fn written(text: &str) -> Topology {
    yard(&format!("version: 1\n{text}")).unwrap_or_else(|report| panic!("{report}"))
}

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
        "9: camera d: url: source has no host: expected rtsp://HOST[:PORT]/PATH",
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

#[test]
fn a_wrong_type_does_not_hide_a_number_out_of_range_beside_it() {
    let text = "version: 1
workers:
  cam1: {use: ingest, source: 'test:'}
  r: {use: recorder, in: cam1.packets, segment: 1ms}
  m: {use: decoder, in: cam1.packets, threads: x, max_pixels: 1}
rings:
  cam1.packets: {spare_readers: 99, history: many, max_bitrate: 5}";
    let expected = [
        "worker r: missing key 'dir'",
        "worker r: segment is 1ms: expected 1s to 1d",
        "worker m: threads is 'x': expected a whole number",
        "worker m: max_pixels is 1: expected 64 to 268435456",
        "ring cam1.packets: spare_readers is 99: expected 0 to 64",
        "ring cam1.packets: history is 'many': expected a whole number",
        "ring cam1.packets: max_bitrate: '5': expected a bit rate with its unit (k, M, G), for example 8M",
    ];
    assert_eq!(mistakes(text), expected);
}

fn together(files: &[(&str, &str)]) -> Result<Topology, Report> {
    let source = |(name, text): &(&str, &str)| super::Source {
        name: Path::new("/srv/yard").join(name),
        text: (*text).to_owned(),
    };
    let sources = files.iter().map(source).collect();
    read(sources, Path::new("/srv/yard"), &Overrides::default())
}

const YAML: &str = "version: 1
cameras:
  hall-{1..2}: {url: 'rtsp://10.0.0.{1..2}/x', record: {segment: 5m}}
workers:
  counter: {run: [sh, -c, \"a\\tb\"], in: hall-1.packets, env: {A: '1'}}
";
const JSON: &str = "{\t\"version\": 1,
\t\"cameras\": {\"hall-{1..2}\": {\"url\": \"rtsp:\\/\\/10.0.0.{1..2}/x\", \"record\": {\"segment\": \"5m\"}}},
\t\"workers\": {\"counter\": {\"run\": [\"sh\", \"-c\", \"a\\tb\"], \"in\": \"hall-1.packets\", \"env\": {\"A\": 1}}}}
";
const TOML: &str = "version = 1
[cameras.'hall-{1..2}']
url = 'rtsp://10.0.0.{1..2}/x'
record.segment = '5m'
[workers.counter]
run = ['sh', '-c', \"a\\tb\"]
in = 'hall-1.packets'
env = {A = 1}
";

#[test]
fn a_topology_means_the_same_in_each_format() {
    let of = |name: &str, text: &str| {
        let topology = together(&[(name, text)]).unwrap_or_else(|report| panic!("{report}"));
        (topology.workers, topology.rings)
    };
    let yaml = of("framevisor.yml", YAML);
    assert_eq!(of("framevisor.json", JSON), yaml);
    assert_eq!(of("framevisor.toml", TOML), yaml);
    assert_eq!(of("<stdin>", JSON.replace('\t', " ").as_str()), yaml, "JSON from stdin");
}

#[test]
fn a_mistake_has_its_place_in_each_format() {
    let found = |name: &str, text: &str| {
        let report = together(&[(name, text)]).unwrap_err();
        let mistake = &report.mistakes()[0];
        (mistake.line.unwrap(), mistake.column.unwrap(), mistake.text.clone())
    };
    let text = "worker a: unknown key 'lop'".to_owned();
    let json = "{\"version\": 1,\n\t\"workers\": {\"a\": {\"use\": \"ingest\", \"source\": \"test:\",\n\"lop\": true}}}";
    assert_eq!(found("a.json", json), (3, 1, text.clone()));
    let toml = "version = 1\n[workers.a]\nuse = 'ingest'\nsource = 'test:'\n lop = true";
    assert_eq!(found("a.toml", toml), (5, 2, text));
    let twice =
        found("a.json", "{\"version\": 1,\n \"version\": 1,\"workers\":{\"a\":{\"run\":[\"x\"]}}}");
    assert_eq!(twice, (2, 2, "key 'version' is written twice (first in line 1)".into()));
    let comma = found("a.json", "{\"version\": 1,\n}");
    assert_eq!((comma.0, comma.2), (2, "not valid JSON: key must be a string".into()));
    assert_eq!(found("a.toml", "version = 1\nworkers = \n").0, 2);
    assert!(together(&[("a.json", "# x\nversion: 1")]).is_err(), "YAML is no JSON");
}

#[test]
fn several_files_add_to_each_other() {
    let topology = together(&[
        ("base.yml", "version: 1\nworkers: {a: {use: ingest, source: 'test:'}}"),
        ("more.toml", "version = 1\n[workers.b]\nuse = 'web'\nin = '*.packets'"),
        ("site.yml", "workers: {a: {restart: {limit: none}}}\nproject: site\nrings:\n"),
        ("empty.yml", ""),
    ])
    .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(topology.project.as_str(), "site");
    assert_eq!(names(&topology), ["a", "b"]);
    assert_eq!(worker(&topology, "a").restart.limit, None);
    assert_eq!(topology.file, Path::new("/srv/yard/base.yml"));
}

#[test]
fn files_that_contradict_each_other_are_told_with_both_places() {
    let report = together(&[
        ("base.yml", "version: 1\nworkers:\n  a: {use: ingest, source: 'test:'}\n  b: {run: [x]}"),
        ("site.yml", "workers:\n  a: {source: 'test:?fps=5'}\n  b: 5\n  c: {use: ingst}"),
    ])
    .unwrap_err();
    let expected = "/srv/yard/site.yml:2:15: error: source has another value already (/srv/yard/base.yml, line 3)
      a: {source: 'test:?fps=5'}
                  ^^^^^^^^^^^^^
help: keep one of the two: files add to each other, none overrides another
/srv/yard/site.yml:3:6: error: b has another value already (/srv/yard/base.yml, line 4)
      b: 5
         ^
help: keep one of the two: files add to each other, none overrides another
/srv/yard/site.yml:4:12: error: worker c: unknown kind 'ingst'
      c: {use: ingst}
               ^^^^^
help: did you mean 'ingest'?
";
    assert_eq!(report.to_string(), expected);
    let twice = together(&[("a.yml", "version: 1\n"), ("b.yml", "a: 1\n\na: 2")]).unwrap_err();
    let twice = twice.to_string();
    assert!(
        twice.contains("b.yml:3:1: error: key 'a' is written twice (first in line 1)"),
        "{twice}"
    );
}

/// A yard with credentials in its environment.
fn with_credentials(text: &str) -> Result<Topology, Report> {
    let held = [
        ("FRAMEVISOR_CRED_URL", "rtsp://admin:s3cret@10.0.0.5/s3cret"),
        ("FRAMEVISOR_CRED_PASSWORD", "s3cret"),
    ];
    let variables = held.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let source = super::Source {
        name: "/srv/yard/framevisor.yml".into(),
        text: format!("version: 1\n{text}"),
    };
    let overrides = Overrides { variables, ..Overrides::default() };
    here(vec![source], Edits::default(), Path::new("/srv/yard"), overrides)
}

#[test]
fn a_credential_is_used_and_never_shown() {
    let topology = with_credentials(
        "cameras: {front: '${cred:url}'}
workers:
  side: {use: ingest, source: 'rtsp://admin:${cred:password}@10.0.0.6/live?token=${cred:password}'}
  own: {run: [sh, -c, 'x'], env: {TOKEN: 'Bearer ${cred:password}', PLAIN: x}}",
    )
    .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(source_of(&topology, "front"), "${cred:url}");
    assert_eq!(source_of(&topology, "side"), "rtsp://10.0.0.6/live?token=${cred:password}");
    let Launch::Use(WorkerConfig::Ingest(front)) = &worker(&topology, "front").launch else {
        panic!()
    };
    let Source::Rtsp(url) = &front.source else { panic!() };
    assert_eq!(url.url(), "rtsp://admin:s3cret@10.0.0.5/s3cret");
    let Launch::Run { env, .. } = &worker(&topology, "own").launch else { panic!() };
    assert_eq!(env["TOKEN"].value(), "Bearer s3cret");
    assert_eq!(env["TOKEN"].to_string(), "Bearer ${cred:password}");
    assert!(!format!("{topology:?}").contains("s3cret"));
}

#[test]
fn a_credential_is_refused_where_others_would_see_it_and_no_mistake_tells_it() {
    let report = with_credentials(
        "project: '${cred:password}'
workers:
  a: {use: ingest, source: '${cred:password}'}
  b: {run: [curl, '${cred:password}'], in: '${cred:password}'}
  c: {use: ingest, source: 'rtsp://${cred:password}:${cred:password}/x'}
  d: {use: ingest, source: '${cred:nobody}'}
  e: {use: '${cred:password}'}
  f: {use: decoder, in: a.packets, source: '${cred:password}'}
  g: {run: [x], env: {A: ['${cred:password}']}}
  h: {use: ingest, source: '${cred:no name}'}",
    )
    .unwrap_err();
    let texts: Vec<&str> = report.mistakes().iter().map(|it| it.text.as_str()).collect();
    let here = "${cred:password} cannot stand here: what is here is shown to others";
    let unfit =
        |what: &str| format!("source: what '{what}' stands for does not fit here; it is not shown");
    let expected = [
        here,
        &format!("worker a: {}", unfit("${cred:password}")),
        here,
        here,
        &format!("worker c: {}", unfit("rtsp://${cred:password}:${cred:password}/x")),
        "credential nobody is not there",
        here,
        "worker f: unknown key 'source'",
        "worker g: env.A is a list: expected a text",
        here,
        "'no name' is no name of a credential",
    ];
    assert_eq!(texts, expected, "{report}");
    let all = format!("{report} {}", report.to_json());
    assert!(!all.contains("s3cret"), "{all}");
    assert!(all.contains("looked for /srv/yard/credentials/nobody, then $FRAMEVISOR_CRED_NOBODY"));
}

#[test]
fn what_config_prints_means_the_same_with_nothing_short_left() {
    let folder = std::env::temp_dir().join(format!("framevisor-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let first = file(
        "framevisor.yml",
        "version: 1
defaults: {rings: {spare_readers: 3}, decoder: {threads: 2, limits: {nice: 5}}}
hooks:
  tell: {on: worker.held, run: [./tell, '${PART:-main}']}
templates: {indoor: {motion: true, serve: web}}
cameras:
  hall-{1..2}: {like: indoor, url: 'rtsp://10.0.0.{1..2}/${PART:-main}'}
  door: '${cred:url}'
",
    );
    let second = file("more.toml", "workers.own.run = ['sh', '-c', 'echo \\t']\n");
    let variables =
        [("FRAMEVISOR_CRED_URL".to_owned(), "rtsp://u:s3cret@10.0.0.9/".to_owned())].into();
    let overrides = Overrides { variables, ..Overrides::default() };
    let files = [first, second];
    let meant = load(&files, &overrides).unwrap_or_else(|report| panic!("{report}"));
    for is_expanded in [false, true] {
        let text = config(&files, &overrides, is_expanded).unwrap();
        assert!(text.contains("${cred:url}") && !text.contains("s3cret"), "{text}");
        assert!(text.contains("${PART:-main}"), "{text}");
        for short in ["cameras:", "templates:", "like:", "{1..2}", "decoder:"] {
            assert_eq!(text.contains(short), !is_expanded, "{short}: {text}");
        }
        let printed = file("printed.yml", &text);
        let again = load(&[printed], &overrides).unwrap_or_else(|report| panic!("{report}"));
        let limited = again.workers.iter().filter(|worker| worker.limits.nice == Some(5));
        assert_eq!(limited.count(), 2, "{text}");
        assert_eq!(again.hooks, meant.hooks);
        assert_eq!((again.workers, again.rings), (meant.workers.clone(), meant.rings.clone()));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

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
        ("raw: {format: rgb24, size: 8x8, fps: 5}", "there is no 'stdout'"),
        ("stdout: x.frames, raw: {format: rgb24, size: 8x8}", "missing key 'fps'"),
        ("stdout: x.frames, raw: {format: rgb24, size: 8, fps: 5}", "size: '8'"),
        ("stdout: x.frames, raw: {format: rgb24, size: 8x8, fps: 5, stride: 23}", "stride is 23"),
        ("stdout: cam1.packets, codec: {name: h264, size: 8x8, fps: 5}", "as worker cam1 does"),
        ("stdin: cam1.packets, stdout: x.frames, raw: {format: rgb24}, codec: {}", "beside 'raw'"),
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
