//! `groups:` of a topology: cameras that belong together, by a name of their own.

use std::collections::BTreeMap;

use protocol::name::RingKind;

use super::problem::{Finding, KeyProblem, Subject};
use super::section::{Located, Section};
use super::tree::{Entry, Key, Value};
use super::worker::plain_name;
use super::{RingSpec, matches};

/// The key, and what problems with it are called.
pub(super) const KEY: &str = "groups";
const MEMBERS: &str = "a camera such as hall-1, a pattern such as 'hall-*', or a list of them";

/// As written.
#[derive(Debug)]
pub(super) struct Group {
    name: Key,
    members: Vec<Located<String>>,
}

pub(super) fn read(top: &mut Section<'_>) -> Vec<Group> {
    let Some(mut section) = top.below(KEY) else { return Vec::new() };
    section.entries().iter().filter_map(|entry| group(&mut section, entry)).collect()
}

fn group<'a>(section: &mut Section<'a>, entry: &'a Entry) -> Option<Group> {
    if let Err(problem) = plain_name(&entry.key.text) {
        section.complain(entry.key.place, KeyProblem::Name(problem));
        return None;
    }
    let key = &entry.key.text;
    let members = match entry.value.value {
        Value::List(_) => section.texts(key, MEMBERS)?,
        _ => vec![section.text_of(key, &entry.value, MEMBERS)?],
    };
    let owned =
        |member: Located<&str>| Located { value: member.value.to_owned(), place: member.place };
    Some(Group { name: entry.key.clone(), members: members.into_iter().map(owned).collect() })
}

/// Complains of members that are no cameras, and of groups that are called as a camera is.
pub(super) fn check(groups: &[Group], rings: &[RingSpec], findings: &mut Vec<Finding>) {
    let cameras = cameras(rings);
    let mut complain = |place, why: String| {
        let problem = KeyProblem::Value { key: KEY.to_owned(), why }.into();
        findings.push(Finding { place: Some(place), subject: Subject::Topology, problem });
    };
    for Group { name, members } in groups {
        if cameras.contains(&name.text.as_str()) {
            complain(name.place, format!("'{}' is the name of a camera too", name.text));
        }
        for member in members {
            if !cameras.iter().any(|camera| matches(&member.value, camera)) {
                let known = cameras.join(", ");
                complain(
                    member.place,
                    format!("no camera is '{}'; there are {known}", member.value),
                );
            }
        }
    }
}

/// Members of each group, as written.
pub(super) fn meant(groups: &[Group]) -> BTreeMap<String, Vec<String>> {
    let members = |group: &Group| group.members.iter().map(|member| member.value.clone()).collect();
    groups.iter().map(|group| (group.name.text.clone(), members(group))).collect()
}

/// What packet rings are called without their last part; so are folders of recordings.
fn cameras(rings: &[RingSpec]) -> Vec<&str> {
    let packets = rings.iter().filter(|ring| ring.name.kind() == RingKind::Packets);
    packets.filter_map(|ring| Some(ring.name.as_str().rsplit_once('.')?.0)).collect()
}
