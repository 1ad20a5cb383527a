//! What a camera's thread tells the worker's own thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::control::Condition;
use protocol::time::{MonoNs, UtcNs};
use shmring::clock;

use crate::pace::{Busy, Pace, Slow, coarse};
use crate::packet_id::PacketId;

/// Shared by two threads; the words are for people and may be of different instants.
#[derive(Debug)]
pub struct Status {
    epoch: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
    missed: AtomicU64,
    /// Of the last packet that survives a power cut.
    safe: Mutex<Option<PacketId>>,
    /// Of the camera's own thread, which reads the ring and writes.
    writing: Pace,
    /// Of the thread that syncs.
    syncing: Pace,
    /// For people.
    ring: String,
    condition: Mutex<(Condition, String)>,
    /// Space that could not be freed; recording goes on while there is any.
    shortage: Mutex<Option<String>>,
    turns: Mutex<Turns>,
    newest: Mutex<Option<(PacketId, UtcNs)>>,
}

/// Recording began or paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub began: bool,
    pub why: String,
}

#[derive(Debug, Default)]
struct Turns {
    recording: bool,
    /// Of the last turn.
    why: String,
    untold: Vec<Turn>,
}

impl Status {
    pub fn new(ring: &str) -> Self {
        let why = format!("ring {ring} has not been opened yet");
        Self {
            epoch: AtomicU64::new(0),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            safe: Mutex::default(),
            writing: Pace::default(),
            syncing: Pace::default(),
            ring: ring.to_owned(),
            condition: Mutex::new((Condition::Waiting, why)),
            shortage: Mutex::default(),
            turns: Mutex::default(),
            newest: Mutex::default(),
        }
    }

    /// As [`Self::new`], of a camera that was told to be recorded, and that nobody was told to have stopped.
    pub(crate) fn going_on(ring: &str, why: &str) -> Self {
        let turns = Turns { recording: true, why: why.to_owned(), untold: Vec::new() };
        Self { turns: Mutex::new(turns), ..Self::new(ring) }
    }

    /// Condition and reason.
    pub fn condition(&self) -> (Condition, String) {
        let shown = self.condition.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shortage = self.shortage.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.0 == Condition::Degraded {
            return shown;
        }
        if let Some(slow) = self.slow(clock::mono()) {
            return (Condition::Degraded, slow);
        }
        match (&*shortage, shown.0) {
            (Some(shortage), Condition::Flowing) => (Condition::Degraded, shortage.clone()),
            _ => shown,
        }
    }

    /// Whether the ring is not read at the moment, because the disk does not answer.
    pub(crate) fn stands_still(&self, now: MonoNs) -> bool {
        self.writing.slow(now).is_some_and(|slow| slow.under_way)
    }

    fn slow(&self, now: MonoNs) -> Option<String> {
        let told = |what: &str, Slow { time, under_way }: Slow| {
            let (seconds, so_far) =
                (coarse(time.as_secs()), if under_way { " so far" } else { "" });
            format!("{}: disk slow: {what} took {seconds} s or more{so_far}", self.ring)
        };
        let writing = self.writing.slow(now).map(|slow| told("a write", slow));
        writing.or_else(|| self.syncing.slow(now).map(|slow| told("a sync", slow)))
    }

    /// The camera's thread waits for the disk until the answer is dropped.
    pub(crate) fn writing(&self) -> Busy<'_> {
        self.writing.begin()
    }

    /// The thread that syncs waits for the disk until the answer is dropped.
    pub(crate) fn syncing(&self) -> Busy<'_> {
        self.syncing.begin()
    }

    /// Epoch and sequence of the last packet that is known to survive a power cut.
    pub fn safe(&self) -> Option<(u64, u64)> {
        let safe = *self.safe.lock().unwrap_or_else(PoisonError::into_inner);
        safe.map(|id| (id.epoch, id.sequence))
    }

    pub(crate) fn set_safe(&self, id: PacketId) {
        *self.safe.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    /// Epoch and sequence of the last packet read.
    pub fn read(&self) -> (u64, u64) {
        (self.epoch.load(Ordering::Acquire), self.read.load(Ordering::Relaxed))
    }

    /// Sequence of the last packet in a file.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Packets that were never seen, since the last call.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    /// Whether what comes is recorded now.
    pub fn is_recording(&self) -> bool {
        self.turns().recording
    }

    /// Why it is recorded, or is not any more; empty before the first packet.
    pub fn why(&self) -> String {
        self.turns().why.clone()
    }

    /// What began and paused since the last call, oldest first.
    pub fn take_turns(&self) -> Vec<Turn> {
        std::mem::take(&mut self.turns().untold)
    }

    pub(crate) fn started(&self, why: &str) {
        self.turn(true, why);
    }

    pub(crate) fn stopped(&self, why: &str) {
        self.turn(false, why);
    }

    fn turn(&self, began: bool, why: &str) {
        let mut turns = self.turns();
        turns.recording = began;
        why.clone_into(&mut turns.why);
        turns.untold.push(Turn { began, why: why.to_owned() });
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, condition: Condition, why: &str) {
        let mut shown = self.condition.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.0 != condition || shown.1 != why {
            *shown = (condition, why.to_owned());
        }
    }

    pub(crate) fn set_shortage(&self, shortage: Option<String>) {
        *self.shortage.lock().unwrap_or_else(PoisonError::into_inner) = shortage;
    }

    /// The newest packet that goes into a file, and when it was captured.
    pub(crate) fn newest(&self) -> Option<(PacketId, UtcNs)> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_newest(&self, id: PacketId, capture: UtcNs) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, capture));
    }

    pub(crate) fn set_read(&self, id: PacketId) {
        self.read.store(id.sequence, Ordering::Relaxed);
        // Who sees another epoch sees a sequence of it, not the last one of the epoch before.
        self.epoch.store(id.epoch, Ordering::Release);
    }

    pub(crate) fn set_written(&self, id: PacketId) {
        self.written.store(id.sequence, Ordering::Relaxed);
    }

    pub(crate) fn add_missed(&self, packets: u64) {
        self.missed.fetch_add(packets, Ordering::Relaxed);
    }
}
