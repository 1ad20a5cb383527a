//! What a token may change: workers are restarted, recordings commented on, recording is begun and ended.
//! Everything passes through the supervisor, as if a person had typed it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Extension, FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use framevisor_client::Error;
use protocol::config::Right;
use protocol::name::WorkerName;
use protocol::recorder::{self, Order};
use protocol::units::Span;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::answer::{Refusal, fresh};
use crate::api::unanswered;
use crate::control::Control;
use crate::guard::sight::{Sight, owner};
use crate::site::Site;

/// Of a request that changes something: a comment, at most.
const BODY_MAX_BYTES: usize = 16 * 1024;
/// All of it comes within this, or never.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// A request waits so long for others that change something.
const TURN_WAIT: Duration = Duration::from_secs(10);
const TEXT_MAX_BYTES: usize = 4 * 1024;
const AUTHOR_MAX_BYTES: usize = 64;
const TAGS_MAX: usize = 16;
const TAG_MAX_BYTES: usize = 64;

type Shared = State<Arc<Site>>;

/// Who was restarted; it is under way then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Restarted {
    pub restarted: Vec<WorkerName>,
}

/// A remark about what is recorded at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommentWanted {
    #[serde(default)]
    pub text: String,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Who says it; the token's name stands behind it. Default: the token's name.
    #[serde(default)]
    pub author: Option<String>,
}

/// Whether a camera is recorded from now on, whatever the topology says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordingWanted {
    pub order: Order,
    /// Then the topology decides again: a time with its unit, `5m`.
    #[serde(default, rename = "for")]
    #[schemars(with = "Option<String>")]
    pub span: Option<Span>,
    /// Of a start: from so long ago, as far as the ring holds it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub pre: Option<Span>,
}

/// `POST /api/v1/workers/{worker}/restart`.
pub async fn restart(
    State(site): Shared,
    Extension(sight): Extension<Sight>,
    Path(worker): Path<String>,
) -> Result<Response, Refusal> {
    let worker: WorkerName = name("worker", &worker)?;
    if !sight.may_everywhere(Right::Restart) {
        is_theirs(&site, &sight, &worker).await?;
    }
    tracing::info!(by = %sight.name(), %worker, "restart asked for over HTTP");
    let restarted = done(&site, move |control| Ok(control.restart(&worker)?)).await?;
    Ok((StatusCode::ACCEPTED, fresh(Json(Restarted { restarted }))).into_response())
}

/// The guard looked by the cameras of the page alone: one that it does not show may have the worker. Where nobody
/// says whose it is, it stays as it is.
async fn is_theirs(site: &Site, sight: &Sight, worker: &WorkerName) -> Result<(), Refusal> {
    let owners = site.known_owners().await.map_err(|trouble| unanswered(&trouble))?;
    match owner(worker.as_str(), owners.iter().map(String::as_str)) {
        Some(camera) if sight.may(Right::Restart, camera) => Ok(()),
        Some(_) | None => Err(not_theirs(&sight.name())),
    }
}

fn not_theirs(token: &str) -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "not-allowed",
        format!("token {token} may not do that"),
        "`may` and `cameras` of the token say what it may",
    )
}

/// `POST /api/v1/cameras/{camera}/comments`.
pub async fn comment(
    State(site): Shared,
    Extension(sight): Extension<Sight>,
    Path(camera): Path<String>,
    Said(wanted): Said<CommentWanted>,
) -> Result<Response, Refusal> {
    let camera: WorkerName = name("camera", &camera)?;
    let comment = wanted.checked(&camera, &sight.name())?;
    tracing::info!(by = %sight.name(), %camera, "comment made over HTTP");
    let noted = done(&site, move |control| {
        let recorder = recorder_of(control, &camera)?;
        Ok(control.comment(&recorder, comment)?)
    });
    Ok((StatusCode::CREATED, fresh(Json(noted.await?))).into_response())
}

/// `POST /api/v1/cameras/{camera}/recording`.
pub async fn recording(
    State(site): Shared,
    Extension(sight): Extension<Sight>,
    Path(camera): Path<String>,
    Said(wanted): Said<RecordingWanted>,
) -> Result<Response, Refusal> {
    let camera: WorkerName = name("camera", &camera)?;
    tracing::info!(by = %sight.name(), %camera, order = ?wanted.order, "recording ordered over HTTP");
    let RecordingWanted { order, span, pre } = wanted;
    let cameras = vec![camera.to_string()];
    let order = recorder::Record { cameras, order, span, pre };
    let told = done(&site, move |control| {
        let recorder = recorder_of(control, &camera)?;
        Ok(control.record(&recorder, order)?)
    });
    Ok(fresh(Json(told.await?)).into_response())
}

/// Why something was not done.
#[derive(Debug)]
enum Undone {
    NotRecorded(WorkerName),
    Supervisor(Error),
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        Self::Supervisor(error)
    }
}

impl From<Undone> for Refusal {
    fn from(undone: Undone) -> Self {
        let error = match undone {
            Undone::NotRecorded(camera) => {
                return Self::new(
                    StatusCode::NOT_FOUND,
                    "not-recorded",
                    format!("no recorder records camera {camera}"),
                    "framevisor record ls lists those that are recorded",
                );
            }
            Undone::Supervisor(error) => error,
        };
        match error {
            Error::Refused(said) if said.code == "worker" => Self::of(StatusCode::NOT_FOUND, said),
            Error::Refused(said) => Self::of(StatusCode::CONFLICT, said),
            other => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-supervisor",
                other.to_string(),
                "see whether it runs: framevisor ps",
            ),
        }
    }
}

/// Off the event loop, and not many at once.
async fn done<T: Send + 'static>(
    site: &Site,
    deed: impl FnOnce(&dyn Control) -> Result<T, Undone> + Send + 'static,
) -> Result<T, Refusal> {
    let busy = || {
        let text = "too many changes are under way".to_owned();
        let hint = "ask again in a moment";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text, hint)
            .with(header::RETRY_AFTER, "1")
    };
    let turn = tokio::time::timeout(TURN_WAIT, Arc::clone(&site.deeds).acquire_owned());
    let turn = turn.await.ok().and_then(Result::ok).ok_or_else(busy)?;
    let control = Arc::clone(&site.control);
    let doing = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        deed(control.as_ref())
    });
    match doing.await {
        Ok(done) => Ok(done?),
        Err(panic) => {
            tracing::error!(%panic, "a change failed");
            let text = "this worker failed; its log says how".to_owned();
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", text, "see its log"))
        }
    }
}

fn recorder_of(control: &dyn Control, camera: &WorkerName) -> Result<WorkerName, Undone> {
    let mut recorded = control.recorders()?.into_iter();
    let of_camera = recorded.find(|row| row.ring.owner() == camera.as_str());
    of_camera.map(|row| row.worker).ok_or_else(|| Undone::NotRecorded(camera.clone()))
}

fn name(what: &str, text: &str) -> Result<WorkerName, Refusal> {
    text.parse::<WorkerName>().map_err(|error| {
        let hint = format!("the {what}s are listed at /api/v1/{what}s");
        Refusal::new(StatusCode::NOT_FOUND, "no-such-name", error.to_string(), &hint)
    })
}

impl CommentWanted {
    /// With the token's name in it, whoever is said to say it.
    fn checked(self, camera: &WorkerName, token: &str) -> Result<recorder::Comment, Refusal> {
        let Self { text, tags, author } = self;
        let is_line = |text: &str, most: usize| {
            !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
        };
        if text.trim().is_empty() && tags.is_empty() {
            return Err(unfit("a comment without text and tags", "say something, or tag it"));
        }
        let is_printable = |c: char| !c.is_control() || c == '\n' || c == '\t';
        if text.len() > TEXT_MAX_BYTES || !text.chars().all(is_printable) {
            return Err(unfit(
                "text is too long or no text",
                "at most 4096 bytes, no control characters",
            ));
        }
        if tags.len() > TAGS_MAX || !tags.iter().all(|tag| is_line(tag, TAG_MAX_BYTES)) {
            return Err(unfit(
                "too many tags, or one that is none",
                "at most 16, of 1 to 64 bytes each",
            ));
        }
        let author = match author {
            None => token.to_owned(),
            Some(author) if is_line(&author, AUTHOR_MAX_BYTES) => format!("{author} ({token})"),
            Some(_) => {
                return Err(unfit("author is no name", "1 to 64 bytes, no control characters"));
            }
        };
        Ok(recorder::Comment { camera: camera.to_string(), text, tags, author })
    }
}

fn unfit(text: &str, hint: &str) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "unfit", text.to_owned(), hint)
}

/// The body of a request, as JSON of a known form.
#[derive(Clone, Debug)]
pub struct Said<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Said<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        // Another page can send a form without asking; JSON it cannot.
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_json = content_type.and_then(|value| value.to_str().ok()).is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/json")
        });
        if !is_json {
            let text = "the body is no JSON".to_owned();
            let hint = "send it with Content-Type: application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", text, hint));
        }
        let read = tokio::time::timeout(BODY_WAIT, to_bytes(request.into_body(), BODY_MAX_BYTES));
        let bytes = match read.await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(_)) => return Err(too_large()),
            Err(_slow) => return Err(too_slow()),
        };
        let told = serde_json::from_slice(&bytes).map_err(|error| {
            unfit(&format!("the body: {error}"), "see /api/v1/openapi.json for its form")
        })?;
        Ok(Self(told))
    }
}

fn too_large() -> Refusal {
    let text = format!("the body ended too soon, or has more than {BODY_MAX_BYTES} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "large", text, "say it in fewer words")
        .with(header::CONNECTION, "close")
}

fn too_slow() -> Refusal {
    let text = format!("the body did not come within {} s", BODY_WAIT.as_secs());
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "slow", text, "send it in one go")
        .with(header::CONNECTION, "close")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str, tags: &[&str], author: Option<&str>) -> CommentWanted {
        CommentWanted {
            text: text.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            author: author.map(str::to_owned),
        }
    }

    fn checked(wanted: CommentWanted) -> Result<recorder::Comment, u16> {
        let camera = "cam1".parse().unwrap();
        wanted.checked(&camera, "ops").map_err(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn a_comment_is_signed_with_its_token_whoever_says_it() {
        assert_eq!(checked(wanted("the red car", &[], None)).unwrap().author, "ops");
        let ann = checked(wanted("two\nlines", &["parcel"], Some("Ann"))).unwrap();
        assert_eq!((ann.author.as_str(), ann.camera.as_str()), ("Ann (ops)", "cam1"));
        assert!(checked(wanted("", &["tag-only"], None)).is_ok());
    }

    #[test]
    fn a_comment_has_limits() {
        let (long, many) = ("x".repeat(TEXT_MAX_BYTES + 1), vec!["t"; TAGS_MAX + 1]);
        for bad in [
            wanted("", &[], None),
            wanted("  ", &[], None),
            wanted(&long, &[], None),
            wanted("bell \u{7}", &[], None),
            wanted("x", &many, None),
            wanted("x", &[""], None),
            wanted("x", &["a\nb"], None),
            wanted("x", &[], Some("")),
            wanted("x", &[], Some("a\u{1b}[0m")),
        ] {
            assert_eq!(checked(bad.clone()), Err(422), "{bad:?}");
        }
    }

    #[test]
    fn what_is_ordered_has_the_words_of_the_recorder_and_no_others() {
        let read = |text: &str| serde_json::from_str::<RecordingWanted>(text);
        let start = read(r#"{"order": "start", "for": "5m", "pre": "10s"}"#).unwrap();
        assert_eq!((start.order, start.span), (Order::Start, Some(Span::from_millis(300_000))));
        assert!(read(r#"{"order": "auto"}"#).is_ok());
        for bad in [
            "{}",
            r#"{"order": "down"}"#,
            r#"{"order": "start", "cameras": ["*"]}"#,
            r#"{"order": "start", "run": ["sh"]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
