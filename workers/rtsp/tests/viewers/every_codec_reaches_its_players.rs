//! Streams of every codec that FFmpeg and GStreamer know over RTP: what they decode is what the encoder's own
//! file decodes to, picture by picture.

use std::path::Path;

use bitstream::{Family, nal};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

use crate::harness::{Camera, Clip, RawClient, Site, has, hashes, run, text};

/// Pictures that a player takes.
const TAKEN: usize = 40;
const GOP: usize = 25;

struct Case {
    name: &'static str,
    codec: Codec,
    encoder: &'static [&'static str],
    container: &'static str,
    /// What GStreamer puts packets together with.
    elements: &'static str,
}

const CASES: [Case; 7] = [
    Case {
        name: "jpeg",
        codec: Codec::Mjpeg,
        encoder: &["mjpeg", "-huffman", "default", "-pix_fmt", "yuvj420p", "-q:v", "5"],
        container: "mjpeg",
        elements: "rtpjpegdepay",
    },
    Case {
        name: "jpeg-tables",
        codec: Codec::Mjpeg,
        encoder: &["mjpeg", "-huffman", "optimal", "-pix_fmt", "yuvj420p", "-q:v", "5"],
        container: "mjpeg",
        elements: "rtpjpegdepay",
    },
    Case {
        name: "mpeg4",
        codec: Codec::Mpeg4,
        encoder: &["mpeg4", "-bf", "0", "-g", "25", "-b:v", "2M"],
        container: "m4v",
        elements: "rtpmp4vdepay ! mpeg4videoparse",
    },
    Case {
        name: "vp8",
        codec: Codec::Vp8,
        encoder: &["libvpx", "-g", "25", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"],
        container: "ivf",
        elements: "rtpvp8depay",
    },
    Case {
        name: "vp9",
        codec: Codec::Vp9,
        encoder: &[
            "libvpx-vp9",
            "-g",
            "25",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-b:v",
            "2M",
        ],
        container: "ivf",
        elements: "rtpvp9depay",
    },
    Case {
        name: "h265",
        codec: Codec::H265,
        encoder: &[
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "keyint=25:min-keyint=25:scenecut=0:bframes=0:open-gop=0:repeat-headers=1:aud=1:log-level=none:pools=1",
        ],
        container: "hevc",
        elements: "rtph265depay ! h265parse",
    },
    Case {
        name: "av1",
        codec: Codec::Av1,
        encoder: &["libsvtav1", "-preset", "12", "-g", "25", "-b:v", "1M"],
        container: "ivf",
        elements: "",
    },
];

#[test]
fn motion_jpeg_reaches_ffmpeg_and_gstreamer() {
    reaches_its_players(&CASES[0]);
}

#[test]
fn motion_jpeg_with_tables_of_its_own_reaches_them_too() {
    reaches_its_players(&CASES[1]);
}

#[test]
fn mpeg4_reaches_ffmpeg_and_gstreamer() {
    reaches_its_players(&CASES[2]);
}

#[test]
fn vp8_reaches_ffmpeg_and_gstreamer() {
    reaches_its_players(&CASES[3]);
}

#[test]
fn vp9_reaches_ffmpeg_and_gstreamer() {
    reaches_its_players(&CASES[4]);
}

#[test]
fn h265_reaches_ffmpeg_and_gstreamer() {
    reaches_its_players(&CASES[5]);
}

/// Neither ffmpeg 5.1 nor Debian's GStreamer 1.22 reads AV1 from RTP: a reader of the test's own does.
#[test]
fn av1_comes_back_unit_by_unit() {
    if !has("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip: &'static Clip = Box::leak(Box::new(CASES[6].clip(dir.path())));
    let site = Site::open(8);
    let _camera = Camera::start(&site.project, clip);
    let mut client = site.connect();
    // The camera has to be seen before it is set up.
    client.ask("DESCRIBE", &site.url(), "");
    client.play(&site.url());
    let units: Vec<Vec<u8>> = clip.units().map(|(_, unit)| unit).collect();
    let seen: Vec<Vec<u8>> = (0..TAKEN).map(|_| av1_unit(&mut client)).collect();
    let first = units.iter().position(|unit| *unit == seen[0]).expect("a unit of the clip");
    assert_eq!(first % GOP, 0, "a key frame comes first");
    let expected: Vec<_> = units.iter().cycle().skip(first).take(TAKEN).cloned().collect();
    assert_eq!(seen, expected);
}

/// The packets up to the marker put together: OBUs with their sizes.
fn av1_unit(client: &mut RawClient) -> Vec<u8> {
    let (mut obus, mut is_open) = (Vec::<Vec<u8>>::new(), false);
    loop {
        let (channel, packet) = client.frame();
        if channel != 0 {
            continue;
        }
        let (is_last, payload) = (packet[1] & 0x80 != 0, &packet[12..]);
        assert_eq!(payload[0] & 0x30, 0x10, "one element");
        assert_eq!(payload[0] & 0x80 != 0, is_open);
        match obus.last_mut() {
            Some(open) if is_open => open.extend(&payload[1..]),
            _ => obus.push(payload[1..].to_vec()),
        }
        is_open = payload[0] & 0x40 != 0;
        if is_last {
            assert!(!is_open);
            return obus.iter().flat_map(|obu| with_size(obu)).collect();
        }
    }
}

fn with_size(obu: &[u8]) -> Vec<u8> {
    let (header, body) = obu.split_at(if obu[0] & 4 != 0 { 2 } else { 1 });
    let mut bytes = header.to_vec();
    bytes[0] |= 2;
    let mut left = body.len();
    while left > 0x7f {
        bytes.push(0x80 | u8::try_from(left & 0x7f).unwrap());
        left >>= 7;
    }
    bytes.push(u8::try_from(left).unwrap());
    [bytes, body.to_vec()].concat()
}

/// As rings have it: without temporal delimiters.
fn without_delimiter(unit: Vec<u8>) -> Vec<u8> {
    unit.strip_prefix(&[0x12, 0]).map(<[u8]>::to_vec).unwrap_or(unit)
}

fn reaches_its_players(case: &Case) {
    if !has("ffmpeg") {
        return;
    }
    let name = format!("framevisor-rtsp-{}-{}", std::process::id(), case.name);
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let clip: &'static Clip = Box::leak(Box::new(case.clip(&dir)));
    let site = Site::open(8);
    let _camera = Camera::start(&site.project, clip);
    through_ffmpeg(&site, clip);
    if has("gst-launch-1.0") && has_elements(case) {
        through_gstreamer(case, &site, clip, &dir);
    }
    std::fs::remove_dir_all(dir).unwrap();
}

fn through_ffmpeg(site: &Site, clip: &Clip) {
    let (url, taken) = (site.url(), TAKEN.to_string());
    let input = ["-v", "error", "-rtsp_transport", "tcp", "-i", &url, "-frames:v", &taken];
    let output = ["-fps_mode", "passthrough", "-vf", "setpts=N", "-f", "framemd5", "-"];
    let output = run("ffmpeg", &[&input[..], &output].concat());
    assert_eq!(text(&output.stderr), "");
    are_of(&hashes(&text(&output.stdout)), clip);
}

/// GStreamer puts the packets together; what it got is decoded by ffmpeg. Its own clock is left out: it takes the burst of a
/// late viewer for a camera that is fast, and its muxer then drops pictures.
fn through_gstreamer(case: &Case, site: &Site, clip: &Clip, dir: &Path) {
    let film = dir.join("seen.mkv");
    let pipeline = format!(
        "-q rtspsrc location={} protocols=tcp buffer-mode=none ! {} ! identity eos-after={} ! matroskamux ! filesink location={}",
        site.url(),
        case.elements,
        TAKEN + 1,
        film.display()
    );
    let arguments: Vec<&str> = pipeline.split(' ').collect();
    let output = run("gst-launch-1.0", &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read = ["-v", "error", "-i", film.to_str().unwrap(), "-fps_mode", "passthrough"];
    let output = run("ffmpeg", &[&read[..], &["-vf", "setpts=N", "-f", "framemd5", "-"]].concat());
    assert_eq!(text(&output.stderr), "");
    are_of(&hashes(&text(&output.stdout)), clip);
}

/// Whether GStreamer has what the case needs; says that it is passed over when it has not.
#[expect(clippy::print_stderr, reason = "what is skipped is told")]
fn has_elements(case: &Case) -> bool {
    let elements = case.elements.split(" ! ").chain(["rtspsrc", "matroskamux"]);
    let lacking: Vec<&str> = elements
        .filter(|element| !run("gst-inspect-1.0", &["--exists", element]).status.success())
        .collect();
    if !lacking.is_empty() {
        eprintln!("GStreamer is passed over: it has no {}", lacking.join(", "));
    }
    lacking.is_empty()
}

/// Pictures of the clip in its order, from a key frame on.
fn are_of(seen: &[String], clip: &Clip) {
    assert!(seen.len() >= TAKEN, "{} pictures", seen.len());
    // The last one may be cut off, with what was playing it.
    let seen = &seen[..TAKEN];
    let first = clip.pictures.iter().position(|picture| *picture == seen[0]);
    let first = first.expect("the first picture is one of the clip's");
    let expected: Vec<_> =
        clip.pictures.iter().cycle().skip(first).take(seen.len()).cloned().collect();
    assert_eq!(seen, expected);
}

impl Case {
    /// Eight seconds of moving picture.
    fn clip(&self, dir: &Path) -> Clip {
        let file = dir.join("clip");
        let file = file.to_str().unwrap();
        let source =
            ["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=8", "-c:v"];
        let encoded =
            run("ffmpeg", &[&source[..], self.encoder, &["-f", self.container, file]].concat());
        assert!(encoded.status.success(), "{}", text(&encoded.stderr));
        let decoded = run(
            "ffmpeg",
            &[
                "-v",
                "error",
                "-f",
                self.container,
                "-i",
                file,
                "-fps_mode",
                "passthrough",
                "-f",
                "framemd5",
                "-",
            ],
        );
        let bytes = std::fs::read(file).unwrap();
        let units = match self.codec {
            Codec::Mjpeg => jpegs(&bytes),
            Codec::Mpeg4 => visual_objects(&bytes),
            Codec::H265 => access_units(&bytes),
            Codec::Av1 => ivf(&bytes).into_iter().map(without_delimiter).collect(),
            _ => ivf(&bytes),
        };
        let key = |unit: &[u8]| self.is_key(unit);
        let extradata = self.extradata(&units[0]);
        let units = units.into_iter().map(|unit| (key(&unit), unit)).collect::<Vec<_>>();
        let keys = units.iter().filter(|(key, _)| *key).count();
        assert!(keys >= units.len() / GOP, "{keys} keys");
        Clip::of(self.track(extradata), units, hashes(&text(&decoded.stdout)))
    }

    fn is_key(&self, unit: &[u8]) -> bool {
        match self.codec {
            Codec::Mjpeg => true,
            // vop_coding_type of the first picture: I.
            Codec::Mpeg4 => {
                let at = unit.windows(4).position(|code| code == [0, 0, 1, 0xb6]).unwrap();
                unit[at + 4] >> 6 == 0
            }
            Codec::Vp8 => unit[0] & 1 == 0,
            // A sequence header comes first.
            Codec::Av1 => unit[0] >> 3 & 15 == 1,
            // frame_type of profile 0.
            Codec::Vp9 => unit[0] & 4 == 0,
            // nal_unit_type of the first slice: random access.
            _ => nal::units(unit).any(|nal| (16..=21).contains(&Family::H265.kind(nal))),
        }
    }

    fn extradata(&self, first: &[u8]) -> Vec<u8> {
        match self.codec {
            Codec::Mpeg4 => {
                let picture = first.windows(4).position(|code| code == [0, 0, 1, 0xb6]).unwrap();
                first[..picture].to_vec()
            }
            Codec::H265 => nal::stream(
                nal::units(first).filter(|nal| Family::H265.parameter_set(nal).is_some()),
            ),
            _ => Vec::new(),
        }
    }

    fn track(&self, extradata: Vec<u8>) -> Track {
        Track {
            codec: self.codec,
            time_base: TimeBase::VIDEO_90K,
            width: 320,
            height: 240,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata,
        }
    }
}

fn jpegs(bytes: &[u8]) -> Vec<Vec<u8>> {
    // Nothing else of a picture is these two bytes: a scan has zeros behind 0xff.
    starts(bytes, |pair| pair.starts_with(&[0xff, 0xd8, 0xff]))
}

/// A picture with the headers in front of it.
fn visual_objects(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut behind_picture = true;
    starts(bytes, |rest| {
        let &[0, 0, 1, code, ..] = rest else { return false };
        let begins = behind_picture;
        behind_picture = code == 0xb6;
        begins && (code == 0xb6 || code == 0xb0 || code == 0xb3 || behind_picture)
    })
}

fn access_units(bytes: &[u8]) -> Vec<Vec<u8>> {
    starts(bytes, |rest| matches!(rest, [0, 0, 0, 1, header, ..] if header >> 1 & 63 == 35))
}

/// Parts that begin where `begins` says so of what follows.
fn starts(bytes: &[u8], mut begins: impl FnMut(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = (0..bytes.len()).filter(|at| begins(&bytes[*at..])).collect();
    at.push(bytes.len());
    at.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

fn ivf(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &bytes[32..];
    let mut frames = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<12>() {
        let length = usize::try_from(u32::from_le_bytes(head[..4].try_into().unwrap())).unwrap();
        let (frame, next) = behind.split_at(length);
        frames.push(frame.to_vec());
        rest = next;
    }
    frames
}
