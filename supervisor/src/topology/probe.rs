//! Whether this machine has what a topology needs: the effects of `check`, apart from reading.
//!
//! What belongs here: looking, without changing anything that lasts. A camera that does not answer
//! is no mistake: it is a state of its worker.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use protocol::config::ingest::Source;
use protocol::config::{TlsConfig, WorkerConfig};

use super::loadable::obstacle;
use super::problem::{Finding, MachineProblem, Subject};
use super::{EnvText, Launch, Report, Topology, WorkerSpec};

/// Looks for the group, source files, commands, certificates and folders for recordings.
pub fn check(topology: &Topology) -> Result<(), Report> {
    let group = group_id(topology).err().map(|problem| Finding {
        place: None,
        subject: Subject::Topology,
        problem: problem.into(),
    });
    let workers = topology.workers.iter().filter_map(|w| worker(topology, w));
    let findings: Vec<Finding> = group.into_iter().chain(workers).collect();
    if findings.is_empty() { Ok(()) } else { Err(Report::new(&topology.origin.sources, findings)) }
}

/// The number of the topology's group on this machine.
pub(crate) fn group_id(topology: &Topology) -> Result<Option<u32>, MachineProblem> {
    let Some(name) = &topology.group else { return Ok(None) };
    if let Ok(id) = name.parse() {
        return Ok(Some(id));
    }
    let known = Group::from_name(name).ok().flatten();
    let id = known.map(|group| group.gid.as_raw());
    id.map(Some).ok_or_else(|| MachineProblem::NoGroup { group: name.clone() })
}

fn worker(topology: &Topology, worker: &WorkerSpec) -> Option<Finding> {
    let (key, problem) = match &worker.launch {
        Launch::Run { argv, env } => ("run", command(argv.first()?, env)?),
        Launch::Use(WorkerConfig::Ingest(ingest)) => match &ingest.source {
            Source::File(path) => ("source", source(path)?),
            Source::Device(device) => ("source", video_device(&device.path)?),
            Source::Publisher(_) | Source::Rtsp(_) | Source::Stream(_) | Source::Test(_) => {
                return None;
            }
        },
        Launch::Use(WorkerConfig::Detect(detect)) => ("model", model(&detect.model)?),
        Launch::Use(WorkerConfig::Recorder(recorder)) => ("dir", recordings(&recorder.dir)?),
        Launch::Use(WorkerConfig::Replay(replay)) => ("from", recorded(&replay.from)?),
        Launch::Use(WorkerConfig::Rtsp(rtsp)) => ("tls", certificate(rtsp.section.tls.as_ref()?)?),
        Launch::Use(WorkerConfig::Web(web)) => ("tls", certificate(web.section.tls.as_ref()?)?),
        Launch::Use(_) => return None,
    };
    Some(topology.finding(&worker.name, key, problem.into()))
}

fn source(path: &Path) -> Option<MachineProblem> {
    let reason = unreadable(path)?;
    Some(MachineProblem::NoSource { path: path.to_owned(), reason })
}

fn model(path: &Path) -> Option<MachineProblem> {
    let reason = unreadable(path)?;
    Some(MachineProblem::NoModel { path: path.to_owned(), reason })
}

/// What is in them the worker finds out.
fn certificate(tls: &TlsConfig) -> Option<MachineProblem> {
    let no = |path: &PathBuf| {
        let reason = unreadable(path)?;
        Some(MachineProblem::NoCertificate { path: path.clone(), reason })
    };
    [&tls.cert, &tls.key].into_iter().find_map(no)
}

/// Why this is no file that may be read.
fn unreadable(path: &Path) -> Option<String> {
    // Metadata first: opening a pipe would wait for its writer.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Some("it is no regular file".to_owned()),
        Ok(_) => Some(File::open(path).err()?.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// One that is not plugged in is a state of its worker, like a camera that is off.
fn video_device(path: &Path) -> Option<MachineProblem> {
    let reason = match fs::metadata(path) {
        Ok(found) if found.file_type().is_char_device() => return None,
        Ok(_) => "it is no device".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => error.to_string(),
    };
    Some(MachineProblem::NoSource { path: path.to_owned(), reason })
}

fn recorded(folder: &Path) -> Option<MachineProblem> {
    let reason = fs::read_dir(folder).err()?.to_string();
    Some(MachineProblem::NoRecording { path: folder.to_owned(), reason })
}

fn recordings(dir: &Path) -> Option<MachineProblem> {
    let at = dir.ancestors().find(|path| is_there(path))?.to_owned();
    let reason = can_make_folders(&at).err()?.to_string();
    Some(MachineProblem::CannotRecord { dir: dir.to_owned(), at, reason })
}

/// What may not even be looked at counts as there: making a folder in it says why.
fn is_there(path: &Path) -> bool {
    match path.try_exists() {
        Ok(there) => there,
        Err(error) => error.kind() != io::ErrorKind::NotADirectory,
    }
}

/// By trying: permission bits say nothing about read-only mounts, quotas and the rights of root.
fn can_make_folders(at: &Path) -> io::Result<()> {
    let trial = at.join(format!(".framevisor-check-{}", std::process::id()));
    fs::create_dir(&trial)?;
    fs::remove_dir(&trial)
}

fn command(program: &str, env: &BTreeMap<String, EnvText>) -> Option<MachineProblem> {
    let no = |reason: &str| {
        Some(MachineProblem::NoCommand { program: program.to_owned(), reason: reason.to_owned() })
    };
    if program.contains('/') {
        return match fs::metadata(program) {
            Ok(found) if runs(&found) => no(&obstacle(Path::new(program))?),
            Ok(_) => no("it is no executable file"),
            Err(error) => no(&error.to_string()),
        };
    }
    let path = env
        .get("PATH")
        .map(|path| OsString::from(path.value()))
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder: PathBuf| folder.join(program));
    match candidates.find(|file| fs::metadata(file).is_ok_and(|found| runs(&found))) {
        Some(file) => no(&obstacle(&file)?),
        None => no("it is in no folder of PATH"),
    }
}

fn runs(found: &Metadata) -> bool {
    found.is_file() && found.permissions().mode() & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, parse};
    use super::*;

    #[test]
    fn a_model_that_is_not_there_is_named_with_its_place() {
        let text = "version: 1
workers:
  look: {use: detect, in: own.frames, model: gone/yolo.onnx}
  own: {run: [sh, -c, 'true'], out: own.frames}";
        let topology = parse(text, "/srv/framevisor.yml".as_ref(), &Overrides::default()).unwrap();
        let told = check(&topology).unwrap_err().to_string();
        assert!(told.contains("cannot read model /srv/gone/yolo.onnx"), "{told}");
        assert!(told.contains("framevisor.yml:3:"), "{told}");
    }

    #[test]
    fn a_machine_that_has_everything_passes_and_is_left_as_it_was() {
        let folder = std::env::temp_dir().join(format!("framevisor-probe-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("clip.mp4"), "").unwrap();
        let text = "version: 1
workers:
  cam1: {use: ingest, source: clip.mp4}
  cam2: {use: ingest, source: 'rtsp://127.0.0.1:1/unreachable'}
  recorder: {use: recorder, in: cam1.packets, dir: deep/below}
  rtsp: {use: rtsp, in: cam1.packets, tls: {cert: clip.mp4, key: clip.mp4}}
  shell: {run: [sh, -c, 'true']}";
        let topology = parse(text, &folder.join("framevisor.yml"), &Overrides::default()).unwrap();
        assert_eq!(check(&topology), Ok(()));
        let text = text.replace("key: clip.mp4", "key: none.pem");
        let other = parse(&text, &folder.join("framevisor.yml"), &Overrides::default()).unwrap();
        let report = check(&other).unwrap_err().to_string();
        assert!(report.contains("none.pem: No such file"), "{report}");
        let left: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["clip.mp4"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
