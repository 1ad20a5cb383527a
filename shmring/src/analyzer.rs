//! A program that looks at pictures and tells what it sees: its ring, its records and the messages to it, behind
//! one wait. What it looks for is its own business.

use std::os::fd::AsFd;
use std::time::Duration;

use protocol::control::{Condition, env};
use protocol::name::{ProjectName, RingName};
use protocol::record::Record;
use serde_json::Value;

use crate::error::Error;
use crate::frames::{Frame, FrameOptions, FrameReader};
use crate::link::{Link, Message, Told};
use crate::records::RecordWriter;
use crate::signal::Pollable;
use crate::{Next, project};

/// How often a ring that is not there yet, or has no writer, is looked for: neither has a bell.
const RETRY: Duration = Duration::from_millis(20);
/// Longest wait without a look around.
const SLICE: Duration = Duration::from_secs(1);

/// A worker of a topology (`run:`), or the same program started by hand with `FRAMEVISOR_IN` naming its ring.
///
/// ```no_run
/// use shmring::{Analyzer, Given};
///
/// # fn main() -> Result<(), shmring::Error> {
/// let mut analyzer = Analyzer::start("counter")?;
/// loop {
///     match analyzer.next()? {
///         Given::Frame(frame) => {
///             analyzer.emit("seen", &frame, serde_json::json!({"sequence": frame.sequence()}))?;
///         }
///         Given::Message(message) => analyzer.reply(&message, Ok("heard".into()))?,
///         Given::Stop => return Ok(()),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Analyzer {
    link: Option<Link>,
    reader: FrameReader,
    bell: Pollable,
    events: RecordWriter,
    emitted: u64,
    missed: u64,
}

/// What an analyzer is given.
#[derive(Debug)]
pub enum Given {
    Frame(Frame),
    /// Somebody waits 10 s for [`Analyzer::reply`].
    Message(Message),
    /// The worker is to end: the program returns from its loop.
    Stop,
}

impl Analyzer {
    /// Attaches to the first ring of the worker's `in`, as its `policy` says, and takes its event ring. Waits
    /// for the ring as long as it takes. `program` names the analyzer where no topology does.
    ///
    /// [`Error::Supervisor`] also when it is told to stop before its ring is there.
    pub fn start(program: &str) -> Result<Self, Error> {
        let link = Link::take()?;
        if let Some(link) = &link {
            link.ready()?;
        }
        let ring = project::own_input()?;
        let (policy, every) = project::told_policy()?;
        let worker = std::env::var(env::WORKER).ok().filter(|name| !name.is_empty());
        let named = FrameOptions::named(worker.as_deref().unwrap_or(program));
        let options = FrameOptions { policy, every, ..named };
        let (project, reader) = attach(link.as_ref(), &ring, &options)?;
        let events = RecordWriter::own(&project, program)?;
        Ok(Self { bell: reader.pollable()?, link, reader, events, emitted: 0, missed: 0 })
    }

    /// Waits for what comes next. A writer that restarts is followed.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives may be an error, and never ends"
    )]
    pub fn next(&mut self) -> Result<Given, Error> {
        loop {
            match self.told()? {
                Some(Told::Message(message)) => return Ok(Given::Message(message)),
                Some(Told::Stop { .. }) => {
                    self.events.finish();
                    return Ok(Given::Stop);
                }
                None => {}
            }
            match self.reader.next(Duration::ZERO) {
                Ok(Next::Item(frame)) => return Ok(Given::Frame(frame)),
                Ok(Next::Overrun { missed }) => self.missed += missed,
                Ok(Next::NewEpoch { .. } | Next::Evicted { .. }) => {}
                Ok(Next::Quiet) => self.rest(true)?,
                Ok(Next::Ended) => self.rest(false)?,
                Err(error) if error.is_absent() => self.rest(false)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends a record about `frame` to the event ring; its number is the answer.
    pub fn emit(&mut self, kind: &str, frame: &Frame, data: Value) -> Result<u64, Error> {
        self.emitted += 1;
        let id = frame.frame_id();
        self.events.emit(&Record {
            id: format!("{}-{}", std::process::id(), self.emitted),
            kind: kind.to_owned(),
            camera: id.ring.camera().to_owned(),
            frame: Some(id),
            time_utc_ns: frame.meta().capture.utc.0,
            data,
        })
    }

    /// Answers a message: with any JSON value, or with one line that says why not.
    pub fn reply(&self, message: &Message, answer: Result<Value, String>) -> Result<(), Error> {
        self.link.as_ref().map_or(Ok(()), |link| link.reply(message.number, answer))
    }

    /// Says how this worker does, for `framevisor ps`; by hand nobody is told.
    pub fn condition(&self, condition: Condition, why: &str) -> Result<(), Error> {
        self.link.as_ref().map_or(Ok(()), |link| link.condition(condition, why))
    }

    /// Pictures that were overwritten before their turn.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    fn told(&self) -> Result<Option<Told>, Error> {
        self.link.as_ref().map_or(Ok(None), |link| link.next(Duration::ZERO))
    }

    /// Until there may be something; `rings` says whether the ring would ring its bell.
    fn rest(&self, rings: bool) -> Result<(), Error> {
        match &self.link {
            Some(link) if rings => link.wait(Some(self.bell.as_fd()), SLICE),
            Some(link) => link.wait(None, RETRY),
            None if rings => {
                self.reader.semaphore().wait_until(crate::clock::mono() + SLICE);
                Ok(())
            }
            None => {
                std::thread::sleep(RETRY);
                Ok(())
            }
        }
    }
}

fn attach(
    link: Option<&Link>,
    ring: &RingName,
    options: &FrameOptions,
) -> Result<(ProjectName, FrameReader), Error> {
    let mut waits = false;
    loop {
        let found = project::having(None, ring).and_then(|project| {
            let reader = FrameReader::attach(&project, ring, options)?;
            Ok((project, reader))
        });
        match found {
            Err(error) if error.is_absent() => {
                if let Some(link) = link.filter(|_| !waits) {
                    let why = format!("ring {ring} is not there yet");
                    link.condition(Condition::Waiting, &why)?;
                    waits = true;
                }
                wait_for_ring(link, ring)?;
            }
            found => {
                if let Some(link) = link.filter(|_| waits && found.is_ok()) {
                    link.condition(Condition::Flowing, "")?;
                }
                return found;
            }
        }
    }
}

fn wait_for_ring(link: Option<&Link>, ring: &RingName) -> Result<(), Error> {
    let Some(link) = link else {
        std::thread::sleep(RETRY);
        return Ok(());
    };
    match link.next(RETRY)? {
        Some(Told::Message(message)) => {
            link.reply(message.number, Err(format!("ring {ring} is not there yet; try again")))
        }
        Some(Told::Stop { .. }) => {
            Err(Error::Supervisor { what: format!("told to stop before ring {ring} was there") })
        }
        None => Ok(()),
    }
}
