//! The worker: follows the packet ring, decodes while somebody looks.

use std::thread;

use media::DecoderOptions;
use protocol::config::{DecoderConfig, WorkerConfig};
use protocol::control::Condition;
use protocol::name::RingName;
use protocol::stream::Track;
use shmring::{FrameWriter, Next, Packet, Start, clock};
use worker::{Context, Fault, PacketInput, STEP_WAIT, Step, Worker};

use crate::decoding::{Decoding, Tally};
use crate::parking::{Parking, Turn};

/// Steps without a packet after which the condition says so: 2 s.
const QUIET_STEPS: u32 = 20;
/// The frame threads that FFmpeg's own documentation advises against exceeding.
const THREADS_MAX: u32 = 16;

#[derive(Debug)]
pub(crate) struct DecoderWorker {
    input: PacketInput,
    source: RingName,
    ring: FrameWriter,
    target: RingName,
    decoding: Decoding,
    parking: Parking,
    quiet_steps: u32,
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
        let (source, target) = (source.clone(), contract.name.clone());
        let ring = FrameWriter::create(cx.project(), contract, Some(&source))?;
        ring.while_waiting(cx.while_waiting());
        let options = DecoderOptions {
            threads: config.threads.clamp(1, THREADS_MAX),
            max_pixels: config.max_pixels,
        };
        Ok(Self {
            input: PacketInput::new(cx, &source, Start::NewestKey),
            source,
            decoding: Decoding::new(ring.clone(), options),
            ring,
            target,
            parking: Parking::default(),
            quiet_steps: 0,
        })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        match self.parking.update(self.ring.readers(), clock::mono()) {
            Turn::GoOn => {}
            Turn::Park => self.decoding.rest(),
            // Attached anew: the newest key frame lies behind this reader's place.
            Turn::Resume => self.input = PacketInput::new(cx, &self.source, Start::NewestKey),
        }
        let next = self.input.next(cx, STEP_WAIT)?;
        self.tell_if_resting(&next, cx);
        match next {
            Next::Item(packet) => self.take(&packet, cx),
            Next::Overrun { .. } | Next::NewEpoch { .. } => self.decoding.lost(),
            // What is lost of it follows as an overrun.
            Next::Evicted { .. } | Next::Quiet => {}
            Next::Ended => {
                report(&self.decoding.drain(), cx);
                // Answered at once for as long as there is no successor.
                thread::sleep(STEP_WAIT);
            }
        }
        Ok(Step::Again)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        self.decoding.rest();
        self.ring.finish();
        Ok(())
    }
}

impl DecoderWorker {
    fn take(&mut self, packet: &Packet, cx: &mut Context) {
        if self.parking.is_parked() {
            return;
        }
        let Some((number, track)) = video_track(self.input.tracks()) else {
            let why = format!("{} has no video track; expected one to decode", self.source);
            cx.condition(Condition::Degraded, why);
            return;
        };
        if packet.meta.track == number {
            let tally = self.decoding.take(packet, track);
            report(&tally, cx);
        }
    }

    fn tell_if_resting(&mut self, next: &Next<Packet>, cx: &mut Context) {
        let silent = matches!(next, Next::Quiet | Next::Ended);
        self.quiet_steps = if silent { self.quiet_steps.saturating_add(1) } else { 0 };
        if self.input.epoch() == 0 {
            return; // the input has said that its ring is not there
        }
        if self.parking.is_parked() {
            cx.condition(Condition::Parked, format!("nobody reads {}", self.target));
        } else if matches!(next, Next::Ended) {
            cx.condition(Condition::Waiting, format!("{} has ended", self.source));
        } else if self.quiet_steps >= QUIET_STEPS {
            cx.condition(Condition::Waiting, format!("nothing comes from {}", self.source));
        }
    }
}

fn report(tally: &Tally, cx: &mut Context) {
    if tally.missed > 0 {
        cx.missed(tally.missed);
    }
    if let Some(trouble) = &tally.trouble {
        cx.condition(Condition::Degraded, trouble.to_string());
    } else if let Some(sequence) = tally.made {
        cx.made(sequence);
        cx.condition(Condition::Flowing, "");
    }
}

/// The first video track and its number.
fn video_track(tracks: &[Track]) -> Option<(u32, &Track)> {
    (0..).zip(tracks).find(|(_, track)| track.codec.is_video())
}
