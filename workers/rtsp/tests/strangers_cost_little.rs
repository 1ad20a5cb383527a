//! A crowd that says nothing, half a request or half a handshake, or asks and does not listen: it costs little
//! memory, and is gone within the stated time. Alone in its process, which it measures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use access::Access;
use protocol::config::{Basic, TlsConfig, UserConfig, Users};
use protocol::secret::Secret;
use rtsp::certificate;
use rtsp::feed::Feed;
use rtsp::house::Terms;
use rtsp::server::{Opening, Server};
use shmring::clock;

/// Each of a kind; with both ends in this process, as many as a limit of 1024 descriptors lets in.
const EACH: usize = 80;
/// 64 MiB for a thousand.
const BYTES_OF_ONE: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(60);

fn server(secure: TcpListener) -> Server {
    let file = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls").join(name);
    let listen = secure.local_addr().unwrap();
    let tls = TlsConfig { cert: file("server.pem"), key: file("server.key"), listen: Some(listen) };
    let anna =
        UserConfig { password: Some(Secret::new("pw")), play: "*".into(), ..UserConfig::default() };
    let users: Users = [("anna".to_owned(), anna)].into();
    let feed = Arc::new(Feed::new("cam1"));
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    Server::open(Opening {
        secure: Some((secure, certificate::load(&tls).unwrap())),
        access: Access::of(&users, Basic::Tls).unwrap(),
        ..Opening::of(plain, [feed].into_iter().collect(), Terms::over_tcp(6 * EACH))
    })
    .unwrap()
}

fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn a_crowd_of_strangers_costs_little_and_is_gone_in_time() {
    let secure = TcpListener::bind("127.0.0.1:0").unwrap();
    let secure_address = secure.local_addr().unwrap();
    let server = server(secure);
    let (address, before) = (server.address(), resident());

    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let half = format!("ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nX: {}", "x".repeat(8000));
    let headers = "Y: 0123456789\r\n".repeat(500);
    let long = format!("DESCRIBE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\n{headers}");
    // A second of answers to these is more than anybody may have waiting.
    let many = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".repeat(1000);
    let kinds: [(SocketAddr, &[u8]); 5] = [
        (address, b""),
        (address, half.as_bytes()),
        (address, long.as_bytes()),
        (address, many.as_bytes()),
        (secure_address, &hello),
    ];
    let mut crowd = Vec::new();
    for (to, bytes) in kinds {
        for _ in 0..EACH {
            let mut socket = connect(to);
            socket.write_all(bytes).unwrap();
            crowd.push(socket);
        }
    }
    let most = crowd.len() * BYTES_OF_ONE;
    for mut socket in crowd {
        // What was answered before may come first.
        loop {
            let grown = resident().saturating_sub(before);
            assert!(grown < most, "{grown} bytes for strangers, at most {most}");
            match socket.read(&mut [0; 4096]) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "a stranger stays");
                    break;
                }
            }
        }
    }
    let deadline = clock::mono() + PATIENCE;
    while server.clients() > 0 {
        assert!(clock::mono() < deadline, "{} stay", server.clients());
        std::thread::sleep(Duration::from_millis(20));
    }
}
