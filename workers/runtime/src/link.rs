//! The control link: an inherited SOCK_SEQPACKET socket, one codec frame a datagram.
//!
//! One thread of the runtime receives; any thread sends. A full socket never blocks a worker for
//! long: what cannot be sent within a second is an error, because then the supervisor is stuck or
//! gone and its own deadlines decide.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::codec;
use protocol::control::{Query, ToSupervisor, ToWorker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::fault::Fault;

/// How long a send may wait for room in the socket.
const SEND_WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// How long a question may stay unanswered.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// The worker's end of the control link. Clones share it.
#[derive(Clone, Debug)]
pub struct Link(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    stop: Arc<AtomicBool>,
    orphaned: AtomicBool,
    next_id: AtomicU64,
    waiting: Mutex<HashMap<u64, Sender<String>>>,
}

impl Link {
    pub(crate) fn new(socket: OwnedFd, stop: Arc<AtomicBool>) -> Self {
        Self(Arc::new(Shared {
            socket,
            stop,
            orphaned: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            waiting: Mutex::new(HashMap::new()),
        }))
    }

    /// Asks the supervisor and waits for its JSON answer, 2 s at most.
    pub fn ask(&self, query: Query) -> Result<String, Fault> {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let answer = self.expect_answer(id);
        let received = self.send(&ToSupervisor::Ask { id, query }).and_then(|()| {
            let in_time = answer.recv_timeout(ANSWER_WAIT);
            in_time.map_err(|_| Fault::unavailable("the supervisor did not answer within 2 s"))
        });
        self.waiting().remove(&id);
        received
    }

    fn expect_answer(&self, id: u64) -> Receiver<String> {
        let (sender, receiver) = channel();
        self.waiting().insert(id, sender);
        receiver
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Sender<String>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, message: &ToSupervisor) -> Result<(), Fault> {
        let frame = codec::encode(message).map_err(Fault::failed)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match send(&self.0.socket, &frame, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_for_room()?,
                Err(error) => return Err(Fault::orphaned(format!("control link: {error}"))),
            }
        }
    }

    fn wait_for_room(&self) -> Result<(), Fault> {
        let mut fds = [PollFd::new(&self.0.socket, PollFlags::OUT)];
        match poll(&mut fds, Some(&SEND_WAIT)) {
            Ok(0) => {
                Err(Fault::unavailable("the supervisor has not read its control link for 1 s"))
            }
            _ => Ok(()),
        }
    }

    /// Receives until the supervisor closes; run by a thread of its own.
    pub(crate) fn receive_all(&self) {
        let mut buffer = vec![0; codec::FRAME_MAX_BYTES];
        loop {
            match recv(&self.0.socket, &mut buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                Ok((length, _)) if length > 0 => self.handle(&buffer[..length]),
                Ok(_) | Err(_) => break,
            }
        }
        self.0.orphaned.store(true, Ordering::Release);
        self.0.stop.store(true, Ordering::Release);
    }

    fn handle(&self, frame: &[u8]) {
        match codec::decode(frame) {
            Ok(ToWorker::Stop { .. }) => self.0.stop.store(true, Ordering::Release),
            Ok(ToWorker::Answer { id, body }) => {
                if let Some(asker) = self.waiting().remove(&id) {
                    // The asker may have given up meanwhile.
                    let _ = asker.send(body);
                }
            }
            Err(error) => tracing::warn!(%error, "control message refused"),
        }
    }

    pub(crate) fn is_orphaned(&self) -> bool {
        self.0.orphaned.load(Ordering::Acquire)
    }
}
