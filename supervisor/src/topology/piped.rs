//! `stdin: RING` and `stdout: RING` of a command: two workers stand for it, NAME/command and NAME/pipe.
//!
//! What belongs here: reading those keys, and taking such a command apart. What does not: the pipes
//! themselves (`process::pipes`), and what goes through them (the pipe worker).

use std::collections::BTreeMap;

use protocol::config::{
    Coded, Container, Kind, LimitsConfig, Makes, PipeConfig, Raw, ReadPolicy, Samples, WorkerConfig,
};
use protocol::name::{RingKind, RingName, WorkerName};
use protocol::stream::Codec;

use super::problem::KeyProblem;
use super::section::{Located, Section};
use super::tree::Node;
use super::written::{Input, WrittenKind, WrittenOutput, WrittenWorker};
use super::{Launch, policy, ranges};

const STDIN: &str = "stdin";
const STDOUT: &str = "stdout";
const RING: &str = "a ring's name";
/// Each says what stdout holds.
const CONTENTS: [&str; 3] = ["raw", "codec", "sound"];

/// What a command says of its stdin and stdout.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipes {
    stdin: Option<Located<RingName>>,
    stdout: Option<Located<RingName>>,
    makes: Option<Makes>,
}

/// `None` for a command that has neither. `policy`: how it reads its rings, as far as it says.
pub(super) fn read(section: &mut Section<'_>, policy: Option<ReadPolicy>) -> Option<Pipes> {
    let stdin = stdin(section);
    // Of two kinds of input it may be meant for the other.
    let only = stdin.as_ref().filter(|_| section.get("in").is_none());
    if only.is_some_and(|ring| ring.value.kind() == RingKind::Packets) {
        let unfit = policy.and_then(policy::not_in_turn);
        unfit.into_iter().for_each(|problem| section.complain(section.place("policy"), problem));
    }
    let stdout = section.parsed::<RingName>(STDOUT, RING);
    let makes = makes(section);
    if let (Some(_), Some(Makes::Container(container))) = (&stdin, makes) {
        let why = format!(
            "{} beside 'stdin' cannot be: expected h264, h265 or mjpeg of a command that is fed",
            container.form()
        );
        section
            .complain(section.place("codec"), KeyProblem::Value { key: "codec".to_owned(), why });
    }
    if section.get(STDOUT).is_some() {
        says_what(section, stdout.as_ref(), makes);
    } else if let Some(key) = CONTENTS.into_iter().find(|key| section.get(key).is_some()) {
        let why = "says what stdout holds, and there is no 'stdout'".to_owned();
        section.complain(section.place(key), KeyProblem::Value { key: key.to_owned(), why });
    }
    (section.get(STDIN).is_some() || section.get(STDOUT).is_some()).then_some(Pipes {
        stdin,
        stdout,
        makes,
    })
}

fn stdin(section: &mut Section<'_>) -> Option<Located<RingName>> {
    let ring = section.parsed::<RingName>(STDIN, RING)?;
    if ring.value.kind() != RingKind::Events {
        return Some(ring);
    }
    let why = format!("{} holds events: expected a ring of frames or packets", ring.value);
    section.complain(ring.place, KeyProblem::Value { key: STDIN.to_owned(), why });
    None
}

fn makes(section: &mut Section<'_>) -> Option<Makes> {
    let mut contents = CONTENTS.into_iter().filter(|key| section.get(key).is_some());
    if let (Some(first), Some(key)) = (contents.next(), contents.next()) {
        let why = format!("is there beside '{first}': stdout holds one of the two");
        section.complain(section.place(key), KeyProblem::Value { key: key.to_owned(), why });
        return None;
    }
    if let Some(mut raw) = section.below("raw") {
        return raw.typed::<Raw>(&[], ranges::of_raw).map(Makes::Pictures);
    }
    if let Some(mut sound) = section.below("sound") {
        return sound.typed::<Samples>(&[], ranges::of_samples).map(Makes::Sound);
    }
    let mut below = section.below("codec")?;
    let named = below.get("name").and_then(Node::as_text);
    if let Some(container) = named.and_then(Container::of) {
        // It tells the rest itself.
        below.refuse_others(&["name"]);
        return Some(Makes::Container(container));
    }
    let coded = below.typed::<Coded>(&[], ranges::of_coded)?;
    if !matches!(coded.name, Codec::H264 | Codec::H265 | Codec::Mjpeg) {
        let (key, seen) = ("name".to_owned(), format!("'{:?}'", coded.name).to_lowercase());
        let expected =
            "h264, h265, mjpeg, mpegts, matroska or flv: in others packets cannot be told apart"
                .to_owned();
        below.complain(below.place("name"), KeyProblem::NotA { key, seen, expected });
        return None;
    }
    Some(Makes::Packets(coded))
}

/// A ring of frames takes pictures, one of packets what is coded, and sound.
fn says_what(section: &mut Section<'_>, ring: Option<&Located<RingName>>, makes: Option<Makes>) {
    if CONTENTS.iter().all(|key| section.get(key).is_none()) {
        return section.missing("raw");
    }
    let (Some(ring), Some(makes)) = (ring, makes) else { return };
    let (key, expected) = match makes {
        Makes::Pictures(_) => ("raw", RingKind::Frames),
        Makes::Packets(_) | Makes::Container(_) => ("codec", RingKind::Packets),
        Makes::Sound(_) => ("sound", RingKind::Packets),
    };
    if ring.value.kind() != expected {
        let why = format!("{} is no ring of {expected}, which '{key}' needs", ring.value);
        section.complain(ring.place, KeyProblem::Value { key: STDOUT.to_owned(), why });
    }
}

/// The workers that stand for `worker`: itself, or a command and its pipe worker.
pub(super) fn apart(mut worker: WrittenWorker) -> Vec<WrittenWorker> {
    let Some(pipes) = worker.pipes.take() else { return vec![worker] };
    let owner = worker.name.clone();
    let named = |part: &str| {
        let value = WorkerName::part(owner.value.as_str(), &part.parse().ok()?).ok()?;
        Some(Located { value, place: owner.place })
    };
    let (Some(command), Some(pipe)) = (named("command"), named("pipe")) else {
        return vec![worker];
    };
    let config = PipeConfig {
        command: command.value.clone(),
        feeds: pipes.stdin.is_some(),
        policy: worker.policy.unwrap_or_default(),
        makes: pipes.makes,
    };
    let values = BTreeMap::from_iter(
        [("in", STDIN), ("out", STDOUT)]
            .into_iter()
            .filter_map(|(key, from)| Some((key.to_owned(), *worker.values.get(from)?))),
    );
    let input = |ring: Located<RingName>| {
        vec![Located { value: Input::Ring(ring.value), place: ring.place }]
    };
    let pipe = WrittenWorker {
        name: pipe,
        kind: WrittenKind::Use(Kind::Pipe),
        launch: Some(Launch::Use(WorkerConfig::Pipe(config))),
        inputs: pipes.stdin.map(input),
        // One that cannot be read is told already.
        output: match (pipes.stdout, values.contains_key("out")) {
            (Some(ring), _) => WrittenOutput::Ring(ring),
            (None, true) => WrittenOutput::Bad,
            (None, false) => WrittenOutput::Default,
        },
        policy: worker.policy,
        pipes: None,
        restart: worker.restart,
        limits: LimitsConfig::default(),
        ready: None,
        after: worker.after.clone(),
        shadow: None,
        values,
    };
    vec![WrittenWorker { name: command, ..worker }, pipe]
}

/// Whoever comes after a command that stands for two comes after both.
pub(super) fn come_after_both(workers: &mut [WrittenWorker]) {
    let names: Vec<WorkerName> = workers.iter().map(|worker| worker.name.value.clone()).collect();
    for worker in workers {
        let parts = |name: Located<WorkerName>| -> Vec<Located<WorkerName>> {
            let is_part = |other: &&WorkerName| other.owner() == Some(name.value.as_str());
            let parts: Vec<_> = names.iter().filter(is_part).cloned().collect();
            if parts.is_empty() {
                return vec![name];
            }
            parts.into_iter().map(|value| Located { value, place: name.place }).collect()
        };
        worker.after = std::mem::take(&mut worker.after).into_iter().flat_map(parts).collect();
    }
}
