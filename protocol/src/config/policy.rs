//! `policy:` of a worker, and `FRAMEVISOR_POLICY`: how it reads its rings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::{Span, UnitError};

/// How a worker reads its rings. As text `latest`, `sequential`, `every N` or `essential SPAN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ReadPolicy {
    /// The newest picture each time.
    #[default]
    Latest,
    /// Each in turn; what is overwritten before its turn is told as missed.
    Sequential,
    /// The newest of each so manyth picture.
    Every(u32),
    /// Each in turn, and the ring keeps what it has not taken yet for so long.
    Essential(Span),
}

/// What a text may be.
pub const EXPECTED: &str =
    "latest, sequential, every N or essential SPAN, for example every 5 or essential 2s";

impl FromStr for ReadPolicy {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let parsed = match text.split_once(' ') {
            None if text == "latest" => Some(Self::Latest),
            None if text == "sequential" => Some(Self::Sequential),
            Some(("every", number)) => number.parse().ok().map(Self::Every),
            Some(("essential", deadline)) => deadline.parse().ok().map(Self::Essential),
            _ => None,
        };
        parsed.ok_or_else(|| UnitError { seen: text.to_owned(), expected: EXPECTED })
    }
}

impl TryFrom<String> for ReadPolicy {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<ReadPolicy> for String {
    fn from(policy: ReadPolicy) -> Self {
        policy.to_string()
    }
}

impl fmt::Display for ReadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Sequential => f.write_str("sequential"),
            Self::Every(number) => write!(f, "every {number}"),
            Self::Essential(deadline) => write!(f, "essential {deadline}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_reads_back_as_it_prints() {
        let deadline = Span::from_millis(1_500);
        for policy in [
            ReadPolicy::Latest,
            ReadPolicy::Sequential,
            ReadPolicy::Every(5),
            ReadPolicy::Essential(deadline),
        ] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
    }

    #[test]
    fn another_text_is_no_policy() {
        for bad in ["", "every", "every x", "every  5", "essential", "essential 5", "newest"] {
            assert!(bad.parse::<ReadPolicy>().is_err(), "{bad:?} was taken");
        }
    }
}
