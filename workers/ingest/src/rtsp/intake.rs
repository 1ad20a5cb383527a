//! The packets of a session, whichever way they come, and whether they are pictures at all.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use protocol::time::{MonoNs, Stamp};
use shmring::clock;

use super::PATIENCE;
use super::lane::Lane;
use super::ports::Ports;
use super::streams::{Happening, Streams};

const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Bytes of a datagram.
const DATAGRAM_MAX: usize = 65_536;
/// Datagrams of a track that are taken before anything else is looked at.
const DATAGRAMS_A_TURN: usize = 512;
/// Time between two looks beyond which this process was away, and the other end is not to blame.
const AWAY: Duration = Duration::from_secs(1);

/// How the packets of a lane come.
#[derive(Debug)]
pub(crate) enum Path {
    Channels(u8, u8),
    Ports(Ports),
}

/// Why the other end is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hush {
    /// Nothing came at all.
    Stalled {
        seconds: u64,
    },
    NoPicture {
        seconds: u64,
        bytes: u64,
    },
    OnlySound {
        seconds: u64,
        packets: u64,
    },
}

/// All tracks of a session.
#[derive(Debug)]
pub(crate) struct Intake {
    streams: Streams,
    paths: Vec<Path>,
    /// Of packets, since the beginning.
    bytes: u64,
    datagram: Vec<u8>,
    own_ssrc: u32,
    reported: MonoNs,
    /// Longest wait for the first packet.
    first_within: Duration,
    watch: Watch,
    /// When packets were looked for last.
    looked: MonoNs,
}

/// Since the last picture.
#[derive(Clone, Copy, Debug)]
struct Watch {
    at: MonoNs,
    bytes: u64,
    sounds: u64,
}

impl Watch {
    /// Time in which nobody looked is no silence of the other end's.
    fn forgive(&mut self, away: Duration, now: MonoNs) {
        if away > AWAY {
            self.at = (self.at + away).min(now);
        }
    }
}

impl Intake {
    /// `lanes` in the order of the ring's tracks, `paths` in that of the lanes. `own_ssrc`: any number.
    pub(crate) fn new(
        lanes: Vec<Lane>,
        paths: Vec<Path>,
        first_within: Duration,
        own_ssrc: u32,
        now: MonoNs,
    ) -> Self {
        Self {
            streams: Streams::new(lanes),
            paths,
            bytes: 0,
            datagram: vec![0; DATAGRAM_MAX],
            own_ssrc,
            reported: now,
            first_within,
            watch: Watch { at: now, bytes: 0, sounds: 0 },
            looked: now,
        }
    }

    /// What the answer to PLAY says of each track's beginning.
    pub(crate) fn begin(&mut self, ticks: &[Option<u32>]) {
        self.streams.begin(ticks);
    }

    /// Pictures are expected from now on, and not before.
    pub(crate) fn resume(&mut self, now: MonoNs) {
        self.watch = Watch { at: now, bytes: self.bytes, sounds: 0 };
    }

    pub(crate) fn pop(&mut self) -> Option<Happening> {
        let happening = self.streams.pop()?;
        if let Happening::Unit(received) = &happening {
            if received.unit.track == 0 {
                self.watch = Watch { at: clock::mono(), bytes: self.bytes, sounds: 0 };
            } else {
                self.watch.sounds += 1;
            }
        }
        Some(happening)
    }

    /// Packets that came so far.
    pub(crate) fn packets(&self) -> u64 {
        self.streams.packets()
    }

    /// Bytes of them, reports too.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The shortest time from a picture's capture to its arrival, by the other end's clock.
    pub(crate) fn delay_ns(&self) -> Option<i64> {
        self.streams.delay_ns()
    }

    /// Whether the other end has been without a picture for too long.
    pub(crate) fn be_patient(&mut self, now: MonoNs) -> Result<(), Hush> {
        self.watch.forgive(now.saturating_since(self.looked), now);
        let nothing_yet = self.packets() == 0;
        let patience = if nothing_yet { self.first_within } else { PATIENCE };
        if now.saturating_since(self.watch.at) <= patience {
            return Ok(());
        }
        let seconds = patience.as_secs();
        Err(match (self.watch.sounds, self.bytes - self.watch.bytes) {
            (0, 0) => Hush::Stalled { seconds },
            (0, bytes) => Hush::NoPicture { seconds, bytes },
            (packets, _) => Hush::OnlySound { seconds, packets },
        })
    }

    /// Until when there is nothing to do unless something comes.
    pub(crate) fn due(&self) -> MonoNs {
        let deadline = self.watch.at + PATIENCE;
        self.streams.due().map_or(deadline, |due| due.min(deadline))
    }

    /// Of paths that have some.
    pub(crate) fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        let sockets = self.paths.iter().filter_map(|path| match path {
            Path::Ports(ports) => Some(ports.sockets()),
            Path::Channels(..) => None,
        });
        sockets.flatten().collect()
    }

    /// A packet came on a channel of the connection.
    pub(crate) fn channel(&mut self, channel: u8, payload: &[u8], arrival: Stamp) {
        self.bytes += u64::try_from(payload.len()).unwrap_or(0);
        for (lane, path) in self.paths.iter().enumerate() {
            match path {
                Path::Channels(rtp, _) if *rtp == channel => {
                    self.streams.packet(lane, payload, arrival);
                }
                Path::Channels(_, rtcp) if *rtcp == channel => {
                    self.streams.reports(lane, payload, arrival.mono);
                }
                _ => {}
            }
        }
    }

    /// Takes what came by UDP, and what was waited for long enough.
    pub(crate) fn look(&mut self) {
        for (lane, path) in self.paths.iter().enumerate() {
            let Path::Ports(ports) = path else { continue };
            for _ in 0..DATAGRAMS_A_TURN {
                let Some((bytes, is_report)) = ports.receive(&mut self.datagram) else { break };
                let arrival = clock::now();
                self.bytes += u64::try_from(bytes).unwrap_or(0);
                let packet = &self.datagram[..bytes];
                if is_report {
                    self.streams.reports(lane, packet, arrival.mono);
                } else {
                    self.streams.packet(lane, packet, arrival);
                }
            }
        }
        self.streams.drain(clock::mono());
        self.looked = clock::mono();
    }

    /// Tells the other end, when it is time, how its packets come: by UDP where they do, else by what is
    /// returned, which is to be written to the connection.
    pub(crate) fn report(&mut self, now: MonoNs) -> Vec<u8> {
        let mut interleaved = Vec::new();
        if now.saturating_since(self.reported) < REPORT_EVERY {
            return interleaved;
        }
        self.reported = now;
        for (lane, packet) in self.streams.receptions(self.own_ssrc, now) {
            match &self.paths[lane] {
                Path::Ports(ports) => ports.report(&packet),
                Path::Channels(_, channel) => {
                    interleaved.extend([b'$', *channel]);
                    interleaved.extend(u16::try_from(packet.len()).unwrap_or(0).to_be_bytes());
                    interleaved.extend(packet);
                }
            }
        }
        interleaved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_in_which_nobody_looked_is_not_the_cameras() {
        let (second, begun) = (Duration::from_secs(1), MonoNs(5_000_000_000));
        let watch = |passed_s: u32, away: Duration| {
            let mut watch = Watch { at: begun, bytes: 0, sounds: 0 };
            let now = begun + second * passed_s;
            watch.forgive(away, now);
            now.saturating_since(watch.at)
        };
        assert_eq!(watch(12, second * 11), second);
        assert_eq!(watch(12, second), second * 12, "an ordinary turn");
        // A picture that was taken out in the meantime is not from the future.
        assert_eq!(watch(2, second * 11), Duration::ZERO);
    }
}
