//! What stands between a client and this page: who asks, whether TLS hides it, and below which path. Pure.
//!
//! Only proxies that the topology names are believed about who asks: whoever reaches the page can write such
//! headers. The path is believed of anybody, because it tells only the one who asks where their links lead.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use protocol::config::BasePath;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The other end of a connection, as the server saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    /// It came through TLS.
    pub is_secure: bool,
}

impl Default for Peer {
    /// Of a request that came over no socket.
    fn default() -> Self {
        Self { address: SocketAddr::from(([0, 0, 0, 0], 0)), is_secure: false }
    }
}

/// Whom a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    pub address: IpAddr,
    /// Of who came without a proxy between: those tell none.
    pub port: Option<u16>,
    /// Nobody on the way can read it.
    pub is_secure: bool,
    /// What the proxy took off the path.
    pub prefix: BasePath,
}

impl Asker {
    pub fn of(peer: Peer, proxies: &[IpAddr], headers: &HeaderMap) -> Self {
        let own = peer.address.ip().to_canonical();
        let is_proxy =
            |address: IpAddr| proxies.iter().any(|proxy| proxy.to_canonical() == address);
        let prefix = text(headers, &FORWARDED_PREFIX).and_then(|path| BasePath::parse(path).ok());
        let prefix = prefix.unwrap_or_default();
        if !is_proxy(own) {
            let port = Some(peer.address.port());
            return Self { address: own, port, is_secure: peer.is_secure, prefix };
        }
        let proto = text(headers, &FORWARDED_PROTO);
        Self {
            address: named(headers, is_proxy).unwrap_or(own),
            port: None,
            is_secure: proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
            prefix,
        }
    }

    /// For people: the address, with its port where that is known.
    pub fn shown(&self) -> String {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).to_string(),
            None => self.address.to_string(),
        }
    }
}

/// Each proxy adds whom it heard from at the end: the last that is no proxy itself is as far as they know.
fn named(headers: &HeaderMap, is_proxy: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let lists = headers.get_all(FORWARDED_FOR).iter().rev();
    let texts = lists.filter_map(|list| list.to_str().ok());
    let all = texts.flat_map(|list| list.rsplit(',').map(str::trim));
    let mut told = None;
    for text in all {
        // What a client wrote itself may be anything; nothing before it counts.
        let address = address(text)?;
        told = Some(address);
        if !is_proxy(address) {
            break;
        }
    }
    told
}

/// Some proxies write a port behind it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let found = bare.ok().or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()));
    found.map(|address| address.to_canonical())
}

/// The only value of a header.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::to_str)?.ok()?;
    values.next().is_none().then(|| first.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(peer: &str, proxies: &[&str], lines: &[(&'static str, &str)]) -> Asker {
        let proxies: Vec<IpAddr> = proxies.iter().map(|it| it.parse().unwrap()).collect();
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse::<HeaderValue>().unwrap())
        };
        let headers: HeaderMap = lines.iter().map(pair).collect();
        let peer = Peer { address: SocketAddr::new(peer.parse().unwrap(), 4), is_secure: false };
        Asker::of(peer, &proxies, &headers)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const FORGED: [(&str, &str); 2] =
        [("x-forwarded-for", "10.9.9.9"), ("x-forwarded-proto", "https")];

    #[test]
    fn who_is_no_proxy_is_who_they_are_whatever_they_write() {
        for proxies in [&[][..], &["10.0.0.1"]] {
            let asker = asker("10.0.0.7", proxies, &FORGED);
            assert_eq!((asker.address, asker.is_secure), (ip("10.0.0.7"), false));
        }
    }

    #[test]
    fn a_proxy_of_the_topology_tells_who_asks_and_how() {
        let asker_of = asker("127.0.0.1", &["127.0.0.1"], &FORGED);
        assert_eq!((asker_of.address, asker_of.is_secure), (ip("10.9.9.9"), true));
        assert_eq!(asker_of.shown(), "10.9.9.9", "the port is the proxy's");
        assert_eq!(asker("::ffff:10.0.0.7", &[], &FORGED).shown(), "10.0.0.7:4");
        let silent = asker("::ffff:127.0.0.1", &["127.0.0.1"], &[]);
        assert_eq!((silent.address, silent.is_secure), (ip("127.0.0.1"), false));
    }

    #[test]
    fn what_a_client_wrote_before_the_proxies_counts_for_nothing() {
        let of = |list: &str| {
            let lines = [("x-forwarded-for", list)];
            asker("127.0.0.1", &["127.0.0.1", "10.0.0.1"], &lines).address
        };
        assert_eq!(of("1.2.3.4, 10.0.0.7"), ip("10.0.0.7"));
        assert_eq!(of("1.2.3.4, 10.0.0.7, 10.0.0.1"), ip("10.0.0.7"));
        assert_eq!(of("10.0.0.7:5000"), ip("10.0.0.7"));
        assert_eq!(of("[2001:db8::1]"), ip("2001:db8::1"));
        assert_eq!(of("10.0.0.1"), ip("10.0.0.1"), "as far as they know");
        for nonsense in ["", "unknown", "1.2.3.4, <script>"] {
            assert_eq!(of(nonsense), ip("127.0.0.1"), "{nonsense}");
        }
    }

    #[test]
    fn the_path_is_a_plain_one_or_none() {
        let of = |lines: &[(&'static str, &str)]| asker("10.0.0.7", &[], lines).prefix.to_string();
        assert_eq!(of(&[("x-forwarded-prefix", "/cams/")]), "/cams");
        for bad in ["//evil.example", "/a\"><script>", "https://evil.example", "/../x"] {
            assert_eq!(of(&[("x-forwarded-prefix", bad)]), "", "{bad}");
        }
        assert_eq!(of(&[("x-forwarded-prefix", "/a"), ("x-forwarded-prefix", "/b")]), "");
    }
}
