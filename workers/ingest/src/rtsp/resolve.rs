//! A camera's addresses by its name, within a time: the system's own call may take half a minute, and nothing
//! ends it.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;

use protocol::time::MonoNs;
use shmring::clock;

use super::STOP_POLL;

/// Threads that wait for a name server which does not answer; each try of a camera leaves one behind.
const PENDING_MAX: usize = 4;
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// Why there is no address.
#[derive(Debug)]
pub(super) enum Unresolved {
    Stopping,
    Failed(Error),
}

/// What `look_up` finds, if it does before `deadline`.
pub(super) fn within(
    look_up: impl FnOnce() -> Result<Vec<SocketAddr>, Error> + Send + 'static,
    deadline: MonoNs,
    stop: &AtomicBool,
) -> Result<Vec<SocketAddr>, Unresolved> {
    let silent = || {
        let why = "no name server answers within the time";
        Unresolved::Failed(Error::new(ErrorKind::TimedOut, why))
    };
    let pending = Pending::begin().ok_or_else(silent)?;
    let (sender, found) = sync_channel(1);
    let look_up = move || {
        // Nobody may listen any more.
        let _ = sender.send(look_up());
        drop(pending);
    };
    let thread = thread::Builder::new().name("lookup".to_owned());
    thread.spawn(look_up).map_err(Unresolved::Failed)?;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Unresolved::Stopping);
        }
        let rest = deadline.saturating_since(clock::mono());
        match found.recv_timeout(rest.min(STOP_POLL)) {
            Ok(found) => return found.map_err(Unresolved::Failed),
            Err(RecvTimeoutError::Timeout) if !rest.is_zero() => {}
            Err(_) => return Err(silent()),
        }
    }
}

/// Counts a thread for as long as it lives.
struct Pending;

impl Pending {
    fn begin() -> Option<Self> {
        let more = |count| (count < PENDING_MAX).then_some(count + 1);
        let begun = PENDING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        // Made only when it counts: its end is counted too.
        if begun.is_ok() { Some(Self) } else { None }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        PENDING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// One test, for the threads are counted in the whole process.
    #[test]
    fn a_name_server_that_does_not_answer_is_given_up_and_a_stop_ends_the_wait() {
        let go_on = AtomicBool::new(false);
        let soon = || clock::mono() + Duration::from_millis(20);
        let address: SocketAddr = "10.0.0.5:554".parse().unwrap();
        let mut answers = Vec::new();
        for _ in 0..PENDING_MAX {
            let (answer, asked) = channel::<()>();
            answers.push(answer);
            let look_up = move || {
                let _ = asked.recv();
                Ok(Vec::new())
            };
            let Err(Unresolved::Failed(error)) = within(look_up, soon(), &go_on) else {
                panic!("it has an address")
            };
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        let late = clock::mono() + Duration::from_secs(60);
        let refused = within(|| panic!("a thread too many"), late, &go_on);
        assert!(matches!(refused, Err(Unresolved::Failed(_))));
        answers.clear();
        while PENDING.load(Ordering::Relaxed) > 0 {
            assert!(clock::mono() < late, "threads are left");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(within(move || Ok(vec![address]), late, &go_on).unwrap(), [address]);
        let (_answer, asked) = channel::<()>();
        let look_up = move || asked.recv().map(|()| Vec::new()).map_err(Error::other);
        let stopped = within(look_up, late, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(Unresolved::Stopping)));
    }
}
