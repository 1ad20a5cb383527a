//! Real streams for tests, made by the `ffmpeg` command, and the players that judge what we wrote.
//! Shared by the tests of fmp4 and of the recorder.
#![allow(
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "each test program uses a part of this module, and says when it cannot"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use fmp4::Sample;
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

/// One encoded stream with the packets as a ring would carry them.
pub struct Stream {
    pub track: Track,
    pub samples: Vec<Sample>,
}

/// Whether the commands are here; says so when a test has to be left out.
pub fn have_ffmpeg() -> bool {
    let runs = |name| Command::new(name).arg("-version").output().is_ok();
    let both = runs("ffmpeg") && runs("ffprobe");
    if !both {
        println!("skipped: no ffmpeg");
    }
    both
}

/// 320x240 at 25 pictures a second, a key frame each `gop` pictures.
pub fn video(dir: &Path, codec: Codec, seconds: u32, gop: u32, b_pictures: u32) -> Stream {
    let (encoder, params, filter, format) = match codec {
        Codec::H265 => {
            ("libx265", "-x265-params", "hevc_mp4toannexb,hevc_metadata=aud=insert", "hevc")
        }
        _ => ("libx264", "-x264-params", "h264_mp4toannexb,h264_metadata=aud=insert", "h264"),
    };
    let options = format!(
        "keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_pictures}:open-gop=0:log-level=-1"
    );
    let [mp4, raw] =
        ["v.mp4", "v.raw"].map(|name| path(dir, &format!("{format}-{gop}-{b_pictures}-{name}")));
    let source = "testsrc2=size=320x240:rate=25";
    let length = seconds.to_string();
    run(&[
        "-f",
        "lavfi",
        "-i",
        source,
        "-t",
        &length,
        "-c:v",
        encoder,
        params,
        &options,
        "-preset",
        "ultrafast",
        "-bf",
        &b_pictures.to_string(),
        &mp4,
    ]);
    run(&["-i", &mp4, "-c", "copy", "-bsf:v", filter, "-f", format, &raw]);
    let units = access_units(&std::fs::read(&raw).unwrap(), codec);
    let rows = packets(&mp4);
    assert_eq!(units.len(), rows.len(), "access units against packets");
    let samples: Vec<Sample> = units
        .into_iter()
        .zip(rows)
        .map(|(payload, row)| Sample {
            track: 0,
            key: row.key,
            pts_ns: row.pts_ns,
            dts_ns: row.dts_ns,
            duration_ns: 40_000_000,
            payload,
        })
        .collect();
    let extradata =
        fmp4::parameter_sets(codec, &samples[0].payload).expect("parameter sets in the first unit");
    let track = Track {
        codec,
        time_base: TimeBase::VIDEO_90K,
        width: 320,
        height: 240,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata,
    };
    Stream { track, samples }
}

/// MJPEG, VP9 or AV1, as [`video`], and the file of the encoder. `None`, and a word of it, where
/// ffmpeg has no encoder.
pub fn own_words(dir: &Path, codec: Codec, seconds: u32, gop: u32) -> Option<(Stream, PathBuf)> {
    let (encoders, raw): (&[&[&str]], _) = match codec {
        Codec::Vp9 => (&[&["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"]], "v.ivf"),
        Codec::Av1 => {
            (&[&["libsvtav1", "-preset", "12"], &["libaom-av1", "-cpu-used", "8"]], "v.ivf")
        }
        _ => (&[&["mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p"]], "v.mjpeg"),
    };
    let encoder = encoders.iter().find(|encoder| has_encoder(encoder[0]));
    let Some(encoder) = encoder else {
        println!("skipped: ffmpeg has no encoder of {codec:?}");
        return None;
    };
    let (length, gop) = (seconds.to_string(), gop.to_string());
    let original = path(dir, &format!("{codec:?}.mkv"));
    let source = "testsrc2=size=320x240:rate=25";
    let input = ["-f", "lavfi", "-i", source, "-t", &length, "-g", &gop, "-c:v"];
    run(&[&input, *encoder, &[&original]].concat());
    let raw = path(dir, raw);
    run(&["-i", &original, "-c", "copy", &raw]);
    let bytes = std::fs::read(&raw).unwrap();
    let payloads = if codec == Codec::Mjpeg { pictures(&raw, &bytes) } else { ivf(&bytes) };
    let rows = packets(&original);
    assert_eq!(payloads.len(), rows.len(), "packets");
    let samples: Vec<Sample> = payloads
        .into_iter()
        .zip(rows)
        .map(|(payload, row)| Sample {
            track: 0,
            key: row.key,
            pts_ns: row.pts_ns,
            dts_ns: row.dts_ns,
            duration_ns: 40_000_000,
            payload,
        })
        .collect();
    let unknown = Track {
        codec,
        time_base: TimeBase::VIDEO_90K,
        width: 320,
        height: 240,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: Vec::new(),
    };
    let track = fmp4::described(&unknown, &samples[0].payload).expect("the first is a key frame");
    Some((Stream { track, samples }, original.into()))
}

fn has_encoder(name: &str) -> bool {
    let output = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == name)
}

/// The packets of an IVF file: 32 bytes of header, then length, time and bytes of each.
fn ivf(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &bytes[32..];
    let mut packets = Vec::new();
    while let Some((head, body)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        packets.push(body[..length].to_vec());
        rest = &body[length..];
    }
    packets
}

/// The pictures of a file that is one JPEG after the other.
fn pictures(file: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    let text = probe(Path::new(file), "packet=size");
    let mut rest = bytes;
    let mut next = |length: usize| {
        let (picture, behind) = rest.split_at(length);
        rest = behind;
        picture.to_vec()
    };
    text.lines().map(|length| next(length.trim_end_matches(',').parse().unwrap())).collect()
}

/// A stereo tone of AAC at 48 kHz, as track `index`.
pub fn aac(dir: &Path, seconds: u32, index: u32) -> Stream {
    let raw = path(dir, "a.adts");
    run(&[
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000",
        "-t",
        &seconds.to_string(),
        "-ac",
        "2",
        "-c:a",
        "aac",
        "-f",
        "adts",
        &raw,
    ]);
    let bytes = std::fs::read(&raw).unwrap();
    let mut rest = &bytes[..];
    let mut samples = Vec::new();
    while rest.len() > 7 {
        // ADTS: 13 bits of frame length from bit 30 on; the header has 7 bytes.
        let length = (usize::from(rest[3] & 3) << 11)
            | usize::from(rest[4]) << 3
            | usize::from(rest[5]) >> 5;
        let number = i64::try_from(samples.len()).unwrap();
        let base = TimeBase { num: 1, den: 48_000 };
        let time_ns = base.to_ns(number * 1024);
        samples.push(Sample {
            track: index,
            key: true,
            pts_ns: time_ns,
            dts_ns: time_ns,
            duration_ns: base.to_ns(1024),
            payload: rest[7..length].to_vec(),
        });
        rest = &rest[length..];
    }
    let track = Track {
        codec: Codec::Aac,
        time_base: TimeBase { num: 1, den: 48_000 },
        width: 0,
        height: 0,
        sample_rate_hz: 48_000,
        channels: 2,
        frame_rate: (0, 1),
        extradata: vec![0x11, 0x90],
    };
    Stream { track, samples }
}

/// All samples of the streams in the order of their decode times: what a ring would hold.
pub fn interleaved(streams: &[&Stream]) -> Vec<Sample> {
    let mut all: Vec<Sample> = streams.iter().flat_map(|stream| stream.samples.clone()).collect();
    all.sort_by_key(|sample| sample.dts_ns);
    all
}

/// What ffmpeg complains of when it decodes all of a file; empty when it plays.
pub fn complaints(file: &Path) -> String {
    let file = file.display().to_string();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i", &file, "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { text } else { format!("{text}\n{}", output.status) }
}

/// The decoded pictures' checksums, in the order they are shown.
pub fn picture_sums(file: &Path) -> Vec<String> {
    let file = file.display().to_string();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i", &file, "-map", "0:v:0", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| line.rsplit(',').next()).map(|sum| sum.trim().to_owned()).collect()
}

/// One field of ffprobe's format or stream section.
pub fn probe(file: &Path, entries: &str) -> String {
    let file = file.display().to_string();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "csv=p=0", &file])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

struct Row {
    pts_ns: i64,
    dts_ns: i64,
    key: bool,
}

fn packets(mp4: &str) -> Vec<Row> {
    let text = probe(Path::new(mp4), "packet=pts_time,dts_time,flags");
    let ns = |field: &str| {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a short test file")]
        let ns = (field.parse::<f64>().unwrap() * 1e9).round() as i64;
        ns
    };
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            Row { pts_ns: ns(fields[0]), dts_ns: ns(fields[1]), key: fields[2].starts_with('K') }
        })
        .collect()
}

/// Splits at access unit delimiters, with four-byte start codes kept.
fn access_units(raw: &[u8], codec: Codec) -> Vec<Vec<u8>> {
    let delimiter = |at: usize| match codec {
        Codec::H265 => (raw[at] >> 1) & 0x3f == 35,
        _ => raw[at] & 0x1f == 9,
    };
    let starts: Vec<usize> = (0..raw.len() - 4)
        .filter(|&at| raw[at..at + 4] == [0, 0, 0, 1] && delimiter(at + 4))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([raw.len()]);
    starts.iter().zip(ends).map(|(&start, end)| raw[start..end].to_vec()).collect()
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

fn run(args: &[&str]) {
    let output = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "ffmpeg {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
