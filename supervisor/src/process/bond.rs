//! What binds a process to its project beyond its supervisor's life.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use protocol::adoption::Fence;
use protocol::control::env;
use protocol::units::Span;
use serde::{Deserialize, Serialize};

/// Of a process that may be adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bond {
    pub(crate) fence: Fence,
    /// Where it listens for another supervisor.
    pub(crate) socket: PathBuf,
    /// How long it lives without one.
    pub(crate) within: Span,
    /// When it was started, in the kernel's ticks: with its pid it is no other process.
    pub(crate) born: Option<u64>,
    /// The guard leaves it alone when the supervisor is killed.
    pub(crate) is_kept: bool,
}

impl Bond {
    /// What its process is told of it.
    pub(crate) fn environment(&self) -> [(OsString, OsString); 3] {
        [
            (env::ADOPTION.into(), self.socket.clone().into()),
            (env::FENCE.into(), self.fence.to_string().into()),
            (env::ADOPT_WITHIN_MS.into(), self.within.duration().as_millis().to_string().into()),
        ]
    }

    pub(crate) fn new(socket: PathBuf, within: Span) -> io::Result<Self> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        Ok(Self { fence: Fence::new(random), socket, within, born: None, is_kept: false })
    }
}
