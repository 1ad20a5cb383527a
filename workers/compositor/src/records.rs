//! Record rings that are read: what analyzers tell of boxes.

use std::time::Duration;

use protocol::name::RingName;
use protocol::record::Record;
use protocol::time::MonoNs;
use shmring::{Next, PacketOptions, Start};
use worker::{Context, Fault, PacketInput};

use crate::input::RETRY;
use crate::marks::{Mark, Marks};

/// Records taken at once; the rest follows a moment later.
const AT_ONCE: usize = 64;

#[derive(Debug)]
pub(crate) struct Records {
    ring: RingName,
    input: PacketInput,
    /// An absent ring is looked for again then.
    look_at: MonoNs,
}

impl Records {
    pub(crate) fn new(cx: &Context, ring: &RingName) -> Self {
        // What still holds was told before, too; what does not any more goes by its time.
        let options = PacketOptions { reader: cx.worker().to_string(), start: Start::Oldest };
        let input = PacketInput::detached(cx.project(), ring, options);
        Self { ring: ring.clone(), input, look_at: MonoNs(0) }
    }

    pub(crate) fn take(&mut self, marks: &mut Marks, now: MonoNs) -> Result<(), Fault> {
        if now < self.look_at {
            return Ok(());
        }
        for _ in 0..AT_ONCE {
            match self.input.poll(Duration::ZERO)? {
                Some(Next::Item(packet)) => {
                    let record: Option<Record> = serde_json::from_slice(&packet.payload).ok();
                    if let Some(mark) = record.and_then(|record| Mark::of(&self.ring, &record)) {
                        marks.tell(mark);
                    }
                }
                Some(Next::Quiet | Next::Ended) => return Ok(()),
                Some(_) => {}
                None => {
                    self.look_at = now + RETRY;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
