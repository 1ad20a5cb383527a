//! A frame ring that is read: its pictures, made as large as they are shown when it is clear that they are.

use std::time::Duration;

use media::{Scaler, Sight};
use protocol::config::compositor::Missing;
use protocol::name::RingName;
use protocol::time::{MonoNs, UtcNs};
use shmring::{Frame, FrameOptions, Next, Policy};
use worker::{Context, Fault, FrameInput};

use crate::queue::{Queue, taken};
use crate::ticks::Ticks;
use crate::view::{Facts, Making, View};

/// How often an absent ring is looked for.
pub(crate) const RETRY: Duration = Duration::from_millis(100);
/// Pictures taken at once; more are taken a moment later.
const AT_ONCE: usize = 16;

#[derive(Debug)]
pub(crate) struct Input {
    making: Making,
    pub(crate) missing: Missing,
    ring: RingName,
    frames: FrameInput,
    scaler: Scaler,
    /// The newest picture, as long as it is not clear whether any tick shows it.
    newest: Option<(MonoNs, Frame)>,
    views: Queue<View>,
    /// When the newest picture was published, and when it was taken.
    came: Option<(MonoNs, UtcNs)>,
    look_at: MonoNs,
    trouble: Option<String>,
}

impl Input {
    /// `most`: pictures kept.
    pub(crate) fn new(
        cx: &Context,
        ring: &RingName,
        making: Making,
        missing: Missing,
        most: usize,
    ) -> Self {
        // In turn, so that a tick has its own picture and not the newest.
        let options = FrameOptions {
            policy: Policy::Sequential,
            ..FrameOptions::named(cx.worker().as_str())
        };
        Self {
            making,
            missing,
            ring: ring.clone(),
            frames: FrameInput::new(cx, ring, options),
            scaler: Scaler::default(),
            newest: None,
            views: Queue::new(most),
            came: None,
            look_at: MonoNs(0),
            trouble: None,
        }
    }

    pub(crate) fn ring(&self) -> &RingName {
        &self.ring
    }

    /// Whatever has come.
    pub(crate) fn take(&mut self, cx: &Context, ticks: &Ticks, now: MonoNs) -> Result<(), Fault> {
        if now < self.look_at {
            return Ok(());
        }
        for _ in 0..AT_ONCE {
            match self.frames.take(cx, Duration::ZERO)? {
                Some(Next::Item(frame)) => self.came(frame, ticks),
                Some(Next::Quiet | Next::Ended) => break,
                // Each picture stands for itself.
                Some(_) => {}
                None => {
                    self.look_at = now + RETRY;
                    break;
                }
            }
        }
        Ok(())
    }

    /// The picture of a tick, and nothing older any more.
    pub(crate) fn at(&mut self, tick: MonoNs) -> Option<&View> {
        if self.newest.as_ref().is_some_and(|(taken, _)| *taken <= tick) {
            self.settle();
        }
        self.views.at(tick)
    }

    pub(crate) fn came_at(&self) -> Option<MonoNs> {
        self.came.map(|(came, _)| came)
    }

    pub(crate) fn last_taken(&self) -> Option<UtcNs> {
        self.came.map(|(_, taken)| taken)
    }

    /// Why its pictures cannot be shown.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Why there are none, where its ring says so.
    pub(crate) fn lack(&self) -> Option<String> {
        self.frames.lack().map(|(_, why)| why)
    }

    /// Gives its place in the ring back, and forgets what it showed.
    pub(crate) fn rest(&mut self) {
        self.frames.detach();
        self.newest = None;
        self.views.clear();
        self.came = None;
    }

    fn came(&mut self, frame: Frame, ticks: &Ticks) {
        // An old one that was still in its ring is no news.
        let published = frame.published();
        let capture = frame.meta().capture;
        let at = taken(capture.mono, published);
        if self.newest.as_ref().is_some_and(|(before, _)| ticks.any_between(*before, at)) {
            self.settle();
        }
        self.came = Some((published, capture.utc));
        self.newest = Some((at, frame));
    }

    /// The newest picture is shown: it is made, and its slot is free again.
    fn settle(&mut self) {
        let Some((at, frame)) = self.newest.take() else { return };
        match self.view(&frame) {
            Ok(view) => {
                self.trouble = None;
                self.views.put(at, view);
            }
            Err(why) => self.trouble = Some(why),
        }
    }

    fn view(&mut self, frame: &Frame) -> Result<View, String> {
        let meta = frame.meta();
        let picture = meta.picture().ok_or_else(|| {
            format!("ring {}: holds {}; expected pictures", self.ring, meta.content)
        })?;
        let (format, colour) = (picture.format, picture.colour);
        let sight = Sight { format, width: picture.width, height: picture.height, colour };
        let facts = Facts { sequence: frame.sequence(), utc: meta.capture.utc };
        let read_row = |plane: usize, y: usize, row: &mut [u8]| {
            if let Some(plane) = frame.plane(plane) {
                plane.copy_row(y, row);
            }
        };
        let view = View::of(&self.making, &sight, facts, &mut self.scaler, read_row);
        view.map_err(|error| format!("ring {}: {error}", self.ring))
    }
}
