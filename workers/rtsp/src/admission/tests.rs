//! Who is asked what for which request, without a socket.

use access::Access;
use http_auth::{PasswordClient, PasswordParams};
use protocol::config::{Basic, UserConfig, Users};
use protocol::secret::Secret;

use super::*;
use crate::inbox::{Inbound, Inbox};

const START: MonoNs = MonoNs(1_000_000_000_000);
const HOST: &str = "rtsp://127.0.0.1:8554";

/// `anna` plays everything, `guard` `cam1` and `judge` what was recorded of it, `drone` publishes to `sky`, and `lobby` is
/// everybody's.
fn users() -> Users {
    let user = |password: Option<&str>, play: &str, publish: &str| UserConfig {
        password: password.map(Secret::new),
        play: play.into(),
        publish: publish.into(),
    };
    [
        ("anna".to_owned(), user(Some("pw"), "*", "none")),
        ("guard".to_owned(), user(Some("pw"), "cam1", "none")),
        ("judge".to_owned(), user(Some("pw"), "recordings/cam1", "none")),
        ("drone".to_owned(), user(Some("pw"), "none", "sky")),
        ("anyone".to_owned(), user(None, "lobby", "none")),
    ]
    .into()
}

struct Door {
    admission: Admission,
    now: MonoNs,
    chance: u128,
    clients: Vec<(&'static str, PasswordClient)>,
}

impl Door {
    fn of(access: Access) -> Self {
        let lobby = Arc::new(Lobby::new(access));
        let admission = Admission::new(lobby, false, START);
        Self { admission, now: START, chance: 0, clients: Vec::new() }
    }

    fn guarded() -> Self {
        Self::of(Access::of(&users(), Basic::Never).unwrap())
    }

    fn judge(&mut self, request: &Request<Vec<u8>>) -> Ruling {
        self.chance += 1;
        self.admission.judge(request, self.now, self.chance)
    }

    /// 0 is that it is answered, above 1000 that it was a guess.
    fn status(&mut self, request: &Request<Vec<u8>>) -> u16 {
        match self.judge(request) {
            Ruling::Answer => 0,
            Ruling::Refuse(response) => response.status().into(),
            Ruling::Wrong(response) => u16::from(response.status()) + 1000,
        }
    }

    fn nobody(&mut self, method: &str, path: &str, lines: &str) -> u16 {
        self.status(&request(method, path, lines))
    }

    /// In the name of `user`, who answers a challenge once.
    fn named(&mut self, user: &'static str, method: &str, path: &str, lines: &str) -> u16 {
        let header = self.header(user, "pw", method, path);
        match self.judge(&request(method, path, &format!("{lines}{header}"))) {
            Ruling::Refuse(response) if response.status() == StatusCode::Unauthorized => {
                self.learn(user, &response);
                let header = self.header(user, "pw", method, path);
                self.status(&request(method, path, &format!("{lines}{header}")))
            }
            Ruling::Answer => 0,
            Ruling::Refuse(response) => response.status().into(),
            Ruling::Wrong(response) => u16::from(response.status()) + 1000,
        }
    }

    /// As [`Self::named`], with what `user` knows of the last challenge.
    fn named_once(&mut self, user: &'static str, method: &str, path: &str) -> u16 {
        let header = self.header(user, "pw", method, path);
        self.status(&request(method, path, &header))
    }

    /// Empty of a user who has not been asked yet.
    fn header(&mut self, user: &str, password: &str, method: &str, path: &str) -> String {
        let found = self.clients.iter_mut().find(|(name, _)| *name == user);
        let Some((_, client)) = found else { return String::new() };
        let uri = &format!("{HOST}/{path}");
        let params = PasswordParams { username: user, password, uri, method, body: Some(&[]) };
        format!("Authorization: {}\r\n", client.respond(&params).unwrap())
    }

    fn learn(&mut self, user: &'static str, response: &Response<Vec<u8>>) {
        let lines = response.header(&headers::WWW_AUTHENTICATE).unwrap().as_str();
        let mut builder = PasswordClient::builder();
        for line in lines.split("\r\nWWW-Authenticate: ") {
            builder = builder.challenges(line);
        }
        self.clients.retain(|(name, _)| *name != user);
        self.clients.push((user, builder.build().unwrap()));
    }

    /// That the session answered it with 200.
    fn done(&mut self, method: &str, path: &str) {
        let request = request(method, path, "");
        let torn_down = method == "TEARDOWN";
        let event = if torn_down { Event::TornDown } else { Event::None };
        self.admission.answered(&request, StatusCode::Ok, event);
    }
}

fn request(method: &str, path: &str, lines: &str) -> Request<Vec<u8>> {
    let mut inbox = Inbox::default();
    let text = format!("{method} {HOST}/{path} RTSP/1.0\r\nCSeq: 1\r\n{lines}\r\n");
    inbox.push(text.as_bytes(), START);
    match inbox.next(false, START) {
        Ok(Some(Inbound::Request(request))) => request,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn what_makes_something_is_asked_for_and_what_needs_a_session_is_left_to_the_session() {
    let mut door = Door::guarded();
    for method in ["DESCRIBE", "SETUP", "ANNOUNCE"] {
        assert_eq!(door.nobody(method, "cam1", ""), 401, "{method}");
    }
    for method in ["OPTIONS", "PLAY", "PAUSE", "RECORD", "TEARDOWN", "GET_PARAMETER", "FROB"] {
        assert_eq!(door.nobody(method, "cam1", ""), 0, "{method}");
    }
    assert_eq!(door.nobody("DESCRIBE", "lobby", ""), 0);
    assert_eq!(door.nobody("ANNOUNCE", "lobby", ""), 401);
}

#[test]
fn without_users_nobody_is_asked() {
    let mut door = Door::of(Access::open());
    for method in ["DESCRIBE", "SETUP", "ANNOUNCE", "PLAY"] {
        assert_eq!(door.nobody(method, "cam1", "Authorization: Basic x\r\n"), 0, "{method}");
    }
    assert_eq!(door.admission.stranger_until(), None);
    let anna = "Authorization: Basic YW5uYTpwdw==\r\n";
    assert_eq!(door.admission.claimed(&request("PLAY", "x", anna)), None);
}

#[test]
fn a_request_that_is_wrong_in_itself_is_told_so_by_the_session() {
    let mut door = Door::guarded();
    let mut inbox = Inbox::default();
    inbox.push(b"DESCRIBE rtsp://h/cam1 RTSP/1.0\r\n\r\n", START);
    let Ok(Some(Inbound::Request(request))) = inbox.next(false, START) else { panic!() };
    assert_eq!(door.status(&request), 0, "no CSeq: 400");
    assert_eq!(door.nobody("DESCRIBE", "cam1", "Require: x\r\n"), 0, "551");
}

#[test]
fn who_was_let_in_is_no_stranger_and_may_stay() {
    let mut door = Door::guarded();
    let until = START + STRANGER_TIME;
    assert_eq!(door.admission.stranger_until(), Some(until));
    assert_eq!(door.nobody("OPTIONS", "cam1", ""), 0);
    assert_eq!(door.nobody("DESCRIBE", "cam1", ""), 401);
    assert_eq!(door.admission.stranger_until(), Some(until));
    assert_eq!(door.named("anna", "DESCRIBE", "cam1", ""), 0);
    assert_eq!(door.admission.stranger_until(), None);
    assert!(door.admission.is_known());
    // Saying so again is no guess; in another's name it may be one.
    let anna = "Authorization: Basic YW5uYTpwdw==\r\n";
    assert_eq!(door.admission.claimed(&request("PLAY", "x", anna)).unwrap(), "anna");
    assert!(door.admission.is_already("anna") && !door.admission.is_already("drone"));
    assert_eq!(door.admission.claimed(&request("PLAY", "x", "Authorization: Digest x\r\n")), None);
}

#[test]
fn who_publishes_needs_that_right_for_the_announced_path_and_its_tracks() {
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
    let mut door = Door::guarded();
    assert_eq!(door.named("anna", "ANNOUNCE", "sky", ""), 403);
    assert_eq!(door.named("drone", "ANNOUNCE", "cam1", ""), 403);
    assert_eq!(door.named("drone", "ANNOUNCE", "sky", ""), 0);
    door.done("ANNOUNCE", "sky");
    // ffmpeg names its tracks below the path; some leave the mode out.
    let lines = format!("{transport};mode=record\r\n");
    assert_eq!(door.named("drone", "SETUP", "sky/streamid=0", &lines), 0);
    door.done("SETUP", "sky/streamid=0");
    assert_eq!(door.named("drone", "SETUP", "sky/streamid=1", &format!("{transport}\r\n")), 0);
    assert_eq!(door.named("drone", "RECORD", "sky", ""), 0);
    assert_eq!(door.nobody("RECORD", "sky", ""), 0);
    assert_eq!(door.named("anna", "SETUP", "sky/streamid=2", &lines), 403);
    // Another path is another matter.
    assert_eq!(door.named("drone", "SETUP", "skyline", &lines), 403);

    let mut other = Door::guarded();
    let quoted = format!("{transport};mode=\"RECORD\"\r\n");
    assert_eq!(other.named("anna", "SETUP", "sky", &quoted), 403, "no right to publish");
    assert_eq!(other.named("drone", "SETUP", "sky", &format!("{transport}\r\n")), 403);
}

#[test]
fn recordings_have_a_path_of_their_own_for_rules_whatever_times_are_asked_for() {
    let mut door = Door::guarded();
    for path in [
        "recordings/cam1",
        "recordings/cam1?from=2026-11-20T13:09:00Z",
        "recordings/cam1/from=20261120T130900Z/to=20261120T131000Z/trackID=0",
    ] {
        assert_eq!(door.named("judge", "DESCRIBE", path, ""), 0, "{path}");
        assert_eq!(door.named("anna", "DESCRIBE", path, ""), 0, "{path}");
        assert_eq!(door.named("guard", "DESCRIBE", path, ""), 403, "{path}: the camera alone");
        assert_eq!(door.nobody("DESCRIBE", path, ""), 401, "{path}");
    }
    for path in ["cam1", "recordings/cam10", "recordings", "recordings/cam1x/from=20261120T130900Z"]
    {
        assert_eq!(door.named("judge", "DESCRIBE", path, ""), 403, "{path}");
    }
    assert_eq!(door.named("guard", "DESCRIBE", "cam1", ""), 0);
}

#[test]
fn a_session_is_its_makers_until_it_is_torn_down() {
    let mut door = Door::guarded();
    assert_eq!(door.named("anna", "SETUP", "cam1/trackID=0", ""), 0);
    door.done("SETUP", "cam1/trackID=0");
    assert_eq!(door.named("anna", "PLAY", "cam1", ""), 0);
    assert_eq!(door.nobody("PAUSE", "cam1", ""), 0, "the connection says who it is");
    assert_eq!(door.named("drone", "DESCRIBE", "cam1", ""), 403);
    for method in ["PLAY", "TEARDOWN", "GET_PARAMETER"] {
        assert_eq!(door.named("drone", method, "lobby", ""), 454, "{method}");
        assert_eq!(door.named("drone", method, "cam1", ""), 403, "{method}");
    }
    assert_eq!(door.named("drone", "SETUP", "lobby/trackID=0", ""), 454);
    assert_eq!(door.named("anna", "TEARDOWN", "cam1", ""), 0);
    door.done("TEARDOWN", "cam1");
    assert_eq!(door.named("drone", "SETUP", "lobby/trackID=0", ""), 0);
}

#[test]
fn a_keep_alive_is_good_with_an_old_nonce_and_play_is_asked_again() {
    let mut door = Door::guarded();
    assert_eq!(door.named("anna", "SETUP", "cam1", ""), 0);
    door.done("SETUP", "cam1");
    door.now = START + Duration::from_secs(3600);
    assert_eq!(door.named_once("anna", "GET_PARAMETER", "cam1"), 0);
    assert_eq!(door.named_once("anna", "PLAY", "cam1"), 401);
    assert_eq!(door.named("anna", "PLAY", "cam1", ""), 0, "with a new nonce");
}

#[test]
fn a_wrong_password_is_told_apart_from_none() {
    let mut door = Door::guarded();
    door.named("anna", "DESCRIBE", "cam1", "");
    let line = door.header("anna", "guess", "DESCRIBE", "cam1");
    assert_eq!(door.nobody("DESCRIBE", "cam1", &line), 1401);
    assert_eq!(door.nobody("DESCRIBE", "cam1", "Authorization: Digest nonsense\r\n"), 401);
}
