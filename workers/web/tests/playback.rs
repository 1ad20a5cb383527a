//! What was recorded, through the whole router: lists, playlists, segments, cuts, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;
mod films;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Extension;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use fake::Fake;
use films::{Films, NOON_S, time_of};
use protocol::config::Shelf as Told;
use protocol::stream::FrameId;
use protocol::time::UtcNs;
use recordings::{Remark, add_comment};
use serde_json::{Value, json};
use tower::ServiceExt;
use web::guard::Hosts;
use web::guard::forwarded::Peer;
use web::playback::shelf::Shelf;
use web::route::router;
use web::site::Site;

struct Answer {
    status: StatusCode,
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

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

fn site(told: Told) -> Arc<Site> {
    let groups = BTreeMap::from([("yard".to_owned(), vec!["cam*".to_owned()])]);
    let site = Arc::into_inner(Arc::new(Fake::of(1)).site()).unwrap();
    Arc::new(site.playing(Shelf::new(told, groups)))
}

async fn ask(site: &Arc<Site>, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let hosts = Hosts::new("127.0.0.1:8080".parse().unwrap());
    let request = request.body(Body::empty()).unwrap();
    let response = router(Arc::clone(site), hosts).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(site: &Arc<Site>, path: &str) -> Answer {
    ask(site, Method::GET, path, &[]).await
}

/// A minute of two cameras; the second has a gap, and other tracks behind it.
fn films() -> (Films, Arc<Site>) {
    let mut films = Films::new();
    films.file("cam1", 640, 1..=750);
    films.file("cam1", 640, 751..=1500);
    films.file("cam2", 640, 1..=250);
    films.file("cam2", 320, 501..=750);
    let site = site(Told::At(films.root()));
    (films, site)
}

fn range(from_s: u64, to_s: u64) -> String {
    format!("from={}&to={}", NOON_S + from_s, NOON_S + to_s)
}

/// Names of segments in a playlist, below the camera.
fn segments(playlist: &str) -> Vec<String> {
    let lines = playlist.lines().filter(|line| line.starts_with("segment/"));
    lines.map(str::to_owned).collect()
}

fn map(playlist: &str) -> String {
    let line = playlist.lines().find(|line| line.starts_with("#EXT-X-MAP:URI=")).unwrap();
    line.trim_start_matches("#EXT-X-MAP:URI=").trim_matches('"').to_owned()
}

/// Everything that a playlist names, as one file.
async fn played(site: &Arc<Site>, camera: &str, playlist: &str) -> fmp4::Scan {
    let mut bytes = get(site, &format!("/recordings/{camera}/{}", map(playlist))).await.body;
    for segment in segments(playlist) {
        let answer = get(site, &format!("/recordings/{camera}/{segment}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{segment}: {}", answer.text());
        bytes.extend(answer.body);
    }
    let scan = fmp4::scan(&mut Cursor::new(bytes)).unwrap();
    assert_eq!(scan.damage, None);
    scan
}

fn sequences(scan: &fmp4::Scan) -> Vec<u64> {
    scan.fragments.iter().flat_map(|fragment| fragment.origin.recorded()).collect()
}

#[tokio::test]
async fn the_list_has_cameras_with_ranges_gaps_comments_and_groups() {
    let (films, site) = films();
    let frame = FrameId { ring: "cam1.packets".parse().unwrap(), epoch: 7, sequence: 100 };
    let remark = Remark {
        utc_ns: time_of(100),
        frame: Some(frame),
        text: "<b>a car</b>".to_owned(),
        ..Remark::default()
    };
    add_comment(&films.root().join("cam1"), &remark, UtcNs(1)).unwrap();
    std::fs::create_dir(films.root().join("lost+found")).unwrap();
    std::fs::create_dir(films.root().join("empty")).unwrap();
    let list = get(&site, &format!("/api/v1/recordings?{}", range(0, 60))).await.json();
    assert_eq!(list["groups"], json!({"yard": ["cam1", "cam2"]}));
    let rows = list["cameras"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| &row["camera"]).collect::<Vec<_>>(), ["cam1", "cam2"]);
    assert_eq!((rows[0]["files"].as_u64(), rows[0]["recording"].as_bool()), (Some(2), Some(false)));
    assert_eq!(rows[0]["from_utc_ns"], time_of(1).0);
    assert_eq!(
        rows[0]["ranges"],
        json!([{"from_utc_ns": time_of(1).0, "to_utc_ns": time_of(1501).0}])
    );
    assert_eq!(rows[0]["comments"][0]["text"], "<b>a car</b>");
    let gap = &rows[1]["gaps"][0];
    assert_eq!((gap["reason"].as_str(), gap["missing"].as_u64()), (Some("missing"), Some(250)));
    assert_eq!(gap["why"], "packets were lost before they were recorded");
    assert_eq!(rows[1]["ranges"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_camera_is_told_with_the_packets_of_each_stretch_and_the_events_of_its_time() {
    let (_films, site) = films();
    let mut record = fake::record(3, "begin");
    record.camera = "cam2".to_owned();
    record.time_utc_ns = time_of(100).0;
    site.events.push(&"motion.events".parse().unwrap(), record);
    let told = get(&site, &format!("/api/v1/recordings/cam2?{}", range(0, 60))).await.json();
    assert_eq!(told["ring"], "cam2.packets");
    let spans = told["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[1]["first"], json!({"epoch": 7, "sequence": 501}));
    assert_eq!(spans[1]["packets"], 250);
    assert_eq!(told["events"].as_array().unwrap().len(), 1);
    let other = get(&site, &format!("/api/v1/recordings/cam1?{}", range(0, 60))).await.json();
    assert_eq!(other["events"], json!([]));
}

#[tokio::test]
async fn a_playlist_names_every_packet_of_the_range_once_and_always_the_same_way() {
    let (_films, site) = films();
    let path = format!("/recordings/cam1/index.m3u8?{}", range(13, 47));
    let answer = get(&site, &path).await;
    assert_eq!(answer.header("content-type"), "application/vnd.apple.mpegurl");
    let playlist = answer.text();
    assert!(
        playlist.contains("#EXT-X-PLAYLIST-TYPE:VOD\n") && playlist.ends_with("#EXT-X-ENDLIST\n")
    );
    // From the key frame before 13 s on, which is packet 301, to the fragment with 47 s.
    let expected: Vec<u64> = (301..=1175).collect();
    assert_eq!(sequences(&played(&site, "cam1", &playlist).await), expected);
    assert_eq!(get(&site, &path).await.text(), playlist);
    let known = answer.header("etag").to_owned();
    let again = ask(&site, Method::GET, &path, &[("if-none-match", &known)]).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let head = ask(&site, Method::HEAD, &path, &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn where_the_tracks_change_a_playlist_has_another_map_and_says_what_is_missing() {
    let (_films, site) = films();
    let playlist =
        get(&site, &format!("/recordings/cam2/index.m3u8?{}", range(0, 60))).await.text();
    assert_eq!(playlist.matches("#EXT-X-MAP:").count(), 2, "{playlist}");
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{playlist}");
    assert!(playlist.contains("X-REASON=\"missing\",X-MISSING=250"), "{playlist}");
    assert!(playlist.contains("#EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:20.040Z\n"), "{playlist}");
}

/// As if a recorder had just written it, however long the test takes.
fn young(file: &std::path::Path) {
    let later = Duration::from_nanos(shmring::clock::now().utc.0) + Duration::from_secs(3_600);
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + later).unwrap();
}

#[tokio::test]
async fn a_relative_range_is_sent_to_its_times_and_one_under_way_does_not_end() {
    let now_s = shmring::clock::now().utc.0 / 1_000_000_000;
    let mut films = Films::since(now_s - 120);
    films.file("cam1", 640, 1..=750);
    young(&films.file("cam1", 640, 751..=1500));
    let site = site(Told::At(films.root()));
    let answer = get(&site, "/recordings/cam1/index.m3u8?from=-1h").await;
    assert_eq!(answer.status, StatusCode::FOUND);
    let to = answer.header("location").to_owned();
    assert!(to.starts_with("index.m3u8?from=20") && !to.contains("&to="), "{to}");
    // The files were changed a moment ago, and no recorder has them: it may be back within seconds.
    let playlist = get(&site, &format!("/recordings/cam1/{to}")).await.text();
    assert!(playlist.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"), "{playlist}");
    assert!(!playlist.contains("ENDLIST"), "{playlist}");
    let told = sequences(&played(&site, "cam1", &playlist).await);
    assert_eq!(told.last(), Some(&1450), "the last segment may still grow");
    let newest = films.file("cam1", 640, 1501..=1600);
    young(&newest);
    let later = get(&site, &format!("/recordings/cam1/{to}")).await.text();
    assert!(later.starts_with(&playlist) && later.len() > playlist.len(), "{later}");
    // Nobody goes on with it: it ends, and nothing else that was told changes.
    let file = std::fs::File::options().write(true).open(newest).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let ended = get(&site, &format!("/recordings/cam1/{to}")).await.text();
    assert!(ended.starts_with(&later) && ended.ends_with("#EXT-X-ENDLIST\n"), "{ended}");
}

#[tokio::test]
async fn a_segment_and_its_map_are_what_players_ask_for() {
    let (_films, site) = films();
    let playlist =
        get(&site, &format!("/recordings/cam1/index.m3u8?{}", range(0, 20))).await.text();
    let init = get(&site, &format!("/recordings/cam1/{}", map(&playlist))).await;
    assert_eq!(init.header("content-type"), "video/mp4; codecs=\"avc1.64001e\"");
    let path = format!("/recordings/cam1/{}", segments(&playlist)[1]);
    let whole = get(&site, &path).await;
    assert_eq!(whole.header("content-type"), "video/iso.segment");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    let tag = whole.header("etag").to_owned();
    let same = ask(&site, Method::GET, &path, &[("if-none-match", &tag)]).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    let pictures = get(&site, &path.replace(".m4s", ".json")).await.json();
    assert_eq!(pictures["ring"], "cam1.packets");
    assert_eq!(pictures["pictures"][0]["sequence"], 101);
    assert_eq!(pictures["pictures"][1]["at_s"], 4.04);
}

#[tokio::test]
async fn a_cut_is_a_download_in_whole_or_in_parts() {
    let (_films, site) = films();
    let path = format!("/recordings/cam1/cut.mp4?{}", range(13, 47));
    let whole = get(&site, &path).await;
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert_eq!(
        whole.header("content-disposition"),
        "attachment; filename=\"cam1-20261120T120013Z.mp4\""
    );
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    let scan = fmp4::scan(&mut Cursor::new(&whole.body)).unwrap();
    assert_eq!(scan.damage, None);
    assert_eq!(sequences(&scan), (301..=1175).collect::<Vec<u64>>());
    assert_eq!(scan.fragments[0].samples[0].decode_ticks, 0);
    let length = whole.body.len();
    for (asked, from, to) in
        [("bytes=0-99", 0, 100), ("bytes=5000-", 5000, length), ("bytes=-77", length - 77, length)]
    {
        let part = ask(&site, Method::GET, &path, &[("range", asked)]).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.header("content-range"), format!("bytes {from}-{}/{length}", to - 1));
        assert_eq!(part.body, whole.body[from..to], "{asked}");
    }
    let beyond = ask(&site, Method::GET, &path, &[("range", "bytes=99999999-")]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{length}"));
    let other = [("range", "bytes=0-99"), ("if-range", "\"another\"")];
    assert_eq!(ask(&site, Method::GET, &path, &other).await.status, StatusCode::OK);
    let head = ask(&site, Method::HEAD, &path, &[]).await;
    assert_eq!((head.header("content-length"), head.body.len()), (length.to_string().as_str(), 0));
    let tag = [("if-none-match", whole.header("etag"))];
    assert_eq!(ask(&site, Method::GET, &path, &tag).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_cut_over_other_tracks_has_parts() {
    let (_films, site) = films();
    let path = format!("/recordings/cam2/cut.mp4?{}", range(0, 60));
    let refused = get(&site, &path).await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::CONFLICT, "several-parts".to_owned())
    );
    let mut all = BTreeSet::new();
    for part in [1, 2] {
        let answer = get(&site, &format!("{path}&part={part}")).await;
        all.extend(sequences(&fmp4::scan(&mut Cursor::new(answer.body)).unwrap()));
    }
    assert_eq!(all.len(), 500);
    for part in ["0", "3"] {
        assert_eq!(get(&site, &format!("{path}&part={part}")).await.code(), "no-such-part");
    }
}

#[tokio::test]
async fn no_more_downloads_than_there_are_places_and_a_place_comes_back() {
    let (_films, site) = films();
    let path = format!("/recordings/cam1/cut.mp4?{}", range(0, 60));
    let hosts = Hosts::new("127.0.0.1:8080".parse().unwrap());
    let begin = async |ip: [u8; 4]| {
        let request = Request::get(&path).header(header::HOST, "localhost").body(Body::empty());
        let peer = Peer { address: (ip, 5000).into(), is_secure: false };
        let router = router(Arc::clone(&site), hosts.clone()).layer(Extension(peer));
        router.oneshot(request.unwrap()).await.unwrap()
    };
    let mut open = Vec::new();
    for ip in [[10, 0, 0, 7], [10, 0, 0, 7], [127, 0, 0, 1], [127, 0, 0, 1]] {
        let response = begin(ip).await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
        let of_two = begin([10, 0, 0, 7]).await.status();
        assert_eq!(of_two == StatusCode::SERVICE_UNAVAILABLE, open.len() >= 2);
    }
    let refused = get(&site, &path).await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "busy".to_owned())
    );
    assert!(!refused.header("retry-after").is_empty());
    open.pop();
    assert_eq!(get(&site, &path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_file_that_is_downloaded_is_held() {
    let mut films = Films::new();
    let file = films.file("cam1", 640, 1..=750);
    let site = site(Told::At(films.root()));
    let request = Request::get(format!("/recordings/cam1/cut.mp4?{}", range(0, 30)));
    let request = request.header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let hosts = Hosts::new("127.0.0.1:8080".parse().unwrap());
    let response = router(Arc::clone(&site), hosts).oneshot(request).await.unwrap();
    assert!(recordings::claim(&file).unwrap().is_none(), "retention may take it");
    drop(response);
    assert!(recordings::claim(&file).unwrap().is_some());
}

#[tokio::test]
async fn a_project_that_records_nothing_says_what_to_do() {
    let none = site(Told::None);
    let several = site(Told::Several(vec!["rec1".to_owned(), "rec2".to_owned()]));
    for path in [
        "/api/v1/recordings",
        "/api/v1/recordings/cam1",
        "/recordings/cam1/index.m3u8?from=-5m",
        "/recordings/cam1/cut.mp4?from=-5m",
    ] {
        let answer = get(&none, path).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::NOT_FOUND, "no-recordings".to_owned()),
            "{path}"
        );
        let answer = get(&several, path).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::NOT_FOUND, "several-recorders".to_owned()),
            "{path}"
        );
        assert!(answer.text().contains("rec1, rec2"), "{}", answer.text());
    }
    let away = site(Told::At("/nowhere/at/all".into()));
    assert_eq!(get(&away, "/api/v1/recordings").await.json()["cameras"], json!([]));
    for path in [
        "/api/v1/recordings/cam1",
        "/recordings/cam1/index.m3u8?from=0&to=5",
        "/recordings/cam1/cut.mp4?from=-5m",
        "/recordings/cam1/init/20261120T120000.040Z-00000001.mp4",
        "/recordings/cam1/segment/20261120T120000.040Z-00000001/1-2.m4s",
        "/recordings/cam1/segment/20261120T120000.040Z-00000001/1-2.json",
    ] {
        assert_eq!(get(&away, path).await.code(), "no-such-camera", "{path}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let (_films, site) = films();
    let whole = range(0, 60);
    let cases = [
        ("index.m3u8?from=9&to=5".to_owned(), "bad-range"),
        ("index.m3u8?from=5&to=5".to_owned(), "bad-range"),
        ("index.m3u8".to_owned(), "bad-range"),
        ("index.m3u8?from=yesterday".to_owned(), "bad-range"),
        ("index.m3u8?from=1&from=2".to_owned(), "bad-range"),
        ("index.m3u8?from=0&to=18446744073".to_owned(), "long-range"),
        ("cut.mp4?from=0&to=18446744073".to_owned(), "long-range"),
        (format!("cut.mp4?{whole}&part=x"), "bad-range"),
        (format!("cut.mp4?{whole}&part=-1"), "bad-range"),
        ("cut.mp4?from=100&to=200".to_owned(), "nothing-recorded"),
        ("index.m3u8?from=100&to=200".to_owned(), "nothing-recorded"),
        ("segment/x/1-2.m4s".to_owned(), "no-such-segment"),
        ("segment/20261120T120000.040Z-00000001/1-2.m4s".to_owned(), "no-such-segment"),
        ("segment/20261120T120000.040Z-00000001/1-2.exe".to_owned(), "no-such-segment"),
        ("segment/20261120T120000.040Z-00000001/1-2.m4s?shift=x".to_owned(), "bad-range"),
        ("segment/20261120T120000.040Z-00000009/1-2.m4s".to_owned(), "gone"),
        ("init/20261120T120000.040Z-00000009.mp4".to_owned(), "gone"),
        ("init/..%2f..%2fcam2%2f20261120T120000.040Z-00000003.mp4".to_owned(), "no-such-path"),
        ("segment/..%2fcam2%2f20261120T120000.040Z-00000003/1-2.m4s".to_owned(), "no-such-path"),
        (
            "segment/20261120T120000.040Z-00000001/18446744073709551615-18446744073709551615.m4s"
                .to_owned(),
            "gone",
        ),
    ];
    for (path, code) in cases {
        let answer = get(&site, &format!("/recordings/cam1/{path}")).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        assert_eq!(answer.code(), code, "{path}");
    }
}

#[tokio::test]
async fn a_camera_is_never_a_path() {
    let (films, site) = films();
    std::fs::write(films.root().join("secret.mp4"), "x").unwrap();
    for camera in [
        "..",
        "%2e%2e",
        "..%2f..",
        "cam1%2f..%2fcam2",
        ".",
        "%00",
        "cam1%00",
        "CAM1",
        "lost+found",
        "%2fetc",
        "a".repeat(5000).as_str(),
    ] {
        for rest in
            ["index.m3u8?from=-5m", "cut.mp4?from=-5m", "init/20261120T120000.040Z-00000001.mp4"]
        {
            let answer = get(&site, &format!("/recordings/{camera}/{rest}")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{camera}/{rest}");
        }
        let answer = get(&site, &format!("/api/v1/recordings/{camera}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{camera}");
    }
    let escaped = get(&site, "/recordings/%3Cscript%3E/index.m3u8?from=-5m").await;
    assert_eq!(escaped.header("content-type"), "application/json");
}

#[tokio::test]
async fn ten_thousand_requests_leave_nothing_open() {
    let (films, site) = films();
    let playlist =
        get(&site, &format!("/recordings/cam1/index.m3u8?{}", range(0, 20))).await.text();
    let path = format!("/recordings/cam1/{}", segments(&playlist)[0]);
    // Those of these films alone: other tests of this program open files of their own.
    let root = films.root();
    let is_of_the_films = |link: &std::fs::DirEntry| {
        std::fs::read_link(link.path()).is_ok_and(|path| path.starts_with(&root))
    };
    let open = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        links.filter_map(Result::ok).filter(is_of_the_films).count()
    };
    let before = open();
    for _ in 0..100 {
        let all = (0..100).map(|number| {
            let path =
                if number % 2 == 0 { path.clone() } else { format!("{path}&x=../../etc/passwd") };
            let site = Arc::clone(&site);
            async move { ask(&site, Method::GET, &path, &[("range", "bytes=10-20")]).await.status }
        });
        for status in futures_util::future::join_all(all).await {
            assert_eq!(status, StatusCode::PARTIAL_CONTENT);
        }
    }
    assert!(open() <= before + 8, "{} files were open before, {} now", before, open());
}
