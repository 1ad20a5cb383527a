//! Pictures: `/snap/CAM.jpg`, one, with its identity in the headers; `/mjpeg/CAM`, one after another.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::answer::Refusal;
use crate::assets::not_found;
use crate::desk::{NoPicture, Snapshot};
use crate::guard::forwarded::Asker;
use crate::site::Site;
use crate::stream::viewers::Transport;

/// Pause between two pictures of a multipart stream: ten a second are motion to the eye, and the
/// transport for more is video.
const MJPEG_PAUSE: Duration = Duration::from_millis(100);
const BOUNDARY: &str = "framevisor-picture";

/// Packet ring where the picture entered the system, and its epoch and sequence there.
const RING: HeaderName = HeaderName::from_static("framevisor-ring");
const EPOCH: HeaderName = HeaderName::from_static("framevisor-epoch");
const SEQUENCE: HeaderName = HeaderName::from_static("framevisor-sequence");
/// Capture time, UTC, in ns since 1970.
const CAPTURE: HeaderName = HeaderName::from_static("framevisor-capture-utc-ns");
/// Time since this host got the picture, in ms, at the moment of the answer.
const AGE: HeaderName = HeaderName::from_static("framevisor-age-ms");

/// The newest picture. With `If-None-Match` of the picture already held: 304 and its age.
pub async fn snap(
    State(site): State<Arc<Site>>,
    Path(file): Path<String>,
    request: HeaderMap,
) -> Response {
    let Some(name) = file.strip_suffix(".jpg") else {
        return not_found().await;
    };
    let snapshot = match site.desk.newest(name).await {
        Ok(snapshot) => snapshot,
        Err(none) => return refusal(&none).into_response(),
    };
    let headers = headers(&site, &snapshot);
    if request.get(header::IF_NONE_MATCH) == headers.get(header::ETAG) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, "image/jpeg")];
    (headers, content_type, snapshot.jpeg.clone()).into_response()
}

/// Pictures as `multipart/x-mixed-replace`. The next one is taken when the last is sent, so a slow
/// viewer sees fewer of them and nobody waits for it.
pub async fn mjpeg(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Extension(asker): Extension<Asker>,
) -> Response {
    if let Err(none) = site.desk.newest(&name).await {
        return refusal(&none).into_response();
    }
    let (now, peer) = (site.sources().now().mono, Some(asker.shown()));
    let ticket = site.viewers.join(&name, Transport::Mjpeg, peer, now);
    let parts =
        stream::unfold((site, name, ticket, None), |(site, name, ticket, last)| async move {
            let snapshot = next(&site, &name, last.as_deref(), MJPEG_PAUSE).await?;
            let part = part(&snapshot, last.is_none());
            ticket.sends(snapshot.stamp.arrival);
            ticket.sent(1, part.len(), site.sources().now().mono);
            Some((Ok::<_, Infallible>(part), (site, name, ticket, Some(snapshot))))
        });
    let content_type = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    let headers =
        [(header::CONTENT_TYPE, content_type.as_str()), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(parts)).into_response()
}

/// The next picture that is not `last`, looked for each `pause`; `None` when the camera has none any more.
pub async fn next(
    site: &Site,
    name: &str,
    last: Option<&Snapshot>,
    pause: Duration,
) -> Option<Arc<Snapshot>> {
    loop {
        let snapshot = site.desk.newest(name).await.ok()?;
        if last.is_none_or(|last| last.stamp != snapshot.stamp) {
            return Some(snapshot);
        }
        tokio::time::sleep(pause).await;
    }
}

/// One part with the boundary that ends it: browsers show a part when they see the next boundary.
fn part(snapshot: &Snapshot, first: bool) -> Bytes {
    let begin = if first { format!("--{BOUNDARY}\r\n") } else { String::new() };
    let size = snapshot.jpeg.len();
    let head = format!("{begin}Content-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n");
    let end = format!("\r\n--{BOUNDARY}\r\n");
    [head.as_bytes(), &snapshot.jpeg, end.as_bytes()].concat().into()
}

fn headers(site: &Site, snapshot: &Snapshot) -> HeaderMap {
    let stamp = &snapshot.stamp;
    let age = site.sources().now().mono.saturating_since(stamp.arrival);
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: String| {
        // Names and numbers are always valid header text.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set(RING, stamp.id.ring.to_string());
    set(EPOCH, stamp.id.epoch.to_string());
    set(SEQUENCE, stamp.id.sequence.to_string());
    set(CAPTURE, stamp.capture_utc.0.to_string());
    set(AGE, age.as_millis().to_string());
    set(header::ETAG, format!("\"{}-{}\"", stamp.epoch, stamp.sequence));
    set(header::CACHE_CONTROL, "no-store".to_owned());
    headers
}

/// Why there is no picture, as an answer.
pub fn refusal(none: &NoPicture) -> Refusal {
    let (status, code, hint) = match none {
        NoPicture::UnknownCamera { .. } => {
            (StatusCode::NOT_FOUND, "no-such-camera", "the cameras are listed at /api/v1/cameras")
        }
        NoPicture::NoFrames { .. } => (
            StatusCode::NOT_FOUND,
            "no-frames",
            "add a decoder for it and its frame ring to the inputs of this web worker",
        ),
        NoPicture::NotYet { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no-picture-yet",
            "ask again; /api/v1/cameras says what the camera is waiting for",
        ),
    };
    Refusal::new(status, code, none.to_string(), hint)
}
