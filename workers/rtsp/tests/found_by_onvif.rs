//! Promise: an ONVIF client is told of the cameras it may play, and of nothing before it has said who it is; what is
//! no question of ONVIF costs no more than an answer that says so.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use access::Access;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_auth::{PasswordClient, PasswordParams};
use protocol::config::{Basic, UserConfig, Users};
use protocol::secret::Secret;
use rtsp::feed::Feed;
use rtsp::house::Terms;
use rtsp::onvif::http::Sign;
use rtsp::onvif::reception::Device;
use rtsp::server::{Opening, Server};
use sha1::{Digest, Sha1};
use shmring::clock;

const PATIENCE: Duration = Duration::from_secs(60);
const DEVICE: &str = "/onvif/device_service";
const MEDIA: &str = "/onvif/media_service";

struct Site {
    _server: Server,
    device: SocketAddr,
}

/// `cam1` and `cam2`, of which `anna` may play the first.
fn site(users: Users) -> Site {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (plain, listener) = (bind(), bind());
    let device = listener.local_addr().unwrap();
    let feeds = ["cam1", "cam2"].into_iter().map(|path| Arc::new(Feed::new(path))).collect();
    let basic = Basic::default();
    let sign = Sign { name: "hall".to_owned(), serial: "0".repeat(32) };
    let server = Server::open(Opening {
        access: Access::of(&users, basic).unwrap(),
        onvif: Some(Device { listener, sign, discovery: None, users, basic }),
        ..Opening::of(plain, feeds, Terms::over_tcp(8))
    });
    Site { _server: server.unwrap(), device }
}

fn anna() -> Users {
    let password = Some(Secret::new("pw"));
    let anna = UserConfig { password, play: "cam1".into(), ..UserConfig::default() };
    [("anna".to_owned(), anna)].into()
}

impl Site {
    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.device).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Status and text of the answer.
    fn ask(&self, path: &str, lines: &str, header: &str, operation: &str) -> (u16, String) {
        ask(&mut self.connect(), path, lines, &envelope(header, operation))
    }
}

fn envelope(header: &str, operation: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Header>{header}</s:Header>\
         <s:Body>{operation}</s:Body></s:Envelope>"
    )
}

fn ask(socket: &mut TcpStream, path: &str, lines: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: cams.local:80\r\nContent-Length: {length}\r\n{lines}\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body.as_bytes()).unwrap();
    answer(socket)
}

/// One whole answer, head and body.
fn answer(socket: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                break;
            }
        }
        let mut more = [0; 4096];
        let count = socket.read(&mut more).unwrap();
        assert!(count > 0, "closed after {text}");
        bytes.extend(&more[..count]);
    }
    let text = String::from_utf8(bytes).unwrap();
    (text.split(' ').nth(1).unwrap().parse().unwrap(), text)
}

fn token(password: &str, nonce: &[u8]) -> String {
    let utc = std::time::SystemTime::UNIX_EPOCH + Duration::from_nanos(clock::now().utc.0);
    let created = humantime::format_rfc3339_seconds(utc).to_string();
    let digest = Sha1::digest([nonce, created.as_bytes(), password.as_bytes()].concat());
    format!(
        "<Security><UsernameToken><Username>anna</Username><Password Type=\"x#PasswordDigest\">{}</Password>\
         <Nonce>{}</Nonce><Created>{created}</Created></UsernameToken></Security>",
        STANDARD.encode(digest),
        STANDARD.encode(nonce)
    )
}

#[test]
fn a_token_with_the_right_digest_is_told_the_cameras_it_may_play_and_counts_once() {
    let site = site(anna());
    let right = token("pw", b"one");
    let (status, text) = site.ask(MEDIA, "", &right, "<GetProfiles/>");
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("token=\"cam1\"") && !text.contains("cam2"), "{text}");
    let (status, text) = site.ask(MEDIA, "", &right, "<GetProfiles/>");
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("ter:NotAuthorized"), "{text}");
    let uri = |camera: &str, nonce: &[u8]| {
        let asked = format!("<GetStreamUri><ProfileToken>{camera}</ProfileToken></GetStreamUri>");
        site.ask(MEDIA, "", &token("pw", nonce), &asked)
    };
    let (status, text) = uri("cam1", b"two");
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("<tt:Uri>rtsp://cams.local:"), "{text}");
    assert!(uri("cam2", b"three").1.contains("ter:NoProfile"));
}

#[test]
fn who_says_nothing_or_a_wrong_password_is_told_nothing_but_the_time_and_the_services() {
    let site = site(anna());
    let (status, text) = site.ask(DEVICE, "", "", "<GetSystemDateAndTime/>");
    assert_eq!(status, 200, "{text}");
    let (status, text) = site.ask(DEVICE, "", "", "<GetCapabilities/>");
    assert!(status == 200 && text.contains("http://cams.local:80/onvif/media_service"), "{text}");
    let (status, text) = site.ask(MEDIA, "", "", "<GetProfiles/>");
    assert!(status == 401 && text.to_lowercase().contains("www-authenticate: digest"), "{text}");
    let (status, text) = site.ask(MEDIA, "", &token("guess", b"n"), "<GetProfiles/>");
    assert!(status == 400 && text.contains("ter:NotAuthorized"), "{text}");
    let plain = "<UsernameToken><Username>anna</Username><Password>pw</Password></UsernameToken>";
    assert_eq!(site.ask(MEDIA, "", plain, "<GetProfiles/>").0, 400, "readable by whoever listens");
}

#[test]
fn a_digest_of_http_is_as_good_as_a_token() {
    let site = site(anna());
    let mut socket = site.connect();
    let body = envelope("", "<GetProfiles/>");
    let (_, challenged) = ask(&mut socket, MEDIA, "", &body);
    let mut builder = PasswordClient::builder();
    for line in challenged.lines() {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("www-authenticate")
            && value.starts_with("Digest")
        {
            builder = builder.challenges(value);
        }
    }
    let params = PasswordParams {
        username: "anna",
        password: "pw",
        uri: MEDIA,
        method: "POST",
        body: Some(&[]),
    };
    let value = builder.build().unwrap().respond(&params).unwrap();
    let (status, text) = ask(&mut socket, MEDIA, &format!("Authorization: {value}\r\n"), &body);
    assert!(status == 200 && text.contains("cam1") && !text.contains("cam2"), "{text}");
}

#[test]
fn without_users_everybody_is_told_all_cameras() {
    let site = site(Users::new());
    let (status, text) = site.ask(MEDIA, "", "", "<GetProfiles/>");
    assert!(status == 200 && text.contains("cam1") && text.contains("cam2"), "{text}");
}

#[test]
fn what_is_no_question_is_told_so() {
    let site = site(Users::new());
    let fault = |body: &str| ask(&mut site.connect(), DEVICE, "", body);
    for body in ["", "no", "<a/>", "<!DOCTYPE a><a/>", &"<a>".repeat(1_000)] {
        let (status, text) = fault(body);
        assert!(status == 400 && text.contains("ter:WellFormed"), "{body}: {text}");
    }
    let (status, text) = site.ask(DEVICE, "", "", "<SystemReboot/>");
    assert!(status == 500 && text.contains("ter:ActionNotSupported"), "{text}");
    assert_eq!(site.ask("/onvif/../etc", "", "", "<GetProfiles/>").0, 404);
    let mut socket = site.connect();
    socket.write_all(format!("GET {DEVICE} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(answer(&mut socket).0, 405);
    let mut socket = site.connect();
    let head = format!("POST {DEVICE} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    // It may be closed before all of it is written.
    let _ = socket.write_all(&vec![b'<'; 100_000]);
    assert_eq!(answer(&mut socket).0, 413);
}

#[test]
fn one_address_has_eight_connections_and_gets_others_when_they_go() {
    let site = site(anna());
    let mut held: Vec<TcpStream> = (0..8).map(|_| site.connect()).collect();
    // Each of them is there.
    let question = envelope("", "<GetSystemDateAndTime/>");
    for socket in &mut held {
        assert_eq!(ask(socket, DEVICE, "", &question).0, 200);
    }
    // One more is closed unheard.
    let is_let_in = || {
        let mut socket = site.connect();
        let written = socket.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        written.is_ok() && socket.read(&mut [0]).is_ok_and(|count| count > 0)
    };
    assert!(!is_let_in());
    held.clear();
    let deadline = clock::mono() + PATIENCE;
    while !is_let_in() {
        assert!(clock::mono() < deadline, "no place came back");
    }
}

#[test]
fn a_body_that_does_not_come_costs_ten_seconds_and_an_answer() {
    let site = site(anna());
    let mut socket = site.connect();
    let head = format!("POST {DEVICE} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n<s:");
    socket.write_all(head.as_bytes()).unwrap();
    assert_eq!(answer(&mut socket).0, 408);
}
