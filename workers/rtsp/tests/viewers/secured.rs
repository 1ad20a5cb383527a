//! Sites with users and with a certificate, and clients that say who they are.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use access::Access;
use http_auth::{PasswordClient, PasswordParams};
use protocol::config::{Basic, TlsConfig, UserConfig, Users};
use protocol::secret::Secret;
use rtsp::certificate;

use crate::harness::{RawClient, Site};

pub const PASSWORD: &str = "correct horse";

/// `anna` and `bert` may play everything, `guard` what begins with `hall`, `drone` may publish alone, and `lobby` is
/// everybody's.
pub fn users() -> Users {
    let user = |play: &str, publish: &str| UserConfig {
        password: Some(Secret::new(PASSWORD)),
        play: play.into(),
        publish: publish.into(),
    };
    let anyone = UserConfig { play: "lobby".into(), ..UserConfig::default() };
    [
        ("anna".to_owned(), user("*", "none")),
        ("bert".to_owned(), user("*", "none")),
        ("guard".to_owned(), user("hall*", "none")),
        ("drone".to_owned(), user("none", "drone")),
        ("anyone".to_owned(), anyone),
    ]
    .into()
}

/// A server of `cam1` for those.
pub fn guarded(basic: Basic) -> Site {
    Site::open_as(|opening| opening.access = Access::of(&users(), basic).unwrap())
}

/// The same, with a second listener for TLS.
pub fn encrypted() -> (Site, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tls =
        TlsConfig { cert: file("server.pem"), key: file("server.key"), listen: Some(address) };
    let config = certificate::load(&tls).unwrap();
    let site = Site::open_as(|opening| {
        opening.access = Access::of(&users(), Basic::Tls).unwrap();
        opening.secure = Some((listener, config));
    });
    (site, address)
}

pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls").join(name)
}

/// The address with a user in it, as people write it.
pub fn url_of(address: SocketAddr, scheme: &str, user: &str, password: &str) -> String {
    format!("{scheme}://{user}:{}@{address}/cam1", password.replace(' ', "%20"))
}

/// Somebody who answers challenges, by another implementation of digests.
pub struct Visitor {
    user: &'static str,
    password: &'static str,
    client: Option<PasswordClient>,
}

impl Visitor {
    pub fn new(user: &'static str, password: &'static str) -> Self {
        Self { user, password, client: None }
    }

    /// Asks, and answers the challenge once.
    pub fn ask(&mut self, over: &mut RawClient, method: &str, url: &str, lines: &str) -> String {
        let first = self.ask_once(over, method, url, lines);
        if status(&first) != 401 {
            return first;
        }
        self.learn(&first);
        self.ask_once(over, method, url, lines)
    }

    /// Asks with what is known of the last challenge.
    pub fn ask_once(
        &mut self,
        over: &mut RawClient,
        method: &str,
        url: &str,
        lines: &str,
    ) -> String {
        let own = self.header(method, url).map(|value| format!("Authorization: {value}\r\n"));
        over.ask(method, url, &format!("{lines}{}", own.unwrap_or_default()))
    }

    pub fn header(&mut self, method: &str, url: &str) -> Option<String> {
        let (username, password) = (self.user, self.password);
        let params = PasswordParams { username, password, uri: url, method, body: Some(&[]) };
        Some(self.client.as_mut()?.respond(&params).unwrap())
    }

    /// Takes the digests that a response asks for.
    pub fn learn(&mut self, response: &str) {
        let mut builder = PasswordClient::builder();
        for line in challenges(response).iter().filter(|line| line.starts_with("Digest")) {
            builder = builder.challenges(line);
        }
        self.client = Some(builder.build().unwrap());
    }
}

pub fn challenges(response: &str) -> Vec<&str> {
    response.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: ")).collect()
}

pub fn status(response: &str) -> u16 {
    response.split(' ').nth(1).unwrap().parse().unwrap()
}

pub fn session_of(response: &str) -> String {
    let line = response.lines().find_map(|line| line.strip_prefix("Session: ")).unwrap();
    line.split(';').next().unwrap().to_owned()
}
