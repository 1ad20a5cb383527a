//! The control link of one worker: a SOCK_SEQPACKET pair, one message a datagram.
//!
//! Nothing here waits, and nothing a worker sends can harm anyone but itself: what is too long, too
//! often or out of order is a [`Violation`], and the supervisor ends the process that sent it.

mod conversation;
mod handed_on;
mod json;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use protocol::codec::{self, FRAME_MAX_BYTES};
use protocol::control::{Condition, Happening, Joint, Query, ToWorker};
use protocol::time::MonoNs;
use serde_json::Value;

use crate::facts::Facts;
use crate::meter::Meter;
use conversation::Conversation;
pub(crate) use handed_on::Handed;

/// A worker has a handful of things to say a second; a page that asks for the worker list more.
const MESSAGES_PER_SECOND: u32 = 500;
/// Of those of a `run:` worker so many may be questions: each answer is the list of all workers, made anew.
const QUESTIONS_PER_SECOND: u32 = 20;
/// Of a `run:` worker so many other conditions are heeded: each is a line of the history that all workers share, and may
/// start hooks. What it says beyond that it has to say again.
const TURNS_PER_SECOND: u32 = 5;
/// Messages kept for a worker that does not read right now, beyond what its socket holds.
const QUEUE_MAX: usize = 16;

/// How a worker broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("{0}")]
    Frame(String),
    #[error("message of {seen} bytes: at most {FRAME_MAX_BYTES} are allowed")]
    TooLong { seen: usize },
    #[error("more than {MESSAGES_PER_SECOND} messages a second")]
    Flood,
    #[error("{said} {when}")]
    Order { said: &'static str, when: &'static str },
    #[error("speaks control version {seen}: this supervisor speaks {expected}")]
    Version { seen: u32, expected: u32 },
    #[error("hands over at '{seen}': expected a socket in its own TMPDIR")]
    HandOver { seen: String },
    #[error("does not read its control link")]
    Deaf,
    #[error("closed its control link")]
    Closed,
}

/// Why a message does not reach a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undelivered {
    #[error("does not listen: it has not said hello over its control link")]
    Silent,
    #[error("does not read its control link")]
    Deaf,
    #[error("cannot take {seen} bytes at once: at most {FRAME_MAX_BYTES} are allowed")]
    TooLong { seen: usize },
}

/// Which form a worker's messages have: chosen by `use:` or `run:`, never by looking at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// `use:`: frames of `protocol::codec`.
    Frames,
    /// `run:`: one JSON object a datagram.
    Json,
}

/// What a worker said, in either language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Ask {
        id: u64,
        query: Query,
    },
    Condition(Condition, String),
    Happened(Told),
    /// A built-in worker waits for its start-up at this one-shot server.
    HandOver(String),
    /// A `run:` worker will tell when it is ready.
    Greeted,
    Ready,
    /// To a message that was delivered under this number; an error is in the worker's own words.
    Reply {
        to: u64,
        result: Result<Value, String>,
    },
    /// Goodbye; its exit follows.
    Stopped,
    /// It leaves its ring to its successor; its exit follows.
    Yielded(Joint),
    /// Nothing for the supervisor to do; it was answered.
    Answered,
}

/// What a worker tells people and hooks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) what: Happening,
    /// Of whom.
    pub(crate) subject: String,
    pub(crate) why: String,
    pub(crate) data: Option<Facts>,
}

/// One look at the socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Message(Heard),
    Nothing,
    Closed,
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Link {
    socket: OwnedFd,
    language: Language,
    conversation: Conversation,
    meter: Meter,
    questions: Meter,
    turns: Meter,
    /// The condition of a `run:` worker that was heeded last.
    heeded: Option<Condition>,
    queue: VecDeque<Vec<u8>>,
    /// A `run:` worker said hello, so it reads what it is sent.
    listens: bool,
}

/// A new link: the supervisor's end, and the worker's to be inherited.
pub(crate) fn pair(language: Language) -> io::Result<(Link, OwnedFd)> {
    let (socket, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let link = Link {
        socket,
        language,
        conversation: Conversation::default(),
        meter: Meter::new(MESSAGES_PER_SECOND),
        questions: Meter::new(QUESTIONS_PER_SECOND),
        turns: Meter::new(TURNS_PER_SECOND),
        heeded: None,
        queue: VecDeque::new(),
        listens: false,
    };
    Ok((link, theirs))
}

impl Link {
    /// Takes one message. Descriptors that came with it are closed by the kernel: there is no room
    /// for them in the call.
    pub(crate) fn receive(&mut self, now: MonoNs) -> Result<Received, Violation> {
        let mut buffer = [0; FRAME_MAX_BYTES];
        let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        let length = match recv(self.socket.as_raw_fd(), &mut buffer, flags) {
            Ok(0) | Err(Errno::ECONNRESET) => return Ok(Received::Closed),
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Received::Nothing),
            Err(errno) => return Err(Violation::Frame(errno.to_string())),
        };
        let bytes = buffer.get(..length).ok_or(Violation::TooLong { seen: length })?;
        if !self.meter.allows(now) {
            return Err(Violation::Flood);
        }
        self.understand(now, bytes).map(Received::Message)
    }

    fn understand(&mut self, now: MonoNs, bytes: &[u8]) -> Result<Heard, Violation> {
        match self.language {
            Language::Frames => {
                let message =
                    codec::decode(bytes).map_err(|error| Violation::Frame(error.to_string()))?;
                self.conversation.hear(message)
            }
            Language::Json => match json::parse(bytes)? {
                json::Said::Heard { id, heard: Heard::Ask { .. } }
                    if !self.questions.allows(now) =>
                {
                    self.post(json::refusal(id, json::too_many(QUESTIONS_PER_SECOND)));
                    Ok(Heard::Answered)
                }
                json::Said::Heard { id, heard } => {
                    self.reply_to(id, &heard);
                    Ok(if self.heeds(now, &heard) { heard } else { Heard::Answered })
                }
                json::Said::Unknown { id, error } => {
                    self.post(json::refusal(id, error));
                    Ok(Heard::Answered)
                }
            },
        }
    }

    /// Whether what a `run:` worker says changes anything: of its greetings the first does, of its conditions one that
    /// is the last one or not one of too many.
    fn heeds(&mut self, now: MonoNs, heard: &Heard) -> bool {
        match heard {
            Heard::Greeted => !std::mem::replace(&mut self.listens, true),
            Heard::Condition(condition, _) => {
                let is_heeded = self.heeded == Some(*condition) || self.turns.allows(now);
                if is_heeded {
                    self.heeded = Some(*condition);
                }
                is_heeded
            }
            _ => true,
        }
    }

    /// A question is answered later, by [`Link::send`].
    fn reply_to(&mut self, id: u64, heard: &Heard) {
        if id != 0 && !matches!(heard, Heard::Ask { .. }) {
            self.post(json::acknowledgement(id));
        }
    }

    pub(crate) fn send(&mut self, message: &ToWorker) -> Result<(), Violation> {
        match self.language {
            Language::Frames => {
                let frame =
                    codec::encode(message).map_err(|error| Violation::Frame(error.to_string()))?;
                self.queue.push_back(frame);
                self.flush();
                if self.queue.len() > QUEUE_MAX {
                    return Err(Violation::Deaf);
                }
            }
            Language::Json => self.post(json::render(message)),
        }
        Ok(())
    }

    /// Gives a worker somebody's message. It is never dropped silently.
    pub(crate) fn deliver(&mut self, number: u64, message: &Value) -> Result<(), Undelivered> {
        if !self.listens && !self.conversation.is_ready() {
            return Err(Undelivered::Silent);
        }
        let message = match self.language {
            Language::Frames => {
                let body = message.to_string();
                let seen = body.len();
                let framed = codec::encode(&ToWorker::Message { id: number, body });
                framed.map_err(|_| Undelivered::TooLong { seen })?
            }
            Language::Json => json::message(number, message),
        };
        if message.len() > FRAME_MAX_BYTES {
            return Err(Undelivered::TooLong { seen: message.len() });
        }
        self.flush();
        if self.queue.len() >= QUEUE_MAX {
            return Err(Undelivered::Deaf);
        }
        self.post(message);
        Ok(())
    }

    /// To a worker that may well never read it: what it leaves unread is dropped.
    fn post(&mut self, message: Vec<u8>) {
        if self.queue.len() < QUEUE_MAX && message.len() <= FRAME_MAX_BYTES {
            self.queue.push_back(message);
        }
        self.flush();
    }

    /// Sends what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        while let Some(message) = self.queue.front() {
            match send(self.socket.as_raw_fd(), message, flags) {
                Err(Errno::EAGAIN) => return,
                // Sent, or nobody is there to take it: its end shows elsewhere.
                Ok(_) | Err(_) => self.queue.pop_front(),
            };
        }
    }

    pub(crate) fn wants_write(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::control::{CONTROL_VERSION, ToSupervisor};

    const NOW: MonoNs = MonoNs(1_000_000_000);

    fn say(theirs: &OwnedFd, bytes: &[u8]) {
        send(theirs.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT).unwrap();
    }

    fn hear(theirs: &OwnedFd) -> Vec<u8> {
        let mut buffer = [0; 1000];
        let length = recv(theirs.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn a_built_in_worker_says_hello_and_ready() {
        let (mut link, theirs) = pair(Language::Frames).unwrap();
        assert_eq!(link.receive(NOW), Ok(Received::Nothing));
        let hello = ToSupervisor::Hello { version: CONTROL_VERSION, hand_over: "/x/socket".into() };
        say(&theirs, &codec::encode(&hello).unwrap());
        say(&theirs, &codec::encode(&ToSupervisor::Ready).unwrap());
        let heard = |heard| Ok(Received::Message(heard));
        assert_eq!(link.receive(NOW), heard(Heard::HandOver("/x/socket".into())));
        assert_eq!(link.receive(NOW), heard(Heard::Ready));
        drop(theirs);
        assert_eq!(link.receive(NOW), Ok(Received::Closed));
    }

    #[test]
    fn garbage_oversize_and_floods_are_violations() {
        let (mut link, theirs) = pair(Language::Frames).unwrap();
        say(&theirs, &[7; 10]);
        assert!(matches!(link.receive(NOW), Err(Violation::Frame(_))));
        say(&theirs, &vec![1; FRAME_MAX_BYTES + 1]);
        let seen = FRAME_MAX_BYTES + 1;
        assert_eq!(link.receive(NOW), Err(Violation::TooLong { seen }));
        let (mut link, theirs) = pair(Language::Json).unwrap();
        let flooded = (0..=MESSAGES_PER_SECOND).find_map(|_| {
            say(&theirs, br#"{"v":1,"id":0,"verb":"ready"}"#);
            link.receive(NOW).err()
        });
        assert_eq!(flooded, Some(Violation::Flood));
    }

    #[test]
    fn a_command_that_asks_without_end_is_refused_until_the_next_second() {
        let (mut link, theirs) = pair(Language::Json).unwrap();
        let mut ask = |now| {
            say(&theirs, br#"{"v":1,"id":4,"verb":"ps"}"#);
            link.receive(now).unwrap()
        };
        let asked =
            (0..100).filter(|_| matches!(ask(NOW), Received::Message(Heard::Ask { .. }))).count();
        assert_eq!(asked, usize::try_from(QUESTIONS_PER_SECOND).unwrap());
        let later = NOW + std::time::Duration::from_secs(1);
        assert!(matches!(ask(later), Received::Message(Heard::Ask { .. })));
        let refusal: protocol::admin::Reply = serde_json::from_slice(&hear(&theirs)).unwrap();
        assert_eq!((refusal.id, refusal.error.unwrap().code), (4, "busy".into()));
    }

    #[test]
    fn a_command_begins_once_however_often_it_says_hello() {
        let (mut link, theirs) = pair(Language::Json).unwrap();
        let heard: Vec<Received> = (0..3)
            .map(|_| {
                say(&theirs, br#"{"v":1,"id":0,"verb":"hello"}"#);
                link.receive(NOW).unwrap()
            })
            .collect();
        let again = || Received::Message(Heard::Answered);
        assert_eq!(heard, [Received::Message(Heard::Greeted), again(), again()]);
        assert!(link.deliver(1, &serde_json::json!("message")).is_ok());
    }

    #[test]
    fn a_command_that_cannot_make_up_its_mind_is_heeded_a_few_times_a_second() {
        let (mut link, theirs) = pair(Language::Json).unwrap();
        let mut told = |now, condition: &str| {
            let args = format!(r#"{{"condition":"{condition}","why":"x"}}"#);
            let said = format!(r#"{{"v":1,"id":0,"verb":"condition","args":{args}}}"#);
            say(&theirs, said.as_bytes());
            matches!(link.receive(now).unwrap(), Received::Message(Heard::Condition(..)))
        };
        let turns = (0..50).filter(|_| told(NOW, "degraded") && told(NOW, "flowing")).count();
        assert!(turns < 4, "{turns}");
        // It may say the same as often as it likes, and in the end it is heard.
        let later = NOW + std::time::Duration::from_secs(2);
        assert!((0..100).all(|_| told(later, "parked")));
    }

    #[test]
    fn a_worker_that_never_reads_is_deaf_and_nobody_waits_for_it() {
        let (mut link, _theirs) = pair(Language::Frames).unwrap();
        let message = ToWorker::Answer { id: 1, body: "x".repeat(10_000) };
        let deaf = (0..1000).find_map(|_| link.send(&message).err());
        assert_eq!(deaf, Some(Violation::Deaf));
        let (mut link, _theirs) = pair(Language::Json).unwrap();
        assert!((0..1000).all(|_| link.send(&message).is_ok()));
    }

    #[test]
    fn a_built_in_worker_that_is_ready_takes_messages_and_replies() {
        let (mut link, theirs) = pair(Language::Frames).unwrap();
        let message = serde_json::json!({"record": {}});
        assert_eq!(link.deliver(7, &message), Err(Undelivered::Silent));
        let hello = ToSupervisor::Hello { version: CONTROL_VERSION, hand_over: "/x/socket".into() };
        for said in [hello, ToSupervisor::Ready] {
            say(&theirs, &codec::encode(&said).unwrap());
            link.receive(NOW).unwrap();
        }
        link.deliver(7, &message).unwrap();
        let body = message.to_string();
        assert_eq!(codec::decode(&hear(&theirs)).ok(), Some(ToWorker::Message { id: 7, body }));
        let long = serde_json::json!("x".repeat(FRAME_MAX_BYTES));
        assert!(matches!(link.deliver(8, &long), Err(Undelivered::TooLong { .. })));
        let reply = ToSupervisor::Reply { to: 7, result: Ok("[1]".into()) };
        say(&theirs, &codec::encode(&reply).unwrap());
        let heard = Heard::Reply { to: 7, result: Ok(serde_json::json!([1])) };
        assert_eq!(link.receive(NOW), Ok(Received::Message(heard)));
        let reply = ToSupervisor::Reply { to: 7, result: Ok("[".into()) };
        say(&theirs, &codec::encode(&reply).unwrap());
        assert!(matches!(link.receive(NOW), Err(Violation::Frame(_))));
    }

    #[test]
    fn a_command_is_answered_in_json() {
        let (mut link, theirs) = pair(Language::Json).unwrap();
        say(&theirs, br#"{"v":1,"id":4,"verb":"dance"}"#);
        assert_eq!(link.receive(NOW), Ok(Received::Message(Heard::Answered)));
        let refusal: protocol::admin::Reply = serde_json::from_slice(&hear(&theirs)).unwrap();
        assert_eq!((refusal.id, refusal.error.unwrap().code), (4, "verb".into()));
        link.send(&ToWorker::Stop { grace_ms: 2000 }).unwrap();
        assert_eq!(hear(&theirs), br#"{"event":{"stop":{"grace_ms":2000}}}"#);
    }
}
