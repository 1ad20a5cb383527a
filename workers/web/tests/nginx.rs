//! The page behind nginx, with the lines that docs/web.md gives people: links, pictures, ranges, events as they
//! come, WebSockets.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a skipped test says so; a test fails by panicking"
)]

mod fake;
mod films;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fake::Fake;
use films::{Films, NOON_S};
use protocol::config::{HostName, Shelf as Told, WebConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use web::guard::Rules;
use web::playback::shelf::Shelf;
use web::route::guarded;
use web::server::{Deadlines, Server};
use web::site::Site;

/// Every wait of these tests.
const DEADLINE: Duration = Duration::from_secs(60);
const PAGE: &str = include_str!("../../../docs/web.md");
const EXAMPLE: &str = include_str!("../../../docs/operating/nginx.conf");
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Origin: https://nvr.example.org\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A running nginx, ended with this value.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It is gone already, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of docs/web.md.
fn lines_of_page() -> &'static str {
    PAGE.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap()
}

/// With these lines in its server; `None` where there is none to try. `nth`: of this program's.
async fn nginx(page: SocketAddr, block: &str, nth: u16) -> Option<Nginx> {
    let program =
        ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|it| Path::new(it).exists());
    let Some(program) = program else {
        println!("skipped: there is no nginx on this machine (apt-get install nginx-light)");
        return None;
    };
    let block = block.replace("127.0.0.1:8080", &page.to_string());
    let map = EXAMPLE.lines().find_map(|line| line.strip_prefix("# map ")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = free_address(nth);
    let at = dir.path().display();
    let config = format!(
        "worker_processes 1; daemon off; pid {at}/pid; error_log {at}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    map {map}
    server {{ listen {address}; server_name nvr.example.org; {block}
    }}
}}"
    );
    let file = dir.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut child = Command::new(program)
        .arg("-p")
        .arg(dir.path())
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let up = async {
        while TcpStream::connect(address).await.is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "nginx ended: {ended:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, up).await.expect("nginx listens");
    Some(Nginx { child, address, _dir: dir })
}

/// nginx has to be told its port before it has it: one below those that the kernel hands out by itself.
/// Each of two has every second port.
fn free_address(nth: u16) -> SocketAddr {
    let first = u16::try_from(std::process::id() % 4_000).unwrap() * 2 + 20_000 + nth;
    let mut all = (first..30_000).step_by(2).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    all.find(|address| std::net::TcpListener::bind(address).is_ok()).unwrap()
}

async fn serve(site: Arc<Site>, keep: &mut Vec<watch::Sender<bool>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = WebConfig {
        hosts: vec![HostName::parse("nvr.example.org").unwrap()],
        proxies: vec!["127.0.0.1".parse().unwrap()],
        ..WebConfig::default()
    };
    let router = guarded(Arc::clone(&site), Rules::of(&config).unwrap(), [5; 32]);
    let (stop, stopped) = watch::channel(false);
    let (drain, drained) = watch::channel(false);
    keep.extend([stop, drain]);
    let crowd = site.crowd.clone();
    let deadlines = Deadlines::default();
    tokio::spawn(
        Server { router, crowd, deadlines, drain: drained, stop: stopped }.serve(listener),
    );
    address
}

/// Sends a request and reads until it has what is looked for.
async fn until(nginx: &Nginx, path: &str, lines: &str, wanted: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(nginx.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: nvr.example.org\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains(wanted) {
            let count = stream.read(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&seen).into_owned();
            assert!(count > 0, "{path}: it ended without {wanted}: {text}");
            seen.extend(&buffer[..count]);
        }
    };
    timeout(DEADLINE, read).await.unwrap_or_else(|_| panic!("{path}: no {wanted}"));
    (stream, String::from_utf8_lossy(&seen).into_owned())
}

#[tokio::test]
async fn below_a_path_of_nginx_everything_is_as_it_is_without() {
    let mut films = Films::new();
    films.file("cam1", 640, 1..=750);
    let site = Arc::into_inner(Arc::new(Fake::of(1)).site()).unwrap();
    let site = Arc::new(site.playing(Shelf::new(Told::At(films.root()), BTreeMap::new())));
    let mut keep = Vec::new();
    let page = serve(Arc::clone(&site), &mut keep).await;
    let Some(nginx) = nginx(page, lines_of_page(), 0).await else { return };

    let (_, index) = until(&nginx, "/cams/", "", "</html>").await;
    assert!(index.contains("200 OK") && index.contains("assets/app.js"), "{index}");
    until(&nginx, "/cams/assets/app.js", "", "200 OK").await;
    until(&nginx, "/cams/api/v1/cameras", "", "\"cam01\"").await;
    until(&nginx, "/cams/snap/cam01.jpg", "", "image/jpeg").await;
    let cut = format!("/cams/recordings/cam1/cut.mp4?from={NOON_S}&to={}", NOON_S + 10);
    let (_, part) = until(&nginx, &cut, "Range: bytes=0-99\r\n", "\r\n\r\n").await;
    assert!(part.contains("206 Partial Content"), "{part}");
    assert!(part.to_ascii_lowercase().contains("content-range: bytes 0-99/"), "{part}");

    let push = |kind: &str| {
        site.events.push(&"motion.events".parse().unwrap(), fake::record(1, kind));
    };
    let accepts = "Accept: text/event-stream\r\n";
    let (mut following, _) = until(&nginx, "/cams/api/v1/events", accepts, "\r\n\r\n").await;
    let (mut socket, head) = until(&nginx, "/cams/api/v1/events", UPGRADE, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    push("begin");
    for stream in [&mut following, &mut socket] {
        let mut seen = Vec::new();
        let told = async {
            while !String::from_utf8_lossy(&seen).contains("motion.begin") {
                seen.push(stream.read_u8().await.unwrap());
            }
        };
        timeout(DEADLINE, told).await.expect("the event comes at once");
    }
    let foreign = UPGRADE.replace("nvr.example.org", "evil.example");
    until(&nginx, "/cams/api/v1/events", &foreign, "403 Forbidden").await;
}

#[tokio::test]
async fn the_example_of_operating_passes_web_sockets_on_and_tells_who_watches() {
    let site = Arc::new(Fake::of(1)).site();
    let mut keep = Vec::new();
    let page = serve(site, &mut keep).await;
    // Its passwords are in a file that is not there.
    let lines = EXAMPLE.lines().filter(|line| !line.trim_start().starts_with("auth_basic"));
    let lines: Vec<&str> = lines.collect();
    let Some(nginx) = nginx(page, &lines.join("\n"), 1).await else { return };
    until(&nginx, "/cameras/", "", "</html>").await;
    let (_socket, head) = until(&nginx, "/cameras/api/v1/events", UPGRADE, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let _watching = until(&nginx, "/cameras/mjpeg/cam01", "", "image/jpeg").await;
    until(&nginx, "/cameras/api/v1/viewers", "", "\"peer\":\"127.0.0.1\"").await;
}
