//! Live video over WebSockets, from real rings through the whole server.

mod yard;

use std::sync::Arc;
use std::time::Duration;

use protocol::stream::{Codec, Track};
use shmring::clock;
use yard::{GROUP, SETS, Sent, Yard, until, video};

#[tokio::test]
async fn every_viewer_gets_every_picture_from_the_last_key_frame_on() {
    // Who is two seconds behind would rightly skip to the newer key frame.
    let yard = Yard::without_time();
    let mut camera = yard.camera();
    camera.publish(GROUP + 10);
    let served = yard.serve().await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        viewers.push(served.view().await);
    }
    for viewer in &mut viewers {
        let said = viewer.said("mse").await;
        assert_eq!(said["value"], "video/mp4; codecs=\"avc1.64001e\"");
        assert_eq!(
            (said["epoch"].as_u64(), said["track"].as_u64()),
            (Some(camera.epoch()), Some(1))
        );
        assert!(matches!(viewer.next().await, Sent::Init));
        let first = viewer.picture().await;
        assert_eq!(first, (camera.epoch(), GROUP + 1, true));
    }
    assert_eq!(yard.readers(), 1, "one muxing for all of them");
    camera.publish(30);
    for viewer in &mut viewers {
        let seen = viewer.pictures(39).await;
        assert_eq!(seen, (GROUP + 2..=GROUP + 40).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_restart_of_the_camera_is_told_and_its_pictures_go_on() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(10);
    let served = yard.serve().await;
    let mut viewer = served.view().await;
    assert_eq!(viewer.pictures(10).await, (1..=10).collect::<Vec<_>>());
    let before = camera.epoch();
    let smaller = Track { width: 320, height: 240, ..video() };
    let mut camera = camera.restarted(&yard, &[smaller]);
    camera.publish(5);
    let said = viewer.said("mse").await;
    assert!(camera.epoch() > before);
    assert_eq!(said["epoch"].as_u64(), Some(camera.epoch()));
    assert_eq!((said["width"].as_u64(), said["height"].as_u64()), (Some(320), Some(240)));
    assert!(matches!(viewer.next().await, Sent::Init));
    assert_eq!(viewer.pictures(5).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn viewers_stay_while_the_camera_is_not_there_and_learn_why() {
    let yard = Yard::new();
    let served = yard.serve().await;
    let mut viewer = served.view().await;
    let why = viewer.said("waiting").await["why"].as_str().unwrap().to_owned();
    assert!(why.contains("cam1.packets"), "{why}");
    let mut camera = yard.camera();
    camera.publish(3);
    assert_eq!(viewer.pictures(3).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_slow_viewer_skips_to_a_key_frame_is_named_and_harms_nobody() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.bytes = 100_000;
    camera.publish(1);
    let served = yard.serve().await;
    let (mut slow, mut fast) = (served.view_slowly().await, served.view().await);
    slow.said("mse").await;
    fast.said("mse").await;
    assert_eq!(fast.pictures(1).await, [1]);
    let site = Arc::clone(&served.site);
    let rows = || site.viewers.rows(clock::mono());
    // The fast one is given each picture before the next is made; the slow one reads nothing.
    let mut last = 1;
    let filling = async {
        loop {
            camera.publish(1);
            last += 1;
            assert_eq!(fast.pictures(1).await, [last], "every picture, in order");
            let is_named = rows().iter().filter(|row| row.slow).count() == 1;
            if is_named && last > 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(yard::DEADLINE, filling).await.expect("the slow viewer is named");
    let told = served.get("/api/v1/viewers").await.json();
    let told = told.as_array().unwrap();
    let slow_ones: Vec<_> = told.iter().filter(|row| row["slow"] == true).collect();
    assert_eq!((told.len(), slow_ones.len()), (2, 1), "{told:?}");
    assert_eq!(
        (&slow_ones[0]["camera"], &slow_ones[0]["transport"]),
        (&"cam1".into(), &"ws-mse".into())
    );
    // It reads on: what lay on the way, then it learns what it lost.
    let skipped = slow.said("skipped").await["fragments"].as_u64().unwrap();
    let (_, resumed, key) = slow.picture().await;
    assert!(key && skipped > 0, "goes on at {resumed}, {skipped} later");
    assert_eq!((resumed - 1) % GROUP, 0, "at a key frame");
    let skips = rows().iter().filter_map(|row| row.skipped).sum::<u64>();
    assert!(skips >= skipped);
    let metrics = served.get("/metrics").await.text();
    let line = "framevisor_web_viewers{camera=\"cam1\",transport=\"ws-mse\"} 2";
    assert!(metrics.lines().any(|seen| seen == line), "{metrics}");
}

#[tokio::test]
async fn a_ring_is_read_only_while_somebody_watches() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(5);
    let served = yard.serve().await;
    assert_eq!(yard.readers(), 0);
    let mut viewer = served.view().await;
    viewer.pictures(5).await;
    assert_eq!(yard.readers(), 1);
    served.site.channels.rest(clock::mono() + Duration::from_secs(60));
    assert_eq!(yard.readers(), 1, "somebody watches");
    drop(viewer);
    until("nobody watches", || served.site.viewers.rows(clock::mono()).is_empty()).await;
    until("the ring is let go of", || {
        served.site.channels.rest(clock::mono() + Duration::from_secs(60));
        yard.readers() == 0
    })
    .await;
}

#[tokio::test]
async fn what_no_browser_plays_is_refused_with_the_reason() {
    let yard = Yard::new();
    let mut camera = yard.camera_of(&[Track { codec: Codec::Vp8, ..video() }]);
    camera.publish(5);
    let served = yard.serve().await;
    let mut viewer = served.view().await;
    let why = viewer.said("refused").await["why"].as_str().unwrap().to_owned();
    assert!(why.contains("Vp8"), "{why}");
    assert!(matches!(viewer.next().await, Sent::Closed(Some(1003))));
    let answer = served.get("/hls/cam1/index.m3u8").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("Vp8"), "{}", answer.text());
}

#[tokio::test]
async fn pictures_are_shown_without_a_sound_that_browsers_lack() {
    let yard = Yard::new();
    let call = Track {
        codec: Codec::PcmAlaw,
        width: 0,
        height: 0,
        sample_rate_hz: 8_000,
        channels: 1,
        extradata: Vec::new(),
        ..video()
    };
    let mut camera = yard.camera_of(&[video(), call]);
    for number in 0..5 {
        camera.publish(1);
        camera.publish_sound(1, number * 40_000_000);
    }
    let served = yard.serve().await;
    let mut viewer = served.view().await;
    let left_out = viewer.said("mse").await["left_out"].to_string();
    assert!(left_out.contains("PcmAlaw"), "{left_out}");
    assert_eq!(viewer.pictures(5).await, [1, 3, 5, 7, 9]);
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_watch() {
    let yard = Yard::new();
    let _camera = yard.camera();
    let served = yard.serve().await;
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let evil = format!("{upgrade}Origin: http://evil.example\r\n");
    assert_eq!(served.ask("/live/cam1", &evil).await.status, 403);
    let plain = served.get("/live/cam1").await;
    assert_eq!(plain.status, 426);
    assert!(plain.text().contains("/hls/CAM/index.m3u8"), "{}", plain.text());
    assert_eq!(served.get("/live/cam1?as=film").await.status, 400);
}

#[tokio::test]
async fn a_viewer_that_begins_to_say_too_much_is_sent_away_and_not_listened_to() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(1);
    let served = yard.serve().await;
    let mut viewer = served.view().await;
    assert_eq!(viewer.pictures(1).await, [1]);
    // The head of a frame of 8 MiB, and nothing of what it holds.
    viewer.shout(&[0x82, 0xff, 0, 0, 0, 0, 0, 0x80, 0, 0, 1, 2, 3, 4]).await;
    while !matches!(viewer.next().await, Sent::Closed(_)) {}
    until("no connection is open", || served.site.open_connections() == 0).await;
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye_and_lets_its_viewers_go() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(1);
    let served = yard.serve().await;
    let mut viewer = served.view().await;
    viewer.pictures(1).await;
    assert_eq!(served.site.open_connections(), 1, "a viewer counts as a connection");
    served.stop.send_replace(true);
    let ended = loop {
        if let Sent::Closed(code) = viewer.next().await {
            break code;
        }
    };
    assert_eq!(ended, Some(1001));
    drop(viewer);
    until("no connection is open", || served.site.open_connections() == 0).await;
}

#[tokio::test]
async fn a_server_that_drains_keeps_its_viewers() {
    let yard = Yard::new();
    let mut camera = yard.camera();
    camera.publish(1);
    let served = yard.serve().await;
    let mut viewer = served.view().await;
    assert_eq!(viewer.pictures(1).await, [1]);
    served.drain.send_replace(true);
    camera.publish(5);
    assert_eq!(viewer.pictures(5).await, [2, 3, 4, 5, 6]);
    assert_eq!(served.site.open_connections(), 1);
}

#[test]
fn the_parameter_sets_of_these_tests_are_whole() {
    assert!(fmp4::parameter_sets(Codec::H264, SETS).is_some());
}
