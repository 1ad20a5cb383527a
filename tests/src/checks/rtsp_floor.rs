//! What the kernel alone takes for a viewer: as many bytes as often, written to as many sockets by a loop that does nothing
//! else. No server can serve for less by these calls.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use shmring::clock;

use super::FPS;
use crate::processes::own_cpu_ns;
use crate::{Failure, Outcome};

/// An access unit of 2 Mbit/s at [`FPS`].
const UNIT_BYTES: usize = 10_000;
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / FPS);
/// How often who reads looks whether it is over, in ms.
const LOOK_MS: u16 = 50;

/// Of one viewer, in percent of a processor.
pub(super) fn percent_a_viewer(viewers: usize, window: Duration) -> Outcome<f64> {
    let (ours, theirs) = pairs(viewers)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading = scope.spawn(|| drain(theirs, &over));
        let spent = write(ours, window);
        over.store(true, Ordering::Relaxed);
        reading.join().map_err(|_| Failure::new("who reads panicked"))??;
        Ok(spent? as f64 / window.as_nanos() as f64 * 100.0 / viewers as f64)
    })
}

fn pairs(count: usize) -> Outcome<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::new)?;
    let address = listener.local_addr().map_err(Failure::new)?;
    let pair = |_| -> std::io::Result<(TcpStream, TcpStream)> {
        let theirs = TcpStream::connect(address)?;
        theirs.set_nonblocking(true)?;
        let (ours, _) = listener.accept()?;
        ours.set_nodelay(true)?;
        Ok((ours, theirs))
    };
    (0..count).map(pair).collect::<std::io::Result<_>>().map_err(Failure::new)
}

/// Processor time of this thread for it, in ns.
fn write(mut sockets: Vec<TcpStream>, window: Duration) -> Outcome<u64> {
    let unit = vec![7; UNIT_BYTES];
    let (before, mut due) = (own_cpu_ns()?, clock::mono());
    let end = due + window;
    while due < end {
        for socket in &mut sockets {
            socket.write_all(&unit).map_err(Failure::new)?;
        }
        due = due + PERIOD;
        thread::sleep(due.saturating_since(clock::mono()));
    }
    Ok(own_cpu_ns()? - before)
}

/// Reads as viewers do: each is woken for as it comes.
fn drain(mut sockets: Vec<TcpStream>, over: &AtomicBool) -> Outcome<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(Failure::new)?;
    for (number, socket) in (0..).zip(&sockets) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        epoll.add(socket, event).map_err(Failure::new)?;
    }
    let (mut bytes, mut events) = (vec![0; 64 << 10], [EpollEvent::empty(); 64]);
    while !over.load(Ordering::Relaxed) {
        let count = epoll.wait(&mut events, EpollTimeout::from(LOOK_MS)).map_err(Failure::new)?;
        for event in &events[..count] {
            let Some(socket) =
                usize::try_from(event.data()).ok().and_then(|at| sockets.get_mut(at))
            else {
                continue;
            };
            match socket.read(&mut bytes) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(Failure::new(error)),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_to_a_few_sockets_takes_some_of_a_processor_and_not_all_of_it() {
        let percent = percent_a_viewer(3, Duration::from_millis(400)).unwrap();
        assert!(percent > 0.0 && percent < 100.0, "{percent}");
    }
}
