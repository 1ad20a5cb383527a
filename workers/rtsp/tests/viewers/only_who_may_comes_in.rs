//! Users, their passwords and what each may do, over real sockets: the right password plays, a wrong one is
//! asked for again, later, and a session is good for who made it, where it was made.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use access::Access;
use protocol::config::Basic;
use shmring::clock;

use crate::datagrams_reach_their_viewers::own_ports;
use crate::harness::{Camera, Clip, PATIENCE, RawClient, Site, has, run, text};
use crate::secured::{PASSWORD, Visitor, challenges, guarded, session_of, status, url_of, users};

const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";

fn ffmpeg(url: &str) -> std::process::Output {
    let input = ["-v", "error", "-rtsp_transport", "tcp", "-i", url];
    run("ffmpeg", &[&input[..], &["-frames:v", "10", "-f", "null", "-"]].concat())
}

#[test]
fn ffmpeg_plays_with_the_right_password_and_tries_a_wrong_one_once() {
    if !has("ffmpeg") {
        return;
    }
    for basic in [Basic::Never, Basic::Always] {
        let site = guarded(basic);
        let _camera = Camera::start(&site.project, Clip::plain());
        let right = ffmpeg(&url_of(site.address(), "rtsp", "anna", PASSWORD));
        assert!(right.status.success(), "{}", text(&right.stderr));
        assert_eq!(site.wrong_passwords(), None);
        let wrong = ffmpeg(&url_of(site.address(), "rtsp", "anna", "wrong"));
        assert!(!wrong.status.success() && text(&wrong.stderr).contains("401"));
        assert_eq!(site.wrong_passwords().unwrap(), "wrong passwords from 127.0.0.1 (1)");
        let none = ffmpeg(&site.url());
        assert!(!none.status.success() && text(&none.stderr).contains("401"));
        let told = site.wrong_passwords().unwrap();
        assert_eq!(told, "wrong passwords from 127.0.0.1 (1)", "no password is no wrong one");
    }
}

/// RFC 7616 as Python's hashlib has it. Prints the statuses of a right answer, a wrong one, and a right one
/// with a count that was used before.
const PYTHON: &str = r#"
import hashlib, re, socket, sys
host, port, user, password, algorithm = sys.argv[1:]
url = f"rtsp://{host}:{port}/cam1"
digest = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]
h = lambda text: digest(text.encode()).hexdigest()
s = socket.create_connection((host, int(port)), timeout=60)
def ask(cseq, header=""):
    s.sendall(f"DESCRIBE {url} RTSP/1.0\r\nCSeq: {cseq}\r\n{header}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += s.recv(4096)
    head, body = answer.split(b"\r\n\r\n", 1)
    length = re.search(rb"Content-Length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += s.recv(4096)
    return head.decode()
def answer(challenge, password, count):
    realm = re.search('realm="([^"]*)"', challenge)[1]
    nonce = re.search('nonce="([^"]*)"', challenge)[1]
    nc, cnonce = f"{count:08x}", "abc123"
    response = h(":".join([h(f"{user}:{realm}:{password}"), nonce, nc, cnonce, "auth", h(f"DESCRIBE:{url}")]))
    return (f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{url}", '
            f'algorithm={algorithm}, qop=auth, nc={nc}, cnonce="{cnonce}", response="{response}"\r\n')
find = lambda head: re.search(f"WWW-Authenticate: (Digest [^\r]*algorithm={algorithm}[^\r]*)", head)[1]
challenge = find(ask(1))
right = ask(2, answer(challenge, password, 1))
again = ask(3, answer(challenge, password, 1))
wrong = ask(4, answer(find(again), "wrong", 1))
print(right.split()[1], again.split()[1], "stale=true" in again, wrong.split()[1], "stale=true" in wrong)
"#;

#[test]
fn python_agrees_on_both_digests_and_an_answer_is_good_once() {
    if !has_python() {
        return;
    }
    let site = guarded(Basic::Tls);
    let _camera = Camera::start(&site.project, Clip::plain());
    let address = site.address();
    for algorithm in ["MD5", "SHA-256"] {
        let arguments = [&address.ip().to_string(), &address.port().to_string(), "anna", PASSWORD];
        let mut python = Command::new("python3");
        python.arg("-c").arg(PYTHON).args(arguments).arg(algorithm);
        let output = python.stdin(Stdio::null()).output().unwrap();
        let seen = text(&output.stdout);
        assert_eq!(seen.trim(), "200 401 True 401 False", "{}", text(&output.stderr));
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn has_python() -> bool {
    let runs = Command::new("python3").arg("--version").output().is_ok() && has("ffmpeg");
    if !runs {
        eprintln!("skipped: python3 is not installed");
    }
    runs
}

#[test]
fn each_is_challenged_admitted_or_forbidden_by_path_and_nobody_learns_what_there_is() {
    let site = guarded(Basic::Always);
    let url = |path: &str| format!("rtsp://{}/{path}", site.address());
    let mut stranger = site.connect();
    assert_eq!(status(&stranger.ask("OPTIONS", "*", "")), 200);
    for path in ["cam1", "hall-1", "nowhere", ""] {
        let answer = stranger.ask("DESCRIBE", &url(path), "");
        assert_eq!(status(&answer), 401, "{answer}");
        let words: Vec<&str> =
            challenges(&answer).iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(words, ["Basic", "Digest", "Digest"], "each in a header of its own");
    }
    assert_eq!(status(&stranger.ask("DESCRIBE", &url("lobby"), "")), 404);
    for method in ["SETUP", "ANNOUNCE"] {
        assert_eq!(status(&stranger.ask(method, &url("cam1"), TCP)), 401);
    }
    let asks = |user, method, path: &str| {
        let mut visitor = Visitor::new(user, PASSWORD);
        status(&visitor.ask(&mut site.connect(), method, &url(path), ""))
    };
    assert_eq!(asks("anna", "DESCRIBE", "nowhere"), 404);
    assert_eq!(asks("guard", "DESCRIBE", "hall-1"), 404);
    assert_eq!(asks("guard", "DESCRIBE", "nowhere"), 403);
    assert_eq!(asks("guard", "DESCRIBE", "cam1"), 403);
    assert_eq!(asks("guard", "DESCRIBE", "lobby"), 404, "what everybody may, guard may");
    assert_eq!(asks("drone", "DESCRIBE", "cam1"), 403);
    assert_eq!(asks("guard", "ANNOUNCE", "hall-1"), 403);
}

/// A client of `cam1` that has set it up.
fn set_up(site: &Site, visitor: &mut Visitor) -> (RawClient, String) {
    let mut client = site.connect();
    let answer = visitor.ask(&mut client, "SETUP", &format!("{}/trackID=0", site.url()), TCP);
    assert_eq!(status(&answer), 200, "{answer}");
    (client, session_of(&answer))
}

#[test]
fn a_session_is_good_over_its_own_connection_and_in_its_own_name_alone() {
    if !has("ffmpeg") {
        return;
    }
    let site = guarded(Basic::Tls);
    let _camera = Camera::start(&site.project, Clip::plain());
    // `anna` and another who may play it as well.
    let mut anna = Visitor::new("anna", PASSWORD);
    let (mut hers, session) = set_up(&site, &mut anna);
    let named = format!("Session: {session}\r\n");

    // Another connection: of nobody, of somebody else, and of anna herself.
    let mut thief = site.connect();
    for method in ["PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"] {
        // Who asks for a session has to say who it is, before it is told whether there is one.
        assert_eq!(status(&thief.ask(method, &site.url(), &named)), 401, "{method}");
    }
    let mut again = Visitor::new("anna", PASSWORD);
    let (mut second, other) = set_up(&site, &mut again);
    assert_ne!(other, session);
    for method in ["PLAY", "TEARDOWN"] {
        let answer = again.ask(&mut second, method, &site.url(), &named);
        assert_eq!(status(&answer), 454, "{method}");
    }

    // Her connection, in another's name.
    let mut guard = Visitor::new("guard", PASSWORD);
    let path = format!("rtsp://{}/hall-1", site.address());
    assert_eq!(status(&guard.ask(&mut hers, "DESCRIBE", &path, "")), 404);
    let answer = guard.ask_once(&mut hers, "PLAY", &site.url(), &named);
    assert!(matches!(status(&answer), 403 | 454), "{answer}");
    let track = format!("{path}/trackID=0");
    let answer = guard.ask_once(&mut hers, "SETUP", &track, &format!("{TCP}{named}"));
    assert_eq!(status(&answer), 454, "{answer}");

    // All that harmed nobody: she plays, in her name or in none.
    let mut anew = Visitor::new("anna", PASSWORD);
    let answer = anew.ask(&mut hers, "DESCRIBE", &site.url(), "");
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(status(&anew.ask_once(&mut hers, "PLAY", &site.url(), &named)), 200);
    hers.frame();
    assert_eq!(status(&hers.ask("GET_PARAMETER", &site.url(), &named)), 200);
}

#[test]
fn a_session_over_datagrams_goes_on_by_another_connection_for_who_made_it_alone() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_as(|opening| {
        opening.access = Access::of(&users(), Basic::Tls).unwrap();
        opening.terms.udp_ports = "20000-28999".parse().unwrap();
    });
    let _camera = Camera::start(&site.project, Clip::plain());
    let (_rtp, _rtcp, ports) = own_ports();
    let (mut anna, mut hers) = (Visitor::new("anna", PASSWORD), site.connect());
    let transport = format!("Transport: RTP/AVP;unicast;client_port={ports}\r\n");
    let track = format!("{}/trackID=0", site.url());
    let answer = anna.ask(&mut hers, "SETUP", &track, &transport);
    assert_eq!(status(&answer), 200, "{answer}");
    let named = format!("Session: {}\r\n", session_of(&answer));
    assert_eq!(status(&hers.ask("PLAY", &site.url(), &named)), 200);

    assert_eq!(status(&site.connect().ask("PAUSE", &site.url(), &named)), 401);
    let (mut bert, mut his) = (Visitor::new("bert", PASSWORD), site.connect());
    let answer = bert.ask(&mut his, "PAUSE", &site.url(), &named);
    assert_eq!(status(&answer), 454, "{answer}");

    let (mut again, mut second) = (Visitor::new("anna", PASSWORD), site.connect());
    let answer = again.ask(&mut second, "PAUSE", &site.url(), &named);
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(status(&hers.ask("TEARDOWN", &site.url(), &named)), 200, "and back");
}

#[test]
fn wrong_passwords_over_many_connections_are_looked_at_one_a_second() {
    let site = guarded(Basic::Tls);
    let begun = clock::mono();
    let wrong = |client: &mut RawClient| {
        let mut visitor = Visitor::new("anna", "guess");
        visitor.learn(&client.ask("DESCRIBE", &site.url(), ""));
        let header = visitor.header("DESCRIBE", &site.url()).unwrap();
        let request = format!(
            "DESCRIBE {} RTSP/1.0\r\nCSeq: 9\r\nAuthorization: {header}\r\n\r\n",
            site.url()
        );
        client.socket.write_all(request.as_bytes()).unwrap();
    };
    let mut first = site.connect();
    wrong(&mut first);
    assert_eq!(status(&first.response()), 401);
    assert!(clock::mono().saturating_since(begun) >= Duration::from_secs(1), "told at once");
    // What is sent at once is looked at a second apart.
    let mut many: Vec<RawClient> = (0..2).map(|_| site.connect()).collect();
    many.iter_mut().for_each(wrong);
    for client in &mut many {
        assert_eq!(status(&client.response()), 401);
    }
    assert!(clock::mono().saturating_since(begun) >= Duration::from_secs(3), "guessed at once");
    assert_eq!(site.wrong_passwords().unwrap(), "wrong passwords from 127.0.0.1 (3)");
}

#[test]
fn who_does_not_say_who_it_is_is_ended_whatever_it_sends() {
    let site = guarded(Basic::Tls);
    let mut silent = site.connect();
    let mut busy = site.connect();
    // Each request is a sign of life, and says nothing of who it is.
    for _ in 0..20 {
        assert_eq!(status(&busy.ask("OPTIONS", "*", "")), 200);
    }
    assert_eq!(status(&busy.ask("DESCRIBE", &site.url(), "")), 401);
    assert!(busy.is_closed_within(PATIENCE) && silent.is_closed_within(PATIENCE));
}

#[test]
fn empty_endless_and_nonsensical_credentials_let_nobody_in() {
    let site = guarded(Basic::Always);
    for value in [
        "",
        "Basic",
        "Basic Og==",
        "Basic !",
        "Bearer x",
        "Digest",
        "Digest username=\"\", realm=\"framevisor\", nonce=\"\", uri=\"\", response=\"\"",
    ] {
        let line = format!("Authorization: {value}\r\n");
        let answer = site.connect().ask("DESCRIBE", &site.url(), &line);
        assert!(matches!(status(&answer), 400 | 401), "{value}: {answer}");
    }
    let mut client = site.connect();
    let line = format!("Authorization: Basic {}\r\n", "A".repeat(10_000));
    assert_eq!(status(&client.ask("DESCRIBE", &site.url(), &line)), 400);
    assert!(client.is_closed_within(PATIENCE));
    assert_eq!(status(&site.connect().ask("OPTIONS", "*", "")), 200);
}

#[test]
fn one_address_does_not_take_every_place() {
    let site = Site::open_as(|opening| opening.terms.per_address = Some(2));
    let mut inside: Vec<RawClient> = (0..2).map(|_| site.connect()).collect();
    for client in &mut inside {
        assert_eq!(status(&client.ask("OPTIONS", "*", "")), 200);
    }
    let mut third = site.connect();
    assert_eq!(status(&third.ask("OPTIONS", "*", "")), 503);
    assert!(third.is_closed_within(PATIENCE));
}
