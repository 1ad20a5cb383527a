//! What every source gives: tracks, access units on one line of time, or why there are none.

use std::thread;
use std::time::Duration;

use media::AccessUnit;
use protocol::config::IngestConfig;
use protocol::config::ingest::{Source as Wanted, TestMode};
use protocol::stream::Track;
use protocol::time::{ClockSource, MonoNs, Stamp};
use shmring::clock;
use worker::{Context, Fault};

use crate::camera::{Address, Camera};
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
    Camera(Camera),
    File(Box<FileSource>),
    Loop(LoopSource),
    Test(Box<TestSource>),
}

impl Source {
    /// Opens what is local; a camera is connected to in the background.
    pub(crate) fn open(config: &IngestConfig, cx: &Context) -> Result<Self, Fault> {
        match &config.source {
            Wanted::File(path) => {
                let file = FileSource::open(path, config.repeat, cx.stop_flag())?;
                Ok(Self::File(Box::new(file)))
            }
            Wanted::Rtsp(rtsp) => {
                let address = Address {
                    url: rtsp.url().to_owned(),
                    name: rtsp.to_string(),
                    transport: config.transport,
                };
                Ok(Self::Camera(Camera::connect(address, cx.stop_flag())?))
            }
            Wanted::Test(pattern) if pattern.mode == TestMode::Loop => {
                Ok(Self::Loop(LoopSource::open(pattern)?))
            }
            Wanted::Test(pattern) => Ok(Self::Test(Box::new(TestSource::open(pattern)?))),
        }
    }

    /// The next event, after at most about `wait`.
    pub(crate) fn next(&mut self, wait: Duration) -> Result<Event, Fault> {
        match self {
            Self::Camera(camera) => camera.next(wait),
            Self::File(file) => file.next(wait),
            Self::Loop(source) => source.next(wait),
            Self::Test(test) => test.next(wait),
        }
    }

    /// Says goodbye where somebody is at the other end.
    pub(crate) fn close(&mut self) {
        if let Self::Camera(camera) = self {
            camera.close();
        }
    }
}

/// Sleeps until `due` but at most `wait`; whether it is due then.
pub(crate) fn sleep_until(due: MonoNs, wait: Duration) -> bool {
    let rest = due.saturating_since(clock::mono());
    thread::sleep(rest.min(wait));
    rest <= wait
}
