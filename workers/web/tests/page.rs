//! The page in a real browser: headless Chromium loads it from the real server with a made-up system
//! behind it. Without Chromium on the machine these tests say so and pass.
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod fake;
mod looks;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use fake::Fake;
use tokio::net::TcpListener;
use tokio::sync::watch;
use web::guard::Hosts;
use web::route::router;
use web::server::{Deadlines, Server};
use web::site::Site;

/// How long a page that plays may take: it says itself when it is done.
const PLAYS: Duration = Duration::from_secs(150);
/// One browser at a time: several starve each other on a small machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The page on a port of its own, until dropped.
struct Page {
    address: SocketAddr,
    fake: Arc<Fake>,
    site: Arc<Site>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    fn open(fake: Fake) -> Self {
        let restarts = Arc::clone(&fake.restarts);
        let fake = Arc::new(fake);
        let site = fake.site();
        let (stop, stopped) = watch::channel(false);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a socket");
        let crowd = site.crowd.clone();
        let router = router(Arc::clone(&site), Hosts::new(address)).merge(tests(restarts));
        let deadlines = Deadlines::default();
        let (never, drain) = watch::channel(false);
        let server = Server { router, crowd, deadlines, drain, stop: stopped };
        let thread = std::thread::spawn(move || {
            // A server whose owner is gone drains.
            let _never = never;
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a socket");
                server.serve(listener).await;
            });
        });
        Self { address, fake, site, stop, thread: Some(thread) }
    }

    /// Looks at the page later and later until it shows what it should: how much of its own time a
    /// page needs depends on the machine. Without a browser there is nothing to look at.
    fn shows(&self, expected: impl Fn(&str) -> Result<(), String>) {
        self.shows_at("/", expected);
    }

    fn shows_at(&self, path: &str, expected: impl Fn(&str) -> Result<(), String>) {
        let mut said = String::new();
        for ms in [4_000, 10_000, 30_000] {
            let Some(document) = self.after(path, ms) else { return };
            match expected(&document) {
                Ok(()) => return,
                Err(other) => said = other,
            }
        }
        panic!("{said}");
    }

    /// The document after `ms` of the page's own time; `None` without a browser.
    fn after(&self, path: &str, ms: u32) -> Option<String> {
        self.browse(path, &format!("--virtual-time-budget={ms}"))
    }

    /// The document once it is loaded, by the clock on the wall: video keeps no other. What a page holds is loaded
    /// when it lets go of it.
    fn loaded(&self, path: &str) -> Option<String> {
        self.browse(path, "--autoplay-policy=no-user-gesture-required")
    }

    fn browse(&self, path: &str, option: &str) -> Option<String> {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = std::env::temp_dir().join(format!("fv-page-{}", self.address.port()));
        let output = Command::new("timeout")
            .args([
                "180",
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--window-size=1400,1000"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(option)
            .args(["--dump-dom", &format!("http://{}{path}", self.address)])
            .output()
            .expect("coreutils");
        // Not there when Chromium is not.
        let _ = std::fs::remove_dir_all(&profile);
        if output.status.code() == Some(127) {
            println!("skipped: there is no chromium on this machine");
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).expect("a document"))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends well");
        }
    }
}

/// Pages of tests, and what they ask for: an image that is not there before they are done, and a restart of the
/// cameras.
fn tests(restarts: Arc<AtomicU64>) -> Router {
    let (done, finished) = watch::channel(false);
    let done = Arc::new(done);
    let done = move || {
        done.send_replace(true);
        std::future::ready("done")
    };
    let hold = move || {
        let mut finished = finished.clone();
        async move {
            let _ = tokio::time::timeout(PLAYS, finished.wait_for(|done| *done)).await;
            StatusCode::NO_CONTENT
        }
    };
    let restart = move || {
        restarts.fetch_add(1, Ordering::Relaxed);
        std::future::ready("restarted")
    };
    Router::new()
        .route("/tests/{file}", get(test_file))
        .route("/tests/done", get(done))
        .route("/tests/hold", get(hold))
        .route("/tests/restart", get(restart))
}

async fn test_file(Path(file): Path<String>) -> impl IntoResponse {
    let (kind, body) = match file.as_str() {
        "components.html" => ("text/html", include_str!("page/components.html")),
        "all.js" => ("text/javascript", include_str!("page/all.js")),
        "camera.js" => ("text/javascript", include_str!("page/camera.js")),
        "components.js" => ("text/javascript", include_str!("page/components.js")),
        "live.html" => ("text/html", include_str!("page/live.html")),
        "live.js" => ("text/javascript", include_str!("page/live.js")),
        "figures.js" => ("text/javascript", include_str!("page/figures.js")),
        "harness.js" => ("text/javascript", include_str!("page/harness.js")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

fn count(document: &str, part: &str) -> usize {
    document.matches(part).count()
}

#[test]
fn each_component_works_alone() {
    let Some(document) = Page::open(Fake::of(1)).after("/tests/components.html", 120_000) else {
        return;
    };
    let (_, result) = document.split_once("<pre id=\"result\">").unwrap();
    let (result, _) = result.split_once("</pre>").unwrap();
    assert!(result.ends_with("done") && !result.contains("FAILED"), "{result}");
    assert!(count(result, "ok ") >= 76, "{result}");
}

#[test]
fn live_video_plays_in_a_browser_by_every_way_it_has() {
    let mut fake = Fake::of(2);
    fake.live = true;
    let Some(document) = Page::open(fake).loaded("/tests/live.html") else {
        return;
    };
    let (_, result) = document.split_once("<pre id=\"result\">").unwrap();
    let (result, _) = result.split_once("</pre>").unwrap();
    assert!(result.ends_with("done") && !result.contains("FAILED"), "{result}");
    println!("{result}");
    assert!(count(result, "ok ") >= 5, "{result}");
}

#[test]
fn the_page_shows_any_number_of_cameras() {
    for cameras in [0, 1, 16, 200] {
        let stands = usize::from(cameras > 4);
        let expected = [
            ("class=\"tile\"", cameras),
            ("data-state=\"stale\"", stands),
            ("data-state=\"waiting\"", stands),
            ("data-state=\"live\"", cameras - 2 * stands),
            ("No cameras yet.", usize::from(cameras == 0)),
        ];
        Page::open(Fake::of(cameras)).shows(|document| {
            let shown = count(document, "data-sequence=");
            assert!(shown <= 40, "{shown} of {cameras} pictures fetched: only those in view are");
            for (part, times) in expected {
                let seen = count(document, part);
                if seen != times {
                    return Err(format!("{seen} times {part} with {cameras} cameras, not {times}"));
                }
            }
            if cameras > 0 && shown == 0 {
                return Err(format!("no picture of {cameras}"));
            }
            Ok(())
        });
    }
}

#[test]
fn the_page_of_recordings_says_what_to_do_when_nothing_is_recorded() {
    let page = Page::open(Fake::of(1));
    let shows = |expected: &'static str| {
        page.shows_at("/recordings", |document| {
            if document.contains(expected) { Ok(()) } else { Err(format!("no '{expected}'")) }
        });
    };
    shows("this project has no recorder. add a worker with use: recorder");
}

#[test]
fn a_stale_camera_says_since_when_and_why() {
    let mut fake = Fake::of(2);
    fake.frozen.insert("cam02".to_owned());
    fake.jump(12);
    Page::open(fake).shows(|document| {
        let said =
            document.split_once("No frame for ").and_then(|(_, said)| said.split_once(" s: "));
        let Some((span, why)) = said else { return Err("no tile says since when".to_owned()) };
        // On a loaded machine the page may be looked at minutes later.
        let (minutes, seconds) = span.split_once(" min ").unwrap_or(("0", span));
        let number = |text: &str| text.parse::<u32>().unwrap();
        assert!(number(minutes) * 60 + number(seconds) >= 12, "{span}");
        let reason = "cam02 is degraded: rtsp://10.0.1.14/main: 401 Unauthorized";
        assert!(why.starts_with(reason), "{why}");
        if document.contains("1 stale") { Ok(()) } else { Err("no tile is stale".to_owned()) }
    });
}

#[test]
fn without_the_supervisor_the_page_says_so_and_pictures_go_on() {
    let fake = Fake::of(1);
    fake.silent_supervisor.store(true, std::sync::atomic::Ordering::Relaxed);
    Page::open(fake).shows(|document| {
        let told = document.contains("the supervisor did not answer within 2 s");
        let live = count(document, "data-state=\"live\"");
        if told && live == 1 { Ok(()) } else { Err(format!("told: {told}, live: {live}")) }
    });
}
