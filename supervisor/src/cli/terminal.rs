//! Printing: the only place that writes to stdout and stderr for the verbs.

use std::io::{self, IsTerminal, Write};

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

/// Data that replaces what was shown before, where that can be: on a terminal.
pub(super) fn screen(text: &str) -> Result<(), CliError> {
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
    data(&format!("{clear}{text}\n"))
}

/// As [`screen`], for the last time: it stays, and nothing comes after it.
pub(super) fn last_screen(text: &str) -> Result<(), CliError> {
    screen(text.trim_end())
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
