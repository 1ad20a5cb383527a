//! The worker: takes what its source says and publishes it.

use std::thread;
use std::time::Duration;

use protocol::config::ingest::Source as Wanted;
use protocol::config::{IngestConfig, PipeConfig, WorkerConfig};
use protocol::control::Condition;
use protocol::name::RingName;
use protocol::stream::Track;
use protocol::time::{ClockSource, MonoNs};
use shmring::{census, clock};
use worker::{Context, Fault, Parking, STEP_WAIT, Step, Turn, Worker};

use crate::publisher::Publisher;
use crate::rate::RateWatch;
use crate::source::{CapturedUnit, Event, Source};

/// How often it looks whether somebody reads.
const LOOK: Duration = Duration::from_millis(250);

/// A camera that sends for so long has come without a key picture: most send one each second or two.
const KEY_WITHIN: Duration = Duration::from_secs(2);

/// What is read.
#[derive(Debug)]
pub(crate) enum Task {
    Source(IngestConfig),
    /// The stdout of a command, beside which this worker runs.
    Command(PipeConfig),
}

#[derive(Debug)]
pub(crate) struct Ingest {
    source: Source,
    publisher: Publisher,
    ring: RingName,
    /// `None` of a file, which nobody sends, and of a command, whose worker has no such key.
    rate: Option<RateWatch>,
    has_pictures: bool,
    keyless: Keyless,
    /// Only with `on_demand`.
    parking: Option<Parking>,
    looked: MonoNs,
}

impl Worker for Ingest {
    type Config = Task;

    fn section(config: WorkerConfig) -> Option<Task> {
        match config {
            WorkerConfig::Ingest(config) => Some(Task::Source(config)),
            WorkerConfig::Pipe(config) => Some(Task::Command(config)),
            _ => None,
        }
    }

    fn start(task: Task, cx: &mut Context) -> Result<Self, Fault> {
        let Some(contract) = cx.output() else {
            return Err(Fault::contract("started without a ring to write, expected one"));
        };
        let ring = contract.name.clone();
        // Who must not lose anything is about to come back when it is away.
        let is_essential = !contract.essential.is_empty();
        let publisher = Publisher::new(cx.project(), contract, clock::now().utc);
        let (source, on_demand, rate) = match task {
            Task::Source(config) => {
                tracing::info!("source {}", config.source);
                let is_live = !matches!(config.source, Wanted::File(_));
                let rate = is_live.then(|| RateWatch::new(config.health));
                (Source::open(&config, cx)?, config.on_demand, rate)
            }
            Task::Command(config) => (Source::of_command(&config, cx)?, false, None),
        };
        let parking = (on_demand && !is_essential).then(Parking::working);
        let looked = MonoNs(0);
        let (has_pictures, keyless) = (false, Keyless::default());
        let mut ingest =
            Self { source, publisher, ring, rate, has_pictures, keyless, parking, looked };
        // Local sources know their tracks by now, so their ring is there before they are ready.
        ingest.advance(Duration::ZERO, cx)?;
        Ok(ingest)
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        if self.rests(cx)? {
            thread::sleep(STEP_WAIT);
            return Ok(Step::Again);
        }
        self.advance(STEP_WAIT, cx)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        self.source.close();
        self.publisher.finish();
        Ok(())
    }
}

impl Ingest {
    /// Whether nobody reads and the source is left alone. It begins with a little of the stream in any case:
    /// a reader can only come to a ring that is there.
    fn rests(&mut self, cx: &mut Context) -> Result<bool, Fault> {
        let Some(mut parking) = self.parking.filter(|_| self.publisher.is_there()) else {
            return Ok(false);
        };
        let now = clock::mono();
        if now.saturating_since(self.looked) >= LOOK {
            self.looked = now;
            let readers =
                census::named(cx.project(), self.publisher.ring_name(), now).readers.len();
            let turn = parking.update(u32::try_from(readers).unwrap_or(u32::MAX), now);
            self.parking = Some(parking);
            match turn {
                Turn::Park => {
                    self.source.close();
                    if let Some(rate) = &mut self.rate {
                        rate.rest();
                        cx.picture_health(&self.ring, rate.health(), rate.why());
                    }
                }
                Turn::Resume => self.source.open_again()?,
                Turn::GoOn => {}
            }
        }
        if parking.is_parked() {
            let why = format!("nobody reads {}", self.publisher.ring_name());
            cx.condition(Condition::Parked, why);
        }
        Ok(parking.is_parked())
    }

    fn advance(&mut self, wait: Duration, cx: &mut Context) -> Result<Step, Fault> {
        match self.source.next(wait)? {
            Event::Ended => return Ok(Step::Done),
            Event::Quiet => {}
            Event::Tracks(tracks) => {
                if let (Some(rate), Some(track)) = (&mut self.rate, tracks.first()) {
                    rate.declared(track.frame_rate);
                }
                self.has_pictures = tracks.first().is_some_and(|track| track.codec.is_video());
                self.describe(&tracks, cx)?;
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

    /// A source that is all headers is no reason to end.
    fn describe(&mut self, tracks: &[Track], cx: &mut Context) -> Result<(), Fault> {
        self.keyless = Keyless::default();
        match self.publisher.describe(tracks) {
            Ok(()) => self.publisher.while_waiting(cx.while_waiting()),
            Err(error @ shmring::Error::StreamTooLarge { .. }) => {
                tracing::error!("nothing is published: {error}");
                cx.condition(Condition::Degraded, error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn publish(&mut self, captured: &CapturedUnit, cx: &mut Context) -> Result<(), Fault> {
        let is_picture = self.has_pictures && captured.unit.track == 0;
        if let Some(rate) = self.rate.as_mut().filter(|_| is_picture) {
            rate.picture(clock::mono());
        }
        match self.publisher.publish(captured) {
            Ok(Some(sequence)) => {
                self.keyless = Keyless::Over;
                cx.made(sequence);
            }
            Ok(None) => {
                self.tell_keyless(cx);
                return Ok(());
            }
            Err(
                error @ (shmring::Error::PacketTooLarge { .. } | shmring::Error::NoSpace { .. }),
            ) => {
                self.keyless = Keyless::Over;
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

    fn tell_keyless(&mut self, cx: &mut Context) {
        if self.publisher.is_described() && self.keyless.is_long(clock::mono()) {
            cx.condition(Condition::Waiting, "connected; no key picture yet");
        }
    }
}

/// Units that nobody can use, from a connection's first one on. Pure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Keyless {
    #[default]
    Unheard,
    Since(MonoNs),
    /// Something was published; what is lost later is told when it is.
    Over,
}

impl Keyless {
    /// Such a unit came; whether that has gone on for long.
    fn is_long(&mut self, now: MonoNs) -> bool {
        match *self {
            Self::Unheard => *self = Self::Since(now),
            Self::Since(since) => return now.saturating_since(since) >= KEY_WITHIN,
            Self::Over => {}
        }
        false
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_without_a_key_picture_is_told_after_two_seconds_and_only_before_its_first() {
        let at = |ms: u64| MonoNs(ms * 1_000_000);
        let mut keyless = Keyless::default();
        let told = [500, 540, 2499, 2500, 9000].map(|ms| keyless.is_long(at(ms)));
        assert_eq!(told, [false, false, false, true, true]);
        let mut keyless = Keyless::Over;
        assert!(![0, 9000].map(|ms| keyless.is_long(at(ms))).contains(&true));
    }
}
