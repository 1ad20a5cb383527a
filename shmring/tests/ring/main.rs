//! The ring's promises, one module each.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod brokered;
mod contents;
mod essential;
mod foreign;
mod forks;
mod frames;
mod golden;
mod group;
mod hostile;
mod large;
mod lateness;
mod layout_doc;
mod leftovers;
mod on_device;
mod packets;
mod restarts;
mod scribbled;
mod sets;
mod shortage;
mod signals;
mod sizes;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::ProjectName;
use shmring::{census, clock};

const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_secs(20);

/// A project of its own for each test, whose files are gone afterwards.
struct Project(ProjectName);

impl Project {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep_killed_runs);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("t{}-{number}", std::process::id()).parse().unwrap())
    }

    fn contract(&self, ring: &str, places: u32) -> RingContract {
        let config = RingConfig::default();
        RingContract::new(ring.parse().unwrap(), config, places)
    }

    fn files(&self) -> Vec<String> {
        let prefix = format!("fv.{}.", self.0);
        let names = std::fs::read_dir("/dev/shm")
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
        names.sort();
        names
    }

    /// Descriptors of this process that lead to files of the project, unlinked ones too.
    fn descriptors(&self) -> usize {
        let prefix = format!("/dev/shm/fv.{}.", self.0);
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        let names = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
        names.filter(|name| name.to_string_lossy().starts_with(&prefix)).count()
    }

    fn mappings(&self) -> usize {
        let prefix = format!("/dev/shm/fv.{}.", self.0);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains(&prefix)).count()
    }
}

/// A run that was killed could not clean up.
fn sweep_killed_runs() {
    let names = std::fs::read_dir("/dev/shm").unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let projects =
        names.filter_map(|name| Some(name.strip_prefix("fv.t")?.split_once('.')?.0.to_owned()));
    for project in projects.collect::<BTreeSet<_>>() {
        let pid = project.split_once('-').and_then(|(pid, _)| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            census::sweep_unowned(&format!("t{project}").parse().unwrap());
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // A child that another test has just forked shares our locks until it has become its program.
        let until = clock::mono() + SOON;
        while !self.files().is_empty() && clock::mono() < until {
            census::sweep_unowned(&self.0);
            std::thread::yield_now();
        }
        if !std::thread::panicking() {
            assert_eq!(self.files(), Vec::<String>::new(), "files left behind");
        }
    }
}
