//! How people name workers and rings: a name, or a pattern with `*` for several.

use std::fmt;
use std::str::FromStr;

use protocol::name::{NameError, RingName, WorkerName};
use serde::{Deserialize, Serialize};

use crate::topology::matches;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Selector(String);

impl Selector {
    pub(crate) fn is_pattern(&self) -> bool {
        self.0.contains('*')
    }

    pub(crate) fn matches(&self, name: &WorkerName) -> bool {
        let owner = name.owner().is_some_and(|owner| matches(&self.0, owner));
        owner || self.matches_text(name.as_str())
    }

    /// Also of a camera.
    pub(crate) fn matches_text(&self, name: &str) -> bool {
        matches(&self.0, name)
    }
}

impl FromStr for Selector {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"*_-/".contains(&b);
        if !(text.contains('*') && text.bytes().all(fits)) {
            text.parse::<WorkerName>()?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<WorkerName> for Selector {
    fn from(name: WorkerName) -> Self {
        Self(name.into())
    }
}

impl TryFrom<String> for Selector {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.0
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A ring's name, or a pattern of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RingSelector(String);

impl RingSelector {
    pub(crate) fn matches(&self, name: &RingName) -> bool {
        matches(&self.0, name.as_str())
    }
}

impl FromStr for RingSelector {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"*._-".contains(&b);
        if !(text.contains('*') && text.bytes().all(fits)) {
            text.parse::<RingName>()?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RingSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_selects_itself_and_a_pattern_all_that_match() {
        let selects = |selector: &str, name: &str| {
            selector.parse::<Selector>().unwrap().matches(&name.parse().unwrap())
        };
        assert!(selects("cam1", "cam1") && !selects("cam1", "cam10"));
        assert!(selects("cam*", "cam10") && !selects("cam*", "recorder"));
        assert!(
            selects("x", "x/pipe") && selects("x/pipe", "x/pipe") && selects("*/pipe", "x/pipe")
        );
        assert!(!selects("x/pipe", "x/command") && !selects("pipe", "x/pipe"));
        for wrong in ["", "Cam*", "cam.*", "cam 1"] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_ring_is_selected_by_its_whole_name_or_a_pattern() {
        let selects = |selector: &str, name: &str| {
            selector.parse::<RingSelector>().unwrap().matches(&name.parse().unwrap())
        };
        assert!(selects("cam1.packets", "cam1.packets") && !selects("cam1.packets", "cam1.frames"));
        assert!(selects("*.events", "ext.notebook.events") && selects("cam*", "cam1.small.frames"));
        for wrong in ["", "cam1", "cam1.video", "Cam.*", "cam1.*/x"] {
            assert!(wrong.parse::<RingSelector>().is_err(), "{wrong}");
        }
    }
}
