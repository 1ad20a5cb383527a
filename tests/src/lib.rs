//! What proves framevisor from outside: a harness that runs the real command and the real workers,
//! and reads what comes out with tools that share no code with what made it (ffmpeg, Chromium,
//! Python, the frame code).
//!
//! `checks` holds the promises; the tests run them small, `framevisor-verify` runs them at length.
#![forbid(unsafe_code)]

pub mod browser;
pub mod checks;
pub mod disks;
pub mod ffmpeg;
pub mod firefox;
pub mod fleet;
pub mod framecode;
pub mod gateway;
pub mod glass;
pub mod http;
pub mod languages;
pub mod link;
pub mod npm;
pub mod peer;
pub mod playlist;
pub mod processes;
pub mod project;
pub mod recordings;
pub mod report;
pub mod store;
pub mod tally;
pub mod tls;
pub mod tones;
pub mod viewer;
pub mod watch;
pub mod webhooks;
pub mod witness;

/// What a check says when a promise does not hold: what was seen and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl Failure {
    pub fn new(text: impl ToString) -> Self {
        Self(text.to_string())
    }
}

/// A promise that holds, or what was seen instead.
pub type Outcome<T> = Result<T, Failure>;

/// Fails with a sentence unless `holds`.
pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(Failure(otherwise())) }
}

/// Nothing is given up sooner: a loaded machine is slow, which is no failure of what is waited for.
const PATIENCE_S: u64 = 120;

/// Asks until there is an answer, for `seconds` or [`PATIENCE_S`], whichever is longer; the time it took is
/// part of the answer.
pub fn wait_for<T>(
    seconds: u64,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> Outcome<(T, std::time::Duration)> {
    let start = shmring::clock::mono();
    let seconds = seconds.max(PATIENCE_S);
    let limit = std::time::Duration::from_secs(seconds);
    loop {
        let answer = ask();
        let took = shmring::clock::mono().saturating_since(start);
        match answer {
            Some(answer) => return Ok((answer, took)),
            None if took > limit => {
                return Err(Failure(format!("after {seconds} s still waiting for {what}")));
            }
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
}

/// Where screenshots are kept for people to look at.
pub fn shot_folder() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join("framevisor-shots");
    // Writing the shot reports what is wrong with the folder.
    let _ = std::fs::create_dir_all(&folder);
    folder
}
