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
        return match said.map_or(Ok((Policy::Sequential, 1)), parse)? {
            (Policy::Latest, _) => Err(PyValueError::new_err(format!(
                "since: reads in turn, so the policy is 'sequential', not '{}'",
                said.unwrap_or("latest")
            ))),
            in_turn => Ok(in_turn),
        };
    }
    match said {
        Some(said) => parse(said),
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
    Ok(meant(policy))
}

/// What the program says; to it, "essential" needs no span, which is the topology's to give.
fn parse(said: &str) -> PyResult<(Policy, u32)> {
    if said == "essential" {
        return Ok((Policy::Sequential, 1));
    }
    match said.parse::<ReadPolicy>() {
        Ok(ReadPolicy::Every(0)) => {
            Err(PyValueError::new_err("policy 'every 0': expected 'every 1' or more"))
        }
        Ok(policy) => Ok(meant(policy)),
        Err(error) => Err(PyValueError::new_err(format!("policy {error}"))),
    }
}

fn meant(policy: ReadPolicy) -> (Policy, u32) {
    match policy {
        ReadPolicy::Latest => (Policy::Latest, 1),
        ReadPolicy::Every(number) => (Policy::Latest, number.max(1)),
        // What is essential is kept for its reader, which reads it in turn.
        ReadPolicy::Essential(_) | ReadPolicy::Sequential => (Policy::Sequential, 1),
    }
}
