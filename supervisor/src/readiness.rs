//! Asking a command's port whether it is up: each in a throw-away thread, because a network makes one
//! wait. It ends with the process it asks for.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use shmring::clock;

use crate::process::ProcessId;
use crate::topology::Readiness;

const PAUSE: Duration = Duration::from_millis(50);
/// For one attempt; the worker's start deadline is for all of them.
const PATIENCE: Duration = Duration::from_secs(1);
/// `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

/// Keeps the asking alive; held by the process that is asked for.
#[derive(Debug, Default)]
pub(crate) struct Asking(Arc<()>);

#[derive(Debug, Default)]
struct Answer {
    is_well: bool,
    /// What is still to be read of it.
    rest: Option<TcpStream>,
}

/// All answers; readable when one has come.
#[derive(Debug)]
pub(crate) struct Probes {
    bell: Arc<EventFd>,
    answer: Sender<ProcessId>,
    answers: Receiver<ProcessId>,
}

impl Probes {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let (answer, answers) = channel();
        Ok(Self { bell: Arc::new(bell), answer, answers })
    }

    /// Asks until it is up or `asking` is gone. Nothing is asked of a command that shows it otherwise.
    pub(crate) fn start(
        &self,
        process: ProcessId,
        readiness: &Readiness,
        asking: &Asking,
    ) -> io::Result<()> {
        let ask: Box<dyn Fn() -> io::Result<Answer> + Send> = match readiness.clone() {
            Readiness::Attach | Readiness::Log(_) => return Ok(()),
            Readiness::Tcp { host, port } => {
                Box::new(move || connect(&host, port).map(|_| Answer { is_well: true, rest: None }))
            }
            Readiness::Http { host, port, path } => Box::new(move || answers(&host, port, &path)),
        };
        let (bell, answer) = (Arc::clone(&self.bell), self.answer.clone());
        let asking: Weak<()> = Arc::downgrade(&asking.0);
        let work = move || {
            while asking.strong_count() > 0 {
                let Answer { is_well, rest } = ask().unwrap_or_default();
                if is_well {
                    // Nobody listens any more when the supervisor ends.
                    let _ = answer.send(process);
                    let _ = bell.write(1);
                }
                if let Some(rest) = rest {
                    hear_out(rest);
                }
                if is_well {
                    return;
                }
                thread::sleep(PAUSE);
            }
        };
        thread::Builder::new().name("readiness".to_owned()).spawn(work).map(drop)
    }

    /// Processes that have answered since.
    pub(crate) fn answered(&self) -> Vec<ProcessId> {
        let _ = self.bell.read();
        self.answers.try_iter().collect()
    }
}

impl AsFd for Probes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn answers(host: &str, port: u16, path: &str) -> io::Result<Answer> {
    let mut stream = connect(host, port)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut status = [0; STATUS_BYTES];
    stream.read_exact(&mut status)?;
    Ok(Answer { is_well: is_well(&status), rest: Some(stream) })
}

/// Reads on for a while: a server that finds its client gone in the middle of an answer complains of it.
fn hear_out(mut answer: TcpStream) {
    let until = clock::mono() + PATIENCE;
    let mut rest = [0; 8192];
    while clock::mono() < until && answer.read(&mut rest).is_ok_and(|bytes| bytes > 0) {}
}

/// RFC 9112, section 4: `HTTP/1.1 SP 3DIGIT`; below 400 is no error.
fn is_well(status: &[u8; STATUS_BYTES]) -> bool {
    let [version @ .., b' ', class, tens, ones] = status else { return false };
    version.starts_with(b"HTTP/1.")
        && (b'1'..b'4').contains(class)
        && tens.is_ascii_digit()
        && ones.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};

    use super::*;

    #[test]
    fn a_server_can_say_its_whole_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut asked = [0; 512];
            assert!(client.read(&mut asked).unwrap() > 0);
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            client.write_all(&[b'x'; 1 << 20]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            // A client that left something unread resets the connection.
            client.read(&mut asked)
        });
        let Answer { is_well, rest } = answers("127.0.0.1", port, "/").unwrap();
        assert!(is_well);
        hear_out(rest.unwrap());
        assert_eq!(server.join().unwrap().unwrap(), 0);
    }

    #[test]
    fn a_status_below_400_is_well() {
        for (status, well) in [
            (b"HTTP/1.1 200", true),
            (b"HTTP/1.0 302", true),
            (b"HTTP/1.1 404", false),
            (b"HTTP/1.1 503", false),
            (b"HTTP/1.1 2xx", false),
            (b"SSH-2.0-Open", false),
        ] {
            assert_eq!(is_well(status), well, "{}", String::from_utf8_lossy(status));
        }
    }
}
