//! What is refused by how it looks, whoever asks and whatever for. Pure.

use axum::http::header;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};

use super::hosts::Hosts;
use crate::answer::Refusal;

/// Longest path with its query: a browser's own are far shorter, and every part of ours has a limit below it.
const TARGET_MAX_BYTES: usize = 8 * 1024;

/// Why a request of this form is not looked at further.
pub(super) fn refusal(hosts: &Hosts, request: &Parts<'_>) -> Option<Refusal> {
    wrong_host(hosts, request)
        .or_else(|| long_target(request))
        .or_else(|| twice(request.headers))
        .or_else(|| body(request))
        .or_else(|| wrong_origin(hosts, request))
}

/// Of a request, what this looks at.
pub(super) struct Parts<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a axum::http::Uri,
    pub(super) headers: &'a HeaderMap,
}

fn wrong_host(hosts: &Hosts, request: &Parts<'_>) -> Option<Refusal> {
    let host = one_host(request.headers);
    let in_target = request.uri.authority().map(Authority::as_str);
    let is_allowed = host.is_some_and(|host| hosts.allows(host))
        && in_target.is_none_or(|target| hosts.allows(target));
    (!is_allowed).then(|| {
        Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "wrong-host",
            format!("this page does not answer to host '{}'", host.unwrap_or_default()),
            "open it by the address it listens on, through localhost, or by a name that `hosts` has",
        )
    })
}

/// The Host header, if there is exactly one and it is text.
fn one_host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

fn long_target(request: &Parts<'_>) -> Option<Refusal> {
    let bytes = request.uri.path_and_query().map_or(0, |target| target.as_str().len());
    (bytes > TARGET_MAX_BYTES).then(|| {
        Refusal::new(
            StatusCode::URI_TOO_LONG,
            "long-path",
            format!("the path has {bytes} bytes: expected at most {TARGET_MAX_BYTES}"),
            "ask for less at once",
        )
    })
}

/// Which of two is meant nobody knows, and something in front of this page may take the other one.
fn twice(headers: &HeaderMap) -> Option<Refusal> {
    let named =
        [header::AUTHORIZATION, header::CONTENT_TYPE, header::TRANSFER_ENCODING, header::UPGRADE];
    let twice = named.into_iter().find(|name| headers.get_all(name).iter().nth(1).is_some())?;
    let text = format!("header {twice} is there more than once");
    Some(
        Refusal::new(StatusCode::BAD_REQUEST, "twice", text, "send it once")
            .with(header::CONNECTION, "close"),
    )
}

/// Reading takes no body: what would be skipped here could be taken for a request elsewhere. What changes something
/// takes one whose length is told in one way, for the same reason.
fn body(request: &Parts<'_>) -> Option<Refusal> {
    if request.headers.contains_key(header::TRANSFER_ENCODING) {
        let text = "a body whose length is not told".to_owned();
        let hint = "send it with Content-Length, and without Transfer-Encoding";
        return Some(
            Refusal::new(StatusCode::LENGTH_REQUIRED, "no-length", text, hint)
                .with(header::CONNECTION, "close"),
        );
    }
    if !matches!(*request.method, Method::GET | Method::HEAD) {
        return None;
    }
    let has_body = request.headers.get_all(header::CONTENT_LENGTH).iter().any(|bytes| bytes != "0");
    has_body.then(|| {
        let text = format!("a {} with a body", request.method);
        Refusal::new(StatusCode::BAD_REQUEST, "body", text, "send it without one")
            .with(header::CONNECTION, "close")
    })
}

fn wrong_origin(hosts: &Hosts, request: &Parts<'_>) -> Option<Refusal> {
    let host = one_host(request.headers).unwrap_or_default();
    (!hosts.allows_from(request.headers, host)).then(|| {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "wrong-origin",
            "another page asked for this".to_owned(),
            "open it in a window of its own; behind a proxy, `hosts` has the names of this page",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue, Uri};

    fn refused(method: &Method, target: &str, lines: &[(&'static str, &str)]) -> Option<u16> {
        let uri: Uri = target.parse().unwrap();
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse::<HeaderValue>().unwrap())
        };
        let headers: HeaderMap = lines.iter().map(pair).collect();
        let hosts = Hosts::new("127.0.0.1:8080".parse().unwrap());
        let parts = Parts { method, uri: &uri, headers: &headers };
        refusal(&hosts, &parts).map(|refusal| refusal.status().as_u16())
    }

    const HOST: (&str, &str) = ("host", "localhost");

    #[test]
    fn a_plain_request_is_looked_at() {
        assert_eq!(refused(&Method::GET, "/", &[HOST]), None);
        assert_eq!(refused(&Method::GET, "/", &[HOST, ("content-length", "0")]), None);
        assert_eq!(refused(&Method::POST, "/x", &[HOST, ("content-length", "12")]), None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not() {
        for lines in [
            &[HOST, ("authorization", "Basic a"), ("authorization", "Basic b")][..],
            &[HOST, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[HOST, ("content-length", "5")],
        ] {
            assert_eq!(refused(&Method::GET, "/", lines), Some(400), "{lines:?}");
        }
        let chunks = [HOST, ("content-length", "5"), ("transfer-encoding", "chunked")];
        for method in [Method::GET, Method::POST] {
            assert_eq!(refused(&method, "/", &chunks), Some(411), "{method}");
        }
        for lines in [&[][..], &[HOST, HOST], &[("host", "evil.example")]] {
            assert_eq!(refused(&Method::GET, "/", lines), Some(421), "{lines:?}");
        }
        assert_eq!(refused(&Method::GET, "http://evil.example/", &[HOST]), Some(421));
    }

    #[test]
    fn another_pages_request_and_an_endless_path_are_refused() {
        let foreign = [HOST, ("origin", "https://evil.example")];
        for method in [Method::GET, Method::POST] {
            assert_eq!(refused(&method, "/", &foreign), Some(403));
        }
        let long = format!("/?{}", "x".repeat(TARGET_MAX_BYTES));
        assert_eq!(refused(&Method::GET, &long, &[HOST]), Some(414));
    }
}
