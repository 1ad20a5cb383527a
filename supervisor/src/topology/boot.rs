//! `ready:` and `after:`: when a command of the user's counts as up, and whom a worker waits for.

use std::fmt;
use std::str::FromStr;

use protocol::name::WorkerName;

use super::problem::KeyProblem;
use super::section::{Located, Section};
use super::tree::Value;

const READY: &str =
    "attach, tcp PORT, tcp HOST:PORT, http URL or log REGEX; for example 'tcp 8554'";
const AFTER: &str = "a worker's name, or a list of them";
const HTTP: &str = "http://";
const HTTP_PORT: u16 = 80;
const HERE: &str = "127.0.0.1";

/// What shows that a command does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It reads each of its rings, and writes its own.
    Attach,
    /// Somebody takes connections there.
    Tcp { host: String, port: u16 },
    /// A GET is answered with a status below 400.
    Http { host: String, port: u16, path: String },
    /// It prints a line that this regular expression finds.
    Log(String),
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach => f.write_str("its rings to be attached"),
            Self::Tcp { host, port } => write!(f, "tcp {host}:{port}"),
            Self::Http { host, port, path } => write!(f, "{HTTP}{host}:{port}{path}"),
            Self::Log(pattern) => write!(f, "a line with '{pattern}'"),
        }
    }
}

impl FromStr for Readiness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("attach", "") => Ok(Self::Attach),
            ("tcp", rest) => tcp(rest).ok_or_else(|| READY.to_owned()),
            ("http", rest) => http(rest).ok_or_else(|| READY.to_owned()),
            ("log", rest) if !rest.is_empty() => match regex_lite::Regex::new(rest) {
                Ok(_) => Ok(Self::Log(rest.to_owned())),
                Err(error) => Err(format!("a regular expression: {error}")),
            },
            _ => Err(READY.to_owned()),
        }
    }
}

fn tcp(text: &str) -> Option<Readiness> {
    let (host, port) = text.rsplit_once(':').unwrap_or((HERE, text));
    Some(Readiness::Tcp { host: host_of(host)?, port: port_of(port)? })
}

fn http(url: &str) -> Option<Readiness> {
    let rest = url.strip_prefix(HTTP)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port_of(port)?),
        _ => (authority, HTTP_PORT),
    };
    let path = if path.is_empty() { "/" } else { path };
    let plain = |c: char| c.is_ascii_graphic();
    let fits = path.chars().all(plain);
    fits.then_some(Readiness::Http { host: host_of(host)?, port, path: path.to_owned() })
}

fn host_of(text: &str) -> Option<String> {
    let host = text.trim_start_matches('[').trim_end_matches(']');
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
    (!host.is_empty() && host.chars().all(fits)).then(|| host.to_owned())
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

pub(super) fn ready(section: &mut Section<'_>) -> Option<Readiness> {
    let text = section.text("ready", READY)?;
    match text.value.parse() {
        Ok(ready) => Some(ready),
        Err(expected) => {
            let (key, seen) = ("ready".to_owned(), format!("'{}'", text.value));
            section.complain(text.place, KeyProblem::NotA { key, seen, expected });
            None
        }
    }
}

/// Names that can be read; whether there are such workers is seen later.
pub(super) fn after(section: &mut Section<'_>) -> Vec<Located<WorkerName>> {
    let texts = match section.get("after").map(|node| &node.value) {
        None => None,
        Some(Value::List(_)) => section.texts("after", AFTER),
        Some(_) => section.text("after", AFTER).map(|text| vec![text]),
    };
    let mut names = Vec::new();
    for Located { value, place } in texts.unwrap_or_default() {
        match value.parse() {
            Ok(value) => names.push(Located { value, place }),
            Err(problem) => section.complain(place, KeyProblem::Name(problem)),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_as_written() {
        let tcp = |host: &str, port| Readiness::Tcp { host: host.into(), port };
        let http = |host: &str, port, path: &str| Readiness::Http {
            host: host.into(),
            port,
            path: path.into(),
        };
        for (text, meant) in [
            ("attach", Readiness::Attach),
            ("tcp 8554", tcp("127.0.0.1", 8554)),
            ("tcp [::1]:80", tcp("::1", 80)),
            ("tcp nvr.local:80", tcp("nvr.local", 80)),
            ("http http://127.0.0.1:9997/v3/paths", http("127.0.0.1", 9997, "/v3/paths")),
            ("http http://localhost", http("localhost", 80, "/")),
            ("log listening on .*:[0-9]+", Readiness::Log("listening on .*:[0-9]+".into())),
        ] {
            assert_eq!(text.parse(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for text in [
            "",
            "attached",
            "attach now",
            "tcp",
            "tcp 0",
            "tcp 70000",
            "tcp x:y",
            "http x",
            "http https://x/",
            "http http://",
            "http http://x/a b",
            "log",
            "log (",
        ] {
            assert!(text.parse::<Readiness>().is_err(), "{text:?} was taken");
        }
    }
}
