//! How a program reads when it says so, and when it does not.

use protocol::control::env;
use protocol::name::RingKind;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmring::Policy;

/// What the program says, else for pictures the supervisor that started it, else the newest each time.
/// Who goes on after an item reads in turn.
pub(crate) fn chosen(said: Option<&str>, kind: RingKind, goes_on: bool) -> PyResult<Policy> {
    if goes_on {
        return match said.map_or(Ok(Policy::Sequential), |said| parse(said, "policy"))? {
            Policy::Latest => Err(PyValueError::new_err(
                "since: reads in turn, so the policy is 'sequential', not 'latest'",
            )),
            policy => Ok(policy),
        };
    }
    let given = std::env::var(env::POLICY).ok();
    let given = given.filter(|given| !given.is_empty() && kind == RingKind::Frames);
    match (said, given) {
        (Some(said), _) => parse(said, "policy"),
        (None, Some(given)) => parse(&given, env::POLICY),
        (None, None) => Ok(Policy::Latest),
    }
}

fn parse(name: &str, argument: &str) -> PyResult<Policy> {
    match name {
        "latest" => Ok(Policy::Latest),
        // What is essential is kept for its reader, which reads it in turn.
        "sequential" | "essential" => Ok(Policy::Sequential),
        other => Err(PyValueError::new_err(format!(
            "{argument} '{other}': expected 'latest' (the newest each time) or 'sequential' (each in turn)"
        ))),
    }
}
