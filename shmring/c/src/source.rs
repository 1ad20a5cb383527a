//! The readers of the Rust crate under one roof, and what they give.

use std::sync::Arc;
use std::time::Duration;

use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::Track;
use shmring::{
    FrameOptions, FrameReader, FrameStart, Next, Packet, PacketOptions, PacketReader, Policy,
    Pollable, Semaphore, Start,
};

use crate::wish::Wish;

/// A reader of some ring.
#[derive(Debug)]
pub(crate) enum Source {
    Frames(Box<FrameReader>),
    /// Of packets, or of records, which are packets whose payload is one.
    Log {
        reader: Box<PacketReader>,
        kind: RingKind,
        tracks: Arc<[Track]>,
    },
}

/// What a reader gave.
#[derive(Debug)]
pub(crate) enum Taken {
    Frame(shmring::Frame),
    Packet(Packet, Arc<[Track]>),
    Record(Packet),
}

impl Source {
    pub(crate) fn attach(
        project: &ProjectName,
        ring: &RingName,
        wish: &Wish,
    ) -> Result<Self, shmring::Error> {
        match ring.kind() {
            RingKind::Frames => {
                let named = FrameOptions::named(&wish.reader);
                let quota = wish.quota.unwrap_or(named.quota);
                let (policy, max_fps, every) = (wish.policy, wish.max_fps, wish.every);
                let start = match wish.start {
                    None | Some(Start::Newest | Start::NewestKey) => FrameStart::Newest,
                    Some(Start::Oldest) => FrameStart::Oldest,
                    Some(Start::After { epoch, sequence }) => FrameStart::After { epoch, sequence },
                };
                let options = FrameOptions {
                    policy,
                    quota,
                    max_fps,
                    every,
                    key_only: wish.key_only,
                    start,
                    ..named
                };
                let reader = FrameReader::attach(project, ring, &options)?;
                Ok(Self::Frames(Box::new(reader)))
            }
            kind @ (RingKind::Packets | RingKind::Events) => {
                let start = wish.start.unwrap_or(match (wish.policy, kind) {
                    (Policy::Sequential, _) => Start::Oldest,
                    (Policy::Latest, RingKind::Packets) => Start::NewestKey,
                    (Policy::Latest, _) => Start::Newest,
                });
                let options = PacketOptions { reader: wish.reader.clone(), start };
                let reader = Box::new(PacketReader::attach(project, ring, &options)?);
                let tracks = reader.tracks().into();
                Ok(Self::Log { reader, kind, tracks })
            }
        }
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Next<Taken>, shmring::Error> {
        Ok(match self {
            Self::Frames(reader) => map(reader.next(wait)?, Taken::Frame),
            Self::Log { reader, kind: RingKind::Events, .. } => {
                map(reader.next(wait)?, Taken::Record)
            }
            Self::Log { reader, tracks, .. } => {
                let next = reader.next(wait)?;
                if reader.tracks() != &**tracks {
                    *tracks = reader.tracks().into();
                }
                map(next, |packet| Taken::Packet(packet, Arc::clone(tracks)))
            }
        })
    }

    pub(crate) fn epoch(&self) -> u64 {
        match self {
            Self::Frames(reader) => reader.epoch(),
            Self::Log { reader, .. } => reader.epoch(),
        }
    }

    pub(crate) fn writer_lives(&self) -> bool {
        match self {
            Self::Frames(reader) => reader.writer_lives(),
            Self::Log { reader, .. } => reader.writer_lives(),
        }
    }

    /// The count as something any thread may wait for.
    pub(crate) fn semaphore(&self) -> Semaphore {
        match self {
            Self::Frames(reader) => reader.semaphore(),
            Self::Log { reader, .. } => reader.semaphore(),
        }
    }

    pub(crate) fn pollable(&self) -> Result<Pollable, shmring::Error> {
        match self {
            Self::Frames(reader) => reader.pollable(),
            Self::Log { reader, .. } => reader.pollable(),
        }
    }

    /// The ring this one is made from.
    pub(crate) fn source_ring(&self) -> Option<&RingName> {
        match self {
            Self::Frames(reader) => reader.source_ring(),
            Self::Log { .. } => None,
        }
    }
}

fn map<T>(next: Next<T>, item: impl FnOnce(T) -> Taken) -> Next<Taken> {
    match next {
        Next::Item(taken) => Next::Item(item(taken)),
        Next::Evicted { reason } => Next::Evicted { reason },
        Next::Overrun { missed } => Next::Overrun { missed },
        Next::NewEpoch { epoch } => Next::NewEpoch { epoch },
        Next::Quiet => Next::Quiet,
        Next::Ended => Next::Ended,
    }
}
