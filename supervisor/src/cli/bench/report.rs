//! What `bench` prints. Pure.

use serde::Serialize;

use super::super::table::{self, bytes};
use super::step::Plan;
use super::verdict::{Limit, Step};

/// Of the CPU, by other programs: more than any idle system takes.
const NOTABLE_PERCENT: f64 = 20.0;

/// What `bench -o json` prints. More keys may come; these stay.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The most that were all recorded with something to spare.
    cameras: u32,
    cameras_max: u32,
    /// The source of each.
    source: String,
    /// Of the smallest number that was too many.
    bottleneck: Limit,
    interrupted: bool,
    /// By their number of cameras.
    steps: Vec<Step>,
}

impl Report {
    pub(super) fn of(
        plan: &Plan,
        cameras_max: u32,
        mut steps: Vec<Step>,
        interrupted: bool,
    ) -> Self {
        steps.sort_by_key(|step| step.cameras);
        let first_bad = steps.iter().find(|step| !step.is_good());
        let good = steps.iter().take_while(|step| step.is_good()).last();
        Self {
            cameras: good.map_or(0, |step| step.cameras),
            cameras_max,
            source: plan.source.clone(),
            bottleneck: first_bad.map_or(Limit::None, |step| step.limit.clone()),
            interrupted,
            steps,
        }
    }

    pub(super) fn in_words(&self) -> String {
        let head =
            ["CAMERAS", "PACKETS", "LOST", "LATE", "CPU", "WRITTEN/s", "SHM", "FDS", "LIMIT"];
        let rows: Vec<Vec<String>> = self.steps.iter().map(row).collect();
        format!("{}{}{}\n", table::render(&head, &rows), self.conclusion(), self.disturbance())
    }

    /// What the figures are not the machine's own for.
    fn disturbance(&self) -> String {
        let most = self.steps.iter().map(|step| step.used.others_percent()).fold(0.0, f64::max);
        if most < NOTABLE_PERCENT {
            return String::new();
        }
        format!(
            "; other programs took up to {most:.0} % of the CPU meanwhile: alone it may do more"
        )
    }

    fn conclusion(&self) -> String {
        let Self { cameras, bottleneck, interrupted, .. } = self;
        match bottleneck {
            Limit::None if *interrupted => {
                format!(
                    "at least {cameras} cameras are recorded; interrupted before the limit was found"
                )
            }
            Limit::None => format!("{cameras} cameras are recorded, and no limit was found"),
            limit => {
                let until = if *interrupted { ", as far as it went" } else { "" };
                format!("{cameras} cameras are recorded{until}; the bottleneck is {limit}")
            }
        }
    }
}

fn row(step: &Step) -> Vec<String> {
    let Step { cameras, measured, used, limit } = step;
    vec![
        cameras.to_string(),
        format!("{}/{}", measured.packets, measured.packets_expected),
        measured.lost.to_string(),
        measured.late.to_string(),
        format!("{:.0} %", used.cpu_percent),
        bytes(used.written_bytes_s),
        bytes(used.shm_bytes),
        format!("{}/{}", used.descriptors.open, used.descriptors.limit),
        limit.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use protocol::units::Span;

    use super::super::load::{Share, Used};
    use super::super::verdict::Measured;
    use super::*;

    fn report(steps: &[(u32, u64)], interrupted: bool) -> Report {
        let plan = Plan { source: "test:".into(), fps: 25, span: Span::from_millis(5000) };
        let used = Used { disk_free_bytes: 1 << 30, cpu_percent: 90.0, ..Used::default() };
        let step = |(cameras, lost): &(u32, u64)| {
            Step::of(*cameras, used.clone(), Measured { lost: *lost, ..Measured::default() })
        };
        Report::of(&plan, 256, steps.iter().map(step).collect(), interrupted)
    }

    #[test]
    fn the_answer_is_the_largest_number_below_the_first_that_lost_something() {
        let found = report(&[(1, 0), (2, 0), (4, 9), (3, 0)], false);
        assert_eq!(found.cameras, 3);
        assert!(matches!(found.bottleneck, Limit::Cpu { .. }));
        let text = found.in_words();
        let first: Vec<&str> = text.lines().map(|line| &line[..1]).collect();
        assert_eq!(first, ["C", "1", "2", "3", "4", "3"], "{text}");
        let none = report(&[(1, 5)], false);
        assert!((none.cameras, none.steps.len()) == (0, 1));
    }

    #[test]
    fn a_disturbed_bench_says_so() {
        let mut disturbed = report(&[(1, 0)], false);
        assert!(!disturbed.in_words().contains("other programs"));
        let others = Share { name: "others".to_owned(), percent: 41.0 };
        disturbed.steps[0].used.cpu_by_kind.push(others);
        assert!(disturbed.in_words().contains("other programs took up to 41 %"));
    }

    #[test]
    fn a_bench_that_was_ended_early_claims_no_more_than_it_saw() {
        assert!(report(&[(1, 0)], true).in_words().contains("at least 1 cameras"));
        assert!(report(&[(1, 0)], false).in_words().contains("no limit was found"));
        assert!(report(&[(1, 0), (2, 7)], true).in_words().contains("as far as it went"));
        assert_eq!(report(&[], true).cameras, 0);
    }
}
