//! A camera, stream or device: a thread that connects, reads, and connects again, for ever; or that waits for one
//! to come by itself.
//!
//! The thread is there because connecting blocks; the worker's own loop must not wait with it. A camera that plays it
//! hands to the loop ([`loan`]), where nothing stands in the way of that: each picture then wakes one thread and not two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use media::{Input, MediaError};
use protocol::config::ingest::Transport;
use protocol::config::stream_url::Scheme;
use protocol::stream::Track;
use protocol::time::MonoNs;
use shmring::clock;
use worker::Fault;

use crate::file::times_of;
use crate::reconnect::{Backoff, GOOD_AFTER};
use crate::rtsp::{Cause, Client, PATIENCE, Received, RtspError, Wanted};
use crate::source::{CapturedUnit, Event};
use crate::timeline::Timeline;

mod by_ffmpeg;
mod loan;
mod lost;
mod published;

use loan::{Loan, Play};
use lost::Lost;
pub(crate) use published::Awaited;
use published::Host;

/// Units between the reader and the worker's loop: several seconds, so that a stall of this process
/// does not close the camera's window.
const QUEUE_UNITS: usize = 256;
/// Longest wait for the reader at the end: its goodbye is sent by then or never.
const CLOSE: Duration = Duration::from_millis(600);
/// For a goodbye to the camera, which frees its session.
const GOODBYE: Duration = Duration::from_millis(300);
const STOP_POLL: Duration = Duration::from_millis(50);
/// With `transport: auto` nothing that comes by UDP within this comes at all.
const UDP_WITHIN: Duration = Duration::from_secs(3);
/// Less than this in the wrong direction is jitter, not a clock that is wrong.
const CLOCK_OFF_NS: i64 = 1_000_000_000;

/// A camera, and how its packets are to come.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) url: String,
    /// The URL without its credentials.
    pub(crate) name: String,
    pub(crate) transport: Transport,
}

/// Who reads a camera that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadBy {
    /// The worker's loop.
    Loop,
    /// The camera's own thread: the loop may wait for its readers, and the camera does not.
    Thread,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Camera {
    messages: Receiver<Message>,
    /// A camera that plays, and is read here.
    loan: Option<Loan>,
    wanted: Sought,
    /// Ends the reader.
    stop: Arc<AtomicBool>,
    timeline: Timeline,
    last_arrival: Option<MonoNs>,
    /// Since when its reader says nothing, until that is told: a device that has stopped holds it in a call
    /// that nothing interrupts.
    silent_since: Option<MonoNs>,
    /// The next unit is the first of a connection.
    fresh: bool,
    begun: bool,
}

/// What is connected to.
#[derive(Clone, Debug)]
struct Sought {
    address: Address,
    /// For FFmpeg alone; `None` for a camera that our own client tries first.
    input: Option<Input>,
    /// It comes by itself: nobody is connected to.
    publisher: Option<Awaited>,
    read_by: ReadBy,
}

impl Sought {
    /// What is done first.
    fn begins(&self) -> String {
        match &self.publisher {
            Some(awaited) => awaited.begins(),
            None => format!("connecting to {}", self.address.name),
        }
    }
}

#[derive(Debug)]
enum Message {
    /// A connection's first tracks.
    Connected(Vec<Track>),
    Down(String),
    Tracks(Vec<Track>),
    /// With the camera's delay, where it is known.
    Unit(Received, Option<i64>),
    /// It plays; what follows is read from it.
    Playing(Loan),
}

impl Camera {
    /// `stop` ends the reader; [`Self::close`] raises it.
    pub(crate) fn connect(
        address: Address,
        read_by: ReadBy,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Fault> {
        Self::begin(Sought { address, input: None, publisher: None, read_by }, stop)
    }

    /// The same by FFmpeg.
    pub(crate) fn connect_by_ffmpeg(
        input: Input,
        name: String,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Fault> {
        let address = Address { url: String::new(), name, transport: Transport::Tcp };
        let read_by = ReadBy::Thread;
        Self::begin(Sought { address, input: Some(input), publisher: None, read_by }, stop)
    }

    /// Waits for one that publishes by itself.
    pub(crate) fn await_publisher(awaited: Awaited, stop: Arc<AtomicBool>) -> Result<Self, Fault> {
        let name = format!("publish: /{}", awaited.path);
        let address = Address { url: String::new(), name, transport: Transport::Auto };
        let read_by = ReadBy::Thread;
        Self::begin(Sought { address, input: None, publisher: Some(awaited), read_by }, stop)
    }

    fn begin(wanted: Sought, stop: Arc<AtomicBool>) -> Result<Self, Fault> {
        let messages = start_reader(&wanted, &stop)?;
        Ok(Self {
            messages,
            loan: None,
            wanted,
            stop,
            timeline: Timeline::default(),
            last_arrival: None,
            silent_since: Some(clock::mono()),
            fresh: false,
            begun: false,
        })
    }

    /// Connects again after [`Self::close`]; what comes goes on in the line of times, behind the gap.
    pub(crate) fn connect_again(&mut self) -> Result<(), Fault> {
        self.stop = Arc::default();
        self.messages = start_reader(&self.wanted, &self.stop)?;
        self.silent_since = Some(clock::mono());
        self.begun = false;
        Ok(())
    }

    fn name(&self) -> &str {
        &self.wanted.address.name
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(Event::Preparing(self.wanted.begins()));
        }
        let message = self.message(wait);
        if let Ok(message) = &message {
            let is_down = matches!(message, Message::Down(_));
            self.silent_since = (!is_down).then(clock::mono);
        }
        match message {
            Ok(Message::Connected(tracks)) => {
                self.fresh = true;
                Ok(Event::Tracks(tracks))
            }
            Ok(Message::Tracks(tracks)) => Ok(Event::Tracks(tracks)),
            Ok(Message::Unit(received, delay_ns)) => {
                Ok(Event::Unit(self.captured(received, delay_ns)))
            }
            Ok(Message::Down(why)) => Ok(Event::Down(why)),
            Ok(Message::Playing(loan)) => {
                self.loan = Some(loan);
                Ok(Event::Quiet)
            }
            Err(RecvTimeoutError::Timeout) => Ok(self.silence().map_or(Event::Quiet, Event::Down)),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Fault::failed(format!("{}: the thread that reads it has ended", self.name())))
            }
        }
    }

    /// What a camera on loan sends, else what its reader says. One that is lost goes back to its reader, who says so.
    fn message(&mut self, wait: Duration) -> Result<Message, RecvTimeoutError> {
        let Some(mut loan) = self.loan.take() else { return self.messages.recv_timeout(wait) };
        match loan.play.next(wait) {
            Ok(message) => {
                self.loan = Some(loan);
                message.ok_or(RecvTimeoutError::Timeout)
            }
            Err(error) => {
                loan.give_back(error);
                Err(RecvTimeoutError::Timeout)
            }
        }
    }

    /// Told once, and only of a device: of everything else the reader tells itself.
    fn silence(&mut self) -> Option<String> {
        let is_device = matches!(self.wanted.input, Some(Input::Device(_)));
        let since = self.silent_since.filter(|_| is_device)?;
        if clock::mono().saturating_since(since) <= PATIENCE {
            return None;
        }
        self.silent_since = None;
        let (name, seconds) = (self.name(), PATIENCE.as_secs());
        Some(format!(
            "{name}: no picture for {seconds} s; expected a live device: is it still there, and is its signal?"
        ))
    }

    /// Lets the reader take leave of the camera.
    pub(crate) fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let deadline = clock::mono() + CLOSE;
        let rest = || deadline.saturating_since(clock::mono());
        let mut loan = self.loan.take();
        loop {
            if let Some(loan) = loan.take() {
                loan.end();
            }
            // Until the reader drops its end; what it still delivers is not wanted any more.
            loan = match self.messages.recv_timeout(rest()) {
                Ok(Message::Playing(late)) => Some(late),
                Ok(_) => None,
                Err(_) => break,
            };
        }
    }

    fn captured(&mut self, received: Received, delay_ns: Option<i64>) -> CapturedUnit {
        let Received { mut unit, arrival, capture, clock, anew, jumped } = received;
        // Sound that begins anew takes no picture along.
        let discontinuity = std::mem::take(&mut self.fresh) || anew && unit.track == 0;
        if discontinuity && let Some(last) = self.last_arrival {
            let gap = arrival.mono.saturating_since(last);
            self.timeline.splice(i64::try_from(gap.as_nanos()).unwrap_or(0));
        }
        self.last_arrival = Some(arrival.mono);
        let times = self.timeline.place(times_of(&unit));
        unit.pts_ns = times.pts_ns;
        unit.dts_ns = times.dts_ns;
        let is_off = |delay_ns: &i64| !(-CLOCK_OFF_NS..=5 * CLOCK_OFF_NS).contains(delay_ns);
        CapturedUnit {
            unit,
            capture,
            clock,
            clock_off_ns: delay_ns.filter(is_off).map(i64::saturating_neg),
            discontinuity,
            jumped: self.timeline.has_jumped() || jumped || anew,
            late: false,
        }
    }
}

fn start_reader(wanted: &Sought, stop: &Arc<AtomicBool>) -> Result<Receiver<Message>, Fault> {
    let (sender, messages) = sync_channel(QUEUE_UNITS);
    let thread = thread::Builder::new().name("camera".to_owned());
    let Sought { address, input, publisher, read_by } = wanted.clone();
    if let Some(awaited) = publisher {
        let host = Host::open(awaited, Arc::clone(stop), sender)?;
        thread.spawn(move || host.run()).map_err(Fault::failed)?;
        return Ok(messages);
    }
    let reader = Reader {
        address,
        input,
        read_by,
        falls_back: false,
        stop: Arc::clone(stop),
        messages: sender,
        backoff: Backoff::default(),
    };
    thread.spawn(move || reader.run()).map_err(Fault::failed)?;
    Ok(messages)
}

/// The thread's end.
struct Reader {
    address: Address,
    input: Option<Input>,
    read_by: ReadBy,
    /// `transport: auto` has found that UDP does not work here.
    falls_back: bool,
    stop: Arc<AtomicBool>,
    messages: SyncSender<Message>,
    backoff: Backoff,
}

impl Reader {
    fn run(mut self) {
        while !self.is_stopping() {
            let lost = self.stay_connected();
            if self.is_stopping() {
                return;
            }
            let random = clock::now().utc.0 / 1_000;
            let cause = self.cause_of(&lost);
            let wait = self.backoff.after(cause, random);
            let seconds = wait.as_millis().div_ceil(1000);
            if self.say(Message::Down(format!("{lost}; next try in {seconds} s"))).is_err() {
                return;
            }
            self.rest(wait);
        }
    }

    /// A device that is not found is unplugged; a stream that is not is a wrong address.
    fn cause_of(&self, lost: &Lost) -> Cause {
        let is_device = matches!(self.input, Some(Input::Device(_)));
        let has_login = matches!(
            &self.input,
            Some(Input::Stream(stream))
                if matches!(stream.scheme(), Scheme::Rtmp | Scheme::Rtmps | Scheme::Srt)
        );
        match lost {
            Lost::Media(MediaError::NotFound { .. }) if is_device => Cause::Absent,
            Lost::Media(error) if error.is_away() && !has_login => Cause::Absent,
            lost => lost.cause(),
        }
    }

    /// One connection from its beginning to its end.
    fn stay_connected(&mut self) -> Lost {
        let since = clock::mono();
        let lost = match self.input.clone() {
            Some(input) => self.stay_with_ffmpeg(&input),
            None => self.stay_by_rtsp(),
        };
        if clock::mono().saturating_since(since) >= GOOD_AFTER + PATIENCE {
            self.backoff.after_good_connection();
        }
        let refused = matches!(lost, Lost::Rtsp(RtspError::Transport { .. }));
        if self.may_fall_back() && (refused || matches!(lost, Lost::NotByUdp(_))) {
            self.falls_back = true;
            tracing::info!("{}: UDP does not work here, so TCP is used", self.address.name);
        }
        lost
    }

    fn stay_by_rtsp(&mut self) -> Lost {
        match Client::open(&self.wanted(), Arc::clone(&self.stop)) {
            Ok(client) => self.stay_with(client),
            Err(RtspError::ForFfmpeg { .. }) => {
                let Address { url, name, .. } = self.address.clone();
                self.stay_with_ffmpeg(&Input::Rtsp { url, name })
            }
            Err(error) => Lost::Rtsp(error),
        }
    }

    fn wanted(&self) -> Wanted {
        let Address { url, name, transport } = self.address.clone();
        let is_trial = self.may_fall_back();
        let transport = if self.falls_back { Transport::Tcp } else { transport };
        let first_within = if is_trial { UDP_WITHIN } else { PATIENCE };
        Wanted { url, name, transport, first_within }
    }

    fn may_fall_back(&self) -> bool {
        self.address.transport == Transport::Auto && !self.falls_back
    }

    fn stay_with(&mut self, client: Client) -> Lost {
        tracing::info!("connected to {}", self.address.name);
        let read = match self.read_by {
            ReadBy::Loop => self.lend(client),
            ReadBy::Thread => Some(self.relay(Play::new(client))),
        };
        let Some((client, error)) = read else { return Lost::Stopping };
        let nothing_came = client.packets() == 0;
        client.close();
        match error {
            RtspError::Stopping => Lost::Stopping,
            // Reports alone are no stream: their port may be open where the other is not.
            RtspError::Stalled { name, .. } | RtspError::NoPicture { name, .. }
                if nothing_came && self.may_fall_back() =>
            {
                Lost::NotByUdp(name)
            }
            error => Lost::Rtsp(error),
        }
    }

    /// The loop reads the camera until it is lost; `None`: it is not wanted any more.
    fn lend(&self, client: Client) -> Option<(Client, RtspError)> {
        let (loan, back) = Loan::new(Play::new(client));
        self.say(Message::Playing(loan)).ok()?;
        back.recv().ok()
    }

    /// Until the camera is lost, or nobody listens any more.
    fn relay(&self, mut play: Play) -> (Client, RtspError) {
        loop {
            match play.next(PATIENCE) {
                Ok(None) => {}
                Ok(Some(message)) => {
                    if self.say(message).is_err() {
                        return (play.client, RtspError::Stopping);
                    }
                }
                Err(error) => return (play.client, error),
            }
        }
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
mod evil;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod publishers;
#[cfg(test)]
mod quirks;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod tests;
