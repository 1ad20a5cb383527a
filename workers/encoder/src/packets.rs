//! A packet ring with its sound encoded anew where MP4 lacks it; everything else as it is.

use std::thread;

use protocol::config::EncoderConfig;
use protocol::control::{Condition, RingContract};
use protocol::name::RingName;
use protocol::stream::Track;
use shmring::{Next, Packet, PacketMeta, SourceId, clock};
use worker::{Context, Fault, PacketInput, STEP_WAIT};

use crate::gate::Gate;
use crate::resume::Resume;
use crate::ring::Out;
use crate::sound::{Made, Sound};

/// Steps without a packet after which the condition says so: 2 s.
const QUIET_STEPS: u32 = 20;

/// The worker on packets.
#[derive(Debug)]
pub(crate) struct Packets {
    config: EncoderConfig,
    input: PacketInput,
    source: RingName,
    out: Out,
    resume: Resume,
    /// As the source describes them now.
    tracks: Vec<Track>,
    /// One for each track.
    lanes: Vec<Lane>,
    /// Why a track is not what it should be.
    trouble: String,
    gate: Gate,
    quiet_steps: u32,
}

/// What becomes of a track.
#[derive(Debug)]
enum Lane {
    Copied,
    Sound(Box<Sound>),
}

impl Packets {
    pub(crate) fn new(
        config: EncoderConfig,
        source: &RingName,
        contract: RingContract,
        cx: &Context,
    ) -> Self {
        let resume = Resume::read(cx.project(), &contract.name, cx.worker().as_str());
        Self {
            config,
            input: PacketInput::new(cx, source, resume.start()),
            source: source.clone(),
            out: Out::new(contract, clock::now().utc),
            resume,
            tracks: Vec::new(),
            lanes: Vec::new(),
            trouble: String::new(),
            gate: Gate::default(),
            quiet_steps: 0,
        }
    }

    pub(crate) fn step(&mut self, cx: &mut Context) -> Result<(), Fault> {
        let next = self.input.next(cx, STEP_WAIT)?;
        let silent = matches!(next, Next::Quiet | Next::Ended);
        self.quiet_steps = if silent { self.quiet_steps.saturating_add(1) } else { 0 };
        match next {
            Next::Item(packet) => self.take(&packet, cx)?,
            Next::Overrun { .. } => self.gate.close(),
            Next::NewEpoch { .. } => {
                // Its times have nothing to do with those before.
                self.end_of_sound(cx)?;
                self.out.let_go();
                self.gate = Gate::default();
                self.resume = Resume::default();
            }
            Next::Ended => {
                self.end_of_sound(cx)?;
                self.out.finish();
                cx.condition(Condition::Waiting, format!("{} has ended", self.source));
                // Answered at once for as long as there is no successor.
                thread::sleep(STEP_WAIT);
            }
            Next::Quiet if self.quiet_steps >= QUIET_STEPS && self.input.epoch() != 0 => {
                cx.condition(Condition::Waiting, format!("nothing comes from {}", self.source));
            }
            // What is lost follows as an overrun.
            Next::Quiet | Next::Evicted { .. } => {}
        }
        Ok(())
    }

    /// What is still inside comes out, and readers hear that nothing follows.
    pub(crate) fn stop(&mut self, cx: &mut Context) -> Result<(), Fault> {
        self.end_of_sound(cx)?;
        self.out.finish();
        Ok(())
    }

    fn take(&mut self, packet: &Packet, cx: &mut Context) -> Result<(), Fault> {
        self.prepare(cx)?;
        let meta = &packet.meta;
        let at = SourceId { epoch: packet.epoch, sequence: packet.sequence };
        let begins_group = meta.key && meta.track == 0;
        let has_video = self.tracks.first().is_some_and(|track| track.codec.is_video());
        let Some(joint) = self.gate.pass(begins_group || !has_video) else {
            return Ok(());
        };
        let name = meta.source.unwrap_or(at);
        let made = match self.lanes.get_mut(meta.track as usize) {
            None => return Ok(()),
            Some(Lane::Copied) if self.resume.has(meta.track, name) => return Ok(()),
            Some(Lane::Copied) => {
                let discontinuity = meta.discontinuity || joint;
                let meta = PacketMeta { discontinuity, source: Some(name), ..*meta };
                self.out.publish(&meta, &packet.payload, has_video, cx)?;
                Vec::new()
            }
            Some(Lane::Sound(sound)) => {
                let last = self.resume.take(meta.track);
                if let Some(last) = last.filter(|last| last.source.epoch == name.epoch) {
                    sound.has_given(last.end_ns);
                }
                let meta = PacketMeta { discontinuity: meta.discontinuity || joint, ..*meta };
                sound.take(&meta, name, &packet.payload).map_err(Fault::failed)?
            }
        };
        self.publish_sound(&made, cx)?;
        match self.out.lost().unwrap_or(&self.trouble) {
            "" => cx.condition(Condition::Flowing, ""),
            why => cx.condition(Condition::Degraded, why.to_owned()),
        }
        Ok(())
    }

    fn publish_sound(&mut self, made: &[Made], cx: &Context) -> Result<(), Fault> {
        let has_video = self.tracks.first().is_some_and(|track| track.codec.is_video());
        for Made { meta, payload } in made {
            self.out.publish(meta, payload, has_video, cx)?;
        }
        Ok(())
    }

    fn end_of_sound(&mut self, cx: &Context) -> Result<(), Fault> {
        let mut rest = Vec::new();
        for lane in &mut self.lanes {
            if let Lane::Sound(sound) = lane {
                rest.extend(sound.begin_anew().map_err(Fault::failed)?);
            }
        }
        if self.out.is_there() { self.publish_sound(&rest, cx) } else { Ok(()) }
    }

    /// The ring is there, and describes what the source does now.
    fn prepare(&mut self, cx: &mut Context) -> Result<(), Fault> {
        let is_described = self.tracks == self.input.tracks();
        if is_described && self.out.is_there() {
            return Ok(());
        }
        if !is_described {
            self.end_of_sound(cx)?;
            self.tracks = self.input.tracks().to_vec();
            self.open_lanes();
        }
        let own = |(track, lane): (&Track, &Lane)| match lane {
            Lane::Copied => track.clone(),
            Lane::Sound(sound) => sound.track().clone(),
        };
        let described: Vec<Track> = self.tracks.iter().zip(&self.lanes).map(own).collect();
        self.resume.is_of(self.input.origin());
        self.out.describe(&described, self.input.origin(), cx)
    }

    fn open_lanes(&mut self) {
        let (to, bitrate) = (self.config.audio.codec(), self.config.audio_bitrate.0);
        self.trouble.clear();
        self.lanes.clear();
        for (number, track) in (0..).zip(&self.tracks) {
            let lane = match Sound::open(track, to, bitrate) {
                None => Lane::Copied,
                Some(Ok(sound)) => {
                    let (from, rate) = (track.codec, track.sample_rate_hz);
                    tracing::info!("track {number}: {from:?} at {rate} Hz becomes {to:?}");
                    Lane::Sound(Box::new(sound))
                }
                Some(Err(error)) => {
                    let from = track.codec;
                    self.trouble = format!("track {number}: {from:?} stays as it is: {error}");
                    Lane::Copied
                }
            };
            self.lanes.push(lane);
        }
    }
}
