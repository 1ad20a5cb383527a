//! The ring's promises, one module each.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures a test saw are worth reading")]

mod frames;
mod killed;
mod layout_doc;
mod packets;

use std::sync::atomic::{AtomicU32, Ordering};

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::ProjectName;
use shmring::census;

/// A project of its own for each test, whose files are gone afterwards.
struct Project(ProjectName);

impl Project {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("t{}-{number}", std::process::id()).parse().unwrap())
    }

    fn contract(&self, ring: &str, places: u32) -> RingContract {
        Self::contract_for(ring, places)
    }

    fn contract_for(ring: &str, places: u32) -> RingContract {
        let config = RingConfig::default();
        RingContract { name: ring.parse().unwrap(), config, places, epoch_floor: 0, gop_floor: 0 }
    }

    fn files(&self) -> Vec<String> {
        let prefix = format!("fv.{}.", self.0);
        let names = std::fs::read_dir("/dev/shm")
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&prefix)).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        census::sweep_unowned(&self.0);
        if !std::thread::panicking() {
            assert_eq!(self.files(), Vec::<String>::new(), "files left behind");
        }
    }
}
