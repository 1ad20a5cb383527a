//! `why --save`: the dossier as files, for whoever looks into it later or elsewhere. Packets and pictures
//! are written by the programs that know their formats; what they cannot give is told, and the rest is kept.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use protocol::config::Kind;
use protocol::control::{ItemId, env};
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::UtcNs;
use protocol::units::Span;
use protocol::verb::{Dump, Dumped, Keep, KeepWhat, Kept};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shmring::clock;

use super::super::client::Client;
use super::super::{CliError, Context, describe, dump};
use super::page;
use crate::admin::verbs::{EventsWanted, LogsWanted, Status};
use crate::admin::why::Why;
use crate::dossier::RingHead;
use crate::launch;
use crate::redact::Redactor;

/// A worker may read every ring there is: of the rest it is said how to get them.
const RINGS_MAX: usize = 8;
/// What the folder holds, for programs.
const CONTENTS: &str = "saved.json";

/// What was written, and what was not.
#[derive(Debug, Serialize)]
pub(super) struct Saved {
    project: ProjectName,
    worker: String,
    saved_utc_ns: UtcNs,
    version: &'static str,
    folder: PathBuf,
    files: Vec<SavedFile>,
    left_out: Vec<LeftOut>,
}

#[derive(Debug, Serialize)]
struct SavedFile {
    file: PathBuf,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<Part>,
}

/// Items of a ring.
#[derive(Debug, Serialize)]
struct Part {
    ring: RingName,
    epoch: u64,
    first: u64,
    last: u64,
    from_utc_ns: UtcNs,
    to_utc_ns: UtcNs,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    what: String,
    why: String,
}

/// The folder must be new or empty: nothing is written over.
pub(super) fn save(
    context: &Context,
    client: &mut Client,
    answer: &Value,
    (folder, last): (&Path, Span),
) -> Result<Saved, CliError> {
    let folder = std::path::absolute(folder).map_err(CliError::io("current directory"))?;
    prepare(&folder)?;
    let why: Why = serde_json::from_value(answer.clone()).map_err(CliError::skew("why"))?;
    let status: Status = client.ask("status", &())?;
    let project = status.project.parse().or_else(|_| context.project())?;
    let saved = Saved {
        project,
        worker: why.worker.name.to_string(),
        saved_utc_ns: clock::now().utc,
        version: env!("CARGO_PKG_VERSION"),
        folder,
        files: Vec::new(),
        left_out: Vec::new(),
    };
    let broker = context.place()?.broker_socket();
    let mut saving = Saving { redactor: describe::redactor(context), broker, last, saved };
    // What moves on comes first.
    saving.item(&why);
    saving.pictures(&why);
    saving.rings(&why);
    saving.quarantine(&why);
    saving.texts(client, answer, &why)?;
    saving.finish()
}

fn prepare(folder: &Path) -> Result<(), CliError> {
    let cannot = |source| CliError::Output { path: folder.to_owned(), source };
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(CliError::NotEmpty { path: folder.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Of the user alone: pictures and lines may show what is nobody else's business.
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)
        }
        Err(error) => Err(cannot(error)),
    }
}

struct Saving {
    redactor: Redactor,
    broker: PathBuf,
    last: Span,
    saved: Saved,
}

impl Saving {
    /// What it had in hand when it died, else what it has in hand now.
    fn item(&mut self, why: &Why) {
        let Some((item, ring)) = in_hand(why) else { return };
        let ItemId { epoch, sequence } = item;
        let what = format!("item {sequence} of epoch {epoch}");
        let Some(ring) = ring else {
            return self.leave_out(what, "none of its rings had this epoch".to_owned());
        };
        match self.keep(&ring, KeepWhat::Item(item)) {
            Ok(kept) => self.add_kept(&ring, "the item in hand", kept),
            Err(why) => self.leave_out(what, why),
        }
    }

    /// The last picture of each of its frame rings; where none has one, of its packets.
    fn pictures(&mut self, why: &Why) {
        let before = self.saved.files.len();
        for kind in [RingKind::Frames, RingKind::Packets] {
            for ring in rings(why).into_iter().filter(|ring| ring.kind() == kind).take(RINGS_MAX) {
                match self.keep(&ring, KeepWhat::Picture) {
                    Ok(kept) => self.add_kept(&ring, "the last picture", kept),
                    Err(why) => self.leave_out(format!("the last picture of {ring}"), why),
                }
            }
            if self.saved.files.len() > before {
                return;
            }
        }
    }

    /// The last of what flowed: packets as they are, records as lines.
    fn rings(&mut self, why: &Why) {
        let kept = |ring: &RingName| ring.kind() != RingKind::Frames;
        for (number, ring) in rings(why).into_iter().filter(kept).enumerate() {
            let what = format!("the last {} of {ring}", self.last);
            if number >= RINGS_MAX {
                let last = self.last;
                let why = format!(
                    "it has more than {RINGS_MAX} rings; see `framevisor dump {ring} --last {last} -o FILE`"
                );
                self.leave_out(what, why);
                continue;
            }
            match self.dump(&ring) {
                Ok(dumped) => self.add_dumped(&what, dumped),
                Err(why) => self.leave_out(what, why),
            }
        }
    }

    fn dump(&self, ring: &RingName) -> Result<Dumped, String> {
        let is_packets = ring.kind() == RingKind::Packets;
        let ending = if is_packets { "mp4" } else { "jsonl" };
        let wanted = Dump {
            project: self.saved.project.clone(),
            ring: ring.clone(),
            last: self.last,
            file: self.saved.folder.join(format!("{ring}.{ending}")),
            force: false,
        };
        if is_packets {
            return self.ask(Kind::Recorder, "dump", &wanted);
        }
        dump::records(&wanted).map_err(|error| error.to_string())
    }

    fn keep(&self, ring: &RingName, what: KeepWhat) -> Result<Kept, String> {
        let (project, folder) = (self.saved.project.clone(), self.saved.folder.clone());
        let keep = Keep { project, ring: ring.clone(), what, folder };
        self.ask(Kind::Decoder, "keep", &keep)
    }

    /// A sentence when it cannot be had: one part missing is no reason to do without the others.
    fn ask<T: DeserializeOwned>(
        &self,
        kind: Kind,
        verb: &'static str,
        wanted: &impl Serialize,
    ) -> Result<T, String> {
        let mut command = launch::verb(kind, verb, wanted).map_err(|error| error.to_string())?;
        command.env(env::BROKER, &self.broker).stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("framevisor-{kind}: {error}"))?;
        if !output.status.success() {
            return Err(complaint(kind, &output));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("framevisor-{kind}: {error}"))
    }

    /// Items that it died on twice were kept when that happened.
    fn quarantine(&mut self, why: &Why) {
        let Ok(entries) = fs::read_dir(&why.kept_in) else { return };
        let ends: Vec<String> = why
            .passed_over
            .iter()
            .map(|item| format!("-{}-{}.", item.epoch, item.sequence))
            .collect();
        for path in entries.flatten().map(|entry| entry.path()) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            // The item in hand at the last death may be one of them.
            let target = self.saved.folder.join(name);
            if !ends.iter().any(|end| name.contains(end)) || target.exists() {
                continue;
            }
            match fs::copy(&path, &target) {
                Ok(_) => self.add(name.into(), "what killed it twice", None),
                Err(error) => self.leave_out(path.display().to_string(), error.to_string()),
            }
        }
    }

    fn texts(&mut self, client: &mut Client, answer: &Value, why: &Why) -> Result<(), CliError> {
        let answer = pretty(&self.redactor.value(answer));
        self.write("why.json", &answer, "all that is known of it")?;
        let page = self.redactor.text(&page(why));
        self.write("why.txt", &page, "the same, for people")?;
        let names = || vec![why.worker.name.clone().into()];
        let events = EventsWanted { names: names(), ..EventsWanted::all() };
        let events: Vec<Value> = client.ask("events", &events)?;
        let events = self.lines(&events);
        self.write("events.jsonl", &events, "what became of it")?;
        let logs = LogsWanted { names: names(), ..LogsWanted::all() };
        let logs: Vec<Value> = client.ask("logs", &logs)?;
        let logs = self.lines(&logs);
        self.write("log.jsonl", &logs, "the last it printed")
    }

    fn lines(&self, values: &[Value]) -> String {
        values.iter().map(|value| format!("{}\n", self.redactor.value(value))).collect()
    }

    /// A text that holds no secrets.
    fn write(&mut self, name: &str, text: &str, what: &str) -> Result<(), CliError> {
        let path = self.saved.folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| CliError::Output { path, source })?;
        self.add(name.into(), what, None);
        Ok(())
    }

    fn finish(mut self) -> Result<Saved, CliError> {
        let contents = pretty(&self.redactor.value(&json!(self.saved)));
        self.write(CONTENTS, &contents, "these files, for programs")?;
        Ok(self.saved)
    }

    fn add_kept(&mut self, ring: &RingName, what: &str, kept: Kept) {
        let Kept { files, epoch, sequence, captured_utc_ns } = kept;
        for file in files {
            let part = Part {
                ring: ring.clone(),
                epoch,
                first: sequence,
                last: sequence,
                from_utc_ns: captured_utc_ns,
                to_utc_ns: captured_utc_ns,
            };
            self.add(file, what, Some(part));
        }
    }

    fn add_dumped(&mut self, what: &str, dumped: Dumped) {
        if dumped.files.is_empty() {
            self.leave_out(what.to_owned(), "nothing is in it".to_owned());
        }
        for file in dumped.files {
            let part = Part {
                ring: dumped.ring.clone(),
                epoch: file.epoch,
                first: file.first,
                last: file.last,
                from_utc_ns: file.from_utc_ns,
                to_utc_ns: file.to_utc_ns,
            };
            let name = file.file.file_name().map(PathBuf::from).unwrap_or_default();
            self.add(name, what, Some(part));
        }
        if !dumped.left_out.is_empty() {
            self.leave_out(format!("of {}", dumped.ring), dumped.left_out);
        }
    }

    fn add(&mut self, file: PathBuf, what: &str, of: Option<Part>) {
        self.saved.files.push(SavedFile { file, what: what.to_owned(), of });
    }

    fn leave_out(&mut self, what: String, why: String) {
        self.saved.left_out.push(LeftOut { what, why });
    }
}

/// The last item a death found in its hand, and of which ring it is; without one, that of now.
fn in_hand(why: &Why) -> Option<(ItemId, Option<RingName>)> {
    let death = why.deaths.iter().rev().find_map(|death| Some((death.item?, death)));
    let now = || Some((why.item?, why.reads.iter().map(|reads| &reads.ring).collect()));
    let (item, rings): (ItemId, Vec<&RingHead>) =
        death.map(|(item, death)| (item, death.rings.iter().collect())).or_else(now)?;
    let ring = rings.into_iter().find(|ring| ring.epoch == item.epoch);
    Some((item, ring.map(|ring| ring.name.clone())))
}

/// Its own first.
fn rings(why: &Why) -> Vec<RingName> {
    let reads = why.reads.iter().map(|reads| &reads.ring);
    why.writes.iter().chain(reads).map(|ring| ring.name.clone()).collect()
}

/// What the program said last, or how it ended.
fn complaint(kind: Kind, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find_map(|line| line.strip_prefix("framevisor: "));
    match (output.status.code(), last) {
        (Some(_), Some(last)) => last.to_owned(),
        _ => format!("framevisor-{kind} ended with {}", output.status),
    }
}

pub(super) fn in_words(saved: &Saved) -> String {
    let name = |file: &SavedFile| file.file.display().to_string();
    let width = saved.files.iter().map(|file| name(file).len()).max().unwrap_or(0);
    let mut text = format!("{}\n", saved.folder.display());
    for file in &saved.files {
        let _ = writeln!(text, "  {:width$}  {}", name(file), file.what);
    }
    if !saved.left_out.is_empty() {
        text.push_str("left out\n");
    }
    for LeftOut { what, why } in &saved.left_out {
        let _ = writeln!(text, "  {what}: {why}");
    }
    text
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::why::tests::why;
    use crate::dossier::Death;
    use crate::dossier::tests::death;
    use protocol::admin::WorkerState;

    fn ring(name: &str, epoch: u64) -> RingHead {
        RingHead { name: name.parse().unwrap(), live: true, epoch, head: 9, age_ms: None }
    }

    #[test]
    fn the_item_of_the_last_death_is_of_the_ring_that_had_its_epoch_then() {
        let rings = vec![ring("a.packets", 6), ring("b.packets", 7)];
        let of_death = Death { rings, ..death("SIGSEGV", 42) };
        let without = death("SIGKILL", 0);
        let dead = why(WorkerState::Held, vec![of_death, without]);
        let id = ItemId { epoch: 7, sequence: 42 };
        assert_eq!(in_hand(&dead), Some((id, "b.packets".parse().ok())));
        let mut alive = why(WorkerState::Running, Vec::new());
        assert_eq!(in_hand(&alive), None);
        alive.item = Some(id);
        assert_eq!(in_hand(&alive), Some((id, None)));
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = std::env::temp_dir().join(format!("fv-save-{}", std::process::id()));
        prepare(&folder.join("new")).unwrap();
        prepare(&folder.join("new")).unwrap();
        let refused = prepare(&folder).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert!(refused.contains("is not empty"), "{refused}");
    }
}
