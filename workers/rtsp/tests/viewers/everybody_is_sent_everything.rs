//! Viewers who read in fits and starts, and speak while they are sent to: each goes to and from the camera's relay all the
//! time, and none may notice.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtp_types::RtpPacket;
use rtsp::fanout::Intake;
use rtsp::feed::Feed;
use rtsp::server::Server;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use shmring::{Packet, PacketMeta, clock};

use crate::harness::{Clip, RawClient, sleep_until};

const PERIOD: Duration = Duration::from_millis(10);
const VIEWERS: u64 = 6;
/// What each has to see: some ten seconds of it.
const UNITS: usize = 1_000;
const UNIT_BYTES: usize = 12_000;
/// So little that the server has to wait, in the middle of a unit, for everybody who rests.
const SOCKET_BYTES: usize = 32 << 10;
/// As stated in the RTP header: 10 ms at 90 kHz.
const TICKS_A_UNIT: u32 = 900;

/// A camera of a hundred units a second that are each full of their own number.
fn film(feed: &Feed, stop: &AtomicBool) {
    let tracks = [Clip::track_with(Vec::new())];
    let mut intake = Intake::default();
    for sequence in 1u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let published = clock::mono();
        let key = sequence % 25 == 1;
        let pts_ns = i64::try_from(sequence).unwrap() * 10_000_000;
        let meta = PacketMeta { key, pts_ns, dts_ns: pts_ns, ..PacketMeta::default() };
        let header = [0, 0, 0, 1, if key { 0x65 } else { 0x41 }];
        let payload = [&header[..], &vec![fill_of(sequence); UNIT_BYTES]].concat();
        intake.take(
            Packet { epoch: 1, sequence, meta, published, payload },
            &tracks,
            feed,
            published,
        );
        sleep_until(published + PERIOD);
    }
}

/// No byte that looks like a start code.
fn fill_of(sequence: u64) -> u8 {
    u8::try_from(sequence % 251).unwrap() + 2
}

/// Reads `UNITS` units with rests in between, asking now and then, and checks that nothing is missing, twice or changed.
fn watch(mut client: RawClient, url: &str, mut chance: u64) {
    set_socket_recv_buffer_size(&client.socket, SOCKET_BYTES).unwrap();
    client.play(url);
    let (mut units, mut last): (usize, Option<(u16, u32, u8)>) = (0, None);
    while units < UNITS {
        let (channel, frame) = client.frame();
        if channel != 0 {
            continue;
        }
        let packet = RtpPacket::parse(&frame).unwrap();
        let (sequence, ticks, fill) =
            (packet.sequence_number(), packet.timestamp(), *packet.payload().last().unwrap());
        if let Some((last_sequence, last_ticks, last_fill)) = last {
            assert_eq!(sequence, last_sequence.wrapping_add(1), "after {units} units");
            let begins = ticks != last_ticks;
            let expected = if begins { (last_fill - 1) % 251 + 2 } else { last_fill };
            assert_eq!(fill, expected, "after {units} units");
            assert!(!begins || ticks.wrapping_sub(last_ticks) == TICKS_A_UNIT);
        }
        last = Some((sequence, ticks, fill));
        if !packet.marker_bit() {
            continue;
        }
        units += 1;
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match chance >> 59 {
            0 => thread::sleep(Duration::from_millis(100)),
            1 => ask_without_waiting(&mut client, url),
            _ => {}
        }
    }
}

/// The answer comes between two packets, and is passed over.
fn ask_without_waiting(client: &mut RawClient, url: &str) {
    let request = format!("OPTIONS {url} RTSP/1.0\r\nCSeq: 1000\r\n\r\n");
    client.socket.write_all(request.as_bytes()).unwrap();
}

#[test]
fn viewers_who_rest_and_speak_all_the_time_are_sent_every_unit_once_and_whole() {
    let feed = Arc::new(Feed::new("cam1"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Its connections inherit it.
    set_socket_send_buffer_size(&listener, SOCKET_BYTES).unwrap();
    let server = Server::start(listener, [Arc::clone(&feed)].into_iter().collect(), 8).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let camera = thread::spawn(move || film(&feed, &stopped));
    let address = server.address();
    let viewers: Vec<JoinHandle<()>> = (0..VIEWERS)
        .map(|number| {
            thread::spawn(move || {
                let url = format!("rtsp://{address}/cam1");
                watch(RawClient::connect(address), &url, number);
            })
        })
        .collect();
    let outcomes: Vec<_> = viewers.into_iter().map(JoinHandle::join).collect();
    stop.store(true, Ordering::Relaxed);
    camera.join().unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "a viewer saw something else");
}
