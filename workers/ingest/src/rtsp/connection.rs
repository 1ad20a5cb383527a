//! The connection to a camera: requests out, answers and packets in, each within a time.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::time::MonoNs;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use shmring::clock;

use super::STOP_POLL;
use super::auth::Auth;
use super::error::RtspError;
use super::message::{Answer, Inbox, Incoming, request};
use super::resolve::{self, Unresolved};
use super::url::{Credentials, Url};

/// A camera that does not take a request within this is not there.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    local: IpAddr,
    name: String,
    inbox: Inbox,
    /// That came so far.
    bytes: u64,
    sequence: u32,
    has_odd_sequence: bool,
    session: Option<String>,
    credentials: Option<Credentials>,
    auth: Auth,
    /// A request was refused for a challenge that had grown old; the next one has the new one.
    stale: bool,
    stop: Arc<AtomicBool>,
    /// Until when requests are to be answered.
    deadline: MonoNs,
}

impl Connection {
    /// `name` is what errors call it. Everything up to PLAY has to be done by `deadline`.
    pub(crate) fn open(
        url: &Url,
        name: &str,
        stop: Arc<AtomicBool>,
        deadline: MonoNs,
    ) -> Result<Self, RtspError> {
        let stream = connect(url, name, deadline, &stop)?;
        let io = |source| RtspError::io(name, "connecting", source);
        stream.set_nodelay(true).map_err(io)?;
        // Who waits for nothing else waits in the reading itself: each wait is one system call, and not two.
        stream.set_read_timeout(Some(STOP_POLL)).map_err(io)?;
        Ok(Self {
            peer: stream.peer_addr().map_err(io)?,
            local: stream.local_addr().map_err(io)?.ip(),
            stream,
            name: name.to_owned(),
            inbox: Inbox::default(),
            bytes: 0,
            sequence: 0,
            has_odd_sequence: false,
            session: None,
            credentials: url.credentials.clone(),
            auth: Auth::default(),
            stale: false,
            stop,
            deadline,
        })
    }

    /// Whether an answer had another number than its request.
    pub(crate) fn has_odd_sequence(&self) -> bool {
        self.has_odd_sequence
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn local(&self) -> IpAddr {
        self.local
    }

    pub(crate) fn set_session(&mut self, session: String) {
        self.session = Some(session);
    }

    /// Asks, and waits for the answer. A camera that wants to know who asks is told once.
    pub(crate) fn ask(
        &mut self,
        method: &'static str,
        url: &str,
        headers: &[(&str, String)],
    ) -> Result<Answer, RtspError> {
        let had_told = self.tell(method, url, headers)?;
        let answer = self.answer(method)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let refused = || RtspError::Unauthorized { name: self.name.clone() };
        if self.credentials.is_none() || had_told && !is_stale(&answer) {
            return Err(refused());
        }
        if !self.auth.challenge(answer.headers("WWW-Authenticate")) {
            return Err(refused());
        }
        self.tell(method, url, headers)?;
        match self.answer(method)? {
            answer if answer.status == 401 => {
                Err(RtspError::Unauthorized { name: self.name.clone() })
            }
            answer => Ok(answer),
        }
    }

    /// Sends a request whose answer nobody waits for; whether it had credentials with it.
    pub(crate) fn tell(
        &mut self,
        method: &'static str,
        url: &str,
        headers: &[(&str, String)],
    ) -> Result<bool, RtspError> {
        self.sequence += 1;
        let mut all = vec![
            ("CSeq", self.sequence.to_string()),
            ("User-Agent", concat!("framevisor/", env!("CARGO_PKG_VERSION")).to_owned()),
        ];
        all.extend(headers.iter().cloned());
        if let Some(session) = &self.session {
            all.push(("Session", session.clone()));
        }
        let authorization = self
            .credentials
            .as_ref()
            .and_then(|credentials| self.auth.authorization(credentials, method, url));
        let has_told = authorization.is_some();
        all.extend(authorization.map(|text| ("Authorization", text)));
        self.send(request(method, url, &all).as_bytes())?;
        Ok(has_told)
    }

    /// Sends bytes; an interleaved packet of ours, for one.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), RtspError> {
        let sent = write(&self.stream, bytes);
        sent.map_err(|source| RtspError::io(&self.name, "sending a request", source))
    }

    /// Waits for bytes, here or on `others`, at most until `until`, and takes what came over the connection;
    /// whether that was something.
    pub(crate) fn receive(
        &mut self,
        others: &[BorrowedFd<'_>],
        until: MonoNs,
        doing: &'static str,
    ) -> Result<bool, RtspError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(RtspError::Stopping);
        }
        let rest = until.saturating_since(clock::mono());
        if others.is_empty() && rest >= STOP_POLL {
            return self.fill(RecvFlags::empty(), doing);
        }
        let mut sockets = vec![self.stream.as_fd()];
        sockets.extend_from_slice(others);
        readable(&sockets, rest.min(STOP_POLL));
        self.fill(RecvFlags::DONTWAIT, doing)
    }

    fn fill(&mut self, flags: RecvFlags, doing: &'static str) -> Result<bool, RtspError> {
        match recv(&self.stream, spare_capacity(self.inbox.room()), flags) {
            Ok((_, 0)) => Err(RtspError::Closed { name: self.name.clone(), doing }),
            Ok((_, bytes)) => {
                self.bytes += u64::try_from(bytes).unwrap_or(0);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(RtspError::io(&self.name, doing, error.into())),
        }
    }

    /// Whether a request that nobody waits for was refused since this was asked last, and is worth another
    /// try.
    pub(crate) fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.stale)
    }

    /// Gives each packet that came to `take`. Answers are to keep-alives and say nothing but that the
    /// session is over, or the challenge; requests are answered.
    pub(crate) fn packets(&mut self, mut take: impl FnMut(u8, &[u8])) -> Result<(), RtspError> {
        loop {
            match self.inbox.next() {
                Ok(None) => return Ok(()),
                Ok(Some(Incoming::Packet { channel, payload })) => take(channel, payload),
                Ok(Some(Incoming::Answer(answer))) if answer.status == 454 => {
                    let doing = "keeping the session";
                    return Err(RtspError::Closed { name: self.name.clone(), doing });
                }
                Ok(Some(Incoming::Answer(answer))) if answer.status == 401 && is_stale(&answer) => {
                    self.stale |= self.auth.challenge(answer.headers("WWW-Authenticate"));
                }
                Ok(Some(Incoming::Answer(_))) => {}
                Ok(Some(Incoming::Request(request))) => self.agree(request.sequence())?,
                Err(_) => return Err(RtspError::NotRtsp { name: self.name.clone() }),
            }
        }
    }

    fn agree(&mut self, sequence: &str) -> Result<(), RtspError> {
        self.send(format!("RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n\r\n").as_bytes())
    }

    /// The next answer. Its CSeq is not looked at: some cameras have their own idea of it, and nothing
    /// else is asked meanwhile.
    fn answer(&mut self, doing: &'static str) -> Result<Answer, RtspError> {
        let before = self.bytes;
        loop {
            match self.inbox.next() {
                Ok(Some(Incoming::Answer(answer))) if answer.status != 100 => {
                    let told = answer.header("CSeq").and_then(|text| text.parse().ok());
                    self.has_odd_sequence |= told != Some(self.sequence);
                    return Ok(answer);
                }
                Ok(Some(Incoming::Request(request))) => {
                    self.agree(request.sequence())?;
                    continue;
                }
                Ok(Some(_)) => continue, // packets may come before the answer to PLAY
                Ok(None) => {}
                Err(_) => return Err(RtspError::NotRtsp { name: self.name.clone() }),
            }
            if clock::mono() > self.deadline {
                return Err(self.too_late(doing, self.bytes - before));
            }
            self.receive(&[], self.deadline + STOP_POLL, doing)?;
        }
    }

    fn too_late(&self, doing: &'static str, bytes: u64) -> RtspError {
        let (name, seconds) = (self.name.clone(), super::PATIENCE_S);
        if bytes > 0 {
            RtspError::Drip { name, doing, bytes, seconds }
        } else {
            RtspError::Silent { name, doing, seconds }
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether the password was right and only the challenge was too old.
fn is_stale(answer: &Answer) -> bool {
    let mut challenges = answer.headers("WWW-Authenticate");
    challenges.any(|text| text.to_ascii_lowercase().contains("stale=true"))
}

/// Tries the host's addresses one after the other; one that does not answer leaves time for the others.
fn connect(
    url: &Url,
    name: &str,
    deadline: MonoNs,
    stop: &AtomicBool,
) -> Result<TcpStream, RtspError> {
    let addresses = addresses(url, name, deadline, stop)?;
    let mut last = std::io::Error::from(ErrorKind::NotFound);
    for (at, address) in addresses.iter().enumerate() {
        let rest = deadline.saturating_since(clock::mono());
        match TcpStream::connect_timeout(address, share(rest, addresses.len() - at)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(RtspError::io(name, "connecting", last))
}

fn addresses(
    url: &Url,
    name: &str,
    deadline: MonoNs,
    stop: &AtomicBool,
) -> Result<Vec<SocketAddr>, RtspError> {
    if let Ok(ip) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, url.port)]);
    }
    let (host, port) = (url.host.clone(), url.port);
    let look_up = move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
    resolve::within(look_up, deadline, stop).map_err(|unresolved| match unresolved {
        Unresolved::Stopping => RtspError::Stopping,
        Unresolved::Failed(source) => RtspError::Resolve { name: name.to_owned(), source },
    })
}

/// The time for the next of `left` addresses.
fn share(rest: Duration, left: usize) -> Duration {
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    (rest / left).max(Duration::from_millis(1))
}

/// Writes all of it; who does not take it in time is not there.
pub(super) fn write(stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    let deadline = clock::mono() + WRITE_PATIENCE;
    while !bytes.is_empty() {
        match send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if clock::mono() > deadline {
                    return Err(ErrorKind::TimedOut.into());
                }
                wait(&[stream.as_fd()], PollFlags::OUT, STOP_POLL);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Until something came to one of them, or the time is over.
pub(super) fn readable(sockets: &[BorrowedFd<'_>], most: Duration) {
    wait(sockets, PollFlags::IN, most);
}

/// Until one of them is ready, or the time is over; whatever it is, the caller looks again.
fn wait(sockets: &[BorrowedFd<'_>], what: PollFlags, most: Duration) {
    let mut fds: Vec<PollFd<'_>> =
        sockets.iter().map(|socket| PollFd::from_borrowed_fd(*socket, what)).collect();
    let timeout = Timespec::try_from(most).ok();
    let _ = poll(&mut fds, timeout.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_dead_leaves_time_for_the_others() {
        let seconds = Duration::from_secs;
        assert_eq!(
            [3, 2, 1].map(|left| share(seconds(9), left)),
            [seconds(3), Duration::from_millis(4500), seconds(9)]
        );
        assert_eq!(share(Duration::ZERO, 2), Duration::from_millis(1));
    }
}
