//! The JSON under `/api/v1/`, health, readiness and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::answer::{Refusal, fresh};
use crate::metrics::{self, Measured};
use crate::site::Site;
use crate::sources::Trouble;

type Shared = State<Arc<Site>>;

pub async fn about(State(site): Shared) -> Response {
    fresh(Json(&site.about)).into_response()
}

pub async fn cameras(State(site): Shared) -> Response {
    fresh(Json(site.cameras().await)).into_response()
}

/// The supervisor's list as it came.
pub async fn workers(State(site): Shared) -> Response {
    match site.workers().await {
        Ok(workers) => {
            let headers = [(header::CONTENT_TYPE, "application/json")];
            fresh((headers, workers.json.clone())).into_response()
        }
        Err(trouble) => unanswered(&trouble).into_response(),
    }
}

pub async fn rings(State(site): Shared) -> Response {
    fresh(Json(&site.census().await.rings)).into_response()
}

pub async fn events(State(site): Shared) -> Response {
    fresh(Json(site.events.newest_first())).into_response()
}

/// This process answers.
pub async fn healthz() -> Response {
    fresh("ok\n").into_response()
}

/// The page can show what it is for: the supervisor answers too.
pub async fn readyz(State(site): Shared) -> Response {
    match site.workers().await {
        Ok(_) => fresh("ready\n").into_response(),
        Err(trouble) => unanswered(&trouble).into_response(),
    }
}

pub async fn metrics(State(site): Shared) -> Response {
    let workers = site.workers().await.ok();
    let cameras = site.cameras().await;
    let census = site.census().await;
    let text = metrics::text(&Measured {
        now: site.sources().now().utc,
        rings: &census.rings,
        workers: workers.as_ref().map(|workers| workers.list.as_slice()),
        cameras: &cameras,
        connections: site.open_connections(),
    });
    fresh(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)).into_response()
}

fn unanswered(trouble: &Trouble) -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no-supervisor",
        trouble.to_string(),
        "see whether it runs: framevisor ps",
    )
}
