//! A topology that changes while it runs: texts are added to it, workers and cameras left out.

use std::collections::BTreeSet;
use std::path::PathBuf;

use protocol::name::WorkerName;

use super::expand::{CAMERAS, WORKERS, map};
use super::tree::{Value, get};
use super::{Report, Source, Topology, format, shadow, sources};

/// What was made of the texts a topology was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Edits {
    /// So many of the last texts were added.
    pub(super) added: usize,
    /// Workers and cameras that are left out, as if they were not written.
    pub(super) without: BTreeSet<String>,
    /// Shadows that have changed places with the workers that they were tried beside, one after the other.
    pub(super) promoted: Vec<WorkerName>,
}

/// `running` with what `files` describe beside it. Relative paths in them start where its own do.
pub(crate) fn with(running: &Topology, files: &[PathBuf]) -> Result<Topology, Report> {
    let (new, _) = sources::read(files)?;
    let mut reading = running.reading();
    let written: BTreeSet<String> = new.iter().flat_map(names_in).collect();
    // Who is written anew was not left out for ever.
    reading.edits.without.retain(|name| !written.contains(name));
    reading.edits.added += new.len();
    reading.sources.extend(new);
    reading.again()
}

/// `running` without these workers and cameras.
pub(crate) fn without(
    running: &Topology,
    names: impl Iterator<Item = String>,
) -> Result<Topology, Report> {
    let mut reading = running.reading();
    reading.edits.without.extend(names);
    let edits = &mut reading.edits;
    let own = reading.sources.len().saturating_sub(edits.added);
    let is_spent = |source: &Source| {
        let names = names_in(source);
        !names.is_empty() && names.is_subset(&edits.without)
    };
    let added = reading.sources.split_off(own);
    let (spent, kept): (Vec<Source>, Vec<Source>) = added.into_iter().partition(is_spent);
    reading.sources.extend(kept);
    edits.added -= spent.len();
    // Nobody else writes them, so that the same names may come again with other settings.
    let left: BTreeSet<String> = reading.sources.iter().flat_map(names_in).collect();
    for name in spent.iter().flat_map(names_in).filter(|name| !left.contains(name)) {
        reading.edits.without.remove(&name);
    }
    reading.again()
}

/// `running` with the program of this shadow in the place of the one that it was tried beside, and the other way
/// round. The second time it is as it was.
pub(crate) fn promoted(running: &Topology, shadow: &WorkerName) -> Result<Topology, Report> {
    let mut reading = running.reading();
    let used = |name: &WorkerName| running.worker(name).and_then(|spec| spec.shadow.as_ref());
    let promoted = &mut reading.edits.promoted;
    // Of several shadows of one worker the order counts: each changes places with what the one before left there.
    let last = promoted.iter().rposition(|other| used(other) == used(shadow));
    match last.filter(|at| promoted[*at] == *shadow) {
        Some(at) => {
            promoted.remove(at);
        }
        None => promoted.push(shadow.clone()),
    }
    reading.again()
}

/// `new`, which the files say now, with those that were promoted while it runs, unless the files have changed what
/// the two are.
pub(crate) fn carried(running: &Topology, new: Topology) -> Result<Topology, Report> {
    if running.promoted().is_empty() {
        return Ok(new);
    }
    let mut written = running.reading();
    let promoted = std::mem::take(&mut written.edits.promoted);
    let written = written.again()?;
    let is_kept = |shadow: &WorkerName| shadow::is_unchanged(&written, &new, shadow);
    let mut reading = new.reading();
    reading.edits.promoted = promoted.into_iter().filter(is_kept).collect();
    if reading.edits.promoted.is_empty() { Ok(new) } else { reading.again() }
}

/// The names of workers and cameras as one text has them; ranges are names of nobody.
fn names_in(source: &Source) -> BTreeSet<String> {
    let (root, _) = format::parse(source, 0);
    let root = root.map(|root| root.value);
    let Some(Value::Map(top)) = root else { return BTreeSet::new() };
    let sections = [CAMERAS, WORKERS].into_iter().filter_map(|key| get(&top, key));
    sections.flat_map(map).map(|entry| entry.key.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, parse};
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("fvl-{}-{name}", std::process::id()));
            std::fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn yard() -> Topology {
        let text = "version: 1\nproject: yard\ncameras:
  a: {url: 'test:', serve: [rtsp]}
  b: {url: 'test:?fps=5', serve: [rtsp], motion: true}\n";
        parse(text, "/srv/yard/framevisor.yml".as_ref(), &Overrides::default()).unwrap()
    }

    fn names(topology: &Topology) -> Vec<&str> {
        topology.workers.iter().map(|worker| worker.name.as_str()).collect()
    }

    fn left_out(topology: &Topology, name: &str) -> Topology {
        without(topology, [name.to_owned()].into_iter()).unwrap()
    }

    #[test]
    fn a_camera_goes_with_all_that_grew_out_of_it_and_what_is_shared_stays() {
        let topology = left_out(&yard(), "b");
        assert_eq!(names(&topology), ["a", "rtsp"]);
        assert_eq!(topology.worker(&"rtsp".parse().unwrap()).unwrap().inputs.len(), 1);
        // Another process of the command reads the same.
        assert_eq!(topology.reading().again().unwrap(), topology);
    }

    #[test]
    fn a_camera_knows_its_workers() {
        let yard = yard();
        let own = |name: &str| {
            let own = yard.workers_of(name).into_iter().flatten();
            own.map(|worker| worker.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(own("b"), ["b", "b-decode", "b-motion"]);
        assert_eq!((own("a"), own("rtsp")), (vec!["a"], Vec::new()));
    }

    #[test]
    fn a_text_that_was_added_and_left_out_may_come_again_with_other_settings() {
        let scratch = Scratch::new("again");
        let first = scratch.file("c.yml", "cameras: {c: {url: 'test:', serve: [rtsp]}}\n");
        let more = with(&yard(), &[first]).unwrap();
        assert!(names(&more).contains(&"c"));
        let less = left_out(&more, "c");
        assert_eq!(less, yard());
        let other = scratch.file("d.yml", "cameras: {c: {url: 'test:?fps=3', serve: [rtsp]}}\n");
        assert!(names(&with(&less, &[other]).unwrap()).contains(&"c"));
    }

    #[test]
    fn whoever_is_left_out_comes_back_by_the_same_words() {
        let scratch = Scratch::new("back");
        let less = left_out(&yard(), "a");
        assert!(!names(&less).contains(&"a"));
        let again = scratch.file("a.yml", "cameras: {a: {url: 'test:', serve: [rtsp]}}\n");
        assert!(names(&with(&less, &[again]).unwrap()).contains(&"a"));
    }
}
