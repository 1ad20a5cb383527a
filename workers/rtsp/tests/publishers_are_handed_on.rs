//! Who publishes is the camera's worker's, and outlives this server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use access::Access;
use protocol::config::{Basic, UserConfig, Users};
use protocol::secret::Secret;
use rtsp::feed::{Feed, Feeds};
use rtsp::house::Terms;
use rtsp::server::{Opening, Server};
use worker::door::{Door, of_publishers};

/// Everything here is over far sooner, or broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of the camera `cam1`, which nobody has seen yet.
struct Site {
    server: Option<Server>,
    address: SocketAddr,
    doors: PathBuf,
}

impl Site {
    fn open(name: &str) -> Self {
        Self::open_for(name, Access::open())
    }

    fn open_for(name: &str, access: Access) -> Self {
        let name = format!("framevisor-handed-{}-{name}", std::process::id());
        let doors = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&doors).unwrap();
        let cameras: Feeds = [Arc::new(Feed::new("cam1"))].into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cameras = cameras.with_doors(doors.clone());
        let opening = Opening::of(listener, cameras, Terms::over_tcp(8));
        let server = Server::open(Opening { access, ..opening }).unwrap();
        Self { address: server.address(), server: Some(server), doors }
    }

    fn door(&self) -> Door {
        Door::open(&self.doors, &of_publishers("cam1")).unwrap()
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// The first line and the headers of the answer to one request on a connection of its own.
    fn answer(&self, request: &str) -> String {
        let mut client = self.connect();
        client.write_all(request.as_bytes()).unwrap();
        read_answer(&mut client)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.doors);
    }
}

fn read_answer(client: &mut TcpStream) -> String {
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

fn announce(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("ANNOUNCE rtsp://h/{path} RTSP/1.0\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_publisher_and_its_cameras_worker_go_on_when_the_server_dies() {
    let mut site = Site::open("outlives");
    let door = site.door();
    let mut client = site.connect();
    client.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    let answer = read_answer(&mut client);
    assert!(answer.contains("ANNOUNCE") && answer.contains("RECORD"), "{answer}");
    let request = announce("cam1", "CSeq: 2\r\nContent-Type: application/sdp\r\n", "v=0\r\n");
    client.write_all(request.as_bytes()).unwrap();
    assert!(door.wait(PATIENCE), "nobody is handed on");
    let handed = door.accept().unwrap();
    assert_eq!(handed.visitor.peer, client.local_addr().unwrap());
    let text = String::from_utf8(handed.visitor.bytes).unwrap();
    assert!(
        text.starts_with("ANNOUNCE rtsp://h/cam1 ") && text.ends_with("\r\n\r\nv=0\r\n"),
        "{text}"
    );
    site.server = None;
    let mut served = TcpStream::from(handed.stream);
    served.set_nonblocking(false).unwrap();
    served.set_read_timeout(Some(PATIENCE)).unwrap();
    served.write_all(b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n").unwrap();
    assert!(read_answer(&mut client).contains("CSeq: 2"));
    client.write_all(b"SETUP").unwrap();
    let mut setup = [0; 5];
    served.read_exact(&mut setup).unwrap();
    assert_eq!(&setup, b"SETUP");
}

#[test]
fn whom_no_camera_waits_for_is_answered() {
    let site = Site::open("answered");
    let status = |path, headers, body: &str| {
        let answer = site.answer(&announce(path, headers, body));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let numbered = "CSeq: 2\r\n";
    assert_eq!(status("cam2", numbered, ""), "404");
    assert_eq!(status("cam1", numbered, ""), "405", "a camera that nobody is to publish to");
    let door = site.door();
    assert_eq!(status("cam1", "", ""), "400", "no CSeq");
    assert_eq!(status("cam1", "CSeq: 2\r\nRequire: magic\r\n", ""), "551");
    assert_eq!(status("cam2", numbered, ""), "404");
    let head = announce("cam1", numbered, "").len();
    assert_eq!(status("cam1", numbered, &"x".repeat((64 << 10) - head - 20)), "413");
    assert!(!door.wait(Duration::ZERO), "none of these was handed on");
    // As a kill leaves it: a name without a process behind it.
    let (name, kept) = (site.doors.join(of_publishers("cam1")), site.doors.join("kept"));
    std::fs::hard_link(&name, &kept).unwrap();
    drop(door);
    std::fs::rename(&kept, &name).unwrap();
    let answer = site.answer(&announce("cam1", numbered, ""));
    assert!(answer.starts_with("RTSP/1.0 503 ") && answer.contains("Retry-After: 1"), "{answer}");
}

#[test]
fn who_may_not_publish_is_asked_who_it_is_and_is_not_handed_on() {
    let user = |publish: &str| UserConfig {
        password: Some(Secret::new("pw")),
        play: "*".into(),
        publish: publish.into(),
    };
    let users: Users =
        [("anna".to_owned(), user("none")), ("drone".to_owned(), user("cam1"))].into();
    let site = Site::open_for("users", Access::of(&users, Basic::Always).unwrap());
    let door = site.door();
    let status = |path: &str, header: &str| {
        let answer = site.answer(&announce(path, &format!("CSeq: 2\r\n{header}"), ""));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let (anna, drone) =
        ("Authorization: Basic YW5uYTpwdw==\r\n", "Authorization: Basic ZHJvbmU6cHc=\r\n");
    assert_eq!(status("cam1", ""), "401");
    assert_eq!(status("cam1", anna), "403");
    for path in ["cam2", "recordings/cam1", "recordings/..", "recordings/../cam2"] {
        assert_eq!(status(path, drone), "403", "{path}");
    }
    assert!(!door.wait(Duration::ZERO), "none of these was handed on");
    let mut client = site.connect();
    let request = announce("cam1", &format!("CSeq: 2\r\n{drone}"), "");
    client.write_all(request.as_bytes()).unwrap();
    assert!(door.wait(PATIENCE), "nobody is handed on");
}

#[test]
fn nobody_publishes_to_a_recording() {
    let site = Site::open("recording");
    let door = site.door();
    for path in ["recordings/cam1", "recordings/cam1?from=2026-11-20T13:09:00Z", "recordings/.."] {
        let answer = site.answer(&announce(path, "CSeq: 2\r\n", ""));
        assert!(answer.starts_with("RTSP/1.0 404 "), "{path}: {answer}");
    }
    assert!(!door.wait(Duration::ZERO), "none of these was handed on");
}
