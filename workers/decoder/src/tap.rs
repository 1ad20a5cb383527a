//! `framevisor tap`: pictures of any ring into a PNG file or onto the terminal.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use protocol::stream::PixelFormat;
use protocol::time::MonoNs;
use protocol::units::Span;
use protocol::verb::{Tap, TapTo};
use rustix::termios::tcgetwinsize;
use shmring::clock;
use signal_hook::consts::{SIGINT, SIGTERM};
use worker::verb::{VerbError, arguments};

use crate::blocks::{self, Cells};
use crate::pictures::{Pictures, Shown};

/// A parked decoder needs a key frame first; cameras send one at least this often.
const FIRST_WITHIN: Duration = Duration::from_secs(15);
/// Enough to see that it moves, little enough for a slow line.
const TERM_EVERY: Span = Span::from_millis(200);
/// How soon Ctrl-C is seen.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Without a terminal to ask.
const USUAL: Cells = Cells { columns: 80, rows: 24 };

pub(crate) fn verb(text: &str) -> Result<(), VerbError> {
    let tap: Tap = arguments(text)?;
    let stop = Stop::listen()?;
    match &tap.to {
        TapTo::Png(file) => to_png(&tap, file, &stop),
        TapTo::Term => {
            let shown = to_terminal(&tap, &stop);
            // The cursor, plain colours, and a line of one's own for what comes after.
            say("\x1b[0m\x1b[?25h\n")?;
            shown
        }
    }
}

fn to_png(tap: &Tap, file: &Path, stop: &Stop) -> Result<(), VerbError> {
    let count = tap.frames.unwrap_or_else(|| if tap.every.is_some() { u64::MAX } else { 1 });
    let every = tap.every.map_or(Duration::ZERO, Span::duration);
    let mut due = clock::mono();
    for _ in 0..count {
        if stop.until(due) {
            break;
        }
        // Attached anew each time: nothing is decoded in between.
        let Some(shown) = first(tap, stop)? else { break };
        let png = shown.still.png().map_err(VerbError::failed)?;
        write_whole(file, &png).map_err(|error| {
            VerbError::failed(format!("cannot write {}: {error}", file.display()))
        })?;
        let line = format!("framevisor: wrote {}: {}\n", file.display(), words(tap, &shown));
        // Nobody may be listening, which harms nothing.
        let _ = io::stderr().write_all(line.as_bytes());
        due = due + every;
    }
    Ok(())
}

/// The newest picture there is, or the first that comes; `None` after an interrupt.
fn first(tap: &Tap, stop: &Stop) -> Result<Option<Shown>, VerbError> {
    let deadline = clock::mono() + FIRST_WITHIN;
    let mut pictures = Pictures::attach(&tap.project, &tap.ring)?;
    while !stop.came() {
        if let Some(shown) = pictures.newest(LOOK_EVERY, true)? {
            return Ok(Some(shown));
        }
        if clock::mono() > deadline {
            return Err(nothing_came(tap));
        }
    }
    Ok(None)
}

fn nothing_came(tap: &Tap) -> VerbError {
    let (ring, seconds) = (&tap.ring, FIRST_WITHIN.as_secs());
    VerbError::timeout(format!(
        "ring {ring}: no picture came within {seconds} s; `framevisor rings` shows whether it flows"
    ))
}

/// Whoever looks at the file sees the picture before or this one, never a part.
fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let part: PathBuf = file.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, file));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

fn to_terminal(tap: &Tap, stop: &Stop) -> Result<(), VerbError> {
    let every = tap.every.unwrap_or(TERM_EVERY).duration();
    let mut pictures = Pictures::attach(&tap.project, &tap.ring)?;
    let mut left = tap.frames.unwrap_or(u64::MAX);
    let (mut size, mut came) = (None, false);
    let (mut due, mut last_new) = (clock::mono(), clock::mono());
    say("\x1b[?25l")?;
    while left > 0 && !stop.until(due) {
        // With one picture asked for, the newest there is: also those a decoder holds back.
        let shown = pictures.newest(LOOK_EVERY, tap.frames == Some(1))?;
        let now = clock::mono();
        let cells = cells();
        match shown {
            Some(shown) => {
                let clear = if size == Some(cells) { "" } else { "\x1b[2J" };
                say(&format!("{clear}\x1b[H{}", frame(tap, &shown, cells, now)?))?;
                (size, came, last_new) = (Some(cells), true, now);
                left -= 1;
                due = due.max(now) + every;
            }
            None if !came && now.saturating_since(last_new) > FIRST_WITHIN => {
                return Err(nothing_came(tap));
            }
            None if came && now.saturating_since(last_new) > Duration::from_secs(1) => {
                let seconds = now.saturating_since(last_new).as_secs();
                say(&format!("\r{}: nothing new for {seconds} s\x1b[K", tap.ring))?;
            }
            None => {}
        }
    }
    Ok(())
}

fn frame(tap: &Tap, shown: &Shown, cells: Cells, now: MonoNs) -> Result<String, VerbError> {
    let (width, height) = blocks::fit(shown.still.width, shown.still.height, cells);
    let rgb = shown.still.converted(PixelFormat::Rgb24, width, height);
    let rgb = rgb.map_err(VerbError::failed)?;
    let age = now.saturating_since(shown.capture.mono).as_millis();
    let mut line = format!("{}, {age} ms ago", words(tap, shown));
    line.truncate(cells.columns as usize);
    Ok(format!("{}{line}\x1b[K", blocks::draw(&rgb.samples, width, height)))
}

/// Pure ASCII.
fn words(tap: &Tap, shown: &Shown) -> String {
    let still = &shown.still;
    let at = std::time::UNIX_EPOCH + Duration::from_nanos(shown.capture.utc.0);
    format!(
        "{} {}x{} {}, {} of epoch {}, {}",
        tap.ring,
        still.width,
        still.height,
        still.format.as_str(),
        shown.sequence,
        shown.epoch,
        humantime::format_rfc3339_millis(at),
    )
}

fn cells() -> Cells {
    tcgetwinsize(io::stdout())
        .ok()
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or(USUAL, |size| Cells { columns: size.ws_col.into(), rows: size.ws_row.into() })
}

/// Whoever closed the terminal wants no more.
fn say(text: &str) -> Result<(), VerbError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| VerbError::failed(format!("stdout: {error}")))
}

/// Ctrl-C and SIGTERM.
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn listen() -> Result<Self, VerbError> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&came)).map_err(VerbError::failed)?;
        }
        Ok(Self(came))
    }

    fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until then, or until it comes; whether it came.
    fn until(&self, due: MonoNs) -> bool {
        loop {
            let rest = due.saturating_since(clock::mono());
            if self.came() || rest.is_zero() {
                return self.came();
            }
            thread::sleep(rest.min(LOOK_EVERY));
        }
    }
}
