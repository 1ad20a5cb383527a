//! Requests that mean harm, over real sockets: smuggled, endless, slow, many, half encrypted. Each costs its own
//! connection, and who means well is answered.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fake::Fake;
use lobby::certificate;
use protocol::config::{Right, TlsConfig, TokenConfig, WebConfig};
use protocol::secret::Secret;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use web::guard::Rules;
use web::route::guarded;
use web::server::{Deadlines, Doors, Server};
use web::site::Site;

/// Every wait of these tests.
const DEADLINE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
const OPS: &str = "ops-0123456789-0123456789";

struct Served {
    address: SocketAddr,
    secure: Option<SocketAddr>,
    site: Arc<Site>,
    _drain: watch::Sender<bool>,
    _stop: watch::Sender<bool>,
}

/// What tells over a WebSocket.
const EVENTS: &str = "/api/v1/events";

fn config() -> WebConfig {
    let ops =
        TokenConfig { token: Secret::new(OPS), may: Right::ALL.to_vec(), cameras: "*".into() };
    WebConfig { tokens: [("ops".to_owned(), ops)].into(), ..WebConfig::default() }
}

fn tls_file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls").join(name)
}

fn certificate() -> Arc<ServerConfig> {
    let (cert, key) = (tls_file("server.pem"), tls_file("server.key"));
    certificate::load(&TlsConfig { cert, key, listen: None }).unwrap()
}

/// As a browser that knows who made the certificate.
fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(tls_file("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn serve(deadlines: Deadlines, site: Arc<Site>, with_tls: bool) -> Served {
    let (plain, address) = listen().await;
    let (mut doors, mut at) = (Doors::from(plain), None);
    if with_tls {
        let (secure, address) = listen().await;
        doors.secure = Some((secure, certificate()));
        at = Some(address);
    }
    let (stop, stopped) = watch::channel(false);
    let (drain, drained) = watch::channel(false);
    let rules = Rules::of(&config()).unwrap();
    let router = guarded(Arc::clone(&site), rules, [3; 32]);
    let crowd = site.crowd.clone();
    let server = Server { router, crowd, deadlines, drain: drained, stop: stopped };
    tokio::spawn(server.serve(doors));
    Served { address, secure: at, site, _drain: drain, _stop: stop }
}

fn made_up() -> Arc<Site> {
    Arc::new(Fake::of(1)).site()
}

impl Served {
    async fn connect(&self) -> TcpStream {
        timeout(DEADLINE, TcpStream::connect(self.address)).await.unwrap().unwrap()
    }

    /// All that is answered to these bytes until the server closes.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read all.
        let _ = stream.write_all(bytes).await;
        rest(&mut stream).await
    }

    async fn is_well(&self) -> bool {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        self.say(request).await.starts_with("HTTP/1.1 200")
    }

    /// Waits until so many are inside, or fewer.
    async fn until_at_most(&self, connections: usize) {
        let fewer = async {
            while self.site.open_connections() > connections {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, fewer).await.expect("connections are let go of");
    }
}

async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    match timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the server closes") {
        Ok(_) => {}
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof),
            "{error}"
        ),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[tokio::test]
async fn a_request_that_hides_another_is_answered_once_and_closed() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    let hidden = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let cases = [
        // Whoever counts by the length sees one request, whoever reads the chunks two.
        format!(
            "POST /api/v1/workers/x/restart HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
             Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
            hidden.len() + 5
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n{hidden}"
        ),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n{hidden}"),
        format!("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n{hidden}"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n X: folded\r\n\r\n{hidden}"),
    ];
    for case in cases {
        let text = served.say(case.as_bytes()).await;
        assert!(answers(&text) <= 1, "{case}\n{text}");
        assert!(!text.contains("framevisor_build_info"), "{case}\n{text}");
    }
    assert!(served.is_well().await);
}

#[tokio::test]
async fn headers_without_end_and_paths_without_end_are_refused() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    let long_path = format!("GET /?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(12_000));
    let long_path = long_path.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    assert!(served.say(long_path.as_bytes()).await.starts_with("HTTP/1.1 414"));
    for header in [format!("X: {}", "x".repeat(1 << 20)), "X: y\r\n".repeat(10_000)] {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n");
        let text = served.say(request.as_bytes()).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    }
    assert!(served.is_well().await);
}

#[tokio::test]
async fn a_body_that_is_too_long_or_never_ends_is_refused() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    let begin = format!(
        "POST /api/v1/cameras/cam01/comments HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {OPS}\r\nContent-Type: application/json\r\n"
    );
    let long = format!("{begin}Content-Length: 1000000\r\n\r\n{}", "x".repeat(100_000));
    let text = served.say(long.as_bytes()).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 413"), "{text}");
    let chunks = "4000\r\n".to_owned() + &"x".repeat(0x4000) + "\r\n";
    let endless = format!("{begin}Transfer-Encoding: chunked\r\n\r\n{}", chunks.repeat(8));
    let text = served.say(endless.as_bytes()).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 411"), "{text}");
    assert!(served.is_well().await);
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_and_others_are_served_meanwhile() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    let mut slow = served.connect().await;
    let begin = format!(
        "POST /api/v1/cameras/cam01/comments HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {OPS}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    slow.write_all(begin.as_bytes()).await.unwrap();
    assert!(served.is_well().await);
    let mut seen = [0; 12];
    timeout(DEADLINE, slow.read_exact(&mut seen)).await.expect("it is told").unwrap();
    assert_eq!(&seen, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_thousand_idle_connections_take_no_more_than_the_places_there_are() {
    allow_descriptors();
    let site = Arc::into_inner(made_up()).unwrap().seating(100, None);
    let short = Deadlines { header: SHORT, ..Deadlines::default() };
    let served = serve(short, Arc::new(site), false).await;
    let mut idle = Vec::new();
    let mut most = 0;
    for number in 0..1000 {
        let mut stream = served.connect().await;
        match number % 3 {
            0 => {}
            1 => drop(stream.write_all(b"GET / HTT").await),
            _ => drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ").await),
        }
        most = most.max(served.site.open_connections());
        idle.push(stream);
    }
    assert!(most <= 100 + 1, "{most} were inside");
    served.until_at_most(0).await;
    assert!(served.is_well().await);
    drop(idle);
}

/// As many as this program may have; those of other tests stand beside these.
fn allow_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[tokio::test]
async fn one_address_leaves_places_for_others() {
    let site = Arc::into_inner(made_up()).unwrap().seating(100, Some(4));
    let served = serve(Deadlines::default(), Arc::new(site), false).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = served.connect().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        timeout(DEADLINE, stream.read_exact(&mut first)).await.unwrap().unwrap();
        open.push(stream);
    }
    assert_eq!(rest(&mut served.connect().await).await, "", "the fifth is closed");
    drop(open);
    served.until_at_most(0).await;
    assert!(served.is_well().await);
}

#[tokio::test]
async fn the_page_comes_through_tls_and_nothing_else_does() {
    let short = Deadlines { header: SHORT, ..Deadlines::default() };
    let served = serve(short, made_up(), true).await;
    let secure = served.secure.unwrap();
    let connect = || async move { TcpStream::connect(secure).await.unwrap() };
    let name = ServerName::try_from("localhost").unwrap();
    let long = serve(Deadlines::default(), made_up(), true).await;
    let stream = TcpStream::connect(long.secure.unwrap()).await.unwrap();
    let mut tls = timeout(DEADLINE, connector().connect(name, stream)).await.unwrap().unwrap();
    ask(&mut tls).await;
    assert!(rest(&mut tls).await.starts_with("HTTP/1.1 200"));

    let mut plain = connect().await;
    ask(&mut plain).await;
    let text = rest(&mut plain).await;
    assert!(!text.contains("HTTP/1.1"), "{text}");
    let mut silent = connect().await;
    rest(&mut silent).await;
    let mut half = connect().await;
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    rest(&mut half).await;
    served.until_at_most(0).await;
    assert!(served.is_well().await);
}

async fn ask(stream: &mut (impl AsyncWrite + Unpin)) {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // Who speaks something else may have closed it.
    let _ = stream.write_all(request).await;
}

/// Begins to follow events over a WebSocket; the first bytes of the answer.
async fn follow(served: &Served, path: &str, origin: &str) -> (TcpStream, String) {
    let mut stream = served.connect().await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let head = async {
        while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
            seen.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(DEADLINE, head).await.expect("an answer");
    (stream, String::from_utf8_lossy(&seen).into_owned())
}

#[tokio::test]
async fn a_web_socket_holds_its_place_tells_what_happens_and_is_of_this_page_alone() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    let (refused, head) = follow(&served, EVENTS, "https://evil.example").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    drop(refused);
    served.until_at_most(0).await;

    let (mut stream, head) = follow(&served, EVENTS, "http://localhost").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    served.site.events.push(&"motion.events".parse().unwrap(), fake::record(1, "begin"));
    let mut seen = Vec::new();
    let told = async {
        while !String::from_utf8_lossy(&seen).contains("motion.begin") {
            seen.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(DEADLINE, told).await.expect("the event");
    assert_eq!(served.site.open_connections(), 1, "its place is taken while it lasts");
    drop(stream);
    // The next ping or event finds that nobody is there.
    served.site.events.push(&"motion.events".parse().unwrap(), fake::record(2, "end"));
    served.until_at_most(0).await;
}

#[tokio::test]
async fn who_follows_by_server_sent_events_hears_what_happens_once_and_in_its_order() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    let mut stream = served.connect().await;
    let request =
        "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let head = async {
        while !text.contains("\r\n\r\n") {
            let read = stream.read(&mut buffer).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    timeout(DEADLINE, head).await.expect("headers");
    assert!(text.to_ascii_lowercase().contains("content-type: text/event-stream"), "{text}");
    for (second, kind) in [(1, "begin"), (2, "end")] {
        served.site.events.push(&"motion.events".parse().unwrap(), fake::record(second, kind));
    }
    let both = async {
        while !text.contains("motion.end") {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "it ended: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    timeout(DEADLINE, both).await.expect("both events");
    let (begin, end) = (text.find("motion.begin").unwrap(), text.find("motion.end").unwrap());
    assert!(begin < end && text.matches("motion.begin").count() == 1, "{text}");
    assert!(text.contains("event: record") && text.contains("id: "), "{text}");
    // A successor is there: the stream ends, and the connection when it asks for nothing more.
    served.site.leave();
    rest(&mut stream).await;
}

#[tokio::test]
async fn many_requests_at_once_and_many_ranges_at_once_are_answered_in_their_order() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    let one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let text = served.say(format!("{}{last}", one.repeat(500)).as_bytes()).await;
    assert_eq!(answers(&text), 501);
    let ranges = (0..500).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",");
    let ranged = format!(
        "GET /assets/style.css HTTP/1.1\r\nHost: localhost\r\nRange: bytes={ranges}\r\nConnection: close\r\n\r\n"
    );
    let text = served.say(ranged.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 200") && answers(&text) == 1, "{text}");
}

#[tokio::test]
async fn what_is_no_http_1_and_methods_that_nobody_has_are_refused() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    for garbage in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /snap/..%2f..%2fetc%2fpasswd.jpg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let text = served.say(garbage).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    assert!(served.is_well().await);
}

#[tokio::test]
async fn a_web_socket_that_floods_or_breaks_the_rules_is_closed() {
    let served = serve(Deadlines::default(), made_up(), false).await;
    // A frame of 1 MiB, one without a mask, one of a kind that there is not.
    let frames: [&[u8]; 3] = [
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4],
        &[0x81, 0x02, b'h', b'i'],
        &[0xff, 0x80, 1, 2, 3, 4],
    ];
    // What it announces is not waited for, and so takes no memory.
    let all = [EVENTS, "/live/cam01?as=jpeg"].into_iter();
    for (path, frame) in all.flat_map(|path| frames.map(|frame| (path, frame))) {
        let (mut stream, head) = follow(&served, path, "http://localhost").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        stream.write_all(frame).await.unwrap();
        rest(&mut stream).await;
    }
    served.until_at_most(0).await;
    assert!(served.is_well().await);
}
