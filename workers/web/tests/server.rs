//! Clients that stall, flood or never read: each costs one place for a while and nobody else anything.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fake::Fake;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use web::guard::Hosts;
use web::route::router;
use web::server::{Deadlines, Server};
use web::site::{CONNECTIONS_MAX, Site};

/// Every wait of these tests.
const DEADLINE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

struct Served {
    address: SocketAddr,
    site: Arc<Site>,
    drain: watch::Sender<bool>,
    stop: watch::Sender<bool>,
}

async fn serve(deadlines: Deadlines) -> Served {
    let site = Arc::new(Fake::of(1)).site();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let (drain, drained) = watch::channel(false);
    let router = router(Arc::clone(&site), Hosts::new(address));
    let crowd = site.crowd.clone();
    let server = Server { router, crowd, deadlines, drain: drained, stop: stopped };
    tokio::spawn(server.serve(listener));
    Served { address, site, drain, stop }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        timeout(DEADLINE, TcpStream::connect(self.address)).await.unwrap().unwrap()
    }

    /// The first bytes of the answer to one well-formed request.
    async fn ask(&self, path: &str) -> String {
        let mut stream = self.connect().await;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

/// All that comes until the server closes; a reset is a close.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the server closes") {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_server_that_drains_answers_on_an_open_connection_once_more_and_closes_it() {
    const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let served = serve(Deadlines::default()).await;
    let mut kept = served.connect().await;
    kept.write_all(REQUEST).await.unwrap();
    let mut first = [0; 1024];
    let read = timeout(DEADLINE, kept.read(&mut first)).await.unwrap().unwrap();
    let first = String::from_utf8_lossy(&first[..read]).to_ascii_lowercase();
    assert!(first.starts_with("http/1.1 200") && !first.contains("connection: close"), "{first}");
    served.drain.send_replace(true);
    kept.write_all(REQUEST).await.unwrap();
    let last = rest(&mut kept).await.to_ascii_lowercase();
    assert!(last.contains("http/1.1 200") && last.contains("connection: close"), "{last}");
}

#[tokio::test]
async fn half_a_request_is_closed_and_others_are_served() {
    let served = serve(Deadlines { header: SHORT, ..Deadlines::default() }).await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();
    assert!(served.ask("/healthz").await.starts_with("HTTP/1.1 200"));
    let answer = rest(&mut slow).await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let served = serve(Deadlines { header: SHORT, ..Deadlines::default() }).await;
    let mut silent = served.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    let mut kept = served.connect().await;
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(rest(&mut kept).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_header_too_large_is_refused() {
    let served = serve(Deadlines::default()).await;
    for header in [format!("X: {}", "x".repeat(70_000)), "X: y\r\n".repeat(100)] {
        let mut stream = served.connect().await;
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n");
        // The server may close before it has read all.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn garbage_is_refused() {
    let served = serve(Deadlines::default()).await;
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"[..], b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n"]
    {
        let mut stream = served.connect().await;
        stream.write_all(garbage).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert!(served.ask("/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_viewer_that_never_reads_is_cut_off_and_others_are_served() {
    let served = serve(Deadlines { write: SHORT, ..Deadlines::default() }).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut deaf = timeout(DEADLINE, socket.connect(served.address)).await.unwrap().unwrap();
    // Far more answers than the kernel buffers for it.
    let requests = "GET /assets/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(5_000);
    let asking = timeout(Duration::from_secs(1), deaf.write_all(requests.as_bytes()));
    let admitted = async {
        while served.site.open_connections() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    // Where the kernel takes less than all of it, it is cut off before the writing ends.
    let (_, admitted) = tokio::join!(asking, timeout(DEADLINE, admitted));
    admitted.unwrap();
    let cut_off = async {
        while served.site.open_connections() > 0 {
            assert!(served.ask("/healthz").await.starts_with("HTTP/1.1 200"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, cut_off).await.expect("the deaf viewer is cut off");
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_at_once_and_places_come_back() {
    // None is idle for too long before the last has come.
    let served = serve(Deadlines { header: DEADLINE, ..Deadlines::default() }).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        open.push(served.connect().await);
    }
    let all_taken = async {
        while served.site.open_connections() < CONNECTIONS_MAX {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, all_taken).await.unwrap();
    assert_eq!(rest(&mut served.connect().await).await, "");
    drop(open);
    let again = async {
        while served.site.open_connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, again).await.unwrap();
    assert!(served.ask("/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_multipart_stream_brings_picture_after_picture() {
    let served = serve(Deadlines::default()).await;
    let mut stream = served.connect().await;
    stream.write_all(b"GET /mjpeg/cam01 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    let three = async {
        let mut buffer = [0; 16_384];
        while seen.windows(2).filter(|pair| *pair == [0xff, 0xd8]).count() < 3 {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the stream ended");
            seen.extend(&buffer[..read]);
        }
    };
    timeout(DEADLINE, three).await.expect("three pictures");
    let text = String::from_utf8_lossy(&seen);
    assert!(text.contains("multipart/x-mixed-replace; boundary=framevisor-picture"));
    assert!(text.contains("--framevisor-picture\r\nContent-Type: image/jpeg\r\nContent-Length: "));
}

#[tokio::test]
async fn a_stopping_server_ends_idle_connections() {
    let served = serve(Deadlines::default()).await;
    let mut idle = served.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    served.stop.send(true).unwrap();
    rest(&mut idle).await;
}
