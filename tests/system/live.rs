//! Live video of a whole project, in a browser and in ffmpeg, told apart by frame codes; also while the web worker and
//! the camera are killed.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::browser::Browser;
use tests::checks::{web_browsers, web_crowd, web_lists, web_workers};
use tests::framecode::Run;
use tests::glass::{self, Engine, Glass, Way};
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, ffmpeg, http, processes, wait_for};

const SIZE: (usize, usize) = (640, 480);
const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=640x480&fps=25&gop=25', restart: {delay: 0s, limit: none}}
  web: {use: web, in: cam1.packets, listen: '127.0.0.1:{port}', restart: {delay: 0s, limit: none}}
";

fn holds(check: impl FnOnce() -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

/// A running project, and where its page is.
struct Live {
    project: Project,
    port: u16,
    base: String,
}

impl Live {
    fn begin() -> Outcome<Self> {
        let port = free_port()?;
        let project = Project::new(&TOPOLOGY.replace("{port}", &port.to_string()))?;
        project.up()?;
        Ok(Self { project, port, base: format!("http://127.0.0.1:{port}") })
    }

    /// One request without a second try: a refused connection is a failure.
    fn text(&self, path: &str) -> Outcome<String> {
        let url = format!("{}{path}", self.base);
        let output = Command::new("curl").args(["-sSf", "--max-time", "60", &url]).output();
        let output = output.map_err(|error| Failure(format!("curl: {error}")))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure(output.status.success(), || format!("{url}: {said}"))?;
        String::from_utf8(output.stdout).map_err(Failure::new)
    }

    /// What the list's first segment is, and how often the stream was cut before it.
    fn place(&self) -> Outcome<(u64, u64)> {
        // A worker that has just begun reads the ring first, which it says by 503; nothing else is asked again.
        let told = || match http::get(self.port, "/hls/cam1/live.m3u8") {
            Ok(answer) if answer.status == 503 => None,
            told => Some(told),
        };
        let answer = wait_for(60, "the list", told)?.0.map_err(Failure::new)?;
        let list = answer.text();
        ensure(answer.status == 200, || format!("the list: {}: {list}", answer.status))?;
        let value = |tag: &str| {
            let line = list.lines().find_map(|line| line.strip_prefix(tag));
            line.and_then(|value| value.parse().ok()).ok_or_else(|| Failure(list.clone()))
        };
        Ok((value("#EXT-X-MEDIA-SEQUENCE:")?, value("#EXT-X-DISCONTINUITY-SEQUENCE:")?))
    }

    fn kill(&self, worker: &str) -> Outcome<()> {
        let before = self.project.worker(worker)?.restarts;
        processes::signal(self.project.pid(worker)?, Signal::SIGKILL);
        let again = || self.project.worker(worker).ok().filter(|now| now.restarts > before);
        wait_for(60, "the worker to be back", again).map(drop)
    }
}

/// A browser that plays the camera; `None` where there is none.
fn browser(live: &Live) -> Outcome<Option<Browser>> {
    let Some(program) = Browser::find() else {
        println!("skipped: there is no chromium on this machine");
        return Ok(None);
    };
    let mut browser = Browser::open(program, &format!("{}/", live.base))?;
    browser.evaluate(&glass::begin(Way::Page, "cam1"))?;
    wait_for_pictures(&mut browser, 25)?;
    Ok(Some(browser))
}

/// Waits for so many more pictures than were seen so far.
fn wait_for_pictures(browser: &mut Browser, more: u64) -> Outcome<()> {
    let count = |browser: &mut Browser| browser.evaluate("glass.seen.length").ok()?.as_u64();
    let before = count(browser).unwrap_or(0);
    let seen = || count(browser).filter(|count| *count >= before + more);
    let waited = wait_for(60, "pictures in the page", seen).map(drop);
    let said =
        browser.evaluate("`${glass.player.transport}: ${glass.player.state} ${glass.player.why}`");
    waited.map_err(|failure| Failure(format!("{failure}; {said:?}")))
}

#[test]
fn ffmpeg_plays_the_live_list_and_misses_no_picture() {
    holds(|| {
        let live = Live::begin()?;
        let url = format!("{}/hls/cam1/index.m3u8", live.base);
        let there = || live.text("/hls/cam1/index.m3u8").ok();
        wait_for(60, "the first segment", there)?;
        let codes = ffmpeg::codes(&["-t", "8", "-i", &url], SIZE.0, SIZE.1)?;
        let run = Run::of(&codes, None);
        ensure(run.is_exact() && run.pictures >= 190, || format!("{run:?}"))
    });
}

#[test]
fn the_page_plays_whole_pictures_by_the_quickest_way_and_says_how_late_they_are() {
    holds(|| {
        let live = Live::begin()?;
        let Some(mut browser) = browser(&live)? else { return Ok(()) };
        wait_for_pictures(&mut browser, 200)?;
        let told = browser.evaluate(
            "(() => { const { player, seen } = glass;
               const sorted = seen.slice(-200).map(([, , at, captured]) => at - captured).sort((a, b) => a - b);
               const back = seen.filter(([one], index) => index > 0 && one < seen[index - 1][0]).length;
               return { way: player.transport, torn: glass.torn(), back, p50: sorted[100], p95: sorted[190] }; })()",
        )?;
        println!("live video in the page: {told}");
        ensure(told["way"] == "ws-mse", || told.to_string())?;
        ensure(told["torn"] == 0 && told["back"] == 0, || told.to_string())
    });
}

#[test]
fn the_page_plays_whole_pictures_in_firefox_too() {
    holds(|| {
        let live = Live::begin()?;
        let mut glass = match Glass::open_in(Engine::Firefox, &live.base, Way::Page, "cam1")? {
            Ok(glass) => glass,
            Err(why) => {
                println!("skipped: {why}");
                return Ok(());
            }
        };
        glass.wait_for(100)?;
        let way = glass.browser.evaluate("`${glass.player.transport}, ${glass.torn()} torn`")?;
        let (run, errors) = (glass::run(&glass.shown()?), glass.errors()?);
        // A video that broke is begun anew by the page, which is told and no failure.
        println!("live video in Firefox: {run:?}, {errors:?}");
        ensure(way == "ws-mse, 0 torn" && run.backward == 0, || format!("{way}, {run:?}"))
    });
}

#[test]
fn webrtc_in_a_browser_shows_whole_pictures_and_its_session_ends_with_it() {
    crate::first_light::holds(|| web_browsers::whep_in_a_browser(Engine::Chromium, 4, false));
}

#[test]
fn hls_js_plays_the_parts_of_the_list_and_its_pictures_are_whole() {
    holds(|| {
        let live = Live::begin()?;
        wait_for(60, "the first segment", || live.text("/hls/cam1/index.m3u8").ok())?;
        let mut glass = match Glass::open(&live.base, Way::LowLatency, "cam1")? {
            Ok(glass) => glass,
            Err(why) => {
                println!("skipped: {why}");
                return Ok(());
            }
        };
        glass.wait_for(300)?;
        let low = glass.browser.evaluate("glass.hls.levels[0]?.details?.partList?.length > 0")?;
        let run = glass::run(&glass.shown()?);
        let errors = glass.errors()?;
        println!("hls.js: {run:?}, {errors:?}");
        let fatal = errors.iter().any(|error| error.contains("fatal"));
        ensure(low == true && !fatal && run.torn + run.unreadable == 0, || {
            format!("parts: {low}, {errors:?}, {run:?}")
        })
    });
}

#[test]
fn lists_keep_to_the_rules_and_parts_are_their_segments() {
    crate::first_light::holds(|| web_lists::keep_the_rules(8));
}

#[test]
fn viewers_get_every_picture_while_some_among_them_are_slow() {
    let extent = web_crowd::Extent { viewers: 20, pairs: 1, seconds: 3, is_alone: false };
    crate::first_light::holds(|| web_crowd::slow_viewers_cost_the_others_nothing(extent));
}

#[test]
fn a_killed_web_worker_costs_the_viewers_of_the_others_nothing() {
    crate::first_light::holds(|| web_workers::one_of_three_dies(6, false));
}

#[test]
fn a_web_worker_killed_ten_times_costs_its_viewers_a_pause_and_nobody_is_refused() {
    holds(|| {
        let live = Live::begin()?;
        wait_for(60, "the first segment", || live.text("/hls/cam1/index.m3u8").ok())?;
        let mut browser = browser(&live)?;
        let mut last = live.place()?;
        for _ in 0..10 {
            live.kill("web")?;
            let now = live.place()?;
            ensure(now >= last && now.1 == last.1, || format!("{last:?}, then {now:?}"))?;
            last = now;
            if let Some(browser) = &mut browser {
                wait_for_pictures(browser, 5)?;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        let Some(mut browser) = browser else { return Ok(()) };
        let way = browser.evaluate("`${glass.player.transport}, ${glass.torn()} torn`")?;
        ensure(way == "ws-mse, 0 torn", || way.to_string())
    });
}

#[test]
fn a_camera_that_is_killed_is_a_discontinuity_and_its_viewers_go_on() {
    holds(|| {
        let live = Live::begin()?;
        wait_for(60, "the first segment", || live.text("/hls/cam1/index.m3u8").ok())?;
        let mut browser = browser(&live)?;
        let before = live.place()?;
        live.kill("cam1")?;
        let cut = || {
            let list = live.text("/hls/cam1/live.m3u8").ok()?;
            list.contains("#EXT-X-DISCONTINUITY\n").then_some(())
        };
        wait_for(60, "the new stream in the list", cut)?;
        let after = live.place()?;
        ensure(after >= before, || format!("{before:?}, then {after:?}"))?;
        let Some(browser) = &mut browser else { return Ok(()) };
        wait_for_pictures(browser, 50)?;
        let way = browser.evaluate("`${glass.player.transport}, ${glass.torn()} torn`")?;
        ensure(way == "ws-mse, 0 torn", || way.to_string())
    });
}
