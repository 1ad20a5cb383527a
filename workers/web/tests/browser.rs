//! Live video in a real browser: Chromium connects by WebRTC to a real ring and shows what is in it. Without
//! Chromium or ffmpeg on the machine it says so and passes.
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod fake;
mod live;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path as File;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use fake::Fake;
use live::{Camera, Clip};
use protocol::config::WebrtcConfig;
use protocol::stream::Codec;
use serde_json::Value;
use shmring::clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use web::guard::Hosts;
use web::route::router;
use web::server::{Deadlines, Server};

/// A browser begins in seconds, or never.
const PATIENCE: Duration = Duration::from_secs(150);

/// What the page said of what it saw.
type Report = Arc<Mutex<Option<String>>>;

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Eight seconds of moving picture with its number in a strip at the top and at the bottom: 16 cells of a bit,
/// the lowest first. `None` without ffmpeg.
fn clip() -> Option<Clip> {
    let strip = "geq=lum='16+219*mod(floor(N/pow(2,floor(X/20))),2)':cb=128:cr=128";
    let graph = format!(
        "nullsrc=s=320x16:r=25:d=8,format=yuv420p,{strip},split[a][b];testsrc2=s=320x208:r=25:d=8,\
         format=yuv420p[c];[a][c][b]vstack=inputs=3"
    );
    let encode = ["-c:v", "libx264", "-bf", "0", "-g", "25", "-sc_threshold", "0"];
    let shape = ["-profile:v", "baseline", "-preset", "veryfast", "-b:v", "1M"];
    let write = ["-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-"];
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &graph])
        .args(encode)
        .args(shape)
        .args(write)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        println!("skipped: there is no ffmpeg on this machine");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(units(&output.stdout))
}

/// The access units between delimiters, without them.
fn units(stream: &[u8]) -> Clip {
    let starts = stream.windows(4).enumerate().filter(|(_, window)| *window == [0, 0, 0, 1]);
    let mut starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    // Inside a unit start codes are short, or long; a delimiter has a long one.
    starts.retain(|at| stream.get(at + 4).is_some_and(|head| head & 0x1f == 9));
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let unit = |(start, end): (&usize, usize)| {
        // Start code, header and one byte are the delimiter.
        let unit = stream[start + 6..end].to_vec();
        let key = unit.windows(4).any(|window| window[..3] == [0, 0, 1] && window[3] & 0x1f == 5);
        (unit, key)
    };
    starts.iter().zip(ends).map(unit).collect()
}

async fn file(Path(file): Path<String>) -> impl IntoResponse {
    let (kind, body) = match file.as_str() {
        "webrtc.html" => ("text/html", include_str!("page/webrtc.html")),
        "webrtc.js" => ("text/javascript", include_str!("page/webrtc.js")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

async fn report(State(report): State<Report>, body: String) -> StatusCode {
    *report.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    StatusCode::NO_CONTENT
}

/// The page on a port of its own, until `stop` is dropped.
fn serve(camera: &Camera, reported: Report) -> (SocketAddr, watch::Sender<bool>) {
    let site = Arc::new(Fake::of(1)).live_site(Some(camera.service.door()));
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("a socket");
    let (stop, stopped) = watch::channel(false);
    let (never, drain) = watch::channel(false);
    let crowd = site.crowd.clone();
    let tests = Router::new()
        .route("/tests/report", post(report))
        .with_state(reported)
        .route("/tests/{file}", get(file));
    let router = router(site, Hosts::new(address)).merge(tests);
    let server = Server { router, crowd, deadlines: Deadlines::default(), drain, stop: stopped };
    thread::spawn(move || {
        // A server whose owner is gone drains.
        let _never = never;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().expect("a runtime").block_on(async {
            let listener = TcpListener::from_std(listener).expect("a socket");
            server.serve(listener).await;
        });
    });
    (address, stop)
}

/// What the page reports; `None` without a browser.
fn look(address: SocketAddr, profile: &File, reported: &Report) -> Option<Value> {
    let browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        .args(["--disable-sync", "--autoplay-policy=no-user-gesture-required"])
        .args(["--allow-loopback-in-peer-connection", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("http://{address}/tests/webrtc.html"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(browser) = browser else {
        println!("skipped: there is no chromium on this machine");
        return None;
    };
    let _browser = Running(browser);
    let deadline = clock::mono() + PATIENCE;
    loop {
        let report = reported.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(report) = report {
            return Some(serde_json::from_str(&report).expect("a report"));
        }
        assert!(clock::mono() < deadline, "the page never said what it saw");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_browser_shows_the_pictures_of_a_ring_by_webrtc() {
    let Some(clip) = clip() else { return };
    assert_eq!(clip.len(), 200, "a unit a picture");
    let camera = Camera::play(Codec::H264, clip, WebrtcConfig::default());
    let reported = Report::default();
    let (address, _stop) = serve(&camera, Arc::clone(&reported));
    let profile = std::env::temp_dir().join(format!("fv-webrtc-{}", address.port()));
    let report = look(address, &profile, &reported);
    // Not there when Chromium is not.
    let _ = std::fs::remove_dir_all(&profile);
    let Some(report) = report else { return };
    if let Some(why) = report["skipped"].as_str() {
        println!("skipped: {why}");
        return;
    }
    assert_eq!(report["state"], "live", "{report}");
    assert_eq!(report["size"], serde_json::json!([320, 240]), "{report}");
    let seen: Vec<(u64, u64)> = serde_json::from_value(report["seen"].clone()).expect("numbers");
    assert!(seen.len() >= 60, "{report}");
    assert!(seen.iter().all(|(top, bottom)| top == bottom), "torn: {seen:?}");
    // The clip begins again after 200 pictures; a browser may leave some out, and shows none twice or again.
    let steps = seen.windows(2).map(|pair| (pair[1].0 + 200 - pair[0].0) % 200);
    assert!(steps.clone().all(|step| (1..100).contains(&step)), "{seen:?}");
    let left_out: u64 = steps.skip(10).map(|step| step - 1).sum();
    println!("{} pictures were shown and {left_out} left out", seen.len());
}
