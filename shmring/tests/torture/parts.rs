//! The children: each plays one part on one ring until it is killed or asked to finish.

use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::ProjectName;
use shmring::{Error, clock};

use crate::ledger::Page;
use crate::random::Random;
use crate::{frames, hostile, packets};

/// First argument of a child.
pub(crate) const CHILD: &str = "child";

pub(crate) const FRAMES: &str = "cam.frames";
pub(crate) const PACKETS: &str = "cam.packets";

/// Readers of each ring; a killed one may still be on its way out while its successor attaches.
pub(crate) const PLACES: u32 = 9;

/// Long enough that only a mistake takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(part: &str, project: &str, ledger: &str, seed: &str) {
    // A killed director must not leave its children behind.
    set_pdeathsig(Signal::SIGKILL).unwrap();
    let stage = Stage {
        project: project.parse().unwrap(),
        page: Page::open(ledger),
        random: Random::new(seed.parse().unwrap()),
    };
    match part {
        "frame-writer" => frames::write(stage),
        "frame-reader" => frames::read(stage, false),
        "frame-witness" => frames::read(stage, true),
        "frame-hostile" => hostile::scribble(stage),
        "packet-writer" => packets::write(stage),
        "packet-reader" => packets::read(stage, false),
        "packet-witness" => packets::read(stage, true),
        other => panic!("unknown part {other}"),
    }
}

/// What every part has.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) project: ProjectName,
    pub(crate) page: Page,
    pub(crate) random: Random,
}

impl Stage {
    /// Tries until it works: the ring may not be there yet, or still be held by somebody just killed.
    /// `None` when the director asks to finish first.
    pub(crate) fn retry<T>(
        &mut self,
        mut attempt: impl FnMut(&ProjectName) -> Result<T, Error>,
    ) -> Option<T> {
        let mut until = clock::mono() + PATIENCE;
        loop {
            let error = match attempt(&self.project) {
                Ok(done) => return Some(done),
                Err(error) => error,
            };
            let is_late = clock::mono() > until;
            if is_late || !is_passing(&error) {
                self.fail(&error);
            }
            if is_late && self.page.is_to_finish() {
                return None;
            }
            if is_late {
                until = clock::mono() + PATIENCE;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// An answer that should not be.
    pub(crate) fn fail(&mut self, what: &dyn std::fmt::Display) {
        eprint(what);
        self.page.figures.errors += 1;
        self.page.save();
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(error, Error::NoSuchRing { .. } | Error::NoPlace { .. } | Error::HasWriter { .. })
}

#[expect(clippy::print_stderr, reason = "somebody will want to know")]
pub(crate) fn eprint(what: &dyn std::fmt::Display) {
    eprintln!("torture {}: {what}", std::process::id());
}

pub(crate) fn contract(ring: &str) -> RingContract {
    let config = RingConfig::default();
    RingContract::new(ring.parse().unwrap(), config, PLACES)
}

/// Notes what this process holds, for a part that must not grow over many restarts of its writer.
pub(crate) fn measure(page: &mut Page) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mappings = maps.lines().filter(|line| line.contains("/dev/shm/")).count() as u64;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let space = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let space_kib =
        space.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    let figures = &mut page.figures;
    if figures.descriptors_first == 0 {
        figures.descriptors_first = descriptors;
        figures.mappings_first = mappings;
        figures.space_first_kib = space_kib;
    }
    figures.descriptors_most = figures.descriptors_most.max(descriptors);
    figures.mappings_most = figures.mappings_most.max(mappings);
    figures.space_most_kib = figures.space_most_kib.max(space_kib);
}
