//! `hooks:` of a topology: commands for what happens.

use std::collections::{BTreeMap, BTreeSet};

use protocol::config::WorkerConfig;
use protocol::name::WorkerName;
use protocol::units::Span;

use super::problem::{KeyProblem, Subject};
use super::section::Section;
use super::tree::{Entry, Value};
use super::written::WrittenWorker;
use super::{EnvText, Launch, matches, worker};

/// Everything a hook may wait for, as docs/supervision.md explains it.
pub(crate) const EVENTS: [&str; 19] = [
    "camera.down",
    "camera.health",
    "camera.up",
    "project.started",
    "project.stopping",
    "recording.segment",
    "recording.started",
    "recording.stopped",
    "worker.backoff",
    "worker.degraded",
    "worker.died",
    "worker.held",
    "worker.quarantined",
    "worker.ready",
    "worker.running",
    "worker.starting",
    "worker.stopped",
    "worker.draining",
    "worker.stopping",
];

/// What happens to a rule: `rule.NAME.begin` and so on.
const OF_RULES: [&str; 4] = ["begin", "end", "snapshot", "update"];

/// Whether `pattern` is an event, or stands for some.
pub(crate) fn is_event(pattern: &str) -> bool {
    EVENTS.iter().any(|event| matches(pattern, event)) || is_of_rules(pattern)
}

/// Which rules there are, another file may say.
fn is_of_rules(pattern: &str) -> bool {
    let Some(rest) = pattern.strip_prefix("rule.") else { return false };
    let Some((rule, what)) = rest.rsplit_once('.') else { return rest.contains('*') };
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*".contains(&b);
    !rule.is_empty() && rule.bytes().all(is_part) && OF_RULES.iter().any(|it| matches(what, it))
}

/// The names of all rules of a topology; `None` while a worker may have some that nobody can read.
#[derive(Debug)]
pub(super) struct RuleNames(Option<BTreeSet<String>>);

impl RuleNames {
    pub(super) fn of(workers: &[WrittenWorker], unnamed: bool) -> Self {
        if unnamed || workers.iter().any(|worker| worker.launch.is_none()) {
            return Self(None);
        }
        let rules = workers.iter().filter_map(|worker| match &worker.launch {
            Some(Launch::Use(WorkerConfig::Rules(config))) => Some(config.rules.keys().cloned()),
            _ => None,
        });
        Self(Some(rules.flatten().collect()))
    }

    /// Why no rule tells of what `pattern` waits for: a word with another letter would wait for ever.
    pub(super) fn problem(&self, pattern: &str) -> Option<KeyProblem> {
        let names = self.0.as_ref()?;
        let (name, what) = pattern.strip_prefix("rule.")?.rsplit_once('.')?;
        // A star stands for those there are, which may be none.
        if name.contains('*') || names.contains(name) || !is_of_rules(pattern) {
            return None;
        }
        let what = if OF_RULES.contains(&what) { what } else { OF_RULES[0] };
        let of_rules = names.iter().map(|name| format!("rule.{name}.{what}"));
        let others = EVENTS.iter().filter(|_| names.is_empty()).map(|it| (*it).to_owned());
        let known = of_rules.chain(others).collect();
        Some(KeyProblem::UnknownEvent { seen: pattern.to_owned(), known })
    }
}

pub(super) const KEYS: [&str; 4] = ["on", "run", "env", "timeout"];

const ON: &str = "an event such as worker.held, a pattern such as 'worker.*', or a list of them";
const COMMAND: &str = "a list: the command, then its arguments";
const TIMEOUT: &str = "a span of 100ms to 10m such as 10s";
const TIMEOUT_DEFAULT: Span = Span::from_millis(10_000);
const TIMEOUTS: (Span, Span) = (Span::from_millis(100), Span::from_millis(600_000));
/// More commands at each event than anybody reads the results of.
const HOOKS_MAX: usize = 100;

/// A command of the user's for some events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSpec {
    /// `hook/NAME`, as its lines are called.
    pub name: WorkerName,
    /// Events, or patterns of them.
    pub on: Vec<String>,
    /// Never empty; started in the topology's folder.
    pub argv: Vec<String>,
    pub env: BTreeMap<String, EnvText>,
    /// What runs longer is killed.
    pub timeout: Span,
}

impl HookSpec {
    pub(crate) fn waits_for(&self, event: &str) -> bool {
        self.on.iter().any(|pattern| matches(pattern, event))
    }
}

pub(super) fn read(top: &mut Section<'_>, rules: &RuleNames) -> Vec<HookSpec> {
    let Some(mut section) = top.below("hooks") else { return Vec::new() };
    let entries = section.entries();
    if entries.len() > HOOKS_MAX {
        let problem = KeyProblem::NotA {
            key: "hooks".to_owned(),
            seen: format!("a section of {}", entries.len()),
            expected: format!("at most {HOOKS_MAX} hooks"),
        };
        section.complain(section.place(""), problem);
        return Vec::new();
    }
    entries.iter().filter_map(|entry| hook(&mut section, entry, rules)).collect()
}

fn hook(hooks: &mut Section<'_>, entry: &Entry, rules: &RuleNames) -> Option<HookSpec> {
    let name = match entry.key.text.parse().and_then(|name| WorkerName::part("hook", &name)) {
        Ok(name) => name,
        Err(problem) => {
            hooks.complain(entry.key.place, KeyProblem::Name(problem));
            return None;
        }
    };
    let subject = Subject::Hook(entry.key.text.clone());
    let mut section = Section::of(subject, &entry.key, &entry.value, hooks.findings())?;
    section.refuse_others(&KEYS);
    for key in ["on", "run"] {
        if section.get(key).is_none() {
            section.missing(key);
        }
    }
    let env = worker::env(&mut section, &[]);
    let timeout = timeout(&mut section);
    let on = on(&mut section, rules);
    let argv = section.texts("run", COMMAND)?;
    let argv: Vec<String> = argv.into_iter().map(|word| word.value.to_owned()).collect();
    if argv.first().is_none_or(String::is_empty) {
        section.complain(section.place("run"), KeyProblem::RunEmpty);
        return None;
    }
    Some(HookSpec { name, on: on?, argv, env, timeout })
}

fn on(section: &mut Section<'_>, rules: &RuleNames) -> Option<Vec<String>> {
    let texts = match section.get("on")?.value {
        Value::List(_) => section.texts("on", ON)?,
        _ => vec![section.text("on", ON)?],
    };
    for text in &texts {
        if !is_event(text.value) {
            let known = EVENTS.iter().map(|event| (*event).to_owned()).collect();
            section.complain(
                text.place,
                KeyProblem::UnknownEvent { seen: text.value.to_owned(), known },
            );
        } else if let Some(problem) = rules.problem(text.value) {
            section.complain(text.place, problem);
        }
    }
    Some(texts.into_iter().map(|text| text.value.to_owned()).collect())
}

fn timeout(section: &mut Section<'_>) -> Span {
    let Some(text) = section.text("timeout", TIMEOUT) else { return TIMEOUT_DEFAULT };
    match text.value.parse::<Span>() {
        Ok(span) if (TIMEOUTS.0..=TIMEOUTS.1).contains(&span) => span,
        _ => {
            let (key, seen) = ("timeout".to_owned(), format!("'{}'", text.value));
            let expected = TIMEOUT.to_owned();
            section.complain(text.place, KeyProblem::NotA { key, seen, expected });
            TIMEOUT_DEFAULT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_nobody_has_is_told_of_and_a_star_is_not() {
        let names = RuleNames(Some(["night".to_owned()].into()));
        let seen = |pattern: &str| names.problem(pattern).map(|problem| problem.to_string());
        assert!(seen("rule.nigth.begin").is_some_and(|text| text.contains("rule.nigth.begin")));
        for good in ["rule.night.begin", "rule.n*.end", "rule.*", "worker.held"] {
            assert_eq!(seen(good), None, "{good}");
        }
        assert!(RuleNames(None).problem("rule.x.begin").is_none());
    }

    #[test]
    fn events_of_rules_have_the_rules_name_in_the_middle() {
        for good in
            ["rule.night.begin", "rule.*", "rule.*.end", "rule.night-2.*", "rule.a_b.snapshot", "*"]
        {
            assert!(is_event(good), "{good}");
        }
        for bad in [
            "rule.night",
            "rule..begin",
            "rule.night.began",
            "rule.Night.begin",
            "rules.*.begin",
            "rule.",
        ] {
            assert!(!is_event(bad), "{bad}");
        }
    }
}
