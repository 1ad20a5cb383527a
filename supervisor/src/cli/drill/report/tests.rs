//! What a drill adds up to.

use super::*;
use protocol::time::MonoNs;

fn tried(worker: &str, kind: &str, fault: Fault, restart_ms: u64) -> Try {
    let outcome = Outcome::Back {
        detect: Duration::from_millis(1),
        restart: Duration::from_millis(restart_ms),
    };
    Try {
        worker: worker.parse().unwrap(),
        kind: kind.to_owned(),
        fault,
        began: MonoNs(0),
        outcome,
        writes: vec![format!("{worker}.packets").parse().unwrap()],
        touched: Vec::new(),
        also_restarted: Vec::new(),
    }
}

fn seen(ring: &str, windows: Vec<SeenWindow>) -> Seen {
    Seen { ring: ring.parse().unwrap(), trouble: String::new(), windows }
}

fn window(lost: u64, gap: Option<f64>) -> SeenWindow {
    let new_epochs = u64::from(gap.is_some());
    SeenWindow { items: 25, lost: Some(lost), source_gap_ms: gap, new_epochs, ..Default::default() }
}

fn report(tries: &[Try], seen: &[Seen]) -> Report {
    Report::of("yard".parse().unwrap(), 7, tries, seen)
}

#[test]
fn the_gap_of_a_killed_ingest_is_told_apart_and_fails_nothing() {
    let tries = [tried("cam1", "ingest", Fault::Kill, 50)];
    let rings = [seen("cam1.packets", vec![window(0, None), window(0, Some(70.0))])];
    let report = report(&tries, &rings);
    assert!(report.ok && report.targets_met, "{report:?}");
    assert_eq!(report.drills[0].source_gap_ms, Some(Spread { p50: 70.0, p99: 70.0 }));
    assert_eq!((report.packets_captured, report.drills[0].packets), (50, 25));
}

#[test]
fn an_ingest_that_another_workers_fault_takes_down_is_a_loss() {
    let tries = [tried("motion1", "motion", Fault::Kill, 5)];
    let rings = [seen("cam1.packets", vec![window(0, None), window(0, Some(70.0))])];
    let report = report(&tries, &rings);
    assert_eq!((report.ok, report.drills[0].capture_lost), (false, 1));
}

#[test]
fn a_lost_packet_fails_and_is_told_by_worker_and_fault() {
    let tries = [
        tried("recorder", "recorder", Fault::Kill, 5),
        tried("recorder", "recorder", Fault::Stop, 5),
    ];
    let windows = vec![window(0, None), window(2, None), window(0, None)];
    let report = report(&tries, &[seen("cam1.packets", windows)]);
    let lost: Vec<u64> = report.drills.iter().map(|row| row.packets_lost).collect();
    assert_eq!((report.ok, lost), (false, vec![2, 0]));
    assert!(report.in_words().contains("recorder kill: 2 packets are in no file"));
}

#[test]
fn a_median_beyond_its_target_is_told_and_beyond_three_times_fails() {
    let slow = |ms| report(&[tried("web", "web", Fault::Kill, ms)], &[]);
    assert!(slow(10).ok && slow(10).targets_met);
    assert!(slow(30).ok && !slow(30).targets_met);
    assert!(!slow(31).ok);
}

#[test]
fn what_was_not_found_or_not_proven_is_no_success() {
    let mut one = tried("web", "web", Fault::Hang, 5);
    one.outcome = Outcome::Unnoticed;
    assert!(!report(&[one.clone()], &[]).ok);
    one.outcome = Outcome::Blind("it is parked".to_owned());
    let skipped = report(&[one], &[]);
    assert!(skipped.ok && skipped.drills[0].times == 0);
    assert!(skipped.in_words().contains("web hang: not done: it is parked"));
    let trouble = Seen { trouble: "too slow".to_owned(), ..seen("cam1.packets", Vec::new()) };
    assert!(!report(&[], &[trouble]).ok);
}

#[test]
fn pictures_that_cannot_be_counted_are_no_zero() {
    let tries = [tried("decode1", "decoder", Fault::Kill, 5)];
    let frames = |lost| {
        let window = SeenWindow { lost, ..SeenWindow::default() };
        report(&tries, &[seen("cam1.frames", vec![SeenWindow::default(), window])])
    };
    assert_eq!(frames(Some(4)).drills[0].frames_lost, Some(4));
    assert_eq!(frames(None).drills[0].frames_lost, None);
}

#[test]
fn spreads_are_ranks() {
    let values: Vec<f64> = (1..=200).map(f64::from).rev().collect();
    assert_eq!(Spread::of(values), Some(Spread { p50: 100.0, p99: 198.0 }));
    assert_eq!(Spread::of(vec![3.0]), Some(Spread { p50: 3.0, p99: 3.0 }));
    assert_eq!(Spread::of(Vec::new()), None);
}
