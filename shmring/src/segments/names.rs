//! The names of a ring's files in /dev/shm.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::name::{ProjectName, RingName};

use super::Part;
use crate::error::Error;

/// Where POSIX shared memory lives on Linux (shm_overview(7)).
pub(crate) const DIR: &str = "/dev/shm";

/// What the name of every file of a ring begins with.
pub(crate) const PREFIX: &str = "fv.";

/// Names of one ring's files.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(super) ring: RingName,
    project: ProjectName,
    /// `fv.<project>.<ring>`.
    stem: String,
}

/// What a file of a ring is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Part(Part),
    Lock,
    /// Being built, or left by a writer that died over it.
    Temporary,
}

impl Names {
    pub(crate) fn new(project: &ProjectName, ring: &RingName) -> Self {
        Self {
            ring: ring.clone(),
            project: project.clone(),
            stem: format!("{}{ring}", prefix(project)),
        }
    }

    pub(super) fn absent(&self) -> Error {
        Error::NoSuchRing { ring: self.ring.clone(), project: self.project.clone() }
    }

    pub(super) fn path(&self, part: Part) -> PathBuf {
        let stem = &self.stem;
        in_dir(&match part {
            Part::Anchor => stem.clone(),
            Part::Index { epoch } => format!("{stem}.e{epoch}"),
            Part::Data { epoch, generation } => format!("{stem}.e{epoch}.g{generation}"),
            Part::Lease { place } => format!("{stem}.l{place}"),
        })
    }

    pub(crate) fn lock(&self) -> PathBuf {
        in_dir(&format!("{}.lock", self.stem))
    }

    /// A name nobody looks for; `salt` makes it unlike any other of this process.
    pub(super) fn temporary(&self, salt: u64) -> String {
        format!("{}.tmp-{}-{salt:x}", self.stem, std::process::id())
    }

    /// All files of this ring that exist now.
    pub(crate) fn existing(&self) -> Vec<(Role, PathBuf)> {
        let of = |name: String| Some((self.role(&name)?, in_dir(&name)));
        list().into_iter().filter_map(of).collect()
    }

    /// `cam1.frames` must not claim the files of a ring whose name merely begins like it: what follows
    /// the stem is one of our own suffixes, never a further name part.
    pub(crate) fn role(&self, name: &str) -> Option<Role> {
        let rest = name.strip_prefix(&self.stem)?;
        if rest.is_empty() {
            return Some(Role::Part(Part::Anchor));
        }
        match rest.strip_prefix('.')? {
            "lock" => Some(Role::Lock),
            rest if rest.starts_with("tmp-") => Some(Role::Temporary),
            rest => numbered(rest).map(Role::Part),
        }
    }
}

/// `l3`, `e17`, `e17.g2`.
fn numbered(suffix: &str) -> Option<Part> {
    let number = |text: &str, letter: char| -> Option<u64> {
        let digits = text.strip_prefix(letter)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let small = |text, letter| u32::try_from(number(text, letter)?).ok();
    match suffix.split_once('.') {
        Some((epoch, generation)) => {
            Some(Part::Data { epoch: number(epoch, 'e')?, generation: small(generation, 'g')? })
        }
        None if suffix.starts_with('l') => Some(Part::Lease { place: small(suffix, 'l')? }),
        None => Some(Part::Index { epoch: number(suffix, 'e')? }),
    }
}

/// What every file of a project begins with.
pub(crate) fn prefix(project: &ProjectName) -> String {
    format!("{PREFIX}{project}.")
}

/// Whose file this is, by its name behind the project's prefix: also of a ring of which only some
/// files are left. The first parts of any file name are its ring.
pub(crate) fn ring_of(file: &str) -> Option<RingName> {
    let ends = [file.len()].into_iter().chain(file.rmatch_indices('.').map(|(at, _)| at));
    ends.filter_map(|end| file[..end].parse::<RingName>().ok()).next()
}

/// All names in the shared memory folder.
pub(crate) fn list() -> Vec<String> {
    let Ok(entries) = fs::read_dir(DIR) else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

pub(crate) fn in_dir(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_part_and_no_other_rings_file_is_taken_for_ours() {
        let project = "p".parse().expect("a name");
        let names = Names::new(&project, &"cam1.frames".parse().expect("a name"));
        for part in [
            Part::Anchor,
            Part::Index { epoch: 17 },
            Part::Data { epoch: 17, generation: 2 },
            Part::Lease { place: 3 },
        ] {
            let path = names.path(part);
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert_eq!(names.role(name), Some(Role::Part(part)));
        }
        for other in ["fv.p.cam1.frames.small.frames", "fv.p.cam1.framesx", "fv.p.cam1.frames.e"] {
            assert_eq!(names.role(other), None, "{other}");
        }
        assert_eq!(names.role(&names.temporary(9)), Some(Role::Temporary));
    }
}
