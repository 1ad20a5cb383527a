//! Which path gives what, and to whom: one table, of which the router, the guard's plan and the API's document are
//! made. What is not in it is not there.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, options, post};
use protocol::admin::{RingStatus, WorkerStatus};
use protocol::config::Right;
use protocol::record::Record;
use protocol::recorder::{Noted, Told};

use crate::board::CameraStatus;
use crate::deeds::{CommentWanted, RecordingWanted, Restarted};
use crate::events::Event;
use crate::following;
use crate::guard::need::{Need, Plan};
use crate::guard::{Guard, Hosts, Rules, guard};
use crate::insight::{history, routes as insides};
use crate::openapi::{Content, Operation};
use crate::playback::{list, play};
use crate::site::{About, Site};
use crate::stream::viewers::ViewerStatus;
use crate::stream::{hls, socket};
use crate::{api, assets, deeds, openapi, snap, webrtc};

/// One path with one method.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub need: Need,
    /// `None` for what is the page's own.
    pub operation: Option<Operation>,
    handler: MethodRouter<Arc<Site>>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.need)
    }
}

/// For everybody who names one of these hosts; nothing can be changed.
pub fn router(site: Arc<Site>, hosts: Hosts) -> Router {
    guarded(site, Rules::open(hosts), [0; 32])
}

/// By the rules of a topology. `secret`: random, for as long as this process lives.
pub fn guarded(site: Arc<Site>, rules: Rules, secret: [u8; 32]) -> Router {
    let routes = routes();
    let plan = Plan::of(routes.iter().map(|it| (it.method.clone(), it.path, it.need)));
    let guarding = Arc::new(Guard::new(rules, plan, &site, secret));
    let add = |router: Router<Arc<Site>>, route: Route| router.route(route.path, route.handler);
    let inner = routes.into_iter().fold(Router::new(), add);
    let inner = inner.fallback(assets::not_found).with_state(site);
    // Before the inner one looks at the path: the guard takes off what the page begins with.
    Router::new().fallback_service(inner).layer(from_fn_with_state(guarding, guard))
}

/// All there are.
pub fn routes() -> Vec<Route> {
    let mut all = pages();
    all.extend(data());
    all.extend(insight());
    all.extend(recordings());
    all.extend(pictures());
    all.extend(calls());
    all.extend(changes());
    all.extend(health());
    all
}

fn pages() -> Vec<Route> {
    vec![
        page("/", Need::Any, assets::index),
        page("/camera", Need::Any, assets::camera),
        page("/recordings", Need::Any, assets::recordings),
        page("/system", Need::Any, assets::system),
        // The program of the page is anybody's to read.
        page("/assets/{name}", Need::Nothing, assets::asset),
    ]
}

fn data() -> Vec<Route> {
    let events = Operation::new(
        "The last records of the event rings, newest first",
        Content::json::<Vec<Event>>(),
    )
    .or(Content::events::<following::Told>());
    vec![
        read(
            "/api/v1/about",
            Need::Any,
            api::about,
            "This program and its project",
            Content::json::<About>(),
        ),
        read(
            "/api/v1/cameras",
            Need::Any,
            api::cameras,
            "The cameras, live or stale, and why",
            Content::json::<Vec<CameraStatus>>(),
        ),
        Route { operation: Some(events), ..page("/api/v1/events", Need::Any, following::events) },
        read(
            "/api/v1/openapi.json",
            Need::Any,
            openapi::document,
            "This document",
            Content::json::<serde_json::Value>(),
        ),
        read(
            "/api/v1/rings",
            Need::Any,
            api::rings,
            "The rings and their readers, as framevisor rings -o json",
            Content::json::<Vec<RingStatus>>(),
        ),
        read(
            "/api/v1/viewers",
            Need::All,
            api::viewers,
            "Who watches live video, and how that goes",
            Content::json::<Vec<ViewerStatus>>(),
        ),
        read(
            "/api/v1/workers",
            Need::Any,
            api::workers,
            "The workers and their states, as framevisor ps -o json",
            Content::json::<Vec<WorkerStatus>>(),
        ),
    ]
}

fn insight() -> Vec<Route> {
    vec![
        read(
            "/api/v1/history",
            Need::Any,
            insides::history,
            "The last minutes of the rings: rates, and how far behind readers were",
            Content::json::<history::Told>(),
        ),
        read(
            "/api/v1/latency/{camera}",
            Need::Camera,
            insides::latency,
            "How long a camera's packets and pictures take from stage to stage",
            Content::json::<insides::Latency>(),
        ),
        read(
            "/api/v1/logs/{worker}",
            Need::All,
            insides::logs,
            "The last lines that a worker printed, as framevisor logs -o json",
            Content::json::<serde_json::Value>(),
        )
        .asking(&["lines"]),
        read(
            "/api/v1/records/{ring}",
            Need::Any,
            insides::records,
            "The records of an event ring, in their order",
            Content::json::<insides::Records>(),
        )
        .asking(&["after"]),
        read(
            "/api/v1/records/{ring}/live",
            Need::Any,
            insides::live,
            "The same as they come",
            Content::events::<Record>(),
        ),
    ]
}

fn recordings() -> Vec<Route> {
    let range = |route: Route| route.asking(&["from", "to"]);
    vec![
        range(read(
            "/api/v1/recordings",
            Need::Any,
            list::all,
            "What is recorded, of each camera",
            Content::json::<list::List>(),
        )),
        range(read(
            "/api/v1/recordings/{camera}",
            Need::Camera,
            list::one,
            "What is recorded of a camera, with gaps, comments and events",
            Content::json::<list::Told>(),
        )),
        range(read(
            "/recordings/{camera}/cut.mp4",
            Need::Camera,
            play::cut,
            "A range as one MP4 file; parts of it by Range",
            Content::bytes("video/mp4"),
        ))
        .asking(&["from", "to", "part"]),
        range(read(
            "/recordings/{camera}/index.m3u8",
            Need::Camera,
            play::index,
            "A range as an HLS playlist",
            Content::text("application/vnd.apple.mpegurl"),
        )),
        read(
            "/recordings/{camera}/init/{file}",
            Need::Camera,
            play::init,
            "What stands in front of segments",
            Content::bytes("video/mp4"),
        ),
        read(
            "/recordings/{camera}/segment/{file}/{place}",
            Need::Camera,
            play::segment,
            "A segment of a playlist (.m4s), or the pictures that are in it (.json)",
            Content::bytes("video/iso.segment"),
        )
        .asking(&["shift"])
        .or(Content::json::<play::Pictures>()),
    ]
}

fn pictures() -> Vec<Route> {
    vec![
        read(
            "/hls/{camera}/{file}",
            Need::Camera,
            hls::file,
            "Live video as HLS: index.m3u8 (live.m3u8: with parts), and what its lists name",
            Content::text("application/vnd.apple.mpegurl"),
        )
        .asking(&["_HLS_msn", "_HLS_part"])
        .or(Content::bytes("video/mp4")),
        // A WebSocket: no document of HTTP operations has words for one.
        page("/live/{camera}", Need::Camera, socket::live),
        read(
            "/mjpeg/{camera}",
            Need::Camera,
            snap::mjpeg,
            "The pictures of a camera, one after another",
            Content::bytes("multipart/x-mixed-replace"),
        ),
        read(
            "/snap/{file}",
            Need::Camera,
            snap::snap,
            "The newest picture of a camera: CAMERA.jpg",
            Content::bytes("image/jpeg"),
        ),
    ]
}

/// Viewers by WebRTC: they change nothing but who watches, so that whoever may look may be one.
fn calls() -> Vec<Route> {
    const CAMERA: &str = "/whep/{camera}";
    const VIEWER: &str = "/whep/{camera}/{viewer}";
    let offer = Operation::new(
        "Begins live video by WebRTC (WHEP): an offer in, its answer out",
        Content::text(webrtc::SDP),
    );
    let leave = Operation::new("Ends a viewer by WebRTC", Content::text("text/plain"));
    vec![
        Route {
            operation: Some(offer.status(201).taking_text(webrtc::SDP)),
            ..call(Method::POST, CAMERA, Need::Camera, post(webrtc::offer))
        },
        call(Method::OPTIONS, CAMERA, Need::Nothing, options(webrtc::options_of_camera)),
        Route {
            operation: Some(leave),
            ..call(Method::DELETE, VIEWER, Need::Camera, delete(webrtc::leave))
        },
        call(Method::OPTIONS, VIEWER, Need::Nothing, options(webrtc::options_of_viewer)),
    ]
}

fn changes() -> Vec<Route> {
    vec![
        change(
            "/api/v1/cameras/{camera}/comments",
            Right::Comment,
            deeds::comment,
            Operation::new(
                "Says something of what is recorded at this moment",
                Content::json::<Noted>(),
            )
            .status(201)
            .taking::<CommentWanted>(),
        ),
        change(
            "/api/v1/cameras/{camera}/recording",
            Right::Record,
            deeds::recording,
            Operation::new(
                "Begins or ends recording, whatever the topology says",
                Content::json::<Vec<Told>>(),
            )
            .taking::<RecordingWanted>(),
        ),
        change(
            "/api/v1/workers/{worker}/restart",
            Right::Restart,
            deeds::restart,
            Operation::new("Stops a worker and starts it again", Content::json::<Restarted>())
                .status(202),
        ),
    ]
}

fn health() -> Vec<Route> {
    vec![
        read(
            "/healthz",
            Need::Nothing,
            api::healthz,
            "Whether this program answers",
            Content::text("text/plain"),
        ),
        read(
            "/metrics",
            Need::All,
            api::metrics,
            "Figures for Prometheus",
            Content::text("text/plain"),
        ),
        read(
            "/readyz",
            Need::Nothing,
            api::readyz,
            "Whether the page can show what it is for",
            Content::text("text/plain"),
        ),
    ]
}

fn page<H, T>(path: &'static str, need: Need, handler: H) -> Route
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    Route { method: Method::GET, path, need, operation: None, handler: get(handler) }
}

fn call(method: Method, path: &'static str, need: Need, handler: MethodRouter<Arc<Site>>) -> Route {
    Route { method, path, need, operation: None, handler }
}

fn read<H, T>(
    path: &'static str,
    need: Need,
    handler: H,
    summary: &'static str,
    content: Content,
) -> Route
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    Route { operation: Some(Operation::new(summary, content)), ..page(path, need, handler) }
}

fn change<H, T>(path: &'static str, right: Right, handler: H, operation: Operation) -> Route
where
    H: Handler<T, Arc<Site>>,
    T: 'static,
{
    Route {
        method: Method::POST,
        path,
        need: Need::Change(right),
        operation: Some(operation),
        handler: post(handler),
    }
}

impl Route {
    /// With these words behind the question mark.
    fn asking(mut self, query: &'static [&'static str]) -> Self {
        self.operation = self.operation.map(|operation| operation.asking(query));
        self
    }

    /// With another form of the answer.
    fn or(mut self, content: Content) -> Self {
        self.operation = self.operation.map(|operation| operation.or(content));
        self
    }
}
