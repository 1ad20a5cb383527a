//! The command's stdout into a ring, in a thread of its own: reading it never waits for feeding.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::config::Makes;
use protocol::control::{Condition, RingContract};
use protocol::name::ProjectName;
use protocol::time::MonoNs;
use shmring::clock;
use worker::{Context, Fault};

use crate::end::{Moved, PIPE_BYTES, PipeEnd};
use crate::packets::{Packets, Published};
use crate::pictures::Pictures;
use crate::rate::RateWatch;
use crate::samples::Sound;
use crate::units::Unit;

/// A stop is seen this soon.
const WAIT: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 256 << 10;
/// No command that prints what 'raw' says stops inside a picture for so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// The thread, seen from the worker.
#[derive(Debug)]
pub(crate) struct Take {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Asked to end: the worker stops.
    stop: AtomicBool,
    status: Mutex<Status>,
}

#[derive(Debug)]
struct Status {
    told: (Condition, String),
    /// Sequence of the newest item.
    made: u64,
    /// Lost since it was asked last.
    missed: u64,
    fault: Option<Fault>,
}

impl Take {
    pub(crate) fn start(
        cx: &Context,
        makes: Makes,
        is_live: bool,
        contract: &RingContract,
        end: PipeEnd,
        command: &str,
    ) -> Result<Self, Fault> {
        let told = (Condition::Waiting, format!("{command} has printed nothing yet"));
        let status = Mutex::new(Status { told, made: 0, missed: 0, fault: None });
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), status });
        let out = Out::open(cx.project(), makes, contract)?;
        let watch = match makes {
            Makes::Pictures(raw) if is_live => RateWatch::new(raw),
            _ => None,
        };
        let shared_too = Arc::clone(&shared);
        let command = command.to_owned();
        let source = Source { end, command, is_live, shared: shared_too, late: Cell::new(0) };
        let thread = std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || source.run(out, watch))
            .map_err(Fault::failed)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How it goes; an error when it cannot go on.
    pub(crate) fn status(&self, cx: &Context) -> Result<(Condition, String), Fault> {
        let mut status = self.shared.lock();
        if let Some(fault) = status.fault.take() {
            return Err(fault);
        }
        if status.made > 0 {
            cx.made(status.made);
        }
        cx.missed(std::mem::take(&mut status.missed));
        Ok(status.told.clone())
    }

    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            return Err(Fault::failed("the thread that reads stdout panicked"));
        }
        // Who is stopped has not failed: the command may have been stopped inside a picture too.
        if let Some(fault) = self.shared.lock().fault.take() {
            tracing::warn!("{fault}");
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ring, by what it holds.
#[derive(Debug)]
enum Out {
    Pictures(Pictures),
    Packets(Box<Packets>),
    Sound(Box<Sound>),
}

impl Out {
    fn open(project: &ProjectName, makes: Makes, contract: &RingContract) -> Result<Self, Fault> {
        match makes {
            Makes::Pictures(raw) => Pictures::open(project, raw, contract).map(Self::Pictures),
            Makes::Packets(coded) => {
                Packets::open(project, coded, contract).map(|it| Self::Packets(Box::new(it)))
            }
            Makes::Sound(samples) => {
                Sound::open(project, samples, contract).map(|it| Self::Sound(Box::new(it)))
            }
            Makes::Container(container) => {
                let form = container.form();
                Err(Fault::contract(format!("{form} is taken apart by framevisor-ingest")))
            }
        }
    }
}

/// The thread.
struct Source {
    end: PipeEnd,
    command: String,
    /// It prints as a camera does: silence is a fault.
    is_live: bool,
    shared: Arc<Shared>,
    /// Bytes read since the worker was asked to stop.
    late: Cell<usize>,
}

/// What a read came to.
enum Got {
    Bytes(usize),
    /// Nothing for a while.
    Nothing,
    Closed,
    Stop,
}

/// What filling one picture came to.
enum Filled {
    Whole,
    Stop,
    /// The command closed its stdout before a picture's first byte.
    Closed,
    /// It did so behind this many bytes of one.
    CutOff(usize),
}

impl Source {
    fn run(self, mut out: Out, mut watch: Option<RateWatch>) {
        let ended = match &mut out {
            Out::Pictures(pictures) => self.take_pictures(pictures, watch.as_mut()),
            Out::Packets(packets) => self.take_packets(packets),
            Out::Sound(sound) => self.take_sound(sound),
        };
        match ended {
            Ok(()) if watch.as_ref().is_some_and(|watch| !watch.is_right()) => {
                let why = format!(
                    "{} has closed its stdout before its rate was seen, so nothing was published; what is no \
                     camera says `pace: as-fast`",
                    self.command
                );
                self.tell(Condition::Degraded, why);
            }
            Ok(()) => {
                self.tell(Condition::Waiting, format!("{} has closed its stdout", self.command));
            }
            Err(fault) => self.shared.lock().fault = Some(fault),
        }
    }

    /// With a `watch`, nothing is published before it has seen that the pictures are the declared ones.
    fn take_pictures(
        &self,
        pictures: &mut Pictures,
        mut watch: Option<&mut RateWatch>,
    ) -> Result<(), Fault> {
        loop {
            let mut slot = pictures.slot()?;
            let mut capture = clock::now();
            let bytes = &mut slot.bytes()[..pictures.bytes];
            let filled = self.fill(bytes, watch.as_deref_mut(), || capture = clock::now())?;
            match filled {
                Filled::Whole if watch.as_ref().is_some_and(|watch| !watch.is_right()) => {}
                Filled::Whole => self.tell_made(pictures.publish(slot, capture)?),
                Filled::Stop | Filled::Closed => break,
                Filled::CutOff(got) => return Err(self.cut_off(pictures, got)),
            }
        }
        pictures.ring.finish();
        Ok(())
    }

    /// Reads until the picture is whole; `begun` is called at its first byte.
    fn fill(
        &self,
        picture: &mut [u8],
        mut watch: Option<&mut RateWatch>,
        mut begun: impl FnMut(),
    ) -> Result<Filled, Fault> {
        let (mut filled, mut since) = (0, clock::mono());
        while filled < picture.len() {
            match self.read(&mut picture[filled..])? {
                Got::Bytes(count) => {
                    if filled == 0 {
                        begun();
                    }
                    filled += count;
                    since = clock::mono();
                    let wrong = watch.as_deref_mut().and_then(|watch| watch.took(count, since));
                    if let Some(why) = wrong {
                        self.tell(Condition::Degraded, format!("{} {why}", self.command));
                    }
                }
                Got::Nothing if filled > 0 => self.tell_pause(since, filled, picture.len()),
                Got::Nothing => self.tell_silence(since),
                Got::Stop => return Ok(Filled::Stop),
                Got::Closed if filled == 0 => return Ok(Filled::Closed),
                Got::Closed => return Ok(Filled::CutOff(filled)),
            }
        }
        Ok(Filled::Whole)
    }

    fn tell_pause(&self, since: MonoNs, got: usize, expected: usize) {
        if clock::mono().saturating_since(since) >= PATIENCE {
            let why = format!(
                "{} has stopped inside a picture: expected {expected} bytes, got {got}",
                self.command
            );
            self.tell(Condition::Degraded, why);
        }
    }

    /// Of a command that has printed before: until then it is told as having printed nothing yet.
    fn tell_silence(&self, since: MonoNs) {
        if !self.is_live || clock::mono().saturating_since(since) < PATIENCE {
            return;
        }
        let mut status = self.shared.lock();
        if status.made > 0 {
            let (command, seconds) = (&self.command, PATIENCE.as_secs());
            let why =
                format!("{command} has printed nothing for {seconds} s; expected a live stream");
            status.told = (Condition::Degraded, why);
        }
    }

    fn cut_off(&self, pictures: &Pictures, got: usize) -> Fault {
        let Pictures { picture, bytes, .. } = pictures;
        let content = shmring::Content::from(*picture);
        Fault::failed(format!(
            "{} closed its stdout inside a picture: expected {bytes} bytes ({content}), got {got}; does it \
             print what 'raw' says?",
            self.command
        ))
    }

    fn take_packets(&self, packets: &mut Packets) -> Result<(), Fault> {
        let mut buffer = vec![0; READ_BYTES];
        let mut heard = clock::mono();
        loop {
            match self.read(&mut buffer)? {
                Got::Bytes(count) => {
                    heard = clock::mono();
                    let units = packets.split(&buffer[..count], &self.command)?;
                    self.publish(packets, &units)?;
                }
                Got::Nothing => self.tell_silence(heard),
                Got::Stop => break,
                Got::Closed => {
                    let units = packets.rest();
                    self.publish(packets, &units)?;
                    break;
                }
            }
        }
        packets.finish();
        Ok(())
    }

    fn take_sound(&self, sound: &mut Sound) -> Result<(), Fault> {
        let mut buffer = vec![0; READ_BYTES];
        let mut heard = clock::mono();
        loop {
            match self.read(&mut buffer)? {
                Got::Bytes(count) => {
                    heard = clock::mono();
                    let made = sound.take(&buffer[..count], clock::now())?;
                    match sound.off() {
                        Some(why) => self.tell_wrong(made, format!("{} {why}", self.command)),
                        None if made.is_some() => self.tell_made(made),
                        None => {}
                    }
                }
                Got::Nothing => self.tell_silence(heard),
                Got::Stop | Got::Closed => break,
            }
        }
        sound.finish();
        Ok(())
    }

    fn publish(&self, packets: &mut Packets, units: &[Unit]) -> Result<(), Fault> {
        for unit in units {
            match packets.publish(unit)? {
                Published::As(sequence) if packets.reorders() => {
                    self.tell_wrong(Some(sequence), self.reordered(&packets.codec()));
                }
                Published::As(sequence) => self.tell_made(Some(sequence)),
                Published::LeftOut => {}
                Published::Lost { why } => {
                    self.shared.lock().missed += 1;
                    self.tell(Condition::Degraded, why);
                }
            }
        }
        if !packets.has_begun() {
            let (command, codec) = (&self.command, packets.codec());
            self.tell(
                Condition::Waiting,
                format!("{command} has printed no {codec} key picture yet"),
            );
        }
        Ok(())
    }

    fn reordered(&self, codec: &str) -> String {
        format!(
            "{} prints pictures in another order than they are shown in (B-pictures), whose times a bare {codec} stream does not tell: expected pictures in the order \
             they are shown in (`-bf 0` of ffmpeg), or MPEG-TS with `codec: {{name: mpegts}}`",
            self.command
        )
    }

    /// `None`: it was lost for want of a slot, which the ring counts.
    fn tell_made(&self, made: Option<u64>) {
        let mut status = self.shared.lock();
        status.made = made.unwrap_or(status.made);
        status.told = (Condition::Flowing, String::new());
    }

    /// What is made is not what was said.
    fn tell_wrong(&self, made: Option<u64>, why: String) {
        let mut status = self.shared.lock();
        status.made = made.unwrap_or(status.made);
        status.told = (Condition::Degraded, why);
    }

    fn tell(&self, condition: Condition, why: String) {
        self.shared.lock().told = (condition, why);
    }

    /// What a command has printed before its end is read even after a stop: at most a pipe's content,
    /// as one that lives prints on.
    fn read(&self, into: &mut [u8]) -> Result<Got, Fault> {
        let is_late = self.shared.stop.load(Ordering::Acquire);
        if is_late && self.late.get() >= PIPE_BYTES {
            return Ok(Got::Stop);
        }
        let wait = if is_late { Duration::ZERO } else { WAIT };
        let failed = |error: io::Error| Fault::failed(format!("{}: stdout: {error}", self.command));
        Ok(match self.end.read(into, wait).map_err(failed)? {
            Moved::Bytes(count) => {
                self.late.set(self.late.get() + if is_late { count } else { 0 });
                Got::Bytes(count)
            }
            Moved::Closed => Got::Closed,
            Moved::Nothing if is_late => Got::Stop,
            Moved::Nothing => Got::Nothing,
        })
    }
}
