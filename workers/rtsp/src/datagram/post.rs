//! The sockets of one session or group: what leaves them, at its pace, and the reports that come in.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::task::{Context, Poll};

use protocol::time::MonoNs;
use tokio::net::UdpSocket;

use super::ports::Pair;
use super::{at_port, canonical};
use crate::envelope::{Datagrams, Part};
use crate::pace::Pace;
use crate::transport::Ports;

/// Longest report that is read: RFC 3550 lets a compound packet be as long as a datagram on its path.
const REPORT_MAX_BYTES: usize = 1500;
/// Reports that are read in one go, so that whoever sends many holds up nobody.
const REPORTS_MAX: usize = 32;

/// The streams' sockets and what waits for them.
#[derive(Debug)]
pub struct Post {
    lines: Vec<Line>,
    queue: Datagrams,
    pace: Pace,
    /// The system takes no more for now.
    blocked: bool,
    /// Somebody at the client's end said that nobody has this port.
    refused: bool,
}

/// One stream's.
#[derive(Debug)]
struct Line {
    track: u32,
    /// Connected, so that the system tells when the client's port is closed.
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Where our reports come from.
    own: SocketAddr,
    rtcp_to: SocketAddr,
    /// Of a group: where its viewers' reports arrive.
    group: Option<UdpSocket>,
}

/// A report of a client.
#[derive(Debug)]
pub struct Report {
    pub track: u32,
    pub from: IpAddr,
    pub bytes: Vec<u8>,
}

impl Post {
    pub fn new(now: MonoNs) -> Self {
        let (lines, queue) = (Vec::new(), Datagrams::default());
        Self { lines, queue, pace: Pace::new(now), blocked: false, refused: false }
    }

    /// Packets of `track` go from `pair` to these ports of `to`; `group` is where reports to a group arrive. To be
    /// called within the runtime.
    pub fn add(
        &mut self,
        track: u32,
        pair: Pair,
        to: SocketAddr,
        ports: Ports,
        group: Option<StdSocket>,
    ) -> io::Result<()> {
        let to = canonical(to);
        pair.rtp.connect(at_port(to, ports.rtp))?;
        let own = pair.rtcp.local_addr()?;
        let (rtp, rtcp) = (UdpSocket::from_std(pair.rtp)?, UdpSocket::from_std(pair.rtcp)?);
        let group = group.map(UdpSocket::from_std).transpose()?;
        self.remove(track);
        self.lines.push(Line { track, rtp, rtcp, own, rtcp_to: at_port(to, ports.rtcp), group });
        Ok(())
    }

    fn remove(&mut self, track: u32) {
        self.lines.retain(|line| line.track != track);
    }

    /// Sends those of `last` that are of this track, and lets go of its sockets.
    pub fn end_track(&mut self, track: u32, mut last: Datagrams) {
        let Some(line) = self.lines.iter().find(|line| line.track == track) else { return };
        while let Some((of, part, bytes)) = last.first() {
            if of == track {
                // Whether a last word arrives is nobody's affair.
                let _ = line.send(part, bytes);
            }
            last.pop();
        }
        self.remove(track);
    }

    /// Sends these instead of what waits, and lets go of the sockets.
    pub fn end_with(&mut self, last: Datagrams) {
        self.queue = last;
        self.flush();
        self.queue.clear();
        self.lines.clear();
    }

    /// Where packets are added.
    pub fn queue(&mut self) -> &mut Datagrams {
        &mut self.queue
    }

    /// Whether more may be added: a unit waits in the log of the camera until the one before it has left, so that
    /// who is too slow falls behind there.
    pub fn has_room(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a port of the client was closed at some time since [`Self::expect_listener`].
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// From now on the client has to have its ports open.
    pub fn expect_listener(&mut self) {
        self.refused = false;
    }

    /// Sends what may leave now.
    pub fn send(&mut self, now: MonoNs) {
        self.blocked = false;
        while !self.blocked && !self.queue.is_empty() && self.pace.may_send(now) {
            self.send_first();
        }
    }

    /// Sends everything that the system takes: the last words.
    pub fn flush(&mut self) {
        self.blocked = false;
        while !self.blocked && !self.queue.is_empty() {
            self.send_first();
        }
    }

    /// When to [send](Self::send) next; `None` while nothing waits, or it waits for the system.
    pub fn next_send(&self) -> Option<MonoNs> {
        (!self.queue.is_empty() && !self.blocked).then(|| self.pace.next())
    }

    fn send_first(&mut self) {
        let Some((track, part, bytes)) = self.queue.first() else { return };
        let sent = match self.lines.iter().find(|line| line.track == track) {
            Some(line) => line.send(part, bytes),
            None => Ok(0),
        };
        match sent {
            Ok(bytes) => self.pace.sent(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                return;
            }
            // Told of an earlier packet, and this one was not sent: the client may just not be there yet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => self.refused = true,
            Err(error) => tracing::debug!(%error, "datagram not sent"),
        }
        self.queue.pop();
    }

    /// Ready when a report came in, or the system takes datagrams again.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ready = false;
        for line in &self.lines {
            ready |= line.rtcp.poll_recv_ready(cx).is_ready();
            ready |= line.group.as_ref().is_some_and(|it| it.poll_recv_ready(cx).is_ready());
            ready |= self.blocked && line.rtp.poll_send_ready(cx).is_ready();
            ready |= self.blocked && line.rtcp.poll_send_ready(cx).is_ready();
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The reports that came in.
    pub fn reports(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        for line in &self.lines {
            for socket in [Some(&line.rtcp), line.group.as_ref()].into_iter().flatten() {
                line.read(socket, &mut reports);
            }
            self.refused |= line.is_refused();
        }
        reports
    }
}

impl Line {
    fn send(&self, part: Part, bytes: &[u8]) -> io::Result<usize> {
        match part {
            Part::Rtp => self.rtp.try_send(bytes),
            Part::Rtcp => self.rtcp.try_send_to(bytes, self.rtcp_to),
        }
    }

    fn read(&self, socket: &UdpSocket, reports: &mut Vec<Report>) {
        let mut bytes = [0; REPORT_MAX_BYTES];
        for _ in 0..REPORTS_MAX {
            let Ok((count, from)) = socket.try_recv_from(&mut bytes) else { return };
            // To a group we report, too.
            if canonical(from) != self.own {
                let (from, bytes) = (from.ip().to_canonical(), bytes[..count].to_vec());
                reports.push(Report { track: self.track, from, bytes });
            }
        }
    }

    /// Clients open the way through a router with packets to this port; nothing in them is of interest, only whether
    /// the system tells that the client's port is closed.
    fn is_refused(&self) -> bool {
        let mut bytes = [0; REPORT_MAX_BYTES];
        let error = (0..REPORTS_MAX).find_map(|_| self.rtp.try_recv(&mut bytes).err());
        error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    }
}
