//! Controls a running project: what `framevisor`'s verbs do, from a Rust program.
//!
//! ```no_run
//! use std::time::Duration;
//! use framevisor_client::Project;
//!
//! # fn main() -> Result<(), framevisor_client::Error> {
//! let mut project = Project::open(&"demo".parse().unwrap())?;
//! for worker in project.workers()? {
//!     println!("{} is {}", worker.name, worker.state.as_str());
//! }
//! let restarted = project.restart(&["motion*"])?;
//! project.wait_until_up(&restarted, Duration::from_secs(10))?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything blocks, each answer for [`ANSWER_WITHIN`] at most. The protocol is in docs/protocol.md.

#![forbid(unsafe_code)]

mod connection;
mod error;
mod place;
mod project;

pub use connection::{ANSWER_WITHIN, Connection};
pub use error::Error;
pub use place::runtime_dir;
pub use project::{Change, Events, Project};
// The words of the answers.
pub use protocol::admin::{ReplyError, RingStatus, WorkerState, WorkerStatus};
