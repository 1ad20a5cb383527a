//! What workers print: cut into lines, bounded, kept for `logs`.

use std::collections::VecDeque;

use protocol::name::WorkerName;
use protocol::time::{MonoNs, UtcNs};
use serde::{Deserialize, Serialize};

use crate::meter::Meter;

/// A longer line is cut into several.
const LINE_MAX_BYTES: usize = 8 * 1024;
/// Lines kept of each worker.
const LINES_MAX: usize = 1000;
/// A worker that prints more than this is not being read by a person: the rest is counted.
const LINES_PER_SECOND: u32 = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A line as `logs` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogLine {
    pub(crate) worker: WorkerName,
    pub(crate) time_utc_ns: UtcNs,
    pub(crate) stream: Stream,
    pub(crate) text: String,
}

/// The last lines of one worker, across its restarts.
#[derive(Debug)]
pub(crate) struct LogBook {
    worker: WorkerName,
    lines: VecDeque<LogLine>,
    meter: Meter,
    dropped: u64,
}

impl LogBook {
    pub(crate) fn new(worker: WorkerName) -> Self {
        Self { worker, lines: VecDeque::new(), meter: Meter::new(LINES_PER_SECOND), dropped: 0 }
    }

    /// Goes on with the lines another supervisor has read.
    pub(crate) fn resumed(worker: WorkerName, lines: Vec<LogLine>) -> Self {
        Self { lines: lines.into(), ..Self::new(worker) }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &LogLine> {
        self.lines.iter()
    }

    /// Keeps a line; gives back what is to be shown to those who follow.
    pub(crate) fn add(
        &mut self,
        now: MonoNs,
        utc: UtcNs,
        stream: Stream,
        text: String,
    ) -> impl Iterator<Item = LogLine> + use<> {
        let line = |text| LogLine { worker: self.worker.clone(), time_utc_ns: utc, stream, text };
        let mut shown = Vec::new();
        if self.meter.allows(now) {
            if self.dropped > 0 {
                let dropped = std::mem::take(&mut self.dropped);
                shown.push(line(format!("({dropped} lines dropped: too many a second)")));
            }
            shown.push(line(text));
        } else {
            self.dropped += 1;
        }
        self.lines.extend(shown.iter().cloned());
        let surplus = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..surplus);
        shown.into_iter()
    }

    /// What an earlier process of the same worker printed comes before its own.
    pub(crate) fn inherit(&mut self, mut older: VecDeque<LogLine>) {
        older.append(&mut self.lines);
        self.lines = older;
        let surplus = self.lines.len().saturating_sub(LINES_MAX);
        self.lines.drain(..surplus);
    }

    /// The newest `count` lines of those not older than `oldest` and with `text` in them, oldest
    /// first.
    pub(crate) fn last(&self, count: usize, oldest: UtcNs, text: &str) -> Vec<&LogLine> {
        let fits = |line: &&LogLine| line.time_utc_ns >= oldest && line.text.contains(text);
        let mut lines: Vec<&LogLine> = self.lines.iter().rev().filter(fits).take(count).collect();
        lines.reverse();
        lines
    }
}

/// Bytes of one pipe into lines.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    partial: Vec<u8>,
}

impl Splitter {
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            for part in text.chunks(LINE_MAX_BYTES) {
                if self.partial.len() + part.len() > LINE_MAX_BYTES {
                    lines.extend(self.rest());
                }
                self.partial.extend_from_slice(part);
            }
            if ends {
                lines.push(visible(&std::mem::take(&mut self.partial)));
            }
        }
        lines
    }

    /// Goes on with what another supervisor has read of a line.
    pub(crate) fn resumed(partial: Vec<u8>) -> Self {
        Self { partial }
    }

    pub(crate) fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// What came after the last line end; to be taken when the pipe closes.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| visible(&rest))
    }
}

/// What a worker prints may come from a camera: no control characters reach a terminal.
fn visible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> LogBook {
        LogBook::new("x".parse().unwrap())
    }

    fn at(ms: u64) -> MonoNs {
        MonoNs(10_000_000_000 + ms * 1_000_000)
    }

    #[test]
    fn lines_survive_any_cut_of_the_bytes() {
        let text = "one\ntwo three\n\nfour\r\n";
        for cut in 0..text.len() {
            let mut splitter = Splitter::default();
            let mut lines = splitter.feed(&text.as_bytes()[..cut]);
            lines.extend(splitter.feed(&text.as_bytes()[cut..]));
            assert_eq!(lines, ["one", "two three", "", "four"], "cut at {cut}");
            assert_eq!(splitter.rest(), None);
        }
    }

    #[test]
    fn an_endless_line_is_cut_and_memory_stays_bounded() {
        let mut splitter = Splitter::default();
        let lines = splitter.feed(&vec![b'x'; 10 * LINE_MAX_BYTES + 5]);
        assert_eq!(lines.len(), 10);
        assert!(lines.iter().all(|line| line.len() == LINE_MAX_BYTES));
        assert_eq!(splitter.rest().as_deref(), Some("xxxxx"));
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.feed(b"\x1b[2Jhi\tyou\xff\n"), ["[2Jhi\tyou\u{fffd}"]);
    }

    #[test]
    fn only_the_newest_lines_are_kept() {
        let mut book = book();
        for number in 0..2 * LINES_MAX {
            let ms = number as u64;
            let _ = book.add(at(ms), UtcNs(0), Stream::Stderr, number.to_string());
        }
        assert_eq!(book.last(usize::MAX, UtcNs(0), "").len(), LINES_MAX);
        assert_eq!(texts(&book.last(2, UtcNs(0), "")), ["1998", "1999"]);
    }

    #[test]
    fn lines_are_chosen_by_time_and_text_before_they_are_counted() {
        let mut book = book();
        for (utc, text) in [(10, "an error"), (20, "fine"), (30, "error b"), (40, "error c")] {
            let _ = book.add(at(utc), UtcNs(utc), Stream::Stderr, text.to_owned());
        }
        assert_eq!(texts(&book.last(9, UtcNs(20), "error")), ["error b", "error c"]);
        assert_eq!(texts(&book.last(1, UtcNs(0), "fine")), ["fine"]);
    }

    fn texts<'a>(lines: &[&'a LogLine]) -> Vec<&'a str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn what_is_too_much_is_counted_and_said() {
        let mut book = book();
        for _ in 0..LINES_PER_SECOND + 7 {
            let _ = book.add(at(0), UtcNs(0), Stream::Stdout, "x".into());
        }
        let shown: Vec<_> = book
            .add(at(1000), UtcNs(0), Stream::Stdout, "y".into())
            .map(|line| line.text)
            .collect();
        assert_eq!(shown, ["(7 lines dropped: too many a second)", "y"]);
    }
}
