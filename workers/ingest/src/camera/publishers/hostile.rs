//! Publishers as they should not be: each is told, bounded, and leaves the place to good ones.

use std::io::Write;

use protocol::config::ingest::Second;

use super::harness::{Host, Publisher, SOUND, VIDEO, publishes};

/// Its name, what a publisher does after its ANNOUNCE, and how that is told.
type Case = (&'static str, fn(&mut Publisher), &'static str);

#[test]
fn hostile_publishers_are_told_and_leave_the_place_to_good_ones() {
    let cases: [Case; 7] = [
        ("closes at once", |_| (), "closed the connection"),
        ("garbage", |publisher| drop(publisher.connection.write_all(&[b'x'; 100_000])), "no RTSP"),
        (
            "a head without an end",
            |publisher| {
                let head = [b"SETUP rtsp://h/cam RTSP/1.0\r\nX: ".as_slice(), &[b'x'; 70_000]];
                drop(publisher.connection.write_all(&head.concat()));
            },
            "no RTSP",
        ),
        (
            "a body that never comes",
            |publisher| {
                let head =
                    "SETUP rtsp://h/cam RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 9999999\r\n\r\n";
                drop(publisher.connection.write_all(head.as_bytes()));
            },
            "no RTSP",
        ),
        (
            "packets before RECORD, and RECORD without SETUP",
            |publisher| {
                publisher.send(20);
                publisher.expect("RECORD", "", "", "", 455);
                publisher.expect("SETUP", "/streamid=0", "Transport: RTP/AVP\r\n", "", 461);
            },
            "closed the connection",
        ),
        (
            "packets of nobody",
            |publisher| {
                publisher.set_up(0, 200);
                publisher.expect("RECORD", "", "", "", 200);
                for number in 0..2000_u32 {
                    let bytes = number.wrapping_mul(2_654_435_761).to_be_bytes();
                    let packet = [&[b'$', bytes[3] % 4, 0, 4][..], &bytes].concat();
                    drop(publisher.connection.write_all(&packet));
                }
            },
            "closed the connection",
        ),
        (
            "a session that is not its own",
            |publisher| {
                publisher.set_up(0, 200);
                publisher.session = "Session: 00000000000000000000000000000000\r\n".to_owned();
                publisher.expect("RECORD", "", "", "", 454);
                publisher.expect("TEARDOWN", "", "", "", 454);
            },
            "closed the connection",
        ),
    ];
    let mut host = Host::open(Second::Refuse, 8_000_000);
    for (name, act, words) in cases {
        let mut publisher = Publisher::at(&host);
        publisher.announce(VIDEO, 200);
        act(&mut publisher);
        drop(publisher);
        let before = host.downs.len();
        host.watch(|| (), |host| host.downs.len() > before);
        assert!(host.downs[before].contains(words), "{name}: {:?}", host.downs[before]);
    }
    publishes(&mut host);
    host.close();
}

#[test]
fn a_flood_is_ended_and_the_next_publisher_is_welcome() {
    let mut host = Host::open(Second::Refuse, 64_000);
    let mut publisher = Publisher::recording(&host);
    let packet = [&[b'$', 0, 0xff, 0xff][..], &[0; 65_535]].concat();
    // 42 MB, where 160 KB are room for ten seconds.
    for _ in 0..640 {
        if publisher.connection.write_all(&packet).is_err() {
            break;
        }
    }
    host.watch_it_end("at most twice max_bitrate (64k)");
    assert!(publisher.is_closed());
    let mut next = Publisher::at(&host);
    next.announce(VIDEO, 200);
    next.expect("TEARDOWN", "", "", "", 200);
    host.watch_it_end("ended its stream");
    host.close();
}

#[test]
fn announcements_that_cannot_be_carried_are_answered() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    for (sdp, status, words) in [
        ("", 400, "announced 0 streams"),
        ("m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-MAGIC/90000\r\n", 415, "nothing to carry"),
        (&*SOUND.repeat(100), 400, "announced 100 streams"),
    ] {
        Publisher::at(&host).announce(sdp, status);
        host.watch_it_end(words);
    }
    publishes(&mut host);
    host.close();
}

#[test]
fn publishers_that_do_not_go_on_are_given_up() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut dawdles = Publisher::at(&host);
    dawdles.announce(VIDEO, 200);
    host.watch_it_end("did not begin it within 9 s");
    assert!(dawdles.is_closed());
    let mut falls_silent = Publisher::recording(&host);
    host.watch(|| falls_silent.send(1), |host| host.seen.len() >= 20);
    host.watch_it_end("nothing came for 9 s");
    assert!(falls_silent.is_closed());
    publishes(&mut host);
    host.close();
}
