//! What rtsp and web workers play: which recordings, and which cameras belong together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::config::{Shelf, WorkerConfig};

use super::problem::{Finding, KeyProblem, Subject};
use super::written::Written;
use super::{Launch, WorkerSpec};

/// The key, and what problems with it are called.
const KEY: &str = "recordings";

/// Tells each of them where the recordings are that it plays.
pub(super) fn fill(
    workers: &mut [WorkerSpec],
    written: &Written,
    folder: &Path,
    groups: &BTreeMap<String, Vec<String>>,
    findings: &mut Vec<Finding>,
) {
    let recorders = recorders(workers);
    for worker in workers {
        let (named, told) = match &mut worker.launch {
            Launch::Use(WorkerConfig::Rtsp(rtsp)) => (&rtsp.section.recordings, &mut rtsp.shelf),
            Launch::Use(WorkerConfig::Web(web)) => {
                web.groups.clone_from(groups);
                (&web.section.recordings, &mut web.shelf)
            }
            Launch::Run { .. } | Launch::Use(_) => continue,
        };
        match shelf(named.as_deref(), &recorders, folder) {
            Ok(shelf) => *told = shelf,
            Err(why) => {
                let own = written.workers.iter().find(|it| it.name.value == worker.name);
                let place = own.map(|it| *it.values.get(KEY).unwrap_or(&it.name.place));
                let problem = KeyProblem::Value { key: KEY.to_owned(), why }.into();
                let subject = Subject::Worker(worker.name.to_string());
                findings.push(Finding { place, subject, problem });
            }
        }
    }
}

/// Names of recorders, and where they write.
fn recorders(workers: &[WorkerSpec]) -> Vec<(String, PathBuf)> {
    let recorder = |worker: &WorkerSpec| match &worker.launch {
        Launch::Use(WorkerConfig::Recorder(recorder)) => {
            Some((worker.name.to_string(), recorder.dir.clone()))
        }
        _ => None,
    };
    workers.iter().filter_map(recorder).collect()
}

fn shelf(
    named: Option<&str>,
    recorders: &[(String, PathBuf)],
    folder: &Path,
) -> Result<Shelf, String> {
    let Some(named) = named else {
        return Ok(only(recorders));
    };
    if let Some((_, dir)) = recorders.iter().find(|(name, _)| name == named) {
        return Ok(Shelf::At(dir.clone()));
    }
    if named.contains('/') {
        return Ok(Shelf::At(folder.join(named).components().collect()));
    }
    let known: Vec<&str> = recorders.iter().map(|(name, _)| name.as_str()).collect();
    let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
    Err(format!(
        "no recorder is called '{named}' (recorders: {known}); a directory has a slash, for example ./{named}"
    ))
}

/// Recorders may share a directory.
fn only(recorders: &[(String, PathBuf)]) -> Shelf {
    match recorders.split_first() {
        None => Shelf::None,
        Some(((_, dir), others)) if others.iter().all(|(_, other)| other == dir) => {
            Shelf::At(dir.clone())
        }
        Some(_) => Shelf::Several(recorders.iter().map(|(name, _)| name.clone()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Overrides, parse};

    fn read(recorders: &str, web: &str) -> Result<protocol::config::WebSetup, String> {
        let text = format!(
            "version: 1\nproject: yard\nworkers:\n  cam1: {{use: ingest, source: 'test:'}}\n{recorders}  web: {{use: web, in: '*'{web}}}\ngroups: {{all: 'cam*'}}\n"
        );
        let topology = parse(&text, "/srv/framevisor.yml".as_ref(), &Overrides::default())
            .map_err(|report| report.to_string())?;
        let web = topology.workers.into_iter().find_map(|worker| match worker.launch {
            Launch::Use(WorkerConfig::Web(web)) => Some(*web),
            _ => None,
        });
        web.ok_or_else(|| "no web worker".to_owned())
    }

    const ONE: &str = "  rec: {use: recorder, in: cam1.packets, dir: films}\n";
    const OTHER: &str = "  rec2: {use: recorder, in: cam1.packets, dir: other}\n";

    #[test]
    fn the_only_recorder_is_what_is_played() {
        let web = read(ONE, "").unwrap();
        assert_eq!(web.shelf, Shelf::At("/srv/films".into()));
        assert_eq!(web.groups["all"], ["cam*"]);
        assert_eq!(read("", "").unwrap().shelf, Shelf::None);
    }

    #[test]
    fn of_several_recorders_one_is_named_or_none_is_played() {
        let both = [ONE, OTHER].concat();
        let names = vec!["rec".to_owned(), "rec2".to_owned()];
        assert_eq!(read(&both, "").unwrap().shelf, Shelf::Several(names));
        let named = read(&both, ", recordings: rec2").unwrap();
        assert_eq!(named.shelf, Shelf::At("/srv/other".into()));
    }

    #[test]
    fn an_rtsp_worker_is_told_the_same() {
        let text = format!(
            "version: 1\nproject: yard\nworkers:\n  cam1: {{use: ingest, source: 'test:'}}\n{ONE}{OTHER}  rtsp: {{use: rtsp, in: cam1.packets, recordings: rec2}}\n"
        );
        let topology = parse(&text, "/srv/framevisor.yml".as_ref(), &Overrides::default()).unwrap();
        let told = topology.workers.into_iter().find_map(|worker| match worker.launch {
            Launch::Use(WorkerConfig::Rtsp(rtsp)) => Some(rtsp.shelf),
            _ => None,
        });
        assert_eq!(told, Some(Shelf::At("/srv/other".into())));
    }

    #[test]
    fn a_directory_has_a_slash() {
        let web = read("", ", recordings: ./old/films").unwrap();
        assert_eq!(web.shelf, Shelf::At("/srv/old/films".into()));
        let refused = read(ONE, ", recordings: films").unwrap_err();
        assert!(refused.contains("no recorder is called 'films'"), "{refused}");
        assert!(refused.contains("recorders: rec") && refused.contains("./films"), "{refused}");
    }
}
