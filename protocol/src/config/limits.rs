//! `limits:` of a worker: what its process may use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::{Bytes, UnitError};

/// What the user writes under `limits`; a key that is left out has the default of the worker's kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Private writable memory; rings do not count.
    pub memory: Option<Ceiling>,
    /// Share of the processors among the project's workers when there are too few, 1 to 10000; 100 is
    /// the usual one. Needs a delegated cgroup.
    pub cpu_weight: Option<u32>,
    /// -20 (first) to 19 (last).
    pub nice: Option<i32>,
    /// Processors it may run on.
    pub cpus: Option<Cpus>,
    /// Open descriptors.
    pub nofile: Option<u64>,
    /// Processes and threads together. Needs a delegated cgroup.
    pub pids: Option<u64>,
    /// -1000 (never killed when memory is short) to 1000 (first).
    pub oom_score_adj: Option<i32>,
    /// Whether a core may be left when it crashes.
    pub core: Option<bool>,
    /// What it may reach.
    pub network: Option<Network>,
    /// Whether the worker must not run when one of these cannot be set.
    pub require: bool,
}

/// What a process may reach beside this machine's own files and unix sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Whatever the machine reaches.
    #[default]
    Any,
    /// Nothing: it opens no sockets but unix ones.
    None,
}

/// A number of bytes, or `none` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Ceiling {
    At(Bytes),
    None,
}

impl FromStr for Ceiling {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::At) }
    }
}

impl TryFrom<String> for Ceiling {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Ceiling> for String {
    fn from(ceiling: Ceiling) -> Self {
        match ceiling {
            Ceiling::At(bytes) => bytes.to_string(),
            Ceiling::None => "none".to_owned(),
        }
    }
}

/// Numbers of processors as `taskset -c` and systemd write them: `0-3,6`. Ascending, each once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cpus(Vec<usize>);

/// The kernel's own sets end here.
const CPU_MAX: usize = 1023;

impl Cpus {
    pub fn numbers(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for Cpus {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError {
            seen: text.to_owned(),
            expected: "numbers of processors, 0 to 1023, such as 0-3,6",
        };
        let mut numbers = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<usize>().map_err(|_| bad());
            let (first, last) = (number(first)?, number(last)?);
            if first > last || last > CPU_MAX {
                return Err(bad());
            }
            numbers.extend(first..=last);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Self(numbers))
    }
}

impl TryFrom<String> for Cpus {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Cpus> for String {
    fn from(cpus: Cpus) -> Self {
        cpus.to_string()
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|a, b| a + 1 == *b);
        for (at, run) in runs.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match run {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_written_as_taskset_writes_them() {
        let cpus: Cpus = "6,0-3,2".parse().unwrap();
        assert_eq!(cpus.numbers(), [0, 1, 2, 3, 6]);
        assert_eq!(cpus.to_string(), "0-3,6");
        for bad in ["", "x", "3-1", "0-", "1024", "0-9999999999", "-1"] {
            assert!(bad.parse::<Cpus>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_ceiling_is_a_size_or_none() {
        assert_eq!("512MiB".parse(), Ok(Ceiling::At(Bytes(512 << 20))));
        assert_eq!("none".parse(), Ok(Ceiling::None));
        assert!("512".parse::<Ceiling>().is_err());
    }
}
