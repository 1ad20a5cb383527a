//! `/whep/CAM`: live video by WebRTC, in the words of WHEP (draft-ietf-wish-whep, after RFC 9725). An offer
//! in, an answer out with the path of the viewer it makes, which ends it; all else is refused in words. What
//! is behind it is the crate `whep`.

pub mod figures;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{self, Body};
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use whep::{Answered, Caller, OFFER_MAX_BYTES, Refusal as Why};

use crate::answer::{Refusal, fresh};
use crate::guard::forwarded::Asker;
use crate::site::Site;

/// For the body of an offer, from its headers on.
const OFFER_WITHIN: Duration = Duration::from_secs(10);
pub const SDP: &str = "application/sdp";
/// Tracks of the camera that are not sent, by their codecs.
const LEFT_OUT: HeaderName = HeaderName::from_static("framevisor-left-out");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// What a path below `/whep/` takes.
const OF_CAMERA: &str = "POST, OPTIONS";
const OF_VIEWER: &str = "DELETE, OPTIONS";

/// The address of ours that a connection came to.
#[derive(Clone, Copy, Debug)]
pub struct Reached(pub Option<IpAddr>);

/// A viewer of `camera`: 201, its answer, and in `Location` where it is ended.
pub async fn offer(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Response {
    let Some(door) = &site.webrtc else { return off().into_response() };
    let reached = request.extensions().get::<Reached>().and_then(|reached| reached.0);
    let caller = Caller { origin: access::origin(asker.address), reached };
    let offer = match read(request).await {
        Ok(offer) => offer,
        Err(refusal) => return refusal.into_response(),
    };
    match door.offer(&camera, offer, caller).await {
        Ok(answered) => created(&camera, answered),
        Err(why) => refused(&why),
    }
}

/// Ends a viewer.
pub async fn leave(
    State(site): State<Arc<Site>>,
    Path((camera, viewer)): Path<(String, String)>,
) -> Response {
    let is_gone = match &site.webrtc {
        Some(door) => door.leave(&camera, &viewer).await,
        None => false,
    };
    if is_gone {
        return fresh(StatusCode::OK).into_response();
    }
    let hint = "it has ended, or another process of this worker has it: close the connection";
    let text = "there is no such viewer".to_owned();
    Refusal::new(StatusCode::NOT_FOUND, "no-such-viewer", text, hint).into_response()
}

/// What may be sent to a camera's path. Nothing for other origins: they get no leave to send it. There is no PATCH: a viewer's
/// checks say where it is, so that no candidates are added, and who wants another connection offers anew (RFC 9725
/// section 4.3 asks for 405 then).
pub async fn options_of_camera() -> Response {
    let headers = [(header::ALLOW, OF_CAMERA), (ACCEPT_POST, SDP)];
    (StatusCode::NO_CONTENT, fresh(headers)).into_response()
}

pub async fn options_of_viewer() -> Response {
    (StatusCode::NO_CONTENT, fresh([(header::ALLOW, OF_VIEWER)])).into_response()
}

async fn read(request: Request) -> Result<String, Refusal> {
    if !is_sdp(request.headers()) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "no-sdp",
            format!("an offer is {SDP}, and its Content-Type says otherwise"),
            "send the offer's SDP with Content-Type: application/sdp",
        ));
    }
    let body = body::to_bytes(request.into_body(), OFFER_MAX_BYTES);
    let body = match tokio::time::timeout(OFFER_WITHIN, body).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Err(unread(&error)),
        Err(_late) => {
            let text = format!("the offer was not there within {} s", OFFER_WITHIN.as_secs());
            let hint = "send it at once";
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "slow-offer", text, hint));
        }
    };
    String::from_utf8(body.into()).map_err(|_| {
        let text = "the offer is no UTF-8".to_owned();
        Refusal::new(StatusCode::BAD_REQUEST, "bad-offer", text, "send SDP as RFC 8866 has it")
    })
}

fn is_sdp(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok());
    let kind = said.and_then(|said| said.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(SDP)
}

/// A body that is too long, or whose sender hung up.
fn unread(error: &axum::Error) -> Refusal {
    let text =
        format!("the offer could not be read ({error}); {OFFER_MAX_BYTES} bytes are the most");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "large-offer", text, "browsers send 5 to 12 KiB")
}

fn created(camera: &str, answered: Answered) -> Response {
    let Answered { id, sdp, left_out } = answered;
    // Relative, as a page behind a proxy has another path: it stands beside the camera's (RFC 3986 section 5.2).
    let place = format!("{camera}/{id}");
    let mut response = (StatusCode::CREATED, fresh(Body::from(sdp))).into_response();
    let mut set = |name: HeaderName, value: String| {
        // Names of cameras, of codecs and hexadecimal digits are always valid header text.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, SDP.to_owned());
    set(header::LOCATION, place);
    if !left_out.is_empty() {
        set(LEFT_OUT, left_out.join(", "));
    }
    response
}

fn off() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "webrtc-off",
        "this web worker serves no WebRTC".to_owned(),
        "webrtc: {max_viewers: 64} in its section of the topology turns it on",
    )
}

fn refused(why: &Why) -> Response {
    let (status, code, hint) = match why {
        Why::Closed { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "webrtc-closed", "ask again in a moment")
        }
        Why::Full { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "webrtc-full",
            "webrtc: {max_viewers: ...} of this web worker says how many may",
        ),
        Why::Malformed { .. } => (
            StatusCode::BAD_REQUEST,
            "bad-offer",
            "send what RTCPeerConnection.createOffer() makes, with a transceiver that is recvonly",
        ),
        Why::NothingInCommon { .. } => (
            StatusCode::NOT_ACCEPTABLE,
            "no-common-format",
            "another browser may take it, or an encoder can make H.264 of it (use: encoder)",
        ),
        Why::Silent { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no-packet-yet",
            "ask again; /api/v1/cameras says what the camera is waiting for",
        ),
        Why::TooLarge { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, "large-offer", "browsers send 5 to 12 KiB")
        }
        Why::Unfit { .. } => (
            StatusCode::NOT_ACCEPTABLE,
            "no-webrtc-format",
            "an encoder can make H.264 without B-frames of it (use: encoder, latency: live)",
        ),
        Why::TooMany { .. } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "webrtc-too-many",
            "one address has half of `max_viewers` of this web worker; behind a proxy, name it in `proxies`",
        ),
        Why::UnknownCamera { .. } => (
            StatusCode::NOT_FOUND,
            "no-such-camera",
            "the cameras are listed at /api/v1/cameras; their packet rings must be inputs of this web worker",
        ),
    };
    let mut response = Refusal::new(status, code, why.to_string(), hint).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_sdp_whatever_else_its_type_says() {
        let says = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            is_sdp(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)]))
        };
        assert!(says("application/sdp") && says("Application/SDP; charset=utf-8"));
        assert!(!says("application/json") && !says("text/plain") && !says(""));
        assert!(!is_sdp(&HeaderMap::new()));
    }

    #[test]
    fn every_reason_has_a_status_of_its_own_kind() {
        let of = |why: &Why| refused(why).status().as_u16();
        let camera = || "cam1".to_owned();
        let text = || "why".to_owned();
        assert_eq!(of(&Why::Closed { why: text() }), 503);
        assert_eq!(of(&Why::Full { viewers: 1 }), 503);
        assert_eq!(of(&Why::Malformed { why: text() }), 400);
        assert_eq!(
            of(&Why::NothingInCommon { camera: camera(), has: "H265", offered: text() }),
            406
        );
        assert_eq!(of(&Why::Silent { camera: camera(), why: text() }), 503);
        assert_eq!(of(&Why::TooMany { viewers: 1 }), 503);
        assert_eq!(of(&Why::TooLarge { bytes: 1 << 20 }), 413);
        assert_eq!(of(&Why::Unfit { camera: camera(), why: text() }), 406);
        assert_eq!(of(&Why::UnknownCamera { camera: camera() }), 404);
    }
}
