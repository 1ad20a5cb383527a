//! Which path gives what. Everything passes the guard first; nothing here changes anything.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use crate::guard::{Hosts, guard};
use crate::playback::{list, play};
use crate::site::Site;
use crate::{api, assets, snap};

pub fn router(site: Arc<Site>, hosts: Hosts) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::asset))
        .route("/api/v1/about", get(api::about))
        .route("/api/v1/cameras", get(api::cameras))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/rings", get(api::rings))
        .route("/api/v1/workers", get(api::workers))
        .route("/api/v1/recordings", get(list::all))
        .route("/api/v1/recordings/{camera}", get(list::one))
        .route("/healthz", get(api::healthz))
        .route("/metrics", get(api::metrics))
        .route("/mjpeg/{camera}", get(snap::mjpeg))
        .route("/readyz", get(api::readyz))
        .route("/recordings", get(assets::recordings))
        .route("/recordings/{camera}/cut.mp4", get(play::cut))
        .route("/recordings/{camera}/index.m3u8", get(play::index))
        .route("/recordings/{camera}/init/{file}", get(play::init))
        .route("/recordings/{camera}/segment/{file}/{place}", get(play::segment))
        .route("/snap/{file}", get(snap::snap))
        .fallback(assets::not_found)
        .layer(from_fn_with_state(hosts, guard))
        .with_state(site)
}
