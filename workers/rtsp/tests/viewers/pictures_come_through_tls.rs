//! `rtsps://`: the same pictures, for the same users, where nobody else can look; and clients that mix the two up.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Camera, Clip, GOP, PATIENCE, RawClient, has, hashes, run, text};
use crate::secured::{PASSWORD, challenges, encrypted, file, status, url_of};

#[test]
fn ffmpeg_gets_every_picture_through_tls() {
    if !has("ffmpeg") {
        return;
    }
    let (site, address) = encrypted();
    let clip = Clip::plain();
    let _camera = Camera::start(&site.project, clip);
    let url = url_of(address, "rtsps", "anna", PASSWORD);
    let input = ["-v", "error", "-rtsp_transport", "tcp", "-i", &url];
    let output = ["-frames:v", "60", "-fps_mode", "passthrough", "-f", "framemd5", "-"];
    let output = run("ffmpeg", &[&input[..], &output].concat());
    let seen = hashes(&text(&output.stdout));
    assert_eq!(seen.len(), 60, "{}", text(&output.stderr));
    let first = clip.pictures.iter().position(|picture| *picture == seen[0]).unwrap();
    assert_eq!(first % GOP, 0);
    let expected: Vec<_> = clip.pictures.iter().cycle().skip(first).take(60).cloned().collect();
    assert_eq!(seen, expected);
    let wrong = url_of(address, "rtsps", "anna", "wrong");
    let output = run("ffmpeg", &["-v", "error", "-i", &wrong, "-f", "null", "-"]);
    assert!(!output.status.success() && text(&output.stderr).contains("401"));
}

/// A client that trusts the authority of the tests and nobody else.
fn connect(address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(client, socket)
}

/// One answer without a body.
fn answer(client: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    text(&bytes)
}

#[test]
fn a_tunnel_goes_through_tls_both_ways_or_not_at_all() {
    let (site, address) = encrypted();
    let mut get = connect(address);
    get.write_all(b"GET /cam1 HTTP/1.0\r\nx-sessioncookie: c0ffee\r\n\r\n").unwrap();
    assert!(answer(&mut get).starts_with("HTTP/1.0 200"));
    let post = |number: u32| {
        let request = STANDARD.encode(format!("OPTIONS * RTSP/1.0\r\nCSeq: {number}\r\n\r\n"));
        format!("POST /cam1 HTTP/1.0\r\nx-sessioncookie: c0ffee\r\n\r\n{request}")
    };
    let mut plain = TcpStream::connect(site.address()).unwrap();
    plain.write_all(post(1).as_bytes()).unwrap();
    let mut secure = connect(address);
    secure.write_all(post(2).as_bytes()).unwrap();
    let answered = answer(&mut get);
    assert!(answered.contains("CSeq: 2\r\n"), "{answered}");
}

#[test]
fn a_password_as_it_is_is_taken_through_tls_and_not_beside_it() {
    let (site, address) = encrypted();
    let url = format!("rtsps://{address}/nowhere");
    // anna:correct horse
    let basic = "Authorization: Basic YW5uYTpjb3JyZWN0IGhvcnNl\r\n";
    let request = format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n");
    let mut client = connect(address);
    client.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let asked = answer(&mut client);
    assert!(challenges(&asked)[0].starts_with("Basic"), "{asked}");
    client.write_all(format!("{request}{basic}\r\n").as_bytes()).unwrap();
    assert_eq!(status(&answer(&mut client)), 404);

    let mut plain = site.connect();
    let asked = plain.ask("DESCRIBE", &format!("rtsp://{}/nowhere", site.address()), basic);
    assert_eq!(status(&asked), 401);
    assert!(challenges(&asked).iter().all(|line| line.starts_with("Digest")), "{asked}");
    assert_eq!(site.wrong_passwords(), None, "it was not looked at");
}

#[test]
fn requests_in_pieces_and_many_at_once_are_answered_through_tls_too() {
    let (_site, address) = encrypted();
    let mut client = connect(address);
    for byte in b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n" {
        client.write_all(&[*byte]).unwrap();
        client.flush().unwrap();
    }
    assert!(answer(&mut client).contains("CSeq: 7\r\n"));
    // More than one read of the server, in records of 16 KB.
    let many: String =
        (0..500).map(|cseq| format!("OPTIONS * RTSP/1.0\r\nCSeq: {cseq}\r\n\r\n")).collect();
    client.write_all(many.as_bytes()).unwrap();
    for cseq in 0..500 {
        let answer = answer(&mut client);
        assert!(answer.contains(&format!("CSeq: {cseq}\r\n")), "{answer}");
    }
}

#[test]
fn who_mixes_the_two_up_is_closed_and_harms_nobody() {
    let (site, address) = encrypted();
    let mut plain = RawClient::connect(address);
    plain.socket.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").unwrap();
    assert!(plain.is_closed_within(PATIENCE));
    let mut tls = connect(site.address());
    let _ = tls.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    assert!(tls.read(&mut [0; 100]).is_err());
    // A handshake that is begun and not ended, and one of garbage.
    let mut half = RawClient::connect(address);
    half.socket.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
    let mut garbage = RawClient::connect(address);
    let _ = garbage.socket.write_all(&[0xa5; 4000]);
    assert!(garbage.is_closed_within(PATIENCE) && half.is_closed_within(PATIENCE));
    let mut client = connect(address);
    client.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n").unwrap();
    assert_eq!(status(&answer(&mut client)), 200);
}
