//! The page itself, built into the program: a web worker needs no files at run time.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::answer::Refusal;

/// Always asked again, so that a new program shows its own page.
const CACHE: &str = "no-cache";

struct Asset {
    name: &'static str,
    content_type: &'static str,
    body: &'static str,
}

macro_rules! asset {
    ($name:literal, $content_type:literal) => {
        asset!($name, $content_type, "../page/")
    };
    ($name:literal, $content_type:literal, $folder:literal) => {
        Asset {
            name: $name,
            content_type: $content_type,
            body: include_str!(concat!($folder, $name)),
        }
    };
}

macro_rules! vendored {
    ($name:literal, $content_type:literal) => {
        asset!($name, $content_type, "../page/vendor/")
    };
}

const INDEX: Asset = asset!("index.html", "text/html; charset=utf-8");

const CAMERA: Asset = asset!("camera.html", "text/html; charset=utf-8");

const SYSTEM: Asset = asset!("system.html", "text/html; charset=utf-8");

const RECORDINGS: Asset = asset!("recordings.html", "text/html; charset=utf-8");

const ASSETS: &[Asset] = &[
    asset!("actions.js", "text/javascript; charset=utf-8"),
    asset!("api.js", "text/javascript; charset=utf-8"),
    asset!("app.js", "text/javascript; charset=utf-8"),
    asset!("boxes.js", "text/javascript; charset=utf-8"),
    asset!("camera.css", "text/css; charset=utf-8"),
    asset!("camera.js", "text/javascript; charset=utf-8"),
    asset!("chain.js", "text/javascript; charset=utf-8"),
    asset!("confirm.js", "text/javascript; charset=utf-8"),
    asset!("dom.js", "text/javascript; charset=utf-8"),
    asset!("edge.js", "text/javascript; charset=utf-8"),
    asset!("events.js", "text/javascript; charset=utf-8"),
    asset!("favicon.svg", "image/svg+xml"),
    asset!("film.js", "text/javascript; charset=utf-8"),
    asset!("format.js", "text/javascript; charset=utf-8"),
    asset!("fragment.js", "text/javascript; charset=utf-8"),
    asset!("graphs.js", "text/javascript; charset=utf-8"),
    asset!("grid.js", "text/javascript; charset=utf-8"),
    asset!("happenings.js", "text/javascript; charset=utf-8"),
    asset!("hops.js", "text/javascript; charset=utf-8"),
    asset!("jpegs.js", "text/javascript; charset=utf-8"),
    asset!("links.js", "text/javascript; charset=utf-8"),
    asset!("logs.js", "text/javascript; charset=utf-8"),
    asset!("mse.js", "text/javascript; charset=utf-8"),
    asset!("playback.css", "text/css; charset=utf-8"),
    asset!("playback.js", "text/javascript; charset=utf-8"),
    asset!("player.js", "text/javascript; charset=utf-8"),
    asset!("playlist.js", "text/javascript; charset=utf-8"),
    asset!("poll.js", "text/javascript; charset=utf-8"),
    asset!("records.js", "text/javascript; charset=utf-8"),
    asset!("remarks.js", "text/javascript; charset=utf-8"),
    asset!("room.js", "text/javascript; charset=utf-8"),
    asset!("screen.js", "text/javascript; charset=utf-8"),
    asset!("seat.js", "text/javascript; charset=utf-8"),
    asset!("series.js", "text/javascript; charset=utf-8"),
    asset!("shell.js", "text/javascript; charset=utf-8"),
    asset!("spark.js", "text/javascript; charset=utf-8"),
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("summary.js", "text/javascript; charset=utf-8"),
    // Shared with the page of exports.
    Asset {
        name: "sync.js",
        content_type: "text/javascript; charset=utf-8",
        body: recordings::SYNC_SCRIPT,
    },
    asset!("system.js", "text/javascript; charset=utf-8"),
    asset!("tables.js", "text/javascript; charset=utf-8"),
    asset!("theme.js", "text/javascript; charset=utf-8"),
    asset!("tile.js", "text/javascript; charset=utf-8"),
    asset!("timeline.js", "text/javascript; charset=utf-8"),
    asset!("token.js", "text/javascript; charset=utf-8"),
    asset!("ways.js", "text/javascript; charset=utf-8"),
    asset!("whep.js", "text/javascript; charset=utf-8"),
    // What others made, see page/vendor/README.md.
    vendored!("uPlot.LICENSE.txt", "text/plain; charset=utf-8"),
    vendored!("uPlot.css", "text/css; charset=utf-8"),
    vendored!("uPlot.js", "text/javascript; charset=utf-8"),
];

pub async fn index() -> Response {
    INDEX.answer()
}

/// One camera.
pub async fn camera() -> Response {
    CAMERA.answer()
}

/// Workers, rings, events, logs.
pub async fn system() -> Response {
    SYSTEM.answer()
}

/// What was recorded, to be played.
pub async fn recordings() -> Response {
    RECORDINGS.answer()
}

/// A name is looked up in the list above and nowhere else: there is no path to leave.
pub async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => asset.answer(),
        None => not_found().await,
    }
}

pub async fn not_found() -> Response {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "no-such-path",
        "nothing is here".to_owned(),
        "the page is at /, its data under /api/v1/",
    )
    .into_response()
}

impl Asset {
    fn answer(&self) -> Response {
        let headers = [(header::CONTENT_TYPE, self.content_type), (header::CACHE_CONTROL, CACHE)];
        (headers, self.body).into_response()
    }
}
