//! Live video as HLS, from real rings through the whole server, judged by the rules of RFC 8216 and its second edition.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod yard;

use std::collections::BTreeMap;

use web::stream::feed::State;
use yard::{GROUP, Served, Yard, fragments, until, video};

/// A list as a player reads it.
#[derive(Debug, Default)]
struct List {
    text: String,
    target_s: f64,
    part_target_s: f64,
    part_hold_back_s: f64,
    sequence: u64,
    discontinuity: u64,
    map: String,
    segments: Vec<Segment>,
    /// Parts of what is under way.
    parts: Vec<Part>,
    hint: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Segment {
    number: u64,
    uri: String,
    lasts_s: f64,
    discontinuity: bool,
    map: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    uri: String,
    lasts_s: f64,
    independent: bool,
}

fn attribute(line: &str, name: &str) -> Option<String> {
    let (_, list) = line.split_once(':')?;
    let mut rest = list;
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=')?;
        let (value, next) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_at(behind.find(',').unwrap_or(behind.len())),
        };
        if key == name {
            return Some(value.to_owned());
        }
        rest = next.trim_start_matches(',');
    }
    None
}

fn parse(text: &str) -> List {
    let mut list = List { text: text.to_owned(), ..List::default() };
    let number = |text: &str| text.parse::<f64>().unwrap();
    let mut next = Segment::default();
    for line in text.lines() {
        let value = line.split_once(':').map_or("", |(_, value)| value);
        match line.split(':').next().unwrap() {
            "#EXT-X-TARGETDURATION" => list.target_s = number(value),
            "#EXT-X-PART-INF" => {
                list.part_target_s = number(&attribute(line, "PART-TARGET").unwrap())
            }
            "#EXT-X-SERVER-CONTROL" => {
                assert_eq!(attribute(line, "CAN-BLOCK-RELOAD").unwrap(), "YES");
                list.part_hold_back_s = number(&attribute(line, "PART-HOLD-BACK").unwrap());
            }
            "#EXT-X-MEDIA-SEQUENCE" => list.sequence = value.parse().unwrap(),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => list.discontinuity = value.parse().unwrap(),
            "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
            "#EXT-X-MAP" => list.map = attribute(line, "URI").unwrap(),
            "#EXT-X-PART" => next.parts.push(Part {
                uri: attribute(line, "URI").unwrap(),
                lasts_s: number(&attribute(line, "DURATION").unwrap()),
                independent: attribute(line, "INDEPENDENT").is_some(),
            }),
            "#EXTINF" => next.lasts_s = number(value.trim_end_matches(',')),
            "#EXT-X-PRELOAD-HINT" => list.hint = attribute(line, "URI").unwrap(),
            "#EXT-X-ENDLIST" => panic!("a live list has no end: {text}"),
            uri if !uri.starts_with('#') => {
                let number = list.sequence + list.segments.len() as u64;
                let (uri, map) = (uri.to_owned(), list.map.clone());
                list.segments.push(Segment { number, uri, map, ..std::mem::take(&mut next) });
            }
            _ => {}
        }
    }
    list.parts = next.parts;
    list
}

/// What the rules say of one list (RFC 8216 4.3.3, RFC 8216bis 4.4.3 and 6.2.2).
fn check(list: &List) {
    let text = &list.text;
    assert!(list.target_s >= 1.0 && !list.map.is_empty(), "{text}");
    assert!(list.part_hold_back_s >= 3.0 * list.part_target_s, "{text}");
    for segment in &list.segments {
        assert!(segment.lasts_s.round() <= list.target_s, "{text}");
        assert_eq!(segment.uri, format!("{}.m4s", segment.number), "{text}");
    }
    let with_parts = list.segments.iter().map(|segment| &segment.parts).chain([&list.parts]);
    for parts in with_parts.filter(|parts| !parts.is_empty()) {
        assert!(parts[0].independent, "{text}");
        assert!(parts.iter().all(|part| part.lasts_s <= list.part_target_s + 1e-6), "{text}");
        let (_last, others) = parts.split_last().unwrap();
        for part in others {
            assert!(part.lasts_s >= 0.85 * list.part_target_s, "{text}");
        }
    }
}

/// What the rules say of a list and the one after it.
fn check_next(before: &List, after: &List) {
    let both = format!("{}\n----\n{}", before.text, after.text);
    assert!(
        after.sequence >= before.sequence && after.discontinuity >= before.discontinuity,
        "{both}"
    );
    assert!(after.target_s >= before.target_s, "{both}");
    let known: BTreeMap<u64, &Segment> =
        before.segments.iter().map(|segment| (segment.number, segment)).collect();
    for segment in &after.segments {
        if let Some(was) = known.get(&segment.number) {
            assert_eq!(
                (&was.uri, was.lasts_s, &was.map),
                (&segment.uri, segment.lasts_s, &segment.map),
                "{both}"
            );
        }
    }
}

async fn live(served: &Served) -> List {
    let answer = served.get("/hls/cam1/live.m3u8").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.head.contains("content-type: application/vnd.apple.mpegurl"), "{}", answer.head);
    let list = parse(&answer.text());
    check(&list);
    list
}

async fn bytes(served: &Served, name: &str) -> Vec<u8> {
    let answer = served.get(&format!("/hls/cam1/{name}")).await;
    assert_eq!(answer.status, 200, "{name}: {}", String::from_utf8_lossy(&answer.body));
    assert!(answer.head.contains("content-type: video/mp4"), "{}", answer.head);
    answer.body
}

/// The sequences in these fragments.
fn sequences(init: &[u8], media: &[u8]) -> Vec<u64> {
    fragments(init, media)
        .iter()
        .flat_map(|one| one.origin.recorded().collect::<Vec<_>>())
        .collect()
}

#[tokio::test]
async fn a_player_gets_every_picture_by_segments_and_the_same_by_parts() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(3 * GROUP + 12);
    let served = yard.serve().await;
    let index = served.get("/hls/cam1/index.m3u8").await.text();
    assert!(
        index.contains("CODECS=\"avc1.64001e\",RESOLUTION=640x480,FRAME-RATE=25.000\nlive.m3u8"),
        "{index}"
    );
    let list = live(&served).await;
    assert_eq!(list.segments.len(), 3);
    let init = bytes(&served, &list.map).await;
    let mut seen = Vec::new();
    for segment in &list.segments {
        let whole = bytes(&served, &segment.uri).await;
        let mut in_parts = Vec::new();
        for part in &segment.parts {
            in_parts.extend(bytes(&served, &part.uri).await);
        }
        assert!(segment.parts.is_empty() || in_parts == whole, "{}", segment.uri);
        let of = sequences(&init, &whole);
        assert!(fragments(&init, &whole)[0].samples[0].key, "a segment begins with a key frame");
        seen.extend(of);
    }
    assert!(!list.segments[2].parts.is_empty() && list.parts.len() == 2);
    for part in &list.parts {
        seen.extend(sequences(&init, &bytes(&served, &part.uri).await));
    }
    assert_eq!(seen, (1..=3 * GROUP + 10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_request_for_what_comes_is_answered_when_it_is_there() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(2 * GROUP + 7);
    let served = yard.serve().await;
    let list = live(&served).await;
    let (number, part) = (list.sequence + 2, list.parts.len());
    assert_eq!(list.hint, format!("{number}.{part}.m4s"));
    let query = format!("/hls/cam1/live.m3u8?_HLS_msn={number}&_HLS_part={part}");
    let hinted = format!("/hls/cam1/{}", list.hint);
    let (later, hint, ()) = tokio::join!(served.get(&query), served.get(&hinted), async {
        // Both wait by now, or will be answered at once.
        until("both are asked for", || served.site.open_connections() == 2).await;
        camera.publish(3);
    });
    let later = parse(&later.text());
    check(&later);
    check_next(&list, &later);
    assert_eq!(later.parts.len(), part + 1, "never an unchanged list");
    assert_eq!(hint.status, 200);
    let init = bytes(&served, &list.map).await;
    assert_eq!(sequences(&init, &hint.body), (2 * GROUP + 6..=2 * GROUP + 10).collect::<Vec<_>>());
}

#[tokio::test]
async fn directives_that_make_no_sense_are_refused() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(2 * GROUP + 7);
    let served = yard.serve().await;
    let list = live(&served).await;
    let far = list.sequence + 9;
    for query in [
        format!("_HLS_msn={far}"),
        "_HLS_part=1".to_owned(),
        "_HLS_msn=x".to_owned(),
        "_HLS_msn=-1".to_owned(),
    ] {
        let answer = served.get(&format!("/hls/cam1/live.m3u8?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["error"]["code"], "bad-directive");
    }
    for name in ["999999999.m4s", "0.0.m4s", "init-x.mp4", "x.m4s", "..%2findex.m3u8", "index.m3u"]
    {
        assert_eq!(served.get(&format!("/hls/cam1/{name}")).await.status, 404, "{name}");
    }
    assert_eq!(served.get("/hls/cam2/index.m3u8").await.status, 404);
}

#[tokio::test]
async fn a_hinted_part_that_never_came_is_gone_when_its_segment_is_complete() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(2 * GROUP);
    let served = yard.serve().await;
    let list = live(&served).await;
    assert_eq!(list.hint, format!("{}.5.m4s", list.sequence + 1));
    let hinted = format!("/hls/cam1/{}", list.hint);
    let (hint, ()) = tokio::join!(served.get(&hinted), async {
        until("it is asked for", || served.site.open_connections() == 1).await;
        camera.publish(1);
    });
    assert_eq!(hint.status, 404);
}

#[tokio::test]
async fn a_restart_of_the_camera_is_a_discontinuity_with_its_own_init() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(2 * GROUP + 10);
    let served = yard.serve().await;
    let before = live(&served).await;
    let smaller = protocol::stream::Track { width: 320, height: 240, ..video() };
    let mut camera = camera.restarted(&yard, &[smaller]);
    camera.publish(2 * GROUP + 1);
    until("the new segments are listed", || {
        let watch = served.site.channels.watch("cam1").unwrap();
        watch.feed.look(|state| state.segments.listed().count() == 6)
    })
    .await;
    let after = live(&served).await;
    check_next(&before, &after);
    let cuts: Vec<bool> = after.segments.iter().map(|segment| segment.discontinuity).collect();
    assert_eq!(cuts, [false, false, false, true, false]);
    assert_ne!(after.segments[2].map, after.segments[3].map);
    for segment in &after.segments {
        let (init, media) =
            (bytes(&served, &segment.map).await, bytes(&served, &segment.uri).await);
        assert!(!sequences(&init, &media).is_empty());
    }
}

#[tokio::test]
async fn a_web_worker_that_begins_anew_goes_on_with_the_same_list() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(GROUP);
    let first = yard.serve().await;
    let mut last: Option<List> = None;
    for _ in 0..10 {
        camera.publish(GROUP);
        // Of two workers one has been there since the begin, and one begins just now.
        let second = yard.serve().await;
        let (newest, part) = (camera.group(), GROUP / 5 - 1);
        let query = format!("/hls/cam1/live.m3u8?_HLS_msn={newest}&_HLS_part={part}");
        let (old, new) = (first.get(&query).await, second.get(&query).await);
        assert_eq!((old.status, new.status), (200, 200), "{}", new.text());
        assert_eq!(old.text(), new.text());
        let new = parse(&new.text());
        check(&new);
        if let Some(last) = &last {
            check_next(last, &new);
            assert!(new.segments.len() > last.segments.len() || new.sequence > last.sequence);
        }
        last = Some(new);
    }
}

#[tokio::test]
async fn lists_keep_to_the_rules_while_they_slide() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(GROUP + 3);
    let served = yard.serve().await;
    let mut list = live(&served).await;
    let mut removed = None;
    let watch = served.site.channels.watch("cam1").unwrap();
    for step in 0..200 {
        camera.publish(1 + step % 7);
        // Whatever the reader's thread does meanwhile: no more than a group is ahead of it.
        let whole = camera.group() - 1;
        until("the group before is whole", || {
            let last = |state: &State| state.segments.last_complete().map(|it| it.number);
            watch.feed.look(last) >= Some(whole)
        })
        .await;
        let next = live(&served).await;
        check_next(&list, &next);
        if next.sequence > list.sequence && removed.is_none() {
            removed = Some(list.segments[0].uri.clone());
        }
        list = next;
    }
    assert_eq!(list.segments.len(), 10, "{}", list.text);
    // What left the list long ago may go; what left it a moment ago is still there.
    let latest_removed = format!("{}.m4s", list.sequence - 1);
    assert!(!bytes(&served, &latest_removed).await.is_empty());
    assert_eq!(served.get(&format!("/hls/cam1/{}", removed.unwrap())).await.status, 404);
}

#[tokio::test]
async fn who_plays_is_counted_by_how() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(2 * GROUP + 7);
    let served = yard.serve().await;
    let list = live(&served).await;
    bytes(&served, &list.segments[0].uri).await;
    let number = list.sequence;
    for (path, way) in
        [("live.m3u8".to_owned(), "hls"), (format!("live.m3u8?_HLS_msn={number}"), "ll-hls")]
    {
        served.get(&format!("/hls/cam1/{path}")).await;
        let told = served.get("/api/v1/viewers").await.json();
        assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
        assert_eq!((&told[0]["transport"], &told[0]["peer"]), (&way.into(), &"127.0.0.1".into()));
    }
}

#[tokio::test]
async fn a_camera_without_pictures_so_far_says_what_it_waits_for() {
    let yard = Yard::new();
    let served = yard.serve().await;
    let answer = served.get("/hls/cam1/index.m3u8").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("cam1.packets has no writer yet"), "{}", answer.text());
}
