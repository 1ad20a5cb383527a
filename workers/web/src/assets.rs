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
        Asset {
            name: $name,
            content_type: $content_type,
            body: include_str!(concat!("../page/", $name)),
        }
    };
}

const INDEX: Asset = asset!("index.html", "text/html; charset=utf-8");

const RECORDINGS: Asset = asset!("recordings.html", "text/html; charset=utf-8");

const ASSETS: &[Asset] = &[
    asset!("api.js", "text/javascript; charset=utf-8"),
    asset!("app.js", "text/javascript; charset=utf-8"),
    asset!("dom.js", "text/javascript; charset=utf-8"),
    asset!("events.js", "text/javascript; charset=utf-8"),
    asset!("favicon.svg", "image/svg+xml"),
    asset!("film.js", "text/javascript; charset=utf-8"),
    asset!("format.js", "text/javascript; charset=utf-8"),
    asset!("grid.js", "text/javascript; charset=utf-8"),
    asset!("playback.css", "text/css; charset=utf-8"),
    asset!("playback.js", "text/javascript; charset=utf-8"),
    asset!("playlist.js", "text/javascript; charset=utf-8"),
    asset!("poll.js", "text/javascript; charset=utf-8"),
    asset!("room.js", "text/javascript; charset=utf-8"),
    asset!("screen.js", "text/javascript; charset=utf-8"),
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("summary.js", "text/javascript; charset=utf-8"),
    // Shared with the page of exports.
    Asset {
        name: "sync.js",
        content_type: "text/javascript; charset=utf-8",
        body: recordings::SYNC_SCRIPT,
    },
    asset!("tables.js", "text/javascript; charset=utf-8"),
    asset!("theme.js", "text/javascript; charset=utf-8"),
    asset!("tile.js", "text/javascript; charset=utf-8"),
    asset!("timeline.js", "text/javascript; charset=utf-8"),
];

pub async fn index() -> Response {
    INDEX.answer()
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
