//! The thread that connects, sends, and connects again, for ever. It alone waits for the server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use media::{PublishError, Publisher, Target};
use protocol::config::push::{Place, Protocol};
use protocol::stream::Track;
use shmring::clock;
use worker::watchdog::Watchdog;

use crate::choice::{Choice, Refusal, choose};
use crate::line::Line;
use crate::reconnect::{Backoff, Cause, GOOD_AFTER};
use crate::shared::Shared;
use crate::state::State;

/// Longest set-up of a connection, and longest wait for a server to take one packet: it is told before 10 s
/// are over.
const PATIENCE: Duration = Duration::from_secs(9);
/// For a goodbye, which tells the server that nothing follows.
const GOODBYE: Duration = Duration::from_millis(500);
const STOP_POLL: Duration = Duration::from_millis(50);
/// Longest connection by RTMP, of whose times FFmpeg writes 31 bits of milliseconds: 24.8 days.
const RTMP_LONGEST: Duration = Duration::from_secs(24 * 86_400);

pub(crate) struct Sender {
    target: Target,
    with_sound: bool,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    backoff: Backoff,
    patience: Duration,
    goodbye: Duration,
}

/// Why a connection is over, or did not come about.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(
        "{name}: it has taken nothing for {seconds} s; expected it to read: is it overloaded, or the network path?"
    )]
    Blocked { name: String, seconds: u64 },
    #[error(
        "{name}: the description cannot be written to {}: {source}; expected a folder to write to",
        .path.display()
    )]
    Description {
        name: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Something else flows from here on.
    #[error("what flows in the ring has changed")]
    OtherTracks,
    #[error(transparent)]
    Publish(PublishError),
    #[error(
        "{name}: no answer within {seconds} s; expected one: is a server there, and the network path up?"
    )]
    Silent { name: String, seconds: u64 },
    #[error("the worker is stopping")]
    Stopping,
    /// Its times are at their end; those of another connection begin at zero.
    #[error("the connection is as old as its times can be")]
    WornOut,
}

impl Lost {
    fn cause(&self) -> Cause {
        match self {
            Self::Publish(error) => Cause::of(error),
            Self::Description { .. } => Cause::Refusing,
            Self::Blocked { .. }
            | Self::OtherTracks
            | Self::Silent { .. }
            | Self::Stopping
            | Self::WornOut => Cause::Absent,
        }
    }
}

impl Sender {
    pub(crate) fn new(
        target: Target,
        with_sound: bool,
        shared: Arc<Shared>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let (backoff, patience, goodbye) = (Backoff::default(), PATIENCE, GOODBYE);
        Self { target, with_sound, shared, stop, backoff, patience, goodbye }
    }

    pub(crate) fn run(mut self) {
        while !self.is_stopping() {
            let Some(begin) = self.shared.begin(STOP_POLL) else { continue };
            match self.choose(&begin.tracks, &begin.payload) {
                Ok(choice) => self.connect_once(&choice, begin.tracks),
                Err(refusal) => {
                    self.shared.is(match refusal {
                        Refusal::Never(why) => State::Unfit { why },
                        Refusal::NotYet(why) => State::NotYet { why },
                    });
                    self.rest(STOP_POLL);
                }
            }
        }
    }

    fn choose(&self, tracks: &[Track], begin: &[u8]) -> Result<Choice, Refusal> {
        choose(self.target.place.protocol(), self.with_sound, tracks, begin)
    }

    /// One connection from its beginning to its end, and the wait behind it.
    fn connect_once(&mut self, choice: &Choice, tracks: Arc<[Track]>) {
        let since = clock::mono();
        let lost = self.stay_connected(choice, tracks);
        if self.is_stopping() || matches!(lost, Lost::OtherTracks | Lost::WornOut) {
            return;
        }
        let now = clock::mono();
        if now.saturating_since(since) >= GOOD_AFTER + self.patience {
            self.backoff.after_good_connection();
        }
        let wait = self.backoff.after(lost.cause(), clock::now().utc.0 / 1_000);
        let seconds = wait.as_millis().div_ceil(1000);
        let why = format!("{lost}; next try in {seconds} s");
        self.shared.is(State::Down { why, again: now + wait });
        self.rest(wait);
    }

    fn stay_connected(&self, choice: &Choice, tracks: Arc<[Track]>) -> Lost {
        let watchdog = Watchdog::new(Arc::clone(&self.stop), self.patience, clock::mono());
        let opened = Publisher::open(&self.target, &choice.tracks, watchdog.interrupt());
        let mut publisher = match opened {
            Ok(publisher) => publisher,
            Err(error) => {
                return self
                    .reason(error, &watchdog, |name, seconds| Lost::Silent { name, seconds });
            }
        };
        if let Err(lost) = self.describe(&mut publisher) {
            return lost;
        }
        tracing::info!("connected to {}", self.target.name);
        self.shared.connected(choice);
        let lost = self.relay(&mut publisher, choice.clone(), tracks, &watchdog);
        self.shared.disconnected();
        watchdog.leave(clock::mono(), self.goodbye);
        publisher.close();
        lost
    }

    fn relay(
        &self,
        publisher: &mut Publisher,
        mut choice: Choice,
        mut tracks: Arc<[Track]>,
        watchdog: &Watchdog,
    ) -> Lost {
        let mut line = Line::default();
        let (since, is_rtmp) = (clock::mono(), self.target.place.protocol() == Protocol::Rtmp);
        while !self.is_stopping() {
            let Some(unit) = self.shared.take(STOP_POLL) else { continue };
            let is_old = || clock::mono().saturating_since(since) > RTMP_LONGEST;
            if is_rtmp && unit.begins && is_old() {
                self.shared.give_back(unit);
                return Lost::WornOut;
            }
            if !Arc::ptr_eq(&unit.tracks, &tracks) && unit.tracks != tracks {
                // Parameter sets that the ring had not, and this connection took from a picture.
                let next = self.choose(&unit.tracks, &unit.packet.payload).ok();
                match next.filter(|next| unit.begins && next.tracks == choice.tracks) {
                    Some(next) => (choice, tracks) = (next, Arc::clone(&unit.tracks)),
                    None => {
                        self.shared.give_back(unit);
                        return Lost::OtherTracks;
                    }
                }
            }
            let place = choice.places.get(unit.packet.meta.track as usize).copied().flatten();
            let Some(unit) = place.and_then(|track| line.place(unit, track)) else { continue };
            watchdog.feed(clock::mono());
            if let Err(error) = publisher.write(&unit) {
                return self
                    .reason(error, watchdog, |name, seconds| Lost::Blocked { name, seconds });
            }
            self.shared.sent(unit.payload.len());
        }
        Lost::Stopping
    }

    /// Receivers of plain RTP read it from a file, which is there whole or not at all.
    fn describe(&self, publisher: &mut Publisher) -> Result<(), Lost> {
        let (Place::Rtp { sdp, .. }, Some(text)) = (&self.target.place, publisher.description())
        else {
            return Ok(());
        };
        write_whole(sdp, &text).map_err(|source| {
            let (name, path) = (self.target.name.clone(), sdp.clone());
            Lost::Description { name, path, source }
        })
    }

    fn reason(
        &self,
        error: PublishError,
        watchdog: &Watchdog,
        expired: impl FnOnce(String, u64) -> Lost,
    ) -> Lost {
        let interrupted = matches!(error, PublishError::Interrupted { .. });
        if interrupted && watchdog.has_expired(clock::mono()) {
            return expired(self.target.name.clone(), self.patience.as_secs());
        }
        if interrupted { Lost::Stopping } else { Lost::Publish(error) }
    }

    fn rest(&self, wait: Duration) {
        let end = clock::mono() + wait;
        while !self.is_stopping() {
            let rest = end.saturating_since(clock::mono());
            if rest.is_zero() {
                return;
            }
            thread::sleep(rest.min(STOP_POLL));
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
