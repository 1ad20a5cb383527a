//! What a camera's thread tells the worker's own thread.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::control::Condition;

use crate::packet_id::PacketId;

/// Shared by two threads; the words are for people and may be of different instants.
#[derive(Debug)]
pub struct Status {
    epoch: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
    missed: AtomicU64,
    condition: Mutex<(Condition, String)>,
    /// Space that could not be freed; recording goes on while there is any.
    shortage: Mutex<Option<String>>,
}

impl Status {
    pub fn new(ring: &str) -> Self {
        let why = format!("ring {ring} has not been opened yet");
        Self {
            epoch: AtomicU64::new(0),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            condition: Mutex::new((Condition::Waiting, why)),
            shortage: Mutex::default(),
        }
    }

    /// Condition and reason.
    pub fn condition(&self) -> (Condition, String) {
        let shown = self.condition.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let shortage = self.shortage.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*shortage, shown.0) {
            (Some(shortage), Condition::Flowing) => (Condition::Degraded, shortage.clone()),
            _ => shown,
        }
    }

    /// Epoch and sequence of the last packet read.
    pub fn read(&self) -> (u64, u64) {
        (self.epoch.load(Ordering::Relaxed), self.read.load(Ordering::Relaxed))
    }

    /// Sequence of the last packet in a file.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Packets that were never seen, since the last call.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
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

    pub(crate) fn set_read(&self, id: PacketId) {
        self.epoch.store(id.epoch, Ordering::Relaxed);
        self.read.store(id.sequence, Ordering::Relaxed);
    }

    pub(crate) fn set_written(&self, id: PacketId) {
        self.written.store(id.sequence, Ordering::Relaxed);
    }

    pub(crate) fn add_missed(&self, packets: u64) {
        self.missed.fetch_add(packets, Ordering::Relaxed);
    }
}
