//! What a topology means: rings, paths, policies.

use protocol::config::Memory;
use protocol::config::ingest::Source;
use protocol::units::{BitRate, Span};

use super::*;

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
fn a_mixer_says_of_the_rings_that_it_reads_how_loud_they_are() {
    let topology = meant(
        "  mic: {use: ingest, source: 'test:?tone=1000'}
  cam: {use: ingest, source: 'test:?beep=500'}
  mix: {use: mixer, in: '*.packets', sources: {mic: {gain: -6dB}, cam.packets: {mute: true}}}",
    );
    assert_eq!(inputs_of(&topology, "mix"), ["mic.packets", "cam.packets"]);
    assert!(topology.ring(&"mix.packets".parse().unwrap()).is_some());
    let wrong = mistakes(
        "version: 1
workers:
  mic: {use: ingest, source: 'test:?tone=1000'}
  mix: {use: mixer, in: mic.packets, sources: {mike: {gain: -6dB}}, wait: 1ms}
",
    );
    let all = wrong.join("\n");
    assert!(all.contains("wait is 1ms: expected 20ms to 5s"), "{all}");
    let wrong = mistakes(
        "version: 1
workers:
  mic: {use: ingest, source: 'test:?tone=1000'}
  mix: {use: mixer, in: mic.packets, sources: {mike: {gain: -6dB}}}
",
    );
    assert!(wrong.join("\n").contains("sources: 'mike' is no ring that it reads"), "{wrong:?}");
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
    // Rings are whole pages, and the epoch before counts too.
    let deeper = bytes(&topology) - bytes(&always);
    assert!((40_000_000..40_000_000 + 2 * 4096).contains(&deeper), "{deeper}");
    assert_eq!(worker(&always, "recorder").inputs.len(), 1);
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

#[test]
fn pictures_lie_on_a_device_where_a_decoder_puts_them_for_who_can_read_them_there() {
    let with = |workers: &str, rings: &str| {
        format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:'}}
  decode1: {{use: decoder, in: cam1.packets, outputs: {{gpu: {{format: nv12}}, net: {{size: 320x320, tensor: {{}}}}}}}}
{workers}rings:
  {rings}
"
        )
    };
    let topology = yard(&with(
        "  look: {run: [x], in: cam1.gpu.frames}\n  code: {use: encoder, in: cam1.gpu.frames}\n",
        "cam1.gpu.frames: {memory: cuda}",
    ));
    let topology = topology.unwrap();
    let memory = |name: &str| topology.ring(&name.parse().unwrap()).unwrap().config.memory;
    assert_eq!((memory("cam1.gpu.frames"), memory("cam1.frames")), (Memory::Cuda, Memory::Host));
    for (workers, rings, told) in [
        (
            "  m: {use: motion, in: cam1.frames}\n",
            "cam1.frames: {memory: cuda}",
            "worker m: reads cam1.frames, whose pictures lie on a device (memory: cuda), and motion reads those of the machine's memory",
        ),
        (
            "",
            "cam1.packets: {memory: cuda}",
            "ring cam1.packets: has memory: cuda, and it is no ring of frames",
        ),
        (
            "  x: {run: [x], out: x.frames}\n",
            "x.frames: {memory: cuda}",
            "ring x.frames: has memory: cuda, and of all workers a decoder alone writes to a device",
        ),
        (
            "",
            "cam1.net.frames: {memory: cuda}",
            "ring cam1.net.frames: has memory: cuda, and its tensors are made by the processor, for models that run there",
        ),
        (
            "",
            "cam1.frames: {memory: cuda, access: brokered}",
            "ring cam1.frames: has memory: cuda, and access: brokered; who may read there may write there, so it is nothing for readers that are not trusted",
        ),
    ] {
        assert_eq!(mistakes(&with(workers, rings)), [told]);
    }
    let report = yard(&with("", "cam1.frames: {memory: gpu}")).unwrap_err();
    assert_eq!(report.mistakes()[0].help, "for example memory: cuda");
}
