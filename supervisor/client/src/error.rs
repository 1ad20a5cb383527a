//! What can go wrong between a program and a supervisor.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use protocol::admin::ReplyError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The supervisor understood and said no.
    #[error("{text}; {hint}", text = .0.text, hint = .0.hint)]
    Refused(ReplyError),
    #[error("{}: permission denied; be the user who started the project, or root", socket.display())]
    Denied { socket: PathBuf },
    #[error("not running: nothing answers at {}; start it with `framevisor up`", socket.display())]
    NotRunning { socket: PathBuf },
    #[error("the supervisor at {} does not answer: {source}", socket.display())]
    NoAnswer { socket: PathBuf, source: io::Error },
    #[error(
        "the supervisor answered something else than {verb} does: {source}; use the release it is of"
    )]
    Skew { verb: String, source: serde_json::Error },
    #[error("{what} did not come within {limit:?}{missing}")]
    Timeout { what: &'static str, limit: Duration, missing: String },
}
