//! What encodes: hardware that was asked for, as long as it does, then the processor.

use media::{Engine, MediaError, PictureEncoder, PictureEncoderOptions, Still};
use protocol::config::EncoderConfig;
use protocol::config::encoder::Hardware;

#[derive(Debug)]
pub(crate) struct Engines {
    config: EncoderConfig,
    live: bool,
    /// Those that may still be tried, the first one first; the last is the processor.
    left: Vec<Engine>,
    /// Whether pictures that lie on a device may be encoded there.
    may_stay: bool,
    /// Why hardware that was asked for does not encode.
    why_not: Option<String>,
}

impl Engines {
    pub(crate) fn new(config: &EncoderConfig, live: bool) -> Self {
        let left = match config.hardware {
            Hardware::Off => vec![Engine::Software],
            Hardware::Auto => vec![Engine::Nvenc, Engine::Vaapi, Engine::Software],
            Hardware::Vaapi => vec![Engine::Vaapi, Engine::Software],
            Hardware::Nvenc => vec![Engine::Nvenc, Engine::Software],
        };
        Self { config: config.clone(), live, left, may_stay: true, why_not: None }
    }

    /// The one for pictures that lie on a CUDA device, if that encodes. `first` says what they are like.
    pub(crate) fn open_there<T>(&mut self, first: &Still) -> Option<PictureEncoder<T>> {
        if !self.may_stay || self.left.first() != Some(&Engine::Nvenc) {
            return None;
        }
        let options = PictureEncoderOptions { on_device: true, ..self.options(Engine::Nvenc) };
        match PictureEncoder::open(&options, first) {
            Ok(encoder) => {
                tracing::info!("Nvenc encodes {:?}, of pictures on its device", options.codec);
                Some(encoder)
            }
            Err(error) => {
                tracing::warn!(
                    "pictures are fetched from their device: Nvenc does not take them there: {error}"
                );
                self.may_stay = false;
                None
            }
        }
    }

    fn options(&self, engine: Engine) -> PictureEncoderOptions {
        PictureEncoderOptions {
            codec: self.config.codec.codec(),
            engine,
            bitrate_bps: self.config.bitrate.0,
            live: self.live,
            on_device: false,
        }
    }

    /// The first that opens. What does not is not tried again as long as this process lives.
    pub(crate) fn open<T>(&mut self, first: &Still) -> Result<PictureEncoder<T>, MediaError> {
        loop {
            let engine = self.left.first().copied().unwrap_or(Engine::Software);
            let options = self.options(engine);
            match PictureEncoder::open(&options, first) {
                Ok(encoder) => {
                    tracing::info!("{engine:?} encodes {:?}", options.codec);
                    return Ok(encoder);
                }
                Err(error) if self.left.len() > 1 => self.give_up(engine, &error),
                Err(error) => return Err(error),
            }
        }
    }

    /// While it encoded: of hardware that is the end.
    pub(crate) fn failed(&mut self, error: &MediaError) {
        if let [engine, _, ..] = self.left[..] {
            self.give_up(engine, error);
        }
    }

    /// What a person who asked for hardware must know.
    pub(crate) fn fall_back(&self) -> Option<&str> {
        self.why_not.as_deref()
    }

    fn give_up(&mut self, engine: Engine, error: &MediaError) {
        self.left.retain(|other| *other != engine);
        let codec = self.config.codec.codec();
        if self.config.hardware == Hardware::Auto {
            tracing::info!("{engine:?} does not encode {codec:?} here: {error}");
        } else {
            tracing::warn!("{engine:?} does not encode {codec:?} here: {error}");
            self.why_not = Some(format!(
                "hardware: {engine:?} does not encode {codec:?} here ({error}); the processor does it"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::stream::{Colour, PixelFormat};

    use super::*;

    fn gray() -> Still {
        let samples = vec![128; 64 * 64 * 3 / 2];
        let colour = Colour::default();
        Still { format: PixelFormat::Yuv420p, width: 64, height: 64, colour, samples }
    }

    fn engines(hardware: Hardware) -> Engines {
        Engines::new(&EncoderConfig { hardware, ..EncoderConfig::default() }, true)
    }

    #[test]
    fn hardware_that_is_not_there_is_told_and_the_processor_encodes() {
        for (hardware, engine) in
            [(Hardware::Vaapi, Engine::Vaapi), (Hardware::Nvenc, Engine::Nvenc)]
        {
            let mut engines = engines(hardware);
            let mut encoder: PictureEncoder<()> = engines.open(&gray()).unwrap();
            assert_eq!(encoder.encode(&gray(), 0, true, ()).unwrap().len(), 1);
            // On a machine that has it, it encodes and nothing is told.
            let told = engines.fall_back().is_some_and(|why| why.contains("the processor does it"));
            assert_eq!(told, engines.left[0] != engine);
        }
    }

    #[test]
    fn whatever_is_there_is_nobodys_trouble() {
        let mut engines = engines(Hardware::Auto);
        let _: PictureEncoder<()> = engines.open(&gray()).unwrap();
        assert_eq!(engines.fall_back(), None);
    }

    #[test]
    fn hardware_that_fails_later_is_given_up() {
        let mut engines = engines(Hardware::Nvenc);
        let error = MediaError::Format { input: "the encoder".to_owned() };
        engines.failed(&error);
        assert_eq!(engines.left, [Engine::Software]);
        engines.failed(&error);
        assert_eq!(engines.left, [Engine::Software]);
        assert!(engines.fall_back().is_some());
    }
}
