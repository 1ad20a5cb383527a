//! `framevisor-decoder codecs`: what the system's FFmpeg can do, for `framevisor doctor`.

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
    Codecs { library: media::library(), decoders: found.iter().map(name).collect(), missing }
}
