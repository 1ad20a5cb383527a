//! RTSP over HTTP: what a GET and a POST make together.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::datagrams_reach_their_viewers::between;
use crate::harness::{Camera, Clip, PATIENCE, RawClient, Site, has, text};

/// A client behind a proxy that knows HTTP alone.
struct Tunnelled {
    get: RawClient,
    post: TcpStream,
    cseq: u32,
}

impl Tunnelled {
    fn open(site: &Site, cookie: &str) -> Self {
        let get = Self::get(site, cookie);
        Self { get, post: Self::post(site, cookie), cseq: 0 }
    }

    fn get(site: &Site, cookie: &str) -> RawClient {
        let mut get = site.connect();
        let head = format!(
            "GET /cam1 HTTP/1.0\r\nx-sessioncookie: {cookie}\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n"
        );
        get.socket.write_all(head.as_bytes()).unwrap();
        let answer = get.response();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        assert!(answer.contains("Content-Type: application/x-rtsp-tunnelled\r\n"), "{answer}");
        get
    }

    fn post(site: &Site, cookie: &str) -> TcpStream {
        let mut post = TcpStream::connect(site.address()).unwrap();
        post.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST /cam1 HTTP/1.0\r\nx-sessioncookie: {cookie}\r\nContent-Length: 32767\r\n\r\n"
        );
        post.write_all(head.as_bytes()).unwrap();
        post
    }

    fn ask(&mut self, method: &str, url: &str, lines: &str) -> String {
        self.cseq += 1;
        let request = format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{lines}\r\n", self.cseq);
        self.post.write_all(STANDARD.encode(request).as_bytes()).unwrap();
        let answer = self.get.response();
        assert!(answer.contains(&format!("CSeq: {}\r\n", self.cseq)), "{answer}");
        answer
    }

    fn play(&mut self, site: &Site) -> String {
        let lines = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
        let answer = self.ask("SETUP", &format!("{}/trackID=0", site.url()), lines);
        let session = format!("Session: {}\r\n", between(&answer, "Session: ", ';'));
        assert!(self.ask("PLAY", &site.url(), &session).starts_with("RTSP/1.0 200"));
        session
    }
}

#[test]
fn a_camera_is_watched_through_a_tunnel() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open(8);
    let _camera = Camera::start(&site.project, Clip::plain());
    let mut client = Tunnelled::open(&site, "c0ffee");
    assert!(client.ask("DESCRIBE", &site.url(), "").contains("H264/90000"));
    let session = client.play(&site);
    for _ in 0..200 {
        client.get.frame();
    }
    assert!(client.ask("TEARDOWN", &site.url(), &session).starts_with("RTSP/1.0 200"));
}

#[test]
fn a_post_that_comes_first_waits_for_its_get() {
    let site = Site::open(8);
    let mut post = Tunnelled::post(&site, "early");
    let request = STANDARD.encode("OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n");
    post.write_all(request.as_bytes()).unwrap();
    let mut get = Tunnelled::get(&site, "early");
    assert!(get.response().contains("CSeq: 7\r\n"));
}

#[test]
fn a_client_may_end_its_post_and_go_on_with_another() {
    let site = Site::open(8);
    let mut client = Tunnelled::open(&site, "again");
    assert!(client.ask("OPTIONS", "*", "").starts_with("RTSP/1.0 200"));
    client.post = Tunnelled::post(&site, "again");
    assert!(client.ask("OPTIONS", "*", "").starts_with("RTSP/1.0 200"));
}

#[test]
fn a_post_without_its_get_and_a_second_get_are_sent_away() {
    let site = Site::open(8);
    let mut client = Tunnelled::open(&site, "mine");
    let mut lost = Tunnelled::post(&site, "nobody's");
    assert_eq!(lost.read(&mut [0; 100]).unwrap(), 0, "closed without a word");
    let mut thief = site.connect();
    thief.socket.write_all(b"GET /cam1 HTTP/1.0\r\nx-sessioncookie: mine\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    thief.socket.read_to_end(&mut answer).unwrap();
    assert!(text(&answer).starts_with("HTTP/1.0 409"), "{}", text(&answer));
    assert!(client.ask("OPTIONS", "*", "").starts_with("RTSP/1.0 200"), "its owner goes on");
}

#[test]
fn what_is_no_base64_ends_the_tunnel_and_nothing_else() {
    let site = Site::open(8);
    let mut client = Tunnelled::open(&site, "broken");
    client.post.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    assert!(client.get.is_closed_within(PATIENCE));
    assert!(site.connect().ask("OPTIONS", "*", "").starts_with("RTSP/1.0 200"));
}

#[test]
fn a_tunnel_ends_with_its_get_and_gives_its_cookie_back() {
    let site = Site::open(8);
    let mut client = Tunnelled::open(&site, "again");
    assert!(client.ask("OPTIONS", "*", "").starts_with("RTSP/1.0 200"));
    drop(client);
    site.wait_until_empty();
    let mut client = Tunnelled::open(&site, "again");
    assert!(client.ask("OPTIONS", "*", "").starts_with("RTSP/1.0 200"));
}

#[test]
fn a_get_beyond_the_places_is_told_so() {
    let site = Site::open(1);
    let mut first = site.connect();
    first.ask("OPTIONS", "*", "");
    let mut second = site.connect();
    second.socket.write_all(b"GET /cam1 HTTP/1.0\r\nx-sessioncookie: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    second.socket.read_to_end(&mut answer).unwrap();
    assert!(text(&answer).starts_with("HTTP/1.0 503"), "{}", text(&answer));
}
