//! `explain`: what a person would type to get by hand what a worker does, as far as ffmpeg can do it. A
//! pure function of the topology: nothing need run, and no media library is asked.

mod composed;
mod detected;

use std::process::ExitCode;

pub(super) use detected::engines;
use protocol::config::device::DeviceFormat;
use protocol::config::encoder::SoundCodec;
use protocol::config::ingest::{IngestConfig, Source, TestPattern, TestSound, Wave};
use protocol::config::push::{Place, PushTransport, bracketed};
use protocol::config::source_url::SourceUrl;
use protocol::config::stream_url::Scheme;
use protocol::config::{
    Coded, DecoderConfig, Makes, MixCodec, MixerConfig, PushConfig, Raw, RecorderConfig, Samples,
    WorkerConfig,
};
use protocol::name::{RingKind, RingName, WorkerName};
use protocol::stream::PixelFormat;
use protocol::units::Size;
use serde::Serialize;

use super::{CliError, Context, FileArg, terminal};
use crate::redact::HIDDEN;
use crate::topology::{Launch, Topology, WorkerSpec};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor explain cam1
  framevisor explain recorder -o json";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The worker
    name: WorkerName,
    #[command(flatten)]
    pub(super) file: FileArg,
}

/// Commands that do the same one behind the other, or none, and what differs.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Explained {
    worker: String,
    /// Each a program and its arguments.
    commands: Vec<Vec<String>>,
    notes: Vec<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let topology = context.topology()?;
    let Some(worker) = meant(&topology, &args.name) else {
        let known: Vec<String> = topology.workers.iter().map(|w| w.name.to_string()).collect();
        return Err(CliError::NoNamed {
            what: "worker",
            wanted: args.name.to_string(),
            known: known.join(", "),
        });
    };
    let explained = explain(&topology, worker);
    if context.is_json() {
        terminal::json(&explained)?;
    } else {
        terminal::data(&page(&explained))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The worker of this name; of a command that has a pipe worker, the command.
fn meant<'a>(topology: &'a Topology, name: &WorkerName) -> Option<&'a WorkerSpec> {
    let of_command = || {
        let mut commands = topology.pairs().map(|(command, _)| command);
        commands.find(|command| command.name.owner() == Some(name.as_str()))
    };
    topology.worker(name).or_else(of_command)
}

/// A script: notes are its comments.
fn page(explained: &Explained) -> String {
    let notes = explained.notes.iter().map(|note| format!("# {note}\n"));
    let commands = explained.commands.iter().map(|command| {
        let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        format!("{}\n", words.join(" "))
    });
    notes.chain(commands).collect()
}

/// As a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn explain(topology: &Topology, worker: &WorkerSpec) -> Explained {
    let mut explained = Explained { worker: worker.name.to_string(), ..Explained::default() };
    let to = &mut explained;
    match &worker.launch {
        Launch::Run { argv, .. } => {
            to.notes.push("its own command, without the variables that name its rings".to_owned());
            if let Some((_, pipe)) = topology.pairs().find(|(command, _)| *command == worker) {
                to.notes.extend(at_its_ends(pipe));
            }
            to.commands.push(argv.clone());
        }
        Launch::Use(WorkerConfig::Ingest(ingest)) => {
            to.notes
                .push("the packets go nowhere here; the worker puts them into its ring".to_owned());
            let copy = ["-c", "copy", "-f", "null", "-"];
            let nothing = ["-f", "null", "-"];
            let synthetic = matches!(ingest.source, Source::Test(_));
            let words: &[&str] = if synthetic { &nothing } else { &copy };
            let command = ffmpeg(ingest, words, &mut to.notes);
            to.commands.push(command);
        }
        Launch::Use(WorkerConfig::Decoder(decoder)) => {
            to.notes.push(
                "the pictures go nowhere here; the worker draws them into its ring".to_owned(),
            );
            of_sources(topology, worker, to, |_, _| nowhere(decoder));
        }
        Launch::Use(WorkerConfig::Compositor(config)) => {
            composed::explain(topology, worker, config, to);
        }
        Launch::Use(WorkerConfig::Detect(config)) => detected::explain(config, to),
        Launch::Use(WorkerConfig::Encoder(encoder)) if worker.recorded().next().is_some() => {
            to.notes.push(
                "ffmpeg encodes all sound; the worker only what MP4 lacks, into its ring"
                    .to_owned(),
            );
            let codec = match encoder.audio {
                SoundCodec::Aac => "aac",
                SoundCodec::Opus => "libopus",
            };
            let rate = encoder.audio_bitrate.0.to_string();
            let to_nothing = ["-c:v", "copy", "-c:a", codec, "-b:a", &rate, "-f", "null", "-"];
            of_sources(topology, worker, to, |_, _| words(&to_nothing));
        }
        Launch::Use(WorkerConfig::Mixer(mixer)) => mixed(topology, worker, mixer, to),
        Launch::Use(WorkerConfig::Recorder(recorder)) => {
            to.notes.push(
                "a kill costs ffmpeg the unfinished fragment, and each start begins anew"
                    .to_owned(),
            );
            let folders = worker.recorded().map(|ring| folder(recorder, ring));
            let mkdir = words(&["mkdir", "-p"]).into_iter().chain(folders).collect();
            to.commands.push(mkdir);
            of_sources(topology, worker, to, |ring, ingest| segments(recorder, ring, ingest));
        }
        Launch::Use(WorkerConfig::RtspPush(push)) => {
            to.notes.push(
                "ffmpeg ends when the server does; the worker connects again, and leaves out what it cannot take"
                    .to_owned(),
            );
            if push.to.url() != push.to.to_string() {
                to.notes.push("what lets in is left out of the address".to_owned());
            }
            of_sources(topology, worker, to, |_, ingest| pushed(push, ingest));
        }
        Launch::Use(WorkerConfig::Pipe(pipe)) => {
            to.notes.push(format!("it moves bytes between rings and {}", pipe.command));
            to.notes.extend(at_its_ends(worker));
        }
        Launch::Use(other) => {
            let kind = other.kind();
            to.notes.push(format!("there is no ffmpeg command that does what {kind} does"));
        }
    }
    explained
}

/// One command for all sources; those that ffmpeg cannot open are left out.
fn mixed(topology: &Topology, worker: &WorkerSpec, mixer: &MixerConfig, to: &mut Explained) {
    to.notes.push(
        "ffmpeg mixes by the sources' own times and waits for each; the worker by when they were \
         heard, and waits for none"
            .to_owned(),
    );
    let mut command = words(&["ffmpeg", "-hide_banner", "-nostdin"]);
    let (mut filters, mut labels, mut count) = (String::new(), String::new(), 0);
    for ring in worker.recorded() {
        let heard = source(topology, ring).and_then(|ingest| heard(ingest, &mut to.notes));
        let Some(input) = heard else {
            to.notes.push(format!("{ring}: no sound that ffmpeg could open"));
            continue;
        };
        command.extend(input);
        let mixed = mixer.of(ring);
        let volume = if mixed.mute { "0".to_owned() } else { mixed.gain.to_string() };
        filters += &format!("[{count}:a]volume={volume}[s{count}];");
        labels += &format!("[s{count}]");
        count += 1;
    }
    let codec = match mixer.codec {
        MixCodec::Aac => "aac",
        MixCodec::Opus => "libopus",
        MixCodec::Pcm => "pcm_s16le",
    };
    let (rate, channels) = (mixer.bitrate.0.to_string(), mixer.channels.to_string());
    let graph = format!("{filters}{labels}amix=inputs={count}:normalize=0");
    let output = ["-filter_complex", &graph, "-c:a", codec, "-b:a", &rate, "-ar", "48000"];
    if count > 0 {
        command.extend(words(&output));
        command.extend(words(&["-ac", &channels, "-f", "null", "-"]));
        to.commands.push(command);
    }
}

/// A source as ffmpeg hears it; `None` where it has nothing to hear.
fn heard(ingest: &IngestConfig, notes: &mut Vec<String>) -> Option<Vec<String>> {
    match &ingest.source {
        Source::Test(TestPattern { sound, .. }) => Some(wave(sound.as_ref()?)),
        _ => Some(input(ingest, notes)),
    }
}

/// ffmpeg's own tone, as loud as ours; a beep without its pauses.
fn wave(sound: &TestSound) -> Vec<String> {
    let rate = sound.rate_hz;
    let source = match sound.wave {
        Wave::Tone { hz: 0 } => format!("anullsrc=r={rate}:cl=mono"),
        Wave::Tone { hz } | Wave::Beep { hz } => {
            format!("sine=frequency={hz}:sample_rate={rate},volume={}", louder(sound))
        }
    };
    words(&["-re", "-f", "lavfi", "-i", &source])
}

/// Its tones peak at an eighth, -18 dB, of what can be.
fn louder(sound: &TestSound) -> String {
    protocol::units::Decibels(sound.level.0 + 180).to_string()
}

/// All pictures of a decoder.
fn nowhere(decoder: &DecoderConfig) -> Vec<String> {
    let mut all = words(&["-an", "-f", "null", "-"]);
    for form in decoder.outputs.values() {
        let size = |size: Size| format!("scale={}:{}:flags=bilinear", size.width, size.height);
        let format = |format: PixelFormat| match format {
            PixelFormat::Gray8 => "format=gray".to_owned(),
            other => format!("format={}", other.as_str()),
        };
        // Numbers are made of such pictures; their order and scale no ffmpeg writes.
        let made = form.tensor.map(|_| PixelFormat::Rgb24).or(form.format);
        let filters: Vec<String> =
            form.size.map(size).into_iter().chain(made.map(format)).collect();
        all.extend(words(&["-an", "-vf", &filters.join(","), "-f", "null", "-"]));
    }
    all
}

/// What a pipe worker feeds to its command's stdin, and what it takes from its stdout.
fn at_its_ends(pipe: &WorkerSpec) -> Vec<String> {
    let Launch::Use(WorkerConfig::Pipe(config)) = &pipe.launch else { return Vec::new() };
    let feeds = pipe.inputs.iter().map(|ring| {
        let what = match ring.kind() {
            RingKind::Frames => "raw pictures, one behind the other",
            RingKind::Packets | RingKind::Events => "an elementary stream, from a key picture on",
        };
        format!("stdin: {what}, from ring {ring}")
    });
    let takes = pipe.output.iter().zip(config.makes).map(|(ring, makes)| {
        let what = match makes {
            Makes::Pictures(Raw { format, size, fps, .. }) => {
                format!("raw {} pictures of {size}, {fps} a second", format.as_str())
            }
            Makes::Packets(Coded { name, size, fps }) => {
                let codec = format!("{name:?}").to_lowercase();
                format!("an elementary {codec} stream of {size}, {fps} pictures a second")
            }
            Makes::Sound(Samples { hz, channels, samples }) => {
                format!("{} samples of {channels} channels, {hz} a second", samples.as_str())
            }
            Makes::Container(container) => format!("a {} stream", container.form()),
        };
        format!("stdout: {what}, into ring {ring}")
    });
    feeds.chain(takes).collect()
}

/// A command for each camera that it reads: ffmpeg has no rings, and opens the source itself.
fn of_sources(
    topology: &Topology,
    worker: &WorkerSpec,
    to: &mut Explained,
    output: impl Fn(&RingName, &IngestConfig) -> Vec<String>,
) {
    to.notes.push(
        "it opens the camera itself: a second connection, which some cameras refuse".to_owned(),
    );
    for ring in worker.recorded() {
        match source(topology, ring) {
            Some(ingest) => {
                let output = output(ring, ingest);
                let output: Vec<&str> = output.iter().map(String::as_str).collect();
                let command = ffmpeg(ingest, &output, &mut to.notes);
                to.commands.push(command);
            }
            None => {
                to.notes.push(format!("{ring}: not from a camera or file that ffmpeg could open"))
            }
        }
    }
}

fn source<'a>(topology: &'a Topology, ring: &RingName) -> Option<&'a IngestConfig> {
    let writer = |ring: &RingName| topology.worker(&topology.ring(ring)?.writer);
    let mut from = writer(ring)?;
    // An encoder of sound leaves the pictures as they are.
    if let Launch::Use(WorkerConfig::Encoder(_)) = from.launch {
        from = writer(from.recorded().next()?)?;
    }
    match &from.launch {
        Launch::Use(WorkerConfig::Ingest(ingest)) => Some(ingest),
        _ => None,
    }
}

fn ffmpeg(ingest: &IngestConfig, output: &[&str], notes: &mut Vec<String>) -> Vec<String> {
    let mut command = words(&["ffmpeg", "-hide_banner", "-nostdin"]);
    command.extend(input(ingest, notes));
    command.extend(words(output));
    command
}

fn input(ingest: &IngestConfig, notes: &mut Vec<String>) -> Vec<String> {
    match &ingest.source {
        Source::File(path) => {
            let mut input = words(&["-re"]);
            if ingest.repeat {
                input.extend(words(&["-stream_loop", "-1"]));
            }
            input.extend(["-i".to_owned(), path.display().to_string()]);
            input
        }
        Source::Test(pattern) => {
            let note = "ffmpeg's own test picture: it has no frame code";
            if !notes.iter().any(|known| known == note) {
                notes.push(note.to_owned());
            }
            synthetic(pattern)
        }
        Source::Publisher(_) => {
            notes.push(
                "ffmpeg listens by itself here, to one publisher, who sends to this address"
                    .to_owned(),
            );
            words(&["-rtsp_flags", "listen", "-i", "rtsp://127.0.0.1:8554/live"])
        }
        Source::Rtsp(url) => words(&["-rtsp_transport", "tcp", "-i", &shown(url, notes)]),
        Source::Stream(stream) => {
            // What somebody sends to RTMP, FFmpeg waits for by an option; SRT's address says it itself.
            let waits = stream.listens() && stream.scheme() == Scheme::Rtmp;
            let mut input = words(if waits { &["-listen", "1"] } else { &[] });
            input.extend(["-i".to_owned(), shown(stream.url(), notes)]);
            input
        }
        Source::Device(device) => {
            let format = match device.format {
                DeviceFormat::H265 => "hevc",
                other => other.as_str(),
            };
            let mut input = words(&["-f", "v4l2", "-input_format", format]);
            input.extend(
                device.size.iter().flat_map(|it| ["-video_size".to_owned(), it.to_string()]),
            );
            input
                .extend(device.fps.iter().flat_map(|it| ["-framerate".to_owned(), it.to_string()]));
            input.extend(["-i".to_owned(), device.path.display().to_string()]);
            input
        }
    }
}

/// As people may see it: a password would stay in the shell's history and in `ps`.
fn shown(url: &SourceUrl, notes: &mut Vec<String>) -> String {
    let shown = url.to_string();
    if shown != url.url() {
        let scheme = shown.split("://").next().unwrap_or_default();
        notes.push(format!("user and password are left out: {scheme}://{HIDDEN}@..."));
    }
    shown
}

fn synthetic(pattern: &TestPattern) -> Vec<String> {
    if let Some(sound) = pattern.sound.filter(|_| !pattern.has_pictures()) {
        return wave(&sound);
    }
    let picture = format!("testsrc2=size={}:rate={}", pattern.size, pattern.fps);
    let (gop, rate) = (pattern.gop.to_string(), pattern.bitrate.0.to_string());
    let encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"];
    let mut input = words(&["-re", "-f", "lavfi", "-i", &picture]);
    input.extend(words(&encoder));
    input.extend(words(&["-pix_fmt", "yuv420p", "-g", &gop, "-b:v", &rate]));
    input
}

fn pushed(push: &PushConfig, ingest: &IngestConfig) -> Vec<String> {
    // What is encoded here anyway is not copied.
    let is_encoded = matches!(ingest.source, Source::Test(_));
    let mut output = if is_encoded { vec![] } else { words(&["-c", "copy"]) };
    if !push.audio {
        output.push("-an".to_owned());
    }
    // As shown: a password would stay in the shell's history and in `ps`.
    let shown = push.to.to_string();
    let by = if push.transport == PushTransport::Udp { "udp" } else { "tcp" };
    let target = match push.to.place() {
        Place::Rtsp { .. } => words(&["-f", "rtsp", "-rtsp_transport", by, &shown]),
        Place::Rtmp { .. } => words(&["-f", "flv", &shown]),
        Place::Srt(_) | Place::Udp { .. } => words(&["-f", "mpegts", &shown]),
        Place::Rtp { host, port, sdp, .. } => {
            // ffmpeg sends one stream by one port.
            let rtp = format!("rtp://{}:{port}", bracketed(&host));
            words(&["-an", "-f", "rtp", "-sdp_file", &sdp.display().to_string(), &rtp])
        }
    };
    output.extend(target);
    output
}

fn segments(recorder: &RecorderConfig, ring: &RingName, ingest: &IngestConfig) -> Vec<String> {
    let seconds = recorder.segment.duration().as_secs_f64().to_string();
    let fragments = "segment_format_options=movflags=+frag_keyframe+empty_moov+default_base_moof";
    let options = fragments.split_once('=').unwrap_or_default();
    // What is encoded here anyway is not copied.
    let mut output =
        if matches!(ingest.source, Source::Test(_)) { vec![] } else { words(&["-c", "copy"]) };
    output.extend(words(&[
        "-f",
        "segment",
        "-segment_time",
        &seconds,
        "-segment_atclocktime",
        "1",
    ]));
    output.extend(words(&["-reset_timestamps", "1", "-strftime", "1", "-segment_format", "mp4"]));
    output.extend([format!("-{}", options.0), options.1.to_owned()]);
    output.push(format!("{}/%Y%m%dT%H%M%S.mp4", folder(recorder, ring)));
    output
}

fn folder(recorder: &RecorderConfig, ring: &RingName) -> String {
    let camera = ring.as_str().split('.').next().unwrap_or_default();
    recorder.dir.join(camera).display().to_string()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{self, Overrides};

    pub(super) fn told(workers: &str, name: &str) -> String {
        let text = format!("version: 1\nworkers:\n{workers}");
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(&text, file, &Overrides::default())
            .unwrap_or_else(|report| panic!("{report}"));
        page(&explain(&topology, meant(&topology, &name.parse().unwrap()).unwrap()))
    }

    #[test]
    fn a_camera_is_explained_without_its_password() {
        let told = told("  cam: {use: ingest, source: 'rtsp://a:b@10.0.0.5/main'}\n", "cam");
        let line = "ffmpeg -hide_banner -nostdin -rtsp_transport tcp -i rtsp://10.0.0.5/main -c copy -f null -";
        assert!(
            told.contains(line) && told.contains("left out") && !told.contains("a:b"),
            "{told}"
        );
    }

    #[test]
    fn a_publisher_is_waited_for_by_ffmpeg_itself() {
        let told = told("  cam: {use: ingest, source: 'publish:?second=replace'}\n", "cam");
        let line = "-rtsp_flags listen -i rtsp://127.0.0.1:8554/live -c copy -f null -";
        assert!(told.contains(line) && told.contains("listens by itself"), "{told}");
    }

    #[test]
    fn a_recorder_is_a_command_for_each_camera_behind_their_folders() {
        let workers = "  cam1: {use: ingest, source: 'file:a b.mp4', loop: false}
  cam2: {use: ingest, source: 'test:'}
  rec: {use: recorder, in: '*.packets', dir: 'r'}\n";
        let told = told(workers, "rec");
        assert!(told.contains("mkdir -p /srv/yard/r/cam1 /srv/yard/r/cam2\n"), "{told}");
        assert!(
            told.contains("-re -i '/srv/yard/a b.mp4' -c copy -f segment -segment_time 60 "),
            "{told}"
        );
        assert!(told.contains("testsrc2=size=640x480:rate=25"), "{told}");
    }

    #[test]
    fn a_push_is_a_command_without_what_lets_in() {
        let workers = "  cam1: {use: ingest, source: 'rtsp://10.0.0.5/main'}
  rtsp: {use: rtsp-push, in: cam1.packets, to: 'rtsp://a:b@10.0.0.9:8554/cam1', transport: udp}
  rtmp: {use: rtsp-push, in: cam1.packets, to: 'rtmp://10.0.0.9/live/s3cret', audio: false}
  rtp: {use: rtsp-push, in: cam1.packets, to: 'rtp://10.0.0.9:5004?sdp=cam1.sdp'}\n";
        for (name, end) in [
            ("rtsp", "-c copy -f rtsp -rtsp_transport udp rtsp://10.0.0.9:8554/cam1\n"),
            ("rtmp", "-c copy -an -f flv 'rtmp://10.0.0.9/live/***'\n"),
            ("rtp", "-c copy -an -f rtp -sdp_file /srv/yard/cam1.sdp rtp://10.0.0.9:5004\n"),
        ] {
            let told = told(workers, name);
            assert!(told.ends_with(end), "{told}");
            assert!(!told.contains("a:b") && !told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn a_mix_is_one_command_with_the_gains_of_its_sources() {
        let workers = "  mic: {use: ingest, source: 'test:?tone=1000'}
  cam: {use: ingest, source: 'rtsp://10.0.0.5/main'}
  dec: {use: decoder, in: cam.packets}
  mix: {use: mixer, in: '*.packets', codec: opus, sources: {mic: {gain: -6dB}, cam: {mute: true}}}\n";
        let told = told(workers, "mix");
        assert!(told.contains("sine=frequency=1000:sample_rate=48000,volume=-2dB"), "{told}");
        let graph = "'[0:a]volume=-6dB[s0];[1:a]volume=0[s1];[s0][s1]amix=inputs=2:normalize=0'";
        assert!(told.contains(graph) && told.contains("-c:a libopus -b:a 96000"), "{told}");
    }

    #[test]
    fn a_command_between_rings_is_explained_by_its_own_name_with_what_it_gets_and_gives() {
        let workers = "  cam1: {use: ingest, source: 'test:'}
  flip: {run: [ffmpeg, -i, '-'], stdin: cam1.packets, stdout: flip.frames,
         raw: {format: nv12, size: 64x48, fps: 25}}\n";
        let ends = "# stdin: an elementary stream, from a key picture on, from ring cam1.packets
# stdout: raw nv12 pictures of 64x48, 25 a second, into ring flip.frames\n";
        let by_owner = told(workers, "flip");
        assert!(by_owner.ends_with(&format!("{ends}ffmpeg -i -\n")), "{by_owner}");
        assert_eq!(by_owner, told(workers, "flip/command"));
        assert!(told(workers, "flip/pipe").ends_with(ends));
    }

    #[test]
    fn where_there_is_no_equivalent_it_says_so() {
        let workers = "  cam1: {use: ingest, source: 'test:'}
  page: {use: web, in: cam1.packets, listen: '127.0.0.1:0'}\n";
        assert_eq!(told(workers, "page"), "# there is no ffmpeg command that does what web does\n");
    }
}
