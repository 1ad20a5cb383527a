//! What the worker writes of its clients, for `ps` and the metrics: a small file among the notes of the project's run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::admin::{CLIENTS_DIR, ClientStatus, ClientsNote};
use protocol::name::WorkerName;
use protocol::time::{MonoNs, UtcNs};

/// How often it is written.
const EVERY: Duration = Duration::from_secs(1);

/// The file. It is gone with the worker; what a killed one leaves says how old it is.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
    written: Option<MonoNs>,
}

impl Note {
    /// A process of its own has a file of its own: one that was replaced keeps its clients for a while.
    pub fn of(notes: &Path, worker: &WorkerName) -> Self {
        let name = format!("{worker}.{}.json", std::process::id());
        Self { path: notes.join(CLIENTS_DIR).join(name), written: None }
    }

    /// Writes it when it is time to.
    pub fn write(
        &mut self,
        clients: impl FnOnce() -> Vec<ClientStatus>,
        now: MonoNs,
        utc: UtcNs,
    ) -> io::Result<()> {
        if self.written.is_some_and(|at| now < at + EVERY) {
            return Ok(());
        }
        self.written = Some(now);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let note = ClientsNote { at_utc_ns: utc, clients: clients() };
        let fresh = self.path.with_added_extension("new");
        fs::write(&fresh, serde_json::to_vec(&note)?)?;
        fs::rename(&fresh, &self.path)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // It was never written, or goes with the project's notes.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_every_second_and_gone_in_the_end() {
        let dir = std::env::temp_dir().join(format!("framevisor-note-{}", std::process::id()));
        let mut note = Note::of(&dir, &"rtsp".parse().unwrap());
        let path = note.path.clone();
        let write = |note: &mut Note, seconds: u64| {
            note.write(Vec::new, MonoNs(seconds * 1_000_000_000), UtcNs(seconds)).unwrap();
            let read: ClientsNote = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            read.at_utc_ns.0
        };
        assert_eq!(write(&mut note, 1), 1);
        assert_eq!(write(&mut note, 1), 1);
        assert_eq!(write(&mut note, 2), 2);
        drop(note);
        assert!(!path.exists());
        fs::remove_dir_all(dir).unwrap();
    }
}
