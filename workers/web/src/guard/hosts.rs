//! Which names and addresses this page answers to, and which pages may ask it something. Pure.
//!
//! A page on loopback has one well-known enemy: another web page in the same browser. It can send
//! requests here and, by DNS rebinding, pretend to be this page. So the Host must be one a rebinding
//! name cannot have (an address of ours, `localhost`, or a name that the topology gives), and whoever says
//! which page they come from must come from this one.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use protocol::config::{HostName, WebConfig};

/// What a browser says of where a request comes from (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The hosts this page answers to.
#[derive(Clone, Debug)]
pub struct Hosts {
    listens: Vec<IpAddr>,
    names: Vec<HostName>,
}

impl Hosts {
    pub fn new(listen: SocketAddr) -> Self {
        Self { listens: vec![listen.ip()], names: Vec::new() }
    }

    /// Both listeners, and the names of the topology.
    pub fn of(config: &WebConfig) -> Self {
        let listens = [Some(config.listen), config.tls_listen()].into_iter().flatten();
        Self { listens: listens.map(|at| at.ip()).collect(), names: config.hosts.clone() }
    }

    /// `host` as in the Host header, with or without port. The port is not compared: a forwarded
    /// one (ssh -L) is another, and a rebinding page could choose ours anyway.
    pub fn allows(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        if name.eq_ignore_ascii_case("localhost") || self.has_name(&name) {
            return true;
        }
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        // Listening on every address means any address literal may be ours; a name never is.
        let is_own = |ip: IpAddr| {
            let is_it = |listen: &IpAddr| *listen == ip || listen.is_unspecified();
            ip.is_loopback() || self.listens.iter().any(is_it)
        };
        literal.parse().is_ok_and(is_own)
    }

    /// Whether the page that a request comes from may make it. Programs say nothing of a page, and may.
    pub fn allows_from(&self, headers: &HeaderMap, host: &str) -> bool {
        let origins = headers.get_all(header::ORIGIN).iter();
        let mut origins = origins.map(|origin| origin.to_str().unwrap_or_default());
        origins.all(|origin| self.is_own(origin, host)) && !is_of_another_page(headers)
    }

    /// Of what stands before this page with a host of its own, the names of the topology are this page's too.
    fn is_own(&self, origin: &str, host: &str) -> bool {
        let scheme = ["http://", "https://"].into_iter().find(|scheme| origin.starts_with(scheme));
        let Some(place) = scheme.map(|scheme| &origin[scheme.len()..]) else { return false };
        place.eq_ignore_ascii_case(host) || name_of(place).is_some_and(|name| self.has_name(&name))
    }

    fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.as_str().eq_ignore_ascii_case(name))
    }
}

/// The host without its port; `None` for what is none.
fn name_of(host: &str) -> Option<String> {
    let authority = host.parse::<Authority>().ok().filter(|_| !host.contains('@'))?;
    Some(authority.host().to_owned())
}

/// A link to this page may be followed from anywhere; to be part of another page is refused.
fn is_of_another_page(headers: &HeaderMap) -> bool {
    let is = |name: &HeaderName, words: &[&str]| {
        headers.get(name).is_some_and(|value| words.iter().any(|word| value == *word))
    };
    is(&FETCH_SITE, &["cross-site", "same-site"]) && !is(&FETCH_MODE, &["navigate"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn hosts(listen: &str) -> Hosts {
        Hosts::new(listen.parse().unwrap())
    }

    fn named() -> Hosts {
        let names = vec![HostName::parse("nvr.example.org").unwrap()];
        Hosts::of(&WebConfig { hosts: names, ..WebConfig::default() })
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse::<HeaderValue>().unwrap())
        };
        lines.iter().map(pair).collect()
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
            "nvr.example.org.evil.example",
        ] {
            assert!(!hosts("127.0.0.1:8080").allows(host), "{host:?} was answered");
            assert!(!named().allows(host), "{host:?} was answered");
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

    #[test]
    fn a_name_of_the_topology_is_answered_in_any_case_and_with_any_port() {
        for host in ["nvr.example.org", "NVR.example.org:443", "nvr.example.org:8080"] {
            assert!(named().allows(host), "{host}");
        }
        assert!(!hosts("127.0.0.1:8080").allows("nvr.example.org"));
    }

    #[test]
    fn only_this_page_and_programs_ask() {
        let allows = |lines: &[(&'static str, &str)]| {
            hosts("127.0.0.1:8080").allows_from(&headers(lines), "localhost:8080")
        };
        assert!(allows(&[]) && allows(&[("origin", "http://localhost:8080")]));
        assert!(allows(&[("origin", "https://LOCALHOST:8080"), ("sec-fetch-site", "same-origin")]));
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://localhost:8081",
            "http://localhost:8080.evil.example",
            "http://evil@localhost:8080",
            "file://localhost:8080",
            "localhost:8080",
        ] {
            assert!(!allows(&[("origin", origin)]), "{origin:?}");
        }
        assert!(!allows(&[("origin", "http://localhost:8080"), ("origin", "http://evil.example")]));
    }

    #[test]
    fn another_page_may_link_here_and_not_be_made_of_it() {
        let allows = |lines: &[(&'static str, &str)]| {
            hosts("127.0.0.1:8080").allows_from(&headers(lines), "localhost:8080")
        };
        for site in ["cross-site", "same-site"] {
            assert!(allows(&[("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]));
            assert!(!allows(&[("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")]));
            assert!(!allows(&[("sec-fetch-site", site), ("sec-fetch-mode", "websocket")]));
        }
        assert!(allows(&[("sec-fetch-site", "none")]), "typed by a person");
    }

    #[test]
    fn behind_a_proxy_the_topologys_names_are_this_page() {
        let lines = headers(&[("origin", "https://nvr.example.org")]);
        assert!(named().allows_from(&lines, "127.0.0.1:8080"), "the proxy asks by our address");
        assert!(!hosts("127.0.0.1:8080").allows_from(&lines, "127.0.0.1:8080"));
    }
}
