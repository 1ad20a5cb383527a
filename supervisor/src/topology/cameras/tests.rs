//! What one entry of `cameras:` becomes.

use protocol::config::WorkerConfig;

use crate::topology::{Launch, Overrides, RingSpec, Topology, parse};

fn read(text: &str) -> Topology {
    let text = format!("version: 1\nproject: yard\n{text}");
    parse(&text, "/srv/framevisor.yml".as_ref(), &Overrides::default())
        .unwrap_or_else(|report| panic!("{report}"))
}

fn ring<'a>(topology: &'a Topology, name: &str) -> &'a RingSpec {
    topology.ring(&name.parse().unwrap()).unwrap()
}

fn readers(ring: &RingSpec) -> Vec<&str> {
    ring.readers.iter().map(|name| name.as_str()).collect()
}

#[test]
fn sound_becomes_another_on_the_way_to_all_who_read_the_camera() {
    let topology = read(
        "cameras:
  door: {url: 'rtsp://10.0.0.5/main', audio: opus, max_bitrate: 16M, motion: true,
         record: {dir: x, policy: essential 10s}}
",
    );
    let source = ring(&topology, "door.source.packets");
    assert_eq!((source.writer.as_str(), readers(source)), ("door", vec!["door-audio"]));
    // What must not be lost in the recorder may not be lost on its way to it.
    assert_eq!(source.essential[0].reader, "door-audio");
    let packets = ring(&topology, "door.packets");
    assert_eq!(packets.writer.as_str(), "door-audio");
    assert_eq!(readers(packets), ["door-decode", "recorder", "rtsp", "web"]);
    assert_eq!(packets.essential[0].reader, "recorder");
    for ring in [source, packets] {
        assert_eq!(ring.config.max_bitrate.to_string(), "16M", "{}", ring.name);
    }
    let own = topology.workers_of("door").unwrap().iter().map(|name| name.as_str());
    assert_eq!(own.collect::<Vec<_>>(), ["door", "door-audio", "door-decode", "door-motion"]);
}

#[test]
fn sound_that_is_to_stay_as_it_is_costs_nothing() {
    let with = read("cameras: {door: {url: 'test:', audio: copy, record: true}}\n");
    let without = read("cameras: {door: {url: 'test:', record: true}}\n");
    assert_eq!(with.workers, without.workers);
}

#[test]
fn cameras_that_are_recorded_as_a_group_are_one_by_its_name() {
    let topology = read(
        "cameras:
  hall-{1..2}: {url: 'test:', record: {dir: x, group: hall}}
  yard: {url: 'test:', record: {dir: x}}
  gate: {url: 'test:', record: {dir: y, group: ways}}
  door: {url: 'test:', record: {dir: x, group: hall}}
groups: {ways: 'yard'}
",
    );
    let groups = &topology.groups;
    assert_eq!(groups["hall"], ["hall-1", "hall-2", "door"]);
    assert_eq!(groups["ways"], ["yard", "gate"]);
    // The group says nothing of who records: the same settings do.
    for name in ["hall-1.packets", "yard.packets", "door.packets"] {
        assert_eq!(readers(ring(&topology, name)), ["recorder", "rtsp", "web"], "{name}");
    }
    let report = |text: &str| {
        let text = format!("version: 1\nproject: yard\n{text}");
        let read = parse(&text, "/srv/framevisor.yml".as_ref(), &Overrides::default());
        read.unwrap_err().to_string()
    };
    let said = report("cameras: {a: {url: 'test:', record: {dir: x, group: [b]}}}\n");
    assert!(said.contains("the name of a group, such as hall"), "{said}");
    let said = report("cameras: {a: {url: 'test:', record: {dir: x, group: a}}}\n");
    assert!(said.contains("is the name of a camera too"), "{said}");
}

#[test]
fn each_worker_of_a_camera_gets_the_keys_of_health_that_it_looks_at() {
    use protocol::config::{Patience, PictureLimits, Share, WorkerConfig};
    use protocol::units::Span;

    use crate::topology::Launch;
    let topology = read(
        "cameras:
  door: {url: 'test:', sub: 'test:', frames: {health: {black: 3s}},
         health: {fps: 10, rate: 50%, frozen: off, black: 20s}}
",
    );
    let config = |name: &str| {
        let worker = topology.workers.iter().find(|worker| worker.name.as_str() == name);
        match &worker.unwrap().launch {
            Launch::Use(config) => config.clone(),
            Launch::Run { .. } => panic!("{name} runs a command"),
        }
    };
    let WorkerConfig::Ingest(main) = config("door") else { panic!("door is no ingest") };
    assert_eq!((main.health.fps, main.health.rate), (Some(10), Share::Percent(50)));
    let WorkerConfig::Ingest(sub) = config("door-sub") else { panic!("no sub stream") };
    assert_eq!(sub.health, Default::default());
    let WorkerConfig::Decoder(decoder) = config("door-decode") else { panic!("no decoder") };
    let after = |ms| Patience::After(Span::from_millis(ms));
    let blank = PictureLimits::default().blank;
    assert_eq!(decoder.health, PictureLimits { frozen: Patience::Off, black: after(3_000), blank });
}

#[test]
fn what_comes_from_a_file_waits_on_both_sides_of_an_encoder() {
    let topology = read("cameras: {door: {url: a.mp4, audio: aac}}\n");
    assert!(topology.rings.iter().all(|ring| ring.waits));
    let live = read("cameras: {door: {url: 'rtsp://h/', audio: aac}}\n");
    assert!(!live.rings.iter().any(|ring| ring.waits));
}

#[test]
fn an_encoder_is_told_which_of_its_keys_do_not_fit_its_ring() {
    let text = "version: 1
project: yard
workers:
  cam1: {use: ingest, source: 'test:'}
  dec: {use: decoder, in: cam1.packets}
  a: {use: encoder, in: cam1.packets, codec: h264}
  b: {use: encoder, in: cam1.frames, audio: aac}
";
    let read = parse(text, "/srv/framevisor.yml".as_ref(), &Overrides::default());
    let report = read.unwrap_err().to_string();
    assert!(
        report.contains("has 'codec', which is for pictures, and reads cam1.packets"),
        "{report}"
    );
    assert!(
        report.contains("has 'audio', which is for packets, and reads cam1.frames"),
        "{report}"
    );
}

#[test]
fn cameras_with_the_same_model_share_a_detector_and_keep_their_own_zones() {
    let topology = read(
        "cameras:
  front: {url: 'test:', detect: {model: yolo.onnx, only: [person], zones: {door: '0% 0%, 50% 50%'}}}
  back: {url: 'test:', detect: {model: yolo.onnx, only: [person], zones: {door: '50% 0%, 99% 99%'}}}
  yard: {url: 'test:', serve: false, detect: {model: yolo.onnx, only: [car]}}
",
    );
    let detector = |name: &str| {
        let worker = topology.worker(&name.parse().unwrap()).unwrap();
        let Launch::Use(WorkerConfig::Detect(config)) = &worker.launch else { panic!("{name}") };
        let inputs: Vec<String> = worker.inputs.iter().map(ToString::to_string).collect();
        (inputs, config.clone())
    };
    let (inputs, config) = detector("detect");
    assert_eq!(inputs, ["front.frames", "back.frames"]);
    assert_eq!(config.model.as_os_str(), "/srv/yolo.onnx");
    assert_eq!(config.zones.keys().collect::<Vec<_>>(), ["back.door", "front.door"]);
    let (inputs, config) = detector("yard-detect");
    assert_eq!((inputs, config.only), (vec!["yard.frames".to_owned()], vec!["car".to_owned()]));
    assert_eq!(readers(ring(&topology, "detect.events")), ["web"]);
    assert_eq!(readers(ring(&topology, "front.frames")), ["detect", "web"]);
}
