//! What packets are put in on their way: interleaved frames of a connection, or datagrams. Pure.

use std::collections::VecDeque;

use crate::rtp::sender::Channels;

/// First byte of an interleaved frame (RFC 2326 section 10.12).
const INTERLEAVED: u8 = b'$';
/// Memory that an empty queue of datagrams keeps: what one round of a link of 100 Mbit/s takes.
const KEPT_BYTES: usize = 256 << 10;

/// Which of a stream's two packets it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Rtcp,
    Rtp,
}

/// Takes packets, one after the other.
pub trait Envelope {
    /// Where the bytes of the next packet are appended.
    fn begin(&mut self, part: Part) -> &mut Vec<u8>;
    /// The packet is whole.
    fn end(&mut self);
}

/// Interleaved frames: each packet behind `$`, its channel and its length.
#[derive(Debug)]
pub struct Frame<'a> {
    out: &'a mut Vec<u8>,
    channels: Channels,
    length_at: usize,
}

impl<'a> Frame<'a> {
    pub fn new(out: &'a mut Vec<u8>, channels: Channels) -> Self {
        Self { out, channels, length_at: 0 }
    }
}

impl Envelope for Frame<'_> {
    fn begin(&mut self, part: Part) -> &mut Vec<u8> {
        let channel = match part {
            Part::Rtcp => self.channels.rtcp,
            Part::Rtp => self.channels.rtp,
        };
        self.out.extend([INTERLEAVED, channel]);
        self.length_at = self.out.len();
        self.out.extend([0, 0]);
        self.out
    }

    fn end(&mut self) {
        let bytes = self.out.len() - self.length_at - 2;
        // Packets end at PACKET_MAX_BYTES, far below the 16 bits of the frame's length.
        let length = u16::try_from(bytes).unwrap_or(u16::MAX);
        self.out[self.length_at..self.length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

/// Datagrams that wait to be sent, in order. Invariant: the ends in `queue` ascend, from `sent` to
/// `bytes.len()`.
#[derive(Debug, Default)]
pub struct Datagrams {
    bytes: Vec<u8>,
    queue: VecDeque<Datagram>,
    /// Where the oldest one begins.
    sent: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Datagram {
    track: u32,
    part: Part,
    end: usize,
}

impl Datagrams {
    /// Where the packets of `track` are added.
    pub fn of_track(&mut self, track: u32) -> Stamp<'_> {
        Stamp { datagrams: self, track, part: Part::Rtp }
    }

    /// The oldest one: its track, its kind and its bytes.
    pub fn first(&self) -> Option<(u32, Part, &[u8])> {
        let Datagram { track, part, end } = *self.queue.front()?;
        Some((track, part, &self.bytes[self.sent..end]))
    }

    /// The oldest one is sent.
    pub fn pop(&mut self) {
        if let Some(datagram) = self.queue.pop_front() {
            self.sent = datagram.end;
        }
        if self.queue.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
            self.sent = 0;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Datagrams of one track.
#[derive(Debug)]
pub struct Stamp<'a> {
    datagrams: &'a mut Datagrams,
    track: u32,
    part: Part,
}

impl Envelope for Stamp<'_> {
    fn begin(&mut self, part: Part) -> &mut Vec<u8> {
        self.part = part;
        &mut self.datagrams.bytes
    }

    fn end(&mut self) {
        let (track, part, end) = (self.track, self.part, self.datagrams.bytes.len());
        self.datagrams.queue.push_back(Datagram { track, part, end });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(envelope: &mut impl Envelope, part: Part, bytes: &[u8]) {
        envelope.begin(part).extend(bytes);
        envelope.end();
    }

    #[test]
    fn a_frame_states_its_channel_and_length() {
        let mut out = vec![9];
        let mut frame = Frame::new(&mut out, Channels { rtp: 4, rtcp: 5 });
        put(&mut frame, Part::Rtp, b"abc");
        put(&mut frame, Part::Rtcp, &[7; 300]);
        assert_eq!(out[..8], *b"\x09$\x04\x00\x03abc");
        assert_eq!(out[8..12], [b'$', 5, 1, 44]);
        assert_eq!(out.len(), 12 + 300);
    }

    #[test]
    fn datagrams_leave_in_order_and_whole() {
        let mut datagrams = Datagrams::default();
        put(&mut datagrams.of_track(0), Part::Rtcp, b"report");
        put(&mut datagrams.of_track(0), Part::Rtp, b"picture");
        put(&mut datagrams.of_track(2), Part::Rtp, b"sound");
        assert_eq!(datagrams.first(), Some((0, Part::Rtcp, &b"report"[..])));
        datagrams.pop();
        assert_eq!(datagrams.first(), Some((0, Part::Rtp, &b"picture"[..])));
        datagrams.pop();
        assert_eq!(datagrams.first(), Some((2, Part::Rtp, &b"sound"[..])));
        datagrams.pop();
        assert_eq!(datagrams.first(), None);
        put(&mut datagrams.of_track(1), Part::Rtp, b"next");
        assert_eq!(datagrams.first(), Some((1, Part::Rtp, &b"next"[..])));
    }

    #[test]
    fn the_memory_of_a_large_picture_is_given_back() {
        let mut datagrams = Datagrams::default();
        put(&mut datagrams.of_track(0), Part::Rtp, &vec![0; 8 << 20]);
        datagrams.pop();
        assert!(datagrams.is_empty());
        assert!(datagrams.bytes.capacity() <= KEPT_BYTES);
    }
}
