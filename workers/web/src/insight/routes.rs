//! What the paths of the insides answer, as JSON; all of it is for looking.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::name::{RingKind, RingName, WorkerName};
use protocol::record::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::{Refusal, fresh};
use crate::api::{owners, sees_input, sees_ring};
use crate::guard::sight::Sight;
use crate::insight::follow::{self, Past, Place, QUIET};
use crate::insight::passage::{Hop, WINDOW};
use crate::insight::records::Part;
use crate::site::Site;

type Shared = State<Arc<Site>>;
type Seer = Extension<Sight>;

/// Lines of a log, when it is not said how many, and at most.
const LINES: u32 = 200;
const LINES_MAX: u32 = 1_000;

/// `/api/v1/latency/CAM`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Latency {
    camera: String,
    over_ms: u64,
    hops: Vec<Hop>,
}

/// `/api/v1/records/RING`, as [`told`] writes it.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "its records are JSON already; this is its description")]
pub struct Records {
    ring: RingName,
    /// What to ask for as `after` next.
    next: u64,
    /// How many there were before these that are not kept any more.
    missed: u64,
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
pub struct After {
    #[serde(default)]
    after: u64,
}

#[derive(Debug, Deserialize)]
pub struct Lines {
    lines: Option<u32>,
}

pub async fn history(State(site): Shared, Extension(sight): Seer) -> Response {
    let owners = owners(&site, &sight).await;
    let mut history = site.history();
    history.rings.retain(|ring, _| sees_ring(&owners, &sight, ring));
    fresh(Json(history)).into_response()
}

pub async fn latency(State(site): Shared, Path(name): Path<String>) -> Response {
    let Some(camera) = site.camera(&name) else { return no_camera(&name).into_response() };
    let hops = site.hops(camera).await;
    let over_ms = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
    let told = Latency { camera: name, over_ms, hops };
    fresh(Json(told)).into_response()
}

pub async fn logs(
    State(site): Shared,
    Path(name): Path<String>,
    asked: Result<Query<Lines>, QueryRejection>,
) -> Response {
    let Query(Lines { lines }) = match asked {
        Ok(asked) => asked,
        Err(error) => return bad_query(&error, "for example ?lines=200").into_response(),
    };
    let Ok(worker) = name.parse::<WorkerName>() else { return no_worker(&name).into_response() };
    let lines = lines.unwrap_or(LINES).min(LINES_MAX);
    match site.logs(worker, lines).await {
        Ok(Some(json)) => {
            fresh(([(header::CONTENT_TYPE, "application/json")], json)).into_response()
        }
        Ok(None) => no_worker(&name).into_response(),
        Err(trouble) => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no-supervisor",
            trouble.to_string(),
            "see whether it runs: framevisor ps",
        )
        .into_response(),
    }
}

pub async fn records(
    State(site): Shared,
    Extension(sight): Seer,
    Path(name): Path<String>,
    asked: Result<Query<After>, QueryRejection>,
) -> Response {
    let Query(After { after }) = match asked {
        Ok(asked) => asked,
        Err(error) => return bad_query(&error, "give `next` of the last answer").into_response(),
    };
    let Some(ring) = event_ring(&site, &sight, &name).await else {
        return no_ring(&name).into_response();
    };
    let sees = |camera: &str| sight.sees_all() || sight.sees(camera);
    let told = told(&ring, &site.events.records.behind(&ring, after, sees));
    fresh(([(header::CONTENT_TYPE, "application/json")], told)).into_response()
}

/// `{ring, next, missed, records}`: `next` is what to ask for as `after` next. The records are JSON already.
fn told(ring: &RingName, part: &Part) -> String {
    let records: Vec<&str> = part.records.iter().map(|(_, text)| text.as_ref()).collect();
    let (next, missed, records) = (part.reached, part.missed, records.join(","));
    // A ring's name needs no escape.
    format!(r#"{{"ring":"{ring}","next":{next},"missed":{missed},"records":[{records}]}}"#)
}

pub async fn live(
    State(site): Shared,
    Extension(sight): Seer,
    Path(name): Path<String>,
    request: HeaderMap,
) -> Response {
    let Some(ring) = event_ring(&site, &sight, &name).await else {
        return no_ring(&name).into_response();
    };
    let last = request.get("last-event-id").and_then(|value| value.to_str().ok());
    let place = Place::of(site.began().0, last);
    let sees = Box::new(move |camera: &str| sight.sees_all() || sight.sees(camera));
    let past = Past { log: Arc::clone(&site.events), ring, sees };
    let events = follow::records(past, place, QUIET);
    // A proxy that gathers what it passes on would hold records back.
    let headers = [("content-type", "text/event-stream"), ("x-accel-buffering", "no")];
    fresh((headers, Body::from_stream(events))).into_response()
}

/// A ring of records among the inputs that may be seen; no other can be asked for.
async fn event_ring(site: &Site, sight: &Sight, name: &str) -> Option<RingName> {
    let owners = owners(site, sight).await;
    let named = |ring: &&RingName| {
        ring.kind() == RingKind::Events && ring.as_str() == name && sees_input(&owners, sight, ring)
    };
    site.about.inputs.iter().find(named).cloned()
}

fn bad_query(error: &QueryRejection, hint: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad-query", error.body_text(), hint)
}

fn no_camera(name: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "no-such-camera",
        format!("no camera '{name}' among the inputs of this page"),
        "the cameras are listed at /api/v1/cameras",
    )
}

fn no_ring(name: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "no-such-ring",
        format!("no event ring '{name}' among the inputs of this page"),
        "the inputs are listed at /api/v1/about; add the ring to `in` of this web worker",
    )
}

fn no_worker(name: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "no-such-worker",
        format!("no worker '{name}' whose lines are kept"),
        "the workers are listed at /api/v1/workers",
    )
}
