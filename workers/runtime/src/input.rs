//! Inputs that wait for their ring: a writer may come later than its reader, and may come back.

use std::thread;
use std::time::Duration;

use protocol::control::{Condition, ItemId};
use protocol::name::{ProjectName, RingName};
use protocol::stream::Track;
use shmring::{
    Error, Frame, FrameOptions, FrameReader, FrameStart, Next, Packet, PacketOptions, PacketReader,
    Start, clock,
};

use crate::context::Context;
use crate::drill;
use crate::fault::Fault;
use crate::quarantine;

/// How often an absent ring is looked for.
const RETRY: Duration = Duration::from_millis(20);

/// A packet ring to read, there or not.
#[derive(Debug)]
pub struct PacketInput {
    project: ProjectName,
    options: PacketOptions,
    place: Place<PacketReader>,
}

impl PacketInput {
    pub fn new(cx: &Context, ring: &RingName, start: Start) -> Self {
        Self::detached(cx.project(), ring, PacketOptions { reader: cx.worker().to_string(), start })
    }

    /// For threads, which have no context.
    pub fn detached(project: &ProjectName, ring: &RingName, options: PacketOptions) -> Self {
        Self { project: project.clone(), options, place: Place::at(ring) }
    }

    /// The next packet, or what there is instead. While the ring is absent it is `Quiet`, and the
    /// worker's condition says so.
    ///
    /// A packet that has killed this worker twice is kept as a file and told as missed.
    pub fn next(&mut self, cx: &mut Context, wait: Duration) -> Result<Next<Packet>, Fault> {
        let next = self.proven(cx, wait)?;
        Ok(self.place.tell(cx, next))
    }

    /// As [`Self::next`] for a worker with other inputs beside this one, which says itself how it is: `None`
    /// while the ring is absent.
    pub fn next_of_several(
        &mut self,
        cx: &Context,
        wait: Duration,
    ) -> Result<Option<Next<Packet>>, Fault> {
        let next = self.proven(cx, wait)?;
        if let Some(Next::Overrun { missed }) = &next {
            cx.missed(*missed);
        }
        Ok(next)
    }

    /// What comes next, without a packet that kills this worker.
    fn proven(&mut self, cx: &Context, wait: Duration) -> Result<Option<Next<Packet>>, Fault> {
        cx.done();
        let next = self.poll(wait)?;
        let Some(Next::Item(packet)) = &next else { return Ok(next) };
        let item = ItemId { epoch: packet.epoch, sequence: packet.sequence };
        if cx.is_poison(item) {
            quarantine::keep_packet(cx, self.ring(), self.tracks(), packet);
            return Ok(Some(Next::Overrun { missed: 1 }));
        }
        cx.took(item);
        Ok(next)
    }

    /// As [`Self::next`] without a context; `None` while the ring is absent.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Next<Packet>>, Fault> {
        let attach = |ring: &RingName| PacketReader::attach(&self.project, ring, &self.options);
        let next = self.place.read(wait, attach, |reader| reader.next(wait))?;
        if let Some(Next::Item(packet)) = &next {
            self.options.start = Start::After { epoch: packet.epoch, sequence: packet.sequence };
        }
        Ok(next)
    }

    /// Why there is nothing to read.
    pub fn absence(&self) -> String {
        self.place.absence()
    }

    /// How a worker with nothing else to read is; `None` while the ring is there.
    pub fn lack(&self) -> Option<(Condition, String)> {
        self.place.lack()
    }

    /// Empty while the ring is absent.
    pub fn tracks(&self) -> &[Track] {
        self.place.reader.as_ref().map_or(&[], PacketReader::tracks)
    }

    /// The ring that a packet's `source` is a place in: this one, unless its packets are made from
    /// another's.
    pub fn origin(&self) -> &RingName {
        let source = self.place.reader.as_ref().and_then(PacketReader::source_ring);
        source.unwrap_or(&self.place.ring)
    }

    /// 0 while the ring is absent.
    pub fn epoch(&self) -> u64 {
        self.place.reader.as_ref().map_or(0, PacketReader::epoch)
    }

    pub fn ring(&self) -> &RingName {
        &self.place.ring
    }
}

/// A frame ring to read, there or not.
#[derive(Debug)]
pub struct FrameInput {
    project: ProjectName,
    options: FrameOptions,
    place: Place<FrameReader>,
}

impl FrameInput {
    pub fn new(cx: &Context, ring: &RingName, options: FrameOptions) -> Self {
        Self::detached(cx.project(), ring, options)
    }

    /// For threads, which have no context.
    pub fn detached(project: &ProjectName, ring: &RingName, options: FrameOptions) -> Self {
        Self { project: project.clone(), options, place: Place::at(ring) }
    }

    /// The next picture, or what there is instead. While the ring is absent it is `Quiet`, and the
    /// worker's condition says so.
    ///
    /// A picture that has killed this worker twice is kept as a file and told as missed.
    pub fn next(&mut self, cx: &mut Context, wait: Duration) -> Result<Next<Frame>, Fault> {
        let next = self.take(cx, wait)?;
        Ok(self.place.tell(cx, next))
    }

    /// As [`Self::next`] of a worker with several inputs, which says by itself how it is and what it missed;
    /// `None` while the ring is absent.
    pub fn take(&mut self, cx: &Context, wait: Duration) -> Result<Option<Next<Frame>>, Fault> {
        cx.done();
        let mut next = self.poll(wait)?;
        if let Some(Next::Item(frame)) = &next {
            let item = ItemId { epoch: frame.epoch(), sequence: frame.sequence() };
            if cx.is_poison(item) {
                quarantine::keep_frame(cx, self.ring(), frame);
                next = Some(Next::Overrun { missed: 1 });
            } else {
                cx.took(item);
            }
        }
        Ok(next)
    }

    /// As [`Self::next`] without a context; `None` while the ring is absent.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Next<Frame>>, Fault> {
        let attach = |ring: &RingName| FrameReader::attach(&self.project, ring, &self.options);
        let next = self.place.read(wait, attach, |reader| reader.next(wait))?;
        if let Some(Next::Item(frame)) = &next {
            let (epoch, sequence) = (frame.epoch(), frame.sequence());
            self.options.start = FrameStart::After { epoch, sequence };
        }
        Ok(next)
    }

    /// Why there is nothing to read.
    pub fn absence(&self) -> String {
        self.place.absence()
    }

    /// How a worker with nothing else to read is; `None` while the ring is there.
    pub fn lack(&self) -> Option<(Condition, String)> {
        self.place.lack()
    }

    /// Gives the place in the ring back; the next read attaches again.
    pub fn detach(&mut self) {
        self.place.reader = None;
    }

    pub fn ring(&self) -> &RingName {
        &self.place.ring
    }
}

/// A reader's place in a ring, had or waited for.
#[derive(Debug)]
struct Place<R> {
    ring: RingName,
    reader: Option<R>,
    /// Why a ring that is there cannot be read; empty otherwise.
    refused: String,
}

impl<R> Place<R> {
    fn at(ring: &RingName) -> Self {
        Self { ring: ring.clone(), reader: None, refused: String::new() }
    }

    /// What the ring has next; `None` while it is absent.
    fn read<T>(
        &mut self,
        wait: Duration,
        attach: impl Fn(&RingName) -> Result<R, Error>,
        next: impl FnOnce(&mut R) -> Result<Next<T>, Error>,
    ) -> Result<Option<Next<T>>, Fault> {
        if drill::hangs() {
            thread::sleep(wait);
            return Ok(Some(Next::Quiet));
        }
        if self.reader.is_none() {
            (self.reader, self.refused) = attach_within(wait, || attach(&self.ring))?;
        }
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        match next(reader) {
            Ok(Next::Evicted { reason }) => {
                tracing::warn!("{reason}");
                Ok(Some(Next::Evicted { reason }))
            }
            Ok(next) => Ok(Some(next)),
            Err(error) if is_own_mistake(&error) => Err(error.into()),
            // Swept away by `down`, replaced or damaged: attach to what comes. Other rings of this
            // worker must not suffer from it.
            Err(error) => {
                (self.reader, self.refused) = (None, reason(&error));
                thread::sleep(wait.min(RETRY));
                Ok(None)
            }
        }
    }

    /// Reports what was missed or is absent.
    fn tell<T>(&self, cx: &mut Context, next: Option<Next<T>>) -> Next<T> {
        match &next {
            Some(Next::Overrun { missed }) => cx.missed(*missed),
            Some(_) => {}
            None => {
                let (condition, why) = self.lacking();
                cx.condition(condition, why);
            }
        }
        next.unwrap_or(Next::Quiet)
    }

    fn lack(&self) -> Option<(Condition, String)> {
        self.reader.is_none().then(|| self.lacking())
    }

    fn lacking(&self) -> (Condition, String) {
        let awaited = self.refused.is_empty();
        (if awaited { Condition::Waiting } else { Condition::Degraded }, self.absence())
    }

    fn absence(&self) -> String {
        if self.refused.is_empty() {
            format!("ring {} has no writer yet", self.ring)
        } else {
            self.refused.clone()
        }
    }
}

/// Tries until `wait` is over. A ring that is not there, has no free place or cannot be read is
/// waited for: its writer may come, the reader before us may have been killed a moment ago and still
/// be on its way out, a damaged ring is made anew by the next writer.
fn attach_within<R>(
    wait: Duration,
    attach: impl Fn() -> Result<R, Error>,
) -> Result<(Option<R>, String), Fault> {
    let deadline = clock::mono() + wait;
    loop {
        let refused = match attach() {
            Ok(reader) => return Ok((Some(reader), String::new())),
            Err(error) if is_own_mistake(&error) => return Err(error.into()),
            Err(error) => reason(&error),
        };
        let rest = deadline.saturating_since(clock::mono());
        if rest.is_zero() {
            return Ok((None, refused));
        }
        thread::sleep(rest.min(RETRY));
    }
}

/// What no other writer of the ring could cure.
fn is_own_mistake(error: &Error) -> bool {
    matches!(error, Error::NoLease { .. } | Error::WrongKind { .. })
}

/// Empty for a ring that is just not there yet.
fn reason(error: &Error) -> String {
    if error.is_absent() { String::new() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place<()> {
        Place::at(&"cam1.packets".parse().expect("a valid name"))
    }

    fn damaged(ring: &RingName) -> Error {
        Error::Damaged { ring: ring.clone(), file: "index".into(), what: "its magic is wrong" }
    }

    #[test]
    fn a_damaged_ring_is_waited_for_and_named() {
        let mut place = place();
        let next = place.read(Duration::ZERO, |ring| Err(damaged(ring)), |()| Ok(Next::Item(())));
        assert!(matches!(next, Ok(None)));
        assert!(place.absence().contains("its magic is wrong"), "{}", place.absence());
        let next = place.read(Duration::ZERO, |_| Ok(()), |()| Ok(Next::Item(())));
        assert!(matches!(next, Ok(Some(Next::Item(())))));
    }

    #[test]
    fn a_ring_that_breaks_while_it_is_read_is_attached_to_again() {
        let mut place = place();
        let ring = place.ring.clone();
        let next: Result<Option<Next<()>>, _> =
            place.read(Duration::ZERO, |_| Ok(()), |()| Err(damaged(&ring)));
        assert!(matches!(next, Ok(None)));
        assert!(place.reader.is_none());
    }

    #[test]
    fn holding_too_many_leases_is_the_workers_own_fault() {
        let mut place = place();
        let ring = place.ring.clone();
        let next: Result<Option<Next<()>>, _> = place.read(
            Duration::ZERO,
            |_| Ok(()),
            |()| Err(Error::NoLease { ring: ring.clone(), quota: 2 }),
        );
        assert!(next.is_err());
    }
}
