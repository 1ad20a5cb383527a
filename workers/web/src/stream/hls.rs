//! `/hls/CAM/...`: a camera as HLS, for players that take addresses; with parts, lists that are waited for and hints of
//! what comes (LL-HLS, RFC 8216bis) for those that can.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::channels::Watch;
use super::feed;
use super::playlist::{self, File, Has, Wanted};
use super::segments::Segments;
use super::socket::refusal;
use super::viewers::Transport;
use crate::answer::Refusal;
use crate::assets::not_found;
use crate::guard::forwarded::Asker;
use crate::site::Site;

/// How long the first request waits for a camera that nobody watched: its ring is read, or its first group of pictures
/// ends.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// A request that is told of something coming waits so many target durations (RFC 8216bis 6.2.5.2), ...
const WAIT_TARGETS: u32 = 3;
/// ... and no less than this: groups of a fifth of a second would make the wait a race.
const WAIT_MIN: Duration = Duration::from_secs(3);

const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
const VIDEO_TYPE: &str = "video/mp4";
/// A list is another one each time.
const CACHE_LIST: &str = "no-store";
/// Bytes never change behind a name; nobody wants them a minute later.
const CACHE_BYTES: &str = "private, max-age=60";

/// What a player that can wait says (RFC 8216bis 6.2.5).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(rename = "_HLS_msn")]
    number: Option<u64>,
    #[serde(rename = "_HLS_part")]
    part: Option<usize>,
}

/// One request.
struct Asking {
    site: Arc<Site>,
    camera: String,
    peer: Option<IpAddr>,
    watch: Watch,
}

pub async fn file(
    State(site): State<Arc<Site>>,
    Path((camera, name)): Path<(String, String)>,
    asked: Result<Query<Asked>, QueryRejection>,
    Extension(asker): Extension<Asker>,
) -> Response {
    let Some(file) = File::parse(&name) else {
        return not_found().await;
    };
    let Ok(Query(asked)) = asked else {
        return bad_directive("_HLS_msn and _HLS_part are whole numbers").into_response();
    };
    let watch = match site.channels.watch(&camera) {
        Ok(watch) => watch,
        Err(none) => return refusal(&none).into_response(),
    };
    watch.feed.playlist_asked(site.sources().now().mono);
    let asking = Asking { site, camera, peer: Some(asker.address), watch };
    let answer = match file {
        File::Index => asking.index().await,
        File::Live => asking.live(asked).await,
        File::Init(name) => asking.init(&name).await,
        File::Segment(number) => asking.segment(number).await,
        File::Part { number, part } => asking.part(number, part).await,
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

/// Whether something is there.
enum Found<T> {
    Now(T),
    /// It may come.
    Later,
    Never,
}

impl Asking {
    async fn index(&self) -> Result<Response, Refusal> {
        let text = self.first(|segments| {
            let is_whole = segments.last_complete().is_some();
            is_whole.then(|| playlist::index(segments)).flatten()
        });
        Ok(list(text.await?))
    }

    async fn live(&self, asked: Asked) -> Result<Response, Refusal> {
        let whole = |segments: &Segments| {
            let is_whole = segments.last_complete().is_some();
            is_whole.then(|| playlist::live(segments)).flatten()
        };
        let now = self.first(whole).await?;
        let text = match (asked.number, asked.part) {
            (None, None) => now,
            (None, Some(_)) => return Err(bad_directive("_HLS_part goes with _HLS_msn")),
            (Some(number), part) => self.awaited(Wanted { number, part }).await?,
        };
        let low = if asked.number.is_some() { Transport::LlHls } else { Transport::Hls };
        self.count(low, text.len());
        Ok(list(text))
    }

    /// The list when it has what is wanted.
    async fn awaited(&self, wanted: Wanted) -> Result<String, Refusal> {
        let found = self.until(|segments| match playlist::has(segments, wanted) {
            Has::Now => playlist::live(segments).map_or(Found::Later, Found::Now),
            Has::Later => Found::Later,
            Has::TooFar => Found::Never,
        });
        match found.await {
            Found::Now(text) => Ok(text),
            Found::Later => Err(self.nothing_comes()),
            Found::Never => Err(bad_directive("_HLS_msn is more than two segments ahead")),
        }
    }

    async fn init(&self, name: &str) -> Result<Response, Refusal> {
        let bytes = self.first(|segments| {
            // Asked for by who was told of it: while nothing is there it may be about to come.
            segments.last_complete()?;
            let run = segments.runs().find(|run| run.init.name == name);
            Some(run.map(|run| run.init.bytes.clone()))
        });
        let bytes = bytes.await?.ok_or_else(|| self.gone(&format!("init-{name}.mp4")))?;
        Ok(self.bytes(vec![bytes], Transport::Hls))
    }

    async fn segment(&self, number: u64) -> Result<Response, Refusal> {
        let found = self.until(|segments| match segments.find(number) {
            Some(segment) if segment.lasts_ns.is_some() => {
                Found::Now(segment.units().map(|unit| unit.bytes.clone()).collect())
            }
            Some(_) => Found::Later,
            None if is_next(segments, number) => Found::Later,
            None => Found::Never,
        });
        self.sent(found.await, Transport::Hls, || format!("{number}.m4s"))
    }

    /// One that was only hinted at is waited for.
    async fn part(&self, number: u64, part: usize) -> Result<Response, Refusal> {
        let found = self.until(|segments| match segments.find(number) {
            Some(segment) => match segment.parts.get(part) {
                Some(part) => {
                    Found::Now(part.units.iter().map(|unit| unit.bytes.clone()).collect())
                }
                None if segment.lasts_ns.is_none() && part == segment.parts.len() => Found::Later,
                None => Found::Never,
            },
            None if part == 0 && is_next(segments, number) => Found::Later,
            None => Found::Never,
        });
        self.sent(found.await, Transport::LlHls, || format!("{number}.{part}.m4s"))
    }

    /// What there is once the camera has something; says why when it has not.
    async fn first<T>(&self, mut look: impl FnMut(&Segments) -> Option<T>) -> Result<T, Refusal> {
        let found = self.watch.feed.until(FIRST_WAIT, |state: &feed::State| {
            if !state.is_live() {
                return None;
            }
            if !state.refused.is_empty() {
                return Some(Err(state.refused.clone()));
            }
            look(&state.segments).map(Ok)
        });
        match found.await {
            Some(Ok(found)) => Ok(found),
            Some(Err(why)) => Err(unplayable(&self.camera, &why)),
            None => Err(self.nothing_comes()),
        }
    }

    /// Looks until it is there or never will be; `Later` when the wait is over.
    async fn until<T>(&self, mut look: impl FnMut(&Segments) -> Found<T>) -> Found<T> {
        let target_s = self.watch.feed.look(|state| state.segments.target_s());
        let target = Duration::from_secs(target_s.unsigned_abs());
        let wait = (target * WAIT_TARGETS).max(WAIT_MIN);
        let found = self.watch.feed.until(wait, |state: &feed::State| {
            if !state.is_live() {
                return None;
            }
            match look(&state.segments) {
                Found::Later => None,
                found => Some(found),
            }
        });
        found.await.unwrap_or(Found::Later)
    }

    fn sent(
        &self,
        found: Found<Vec<Bytes>>,
        transport: Transport,
        name: impl Fn() -> String,
    ) -> Result<Response, Refusal> {
        match found {
            Found::Now(bytes) => Ok(self.bytes(bytes, transport)),
            Found::Later => Err(self.nothing_comes()),
            Found::Never => Err(self.gone(&name())),
        }
    }

    /// Sent as they lie in memory, one after the other.
    fn bytes(&self, pieces: Vec<Bytes>, transport: Transport) -> Response {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        self.count(transport, length);
        let headers = [
            (header::CONTENT_TYPE, VIDEO_TYPE.to_owned()),
            (header::CACHE_CONTROL, CACHE_BYTES.to_owned()),
            (header::CONTENT_LENGTH, length.to_string()),
        ];
        let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
        (headers, Body::from_stream(pieces)).into_response()
    }

    fn count(&self, transport: Transport, bytes: usize) {
        let now = self.site.sources().now().mono;
        self.site.viewers.pulled(&self.camera, transport, self.peer, bytes, now);
    }

    fn nothing_comes(&self) -> Refusal {
        let lack = self.watch.feed.look(|state| state.lack.clone());
        let why = if lack.is_empty() { "no group of pictures is complete yet" } else { &lack };
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "nothing-comes",
            format!("camera '{}' has nothing to play: {why}", self.camera),
            "ask again; /api/v1/cameras says what the camera is waiting for",
        )
    }

    fn gone(&self, name: &str) -> Refusal {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "no-such-segment",
            format!("/hls/{}/{name} is not there, or is there no more", self.camera),
            "what is there is listed in live.m3u8 beside it",
        )
    }
}

/// Whether the segment is the one behind the last.
fn is_next(segments: &Segments, number: u64) -> bool {
    segments.last().is_some_and(|last| last.number + 1 == number)
}

fn list(text: String) -> Response {
    let headers = [(header::CONTENT_TYPE, PLAYLIST_TYPE), (header::CACHE_CONTROL, CACHE_LIST)];
    (headers, text).into_response()
}

fn bad_directive(text: &str) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "bad-directive",
        text.to_owned(),
        "ask for live.m3u8 without them to see what there is",
    )
}

fn unplayable(camera: &str, why: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "not-playable",
        format!("camera '{camera}' cannot be played as HLS: {why}"),
        "its pictures are at /mjpeg/CAM and /snap/CAM.jpg, if it has a decoder",
    )
}
