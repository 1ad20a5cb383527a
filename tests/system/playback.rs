//! Recordings played over HTTP while they are made and later, read by ffmpeg and by a browser, told apart by
//! frame codes.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::browser::Browser;
use tests::framecode::Run;
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, ffmpeg, processes, shot_folder, wait_for};

use crate::exports::wait_for_packets;

const SIZE: (usize, usize) = (640, 480);
/// Groups of two seconds, so that most instants are inside one.
const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=50'}
  cam2: {use: ingest, source: 'test:?size=640x480&fps=25&gop=50'}
  rec: {use: recorder, in: [cam1.packets, cam2.packets], dir: '{dir}/recordings', segment: 5s}
  web: {use: web, in: '*.packets', listen: '127.0.0.1:{port}'}
groups:
  pair: 'cam*'
";

fn holds(check: impl FnOnce() -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

/// A running project, and where its page is.
pub(crate) struct Playing {
    pub(crate) project: Project,
    pub(crate) base: String,
}

impl Playing {
    pub(crate) fn begin() -> Outcome<Self> {
        let port = free_port()?;
        let project = Project::new(&TOPOLOGY.replace("{port}", &port.to_string()))?;
        project.up()?;
        Ok(Self { project, base: format!("http://127.0.0.1:{port}") })
    }

    /// Of a project that has recorded for so long and is not recording any more.
    pub(crate) fn recorded(seconds: u64) -> Outcome<Self> {
        let playing = Self::begin()?;
        std::thread::sleep(Duration::from_secs(seconds));
        for camera in ["cam1.packets", "cam2.packets"] {
            wait_for_packets(&playing.project, camera, seconds * 25)?;
        }
        playing.project.succeed(&["stop", "rec"])?;
        Ok(playing)
    }

    fn get(&self, path: &str) -> Outcome<Vec<u8>> {
        let url = format!("{}{path}", self.base);
        let output = Command::new("curl").args(["-sSfL", "--max-time", "60", &url]).output();
        let output = output.map_err(|error| Failure(format!("curl: {error}")))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success(), || format!("{url}: {said}"))?;
        Ok(output.stdout)
    }

    fn text(&self, path: &str) -> Outcome<String> {
        String::from_utf8(self.get(path)?).map_err(Failure::new)
    }

    fn json(&self, path: &str) -> Outcome<Value> {
        serde_json::from_slice(&self.get(path)?).map_err(Failure::new)
    }

    /// The playlist of a range, when nothing more of it is waited for.
    pub(crate) fn ended(&self, camera: &str, from: f64, to: f64) -> Outcome<String> {
        let path = format!("/recordings/{camera}/index.m3u8?{}", range(from, to));
        let is_over = || self.text(&path).ok()?.ends_with("#EXT-X-ENDLIST\n").then_some(());
        wait_for(60, "the range to be over", is_over)?;
        Ok(format!("{}{path}", self.base))
    }

    /// When all that is recorded of a camera begins and ends, in s.
    pub(crate) fn span(&self, camera: &str) -> Outcome<(f64, f64)> {
        let told = self.json(&format!("/api/v1/recordings/{camera}"))?;
        let at = |span: Option<&Value>, key: &str| {
            let ns = span.and_then(|span| span[key].as_u64());
            ns.map(seconds_of).ok_or_else(|| Failure(format!("nothing is recorded: {told}")))
        };
        let spans = told["spans"].as_array().cloned().unwrap_or_default();
        Ok((at(spans.first(), "from_utc_ns")?, at(spans.last(), "to_utc_ns")?))
    }
}

#[expect(clippy::cast_precision_loss, reason = "to the us")]
fn seconds_of(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1e6
}

fn at(seconds: f64) -> SystemTime {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of today")]
    let ms = (seconds * 1e3).round() as u64;
    UNIX_EPOCH + Duration::from_millis(ms)
}

fn range(from: f64, to: f64) -> String {
    format!("from={from:.3}&to={to:.3}")
}

/// The numbers of what a URL or a file plays, one by one.
fn numbers(url: &str) -> Outcome<Vec<u32>> {
    let said = ffmpeg::complaints(&["-i", url])?;
    ensure(said.is_empty(), || format!("{url} does not play: {said}"))?;
    let codes = ffmpeg::codes(&["-i", url], SIZE.0, SIZE.1)?;
    let run = Run::of(&codes, None);
    ensure(run.is_exact(), || format!("{url}: {run:?}"))?;
    Ok(codes.into_iter().filter_map(|(top, _)| top).collect())
}

/// The number that the camera showed at a time: one a picture from the first on.
fn shown_at(all: &[u32], begin: f64, time: f64) -> Outcome<u32> {
    let first = *all.first().ok_or_else(|| Failure::new("no picture"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
    Ok(first + ((time - begin) * 25.0 + 1e-3).floor() as u32)
}

#[test]
fn ffmpeg_reads_as_many_pictures_from_the_playlist_as_packets_were_recorded() {
    holds(|| {
        let playing = Playing::recorded(14)?;
        let told = playing.json("/api/v1/recordings/cam1")?;
        let packets = told["spans"][0]["packets"].as_u64();
        let on_disk = tests::recordings::packets(&playing.project.recordings(), "cam1")?;
        ensure(packets == Some(on_disk.len() as u64), || {
            format!("{told}, {} on disk", on_disk.len())
        })?;
        let (begin, end) = playing.span("cam1")?;
        let url = playing.ended("cam1", begin - 1.0, end + 1.0)?;
        let numbers = numbers(&url)?;
        ensure(Some(numbers.len() as u64) == packets, || {
            format!("{} pictures of {packets:?} packets", numbers.len())
        })
    });
}

#[test]
fn a_range_inside_a_group_begins_with_the_key_frame_before_and_holds_the_pictures_asked_for() {
    holds(|| {
        let playing = Playing::recorded(14)?;
        let (begin, end) = playing.span("cam1")?;
        let whole = playing.get(&format!("/recordings/cam1/cut.mp4?{}", range(begin, end)))?;
        let file = playing.project.dir().join("all.mp4");
        fs::write(&file, whole).map_err(Failure::new)?;
        let all = numbers(&file.display().to_string())?;
        // 1.3 s into a group of two seconds, over the end of a file.
        let (from, to) = (begin + 3.3, begin + 8.1);
        let (wanted, last) = (shown_at(&all, begin, from)?, shown_at(&all, begin, to - 0.04)?);
        let key = all[0] + (wanted - all[0]) / 50 * 50;
        let cut = playing.project.dir().join("cut.mp4");
        fs::write(&cut, playing.get(&format!("/recordings/cam1/cut.mp4?{}", range(from, to)))?)
            .map_err(Failure::new)?;
        // The same bytes as an export has.
        let exported = playing.project.dir().join("exported.mp4").display().to_string();
        let times = [from, to].map(|time| humantime::format_rfc3339_millis(at(time)).to_string());
        let arguments = ["export", "cam1", "--from", &times[0], "--to", &times[1], "-o", &exported];
        playing.project.succeed(&arguments)?;
        ensure(fs::read(&exported).ok() == fs::read(&cut).ok(), || {
            "the download differs from the export".to_owned()
        })?;
        let list = playing.ended("cam1", from, to)?;
        for what in [cut.display().to_string(), list] {
            let numbers = numbers(&what)?;
            ensure(numbers.first() == Some(&key), || {
                format!("{what} begins with {:?}, not with the key frame {key}", numbers.first())
            })?;
            let there: BTreeSet<u32> = numbers.iter().copied().collect();
            ensure(there.contains(&wanted) && there.contains(&last), || {
                format!("{what}: {wanted} or {last} is not in {key} to {:?}", numbers.last())
            })?;
            // To the end of the fragment that has the last moment.
            ensure(numbers.last().is_some_and(|end| *end < last + 26), || {
                format!("{what} ends with {:?}, {last} is the last asked for", numbers.last())
            })?;
        }
        Ok(())
    });
}

/// Frame ids of a playlist's segments.
fn ids(playing: &Playing, playlist: &str) -> Outcome<Vec<u64>> {
    let mut all = Vec::new();
    for line in playlist.lines().filter(|line| line.starts_with("segment/")) {
        let told = playing.json(&format!("/recordings/cam1/{}", line.replace(".m4s", ".json")))?;
        let pictures = told["pictures"].as_array().cloned().unwrap_or_default();
        all.extend(pictures.iter().filter_map(|picture| picture["sequence"].as_u64()));
    }
    Ok(all)
}

#[test]
fn a_playlist_of_a_recording_under_way_grows_at_its_end_alone_also_over_kills_of_its_workers() {
    holds(|| {
        let playing = Playing::begin()?;
        let ((begin, _), _) = wait_for(60, "the first fragment", || playing.span("cam1").ok())?;
        let path = format!("/recordings/cam1/index.m3u8?from={begin:.3}");
        let (mut told, _) = wait_for(60, "the first segment", || playing.text(&path).ok())?;
        ensure(!told.contains("ENDLIST"), || told.clone())?;
        for victim in ["rec", "web", "rec"] {
            std::thread::sleep(Duration::from_secs(4));
            let pid = playing.project.pid(victim)?;
            processes::signal(pid, Signal::SIGKILL);
            let grown = || {
                let now = playing.text(&path).ok()?;
                (now.len() > told.len() + 400).then_some(now)
            };
            let (now, _) = wait_for(60, "more segments", grown)?;
            ensure(now.starts_with(&told), || format!("{told}\nbecame\n{now}"))?;
            told = now;
        }
        ensure(!told.contains("DISCONTINUITY"), || told.clone())?;
        let ids = ids(&playing, &told)?;
        ensure(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), || format!("{ids:?}"))
    });
}

#[test]
fn a_camera_that_was_cut_off_has_a_gap_with_its_reason_in_list_and_playlist() {
    holds(|| {
        let playing = Playing::begin()?;
        wait_for_packets(&playing.project, "cam2.packets", 100)?;
        playing.project.succeed(&["stop", "cam2"])?;
        std::thread::sleep(Duration::from_secs(3));
        playing.project.succeed(&["start", "cam2"])?;
        wait_for_packets(&playing.project, "cam2.packets", 100)?;
        playing.project.succeed(&["stop", "rec"])?;
        let told = playing.json("/api/v1/recordings/cam2")?;
        let gaps = told["gaps"].as_array().cloned().unwrap_or_default();
        ensure(gaps.len() == 1 && gaps[0]["reason"] == "source_restart", || told.to_string())?;
        let (begin, end) = playing.span("cam2")?;
        let url = playing.ended("cam2", begin, end)?;
        let text = playing.text(url.trim_start_matches(&playing.base))?;
        ensure(text.matches("#EXT-X-DISCONTINUITY\n").count() == 1, || text.clone())?;
        ensure(text.contains("X-REASON=\"source_restart\""), || text.clone())?;
        let list = playing.json("/api/v1/recordings")?;
        ensure(list["groups"]["pair"] == serde_json::json!(["cam1", "cam2"]), || list.to_string())?;
        let rows = list["cameras"].as_array().cloned().unwrap_or_default();
        ensure(rows.len() == 2 && rows[0]["bytes"].as_u64() > Some(10_000), || list.to_string())
    });
}

/// What the page says of its cameras.
fn state(browser: &mut Browser) -> Outcome<Vec<Value>> {
    let state = browser.evaluate("framevisor.state()")?;
    Ok(state.as_array().cloned().unwrap_or_default())
}

/// The numbers in the pictures that the page shows now, read from the top strip of each; `None` where there is
/// none, or its check does not fit.
const CODES: &str = r"[...document.querySelectorAll('video')].map((video) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [640, 480];
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0);
    let word = 0;
    for (let bit = 0; bit < 32; bit += 1) {
        const [red] = context.getImageData((bit + 0.5) * 20, 8, 1, 1).data;
        if (red > 128) word += 2 ** bit;
    }
    const [number, check] = [word % 2 ** 24, Math.floor(word / 2 ** 24)];
    return check === ((number ^ (number >> 8) ^ (number >> 16)) & 255) ? number : null;
})";

fn codes(browser: &mut Browser) -> Outcome<Vec<Option<u64>>> {
    let codes = browser.evaluate(CODES)?;
    Ok(codes.as_array().into_iter().flatten().map(Value::as_u64).collect())
}

/// When the camera's picture with number 0 would have been captured, in ms: by the packet that came quickest, as
/// the playlist's clock has it. Each packet is a picture.
fn zero_ms(playing: &Playing, camera: &str) -> Outcome<f64> {
    let files = tests::recordings::files(&playing.project.recordings(), camera)?;
    let first = files.first().ok_or_else(|| Failure::new("no file"))?.display().to_string();
    let codes = ffmpeg::codes(&["-i", &first, "-frames:v", "1"], SIZE.0, SIZE.1)?;
    let code = codes.first().and_then(|(top, _)| *top);
    let code = u64::from(code.ok_or_else(|| Failure::new("no number"))?);
    let mut begin = None;
    let mut zeros = Vec::new();
    for file in &files {
        let mut file = fs::File::open(file).map_err(Failure::new)?;
        for fragment in fmp4::scan(&mut file).map_err(Failure::new)?.fragments {
            let sequence = fragment.origin.first;
            let number = code + sequence - *begin.get_or_insert(sequence);
            zeros.push(seconds_of(fragment.origin.capture.0) * 1000.0 - as_f64(number) * 40.0);
        }
    }
    zeros.into_iter().reduce(f64::min).ok_or_else(|| Failure::new("no fragment"))
}

/// How far apart in time the pictures are that are seen for 4 s, in ms and in order; nothing is looked at from
/// `end_ms` on, where the recording may be over.
fn seen_apart(browser: &mut Browser, zeros: [f64; 2], end_ms: f64) -> Outcome<Vec<f64>> {
    let mut apart: Vec<f64> = Vec::new();
    for _ in 0..40 {
        if browser.evaluate("framevisor.now()")?.as_f64() > Some(end_ms) {
            break;
        }
        let codes = codes(browser)?;
        if let [Some(one), Some(other)] = codes[..] {
            let captured = [zeros[0] + as_f64(one) * 40.0, zeros[1] + as_f64(other) * 40.0];
            apart.push((captured[0] - captured[1]).abs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    apart.sort_by(f64::total_cmp);
    Ok(apart)
}

#[test]
fn the_page_plays_a_pair_in_sync_and_steps_by_frames() {
    holds(|| {
        let Some(program) = Browser::find() else {
            println!("skipped: there is no Chromium here");
            return Ok(());
        };
        let playing = Playing::recorded(20)?;
        let (begin, _) = playing.span("cam1")?;
        let zeros = [zero_ms(&playing, "cam1")?, zero_ms(&playing, "cam2")?];
        let at_ms = ((begin + 5.3) * 1000.0).round();
        let url = format!("{}/recordings?group=pair&at={at_ms}", playing.base);
        let mut browser = Browser::open(program, &url)?;
        // At rest: both show the picture of that moment, by its code, and name it.
        let wanted: Vec<f64> = zeros.iter().map(|zero| (at_ms - zero) / 40.0).collect();
        let rests = || {
            let codes = codes(&mut browser).ok()?;
            let told = state(&mut browser).ok()?;
            let near = |(code, wanted): (&Option<u64>, &f64)| {
                code.is_some_and(|code| (as_f64(code) - wanted).abs() <= 1.5)
            };
            let named =
                told.len() == 2 && told.iter().all(|camera| camera["sequence"].as_u64() > Some(0));
            (codes.len() == 2 && codes.iter().zip(&wanted).all(near) && named)
                .then_some((codes, told))
        };
        let (shown, told) = wait_for(60, "both pictures of the moment", rests)?.0;
        // A step is one picture of the first camera, by its code and by its id.
        browser.evaluate("framevisor.frame(1)")?;
        let id = |told: &[Value]| told.first().and_then(|camera| camera["sequence"].as_u64());
        let stepped = || {
            let codes = codes(&mut browser).ok()?;
            let told = state(&mut browser).ok()?;
            (codes.first().copied().flatten() > shown[0] && id(&told) > Some(0))
                .then_some((codes, told))
        };
        let (codes_now, told_now) = wait_for(60, "the next picture", stepped)?.0;
        ensure(codes_now[0] == shown[0].map(|code| code + 1), || {
            format!("{shown:?}, then {codes_now:?}")
        })?;
        ensure(id(&told_now) == id(&told).map(|id| id + 1), || {
            format!("{told:?}, then {told_now:?}")
        })?;
        browser.screenshot(&shot_folder().join("recordings.png"))?;
        browser.evaluate("framevisor.play()")?;
        let moves = || {
            let now = browser.evaluate("framevisor.now()").ok()?.as_f64()?;
            (now > at_ms + 2000.0).then_some(now)
        };
        wait_for(60, "two seconds to be played", moves)?;
        // Most of what is seen is within a picture and a half; a busy machine may show one late, or many: then
        // they are looked at again.
        let (mut apart, mut median) = (Vec::new(), None);
        for round in 0..5 {
            if round > 0 {
                browser.evaluate(&format!("framevisor.seek({at_ms})"))?;
                browser.evaluate("framevisor.play()")?;
            }
            apart = seen_apart(&mut browser, zeros, at_ms + 10_000.0)?;
            median = apart.get(apart.len() / 2).copied();
            if median.is_some_and(|median| median <= 60.0) {
                break;
            }
        }
        println!("pictures on the screen: {median:?} ms apart, at most {:?} ms", apart.last());
        ensure(median.is_some_and(|median| median <= 60.0), || format!("apart by {apart:?} ms"))?;
        for camera in state(&mut browser)? {
            ensure(camera["why"].is_null(), || camera.to_string())?;
        }
        keys_move(&mut browser)?;
        everything_is_named_and_in_reach(&mut browser)?;
        browser.as_telephone(390, 844)?;
        wait_for(60, "a narrow page", || {
            let width = browser.evaluate("document.documentElement.clientWidth").ok()?;
            (width.as_u64() <= Some(390)).then_some(())
        })?;
        browser.screenshot(&shot_folder().join("recordings-narrow.png"))?;
        everything_is_named_and_in_reach(&mut browser)
    });
}

/// The keys of a slider move the moment shown.
fn keys_move(browser: &mut Browser) -> Outcome<()> {
    let mut after = |key: &str| {
        let press = format!(
            "framevisor.pause(); document.body.dispatchEvent(new KeyboardEvent('keydown', \
             {{ key: '{key}', bubbles: true }})); framevisor.now()"
        );
        browser.evaluate(&press)?.as_f64().ok_or_else(|| Failure::new("no moment"))
    };
    let first = after("Home")?;
    let moved = [after("PageUp")?, after("ArrowRight")?, after("PageDown")?, after("ArrowLeft")?];
    let steps = moved.map(|now| (now - first).round());
    ensure(steps == [10_000.0, 11_000.0, 1_000.0, 0.0], || format!("moved to {steps:?} ms"))
}

/// What the rules of accessibility checkers ask of any page, as far as they need no library: a list of what is
/// amiss. Names, keys, ids, pictures, headings, room for a finger, nothing beyond the edge.
const AMISS: &str = r"(() => {
    const told = [];
    const brief = (element) => element.outerHTML.slice(0, 90);
    const all = (what) => [...document.querySelectorAll(what)].filter((it) => it.checkVisibility());
    const name = (it) => [it.getAttribute('aria-label'), it.labels?.[0]?.textContent, it.textContent, it.title]
        .find((text) => text?.trim());
    for (const it of all('button, a, select, input, video, output, [role], [tabindex], nav')) {
        if (!name(it)) told.push(`no name: ${brief(it)}`);
    }
    for (const it of all('button, select, input, [role=slider]')) {
        if (it.tabIndex < 0) told.push(`not reached by keys: ${brief(it)}`);
        const box = (it.closest('label') ?? it).getBoundingClientRect();
        if (box.width < 24 || box.height < 24) told.push(`${box.width} x ${box.height}: ${brief(it)}`);
        if (box.left < -1 || box.right > document.documentElement.clientWidth + 1) told.push(`beyond the edge: ${brief(it)}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map((it) => it.id);
    told.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `twice: #${id}`));
    told.push(...all('img').filter((it) => !it.hasAttribute('alt')).map((it) => `no alt: ${brief(it)}`));
    const levels = all('h1, h2, h3, h4').map((it) => Number(it.getAttribute('aria-level') ?? it.tagName[1]));
    levels.forEach((level, at) => { if (level > (levels[at - 1] ?? 0) + 1) told.push(`headings ${levels}`); });
    const slider = document.querySelector('[role=slider]');
    for (const fact of ['valuemin', 'valuemax', 'valuenow', 'valuetext']) {
        if (!slider?.hasAttribute(`aria-${fact}`)) told.push(`the slider has no ${fact}`);
    }
    if (!document.documentElement.lang || !document.title) told.push('no language or title');
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth > clientWidth) told.push(`${scrollWidth} wide on ${clientWidth}`);
    return told;
})()";

fn everything_is_named_and_in_reach(browser: &mut Browser) -> Outcome<()> {
    let amiss = browser.evaluate(AMISS)?;
    ensure(amiss.as_array().is_some_and(Vec::is_empty), || amiss.to_string())
}

#[test]
fn the_page_shows_what_was_recorded_a_moment_ago_and_the_reason_of_a_gap() {
    holds(|| {
        let Some(program) = Browser::find() else {
            println!("skipped: there is no Chromium here");
            return Ok(());
        };
        let playing = Playing::begin()?;
        std::thread::sleep(Duration::from_secs(5));
        playing.project.succeed(&["stop", "cam2"])?;
        std::thread::sleep(Duration::from_secs(3));
        playing.project.succeed(&["start", "cam2"])?;
        let gap = || {
            let told = playing.json("/api/v1/recordings/cam2").ok()?;
            let gap = told["gaps"].as_array()?.first()?.clone();
            Some((gap["from_utc_ns"].as_u64()?, gap["to_utc_ns"].as_u64()?))
        };
        let ((from, to), _) = wait_for(60, "the gap", gap)?;
        let at_ms = (seconds_of(from) + seconds_of(to)) * 500.0;
        let url = format!("{}/recordings?camera=cam2&at={at_ms:.0}", playing.base);
        let mut browser = Browser::open(program, &url)?;
        let told = || {
            let text =
                browser.evaluate("document.querySelector('.screen-of .why')?.textContent").ok()?;
            text.as_str()?.starts_with("The camera was started again").then_some(())
        };
        wait_for(60, "the reason of the gap", told)?;
        // Behind it the recording that goes on is played as it comes.
        browser.evaluate("document.getElementById('newest').click(); framevisor.play()")?;
        let mut seen = BTreeSet::new();
        let newer = || {
            seen.extend(codes(&mut browser).ok()?.into_iter().flatten());
            let now = browser.evaluate("framevisor.now()").ok()?.as_f64()?;
            (seen.len() >= 20 && now > seconds_of(to) * 1000.0 + 8_000.0).then_some(())
        };
        wait_for(90, "what is being recorded to be played", newer)?;
        browser.screenshot(&shot_folder().join("recordings-newest.png"))
    });
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn as_f64(code: u64) -> f64 {
    code as f64
}
