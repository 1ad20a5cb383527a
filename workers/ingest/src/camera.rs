//! An RTSP camera: a thread that connects, reads, and connects again, for ever.
//!
//! The thread is there because FFmpeg's reads block, and one that is broken off cannot be resumed;
//! the worker's own loop must not wait with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use media::{AccessUnit, Demuxer, Input, MediaError};
use protocol::stream::Track;
use protocol::time::{MonoNs, Stamp};
use shmring::clock;
use worker::Fault;

use crate::file::times_of;
use crate::reconnect::{Backoff, GOOD_AFTER};
use crate::source::{CapturedUnit, Event};
use crate::timeline::Timeline;
use crate::watchdog::Watchdog;

/// Units between the reader and the worker's loop: several seconds, so that a stall of this process
/// does not close the camera's window.
const QUEUE_UNITS: usize = 256;
/// Longest wait for the reader at the end: its goodbye is sent by then or never.
const CLOSE: Duration = Duration::from_millis(600);
const STOP_POLL: Duration = Duration::from_millis(50);

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Camera {
    messages: Receiver<Message>,
    name: String,
    timeline: Timeline,
    last_arrival: Option<MonoNs>,
    /// The next unit is the first of a connection.
    fresh: bool,
    begun: bool,
}

#[derive(Debug)]
enum Message {
    Connected(Vec<Track>),
    Down(String),
    Tracks(Vec<Track>),
    Unit(AccessUnit, Stamp),
}

impl Camera {
    /// `name` is the URL without its credentials.
    pub(crate) fn connect(url: String, name: String, stop: Arc<AtomicBool>) -> Result<Self, Fault> {
        let (sender, messages) = sync_channel(QUEUE_UNITS);
        let reader = Reader {
            input: Input::Rtsp { url, name: name.clone() },
            name: name.clone(),
            stop,
            messages: sender,
            backoff: Backoff::default(),
        };
        let thread = thread::Builder::new().name("camera".to_owned());
        thread.spawn(move || reader.run()).map_err(Fault::failed)?;
        Ok(Self {
            messages,
            name,
            timeline: Timeline::default(),
            last_arrival: None,
            fresh: false,
            begun: false,
        })
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(Event::Preparing(format!("connecting to {}", self.name)));
        }
        match self.messages.recv_timeout(wait) {
            Ok(Message::Connected(tracks)) => {
                self.fresh = true;
                Ok(Event::Tracks(tracks))
            }
            Ok(Message::Tracks(tracks)) => Ok(Event::Tracks(tracks)),
            Ok(Message::Unit(unit, arrival)) => Ok(Event::Unit(self.captured(unit, arrival))),
            Ok(Message::Down(why)) => Ok(Event::Down(why)),
            Err(RecvTimeoutError::Timeout) => Ok(Event::Quiet),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Fault::failed(format!("{}: the thread that reads it has ended", self.name)))
            }
        }
    }

    /// Lets the reader take leave of the camera.
    pub(crate) fn close(&mut self) {
        let deadline = clock::mono() + CLOSE;
        let rest = || deadline.saturating_since(clock::mono());
        // Until the reader drops its end; what it still delivers is not wanted any more.
        while self.messages.recv_timeout(rest()).is_ok() {}
    }

    fn captured(&mut self, mut unit: AccessUnit, arrival: Stamp) -> CapturedUnit {
        let discontinuity = std::mem::take(&mut self.fresh);
        if discontinuity && let Some(last) = self.last_arrival {
            let gap = arrival.mono.saturating_since(last);
            self.timeline.splice(i64::try_from(gap.as_nanos()).unwrap_or(0));
        }
        self.last_arrival = Some(arrival.mono);
        let times = self.timeline.place(times_of(&unit));
        unit.pts_ns = times.pts_ns;
        unit.dts_ns = times.dts_ns;
        CapturedUnit { unit, capture: arrival, discontinuity, late: false }
    }
}

/// The thread's end.
struct Reader {
    input: Input,
    name: String,
    stop: Arc<AtomicBool>,
    messages: SyncSender<Message>,
    backoff: Backoff,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}: the camera ended the stream; expected it to go on: see the camera's own log")]
    Ended(String),
    #[error(transparent)]
    Media(MediaError),
    #[error("{0}: no picture for 10 s; expected a live stream: is the camera's encoder on?")]
    Silent(String),
    #[error("the worker is stopping")]
    Stopping,
}

impl Reader {
    fn run(mut self) {
        while !self.is_stopping() {
            let lost = self.stay_connected();
            if self.is_stopping() {
                return;
            }
            let random = clock::now().utc.0 / 1_000;
            let wait = match &lost {
                Lost::Media(MediaError::Unauthorized { .. }) => {
                    self.backoff.after_refused_password(random)
                }
                _ => self.backoff.after_failure(random),
            };
            let seconds = wait.as_millis().div_ceil(1000);
            if self.say(Message::Down(format!("{lost}; next try in {seconds} s"))).is_err() {
                return;
            }
            self.rest(wait);
        }
    }

    /// One connection from its beginning to its end.
    fn stay_connected(&mut self) -> Lost {
        let watchdog = Watchdog::new(Arc::clone(&self.stop), clock::mono());
        let mut demuxer = match Demuxer::open(&self.input, watchdog.interrupt()) {
            Ok(demuxer) => demuxer,
            Err(error) => return self.reason(error, &watchdog),
        };
        tracing::info!("connected to {}", self.name);
        let since = clock::mono();
        let lost = self.relay(&mut demuxer, &watchdog);
        if clock::mono().saturating_since(since) >= GOOD_AFTER {
            self.backoff.after_good_connection();
        }
        watchdog.leave(clock::mono());
        lost
    }

    fn relay(&self, demuxer: &mut Demuxer, watchdog: &Watchdog) -> Lost {
        let mut version = demuxer.tracks_version();
        if let Err(lost) = self.say(Message::Connected(demuxer.tracks().to_vec())) {
            return lost;
        }
        let has_video = demuxer.tracks()[0].codec.is_video();
        loop {
            let unit = match demuxer.read() {
                Ok(Some(unit)) => unit,
                Ok(None) => return Lost::Ended(self.name.clone()),
                Err(error) => return self.reason(error, watchdog),
            };
            let arrival = clock::now();
            if unit.track == 0 || !has_video {
                watchdog.feed(arrival.mono);
            }
            if demuxer.tracks_version() != version {
                version = demuxer.tracks_version();
                if let Err(lost) = self.say(Message::Tracks(demuxer.tracks().to_vec())) {
                    return lost;
                }
            }
            if let Err(lost) = self.say(Message::Unit(unit, arrival)) {
                return lost;
            }
        }
    }

    fn reason(&self, error: MediaError, watchdog: &Watchdog) -> Lost {
        let interrupted = matches!(error, MediaError::Interrupted { .. });
        if interrupted && watchdog.has_expired(clock::mono()) {
            return Lost::Silent(self.name.clone());
        }
        if interrupted { Lost::Stopping } else { Lost::Media(error) }
    }

    fn say(&self, message: Message) -> Result<(), Lost> {
        self.messages.send(message).map_err(|_| Lost::Stopping)
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

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
