//! Which worker writes and reads which ring, as meant: defaults filled in, globs expanded.

use std::collections::{BTreeMap, BTreeSet};

use protocol::config::{DecoderConfig, EncoderConfig, Kind, WorkerConfig, mixer};
use protocol::name::{RingKind, RingName};
pub(crate) use protocol::pattern::matches;

use super::Launch;
use super::problem::{Finding, KeyProblem, Problem, Subject, WiringProblem};
use super::section::Located;
use super::shadow;
use super::tree::Place;
use super::written::{Input, Written, WrittenKind, WrittenOutput, WrittenWorker};

const EVENTS: &[RingKind] = &[RingKind::Events];
const ALL_KINDS: &[RingKind] = &[RingKind::Packets, RingKind::Frames, RingKind::Events];

/// Per worker, in the order of the file.
#[derive(Debug)]
pub(super) struct Wiring {
    pub(super) outputs: Vec<Option<RingName>>,
    /// Beside those.
    pub(super) more_outputs: Vec<Vec<RingName>>,
    pub(super) inputs: Vec<Vec<RingName>>,
}

pub(super) fn wire(written: &Written, findings: &mut Vec<Finding>) -> Wiring {
    let workers = &written.workers;
    let outputs: Vec<_> = workers.iter().map(|worker| output(worker, findings)).collect();
    let more_outputs: Vec<Vec<Located<RingName>>> =
        workers.iter().zip(&outputs).map(|(it, own)| more_outputs(it, own.as_ref())).collect();
    two_writers(workers, &outputs, &more_outputs, findings);
    shadow::check(workers, &outputs, findings);
    let all = outputs.iter().zip(&more_outputs).flat_map(|(own, more)| own.iter().chain(more));
    let rings = Rings {
        names: all.map(|output| output.value.clone()).collect(),
        tried: shadow::rings(workers, &outputs),
        complete: !written.unnamed && workers.iter().zip(&outputs).all(is_known),
    };
    for (name, _) in written.rings.iter().filter(|(name, _)| rings.lacks(&name.value)) {
        let problem = rings.no_writer(&name.value).into();
        findings.push(Finding { place: Some(name.place), subject: Subject::Topology, problem });
    }
    let inputs = workers
        .iter()
        .zip(&outputs)
        .map(|(worker, own)| inputs(worker, own.as_ref().map(|own| &own.value), &rings, findings))
        .collect();
    let name = |output: Located<RingName>| output.value;
    Wiring {
        outputs: outputs.into_iter().map(|own| own.map(name)).collect(),
        more_outputs: more_outputs
            .into_iter()
            .map(|it| it.into_iter().map(name).collect())
            .collect(),
        inputs,
    }
}

/// The rings that the topology's workers write.
struct Rings {
    names: Vec<RingName>,
    /// Those of shadows, which no star means.
    tried: Vec<RingName>,
    /// Whether the output of every worker is known: else a ring that seems to have no writer may
    /// just be the output of a worker whose own mistake is reported already.
    complete: bool,
}

impl Rings {
    fn lacks(&self, ring: &RingName) -> bool {
        self.complete && !self.names.contains(ring) && !ring.is_external()
    }

    /// Those that a name with stars means.
    fn matching<'a>(&'a self, glob: &'a str) -> impl Iterator<Item = &'a RingName> {
        let fits =
            move |ring: &&RingName| matches(glob, ring.as_str()) && !self.tried.contains(ring);
        self.names.iter().filter(fits)
    }

    fn no_writer(&self, ring: &RingName) -> WiringProblem {
        WiringProblem::NoWriter { ring: ring.to_string(), known: self.of(ALL_KINDS, None) }
    }

    fn of(&self, kinds: &[RingKind], own: Option<&RingName>) -> Vec<String> {
        let fit = |ring: &&RingName| kinds.contains(&ring.kind()) && Some(*ring) != own;
        self.names.iter().filter(fit).map(RingName::to_string).collect()
    }
}

fn complain(
    worker: &WrittenWorker,
    place: Place,
    problem: impl Into<Problem>,
    findings: &mut Vec<Finding>,
) {
    let subject = Subject::Worker(worker.name.value.in_file().to_owned());
    findings.push(Finding { place: Some(place), subject, problem: problem.into() });
}

fn output(worker: &WrittenWorker, findings: &mut Vec<Finding>) -> Option<Located<RingName>> {
    let written = match (&worker.output, worker.kind) {
        (WrittenOutput::Bad, _) => return None,
        (WrittenOutput::Default, WrittenKind::Use(kind)) => return default_output(worker, kind),
        (WrittenOutput::Default, WrittenKind::Run | WrittenKind::Unknown) => return None,
        (WrittenOutput::Ring(ring), _) => ring,
    };
    let problem = wrong_output(&written.value, worker.kind);
    let usable = problem.is_none();
    if let Some(problem) = problem {
        complain(worker, written.place, problem, findings);
    }
    usable.then(|| written.clone())
}

fn wrong_output(ring: &RingName, kind: WrittenKind) -> Option<WiringProblem> {
    let ring = ring.clone();
    if ring.is_external() {
        return Some(WiringProblem::ExternalRing { ring });
    }
    let WrittenKind::Use(kind) = kind else { return None };
    match kind.writes() {
        None if kind == Kind::Pipe => None,
        None => Some(WiringProblem::WritesNothing { kind }),
        Some(expected) if expected != ring.kind() => {
            Some(WiringProblem::WrongOutput { ring, kind, expected })
        }
        Some(_) => None,
    }
}

/// A decoder's pictures carry the name of the camera, everything else the name of its worker.
fn default_output(worker: &WrittenWorker, kind: Kind) -> Option<Located<RingName>> {
    let ring_kind = kind.writes()?;
    let owner = match (kind, worker.inputs.as_deref()) {
        (Kind::Decoder, Some([Located { value: Input::Ring(ring), .. }]))
            if kind.reads().contains(&ring.kind()) =>
        {
            ring.camera().parse().ok()?
        }
        (Kind::Decoder, _) => return None,
        _ => worker.name.value.clone(),
    };
    Some(Located { value: RingName::of(&owner, ring_kind), place: worker.name.place })
}

/// The rings of a decoder's other pictures, beside the one of its own.
fn more_outputs(worker: &WrittenWorker, own: Option<&Located<RingName>>) -> Vec<Located<RingName>> {
    let (Some(Launch::Use(WorkerConfig::Decoder(decoder))), Some(own)) = (&worker.launch, own)
    else {
        return Vec::new();
    };
    let place = *worker.values.get("outputs").unwrap_or(&own.place);
    let names = decoder.outputs.keys();
    let rings = names.filter_map(|name| DecoderConfig::ring_of(&own.value, name));
    rings.map(|value| Located { value, place }).collect()
}

fn is_known((worker, output): (&WrittenWorker, &Option<Located<RingName>>)) -> bool {
    let writes = match worker.kind {
        WrittenKind::Run | WrittenKind::Use(Kind::Pipe) => worker.output != WrittenOutput::Default,
        WrittenKind::Unknown => true,
        WrittenKind::Use(kind) => kind.writes().is_some(),
    };
    output.is_some() || !writes
}

fn two_writers(
    workers: &[WrittenWorker],
    outputs: &[Option<Located<RingName>>],
    more_outputs: &[Vec<Located<RingName>>],
    findings: &mut Vec<Finding>,
) {
    let mut first: BTreeMap<&RingName, &WrittenWorker> = BTreeMap::new();
    let of_worker = workers.iter().zip(outputs.iter().zip(more_outputs));
    let all = of_worker.flat_map(|(it, (own, more))| own.iter().chain(more).map(move |o| (it, o)));
    for (worker, output) in all {
        let Some(other) = first.get(&output.value) else {
            first.insert(&output.value, worker);
            continue;
        };
        let name = &worker.name.value;
        let problem = WiringProblem::TwoWriters {
            ring: output.value.clone(),
            other: other.name.value.in_file().to_owned(),
            first: other.name.place,
            free: RingName::of(
                &name.in_file().parse().unwrap_or_else(|_| name.clone()),
                output.value.kind(),
            ),
        };
        complain(worker, output.place, problem, findings);
    }
}

fn inputs(
    worker: &WrittenWorker,
    own: Option<&RingName>,
    rings: &Rings,
    findings: &mut Vec<Finding>,
) -> Vec<RingName> {
    let (kind, readable) = match worker.kind {
        WrittenKind::Use(kind) => (Some(kind), kind.reads()),
        WrittenKind::Run | WrittenKind::Unknown => (None, ALL_KINDS),
    };
    if let Some(problem) = wrong_inputs(worker, kind) {
        let place = worker.values.get("in").unwrap_or(&worker.name.place);
        complain(worker, *place, problem, findings);
        return Vec::new();
    }
    let reader = Reader { kind, readable, own, rings };
    let mut found: Vec<RingName> = Vec::new();
    let mut known: BTreeSet<RingName> = BTreeSet::new();
    let before = findings.len();
    for input in worker.inputs.iter().flatten() {
        match reader.rings_of(&input.value) {
            Ok(more) => found.extend(more.into_iter().filter(|ring| known.insert(ring.clone()))),
            Err(problem) => complain(worker, input.place, problem, findings),
        }
    }
    if found.is_empty() && findings.len() == before {
        nothing_matches(worker, &reader, findings);
    }
    unfit_keys(worker, &found, findings);
    if rings.complete && findings.len() == before {
        misplaced(worker, &found, findings);
        zones_of_nobody(worker, &found, findings);
        rules_of_nothing(worker, &found, findings);
    }
    unmixed(worker, &found, findings);
    let more = events(worker, rings, findings);
    found.extend(more.into_iter().filter(|ring| known.insert(ring.clone())));
    found
}

/// An encoder has keys for the sound of packets, and others for pictures.
fn unfit_keys(worker: &WrittenWorker, inputs: &[RingName], findings: &mut Vec<Finding>) {
    let (WrittenKind::Use(Kind::Encoder), [ring]) = (worker.kind, inputs) else { return };
    let (meant, keys) = match ring.kind() {
        RingKind::Packets => ("pictures", &EncoderConfig::OF_PICTURES[..]),
        RingKind::Frames | RingKind::Events => ("packets", &EncoderConfig::OF_SOUND[..]),
    };
    for key in keys {
        if let Some(place) = worker.values.get(*key) {
            let ring = ring.clone();
            complain(worker, *place, WiringProblem::EncoderKey { key, meant, ring }, findings);
        }
    }
}

/// A compositor places what it reads, and reads pictures.
fn misplaced(worker: &WrittenWorker, inputs: &[RingName], findings: &mut Vec<Finding>) {
    let Some(Launch::Use(WorkerConfig::Compositor(compositor))) = &worker.launch else { return };
    let place_of = |key: &str| *worker.values.get(key).unwrap_or(&worker.name.place);
    let is_picture = |ring: &&RingName| ring.kind() == RingKind::Frames;
    let pictures: Vec<String> = inputs.iter().filter(is_picture).map(RingName::to_string).collect();
    if pictures.is_empty() && !inputs.is_empty() {
        let problem = WiringProblem::NoPictures { kind: Kind::Compositor };
        return complain(worker, place_of("in"), problem, findings);
    }
    for (key, ring) in compositor.named() {
        if !pictures.iter().any(|known| known == ring.as_str()) {
            let (ring, known) = (ring.clone(), pictures.clone());
            let problem = WiringProblem::PlaceOfNone { key, ring, known };
            complain(worker, place_of(key), problem, findings);
        }
    }
    if let Some(ring) = compositor.over_itself() {
        let problem = WiringProblem::OverItself { ring: ring.clone() };
        complain(worker, place_of("places"), problem, findings);
    }
}

/// A zone of a camera that is not read would count nowhere, in silence.
fn zones_of_nobody(worker: &WrittenWorker, inputs: &[RingName], findings: &mut Vec<Finding>) {
    let zones = match &worker.launch {
        Some(Launch::Use(WorkerConfig::Detect(config))) => {
            [("zones", &config.zones), ("ignore", &config.ignore)]
        }
        Some(Launch::Use(WorkerConfig::Motion(config))) => {
            [("zones", &config.zones), ("ignore", &config.ignore)]
        }
        _ => return,
    };
    let cameras: BTreeSet<&str> = inputs.iter().map(RingName::camera).collect();
    for (key, zones) in zones.into_iter().filter(|_| !inputs.is_empty()) {
        let place = *worker.values.get(key).unwrap_or(&worker.name.place);
        for name in zones.keys() {
            let camera = name.split_once('.').map(|(camera, _)| camera);
            if camera.is_none_or(|camera| cameras.contains(camera)) {
                continue;
            }
            let known: Vec<&str> = cameras.iter().copied().collect();
            let why =
                format!("{name} is of a camera that is not read: expected {}", known.join(", "));
            complain(worker, place, KeyProblem::Value { key: key.to_owned(), why }, findings);
        }
    }
}

/// A rule about rings that are not read would wait for ever.
fn rules_of_nothing(worker: &WrittenWorker, inputs: &[RingName], findings: &mut Vec<Finding>) {
    let Some(Launch::Use(WorkerConfig::Rules(config))) = &worker.launch else { return };
    let place = *worker.values.get("rules").unwrap_or(&worker.name.place);
    let events: Vec<&str> = inputs
        .iter()
        .filter(|ring| ring.kind() == RingKind::Events)
        .map(RingName::as_str)
        .collect();
    for (name, rule) in config.rules.iter().filter(|_| !inputs.is_empty()) {
        let is_read = |text: &&String| events.iter().any(|ring| matches(text, ring));
        for text in rule.rings.0.iter().filter(|text| !is_read(text)) {
            let known = match events.as_slice() {
                [] => "a ring of events in 'in'".to_owned(),
                events => events.join(", "),
            };
            let why =
                format!("{name}: events is '{text}', which it does not read: expected {known}");
            let problem = KeyProblem::Value { key: "rules".to_owned(), why };
            complain(worker, place, problem, findings);
        }
    }
}

/// What is said of a source that a mixer does not read does nothing.
fn unmixed(worker: &WrittenWorker, inputs: &[RingName], findings: &mut Vec<Finding>) {
    let Some(Launch::Use(WorkerConfig::Mixer(config))) = &worker.launch else { return };
    let place = *worker.values.get("sources").unwrap_or(&worker.name.place);
    // An input that is wrong was told of already.
    for name in config.sources.keys().filter(|_| !inputs.is_empty()) {
        if !inputs.iter().any(|ring| mixer::names(name, ring)) {
            let known = inputs.iter().map(RingName::to_string).collect();
            let problem = WiringProblem::NoSource { name: name.clone(), known };
            complain(worker, place, problem, findings);
        }
    }
}

/// The rings that the rules of a recorder listen to.
fn events(worker: &WrittenWorker, rings: &Rings, findings: &mut Vec<Finding>) -> Vec<RingName> {
    let Some(Launch::Use(WorkerConfig::Recorder(recorder))) = &worker.launch else {
        return Vec::new();
    };
    let place = *worker.values.get("when").unwrap_or(&worker.name.place);
    let mut found = Vec::new();
    for rule in &recorder.when.events {
        let before = (found.len(), findings.len());
        for text in &rule.rings.0 {
            match events_of(text, rings) {
                Ok(more) => found.extend(more),
                Err(problem) => complain(worker, place, problem, findings),
            }
        }
        if (found.len(), findings.len()) == before && rings.complete {
            let (glob, known) = (rule.rings.0.join(", "), rings.of(EVENTS, None));
            complain(worker, place, WiringProblem::NothingMatches { glob, known }, findings);
        }
    }
    found
}

fn events_of(text: &str, rings: &Rings) -> Result<Vec<RingName>, Problem> {
    if text.contains('*') {
        let events = rings.matching(text).filter(|ring| ring.kind() == RingKind::Events);
        return Ok(events.cloned().collect());
    }
    let ring = text.parse::<RingName>().ok().filter(|ring| ring.kind() == RingKind::Events);
    match ring {
        None => {
            let (key, seen) = ("when".to_owned(), format!("'{text}'"));
            let expected = "rings of events, by name or with stars".to_owned();
            Err(KeyProblem::NotA { key, seen, expected }.into())
        }
        Some(ring) if rings.lacks(&ring) => {
            let known = rings.of(EVENTS, None);
            Err(WiringProblem::NoWriter { ring: ring.to_string(), known }.into())
        }
        Some(ring) => Ok(vec![ring]),
    }
}

/// A glob says "those there are": that one of several matches nothing is no mistake, but a worker
/// that reads nothing at all is.
fn nothing_matches(worker: &WrittenWorker, reader: &Reader<'_>, findings: &mut Vec<Finding>) {
    let first = worker.inputs.as_ref().and_then(|inputs| inputs.first());
    if let Some(Located { value: Input::Glob(glob), place }) =
        first.filter(|_| reader.rings.complete)
    {
        let known = reader.rings.of(reader.readable, reader.own);
        complain(
            worker,
            *place,
            WiringProblem::NothingMatches { glob: glob.clone(), known },
            findings,
        );
    }
}

/// What can be said of `in` before any ring is looked up.
fn wrong_inputs(worker: &WrittenWorker, kind: Option<Kind>) -> Option<Problem> {
    let kind = kind?;
    let written = worker.values.contains_key("in");
    let count = worker.inputs.as_ref().map_or(0, Vec::len);
    if kind == Kind::Pipe && !written {
        return None;
    }
    if kind.reads().is_empty() {
        written.then(|| WiringProblem::ReadsNothing { kind }.into())
    } else if !written || (worker.inputs.is_some() && count == 0) {
        Some(KeyProblem::Missing { key: "in".to_owned() }.into())
    } else if kind.single_input() && count > 1 {
        Some(WiringProblem::TooManyInputs { kind, seen: count }.into())
    } else {
        None
    }
}

struct Reader<'a> {
    /// `None` for a command of the user's: it reads what it likes.
    kind: Option<Kind>,
    readable: &'static [RingKind],
    own: Option<&'a RingName>,
    rings: &'a Rings,
}

impl Reader<'_> {
    fn rings_of(&self, input: &Input) -> Result<Vec<RingName>, WiringProblem> {
        match input {
            Input::Glob(glob) => self.matching(glob),
            Input::Ring(ring) => self.named(ring),
        }
    }

    fn named(&self, ring: &RingName) -> Result<Vec<RingName>, WiringProblem> {
        if let Some(kind) = self.kind.filter(|_| !self.readable.contains(&ring.kind())) {
            let (ring, expected) = (ring.clone(), self.readable);
            let known = self.rings.of(expected, self.own);
            return Err(WiringProblem::WrongInput { ring, kind, expected, known });
        }
        if Some(ring) == self.own {
            return Err(WiringProblem::OwnRing { ring: ring.clone() });
        }
        if self.rings.lacks(ring) {
            return Err(self.rings.no_writer(ring));
        }
        Ok(vec![ring.clone()])
    }

    fn matching(&self, glob: &str) -> Result<Vec<RingName>, WiringProblem> {
        if let Some(kind) = self.kind.filter(|kind| kind.single_input()) {
            return Err(WiringProblem::GlobForOne { glob: glob.to_owned(), kind });
        }
        let fits =
            |ring: &&RingName| self.readable.contains(&ring.kind()) && Some(*ring) != self.own;
        Ok(self.rings.matching(glob).filter(fits).cloned().collect())
    }
}
