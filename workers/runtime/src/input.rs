//! Inputs that wait for their ring: a writer may come later than its reader, and may come back.

use std::thread;
use std::time::Duration;

use protocol::control::Condition;
use protocol::name::{ProjectName, RingName};
use protocol::stream::Track;
use shmring::{
    Error, Frame, FrameOptions, FrameReader, Next, Packet, PacketOptions, PacketReader, Start,
    clock,
};

use crate::context::Context;
use crate::fault::Fault;

/// How often an absent ring is looked for.
const RETRY: Duration = Duration::from_millis(20);

/// A packet ring to read, there or not.
#[derive(Debug)]
pub struct PacketInput {
    project: ProjectName,
    ring: RingName,
    options: PacketOptions,
    reader: Option<PacketReader>,
    refused: String,
}

impl PacketInput {
    pub fn new(cx: &Context, ring: &RingName, start: Start) -> Self {
        Self::detached(cx.project(), ring, PacketOptions { reader: cx.worker().to_string(), start })
    }

    /// For threads, which have no context.
    pub fn detached(project: &ProjectName, ring: &RingName, options: PacketOptions) -> Self {
        let (project, ring) = (project.clone(), ring.clone());
        Self { project, ring, options, reader: None, refused: String::new() }
    }

    /// The next packet, or what there is instead. While the ring is absent it is `Quiet`, and the
    /// worker's condition says so.
    pub fn next(&mut self, cx: &mut Context, wait: Duration) -> Result<Next<Packet>, Fault> {
        let next = self.poll(wait)?;
        match &next {
            Some(Next::Item(packet)) => cx.took(packet.epoch, packet.sequence),
            Some(Next::Overrun { missed }) => cx.missed(*missed),
            Some(_) => {}
            None => cx.condition(Condition::Waiting, self.absence()),
        }
        Ok(next.unwrap_or(Next::Quiet))
    }

    /// As [`Self::next`] without a context; `None` while the ring is absent.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Next<Packet>>, Fault> {
        if self.reader.is_none() && !self.attach(wait)? {
            return Ok(None);
        }
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        match reader.next(wait) {
            Ok(Next::Item(packet)) => {
                self.options.start =
                    Start::After { epoch: packet.epoch, sequence: packet.sequence };
                Ok(Some(Next::Item(packet)))
            }
            Ok(next) => Ok(Some(next)),
            // Swept away by `down` or replaced: attach to what comes.
            Err(error) if error.is_absent() => {
                self.reader = None;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Why there is nothing to read.
    pub fn absence(&self) -> String {
        if self.refused.is_empty() {
            format!("ring {} has no writer yet", self.ring)
        } else {
            self.refused.clone()
        }
    }

    /// Empty while the ring is absent.
    pub fn tracks(&self) -> &[Track] {
        self.reader.as_ref().map_or(&[], PacketReader::tracks)
    }

    /// 0 while the ring is absent.
    pub fn epoch(&self) -> u64 {
        self.reader.as_ref().map_or(0, PacketReader::epoch)
    }

    pub fn ring(&self) -> &RingName {
        &self.ring
    }

    fn attach(&mut self, wait: Duration) -> Result<bool, Fault> {
        let attach = || PacketReader::attach(&self.project, &self.ring, &self.options);
        let (reader, refused) = attach_within(wait, attach)?;
        (self.reader, self.refused) = (reader, refused);
        Ok(self.reader.is_some())
    }
}

/// A frame ring to read, there or not.
#[derive(Debug)]
pub struct FrameInput {
    project: ProjectName,
    ring: RingName,
    options: FrameOptions,
    reader: Option<FrameReader>,
    refused: String,
}

impl FrameInput {
    pub fn new(cx: &Context, ring: &RingName, options: FrameOptions) -> Self {
        Self::detached(cx.project(), ring, options)
    }

    /// For threads, which have no context.
    pub fn detached(project: &ProjectName, ring: &RingName, options: FrameOptions) -> Self {
        let (project, ring) = (project.clone(), ring.clone());
        Self { project, ring, options, reader: None, refused: String::new() }
    }

    /// The next picture, or what there is instead. While the ring is absent it is `Quiet`, and the
    /// worker's condition says so.
    pub fn next(&mut self, cx: &mut Context, wait: Duration) -> Result<Next<Frame>, Fault> {
        let next = self.poll(wait)?;
        match &next {
            Some(Next::Item(frame)) => cx.took(frame.epoch(), frame.sequence()),
            Some(Next::Overrun { missed }) => cx.missed(*missed),
            Some(_) => {}
            None => cx.condition(Condition::Waiting, self.absence()),
        }
        Ok(next.unwrap_or(Next::Quiet))
    }

    /// As [`Self::next`] without a context; `None` while the ring is absent.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Next<Frame>>, Fault> {
        if self.reader.is_none() && !self.attach(wait)? {
            return Ok(None);
        }
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        match reader.next(wait) {
            Ok(next) => Ok(Some(next)),
            Err(error) if error.is_absent() => {
                self.reader = None;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Why there is nothing to read.
    pub fn absence(&self) -> String {
        if self.refused.is_empty() {
            format!("ring {} has no writer yet", self.ring)
        } else {
            self.refused.clone()
        }
    }

    /// Gives the place in the ring back; the next read attaches again.
    pub fn detach(&mut self) {
        self.reader = None;
    }

    pub fn ring(&self) -> &RingName {
        &self.ring
    }

    fn attach(&mut self, wait: Duration) -> Result<bool, Fault> {
        let attach = || FrameReader::attach(&self.project, &self.ring, &self.options);
        let (reader, refused) = attach_within(wait, attach)?;
        (self.reader, self.refused) = (reader, refused);
        Ok(self.reader.is_some())
    }
}

/// Tries until `wait` is over. A ring that is not there, or has no free place, is waited for: the
/// reader before us may have been killed a moment ago and still be on its way out.
fn attach_within<R>(
    wait: Duration,
    attach: impl Fn() -> Result<R, Error>,
) -> Result<(Option<R>, String), Fault> {
    let deadline = clock::mono() + wait;
    loop {
        let refused = match attach() {
            Ok(reader) => return Ok((Some(reader), String::new())),
            Err(error) if error.is_absent() => String::new(),
            Err(error @ Error::NoPlace { .. }) => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        let rest = deadline.saturating_since(clock::mono());
        if rest.is_zero() {
            return Ok((None, refused));
        }
        thread::sleep(rest.min(RETRY));
    }
}
