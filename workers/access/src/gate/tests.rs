//! The conversation about who somebody is, against a client of other hands (`http-auth`).

use http_auth::{PasswordClient, PasswordParams};
use protocol::config::access::ANYONE;
use protocol::config::{UserConfig, Users};
use protocol::secret::Secret;

use super::*;

const URI: &str = "rtsp://127.0.0.1:8554/cam1";
const START: MonoNs = MonoNs(1_000_000_000_000);

fn users() -> Users {
    let user = |password: Option<&str>, play: &str| UserConfig {
        password: password.map(Secret::new),
        play: play.into(),
        ..UserConfig::default()
    };
    [("anna".to_owned(), user(Some("hunter2"), "cam*")), (ANYONE.to_owned(), user(None, "lobby"))]
        .into()
}

struct Scene {
    access: Access,
    gate: Gate,
    asked: Asked<'static>,
}

impl Scene {
    fn of(basic: Basic) -> Self {
        let asked = Asked {
            method: "DESCRIBE",
            uri: URI,
            authorization: None,
            action: Action::Play,
            path: "cam1",
            is_secure: false,
            is_lenient: false,
            now: START,
            chance: 0xfeed,
        };
        Self { access: Access::of(&users(), basic).unwrap(), gate: Gate::default(), asked }
    }

    fn judge(&mut self, authorization: Option<&str>) -> Verdict {
        self.gate.judge(&self.access, &Asked { authorization, ..self.asked })
    }

    fn challenge(&mut self) -> Challenge {
        match self.judge(None) {
            Verdict::Challenged(challenge) => challenge,
            other => panic!("{other:?}"),
        }
    }
}

/// What `http-auth` makes of those challenges that contain `word`.
fn client(challenge: &Challenge, word: &str) -> PasswordClient {
    let mut builder = PasswordClient::builder();
    for line in challenge.0.iter().filter(|line| line.contains(word)) {
        builder = builder.challenges(line);
    }
    builder.build().unwrap()
}

fn respond(client: &mut PasswordClient, user: &str, password: &str, method: &str) -> String {
    let params = PasswordParams { username: user, password, uri: URI, method, body: Some(&[]) };
    client.respond(&params).unwrap()
}

fn anna() -> Verdict {
    Verdict::Admitted(Identity::User("anna".into()))
}

#[test]
fn another_implementation_gets_in_with_either_digest_and_counts_up() {
    for word in ["algorithm=SHA-256", "algorithm=MD5"] {
        let mut scene = Scene::of(Basic::Never);
        let mut client = client(&scene.challenge(), word);
        for _ in 0..3 {
            let header = respond(&mut client, "anna", "hunter2", "DESCRIBE");
            assert_eq!(scene.judge(Some(&header)), anna(), "{word}");
        }
    }
}

#[test]
fn a_wrong_password_a_wrong_name_and_another_method_are_guesses() {
    for (user, password, method) in [
        ("anna", "hunter3", "DESCRIBE"),
        ("bert", "hunter2", "DESCRIBE"),
        ("anna", "hunter2", "SETUP"),
        ("anyone", "", "DESCRIBE"),
    ] {
        let mut scene = Scene::of(Basic::Never);
        let mut client = client(&scene.challenge(), "SHA-256");
        let header = respond(&mut client, user, password, method);
        assert!(matches!(scene.judge(Some(&header)), Verdict::Wrong(_)), "{user} {password}");
    }
}

#[test]
fn the_challenge_offers_the_best_first_and_md5_last_and_keeps_its_nonce() {
    let mut scene = Scene::of(Basic::Always);
    let first = scene.challenge();
    let words = ["Basic", "algorithm=SHA-256", "algorithm=MD5"];
    assert_eq!(first.0.len(), words.len());
    assert!(first.0.iter().zip(words).all(|(line, word)| line.contains(word)), "{first:?}");
    scene.asked.chance += 1;
    assert_eq!(scene.challenge(), first, "who asks twice may answer the first");
}

#[test]
fn an_answer_is_good_once() {
    let mut scene = Scene::of(Basic::Never);
    let mut client = client(&scene.challenge(), "MD5");
    let header = respond(&mut client, "anna", "hunter2", "DESCRIBE");
    assert_eq!(scene.judge(Some(&header)), anna());
    scene.asked.chance += 1;
    let Verdict::Challenged(challenge) = scene.judge(Some(&header)) else { panic!() };
    assert!(challenge.0.iter().all(|line| line.ends_with("stale=true")), "{challenge:?}");
    let mut again = crate::gate::tests::client(&challenge, "MD5");
    let header = respond(&mut again, "anna", "hunter2", "DESCRIBE");
    assert_eq!(scene.judge(Some(&header)), anna(), "a new nonce counts from one");
}

#[test]
fn an_answer_from_another_connection_opens_nothing_and_is_no_guess() {
    let (mut here, mut there) = (Scene::of(Basic::Never), Scene::of(Basic::Never));
    there.asked.chance += 1;
    there.challenge();
    let mut client = client(&here.challenge(), "SHA-256");
    let header = respond(&mut client, "anna", "hunter2", "DESCRIBE");
    assert!(matches!(there.judge(Some(&header)), Verdict::Challenged(_)));
    let mut never_asked = Scene::of(Basic::Never);
    assert!(matches!(never_asked.judge(Some(&header)), Verdict::Challenged(_)));
}

#[test]
fn an_old_nonce_is_stale_but_for_what_only_keeps_alive() {
    let mut scene = Scene::of(Basic::Never);
    let mut client = client(&scene.challenge(), "SHA-256");
    scene.asked.now = START + NONCE_AGE + Duration::from_secs(1);
    scene.asked.is_lenient = true;
    let header = respond(&mut client, "anna", "hunter2", "DESCRIBE");
    assert_eq!(scene.judge(Some(&header)), anna());
    scene.asked.is_lenient = false;
    let header = respond(&mut client, "anna", "hunter2", "DESCRIBE");
    assert!(matches!(scene.judge(Some(&header)), Verdict::Challenged(_)));
}

#[test]
fn rules_are_asked_after_the_password_and_everybody_gets_what_everybody_may() {
    let mut scene = Scene::of(Basic::Always);
    scene.asked.path = "yard";
    let right = "Basic YW5uYTpodW50ZXIy";
    assert_eq!(scene.judge(Some(right)), Verdict::Forbidden);
    assert!(matches!(scene.judge(None), Verdict::Challenged(_)));
    scene.asked.path = "lobby";
    assert_eq!(scene.judge(None), Verdict::Admitted(Identity::Anyone));
    assert_eq!(scene.judge(Some(right)), anna());
    assert_eq!(scene.judge(Some("Bearer x")), Verdict::Admitted(Identity::Anyone));
    scene.asked.action = Action::Publish;
    assert_eq!(scene.judge(Some(right)), Verdict::Forbidden);
}

#[test]
fn a_password_as_it_is_comes_through_tls_alone_unless_the_file_says_so() {
    let (right, wrong) = ("Basic YW5uYTpodW50ZXIy", "Basic YW5uYTpodW50ZXIz");
    for (basic, is_secure, is_taken) in [
        (Basic::Tls, true, true),
        (Basic::Tls, false, false),
        (Basic::Always, false, true),
        (Basic::Never, true, false),
    ] {
        let mut scene = Scene::of(basic);
        scene.asked.is_secure = is_secure;
        let offered = scene.challenge().0.iter().any(|line| line.starts_with("Basic"));
        assert_eq!(offered, is_taken);
        assert_eq!(scene.judge(Some(right)) == anna(), is_taken);
        // One that is not looked at tells nothing, right or wrong.
        let is_guess = matches!(scene.judge(Some(wrong)), Verdict::Wrong(_));
        assert_eq!(is_guess, is_taken);
    }
}

#[test]
fn an_answer_for_another_place_is_wrong_and_players_may_write_the_place_their_way() {
    for (answered, asked) in [
        ("rtsp://h/cam1", "rtsp://h/cam1"),
        ("rtsp://h/cam1/", "rtsp://h/cam1"),
        ("rtsp://h/cam1", "rtsp://h:8554/cam1/trackID=0"),
        ("/cam1", "rtsp://h/cam1/trackID=0"),
        ("rtsp://h/cam1", "rtsp://h/cam1?x=y"),
        ("rtsp://h", "rtsp://h/"),
    ] {
        assert!(is_within(answered, asked), "{answered} {asked}");
    }
    for (answered, asked) in [
        ("rtsp://h/cam", "rtsp://h/cam1"),
        ("rtsp://h/cam2", "rtsp://h/cam1"),
        ("", "rtsp://h/cam1"),
        ("rtsp://h/", "rtsp://h/cam1"),
        ("rtsp://h/cam1/trackID=0", "rtsp://h/cam1"),
    ] {
        assert!(!is_within(answered, asked), "{answered} {asked}");
    }
}

/// What anybody can write into a query is not taken for the place that an answer was made for.
#[test]
fn a_scheme_and_a_host_within_a_query_or_a_path_are_part_of_the_place() {
    let gate = Gate::of(Arc::new(Mint::new([7; 32])));
    for (answered, asked) in [
        ("/snap/hall.jpg", "/api/v1/cameras?x=://h/snap/hall.jpg"),
        ("/snap/hall.jpg", "/api/v1/cameras://h/snap/hall.jpg"),
        ("/snap/hall.jpg", "http://h?x=/snap/hall.jpg"),
        ("/api?x=://h/snap/hall.jpg", "/snap/hall.jpg"),
    ] {
        assert!(!gate.is_for(answered, asked), "{answered} {asked}");
    }
    for (answered, asked) in [
        ("http://h/snap/hall.jpg", "/snap/hall.jpg"),
        ("/snap/hall.jpg", "https://h/snap/hall.jpg"),
        ("/api?x=://h/a", "/api?x=://h/a"),
    ] {
        assert!(gate.is_for(answered, asked), "{answered} {asked}");
    }
}

#[test]
fn an_open_server_asks_nobody_and_looks_at_no_password() {
    let mut scene = Scene::of(Basic::Always);
    scene.access = Access::open();
    for header in [None, Some("Basic YW5uYTpodW50ZXIz"), Some("Digest nonsense")] {
        assert_eq!(scene.judge(header), Verdict::Admitted(Identity::Anyone));
    }
}

/// As a browser has it: requests go over whatever connection is free.
#[test]
fn a_signed_nonce_is_good_on_every_connection_for_one_place_until_it_is_old() {
    let mint = Arc::new(Mint::new([7; 32]));
    let mut scene = Scene::of(Basic::default());
    scene.gate = Gate::of(Arc::clone(&mint));
    let challenge = scene.challenge();
    let mut client = client(&challenge, "SHA-256");
    let answer = respond(&mut client, "anna", "hunter2", "DESCRIBE");
    let anna = scene.judge(Some(&answer));
    assert!(
        matches!(&anna, Verdict::Admitted(Identity::User(name)) if &**name == "anna"),
        "{anna:?}"
    );

    let mut other = Scene { gate: Gate::of(mint), ..Scene::of(Basic::default()) };
    assert_eq!(other.judge(Some(&answer)), anna, "on another connection, and a second time");
    other.asked.now = START + NONCE_AGE + Duration::from_secs(1);
    let Verdict::Challenged(challenge) = other.judge(Some(&answer)) else {
        panic!("an old answer")
    };
    assert!(challenge.0.iter().all(|line| line.contains("stale=true")), "{challenge:?}");
    other.asked.now = START;
    other.asked.uri = "rtsp://127.0.0.1:8554/cam1/trackID=0";
    assert!(matches!(other.judge(Some(&answer)), Verdict::Wrong(_)), "for another place");

    let mut elsewhere = Scene::of(Basic::default());
    elsewhere.gate = Gate::of(Arc::new(Mint::new([8; 32])));
    assert!(matches!(elsewhere.judge(Some(&answer)), Verdict::Challenged(_)), "of another server");
}
