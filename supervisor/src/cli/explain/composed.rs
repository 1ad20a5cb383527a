//! A compositor as a filter graph of ffmpeg's.

use protocol::config::compositor::layout::{self, Rect};
use protocol::config::compositor::{Fit, Key, Rgb};
use protocol::config::ingest::IngestConfig;
use protocol::config::{CompositorConfig, WorkerConfig};
use protocol::name::{RingKind, RingName};

use super::{Explained, input, source, words};
use crate::topology::{Launch, Topology, WorkerSpec};

pub(super) fn explain(
    topology: &Topology,
    worker: &WorkerSpec,
    config: &CompositorConfig,
    to: &mut Explained,
) {
    to.notes.push(
        "ffmpeg waits for its slowest input, and ends or stands still with it; the worker goes by the clock"
            .to_owned(),
    );
    let is_more =
        !config.text.is_empty() || worker.inputs.iter().any(|it| it.kind() == RingKind::Events);
    if is_more {
        to.notes.push("texts, boxes and slates are left out".to_owned());
    }
    let frames = worker.inputs.iter().filter(|ring| ring.kind() == RingKind::Frames);
    let frames: Vec<RingName> = frames.cloned().collect();
    let places = layout::rectangles(config, &frames);
    let mut command = words(&["ffmpeg", "-hide_banner", "-nostdin"]);
    let mut graph = vec![background(config)];
    let mut count = 0;
    for at in layout::order(config, &frames) {
        let Some(ingest) = camera(topology, &frames[at]) else {
            to.notes
                .push(format!("{}: not from a camera or file that ffmpeg could open", frames[at]));
            continue;
        };
        let mut opened = input(ingest, &mut to.notes);
        // What it is encoded with belongs behind all inputs, and nothing is encoded here.
        let url = opened.iter().position(|word| word == "-i").map_or(opened.len(), |at| at + 2);
        opened.truncate(url);
        command.extend(opened);
        graph.push(over(config, &frames[at], places[at], count));
        count += 1;
    }
    let last = format!("[b{count}]");
    command.extend(["-filter_complex".to_owned(), graph.join(";"), "-map".to_owned(), last]);
    command.extend(words(&["-r", &config.fps.to_string(), "-f", "null", "-"]));
    to.commands.push(command);
}

/// What a ring's pictures are decoded from.
fn camera<'a>(topology: &'a Topology, ring: &RingName) -> Option<&'a IngestConfig> {
    let decoder = topology.worker(&topology.ring(ring)?.writer)?;
    match &decoder.launch {
        Launch::Use(WorkerConfig::Decoder(_)) => source(topology, decoder.inputs.first()?),
        _ => None,
    }
}

fn background(config: &CompositorConfig) -> String {
    format!("color=c={}:s={}:r={}[b0]", hex(config.background), config.size, config.fps)
}

/// One input over what is there already.
fn over(config: &CompositorConfig, ring: &RingName, place: Rect, number: usize) -> String {
    let said = config.places.get(ring);
    let Rect { x, y, w, h } = place;
    let scale = match said.map(|it| it.fit).unwrap_or_default() {
        Fit::Contain => {
            format!("scale={w}:{h}:force_original_aspect_ratio=decrease:force_divisible_by=2")
        }
        Fit::Cover => format!("scale={w}:{h}:force_original_aspect_ratio=increase,crop={w}:{h}"),
        Fit::Stretch => format!("scale={w}:{h}"),
    };
    let key = said.and_then(|it| it.key).map(|Key { color, similarity, blend }| {
        format!(",chromakey=color={}:similarity={similarity}:blend={blend}", hex(color))
    });
    let (key, next) = (key.unwrap_or_default(), number + 1);
    format!(
        "[{number}:v]{scale}{key}[v{number}];\
         [b{number}][v{number}]overlay=x={x}+({w}-w)/2:y={y}+({h}-h)/2[b{next}]"
    )
}

fn hex(Rgb(red, green, blue): Rgb) -> String {
    format!("0x{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::told;

    #[test]
    fn a_compositor_is_a_filter_graph_of_its_cameras() {
        let workers = "  a: {use: ingest, source: 'file:a.mp4'}
  b: {use: ingest, source: 'test:?size=320x192&fps=25'}
  da: {use: decoder, in: a.packets}
  db: {use: decoder, in: b.packets}
  marks: {run: [x], out: marks.frames}
  mix:
    use: compositor
    in: [a.frames, b.frames, marks.frames]
    size: 640x360
    places:
      b.frames: {at: bottom-right, w: 25%, key: {color: green}}
      marks.frames: {over: a.frames}
";
        let told = told(workers, "mix");
        let graph = "'color=c=0x101010:s=640x360:r=25[b0];[0:v]scale=640:360:force_original_aspect_ratio=decrease:\
                     force_divisible_by=2[v0];[b0][v0]overlay=x=0+(640-w)/2:y=0+(360-h)/2[b1];";
        assert!(told.contains(graph), "{told}");
        assert!(told.contains("chromakey=color=0x00ff00:similarity=0.1:blend=0.05[v1];"), "{told}");
        assert!(
            told.contains(
                "overlay=x=480+(160-w)/2:y=270+(90-h)/2[b2]' -map '[b2]' -r 25 -f null -"
            ),
            "{told}"
        );
        assert!(told.contains("# marks.frames: not from a camera"), "{told}");
        assert!(told.contains("-i testsrc2=size=320x192:rate=25 -filter_complex"), "{told}");
    }
}
