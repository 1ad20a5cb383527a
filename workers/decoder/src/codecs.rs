//! `framevisor-decoder codecs`: what the system's FFmpeg can do, for `framevisor doctor`.

use media::Engine;
use protocol::config::encoder::PictureCodec;
use protocol::stream::Codec;
use protocol::verb::Codecs;
use worker::verb::{VerbError, answer, arguments};

pub(crate) fn verb(text: &str) -> Result<(), VerbError> {
    arguments::<()>(text)?;
    answer(&codecs())
}

fn codecs() -> Codecs {
    let name = |codec: &Codec| format!("{codec:?}").to_lowercase();
    let (found, lacking): (Vec<Codec>, Vec<Codec>) = Codec::ALL
        .into_iter()
        .filter(|codec| codec.is_video())
        .partition(|codec| media::decodes(*codec));
    let mut missing: Vec<String> = lacking.iter().map(name).collect();
    if !media::encodes_h264() {
        missing.push("libx264 (draws test: cameras)".to_owned());
    }
    let wanted = PictureCodec::ALL.map(PictureCodec::codec);
    let (made, lacking): (Vec<Codec>, Vec<Codec>) =
        wanted.into_iter().partition(|codec| media::encodes(*codec, Engine::Software));
    let lacking = lacking.into_iter().filter(|codec| *codec != Codec::H264);
    let library = |codec| media::encoder_name(codec, Engine::Software).unwrap_or_default();
    missing.extend(lacking.map(|codec| format!("{} (encodes {})", library(codec), name(&codec))));
    Codecs {
        library: media::library(),
        decoders: found.iter().map(name).collect(),
        encoders: made.iter().map(name).collect(),
        missing,
    }
}
