//! From what is wanted to what is there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::time::UtcNs;
use protocol::verb::{Export, ExportCut, ExportFormat};
use recordings::Range;
use recordings::cut::{Footage, Part};
use serde::Serialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::each::each;
use crate::error::ExportError;
use crate::hashing::{Sum, Summing, hash_of, sum_of};
use crate::manifest::{MANIFEST, Manifest, Time};
use crate::output::{Form, Output, settle};
use crate::sums::Sums;
use crate::watch::Watch;
use crate::{copy, exact, page, remux, trim};

const PAGE: &str = "index.html";
/// Larger writes gain nothing; a fragment is written at once anyway.
const BUFFER_BYTES: usize = 256 << 10;

/// What was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    /// A file or more of one camera, or a folder, or an archive.
    pub out: Vec<PathBuf>,
    pub manifest: Manifest,
    /// What is left out since it cannot be read, and why. The manifest has the gaps.
    #[serde(skip)]
    pub unread: Vec<String>,
}

/// A file of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) name: String,
    /// Index into the camera's parts.
    pub(crate) part: usize,
    pub(crate) sum: Sum,
    /// On the camera's timeline.
    pub(crate) zero_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) damaged: u64,
}

/// Makes what is wanted, or nothing at all.
pub fn export(wanted: &Export, watch: &Watch) -> Result<Exported, ExportError> {
    allow_many_files();
    let footage = each(&wanted.cameras, watch, |camera| {
        let range = Range { from: wanted.from, to: wanted.to };
        Footage::read(&camera.name, &camera.folder, range)
            .map_err(ExportError::recording(&camera.name))
    })?;
    let unread = unread(&footage);
    if footage.iter().all(|footage| footage.parts.is_empty()) {
        return Err(nothing(wanted, &unread));
    }
    footage.iter().try_for_each(|of| remux::check(of, wanted.format, wanted.cut))?;
    watch.expect(footage.iter().map(Footage::bytes).sum(), footage.len());
    let output = Output::begin(wanted)?;
    let maker = Maker { wanted, output: &output, watch };
    let manifest = match output.form {
        Form::File => maker.manifest(&footage, &maker.write_all(&footage)?),
        Form::Folder => {
            let manifest = maker.manifest(&footage, &maker.write_all(&footage)?);
            for (name, text) in maker.texts(&manifest) {
                let path = output.file(name);
                std::fs::write(&path, text).map_err(ExportError::io("write", &path))?;
                settle(&path, wanted.sync)?;
            }
            manifest
        }
        Form::Zip => maker.zip(&footage)?,
    };
    if let Some(why) = &wanted.pin {
        footage.iter().try_for_each(|of| pin(of, why))?;
    }
    let names: Vec<String> = manifest.files().map(|file| file.file.clone()).collect();
    let out = output.publish(&names)?;
    Ok(Exported { out, manifest, unread })
}

fn unread(footage: &[Footage]) -> Vec<String> {
    let of_camera = |of: &Footage| {
        let camera = of.camera.clone();
        let unread = of.timeline.unread.clone();
        unread.into_iter().map(move |unread| {
            let (from, to) = (Time(unread.from).short(), Time(unread.to).short());
            format!("{camera}: left out {from} to {to}: {}", unread.why)
        })
    };
    footage.iter().flat_map(of_camera).collect()
}

fn nothing(wanted: &Export, unread: &[String]) -> ExportError {
    let (name, from, to) =
        (wanted.name.clone(), Time(wanted.from).short(), Time(wanted.to).short());
    match unread.first() {
        Some(why) => ExportError::NothingRead { name, from, to, why: why.clone() },
        None => ExportError::Nothing { name, from, to },
    }
}

/// The files that something was taken from; those that stay anyway keep their reason.
fn pin(footage: &Footage, why: &str) -> Result<(), ExportError> {
    let pieces = footage.parts.iter().flat_map(|part| &part.pieces);
    let used: BTreeSet<usize> = pieces.map(|piece| piece.file).collect();
    let files = used.into_iter().map(|file| &footage.timeline.files[file]);
    let mut others = files.filter(|file| !recordings::is_pinned(file));
    others.try_for_each(|file| {
        recordings::pin(file, why).map_err(ExportError::recording(&footage.camera))
    })
}

/// A file for each minute and camera may be open at once: as many as the system allows.
fn allow_many_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without it, long exports say that too many files are open.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

struct Maker<'a> {
    wanted: &'a Export,
    output: &'a Output,
    watch: &'a Watch,
}

impl Maker<'_> {
    fn write_all(&self, footage: &[Footage]) -> Result<Vec<Vec<Written>>, ExportError> {
        each(footage, self.watch, |footage| {
            let mut files = Vec::new();
            for (at, part) in footage.parts.iter().enumerate() {
                let path = self.output.file(&self.name(footage, at));
                if let Some(written) = self.write(footage, at, part, &path)? {
                    settle(&path, self.wanted.sync)?;
                    files.push(written);
                }
            }
            self.watch.did_camera();
            Ok(files)
        })
    }

    fn name(&self, footage: &Footage, part: usize) -> String {
        self.output.name(&footage.camera, part, self.wanted.format.ending())
    }

    fn write(
        &self,
        footage: &Footage,
        at: usize,
        part: &Part,
        path: &Path,
    ) -> Result<Option<Written>, ExportError> {
        if self.is_copy() {
            let mut file = File::create_new(path).map_err(ExportError::io("create", path))?;
            return self.copy(footage, at, part, &mut file, path).map(Some);
        }
        let (format, watch) = (self.wanted.format, self.watch);
        let (zero_ns, end_ns) = match self.wanted.cut {
            ExportCut::KeyFrames => {
                remux::remux(footage, part, format, path, watch)?;
                (part.zero_ns, part.end_ns)
            }
            ExportCut::EditList => match trim::trim(footage, part, path, watch)? {
                Some(shown) => (shown.zero_ns, shown.end_ns),
                None => return Ok(None),
            },
            ExportCut::Exact => {
                match exact::cut(footage, at, format, self.wanted.gaps, path, watch)? {
                    Some(cut) => (cut.zero_ns, cut.end_ns),
                    None => return Ok(None),
                }
            }
        };
        let mut file = File::open(path).map_err(ExportError::io("open", path))?;
        let failed = |source| ExportError::io("read", path)(source);
        let sum = sum_of(&mut file, self.wanted.hash, failed, || watch.go_on())?;
        let name = self.name(footage, at);
        Ok(Some(Written { name, part: at, sum, zero_ns, end_ns, damaged: 0 }))
    }

    fn is_copy(&self) -> bool {
        self.wanted.format == ExportFormat::Mp4 && self.wanted.cut == ExportCut::KeyFrames
    }

    fn copy(
        &self,
        footage: &Footage,
        at: usize,
        part: &Part,
        to: &mut impl Write,
        path: &Path,
    ) -> Result<Written, ExportError> {
        let mut summing = Summing::new(self.wanted.hash, self.has_processors_left());
        let damaged = copy::copy(footage, part, to, &mut summing, path, self.watch)?;
        let sum = summing.finish();
        let (zero_ns, end_ns) = (part.file_zero_ns(), part.end_ns);
        Ok(Written { name: self.name(footage, at), part: at, sum, zero_ns, end_ns, damaged })
    }

    /// Whether files are copied by fewer threads than run at once.
    fn has_processors_left(&self) -> bool {
        let busy = match self.output.form {
            Form::Zip => 1,
            Form::File | Form::Folder => self.wanted.cameras.len(),
        };
        thread::available_parallelism().is_ok_and(|processors| processors.get() > busy)
    }

    fn manifest(&self, footage: &[Footage], written: &[Vec<Written>]) -> Manifest {
        Manifest::of(self.wanted, footage, written, now())
    }

    /// What stands beside the media.
    fn texts(&self, manifest: &Manifest) -> Vec<(&'static str, String)> {
        // Plain types of ours always encode.
        let text = serde_json::to_string_pretty(manifest).unwrap_or_default();
        let mut texts = vec![(MANIFEST, format!("{text}\n"))];
        // Browsers play no other container of ours.
        if self.wanted.format == ExportFormat::Mp4 {
            texts.push((PAGE, page::page(manifest)));
        }
        let algorithm = self.wanted.hash;
        let mut sums = Sums::default();
        manifest.files().for_each(|file| sums.add(&file.file, &file.hash));
        texts.iter().for_each(|(name, text)| sums.add(name, &hash_of(text, algorithm)));
        texts.push((algorithm.sums_file(), sums.text()));
        texts
    }

    fn zip(&self, footage: &[Footage]) -> Result<Manifest, ExportError> {
        let path = self.output.archive();
        let file = File::create_new(&path).map_err(ExportError::io("create", &path))?;
        let failed = || |source| ExportError::Zip { path: path.clone(), source };
        let mut archive = ZipWriter::new(BufWriter::with_capacity(BUFFER_BYTES, file));
        // Media does not get smaller; more than 4 GiB is nothing special.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(true);
        let mut written = Vec::new();
        for footage in footage {
            let mut files = Vec::new();
            for (at, part) in footage.parts.iter().enumerate() {
                let name = self.name(footage, at);
                if self.is_copy() {
                    archive.start_file(&name, options).map_err(failed())?;
                    files.push(self.copy(footage, at, part, &mut archive, &path)?);
                } else if let Some(one) = self.write(footage, at, part, &self.output.file(&name))? {
                    archive.start_file(&name, options).map_err(failed())?;
                    self.move_into(&mut archive, &name)?;
                    files.push(one);
                }
            }
            self.watch.did_camera();
            written.push(files);
        }
        let manifest = self.manifest(footage, &written);
        for (name, text) in self.texts(&manifest) {
            archive.start_file(name, options).map_err(failed())?;
            archive.write_all(text.as_bytes()).map_err(ExportError::io("write", &path))?;
        }
        let mut file = archive.finish().map_err(failed())?;
        file.flush().map_err(ExportError::io("write", &path))?;
        settle(&path, self.wanted.sync)?;
        Ok(manifest)
    }

    fn move_into(&self, archive: &mut impl Write, name: &str) -> Result<(), ExportError> {
        let path = self.output.file(name);
        let mut file = File::open(&path).map_err(ExportError::io("open", &path))?;
        io::copy(&mut file, archive).map_err(ExportError::io("write", &self.output.archive()))?;
        std::fs::remove_file(&path).map_err(ExportError::io("remove", &path))
    }
}

fn now() -> UtcNs {
    #[expect(clippy::disallowed_methods, reason = "the edge: when an export was made")]
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UtcNs(since.ok().and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0))
}
