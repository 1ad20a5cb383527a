//! Cameras and programs that publish by themselves: a thread that waits for them, one at a time.
//!
//! ```text
//!              ANNOUNCE that can be carried            another one, and the policy says so
//!   waiting ────────────────────────────────> publishing ──────────────────────────────┐
//!     ^                                           │  ^                                  │
//!     └────────── closed, silent, too fast ───────┘  └──────────────────────────────────┘
//! ```

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use protocol::config::ingest::Second;
use protocol::time::MonoNs;
use protocol::units::BitRate;
use shmring::clock;
use worker::Fault;
use worker::door::{self, Door};

use super::{Message, STOP_POLL};
use crate::rtsp::Happening;
use crate::rtsp::record::{Gone, Guest, Newcomer, Refused};

/// Whoever waits for somebody to come is in no hurry.
const NOBODY_FOR: Duration = Duration::from_secs(60);
/// A publisher of whom nothing came for so long gives way: a camera that was switched off and on is back sooner
/// than its old connection is given up.
const QUIET: Duration = Duration::from_secs(3);

/// Who is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    /// Where connections are handed on.
    pub(crate) doors: PathBuf,
    /// Of the URL that is published to.
    pub(crate) path: String,
    pub(crate) second: Second,
    /// What the ring is made for.
    pub(crate) most: BitRate,
}

impl Awaited {
    /// What is done first.
    pub(crate) fn begins(&self) -> String {
        format!("waiting for somebody to publish to /{}", self.path)
    }

    fn nobody(&self) -> String {
        let (path, seconds) = (&self.path, NOBODY_FOR.as_secs());
        format!(
            "nobody has published to /{path} for {seconds} s; expected a camera or program to send it to an rtsp worker that has this ring among its `in`"
        )
    }
}

/// The thread's end.
pub(super) struct Host {
    awaited: Awaited,
    door: Door,
    stop: Arc<AtomicBool>,
    messages: SyncSender<Message>,
}

/// The worker wants to end, or has ended.
struct Stopping;

impl Host {
    pub(super) fn open(
        awaited: Awaited,
        stop: Arc<AtomicBool>,
        messages: SyncSender<Message>,
    ) -> Result<Self, Fault> {
        let name = door::of_publishers(&awaited.path);
        let door = Door::open(&awaited.doors, &name).map_err(|error| {
            Fault::unavailable(format!(
                "a door for publishers in {}: {error}",
                awaited.doors.display()
            ))
        })?;
        Ok(Self { awaited, door, stop, messages })
    }

    pub(super) fn run(self) {
        // Its only failure is that it is to end.
        let _ = self.serve_all();
    }

    fn serve_all(&self) -> Result<(), Stopping> {
        let mut next = None;
        loop {
            let newcomer = match next.take() {
                Some(newcomer) => newcomer,
                None => self.wait()?,
            };
            let (gone, successor) = self.serve(newcomer)?;
            self.say(Message::Down(format!("{gone}; the next one is waited for")))?;
            next = successor;
        }
    }

    /// Until somebody comes with something to carry.
    fn wait(&self) -> Result<Newcomer, Stopping> {
        let since = clock::mono();
        let mut is_told = false;
        loop {
            match self.newcomer() {
                Some(Ok(newcomer)) => return Ok(newcomer),
                Some(Err(refused)) => self.say(Message::Down(refused.to_string()))?,
                None => {}
            }
            let waited = clock::mono().saturating_since(since);
            if waited > NOBODY_FOR && !std::mem::replace(&mut is_told, true) {
                self.say(Message::Down(self.awaited.nobody()))?;
            }
            self.go_on()?;
            self.door.wait(STOP_POLL);
        }
    }

    /// One publisher from its ANNOUNCE to its end, and who came in its place.
    fn serve(&self, newcomer: Newcomer) -> Result<(Gone, Option<Newcomer>), Stopping> {
        let mut guest = match newcomer.welcome(self.awaited.most) {
            Ok(guest) => guest,
            Err(gone) => return Ok((gone, None)),
        };
        tracing::info!("publisher {} begins", guest.peer());
        let mut told = Told::default();
        loop {
            self.go_on()?;
            if let Some(second) = self.second(&guest, clock::mono()) {
                return Ok((Gone::Replaced(guest.peer(), second.peer()), Some(second)));
            }
            let gone = match guest.turn(self.door.as_fd()) {
                Ok(None) => continue,
                Ok(Some(happening)) => {
                    self.say(told.message(happening, &guest))?;
                    continue;
                }
                Err(gone) => gone,
            };
            // Packets that came before the goodbye are pictures like others.
            while let Some(happening) = guest.left() {
                self.say(told.message(happening, &guest))?;
            }
            return Ok((gone, None));
        }
    }

    /// Somebody who takes the guest's place; who may not is told.
    fn second(&self, guest: &Guest, now: MonoNs) -> Option<Newcomer> {
        let refused = match self.newcomer()? {
            Ok(newcomer) if gives_way(self.awaited.second, guest.quiet_for(now)) => {
                return Some(newcomer);
            }
            Ok(newcomer) => newcomer.refuse(guest.peer()),
            Err(refused) => refused,
        };
        tracing::warn!("{refused}");
        None
    }

    fn newcomer(&self) -> Option<Result<Newcomer, Refused>> {
        self.door.accept().map(Newcomer::read)
    }

    fn say(&self, message: Message) -> Result<(), Stopping> {
        self.messages.send(message).map_err(|_| Stopping)
    }

    fn go_on(&self) -> Result<(), Stopping> {
        if self.stop.load(Ordering::Relaxed) { Err(Stopping) } else { Ok(()) }
    }
}

/// What was said of one publisher.
#[derive(Debug, Default)]
struct Told {
    tracks: bool,
}

impl Told {
    fn message(&mut self, happening: Happening, guest: &Guest) -> Message {
        match happening {
            Happening::Tracks(tracks) if std::mem::replace(&mut self.tracks, true) => {
                Message::Tracks(tracks)
            }
            Happening::Tracks(tracks) => Message::Connected(tracks),
            Happening::Unit(received) => Message::Unit(received, guest.delay_ns()),
        }
    }
}

/// Whether who publishes leaves to somebody who came behind.
fn gives_way(second: Second, quiet: Duration) -> bool {
    second == Second::Replace || quiet >= QUIET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_stays_unless_the_policy_says_otherwise_and_who_is_silent_leaves() {
        let (busy, silent) = (Duration::from_millis(2900), Duration::from_secs(3));
        assert!(!gives_way(Second::Refuse, busy));
        assert!(gives_way(Second::Refuse, silent));
        assert!(gives_way(Second::Replace, Duration::ZERO));
    }
}
