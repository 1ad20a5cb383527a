//! What one client is shown of a recording: units as they are due, until the end of the range.

use protocol::time::{MonoNs, UtcNs};

use super::belt::{Given, Taker};
use super::pace::Pace;
use super::range::{Scale, Stretch};
use super::spool::{Shown, Strip};
use crate::unit::Unit;

/// A place in a recording. Dropping it ends the thread that reads.
#[derive(Debug)]
pub struct Showing {
    taker: Taker<Strip>,
    next: Option<Box<Shown>>,
    pace: Pace,
    scale: Scale,
    /// Where it began, and where it ends.
    stretch: Stretch,
    /// What was captured when the last unit was.
    reached: UtcNs,
    is_over: bool,
    /// The tracks are others behind what was shown.
    is_changed: bool,
    pub units: u64,
}

/// What a client is given.
#[derive(Debug)]
pub enum Due {
    Unit(Box<Unit>),
    /// Not before then.
    At(MonoNs),
    /// It is still being read.
    NotYet,
    /// The range has ended just now.
    Over,
    /// It ended before, or is paused.
    Nothing,
    /// The tracks are others from here on.
    Changed,
}

impl Showing {
    /// `first` is what `taker` gave first.
    pub fn new(taker: Taker<Strip>, first: Box<Shown>, to: UtcNs, scale: Scale) -> Self {
        let stretch = Stretch { from: first.capture, to };
        Self {
            taker,
            reached: first.capture,
            next: Some(first),
            pace: Pace::default(),
            scale,
            stretch,
            is_over: false,
            is_changed: false,
            units: 0,
        }
    }

    /// What will be played from here on.
    pub fn rest(&self) -> Stretch {
        let from = self.next.as_ref().map_or(self.reached, |next| next.capture);
        Stretch { from, to: self.stretch.to.max(from) }
    }

    pub fn scale(&self) -> Scale {
        self.scale
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    pub fn pause(&mut self, now: MonoNs) {
        self.pace.pause(now);
    }

    pub fn resume(&mut self, now: MonoNs) {
        self.pace.resume(now);
    }

    /// What is due now.
    pub fn take(&mut self, now: MonoNs) -> Due {
        if self.is_over || self.pace.is_paused() {
            return Due::Nothing;
        }
        if !self.look() {
            return Due::NotYet;
        }
        if self.is_changed {
            return Due::Changed;
        }
        if self.next.is_none() {
            self.is_over = true;
            return Due::Over;
        }
        let due_ns = self.next.as_ref().map_or(0, |next| next.due_ns);
        let due = self.pace.due(due_ns, now);
        match self.next.take_if(|_| due <= now) {
            Some(shown) => {
                self.pace.sent(due_ns, now);
                self.reached = shown.capture;
                self.units += 1;
                Due::Unit(Box::new(shown.unit))
            }
            None => Due::At(due),
        }
    }

    /// Whether it is known what comes next, if anything.
    fn look(&mut self) -> bool {
        if self.next.is_some() || self.is_changed {
            return true;
        }
        match self.taker.take() {
            Given::Item(Strip::Shown(shown)) => self.next = Some(shown),
            Given::Item(Strip::Changed) => self.is_changed = true,
            Given::NotYet => return false,
            Given::Over => {}
        }
        true
    }

    /// Until it is known what comes next.
    pub async fn known(&mut self) {
        while !self.look() {
            self.taker.changed().await;
        }
    }

    /// Until more was read.
    pub async fn changed(&self) {
        self.taker.changed().await;
    }
}
