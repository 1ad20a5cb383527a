//! One ring of the mix: its packets decoded and put where they belong.

use std::time::Duration;

use media::{MediaError, SoundBlock, SoundDecoder};
use protocol::config::MixSource;
use protocol::name::RingName;
use protocol::stream::Track;
use protocol::time::MonoNs;
use shmring::{Next, Packet, Start};
use worker::{Context, Fault, PacketInput};

use crate::channels::remix;
use crate::line::{Block, Line};
use crate::loudness::decibels;
use crate::store::{Store, Unused};
use crate::told::{Lack, Told};

/// Packets that are taken of a ring before it is another's turn: a second of sound beside pictures.
const PACKETS_A_TURN: usize = 256;

#[derive(Debug)]
pub(crate) struct Source {
    input: PacketInput,
    mixed: MixSource,
    channels: usize,
    /// As the ring describes them now.
    tracks: Vec<Track>,
    /// The track that is heard: the first with sound.
    heard: Option<Heard>,
    line: Line,
    store: Store,
    /// The gain that the last block ended with.
    gain: f32,
    /// Of what it added to the mix lately.
    peak: f32,
    told: Told,
    /// What comes next has nothing to do with what came before.
    anew: bool,
}

#[derive(Debug)]
struct Heard {
    track: u32,
    decoder: SoundDecoder,
}

impl Source {
    pub(crate) fn new(ring: &RingName, mixed: MixSource, channels: usize, cx: &Context) -> Self {
        Self {
            input: PacketInput::new(cx, ring, Start::Newest),
            mixed,
            channels,
            tracks: Vec::new(),
            heard: None,
            line: Line::new(channels),
            store: Store::new(channels),
            gain: factor(mixed),
            peak: 0.0,
            told: Told::default(),
            anew: true,
        }
    }

    pub(crate) fn ring(&self) -> &RingName {
        self.input.ring()
    }

    pub(crate) fn mixed(&mut self) -> &mut MixSource {
        &mut self.mixed
    }

    /// Takes what its ring has. `position` is where the mix is.
    pub(crate) fn read(&mut self, position: i64, now: MonoNs, cx: &Context) -> Result<(), Fault> {
        for _ in 0..PACKETS_A_TURN {
            match self.input.next_of_several(cx, Duration::ZERO)? {
                Some(Next::Item(packet)) => self.take(&packet, position, now, cx),
                Some(Next::Overrun { .. } | Next::NewEpoch { .. }) => self.forget(),
                // What is lost follows as an overrun.
                Some(Next::Evicted { .. }) => {}
                Some(Next::Quiet | Next::Ended) => return Ok(()),
                None => {
                    self.told.absent(self.input.absence());
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Adds its part from the sample `from` on to `mix`.
    pub(crate) fn add_to(&mut self, mix: &mut [f32], from: i64) {
        let gain = factor(self.mixed);
        let peak = self.store.add_to(mix, from, [self.gain, gain]);
        self.gain = gain;
        // A second after a clap it is down by 20 dB, in blocks of 20 ms.
        self.peak = peak.max(self.peak * 0.95);
    }

    /// Why it is not heard as it should be.
    pub(crate) fn lack(&mut self, now: MonoNs) -> Option<Lack> {
        self.told.lack(now)
    }

    /// Of what it adds to the mix; `None` for silence.
    pub(crate) fn level(&self) -> Option<f32> {
        decibels(self.peak)
    }

    fn take(&mut self, packet: &Packet, position: i64, now: MonoNs, cx: &Context) {
        if self.tracks != self.input.tracks() {
            self.tracks = self.input.tracks().to_vec();
            self.open();
        }
        self.told.present(now);
        let meta = &packet.meta;
        let Some(heard) = self.heard.as_mut().filter(|heard| heard.track == meta.track) else {
            return;
        };
        self.told.heard(now);
        if meta.discontinuity {
            self.anew = true;
        }
        match heard.decoder.decode(&packet.payload, meta.pts_ns) {
            Ok(blocks) => {
                for block in blocks {
                    let unused = self.place(block, packet, position);
                    self.told.unused(unused, now);
                }
            }
            Err(error) => {
                cx.missed(1);
                tracing::debug!("{}: {error}", self.input.ring());
                self.told.damaged(error.to_string(), now);
            }
        }
    }

    fn place(&mut self, block: SoundBlock, packet: &Packet, position: i64) -> Unused {
        let SoundBlock { pts_ns, rate_hz, channels, samples } = block;
        let captured_ns = i64::try_from(packet.meta.capture.mono.0).unwrap_or(i64::MAX);
        // The packet was captured at its own time; what comes out of a decoder may be of another.
        let captured_ns = captured_ns.saturating_add(pts_ns.saturating_sub(packet.meta.pts_ns));
        let from = usize::try_from(channels).unwrap_or(1);
        let samples = remix(samples, from, self.channels);
        let anew = std::mem::take(&mut self.anew);
        let block = Block { pts_ns, captured_ns, rate_hz, samples: &samples, anew };
        self.line.take(&block, &mut self.store, position)
    }

    fn open(&mut self) {
        self.forget();
        self.heard = None;
        let sound = (0..).zip(&self.tracks).find(|(_, track)| !track.codec.is_video());
        let Some((number, track)) = sound else {
            self.told.cannot_be_heard("has no sound".to_owned());
            return;
        };
        match SoundDecoder::open(track) {
            Ok(decoder) => {
                let (codec, rate_hz) = (track.codec, track.sample_rate_hz);
                tracing::info!("{}: {codec:?} at {rate_hz} Hz is heard", self.input.ring());
                self.told.can_be_heard();
                self.heard = Some(Heard { track: number, decoder });
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &MediaError) {
        tracing::warn!("{}: {error}", self.input.ring());
        self.told.cannot_be_heard(error.to_string());
    }

    fn forget(&mut self) {
        self.anew = true;
    }
}

fn factor(mixed: MixSource) -> f32 {
    if mixed.mute { 0.0 } else { mixed.gain.factor() }
}
