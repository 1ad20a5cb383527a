//! The JSON under `/api/v1/`, health, readiness and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::admin::{ClientStatus, WorkerStatus};
use protocol::config::Kind;
use protocol::name::WorkerName;
use protocol::time::UtcNs;
use recordings::UploadStatus;

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
    let now = site.sources().now().utc;
    let list = workers.as_ref().map(|workers| workers.list.as_slice());
    let uploads = uploads(&site, list.unwrap_or_default(), now).await;
    let clients = clients(&site, list.unwrap_or_default()).await;
    let text = metrics::text(&Measured {
        now,
        rings: &census.rings,
        workers: list,
        cameras: &cameras,
        connections: site.open_connections(),
        uploads: &uploads,
        clients: &clients,
    });
    fresh(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)).into_response()
}

/// What the uploaders among the workers say of themselves.
async fn uploads(
    site: &Arc<Site>,
    workers: &[WorkerStatus],
    now: UtcNs,
) -> Vec<(WorkerName, UploadStatus)> {
    let is_uploader = |worker: &&WorkerStatus| worker.kind == Kind::Uploader.as_str();
    let names: Vec<WorkerName> =
        workers.iter().filter(is_uploader).map(|worker| worker.name.clone()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let site = Arc::clone(site);
    let read = move || {
        let told = names.into_iter().filter_map(|name| {
            let status = site.sources().upload(&name)?;
            metrics::is_fresh(&status, now).then_some((name, status))
        });
        told.collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

/// Who is connected to the RTSP servers among the workers.
async fn clients(
    site: &Arc<Site>,
    workers: &[WorkerStatus],
) -> Vec<(WorkerName, Vec<ClientStatus>)> {
    let is_server = |worker: &&WorkerStatus| worker.kind == Kind::Rtsp.as_str();
    let names: Vec<WorkerName> =
        workers.iter().filter(is_server).map(|worker| worker.name.clone()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let site = Arc::clone(site);
    let read = move || {
        let told = names.into_iter().map(|name| {
            let clients = site.sources().clients(&name);
            (name, clients)
        });
        told.collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

fn unanswered(trouble: &Trouble) -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no-supervisor",
        trouble.to_string(),
        "see whether it runs: framevisor ps",
    )
}
