//! Who is let in, and to what: passwords, tokens, rights and sub-paths, through the whole router.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Extension;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use fake::Fake;
use http_auth::{PasswordClient, PasswordParams};
use protocol::config::{BasePath, Basic, HostName, Right, TokenConfig, UserConfig, WebConfig};
use protocol::secret::Secret;
use serde_json::{Value, json};
use tower::ServiceExt;
use web::control::Socket;
use web::events::WorkerChange;
use web::guard::Rules;
use web::guard::forwarded::Peer;
use web::guard::need::Need;
use web::route::{guarded, routes};
use web::site::{About, Site};

const OPS: &str = "ops-0123456789-0123456789";
const TILL: &str = "till-0123456789-0123456789";
const READS: &str = "reads-0123456789-0123456789";

/// `anna` sees all, `guard` the first camera alone. `ops` may everything, `till` comments on the second camera,
/// `reads` reads.
fn config() -> WebConfig {
    let user = |password: &str, play: &str| UserConfig {
        password: Some(Secret::new(password)),
        play: play.into(),
        ..UserConfig::default()
    };
    let token = |token: &str, may: &[Right], cameras: &str| TokenConfig {
        token: Secret::new(token),
        may: may.to_vec(),
        cameras: cameras.into(),
    };
    WebConfig {
        users: [
            ("anna".to_owned(), user("pw-anna", "*")),
            ("guard".to_owned(), user("pw-guard", "cam01")),
        ]
        .into(),
        tokens: [
            ("ops".to_owned(), token(OPS, &Right::ALL, "*")),
            ("till".to_owned(), token(TILL, &[Right::Comment], "cam02")),
            ("reads".to_owned(), token(READS, &[Right::Read], "*")),
        ]
        .into(),
        basic: Basic::Always,
        ..WebConfig::default()
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn challenges(&self) -> Vec<&str> {
        let lines = self.headers.get_all(header::WWW_AUTHENTICATE).iter();
        lines.map(|line| line.to_str().unwrap()).collect()
    }
}

struct Place {
    router: Router,
    site: Arc<Site>,
}

impl Place {
    fn of(config: &WebConfig) -> Self {
        Self::at(config, Arc::new(Fake::of(6)).site())
    }

    fn at(config: &WebConfig, site: Arc<Site>) -> Self {
        let rules = Rules::of(config).unwrap();
        Self { router: guarded(Arc::clone(&site), rules, [7; 32]), site }
    }

    async fn send(&self, peer: &str, request: Request<Body>) -> Answer {
        let address: SocketAddr = peer.parse().unwrap();
        let router = self.router.clone().layer(Extension(Peer { address, is_secure: false }));
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().to_vec());
        // These have no end.
        let endless: [&[u8]; 2] = [b"multipart/", b"text/event-stream"];
        let is_endless =
            kind.is_some_and(|kind| endless.iter().any(|begin| kind.starts_with(begin)));
        let body = if is_endless { Body::empty() } else { body };
        let body = to_bytes(body, 10 << 20).await.unwrap().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn ask(&self, method: &Method, path: &str, lines: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method.clone()).uri(path);
        if !lines.iter().any(|(name, _)| *name == "host") {
            request = request.header(header::HOST, "localhost");
        }
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        self.send("10.0.0.7:5000", request.body(Body::empty()).unwrap()).await
    }

    async fn get(&self, path: &str, authorization: &str) -> Answer {
        self.ask(&Method::GET, path, &[("authorization", authorization)]).await
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send("10.0.0.7:5000", request.body(Body::from(body.to_string())).unwrap()).await
    }
}

/// As `curl --user` sends it.
fn basic(user: &str, password: &str) -> String {
    let challenge = "Basic realm=\"framevisor\", charset=\"UTF-8\"";
    let mut client = PasswordClient::builder().challenges(challenge).build().unwrap();
    let params =
        PasswordParams { username: user, password, uri: "/", method: "GET", body: Some(&[]) };
    client.respond(&params).unwrap()
}

/// A path of this form that leads somewhere.
fn example(form: &str) -> String {
    form.replace("{camera}", "cam01")
        .replace("{worker}", "motion")
        .replace("/snap/{file}", "/snap/cam01.jpg")
        .replace("/hls/cam01/{file}", "/hls/cam01/live.m3u8")
        .replace("{file}", "20261120T120000.040Z-00000001")
        .replace("{place}", "0-5.m4s")
        .replace("{name}", "app.js")
        .replace("{ring}", "motion.events")
        .replace("{viewer}", "0123")
}

#[tokio::test]
async fn every_route_asks_for_what_its_row_says_and_for_nothing_less() {
    let place = Place::of(&config());
    let mut needs = BTreeSet::new();
    for route in routes() {
        let path = example(route.path);
        assert!(!path.contains('{'), "no example of {path}");
        let bare = place.ask(&route.method, &path, &[]).await.status;
        let guard = place
            .ask(&route.method, &path, &[("authorization", &basic("guard", "pw-guard"))])
            .await
            .status;
        needs.insert(format!("{:?}", route.need));
        match route.need {
            Need::Nothing => assert!(matches!(bare, 200 | 204), "{path}: {bare}"),
            Need::Any | Need::Camera => {
                assert_eq!(bare, 401, "{path}");
                assert_ne!(guard, 401, "{path}");
                assert_ne!(guard, 403, "{path}");
            }
            Need::All => assert_eq!((bare, guard), (401, 403), "{path}"),
            // A password changes nothing.
            Need::Change(_) => assert_eq!((bare, guard), (401, 401), "{path}"),
        }
        if route.need == Need::Camera {
            let other = path.replace("cam01", "cam02");
            let password = basic("guard", "pw-guard");
            let headers = [("authorization", password.as_str())];
            let guard = place.ask(&route.method, &other, &headers).await.status;
            assert_eq!(guard, 403, "{other}");
        }
    }
    assert_eq!(needs.len(), 7, "{needs:?}");
}

#[tokio::test]
async fn a_browser_logs_in_by_digest_and_one_answer_is_good_for_one_path() {
    let place = Place::of(&WebConfig { basic: Basic::Tls, ..config() });
    let challenged = place.ask(&Method::GET, "/api/v1/cameras", &[]).await;
    assert_eq!(challenged.status, 401);
    let offered = challenged.challenges();
    assert!(offered.iter().all(|line| line.starts_with("Digest ")), "{offered:?}");
    let mut builder = PasswordClient::builder();
    for line in offered.iter().filter(|line| line.contains("SHA-256")) {
        builder = builder.challenges(line);
    }
    let mut client = builder.build().unwrap();
    let mut respond = |password: &str| {
        let uri = "/api/v1/cameras";
        let params =
            PasswordParams { username: "anna", password, uri, method: "GET", body: Some(&[]) };
        client.respond(&params).unwrap()
    };
    let right = respond("pw-anna");
    assert_eq!(place.get("/api/v1/cameras", &right).await.status, 200);
    assert_eq!(place.get("/api/v1/rings", &right).await.status, 401, "it was for another path");
    assert_eq!(place.get("/api/v1/cameras", &respond("pw-wrong")).await.status, 401);
    let plain = place.get("/api/v1/cameras", &basic("anna", "pw-anna")).await;
    assert_eq!(plain.status, 401, "as it is, on a line that others may read");
}

#[tokio::test]
async fn a_user_sees_their_cameras_and_what_belongs_to_them() {
    let place = Place::of(&config());
    let events = &place.site.events;
    for camera in ["cam01", "cam02"] {
        let record = protocol::record::Record {
            id: camera.to_owned(),
            kind: "motion.begin".to_owned(),
            camera: camera.to_owned(),
            frame: None,
            time_utc_ns: 1,
            data: Value::Null,
        };
        events.push(&"motion.events".parse().unwrap(), record);
    }
    let guard = basic("guard", "pw-guard");
    let names = |rows: &Value, key: &str| -> Vec<String> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row[key].as_str().unwrap().to_owned()).collect()
    };
    let rows = place.get("/api/v1/cameras", &guard).await.json();
    assert_eq!(names(&rows, "name"), ["cam01"]);
    let rows = place.get("/api/v1/workers", &guard).await.json();
    assert_eq!(names(&rows, "name"), ["cam01"]);
    let rows = place.get("/api/v1/rings", &guard).await.json();
    assert_eq!(names(&rows, "name"), ["cam01.frames", "cam01.packets"]);
    let rows = place.get("/api/v1/events", &guard).await.json();
    assert_eq!(names(&rows, "camera"), ["cam01"]);
    let about = place.get("/api/v1/about", &guard).await.json();
    assert_eq!(about["inputs"], json!(["cam01.frames", "motion.events"]));
    let told = place.get("/api/v1/records/motion.events", &guard).await.json();
    assert_eq!(names(&told["records"], "camera"), ["cam01"], "of a worker of all cameras");
    assert_eq!(told["next"], 2, "the other one is not looked at again");
    let anna = basic("anna", "pw-anna");
    assert_eq!(names(&place.get("/api/v1/cameras", &anna).await.json(), "name").len(), 6);
    assert_eq!(place.get("/metrics", &anna).await.status, 200);
    let text = place.get("/snap/cam02.jpg", &guard).await.text();
    let nobody = place.get("/snap/nobody.jpg", &guard).await.text();
    assert_eq!(text, nobody, "whether there is such a camera is not told");
}

const SMALL: &str = "small-0123456789-0123456789";

/// A page of `cam01` in a project with `cam01-2`, and a token, `SMALL`, that may restart what `cam01` has.
fn page_of_one(fake: Arc<Fake>) -> Place {
    let about = About {
        project: "demo".parse().unwrap(),
        worker: "web".parse().unwrap(),
        version: "0.0.0",
        inputs: vec!["cam01.frames".parse().unwrap(), "cam01-2-motion.events".parse().unwrap()],
    };
    let mut config = config();
    let small = TokenConfig {
        token: Secret::new(SMALL),
        may: vec![Right::Restart],
        cameras: "cam01".into(),
    };
    config.tokens.insert("small".to_owned(), small);
    Place::at(&config, Arc::new(Site::new(about, fake, 80)))
}

fn two_cameras() -> Fake {
    Fake::new(["cam01", "cam01-2"].map(str::to_owned))
}

#[tokio::test]
async fn a_token_restarts_nothing_while_nobody_says_whose_it_is() {
    let restart = async |place: &Place, worker: &str| {
        place.post(&format!("/api/v1/workers/{worker}/restart"), SMALL, &Value::Null).await
    };
    // The other camera has not sent anything since the machine came up: it has no ring.
    let mut fake = two_cameras();
    fake.missing.insert("cam01-2".to_owned());
    let place = page_of_one(Arc::new(fake));
    assert_eq!(restart(&place, "cam01-2-decode").await.status, 403);
    assert_eq!(restart(&place, "cam01-2").await.status, 403);

    let fake = Arc::new(two_cameras());
    fake.silent_supervisor.store(true, Ordering::Relaxed);
    let place = page_of_one(fake);
    let refused = restart(&place, "cam01-2-decode").await;
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("did not answer within 2 s"), "{}", refused.text());
}

#[tokio::test]
async fn a_camera_that_the_page_does_not_show_keeps_its_workers_from_one_of_a_shorter_name() {
    let place = page_of_one(Arc::new(two_cameras()));
    let guard = basic("guard", "pw-guard");
    let rows = place.get("/api/v1/workers", &guard).await.json();
    let names: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cam01"]);
    let about = place.get("/api/v1/about", &guard).await.json();
    assert_eq!(about["inputs"], json!(["cam01.frames"]));
    let records = place.get("/api/v1/records/cam01-2-motion.events", &guard).await;
    assert_eq!(records.status, 404);
    let restart = async |worker: &str| {
        place.post(&format!("/api/v1/workers/{worker}/restart"), SMALL, &Value::Null).await.status
    };
    assert_eq!(restart("cam01-2-decode").await, 403);
    assert_eq!(restart("cam01-decode").await, 503, "let in, and there is no supervisor");
}

#[tokio::test]
async fn a_token_reads_only_if_it_may_and_nobody_bears_a_wrong_one() {
    let place = Place::of(&config());
    let by = |token: &str| format!("Bearer {token}");
    assert_eq!(place.get("/api/v1/cameras", &by(READS)).await.status, 200);
    assert_eq!(place.get("/metrics", &by(READS)).await.status, 200);
    let small = place.get("/api/v1/cameras", &by(TILL)).await;
    assert_eq!(small.status, 403);
    assert!(small.challenges()[0].contains("insufficient_scope"), "{:?}", small.challenges());
    let wrong = place.get("/api/v1/cameras", &by("nobody-bears-this-token")).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.challenges()[0].contains("invalid_token"));
    assert!(!wrong.text().contains("nobody-bears-this-token"), "{}", wrong.text());
}

#[tokio::test]
async fn without_users_everybody_sees_everything_and_without_tokens_nobody_changes_anything() {
    let place = Place::of(&WebConfig::default());
    assert_eq!(place.ask(&Method::GET, "/api/v1/cameras", &[]).await.status, 200);
    assert_eq!(place.ask(&Method::GET, "/metrics", &[]).await.status, 200);
    for route in routes().iter().filter(|route| matches!(route.need, Need::Change(_))) {
        let answer = place.ask(&Method::POST, &example(route.path), &[]).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &json!("read-only")));
    }
    let with_tokens = WebConfig { tokens: config().tokens, ..WebConfig::default() };
    let place = Place::of(&with_tokens);
    let by_small = place.get("/api/v1/cameras", &format!("Bearer {TILL}")).await;
    assert_eq!(by_small.status, 200, "what everybody may see, who bears a token may see too");
}

#[tokio::test]
async fn credentials_of_any_form_but_the_right_one_open_nothing() {
    let long = "x".repeat(10_000);
    let none_signed = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcHMifQ.";
    let half = "Digest username=\"anna\", realm=\"framevisor\", nonce=\"n\", uri=\"/\"";
    let mut all: Vec<Vec<u8>> =
        ["", " ", "Basic", "Basic ", "Basic !!", "Basic Og==", "Bearer", "Digest", "Nothing x"]
            .map(|text| text.as_bytes().to_vec())
            .into();
    all.extend([none_signed, half].map(|text| text.as_bytes().to_vec()));
    all.extend(["Basic", "Bearer", "Digest"].map(|scheme| format!("{scheme} {long}").into_bytes()));
    all.push(b"Basic \xff\xfe".to_vec());
    let asked = all.into_iter().map(|credentials| async move {
        let value = HeaderValue::from_bytes(&credentials).unwrap();
        let request = Request::get("/api/v1/cameras")
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, value);
        // A place each: none waits behind another.
        let place = Place::of(&config());
        let answer = place.send("10.0.0.7:5000", request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401, "{}", String::from_utf8_lossy(&credentials));
        assert!(!answer.challenges().is_empty() && !answer.text().contains("cam01"));
    });
    futures_util::future::join_all(asked).await;
}

#[tokio::test]
async fn wrong_passwords_are_answered_late_and_then_one_by_one() {
    let place = Place::of(&config());
    let began = shmring::clock::mono();
    let wrong = basic("anna", "pw-wrong");
    assert_eq!(place.get("/api/v1/cameras", &wrong).await.status, 401);
    let took = shmring::clock::mono().saturating_since(began);
    assert!(took >= access::guesses::PENALTY, "{took:?}");
    let asked = (0..20).map(|_| place.get("/api/v1/cameras", &wrong));
    let answers = futures_util::future::join_all(asked).await;
    let sent_away = answers.iter().filter(|answer| answer.status == 429).count();
    assert!(sent_away >= 5, "{sent_away} of 20 were told to wait");
    assert_eq!(
        place.get("/api/v1/cameras", &basic("guard", "pw-guard")).await.status,
        200,
        "who has another name does not wait"
    );
}

#[tokio::test]
async fn who_mistyped_once_does_not_wait_at_every_request_after() {
    let place = Place::of(&config());
    assert_eq!(place.get("/api/v1/cameras", &basic("anna", "pw-wrong")).await.status, 401);
    let right = basic("anna", "pw-anna");
    assert_eq!(place.get("/api/v1/cameras", &right).await.status, 200);
    let asked = (0..50).map(|_| place.get("/api/v1/about", &right));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "as many as a page has");
    let (ops, wrong) = (format!("Bearer {OPS}"), "Bearer nobody-bears-this-token");
    assert_eq!(place.get("/api/v1/about", wrong).await.status, 401);
    assert_eq!(place.get("/api/v1/about", &ops).await.status, 200);
    let asked = (0..50).map(|_| place.get("/api/v1/about", &ops));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "and programs");
}

/// A supervisor that writes down what is asked of it.
struct Supervisor {
    heard: Arc<Mutex<Vec<Value>>>,
    dir: tempfile::TempDir,
}

impl Supervisor {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("control.sock")).unwrap();
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let book = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                let request: Value = serde_json::from_str(&line).unwrap();
                let reply = match Self::answer(&request) {
                    Ok(ok) => json!({"id": request["id"], "ok": ok}),
                    Err(error) => json!({"id": request["id"], "error": error}),
                };
                book.lock().unwrap().push(request);
                writeln!(stream, "{reply}").unwrap();
            }
        });
        Self { heard, dir }
    }

    fn answer(request: &Value) -> Result<Value, Value> {
        let args = &request["args"];
        match request["verb"].as_str().unwrap() {
            "restart" if args["names"] == json!(["nobody"]) => Err(json!({
                "code": "worker", "text": "no worker is named nobody", "hint": "the workers are ..."
            })),
            "restart" => Ok(args["names"].clone()),
            "recorders" => Ok(json!([
                {"worker": "rec", "ring": "cam01.packets", "folder": "/srv/rec/cam01"},
                {"worker": "rec2", "ring": "cam02.packets", "folder": "/srv/rec/cam02"},
            ])),
            "send" if args["message"].get("comment").is_some() => Ok(json!({
                "camera": "cam02", "utc_ns": 5, "frame": null, "kept": true
            })),
            "send" => Ok(json!([{
                "camera": "cam01", "recording": true, "order": "start", "until_utc_ns": null,
                "why": "ordered", "kept": true
            }])),
            other => panic!("verb {other} was said"),
        }
    }

    fn place(&self) -> Place {
        let site = Arc::into_inner(Arc::new(Fake::of(6)).site()).unwrap();
        let control = Socket { runtime_dir: self.dir.path().to_owned() };
        Place::at(&config(), Arc::new(site.controlled(Arc::new(control))))
    }

    fn heard(&self) -> Vec<(String, Value)> {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        let pair = |request: Value| {
            (request["verb"].as_str().unwrap().to_owned(), request["args"].clone())
        };
        heard.into_iter().map(pair).collect()
    }
}

#[tokio::test]
async fn what_a_token_may_change_is_asked_of_the_supervisor_in_its_words() {
    let supervisor = Supervisor::new();
    let place = supervisor.place();
    let restarted = place.post("/api/v1/workers/motion/restart", OPS, &Value::Null).await;
    assert_eq!((restarted.status, restarted.json()), (202, json!({"restarted": ["motion"]})));
    assert_eq!(supervisor.heard(), [("restart".to_owned(), json!({"names": ["motion"]}))]);

    let words = json!({"text": "the red car", "tags": ["parcel"]});
    let noted = place.post("/api/v1/cameras/cam02/comments", TILL, &words).await;
    assert_eq!((noted.status, noted.json()["kept"].clone()), (201, json!(true)));
    let said = json!({"name": "rec2", "message": {"comment": {
        "camera": "cam02", "text": "the red car", "tags": ["parcel"], "author": "till"
    }}});
    let heard = supervisor.heard();
    assert_eq!(heard[1], ("send".to_owned(), said));
    assert_eq!(heard[0].0, "recorders");

    let order = json!({"order": "start", "for": "5m"});
    let told = place.post("/api/v1/cameras/cam01/recording", OPS, &order).await;
    assert_eq!((told.status, told.json()[0]["recording"].clone()), (200, json!(true)));
    let heard = supervisor.heard();
    assert_eq!(heard[1].1["name"], "rec");
    let record = &heard[1].1["message"]["record"];
    assert_eq!((&record["cameras"], &record["order"]), (&json!(["cam01"]), &json!("start")));
}

#[tokio::test]
async fn no_request_says_a_verb_a_pattern_or_a_command_and_no_small_token_changes_anything() {
    let supervisor = Supervisor::new();
    let place = supervisor.place();
    let (words, order) = (json!({"text": "x"}), json!({"order": "start"}));
    let restart = |worker: &str| format!("/api/v1/workers/{worker}/restart");
    for (path, token, body, expected) in [
        (restart("motion"), READS, &Value::Null, 403),
        (restart("cam02"), TILL, &Value::Null, 403),
        ("/api/v1/cameras/cam01/comments".to_owned(), TILL, &words, 403),
        ("/api/v1/cameras/cam02/recording".to_owned(), TILL, &order, 403),
        (restart("*"), OPS, &Value::Null, 404),
        (restart("cam*"), OPS, &Value::Null, 404),
        (restart("..%2f.."), OPS, &Value::Null, 405),
        ("/api/v1/cameras/*/recording".to_owned(), OPS, &order, 404),
        ("/api/v1/workers".to_owned(), OPS, &json!({"run": ["sh"]}), 405),
        ("/api/v1/workers/motion".to_owned(), OPS, &json!({"run": ["sh"]}), 405),
        ("/api/v1/workers/motion/stop".to_owned(), OPS, &Value::Null, 405),
        ("/api/v1/reload".to_owned(), OPS, &json!({"files": ["/tmp/x.yml"]}), 405),
        ("/api/v1/cameras/cam01/recording".to_owned(), OPS, &json!({"order": "run"}), 422),
        (
            "/api/v1/cameras/cam01/recording".to_owned(),
            OPS,
            &json!({"order": "start", "run": ["sh"]}),
            422,
        ),
    ] {
        let answer = place.post(&path, token, body).await;
        assert_eq!(answer.status, expected, "{path}: {}", answer.text());
    }
    assert!(supervisor.heard().is_empty(), "nothing of it reached the supervisor");
    let nobody = place.post(&restart("nobody"), OPS, &Value::Null).await;
    assert_eq!((nobody.status, &nobody.json()["error"]["code"]), (404, &json!("worker")));
    let unrecorded = place.post("/api/v1/cameras/cam03/comments", OPS, &words).await;
    assert_eq!(unrecorded.json()["error"]["code"], "not-recorded");
    for (verb, _) in supervisor.heard() {
        assert!(["restart", "recorders", "send"].contains(&verb.as_str()), "{verb}");
    }
}

#[tokio::test]
async fn another_page_changes_nothing_even_with_a_token() {
    let supervisor = Supervisor::new();
    let place = supervisor.place();
    let bearer = format!("Bearer {OPS}");
    for lines in [
        [("origin", "https://evil.example"), ("authorization", bearer.as_str())],
        [("origin", "null"), ("authorization", bearer.as_str())],
        [("sec-fetch-site", "cross-site"), ("authorization", bearer.as_str())],
    ] {
        let answer = place.ask(&Method::POST, "/api/v1/workers/motion/restart", &lines).await;
        assert_eq!(answer.status, 403, "{lines:?}");
    }
    let form =
        [("content-type", "application/x-www-form-urlencoded"), ("authorization", bearer.as_str())];
    let answer = place.ask(&Method::POST, "/api/v1/cameras/cam01/comments", &form).await;
    assert_eq!(answer.status, 415);
    assert!(supervisor.heard().is_empty());
}

#[tokio::test]
async fn without_a_supervisor_a_change_says_so() {
    let place = Place::of(&config());
    let answer = place.post("/api/v1/workers/motion/restart", OPS, &Value::Null).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("no-supervisor")));
}

#[tokio::test]
async fn below_a_path_everything_is_there_and_above_it_nothing() {
    let base_path = BasePath::parse("/site/cams").unwrap();
    let place = Place::of(&WebConfig { base_path, ..WebConfig::default() });
    for path in
        ["/site/cams/", "/site/cams/api/v1/cameras", "/site/cams/snap/cam01.jpg", "/healthz"]
    {
        assert_eq!(place.ask(&Method::GET, path, &[]).await.status, 200, "{path}");
    }
    let bare = place.ask(&Method::GET, "/site/cams", &[]).await;
    assert_eq!(
        (bare.status, &bare.headers[header::LOCATION]),
        (308, &"/site/cams/".parse().unwrap())
    );
    for path in ["/", "/api/v1/cameras", "/site", "/site/camsite/", "/metrics"] {
        assert_eq!(place.ask(&Method::GET, path, &[]).await.status, 404, "{path}");
    }
    let document = place.ask(&Method::GET, "/site/cams/api/v1/openapi.json", &[]).await.json();
    assert_eq!(document["servers"], json!([{"url": "/site/cams"}]));
}

#[tokio::test]
async fn a_proxy_that_takes_the_path_off_says_so_and_nobody_leads_elsewhere_by_it() {
    let config = WebConfig {
        hosts: vec![HostName::parse("nvr.example.org").unwrap()],
        ..WebConfig::default()
    };
    let place = Place::of(&config);
    let proxied = [
        ("host", "nvr.example.org"),
        ("origin", "https://nvr.example.org"),
        ("x-forwarded-prefix", "/cams"),
    ];
    let path = "/api/v1/openapi.json";
    let document = place.ask(&Method::GET, path, &proxied).await.json();
    assert_eq!(document["servers"], json!([{"url": "/cams"}]));
    for bad in ["//evil.example", "https://evil.example", "\"><script>alert(1)</script>"] {
        let document = place.ask(&Method::GET, path, &[("x-forwarded-prefix", bad)]).await.json();
        assert_eq!(document["servers"], json!([{"url": "/"}]), "{bad}");
    }
}

#[tokio::test]
async fn a_proxy_of_the_topology_tells_whether_tls_hides_a_password() {
    let proxies = vec!["127.0.0.1".parse().unwrap()];
    let place = Place::of(&WebConfig { basic: Basic::Tls, proxies, ..config() });
    let ask = |peer: &'static str, proto: &'static str| {
        let request = Request::get("/api/v1/cameras")
            .header(header::HOST, "localhost")
            .header("x-forwarded-for", "10.0.0.9")
            .header("x-forwarded-proto", proto)
            .header(header::AUTHORIZATION, basic("anna", "pw-anna"));
        place.send(peer, request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("127.0.0.1:1", "https").await.status, 200);
    assert_eq!(ask("127.0.0.1:1", "http").await.status, 401);
    assert_eq!(ask("10.0.0.7:1", "https").await.status, 401, "nobody asked them");
}

#[tokio::test]
async fn behind_a_proxy_viewers_are_named_by_the_address_that_it_tells() {
    let proxies = vec!["127.0.0.1".parse().unwrap()];
    let place = Place::of(&WebConfig { proxies, ..WebConfig::default() });
    let watch = |peer: &'static str| {
        let address: SocketAddr = peer.parse().unwrap();
        let request = Request::get("/mjpeg/cam01")
            .header(header::HOST, "localhost")
            .header("x-forwarded-for", "10.0.0.9");
        let router = place.router.clone().layer(Extension(Peer { address, is_secure: false }));
        router.oneshot(request.body(Body::empty()).unwrap())
    };
    for (peer, named) in [("127.0.0.1:5000", "10.0.0.9"), ("10.0.0.7:5000", "10.0.0.7:5000")] {
        let watching = watch(peer).await.unwrap();
        assert_eq!(watching.status(), StatusCode::OK);
        let viewers = place.ask(&Method::GET, "/api/v1/viewers", &[]).await.json();
        assert_eq!(viewers[0]["peer"], named, "{viewers}");
    }
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other_and_what_is_answered_has_its_form() {
    let place = Place::of(&WebConfig::default());
    let document = place.ask(&Method::GET, "/api/v1/openapi.json", &[]).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut described: BTreeSet<(String, String)> = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let served: BTreeSet<(String, String)> = routes()
        .iter()
        .filter(|route| route.operation.is_some())
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(described, served);
    for (method, path) in &described {
        let method: Method = method.parse().unwrap();
        let answer = place.ask(&method, &example(path), &[]).await;
        assert_ne!(answer.status, 405, "{method} {path}");
        // What it is about may not be there, but the path is.
        let is_nowhere = answer.status == 404 && answer.text().contains("no-such-path");
        assert!(!is_nowhere || path.contains("ecordings"), "{method} {path}");
    }
    for path in ["about", "cameras", "events", "rings", "workers"] {
        let path = format!("/api/v1/{path}");
        place.site.events.changed(change());
        let answer = place.ask(&Method::GET, &path, &[]).await.json();
        let at =
            format!("/paths/{}/get/responses/200/content/application~1json/schema", escaped(&path));
        assert_fits(&document, &at, &answer);
    }
    let refused = place.ask(&Method::POST, "/api/v1/workers/x/restart", &[]).await.json();
    let at = "/paths/~1api~1v1~1workers/get/responses/default/content/application~1json/schema";
    assert_fits(&document, at, &refused);
}

fn change() -> WorkerChange {
    serde_json::from_value(json!({
        "time_utc_ns": 5, "worker": "motion", "from": "running", "to": "backoff", "reason": "x"
    }))
    .unwrap()
}

/// Of a path inside a JSON pointer (RFC 6901 section 3).
fn escaped(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1")
}

fn assert_fits(document: &Value, at: &str, value: &Value) {
    assert!(document.pointer(at).is_some(), "nothing at {at}");
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("openapi.json", document.clone()).unwrap();
    let index = compiler.compile(&format!("openapi.json#{at}"), &mut schemas).unwrap();
    if let Err(error) = schemas.validate(value, index) {
        panic!("{at}: {error:#}\n{value:#}");
    }
}

/// As the page of docs writes a form, with its method unless it is GET.
fn documented(method: &Method, form: &str) -> String {
    let path = form
        .replace("/snap/{file}", "/snap/CAM.jpg")
        .replace("{camera}", "CAM")
        .replace("{worker}", "WORKER")
        .replace("{ring}", "RING")
        .replace("{viewer}", "VIEWER")
        .replace("{file}", "FILE")
        .replace("{place}", "PLACE")
        .replace("{name}", "NAME");
    if *method == Method::GET { path } else { format!("{method} {path}") }
}

/// First and last cells of a table of the page of docs; several in one stand for as many rows.
fn rows(heading: &str) -> Vec<(String, String)> {
    const PAGE: &str = include_str!("../../../docs/web.md");
    let below = PAGE.split(heading).nth(1).unwrap();
    let rows = below.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.flat_map(|row| {
        let row = row.trim_matches(|c: char| c == '|' || c == ' ');
        let (paths, rest) = row.split_once(" | ").unwrap();
        let (_, needs) = rest.rsplit_once(" | ").unwrap();
        paths.split(", ").zip(needs.split("; "))
    });
    let bare = |text: &str| text.trim_matches('`').to_owned();
    cells.map(|(path, need)| (bare(path), bare(need))).collect()
}

#[test]
fn the_page_of_docs_tells_of_every_path_and_what_it_needs() {
    let told: BTreeSet<(String, String)> = rows("| path | answer | need |")
        .into_iter()
        .chain(rows("| request | body | does | right |"))
        .collect();
    let served: BTreeSet<(String, String)> = routes()
        .iter()
        .map(|route| {
            let need = match route.need {
                Need::All => "all",
                Need::Any => "some",
                Need::Camera => "that",
                Need::Change(right) => right.as_str(),
                Need::Nothing => "nothing",
            };
            (documented(&route.method, route.path), need.to_owned())
        })
        .collect();
    assert_eq!(told, served);
}
