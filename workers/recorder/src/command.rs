//! What people command: recording starts, stops, or follows the topology again. Kept in the camera's
//! folder, so that it holds whatever becomes of the recorder.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use protocol::recorder::Order;
use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Beside the recordings; made by the first command.
const FILE: &str = ".commands";

/// One command, in force from `at` until `until` or the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub order: Order,
    #[serde(rename = "at_utc_ns")]
    pub at: UtcNs,
    /// Not included; then the topology decides.
    #[serde(rename = "until_utc_ns")]
    pub until: Option<UtcNs>,
}

impl Command {
    /// So many are remembered. An older one is about moments that no ring holds any more.
    pub(crate) const KEPT: usize = 16;
}

/// The commands that the camera's folder keeps, oldest first; none in a folder that is not there.
pub(crate) fn load(folder: &Path) -> Result<Vec<Command>, Error> {
    let path = folder.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::error!(file = %path.display(), %error, "commands are lost: the topology decides");
        Vec::new()
    }))
}

/// All at once, or nothing: a power cut leaves the old ones or the new.
pub(crate) fn save(folder: &Path, commands: &[Command]) -> Result<(), Error> {
    let path = folder.join(FILE);
    write(folder, &path, commands).map_err(Error::io("write", &path))
}

fn write(folder: &Path, path: &PathBuf, commands: &[Command]) -> io::Result<()> {
    let fresh = path.with_added_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(commands)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        assert_eq!(load(folder).unwrap(), []);
        let commands = [
            Command { order: Order::Start, at: UtcNs(7), until: Some(UtcNs(9)) },
            Command { order: Order::Stop, at: UtcNs(8), until: None },
        ];
        save(folder, &commands).unwrap();
        assert_eq!(load(folder).unwrap(), commands);
        fs::write(folder.join(FILE), "{").unwrap();
        assert_eq!(load(folder).unwrap(), [], "recording is not held up by them");
    }
}
