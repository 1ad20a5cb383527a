//! Clocks and what the figures were measured on.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// CLOCK_MONOTONIC, the same in every process.
pub(crate) fn now_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Processor time of this thread.
pub(crate) fn cpu_ns() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

/// Nanoseconds of one call, the median of batches.
pub(crate) fn time_of(batches: usize, calls: u32, mut call: impl FnMut()) -> f64 {
    let batch = |_| {
        let begin = Instant::now();
        (0..calls).for_each(|_| call());
        begin.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    crate::stats::median(&(0..batches).map(batch).collect::<Vec<_>>())
}

/// One number for all processes of this run: the director's pid, asked for first by itself.
pub(crate) fn run() -> u32 {
    static RUN: OnceLock<u32> = OnceLock::new();
    *RUN.get_or_init(std::process::id)
}

/// Those this process may use, asked before it keeps to one of them.
pub(crate) fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, |count| count.get()))
}

/// Said with every report: figures mean nothing without.
pub(crate) fn describe() -> Value {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = file("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    json!({
        "cpu": model,
        "cores": processors(),
        "kernel": file("/proc/sys/kernel/osrelease").trim(),
        "load_1min": load(),
    })
}

pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// How much of an item a receiver looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// The first and the last line.
    Ends,
    /// Every line once.
    Lines,
}

pub(crate) fn touch(bytes: &[u8], how: Touch) {
    match how {
        Touch::Ends => {
            black_box((bytes.first().copied(), bytes.last().copied()));
        }
        Touch::Lines => {
            black_box(bytes.iter().step_by(64).fold(0u8, |all, byte| all ^ byte));
        }
    }
}
