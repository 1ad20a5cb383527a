//! Hundreds of viewers over TCP in one thread: each has a socket, a stream and a list of what it saw, no more.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use shmring::clock;

use super::judge::Seen;
use super::units::Units;
use super::wire::{Came, Wire};
use super::{Client, Over};
use crate::{Failure, Outcome};

const READ_BYTES: usize = 64 << 10;
/// How soon it notices that it is to stop.
const LOOK_EVERY_MS: u16 = 100;

/// One of the crowd.
#[derive(Debug)]
struct Viewer {
    socket: TcpStream,
    wire: Wire,
    units: Units,
    seen: Vec<Seen>,
    /// The server ended it.
    ended: bool,
}

impl Viewer {
    fn join(port: u16, url: &str) -> Outcome<Self> {
        let mut client = Client::connect(port)?;
        client.play(url, Over::Tcp)?;
        let (socket, wire) = client.into_parts();
        socket.set_nonblocking(true).map_err(Failure::new)?;
        let mut viewer =
            Self { socket, wire, units: Units::default(), seen: Vec::new(), ended: false };
        viewer.look();
        Ok(viewer)
    }

    /// Takes what is there.
    fn read(&mut self, buffer: &mut [u8]) {
        match self.socket.read(buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                self.wire.push(&buffer[..count]);
                self.look();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.ended = true,
        }
    }

    fn look(&mut self) {
        let now = clock::mono();
        while let Some(came) = self.wire.take() {
            if let Came::Packet { channel: 0, bytes } = came
                && let Some(unit) = self.units.push(bytes)
            {
                self.seen.push(Seen::of(&unit, now));
            }
        }
    }
}

/// What one of them saw.
#[derive(Debug)]
pub struct Watched {
    pub seen: Vec<Seen>,
    pub ended: bool,
}

/// A crowd at work in a thread of its own.
#[derive(Debug)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<Vec<Watched>>>,
}

impl Crowd {
    /// So many viewers, one after the other; all play when this returns.
    pub fn join(count: usize, port: u16, url: &str) -> Outcome<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Failure::new)?;
        let mut viewers = Vec::new();
        for number in 0..count {
            let viewer = Viewer::join(port, url)
                .map_err(|failure| Failure(format!("viewer {number} of {count}: {failure}")))?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
            epoll.add(&viewer.socket, event).map_err(Failure::new)?;
            viewers.push(viewer);
            // Who is in already keeps up while the others come.
            turn(&epoll, &mut viewers, EpollTimeout::ZERO)?;
        }
        let stop = Arc::<AtomicBool>::default();
        let asked = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                turn(&epoll, &mut viewers, EpollTimeout::from(LOOK_EVERY_MS))?;
            }
            let watched = |viewer: Viewer| Watched { seen: viewer.seen, ended: viewer.ended };
            Ok(viewers.into_iter().map(watched).collect())
        });
        Ok(Self { stop, thread })
    }

    /// Everybody leaves.
    pub fn leave(self) -> Outcome<Vec<Watched>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Failure::new("the crowd panicked"))?
    }
}

/// Reads once from everybody who has something.
fn turn(epoll: &Epoll, viewers: &mut [Viewer], wait: EpollTimeout) -> Outcome<()> {
    let mut events = [EpollEvent::empty(); 64];
    let mut buffer = vec![0; READ_BYTES];
    let count = match epoll.wait(&mut events, wait) {
        Err(nix::errno::Errno::EINTR) => 0,
        other => other.map_err(Failure::new)?,
    };
    for event in &events[..count] {
        let Some(viewer) = usize::try_from(event.data()).ok().and_then(|at| viewers.get_mut(at))
        else {
            continue;
        };
        viewer.read(&mut buffer);
        if viewer.ended {
            epoll.delete(&viewer.socket).map_err(Failure::new)?;
        }
    }
    Ok(())
}

/// How little one takes of what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// Nothing at all.
    Stopped,
    /// 1 KB a second.
    Drips,
}

/// A viewer that is too slow for its camera, in a thread of its own; comes again whenever it was ended.
#[derive(Debug)]
pub struct Laggard {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<u64>>,
}

impl Laggard {
    pub fn join(slow: Slow, port: u16, url: &str) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (asked, url) = (Arc::clone(&stop), url.to_owned());
        let thread = thread::spawn(move || {
            let mut times_ended = 0;
            while !asked.load(Ordering::Relaxed) {
                times_ended += u64::from(lag(slow, port, &url, &asked)?);
            }
            Ok(times_ended)
        });
        Self { stop, thread }
    }

    /// How often the server ended it.
    pub fn leave(self) -> Outcome<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| Failure::new("a slow viewer panicked"))?
    }
}

/// Whether the server ended it before it was asked to stop.
fn lag(slow: Slow, port: u16, url: &str, asked: &AtomicBool) -> Outcome<bool> {
    use nix::sys::socket::{setsockopt, sockopt};
    let mut client = Client::connect(port)?;
    // Without this the system holds half a minute of the camera for it.
    setsockopt(&client.socket, sockopt::RcvBuf, &(16 << 10)).map_err(Failure::new)?;
    client.play(url, Over::Tcp)?;
    let (mut socket, _) = client.into_parts();
    let mut bytes = [0; 100];
    let mut turns = 0_u64;
    while !asked.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
        turns += 1;
        // Who reads nothing never learns that it is over: it looks every twenty seconds.
        let looks = slow == Slow::Drips || turns.is_multiple_of(200);
        if looks && matches!(socket.read(&mut bytes), Ok(0) | Err(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}
