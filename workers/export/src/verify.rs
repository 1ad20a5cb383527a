//! Whether an export is what it was when it was made: every file that its manifest and its sums name is read
//! and hashed again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use protocol::verb::{ExportHash, ExportVerify};
use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use crate::each::each;
use crate::error::ExportError;
use crate::hashing::{Hash, sum_of};
use crate::manifest::MANIFEST;
use crate::sums::Sums;
use crate::watch::Watch;

/// A manifest of a day of many cameras has some MB; what somebody hands over may be anything.
const TEXT_MAX_BYTES: u64 = 256 << 20;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub path: PathBuf,
    /// Nothing is missing and nothing differs.
    pub whole: bool,
    pub files: Vec<Checked>,
}

/// A file of the export, or beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub file: String,
    /// As it is now; 0 when it is not there.
    pub bytes: u64,
    pub found: Found,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// As it was exported.
    Same,
    Differs,
    /// The manifest and the sums say different things of it.
    Disputed,
    Missing,
    /// Nothing is said of it: it came later. That is no harm.
    Unknown,
}

impl Found {
    pub(crate) fn is_harm(self) -> bool {
        !matches!(self, Self::Same | Self::Unknown)
    }
}

/// What of a manifest matters here, of every version.
#[derive(Deserialize)]
struct Manifest {
    cameras: Vec<Camera>,
}

#[derive(Deserialize)]
struct Camera {
    files: Vec<Media>,
}

#[derive(Deserialize)]
struct Media {
    file: String,
    hash: Option<Hash>,
    /// In place of `hash` in version 1.
    sha256: Option<String>,
}

/// What each file is to be told by; more than one when manifest and sums disagree.
type Expected = BTreeMap<String, Vec<Hash>>;

/// Reads all of the export at `wanted.path`.
pub fn verify(wanted: &ExportVerify, watch: &Watch) -> Result<Verified, ExportError> {
    let place = Place::open(&wanted.path)?;
    let expected = expected(&place)?;
    let names: Vec<&String> = expected.keys().collect();
    let mut files = each(&names, watch, |name| check(&place, name, &expected[*name], watch))?;
    let is_known = |name: &String| {
        expected.contains_key(name) || ExportHash::ALL.iter().any(|of| of.sums_file() == name)
    };
    for file in place.names()?.into_iter().filter(|name| !is_known(name)) {
        files.push(Checked { file, bytes: 0, found: Found::Unknown });
    }
    let whole = !files.iter().any(|file| file.found.is_harm());
    Ok(Verified { path: wanted.path.clone(), whole, files })
}

fn expected(place: &Place) -> Result<Expected, ExportError> {
    let mut expected = Expected::new();
    let text = place.text(MANIFEST)?.ok_or_else(|| place.is_none())?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| place.unreadable(MANIFEST, &error))?;
    for Media { file, hash, sha256 } in manifest.cameras.into_iter().flat_map(|it| it.files) {
        let old = sha256.map(|hex| Hash { algorithm: ExportHash::Sha256, hex });
        let hash = hash.or(old);
        let hash = hash.ok_or_else(|| place.unreadable(MANIFEST, &"a file has no hash"))?;
        expected.entry(place.own(MANIFEST, file)?).or_default().push(hash);
    }
    for algorithm in ExportHash::ALL {
        let name = algorithm.sums_file();
        let Some(text) = place.text(name)? else { continue };
        let sums = Sums::read(&text);
        let sums = sums.ok_or_else(|| place.unreadable(name, &"a line is no hash and name"))?;
        for (file, hash) in sums.hashes(algorithm) {
            let said = expected.entry(place.own(name, file)?).or_default();
            if !said.contains(&hash) {
                said.push(hash);
            }
        }
    }
    Ok(expected)
}

fn check(
    place: &Place,
    name: &str,
    expected: &[Hash],
    watch: &Watch,
) -> Result<Checked, ExportError> {
    let file = name.to_owned();
    let mut bytes = 0;
    let mut seen = Vec::new();
    for hash in expected {
        let algorithm = hash.algorithm;
        let failed = |source| ExportError::io("read", &place.path.join(name))(source);
        let read = |mut from: &mut dyn Read| sum_of(&mut from, algorithm, failed, || watch.go_on());
        let Some(sum) = place.read(name, read)? else {
            return Ok(Checked { file, bytes: 0, found: Found::Missing });
        };
        bytes = sum.bytes;
        seen.push(sum.hash.hex.eq_ignore_ascii_case(&hash.hex));
    }
    let found = match (seen.contains(&true), seen.contains(&false)) {
        (true, false) => Found::Same,
        (true, true) => Found::Disputed,
        (false, _) => Found::Differs,
    };
    Ok(Checked { file, bytes, found })
}

/// An export on the disk.
struct Place {
    path: PathBuf,
    is_zip: bool,
}

impl Place {
    fn open(path: &Path) -> Result<Self, ExportError> {
        let facts = std::fs::metadata(path).map_err(ExportError::io("open", path))?;
        let place = Self { path: path.to_owned(), is_zip: !facts.is_dir() };
        if place.is_zip && place.archive().is_err() {
            return Err(place.is_none());
        }
        Ok(place)
    }

    fn is_none(&self) -> ExportError {
        ExportError::NoExport(self.path.clone())
    }

    fn unreadable(&self, file: &str, why: &impl ToString) -> ExportError {
        ExportError::Unreadable { path: self.path.join(file), why: why.to_string() }
    }

    fn archive(&self) -> Result<ZipArchive<File>, ExportError> {
        let file = File::open(&self.path).map_err(ExportError::io("open", &self.path))?;
        ZipArchive::new(file).map_err(|source| self.broken(source))
    }

    fn broken(&self, source: zip::result::ZipError) -> ExportError {
        ExportError::Unzip { path: self.path.clone(), source }
    }

    /// Gives a file to `work`; `None` when it is not there.
    fn read<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut dyn Read) -> Result<T, ExportError>,
    ) -> Result<Option<T>, ExportError> {
        if self.is_zip {
            let mut archive = self.archive()?;
            return match archive.by_name(name) {
                Ok(mut entry) => work(&mut entry).map(Some),
                Err(zip::result::ZipError::FileNotFound) => Ok(None),
                Err(source) => Err(self.broken(source)),
            };
        }
        let path = self.path.join(name);
        match File::open(&path) {
            Ok(mut file) => work(&mut file).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ExportError::io("open", &path)(error)),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, ExportError> {
        self.read(name, |from| {
            let mut text = String::new();
            let read = from.take(TEXT_MAX_BYTES).read_to_string(&mut text);
            read.map_err(ExportError::io("read", &self.path.join(name))).map(|_| text)
        })
    }

    /// A name of a file here. One that leads elsewhere is none: exports come from others.
    fn own(&self, said_by: &str, name: String) -> Result<String, ExportError> {
        let mut parts = Path::new(&name).components();
        let is_plain = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
        match is_plain {
            true => Ok(name),
            false => Err(self.unreadable(said_by, &format!("'{name}' is no file beside it"))),
        }
    }

    fn names(&self) -> Result<Vec<String>, ExportError> {
        if self.is_zip {
            let archive = self.archive()?;
            let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
            return names.collect::<Result<_, _>>().map_err(|source| self.broken(source));
        }
        let entries = self.path.read_dir().map_err(ExportError::io("list", &self.path))?;
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            Some(entry.ok()?.file_name().to_string_lossy().into_owned())
        };
        let mut names: Vec<String> = entries.filter_map(name).collect();
        names.sort();
        Ok(names)
    }
}
