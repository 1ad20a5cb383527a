//! `/live/CAM`: fragments over a WebSocket, for Media Source Extensions; `?as=jpeg` is `pictures.rs`.
//!
//! | message | what |
//! |---|---|
//! | text `{"type": "mse", "value": MIME, ...}` | what follows: an init segment, then fragments |
//! | binary | an init segment, or one whole fragment; the first of a stretch begins with a key frame |
//! | text `{"type": "skipped", "fragments": N}` | the viewer was too slow; the next fragment begins with a key frame |
//! | text `{"type": "waiting", "why"}` | nothing comes at the moment |
//! | text `{"type": "refused", "why"}` | nothing that a browser could play will come |
//!
//! Nothing is expected from the client.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{debug, info};

use super::channels::{NoStream, Watch};
use super::feed::Place;
use super::history::Taken;
use super::pictures;
use super::unit::{Run, Unit};
use super::viewers::{Ticket, Transport};
use crate::answer::Refusal;
use crate::guard::forwarded::Asker;
use crate::server::Leash;
use crate::site::Site;

/// What a client may say; it has nothing to say.
const MESSAGE_MAX_BYTES: usize = 4 * 1024;
/// A quiet connection is asked whether somebody is there: proxies end one that is silent for a minute.
const PING: Duration = Duration::from_secs(20);
/// So many without an answer: nobody is there.
const PINGS_MAX: u32 = 3;
/// Codes of RFC 6455 7.4.1.
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED: u16 = 1003;

/// What is asked for.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(rename = "as")]
    form: Option<Form>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Jpeg,
    Mse,
}

/// What is said between the fragments.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Said<'a> {
    Mse {
        /// With its codecs, as `MediaSource.isTypeSupported` wants it.
        value: &'a str,
        epoch: u64,
        /// Where its first picture is shown on the clock of the fragments, in s.
        at_s: f64,
        width: u32,
        height: u32,
        /// Number of the picture's track in the fragments, and its ticks a second.
        track: Option<u32>,
        ticks: u32,
        left_out: &'a [String],
    },
    Refused {
        why: &'a str,
    },
    Skipped {
        fragments: u64,
    },
    Waiting {
        why: &'a str,
    },
}

/// Ticks a second of every picture's track.
const PICTURE_TICKS: u32 = 90_000;

pub async fn live(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    leash: Option<Extension<Leash>>,
    Extension(asker): Extension<Asker>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let form = match asked {
        Ok(Query(asked)) => asked.form.unwrap_or(Form::Mse),
        Err(_) => return unknown_form().into_response(),
    };
    let (Ok(upgrade), Some(Extension(leash))) = (upgrade, leash) else {
        return no_upgrade(&camera).into_response();
    };
    // A frame is refused by what it announces, before any of it is kept.
    let upgrade = upgrade.max_message_size(MESSAGE_MAX_BYTES).max_frame_size(MESSAGE_MAX_BYTES);
    let upgrade = upgrade.write_buffer_size(0);
    let peer = asker.shown();
    let now = site.sources().now().mono;
    match form {
        Form::Jpeg => {
            if let Err(none) = site.desk.knows(&camera) {
                return crate::snap::refusal(&none).into_response();
            }
            let ticket = site.viewers.join(&camera, Transport::WsJpeg, Some(peer), now);
            upgrade.on_upgrade(move |socket| {
                pictures::serve(Line::new(socket, leash), site, camera, ticket)
            })
        }
        Form::Mse => {
            let watch = match site.channels.watch(&camera) {
                Ok(watch) => watch,
                Err(none) => return refusal(&none).into_response(),
            };
            let ticket = site.viewers.join(&camera, Transport::WsMse, Some(peer.clone()), now);
            upgrade.on_upgrade(move |socket| {
                let line = Line::new(socket, leash);
                Viewing { line, site, camera, peer, watch, ticket, run: None }.serve()
            })
        }
    }
}

/// The connection to one viewer.
pub(super) struct Line {
    socket: WebSocket,
    leash: Leash,
    /// Pings since something was heard.
    unanswered: u32,
}

/// The viewer is gone, or was sent away.
#[derive(Debug)]
pub(super) struct Gone;

impl Line {
    fn new(socket: WebSocket, leash: Leash) -> Self {
        Self { socket, leash, unanswered: 0 }
    }

    /// Sends a message and waits until the socket has taken it: the queue of a slow viewer is what it was not given.
    pub(super) async fn send(&mut self, message: Message) -> Result<(), Gone> {
        tokio::select! {
            sent = self.socket.send(message) => sent.map_err(|error| {
                debug!(%error, "a viewer is gone");
                Gone
            }),
            () = stopped(&mut self.leash.stop) => Err(Gone),
        }
    }

    pub(super) async fn say(&mut self, said: &impl Serialize) -> Result<(), Gone> {
        let text = serde_json::to_string(said).unwrap_or_default();
        self.send(Message::Text(text.into())).await
    }

    pub(super) async fn bytes(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.send(Message::Binary(bytes)).await
    }

    /// Listens until `changed` is done. Whoever is silent for long is gone; so is everybody when the worker stops.
    pub(super) async fn listen(&mut self, changed: impl Future<Output = ()>) -> Result<(), Gone> {
        tokio::pin!(changed);
        loop {
            tokio::select! {
                () = changed.as_mut() => return Ok(()),
                heard = self.socket.recv() => match heard {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                    Some(Ok(_)) => self.unanswered = 0,
                },
                () = tokio::time::sleep(PING) => self.ping().await?,
                () = stopped(&mut self.leash.stop) => {
                    self.end(GOING_AWAY, "this server stops").await;
                    return Err(Gone);
                }
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        if self.unanswered >= PINGS_MAX {
            return Err(Gone);
        }
        self.unanswered += 1;
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn end(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code, reason: reason.into() };
        // It may be gone already.
        let _ = self.socket.send(Message::Close(Some(frame))).await;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whose sender is gone has stopped.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One viewer of fragments.
struct Viewing {
    line: Line,
    site: Arc<Site>,
    camera: String,
    /// Who it is, for the log.
    peer: String,
    watch: Watch,
    ticket: Ticket,
    /// The stretch it was told of.
    run: Option<Arc<Run>>,
}

impl Viewing {
    async fn serve(mut self) {
        // The viewer is gone: nobody is left to tell.
        let _ = self.play().await;
    }

    async fn play(&mut self) -> Result<(), Gone> {
        let mut place = self.begin().await?;
        let mut said = String::new();
        loop {
            let now = self.now();
            match self.watch.feed.take(&mut place, now) {
                Taken::Unit(unit) => {
                    said.clear();
                    self.give(&unit).await?;
                }
                Taken::Skipped { units } => self.skip(units).await?,
                Taken::Nothing => self.wait(&mut place, &mut said).await?,
            }
        }
    }

    /// Waits until the camera is live.
    async fn begin(&mut self) -> Result<Place, Gone> {
        loop {
            let mut changes = self.watch.feed.changes();
            if let Some(place) = self.watch.feed.join() {
                return Ok(place);
            }
            self.until(&mut changes).await?;
        }
    }

    async fn give(&mut self, unit: &Arc<Unit>) -> Result<(), Gone> {
        let is_told = self.run.as_ref().is_some_and(|run| Arc::ptr_eq(run, &unit.run));
        if !is_told {
            self.tell(unit).await?;
        }
        self.ticket.sends(unit.arrived);
        self.line.bytes(unit.bytes.clone()).await?;
        self.ticket.sent(u64::from(unit.has_picture), unit.bytes.len(), self.now());
        Ok(())
    }

    /// Says what follows.
    async fn tell(&mut self, unit: &Arc<Unit>) -> Result<(), Gone> {
        let init = &unit.run.init;
        let said = Said::Mse {
            value: &init.mime,
            epoch: unit.run.epoch,
            at_s: unit.shown_s(),
            width: init.width,
            height: init.height,
            track: init.video.map(|track| track + 1),
            ticks: PICTURE_TICKS,
            left_out: &init.left_out,
        };
        self.line.say(&said).await?;
        self.line.bytes(init.bytes.clone()).await?;
        self.run = Some(Arc::clone(&unit.run));
        Ok(())
    }

    async fn skip(&mut self, fragments: u64) -> Result<(), Gone> {
        let (camera, peer) = (self.camera.as_str(), self.peer.as_str());
        info!(camera, peer, fragments, "a slow viewer goes on at the newest key frame");
        self.ticket.skipped(fragments, self.now());
        self.line.say(&Said::Skipped { fragments }).await
    }

    /// Says why nothing comes, once, and waits until something does.
    async fn wait(&mut self, place: &mut Place, said: &mut String) -> Result<(), Gone> {
        let (refused, lack) =
            self.watch.feed.look(|state| (state.refused.clone(), state.lack.clone()));
        if !refused.is_empty() {
            self.line.say(&Said::Refused { why: &refused }).await?;
            self.line.end(UNSUPPORTED, "see the message before").await;
            return Err(Gone);
        }
        if lack != *said {
            said.clone_from(&lack);
            if !lack.is_empty() {
                self.line.say(&Said::Waiting { why: &lack }).await?;
            }
        }
        self.until(&mut place.changes).await
    }

    async fn until(&mut self, changes: &mut watch::Receiver<u64>) -> Result<(), Gone> {
        let changed = async {
            // The feed lives as long as this viewer, so nobody ends it.
            let _ = changes.changed().await;
        };
        self.line.listen(changed).await
    }

    fn now(&self) -> MonoNs {
        self.site.sources().now().mono
    }
}

/// Why a camera cannot be watched, as an answer.
pub fn refusal(none: &NoStream) -> Refusal {
    let (status, code, hint) = match none {
        NoStream::UnknownCamera { .. } => {
            (StatusCode::NOT_FOUND, "no-such-camera", "the cameras are listed at /api/v1/cameras")
        }
        NoStream::NoPackets { .. } => (
            StatusCode::NOT_FOUND,
            "no-packets",
            "add its packet ring to the inputs of this web worker",
        ),
        NoStream::Reader { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no-reader",
            "try again; the machine is short of threads",
        ),
    };
    Refusal::new(status, code, none.to_string(), hint)
}

fn unknown_form() -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "unknown-form",
        "what is asked for by `as` is not known here".to_owned(),
        "write as=mse or as=jpeg, or nothing",
    )
}

fn no_upgrade(camera: &str) -> Refusal {
    Refusal::new(
        StatusCode::UPGRADE_REQUIRED,
        "websocket-only",
        format!("/live/{camera} is a WebSocket"),
        "open it with ws:// in place of http://, or play /hls/CAM/index.m3u8",
    )
}
