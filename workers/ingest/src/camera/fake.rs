//! An RTSP camera for tests: H.264 over interleaved TCP, as much of RFC 2326 as a client needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::test_source::PatternEncoder;
use protocol::config::ingest::Source;

const FPS: u64 = 100;
const RTP_MAX_BYTES: usize = 1200;

/// Serves `connections` connections, `pictures` pictures each, and closes each one then.
pub(crate) fn serve(connections: usize, pictures: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming().take(connections) {
            // The client may leave at any time; that ends this connection only.
            let _ = play(&connection.unwrap(), pictures);
        }
    });
    format!("rtsp://user:secret@127.0.0.1:{port}/cam")
}

fn play(connection: &TcpStream, pictures: u64) -> std::io::Result<()> {
    let mut out = connection.try_clone()?;
    let mut sequence = String::new();
    let mut method = String::new();
    for line in BufReader::new(connection.try_clone()?).lines() {
        let line = line?;
        if let Some(number) = line.strip_prefix("CSeq: ") {
            number.clone_into(&mut sequence);
        } else if line.ends_with("RTSP/1.0") {
            line.split(' ').next().unwrap().clone_into(&mut method);
        } else if line.is_empty() {
            out.write_all(reply(&method, &sequence).as_bytes())?;
            if method == "PLAY" {
                return send_pictures(&mut out, pictures);
            }
        }
    }
    Ok(())
}

fn reply(method: &str, sequence: &str) -> String {
    let (headers, body) = match method {
        "DESCRIBE" => (
            "Content-Type: application/sdp\r\n",
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
             a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n",
        ),
        "SETUP" => ("Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", ""),
        "PLAY" => ("Session: 1\r\n", ""),
        _ => ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""),
    };
    let length = body.len();
    format!(
        "RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn send_pictures(out: &mut TcpStream, pictures: u64) -> std::io::Result<()> {
    let Ok(Source::Test(pattern)) = "test:?size=128x64&fps=100&gop=10".parse() else {
        panic!("a pattern that reads");
    };
    let mut encoder = PatternEncoder::open(&pattern).unwrap();
    let mut rtp_sequence = 0u16;
    for number in 0..pictures {
        let unit = encoder.encode(number).unwrap();
        let mut nals: Vec<&[u8]> = split(&unit.payload);
        // A viewer rarely comes in time for a key frame.
        if number == 0 {
            nals.clear();
        }
        let ticks = u32::try_from(number * 90_000 / FPS).unwrap();
        for (at, nal) in nals.iter().enumerate() {
            for (payload, last_part) in parts(nal, RTP_MAX_BYTES) {
                let marker = last_part && at + 1 == nals.len();
                send(out, rtp_sequence, ticks, marker, &payload)?;
                rtp_sequence = rtp_sequence.wrapping_add(1);
            }
        }
        thread::sleep(Duration::from_millis(1000 / FPS));
    }
    Ok(())
}

pub(super) fn split(unit: &[u8]) -> Vec<&[u8]> {
    bitstream::nal::units(unit).collect()
}

/// RFC 6184: whole, or in FU-A parts; with each, whether it is the last.
pub(super) fn parts(nal: &[u8], most_bytes: usize) -> Vec<(Vec<u8>, bool)> {
    if nal.len() <= most_bytes {
        return vec![(nal.to_vec(), true)];
    }
    let chunks: Vec<&[u8]> = nal[1..].chunks(most_bytes).collect();
    let last = chunks.len() - 1;
    let part = |(at, chunk): (usize, &&[u8])| {
        let bits = u8::from(at == 0) << 7 | u8::from(at == last) << 6;
        let header = [nal[0] & 0xe0 | 28, bits | nal[0] & 0x1f];
        ([&header, *chunk].concat(), at == last)
    };
    chunks.iter().enumerate().map(part).collect()
}

fn send(
    out: &mut TcpStream,
    sequence: u16,
    ticks: u32,
    marker: bool,
    payload: &[u8],
) -> std::io::Result<()> {
    let mut packet = vec![b'$', 0];
    packet.extend(u16::try_from(payload.len() + 12).unwrap().to_be_bytes());
    packet.extend([0x80, u8::from(marker) << 7 | 96]);
    packet.extend(sequence.to_be_bytes());
    packet.extend(ticks.to_be_bytes());
    packet.extend(7u32.to_be_bytes());
    packet.extend(payload);
    out.write_all(&packet)
}
