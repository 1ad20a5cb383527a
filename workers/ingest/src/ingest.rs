//! The worker: takes what its source says and publishes it.

use std::time::Duration;

use protocol::config::ingest::Source as Wanted;
use protocol::config::{IngestConfig, WorkerConfig};
use protocol::control::Condition;
use protocol::name::RingName;
use protocol::time::ClockSource;
use shmring::clock;
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::publisher::Publisher;
use crate::rate::RateWatch;
use crate::source::{CapturedUnit, Event, Source};

#[derive(Debug)]
pub(crate) struct Ingest {
    source: Source,
    publisher: Publisher,
    ring: RingName,
    /// `None` of a file: nobody sends it.
    rate: Option<RateWatch>,
    has_pictures: bool,
}

impl Worker for Ingest {
    type Config = IngestConfig;

    fn section(config: WorkerConfig) -> Option<IngestConfig> {
        match config {
            WorkerConfig::Ingest(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: IngestConfig, cx: &mut Context) -> Result<Self, Fault> {
        let Some(contract) = cx.output() else {
            return Err(Fault::contract("started without a ring to write, expected one"));
        };
        let (ring, is_live) = (contract.name.clone(), !matches!(config.source, Wanted::File(_)));
        let publisher = Publisher::new(cx.project(), contract, clock::now().utc);
        tracing::info!("source {}", config.source);
        let source = Source::open(&config, cx)?;
        let rate = is_live.then(|| RateWatch::new(config.health));
        let mut ingest = Self { source, publisher, ring, rate, has_pictures: false };
        // Local sources know their tracks by now, so their ring is there before they are ready.
        ingest.advance(Duration::ZERO, cx)?;
        Ok(ingest)
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        self.advance(STEP_WAIT, cx)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        self.source.close();
        self.publisher.finish();
        Ok(())
    }
}

impl Ingest {
    fn advance(&mut self, wait: Duration, cx: &mut Context) -> Result<Step, Fault> {
        match self.source.next(wait)? {
            Event::Ended => return Ok(Step::Done),
            Event::Quiet => {}
            Event::Tracks(tracks) => {
                if let (Some(rate), Some(track)) = (&mut self.rate, tracks.first()) {
                    rate.declared(track.frame_rate);
                }
                self.has_pictures = tracks.first().is_some_and(|track| track.codec.is_video());
                self.publisher.describe(&tracks)?;
                self.publisher.while_waiting(cx.while_waiting());
            }
            Event::Unit(captured) => self.publish(&captured, cx)?,
            Event::Down(why) => {
                if let Some(rate) = &mut self.rate {
                    rate.rest();
                }
                cx.condition(Condition::Degraded, why);
            }
            Event::Preparing(what) => cx.condition(Condition::Waiting, what),
        }
        if let Some(rate) = &mut self.rate {
            rate.pass(clock::mono());
            cx.picture_health(&self.ring, rate.health(), rate.why());
        }
        Ok(Step::Again)
    }

    fn publish(&mut self, captured: &CapturedUnit, cx: &mut Context) -> Result<(), Fault> {
        let is_picture = self.has_pictures && captured.unit.track == 0;
        if let Some(rate) = self.rate.as_mut().filter(|_| is_picture) {
            rate.picture(clock::mono());
        }
        match self.publisher.publish(captured) {
            Ok(Some(sequence)) => cx.made(sequence),
            Ok(None) => return Ok(()),
            Err(
                error @ (shmring::Error::PacketTooLarge { .. } | shmring::Error::NoSpace { .. }),
            ) => {
                cx.missed(1);
                tracing::error!("a picture is lost: {error}");
                cx.condition(Condition::Degraded, error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        if captured.late {
            let why = "pictures come over 1 s late; expected a machine that keeps up: \
                       lower size or fps";
            cx.condition(Condition::Degraded, why);
        } else {
            let why = self.rate.as_ref().map(RateWatch::why).filter(|why| !why.is_empty());
            let why = why.map_or_else(|| clock_in_words(captured), str::to_owned);
            cx.condition(Condition::Flowing, why);
        }
        Ok(())
    }
}

/// Whose time the pictures have, where that is not the host's.
fn clock_in_words(captured: &CapturedUnit) -> String {
    match (captured.clock, captured.clock_off_ns) {
        (ClockSource::Camera, _) => "on the camera's clock".to_owned(),
        (ClockSource::Arrival, None) => String::new(),
        (ClockSource::Arrival, Some(off_ns)) => {
            let side = if off_ns < 0 { "behind" } else { "ahead" };
            let off = roughly(Duration::from_nanos(off_ns.unsigned_abs()));
            format!("the camera's clock is {off} {side}, so times are those of arrival")
        }
    }
}

/// So that the text stays the same while the clock does.
fn roughly(off: Duration) -> String {
    match off.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
