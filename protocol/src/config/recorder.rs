//! `use: recorder`: packet rings into fragmented MP4 files.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::when::When;
use crate::units::{Bytes, Span, UnitError};

/// A file in `dir` by which a person says that it is the right directory, whatever the recorder
/// remembers: `framevisor recordings accept` makes it, the recorder takes it away.
pub const ACCEPT_FILE: &str = ".framevisor-accept";

/// What the user writes under `use: recorder`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecorderConfig {
    /// Files go to `DIR/CAMERA/UTC-SEQ.mp4`. A relative path starts at the topology file's folder.
    pub dir: PathBuf,
    /// A file is cut at the key frame nearest to a multiple of this on the clock. Default 1m.
    #[serde(default = "one_minute")]
    pub segment: Span,
    /// What of each camera is kept. Default: all.
    #[serde(default)]
    pub keep: Keep,
    /// Space on the disk that is left free: the oldest recordings go for it. Default: none.
    #[serde(default)]
    pub min_free: Option<FreeSpace>,
    /// When it records. Default: always.
    #[serde(default)]
    pub when: When,
}

impl RecorderConfig {
    /// Everything at its default.
    pub fn at(dir: PathBuf) -> Self {
        Self {
            dir,
            segment: one_minute(),
            keep: Keep::default(),
            min_free: None,
            when: When::default(),
        }
    }
}

fn one_minute() -> Span {
    Span::from_millis(60_000)
}

/// How much of each camera is kept; the oldest files go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// A file goes when its last picture is older than this.
    #[serde(default)]
    pub age: Option<Span>,
    /// The same for files with something in them that an event asked for. Default: as `age`.
    #[serde(default)]
    pub events: Option<Span>,
    /// The files of a camera take no more than this, pinned ones apart.
    #[serde(default)]
    pub size: Option<Bytes>,
    /// What must have become of a file before its age or its size may end it.
    #[serde(default)]
    pub until: Option<Until>,
}

/// What a recording waits for before it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// An uploader has put it into its store.
    Uploaded,
}

/// Free space of a file system, as bytes or as its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeSpace {
    Bytes(Bytes),
    /// 1 to 99.
    Percent(u8),
}

impl FreeSpace {
    /// In bytes, of a file system of `total` bytes.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.0,
            Self::Percent(percent) => total / 100 * u64::from(percent),
        }
    }
}

impl FromStr for FreeSpace {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "a size or a share of the disk, for example 20GB or 10%";
        let bad = || UnitError { seen: text.to_owned(), expected };
        match text.strip_suffix('%') {
            Some(digits) => {
                let percent = digits.parse().ok().filter(|percent| (1..100).contains(percent));
                percent.map(Self::Percent).ok_or_else(bad)
            }
            None => text.parse().map(Self::Bytes).map_err(|_| bad()),
        }
    }
}

impl fmt::Display for FreeSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for FreeSpace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FreeSpace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_bytes_or_a_share_of_the_disk() {
        let of = |text: &str| text.parse::<FreeSpace>().unwrap();
        assert_eq!((of("20GB").of(0), of("10%").of(5_000)), (20_000_000_000, 500));
        assert_eq!(of("10%").to_string(), "10%");
        for bad in ["0%", "100%", "10", "%", "ten"] {
            let refused = bad.parse::<FreeSpace>().unwrap_err().to_string();
            assert!(refused.contains("20GB or 10%"), "{refused}");
        }
    }
}
