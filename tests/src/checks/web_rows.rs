//! The rows of `scripts/verify web`, in their order: what decodes or is timed runs alone, what mostly waits runs beside
//! its like.

use serde_json::Value;

use super::web_browsers::{
    fragments_in_a_media_source, mjpeg_for_everything, of_a_source_with_b_frames,
    whep_in_a_browser, whep_in_aiortc,
};
use super::web_players::{PLAYERS, in_a_browser};
use super::web_site::Site;
use super::{rings, web_crowd, web_grid, web_latency, web_lists, web_workers};
use crate::glass::{Engine, Way};
use crate::report::{Check, Report};

/// All of them. `seconds` is how long eight viewers watch over three workers.
pub fn promises(report: &mut Report, seconds: u64, seed: u64) {
    players_of_hls(report);
    report.side_by_side([
        ("h2_playlist_rules", Box::new(|| web_lists::keep_the_rules(60)) as Check<'_>),
        (
            "viewers_8_over_3_workers",
            Box::new(move || web_workers::one_of_three_dies(seconds, true)),
        ),
        ("j1_mjpeg", Box::new(mjpeg_for_everything)),
    ]);
    report.promise("w1_media_source", || {
        fragments_in_a_media_source(Engine::Chromium, Way::WebSocket, 30)
    });
    report.promise("w1_firefox", || fragments_in_a_media_source(Engine::Firefox, Way::Page, 30));
    report.promise("w2_b_frames", || of_a_source_with_b_frames(10));
    let whep = report.promise("p1_whep_chromium", || whep_in_a_browser(Engine::Chromium, 10, true));
    report.target_below("p1_whep_chromium_free_ms", &whep["free_ms"], 2000.0);
    let whep = report.promise("p1_whep_firefox", || whep_in_a_browser(Engine::Firefox, 10, true));
    report.target_below("p1_whep_firefox_free_ms", &whep["free_ms"], 2000.0);
    let aiortc = report.promise("p1_whep_aiortc", || whep_in_aiortc(10));
    report.target_below("p1_whep_aiortc_free_ms", &aiortc["free_ms"], 2000.0);
    latency(report);
    let extent = web_crowd::Extent { viewers: 98, pairs: 11, seconds: 3, is_alone: true };
    let crowd =
        report.promise("viewers_100", || web_crowd::slow_viewers_cost_the_others_nothing(extent));
    report.target_met("viewers_100_as_without", &crowd["as_without"]);
    report.target_below("viewers_100_mib_a_slow_one", &crowd["mib_a_slow_viewer"], 4.0);
    report.promise("web_killed", || web_workers::the_only_one_dies_again_and_again(10, seed));
    pages(report);
    for (row, package, program, names) in TESTS_ALONE {
        report.promise(row, || rings::named_tests(package, program, names));
    }
    report.side_by_side(TESTS_BESIDE.map(|(row, package, program, names)| -> (_, Check<'_>) {
        (row, Box::new(move || rings::named_tests(package, program, names)))
    }));
}

/// One camera for all of them; those that write files play at the same time.
fn players_of_hls(report: &mut Report) {
    if !PLAYERS.iter().map(|it| it.row).chain(BROWSERS).any(|row| report.wants(row)) {
        return;
    }
    let begun = Site::plain().and_then(|site| site.wait_for_segments().map(|()| site));
    let site = match begun {
        Ok(site) => site,
        Err(failure) => return drop(report.promise("h1_ffmpeg", || Err(failure))),
    };
    let checks = PLAYERS.each_ref().map(|player| -> (&'static str, Check<'_>) {
        (player.row, Box::new(|| player.plays(&site)))
    });
    report.side_by_side(checks);
    let [hls_js, native, firefox] = BROWSERS;
    report.promise(hls_js, || in_a_browser(&site, Engine::Chromium, Way::HlsJs, 15));
    report.promise(native, || in_a_browser(&site, Engine::Chromium, Way::Native, 15));
    report.promise(firefox, || in_a_browser(&site, Engine::Firefox, Way::HlsJs, 15));
    if let Err(failure) = site.project.down() {
        report.promise("h1_down", || Err::<Value, _>(failure));
    }
}

const BROWSERS: [&str; 3] = ["h1_hls_js", "h1_chromium_native", "h1_firefox"];

fn latency(report: &mut Report) {
    let seen = report.promise("latency", || web_latency::from_capture_to_glass(12));
    for (target, figure, limit_ms) in [
        ("latency_websocket", "websocket_p95_ms", 250.0),
        ("latency_whep", "whep_p95_ms", 150.0),
        ("latency_ll_hls_p50", "ll_hls_p50_ms", 800.0),
        ("latency_ll_hls_p95", "ll_hls_p95_ms", 1200.0),
    ] {
        report.target_below(target, &seen[figure], limit_ms);
    }
}

fn pages(report: &mut Report) {
    let shown = report
        .promise("pages_of_a_project", || rings::named_tests("tests", "system", &["live_page::"]));
    report.target_below("stale_ms", &shown["stale_after_ms"], 3000.0);
    report.promise("pages_restart_button", web_grid::a_button_restarts_a_worker);
}

/// A promise that is tests of its own: row, package, test program, names.
type Tests = (&'static str, &'static str, &'static str, &'static [&'static str]);
const TESTS_ALONE: [Tests; 5] = [
    ("pages_axe_telephone_tiles", "web", "page", &["looks::"]),
    (
        "pages_by_component",
        "web",
        "page",
        &["each_component", "live_video", "the_page_", "a_stale_"],
    ),
    ("metrics_and_alerts", "web", "operating", &[]),
    ("behind_nginx", "web", "nginx", &[]),
    ("last_will", "notify", "bin framevisor-notify", &["mosquitto_"]),
];
/// Those that mostly wait.
const TESTS_BESIDE: [Tests; 5] = [
    ("pages_of_recordings", "tests", "system", &["playback::the_page_"]),
    ("users_and_tokens", "tests", "system", &["page_access::"]),
    ("openapi_and_permissions", "web", "who", &[]),
    ("hostile", "web", "hostile", &[]),
    ("lists_and_sockets", "web", "hls", &[]),
];
