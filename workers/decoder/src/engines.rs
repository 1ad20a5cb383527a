//! What decodes: hardware that was asked for, as long as it does, then the processor.

use std::sync::Arc;

use media::{DecodeEngine, Decoder, DecoderOptions, MediaError, PictureAllocator};
use protocol::config::decoder::DecodeHardware;
use protocol::stream::{Codec, Track};

#[derive(Debug)]
pub(crate) struct Engines {
    hardware: DecodeHardware,
    options: DecoderOptions,
    /// Those that may still be tried, the first one first; the last is the processor.
    left: Vec<DecodeEngine>,
    /// Why hardware that was asked for does not decode.
    why_not: Option<String>,
}

impl Engines {
    pub(crate) fn new(hardware: DecodeHardware, options: DecoderOptions) -> Self {
        let left = match hardware {
            DecodeHardware::Off => vec![],
            DecodeHardware::Auto => vec![DecodeEngine::Cuda, DecodeEngine::Vaapi],
            DecodeHardware::Vaapi => vec![DecodeEngine::Vaapi],
            DecodeHardware::Cuda => vec![DecodeEngine::Cuda],
        };
        let left = left.into_iter().chain([DecodeEngine::Software]).collect();
        Self { hardware, options, left, why_not: None }
    }

    /// Looks whether there is such hardware at all, before anybody waits for a picture.
    pub(crate) fn look(&mut self) {
        while let [engine, _, ..] = self.left[..] {
            match media::has_device(engine) {
                Ok(()) => return,
                Err(error) => self.give_up(engine, None, &error.to_string()),
            }
        }
    }

    /// The first that opens. What does not is not tried again as long as this process lives.
    pub(crate) fn open(
        &mut self,
        track: &Track,
        allocator: &Arc<dyn PictureAllocator>,
    ) -> Result<Decoder, MediaError> {
        loop {
            let engine = self.left.first().copied().unwrap_or(DecodeEngine::Software);
            match Decoder::open_on(engine, track, &self.options, Arc::clone(allocator)) {
                Ok(decoder) => {
                    if engine != DecodeEngine::Software {
                        tracing::info!("{engine:?} decodes {:?}", track.codec);
                    }
                    return Ok(decoder);
                }
                Err(error) if self.left.len() > 1 && !error.is_of_stream() => {
                    self.give_up(engine, Some(track.codec), &error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// While it decoded: whether another one is to go on. A damaged stream says nothing about who decodes it.
    pub(crate) fn failed(&mut self, codec: Codec, error: &MediaError) -> bool {
        let [engine, _, ..] = self.left[..] else { return false };
        if error.is_of_stream() {
            return false;
        }
        self.give_up(engine, Some(codec), &error.to_string());
        true
    }

    /// The hardware leaves this stream to the processor.
    pub(crate) fn refused(&mut self, codec: Codec) {
        if let [engine, _, ..] = self.left[..] {
            self.give_up(engine, Some(codec), "it does not take this profile or size");
        }
    }

    /// What a person who asked for hardware must know.
    pub(crate) fn fall_back(&self) -> Option<&str> {
        self.why_not.as_deref()
    }

    fn give_up(&mut self, engine: DecodeEngine, codec: Option<Codec>, why: &str) {
        self.left.retain(|other| *other != engine);
        let what = codec.map_or_else(String::new, |codec| format!(" {codec:?}"));
        if self.hardware == DecodeHardware::Auto {
            tracing::info!("{engine:?} does not decode{what} here: {why}");
        } else {
            tracing::warn!("{engine:?} does not decode{what} here: {why}");
            self.why_not = Some(format!(
                "hardware: {engine:?} does not decode{what} here ({why}); the processor does it"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use media::{Encoder, EncoderOptions, NoMemory};
    use protocol::time::TimeBase;

    use super::*;

    const OPTIONS: DecoderOptions = DecoderOptions { threads: 1, max_pixels: 1 << 20 };

    /// One picture, and its track.
    fn clip() -> (Track, Vec<u8>) {
        let options =
            EncoderOptions { width: 64, height: 64, fps: 25, gop: 5, bitrate_bps: 1 << 20 };
        let mut encoder = Encoder::open(&options).unwrap();
        let unit = encoder.encode(|_, bytes, _| bytes.fill(100)).unwrap();
        let track = Track {
            codec: Codec::H264,
            time_base: TimeBase { num: 1, den: 25 },
            width: 64,
            height: 64,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: encoder.extradata(),
        };
        (track, unit.payload)
    }

    #[test]
    fn hardware_that_is_not_there_is_told_and_the_processor_decodes() {
        let (track, payload) = clip();
        for (hardware, engine) in [
            (DecodeHardware::Vaapi, DecodeEngine::Vaapi),
            (DecodeHardware::Cuda, DecodeEngine::Cuda),
        ] {
            let mut engines = Engines::new(hardware, OPTIONS);
            engines.look();
            let mut decoder = engines.open(&track, &NoMemory::shared()).unwrap();
            decoder.send(&payload, 7).unwrap();
            decoder.finish().unwrap();
            assert_eq!(decoder.receive().unwrap().unwrap().token, 7);
            // On a machine that has it, it decodes and nothing is told.
            let told = engines.fall_back().is_some_and(|why| why.contains("the processor does it"));
            assert_eq!(told, engines.left[0] != engine);
        }
    }

    #[test]
    fn whatever_is_there_is_nobodys_trouble() {
        let mut engines = Engines::new(DecodeHardware::Auto, OPTIONS);
        engines.look();
        engines.open(&clip().0, &NoMemory::shared()).unwrap();
        assert_eq!(engines.fall_back(), None);
    }

    #[test]
    fn hardware_is_given_up_for_what_it_does_and_not_for_what_the_stream_is() {
        let mut engines = Engines::new(DecodeHardware::Cuda, OPTIONS);
        let too_large = MediaError::TooLarge { width: 9, height: 9, max_pixels: 64 };
        assert!(!engines.failed(Codec::H264, &too_large));
        assert_eq!(engines.left, [DecodeEngine::Cuda, DecodeEngine::Software]);
        engines.refused(Codec::H264);
        engines.refused(Codec::H264);
        assert_eq!(engines.left, [DecodeEngine::Software]);
        let why = engines.fall_back().unwrap();
        assert!(why.contains("Cuda does not decode H264"), "{why}");
    }

    #[test]
    fn what_failed_is_followed_by_the_next_one_until_there_is_none() {
        let mut engines = Engines::new(DecodeHardware::Cuda, OPTIONS);
        let broken = MediaError::Missing { input: "x".to_owned(), what: "y".to_owned() };
        assert!(engines.failed(Codec::H264, &broken));
        assert_eq!(engines.left, [DecodeEngine::Software]);
        assert!(!engines.failed(Codec::H264, &broken), "the processor is all that is left");
    }

    #[test]
    fn a_size_that_only_the_stream_tells_is_refused_by_name() {
        let (track, payload) = clip();
        let track = Track { width: 0, height: 0, extradata: Vec::new(), ..track };
        let options = DecoderOptions { threads: 1, max_pixels: 1_000 };
        let mut engines = Engines::new(DecodeHardware::Off, options);
        let mut decoder = engines.open(&track, &NoMemory::shared()).unwrap();
        let refused = decoder.send(&payload, 1).unwrap_err().to_string();
        assert!(refused.contains("64x64") && refused.contains("max_pixels: 1000"), "{refused}");
    }

    #[test]
    fn a_bomb_is_refused_before_anything_is_opened_for_it() {
        let (track, _) = clip();
        let track = Track { width: 30_000, height: 30_000, ..track };
        let mut engines = Engines::new(DecodeHardware::Cuda, OPTIONS);
        let refused = engines.open(&track, &NoMemory::shared()).unwrap_err().to_string();
        assert!(
            refused.contains("30000x30000") && refused.contains("max_pixels: 1048576"),
            "{refused}"
        );
        assert_eq!(engines.fall_back(), None);
    }
}
