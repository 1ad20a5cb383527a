//! The control link of a program that a topology runs (`run:`): what its supervisor says to it, messages of
//! `framevisor send`, and its answers. The words are those of docs/protocol.md; rings are not needed for it.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use protocol::control::{Condition, env};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketType, recv, send, shutdown, sockopt,
};
use serde_json::{Value, json};

use crate::clock;
use crate::error::Error;
use crate::fork::Birth;
use crate::sync::{AtomicBool, Ordering};

/// Longest datagram of the link: docs/protocol.md.
const DATAGRAM_BYTES: usize = 64 * 1024;
/// A supervisor that reads nothing for so long is stopped or broken; what is said then is lost, which is no reason for
/// a program to end.
const SAID_WITHIN: Duration = Duration::from_secs(5);

/// A descriptor has one owner: this program's first [`Link`].
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The link itself. Dropping it tells the supervisor nothing: the program simply says nothing any more.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    birth: Birth,
}

/// What was said to this program.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Message(Message),
    /// To end within this time; what is not ended then is killed.
    Stop {
        grace: Duration,
    },
}

/// What somebody said with `framevisor send`, who waits 10 s for [`Link::reply`].
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub number: u64,
    pub data: Value,
}

impl Link {
    /// Takes the link and says hello: from now on messages come, a stop is told instead of signalled, and
    /// the worker is `starting` until [`Self::ready`], 30 s at most. `None` for a program that no topology
    /// runs. [`Error::Supervisor`] the second time.
    pub fn take() -> Result<Option<Self>, Error> {
        let Some(said) = std::env::var_os(env::CONTROL_FD) else { return Ok(None) };
        let said = said.to_string_lossy();
        let number: RawFd = said.parse().ok().filter(|number| *number > 2).ok_or_else(|| {
            broken(format!(
                "{}={said}: expected a descriptor's number, 3 or above",
                env::CONTROL_FD
            ))
        })?;
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(broken("it was taken before: a program has one link".to_owned()));
        }
        let link = Self { socket: inherited(number)?, birth: Birth::here() };
        link.say("hello", &json!({}))?;
        Ok(Some(link))
    }

    /// It can do its work.
    pub fn ready(&self) -> Result<(), Error> {
        self.say("ready", &json!({}))
    }

    /// How it does; `ps` shows it with `why`.
    pub fn condition(&self, condition: Condition, why: &str) -> Result<(), Error> {
        self.say("condition", &json!({"condition": condition, "why": why}))
    }

    /// Answers message `number`: with any JSON value, or with one line that says why not.
    pub fn reply(&self, number: u64, answer: Result<Value, String>) -> Result<(), Error> {
        let args = match answer {
            Ok(data) => json!({"to": number, "data": data}),
            Err(why) => json!({"to": number, "error": why}),
        };
        self.say("reply", &args)
    }

    /// What was said; `None` when nothing was within `wait`. The end of the link is a stop without grace: its
    /// supervisor has gone. A stop is told again for as long as anybody asks, without grace, and keeps every descriptor of
    /// [`Self::joined`] readable: whichever reader hears it first, the others hear it too.
    pub fn next(&self, wait: Duration) -> Result<Option<Told>, Error> {
        self.birth.check()?;
        let mut wait = Some(wait);
        loop {
            match self.datagram() {
                Ok(datagram) if datagram.is_empty() => {
                    return Ok(Some(Told::Stop { grace: Duration::ZERO }));
                }
                Ok(datagram) => {
                    let told = parse(&datagram)?;
                    if matches!(told, Some(Told::Stop { .. })) {
                        // Nothing else is to be heard; from here on it reads as at its end. Refused only at the end.
                        let _ = shutdown(&self.socket, Shutdown::Read);
                    }
                    if told.is_some() {
                        return Ok(told);
                    }
                }
                Err(Errno::INTR) => {}
                // What came is looked for once more after the wait, then no longer.
                Err(Errno::AGAIN) => match wait.take() {
                    Some(span) if !span.is_zero() => self.wait(None, span)?,
                    _ => return Ok(None),
                },
                Err(error) => return Err(refused(error)),
            }
        }
    }

    /// What came next; empty at the end of the link. Nearly always there is nothing, and this is asked for at
    /// each picture.
    fn datagram(&self) -> Result<Vec<u8>, Errno> {
        let mut first = [0; 1];
        match recv(&self.socket, &mut first, RecvFlags::DONTWAIT | RecvFlags::PEEK) {
            Ok((0, _)) | Err(Errno::CONNRESET) => return Ok(Vec::new()),
            found => found?,
        };
        let mut datagram = vec![0; DATAGRAM_BYTES];
        let (length, _) = recv(&self.socket, &mut datagram[..], RecvFlags::DONTWAIT)?;
        datagram.truncate(length);
        Ok(datagram)
    }

    /// Waits so long at most until something was said, or `beside`, a ring's [`Pollable`](crate::Pollable),
    /// is readable.
    pub fn wait(&self, beside: Option<BorrowedFd<'_>>, span: Duration) -> Result<(), Error> {
        self.birth.check()?;
        let mut waited = vec![PollFd::new(&self.socket, PollFlags::IN)];
        waited.extend(beside.map(|beside| PollFd::from_borrowed_fd(beside, PollFlags::IN)));
        rest(&mut waited, span)
    }

    /// A descriptor that is readable while something was said or `pollable` is readable: one for everything
    /// that a program waits for.
    pub fn joined(&self, pollable: &impl AsFd) -> Result<OwnedFd, Error> {
        self.birth.check()?;
        let joined = epoll::create(CreateFlags::CLOEXEC).map_err(refused)?;
        for source in [self.socket.as_fd(), pollable.as_fd()] {
            epoll::add(&joined, source, EventData::new_u64(0), EventFlags::IN).map_err(refused)?;
        }
        Ok(joined)
    }

    /// Number 0 asks for no answer, so only events arrive here.
    fn say(&self, verb: &str, args: &Value) -> Result<(), Error> {
        self.birth.check()?;
        let said = json!({"v": 1, "id": 0, "verb": verb, "args": args}).to_string();
        if said.len() > DATAGRAM_BYTES {
            let (bytes, limit) = (said.len(), DATAGRAM_BYTES);
            return Err(broken(format!("{verb} of {bytes} bytes: at most {limit} are taken")));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let until = clock::mono() + SAID_WITHIN;
        loop {
            match send(&self.socket, said.as_bytes(), flags) {
                Ok(_) => return Ok(()),
                // Nobody listens any more; `next` tells the end.
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let left = until.saturating_since(clock::mono());
                    if left.is_zero() {
                        return Ok(());
                    }
                    rest(&mut [PollFd::new(&self.socket, PollFlags::OUT)], left)?;
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn rest(waited: &mut [PollFd<'_>], span: Duration) -> Result<(), Error> {
    let timeout = Timespec::try_from(span).ok();
    match poll(waited, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

fn inherited(number: RawFd) -> Result<OwnedFd, Error> {
    let probe = std::fs::read_link(format!("/proc/self/fd/{number}"));
    if !probe.is_ok_and(|target| target.to_string_lossy().starts_with("socket:")) {
        let name = env::CONTROL_FD;
        return Err(broken(format!("{name}={number}: no socket of this number was inherited")));
    }
    // SAFETY: the number is an open socket, which the supervisor left to this program under this very
    // name; TAKEN keeps this library from owning it twice. One that turns out to be another is not closed.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    // What a worker starts has its environment and not its link; the number may be a socket of its own.
    let is_link = sockopt::socket_domain(&socket) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(&socket) == Ok(SocketType::SEQPACKET);
    if !is_link {
        let number = socket.into_raw_fd();
        let name = env::CONTROL_FD;
        return Err(broken(format!(
            "{name}={number}: this is another socket, no link was inherited"
        )));
    }
    // What this program starts has no business with it.
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).map_err(refused)?;
    Ok(socket)
}

/// `None` for what is no news to a program: answers, and events of later versions.
fn parse(datagram: &[u8]) -> Result<Option<Told>, Error> {
    let said: Value = serde_json::from_slice(datagram)
        .map_err(|error| broken(format!("what came is no JSON: {error}")))?;
    let Some(event) = said.get("event") else { return Ok(None) };
    if let Some(message) = event.get("message") {
        let number = message.get("id").and_then(Value::as_u64);
        let data = message.get("data").cloned().unwrap_or(Value::Null);
        return Ok(number.map(|number| Told::Message(Message { number, data })));
    }
    let grace = event.get("stop").map(|stop| stop.get("grace_ms").and_then(Value::as_u64));
    Ok(grace.map(|ms| Told::Stop { grace: Duration::from_millis(ms.unwrap_or(0)) }))
}

fn broken(what: String) -> Error {
    Error::Supervisor { what: format!("the link to the supervisor: {what}") }
}

fn refused(error: Errno) -> Error {
    broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SocketFlags, socketpair};
    use std::os::fd::AsRawFd;

    fn pair() -> (Link, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Link { socket: ours, birth: Birth::here() }, theirs)
    }

    fn tell(supervisor: &OwnedFd, text: &str) {
        send(supervisor, text.as_bytes(), SendFlags::empty()).unwrap();
    }

    fn heard(supervisor: &OwnedFd) -> Value {
        let mut datagram = [0; 4096];
        let (length, _) = recv(supervisor, &mut datagram[..], RecvFlags::empty()).unwrap();
        serde_json::from_slice(&datagram[..length]).unwrap()
    }

    #[test]
    fn a_message_comes_with_its_number_and_the_answer_names_it() {
        let (link, supervisor) = pair();
        assert_eq!(link.next(Duration::ZERO).unwrap(), None);
        tell(&supervisor, r#"{"event":{"message":{"id":7,"data":{"threshold":3}}}}"#);
        let message = Message { number: 7, data: json!({"threshold": 3}) };
        assert_eq!(link.next(Duration::from_secs(60)).unwrap(), Some(Told::Message(message)));
        link.reply(7, Ok(json!("set"))).unwrap();
        assert_eq!(heard(&supervisor)["args"], json!({"to": 7, "data": "set"}));
        link.reply(8, Err("no such key".to_owned())).unwrap();
        assert_eq!(heard(&supervisor)["args"], json!({"to": 8, "error": "no such key"}));
    }

    #[test]
    fn one_descriptor_tells_of_messages_and_of_what_lies_beside_them() {
        let (link, supervisor) = pair();
        let (ring, bell) = pair();
        let joined = link.joined(&ring).unwrap();
        let is_readable = || {
            let mut waited = [PollFd::new(&joined, PollFlags::IN)];
            poll(&mut waited, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
        };
        assert!(!is_readable());
        tell(&bell, "{}");
        assert!(is_readable());
        link.wait(Some(ring.as_fd()), Duration::from_secs(60)).unwrap();
        assert_eq!(ring.next(Duration::ZERO).unwrap(), None);
        assert!(!is_readable());
        tell(&supervisor, r#"{"event":{"message":{"id":1,"data":null}}}"#);
        assert!(is_readable());
        link.wait(Some(ring.as_fd()), Duration::from_secs(60)).unwrap();
        assert!(link.next(Duration::ZERO).unwrap().is_some());
        assert!(!is_readable());
    }

    #[test]
    fn answers_and_words_of_later_versions_are_passed_over() {
        let (link, supervisor) = pair();
        tell(&supervisor, r#"{"id":1,"ok":true}"#);
        tell(&supervisor, r#"{"event":{"later":{}}}"#);
        tell(&supervisor, r#"{"event":{"stop":{"grace_ms":2000}}}"#);
        let stop = Told::Stop { grace: Duration::from_secs(2) };
        assert_eq!(link.next(Duration::from_secs(60)).unwrap(), Some(stop));
    }

    #[test]
    fn a_stop_is_told_to_whoever_asks_and_answers_still_go_out() {
        let (link, supervisor) = pair();
        let (ring, _bell) = pair();
        let joined = [link.joined(&ring).unwrap(), link.joined(&ring).unwrap()];
        tell(&supervisor, r#"{"event":{"message":{"id":7,"data":1}}}"#);
        tell(&supervisor, r#"{"event":{"stop":{"grace_ms":2000}}}"#);
        assert!(matches!(link.next(Duration::ZERO).unwrap(), Some(Told::Message(_))));
        let told = |grace_ms| Some(Told::Stop { grace: Duration::from_millis(grace_ms) });
        assert_eq!(link.next(Duration::ZERO).unwrap(), told(2000));
        for _ in 0..3 {
            assert_eq!(link.next(Duration::ZERO).unwrap(), told(0));
        }
        for joined in &joined {
            let mut waited = [PollFd::new(joined, PollFlags::IN)];
            assert_eq!(poll(&mut waited, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap(), 1);
        }
        link.reply(7, Ok(json!("done"))).unwrap();
        assert_eq!(heard(&supervisor)["args"], json!({"to": 7, "data": "done"}));
    }

    #[test]
    fn what_is_no_json_is_an_error_and_the_end_of_the_link_is_a_stop() {
        let (link, supervisor) = pair();
        tell(&supervisor, "hello");
        assert!(link.next(Duration::from_secs(60)).unwrap_err().to_string().contains("no JSON"));
        drop(supervisor);
        let stop = Told::Stop { grace: Duration::ZERO };
        assert_eq!(link.next(Duration::from_secs(60)).unwrap(), Some(stop.clone()));
        link.ready().unwrap();
        assert_eq!(link.next(Duration::ZERO).unwrap(), Some(stop));
    }

    #[test]
    fn a_socket_that_is_no_link_stays_its_owners() {
        let flags = SocketFlags::CLOEXEC;
        let (own, other) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let refused = inherited(own.as_raw_fd()).unwrap_err().to_string();
        assert!(refused.contains("another socket"), "{refused}");
        // It is open as before.
        send(&own, b"here", SendFlags::NOSIGNAL).unwrap();
        assert_eq!(recv(&other, &mut [0_u8; 8][..], RecvFlags::DONTWAIT).unwrap().0, 4);
    }

    #[test]
    fn what_nobody_takes_is_lost_in_the_end_and_no_error() {
        let (link, _supervisor) = pair();
        let long = "x".repeat(DATAGRAM_BYTES / 2);
        // Until the socket holds no more, and then one in vain.
        let fill = || send(&link.socket, long.as_bytes(), SendFlags::DONTWAIT);
        while fill().is_ok() {}
        link.reply(1, Ok(json!(long))).unwrap();
    }

    #[test]
    fn a_condition_is_said_by_its_name_and_what_is_too_long_is_refused() {
        let (link, supervisor) = pair();
        link.condition(Condition::Degraded, "no GPU").unwrap();
        let said = heard(&supervisor);
        assert_eq!((&said["verb"], &said["id"]), (&json!("condition"), &json!(0)));
        assert_eq!(said["args"], json!({"condition": "degraded", "why": "no GPU"}));
        let long = "x".repeat(DATAGRAM_BYTES);
        let refused = link.reply(1, Ok(json!(long))).unwrap_err().to_string();
        assert!(refused.contains("at most 65536"), "{refused}");
    }
}
