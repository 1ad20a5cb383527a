//! Mistakes between sections: rings, their writers and readers, addresses.

use std::net::SocketAddr;

use protocol::config::Kind;
use protocol::name::{RingKind, RingName};

use super::super::tree::Place;
use super::{did_you_mean, suggest};

/// The most readers that a ring's index has room for.
pub(crate) const PLACES_MAX: u32 = 256;

/// `known`: the rings of this topology that would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WiringProblem {
    #[error("listens on {address}, as worker {other} does already")]
    AddressTaken { address: SocketAddr, other: String, first: Place },
    #[error("starts after '{name}', which starts after it or is it")]
    AfterItself { name: String },
    #[error("starts after '{name}', and there is no such worker")]
    AfterNobody { name: String, known: Vec<String> },
    #[error("has '{key}', which is for {meant}, and reads {ring}")]
    EncoderKey { key: &'static str, meant: &'static str, ring: RingName },
    #[error("writes {ring}: names with 'ext.' belong to programs outside the topology")]
    ExternalRing { ring: RingName },
    #[error("'{glob}' may name several rings, but {kind} reads exactly one")]
    GlobForOne { glob: String, kind: Kind },
    #[error("reads no pictures, and {kind} puts pictures together")]
    NoPictures { kind: Kind },
    #[error("sources: '{name}' is no ring that it reads")]
    NoSource { name: String, known: Vec<String> },
    #[error("no worker writes ring {ring}")]
    NoWriter { ring: String, known: Vec<String> },
    #[error("'{glob}' matches no ring that this worker can read")]
    NothingMatches { glob: String, known: Vec<String> },
    #[error("listens on {address}, which other machines reach, and has no users")]
    OpenToAll { address: SocketAddr },
    #[error("{ring} lies over itself")]
    OverItself { ring: RingName },
    #[error("has memory: cuda, and {what}")]
    NotOnDevice { what: &'static str, cure: &'static str },
    #[error(
        "reads {ring}, whose pictures lie on a device (memory: cuda), and {kind} reads those of the machine's memory"
    )]
    OnDevice { ring: RingName, kind: Kind },
    #[error("reads {ring}, which it writes itself")]
    OwnRing { ring: RingName },
    #[error("{key} name {ring}, which is no ring of pictures that it reads")]
    PlaceOfNone { key: &'static str, ring: RingName, known: Vec<String> },
    #[error("has an 'in', but {kind} reads no ring")]
    ReadsNothing { kind: Kind },
    #[error("reads {seen} rings, but {kind} reads exactly one")]
    TooManyInputs { kind: Kind, seen: usize },
    #[error("is a shadow of '{name}', and there is no such worker")]
    ShadowOfNobody { name: String, known: Vec<String> },
    #[error("is a shadow of '{name}', which is one itself")]
    ShadowOfShadow { name: String },
    #[error("reads other rings than '{name}', whose shadow it is")]
    ShadowReads { name: String },
    #[error("'{name}' writes no ring of events, so there is nothing to compare")]
    ShadowWrites { name: String },
    #[error("has {seen} places for readers: at most {PLACES_MAX} are possible")]
    TooManyPlaces { seen: u32 },
    #[error("writes {ring}, as worker {other} does already")]
    TwoWriters { ring: RingName, other: String, first: Place, free: RingName },
    #[error("has an 'out', but {kind} writes no ring")]
    WritesNothing { kind: Kind },
    #[error("reads {ring}, but {kind} reads rings of {}", words(.expected))]
    WrongInput { ring: RingName, kind: Kind, expected: &'static [RingKind], known: Vec<String> },
    #[error("writes {ring}, but {kind} writes a ring of {expected}")]
    WrongOutput { ring: RingName, kind: Kind, expected: RingKind },
}

impl WiringProblem {
    pub(super) fn help(&self) -> String {
        match self {
            Self::AddressTaken { .. } => "give one of the two another port".into(),
            Self::AfterItself { .. } => "leave out one 'after' of the circle".into(),
            Self::AfterNobody { name, known } => suggest(name, known, "workers of this topology"),
            Self::EncoderKey { key, .. } => {
                format!("remove '{key}', or let a second encoder read the other ring")
            }
            Self::ExternalRing { .. } => "for example out: cam1.events".into(),
            Self::GlobForOne { kind, .. } | Self::TooManyInputs { kind, .. } => {
                format!("write one {kind} worker for each ring")
            }
            Self::NoPictures { .. } => {
                "add a ring of frames to 'in', for example cam1.frames".into()
            }
            Self::NoSource { name, known } => suggest(name, known, "rings it reads"),
            Self::NoWriter { ring, known } => {
                let add = format!("add a worker that writes {ring}");
                match did_you_mean(ring, known) {
                    Some(near) => format!("did you mean '{near}'? Else {add}"),
                    None if known.is_empty() => add,
                    None => format!("rings of this topology: {}; or {add}", known.join(", ")),
                }
            }
            Self::NothingMatches { known, .. } => choose(known),
            Self::OpenToAll { .. } => {
                "add users: {anna: {password: '${cred:anna}', play: '*'}}, or let everybody in by users: {anyone: {play: '*'}}".into()
            }
            Self::NotOnDevice { cure, .. } => (*cure).to_owned(),
            Self::OnDevice { ring, .. } => format!(
                "let it read another output of the decoder, or give {ring} memory: host; encoders and programs of your own read pictures on a device"
            ),
            Self::OverItself { .. } => "leave out one 'over' of the circle".into(),
            Self::PlaceOfNone { ring, known, .. } => match did_you_mean(ring.as_str(), known) {
                Some(near) => format!("did you mean '{near}'? Else add {ring} to 'in'"),
                None => format!("add {ring} to 'in'; pictures there: {}", known.join(", ")),
            },
            Self::OwnRing { .. } => "name another ring in 'in' or in 'out'".into(),
            Self::ReadsNothing { .. } => "remove 'in'".into(),
            Self::ShadowOfNobody { name, known } => {
                suggest(name, known, "workers of this topology")
            }
            Self::ShadowOfShadow { .. } => "name the worker that is in use".into(),
            Self::ShadowReads { .. } => "give both the same 'in'".into(),
            Self::ShadowWrites { name } => format!("for example out: {name}.events"),
            Self::TooManyPlaces { .. } => {
                "lower 'spare_readers', or let fewer workers read it".into()
            }
            Self::TwoWriters { free, .. } => format!(
                "a ring has one writer: give one of the two another, for example out: {free}"
            ),
            Self::WritesNothing { .. } => "remove 'out'".into(),
            Self::WrongInput { known, .. } => choose(known),
            Self::WrongOutput { expected, .. } => format!("let the name end in .{expected}"),
        }
    }
}

fn choose(known: &[String]) -> String {
    if known.is_empty() {
        "this topology has none: add a worker that writes one".to_owned()
    } else {
        format!("rings it can read: {}", known.join(", "))
    }
}

fn words(kinds: &[RingKind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_for_a_ring_without_writer_is_one_sentence_in_each_case() {
        let help = |ring: &str, known: &[&str]| {
            let known = known.iter().map(|&name| name.to_owned()).collect();
            WiringProblem::NoWriter { ring: ring.to_owned(), known }.help()
        };
        let add = "add a worker that writes cam2.packets";
        let near = format!("did you mean 'cam1.packets'? Else {add}");
        assert_eq!(help("cam2.packets", &["cam1.packets"]), near);
        let far = format!("rings of this topology: yard.frames, hall.frames; or {add}");
        assert_eq!(help("cam2.packets", &["yard.frames", "hall.frames"]), far);
        assert_eq!(help("cam2.packets", &[]), add);
    }
}
