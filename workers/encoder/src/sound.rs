//! One track of G.711 or PCM into AAC or Opus, each frame with the time and name of what it was made from.
//!
//! ```text
//! packet ──> samples ──> patched to follow the last one ──> SoundEncoder ──> frames
//!    └── where its first sample lies: Place ──────────────────────────────────┘ their times
//! ```
//!
//! A frame's time is that of the packet its first sample came in, so a clock that drifts is followed and
//! nothing adds up. Between packets sound is made to fit: what is missing is silence, what comes twice is
//! left out.

use std::collections::VecDeque;

use media::g711::{self, Law};
use media::{MediaError, SoundEncoder, SoundOptions, SoundUnit};
use protocol::stream::{Codec, Track};
use protocol::time::{NS_PER_S, Stamp};
use shmring::{PacketMeta, SourceId};

/// Times of packets may be rounded by so much (a millisecond in Matroska) and jitter a little.
const SLACK_NS: i64 = 10_000_000;
/// A longer hole is a new beginning.
const HOLE_MAX_NS: i64 = 1_000_000_000;

/// Sound of one track.
#[derive(Debug)]
pub(crate) struct Sound {
    coding: Coding,
    options: SoundOptions,
    encoder: SoundEncoder,
    /// Where the newest packets begin, oldest first. All samples since the encoder began are behind the first.
    places: VecDeque<Place>,
    /// Samples of each channel that the encoder was given.
    given: i64,
    /// When the next sample should be.
    next_ns: Option<i64>,
    /// Of the frame that came out last.
    last_ns: Option<i64>,
    /// The next frame does not continue the last one.
    joint: bool,
}

/// Where a packet's samples begin.
#[derive(Clone, Copy, Debug)]
struct Place {
    first_sample: i64,
    pts_ns: i64,
    meta: PacketMeta,
    source: SourceId,
}

/// One frame for the ring.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) meta: PacketMeta,
    pub(crate) payload: Vec<u8>,
}

/// How samples lie in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    G711(Law),
    S16le,
}

impl Coding {
    /// `None` for sound that MP4 has.
    fn of(codec: Codec) -> Option<Self> {
        match codec {
            Codec::PcmMulaw => Some(Self::G711(Law::Mu)),
            Codec::PcmAlaw => Some(Self::G711(Law::A)),
            Codec::PcmS16le => Some(Self::S16le),
            _ => None,
        }
    }

    fn samples(self, payload: &[u8]) -> Vec<i16> {
        match self {
            Self::G711(law) => g711::expand(law, payload),
            Self::S16le => {
                payload.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
            }
        }
    }
}

impl Sound {
    /// `None` for a track that is to be left as it is.
    pub(crate) fn open(
        track: &Track,
        to: Codec,
        bitrate_bps: u64,
    ) -> Option<Result<Self, MediaError>> {
        let coding = Coding::of(track.codec)?;
        let (rate_hz, channels) = (track.sample_rate_hz.max(1), track.channels.max(1));
        let options = SoundOptions { codec: to, rate_hz, channels, bitrate_bps };
        let open = |encoder| Self {
            coding,
            options,
            encoder,
            places: VecDeque::new(),
            given: 0,
            next_ns: None,
            last_ns: None,
            joint: false,
        };
        Some(SoundEncoder::open(&options).map(open))
    }

    /// What comes out.
    pub(crate) fn track(&self) -> &Track {
        self.encoder.track()
    }

    /// A predecessor has published the sound up to here.
    pub(crate) fn has_given(&mut self, end_ns: i64) {
        self.next_ns = Some(end_ns);
    }

    /// `source` is the packet's name.
    pub(crate) fn take(
        &mut self,
        meta: &PacketMeta,
        source: SourceId,
        payload: &[u8],
    ) -> Result<Vec<Made>, MediaError> {
        let mut samples = self.coding.samples(payload);
        let mut made = Vec::new();
        let mut pts_ns = meta.pts_ns;
        if let Some(next_ns) = self.next_ns {
            // Behind what a predecessor gave it begins to the sample.
            let slack_ns = if self.places.is_empty() { 0 } else { SLACK_NS };
            match fit(pts_ns.saturating_sub(next_ns), slack_ns, meta.discontinuity) {
                Fit::Follows => {}
                Fit::Silence(hole_ns) => {
                    let missing = self.samples_in(hole_ns);
                    samples.splice(0..0, std::iter::repeat_n(0, missing * self.channels()));
                    pts_ns = next_ns;
                }
                Fit::Twice(twice_ns) => {
                    let twice = self.samples_in(twice_ns) * self.channels();
                    samples.drain(..twice.min(samples.len()));
                    pts_ns = next_ns;
                }
                Fit::Anew => made = self.begin_anew()?,
            }
        }
        // Half a sample of two channels would exchange them from there on.
        samples.truncate(samples.len() / self.channels() * self.channels());
        let count = i64::try_from(samples.len() / self.channels()).unwrap_or(0);
        if count > 0 {
            let first_sample = self.given;
            self.places.push_back(Place { first_sample, pts_ns, meta: *meta, source });
            self.given += count;
            self.next_ns = Some(pts_ns.saturating_add(self.span_ns(count)));
            let units = self.encoder.encode(&samples)?;
            made.extend(self.named(units));
        }
        Ok(made)
    }

    /// What is still inside comes out; what follows has nothing to do with it.
    pub(crate) fn begin_anew(&mut self) -> Result<Vec<Made>, MediaError> {
        let next = SoundEncoder::open(&self.options)?;
        let units = std::mem::replace(&mut self.encoder, next).finish()?;
        let made = self.named(units);
        self.places.clear();
        (self.given, self.next_ns) = (0, None);
        self.joint = true;
        Ok(made)
    }

    fn named(&mut self, units: Vec<SoundUnit>) -> Vec<Made> {
        units.into_iter().filter_map(|unit| self.name(unit)).collect()
    }

    /// `None` for a frame of nothing but what the encoder is behind by.
    fn name(&mut self, unit: SoundUnit) -> Option<Made> {
        let samples = i64::from(unit.samples);
        if unit.first_sample + samples <= 0 {
            return None;
        }
        while self.places.get(1).is_some_and(|next| next.first_sample <= unit.first_sample) {
            self.places.pop_front();
        }
        let place = *self.places.front()?;
        let behind_ns = self.span_ns(unit.first_sample - place.first_sample);
        let earliest_ns = self.last_ns.map_or(i64::MIN, |last_ns| last_ns.saturating_add(1));
        let joint = std::mem::take(&mut self.joint);
        // A clock that was set back begins a line of its own.
        let from_ns = if joint { i64::MIN } else { earliest_ns };
        let pts_ns = place.pts_ns.saturating_add(behind_ns).max(from_ns);
        self.last_ns = Some(pts_ns);
        let late_ns = pts_ns.saturating_sub(place.meta.pts_ns);
        let meta = PacketMeta {
            key: true,
            discontinuity: joint,
            pts_ns,
            dts_ns: pts_ns,
            duration_ns: self.span_ns(samples),
            capture: moved(place.meta.capture, late_ns),
            source: Some(place.source),
            ..place.meta
        };
        Some(Made { meta, payload: unit.payload })
    }

    fn channels(&self) -> usize {
        self.options.channels as usize
    }

    fn span_ns(&self, samples: i64) -> i64 {
        let ns = i128::from(samples) * i128::from(NS_PER_S) / i128::from(self.options.rate_hz);
        i64::try_from(ns).unwrap_or(i64::MAX)
    }

    fn samples_in(&self, span_ns: i64) -> usize {
        let samples = i128::from(span_ns) * i128::from(self.options.rate_hz) / i128::from(NS_PER_S);
        usize::try_from(samples).unwrap_or(0)
    }
}

/// How a packet goes on behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Follows,
    /// So much is missing before it.
    Silence(i64),
    /// So much of its begin was there already.
    Twice(i64),
    Anew,
}

fn fit(gap_ns: i64, slack_ns: i64, discontinuity: bool) -> Fit {
    match gap_ns {
        _ if discontinuity => Fit::Anew,
        _ if (-slack_ns..=slack_ns).contains(&gap_ns) => Fit::Follows,
        1..=HOLE_MAX_NS => Fit::Silence(gap_ns),
        _ if (-HOLE_MAX_NS..0).contains(&gap_ns) => Fit::Twice(-gap_ns),
        _ => Fit::Anew,
    }
}

fn moved(stamp: Stamp, by_ns: i64) -> Stamp {
    let mut stamp = stamp;
    stamp.mono.0 = stamp.mono.0.saturating_add_signed(by_ns);
    stamp.utc.0 = stamp.utc.0.saturating_add_signed(by_ns);
    stamp
}

#[cfg(test)]
mod tests;
