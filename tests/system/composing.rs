//! A compositor's pictures: as ffmpeg's filters put them together, and one for every tick, whatever dies.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use serde_json::json;
use shmring::{Frame, FrameOptions, Next, Policy};
use tests::project::Project;
use tests::{Failure, Outcome, ensure, ffmpeg, processes, wait_for};
use worker::FrameInput;

use crate::first_light::holds;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
/// What eyes take for the same.
const PSNR_MIN_DB: f64 = 35.0;

/// Three commands that print one raw picture again and again, and a compositor for each of what is compared.
/// The key's colour is that of the screen behind the test picture, 0x00b140.
const STILLS: &str = "version: 1
workers:
  base:
    run: [sh, -c, 'while cat {dir}/base.raw; do sleep 0.1; done']
    stdout: base.frames
    raw: {format: yuv420p, size: 640x360, fps: 10, pace: as-fast}
  screen:
    run: [sh, -c, 'while cat {dir}/screen.raw; do sleep 0.1; done']
    stdout: screen.frames
    raw: {format: yuv420p, size: 640x360, fps: 10, pace: as-fast}
  marks:
    run: [sh, -c, 'while cat {dir}/marks.raw; do sleep 0.1; done']
    stdout: marks.frames
    raw: {format: rgba, size: 640x360, fps: 10, pace: as-fast}
  keyed:
    use: compositor
    in: [base.frames, screen.frames]
    size: 640x360
    places: {screen.frames: {x: 64, y: 32, w: 480, h: 270, key: {color: '#00b140', similarity: 0.08, blend: 0.05}}}
  small:
    use: compositor
    in: [base.frames, screen.frames]
    size: 640x360
    places: {screen.frames: {at: bottom-right, x: 16, y: 16, w: 200, h: 112, fit: stretch}}
  over:
    use: compositor
    in: [base.frames, marks.frames]
    size: 640x360
    places: {marks.frames: {over: base.frames}}
";

/// What each is compared with. The key's colour is given in BT.601, as the pictures are.
const REFERENCES: [(&str, &str, &str); 3] = [
    (
        "keyed",
        "screen",
        "[1]scale=480:270,chromakey=0x6f693a:similarity=0.08:blend=0.05:yuv=1[k];[0][k]overlay=64:32",
    ),
    ("small", "screen", "[1]scale=200:112[s];[0][s]overlay=424:232"),
    ("over", "marks", "[0][1]overlay"),
];

#[test]
fn key_inset_and_overlay_are_as_ffmpeg_makes_them() {
    holds(|| {
        let project = Project::new(STILLS)?;
        let path = |name: &str| project.dir().join(format!("{name}.raw")).display().to_string();
        still("testsrc2=s=640x360:d=1", "yuv420p", &path("base"))?;
        let screen =
            "color=0x00b140:s=640x360:d=1[b];testsrc=s=320x180:d=1[f];[b][f]overlay=160:90";
        still(screen, "yuv420p", &path("screen"))?;
        let marks = "testsrc=s=640x360:d=1,format=rgba,\
                     geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(Y,120),0,255*X/W)'";
        still(marks, "rgba", &path("marks"))?;
        project.up()?;
        let mut figures = json!({});
        for (ring, second, graph) in REFERENCES {
            let seen = composed(&project, ring)?;
            let expected = reference(&path("base"), (second, &path(second)), graph, &path(ring))?;
            let base = fs::read(path("base")).map_err(Failure::new)?;
            let db = psnr_db(&seen, &expected)?;
            ensure(db >= PSNR_MIN_DB, || format!("{ring}: {db:.1} dB"))?;
            let without = psnr_db(&base, &expected)?;
            ensure(without < 25.0, || format!("{ring}: {without:.1} dB without the second input"))?;
            figures[ring] = json!((db * 10.0).round() / 10.0);
        }
        Ok(figures)
    });
}

/// One raw picture of a filter graph without inputs.
fn still(graph: &str, format: &str, path: &str) -> Outcome<()> {
    let words =
        ["-f", "lavfi", "-i", graph, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", format];
    ffmpeg::make(&[&words[..], &[path]].concat())
}

fn reference(
    base: &str,
    (second, second_path): (&str, &str),
    graph: &str,
    name: &str,
) -> Outcome<Vec<u8>> {
    let to = format!("{name}.expected");
    let second_format = if second == "marks" { "rgba" } else { "yuv420p" };
    let size = format!("{WIDTH}x{HEIGHT}");
    let raw = |format| ["-f", "rawvideo", "-s", &size, "-pix_fmt", format, "-i"].map(str::to_owned);
    let mut words = Vec::from(raw("yuv420p"));
    words.push(base.to_owned());
    words.extend(raw(second_format));
    words.push(second_path.to_owned());
    words.extend(["-filter_complex", graph, "-frames:v", "1"].map(str::to_owned));
    words.extend(["-f", "rawvideo", "-pix_fmt", "yuv420p", &to].map(str::to_owned));
    ffmpeg::make(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    fs::read(&to).map_err(Failure::new)
}

/// A picture that both inputs are in.
fn composed(project: &Project, worker: &str) -> Outcome<Vec<u8>> {
    let mut input = reader(project, &format!("{worker}.frames"))?;
    let both = || {
        let frame = next(&mut input).ok().flatten()?;
        let is_whole = made_of(&frame, 0) > 0 && made_of(&frame, 1) > 0;
        let mut samples = Vec::new();
        (0..3).filter_map(|number| frame.plane(number)).for_each(|it| it.copy_to(&mut samples));
        is_whole.then_some(samples)
    };
    wait_for(60, worker, both).map(|(samples, _)| samples)
}

fn psnr_db(seen: &[u8], expected: &[u8]) -> Outcome<f64> {
    ensure(seen.len() == expected.len(), || {
        format!("{} and {} bytes", seen.len(), expected.len())
    })?;
    let squares = seen.iter().zip(expected).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / seen.len() as f64;
    // The same is better than anything.
    Ok(if mean == 0.0 { 99.0 } else { 10.0 * (255.0 * 255.0 / mean).log10() })
}

fn reader(project: &Project, ring: &str) -> Outcome<FrameInput> {
    let options = FrameOptions { policy: Policy::Sequential, ..FrameOptions::named("test") };
    Ok(FrameInput::detached(project.name(), &Project::ring(ring)?, options))
}

fn next(input: &mut FrameInput) -> Outcome<Option<Frame>> {
    match input.poll(Duration::from_millis(100)).map_err(Failure::new)? {
        Some(Next::Item(frame)) => Ok(Some(frame)),
        _ => Ok(None),
    }
}

/// Number of the input's picture in its ring; 0: none was shown.
fn made_of(frame: &Frame, input: usize) -> u32 {
    let word = frame.meta().user.chunks_exact(4).nth(input).unwrap_or(&[0; 4]);
    word.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

const FPS: u64 = 20;
const DYING: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  cam2: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  dec1: {use: decoder, in: cam1.packets}
  dec2: {use: decoder, in: cam2.packets}
  motion: {use: motion, in: cam1.frames}
  mix:
    use: compositor
    in: [cam1.frames, cam2.frames, motion.events]
    size: 640x192
    fps: 20
    slate_after: 500ms
    text: [{text: '{name} %H:%M:%S', each: true}]
";

/// The pictures as they come, each checked against the one before it.
struct Film {
    input: FrameInput,
    /// Sequence and capture time.
    last: Option<(u64, u64)>,
    epoch: u64,
    pictures: u64,
    /// Those that do not follow the one before.
    torn: u64,
}

impl Film {
    fn new(project: &Project) -> Outcome<Self> {
        let input = reader(project, "mix.frames")?;
        Ok(Self { input, last: None, epoch: 0, pictures: 0, torn: 0 })
    }

    /// The next picture; by its time it is as many ticks behind the last one as by its number.
    fn next(&mut self) -> Outcome<Option<Frame>> {
        let Some(frame) = next(&mut self.input)? else { return Ok(None) };
        let (sequence, at) = (frame.sequence(), frame.meta().capture.mono.0);
        if let Some((last, last_at)) = self.last {
            ensure(frame.epoch() == self.epoch, || "it began anew".to_owned())?;
            let (ticks, ns) = (sequence - last, at - last_at);
            let expected = ticks * 1_000_000_000 / FPS;
            // A machine that stands still for 5 s gives up ticks, and says so.
            let follows = !frame.meta().discontinuity;
            self.torn += u64::from(!follows);
            ensure(!follows || ns.abs_diff(expected) <= ticks, || {
                format!("picture {sequence} is {ns} ns behind picture {last}, expected {expected}")
            })?;
        }
        (self.last, self.epoch) = (Some((sequence, at)), frame.epoch());
        self.pictures += 1;
        Ok(Some(frame))
    }

    /// Goes on until so many pictures in a row are as wanted.
    fn until(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Outcome<()> {
        let (mut row, mut trouble) = (0, None);
        let seen = || match self.next() {
            Ok(Some(frame)) => {
                row = if wanted(&frame) { row + 1 } else { 0 };
                (row >= 10).then_some(())
            }
            Ok(None) => None,
            Err(failure) => {
                trouble = Some(failure);
                Some(())
            }
        };
        wait_for(60, what, seen)?;
        trouble.map_or(Ok(()), Err)
    }
}

#[test]
fn a_picture_comes_for_every_tick_whatever_dies() {
    holds(|| {
        let project = Project::new(DYING)?;
        project.up()?;
        let mut film = Film::new(&project)?;
        let both = |frame: &Frame| made_of(frame, 0) > 0 && made_of(frame, 1) > 0;
        film.until("both cameras", both)?;
        let mix = project.pid("mix")?;
        for worker in ["dec2", "motion", "cam2"] {
            processes::signal(project.pid(worker)?, Signal::SIGKILL);
        }
        film.until("both cameras after deaths", both)?;
        project.succeed(&["stop", "dec2"])?;
        film.until("the slate of a stopped one", |frame| {
            made_of(frame, 0) > 0 && made_of(frame, 1) == 0
        })?;
        let told = || {
            let mix = project.worker("mix").ok()?;
            (mix.state == WorkerState::Degraded && mix.why.contains("no picture of cam2.frames"))
                .then_some(())
        };
        wait_for(60, "the compositor to say what is missing", told)?;
        project.succeed(&["start", "dec2"])?;
        film.until("both cameras again", both)?;
        ensure(project.pid("mix")? == mix, || "the compositor died".to_owned())?;
        let (pictures, torn) = (film.pictures, film.torn);
        ensure(torn * 10 < pictures, || format!("{torn} of {pictures} do not follow"))?;
        Ok(json!({"pictures": pictures, "torn": torn}))
    });
}
