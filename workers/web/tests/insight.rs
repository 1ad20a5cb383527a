//! What the page shows of the insides, through the whole router, with a made-up system behind it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use fake::Fake;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use web::guard::Hosts;
use web::insight::history::SAMPLES;
use web::route::router;
use web::site::Site;

fn made(count: usize) -> (Arc<Fake>, Arc<Site>) {
    let mut fake = Fake::of(count);
    fake.live = true;
    let fake = Arc::new(fake);
    let site = fake.site();
    (fake, site)
}

async fn ask(site: &Arc<Site>, path: &str, after: Option<&str>) -> (StatusCode, HeaderMap, Body) {
    let hosts = Hosts::new("127.0.0.1:8080".parse().unwrap());
    let mut request = Request::get(path).header(header::HOST, "localhost");
    if let Some(after) = after {
        request = request.header("Last-Event-ID", after);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router(Arc::clone(site), hosts).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body)
}

async fn get(site: &Arc<Site>, path: &str) -> (StatusCode, Value) {
    let (status, headers, body) = ask(site, path, None).await;
    assert_eq!(headers["cache-control"], "no-store", "{path}");
    let body = to_bytes(body, 16 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn found(site: &Arc<Site>, path: &str) -> Value {
    let (status, told) = get(site, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {told}");
    told
}

async fn refused(site: &Arc<Site>, path: &str, status: StatusCode, code: &str) {
    let (seen, told) = get(site, path).await;
    assert_eq!((seen, told["error"]["code"].as_str()), (status, Some(code)), "{path}: {told}");
    assert!(!told["error"]["hint"].as_str().unwrap().is_empty(), "{path}: {told}");
}

fn tell(site: &Site, count: u64) {
    let ring = "motion.events".parse().unwrap();
    (0..count).for_each(|n| site.events.push(&ring, fake::record(n, "update")));
}

fn ids(told: &Value) -> Vec<&str> {
    told["records"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn records_of_a_ring_are_given_and_go_on_where_they_ended() {
    let (_fake, site) = made(1);
    let path = "/api/v1/records/motion.events";
    assert_eq!(
        found(&site, path).await,
        json!({"ring": "motion.events", "next": 0, "missed": 0, "records": []})
    );
    tell(&site, 3);
    let told = found(&site, path).await;
    assert_eq!((told["next"].as_u64(), ids(&told).len()), (Some(3), 3));
    assert_eq!(told["records"][0]["type"], "motion.update");
    tell(&site, 1);
    let more = found(&site, "/api/v1/records/motion.events?after=3").await;
    assert_eq!((more["next"].as_u64(), ids(&more).len()), (Some(4), 1));
    let nothing = found(&site, "/api/v1/records/motion.events?after=4").await;
    assert_eq!((nothing["next"].as_u64(), ids(&nothing).len()), (Some(4), 0));
}

async fn next(stream: &mut BodyDataStream) -> String {
    String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_stream_of_records_goes_on_and_is_taken_up_again() {
    let (_fake, site) = made(1);
    tell(&site, 2);
    let path = "/api/v1/records/motion.events/live";
    let (status, headers, body) = ask(&site, path, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    let mut stream = body.into_data_stream();
    let past = next(&mut stream).await;
    assert_eq!(past.matches("\ndata: {").count(), 2, "{past}");
    tell(&site, 1);
    let third = next(&mut stream).await;
    let id = third.strip_prefix("id: ").unwrap().lines().next().unwrap().to_owned();
    assert!(id.ends_with("-3"), "{third}");
    tell(&site, 1);
    let (_, _, body) = ask(&site, path, Some(&id)).await;
    let again = next(&mut body.into_data_stream()).await;
    assert!(again.lines().next().unwrap().ends_with("-4"), "{again}");
    let (_, _, body) = ask(&site, path, Some("1-3")).await;
    let other_life = next(&mut body.into_data_stream()).await;
    assert_eq!(other_life.matches("\ndata: {").count(), 4, "{other_life}");
}

#[tokio::test]
async fn only_event_rings_among_the_inputs_can_be_followed() {
    let (_fake, site) = made(1);
    for ring in ["other.events", "cam01.packets", "nonsense", "..motion.events"] {
        for tail in ["", "/live"] {
            let path = format!("/api/v1/records/{ring}{tail}");
            refused(&site, &path, StatusCode::NOT_FOUND, "no-such-ring").await;
        }
    }
    let path = "/api/v1/records/motion.events?after=soon";
    refused(&site, path, StatusCode::BAD_REQUEST, "bad-query").await;
}

#[tokio::test]
async fn latency_is_that_of_packets_and_of_the_pictures_that_are_looked_at() {
    let (_fake, site) = made(6);
    let hops = |told: &Value| -> Vec<(String, String, f64)> {
        let hop = |hop: &Value| {
            let stage = |key: &str| hop[key].as_str().unwrap().to_owned();
            (stage("from"), stage("to"), hop["median_ms"].as_f64().unwrap())
        };
        told["hops"].as_array().unwrap().iter().map(hop).collect()
    };
    let named = |from: &str, to: &str, ms| (from.to_owned(), to.to_owned(), ms);
    let told = found(&site, "/api/v1/latency/cam01").await;
    assert_eq!((&told["camera"], &told["over_ms"]), (&json!("cam01"), &json!(10_000)));
    let packets = [named("capture", "ingest", 12.0), named("ingest", "published", 6.0)];
    assert_eq!(hops(&told), packets);
    let (status, ..) = ask(&site, "/snap/cam01.jpg", None).await;
    assert_eq!(status, StatusCode::OK);
    let told = hops(&found(&site, "/api/v1/latency/cam01").await);
    assert_eq!(told[..2], packets);
    let pictures = [named("ingest", "decoded", 6.0), named("decoded", "published", 0.0)];
    assert_eq!(told[2..4], pictures);
    let last: Vec<&str> = told[4..].iter().map(|(_, to, _)| to.as_str()).collect();
    assert_eq!(last, ["taken", "encoded"]);
    // Its ring is not there.
    assert_eq!(found(&site, "/api/v1/latency/cam06").await["hops"], json!([]));
    refused(&site, "/api/v1/latency/nobody", StatusCode::NOT_FOUND, "no-such-camera").await;
}

#[tokio::test]
async fn the_last_minutes_of_rings_are_remembered() {
    let (fake, site) = made(1);
    assert_eq!(found(&site, "/api/v1/history").await, json!({"step_ms": 5000, "rings": {}}));
    site.remember().await;
    fake.jump(5);
    site.remember().await;
    let told = found(&site, "/api/v1/history").await;
    let rate = told["rings"]["cam01.packets"]["rate"].as_array().unwrap();
    assert_eq!(rate.len(), SAMPLES);
    assert_eq!(rate[SAMPLES - 2], Value::Null);
    let newest = rate[SAMPLES - 1].as_f64().unwrap();
    // A thread may rest between the look at the clock and that at the rings.
    assert!(newest > 1.0, "{newest}");
    assert_eq!(told["rings"]["cam01.frames"]["lag"]["notebook"][SAMPLES - 1], 3);
}

#[tokio::test]
async fn logs_are_those_of_one_worker_and_as_many_as_asked_for() {
    let (_fake, site) = made(1);
    let told = found(&site, "/api/v1/logs/cam01?lines=3").await;
    let texts: Vec<&str> =
        told.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 3);
    assert!(texts[0].starts_with("INFO cam01"), "{texts:?}");
    for name in ["nobody", "No_Name", "..cam01"] {
        let path = format!("/api/v1/logs/{name}");
        refused(&site, &path, StatusCode::NOT_FOUND, "no-such-worker").await;
    }
    let path = "/api/v1/logs/cam01?lines=-1";
    refused(&site, path, StatusCode::BAD_REQUEST, "bad-query").await;
}

#[tokio::test]
async fn without_the_supervisor_the_logs_say_so() {
    let (fake, site) = made(1);
    fake.silent_supervisor.store(true, Ordering::Relaxed);
    let path = "/api/v1/logs/cam01";
    refused(&site, path, StatusCode::SERVICE_UNAVAILABLE, "no-supervisor").await;
}
