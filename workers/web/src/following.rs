//! `/api/v1/events` for who stays: as Server-Sent Events, or over a WebSocket. Everybody reads the one log at
//! their own pace: who is slow is told that they missed something, and nobody waits for them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::watch;

use crate::answer::fresh;
use crate::api::owners;
use crate::events::{Event, News, WorkerChange};
use crate::guard::sight::Sight;
use crate::site::Site;

/// A silent connection is given up by proxies after a minute, mostly.
const SAY_SOMETHING_EVERY: Duration = Duration::from_secs(20);
/// A client that takes nothing for so long is let go of.
const TAKES_WITHIN: Duration = Duration::from_secs(10);
/// Nothing is heard from who follows but that they are there.
const HEARD_MAX_BYTES: usize = 1024;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// One message of the WebSocket; over SSE the word is the event's name and the rest its data.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "News")]
pub enum Told {
    /// Something happened that is not known any more: ask for the list.
    Missed(Missed),
    Record(Event),
    Worker(WorkerChange),
}

/// Nothing more is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Missed {}

/// The last records as a list; the same and the changes of workers as they come, for who asks for
/// `text/event-stream` or for a WebSocket.
pub async fn events(
    State(site): State<Arc<Site>>,
    Extension(sight): Extension<Sight>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    headers: HeaderMap,
) -> Response {
    if let Ok(upgrade) = upgrade {
        let follower = Follower::new(site, sight, None);
        let upgrade = upgrade.max_message_size(HEARD_MAX_BYTES).max_frame_size(HEARD_MAX_BYTES);
        return upgrade.on_upgrade(|socket| speak(socket, follower));
    }
    let wants_stream = headers.get_all(header::ACCEPT).iter().any(|accepted| {
        accepted.to_str().is_ok_and(|accepted| accepted.contains("text/event-stream"))
    });
    if wants_stream {
        let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        return server_sent(Follower::new(site, sight, last.as_deref()));
    }
    let mut list = site.events.newest_first();
    list.retain(|event| sight.sees(&event.record.camera));
    fresh(Json(list)).into_response()
}

/// How far somebody is.
struct Follower {
    site: Arc<Site>,
    sight: Sight,
    at: u64,
    news: watch::Receiver<u64>,
    leaving: watch::Receiver<bool>,
    has_missed: bool,
}

impl Follower {
    /// From now on, or from behind the last that was taken.
    fn new(site: Arc<Site>, sight: Sight, last: Option<&str>) -> Self {
        let (news, leaving) = (site.events.follow(), site.leaving());
        let newest = *news.borrow();
        let known = last.and_then(|id| id.strip_prefix(&life(&site))?.parse().ok());
        let has_missed = last.is_some() && known.is_none();
        Self { site, sight, at: known.unwrap_or(newest), news, leaving, has_missed }
    }

    /// The next that may be seen, with their ids; `None` when there is somebody else to follow.
    async fn next(&mut self) -> Option<Vec<(String, Told)>> {
        loop {
            let batch = self.site.events.after(self.at);
            let owners = self.owners(&batch.news).await;
            // Whoever is interrupted up to here looks at the same again.
            self.at = batch.newest;
            let has_missed = std::mem::take(&mut self.has_missed) || batch.missed;
            let missed = has_missed.then(|| (self.id(self.at), Told::Missed(Missed {})));
            let seen = batch.news.into_iter().filter(|(_, news)| self.sees(news, &owners));
            let seen = seen.map(|(number, news)| (self.id(number), Told::of(news)));
            let told: Vec<(String, Told)> = missed.into_iter().chain(seen).collect();
            if !told.is_empty() {
                return Some(told);
            }
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                _ = self.leaving.wait_for(|leaving| *leaving) => return None,
            }
        }
    }

    /// Whose the workers are that something happened to.
    async fn owners(&self, news: &[(u64, News)]) -> Vec<String> {
        let is_change = |(_, news): &(u64, News)| matches!(news, News::Change(_));
        if news.iter().any(is_change) { owners(&self.site, &self.sight).await } else { Vec::new() }
    }

    fn sees(&self, news: &News, owners: &[String]) -> bool {
        match news {
            News::Record(event) => self.sight.sees(&event.record.camera),
            News::Change(change) => {
                let owners = owners.iter().map(String::as_str);
                self.sight.sees_worker(change.worker.as_str(), owners)
            }
        }
    }

    fn id(&self, number: u64) -> String {
        format!("{}{number}", life(&self.site))
    }
}

/// What ids of one process begin with: numbers begin anew with each.
fn life(site: &Site) -> String {
    format!("{:x}-", site.began().0)
}

impl Told {
    fn of(news: News) -> Self {
        match news {
            News::Record(event) => Self::Record(event),
            News::Change(change) => Self::Worker(change),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Missed(_) => "missed",
            Self::Record(_) => "record",
            Self::Worker(_) => "worker",
        }
    }

    /// Our own types always have a JSON form.
    fn data(&self) -> String {
        let data = match self {
            Self::Missed(missed) => serde_json::to_string(missed),
            Self::Record(event) => serde_json::to_string(event),
            Self::Worker(change) => serde_json::to_string(change),
        };
        data.unwrap_or_default()
    }
}

fn server_sent(follower: Follower) -> Response {
    let batches = stream::unfold(follower, |mut follower| async move {
        let told = follower.next().await?;
        Some((told, follower))
    });
    let events = batches.flat_map(|told| {
        let event = |(id, told): (String, Told)| {
            let event = sse::Event::default().id(id).event(told.name()).data(told.data());
            Ok::<_, Infallible>(event)
        };
        stream::iter(told.into_iter().map(event).collect::<Vec<_>>())
    });
    let kept_alive = KeepAlive::new().interval(SAY_SOMETHING_EVERY);
    // nginx would else keep it back until a page of it is full.
    let headers =
        [(header::CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    (headers, Sse::new(events).keep_alive(kept_alive)).into_response()
}

/// Until one side has had enough. Each message has the id that it would have over SSE.
async fn speak(mut socket: WebSocket, mut follower: Follower) {
    let mut silence = tokio::time::interval(SAY_SOMETHING_EVERY);
    loop {
        let messages: Vec<Message> = tokio::select! {
            told = follower.next() => match told {
                None => break,
                Some(told) => told.into_iter().map(message).collect(),
            },
            heard = socket.recv() => match heard {
                // Pings are answered by the socket itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                _ => break,
            },
            _ = silence.tick() => vec![Message::Ping(axum::body::Bytes::new())],
        };
        for message in messages {
            let sent = tokio::time::timeout(TAKES_WITHIN, socket.send(message));
            if !matches!(sent.await, Ok(Ok(()))) {
                return;
            }
        }
    }
    // Whether they hear it is their own affair.
    let _ = tokio::time::timeout(TAKES_WITHIN, socket.send(Message::Close(None))).await;
}

fn message((id, told): (String, Told)) -> Message {
    let mut text = serde_json::json!(told);
    text["id"] = id.into();
    Message::text(text.to_string())
}
