//! The mix into its ring.

use media::{MediaError, SoundEncoder, SoundOptions, SoundUnit};
use protocol::config::MixerConfig;
use protocol::control::RingContract;
use protocol::stream::{Codec, Track};
use protocol::time::{MonoNs, Stamp, TimeBase, UtcNs};
use shmring::{PacketMeta, PacketWriter, clock};
use worker::{Context, Fault};

use crate::schedule::{RATE_HZ, ns_of};

/// Samples of a packet of PCM, and of Opus: 20 ms.
const PACKET: u32 = 960;
/// Of a frame of AAC.
const AAC_FRAME: u32 = 1_024;

#[derive(Debug)]
pub(crate) struct Out {
    ring: PacketWriter,
    coder: Coder,
    channels: usize,
    gop: u64,
    /// Where in the mix the next samples belong, if they go on.
    next: Option<i64>,
    /// The next packet does not continue the last one.
    joint: bool,
}

#[derive(Debug)]
enum Coder {
    Frames {
        encoder: Box<SoundEncoder>,
        /// In the mix, the first sample that the encoder was given, as if there had been no hole since.
        first: Option<i64>,
    },
    Pcm,
}

/// One packet.
struct Made {
    /// The first sample's place in the mix.
    at: i64,
    samples: u32,
    payload: Vec<u8>,
}

/// Samples of a block of the mix, such that each makes about one packet.
pub(crate) fn block_of(codec: Codec) -> u32 {
    if codec == Codec::Aac { AAC_FRAME } else { PACKET }
}

impl Out {
    pub(crate) fn create(
        config: &MixerConfig,
        contract: &RingContract,
        cx: &Context,
    ) -> Result<Self, Fault> {
        let (codec, channels) = (config.codec.codec(), config.channels);
        let bitrate_bps = config.bitrate.0;
        let (coder, track) = match codec {
            Codec::PcmS16le => (Coder::Pcm, pcm(channels)),
            _ => {
                let options = SoundOptions { codec, rate_hz: RATE_HZ, channels, bitrate_bps };
                let encoder = SoundEncoder::open(&options).map_err(Fault::unavailable)?;
                let track = encoder.track().clone();
                (Coder::Frames { encoder: Box::new(encoder), first: None }, track)
            }
        };
        let mut ring = PacketWriter::create(cx.project(), contract, &[track])?;
        ring.while_waiting(cx.while_waiting());
        tracing::debug!(epoch = ring.epoch(), "ring {} is there", ring.ring());
        // One group for ever: every packet stands by itself.
        let now = clock::now().utc;
        let gop = if contract.gop_floor == 0 { now.0 / 1_000_000 } else { contract.gop_floor };
        let channels = usize::try_from(channels.max(1)).unwrap_or(1);
        Ok(Self { ring, coder, channels, gop, next: None, joint: false })
    }

    /// Samples of all channels by turns, the first at place `at` of the mix.
    pub(crate) fn write(&mut self, at: i64, samples: &[i16], cx: &Context) -> Result<(), Fault> {
        let count = samples.len() / self.channels;
        let end = at + i64::try_from(count).unwrap_or(0);
        let hole = self.next.replace(end).map_or(0, |next| at - next);
        self.joint |= hole != 0;
        let made = match &mut self.coder {
            Coder::Pcm => vec![Made {
                at,
                samples: u32::try_from(count).unwrap_or(0),
                payload: samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            }],
            Coder::Frames { encoder, first } => {
                let first = first.get_or_insert(at);
                *first += hole;
                named(encoder.encode(samples).map_err(Fault::failed)?, *first)
            }
        };
        self.publish(made, cx)
    }

    /// Nothing follows: what is still inside comes out.
    pub(crate) fn finish(mut self, cx: &Context) -> Result<(), Fault> {
        let coder = std::mem::replace(&mut self.coder, Coder::Pcm);
        if let Coder::Frames { encoder, first: Some(first) } = coder {
            let rest: Result<Vec<SoundUnit>, MediaError> = encoder.finish();
            let made = named(rest.map_err(Fault::failed)?, first);
            self.publish(made, cx)?;
        }
        self.ring.finish();
        Ok(())
    }

    fn publish(&mut self, made: Vec<Made>, cx: &Context) -> Result<(), Fault> {
        let now = clock::now();
        for Made { at, samples, payload } in made {
            let (pts_ns, end_ns) = (ns_of(at), ns_of(at + i64::from(samples)));
            let meta = PacketMeta {
                key: true,
                discontinuity: std::mem::take(&mut self.joint),
                pts_ns,
                dts_ns: pts_ns,
                duration_ns: end_ns - pts_ns,
                capture: stamp(pts_ns, now),
                ingest: now.mono,
                gop_index: self.gop,
                ..PacketMeta::default()
            };
            cx.made(self.ring.publish(&meta, &payload)?);
        }
        Ok(())
    }
}

/// Without those of nothing but what the encoder is behind by.
fn named(units: Vec<SoundUnit>, first: i64) -> Vec<Made> {
    let is_of_mix = |unit: &SoundUnit| unit.first_sample + i64::from(unit.samples) > 0;
    let made = units.into_iter().filter(is_of_mix).map(|unit| Made {
        at: first + unit.first_sample,
        samples: unit.samples,
        payload: unit.payload,
    });
    made.collect()
}

fn pcm(channels: u32) -> Track {
    Track {
        codec: Codec::PcmS16le,
        time_base: TimeBase { num: 1, den: RATE_HZ },
        width: 0,
        height: 0,
        sample_rate_hz: RATE_HZ,
        channels,
        frame_rate: (0, 1),
        extradata: Vec::new(),
    }
}

/// An instant of this machine's clock on both clocks, seen from `now`.
fn stamp(mono_ns: i64, now: Stamp) -> Stamp {
    let mono = MonoNs(u64::try_from(mono_ns).unwrap_or(0));
    let utc_ns = now.utc.0.saturating_add(mono.0).saturating_sub(now.mono.0);
    Stamp { mono, utc: UtcNs(utc_ns) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_of_the_mix_is_as_far_from_now_on_both_clocks() {
        let now = Stamp { mono: MonoNs(5_000), utc: UtcNs(90_000) };
        let at = stamp(4_000, now);
        assert_eq!(at, Stamp { mono: MonoNs(4_000), utc: UtcNs(89_000) });
    }

    #[test]
    fn frames_lie_where_their_first_sample_is_and_one_of_silence_before_the_mix_is_left_out() {
        let unit = |first_sample| SoundUnit { first_sample, samples: 1_024, payload: Vec::new() };
        let made = named(vec![unit(-1_024), unit(0), unit(1_024)], 48_000);
        assert_eq!(made.iter().map(|made| made.at).collect::<Vec<_>>(), [48_000, 49_024]);
    }
}
