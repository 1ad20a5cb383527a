//! Printing: the only place that writes to stdout and stderr for the verbs.

use std::io::{self, Write};

use serde::Serialize;

use super::CliError;

/// Data, to stdout. A reader that has seen enough (`| head`) is no error.
pub(super) fn data(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::io("stdout")(error))
        }
        _ => Ok(()),
    }
}

/// Data as JSON: one value and a line end.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text =
        serde_json::to_string(value).map_err(|error| CliError::io("stdout")(error.into()))?;
    data(&format!("{text}\n"))
}

/// Talk, to stderr: each line says who speaks. Nobody may be listening, which harms nothing.
pub(super) fn talk(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "framevisor: {}", text.trim_end());
}

/// The mistakes of a topology, to stderr, as they are.
pub(super) fn report(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{}", text.trim_end());
}
