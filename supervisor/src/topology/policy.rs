//! `policy: latest | sequential | every N | essential SPAN | {essential: SPAN}`, as people write it.

use protocol::config::policy::EXPECTED;
use protocol::config::{Kind, ReadPolicy};
use protocol::units::Span;

use super::problem::KeyProblem;
use super::section::Section;
use super::tree::{Place, Value};
use super::written::WrittenKind;

const DEADLINE: &str = "a deadline, for example 2s";
/// What a worker that loses nothing may say; it takes each item in turn anyway.
const IN_TURN: &str = "sequential or {essential: SPAN}";

/// A shorter one is less than a busy machine's pause; a longer one is a recording, not a ring.
const DEADLINES: (Span, Span) = (Span::from_millis(100), Span::from_millis(60_000));
/// One picture in a thousand of a camera is one in forty seconds.
const EVERY: (u32, u32) = (1, 1_000);

/// `None` when the worker does not say; what is wrong is not said.
pub(super) fn read(worker: &mut Section<'_>, kind: WrittenKind) -> Option<ReadPolicy> {
    // Of other kinds the key is unknown, which their section says.
    if matches!(kind, WrittenKind::Use(kind) if !kind.has_policy()) {
        return None;
    }
    let place = worker.place("policy");
    let policy = match worker.get("policy")?.value {
        Value::Map(_) => essential(worker)?,
        _ => text(worker)?,
    };
    let problem = out_of_range(policy).or_else(|| unfit(policy, kind));
    match problem {
        Some(problem) => {
            worker.complain(place, problem);
            None
        }
        None => Some(policy),
    }
}

fn essential(worker: &mut Section<'_>) -> Option<ReadPolicy> {
    let mut section = worker.below("policy")?;
    section.refuse_others(&["essential"]);
    let Some(text) = section.text("essential", DEADLINE) else {
        if section.get("essential").is_none() {
            section.missing("essential");
        }
        return None;
    };
    let parsed = text.value.parse().map(ReadPolicy::Essential).ok();
    or_complain(&mut section, "policy.essential", text.value, text.place, DEADLINE, parsed)
}

fn text(worker: &mut Section<'_>) -> Option<ReadPolicy> {
    let text = worker.text("policy", EXPECTED)?;
    let parsed = text.value.parse().ok();
    or_complain(worker, "policy", text.value, text.place, EXPECTED, parsed)
}

fn or_complain(
    section: &mut Section<'_>,
    key: &str,
    seen: &str,
    place: Place,
    expected: &str,
    parsed: Option<ReadPolicy>,
) -> Option<ReadPolicy> {
    if parsed.is_none() {
        let (key, seen) = (key.to_owned(), format!("'{seen}'"));
        section.complain(place, KeyProblem::NotA { key, seen, expected: expected.to_owned() });
    }
    parsed
}

fn out_of_range(policy: ReadPolicy) -> Option<KeyProblem> {
    let problem = |seen: String, lowest: String, highest: String| {
        Some(KeyProblem::OutOfRange { key: "policy", seen, lowest, highest })
    };
    match policy {
        ReadPolicy::Every(number) if !(EVERY.0..=EVERY.1).contains(&number) => {
            problem(policy.to_string(), EVERY.0.to_string(), EVERY.1.to_string())
        }
        ReadPolicy::Essential(deadline) if !(DEADLINES.0..=DEADLINES.1).contains(&deadline) => {
            problem(policy.to_string(), DEADLINES.0.to_string(), DEADLINES.1.to_string())
        }
        _ => None,
    }
}

fn unfit(policy: ReadPolicy, kind: WrittenKind) -> Option<KeyProblem> {
    let WrittenKind::Use(Kind::Recorder) = kind else { return None };
    not_in_turn(policy)
}

/// Whatever leaves out items is wrong for one who needs each of them.
pub(super) fn not_in_turn(policy: ReadPolicy) -> Option<KeyProblem> {
    match policy {
        ReadPolicy::Essential(_) | ReadPolicy::Sequential => None,
        ReadPolicy::Every(_) | ReadPolicy::Latest => Some(KeyProblem::NotA {
            key: "policy".to_owned(),
            seen: format!("'{policy}'"),
            expected: IN_TURN.to_owned(),
        }),
    }
}
