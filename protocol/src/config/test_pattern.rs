//! `test:?...`: the synthetic camera, and the synthetic microphone.

use std::fmt;
use std::str::FromStr;

use super::ingest::{SourceError, in_range};
use crate::stream::Codec;
use crate::units::{BitRate, Decibels, Size};

/// The synthetic camera: a moving picture between two strips of frame code (`docs/framecode.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestPattern {
    pub size: Size,
    pub fps: u32,
    /// Pictures from one key frame to the next.
    pub gop: u32,
    pub bitrate: BitRate,
    pub mode: TestMode,
    pub picture: TestPicture,
    pub sound: Option<TestSound>,
}

impl TestPattern {
    /// A tone is a microphone: it has no pictures.
    pub fn has_pictures(&self) -> bool {
        !matches!(self.sound, Some(TestSound { wave: Wave::Tone { .. }, .. }))
    }
}

/// Sound of the synthetic camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestSound {
    pub wave: Wave,
    /// AAC, Opus, G.711 or PCM.
    pub codec: Codec,
    pub rate_hz: u32,
    /// 1 or 2, all with the same sound.
    pub channels: u32,
    /// Of the peaks, against the loudest that there can be.
    pub level: Decibels,
}

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wave {
    /// For a tenth of a second from each picture on whose number is a whole second.
    Beep { hz: u32 },
    /// Without end, and without pictures; 0 is silence.
    Tone { hz: u32 },
}

impl Default for TestSound {
    fn default() -> Self {
        let (wave, level) = (Wave::Tone { hz: 0 }, Decibels(-200));
        Self { wave, codec: Codec::PcmS16le, rate_hz: 48_000, channels: 1, level }
    }
}

/// Names of sound's codecs in a test source.
const SOUND_CODECS: [(&str, Codec); 5] = [
    ("aac", Codec::Aac),
    ("opus", Codec::Opus),
    ("pcm", Codec::PcmS16le),
    ("pcma", Codec::PcmAlaw),
    ("pcmu", Codec::PcmMulaw),
];

/// When the pictures are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestMode {
    /// Draws and encodes as it goes.
    Live,
    /// Encodes one minute once into a cache and replays it with new times.
    Loop,
}

/// What the pictures show: a camera that is well, or one that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestPicture {
    Moving,
    /// The first picture again and again, its frame code too.
    Frozen,
    /// Without a frame code.
    Black,
    /// Without a frame code, one gray.
    Gray,
    /// A camera that is well, with the shapes of [`crate::shapes`]: it is known what is where.
    Shapes,
}

impl TestPicture {
    const ALL: [Self; 5] = [Self::Moving, Self::Frozen, Self::Black, Self::Gray, Self::Shapes];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::Gray => "gray",
            Self::Shapes => "shapes",
        }
    }
}

impl Default for TestPattern {
    fn default() -> Self {
        Self {
            size: Size { width: 640, height: 480 },
            fps: 25,
            gop: 25,
            bitrate: BitRate(2_000_000),
            mode: TestMode::Live,
            picture: TestPicture::Moving,
            sound: None,
        }
    }
}

impl FromStr for TestPattern {
    type Err = SourceError;
    fn from_str(query: &str) -> Result<Self, SourceError> {
        let mut pattern = Self::default();
        let mut sound = SoundParts::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, seen) = pair.split_once('=').unwrap_or((pair, ""));
            if !sound.take(key, seen)? {
                pattern.take(key, seen)?;
            }
        }
        pattern.sound = sound.whole()?;
        // The minute that is kept for loops is of pictures.
        if pattern.sound.is_some() && pattern.mode == TestMode::Loop {
            return Err(bad("mode", "loop", "live where there is sound"));
        }
        Ok(pattern)
    }
}

fn bad(key: &str, seen: &str, expected: &'static str) -> SourceError {
    SourceError::TestValue { key: key.into(), seen: seen.into(), expected }
}

impl TestPattern {
    fn take(&mut self, key: &str, seen: &str) -> Result<(), SourceError> {
        let bad = |expected| bad(key, seen, expected);
        match key {
            "size" => {
                // The frame code needs 32 cells of at least 4 pixels and two strips of 16 rows.
                let fits = |s: &Size| {
                    s.width >= 128
                        && s.height >= 64
                        && s.width.is_multiple_of(32)
                        && s.height.is_multiple_of(2)
                };
                let expected = "WIDTHxHEIGHT, width a multiple of 32 from 128, even height from 64";
                self.size = seen.parse().ok().filter(fits).ok_or_else(|| bad(expected))?;
            }
            "fps" => self.fps = in_range(seen, 1, 240).ok_or_else(|| bad("1 to 240"))?,
            "gop" => {
                self.gop = in_range(seen, 1, 1000).ok_or_else(|| bad("1 to 1000 pictures"))?;
            }
            "bitrate" => self.bitrate = seen.parse().map_err(|_| bad("a rate such as 2M"))?,
            "mode" => {
                self.mode = match seen {
                    "live" => TestMode::Live,
                    "loop" => TestMode::Loop,
                    _ => return Err(bad("live or loop")),
                }
            }
            "picture" => {
                let found = TestPicture::ALL.into_iter().find(|it| it.as_str() == seen);
                self.picture = found.ok_or_else(|| bad("moving, frozen, black, gray or shapes"))?;
            }
            other => return Err(SourceError::TestKey(other.to_owned())),
        }
        Ok(())
    }
}

/// What a query says of sound, in any order.
#[derive(Clone, Debug, Default)]
struct SoundParts {
    wave: Option<Wave>,
    codec: Option<Codec>,
    rate_hz: Option<u32>,
    channels: Option<u32>,
    level: Option<Decibels>,
    /// A key that needs one of the waves.
    first: String,
}

impl SoundParts {
    /// Whether the key is of sound.
    fn take(&mut self, key: &str, seen: &str) -> Result<bool, SourceError> {
        let bad = |expected| bad(key, seen, expected);
        let pitch = || in_range(seen, 0, 20_000).ok_or_else(|| bad("0 to 20000 Hz, 0 for silence"));
        match key {
            "tone" => self.wave = Some(Wave::Tone { hz: pitch()? }),
            "beep" => self.wave = Some(Wave::Beep { hz: pitch()? }),
            "sound" => {
                let known = SOUND_CODECS.into_iter().find(|(name, _)| *name == seen);
                let (_, codec) = known.ok_or_else(|| bad("aac, opus, pcm, pcma or pcmu"))?;
                self.codec = Some(codec);
            }
            "rate" => {
                let rate = in_range(seen, 8_000, 48_000);
                self.rate_hz = Some(rate.ok_or_else(|| bad("8000 to 48000 Hz"))?);
            }
            "channels" => {
                self.channels = Some(in_range(seen, 1, 2).ok_or_else(|| bad("1 or 2"))?);
            }
            "level" => {
                let level = seen.parse().ok().filter(|level: &Decibels| level.0 <= 0);
                self.level = Some(level.ok_or_else(|| bad("0dB or less, such as -20dB"))?);
            }
            _ => return Ok(false),
        }
        if !matches!(key, "tone" | "beep") && self.first.is_empty() {
            key.clone_into(&mut self.first);
        }
        Ok(true)
    }

    fn whole(self) -> Result<Option<TestSound>, SourceError> {
        let usual = TestSound::default();
        let Some(wave) = self.wave else {
            let is_whole = self.first.is_empty();
            return if is_whole { Ok(None) } else { Err(SourceError::TestSilent(self.first)) };
        };
        let codec = self.codec.unwrap_or(match wave {
            Wave::Beep { .. } => Codec::Aac,
            Wave::Tone { .. } => usual.codec,
        });
        let usual_hz = match codec {
            Codec::PcmAlaw | Codec::PcmMulaw => 8_000,
            _ => usual.rate_hz,
        };
        Ok(Some(TestSound {
            wave,
            codec,
            rate_hz: self.rate_hz.unwrap_or(usual_hz),
            channels: self.channels.unwrap_or(usual.channels),
            level: self.level.unwrap_or(usual.level),
        }))
    }
}

impl fmt::Display for TestPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("test:?")?;
        if self.has_pictures() {
            let mode = if self.mode == TestMode::Live { "live" } else { "loop" };
            let Self { size, fps, gop, bitrate, .. } = self;
            write!(f, "size={size}&fps={fps}&gop={gop}&bitrate={bitrate}&mode={mode}")?;
            if self.picture != TestPicture::Moving {
                write!(f, "&picture={}", self.picture.as_str())?;
            }
        }
        match &self.sound {
            Some(sound) if self.has_pictures() => write!(f, "&{sound}"),
            Some(sound) => sound.fmt(f),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TestSound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wave, hz) = match self.wave {
            Wave::Beep { hz } => ("beep", hz),
            Wave::Tone { hz } => ("tone", hz),
        };
        let named = SOUND_CODECS.iter().find(|(_, codec)| *codec == self.codec);
        let (codec, _) = named.unwrap_or(&SOUND_CODECS[0]);
        let Self { rate_hz, channels, level, .. } = self;
        write!(f, "{wave}={hz}&sound={codec}&rate={rate_hz}&channels={channels}&level={level}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_sound_alone_and_a_beep_sound_beside_pictures() {
        let pattern = |query: &str| query.parse::<TestPattern>();
        let tone = pattern("tone=1000&level=-6dB&channels=2").unwrap();
        let sound = tone.sound.unwrap();
        assert!(!tone.has_pictures());
        assert_eq!((sound.wave, sound.channels), (Wave::Tone { hz: 1_000 }, 2));
        assert_eq!((sound.codec, sound.rate_hz, sound.level.0), (Codec::PcmS16le, 48_000, -60));
        let beep = pattern("sound=pcmu&beep=1000&fps=10").unwrap();
        assert!(beep.has_pictures());
        assert_eq!(beep.sound.map(|it| (it.codec, it.rate_hz)), Some((Codec::PcmMulaw, 8_000)));
        assert_eq!(pattern("rate=8000"), Err(SourceError::TestSilent("rate".into())));
        for bad in
            ["tone=x", "tone=20001", "tone=1&sound=mp3", "tone=1&level=3dB", "beep=1&mode=loop"]
        {
            assert!(pattern(bad).is_err(), "{bad}");
        }
    }
}
