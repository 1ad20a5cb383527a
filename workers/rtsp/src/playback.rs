//! One session's streams: which tracks were set up on which channels, and the bytes of each unit.
//! Sans-IO: units in, interleaved frames out.

use std::sync::Arc;

use protocol::time::MonoNs;

use crate::rtp::sender::{Beginning, Channels, Frame, Sender};
use crate::sdp::{Presentation, Served};
use crate::unit::Unit;

/// What was set up. Invariant: no channel belongs to two streams, and each stream's two differ.
#[derive(Debug)]
pub struct Playback {
    presentation: Arc<Presentation>,
    streams: Vec<Stream>,
    /// Stream time of the first unit after PLAY; every track's timestamps are counted from it, so
    /// that they stay in step.
    anchor_ns: Option<i64>,
}

#[derive(Debug)]
struct Stream {
    track: u32,
    channels: Channels,
    sender: Sender,
}

/// What RTP-Info says of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub track: u32,
    pub sequence: u16,
    pub ticks: u32,
}

impl Playback {
    pub fn new(presentation: Arc<Presentation>) -> Self {
        Self { presentation, streams: Vec::new(), anchor_ns: None }
    }

    pub fn presentation(&self) -> &Arc<Presentation> {
        &self.presentation
    }

    /// Sets a track up, or again. Honours the channels asked for unless another stream has one of
    /// them; assigns the lowest free pair then. `None` when all channels are taken.
    pub fn set_up(
        &mut self,
        track: &Served,
        wanted: Option<Channels>,
        beginning: Beginning,
    ) -> Option<Channels> {
        let others: Vec<Channels> = self
            .streams
            .iter()
            .filter(|stream| stream.track != track.index)
            .map(|stream| stream.channels)
            .collect();
        let is_free = |pair: &Channels| {
            others.iter().all(|other| {
                [other.rtp, other.rtcp]
                    .iter()
                    .all(|taken| *taken != pair.rtp && *taken != pair.rtcp)
            })
        };
        let mut pairs = (0..=254).step_by(2).map(|rtp| Channels { rtp, rtcp: rtp + 1 });
        let channels = wanted.filter(is_free).or_else(|| pairs.find(is_free))?;
        self.streams.retain(|stream| stream.track != track.index);
        let sender = Sender::new(&track.format, beginning);
        self.streams.push(Stream { track: track.index, channels, sender });
        Some(channels)
    }

    /// PLAY: where each stream begins. Holds for the first packets that follow, whatever they are.
    pub fn start(&mut self, now: MonoNs) -> Vec<Start> {
        self.anchor_ns = None;
        let starts = self.streams.iter_mut().map(|stream| {
            stream.sender.resume(now);
            Start {
                track: stream.track,
                sequence: stream.sender.next_sequence(),
                ticks: stream.sender.start_ticks(),
            }
        });
        starts.collect()
    }

    /// Appends that every stream has ended: RTCP BYE.
    pub fn goodbye(&mut self, out: &mut Vec<u8>) {
        for stream in &mut self.streams {
            let mut frame = Frame::new(out, stream.channels, self.presentation.path());
            stream.sender.goodbye(&mut frame);
        }
    }

    /// Whether frames on `channel` belong to this session.
    pub fn has_channel(&self, channel: u8) -> bool {
        let of = |stream: &Stream| [stream.channels.rtp, stream.channels.rtcp].contains(&channel);
        self.streams.iter().any(of)
    }

    /// Appends `unit` as interleaved frames, behind a sender report when one is due. Appends nothing
    /// for a track that was not set up.
    pub fn write(&mut self, unit: &Unit, now: MonoNs, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.track == unit.track) else {
            return;
        };
        let anchor_ns = *self.anchor_ns.get_or_insert(unit.pts_ns);
        let mut frame = Frame::new(out, stream.channels, self.presentation.path());
        if stream.sender.report_due(now) {
            stream.sender.report(unit, anchor_ns, now, &mut frame);
        }
        stream.sender.send(unit, anchor_ns, now, &mut frame);
    }
}
