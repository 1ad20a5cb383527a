//! A ring into the command's stdin. A command that does not read holds up this worker alone: items are
//! copied out of the ring before they are written.

use std::time::Duration;

use protocol::config::ReadPolicy;
use protocol::control::Condition;
use protocol::name::RingName;
use protocol::time::MonoNs;
use shmring::clock;
use worker::{Context, Fault};

use crate::end::{Moved, PipeEnd};
use crate::supply::{Supplied, Supply};

/// A command that takes nothing for so long is told as not reading: more than a detector needs for one
/// picture.
const PATIENCE: Duration = Duration::from_secs(5);
/// A ring that has had nothing for so long is told: slower than any camera's pictures.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Feed {
    supply: Supply,
    end: PipeEnd,
    command: String,
    /// What is being written, and how much of it is.
    pending: Vec<u8>,
    written: usize,
    /// When the command last took something, or had nothing to take.
    taken: MonoNs,
    /// When the ring last had something.
    supplied: MonoNs,
    closed: bool,
    told: (Condition, String),
}

impl Feed {
    pub(crate) fn new(
        cx: &Context,
        ring: &RingName,
        policy: ReadPolicy,
        end: PipeEnd,
        command: &str,
    ) -> Self {
        let now = clock::mono();
        Self {
            supply: Supply::new(cx, ring, policy),
            end,
            command: command.to_owned(),
            pending: Vec::new(),
            written: 0,
            taken: now,
            supplied: now,
            closed: false,
            told: (Condition::Waiting, format!("ring {ring} has nothing yet")),
        }
    }

    /// One bounded piece of work; how it goes.
    pub(crate) fn step(
        &mut self,
        cx: &mut Context,
        wait: Duration,
    ) -> Result<(Condition, String), Fault> {
        if self.closed {
            // The supervisor sees its end, or it lives on without its stdin.
            std::thread::sleep(wait);
        } else if self.written < self.pending.len() {
            self.write(cx, wait)?;
        } else {
            self.take_next(cx, wait)?;
        }
        Ok(self.told.clone())
    }

    fn write(&mut self, cx: &Context, wait: Duration) -> Result<(), Fault> {
        let moved = self
            .end
            .write(&self.pending[self.written..], wait)
            .map_err(|error| Fault::failed(format!("{}: stdin: {error}", self.command)))?;
        let now = clock::mono();
        match moved {
            Moved::Bytes(count) => {
                self.written += count;
                self.taken = now;
                self.told = (Condition::Flowing, String::new());
            }
            Moved::Nothing => {
                // Waiting for a reader is no standing still.
                cx.while_waiting()();
                if now.saturating_since(self.taken) >= PATIENCE {
                    let why = format!("{} does not read its stdin", self.command);
                    self.told = (Condition::Degraded, why);
                }
            }
            Moved::Closed => {
                self.closed = true;
                self.told = (Condition::Degraded, format!("{} has closed its stdin", self.command));
            }
        }
        Ok(())
    }

    fn take_next(&mut self, cx: &mut Context, wait: Duration) -> Result<(), Fault> {
        self.pending.clear();
        self.written = 0;
        let supplied = self.supply.next(cx, wait, &mut self.pending)?;
        let now = clock::mono();
        // Between two items nobody owes anything.
        self.taken = now;
        match supplied {
            Supplied::Item => self.supplied = now,
            Supplied::Nothing if now.saturating_since(self.supplied) >= QUIET => {
                let why = format!("ring {} has nothing new", self.supply.ring());
                self.told = (Condition::Waiting, why);
            }
            Supplied::Nothing => {}
            Supplied::Lack(condition, why) => self.told = (condition, why),
        }
        if self.pending.is_empty() { Ok(()) } else { self.write(cx, Duration::ZERO) }
    }
}
