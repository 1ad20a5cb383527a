//! Containers come out in the ring's form: Annex B, 4-byte start codes, whole parameter sets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{Folder, Pool, decode_all, ffmpeg, open, read_all};
use media::{AccessUnit, Container, Demuxer, Input, Muxer, PictureHome};
use protocol::stream::{Codec, PixelFormat, Track};
use protocol::time::TimeBase;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

#[test]
fn an_mp4_with_b_frames_and_sound_becomes_two_tracks() {
    let folder = Folder::new("mp4");
    let path = folder.path("both.mp4");
    ffmpeg(
        "-f lavfi -i sine=duration=2 -f lavfi -i testsrc2=size=320x180:rate=25:duration=2 \
         -map 0 -map 1 -c:v libx264 -bf 2 -g 25 -c:a aac",
        &path,
    );
    let mut demuxer = open(&path);
    let codecs: Vec<Codec> = demuxer.tracks().iter().map(|track| track.codec).collect();
    assert_eq!(codecs, [Codec::H264, Codec::Aac]);
    let (video, audio) = (&demuxer.tracks()[0].clone(), &demuxer.tracks()[1].clone());
    assert_eq!((video.width, video.height, video.frame_rate), (320, 180, (25, 1)));
    assert_eq!((audio.sample_rate_hz, audio.channels, audio.extradata.len()), (44_100, 1, 5));
    assert_eq!(video.extradata[..4], START_CODE);

    let units = read_all(&mut demuxer);
    let pictures: Vec<&AccessUnit> = units.iter().filter(|unit| unit.track == 0).collect();
    assert_eq!(pictures.len(), 50);
    assert!(pictures.iter().all(|unit| unit.duration_ns == 40_000_000));
    assert!(pictures.windows(2).all(|pair| pair[1].dts_ns - pair[0].dts_ns == 40_000_000));
    assert!(pictures.iter().any(|unit| unit.pts_ns != unit.dts_ns), "no reordering");
    for unit in pictures.iter().filter(|unit| unit.key) {
        assert!(unit.payload.starts_with(&video.extradata), "key frame without its sets");
    }
    let sound: Vec<&AccessUnit> = units.iter().filter(|unit| unit.track == 1).collect();
    assert!(sound.iter().all(|unit| unit.payload[0] != 0xff), "an ADTS header is left");
}

#[test]
fn a_transport_stream_gives_raw_aac_and_learns_its_configuration() {
    let folder = Folder::new("ts");
    let path = folder.path("both.ts");
    ffmpeg(
        "-f lavfi -i testsrc2=size=320x192:rate=25:duration=1 -f lavfi -i sine=duration=1 \
         -c:v libx264 -c:a aac",
        &path,
    );
    let mut demuxer = open(&path);
    let units = read_all(&mut demuxer);
    assert!(demuxer.tracks_version() >= 1);
    let audio = demuxer.tracks().iter().find(|track| track.codec == Codec::Aac).unwrap();
    assert_eq!(audio.extradata[..2], [0x12, 0x08], "AAC-LC, 44.1 kHz, mono");
    assert!(units.iter().all(|unit| unit.payload[..2] != [0xff, 0xf1]));
}

#[test]
fn a_stream_whose_pictures_change_their_size_says_so_from_that_key_frame_on() {
    let folder = Folder::new("sizes");
    let both = folder.path("both.ts");
    let part = |size: &str, set: u8| {
        let path = folder.path(&format!("{size}.ts"));
        let arguments = format!(
            "-f lavfi -i testsrc2=size={size}:rate=25:duration=1 -c:v libx264 -g 25 -x264-params sps-id={set}"
        );
        ffmpeg(&arguments, &path);
        std::fs::read(&path).unwrap()
    };
    std::fs::write(&both, [part("320x180", 0), part("640x360", 0), part("480x270", 1)].concat())
        .unwrap();
    let mut demuxer = open(&both);
    let mut sizes = Vec::new();
    while demuxer.read().unwrap().is_some() {
        let track = &demuxer.tracks()[0];
        sizes.push((track.width, track.height));
    }
    sizes.dedup();
    assert_eq!(sizes, [(320, 180), (640, 360), (480, 270)]);
}

#[test]
fn h265_in_matroska_becomes_annex_b_with_three_kinds_of_sets() {
    let folder = Folder::new("hevc");
    let path = folder.path("picture.mkv");
    ffmpeg(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=1 -c:v libx265 -preset \
         ultrafast -x265-params log-level=error:keyint=10:no-open-gop=1",
        &path,
    );
    let mut demuxer = open(&path);
    let units = read_all(&mut demuxer);
    let kinds: Vec<u8> = nal_kinds_h265(&units[0].payload);
    assert_eq!(kinds[..3], [32, 33, 34]);
    assert_eq!(units.iter().filter(|unit| unit.key).count(), 3);
    let pool = Arc::new(Pool::default());
    let mut seen = 0;
    decode_all(&mut open(&path), 1, &pool, |picture| {
        assert!(matches!(picture.home, PictureHome::Lent { .. }));
        seen += 1;
    });
    assert_eq!(seen, 25);
    assert!(pool.most_out() <= pool.most_needed());
}

#[test]
fn a_sample_of_no_bytes_does_not_end_an_mp4() {
    let folder = Folder::new("empty-sample");
    let path = folder.path("picture.mp4");
    ffmpeg(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=1 -c:v libx264 -preset ultrafast",
        &path,
    );
    let mut bytes = std::fs::read(&path).unwrap();
    // ISO/IEC 14496-12 8.7.3.2: name, version and flags, common size, count, then the sizes.
    let sizes = bytes.windows(4).position(|name| name == b"stsz").unwrap() + 16;
    let size = |bytes: &[u8], sample: usize| {
        u32::from_be_bytes(bytes[sizes + 4 * sample..][..4].try_into().unwrap())
    };
    // The tenth sample's bytes go to the ninth, so that the others stay where they are.
    let both = size(&bytes, 9) + size(&bytes, 10);
    bytes[sizes + 36..sizes + 40].copy_from_slice(&both.to_be_bytes());
    bytes[sizes + 40..sizes + 44].fill(0);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read_all(&mut open(&path)).len(), 24);
}

#[test]
fn cropped_pictures_are_cropped_to_the_pixel() {
    let folder = Folder::new("crop");
    let path = folder.path("odd.mp4");
    // 1080 rows are coded as 1088; the crop of 6 columns leaves a start that no vector likes.
    ffmpeg(
        "-f lavfi -i testsrc2=size=1920x1080:rate=5:duration=1 -c:v libx264 -preset \
         ultrafast -bsf:v h264_metadata=crop_left=6",
        &path,
    );
    let mut demuxer = open(&path);
    decode_all(&mut demuxer, 1, &Arc::new(Pool::default()), |picture| {
        assert_eq!((picture.width, picture.height), (1914, 1080));
        let PictureHome::Lent { planes, .. } = picture.home else {
            panic!("a picture on the heap");
        };
        assert_eq!((planes[0].offset_bytes, planes[0].linesize_bytes), (6, 1920));
    });
}

#[test]
fn ten_bit_pictures_are_converted_and_say_so() {
    let folder = Folder::new("tenbit");
    let path = folder.path("deep.mkv");
    ffmpeg(
        "-f lavfi -i testsrc2=size=320x180:rate=5:duration=1 -pix_fmt yuv420p10le -c:v libx264",
        &path,
    );
    let mut seen = 0;
    decode_all(&mut open(&path), 1, &Arc::new(Pool::default()), |picture| {
        assert_eq!((picture.format, picture.home), (PixelFormat::Yuv420p, PictureHome::Heap));
        let mut tight = vec![0; picture.tight_layout().bytes];
        picture.copy_to(&mut tight).unwrap();
        assert!(tight.iter().any(|byte| *byte != tight[0]));
        seen += 1;
    });
    assert_eq!(seen, 5);
}

#[test]
fn full_range_jpeg_pictures_keep_their_format_and_say_full() {
    let folder = Folder::new("mjpeg");
    let path = folder.path("jpeg.avi");
    ffmpeg(
        "-f lavfi -i testsrc2=size=322x182:rate=5:duration=1 -c:v mjpeg -pix_fmt yuvj422p",
        &path,
    );
    decode_all(&mut open(&path), 1, &Arc::new(Pool::default()), |picture| {
        assert_eq!((picture.format, picture.colour.range), (PixelFormat::Yuv422p, 2));
        assert!(matches!(picture.home, PictureHome::Lent { .. }));
    });
}

fn nal_kinds_h265(unit: &[u8]) -> Vec<u8> {
    unit.windows(5)
        .filter(|window| window[..4] == START_CODE)
        .map(|window| window[4] >> 1 & 0x3f)
        .collect()
}

/// A Matroska file of these tracks, each with one unit.
fn matroska(path: &std::path::Path, tracks: &[Track]) {
    let mut muxer = Muxer::create(path, Container::Matroska, tracks).unwrap();
    for number in 0..tracks.len() {
        let unit = AccessUnit {
            track: u32::try_from(number).unwrap(),
            key: true,
            corrupt: false,
            pts_ns: 0,
            dts_ns: 0,
            duration_ns: 40_000_000,
            payload: vec![7; 320],
        };
        muxer.write(&unit).unwrap();
    }
    muxer.finish().unwrap();
}

#[test]
fn a_track_whose_headers_no_ring_can_describe_is_left_out() {
    let folder = Folder::new("headers");
    let pictures = Track {
        codec: Codec::Mjpeg,
        time_base: TimeBase::VIDEO_90K,
        width: 64,
        height: 64,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: vec![7; 70_000],
    };
    let sound = Track {
        codec: Codec::PcmS16le,
        time_base: TimeBase { num: 1, den: 8000 },
        width: 0,
        height: 0,
        sample_rate_hz: 8000,
        channels: 1,
        frame_rate: (0, 1),
        extradata: Vec::new(),
    };
    let path = folder.path("both.mkv");
    matroska(&path, &[pictures.clone(), sound]);
    let codecs: Vec<Codec> = open(&path).tracks().iter().map(|track| track.codec).collect();
    assert_eq!(codecs, [Codec::PcmS16le]);

    let path = folder.path("alone.mkv");
    matroska(&path, &[pictures]);
    let error = Demuxer::open(&Input::File(path), Box::new(|| false)).unwrap_err().to_string();
    assert!(error.contains("70000 bytes of headers"), "{error}");
}
