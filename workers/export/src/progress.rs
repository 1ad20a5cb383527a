//! A line on stderr that says how far it is, where stderr is a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::watch::{Progress, Watch};

/// Often enough to look alive.
const EVERY: Duration = Duration::from_millis(200);
const BAR: usize = 16;

/// Runs `work` under a progress line.
pub(crate) fn shown<T>(watch: &Watch, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let (end, ended) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut ticks = 0;
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                ticks += 1;
                say(&format!("\r{}\x1b[K", line(watch.progress(), EVERY * ticks)));
            }
            say("\r\x1b[K");
        });
        let done = work();
        drop(end);
        done
    })
}

/// Nobody may be looking, which harms nothing.
fn say(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// `[########........] 9/16 cameras  412 MB/s  4 s left`.
fn line(progress: Progress, took: Duration) -> String {
    let Progress { done_bytes, all_bytes, done_cameras, all_cameras } = progress;
    if all_bytes == 0 {
        return "reading what there is".to_owned();
    }
    let done = usize::try_from(done_bytes.min(all_bytes) * BAR as u64 / all_bytes).unwrap_or(0);
    let bar = format!("[{}{}]", "#".repeat(done), ".".repeat(BAR - done));
    let cameras = match all_cameras {
        1 => String::new(),
        all => format!("{done_cameras}/{all} cameras  "),
    };
    let per_s = u128::from(done_bytes) * 1000 / took.as_millis().max(1);
    let left = u128::from(all_bytes.saturating_sub(done_bytes)).checked_div(per_s);
    let left = left.map(|left| format!("  {left} s left")).unwrap_or_default();
    format!("{bar} {cameras}{} MB/s{left}", per_s / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_much_how_fast_and_how_long() {
        let progress = Progress {
            done_bytes: 900_000_000,
            all_bytes: 1_600_000_000,
            done_cameras: 9,
            all_cameras: 16,
        };
        let shown = line(progress, Duration::from_secs(3));
        assert_eq!(shown, "[#########.......] 9/16 cameras  300 MB/s  2 s left");
        let one = Progress { all_cameras: 1, ..progress };
        assert!(!line(one, Duration::from_secs(3)).contains("cameras"));
        assert_eq!(line(Progress::default(), EVERY), "reading what there is");
        let stuck = Progress { done_bytes: 0, ..one };
        assert_eq!(line(stuck, EVERY), "[................] 0 MB/s");
    }
}
