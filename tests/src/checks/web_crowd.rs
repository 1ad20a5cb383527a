//! A hundred viewers of one camera, with and without one that reads nothing and one that reads a kilobyte a second: what
//! the others notice, what each of the two costs in memory, and what a viewer costs in processor time.
//!
//! Windows with and without the two take turns (A, B, A, B ...), so that what changes on the machine meanwhile changes
//! both; windows without, beside each other, say how much that is (A/A).

use std::thread;
use std::time::Duration;

use protocol::time::UtcNs;
use serde_json::{Map, Value, json};
use shmring::clock;

use super::web_site::{AT_ONCE, Site, percentile, tenth};
use crate::fleet::{Ask, Fleet, Log, Pace, holes};
use crate::processes::{self, Private};
use crate::{Failure, Outcome, ensure, wait_for};

/// Until the two have filled what the kernel keeps for them, before a window counts.
const FILLS: Duration = Duration::from_secs(1);
/// Pictures that a window should have of each viewer, in percent of what the camera makes.
const ENOUGH_PERCENT: usize = 80;

/// A window: when it was, and what the worker was like.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: UtcNs,
    to: UtcNs,
    /// Of a core, by the worker.
    cpu: f64,
    memory_kib: u64,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Those that read.
    pub viewers: usize,
    /// Of windows, one without the two and one with them.
    pub pairs: usize,
    /// Of a window.
    pub seconds: u64,
    /// Where others use the machine too, who reads may be too slow for once, and is told.
    pub is_alone: bool,
}

/// Takes turns, and looks at what everybody got.
pub fn slow_viewers_cost_the_others_nothing(extent: Extent) -> Outcome<Value> {
    let Extent { viewers, pairs, seconds, is_alone } = extent;
    let site = Site::begin(&format!(
        "  web: {{use: web, in: cam1.packets, listen: '127.0.0.1:{{port}}', {AT_ONCE}}}\n"
    ))?;
    let pid = site.project.pid("web")?;
    let fleet = Fleet::start(&vec![Ask::of(site.port); viewers])?;
    let all_watch = || fleet.counts().iter().all(|count| *count > 25).then_some(());
    wait_for(60, "all viewers to have a picture", all_watch)?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut slow_connections = 0;
    for _ in 0..pairs {
        thread::sleep(FILLS);
        without.push(window(pid, seconds)?);
        let slow = Fleet::start(&[
            Ask { pace: Pace::Stopped, ..Ask::of(site.port) },
            Ask { pace: Pace::BytesASecond(1000), ..Ask::of(site.port) },
        ])?;
        thread::sleep(FILLS);
        with.push(window(pid, seconds)?);
        slow_connections += slow.finish().iter().map(|log| log.connections).sum::<u64>();
    }
    let logs = fleet.finish();
    site.project.down()?;
    ensure(slow_connections == 2 * pairs as u64, || format!("{slow_connections} slow viewers"))?;
    all_have_everything(&logs, is_alone)?;
    let seconds = usize::try_from(seconds).map_err(Failure::new)?;
    let expected = if is_alone { viewers * 25 * seconds } else { 1 };
    let late = |windows: &[Window]| -> Outcome<Vec<[f64; 2]>> {
        windows.iter().map(|window| late_in(&logs, *window, expected)).collect()
    };
    let (a, b) = (late(&without)?, late(&with)?);
    let mut figures = compared(&a, &b);
    let mib = memory_mib(&without, &with);
    let mut cpu: Vec<f64> = without.iter().map(|window| window.cpu * 100.0).collect();
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let each = percentile(&mut cpu, 50) / viewers as f64;
    figures.insert("viewers".into(), json!(viewers));
    figures.insert("pairs".into(), json!(pairs));
    figures.insert("cpu_percent_a_viewer".into(), json!((each * 1000.0).round() / 1000.0));
    figures.insert("mib_a_slow_viewer".into(), json!(tenth(mib)));
    Ok(Value::Object(figures))
}

fn window(pid: u32, seconds: u64) -> Outcome<Window> {
    let (from, before, begun) = (clock::now().utc, processes::cpu_ns(pid), clock::mono());
    thread::sleep(Duration::from_secs(seconds));
    let took = clock::mono().saturating_since(begun).as_secs_f64();
    let spent = Duration::from_nanos(processes::cpu_ns(pid).saturating_sub(before)).as_secs_f64();
    let memory = Private::of(pid).ok_or_else(|| Failure::new("the web worker is gone"))?;
    Ok(Window { from, to: clock::now().utc, cpu: spent / took, memory_kib: memory.dirty_kib })
}

/// Correctness, whatever the speed: nobody who reads misses a picture without a word.
fn all_have_everything(logs: &[Log], is_alone: bool) -> Outcome<()> {
    for (viewer, log) in logs.iter().enumerate() {
        let missed = holes(&log.pictures);
        let is_well = log.wrong.is_empty() && log.refused.is_empty() && log.connections == 1;
        let is_told = log.skipped > 0 && !is_alone;
        ensure(is_well && (is_told || missed.is_empty() && log.skipped == 0), || {
            let (wrong, refused) = (&log.wrong, &log.refused);
            format!(
                "viewer {viewer}: {} skipped, missed {missed:?}, {wrong:?}, {refused:?}",
                log.skipped
            )
        })?;
    }
    Ok(())
}

/// Median and 95th percentile of what came within a window.
fn late_in(logs: &[Log], window: Window, expected: usize) -> Outcome<[f64; 2]> {
    let all = logs.iter().flat_map(|log| &log.pictures);
    let within = all.filter(|one| (window.from..window.to).contains(&one.came));
    let mut late: Vec<f64> = within.map(|one| one.late_ms()).collect();
    ensure(late.len() * 100 >= expected * ENOUGH_PERCENT, || {
        format!("{} pictures of {expected} in a window", late.len())
    })?;
    Ok([percentile(&mut late, 50), percentile(&mut late, 95)])
}

/// How much later pictures are with the two (decision 25): the median ratio of the pairs, and beside it how far windows
/// without them are apart.
fn compared(without: &[[f64; 2]], with: &[[f64; 2]]) -> Map<String, Value> {
    let mut figures = Map::new();
    let mut met = true;
    for (at, name) in [(0, "p50"), (1, "p95")] {
        let mut ratios: Vec<f64> = without.iter().zip(with).map(|(a, b)| b[at] / a[at]).collect();
        let mut spread: Vec<f64> =
            without.windows(2).map(|pair| (pair[1][at] / pair[0][at]).ln().abs()).collect();
        let ratio = percentile(&mut ratios, 50);
        let spread = percentile(&mut spread, 95).exp();
        met &= ratio <= spread.max(1.05);
        let median = |windows: &[[f64; 2]]| {
            percentile(&mut windows.iter().map(|window| window[at]).collect::<Vec<_>>(), 50)
        };
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        figures.insert(format!("{name}_ms_without"), json!(tenth(median(without))));
        figures.insert(format!("{name}_ms_with"), json!(tenth(median(with))));
        figures.insert(format!("{name}_ratio"), json!(rounded(ratio)));
        figures.insert(format!("{name}_spread_without"), json!(rounded(spread)));
    }
    figures.insert("as_without".into(), json!(met));
    figures
}

/// What one of the two adds to the worker, in the pair where it is most.
fn memory_mib(without: &[Window], with: &[Window]) -> f64 {
    let more = without.iter().zip(with).map(|(a, b)| b.memory_kib.saturating_sub(a.memory_kib));
    #[expect(clippy::cast_precision_loss, reason = "some thousand KiB")]
    let most = more.max().unwrap_or(u64::MAX) as f64;
    most / 1024.0 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_as_late_as_without_the_two_is_as_without() {
        let a = [[10.0, 20.0], [11.0, 22.0], [10.0, 21.0]];
        let told = compared(&a, &[[10.1, 20.2], [11.0, 21.9], [10.2, 21.0]]);
        assert_eq!((&told["as_without"], &told["p50_ms_without"]), (&json!(true), &json!(10.0)));
        let told = compared(&a, &[[15.0, 40.0], [16.0, 44.0], [14.0, 41.0]]);
        assert_eq!(told["as_without"], json!(false));
    }

    #[test]
    fn memory_is_counted_where_it_is_most() {
        let window = |memory_kib| Window { from: UtcNs(0), to: UtcNs(1), cpu: 0.0, memory_kib };
        let more = memory_mib(&[window(1000), window(1000)], &[window(900), window(3048)]);
        assert!((more - 1.0).abs() < 1e-9);
    }
}
