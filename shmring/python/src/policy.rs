//! How a program reads when it says so, and when it does not.

use protocol::config::ReadPolicy;
use protocol::control::env;
use protocol::name::RingKind;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmring::Policy;

/// How to read, and of the pictures each how manyth: what the program says, else for pictures the
/// supervisor that started it, else the newest each time. Who goes on after an item reads in turn.
pub(crate) fn chosen(said: Option<&str>, kind: RingKind, goes_on: bool) -> PyResult<(Policy, u32)> {
    if goes_on {
        return match said.map_or(Ok(Policy::Sequential), |said| parse(said, "policy"))? {
            Policy::Latest => Err(PyValueError::new_err(
                "since: reads in turn, so the policy is 'sequential', not 'latest'",
            )),
            policy => Ok((policy, 1)),
        };
    }
    match said {
        Some(said) => Ok((parse(said, "policy")?, 1)),
        None if kind == RingKind::Frames => told(),
        None => Ok((Policy::Latest, 1)),
    }
}

/// What the supervisor says.
fn told() -> PyResult<(Policy, u32)> {
    let given = std::env::var(env::POLICY).ok().filter(|given| !given.is_empty());
    let Some(given) = given else { return Ok((Policy::Latest, 1)) };
    let policy = given
        .parse::<ReadPolicy>()
        .map_err(|error| PyValueError::new_err(format!("{} {error}", env::POLICY)))?;
    Ok(match policy {
        ReadPolicy::Latest => (Policy::Latest, 1),
        ReadPolicy::Every(number) => (Policy::Latest, number.max(1)),
        // What is essential is kept for its reader, which reads it in turn.
        ReadPolicy::Essential(_) | ReadPolicy::Sequential => (Policy::Sequential, 1),
    })
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
