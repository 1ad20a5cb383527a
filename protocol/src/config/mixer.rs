//! `use: mixer`: the sound of several packet rings mixed into one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::RingName;
use crate::stream::Codec;
use crate::units::{BitRate, Decibels, Span};

/// What the user writes under `use: mixer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixerConfig {
    /// What the mix becomes.
    pub codec: MixCodec,
    /// Of the mix, all channels together; not of PCM, which is what it is.
    pub bitrate: BitRate,
    /// 1 or 2.
    pub channels: u32,
    /// So much later than it was heard sound is mixed: what comes later still is left out.
    pub wait: Span,
    /// How each ring that is not mixed as it is, by its name or that without `.packets`.
    pub sources: BTreeMap<String, MixSource>,
}

impl Default for MixerConfig {
    fn default() -> Self {
        Self {
            codec: MixCodec::Aac,
            bitrate: BitRate(96_000),
            channels: 1,
            // A frame of 64 ms (AAC at 16 kHz), a camera's own delay and a network's jitter.
            wait: Span::from_millis(300),
            sources: BTreeMap::new(),
        }
    }
}

impl MixerConfig {
    /// How `ring` is mixed.
    pub fn of(&self, ring: &RingName) -> MixSource {
        let named = self.sources.iter().find(|(name, _)| names(name, ring));
        named.map_or_else(MixSource::default, |(_, source)| *source)
    }
}

/// Whether `name` is what people call the ring in `sources`.
pub fn names(name: &str, ring: &RingName) -> bool {
    let whole = ring.as_str();
    name == whole || whole.strip_suffix(".packets") == Some(name)
}

/// One source of a mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixSource {
    pub gain: Decibels,
    pub mute: bool,
}

impl MixSource {
    /// What is quieter nobody hears; what is louder is noise.
    pub const GAIN_MIN: Decibels = Decibels(-900);
    pub const GAIN_MAX: Decibels = Decibels(300);
}

/// What a mix may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixCodec {
    Aac,
    Opus,
    Pcm,
}

impl MixCodec {
    pub fn codec(self) -> Codec {
        match self {
            Self::Aac => Codec::Aac,
            Self::Opus => Codec::Opus,
            Self::Pcm => Codec::PcmS16le,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_called_by_its_ring_or_by_what_stands_before_packets() {
        let text = r#"{"sources": {"mic": {"gain": "-6dB"}, "cam.sub.packets": {"mute": true}}}"#;
        let config: MixerConfig = serde_json::from_str(text).unwrap();
        let of = |ring: &str| config.of(&ring.parse().unwrap());
        assert_eq!(of("mic.packets"), MixSource { gain: Decibels(-60), mute: false });
        assert!(of("cam.sub.packets").mute && !of("cam.packets").mute);
        assert_eq!(of("mic.far.packets"), MixSource::default());
    }

    #[test]
    fn it_survives_both_forms() {
        let source = MixSource { gain: Decibels(15), mute: true };
        let sources = BTreeMap::from([("mic".to_owned(), source)]);
        let config = MixerConfig { sources, codec: MixCodec::Pcm, ..MixerConfig::default() };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<MixerConfig>(&text).unwrap(), config, "{text}");
        let frame = crate::codec::encode(&config).unwrap();
        assert_eq!(crate::codec::decode::<MixerConfig>(&frame).unwrap(), config);
    }
}
