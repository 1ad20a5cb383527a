//! What a check has found, and what to do about it. The judging is pure.

use protocol::verb::{Codecs, ExaminedModel};
use serde::Serialize;

use super::super::table;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) check: String,
    pub(super) verdict: Verdict,
    pub(super) seen: String,
    /// Empty when nothing is to be done.
    pub(super) cure: String,
}

impl Row {
    pub(super) fn ok(check: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, seen, "")
    }

    pub(super) fn warn(
        check: impl Into<String>,
        seen: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Warn, seen, cure)
    }

    pub(super) fn fail(
        check: impl Into<String>,
        seen: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Fail, seen, cure)
    }

    fn new(
        check: impl Into<String>,
        verdict: Verdict,
        seen: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { check: check.into(), verdict, seen: seen.into(), cure: cure.into() }
    }
}

/// Of all rows; nothing to look at is well.
pub(super) fn worst(rows: &[Row]) -> Verdict {
    rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Ok)
}

/// Descriptors that the supervisor and its largest worker open; see `descriptors_of`.
pub(super) fn descriptors(needed: u64, allowed: Option<u64>) -> Row {
    let Some(allowed) = allowed else { return Row::ok("descriptors", "no limit") };
    let seen = format!("a process needs some {needed}, the limit is {allowed}");
    let cure = format!("`ulimit -n {}`, or LimitNOFILE= of the unit", needed.saturating_mul(2));
    match allowed {
        _ if allowed < needed => Row::fail("descriptors", seen, cure),
        _ if allowed < needed.saturating_mul(2) => Row::warn("descriptors", seen, cure),
        _ => Row::ok("descriptors", seen),
    }
}

/// Per worker: its pipes, link, health page and pidfd in the supervisor (8); per ring that a worker
/// reads: anchor, index, data, lease page and a socket (6); 64 for everybody's libraries and sockets.
pub(super) fn descriptors_of(workers: u64, rings_of_largest: u64) -> u64 {
    64 + workers.saturating_mul(8).max(rings_of_largest.saturating_mul(6))
}

/// Threads: a worker has up to a dozen.
pub(super) fn processes(workers: u64, allowed: Option<u64>) -> Row {
    let needed = 16 + workers.saturating_mul(12);
    let Some(allowed) = allowed else { return Row::ok("processes", "no limit") };
    let seen = format!("at most {needed} threads are needed, {allowed} are allowed");
    if allowed < needed {
        let cure = "raise `ulimit -u`, TasksMax= of the unit, or the container's `--pids-limit`";
        return Row::fail("processes", seen, cure);
    }
    Row::ok("processes", seen)
}

pub(super) fn clock(state: std::io::Result<spawn::ClockState>) -> Row {
    match state {
        Ok(state) if state.synchronized => {
            let ms = table::real(state.error_us) / 1000.0;
            Row::ok("clock", format!("synchronized, off by {ms:.0} ms at most"))
        }
        Ok(_) => Row::warn(
            "clock",
            "nobody keeps it in step with other clocks",
            "names and times of recordings drift; install chrony or systemd-timesyncd",
        ),
        Err(error) => Row::warn("clock", error.to_string(), "look with `timedatectl`"),
    }
}

/// `needed_bits`: what the recorded rings may carry a second.
pub(super) fn disk(dir: &str, bytes_per_s: u64, needed_bits: u64) -> Row {
    let check = format!("disk {dir}");
    let needed = needed_bits / 8;
    let speed = |bytes: u64| format!("{}/s", table::bytes(bytes));
    let seen = format!("writes {}, at most {} are recorded", speed(bytes_per_s), speed(needed));
    let cure = "record fewer cameras there, or on a faster disk";
    match bytes_per_s {
        _ if bytes_per_s < needed => Row::fail(check, seen, cure),
        _ if bytes_per_s < needed.saturating_mul(3) => Row::warn(check, seen, cure),
        _ => Row::ok(check, seen),
    }
}

pub(super) fn codecs(found: &Codecs) -> Row {
    let names = |names: &[String]| names.join(", ");
    let (decoders, encoders) = (names(&found.decoders), names(&found.encoders));
    let seen = format!("{}: decodes {decoders}; encodes {encoders}", found.library);
    if found.missing.is_empty() {
        return Row::ok("codecs", seen);
    }
    let cure = "install the system's full libavcodec and libx264, if you need them";
    Row::warn("codecs", format!("{seen}; lacks {}", names(&found.missing)), cure)
}

/// What runs the model of a detector, or why nothing does.
pub(super) fn model(worker: &str, found: Result<&ExaminedModel, &String>) -> Row {
    let check = format!("model of {worker}");
    let found = match found {
        Ok(found) => found,
        Err(why) => {
            let cure = "`framevisor explain` says what is tried; docs/detection.md has the forms and engines";
            return Row::fail(check, why, cure);
        }
    };
    let ExaminedModel { by, form, size, labels, .. } = found;
    let classes = match labels.len() {
        0 => "classes without names".to_owned(),
        1 => "1 class".to_owned(),
        more => format!("{more} classes"),
    };
    let seen = format!("{by}; {size}, {form}, {classes}");
    match &found.fell_back {
        None => Row::ok(check, seen),
        Some(why) => {
            let cure = "install what is missing, or take it out of 'providers' and 'onnxruntime'";
            Row::warn(check, format!("{seen}; {why}"), cure)
        }
    }
}

/// What keeps workers apart, as far as this machine allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Isolation {
    pub(super) landlock: Option<u32>,
    pub(super) seccomp: bool,
    /// A control group of its own below which it may make others.
    pub(super) cgroup: bool,
}

pub(super) fn isolation(found: &Isolation) -> Row {
    let landlock = found.landlock.map_or_else(|| "none".to_owned(), |abi| format!("ABI {abi}"));
    let there = |is: bool| if is { "there" } else { "none" };
    let seen = format!(
        "a process and process group each, one user, no sandbox; the kernel's landlock {landlock}, seccomp \
         {}; delegated cgroup {}",
        there(found.seccomp),
        there(found.cgroup),
    );
    if found.cgroup {
        return Row::ok("isolation", seen);
    }
    let cure = "memory and CPU limits need a cgroup: run it by the systemd unit (Delegate=yes)";
    Row::warn("isolation", seen, cure)
}

pub(super) fn kernel(release: &str, pidfd: bool, futex_waitv: bool) -> Row {
    let seen = |lacks: &str| format!("{release}{lacks}");
    match (pidfd, futex_waitv) {
        (true, true) => Row::ok("kernel", seen(": pidfd and futex_waitv")),
        (true, false) => Row::warn(
            "kernel",
            seen(" without futex_waitv"),
            "readers of several rings wake more often; Linux 5.16 has it",
        ),
        (false, _) => Row::fail("kernel", seen(" without pidfd"), "Linux 5.4 or newer is needed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_judged_by_what_the_topology_needs() {
        assert_eq!(descriptors_of(8, 6), 128);
        assert_eq!(descriptors(128, Some(100)).verdict, Verdict::Fail);
        assert_eq!(descriptors(128, Some(200)).verdict, Verdict::Warn);
        assert_eq!(descriptors(128, Some(1024)).verdict, Verdict::Ok);
        assert_eq!(descriptors(128, None).verdict, Verdict::Ok);
        assert_eq!(processes(10, Some(64)).verdict, Verdict::Fail);
        assert_eq!(processes(10, Some(136)).verdict, Verdict::Ok);
    }

    #[test]
    fn a_disk_is_judged_by_what_is_recorded_on_it() {
        let at = |bytes_per_s| disk("/r", bytes_per_s, 80_000_000).verdict;
        assert_eq!(
            [at(9_000_000), at(20_000_000), at(40_000_000)],
            [Verdict::Fail, Verdict::Warn, Verdict::Ok]
        );
    }

    #[test]
    fn a_model_is_as_well_as_what_runs_it_and_names_it() {
        let size = protocol::units::Size { width: 640, height: 320 };
        let labels = vec!["person".to_owned(), "car".to_owned()];
        let (by, form) = ("ONNX Runtime, cuda".to_owned(), "yolo8".to_owned());
        let found = ExaminedModel { by, fell_back: None, form, size, labels };
        let row = model("look", Ok(&found));
        assert_eq!((row.verdict, row.check.as_str()), (Verdict::Ok, "model of look"));
        assert_eq!(row.seen, "ONNX Runtime, cuda; 640x320, yolo8, 2 classes");
        let fell_back = Some("cuda: no card: cpu runs the model".to_owned());
        let row = model("look", Ok(&ExaminedModel { fell_back, ..found }));
        assert!(row.verdict == Verdict::Warn && row.seen.contains("no card"), "{row:?}");
        let row = model("look", Err(&"no such file".to_owned()));
        assert_eq!((row.verdict, row.seen.as_str()), (Verdict::Fail, "no such file"));
    }

    #[test]
    fn each_lack_says_what_to_do_and_the_worst_counts() {
        let isolation = isolation(&Isolation { landlock: Some(6), seccomp: true, cgroup: false });
        assert!(isolation.verdict == Verdict::Warn && isolation.seen.contains("ABI 6"));
        let kernel = kernel("6.1", false, true);
        let rows = [isolation, kernel, Row::ok("x", "y")];
        assert!(rows.iter().all(|row| (row.verdict == Verdict::Ok) == row.cure.is_empty()));
        assert_eq!(worst(&rows), Verdict::Fail);
        assert_eq!(worst(&[]), Verdict::Ok);
    }
}
