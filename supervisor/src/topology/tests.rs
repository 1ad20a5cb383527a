//! What a whole topology means, and that the page about it tells the truth.

use proptest::prelude::*;
use protocol::config::ingest::Source;
use protocol::units::{BitRate, Span};

use super::*;

const PAGE: &str = include_str!("../../../docs/topology.md");

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
        load(&file, &Overrides::default()).unwrap_err().mistakes()[0].text.clone()
    };
    assert_eq!(refusal(b"\xff\xfe"), "the file is no UTF-8 text");
    assert_eq!(refusal(&vec![b' '; FILE_MAX_BYTES + 1]), "the file is larger than 1048576 bytes");
    assert_eq!(refusal("\u{feff}# nothing".as_bytes()), "the file holds no topology");
    std::fs::remove_dir_all(&folder).unwrap();
    let missing = load(&file, &Overrides::default()).unwrap_err();
    assert!(missing.to_string().contains("cannot read the topology"), "{missing}");
}

#[test]
fn the_examples_are_topologies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/topologies");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let topology =
            load(&path, &Overrides::default()).unwrap_or_else(|report| panic!("{report}"));
        assert!(!topology.rings.is_empty(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 4, "only {count} examples in {}", folder.display());
}

/// The page's examples: YAML, and the output that follows it, if one does.
fn page_blocks() -> Vec<(&'static str, Option<&'static str>)> {
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
        serde_json::json!(RecorderConfig { dir: "x".into(), segment: Span(1) }),
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
