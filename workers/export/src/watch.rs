//! What goes on during an export: how far it is, and whether somebody wants it to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::ExportError;

/// Shared by all threads of an export.
#[derive(Debug, Default)]
pub struct Watch {
    /// Number of the signal that came; 0 before.
    signal: Arc<AtomicUsize>,
    done_bytes: AtomicU64,
    all_bytes: AtomicU64,
    done_cameras: AtomicUsize,
    all_cameras: AtomicUsize,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Of recordings, read and written on.
    pub(crate) done_bytes: u64,
    pub(crate) all_bytes: u64,
    pub(crate) done_cameras: usize,
    pub(crate) all_cameras: usize,
}

impl Watch {
    /// Ends at Ctrl-C and at the signals that mean the same.
    pub fn of_signals() -> io::Result<Self> {
        let watch = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let number = usize::try_from(signal).unwrap_or(1);
            signal_hook::flag::register_usize(signal, Arc::clone(&watch.signal), number)?;
        }
        Ok(watch)
    }

    /// To be asked every few hundred milliseconds.
    pub(crate) fn go_on(&self) -> Result<(), ExportError> {
        match self.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(ExportError::Interrupted { signal: u8::try_from(signal).unwrap_or(2) }),
        }
    }

    /// Ends the export as the signal does.
    pub fn interrupt(&self, signal: u8) {
        self.signal.store(signal.into(), Ordering::Relaxed);
    }

    pub(crate) fn expect(&self, bytes: u64, cameras: usize) {
        self.all_bytes.store(bytes, Ordering::Relaxed);
        self.all_cameras.store(cameras, Ordering::Relaxed);
    }

    pub(crate) fn did(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn did_camera(&self) {
        self.done_cameras.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            done_bytes: self.done_bytes.load(Ordering::Relaxed),
            all_bytes: self.all_bytes.load(Ordering::Relaxed),
            done_cameras: self.done_cameras.load(Ordering::Relaxed),
            all_cameras: self.all_cameras.load(Ordering::Relaxed),
        }
    }
}
