//! What each path answers, through the whole router, with a made-up system behind it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use fake::Fake;
use tower::ServiceExt;
use web::guard::Hosts;
use web::route::router;
use web::site::Site;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

async fn send(site: &Arc<Site>, request: Request<Body>) -> Answer {
    let hosts = Hosts::new("127.0.0.1:8080".parse().unwrap());
    let response = router(Arc::clone(site), hosts).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, 10 << 20).await.unwrap().to_vec(),
    }
}

async fn get(site: &Arc<Site>, path: &str) -> Answer {
    let request = Request::get(path).header(header::HOST, "127.0.0.1:8080");
    send(site, request.body(Body::empty()).unwrap()).await
}

fn fake(count: usize) -> (Arc<Fake>, Arc<Site>) {
    let fake = Arc::new(Fake::of(count));
    let site = fake.site();
    (fake, site)
}

const PATHS: [&str; 24] = [
    "/",
    "/assets/app.js",
    "/assets/style.css",
    "/api/v1/about",
    "/api/v1/cameras",
    "/api/v1/events",
    "/api/v1/history",
    "/api/v1/latency/cam01",
    "/api/v1/logs/cam01",
    "/api/v1/records/motion.events",
    "/api/v1/rings",
    "/api/v1/viewers",
    "/api/v1/workers",
    "/camera",
    "/healthz",
    "/hls/cam01/index.m3u8",
    "/live/cam01",
    "/metrics",
    "/readyz",
    "/recordings",
    "/snap/cam01.jpg",
    "/snap/nobody.jpg",
    "/system",
    "/nothing/here",
];

#[tokio::test]
async fn every_path_answers_with_the_security_headers() {
    let (_fake, site) = fake(1);
    for path in PATHS {
        let answer = get(&site, path).await;
        // Its packet ring is no input here.
        let live = path.starts_with("/hls/") || path.starts_with("/live/");
        let found = !live && !matches!(path, "/snap/nobody.jpg" | "/nothing/here");
        assert_eq!(answer.status == StatusCode::OK, found, "{path}: {}", answer.status);
        assert!(
            answer.header("content-security-policy").starts_with("default-src 'self'"),
            "{path}"
        );
        assert!(
            answer.header("content-security-policy").contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
    }
}

#[tokio::test]
async fn no_path_takes_anything_but_reading() {
    let (_fake, site) = fake(1);
    for path in PATHS {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let request = Request::builder().method(method).uri(path);
            let request = request.header(header::HOST, "localhost").body(Body::empty()).unwrap();
            let answer = send(&site, request).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(answer.header("allow"), "GET, HEAD");
        }
    }
}

#[tokio::test]
async fn no_path_answers_to_another_host() {
    let (_fake, site) = fake(1);
    for path in PATHS {
        let hosts: [&[&str]; 5] =
            [&["evil.example"], &[], &["localhost", "evil.example"], &["192.168.1.1"], &[""]];
        for hosts in hosts {
            let mut request = Request::get(path);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            let answer = send(&site, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{path} {hosts:?}");
        }
    }
    let absolute = Request::get("http://evil.example/").header(header::HOST, "localhost");
    let answer = send(&site, absolute.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn a_path_never_leaves_the_names_it_knows() {
    let (fake, site) = fake(1);
    for path in [
        "/snap/..%2f..%2fetc%2fpasswd.jpg",
        "/snap/%2e%2e.jpg",
        "/snap/cam01.jpg%00",
        "/snap/cam01%00.jpg",
        "/snap/CAM01.jpg",
        "/snap/cam01",
        "/snap/.jpg",
        "/snap//etc/passwd.jpg",
        "/assets/..%2fsrc%2fmain.rs",
        "/assets/%2fetc%2fpasswd",
        "/assets/",
        "/mjpeg/..%2fcam01",
        "/mjpeg/nobody",
        &format!("/snap/{}.jpg", "x".repeat(5_000)),
    ] {
        let answer = get(&site, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.json()["error"]["hint"].as_str().unwrap().is_empty());
    }
    assert!(fake.opened.lock().unwrap().is_empty(), "no ring was looked for");
}

#[tokio::test]
async fn a_snapshot_is_the_newest_frame_with_its_identity() {
    let (fake, site) = fake(1);
    fake.stand();
    let answer = get(&site, "/snap/cam01.jpg").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "image/jpeg");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("framevisor-ring"), "cam01.packets");
    assert_eq!(answer.header("framevisor-epoch"), "1795000000000000");
    assert!(answer.header("framevisor-sequence").parse::<u64>().unwrap() >= 1);
    assert!(answer.header("framevisor-capture-utc-ns").parse::<u64>().unwrap() > 1_000_000_000);
    assert!(answer.header("framevisor-age-ms").parse::<u64>().unwrap() < 1_000);
    assert_eq!(answer.body[..2], [0xff, 0xd8]);
    let mut decoder = zune_jpeg::JpegDecoder::new(std::io::Cursor::new(&answer.body));
    decoder.decode_headers().unwrap();
    let size = (fake::WIDTH as usize, fake::HEIGHT as usize);
    assert_eq!(decoder.dimensions(), Some(size));
}

#[tokio::test]
async fn a_picture_already_held_is_not_sent_again() {
    let (fake, site) = {
        let mut fake = Fake::of(1);
        fake.frozen.insert("cam01".to_owned());
        let fake = Arc::new(fake);
        (Arc::clone(&fake), fake.site())
    };
    let etag = get(&site, "/snap/cam01.jpg").await.header("etag").to_owned();
    let request = Request::get("/snap/cam01.jpg")
        .header(header::HOST, "localhost")
        .header(header::IF_NONE_MATCH, &etag);
    let answer = send(&site, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
    assert!(answer.headers.contains_key("framevisor-age-ms"));
    assert!(answer.body.is_empty());
    assert_eq!(fake.copied.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_encoding() {
    let (fake, site) = fake(1);
    let asked: Vec<_> = (0..32)
        .map(|_| {
            let site = Arc::clone(&site);
            tokio::spawn(async move { get(&site, "/snap/cam01.jpg").await.status })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
    let copied = fake.copied.load(Ordering::Relaxed);
    assert!(copied < 16, "{copied} copies for 32 requests at once");
}

#[tokio::test]
async fn a_ring_is_attached_only_while_somebody_looks() {
    let (fake, site) = fake(1);
    fake.stand();
    let attached = || fake.attached.load(Ordering::Relaxed);
    assert_eq!(attached(), 0);
    get(&site, "/snap/cam01.jpg").await;
    fake.jump(4);
    site.desk.rest(fake_now(&fake));
    assert_eq!(attached(), 1);
    fake.jump(2);
    site.desk.rest(fake_now(&fake));
    assert_eq!(attached(), 0);
    assert_eq!(get(&site, "/snap/cam01.jpg").await.status, StatusCode::OK);
    assert_eq!(attached(), 1);
}

fn fake_now(fake: &Fake) -> protocol::time::MonoNs {
    web::sources::Sources::now(fake).mono
}

#[tokio::test]
async fn a_camera_without_a_ring_says_so_and_may_come_later() {
    let (_fake, site) = fake(6);
    let answer = get(&site, "/snap/cam06.jpg").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"]["code"], "no-picture-yet");
    let text = answer.json()["error"]["text"].to_string();
    assert!(text.contains("cam06") && text.contains("no such ring"), "{text}");
}

#[tokio::test]
async fn cameras_tell_live_from_stale_and_why() {
    let (fake, site) = fake(6);
    fake.stand();
    fake.jump(3);
    // The page waits for the supervisor a moment only, and then knows what it said last.
    assert_eq!(get(&site, "/api/v1/workers").await.status, StatusCode::OK);
    let rows = get(&site, "/api/v1/cameras").await.json();
    assert_eq!(rows.as_array().unwrap().len(), 6);
    assert_eq!(rows[0]["state"], "live");
    assert_eq!(rows[0]["snapshot"], "/snap/cam01.jpg");
    assert_eq!(rows[2]["state"], "stale");
    assert!(rows[2]["why"].as_str().unwrap().contains("401"), "{}", rows[2]);
    assert_eq!(rows[5]["state"], "waiting");
}

#[tokio::test]
async fn the_supervisors_list_is_passed_on_with_keys_we_do_not_know() {
    let (_fake, site) = fake(1);
    let rows = get(&site, "/api/v1/workers").await.json();
    assert_eq!((&rows[0]["name"], &rows[0]["extra"]), (&"cam01".into(), &1.into()));
}

#[tokio::test]
async fn without_the_supervisor_pictures_and_rings_go_on() {
    let (fake, site) = fake(2);
    fake.silent_supervisor.store(true, Ordering::Relaxed);
    for path in ["/api/v1/workers", "/readyz"] {
        let answer = get(&site, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.json()["error"]["code"], "no-supervisor");
    }
    for path in ["/", "/healthz", "/api/v1/cameras", "/api/v1/rings", "/metrics", "/snap/cam01.jpg"]
    {
        assert_eq!(get(&site, path).await.status, StatusCode::OK, "{path}");
    }
    fake.silent_supervisor.store(false, Ordering::Relaxed);
    fake.jump(1);
    assert_eq!(get(&site, "/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_name_rings_workers_and_cameras() {
    let (_fake, site) = fake(2);
    let answer = get(&site, "/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    for part in [
        "framevisor_ring_frames_total{ring=\"cam01.frames\"} ",
        "framevisor_worker_restarts_total{worker=\"motion\",reason=\"sigsegv\"} 4",
        "framevisor_last_frame_timestamp_seconds{camera=\"cam02\"} ",
        "framevisor_reader_lag_items{ring=\"cam01.frames\",reader=\"external\"} 3",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[tokio::test]
async fn head_answers_without_a_body() {
    let (_fake, site) = fake(1);
    let request = Request::head("/snap/cam01.jpg").header(header::HOST, "[::1]:8080");
    let answer = send(&site, request.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn every_module_the_page_imports_is_there() {
    let (_fake, site) = fake(0);
    let mut wanted = Vec::new();
    for page in ["/", "/camera", "/recordings", "/system"] {
        let text = get(&site, page).await.text();
        // Relative, so that the page may be served below a path.
        assert!(!text.contains("=\"/"), "{page} has an address that begins at the root");
        let assets = text.split("\"assets/").skip(1).filter_map(|rest| rest.split('"').next());
        wanted.extend(assets.map(|name| format!("/assets/{name}")));
    }
    let mut seen: Vec<String> = Vec::new();
    while let Some(path) = wanted.pop() {
        let answer = get(&site, &path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let text = answer.text();
        let imports = ["from \"./", "import(\"./"]
            .into_iter()
            .flat_map(|words| text.split(words).skip(1).filter_map(|rest| rest.split('"').next()));
        wanted.extend(
            imports.map(|name| format!("/assets/{name}")).filter(|path| !seen.contains(path)),
        );
        seen.push(path);
    }
    assert!(seen.len() > 30 && seen.contains(&"/assets/uPlot.js".to_owned()), "{seen:?}");
}
