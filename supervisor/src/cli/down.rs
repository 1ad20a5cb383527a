//! `down`: stop the project in order and wait until nothing of it lives.

use std::process::ExitCode;
use std::time::Duration;

use protocol::units::Span;
use shmring::clock;

use super::client::Client;
use super::{CliError, Context};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor down
  framevisor -p demo down";

/// The supervisor ends within 10 s; the guard a second after it.
const ENDS_WITHIN: Span = Span::from_millis(15_000);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn run(context: &Context) -> Result<ExitCode, CliError> {
    let place = context.place()?;
    let _: bool = Client::connect(&place)?.ask("down", &())?;
    let deadline = clock::mono() + ENDS_WITHIN.duration();
    while place.is_taken() {
        if clock::mono() > deadline {
            let missing = format!("; supervisor is pid {}", place.supervisor());
            return Err(CliError::Timeout {
                what: "the end of the project",
                limit: ENDS_WITHIN,
                missing,
            });
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(ExitCode::SUCCESS)
}
