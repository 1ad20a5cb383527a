//! A camera's recordings, made as a recorder makes them: packet `n` has the time `n` x 20 ms; odd ones are
//! pictures, even ones sound; every two seconds a key frame, every second a fragment.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use fmp4::{Fragment, Movie, Muxer, NextDecode, OriginFlags, Sample};
use protocol::config;
use protocol::stream::{Codec, Track};
use protocol::time::{TimeBase, UtcNs};
use recordings::FileName;
use rtsp::feed::Feeds;
use rtsp::house::Terms;
use rtsp::recorded::moment;
use rtsp::recorded::shelf::Shelf;
use rtsp::server::{Opening, Server};

use crate::harness::RawClient;

pub const STEP_NS: u64 = 20_000_000;
pub const GROUP: u64 = 100;
const FRAGMENT: u64 = 50;
/// 2026-11-20T12:02:40Z.
const NOON_NS: u64 = 1_795_176_160_000_000_000;
pub const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0,
];

/// A directory as a recorder has it, and a server of it.
pub struct Cinema {
    dir: tempfile::TempDir,
    files: u64,
    /// From packet to packet.
    pub step_ns: u64,
    pub server: Option<Server>,
}

pub fn is_picture(number: u64) -> bool {
    number % 2 == 1
}

pub fn is_key(number: u64) -> bool {
    number % GROUP == 1
}

pub fn time_of(number: u64) -> UtcNs {
    UtcNs(NOON_NS + number * STEP_NS)
}

/// As a URL and a header have it.
pub fn clock_of(number: u64) -> String {
    moment::to_clock(time_of(number))
}

fn media_ns(number: u64) -> i64 {
    i64::try_from(number * STEP_NS).unwrap()
}

/// Its number, and enough bytes that a key frame takes several packets.
fn own(number: u64) -> Vec<u8> {
    let text = format!("packet {number} ");
    let length = if is_key(number) { 4_000 } else { 100 };
    text.into_bytes().into_iter().chain(std::iter::repeat_n(b'x', length)).collect()
}

fn packet(number: u64) -> Vec<u8> {
    if !is_picture(number) {
        return own(number);
    }
    let slice =
        [&[0, 0, 0, 1, if is_key(number) { 0x65 } else { 0x41 }][..], &own(number)].concat();
    if is_key(number) { [SETS, &slice].concat() } else { slice }
}

fn sample(number: u64) -> Sample {
    Sample {
        track: u32::from(!is_picture(number)),
        key: is_key(number),
        pts_ns: media_ns(number),
        dts_ns: media_ns(number),
        duration_ns: 2 * media_ns(1),
        payload: packet(number),
    }
}

pub fn tracks(sets: &[u8]) -> Vec<Track> {
    let video = Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: 640,
        height: 480,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: sets.to_vec(),
    };
    let sound = Track {
        codec: Codec::Aac,
        time_base: TimeBase { num: 1, den: 48_000 },
        width: 0,
        height: 0,
        sample_rate_hz: 48_000,
        channels: 2,
        frame_rate: (0, 1),
        extradata: vec![0x11, 0x90],
    };
    vec![video, sound]
}

impl Cinema {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("cam1")).unwrap();
        Self { dir, files: 0, step_ns: STEP_NS, server: None }
    }

    /// The camera's directory.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("cam1")
    }

    /// A file of these packets.
    pub fn file(mut self, packets: std::ops::RangeInclusive<u64>) -> Self {
        self.write(&tracks(SETS), packets, sample);
        self
    }

    pub fn write(
        &mut self,
        tracks: &[Track],
        packets: std::ops::RangeInclusive<u64>,
        sample: impl Fn(u64) -> Sample,
    ) {
        let (first, last) = (*packets.start(), *packets.end());
        self.files += 1;
        let ring = "cam1.packets".parse().unwrap();
        let (mut bytes, mut muxer, mut at) = (Vec::new(), None, first);
        while at <= last {
            let end = last.min((at - 1) / FRAGMENT * FRAGMENT + FRAGMENT);
            let capture = UtcNs(NOON_NS + at * self.step_ns);
            let mut fragment = Fragment::new(&ring, 7, at, capture, OriginFlags::default());
            (at..=end).for_each(|number| fragment.push(sample(number)));
            let muxer = muxer.get_or_insert_with(|| {
                let begun = Muxer::new(Movie::new(tracks).0, &fragment);
                bytes = begun.init_segment().unwrap();
                begun
            });
            let next = sample(end + 1);
            let next = NextDecode { track: next.track, dts_ns: next.dts_ns };
            bytes.extend(muxer.write(&fragment, Some(next)).unwrap());
            at = end + 1;
        }
        let name = FileName { capture: time_of(first), number: self.files };
        fs::write(self.folder().join(name.to_string()), bytes).unwrap();
    }

    /// Opens to clients, over TCP alone.
    pub fn open(self) -> Self {
        self.open_with(Terms::over_tcp(8))
    }

    pub fn open_with(mut self, terms: Terms) -> Self {
        let shelf = Shelf::new(config::Shelf::At(self.dir.path().to_owned()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let opening = Opening { shelf, ..Opening::of(listener, Feeds::default(), terms) };
        self.server = Some(Server::open(opening).unwrap());
        self
    }

    pub fn url(&self) -> String {
        format!("rtsp://{}/recordings/cam1", self.server.as_ref().unwrap().address())
    }

    pub fn visitor(&self) -> Visitor {
        Visitor {
            client: RawClient::connect(self.server.as_ref().unwrap().address()),
            base: self.url(),
            session: String::new(),
            unit: [Vec::new(), Vec::new()],
            heard: [false; 2],
        }
    }
}

/// A client with both tracks set up: pictures on channel 0, sound on channel 2.
pub struct Visitor {
    pub client: RawClient,
    base: String,
    session: String,
    /// What has come of a unit in several packets.
    unit: [Vec<u8>; 2],
    /// Of which tracks anything has come.
    heard: [bool; 2],
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Number, RTP sequence number and timestamp of the first packet.
    Packet {
        number: u64,
        sequence: u16,
        ticks: u32,
    },
    Goodbye {
        channel: u8,
    },
}

impl Visitor {
    pub fn set_up(mut self) -> Self {
        for track in 0..2 {
            let channels = format!("{}-{}", 2 * track, 2 * track + 1);
            let session = match self.session.as_str() {
                "" => String::new(),
                id => format!("Session: {id}\r\n"),
            };
            let lines =
                format!("Transport: RTP/AVP/TCP;unicast;interleaved={channels}\r\n{session}");
            let answer =
                self.client.ask("SETUP", &format!("{}/trackID={track}", self.base), &lines);
            assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
            self.session = header(&answer, "Session").split(';').next().unwrap().to_owned();
        }
        self
    }

    pub fn ask(&mut self, method: &str, lines: &str) -> String {
        let lines = format!("Session: {}\r\n{lines}", self.session);
        self.client.ask(method, &self.base.clone(), &lines)
    }

    /// A request for one track, as it is sent.
    pub fn request_of(&self, track: u32, method: &str, lines: &str) -> String {
        let Self { base, session, .. } = self;
        format!(
            "{method} {base}/trackID={track} RTSP/1.0\r\nCSeq: 9\r\nSession: {session}\r\n{lines}\r\n"
        )
    }

    /// PLAY, which has to succeed.
    pub fn play(&mut self, lines: &str) -> String {
        let answer = self.ask("PLAY", lines);
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        self.unit = [Vec::new(), Vec::new()];
        answer
    }

    /// The next whole unit or goodbye.
    pub fn next(&mut self) -> Seen {
        loop {
            let (channel, packet) = self.client.frame();
            if channel % 2 == 1 {
                if says_goodbye(&packet) {
                    return Seen::Goodbye { channel };
                }
                continue;
            }
            if let Some(seen) = self.rtp(usize::from(channel / 2), &packet) {
                return seen;
            }
        }
    }

    /// Everything up to the goodbye of all tracks of which anything came (RFC 3550 section 6.3.7): the numbers of the
    /// packets.
    pub fn rest(&mut self) -> Vec<u64> {
        let (mut numbers, mut goodbyes) = (Vec::new(), 0);
        while goodbyes == 0 || goodbyes < self.heard.iter().filter(|heard| **heard).count() {
            match self.next() {
                Seen::Packet { number, .. } => numbers.push(number),
                Seen::Goodbye { .. } => goodbyes += 1,
            }
        }
        numbers
    }

    /// A depacketiser for what is in the film: FU-A, single NAL units, AAC frames of one packet.
    fn rtp(&mut self, track: usize, packet: &[u8]) -> Option<Seen> {
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let ticks = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let (marker, payload) = (packet[1] & 0x80 != 0, &packet[12..]);
        self.heard[track] = true;
        let unit = &mut self.unit[track];
        if unit.is_empty() {
            unit.extend(sequence.to_be_bytes());
        }
        let skip = match (track, payload[0] & 0x1f) {
            (1, _) => 4,
            (_, 28) => 2,
            _ => 1,
        };
        unit.extend(&payload[skip..]);
        if !marker {
            return None;
        }
        let unit = std::mem::take(unit);
        let text = String::from_utf8_lossy(&unit[2..]).into_owned();
        let number = text.split("packet ").nth(1)?.split(' ').next()?.parse().ok()?;
        let sequence = u16::from_be_bytes([unit[0], unit[1]]);
        Some(Seen::Packet { number, sequence, ticks })
    }
}

/// Whether one of the packets of a compound one is BYE (RFC 3550 section 6.6).
fn says_goodbye(compound: &[u8]) -> bool {
    let mut rest = compound;
    while let &[_, kind, high, low, ..] = rest {
        if kind == 203 {
            return true;
        }
        let bytes = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
        rest = rest.get(bytes..).unwrap_or_default();
    }
    false
}

/// The value of a response's header.
pub fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {answer}"))
}

/// `seq` and `rtptime` of each track.
pub fn promises(answer: &str) -> Vec<(u16, u32)> {
    let number = |entry: &str, name: &str| {
        let field = entry.split(';').find_map(|field| field.strip_prefix(name));
        field.unwrap().parse::<u32>().unwrap()
    };
    let entries = header(answer, "RTP-Info").split(',');
    entries
        .map(|entry| (u16::try_from(number(entry, "seq=")).unwrap(), number(entry, "rtptime=")))
        .collect()
}
