//! WHEP through the whole router: what each path answers, with a camera in a real ring behind it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;
mod live;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use fake::Fake;
use live::{Camera, LISTEN, sketch};
use protocol::config::WebrtcConfig;
use protocol::stream::Codec;
use tower::ServiceExt;
use web::guard::Hosts;
use web::route::router;
use web::site::Site;

/// As a browser makes it, with one transceiver that receives pictures.
const OFFER: &str = "v=0\r\n\
    o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n\
    s=-\r\n\
    t=0 0\r\n\
    a=group:BUNDLE 0\r\n\
    a=extmap-allow-mixed\r\n\
    a=msid-semantic: WMS\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\n\
    c=IN IP4 0.0.0.0\r\n\
    a=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:fv4t\r\n\
    a=ice-pwd:0123456789abcdefghijklmn\r\n\
    a=ice-options:trickle\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\n\
    a=mid:0\r\n\
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
    a=recvonly\r\n\
    a=rtcp-mux\r\n\
    a=rtcp-rsize\r\n\
    a=rtpmap:96 H264/90000\r\n\
    a=rtcp-fb:96 nack\r\n\
    a=rtcp-fb:96 nack pli\r\n\
    a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
    a=rtpmap:97 rtx/90000\r\n\
    a=fmtp:97 apt=96\r\n\
    a=rtpmap:98 VP8/90000\r\n";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert!(!body["error"]["hint"].as_str().unwrap().is_empty());
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

async fn send(site: &Arc<Site>, request: Request<Body>) -> Answer {
    let hosts = Hosts::new(LISTEN.parse().unwrap());
    let response = router(Arc::clone(site), hosts).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn ask(site: &Arc<Site>, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header(header::HOST, LISTEN);
    send(site, request.body(Body::empty()).unwrap()).await
}

async fn offer(site: &Arc<Site>, camera: &str, offer: &str, lines: &[(&str, &str)]) -> Answer {
    let mut request = Request::post(format!("/whep/{camera}")).header(header::HOST, LISTEN);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    if !lines.iter().any(|(name, _)| *name == "content-type") {
        request = request.header(header::CONTENT_TYPE, "application/sdp");
    }
    send(site, request.body(Body::from(offer.to_owned())).unwrap()).await
}

fn site(camera: &Camera) -> Arc<Site> {
    Arc::new(Fake::of(1)).live_site(Some(camera.service.door()))
}

fn h264() -> Camera {
    Camera::play(Codec::H264, sketch(), WebrtcConfig::default())
}

#[tokio::test]
async fn an_offer_is_answered_with_a_viewer_that_can_be_ended() {
    let camera = h264();
    let site = site(&camera);
    let answer = offer(&site, "cam1", OFFER, &[]).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/sdp");
    assert_eq!(answer.header("cache-control"), "no-store");
    for line in ["a=ice-lite", "a=sendonly", "a=setup:passive", "a=rtpmap:96 H264/90000"] {
        assert!(answer.body.contains(line), "{line} is not in\n{}", answer.body);
    }
    let candidate = answer.body.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
    assert!(candidate.contains(" 127.0.0.1 ") && candidate.contains(" typ host"), "{candidate}");
    let place = answer.header("location");
    let (name, id) = place.split_once('/').unwrap();
    assert_eq!((name, id.len()), ("cam1", 32), "beside the camera's path");
    let viewer = format!("/whep/{place}");
    assert_eq!(ask(&site, "DELETE", "/whep/cam1/0123").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        ask(&site, "DELETE", &format!("/whep/cam2/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(ask(&site, "DELETE", &viewer).await.status, StatusCode::OK);
    let again = ask(&site, "DELETE", &viewer).await;
    assert_eq!((again.status, again.code()), (StatusCode::NOT_FOUND, "no-such-viewer".to_owned()));
}

#[tokio::test]
async fn what_is_no_offer_is_refused_in_words() {
    let camera = h264();
    let site = site(&camera);
    let json = offer(&site, "cam1", OFFER, &[("content-type", "application/json")]).await;
    assert_eq!((json.status.as_u16(), &*json.code()), (415, "no-sdp"));
    for (camera, text, status, code) in [
        ("cam9", OFFER.to_owned(), 404, "no-such-camera"),
        ("cam1", String::new(), 400, "bad-offer"),
        ("cam1", "hello".to_owned(), 400, "bad-offer"),
        ("cam1", OFFER.replace("a=fingerprint", "a=x"), 400, "bad-offer"),
        ("cam1", OFFER.replace("H264", "AV1"), 406, "no-common-format"),
        ("cam1", "x".repeat(100_000), 413, "large-offer"),
    ] {
        let answer = offer(&site, camera, &text, &[]).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_camera_that_no_browser_takes_is_refused_with_what_it_sends() {
    let camera = Camera::play(Codec::Mjpeg, sketch(), WebrtcConfig::default());
    let answer = offer(&site(&camera), "cam1", OFFER, &[]).await;
    assert_eq!(answer.code(), "no-webrtc-format");
    assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE);
    assert!(answer.body.contains("MJPEG"), "{}", answer.body);
}

#[tokio::test]
async fn one_viewer_too_many_may_ask_again() {
    let config = WebrtcConfig { max_viewers: 1, ..WebrtcConfig::default() };
    let camera = Camera::play(Codec::H264, sketch(), config);
    let site = site(&camera);
    assert_eq!(offer(&site, "cam1", OFFER, &[]).await.status, StatusCode::CREATED);
    let answer = offer(&site, "cam1", OFFER, &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((&*answer.code(), answer.header("retry-after")), ("webrtc-full", "2"));
}

#[tokio::test]
async fn each_path_says_what_it_takes() {
    let camera = h264();
    let site = site(&camera);
    let options = ask(&site, "OPTIONS", "/whep/cam1").await;
    assert_eq!(options.status, StatusCode::NO_CONTENT);
    assert_eq!(
        (options.header("allow"), options.header("accept-post")),
        ("POST, OPTIONS", "application/sdp")
    );
    assert!(!options.headers.contains_key("access-control-allow-origin"));
    for (method, path, allow) in [
        ("GET", "/whep/cam1", "POST, OPTIONS"),
        ("HEAD", "/whep/cam1", "POST, OPTIONS"),
        ("DELETE", "/whep/cam1", "POST, OPTIONS"),
        ("PATCH", "/whep/cam1/0123", "DELETE, OPTIONS"),
        ("POST", "/whep/cam1/0123", "DELETE, OPTIONS"),
        ("GET", "/whep/cam1/0123", "DELETE, OPTIONS"),
    ] {
        let answer = ask(&site, method, path).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    for (method, path) in [("PUT", "/whep/cam1"), ("TRACE", "/whep/cam1"), ("POST", "/whep")] {
        let answer = ask(&site, method, path).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
}

#[tokio::test]
async fn no_other_origin_and_no_other_host_may_offer_or_end() {
    let camera = h264();
    let site = site(&camera);
    for line in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:9090"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = offer(&site, "cam1", OFFER, &[line]).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (StatusCode::FORBIDDEN, "wrong-origin"),
            "{line:?}"
        );
    }
    let own = [("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")];
    assert_eq!(offer(&site, "cam1", OFFER, &own).await.status, StatusCode::CREATED);
    let request = Request::post("/whep/cam1").header(header::HOST, "evil.example");
    let answer = send(&site, request.body(Body::from(OFFER)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn without_webrtc_its_paths_say_so() {
    let site = Arc::new(Fake::of(1)).live_site(None);
    let answer = offer(&site, "cam1", OFFER, &[]).await;
    assert_eq!((answer.status, &*answer.code()), (StatusCode::NOT_FOUND, "webrtc-off"));
    let metrics = ask(&site, "GET", "/metrics").await;
    assert!(!metrics.body.contains("webrtc"));
}

#[tokio::test]
async fn metrics_count_viewers_and_who_got_none() {
    let camera = h264();
    let site = site(&camera);
    offer(&site, "cam1", OFFER, &[]).await;
    offer(&site, "cam9", OFFER, &[]).await;
    let lines = [
        "framevisor_webrtc_viewers{camera=\"cam1\"} 1",
        "framevisor_webrtc_sessions_total{camera=\"cam1\"} 1",
        "framevisor_webrtc_refused_total 1",
        "framevisor_webrtc_viewers_max 64",
    ];
    let mut text = String::new();
    for _ in 0..600 {
        text = ask(&site, "GET", "/metrics").await.body;
        if lines.iter().all(|line| text.lines().any(|seen| seen == *line)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{lines:?} are not in\n{text}");
}
