//! The control link: an inherited SOCK_SEQPACKET socket, one codec frame a datagram.
//!
//! One thread of the runtime receives; any thread sends. A full socket never blocks a worker for
//! long: what cannot be sent within a second is an error, because then the supervisor is stuck or
//! gone and its own deadlines decide.
//!
//! A worker that may be adopted goes on when the link ends: what it would say is dropped until another
//! supervisor comes, which is then told its condition.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use protocol::codec;
use protocol::control::{Condition, Joint, Query, ToSupervisor, ToWorker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::adoption::{self, Adoption};
use crate::drill;
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
    socket: Mutex<Arc<OwnedFd>>,
    /// Set once, when the worker is ready: from then on it may outlive its supervisor.
    adoption: OnceLock<Adoption>,
    /// As last told.
    condition: Mutex<Option<(Condition, String)>>,
    stop: Arc<AtomicBool>,
    orphaned: AtomicBool,
    next_id: AtomicU64,
    draining: AtomicBool,
    take_over: Mutex<Option<Joint>>,
    waiting: Mutex<HashMap<u64, Sender<String>>>,
    /// To be answered, oldest first.
    messages: Mutex<VecDeque<Message>>,
}

/// Somebody's message, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u64,
    /// JSON text.
    pub(crate) body: String,
}

impl Link {
    pub(crate) fn new(socket: OwnedFd, stop: Arc<AtomicBool>) -> Self {
        Self(Arc::new(Shared {
            socket: Mutex::new(Arc::new(socket)),
            adoption: OnceLock::new(),
            condition: Mutex::new(None),
            stop,
            orphaned: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            take_over: Mutex::new(None),
            waiting: Mutex::new(HashMap::new()),
            messages: Mutex::default(),
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
        held(&self.0.waiting)
    }

    pub(crate) fn send(&self, message: &ToSupervisor) -> Result<(), Fault> {
        if let ToSupervisor::Condition { condition, why } = message {
            *held(&self.0.condition) = Some((*condition, why.clone()));
        }
        let frame = codec::encode(message).map_err(Fault::failed)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let socket = self.socket();
        loop {
            match send(&socket, &frame, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait_for_room(&socket)?,
                // The next supervisor is told what matters when it comes.
                Err(_) if self.0.adoption.get().is_some() => return Ok(()),
                Err(error) => return Err(Fault::orphaned(format!("control link: {error}"))),
            }
        }
    }

    fn socket(&self) -> Arc<OwnedFd> {
        Arc::clone(&held(&self.0.socket))
    }

    /// From now on the end of the link is not the end of the worker. To be called by its main thread,
    /// which the death signal belongs to.
    pub(crate) fn outlive_the_supervisor(&self, adoption: Adoption) -> Result<(), Fault> {
        adoption.begin()?;
        let set = self.0.adoption.set(adoption);
        set.map_err(|_| Fault::failed("the worker got ready twice"))
    }

    /// Waits for another supervisor and goes on with it; false when the worker is to end.
    fn is_adopted(&self) -> bool {
        let Some(adoption) = self.0.adoption.get() else { return false };
        if self.0.stop.load(Ordering::Acquire) {
            return false;
        }
        let Some(socket) = adoption.wait() else {
            tracing::error!("no other supervisor came");
            return false;
        };
        *held(&self.0.socket) = Arc::new(socket);
        // Questions of before are answered by nobody; whoever asked gives up by itself.
        let condition = held(&self.0.condition).clone();
        if let Some((condition, why)) = condition {
            // An end of this link too shows where it is received from.
            let _ = self.send(&ToSupervisor::Condition { condition, why });
        }
        true
    }

    /// Receives until there is no supervisor any more; run by a thread of its own.
    pub(crate) fn receive_all(&self) {
        loop {
            self.receive_until_closed();
            if !self.is_adopted() {
                break;
            }
        }
        self.0.orphaned.store(true, Ordering::Release);
        self.0.stop.store(true, Ordering::Release);
        if self.0.adoption.get().is_some() {
            adoption::end_in_time();
        }
    }

    fn receive_until_closed(&self) {
        let socket = self.socket();
        let mut buffer = vec![0; codec::FRAME_MAX_BYTES];
        loop {
            match recv(&socket, &mut buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                Ok((length, _)) if length > 0 => self.handle(&buffer[..length]),
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn handle(&self, frame: &[u8]) {
        match codec::decode(frame) {
            Ok(ToWorker::Hang) => drill::hang(),
            Ok(ToWorker::Stop { .. }) => self.0.stop.store(true, Ordering::Release),
            Ok(ToWorker::Drain) => self.0.draining.store(true, Ordering::Release),
            Ok(ToWorker::Message { id, body }) => {
                held(&self.0.messages).push_back(Message { id, body });
            }
            Ok(ToWorker::TakeOver { from }) => *self.take_over_slot() = Some(from),
            Ok(ToWorker::Answer { id, body }) => {
                if let Some(asker) = self.waiting().remove(&id) {
                    // The asker may have given up meanwhile.
                    let _ = asker.send(body);
                }
            }
            Err(error) => tracing::warn!(%error, "control message refused"),
        }
    }

    /// The next message that waits for a reply.
    pub(crate) fn take_message(&self) -> Option<Message> {
        held(&self.0.messages).pop_front()
    }

    /// Whether a successor is ready.
    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Where to take over, once it is time.
    pub(crate) fn take_over(&self) -> Option<Joint> {
        self.take_over_slot().take()
    }

    fn take_over_slot(&self) -> MutexGuard<'_, Option<Joint>> {
        self.0.take_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_orphaned(&self) -> bool {
        self.0.orphaned.load(Ordering::Acquire)
    }
}

fn wait_for_room(socket: &OwnedFd) -> Result<(), Fault> {
    let mut fds = [PollFd::new(socket, PollFlags::OUT)];
    match poll(&mut fds, Some(&SEND_WAIT)) {
        Ok(0) => Err(Fault::unavailable("the supervisor has not read its control link for 1 s")),
        _ => Ok(()),
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
