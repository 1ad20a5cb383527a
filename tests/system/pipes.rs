//! `stdin: RING` and `stdout: RING`: commands that know nothing of rings, between two of them.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::admin::WorkerState;
use shmring::{Frame, FrameOptions, Next, Policy};
use tests::framecode::{self, Run};
use tests::project::Project;
use tests::{Outcome, ensure, ffmpeg, processes, wait_for};
use worker::FrameInput;

use crate::ring_verbs::{dump, published_within};

const WIDTH: usize = 640;
const PICTURES: usize = 30;
/// Of 640x480 in yuv420p 460 KB each.
const REMEMBERED: usize = 150;

const THROUGH_FFMPEG: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}
  dec: {use: decoder, in: cam1.packets}
  through:
    run: [ffmpeg, -loglevel, error, -f, rawvideo, -pix_fmt, yuv420p, -s, 640x480, -r, '25', -i, '-',
          -f, rawvideo, -flush_packets, '1', '-']
    stdin: cam1.frames
    stdout: through.frames
    raw: {format: yuv420p, size: 640x480, fps: 25}
";

fn holds(check: impl FnOnce() -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

/// The check of a project that is up and flows.
fn running(topology: &str, check: impl FnOnce(&Project) -> Outcome<()>) {
    holds(|| {
        let project = Project::new(topology)?;
        project.up()?;
        check(&project)
    });
}

/// The check of a project that has just begun, and of which not all may ever flow.
fn begun(topology: &str, check: impl FnOnce(&Project) -> Outcome<()>) {
    holds(|| {
        let project = Project::new(topology)?;
        project.succeed(&["up", "-d"])?;
        check(&project)
    });
}

fn reader(project: &Project, ring: &str, policy: Policy) -> Outcome<FrameInput> {
    let options = FrameOptions { policy, ..FrameOptions::named("test") };
    Ok(FrameInput::detached(project.name(), &Project::ring(ring)?, options))
}

fn next(input: &mut FrameInput) -> Outcome<Option<Vec<u8>>> {
    let next = input.poll(Duration::from_millis(5)).map_err(tests::Failure::new)?;
    Ok(match next {
        Some(Next::Item(frame)) => Some(bytes(&frame)),
        _ => None,
    })
}

fn bytes(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    for plane in (0..).map_while(|number| frame.plane(number)) {
        plane.copy_to(&mut bytes);
    }
    bytes
}

/// The number that the camera has painted into the picture.
fn number(picture: &[u8]) -> Outcome<u32> {
    let luma = &picture[..WIDTH * 480];
    match framecode::read(luma, WIDTH) {
        (Some(top), Some(bottom)) if top == bottom => Ok(top),
        other => Err(tests::Failure(format!("a picture with the numbers {other:?}"))),
    }
}

/// Pictures of the second ring are, byte for byte, those of the first with the same number.
fn are_the_same(project: &Project) -> Outcome<()> {
    let mut before = reader(project, "cam1.frames", Policy::Sequential)?;
    let mut after = reader(project, "through.frames", Policy::Sequential)?;
    let (mut sent, mut seen) = (BTreeMap::new(), Vec::new());
    let compared = || -> Option<Outcome<()>> {
        let mut step = || -> Outcome<()> {
            if let Some(picture) = next(&mut before)? {
                sent.insert(number(&picture)?, picture);
                while sent.len() > REMEMBERED {
                    sent.pop_first();
                }
            }
            let Some(picture) = next(&mut after)? else { return Ok(()) };
            let number = number(&picture)?;
            if let Some(original) = sent.get(&number) {
                ensure(*original == picture, || format!("picture {number} has changed"))?;
                seen.push(number);
            }
            Ok(())
        };
        match step() {
            Ok(()) => (seen.len() >= PICTURES).then_some(Ok(())),
            Err(failure) => Some(Err(failure)),
        }
    };
    wait_for(60, "pictures that have gone through the command", compared)?.0?;
    ensure(seen.is_sorted(), || format!("out of order: {seen:?}"))
}

fn pids(project: &Project) -> Outcome<[u32; 2]> {
    Ok([project.pid("through/command")?, project.pid("through/pipe")?])
}

fn both_restarted(project: &Project, before: [u32; 2]) -> Outcome<()> {
    project.wait_restarted("through/command", before[0])?;
    project.wait_restarted("through/pipe", before[1])?;
    are_the_same(project)
}

#[test]
fn pictures_go_through_ffmpeg_unchanged_and_a_killed_side_takes_the_other_with_it() {
    running(THROUGH_FFMPEG, |project| {
        are_the_same(project)?;
        let before = pids(project)?;
        processes::signal(before[0], Signal::SIGKILL);
        both_restarted(project, before)?;
        let before = pids(project)?;
        processes::signal(before[1], Signal::SIGKILL);
        both_restarted(project, before)?;
        let settled = pids(project)?;
        project.succeed(&["restart", "through"])?;
        both_restarted(project, settled)?;
        project.succeed(&["remove", "through"])?;
        let left: Vec<_> = project.ps()?.into_iter().map(|it| it.name.to_string()).collect();
        ensure(left == ["cam1", "dec"], || format!("left after its removal: {left:?}"))?;
        project.down()
    });
}

#[test]
fn a_reload_that_changes_the_command_starts_both_sides_again_and_nobody_else() {
    running(THROUGH_FFMPEG, |project| {
        are_the_same(project)?;
        let (before, decoder) = (pids(project)?, project.pid("dec")?);
        project.write_topology(&THROUGH_FFMPEG.replace("-loglevel, error", "-loglevel, fatal"))?;
        let plan = project.succeed(&["plan"])?;
        for part in ["through/command", "through/pipe"] {
            ensure(plan.contains(part), || format!("{part} is not in the plan: {plan}"))?;
        }
        project.succeed(&["reload"])?;
        both_restarted(project, before)?;
        ensure(project.pid("dec")? == decoder, || "the decoder was started again".to_owned())
    });
}

#[test]
fn an_upgrade_leaves_a_command_its_pipes() {
    running(THROUGH_FFMPEG, |project| {
        let before = pids(project)?;
        project.succeed(&["upgrade"])?;
        ensure(pids(project)? == before, || "started again".to_owned())?;
        are_the_same(project)?;
        processes::signal(before[0], Signal::SIGKILL);
        both_restarted(project, before)
    });
}

#[test]
fn a_command_that_does_not_read_harms_nobody() {
    begun(
        "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}
  dec: {use: decoder, in: cam1.packets}
  deaf: {run: [sleep, '1000'], stdin: cam1.frames}
",
        |project| {
            let complains = || {
                let status = project.worker("deaf/pipe").ok()?;
                (status.state == WorkerState::Degraded).then_some(status.why)
            };
            let (why, _) = wait_for(60, "a word on the command", complains)?;
            ensure(why.contains("deaf/command does not read its stdin"), || why.clone())?;
            let mut frames = reader(project, "cam1.frames", Policy::Sequential)?;
            let mut codes = Vec::new();
            let more = || {
                let picture = next(&mut frames).ok()??;
                codes.push(framecode::read(&picture[..WIDTH * 480], WIDTH));
                (codes.len() == PICTURES).then_some(())
            };
            wait_for(60, "pictures beside it", more)?;
            // This program may be too slow for some, on a loaded machine; that is no harm by another.
            let run = Run::of(&codes, None);
            ensure(run.torn + run.unreadable == 0, || format!("{run:?}"))?;
            ensure(project.worker("dec")?.restarts == 0, || "the decoder died".to_owned())
        },
    );
}

/// A worker, its state and words of what it says of itself.
const WRONG: [(&str, WorkerState, &str); 3] = [
    ("deafened/pipe", WorkerState::Degraded, "deafened/command has closed its stdin"),
    ("half/pipe", WorkerState::Degraded, "inside a picture: expected 460800 bytes, got 1000"),
    ("plain/pipe", WorkerState::Ready, "has printed no h264 key picture yet"),
];

#[test]
fn what_a_command_does_wrong_is_told_and_it_lives_on() {
    begun(
        "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}
  dec: {use: decoder, in: cam1.packets}
  deafened: {run: [sh, -c, 'exec 0<&-; exec sleep 1000'], stdin: cam1.frames}
  half:
    run: [sh, -c, 'head -c 1000 /dev/zero; exec sleep 1000']
    stdout: half.frames
    raw: {format: yuv420p, size: 640x480, fps: 25}
  plain:
    run: [sh, -c, 'echo no stream; exec sleep 1000']
    stdout: plain.packets
    codec: {name: h264, size: 640x480, fps: 25}
",
        |project| {
            for (name, state, words) in WRONG {
                let told = || {
                    let status = project.worker(name).ok()?;
                    (status.state == state && status.why.contains(words)).then_some(())
                };
                wait_for(60, &format!("{name} with '{words}'"), told)?;
            }
            let restarts = |status: &protocol::admin::WorkerStatus| status.restarts;
            let all: u64 = project.ps()?.iter().map(restarts).sum();
            ensure(all == 0, || format!("{all} restarts"))
        },
    );
}

#[test]
fn what_is_no_stream_is_told_with_what_was_seen_and_both_sides_start_again() {
    begun(
        "version: 1
workers:
  noise:
    run: [yes]
    stdout: noise.packets
    codec: {name: mjpeg, size: 640x480, fps: 25}
",
        |project| {
            let told = || {
                let lines = project.succeed(&["logs", "noise/pipe"]).ok()?;
                let words = "no mjpeg stream: a picture begins with 79 0a, expected ff d8";
                lines.contains(words).then_some(())
            };
            wait_for(60, "what was seen", told)?;
            let again =
                |name: &str| project.worker(name).ok().filter(|it| it.restarts > 0).map(drop);
            wait_for(60, "another command", || again("noise/command"))?;
            wait_for(60, "another pipe worker", || again("noise/pipe")).map(drop)
        },
    );
}

#[test]
fn pictures_that_come_in_another_order_than_they_are_shown_in_are_told() {
    begun(
        "version: 1
workers:
  film:
    run: [ffmpeg, -loglevel, error, -re, -f, lavfi, -i, 'testsrc=s=320x192:r=25', -c:v, libx264, -bf, '2', -g, '25',
          -pix_fmt, yuv420p, -f, h264, '-']
    stdout: film.packets
    codec: {name: h264, size: 320x192, fps: 25}
",
        |project| {
            let told = || {
                let pipe = project.worker("film/pipe").ok()?;
                pipe.why.contains("(B-pictures)").then_some(())
            };
            wait_for(60, "what is wrong with their times", told).map(drop)
        },
    );
}

/// A command is known by its own name too.
fn of_both_parts(project: &Project) -> Outcome<()> {
    for verb in ["why", "describe"] {
        let told = project.succeed(&[verb, "copy", "-o", "json"])?;
        let told: serde_json::Value = serde_json::from_str(&told).map_err(tests::Failure::new)?;
        let parts = [&told["parts"][0], &told["parts"][1]].map(|part| &part["worker"]["name"]);
        ensure(parts == ["copy/command", "copy/pipe"], || format!("{verb} copy: {told}"))?;
        let page = project.succeed(&[verb, "copy"])?;
        let has_both = page.contains("copy/command") && page.contains("copy/pipe");
        ensure(has_both, || format!("{verb} copy: {page}"))?;
    }
    let saved = project.dir().join("saved").display().to_string();
    project.succeed(&["why", "copy", "--save", &saved, "--last", "1s"])?;
    for part in ["command", "pipe"] {
        let contents = project.dir().join("saved").join(part).join("saved.json");
        ensure(contents.is_file(), || format!("{} is not there", contents.display()))?;
    }
    Ok(())
}

#[test]
fn packets_go_through_a_command_and_play() {
    running(
        "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}
  copy:
    run: [cat]
    stdin: cam1.packets
    stdout: copy.packets
    codec: {name: h264, size: 640x480, fps: 25}
",
        |project| {
            let ring = Project::ring("copy.packets")?;
            let enough = || {
                let rings = shmring::census::rings(project.name());
                rings.iter().any(|it| it.name == ring && it.head > 80).then_some(())
            };
            wait_for(60, "three seconds of packets", enough)?;
            of_both_parts(project)?;
            let file = project.dir().join("copy.h264");
            let dumped = dump(project, "copy.packets", "2s", &file)?;
            let newest = dumped.files.last().map_or(0, |file| file.last);
            let span = Duration::from_secs(2);
            let least = published_within(project, "copy.packets", span, newest)?;
            let file = file.display().to_string();
            ensure(ffmpeg::complaints(&["-i", &file])?.is_empty(), || "does not play".to_owned())?;
            let run = Run::of(&ffmpeg::codes(&["-i", &file], WIDTH, 480)?, None);
            ensure(run.is_exact() && run.pictures >= least, || format!("{least}: {run:?}"))
        },
    );
}

#[test]
fn a_picture_that_is_cut_off_is_told_with_its_bytes() {
    begun(
        "version: 1
workers:
  short:
    run: [sh, -c, 'sleep 1; head -c 461800 /dev/zero']
    stdout: short.frames
    raw: {format: yuv420p, size: 640x480, fps: 25}
",
        |project| {
            let told = || {
                let lines = project.succeed(&["logs", "short/pipe"]).ok()?;
                let words = "expected 460800 bytes";
                (lines.contains(words) && lines.contains("got 1000")).then_some(())
            };
            wait_for(60, "the bytes of the cut picture", told).map(drop)
        },
    );
}

#[test]
fn pictures_of_another_size_are_told_by_their_rate_and_not_published() {
    begun(
        "version: 1
workers:
  wrong:
    run: [ffmpeg, -loglevel, error, -re, -f, lavfi, -i, 'color=size=1280x720:rate=25', -pix_fmt, yuv420p,
          -f, rawvideo, '-']
    stdout: wrong.frames
    raw: {format: yuv420p, size: 1920x1920, fps: 25}
  right:
    run: [ffmpeg, -loglevel, error, -re, -f, lavfi, -i, 'color=size=320x240:rate=25', -pix_fmt, yuv420p,
          -f, rawvideo, '-']
    stdout: right.frames
    raw: {format: yuv420p, size: 320x240, fps: 25}
",
        |project| {
            let told = || {
                let status = project.worker("wrong/pipe").ok()?;
                let names_both = status.why.contains("expected 138.2 MB/s of 1920x1920 yuv420p");
                // A machine that is slow now names another size first.
                let fits = status.why.contains("1280x720 at 25 a second would fit");
                (status.state == WorkerState::Degraded && names_both && fits).then_some(())
            };
            wait_for(60, "the size that would fit", told)?;
            let flows = || {
                let rings = shmring::census::rings(project.name());
                rings.iter().any(|it| it.name.as_str() == "right.frames" && it.head > 5).then_some(())
            };
            wait_for(60, "pictures of the declared size", flows)?;
            let rings = shmring::census::rings(project.name());
            let published: u64 =
                rings.iter().filter(|it| it.name.as_str() == "wrong.frames").map(|it| it.head).sum();
            ensure(published == 0, || format!("{published} pictures of a wrong size"))
        },
    );
}
