//! Where an MQTT broker is, taken apart.

use std::fmt;

use super::super::push::{bracketed, unescaped};
use super::WebUrlError;
use crate::secret::Secret;

/// Registered with IANA: plain, and over TLS.
const PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;

/// `mqtt://[USER[:PASSWORD]@]HOST[:PORT]`, or `mqtts://` over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub user: Option<String>,
    pub password: Option<Secret>,
}

impl Broker {
    /// `None` for an address of something else.
    pub(super) fn of(text: &str) -> Option<Result<Self, WebUrlError>> {
        let (tls, rest) = match (text.strip_prefix("mqtt://"), text.strip_prefix("mqtts://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return None,
        };
        Some(Self::parse(tls, rest))
    }

    fn parse(tls: bool, rest: &str) -> Result<Self, WebUrlError> {
        // A password may have an '@' of its own, a host has none.
        let (login, target) = match rest.rsplit_once('@') {
            Some((login, target)) => (Some(login), target),
            None => (None, rest),
        };
        let target = target.strip_suffix('/').unwrap_or(target);
        let (host, port) = host_and_port(target).ok_or(WebUrlError)?;
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(WebUrlError);
        }
        let port = match port {
            None => {
                if tls {
                    TLS_PORT
                } else {
                    PORT
                }
            }
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(WebUrlError)?,
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            None => (None, None),
            Some(("", _)) => return Err(WebUrlError),
            Some((user, "")) => (Some(unescaped(user)), None),
            Some((user, password)) => {
                (Some(unescaped(user)), Some(Secret::new(unescaped(password))))
            }
        };
        Ok(Self { host: host.to_owned(), port, tls, user, password })
    }
}

/// As people see it: without who logs in.
impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", bracketed(&self.host), self.port)
    }
}

/// `None` for what names no host, or more than one.
fn host_and_port(target: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match target.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (host, port)
        }
        None => match target.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (target, None),
        },
    };
    let is_host = !host.is_empty() && !host.contains(['/', '?', '#']);
    is_host.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(text: &str) -> Broker {
        Broker::of(text).unwrap().unwrap()
    }

    #[test]
    fn a_broker_is_taken_apart_and_shown_without_who_logs_in() {
        let secret = broker("mqtts://cam:p%40ss:w@rd@broker.example.org");
        assert_eq!(
            (secret.host.as_str(), secret.port, secret.tls),
            ("broker.example.org", 8883, true)
        );
        assert_eq!(secret.user.as_deref(), Some("cam"));
        assert_eq!(secret.password.as_ref().map(Secret::reveal), Some("p@ss:w@rd"));
        assert_eq!(secret.to_string(), "mqtts://broker.example.org:8883");
        assert!(!format!("{secret:?}").contains("p@ss"));
        let plain = broker("mqtt://[::1]:2883/");
        assert_eq!((plain.host.as_str(), plain.port, plain.tls), ("::1", 2883, false));
        assert_eq!((plain.user.as_ref(), plain.to_string().as_str()), (None, "mqtt://[::1]:2883"));
        assert_eq!(broker("mqtt://u@h").user.as_deref(), Some("u"));
        assert_eq!(Broker::of("http://h/"), None);
    }

    #[test]
    fn what_names_no_host_or_a_topic_is_none() {
        for bad in [
            "mqtt://",
            "mqtt://:1883",
            "mqtt://h:x",
            "mqtt://h:70000",
            "mqtt://:p@h",
            "mqtt://h/a",
            "mqtt://[::1",
            "mqtt://[::1]x",
        ] {
            assert_eq!(Broker::of(bad), Some(Err(WebUrlError)), "{bad}");
        }
    }
}
