//! The worker: follows the packet ring, decodes while somebody looks.

use std::thread;
use std::time::Duration;

use media::DecoderOptions;
use protocol::config::decoder::{DecodeHardware, OutputConfig};
use protocol::config::{DecoderConfig, Memory, PictureLimits, WorkerConfig};
use protocol::control::{Condition, ItemId, Joint, RingContract};
use protocol::name::RingName;
use protocol::stream::Track;
use protocol::time::MonoNs;
use shmring::{FrameWriter, Next, Packet, Start, clock};
use shmring_cuda::Slots;
use worker::{Context, Fault, PacketInput, STEP_WAIT, Step, Turn, Worker};

use crate::decoding::{Decoding, Tally};
use crate::engines::Engines;
use crate::health::{Judge, in_words};
use crate::on_device;
use crate::outputs::{Output, Outputs};

/// Steps without a packet after which the condition says so: 2 s.
const QUIET_STEPS: u32 = 20;
/// Steps without a packet after which nothing is said of the pictures any more: 30 s.
const BLIND_STEPS: u32 = 300;
/// The frame threads that FFmpeg's own documentation advises against exceeding.
const THREADS_MAX: u32 = 16;

/// How often a decoder that stands by looks whether its ring is free.
const LOOK: Duration = Duration::from_millis(5);
/// A replaced decoder ends before the next key frame, or after this long without one.
const KEY_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) enum DecoderWorker {
    /// Another process still writes the ring.
    StandsBy(Box<Plan>),
    Works(Box<Working>),
    /// Its successor goes on: nothing is said to readers.
    Yielded,
}

/// What to decode into what.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    source: RingName,
    /// The decoder's own ring, then further ones and what they hold.
    own: RingContract,
    more: Vec<(RingContract, OutputConfig)>,
    hardware: DecodeHardware,
    options: DecoderOptions,
    limits: PictureLimits,
}

#[derive(Debug)]
pub(crate) struct Working {
    input: PacketInput,
    source: RingName,
    /// Names of the rings it writes, for people.
    targets: String,
    decoding: Decoding,
    quiet_steps: u32,
    /// Since when a successor waits.
    draining: Option<MonoNs>,
}

impl Worker for DecoderWorker {
    type Config = DecoderConfig;

    fn section(config: WorkerConfig) -> Option<DecoderConfig> {
        match config {
            WorkerConfig::Decoder(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: DecoderConfig, cx: &mut Context) -> Result<Self, Fault> {
        let ([source], Some(contract)) = (cx.inputs(), cx.output()) else {
            return Err(Fault::contract(format!(
                "started with {} rings to read, expected one, and one to write",
                cx.inputs().len()
            )));
        };
        let options = DecoderOptions {
            threads: config.threads.clamp(1, THREADS_MAX),
            max_pixels: config.max_pixels,
        };
        let more = cx.more_outputs().iter().cloned().zip(config.outputs.values().copied());
        let plan = Plan {
            source: source.clone(),
            own: contract.clone(),
            more: more.collect(),
            hardware: config.hardware,
            options,
            limits: config.health,
        };
        if cx.stands_by() {
            return Ok(Self::StandsBy(Box::new(plan)));
        }
        Working::begin(plan, None, cx).map(Box::new).map(Self::Works)
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        match self {
            Self::StandsBy(plan) => match cx.take_over() {
                Some(from) => {
                    let plan = Plan::clone(plan);
                    *self = Self::Works(Box::new(Working::begin(plan, Some(from), cx)?));
                }
                None => {
                    cx.condition(Condition::Waiting, "its predecessor still writes the ring");
                    thread::sleep(LOOK);
                }
            },
            Self::Works(working) => {
                if let Some(to) = working.step(cx)? {
                    // The ring is free before its successor is told.
                    *self = Self::Yielded;
                    cx.yield_to_successor(to)?;
                }
            }
            Self::Yielded => return Ok(Step::Done),
        }
        Ok(Step::Again)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        if let Self::Works(working) = self {
            working.decoding.end();
        }
        Ok(())
    }
}

impl Working {
    /// Takes the rings and begins to decode: at the newest key frame, or where a predecessor ended.
    fn begin(plan: Plan, from: Option<Joint>, cx: &Context) -> Result<Self, Fault> {
        let last = from.and_then(|joint| joint.after);
        // Readers come over from the old epoch as soon as there is a new one.
        let is_read = last.is_some();
        let mut engines = Engines::new(plan.hardware, plan.options);
        engines.look();
        let judge = Judge::new(plan.limits);
        let mut decoding = Decoding::new(outputs(&plan, is_read, cx)?, engines, judge);
        let start = match (from, last) {
            (Some(Joint { at_key: true, .. }), Some(ItemId { epoch, sequence })) => {
                Start::After { epoch, sequence }
            }
            (_, last) => {
                decoding.has_shown(last);
                Start::NewestKey
            }
        };
        let source = plan.source;
        let targets = std::iter::once(&plan.own).chain(plan.more.iter().map(|(ring, _)| ring));
        let targets: Vec<&str> = targets.map(|ring| ring.name.as_str()).collect();
        Ok(Self {
            input: PacketInput::new(cx, &source, start),
            source,
            decoding,
            targets: targets.join(", "),
            quiet_steps: 0,
            draining: None,
        })
    }

    /// Where its successor goes on, when it is time.
    fn step(&mut self, cx: &mut Context) -> Result<Option<Joint>, Fault> {
        let now = clock::mono();
        if cx.draining() && self.draining.is_none() {
            self.draining = Some(now);
        }
        match self.decoding.look(now) {
            Turn::GoOn => {}
            Turn::Park => self.tell_health(cx),
            // Attached anew: the newest key frame lies behind this reader's place.
            Turn::Resume => self.input = PacketInput::new(cx, &self.source, Start::NewestKey),
        }
        let waited = self.draining.map(|since| now.saturating_since(since));
        if waited.is_some_and(|time| self.decoding.is_parked() || time >= KEY_WITHIN) {
            return Ok(Some(self.end(false, cx)));
        }
        let next = self.input.next(cx, STEP_WAIT)?;
        self.tell_if_resting(&next, cx);
        match next {
            Next::Item(packet) if waited.is_some() && self.is_entry(&packet) => {
                return Ok(Some(self.end(true, cx)));
            }
            Next::Item(mut packet) => {
                // A replayed packet is called as it was recorded. One that was made from another ring's is
                // called by its own: that is the name it is recorded under.
                if self.input.origin() != self.input.ring() {
                    packet.meta.source = None;
                }
                self.take(&packet, cx);
            }
            Next::Overrun { .. } | Next::NewEpoch { .. } => self.decoding.lost(),
            // What is lost of it follows as an overrun.
            Next::Evicted { .. } | Next::Quiet => {}
            Next::Ended => {
                let tally = self.decoding.drain();
                self.report(&tally, cx);
                // Answered at once for as long as there is no successor.
                thread::sleep(STEP_WAIT);
            }
        }
        Ok(None)
    }

    /// Whether nothing before it is needed to decode it.
    fn is_entry(&self, packet: &Packet) -> bool {
        let video = video_track(self.input.tracks());
        packet.meta.key && video.is_some_and(|(number, _)| packet.meta.track == number)
    }

    /// All pictures of what was taken come out.
    fn end(&mut self, at_key: bool, cx: &mut Context) -> Joint {
        // What was decoded before it parked is long past.
        let newest = self.decoding.newest().filter(|_| !self.decoding.is_parked());
        let tally = self.decoding.drain();
        self.report(&tally, cx);
        Joint { after: newest, at_key }
    }

    fn take(&mut self, packet: &Packet, cx: &mut Context) {
        if self.decoding.is_parked() {
            return;
        }
        let Some((number, track)) = video_track(self.input.tracks()) else {
            let why = format!("{} has no video track; expected one to decode", self.source);
            cx.condition(Condition::Degraded, why);
            return;
        };
        if packet.meta.track == number {
            let tally = self.decoding.take(packet, track, clock::mono());
            self.report(&tally, cx);
        }
    }

    fn tell_health(&self, cx: &mut Context) {
        let health = self.decoding.health();
        cx.picture_health(&self.source, health, in_words(health));
    }

    fn tell_if_resting(&mut self, next: &Next<Packet>, cx: &mut Context) {
        let silent = matches!(next, Next::Quiet | Next::Ended);
        self.quiet_steps = if silent { self.quiet_steps.saturating_add(1) } else { 0 };
        if self.quiet_steps == BLIND_STEPS {
            self.decoding.sees_nothing();
            self.tell_health(cx);
        }
        if self.input.epoch() == 0 {
            return; // the input has said that its ring is not there
        }
        if self.decoding.is_parked() {
            let fall_back = self.decoding.fall_back();
            let fall_back = fall_back.map_or_else(String::new, |why| format!("; {why}"));
            let why = format!("nobody reads {}{fall_back}", self.targets);
            cx.condition(Condition::Parked, why);
        } else if matches!(next, Next::Ended) {
            cx.condition(Condition::Waiting, format!("{} has ended", self.source));
        } else if self.quiet_steps >= QUIET_STEPS {
            cx.condition(Condition::Waiting, format!("nothing comes from {}", self.source));
        }
    }

    fn report(&self, tally: &Tally, cx: &mut Context) {
        if tally.missed > 0 {
            cx.missed(tally.missed);
        }
        // What one ring has no slot for may have reached another.
        if let Some(sequence) = tally.made {
            cx.made(sequence);
        }
        if let Some(trouble) = &tally.trouble {
            cx.condition(Condition::Degraded, trouble.to_string());
        } else if tally.made.is_some() {
            match self.decoding.fall_back() {
                Some(why) => cx.condition(Condition::Degraded, why),
                None => cx.condition(Condition::Flowing, in_words(self.decoding.health())),
            }
        }
        self.tell_health(cx);
    }
}

/// The rings, the decoder's own first.
fn outputs(plan: &Plan, is_read: bool, cx: &Context) -> Result<Outputs, Fault> {
    let create = |contract: &RingContract, form: Option<&OutputConfig>| -> Result<Output, Fault> {
        let (project, source) = (cx.project(), Some(&plan.source));
        let slots = slots_of(contract)?;
        let ring = match &slots {
            None => FrameWriter::create(project, contract, source)?,
            Some(slots) => {
                FrameWriter::create_on(project, contract, source, Box::new(slots.clone()))?
            }
        };
        ring.while_waiting(cx.while_waiting());
        Ok(Output::new(ring, form, is_read).on_device(slots).waiting(contract.waits))
    };
    let mut all = vec![create(&plan.own, None)?];
    for (contract, form) in &plan.more {
        all.push(create(contract, Some(form))?);
    }
    Ok(Outputs::new(all))
}

/// Where the ring's pictures lie, if not in the machine's memory. There is no fall-back: readers expect them there.
fn slots_of(contract: &RingContract) -> Result<Option<Slots>, Fault> {
    if contract.config.memory == Memory::Host {
        return Ok(None);
    }
    on_device::slots().map(Some).map_err(|why| {
        let ring = &contract.name;
        Fault::unavailable(format!(
            "ring {ring} has memory: cuda, and there is {why}; or give it memory: host"
        ))
    })
}

/// The first video track and its number.
fn video_track(tracks: &[Track]) -> Option<(u32, &Track)> {
    (0..).zip(tracks).find(|(_, track)| track.codec.is_video())
}
