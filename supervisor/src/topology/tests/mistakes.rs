//! What is wrong is said, all of it, and nothing makes the reader panic.

use proptest::prelude::*;

use super::*;

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
fn what_an_analyzer_or_a_rule_could_never_see_is_a_mistake() {
    let with = |worker: &str| {
        format!(
            "version: 1\nworkers:\n  cam1: {{use: ingest, source: 'test:'}}
  decode1: {{use: decoder, in: cam1.packets}}\n  look: {worker}"
        )
    };
    let square = "'0% 0%, 50% 50%'";
    for (worker, text) in [
        (
            format!(
                "{{use: motion, in: cam1.frames, zones: {{cam2.door: {square}, cam1.gate: {square}}}}}"
            ),
            "cam2.door is of a camera that is not read: expected cam1",
        ),
        (
            format!(
                "{{use: detect, in: cam1.frames, model: a.onnx, ignore: {{cam.tree: {square}}}}}"
            ),
            "cam.tree is of a camera that is not read: expected cam1",
        ),
        (
            "{use: rules, in: [ext.door.events], rules: {a: {events: ext.dor.events}}}".to_owned(),
            "a: events is 'ext.dor.events', which it does not read: expected ext.door.events",
        ),
        (
            "{use: rules, in: cam1.frames, rules: {a: {}}}".to_owned(),
            "a: events is '*', which it does not read: expected a ring of events in 'in'",
        ),
    ] {
        let found = mistakes(&with(&worker));
        assert_eq!(found.len(), 1, "{worker}: {found:?}");
        assert!(found[0].contains(text), "{worker}: {found:?}");
    }
    let fine =
        "{use: rules, in: ext.door.events, rules: {a: {events: ['ext.*', ext.door.events]}}}";
    assert!(yard(&with(fine)).is_ok());
}

#[test]
fn numbers_that_are_no_bytes_are_none() {
    let with = |tensor: &str| {
        format!(
            "version: 1\nworkers:\n  cam1: {{use: ingest, source: 'test:'}}
  decode1: {{use: decoder, in: cam1.packets, outputs: {{net: {{size: 64x64, tensor: {tensor}}}}}}}"
        )
    };
    let found = mistakes(&with("{type: u8}")).join("; ");
    assert!(found.contains("'net' is a tensor of u8: expected 'scale: byte' beside it"), "{found}");
    assert!(yard(&with("{type: u8, scale: byte}")).is_ok());
}

#[test]
fn two_workers_cannot_have_one_udp_port() {
    let web = |name: &str, tcp: u16, viewers: u32| {
        format!(
            "
  {name}: {{use: web, in: cam1.packets, listen: '127.0.0.1:{tcp}',
    webrtc: {{listen: '127.0.0.1:8080', max_viewers: {viewers}}}}}"
        )
    };
    let cam1 = "version: 1\nworkers:\n  cam1: {use: ingest, source: 'test:'}";
    let found = mistakes(&format!("{cam1}{}{}", web("a", 8080, 1), web("b", 8081, 1)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("worker b: listens on 127.0.0.1:8080, as worker a"), "{found:?}");
    // Without WebRTC it has none, and TCP has ports of its own.
    assert!(yard(&format!("{cam1}{}{}", web("a", 8080, 1), web("b", 8081, 0))).is_ok());
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
fn a_variable_that_each_process_is_given_is_no_commands_own_and_a_hooks_may_be() {
    let text = "version: 1
workers: {a: {run: [x], env: {TMPDIR: /scratch}}}
hooks: {tell: {on: worker.died, run: [x], env: {TMPDIR: /scratch, FRAMEVISOR_IN: x}}}";
    let report = yard(text).unwrap_err().to_string();
    assert!(report.contains("env: TMPDIR is set by framevisor itself"), "{report}");
    assert!(report.contains("leave it out: each process has a folder of its own"), "{report}");
    assert_eq!(mistakes(text).len(), 2, "{report}");
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
