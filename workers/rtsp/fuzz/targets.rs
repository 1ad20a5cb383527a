//! What bytes from anywhere are thrown at: the conversation, the headers that are read by hand, URLs, reports of
//! clients, and what becomes of tracks and units in descriptions and packets. None of it may panic, every answer
//! is RTSP, every description is SDP and no packet is too large. `tests/targets.rs` runs all of it on the stable
//! toolchain, the files of `fuzz_targets` under libFuzzer.

use std::sync::Arc;
use std::time::Duration;

use protocol::stream::{Codec, Track};
use protocol::time::{MonoNs, TimeBase, UtcNs};
use rtsp::chance::Chance;
use rtsp::envelope::Datagrams;
use rtsp::inbox::{Inbound, Inbox};
use rtsp::playback::Outlet;
use rtsp::rtp::sender::Beginning;
use rtsp::rtp::{Format, PAYLOAD_MAX_BYTES, rtcp};
use rtsp::sdp::Presentation;
use rtsp::session::{Camera, Cameras, Circumstances, Event, Reserved, Session};
use rtsp::target::Target;
use rtsp::transport::{self, Group, Mode, Ports, Reach};
use rtsp::unit::Unit;
use rtsp_types::{Message, Response, Url};

/// By its name.
type Throw = (&'static str, fn(&[u8]));

pub(crate) const TARGETS: [Throw; 7] = [
    ("authorization", authorizations),
    ("requests", requests),
    ("rtcp", reports),
    ("rtp", packets),
    ("sdp", descriptions),
    ("transport", transports),
    ("url", urls),
];

/// The session of every conversation here, so that requests of the corpus can name it.
const CHANCE: Chance = Chance {
    session: 0x00c0_ffee,
    beginning: Beginning { ssrc: 0xaabb_ccdd, sequence: 65_535, ticks: u32::MAX - 10 },
};

const PEER: [u8; 4] = [127, 0, 0, 9];

/// A SETUP may ask for any transport.
fn reserved() -> Reserved {
    let ports = Ports { rtp: 20_000, rtcp: 20_001 };
    let group = Group { address: [239, 255, 42, 1].into(), ports, ttl: 1, ssrc: 7 };
    Reserved { ports: Some(ports), group: Some(group) }
}

/// Throws bytes at the target of this name.
pub(crate) fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(own, _)| *own == name);
    target.unwrap_or_else(|| panic!("no target is named {name}")).1(data);
}

/// `cam1` has a picture and sound, `late` has not been seen.
#[derive(Debug)]
struct Site(Arc<Presentation>);

impl Cameras for Site {
    fn camera(&self, path: &str) -> Camera {
        match path {
            "cam1" => Camera::Ready(Arc::clone(&self.0)),
            "late" => Camera::Silent,
            _ => Camera::Unknown,
        }
    }
}

/// The first byte says how many come at a time; the rest is what a client sends.
fn requests(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    let tracks = [track(Codec::H264, Vec::new()), track(Codec::Aac, vec![0x11, 0x90])];
    let site = Site(Arc::new(Presentation::of("cam1", &tracks)));
    let mut now = MonoNs(1_000_000_000);
    let (mut inbox, mut session) = (Inbox::default(), Session::new(now));
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        now = now + Duration::from_millis(1);
        inbox.push(piece, now);
        loop {
            match inbox.next(session.expects_frames(), now) {
                Ok(Some(Inbound::Request(request))) => {
                    let around = Circumstances {
                        now,
                        chance: CHANCE,
                        cameras: &site,
                        local: [127, 0, 0, 1].into(),
                        peer: PEER.into(),
                        reserved: reserved(),
                    };
                    let (response, event) = session.answer(&request, &around);
                    is_rtsp(&response);
                    assert!(event != Event::Playing || session.playing().is_some());
                    watch(&mut session, &site.0, now);
                }
                Ok(Some(Inbound::Frame { channel, payload })) => {
                    session.hear(channel, &payload, now)
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let _ = session.silent_until();
    }
}

fn is_rtsp(response: &Response<Vec<u8>>) {
    let mut bytes = Vec::new();
    response.write(&mut bytes).unwrap();
    let (message, length) = Message::<Vec<u8>>::parse(&bytes).unwrap();
    assert_eq!(length, bytes.len());
    assert!(matches!(message, Message::Response(_)));
}

/// Whoever plays gets a unit.
fn watch(session: &mut Session, presentation: &Presentation, now: MonoNs) {
    let mode = session.mode();
    let Some(playback) = session.playing() else { return };
    let payload = [&[0, 0, 0, 1, 0x65][..], &[7; 3000]].concat();
    let format = &presentation.tracks()[0].format;
    let pieces = format.cut(&payload);
    let unit =
        Unit { track: 0, entry: true, pts_ns: 40_000_000, captured: UtcNs(1), pieces, payload };
    match mode {
        Some(Mode::Interleaved) => {
            playback.write(&unit, now, Outlet::Interleaved(&mut Vec::new()));
        }
        _ => playback.write(&unit, now, Outlet::Datagrams(&mut Datagrams::default())),
    }
}

fn reports(data: &[u8]) {
    let _ = rtcp::is_report(data);
    let blocks = rtcp::blocks(data);
    assert!(blocks.len() * 24 <= data.len());
}

/// What a client says of who it is.
fn authorizations(data: &[u8]) {
    if let Some(authorization) = access::header::parse(&String::from_utf8_lossy(data)) {
        assert!(authorization.user().len() <= data.len().saturating_mul(3));
    }
}

/// The first byte chooses the codec; the rest is a unit of it.
fn packets(data: &[u8]) {
    let Some((codec, unit)) = data.split_first() else { return };
    let Ok(format) = Format::of(&track(codec_of(*codec), Vec::new()), 0) else { return };
    let unit = format.wire(unit.to_vec());
    let pieces = format.cut(&unit);
    for piece in &pieces {
        assert!(piece.payload_bytes() <= PAYLOAD_MAX_BYTES);
        assert!(piece.body.end <= unit.len());
    }
}

/// The first byte chooses the codec; the rest is what its track says of itself.
fn descriptions(data: &[u8]) {
    let Some((codec, extradata)) = data.split_first() else { return };
    let tracks = [track(codec_of(*codec), extradata.to_vec())];
    let presentation = Presentation::of("cam1", &tracks);
    let text = presentation.sdp([127, 0, 0, 1].into());
    let session = sdp_types::Session::parse(&text).unwrap();
    assert_eq!(session.medias.len(), presentation.tracks().len());
}

fn transports(data: &[u8]) {
    let reach = Reach { peer: PEER.into(), interleaved: true, multicast: true, unicast: true };
    let _ = transport::accept(&String::from_utf8_lossy(data), &reach);
}

fn urls(data: &[u8]) {
    let Ok(url) = Url::parse(&String::from_utf8_lossy(data)) else { return };
    let Some(target) = Target::of(&url) else { return };
    assert!(target.base().path().ends_with('/'));
    assert_eq!(target.base().password(), None);
    let _ = target.track_url(target.track.unwrap_or(0));
}

fn codec_of(byte: u8) -> Codec {
    Codec::ALL[usize::from(byte) % Codec::ALL.len()]
}

fn track(codec: Codec, extradata: Vec<u8>) -> Track {
    let video = codec.is_video();
    Track {
        codec,
        time_base: TimeBase::VIDEO_90K,
        width: if video { 640 } else { 0 },
        height: if video { 480 } else { 0 },
        sample_rate_hz: if video { 0 } else { 48_000 },
        channels: if video { 0 } else { 2 },
        frame_rate: (25, 1),
        extradata,
    }
}
