//! Which requests are answered at all, and the headers of every answer. Decided before any route.
//!
//! A page on loopback has one well-known enemy: another web page in the same browser. It can send
//! requests here and, by DNS rebinding, pretend to be this page. So the Host must be one a rebinding
//! name cannot have (an address of ours or `localhost`), nothing but reading exists, and no other
//! origin may embed, frame or read what is answered.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::answer::Refusal;

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        // blob: the tiles show pictures they fetched themselves, with their frame ids; players feed their
        // videos themselves.
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The hosts this page answers to.
#[derive(Clone, Copy, Debug)]
pub struct Hosts {
    listen: IpAddr,
}

impl Hosts {
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen: listen.ip() }
    }

    /// `host` as in the Host header, with or without port. The port is not compared: a forwarded
    /// one (ssh -L) is another, and a rebinding page could choose ours anyway.
    pub fn allows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let name = authority.host();
        if host.contains('@') {
            return false;
        }
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        // Listening on every address means any address literal may be ours; a name never is.
        literal
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback() || ip == self.listen || self.listen.is_unspecified())
    }
}

/// The outermost layer of the router.
pub async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&hosts, &request) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(hosts: &Hosts, request: &Request) -> Option<Refusal> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "read-only",
            format!("{} is not possible here: this page only shows", request.method()),
            "use GET or HEAD",
        ));
    }
    let host = one_host(request.headers());
    let in_target = request.uri().authority().map(Authority::as_str);
    let allowed = host.is_some_and(|host| hosts.allows(host))
        && in_target.is_none_or(|target| hosts.allows(target));
    (!allowed).then(|| {
        Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "wrong-host",
            format!("this page does not answer to host '{}'", host.unwrap_or_default()),
            "open it by the address it listens on, or through localhost",
        )
    })
}

/// The Host header, if there is exactly one and it is text.
fn one_host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str) -> Hosts {
        Hosts::new(listen.parse().unwrap())
    }

    #[test]
    fn loopback_names_are_answered_with_and_without_port() {
        for host in
            ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:9000", "[::1]", "[::1]:8080"]
        {
            assert!(hosts("127.0.0.1:8080").allows(host), "{host}");
        }
    }

    #[test]
    fn a_rebinding_name_is_not_answered() {
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil@localhost",
            "localhost@evil.example",
            "192.168.1.5",
            "[fe80::1]",
            "127.0.0.1:8080/x",
            "local host",
        ] {
            assert!(!hosts("127.0.0.1:8080").allows(host), "{host:?} was answered");
        }
    }

    #[test]
    fn the_listen_address_is_answered_and_no_other() {
        assert!(hosts("192.168.1.5:8080").allows("192.168.1.5:8080"));
        assert!(!hosts("192.168.1.5:8080").allows("192.168.1.6:8080"));
        assert!(hosts("[fd00::5]:8080").allows("[fd00::5]:8080"));
    }

    #[test]
    fn listening_everywhere_answers_to_addresses_never_to_names() {
        for listen in ["0.0.0.0:8080", "[::]:8080"] {
            assert!(hosts(listen).allows("192.168.1.5:8080"));
            assert!(!hosts(listen).allows("nvr.example"));
        }
    }
}
