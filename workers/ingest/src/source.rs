//! What every source gives: tracks, access units on one line of time, or why there are none.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use media::{AccessUnit, Input};
use protocol::config::ingest::{Source as Wanted, TestMode};
use protocol::config::{IngestConfig, Makes, PipeConfig};
use protocol::control::env;
use protocol::stream::Track;
use protocol::time::{ClockSource, MonoNs, Stamp};
use shmring::clock;
use worker::{Context, Fault};

use crate::camera::{Address, Awaited, Camera, ReadBy};
use crate::command::CommandSource;
use crate::file::FileSource;
use crate::loop_cache::LoopSource;
use crate::test_source::TestSource;

/// One thing a source has to say.
#[derive(Debug)]
pub(crate) enum Event {
    /// The source is at its end; nothing follows.
    Ended,
    /// Nothing within the wait.
    Quiet,
    /// What flows from here on; always before the first unit.
    Tracks(Vec<Track>),
    Unit(CapturedUnit),
    /// No units, for this reason; the source goes on trying.
    Down(String),
    /// Not ready to give units yet.
    Preparing(String),
}

/// An access unit with times that continue over the source's joints.
#[derive(Debug)]
pub(crate) struct CapturedUnit {
    pub(crate) unit: AccessUnit,
    pub(crate) capture: Stamp,
    /// Whose time `capture` is.
    pub(crate) clock: ClockSource,
    /// The camera's clock is off by so many ns, too much to be used; negative: it is behind.
    pub(crate) clock_off_ns: Option<i64>,
    /// The first of a connection.
    pub(crate) discontinuity: bool,
    /// Its times do not follow from those of the unit before.
    pub(crate) jumped: bool,
    /// Behind its schedule by more than [`crate::pace::LATE`].
    pub(crate) late: bool,
}

impl CapturedUnit {
    /// Of a source that is here: it is captured when it is let go.
    pub(crate) fn of_here(unit: AccessUnit, capture: Stamp, first: bool, late: bool) -> Self {
        Self {
            unit,
            capture,
            clock: ClockSource::Arrival,
            clock_off_ns: None,
            discontinuity: first,
            jumped: false,
            late,
        }
    }
}

/// The kinds of source.
#[derive(Debug)]
pub(crate) enum Source {
    Camera(Box<Camera>),
    Command(Box<CommandSource>),
    File(Box<FileSource>),
    Loop(LoopSource),
    Test(Box<TestSource>),
}

impl Source {
    /// Opens what is local; a camera is connected to in the background.
    pub(crate) fn open(config: &IngestConfig, cx: &Context) -> Result<Self, Fault> {
        match &config.source {
            Wanted::File(path) => {
                let start_ns = i64::try_from(config.start.0).unwrap_or(i64::MAX);
                let file = FileSource::open(path, config.repeat, start_ns, cx.stop_flag())?;
                Ok(Self::File(Box::new(file)))
            }
            Wanted::Device(device) => {
                let input = Input::Device(device.clone());
                by_ffmpeg(input, device.to_string())
            }
            Wanted::Publisher(publisher) => {
                let Some(ring) = cx.output() else {
                    return Err(Fault::contract("started without a ring to write, expected one"));
                };
                let awaited = Awaited {
                    doors: cx.doors_dir(),
                    path: ring.name.owner().to_owned(),
                    second: publisher.second,
                    most: ring.config.max_bitrate,
                };
                Ok(Self::Camera(Box::new(Camera::await_publisher(awaited, Arc::default())?)))
            }
            Wanted::Stream(stream) => {
                by_ffmpeg(Input::Stream(stream.clone()), stream.url().to_string())
            }
            Wanted::Rtsp(rtsp) => {
                let address = Address {
                    url: rtsp.url().to_owned(),
                    name: rtsp.to_string(),
                    transport: config.transport,
                };
                // A ring's essential readers are waited for.
                let waits = cx.output().is_some_and(|ring| !ring.essential.is_empty());
                let read_by = if waits { ReadBy::Thread } else { ReadBy::Loop };
                Ok(Self::Camera(Box::new(Camera::connect(address, read_by, Arc::default())?)))
            }
            Wanted::Test(pattern) if pattern.mode == TestMode::Loop => {
                Ok(Self::Loop(LoopSource::open(pattern)?))
            }
            Wanted::Test(pattern) => Ok(Self::Test(Box::new(TestSource::open(pattern)?))),
        }
    }

    /// What a command prints in a container.
    pub(crate) fn of_command(config: &PipeConfig, cx: &Context) -> Result<Self, Fault> {
        let Some(Makes::Container(container)) = config.makes else {
            return Err(Fault::contract(
                "a command's stdout without a container is the pipe worker's",
            ));
        };
        let stdout = cx.inherited(env::STDOUT_FD)?;
        let source = CommandSource::start(stdout, container, config.command.as_str())?;
        Ok(Self::Command(Box::new(source)))
    }

    /// The next event, after at most about `wait`.
    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        match self {
            Self::Camera(camera) => camera.next(wait),
            Self::Command(command) => command.next(wait),
            Self::File(file) => file.next(wait),
            Self::Loop(source) => source.next(wait),
            Self::Test(test) => test.next(wait),
        }
    }

    /// Says goodbye where somebody is at the other end.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Camera(camera) => camera.close(),
            Self::Command(command) => command.close(),
            Self::File(_) | Self::Loop(_) | Self::Test(_) => {}
        }
    }

    /// Goes on after [`Self::close`].
    pub(crate) fn open_again(&mut self) -> Result<(), Fault> {
        match self {
            Self::Camera(camera) => camera.connect_again(),
            Self::Command(_) | Self::File(_) | Self::Loop(_) | Self::Test(_) => Ok(()),
        }
    }
}

fn by_ffmpeg(input: Input, name: String) -> Result<Source, Fault> {
    let camera = Camera::connect_by_ffmpeg(input, name, Arc::default())?;
    Ok(Source::Camera(Box::new(camera)))
}

/// Sleeps until `due` but at most `wait`; whether it is due then.
pub(crate) fn sleep_until(due: MonoNs, wait: Duration) -> bool {
    let rest = due.saturating_since(clock::mono());
    thread::sleep(rest.min(wait));
    rest <= wait
}
