//! The worker: takes what comes, and at each tick puts a picture together, whatever came.

use std::thread;
use std::time::Duration;

use media::Canvas as Colours;
use protocol::config::compositor::layout;
use protocol::config::compositor::{Missing, Place, Zone};
use protocol::config::{CompositorConfig, WorkerConfig};
use protocol::control::Condition;
use protocol::name::{RingKind, RingName};
use protocol::stream::PixelFormat;
use protocol::time::{ClockSource, MonoNs, Stamp, UtcNs};
use shmring::{Error, FrameMeta, FrameWriter, Loan, Picture, clock};
use worker::{Context, Fault, Parking, Step, Turn, Worker};

use crate::canvas::Canvas;
use crate::input::Input;
use crate::made_of::MadeOf;
use crate::marks::Marks;
use crate::presence::{Presence, presence};
use crate::records::Records;
use crate::scene::{Actor, Appearance, Scene};
use crate::ticks::Ticks;
use crate::view::Making;
use crate::wording::Zones;

/// How often rings are looked into between two ticks: they hold a few pictures.
const LOOK: Duration = Duration::from_millis(10);
/// How often it looks whether somebody reads.
const LOOK_FOR_READERS: Duration = Duration::from_millis(250);
const REST: Duration = Duration::from_millis(20);
/// Rows begin where vectors of any processor like it.
const ROW_ALIGN: u32 = 64;
/// Pictures kept of an input beside those of the ticks that are waited for.
const SPARE_PICTURES: usize = 8;

#[derive(Debug)]
pub(crate) struct Compositor {
    ring: FrameWriter,
    name: RingName,
    picture: Picture,
    /// In the topology's order; `order` is that of drawing.
    inputs: Vec<Input>,
    actors: Vec<Actor>,
    order: Vec<usize>,
    records: Vec<Records>,
    marks: Marks,
    scene: Scene,
    zones: Zones,
    ticks: Ticks,
    config: CompositorConfig,
    parking: Parking,
    looked: MonoNs,
    /// Since when inputs are asked for pictures.
    begun: MonoNs,
    /// The next picture does not follow the last one.
    joint: bool,
}

impl Worker for Compositor {
    type Config = CompositorConfig;

    fn section(config: WorkerConfig) -> Option<CompositorConfig> {
        match config {
            WorkerConfig::Compositor(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: CompositorConfig, cx: &mut Context) -> Result<Self, Fault> {
        let contract = cx.output().ok_or_else(|| {
            Fault::contract("a compositor writes a ring of frames, but none was handed over")
        })?;
        let size = config.size;
        let colours = Colours::of_height(size.height);
        let picture = Picture::packed(size.width, size.height, PixelFormat::Yuv420p, ROW_ALIGN)
            .map(|picture| Picture { colour: colours.colour, ..picture })
            .ok_or_else(|| Fault::contract(format!("a picture of {size} cannot be made")))?;
        let of_kind = |kind: RingKind| cx.inputs().iter().filter(move |ring| ring.kind() == kind);
        let frames: Vec<RingName> = of_kind(RingKind::Frames).cloned().collect();
        let records = of_kind(RingKind::Events).map(|ring| Records::new(cx, ring)).collect();
        let actors = actors(&config, &frames);
        let inputs = actors.iter().map(|actor| input(&config, actor, colours, cx)).collect();
        let ring = FrameWriter::create(cx.project(), contract, None)?;
        // Where a replay lets it wait for a reader.
        ring.while_waiting(cx.while_waiting());
        let (now, zones) = (clock::mono(), Zones::of_machine());
        Ok(Self {
            ring,
            name: contract.name.clone(),
            picture,
            inputs,
            actors,
            order: layout::order(&config, &frames),
            records,
            marks: Marks::new(config.boxes.hold.duration()),
            scene: Scene::new(&config, colours.colour, zones.clone()),
            zones,
            ticks: Ticks::starting(config.fps, config.wait.duration(), now),
            config,
            parking: Parking::working(),
            looked: now,
            begun: now,
            joint: true,
        })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        let now = clock::mono();
        if self.rests(cx, now) {
            thread::sleep(REST);
            return Ok(Step::Again);
        }
        for input in &mut self.inputs {
            input.take(cx, &self.ticks, now)?;
        }
        for records in &mut self.records {
            records.take(&mut self.marks, now)?;
        }
        let now = clock::now();
        match self.ticks.due().saturating_since(now.mono) {
            Duration::ZERO => self.tick(cx, now)?,
            rest => thread::sleep(rest.min(LOOK)),
        }
        Ok(Step::Again)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        self.ring.finish();
        Ok(())
    }
}

impl Compositor {
    /// Whether nobody reads, so that nobody need decode for it either.
    fn rests(&mut self, cx: &mut Context, now: MonoNs) -> bool {
        let wait = if self.parking.is_parked() { REST } else { LOOK_FOR_READERS };
        if now.saturating_since(self.looked) >= wait {
            self.looked = now;
            match self.parking.update(self.ring.readers(), now) {
                Turn::GoOn => {}
                Turn::Park => {
                    self.inputs.iter_mut().for_each(Input::rest);
                    self.marks.clear();
                }
                Turn::Resume => {
                    let (fps, wait) = (self.config.fps, self.config.wait.duration());
                    self.ticks = Ticks::starting(fps, wait, now);
                    (self.begun, self.joint) = (now, true);
                }
            }
        }
        let is_parked = self.parking.is_parked();
        if is_parked {
            cx.condition(Condition::Parked, format!("nobody reads {}", self.name));
        }
        is_parked
    }

    /// The next tick's picture.
    fn tick(&mut self, cx: &mut Context, now: Stamp) -> Result<(), Fault> {
        match self.ring.loan(self.picture.slot_bytes(), 1) {
            Ok(loan) => self.compose(loan, cx, now)?,
            Err(Error::NoFreeSlot { .. }) => self.lost(),
            Err(error) => return Err(error.into()),
        }
        let given_up = self.ticks.advance(clock::mono());
        if given_up > 0 {
            tracing::warn!(
                "{given_up} pictures are given up: this machine was asleep, or is too slow"
            );
            (0..given_up.min(1_000)).for_each(|_| self.ring.count_dropped());
            self.joint = true;
        }
        Ok(())
    }

    fn lost(&mut self) {
        self.ring.count_dropped();
        self.joint = true;
    }

    fn compose(&mut self, mut loan: Loan, cx: &mut Context, now: Stamp) -> Result<(), Fault> {
        let tick = self.ticks.time();
        let utc = UtcNs(now.utc.0.saturating_sub(now.mono.0.saturating_sub(tick.0)));
        let slot = loan.slot();
        let Some(mut canvas) = Canvas::of(&self.picture, loan.bytes_mut()) else {
            return Err(Fault::failed("a slot of its ring is too small for its picture"));
        };
        let (made_of, slates) = self.draw(&mut canvas, now.mono, tick, utc);
        self.tell(&slates, cx, now.mono);
        let meta = FrameMeta {
            pts_ns: i64::try_from(tick.0).unwrap_or(i64::MAX),
            duration_ns: i64::try_from(self.ticks.period_ns()).unwrap_or(0),
            capture: Stamp { mono: tick, utc },
            clock: ClockSource::Arrival,
            // From here on: all that is shown was there.
            ingest: now.mono,
            decoded: clock::mono(),
            key: true,
            discontinuity: std::mem::take(&mut self.joint),
            user: made_of.bytes(),
            ..FrameMeta::of(self.picture)
        };
        cx.made(self.ring.publish(slot, &meta)?);
        self.marks.forget(utc.0);
        Ok(())
    }

    /// What the picture is made of, and which inputs have a slate.
    fn draw(
        &mut self,
        canvas: &mut Canvas<'_>,
        now: MonoNs,
        tick: MonoNs,
        utc: UtcNs,
    ) -> (MadeOf, Vec<usize>) {
        let slate_after = self.config.slate_after.duration();
        let (mut made_of, mut slates) = (MadeOf::nothing(), Vec::new());
        self.scene.begin(canvas);
        for &at in &self.order {
            let (input, actor) = (&mut self.inputs[at], &self.actors[at]);
            let (missing, came, since) = (input.missing, input.came_at(), input.last_taken());
            let view = input.at(tick);
            let appearance = match (presence(missing, view.is_some(), came, now, slate_after), view)
            {
                (Presence::Picture, Some(view)) => {
                    made_of.put(at, view.facts.sequence);
                    Appearance::View(view)
                }
                (Presence::Nothing, _) => Appearance::Nothing,
                (Presence::Picture | Presence::Slate, _) => {
                    slates.push(at);
                    Appearance::Slate(since)
                }
            };
            self.scene.input(canvas, actor, &appearance, &self.marks, utc);
        }
        self.scene.end(canvas, self.name.owner(), utc);
        (made_of, slates)
    }

    /// How it is: by what is not shown.
    fn tell(&self, slates: &[usize], cx: &mut Context, now: MonoNs) {
        let is_starting = now.saturating_since(self.begun) <= self.config.slate_after.duration();
        let trouble = self.inputs.iter().find_map(Input::trouble);
        match (slates, trouble) {
            (_, Some(why)) => cx.condition(Condition::Degraded, why),
            ([], None) => cx.condition(Condition::Flowing, ""),
            (slates, None) => {
                let condition = if is_starting || slates.len() == self.inputs.len() {
                    Condition::Waiting
                } else {
                    Condition::Degraded
                };
                let lacks = slates.iter().map(|at| self.lack(&self.inputs[*at]));
                cx.condition(condition, lacks.collect::<Vec<_>>().join("; "));
            }
        }
    }

    fn lack(&self, input: &Input) -> String {
        let since = match input.last_taken() {
            Some(since) => self.zones.worded(
                "no picture of {name} since %H:%M:%S UTC",
                input.ring().as_str(),
                since,
                Zone::Utc,
            ),
            None => format!("no picture of {} yet", input.ring()),
        };
        match input.lack() {
            Some(why) => format!("{since} ({why})"),
            None => since,
        }
    }
}

fn actors(config: &CompositorConfig, frames: &[RingName]) -> Vec<Actor> {
    let rectangles = layout::rectangles(config, frames);
    let actor = |(ring, place): (&RingName, layout::Rect)| {
        let said = config.places.get(ring);
        let name = said.and_then(|place| place.name.clone());
        Actor {
            ring: ring.clone(),
            name: name.unwrap_or_else(|| ring.owner().to_owned()),
            place,
            is_over: said.is_some_and(|place| place.over.is_some()),
        }
    };
    frames.iter().zip(rectangles).map(actor).collect()
}

fn input(config: &CompositorConfig, actor: &Actor, colours: Colours, cx: &Context) -> Input {
    let said = config.places.get(&actor.ring).cloned();
    let Place { over, fit, key, missing, .. } = said.unwrap_or_default();
    // What lies over others is fitted as they are, or it would not lie over what it is about.
    let below = over.as_ref().and_then(|ring| config.places.get(ring));
    let fit = below.map_or(fit, |below| below.fit);
    let usual = if over.is_some() { Missing::Nothing } else { Missing::Slate };
    let missing = missing.unwrap_or(usual);
    let making = Making { place: actor.place, fit, key, colours };
    let waited_for = config.wait.0.saturating_mul(u64::from(config.fps)) / 1_000_000_000;
    let most = usize::try_from(waited_for).unwrap_or(0) + SPARE_PICTURES;
    Input::new(cx, &actor.ring, making, missing, most)
}
