//! The worker: takes packets from the tape and publishes each when it is due.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use protocol::config::replay::Speed;
use protocol::config::{ReplayConfig, WorkerConfig};
use protocol::control::{Condition, RingContract};
use protocol::name::RingName;
use protocol::stream::Track;
use protocol::time::{MonoNs, Stamp, UtcNs};
use recordings::Range;
use serde_json::{Value, json};
use shmring::{PacketMeta, PacketWriter, SourceId, clock};
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::command::{self, Command};
use crate::player::{Player, When};
use crate::tape::{Found, Packet, Reel, Tape};

/// How soon a message is seen that lets it go on.
const LISTEN: Duration = Duration::from_millis(5);
/// Further behind than this at the speed that was asked for, it says so.
const LATE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Replay {
    from: PathBuf,
    speed: Speed,
    tape: Tape,
    player: Player,
    contract: RingContract,
    /// `None` until the tracks are known.
    ring: Option<PacketWriter>,
    found: Found,
    /// Taken from the tape, and not due yet.
    held: Option<Packet>,
    /// Else a step is a packet.
    has_video: bool,
    gop: u64,
    published: u64,
    newest: Option<(SourceId, UtcNs)>,
}

impl Worker for Replay {
    type Config = ReplayConfig;

    fn section(config: WorkerConfig) -> Option<ReplayConfig> {
        match config {
            WorkerConfig::Replay(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: ReplayConfig, cx: &mut Context) -> Result<Self, Fault> {
        let contract = cx.output().cloned();
        let contract = contract
            .ok_or_else(|| Fault::contract("started without a ring to write, expected one"))?;
        let from = config.since.map_or(UtcNs(0), |since| since.0);
        let to = config.until.map_or(UtcNs(u64::MAX), |until| until.0);
        let tape = Tape::open(config.from.clone(), Range { from, to }, config.repeat)?;
        cx.condition(Condition::Waiting, format!("looks through {}", config.from.display()));
        Ok(Self {
            from: config.from,
            speed: config.speed,
            tape,
            player: Player::new(config.speed, config.pause.duration(), config.hold),
            gop: first_gop(contract.gop_floor, clock::now().utc),
            contract,
            ring: None,
            found: Found::default(),
            held: None,
            has_video: false,
            published: 0,
            newest: None,
        })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        let Some(packet) = self.held.take() else {
            return self.wind(cx);
        };
        let now = clock::mono();
        match self.player.when(packet.dts_ns, now) {
            When::Held => {
                cx.condition(Condition::Waiting, "held: a message lets it play");
                self.held = Some(packet);
                thread::sleep(LISTEN);
            }
            When::At(due) if due > now + STEP_WAIT => {
                self.held = Some(packet);
                thread::sleep(STEP_WAIT);
            }
            When::At(due) => {
                thread::sleep(due.saturating_since(now));
                self.publish(&packet, now.saturating_since(due) > LATE, cx)?;
            }
            When::Now
                if self.player.ends_before(packet.is_video || !self.has_video, packet.key) =>
            {
                self.held = Some(packet);
            }
            When::Now => self.publish(&packet, false, cx)?,
        }
        Ok(Step::Again)
    }

    fn message(&mut self, _cx: &mut Context, message: Value) -> Result<Value, String> {
        let now = clock::mono();
        let next_ns = self.held.as_ref().map_or(0, |packet| packet.dts_ns);
        match command::read(&message)? {
            Command::Pause => self.player.pause(),
            Command::Play => self.player.play(next_ns, now),
            Command::PlayTogether { zero, start } => {
                self.player.play_together(zero, start, self.found.from);
            }
            Command::Status => {}
            Command::Step(steps) => self.player.step(steps),
        }
        Ok(self.status())
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        if let Some(ring) = &mut self.ring {
            ring.finish();
        }
        Ok(())
    }
}

impl Replay {
    /// Takes what the tape has next.
    fn wind(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        match self.tape.next(STEP_WAIT) {
            None => {}
            Some(Reel::Found(found)) => {
                self.check_ring(found.ring.as_ref())?;
                let (packets, gaps) = (found.packets, found.gaps);
                tracing::info!(packets, gaps, "plays {} at {}", self.from.display(), self.speed);
                self.found = found;
            }
            Some(Reel::Tracks(tracks)) => self.describe(&tracks, cx)?,
            Some(Reel::Packet(packet)) => {
                self.player.take(packet.dts_ns, packet.discontinuity);
                self.held = Some(packet);
            }
            Some(Reel::Unreadable(why)) => {
                tracing::error!("passed over: {why}");
                cx.condition(Condition::Degraded, why);
                cx.missed(1);
            }
            Some(Reel::Broken) => {
                return Err(Fault::failed(format!(
                    "{}: the thread that reads it ended by itself",
                    self.from.display()
                )));
            }
            Some(Reel::End) if self.published == 0 && self.ring.is_none() => {
                return Err(Fault::unavailable(format!(
                    "{}: nothing was recorded there in the range that is asked for; expected a \
                     camera's folder of a recorder: see `framevisor recordings ls`",
                    self.from.display()
                )));
            }
            Some(Reel::End) => return Ok(Step::Done),
        }
        Ok(Step::Again)
    }

    /// A frame id names its ring: in another one's it would be somebody else's.
    fn check_ring(&self, recorded: Option<&RingName>) -> Result<(), Fault> {
        let Some(recorded) = recorded.filter(|ring| **ring != self.contract.name) else {
            return Ok(());
        };
        Err(Fault::contract(format!(
            "{} was recorded from {recorded}, and ring {} is to be written; expected the same: \
             write `out: {recorded}`",
            self.from.display(),
            self.contract.name
        )))
    }

    fn describe(&mut self, tracks: &[Track], cx: &Context) -> Result<(), Fault> {
        self.has_video = tracks.iter().any(|track| track.codec.is_video());
        if let Some(ring) = &mut self.ring {
            return Ok(ring.set_tracks(tracks)?);
        }
        let mut ring = PacketWriter::create(cx.project(), &self.contract, tracks)?;
        ring.while_waiting(cx.while_waiting());
        tracing::debug!(epoch = ring.epoch(), "ring {} is there", ring.ring());
        self.ring = Some(ring);
        Ok(())
    }

    fn publish(&mut self, packet: &Packet, late: bool, cx: &mut Context) -> Result<(), Fault> {
        let now = clock::mono();
        if packet.is_video && packet.key && packet.track == 0 {
            self.gop += 1;
        }
        let meta = self.meta(packet, now);
        let Some(ring) = &mut self.ring else { return Ok(()) };
        let sequence = ring.publish(&meta, &packet.payload)?;
        self.player.went(packet.is_video || !self.has_video);
        self.published += 1;
        self.newest = Some((packet.id, packet.capture));
        cx.made(sequence);
        if late {
            let why = "packets come over 1 s late; expected a disk and a machine that keep up: \
                       lower the speed";
            cx.condition(Condition::Degraded, why);
        } else {
            cx.condition(Condition::Flowing, "");
        }
        Ok(())
    }

    fn meta(&self, packet: &Packet, now: MonoNs) -> PacketMeta {
        let mono = self.player.captured(packet.dts_ns, now);
        PacketMeta {
            track: packet.track,
            key: packet.key,
            discontinuity: packet.discontinuity,
            corrupt: false,
            pts_ns: packet.pts_ns,
            dts_ns: packet.dts_ns,
            duration_ns: packet.duration_ns,
            capture: Stamp { mono, utc: packet.capture },
            clock: packet.clock,
            ingest: now,
            gop_index: self.gop,
            source: Some(packet.id),
        }
    }

    fn status(&self) -> Value {
        let is_held = self.player.is_held();
        let newest = self.newest.map(|(id, capture)| {
            json!({"epoch": id.epoch, "sequence": id.sequence, "capture_utc_ns": capture})
        });
        json!({
            "state": if is_held { "held" } else { "playing" },
            "speed": self.speed,
            "from_utc_ns": self.found.from,
            "to_utc_ns": self.found.to,
            "packets": self.found.packets,
            "gaps": self.found.gaps,
            "published": self.published,
            "newest": newest,
        })
    }
}

/// As ingest counts: above every group that this ring had, and without any knowledge of one above what
/// any camera reaches.
fn first_gop(floor: u64, now: UtcNs) -> u64 {
    if floor == 0 { now.0 / 1_000_000 } else { floor }
}
