//! The JSON under `/api/v1/`, health, readiness and metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::admin::{ClientStatus, RingStatus, WorkerStatus};
use protocol::config::Kind;
use protocol::name::{RingKind, RingName, WorkerName};
use protocol::time::{Stamp, UtcNs};
use recordings::{GapReason, Outline, Range, UploadStatus};
use serde_json::Value;

use crate::answer::{Refusal, fresh};
use crate::guard::sight::{Sight, owner};
use crate::metrics::{self, Measured};
use crate::playback::shelf::Turn;
use crate::site::Site;
use crate::sources::Trouble;
use crate::stream::viewers::ViewerStatus;
use crate::webrtc;

/// Who asks for the metrics does not wait longer for those who look at recordings.
const LOOK_WAIT: Duration = Duration::from_secs(1);

type Shared = State<Arc<Site>>;
type Seer = Extension<Sight>;

/// With those of the inputs that may be seen.
pub async fn about(State(site): Shared, Extension(sight): Seer) -> Response {
    let mut about = site.about.clone();
    let owners = owners(&site, &sight).await;
    about.inputs.retain(|ring| sees_input(&owners, &sight, ring));
    fresh(Json(about)).into_response()
}

pub async fn cameras(State(site): Shared, Extension(sight): Seer) -> Response {
    let mut cameras = site.cameras().await;
    cameras.retain(|camera| sight.sees(&camera.name));
    fresh(Json(cameras)).into_response()
}

/// The supervisor's list as it came, as far as it may be seen.
pub async fn workers(State(site): Shared, Extension(sight): Seer) -> Response {
    let workers = match site.workers().await {
        Ok(workers) => workers,
        Err(trouble) => return unanswered(&trouble).into_response(),
    };
    let headers = [(header::CONTENT_TYPE, "application/json")];
    if sight.sees_all() {
        return fresh((headers, workers.json.clone())).into_response();
    }
    // With keys that are not known here.
    let mut rows: Vec<Value> = serde_json::from_str(&workers.json).unwrap_or_default();
    let name = |row: &Value| row["name"].as_str().unwrap_or_default().to_owned();
    let owners = owners(&site, &sight).await;
    rows.retain(|row| sight.sees_worker(&name(row), owners.iter().map(String::as_str)));
    fresh(Json(rows)).into_response()
}

pub async fn rings(State(site): Shared, Extension(sight): Seer) -> Response {
    let (census, owners) = (site.census().await, owners(&site, &sight).await);
    let seen: Vec<&RingStatus> =
        census.rings.iter().filter(|ring| sees_ring(&owners, &sight, &ring.name)).collect();
    fresh(Json(seen)).into_response()
}

/// By whose names workers are called; who sees all need not know.
pub(crate) async fn owners(site: &Site, sight: &Sight) -> Vec<String> {
    if sight.sees_all() { Vec::new() } else { site.owners().await }
}

/// An event ring is its worker's, and belongs to the camera that this does.
pub(crate) fn sees_ring(owners: &[String], sight: &Sight, ring: &RingName) -> bool {
    if ring.kind() == RingKind::Events {
        return sight.sees_worker(ring.camera(), owners.iter().map(String::as_str));
    }
    sight.sees_all() || sight.sees(ring.camera())
}

/// A worker that belongs to no camera may tell of several: of its records, each is asked for its own camera.
pub(crate) fn sees_input(owners: &[String], sight: &Sight, ring: &RingName) -> bool {
    let is_of_none = || {
        let owner = owner(ring.camera(), owners.iter().map(String::as_str));
        ring.kind() == RingKind::Events && owner.is_none()
    };
    sees_ring(owners, sight, ring) || sight.sees_some() && is_of_none()
}

/// Who watches, by whatever way.
pub async fn viewers(State(site): Shared) -> Response {
    let mut rows = site.viewers.rows(site.sources().now().mono);
    if let Some(door) = &site.webrtc {
        rows.extend(door.viewers().await.into_iter().map(ViewerStatus::from));
        rows.sort_by(|one, other| one.camera.cmp(&other.camera));
    }
    fresh(Json(rows)).into_response()
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
    let Stamp { mono, utc: now } = site.sources().now();
    let list = workers.as_ref().map(|workers| workers.list.as_slice());
    let uploads = uploads(&site, list.unwrap_or_default(), now).await;
    let clients = clients(&site, list.unwrap_or_default()).await;
    site.tally().asked(mono);
    missing(&site, now).await;
    site.count().await;
    let shm = site.sources().shared_memory();
    let rates = site.rates(&census.rings);
    let mut text = metrics::text(&Measured {
        now,
        rings: &census.rings,
        workers: list,
        cameras: &cameras,
        connections: site.open_connections(),
        uploads: &uploads,
        clients: &clients,
        rates: &rates,
        tally: &site.tally(),
        shm,
    });
    text.push_str(&site.viewers.metrics(mono));
    if let Some(door) = &site.webrtc {
        text.push_str(&webrtc::figures::text(&door.figures()));
    }
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

/// How long nothing was recorded since this process began, though it was to be. While others look at recordings for
/// long it is left to the next who asks.
async fn missing(site: &Arc<Site>, now: UtcNs) {
    let turn = tokio::time::timeout(LOOK_WAIT, site.shelf.turn(Turn::Look));
    let Ok(Ok(turn)) = turn.await else { return };
    let site = Arc::clone(site);
    let read = move || {
        let _turn = turn;
        for camera in site.shelf.cameras().unwrap_or_default() {
            // What cannot be read now may be the next time.
            if let Some(gaps) = gaps(&site, &camera, now) {
                site.tally().missing(&camera, site.began(), now, &gaps);
            }
        }
    };
    if let Err(panic) = tokio::task::spawn_blocking(read).await {
        tracing::error!(%panic, "gaps of recordings could not be counted");
    }
}

/// When a camera was not recorded lately, though it was to be.
fn gaps(site: &Site, camera: &str, now: UtcNs) -> Option<Vec<(UtcNs, UtcNs)>> {
    let from = site.tally().gaps_from(camera, site.began());
    let folder = site.shelf.folder(camera).ok()?.find().ok()?;
    let outline = Outline::read(&folder, Range { from, to: now }).ok()?;
    let wanted = outline.gaps.iter().filter(|gap| gap.reason != GapReason::Paused);
    Some(wanted.map(|gap| (gap.from, gap.to)).collect())
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

pub(crate) fn unanswered(trouble: &Trouble) -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no-supervisor",
        trouble.to_string(),
        "see whether it runs: framevisor ps",
    )
}
