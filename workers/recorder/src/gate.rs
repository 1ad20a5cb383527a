//! Which moments are recorded: always, around events, by command. Pure; time and news go in.
//!
//! ```text
//! command in force:  start ──> yes     stop ──> no     none ──> always, or inside a window of an event
//!
//! window:   event - pre ... event ... its last record + post
//! ```
//!
//! It only says yes or no to a moment, and says the same of it whenever it is asked. So a recorder that
//! was killed goes on by asking about the packets behind its last one: what it has heard before, it hears
//! again from the record rings, and commands are kept in a file.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use matching::record::{Phase, fits};
use protocol::config::{EventRule, When};
use protocol::name::RingName;
use protocol::record::Record;
use protocol::recorder::Order;
use protocol::time::UtcNs;

use crate::command::Command;
use crate::marker::Span;

/// An event that began and says nothing more is over after this long: who tells of it may have died.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// A record may be from the future by this much, since two clocks are never one; farther, it counts from
/// when it was heard.
const AHEAD_MAX_NS: u64 = 5_000_000_000;
/// Events remembered; older ones lie before all that a ring still holds.
const WINDOWS_MAX: usize = 1000;

/// A moment of one camera on both clocks: when a picture was taken, by the camera's clock if it has one,
/// and when it came here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    pub capture: UtcNs,
    pub arrival: UtcNs,
}

impl Moment {
    /// The last one before it, on both clocks.
    pub fn just_before(self) -> Self {
        let before = |time: UtcNs| UtcNs(time.0.saturating_sub(1));
        Self { capture: before(self.capture), arrival: before(self.arrival) }
    }
}

/// Whether and why a moment is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Always,
    /// Started by a command.
    Command,
    Event(String),
    /// Stopped by a command.
    Stopped,
    /// Nothing wants it.
    Unwanted,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Command => "by command",
            Self::Event(event) => event,
            Self::Stopped => "by command",
            Self::Unwanted => "no event",
        })
    }
}

/// What one camera's recording follows.
#[derive(Debug)]
pub struct Gate {
    ring: RingName,
    when: When,
    /// Oldest first.
    commands: Vec<Command>,
    windows: VecDeque<Window>,
    /// Raised with everything that may change what it says.
    version: u64,
    /// What its rules listen to has been read once: it says what an earlier life said.
    caught_up: bool,
    /// Commands taken that no file keeps yet.
    unkept: bool,
}

/// A gate that its camera's thread, the listener and the worker share.
#[derive(Clone, Debug)]
pub struct SharedGate(Arc<Mutex<Gate>>);

impl SharedGate {
    pub fn new(gate: Gate) -> Self {
        Self(Arc::new(Mutex::new(gate)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Gate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of all cameras of a recorder.
#[derive(Clone, Debug)]
pub struct Gates(pub Vec<SharedGate>);

impl Gates {
    /// A record that was read at `now`, to every camera; each takes what its rules want.
    pub fn hear(&self, ring: &RingName, record: &Record, now: UtcNs) {
        for gate in &self.0 {
            gate.lock().hear(ring, record, now);
        }
    }

    /// All rings have been read to their ends.
    pub fn caught_up(&self) {
        for gate in &self.0 {
            gate.lock().caught_up = true;
        }
    }
}

/// What is recorded of one event by one rule.
#[derive(Clone, Debug)]
struct Window {
    rule: usize,
    ring: RingName,
    id: String,
    kind: String,
    clock: Clock,
    from: UtcNs,
    /// Not included.
    to: UtcNs,
}

/// Whose time a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Capture,
    Arrival,
}

impl Gate {
    pub fn new(ring: &RingName, when: When) -> Self {
        let commands = Vec::new();
        let windows = VecDeque::new();
        let (version, caught_up, unkept) = (1, when.events.is_empty(), false);
        Self { ring: ring.clone(), when, commands, windows, version, caught_up, unkept }
    }

    /// Records all there is.
    pub fn open(ring: &RingName) -> Self {
        Self::new(ring, When::default())
    }

    /// Whether everything is recorded that no command stops.
    pub fn is_always(&self) -> bool {
        self.when.always
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether it knows of every event that was told of before it began.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// What a file kept of an earlier life; commands taken since come behind it.
    pub fn remember(&mut self, kept: Vec<Command>) {
        for command in std::mem::replace(&mut self.commands, kept) {
            self.command(command);
        }
        self.version += 1;
    }

    /// The commands, when they are to be kept.
    pub fn unkept(&self) -> Option<Vec<Command>> {
        self.unkept.then(|| self.commands.clone())
    }

    /// A file keeps these now.
    pub fn kept(&mut self, commands: &[Command]) {
        self.unkept &= self.commands != commands;
    }

    pub fn verdict(&self, at: Moment) -> Verdict {
        match self.order_at(at.arrival) {
            Order::Start => Verdict::Command,
            Order::Stop => Verdict::Stopped,
            Order::Auto if self.when.always => Verdict::Always,
            Order::Auto => self.event_at(at).map_or(Verdict::Unwanted, |window| {
                Verdict::Event(format!("{} of {}", window.kind, window.ring))
            }),
        }
    }

    pub fn wants(&self, at: Moment) -> bool {
        match self.order_at(at.arrival) {
            Order::Start => true,
            Order::Stop => false,
            Order::Auto => self.when.always || self.event_at(at).is_some(),
        }
    }

    /// Whether it may be recorded for the sake of what comes behind it: a key frame, the rest of a group.
    pub fn lets_through(&self, at: Moment) -> bool {
        self.order_at(at.arrival) != Order::Stop
    }

    /// The command in force; `None` while the topology decides.
    pub fn in_force(&self, now: UtcNs) -> Option<&Command> {
        self.command_at(now).filter(|command| command.order != Order::Auto)
    }

    /// In words: what is waited for while nothing is recorded.
    pub fn waits_for(&self, now: UtcNs) -> String {
        match self.in_force(now) {
            Some(command) if command.order == Order::Stop => match command.until {
                Some(until) => {
                    let left = until.0.saturating_sub(now.0).div_ceil(1_000_000_000);
                    format!("stopped by command for another {left} s")
                }
                None => "stopped by command".to_owned(),
            },
            Some(_) => "starts".to_owned(),
            None if self.when.always => "starts".to_owned(),
            None if self.when.events.is_empty() => "waits for a command".to_owned(),
            None => "waits for events".to_owned(),
        }
    }

    /// From when on a command that is given `now` may hold, if it wants to hold from `at` on: what another
    /// has stopped stays unrecorded.
    pub fn reach_back(&self, at: UtcNs, now: UtcNs) -> UtcNs {
        match self.commands.last() {
            Some(Command { order: Order::Stop, until, .. }) => {
                at.max(until.map_or(now, |until| until.min(now)))
            }
            Some(last) => at.max(last.at),
            None => at,
        }
    }

    /// The machine's clock says `now`. What lies ahead was said by a clock that has been set back since: it
    /// counts from now on, for as long as it was to.
    pub fn clock(&mut self, now: UtcNs) {
        let is_ahead = |at: UtcNs| at.0.saturating_sub(now.0) > AHEAD_MAX_NS;
        let back = |at: UtcNs, by: u64| UtcNs(at.0.saturating_sub(by));
        for command in self.commands.iter_mut().filter(|command| is_ahead(command.at)) {
            let by = command.at.0 - now.0;
            (command.at, command.until) = (now, command.until.map(|until| back(until, by)));
            (self.version, self.unkept) = (self.version + 1, true);
        }
        let by_machine = self.windows.iter_mut().filter(|window| window.clock == Clock::Arrival);
        for window in by_machine.filter(|window| is_ahead(window.from)) {
            let by = window.from.0 - now.0;
            (window.from, window.to) = (now, back(window.to, by));
            self.version += 1;
        }
    }

    /// Takes a command; it holds from its own time on.
    pub fn command(&mut self, mut command: Command) {
        // What another command has decided is not decided again.
        if let Some(last) = self.commands.last() {
            command.at = command.at.max(last.at);
        }
        self.commands.push(command);
        let surplus = self.commands.len().saturating_sub(Command::KEPT);
        self.commands.drain(..surplus);
        self.unkept = true;
        self.version += 1;
    }

    /// Takes a record of an event ring, read at `now`.
    pub fn hear(&mut self, ring: &RingName, record: &Record, now: UtcNs) {
        for rule in 0..self.when.events.len() {
            if self.when.events[rule].rings.matches(ring.as_str()) {
                self.hear_for(rule, ring, record, now);
            }
        }
    }

    fn hear_for(&mut self, rule: usize, ring: &RingName, record: &Record, now: UtcNs) {
        let is_same =
            |window: &Window| window.rule == rule && window.ring == *ring && window.id == record.id;
        let known = self.windows.iter().rposition(is_same);
        let wanted = &self.when.events[rule];
        // The end of what was wanted is an end, whatever else it says.
        let phase = Phase::of(record);
        let is_end = phase == Phase::Ended;
        if !(fits(wanted, record, self.ring.camera()) || (known.is_some() && is_end)) {
            return;
        }
        let (at, clock) = self.time_of(record, now);
        let to =
            later(at, if phase == Phase::GoesOn { holds(wanted) } else { wanted.post.duration() });
        let from = UtcNs(at.0.saturating_sub(wanted.pre.0));
        match known {
            Some(known) if is_end => self.windows[known].to = to,
            // The clock that tells of it was set back.
            Some(known) if at < self.windows[known].from => {
                (self.windows[known].from, self.windows[known].to) = (from, to);
            }
            Some(known) => {
                let window = &mut self.windows[known];
                window.to = window.to.max(to);
            }
            None => {
                let (ring, id, kind) = (ring.clone(), record.id.clone(), record.kind.clone());
                self.windows.push_back(Window { rule, ring, id, kind, clock, from, to });
            }
        }
        let surplus = self.windows.len().saturating_sub(WINDOWS_MAX);
        self.windows.drain(..surplus);
        self.version += 1;
    }

    /// A picture of this camera has its camera's time; all else has that of this machine.
    fn time_of(&self, record: &Record, now: UtcNs) -> (UtcNs, Clock) {
        let own = |ring: &RingName| ring.camera() == self.ring.camera();
        if record.frame.as_ref().is_some_and(|frame| own(&frame.ring)) {
            return (UtcNs(record.time_utc_ns), Clock::Capture);
        }
        let makes_sense = (1..=now.0.saturating_add(AHEAD_MAX_NS)).contains(&record.time_utc_ns);
        let at = if makes_sense { UtcNs(record.time_utc_ns) } else { now };
        (at, Clock::Arrival)
    }

    fn event_at(&self, at: Moment) -> Option<&Window> {
        self.windows.iter().rev().find(|window| {
            let at = match window.clock {
                Clock::Capture => at.capture,
                Clock::Arrival => at.arrival,
            };
            window.from <= at && at < window.to
        })
    }

    /// What events asked for, by the clock that recordings have. `latest` is a moment on both clocks.
    pub(crate) fn spans(&self, latest: Moment) -> Vec<Span> {
        let ahead = i128::from(latest.capture.0) - i128::from(latest.arrival.0);
        let by_capture = |at: UtcNs, clock: Clock| match clock {
            Clock::Capture => at,
            Clock::Arrival => {
                UtcNs(u64::try_from(i128::from(at.0) + ahead).unwrap_or(if ahead < 0 {
                    0
                } else {
                    u64::MAX
                }))
            }
        };
        let span = |window: &Window| Span {
            from: by_capture(window.from, window.clock),
            to: by_capture(window.to, window.clock),
            event: format!("{} of {}", window.kind, window.ring),
        };
        self.windows.iter().map(span).collect()
    }

    fn order_at(&self, at: UtcNs) -> Order {
        self.command_at(at).map_or(Order::Auto, |command| command.order)
    }

    fn command_at(&self, at: UtcNs) -> Option<&Command> {
        let last = self.commands.iter().rev().find(|command| command.at <= at)?;
        last.until.is_none_or(|until| at < until).then_some(last)
    }
}

fn later(at: UtcNs, span: Duration) -> UtcNs {
    UtcNs(at.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
}

/// How long a record counts that is not the end of its event.
fn holds(rule: &EventRule) -> Duration {
    rule.post.duration().max(SILENT_MAX)
}

#[cfg(test)]
mod tests;
