//! Cameras that publish by themselves.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use protocol::config::ingest::Second;
use protocol::time::{ClockSource, UtcNs};

use super::scripted::Packet;
use super::*;
use harness::{Host, LIMIT, Publisher, SOUND, VIDEO, publishes};

mod by_programs;
mod harness;
mod hostile;

#[test]
fn a_publisher_over_tcp_is_a_camera_with_every_picture() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::recording(&host);
    publisher.send(200);
    publisher.expect("TEARDOWN", "", "", "", 200);
    host.watch_it_end("ended its stream");
    let pictures = host.pictures();
    assert_eq!(pictures.len(), 200);
    assert!(pictures[0].discontinuity && pictures[0].unit.key);
    for pair in pictures.windows(2) {
        assert_eq!(pair[1].unit.pts_ns - pair[0].unit.pts_ns, 10_000_000);
    }
    assert_eq!((host.tracks[0][0].width, host.tracks[0][0].height), (128, 64));
    host.close();
}

#[test]
fn a_publisher_over_udp_is_a_camera_and_hears_how_its_packets_come() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::at(&host);
    publisher.announce(VIDEO, 200);
    let packets = UdpSocket::bind("127.0.0.1:0").unwrap();
    let reports = UdpSocket::bind("127.0.0.1:0").unwrap();
    reports.set_nonblocking(true).unwrap();
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let transport = format!(
        "Transport: RTP/AVP/UDP;unicast;client_port={}-{};mode=record\r\n",
        port(&packets),
        port(&reports)
    );
    let answer = publisher.set_up_by(0, &transport, 200);
    let server = answer.split_once("server_port=").unwrap().1.split('-').next().unwrap();
    publisher.datagrams = Some((packets, server.parse().unwrap()));
    publisher.expect("RECORD", "", "", "", 200);
    let mut report = [0; 256];
    let heard = std::cell::Cell::new(0);
    host.watch(
        || {
            publisher.send(1);
            // As many as a camera sends: the first report comes after some seconds.
            thread::sleep(Duration::from_millis(10));
            heard.set(heard.get().max(reports.recv(&mut report).unwrap_or(0)));
        },
        |host| host.seen.len() > 100 && heard.get() > 0,
    );
    assert_eq!((report[0] >> 6, report[1]), (2, 201), "a receiver report");
    assert!(host.pictures()[0].discontinuity);
    publisher.expect_end(&mut host);
    host.close();
}

#[test]
fn a_publisher_that_comes_back_goes_on_in_the_same_time_line() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::recording(&host);
    host.watch(|| publisher.send(1), |host| host.seen.len() >= 40);
    drop(publisher);
    host.watch_it_end("closed the connection");
    let first = host.seen.len();
    publishes(&mut host);
    assert!(host.seen.windows(2).all(|pair| pair[0].unit.dts_ns < pair[1].unit.dts_ns));
    assert!(host.seen[0].discontinuity && host.seen[first].discontinuity);
    assert_eq!(host.tracks.len(), 2);
    host.close();
}

#[test]
fn sound_comes_beside_the_picture_whatever_was_set_up_first_and_what_is_not_carried_is_taken() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::at(&host);
    let data = "m=application 0 RTP/AVP 107\r\na=control:streamid=2\r\n";
    publisher.announce(&[VIDEO, SOUND, data].concat(), 200);
    for track in [2, 1, 0] {
        publisher.set_up(track, 200);
    }
    publisher.expect("RECORD", "", "", "", 200);
    let mut samples = 0;
    host.watch(
        || {
            publisher.send(1);
            let (ticks, payload) = (samples, vec![0x55; 80]);
            samples += 80;
            let (channel, payload_type, ssrc, marker, skip) = (2, 0, 8, false, 0);
            publisher.packet(&Packet { channel, payload_type, ssrc, ticks, marker, skip, payload });
        },
        |host| host.seen.iter().filter(|captured| captured.unit.track == 1).count() > 20,
    );
    let codecs: Vec<_> = host.tracks[0].iter().map(|track| track.codec).collect();
    assert_eq!(codecs, [protocol::stream::Codec::H264, protocol::stream::Codec::PcmMulaw]);
    publisher.expect_end(&mut host);
    host.close();
}

#[test]
fn a_publishers_reports_tell_its_clock() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    // Who is stopped for seconds between the report and the picture is late by the clock, too.
    let is_told = (0..20).any(|_| {
        let first = host.seen.len();
        let mut publisher = Publisher::recording(&host);
        let second = clock::now().utc.0 / 1_000_000_000;
        let ntp = u32::try_from(second + 2_208_988_800).unwrap();
        // Of source 7, whose timestamp 0 was captured at that second.
        let mut report = vec![b'$', 1, 0, 28, 0x80, 200, 0, 6];
        for word in [7, ntp, 0, 0, 0, 0] {
            report.extend(u32::to_be_bytes(word));
        }
        publisher.connection.write_all(&report).unwrap();
        host.watch(|| publisher.send(1), |host| host.seen.len() >= first + 20);
        publisher.expect_end(&mut host);
        let begun = UtcNs(second * 1_000_000_000);
        let first = &host.seen[first];
        first.clock == ClockSource::Camera && first.capture.utc == begun
    });
    assert!(is_told);
    host.close();
}

#[test]
fn a_second_publisher_is_refused_while_the_first_one_sends() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut first = Publisher::recording(&host);
    host.watch(|| first.send(1), |host| host.seen.len() >= 20);
    let address = host.address;
    let second = thread::spawn(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(LIMIT)).unwrap();
        let length = VIDEO.len();
        let text = format!(
            "ANNOUNCE rtsp://h/cam RTSP/1.0\r\nCSeq: 9\r\nContent-Length: {length}\r\n\r\n{VIDEO}"
        );
        connection.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    });
    let before = host.seen.len();
    host.watch(|| first.send(1), |host| host.seen.len() > before && second.is_finished());
    let answer = second.join().unwrap();
    assert!(answer.starts_with("RTSP/1.0 503 ") && answer.contains("CSeq: 9"), "{answer}");
    assert!(answer.contains("Retry-After: "), "{answer}");
    assert!(host.downs.is_empty(), "{:?}", host.downs);
    first.expect_end(&mut host);
    host.close();
}

#[test]
fn a_second_publisher_replaces_the_first_where_the_topology_says_so_and_garbage_does_not() {
    let mut host = Host::open(Second::Replace, 8_000_000);
    let mut first = Publisher::recording(&host);
    host.watch(|| first.send(1), |host| host.seen.len() >= 20);
    let mut bad = Publisher::at(&host);
    bad.announce("m=video 0 RTP/AVP 96\r\na=rtpmap:96 X-MAGIC/90000\r\n", 415);
    host.watch(|| first.send(1), |host| host.seen.len() >= 40);
    assert!(host.downs.is_empty(), "{:?}", host.downs);
    publishes(&mut host);
    assert!(host.downs[0].contains("gave way to 127.0.0.1:"), "{:?}", host.downs);
    assert!(first.is_closed());
    host.close();
}

#[test]
fn a_publisher_that_is_silent_gives_way_before_it_is_given_up() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut first = Publisher::recording(&host);
    host.watch(|| first.send(1), |host| host.seen.len() >= 20);
    let deadline = clock::mono() + LIMIT;
    loop {
        assert!(clock::mono() < deadline, "it never gives way");
        let mut second = Publisher::at(&host);
        let kind = "Content-Type: application/sdp\r\n";
        let answer = second.ask("ANNOUNCE", "", kind, VIDEO);
        if answer.starts_with("RTSP/1.0 200 ") {
            break;
        }
        assert!(answer.starts_with("RTSP/1.0 503 "), "{answer}");
        thread::sleep(Duration::from_millis(100));
    }
    // Before the nine seconds of silence, or just behind them on a machine that was busy.
    host.watch(|| (), |host| !host.downs.is_empty());
    let why = &host.downs[0];
    assert!(why.contains("gave way to") || why.contains("nothing came for 9 s"), "{why}");
    host.close();
}

#[test]
fn a_publisher_that_pauses_is_waited_for() {
    let mut host = Host::open(Second::Refuse, 8_000_000);
    let mut publisher = Publisher::recording(&host);
    host.watch(|| publisher.send(1), |host| host.seen.len() >= 20);
    publisher.expect("PAUSE", "", "", "", 200);
    publisher.expect("GET_PARAMETER", "", "", "", 200);
    publisher.expect("RECORD", "", "", "", 200);
    host.watch(|| publisher.send(1), |host| host.seen.len() >= 60);
    assert!(host.downs.is_empty(), "{:?}", host.downs);
    assert_eq!(host.seen.iter().filter(|captured| captured.discontinuity).count(), 1);
    publisher.expect_end(&mut host);
    host.close();
}
