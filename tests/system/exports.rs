//! Exports of real recordings, read by ffmpeg, ffprobe and a browser, told apart by frame codes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tests::browser::Browser;
use tests::framecode::Run;
use tests::project::Project;
use tests::{Failure, Outcome, ensure, ffmpeg, shot_folder, wait_for};

const SIZE: (usize, usize) = (640, 480);
/// Groups of two seconds, so that most instants are inside one. The two are pictures of the same moments
/// as far as their workers started together, which the test finds out from their rings.
const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=50'}
  cam2: {use: ingest, source: 'test:?size=640x480&fps=25&gop=50'}
  rec: {use: recorder, in: [cam1.packets, cam2.packets], dir: '{dir}/recordings', segment: 4s}
groups:
  pair: [cam1, 'cam2*']
";

pub(crate) fn holds(check: impl FnOnce() -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

/// A pair that was recorded for so long, and is not any more.
fn recorded(seconds: u64) -> Outcome<Project> {
    let project = Project::new(TOPOLOGY)?;
    project.up()?;
    std::thread::sleep(Duration::from_secs(seconds));
    for camera in ["cam1.packets", "cam2.packets"] {
        wait_for_packets(&project, camera, seconds * 25)?;
    }
    project.down()?;
    Ok(project)
}

/// So many of the ring's writer of now: a machine that is slow takes longer for them.
pub(crate) fn wait_for_packets(project: &Project, ring: &str, packets: u64) -> Outcome<()> {
    let enough = || {
        let rings = shmring::census::rings(project.name());
        let found = rings.iter().find(|status| status.name.as_str() == ring)?;
        (found.live && found.head >= packets).then_some(())
    };
    wait_for(60, &format!("{packets} packets of {ring}"), enough).map(drop)
}

pub(crate) fn export(project: &Project, arguments: &[&str]) -> Outcome<Value> {
    let told = project.succeed(&[&["-o", "json", "export"], arguments].concat())?;
    let told: Value = serde_json::from_str(&told).map_err(Failure::new)?;
    Ok(told["manifest"].clone())
}

/// When all of the first camera's files begin and end.
fn span(project: &Project) -> Outcome<(f64, f64)> {
    let all: Value =
        serde_json::from_str(&project.succeed(&["recordings", "ls", "cam1", "-o", "json"])?)
            .map_err(Failure::new)?;
    let files = all.as_array().cloned().unwrap_or_default();
    let at = |file: Option<&Value>, key: &str| {
        let ns = file.and_then(|file| file[key].as_u64());
        ns.map(seconds_of).ok_or_else(|| Failure::new("nothing was recorded"))
    };
    Ok((at(files.first(), "from_utc_ns")?, at(files.last(), "to_utc_ns")?))
}

#[expect(clippy::cast_precision_loss, reason = "to the us")]
fn seconds_of(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1e6
}

fn rfc3339(seconds: f64) -> String {
    let since = Duration::from_secs_f64(seconds);
    humantime::format_rfc3339_nanos(std::time::UNIX_EPOCH + since).to_string()
}

pub(crate) fn seconds(time: &Value) -> Outcome<f64> {
    let text = time.as_str().ok_or_else(|| Failure(format!("{time} is no time")))?;
    let time = humantime::parse_rfc3339(text).map_err(Failure::new)?;
    Ok(time.duration_since(std::time::UNIX_EPOCH).map_err(Failure::new)?.as_secs_f64())
}

/// The numbers of a file's pictures, one by one.
pub(crate) fn numbers(file: &Path) -> Outcome<Vec<u32>> {
    let name = file.display().to_string();
    let said = ffmpeg::complaints(&["-i", &name])?;
    ensure(said.is_empty(), || format!("{name} does not play: {said}"))?;
    let codes = ffmpeg::codes(&["-i", &name], SIZE.0, SIZE.1)?;
    let run = Run::of(&codes, None);
    ensure(run.is_exact(), || format!("{name}: {run:?}"))?;
    Ok(codes.into_iter().filter_map(|(top, _)| top).collect())
}

/// The number that the first camera showed at a time: one a picture from the first on.
fn shown_at(project: &Project, time: f64) -> Outcome<u32> {
    let (begin, _) = span(project)?;
    let all = project.dir().join("all.mp4");
    if !all.exists() {
        export(project, &["cam1", "--from", "1h", "-o", &all.display().to_string()])?;
    }
    let first = *numbers(&all)?.first().ok_or_else(|| Failure::new("no picture"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
    Ok(first + ((time - begin) * 25.0 + 1e-3).floor() as u32)
}

fn duration(file: &Path) -> Outcome<f64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .map_err(Failure::new)?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(Failure::new)
}

#[test]
fn a_range_inside_a_group_holds_the_picture_asked_for_in_every_container() {
    holds(|| {
        let project = recorded(11)?;
        let (begin, _) = span(&project)?;
        // 1.3 s into a group of two seconds, beyond the first file.
        let (from, to) = (begin + 5.3, begin + 8.1);
        let (wanted, last) = (shown_at(&project, from)?, shown_at(&project, to - 0.04)?);
        for ending in ["mp4", "mkv", "ts"] {
            let file = project.dir().join(format!("clip.{ending}"));
            let name = file.display().to_string();
            export(
                &project,
                &["cam1", "--from", &rfc3339(from), "--to", &rfc3339(to), "-o", &name],
            )?;
            let numbers = numbers(&file)?;
            ensure(numbers.contains(&wanted) && numbers.contains(&last), || {
                format!(
                    "{name}: {wanted} or {last} is not in {:?}",
                    (numbers.first(), numbers.last())
                )
            })?;
            // From the key frame before, no further.
            ensure(numbers.iter().position(|number| *number == wanted) < Some(50), || {
                format!("{name} begins with {:?}, {wanted} is wanted", numbers.first())
            })?;
            ensure(
                (duration(&file)? - f64::from(u32::try_from(numbers.len()).unwrap_or(0)) / 25.0)
                    .abs()
                    < 0.1,
                || format!("{name} lasts {:?}", duration(&file)),
            )?;
        }
        Ok(())
    });
}

#[test]
fn an_exact_cut_begins_and_ends_with_the_pictures_of_these_times() {
    holds(|| {
        let project = recorded(9)?;
        let (begin, _) = span(&project)?;
        let (from, to) = (begin + 3.31, begin + 6.11);
        let (first, last) = (shown_at(&project, from)?, shown_at(&project, to)?);
        // Cut by encoding anew, and by an edit list over what was recorded.
        for (name, how) in
            [("cut.mp4", "--exact"), ("cut.mkv", "--exact"), ("trimmed.mp4", "--trim")]
        {
            let file = project.dir().join(name);
            let name = file.display().to_string();
            export(
                &project,
                &["cam1", "--from", &rfc3339(from), "--to", &rfc3339(to), how, "-o", &name],
            )?;
            let numbers = numbers(&file)?;
            let ends = (numbers.first().copied(), numbers.last().copied());
            ensure(ends == (Some(first), Some(last)), || {
                format!("{name}: {ends:?}, not {first} to {last}")
            })?;
        }
        Ok(())
    });
}

/// (time in the file, number) of every picture.
fn timed(file: &Path) -> Outcome<Vec<(f64, u32)>> {
    let numbers = numbers(file)?;
    Ok((0u32..).zip(numbers).map(|(at, number)| (f64::from(at) / 25.0, number)).collect())
}

#[test]
fn a_group_is_told_with_its_skew_and_its_times_are_those_of_the_pictures() {
    holds(|| {
        let project = recorded(9)?;
        let out = project.dir().join("pair");
        let told = export(&project, &["pair", "--from", "1h", "-o", &out.display().to_string()])?;
        ensure(
            told["name"] == "pair" && told["cameras"].as_array().is_some_and(|all| all.len() == 2),
            || told.to_string(),
        )?;
        for camera in told["cameras"].as_array().into_iter().flatten() {
            ensure(camera["clock"]["source"] == "arrival", || camera.to_string())?;
        }
        let skew = &told["skew"];
        let (max, uncertain) = (skew["max_ms"].as_f64(), skew["uncertain_ms"].as_f64());
        // Pictures of 25 a second shown together are never further apart than one lasts.
        ensure(
            max.is_some_and(|max| max <= 41.0) && uncertain.is_some_and(|it| it < 100.0),
            || skew.to_string(),
        )?;
        let mut zeros = Vec::new();
        for camera in told["cameras"].as_array().into_iter().flatten() {
            let file = &camera["files"][0];
            let begin = seconds(&file["from"])?;
            let path = out.join(file["file"].as_str().unwrap_or_default());
            let pictures = timed(&path)?;
            let (_, first) = pictures.first().copied().ok_or_else(|| Failure::new("no picture"))?;
            // What the camera's first picture of all would have been captured at: its number counts from 0.
            zeros.push(begin - f64::from(first) / 25.0);
        }
        for (zero, camera) in zeros.iter().zip(["cam1", "cam2"]) {
            // On a slow machine the first packet need not be the one that came quickest.
            let (quickest, first) = zeros_by_packets(&project, camera)?;
            ensure((quickest - 0.1..first + 0.1).contains(zero), || {
                format!("told {zero}, quickest packet {quickest}, first packet {first}")
            })?;
        }
        Ok(())
    });
}

/// When the camera's picture with number 0 would have come: by the packet that came quickest, and by the first.
fn zeros_by_packets(project: &Project, camera: &str) -> Outcome<(f64, f64)> {
    let files = tests::recordings::files(&project.recordings(), camera)?;
    let name = files.first().ok_or_else(|| Failure::new("no file"))?.display().to_string();
    let codes = ffmpeg::codes(&["-i", &name, "-frames:v", "1"], SIZE.0, SIZE.1)?;
    let number =
        codes.first().and_then(|(top, _)| *top).ok_or_else(|| Failure::new("no number"))?;
    let mut begin = None;
    let mut zeros = Vec::new();
    for path in &files {
        let mut file = fs::File::open(path).map_err(Failure::new)?;
        for fragment in fmp4::scan(&mut file).map_err(Failure::new)?.fragments {
            let origin = &fragment.origin;
            let behind = origin.first - *begin.get_or_insert(origin.first);
            let behind = u32::try_from(behind).map_err(Failure::new)?;
            zeros.push(seconds_of(origin.capture.0) - f64::from(number + behind) / 25.0);
        }
    }
    let first = zeros.first().copied().ok_or_else(|| Failure::new("no fragment"))?;
    Ok((zeros.into_iter().fold(first, f64::min), first))
}

#[test]
fn a_camera_that_was_cut_off_is_told_with_its_gap() {
    holds(|| {
        let project = Project::new(TOPOLOGY)?;
        project.up()?;
        wait_for_packets(&project, "cam2.packets", 100)?;
        project.succeed(&["stop", "cam2"])?;
        std::thread::sleep(Duration::from_secs(3));
        project.succeed(&["start", "cam2"])?;
        wait_for_packets(&project, "cam2.packets", 100)?;
        project.down()?;
        let out = project.dir().join("pair");
        let told = export(&project, &["pair", "--last", "10m", "-o", &out.display().to_string()])?;
        let inner = |camera: usize| -> Vec<Value> {
            let gaps = told["cameras"][camera]["gaps"].as_array().cloned().unwrap_or_default();
            gaps.into_iter().filter(|gap| gap["reason"] != "not_recorded").collect()
        };
        ensure(inner(0).is_empty(), || format!("{:?}", inner(0)))?;
        let gaps = inner(1);
        ensure(gaps.len() == 1 && gaps[0]["reason"] == "source_restart", || format!("{gaps:?}"))?;
        let lasts = seconds(&gaps[0]["to"])? - seconds(&gaps[0]["from"])?;
        ensure((2.5..60.0).contains(&lasts), || format!("a gap of {lasts} s: {gaps:?}"))?;
        // The file has the hole too: it lasts as long as the time did.
        let file = out.join("cam2.mp4");
        let pictures = ffmpeg::codes(&["-i", &file.display().to_string()], SIZE.0, SIZE.1)?.len();
        let shown = f64::from(u32::try_from(pictures).unwrap_or(0)) / 25.0;
        let hole = duration(&file)? - shown;
        ensure((hole - lasts).abs() < 0.2, || {
            format!("a hole of {hole} s for a gap of {lasts} s")
        })?;
        let times = (seconds(&gaps[0]["from"])?, seconds(&gaps[0]["to"])?);
        for with in ["black", "hold"] {
            the_gap_is_filled(&project, times, with)?;
        }
        Ok(())
    });
}

/// A second around a gap on both sides has a picture at each moment, and the right ones.
fn the_gap_is_filled(project: &Project, gap: (f64, f64), with: &str) -> Outcome<()> {
    let (from, to) = (gap.0 - 1.0, gap.1 + 1.0);
    let file = project.dir().join(format!("{with}.mp4"));
    let name = file.display().to_string();
    let arguments =
        ["cam2", "--from", &rfc3339(from), "--to", &rfc3339(to), "--gaps", with, "-o", &name];
    let told = export(project, &arguments)?;
    let is_it = |gap: &&Value| gap["reason"] == "source_restart";
    let gaps = told["cameras"][0]["gaps"].as_array().cloned().unwrap_or_default();
    let still_told = gaps.iter().filter(is_it).count() == 1;
    ensure(told["gaps"] == with && still_told, || told.to_string())?;
    let codes = ffmpeg::codes(&["-i", &name], SIZE.0, SIZE.1)?;
    let numbers: Vec<Option<u32>> = codes.into_iter().map(|(top, _)| top).collect();
    let wanted = (to - from) * 25.0;
    let count = f64::from(u32::try_from(numbers.len()).unwrap_or(0));
    ensure(
        (count - wanted).abs() <= 3.0 && (duration(&file)? - wanted / 25.0).abs() < 0.2,
        || format!("{with}: {count} pictures in {:?} s, expected {wanted}", duration(&file)),
    )?;
    // In the middle of the gap.
    let middle = &numbers[numbers.len() * 2 / 5..numbers.len() * 3 / 5];
    let before = numbers[..25].iter().rev().find_map(|number| *number);
    let is_right = |number: &Option<u32>| match with {
        "black" => number.is_none_or(|number| number == 0),
        _ => number.is_some() && *number >= before,
    };
    let same = middle.windows(2).all(|pair| pair[0] == pair[1]);
    ensure(same && middle.iter().all(is_right), || format!("{with}: {numbers:?}"))
}

/// What the page says of its cameras.
fn state(browser: &mut Browser) -> Outcome<Vec<Value>> {
    let state = browser.evaluate("framevisor.state()")?;
    Ok(state.as_array().cloned().unwrap_or_default())
}

/// How far apart in time the pictures on the screen are, in ms; `None` while one is not there.
fn apart(state: &[Value]) -> Option<f64> {
    let shown: Option<Vec<f64>> = state.iter().map(|camera| camera["shown"].as_f64()).collect();
    let shown = shown?;
    let (least, most) =
        (shown.iter().copied().reduce(f64::min)?, shown.iter().copied().reduce(f64::max)?);
    Some(most - least)
}

/// How far apart the pictures are that are seen for 4 s, in order; nothing is looked at from `end_ms` on, where
/// the recording may be over.
fn seen_apart(browser: &mut Browser, end_ms: f64) -> Outcome<Vec<f64>> {
    let mut seen = Vec::new();
    for _ in 0..40 {
        if browser.evaluate("framevisor.now()")?.as_f64() > Some(end_ms) {
            break;
        }
        seen.extend(apart(&state(browser)?));
        std::thread::sleep(Duration::from_millis(100));
    }
    seen.sort_by(f64::total_cmp);
    Ok(seen)
}

#[test]
fn the_page_plays_the_pair_in_sync_from_its_file() {
    holds(|| {
        let Some(program) = Browser::find() else {
            println!("skipped: there is no Chromium here");
            return Ok(());
        };
        let project = recorded(16)?;
        let out = project.dir().join("pair");
        export(&project, &["pair", "--from", "1h", "-o", &out.display().to_string()])?;
        let (begin, _) = span(&project)?;
        let url = format!("file://{}", out.join("index.html").display());
        let mut browser = Browser::open(program, &url)?;
        // A seek into the middle of a group, at rest: both show the picture of that moment.
        let at_ms = (begin + 5.3) * 1000.0;
        browser.evaluate(&format!("framevisor.seek({at_ms})"))?;
        let both = || {
            let state = state(&mut browser).ok()?;
            let near = |camera: &Value| {
                camera["shown"].as_f64().is_some_and(|it| (it - at_ms).abs() <= 81.0)
            };
            (state.len() == 2 && state.iter().all(near)).then_some(state)
        };
        wait_for(60, "both pictures of the moment", both)?;
        browser.evaluate("framevisor.play()")?;
        let moves = || {
            let now = browser.evaluate("framevisor.now()").ok()?.as_f64()?;
            (now > at_ms + 2000.0).then_some(now)
        };
        wait_for(60, "two seconds to be played", moves)?;
        // Most of what is seen is within a picture and a half; a busy machine may show one late, or many: then
        // they are looked at again.
        let (mut seen, mut median) = (Vec::new(), None);
        for round in 0..5 {
            if round > 0 {
                browser.evaluate(&format!("framevisor.seek({at_ms})"))?;
                browser.evaluate("framevisor.play()")?;
            }
            seen = seen_apart(&mut browser, at_ms + 8_000.0)?;
            median = seen.get(seen.len() / 2).copied();
            if median.is_some_and(|median| median <= 60.0) {
                break;
            }
        }
        browser.screenshot(&shot_folder().join("export.png"))?;
        println!("pictures on the screen: {median:?} ms apart, at most {:?} ms", seen.last());
        ensure(median.is_some_and(|median| median <= 60.0), || format!("apart by {seen:?} ms"))?;
        for camera in state(&mut browser)? {
            ensure(camera["broken"].is_null() && camera["away"] == false, || camera.to_string())?;
        }
        Ok(())
    });
}
