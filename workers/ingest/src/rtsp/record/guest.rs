//! One publisher's connection: its requests answered, its packets taken in, and the times that end it when it
//! is silent, too slow or too fast.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use protocol::time::MonoNs;
use protocol::units::BitRate;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use shmring::clock;

use super::gone::Gone;
use super::meter::Meter;
use super::offer::Offer;
use super::session::{Decision, Reply, Session, TIMEOUT_S, Way};
use crate::rtsp::connection::{readable, write};
use crate::rtsp::format::{Content, Format};
use crate::rtsp::intake::{Hush, Intake, Path};
use crate::rtsp::lane::Lane;
use crate::rtsp::message::{Inbox, Incoming, Request};
use crate::rtsp::ports::Ports;
use crate::rtsp::streams::Happening;
use crate::rtsp::{PATIENCE, REORDER, STOP_POLL};

/// A connection, and what came on it and is not understood yet.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) local: IpAddr,
    pub(super) inbox: Inbox,
}

/// A publisher that was let in.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: TcpStream,
    peer: SocketAddr,
    local: IpAddr,
    inbox: Inbox,
    session: Session,
    /// Tracks that were set up before RECORD, in the order of their SETUP.
    carried: Vec<(usize, Path)>,
    /// Ports of tracks that nobody reads; they are there so that their packets meet no error.
    left_out: Vec<Ports>,
    intake: Option<Intake>,
    patience: Patience,
    /// When the count of bytes rose last, and what it is.
    heard: (MonoNs, u64),
    meter: Meter,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Patience {
    SettingUp { since: MonoNs },
    Recording,
    Paused { since: MonoNs },
}

impl Patience {
    /// How long nothing has to be looked at unless something comes; `due`: the next picture. Of one that pauses none is,
    /// and its time may long be over.
    fn rest(self, due: Option<Duration>) -> Duration {
        let due = due.filter(|_| !matches!(self, Self::Paused { .. }));
        due.unwrap_or(STOP_POLL).min(STOP_POLL)
    }
}

impl Guest {
    /// Its bit rate is to keep to `most`.
    pub(super) fn new(line: Line, session: Session, most: BitRate, now: MonoNs) -> Self {
        let Line { stream, peer, local, inbox } = line;
        Self {
            stream,
            peer,
            local,
            inbox,
            session,
            carried: Vec::new(),
            left_out: Vec::new(),
            intake: None,
            patience: Patience::SettingUp { since: now },
            heard: (now, 0),
            meter: Meter::new(most, now),
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// For how long nothing came of it.
    pub(crate) fn quiet_for(&self, now: MonoNs) -> Duration {
        now.saturating_since(self.heard.0)
    }

    /// The shortest time from a picture's capture to its arrival, by the publisher's clock.
    pub(crate) fn delay_ns(&self) -> Option<i64> {
        self.intake.as_ref().and_then(Intake::delay_ns)
    }

    /// The next thing that comes of its packets; `None` after a wait in which nothing did, or in which
    /// somebody came to `door`.
    pub(crate) fn turn(&mut self, door: BorrowedFd<'_>) -> Result<Option<Happening>, Gone> {
        if let Some(happening) = self.left() {
            return Ok(Some(happening));
        }
        let now = clock::mono();
        self.be_patient(now)?;
        self.report(now)?;
        self.wait(door, now);
        let came = self.fill().and_then(|()| self.read());
        // What came before a goodbye is taken all the same.
        self.look()?;
        came?;
        Ok(self.left())
    }

    /// What of its packets was taken and not yet asked for.
    pub(crate) fn left(&mut self) -> Option<Happening> {
        self.intake.as_mut().and_then(Intake::pop)
    }

    fn look(&mut self) -> Result<(), Gone> {
        let Some(intake) = &mut self.intake else { return Ok(()) };
        intake.look();
        let (bytes, now) = (intake.bytes(), clock::mono());
        if bytes > self.heard.1 {
            self.heard = (now, bytes);
        }
        let peer = self.peer;
        self.meter.look(bytes, now).map_err(|excess| Gone::TooFast { peer, excess })
    }

    fn be_patient(&mut self, now: MonoNs) -> Result<(), Gone> {
        let peer = self.peer;
        match (self.patience, &mut self.intake) {
            (Patience::SettingUp { since }, _) if now.saturating_since(since) > PATIENCE => {
                Err(Gone::Dawdled(peer))
            }
            (Patience::Paused { since }, _)
                if now.saturating_since(since) > Duration::from_secs(TIMEOUT_S) =>
            {
                Err(Gone::Paused(peer))
            }
            (Patience::Recording, Some(intake)) => {
                intake.be_patient(now).map_err(|hush| match hush {
                    Hush::Stalled { seconds } => Gone::Stalled(peer, seconds),
                    Hush::NoPicture { seconds, bytes } => Gone::NoPicture { peer, seconds, bytes },
                    Hush::OnlySound { seconds, packets } => {
                        Gone::OnlySound { peer, seconds, packets }
                    }
                })
            }
            _ => Ok(()),
        }
    }

    fn report(&mut self, now: MonoNs) -> Result<(), Gone> {
        let reports = self.intake.as_mut().map(|intake| intake.report(now)).unwrap_or_default();
        self.send(&reports)
    }

    fn wait(&self, door: BorrowedFd<'_>, now: MonoNs) {
        let mut sockets = vec![self.stream.as_fd(), door];
        let due = self.intake.as_ref().map(|intake| {
            sockets.extend(intake.sockets());
            intake.due().saturating_since(now)
        });
        readable(&sockets, self.patience.rest(due));
    }

    fn fill(&mut self) -> Result<(), Gone> {
        match recv(&self.stream, spare_capacity(self.inbox.room()), RecvFlags::DONTWAIT) {
            Ok((_, 0)) | Err(Errno::CONNRESET | Errno::PIPE) => Err(Gone::Closed(self.peer)),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(Gone::Io { peer: self.peer, doing: "reading", source: error.into() }),
        }
    }

    /// Takes what came on the connection.
    fn read(&mut self) -> Result<(), Gone> {
        let arrival = clock::now();
        loop {
            let request = match self.inbox.next() {
                Ok(None) => return Ok(()),
                Ok(Some(Incoming::Packet { channel, payload })) => {
                    if let Some(intake) = &mut self.intake {
                        intake.channel(channel, payload, arrival);
                    }
                    continue;
                }
                Ok(Some(Incoming::Answer(_))) => continue,
                Ok(Some(Incoming::Request(request))) => request,
                Err(_) => return Err(Gone::NotRtsp(self.peer)),
            };
            self.answer(&request)?;
        }
    }

    fn answer(&mut self, request: &Request) -> Result<(), Gone> {
        let now = clock::mono();
        if let Patience::Paused { since } = &mut self.patience {
            *since = now; // any request is a sign of life
        }
        let decision = self.session.decide(request);
        let (reply, ends) = match decision {
            Decision::Answer(reply) => (reply, false),
            Decision::SetUp { track, offer } => (self.set_up(track, offer), false),
            Decision::Record(reply) => {
                self.record(now);
                (reply, false)
            }
            Decision::Pause(reply) => {
                self.patience = Patience::Paused { since: now };
                (reply, false)
            }
            Decision::End(reply) => (reply, true),
        };
        tracing::debug!(peer = %self.peer, method = request.method, "answered");
        self.send(reply.to(request).as_bytes())?;
        if ends { Err(Gone::Ended(self.peer)) } else { Ok(()) }
    }

    /// Opens a way for the packets of a track.
    fn set_up(&mut self, track: usize, offer: Offer) -> Reply {
        let (way, path) = match self.way(offer) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Reply::of(461),
            Err(error) => {
                tracing::warn!(%error, "no port for a publisher's packets");
                return Reply::of(500);
            }
        };
        let is_carried = self.session.announced().tracks[track].format.is_some();
        let reply = self.session.was_set_up(track, &way);
        match path {
            path if is_carried => self.carried.push((track, path)),
            Path::Ports(ports) => self.left_out.push(ports),
            Path::Channels(..) => {}
        }
        reply
    }

    fn way(&self, offer: Offer) -> std::io::Result<Option<(Way, Path)>> {
        match offer {
            Offer::Interleaved(wanted) => {
                let channels = self.session.channels(wanted);
                Ok(channels.map(|pair| (Way::Channels(pair), Path::Channels(pair.0, pair.1))))
            }
            Offer::Udp { ports: client } => {
                let random = getrandom::u32().unwrap_or(1);
                let (mut ports, port) = Ports::pair(self.local, random)?;
                ports.from = vec![self.peer.ip()];
                ports.reports_to = Some(SocketAddr::new(self.peer.ip(), client.1));
                let server = (port, port + 1);
                Ok(Some((Way::Ports { client, server }, Path::Ports(ports))))
            }
        }
    }

    /// From here on packets are taken. Pictures are the ring's first track, whichever was set up first.
    fn record(&mut self, now: MonoNs) {
        self.patience = Patience::Recording;
        if let Some(intake) = &mut self.intake {
            return intake.resume(now);
        }
        let tracks = &mut self.session.announced().tracks;
        let mut set_up: Vec<(u8, Format, Path)> = Vec::new();
        for (track, path) in self.carried.drain(..) {
            let track = &mut tracks[track];
            let format = track.format.take();
            set_up.extend(format.map(|format| (track.payload_type, format, path)));
        }
        set_up.sort_by_key(|(_, format, _)| matches!(format.content, Content::Audio(_)));
        let (mut lanes, mut paths) = (Vec::new(), Vec::new());
        for (number, (payload_type, format, path)) in (0..).zip(set_up) {
            let is_datagram = matches!(path, Path::Ports(_));
            let patience = if is_datagram { REORDER } else { Duration::ZERO };
            lanes.push(Lane::new(number, payload_type, format, patience));
            paths.push(path);
        }
        let own_ssrc = getrandom::u32().unwrap_or(1);
        self.intake = Some(Intake::new(lanes, paths, PATIENCE, own_ssrc, now));
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Gone> {
        let peer = self.peer;
        write(&self.stream, bytes).map_err(|source| Gone::Io { peer, doing: "answering", source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_pauses_for_long_is_not_looked_at_without_a_rest() {
        let (since, over) = (MonoNs(0), Some(Duration::ZERO));
        assert_eq!(Patience::Paused { since }.rest(over), STOP_POLL);
        assert_eq!(Patience::Recording.rest(over), Duration::ZERO);
        assert_eq!(Patience::Recording.rest(Some(STOP_POLL * 2)), STOP_POLL);
        assert_eq!(Patience::SettingUp { since }.rest(None), STOP_POLL);
    }
}
