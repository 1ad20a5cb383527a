//! Against a device of a script: over UDP who it is, over HTTP what it has.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use protocol::units::Span;

use super::*;

const USER: &str = "operator";
const PASSWORD: &str = "s3cret";

/// How the device behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It looks at the token of each envelope.
    Token,
    /// HTTP digest, whatever the envelope says.
    HttpDigest,
    /// It says that its service is at another host.
    Elsewhere,
    /// What it answers over UDP is hostile.
    Hostile,
}

/// Answers for ever on loopback; each request that came over HTTP is kept.
struct Device {
    udp: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Device {
    fn start(manner: Manner) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let http = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, port) = (udp.local_addr().unwrap(), http.local_addr().unwrap().port());
        let host = if manner == Manner::Elsewhere { "192.0.2.1" } else { "127.0.0.1" };
        let service = format!("http://{host}:{port}/onvif/device_service");
        thread::spawn(move || introduce(&udp, &service, manner));
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let keeper = Arc::clone(&heard);
        thread::spawn(move || {
            for connection in http.incoming() {
                // One that breaks off harms no other.
                let _ = serve(&connection.unwrap(), port, manner, &keeper);
            }
        });
        Self { udp: address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn introduce(udp: &UdpSocket, service: &str, manner: Manner) {
    let mut buffer = vec![0; 65_536];
    while let Ok((bytes, from)) = udp.recv_from(&mut buffer) {
        let question = xml::read(&buffer[..bytes]).unwrap();
        let id = question.text_of("MessageID").unwrap().to_owned();
        assert_eq!(question.text_of("Types"), Some("dn:NetworkVideoTransmitter"));
        let hostile = [
            b"<!DOCTYPE a [<!ENTITY b 'bb'>]><a>&b;</a>".to_vec(),
            "<a>".repeat(10_000).into_bytes(),
            vec![0xff; 60_000],
        ];
        for bytes in hostile.iter().filter(|_| manner == Manner::Hostile) {
            let _ = udp.send_to(bytes, from);
        }
        let answer = format!(
            "<s:E xmlns:s='x'><s:Header><w:RelatesTo>{id}</w:RelatesTo></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch>\
             <w:EndpointReference><w:Address>urn:uuid:the-device</w:Address></w:EndpointReference>\
             <d:Scopes>onvif://www.onvif.org/name/Gate onvif://www.onvif.org/hardware/C-7</d:Scopes>\
             <d:XAddrs>{service}</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body></s:E>"
        );
        let _ = udp.send_to(answer.as_bytes(), from);
    }
}

fn serve(
    connection: &TcpStream,
    port: u16,
    manner: Manner,
    heard: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut out = connection.try_clone()?;
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let answer = reply(&head, &body, port, manner);
        heard.lock().unwrap().push(head + &body);
        out.write_all(answer.as_bytes())?;
    }
}

fn reply(head: &str, body: &str, port: u16, manner: Manner) -> String {
    let asked = xml::read(body.as_bytes()).unwrap();
    let is_known = match manner {
        _ if asked.find("GetSystemDateAndTime").is_some() => true,
        Manner::HttpDigest => {
            head.to_lowercase().contains("authorization: digest username=\"operator\"")
        }
        _ => asked.text_of("Username") == Some(USER) && proves(&asked),
    };
    if !is_known && manner == Manner::HttpDigest {
        let challenge = "Digest realm=\"cam\", nonce=\"abc\", qop=\"auth\"";
        return format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\
             WWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"
        );
    }
    let (status, text) = if is_known {
        ("200 OK", answer_to(&asked, port))
    } else {
        let fault = "<f:Fault><f:Code><f:Value>f:Sender</f:Value><f:Subcode><f:Value>ter:NotAuthorized</f:Value>\
                     </f:Subcode></f:Code></f:Fault>";
        ("400 Bad Request", fault.to_owned())
    };
    let text = format!("<f:Envelope xmlns:f='x'><f:Body>{text}</f:Body></f:Envelope>");
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

/// By the device's own clock, which is years behind.
fn proves(asked: &xml::Element) -> bool {
    use base64::Engine;
    use sha1::Digest;
    let engine = base64::engine::general_purpose::STANDARD;
    let nonce = engine.decode(asked.text_of("Nonce").unwrap_or_default()).unwrap_or_default();
    let created = asked.text_of("Created").unwrap_or_default();
    let parts = [&nonce[..], created.as_bytes(), PASSWORD.as_bytes()].concat();
    let digest = engine.encode(sha1::Sha1::digest(parts));
    created.starts_with("2010-09-16T") && asked.text_of("Password") == Some(digest.as_str())
}

fn answer_to(asked: &xml::Element, port: u16) -> String {
    if asked.find("GetSystemDateAndTime").is_some() {
        return "<R><UTCDateTime><Time><Hour>7</Hour><Minute>50</Minute><Second>45</Second></Time>\
                <Date><Year>2010</Year><Month>9</Month><Day>16</Day></Date></UTCDateTime></R>"
            .to_owned();
    }
    if asked.find("GetCapabilities").is_some() {
        return format!("<R><Media><XAddr>http://127.0.0.1:{port}/onvif/media</XAddr></Media></R>");
    }
    if asked.find("GetProfiles").is_some() {
        let profile = |token: &str, width: u32, height: u32| {
            format!(
                "<Profiles token='{token}'><Name>{token}</Name><VideoEncoderConfiguration><Encoding>H264</Encoding>\
                 <Width>{width}</Width><Height>{height}</Height></VideoEncoderConfiguration></Profiles>"
            )
        };
        return format!("<R>{}{}</R>", profile("main", 1920, 1080), profile("sub", 640, 360));
    }
    let token = asked.text_of("ProfileToken").unwrap_or_default();
    format!("<R><MediaUri><Uri>rtsp://127.0.0.1:554/{token}</Uri></MediaUri></R>")
}

/// Asked again, and longer, where a slow machine has not let the device answer in time. `expected`: part of what
/// is said of it, or nothing.
fn found_by(device: &Device, login: Option<(&str, &str)>, expected: Option<&str>) -> Discovered {
    let asked = |within_ms| {
        let wanted = Discover {
            on: Vec::new(),
            to: vec![device.udp],
            within: Span::from_millis(within_ms),
            has_login: login.is_some(),
        };
        let login = login
            .map(|(user, password)| Login { user: user.to_owned(), password: password.to_owned() });
        discovered(&wanted, login).unwrap()
    };
    let is_it = |found: &Discovered| {
        found.devices.first().is_some_and(|device| match (&device.problem, expected) {
            (Some(problem), Some(words)) => problem.contains(words),
            (problem, words) => problem.is_none() && words.is_none(),
        })
    };
    let mut found = asked(1_500);
    for within_ms in [1_500, 5_000, 10_000, 20_000] {
        if is_it(&found) {
            break;
        }
        found = asked(within_ms);
    }
    found
}

fn check_whole(found: &Discovered) {
    let [device] = &found.devices[..] else { panic!("{found:?}") };
    assert_eq!((device.name.as_deref(), device.hardware.as_deref()), (Some("Gate"), Some("C-7")));
    assert_eq!(device.problem, None);
    let urls: Vec<_> = device.profiles.iter().map(|profile| profile.url.as_deref()).collect();
    assert_eq!(urls, [Some("rtsp://127.0.0.1:554/main"), Some("rtsp://127.0.0.1:554/sub")]);
    let lines = "    url: 'rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@127.0.0.1:554/main'\n    sub: ";
    assert!(found.topology.contains(lines), "{}", found.topology);
}

#[test]
fn a_device_is_found_and_asked_by_a_token_of_its_own_time() {
    let device = Device::start(Manner::Token);
    let found = found_by(&device, Some((USER, PASSWORD)), None);
    check_whole(&found);
    assert!(!device.heard().iter().any(|text| text.contains(PASSWORD)), "{:?}", device.heard());
}

#[test]
fn a_device_that_wants_http_digest_gets_it_and_never_the_password() {
    let device = Device::start(Manner::HttpDigest);
    check_whole(&found_by(&device, Some((USER, PASSWORD)), None));
    let heard = device.heard();
    assert!(
        !heard.iter().any(|text| text.contains(PASSWORD) || text.contains("Basic ")),
        "{heard:?}"
    );
}

#[test]
fn a_wrong_password_and_none_are_told_apart() {
    let device = Device::start(Manner::Token);
    let refused = "user or password refused";
    let wrong = found_by(&device, Some((USER, "wrong")), Some(refused));
    assert!(wrong.devices[0].problem.as_deref().is_some_and(|it| it.contains(refused)));
    let none = found_by(&device, None, Some("wants a user"));
    assert!(none.devices[0].problem.as_deref().is_some_and(|it| it.contains("wants a user")));
    assert_eq!(none.topology, "");
}

#[test]
fn a_stranger_does_not_choose_whom_we_speak_to() {
    let device = Device::start(Manner::Elsewhere);
    let elsewhere = Some("not where it answered from");
    let found = found_by(&device, Some((USER, PASSWORD)), elsewhere);
    let problem = found.devices[0].problem.clone().unwrap_or_default();
    assert!(problem.contains("not where it answered from"), "{problem}");
    assert!(device.heard().is_empty());
}

#[test]
fn hostile_answers_are_passed_over() {
    let device = Device::start(Manner::Hostile);
    check_whole(&found_by(&device, Some((USER, PASSWORD)), None));
}

#[test]
fn where_nobody_is_nobody_is_found() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let wanted = Discover {
        on: Vec::new(),
        to: vec![nobody.local_addr().unwrap()],
        within: Span::from_millis(100),
        has_login: false,
    };
    let found = discovered(&wanted, None).unwrap();
    assert_eq!((found.devices.len(), found.topology.as_str()), (0, ""));
}
