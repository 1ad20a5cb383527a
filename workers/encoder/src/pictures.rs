//! A frame ring into a packet ring.

use std::thread;
use std::time::Duration;

use media::{Coded, MediaError, PictureEncoder, SPARE_BYTES, Still};
use protocol::config::EncoderConfig;
use protocol::config::encoder::{Latency, WriterLost};
use protocol::control::{Condition, RingContract};
use protocol::name::RingName;
use protocol::stream::PixelFormat;
use protocol::time::MonoNs;
use shmring::{
    Frame, FrameMeta, FrameOptions, FrameStart, Next, PacketMeta, Picture, Policy, SourceId,
    census, clock,
};
use worker::{Context, Fault, FrameInput, Parking, STEP_WAIT, Turn};

use crate::engines::Engines;
use crate::pace::{Groups, Pace};
use crate::resume::Resume;
use crate::ring::Out;
use crate::slate::Slate;
use crate::there::There;

/// Steps without a picture after which the condition says so: 2 s.
const QUIET_STEPS: u32 = 20;
/// How often it looks whether somebody reads.
const LOOK: Duration = Duration::from_millis(250);

/// The worker on frames.
#[derive(Debug)]
pub(crate) struct Pictures {
    input: FrameInput,
    source: RingName,
    /// The ring that frame ids name.
    origin: RingName,
    out: Out,
    resume: Resume,
    engines: Engines,
    open: Option<Open>,
    pace: Pace,
    groups: Groups,
    there: There,
    /// Whether the last picture lay on a device: a ring may move with its next epoch.
    of_device: Option<bool>,
    /// Only with `on_demand`.
    parking: Option<Parking>,
    looked: MonoNs,
    /// Only with `on_writer_lost: slate`.
    slate: Option<Slate>,
    /// Memory of a picture that is done with, for the next.
    spare: Vec<u8>,
    last_pts_ns: Option<i64>,
    /// The next packet does not continue the last one.
    joint: bool,
    quiet_steps: u32,
}

/// An encoder, and what its pictures are like.
#[derive(Debug)]
struct Open {
    encoder: PictureEncoder<Note>,
    like: Like,
    /// Its tracks are not told yet.
    untold: bool,
    /// Pictures come to it on their device.
    there: bool,
}

/// What makes another stream of pictures.
type Like = (protocol::stream::PixelFormat, protocol::stream::Colour, u32, u32);

/// What a packet inherits of its picture.
#[derive(Clone, Copy, Debug)]
struct Note {
    meta: FrameMeta,
    /// `None` of a slate, which is made of nothing that came.
    source: Option<SourceId>,
    joint: bool,
}

impl Pictures {
    pub(crate) fn new(
        config: &EncoderConfig,
        source: &RingName,
        contract: RingContract,
        cx: &Context,
    ) -> Self {
        let resume = Resume::read(cx.project(), &contract.name, cx.worker().as_str());
        let options = FrameOptions {
            policy: Policy::Sequential,
            // What a predecessor has encoded is told apart by its name.
            start: FrameStart::Oldest,
            on_device: true,
            ..FrameOptions::named(cx.worker().as_str())
        };
        Self {
            input: FrameInput::new(cx, source, options),
            source: source.clone(),
            origin: source.clone(),
            out: Out::new(contract, clock::now().utc),
            resume,
            engines: Engines::new(config, config.latency == Latency::Live),
            open: None,
            pace: Pace::new(config.max_fps),
            groups: Groups::new(config.keyframe_every),
            there: There::default(),
            of_device: None,
            parking: config.on_demand.then(Parking::working),
            looked: MonoNs(0),
            slate: (config.on_writer_lost == WriterLost::Slate).then(Slate::default),
            spare: Vec::new(),
            last_pts_ns: None,
            joint: false,
            quiet_steps: 0,
        }
    }

    pub(crate) fn step(&mut self, cx: &mut Context) -> Result<(), Fault> {
        if self.rests(cx)? {
            thread::sleep(STEP_WAIT);
            return Ok(());
        }
        let next = self.next(cx)?;
        let silent = matches!(next, Next::Quiet | Next::Ended);
        self.quiet_steps = if silent { self.quiet_steps.saturating_add(1) } else { 0 };
        let has_ended = matches!(next, Next::Ended);
        match next {
            Next::Item(frame) => self.take(&frame, cx)?,
            // Each picture stands for itself: those that are missing only make the next one come later.
            Next::Overrun { .. } => {}
            // Its times may begin again.
            Next::NewEpoch { .. } => self.resume = Resume::default(),
            Next::Quiet | Next::Ended if self.goes_on(cx)? => {
                if has_ended {
                    // Answered at once for as long as there is no successor.
                    thread::sleep(STEP_WAIT);
                }
            }
            Next::Ended => {
                self.begin_anew(cx)?;
                self.out.finish();
                cx.condition(Condition::Waiting, format!("{} has ended", self.source));
                // Answered at once for as long as there is no successor.
                thread::sleep(STEP_WAIT);
            }
            Next::Quiet if self.quiet_steps >= QUIET_STEPS && self.input.lack().is_none() => {
                cx.condition(Condition::Waiting, format!("nothing comes from {}", self.source));
            }
            // What is lost follows as an overrun.
            Next::Quiet | Next::Evicted { .. } => {}
        }
        Ok(())
    }

    /// The next picture. Where a slate may follow, that says how the worker is.
    fn next(&mut self, cx: &mut Context) -> Result<Next<Frame>, Fault> {
        if !self.slate.as_ref().is_some_and(Slate::has_picture) {
            return self.input.next(cx, STEP_WAIT);
        }
        let next = self.input.take(cx, STEP_WAIT)?;
        if let Some(Next::Overrun { missed }) = &next {
            cx.missed(*missed);
        }
        Ok(next.unwrap_or(Next::Quiet))
    }

    /// Whether the stream goes on without pictures: a slate is shown, or will be before long.
    fn goes_on(&mut self, cx: &mut Context) -> Result<bool, Fault> {
        let Some(slate) = self.slate.as_mut().filter(|slate| slate.has_picture()) else {
            return Ok(false);
        };
        let Some((still, meta)) = slate.next(clock::now()) else { return Ok(true) };
        let like = (still.format, still.colour, still.width, still.height);
        self.joint |= meta.discontinuity;
        self.last_pts_ns = Some(meta.pts_ns);
        let why = match self.encode(&still, like, &meta, None, cx)? {
            Ok(()) => format!("nothing comes from {}: a slate is shown", self.source),
            Err(why) => why,
        };
        cx.condition(Condition::Degraded, why);
        Ok(true)
    }

    /// What is still inside comes out, and readers hear that nothing follows.
    pub(crate) fn stop(&mut self, cx: &mut Context) -> Result<(), Fault> {
        self.begin_anew(cx)?;
        self.out.finish();
        Ok(())
    }

    /// Whether nobody reads and it may rest. A reader can only come to a ring that is there.
    fn rests(&mut self, cx: &mut Context) -> Result<bool, Fault> {
        let Some(mut parking) = self.parking.filter(|_| self.out.is_there()) else {
            return Ok(false);
        };
        let now = clock::mono();
        if now.saturating_since(self.looked) >= LOOK {
            self.looked = now;
            let readers = census::named(cx.project(), self.out.name(), now).readers.len();
            let turn = parking.update(u32::try_from(readers).unwrap_or(u32::MAX), now);
            self.parking = Some(parking);
            if turn == Turn::Park {
                self.begin_anew(cx)?;
                // Whoever decodes for it may rest too.
                self.input.detach();
            }
        }
        let is_parked = parking.is_parked();
        if is_parked {
            cx.condition(Condition::Parked, format!("nobody reads {}", self.out.name()));
            if let Some(slate) = &mut self.slate {
                slate.rests(now);
            }
        }
        Ok(is_parked)
    }

    fn take(&mut self, frame: &Frame, cx: &mut Context) -> Result<(), Fault> {
        let (meta, id) = (frame.meta(), frame.frame_id());
        let source = SourceId { epoch: id.epoch, sequence: id.sequence };
        self.resume.is_of(&id.ring);
        if self.resume.has_shown(source, meta.pts_ns) {
            return Ok(());
        }
        let Some(picture) = meta.picture() else {
            let why = format!("{} holds tensors; expected pictures", self.source);
            cx.condition(Condition::Degraded, why);
            return Ok(());
        };
        let overtaken = |slate: &Slate| slate.has_overtaken(meta.pts_ns, self.last_pts_ns);
        if id.ring == self.origin && self.slate.as_ref().is_some_and(overtaken) {
            // Behind a slate it would be another line of times, and another stream to whoever looks.
            cx.missed(1);
            return Ok(());
        }
        self.follow(meta, id.ring, cx)?;
        if !self.pace.takes(meta.pts_ns) {
            return Ok(());
        }
        self.last_pts_ns = Some(meta.pts_ns);
        let like = (picture.format, picture.colour, picture.width, picture.height);
        let of_device = frame.device().is_some();
        let moved = self.of_device.replace(of_device).is_some_and(|was| was != of_device);
        if moved || self.open.as_ref().is_some_and(|open| open.like != like) {
            self.drain(cx)?;
        }
        self.joint |= self.slate.as_ref().is_some_and(Slate::is_shown);
        match self.encode_frame(frame, picture, like, source, cx)? {
            Ok(()) => self.is_well(cx),
            Err(why) => {
                cx.missed(1);
                self.joint = true;
                cx.condition(Condition::Degraded, why);
            }
        }
        Ok(())
    }

    /// As [`Self::encode`]: where the picture lies, if an encoder takes it there, else here.
    fn encode_frame(
        &mut self,
        frame: &Frame,
        picture: &Picture,
        like: Like,
        source: SourceId,
        cx: &mut Context,
    ) -> Result<Result<(), String>, Fault> {
        let meta = frame.meta();
        if frame.device().is_some() && self.takes_there(like) {
            return self.encode_there(frame, picture, source, cx);
        }
        let spare = std::mem::take(&mut self.spare);
        let still = match frame.device() {
            Some(_) => self.there.fetched(frame, picture, spare),
            None => still_of(frame, spare).ok_or_else(|| format!("{} changed", self.source)),
        };
        let still = match still {
            Ok(still) => still,
            Err(why) => return Ok(Err(why)),
        };
        let answer = self.encode(&still, like, meta, Some(source), cx)?;
        self.spare = match &mut self.slate {
            Some(slate) => slate.came(still, meta, clock::mono()),
            None => still.samples,
        };
        Ok(answer)
    }

    /// Whether the encoder that is open takes pictures on their device; opens one, if there is none. A slate needs
    /// the last picture here.
    fn takes_there(&mut self, like: Like) -> bool {
        if let Some(open) = &self.open {
            return open.there;
        }
        let (format, colour, width, height) = like;
        if self.slate.is_some() || format != PixelFormat::Nv12 {
            return false;
        }
        let first = Still { format, width, height, colour, samples: Vec::new() };
        let Some(encoder) = self.engines.open_there(&first) else { return false };
        self.open = Some(Open { encoder, like, untold: true, there: true });
        self.groups.begin_anew();
        true
    }

    fn encode_there(
        &mut self,
        frame: &Frame,
        picture: &Picture,
        source: SourceId,
        cx: &mut Context,
    ) -> Result<Result<(), String>, Fault> {
        let meta = frame.meta();
        let Some(open) = &mut self.open else { return Ok(Ok(())) };
        let place = match open.encoder.place() {
            Ok(place) => place,
            Err(error) => return Ok(Err(self.give_up(&error))),
        };
        if let Err(why) = self.there.fill(frame, picture, &place) {
            return Ok(Err(why));
        }
        let source = Some(source);
        let note = Note { meta: *meta, source, joint: std::mem::take(&mut self.joint) };
        let key = self.groups.begins_with(meta.pts_ns);
        match open.encoder.encode_there(place, meta.pts_ns, key, note) {
            Ok(coded) => self.publish(coded, cx)?,
            Err(error) => return Ok(Err(self.give_up(&error))),
        }
        Ok(Ok(()))
    }

    /// What encodes has failed: the next picture opens another one.
    fn give_up(&mut self, error: &MediaError) -> String {
        self.open = None;
        self.engines.failed(error);
        error.to_string()
    }

    fn is_well(&self, cx: &mut Context) {
        match self.out.lost().or_else(|| self.engines.fall_back()) {
            Some(why) => cx.condition(Condition::Degraded, why),
            None => cx.condition(Condition::Flowing, ""),
        }
    }

    /// Whether the picture goes on with what came before.
    fn follow(
        &mut self,
        meta: &FrameMeta,
        origin: RingName,
        cx: &mut Context,
    ) -> Result<(), Fault> {
        let is_behind = self.last_pts_ns.is_some_and(|last_ns| meta.pts_ns <= last_ns);
        if meta.discontinuity && self.last_pts_ns.is_some() {
            self.joint = true;
            self.groups.begin_anew();
        }
        if is_behind || origin != self.origin {
            // Another line of times, or of names, is another epoch.
            self.begin_anew(cx)?;
            self.out.let_go();
            self.origin = origin;
            (self.last_pts_ns, self.joint) = (None, false);
            self.pace.begin_anew();
        }
        Ok(())
    }

    /// The inner error is told, and the next picture tries again.
    fn encode(
        &mut self,
        still: &Still,
        like: Like,
        meta: &FrameMeta,
        source: Option<SourceId>,
        cx: &mut Context,
    ) -> Result<Result<(), String>, Fault> {
        if self.open.is_none() {
            match self.engines.open(still) {
                Ok(encoder) => {
                    self.open = Some(Open { encoder, like, untold: true, there: false });
                }
                Err(error) => return Ok(Err(error.to_string())),
            }
            self.groups.begin_anew();
        }
        let Some(open) = &mut self.open else { return Ok(Ok(())) };
        let note = Note { meta: *meta, source, joint: std::mem::take(&mut self.joint) };
        let key = self.groups.begins_with(meta.pts_ns);
        match open.encoder.encode(still, meta.pts_ns, key, note) {
            Ok(coded) => self.publish(coded, cx)?,
            Err(error) => return Ok(Err(self.give_up(&error))),
        }
        Ok(Ok(()))
    }

    /// What is still inside comes out; what follows begins with a key frame and is marked.
    fn begin_anew(&mut self, cx: &mut Context) -> Result<(), Fault> {
        self.joint |= self.open.is_some();
        self.drain(cx)
    }

    fn drain(&mut self, cx: &mut Context) -> Result<(), Fault> {
        let Some(Open { encoder, untold, .. }) = self.open.take() else { return Ok(()) };
        let track = encoder.track();
        match encoder.finish() {
            Ok(coded) if untold && !coded.is_empty() => {
                // It held all of them back, and its parameter sets are in the first.
                self.out.describe(&[track], &self.origin, cx)?;
                self.publish_all(coded, cx)
            }
            Ok(coded) => self.publish_all(coded, cx),
            Err(error) => {
                tracing::warn!("pictures still in the encoder are lost: {error}");
                Ok(())
            }
        }
    }

    fn publish(&mut self, coded: Vec<Coded<Note>>, cx: &mut Context) -> Result<(), Fault> {
        if let Some(open) = self.open.as_mut().filter(|open| open.untold && !coded.is_empty()) {
            open.untold = false;
            let track = open.encoder.track();
            self.out.describe(&[track], &self.origin, cx)?;
        }
        self.publish_all(coded, cx)
    }

    fn publish_all(&mut self, coded: Vec<Coded<Note>>, cx: &Context) -> Result<(), Fault> {
        for Coded { token: Note { meta, source, joint }, key, pts_ns, dts_ns, payload } in coded {
            let meta = PacketMeta {
                track: 0,
                key,
                discontinuity: joint,
                corrupt: meta.corrupt,
                pts_ns,
                dts_ns,
                duration_ns: self.pace.duration_ns(meta.duration_ns),
                capture: meta.capture,
                clock: meta.clock,
                ingest: meta.ingest,
                gop_index: 0,
                source,
            };
            self.out.publish(&meta, &payload, true, cx)?;
        }
        if self.out.lost().is_some() {
            // Nothing passes before a key picture.
            self.groups.begin_anew();
        }
        Ok(())
    }
}

/// In the memory of `samples`; `None` for a tensor, and on a device.
fn still_of(frame: &Frame, mut samples: Vec<u8>) -> Option<Still> {
    let picture = frame.meta().picture().filter(|_| frame.device().is_none())?;
    let planes = || (0..).map_while(|number| frame.plane(number));
    let bytes = planes().map(|plane| plane.row_bytes() * plane.rows()).sum::<usize>();
    samples.reserve((bytes + SPARE_BYTES).saturating_sub(samples.len()));
    samples.resize(bytes, 0);
    let mut rest = &mut samples[..];
    for plane in planes() {
        let (rows, behind) = rest.split_at_mut(plane.row_bytes() * plane.rows());
        let rows = rows.chunks_exact_mut(plane.row_bytes());
        rows.enumerate().for_each(|(y, row)| plane.copy_row(y, row));
        rest = behind;
    }
    Some(Still {
        format: picture.format,
        width: picture.width,
        height: picture.height,
        colour: picture.colour,
        samples,
    })
}
