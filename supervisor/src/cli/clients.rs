//! The clients of servers in `ps -o json`: as these wrote them down among the notes of the project's run.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use protocol::admin::{CLIENTS_DIR, ClientStatus, ClientsNote};
use protocol::config::Kind;
use protocol::control::NOTES_DIR;
use protocol::time::UtcNs;
use serde_json::{Value, json};

/// Ten thousand clients, the most of one server, take a quarter of it.
const NOTE_MAX_BYTES: u64 = 16 << 20;

/// Adds `clients` to the rows of servers that write them down. `runtime` is the project's runtime folder.
pub(super) fn add_to(list: &mut Value, runtime: &Path, now: UtcNs) {
    for row in list.as_array_mut().into_iter().flatten() {
        if row["kind"] == Kind::Rtsp.as_str()
            && let Some(name) = row["name"].as_str().map(str::to_owned)
            && let Some(row) = row.as_object_mut()
        {
            row.insert("clients".to_owned(), json!(of(&name, runtime, now)));
        }
    }
}

/// Those of all processes of a worker: one that was replaced keeps its clients for a while.
fn of(worker: &str, runtime: &Path, now: UtcNs) -> Vec<ClientStatus> {
    let folder = runtime.join(NOTES_DIR).join(CLIENTS_DIR);
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_of = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| ClientsNote::is_called(name, worker))
    };
    let mut files: Vec<_> = files.filter(is_of).collect();
    files.sort();
    let notes = files.iter().filter_map(|path| read(path)).filter(|note| note.is_fresh(now));
    notes.flat_map(|note| note.clients).collect()
}

fn read(path: &Path) -> Option<ClientsNote> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(NOTE_MAX_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use protocol::admin::CLIENTS_NOTE_AGE_NS;

    use super::*;

    fn note(at: u64, address: &str) -> Value {
        let client = ClientStatus {
            address: address.to_owned(),
            camera: "cam1".to_owned(),
            transport: "udp".to_owned(),
            playing: true,
            connected_s: 1.5,
            units: 30,
            skipped: 0,
            reception: None,
        };
        json!(ClientsNote { at_utc_ns: UtcNs(at), clients: vec![client] })
    }

    #[test]
    fn a_server_shows_the_clients_of_all_its_processes_that_live() {
        let runtime =
            std::env::temp_dir().join(format!("framevisor-clients-{}", std::process::id()));
        let folder = runtime.join(NOTES_DIR).join(CLIENTS_DIR);
        fs::create_dir_all(&folder).unwrap();
        let now = 100 * CLIENTS_NOTE_AGE_NS;
        for (file, at, address) in [
            ("rtsp.17.json", now, "10.0.0.7:1"),
            ("rtsp.18.json", now - 1, "10.0.0.8:1"),
            ("rtsp.16.json", now - CLIENTS_NOTE_AGE_NS, "10.0.0.6:1"),
            ("rtsp.x.json", now, "10.0.0.9:1"),
            ("rtsp-2.19.json", now, "10.0.0.10:1"),
        ] {
            fs::write(folder.join(file), note(at, address).to_string()).unwrap();
        }
        fs::write(folder.join("rtsp.20.json"), "{").unwrap();
        let mut list = json!([{"name": "rtsp", "kind": "rtsp"}, {"name": "web", "kind": "web"}]);
        add_to(&mut list, &runtime, UtcNs(now));
        let addresses: Vec<_> = list[0]["clients"]
            .as_array()
            .unwrap()
            .iter()
            .map(|client| &client["address"])
            .collect();
        assert_eq!(addresses, ["10.0.0.7:1", "10.0.0.8:1"]);
        assert!(list[1].get("clients").is_none());
        fs::remove_dir_all(runtime).unwrap();
    }

    #[test]
    fn a_server_without_notes_has_no_clients() {
        let mut list = json!([{"name": "rtsp", "kind": "rtsp"}]);
        add_to(&mut list, Path::new("/nowhere"), UtcNs(0));
        assert_eq!(list[0]["clients"], json!([]));
    }
}
