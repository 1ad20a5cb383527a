//! Posts a named POSIX semaphore for every item of a ring, for programs that know nothing else to wait for.
//!
//! It is a reader like any other, in a process of its own: whoever can open a semaphore can also freeze or
//! abort those who post it, so no process that captures ever does.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a program for a terminal")]

mod named;
mod options;

use std::error::Error;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use protocol::name::{ProjectName, RingKind, RingName};
use rustix::event::{PollFd, PollFlags, poll};
use shmring::{
    FrameOptions, FrameReader, Next, PacketOptions, PacketReader, Policy, Pollable, Start, project,
};

use named::NamedSemaphore;
use options::{Asked, HELP, Options};

/// What `framevisor rings` shows of it.
const NAME: &str = "shmring-semaphore";

/// Items counted before the semaphore is posted and signals are looked for: a ring may be busy without end.
const AT_ONCE: usize = 1_000;

fn main() -> ExitCode {
    let asked = Options::parse(std::env::args().skip(1));
    let result = match asked {
        Ok(Asked::Help) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Asked::Run(options)) => run(&options),
        Err(mistake) => {
            eprintln!("{NAME}: {mistake}; see --help");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let signals = take_signals()?;
    let project = project::having(options.project.as_deref(), &options.ring)?;
    // Before it shows up as a reader: who sees it there finds the semaphore at 0.
    let semaphore = NamedSemaphore::take(&options.semaphore, options.create_mode)?;
    let mut source = Source::attach(&project, &options.ring)?;
    let pollable = source.pollable()?;
    loop {
        let mut waited = [
            PollFd::new(&pollable, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        poll(&mut waited, None)?;
        if !waited[1].revents().is_empty() {
            return Ok(());
        }
        let items = source.count_new()?;
        semaphore.post(items, options.max)?;
    }
}

/// Signals that end the program are read from a descriptor, so that the semaphore's name goes with it.
fn take_signals() -> nix::Result<SignalFd> {
    let set: SigSet = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

enum Source {
    Frames(Box<FrameReader>),
    /// Records too: what is in them does not matter here.
    Packets(Box<PacketReader>),
}

impl Source {
    fn attach(project: &ProjectName, ring: &RingName) -> Result<Self, shmring::Error> {
        if ring.kind() == RingKind::Frames {
            let policy = Policy::Sequential;
            let options = FrameOptions { policy, quota: 1, ..FrameOptions::named(NAME) };
            return FrameReader::attach(project, ring, &options).map(Box::new).map(Self::Frames);
        }
        let options = PacketOptions { reader: NAME.to_owned(), start: Start::Newest };
        PacketReader::attach(project, ring, &options).map(Box::new).map(Self::Packets)
    }

    fn pollable(&self) -> Result<Pollable, shmring::Error> {
        match self {
            Self::Frames(reader) => reader.pollable(),
            Self::Packets(reader) => reader.pollable(),
        }
    }

    /// Items published since the last look, those that were overwritten meanwhile among them.
    fn count_new(&mut self) -> Result<u64, shmring::Error> {
        let mut items = 0;
        for _ in 0..AT_ONCE {
            match self.next() {
                Ok(Next::Item(())) => items += 1,
                Ok(Next::Overrun { missed }) => items += missed,
                Ok(Next::NewEpoch { .. } | Next::Evicted { .. }) => {}
                // A later writer is waited for.
                Ok(Next::Quiet | Next::Ended) => break,
                // Taken down, and perhaps brought up again.
                Err(error) if error.is_absent() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(items)
    }

    fn next(&mut self) -> Result<Next<()>, shmring::Error> {
        Ok(match self {
            Self::Frames(reader) => without_item(reader.next(Duration::ZERO)?),
            Self::Packets(reader) => without_item(reader.next(Duration::ZERO)?),
        })
    }
}

fn without_item<T>(next: Next<T>) -> Next<()> {
    match next {
        Next::Item(_) => Next::Item(()),
        Next::Overrun { missed } => Next::Overrun { missed },
        Next::Evicted { reason } => Next::Evicted { reason },
        Next::NewEpoch { epoch } => Next::NewEpoch { epoch },
        Next::Quiet => Next::Quiet,
        Next::Ended => Next::Ended,
    }
}
