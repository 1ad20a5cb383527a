//! Names, parsed once at the border and trusted inside.
//!
//! A part is `[a-z0-9][a-z0-9_-]{0,40}`. A worker's name is one part; what framevisor itself adds to a worker
//! of the file, or to none, has two with a slash between them: `NAME/pipe`, `hook/NAME`. A ring is `<worker or camera>[.<output>].<kind>` with the
//! closed set of kinds `packets`, `frames`, `events`, or `ext.<name>.<kind>`. The limits keep every
//! derived file name far under NAME_MAX (255) and free of `/`, `..` and leading dots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest part of a name, in bytes.
pub const PART_MAX_BYTES: usize = 41;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error(
        "{what} name '{seen}': expected 1 to {PART_MAX_BYTES} characters of a-z, 0-9, _ and -, starting with a letter or digit"
    )]
    Part { what: &'static str, seen: String },
    #[error(
        "ring name '{seen}': expected <worker>[.<output>].<packets|frames|events>, for example cam1.packets"
    )]
    Ring { seen: String },
}

fn is_part(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=PART_MAX_BYTES).contains(&bytes.len())
        && ok(bytes[0])
        && bytes.iter().all(|&b| ok(b) || b == b'_' || b == b'-')
}

fn is_worker(text: &str) -> bool {
    text.split('/').count() <= 2 && text.split('/').all(is_part)
}

macro_rules! part_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $fits:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                if $fits(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError::Part { what: $what, seen: text.to_owned() })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

part_name!(
    /// One supervised system on this host; the second part of every shared-memory file name.
    ProjectName,
    "project",
    is_part
);
part_name!(
    /// One supervised process, or the camera that names its rings.
    WorkerName,
    "worker",
    is_worker
);

impl WorkerName {
    /// `owner/name`; neither may have two parts already.
    pub fn part(owner: &str, name: &Self) -> Result<Self, NameError> {
        format!("{owner}/{name}").parse()
    }

    /// The first of two parts.
    pub fn owner(&self) -> Option<&str> {
        self.0.split_once('/').map(|(owner, _)| owner)
    }

    /// What a topology calls it: a part goes by the name of its owner.
    pub fn in_file(&self) -> &str {
        self.owner().unwrap_or(&self.0)
    }
}

/// What flows in a ring; the last part of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RingKind {
    /// Encoded access units and audio frames.
    Packets,
    /// Decoded pictures.
    Frames,
    /// JSON records.
    Events,
}

impl RingKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Frames => "frames",
            Self::Events => "events",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Packets, Self::Frames, Self::Events].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for RingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How rings of programs outside the topology begin.
const EXTERNAL: &str = "ext.";

/// A ring's name: `<worker or camera>[.<output>].<kind>`, or `ext.<name>.<kind>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct RingName {
    text: String,
    kind: RingKind,
}

impl RingName {
    /// The ring `<owner>.<kind>`.
    pub fn of(owner: &WorkerName, kind: RingKind) -> Self {
        Self { text: format!("{owner}.{kind}"), kind }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn kind(&self) -> RingKind {
        self.kind
    }

    /// All but the last part: who writes it and, of several outputs, which. A recording's folder is named
    /// after it.
    pub fn owner(&self) -> &str {
        self.text.rsplit_once('.').map_or(&self.text, |(owner, _)| owner)
    }

    /// `ext.<name>.<kind>`: written by a program that no topology runs.
    pub fn is_external(&self) -> bool {
        self.owner().starts_with(EXTERNAL)
    }

    /// The first part, of a program outside the topology the second: the camera of a packet or frame ring, the
    /// worker of an event ring.
    pub fn camera(&self) -> &str {
        let owner = self.owner();
        let owner = owner.strip_prefix(EXTERNAL).unwrap_or(owner);
        owner.split('.').next().unwrap_or(owner)
    }
}

impl FromStr for RingName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::Ring { seen: text.to_owned() };
        let parts: Vec<&str> = text.split('.').collect();
        let (kind, owners) = parts.split_last().ok_or_else(bad)?;
        let kind = RingKind::parse(kind).ok_or_else(bad)?;
        if !(1..=2).contains(&owners.len()) || !owners.iter().all(|part| is_part(part)) {
            return Err(bad());
        }
        Ok(Self { text: text.to_owned(), kind })
    }
}

impl TryFrom<String> for RingName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<RingName> for String {
    fn from(name: RingName) -> Self {
        name.text
    }
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_name_tells_its_camera_and_kind() {
        let name: RingName = "cam1.small.frames".parse().unwrap();
        assert_eq!((name.camera(), name.kind()), ("cam1", RingKind::Frames));
    }

    #[test]
    fn rings_of_programs_outside_are_told_by_their_three_parts() {
        let frames: RingName = "ext.sim.frames".parse().unwrap();
        assert_eq!((frames.is_external(), frames.camera()), (true, "sim"));
        for own in ["ext.events", "exterior.small.frames", "cam1.frames"] {
            assert!(!own.parse::<RingName>().unwrap().is_external(), "{own}");
        }
    }

    #[test]
    fn names_that_could_leave_the_prefix_are_refused() {
        let long = "x".repeat(PART_MAX_BYTES + 1);
        for bad in
            ["", "../x", "a/../b", "a/b/c", "/a", "a/", "-a", "A", "a b", "é", ".a", long.as_str()]
        {
            assert!(bad.parse::<WorkerName>().is_err(), "{bad:?} was taken");
            assert!(
                format!("{bad}.packets").parse::<RingName>().is_err(),
                "{bad:?}.packets was taken"
            );
        }
        for bad in ["cam1", "cam1.video", "a.b.c.frames", "cam1.packets.", "packets"] {
            assert!(bad.parse::<RingName>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn what_framevisor_adds_has_two_parts_and_no_ring_has() {
        let name: WorkerName = "cam1/pipe".parse().unwrap();
        assert_eq!((name.owner(), name.as_str()), (Some("cam1"), "cam1/pipe"));
        assert_eq!("cam1".parse::<WorkerName>().unwrap().owner(), None);
        assert!(WorkerName::part("hook", &name).is_err());
        assert!("a/b.packets".parse::<RingName>().is_err());
        assert!("a/b".parse::<ProjectName>().is_err());
    }

    #[test]
    fn an_external_event_ring_is_a_ring() {
        assert_eq!("ext.notebook.events".parse::<RingName>().unwrap().kind(), RingKind::Events);
    }
}
