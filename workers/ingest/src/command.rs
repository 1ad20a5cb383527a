//! A command's stdout that is a container: what tells by itself what is in it (MPEG-TS, Matroska, FLV). Elementary
//! streams and raw pictures are the pipe worker's, which needs no FFmpeg for them.
//!
//! A thread reads, because FFmpeg does so until there is something.

use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use media::{AccessUnit, Demuxer, MediaError};
use protocol::config::Container;
use protocol::stream::Track;
use protocol::time::{MonoNs, Stamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shmring::clock;
use worker::Fault;

use crate::file::times_of;
use crate::source::{CapturedUnit, Event};
use crate::timeline::Timeline;

/// Units between the thread and the worker's loop.
const QUEUE_UNITS: usize = 256;
/// A stop is seen this soon.
const POLL: Duration = Duration::from_millis(50);
/// A command that prints nothing for so long is told.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct CommandSource {
    messages: Receiver<Message>,
    stop: Arc<AtomicBool>,
    command: String,
    timeline: Timeline,
    units: u64,
    /// When something came last.
    heard: MonoNs,
    is_over: bool,
}

#[derive(Debug)]
enum Message {
    Tracks(Vec<Track>),
    Unit(AccessUnit, Stamp),
    /// It has closed its stdout.
    Ended,
    Failed(MediaError),
}

impl CommandSource {
    pub(crate) fn start(
        stdout: OwnedFd,
        container: Container,
        command: &str,
    ) -> Result<Self, Fault> {
        let (sender, messages) = sync_channel(QUEUE_UNITS);
        let stop: Arc<AtomicBool> = Arc::default();
        let (raised, name) = (Arc::clone(&stop), format!("{command}: its stdout"));
        thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || read(stdout, container, &name, &raised, &sender))
            .map_err(Fault::failed)?;
        Ok(Self {
            messages,
            stop,
            command: command.to_owned(),
            timeline: Timeline::default(),
            units: 0,
            heard: clock::mono(),
            is_over: false,
        })
    }

    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        if self.is_over {
            // The supervisor starts both again when the command ends; it may live on without its stdout.
            thread::sleep(wait);
            return Ok(Event::Preparing(format!("{} has closed its stdout", self.command)));
        }
        let message = match self.messages.recv_timeout(wait) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return Ok(self.silence()),
            Err(RecvTimeoutError::Disconnected) => Message::Ended,
        };
        self.heard = clock::mono();
        match message {
            Message::Tracks(tracks) => Ok(Event::Tracks(tracks)),
            Message::Unit(unit, arrival) => Ok(Event::Unit(self.captured(unit, arrival))),
            Message::Ended => {
                self.is_over = true;
                Ok(Event::Quiet)
            }
            Message::Failed(error) => Err(Fault::failed(error)),
        }
    }

    /// Lets the thread end.
    pub(crate) fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One that waits for room in the queue hears it by that.
        while self.messages.try_recv().is_ok() {}
    }

    fn silence(&self) -> Event {
        if clock::mono().saturating_since(self.heard) < PATIENCE {
            return Event::Quiet;
        }
        let what = if self.units == 0 { "has printed no picture yet" } else { "prints nothing" };
        Event::Preparing(format!("{} {what}", self.command))
    }

    fn captured(&mut self, mut unit: AccessUnit, arrival: Stamp) -> CapturedUnit {
        let times = self.timeline.place(times_of(&unit));
        (unit.pts_ns, unit.dts_ns) = (times.pts_ns, times.dts_ns);
        self.units += 1;
        let jumped = self.timeline.has_jumped();
        CapturedUnit { jumped, ..CapturedUnit::of_here(unit, arrival, self.units == 1, false) }
    }
}

fn read(
    stdout: OwnedFd,
    container: Container,
    name: &str,
    stop: &Arc<AtomicBool>,
    messages: &SyncSender<Message>,
) {
    let raised = Arc::clone(stop);
    let interrupt = Box::new(move || raised.load(Ordering::Relaxed));
    let last = match Demuxer::open_bytes(Stdout(stdout), container.form(), name, interrupt) {
        Ok(mut demuxer) => relay(&mut demuxer, messages),
        Err(error) => Message::Failed(error),
    };
    // Nobody listens any more when the worker stops.
    let _ = messages.send(last);
}

/// Until the end; what that is.
fn relay(demuxer: &mut Demuxer, messages: &SyncSender<Message>) -> Message {
    let mut version = None;
    loop {
        let unit = match demuxer.read() {
            Ok(Some(unit)) => unit,
            Ok(None) | Err(MediaError::Interrupted { .. }) => return Message::Ended,
            Err(error) => return Message::Failed(error),
        };
        let arrival = clock::now();
        if version != Some(demuxer.tracks_version()) {
            version = Some(demuxer.tracks_version());
            let tracks = Message::Tracks(demuxer.tracks().to_vec());
            if messages.send(tracks).is_err() {
                return Message::Ended;
            }
        }
        if messages.send(Message::Unit(unit, arrival)).is_err() {
            return Message::Ended;
        }
    }
}

/// The reading end of the command's pipe. A read that brings nothing ends as interrupted, and is tried again.
#[derive(Debug)]
struct Stdout(OwnedFd);

impl Read for Stdout {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let limit = Timespec::try_from(POLL).ok();
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], limit.as_ref()) {
            Ok(0) => Err(ErrorKind::Interrupted.into()),
            Ok(_) => Ok(rustix::io::read(&self.0, bytes)?),
            Err(errno) => Err(errno.into()),
        }
    }
}
