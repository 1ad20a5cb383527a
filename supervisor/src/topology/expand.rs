//! From what was written to plain `workers` and `rings`: ranges, `like`, `defaults`, `cameras`.
//!
//! A tree comes in and a tree goes out; whatever is copied keeps the place it was copied from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use protocol::config::Kind;
use protocol::name::WorkerName;

use super::problem::{ExpandProblem, Finding, KeyProblem, Problem, Subject, TextProblem};
use super::section::Section;
use super::series::{self, Turn};
use super::tree::{Entry, Key, Map, Node, Place, Value, get, lay_beneath, take};
use super::yaml::NODES_MAX;
use super::{Overrides, cameras, credentials, variables};

/// A longer chain of `like` is nothing anybody can follow.
const LIKE_MAX: usize = 16;

pub(super) const CAMERAS: &str = "cameras";
pub(super) const RINGS: &str = "rings";
pub(super) const RUN: &str = "run";
pub(super) const WORKERS: &str = "workers";
const LIKE: &str = "like";

/// What sections of `defaults` there are.
pub(super) fn defaults_keys() -> Vec<&'static str> {
    let kinds = Kind::ALL.into_iter().map(Kind::as_str);
    [CAMERAS, WORKERS, RINGS, RUN].into_iter().chain(kinds).collect()
}

/// Expands `root` in place. `defaults` stays: `written` looks whether it makes sense.
pub(super) fn expand(
    root: &mut Node,
    scope: &Scope<'_>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, Vec<WorkerName>> {
    let place = root.place;
    let Value::Map(top) = &mut root.value else {
        findings.extend(variables::fill(root, scope.overrides));
        return BTreeMap::new();
    };
    let templates = take(top, "templates");
    if let Some(Entry { key, value }) = &templates {
        // Said here, because it is gone when the rest is read.
        Section::of(Subject::Topology, key, value, findings);
    }
    let templates = templates.as_ref().map_or(&[][..], |entry| map(&entry.value));
    let defaults = get(top, "defaults").cloned();
    let defaults = defaults.as_ref().map_or(&[][..], map);
    let mut room = NODES_MAX;
    for (name, subject) in [(CAMERAS, Kin::Camera), (WORKERS, Kin::Worker), (RINGS, Kin::Ring)] {
        let Some(section) = top.iter_mut().find(|entry| entry.key.text == name) else { continue };
        let Value::Map(entries) = &mut section.value.value else { continue };
        if subject == Kin::Camera {
            entries.iter_mut().for_each(cameras::one_liner);
        }
        let base = get(defaults, name).filter(|_| subject == Kin::Camera).map_or(&[][..], map);
        *entries = Family { kin: subject, templates, base, findings, room: &mut room }
            .grown(std::mem::take(entries));
        if subject == Kin::Camera {
            entries.retain(|camera| !scope.without.contains(&camera.key.text));
        }
    }
    if room == 0 {
        let problem = TextProblem::TooManyNodes.into();
        findings.push(Finding { place: Some(place), subject: Subject::Topology, problem });
    }
    findings.extend(variables::fill(root, scope.overrides));
    credentials::only_where_hidden(root, findings);
    let mut cameras = BTreeMap::new();
    if let Value::Map(top) = &mut root.value {
        let defaults = get(top, "defaults").cloned();
        let recorder = defaults.as_ref().and_then(|node| get(map(node), "recorder"));
        let has_dir = recorder.is_some_and(|recorder| get(map(recorder), "dir").is_some());
        cameras = cameras::expand(top, has_dir, findings);
        leave_out(top, scope.without);
        let defaults = defaults.as_ref().map_or(&[][..], map);
        workers_defaults(top, defaults);
        rings_defaults(top, defaults);
    }
    cameras
}

/// What is decided outside of the texts.
pub(super) struct Scope<'a> {
    pub(super) overrides: &'a Overrides,
    /// Workers and cameras that are left out.
    pub(super) without: &'a BTreeSet<String>,
}

/// Settings of rings go with the workers that would write them.
fn leave_out(top: &mut Map, without: &BTreeSet<String>) {
    if without.is_empty() {
        return;
    }
    for (section, name_of) in [(WORKERS, whole as fn(&str) -> &str), (RINGS, first_part)] {
        let Some(section) = top.iter_mut().find(|entry| entry.key.text == section) else {
            continue;
        };
        if let Value::Map(entries) = &mut section.value.value {
            entries.retain(|entry| !without.contains(name_of(&entry.key.text)));
        }
    }
}

fn whole(name: &str) -> &str {
    name
}

fn first_part(ring: &str) -> &str {
    ring.split('.').next().unwrap_or(ring)
}

pub(super) fn map(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

/// Each worker's kind first, then what holds for all of them.
fn workers_defaults(top: &mut Map, defaults: &[Entry]) {
    let Some(section) = top.iter_mut().find(|entry| entry.key.text == WORKERS) else { return };
    let Value::Map(workers) = &mut section.value.value else { return };
    for worker in workers {
        let Value::Map(keys) = &mut worker.value.value else { continue };
        let kind = match get(keys, "use") {
            Some(kind) => kind.as_text(),
            None => get(keys, RUN).map(|_| RUN),
        };
        // Names of other sections are no kinds.
        let kind = kind.filter(|kind| *kind == RUN || Kind::from_name(kind).is_some());
        if let Some(defaults) = kind.and_then(|kind| get(defaults, kind)).map(map) {
            lay_beneath(keys, defaults);
        }
        lay_beneath(keys, get(defaults, WORKERS).map_or(&[][..], map));
    }
}

/// Rings that are not listed have them too: `written` sees to that.
fn rings_defaults(top: &mut Map, defaults: &[Entry]) {
    let Some(base) = get(defaults, RINGS).map(map) else { return };
    let Some(section) = top.iter_mut().find(|entry| entry.key.text == RINGS) else { return };
    let Value::Map(rings) = &mut section.value.value else { return };
    for ring in rings {
        match &mut ring.value.value {
            Value::Map(keys) => lay_beneath(keys, base),
            Value::Null => ring.value.value = Value::Map(base.to_vec()),
            Value::Broken | Value::List(_) | Value::Text(_) => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    Camera,
    Ring,
    Worker,
}

impl Kin {
    fn subject(self, name: &str) -> Subject {
        match self {
            Self::Camera => Subject::Camera(name.to_owned()),
            Self::Ring => Subject::Ring(name.to_owned()),
            Self::Worker => Subject::Worker(name.to_owned()),
        }
    }
}

/// One section whose entries may be ranges and like each other.
struct Family<'a> {
    kin: Kin,
    templates: &'a [Entry],
    /// What lies beneath all of them.
    base: &'a [Entry],
    findings: &'a mut Vec<Finding>,
    /// Nodes that may still be made.
    room: &'a mut usize,
}

/// One entry, its name without ranges.
struct Member {
    key: Key,
    /// Among the entries as written.
    from: usize,
    turn: Option<Turn>,
}

impl Family<'_> {
    fn grown(&mut self, written: Map) -> Map {
        let members = self.members(&written);
        let known: HashMap<&str, usize> =
            members.iter().enumerate().map(|(at, member)| (member.key.text.as_str(), at)).collect();
        let mut grown = Map::with_capacity(members.len());
        for member in &members {
            let value = self.value(member, &members, &known, &written);
            let Some(left) = self.room.checked_sub(value.count()) else {
                *self.room = 0;
                break;
            };
            *self.room = left;
            grown.push(Entry { key: member.key.clone(), value });
        }
        grown
    }

    fn members(&mut self, written: &Map) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        let mut seen: HashMap<String, Place> = HashMap::new();
        for (from, entry) in written.iter().enumerate() {
            for (name, turn) in self.names(&entry.key) {
                let key = Key { text: name, place: entry.key.place };
                if let Some(first) = seen.insert(key.text.clone(), key.place) {
                    let problem = ExpandProblem::Twice { name: key.text, first };
                    self.complain(&entry.key.text, key.place, problem);
                    continue;
                }
                members.push(Member { key, from, turn });
            }
            if members.len() > NODES_MAX {
                *self.room = 0;
                break;
            }
        }
        members
    }

    fn names(&mut self, key: &Key) -> Vec<(String, Option<Turn>)> {
        let turns = match series::turns(&key.text) {
            Ok(turns) if turns.is_empty() => return vec![(key.text.clone(), None)],
            Ok(turns) => turns,
            Err(problem) => {
                self.complain(&key.text, key.place, problem);
                return Vec::new();
            }
        };
        let named: Result<Vec<_>, _> =
            turns.into_iter().map(|turn| Ok((series::at(&key.text, &turn)?, Some(turn)))).collect();
        named.unwrap_or_else(|problem: ExpandProblem| {
            self.complain(&key.text, key.place, problem);
            Vec::new()
        })
    }

    /// The entry with everything it is like, and the numbers of its turn.
    fn value(
        &mut self,
        member: &Member,
        members: &[Member],
        known: &HashMap<&str, usize>,
        written: &Map,
    ) -> Node {
        let mut node = written[member.from].value.clone();
        self.count(&mut node, member, member.turn.as_ref());
        if matches!(node.value, Value::Null) {
            node.value = Value::Map(Map::new());
        }
        let Value::Map(own) = &mut node.value else { return node };
        // A ring is like no other: it has too few keys for that.
        let mut like = if self.kin == Kin::Ring { None } else { take(own, LIKE) };
        let mut passed = vec![member.key.text.clone()];
        while let Some(Entry { value: reference, .. }) = like.take() {
            let Some(name) = self.like(member, &reference, &passed, known) else { break };
            let (base, turn) = match known.get(name.as_str()) {
                Some(&at) => (
                    &written[members[at].from].value,
                    members[at].turn.as_ref().or(member.turn.as_ref()),
                ),
                None => match get(self.templates, &name) {
                    Some(node) => (node, member.turn.as_ref()),
                    None => break,
                },
            };
            let mut base = base.clone();
            self.count(&mut base, member, turn);
            if let Value::Map(base) = &mut base.value {
                like = take(base, LIKE);
                lay_beneath(own, base);
            }
            passed.push(name);
        }
        let mut base = Node { place: member.key.place, value: Value::Map(self.base.to_vec()) };
        self.count(&mut base, member, member.turn.as_ref());
        lay_beneath(own, map(&base));
        node
    }

    /// Whom `reference` names, if that is somebody new.
    fn like(
        &mut self,
        member: &Member,
        reference: &Node,
        passed: &[String],
        known: &HashMap<&str, usize>,
    ) -> Option<String> {
        let name = &member.key.text;
        let Some(like) = reference.as_text() else {
            let (key, seen) = (LIKE.to_owned(), reference.shape());
            let expected = "the name of another entry, or of a template".to_owned();
            self.complain(name, reference.place, KeyProblem::NotA { key, seen, expected });
            return None;
        };
        let like = like.to_owned();
        if passed.contains(&like) || passed.len() > LIKE_MAX {
            self.complain(name, reference.place, ExpandProblem::LikeItself { name: like });
            return None;
        }
        if !known.contains_key(like.as_str()) && get(self.templates, &like).is_none() {
            let templates = self.templates.iter().map(|entry| entry.key.text.as_str());
            let mut known: Vec<String> =
                known.keys().copied().chain(templates).map(str::to_owned).collect();
            known.retain(|other| other != name);
            known.sort();
            self.complain(name, reference.place, ExpandProblem::LikeNobody { name: like, known });
            return None;
        }
        Some(like)
    }

    /// Puts the numbers of `turn` into every text below `node`; without a turn, lists of names
    /// grow by what their ranges stand for.
    fn count(&mut self, node: &mut Node, member: &Member, turn: Option<&Turn>) {
        let Some(turn) = turn else {
            if self.kin != Kin::Ring {
                self.lists_of_names(node, member);
            }
            return;
        };
        let mut wrong = Vec::new();
        node.visit(&mut |node| {
            let Value::Text(text) = &node.value else { return };
            match series::at(&text.value, turn) {
                Ok(counted) => node.value = Value::Text(counted.into()),
                Err(problem) => {
                    node.value = Value::Broken;
                    wrong.push((node.place, problem));
                }
            }
        });
        for (place, problem) in wrong {
            self.complain(&member.key.text, place, problem);
        }
    }

    /// Only these hold names alone: in a command `{1..3}` may be the shell's.
    fn lists_of_names(&mut self, node: &mut Node, member: &Member) {
        let Value::Map(entries) = &mut node.value else { return };
        for entry in entries.iter_mut().filter(|entry| ["in", "after"].contains(&&*entry.key.text))
        {
            match &mut entry.value.value {
                Value::List(items) => {
                    *items = std::mem::take(items)
                        .into_iter()
                        .flat_map(|item| self.several(item, member))
                        .collect();
                }
                Value::Text(_) => {
                    let mut items = self.several(entry.value.clone(), member);
                    entry.value.value = match items.len() {
                        1 => items.swap_remove(0).value,
                        _ => Value::List(items),
                    };
                }
                Value::Broken | Value::Map(_) | Value::Null => {}
            }
        }
    }

    fn several(&mut self, item: Node, member: &Member) -> Vec<Node> {
        let Some(text) = item.as_text() else { return vec![item] };
        let all = series::turns(text).and_then(|turns| {
            turns.iter().map(|turn| series::at(text, turn)).collect::<Result<Vec<_>, _>>()
        });
        match all {
            Ok(names) if names.is_empty() => vec![item],
            Ok(names) => names.into_iter().map(|name| Node::text(item.place, name)).collect(),
            Err(problem) => {
                self.complain(&member.key.text, item.place, problem);
                vec![Node { place: item.place, value: Value::Broken }]
            }
        }
    }

    fn complain(&mut self, name: &str, place: Place, problem: impl Into<Problem>) {
        let (subject, problem) = (self.kin.subject(name), problem.into());
        self.findings.push(Finding { place: Some(place), subject, problem });
    }
}

/// What is left of `defaults` in an expanded tree: rings that are not listed have no other place.
pub(super) fn only_rings_defaults(root: &mut Node) {
    let Value::Map(top) = &mut root.value else { return };
    let Some(defaults) = take(top, "defaults") else { return };
    if let Some(rings) = get(map(&defaults.value), RINGS) {
        let key = Key { text: RINGS.to_owned(), place: rings.place };
        let value = Value::Map(vec![Entry { key, value: rings.clone() }]);
        top.push(Entry { value: Node { value, ..defaults.value }, ..defaults });
    }
}

/// A section's entries under `name`, made if it is not there.
pub(super) fn section_of<'a>(top: &'a mut Map, name: &str, place: Place) -> Option<&'a mut Map> {
    if get(top, name).is_none_or(|node| matches!(node.value, Value::Null)) {
        take(top, name);
        let key = Key { text: name.to_owned(), place };
        top.push(Entry { key, value: Node { place, value: Value::Map(Map::new()) } });
    }
    let entry = top.iter_mut().find(|entry| entry.key.text == name)?;
    match &mut entry.value.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    }
}
