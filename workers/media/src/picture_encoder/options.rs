//! What each encoder is told so that the same words mean the same with all of them.

use ffmpeg_next::Dictionary;
use protocol::stream::Codec;

use super::{Engine, PictureEncoderOptions};

/// No second takes more: the buffer of a player that waits for one second.
pub(super) fn max_rate(options: &PictureEncoderOptions) -> usize {
    let most = match options.live {
        true => options.bitrate_bps,
        // A scene that needs more has it, and gives it back.
        false => options.bitrate_bps.saturating_mul(3) / 2,
    };
    usize::try_from(most).unwrap_or(usize::MAX)
}

pub(super) fn of(options: &PictureEncoderOptions) -> Dictionary<'static> {
    let PictureEncoderOptions { codec, engine, live, .. } = *options;
    let buffer = max_rate(options).min(i32::MAX as usize).to_string();
    let mut words: Vec<(&str, &str)> = match codec {
        // Its quality is found picture by picture.
        Codec::Mjpeg => Vec::new(),
        _ => vec![("bufsize", &buffer)],
    };
    words.extend_from_slice(match (engine, codec, live) {
        (Engine::Software, Codec::H264, true) => &[
            ("preset", "veryfast"),
            ("tune", "zerolatency"),
            ("forced-idr", "1"),
            ("x264-params", "annexb=1:repeat-headers=1:scenecut=0"),
        ],
        (Engine::Software, Codec::H264, false) => &[
            ("preset", "medium"),
            ("forced-idr", "1"),
            ("x264-params", "annexb=1:repeat-headers=1"),
        ],
        (Engine::Software, Codec::H265, true) => &[
            ("preset", "ultrafast"),
            ("tune", "zerolatency"),
            ("forced-idr", "1"),
            ("x265-params", "annexb=1:repeat-headers=1:scenecut=0:log-level=error"),
        ],
        (Engine::Software, Codec::H265, false) => &[
            ("preset", "medium"),
            ("forced-idr", "1"),
            // Pictures in front of a key frame that refer behind it cannot be decoded by who begins there.
            ("x265-params", "annexb=1:repeat-headers=1:open-gop=0:log-level=error"),
        ],
        (Engine::Software, Codec::Vp8 | Codec::Vp9, true) => &[
            ("deadline", "realtime"),
            ("cpu-used", "8"),
            ("lag-in-frames", "0"),
            ("auto-alt-ref", "0"),
        ],
        (Engine::Software, Codec::Vp8 | Codec::Vp9, false) => &[
            ("deadline", "good"),
            ("cpu-used", "4"),
            ("lag-in-frames", "16"),
            ("auto-alt-ref", "0"),
        ],
        (Engine::Software, Codec::Av1, true) => {
            &[("usage", "realtime"), ("cpu-used", "8"), ("lag-in-frames", "0")]
        }
        (Engine::Software, Codec::Av1, false) => {
            &[("usage", "good"), ("cpu-used", "6"), ("lag-in-frames", "19")]
        }
        (Engine::Nvenc, _, true) => &[
            ("preset", "p3"),
            ("tune", "ull"),
            ("zerolatency", "1"),
            ("delay", "0"),
            ("forced-idr", "1"),
            ("rc", "cbr"),
        ],
        (Engine::Nvenc, _, false) => &[("preset", "p5"), ("forced-idr", "1"), ("rc", "vbr")],
        _ => &[],
    });
    words.into_iter().collect()
}
