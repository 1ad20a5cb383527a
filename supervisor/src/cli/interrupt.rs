//! Ctrl-C and SIGTERM for verbs that go on until then: they end by finishing, with what they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use shmring::clock;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::CliError;

/// Soon enough for a person who presses a key.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(super) fn listen() -> Result<Self, CliError> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&came))
                .map_err(CliError::io("signals"))?;
        }
        Ok(Self(came))
    }

    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits `span`, or until it comes; whether it came.
    pub(super) fn within(&self, span: Duration) -> bool {
        let end = clock::mono() + span;
        loop {
            let rest = end.saturating_since(clock::mono());
            if self.came() || rest.is_zero() {
                return self.came();
            }
            thread::sleep(rest.min(LOOK_EVERY));
        }
    }
}
