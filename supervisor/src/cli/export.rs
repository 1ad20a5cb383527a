//! `export`: what was recorded of cameras over a time, as files for others. The export program reads the
//! recordings and takes this one's place; this one knows where they are and what the times mean.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use protocol::units::Span;
use protocol::verb::{
    Export, ExportCamera, ExportCut, ExportFormat, ExportGaps, ExportHash, ExportVerify,
};

use super::recordings::folders;
use super::when::{Here, When};
use super::{CliError, Context, groups};
use crate::launch;
use crate::topology::matches;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor export cam1 --last 10s -o clip.mp4
  framevisor export cam1 --from -20s --to now --format mkv
  framevisor export cam1 --last 5s --exact -o cut.mp4
  framevisor export cam1 --last 5s --trim -o trimmed.mp4
  framevisor export cam1 --last 5s --gaps hold -o whole.mp4
  framevisor export cam1 cam2 --last 10s -o both
  framevisor export 'cam*' --from 14:00 --to 14:05 -o incident.zip
  framevisor -o json export cam1 --last 5s --manifest --hash sha256 -o evidence
  framevisor export cam1 --last 5s --no-sync -o quick.mp4
  framevisor export --verify evidence";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Cameras, patterns of them ('hall-*') or groups
    #[arg(required_unless_present = "verify", value_name = "CAMERA|GROUP")]
    names: Vec<String>,
    /// Where it begins: 10:00, 2026-11-20T10:00, 2026-11-20T10:00:00Z or -5m; the key frame before
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        required_unless_present_any = ["last", "verify"]
    )]
    from: Option<When>,
    /// Where it ends; +5m is behind its begin
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "now")]
    to: When,
    /// The last of it, instead of --from and --to
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["from", "to"])]
    last: Option<Span>,
    /// Where to: a file for one camera, else a folder with a manifest and a page that plays it, or both
    /// in a file that ends in .zip [default: named after the camera and the time, here]
    // Before the verb, -o is the form of what is printed.
    #[arg(short = 'o', long = "output", value_name = "PATH")]
    to_path: Option<PathBuf>,
    /// The container [default: as the file's ending says, else mp4]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Begin and end at exactly these times: pictures are encoded anew
    #[arg(long)]
    exact: bool,
    /// Let players begin and end at exactly these times, by an edit list: nothing is encoded anew
    #[arg(long, conflicts_with = "exact")]
    trim: bool,
    /// What is shown where nothing was recorded; all but leave encode anew, as --exact
    #[arg(long, value_name = "WHAT", default_value = "leave")]
    gaps: Gaps,
    /// A folder with a manifest for one camera too
    #[arg(long)]
    manifest: bool,
    /// What the files are told by in the manifest
    #[arg(long, value_name = "HASH", default_value = "blake3")]
    hash: Hash,
    /// Do not wait for the disk: it is done when the kernel has it, as with cp. A disk that is pulled out or full
    /// only then is not told
    #[arg(long)]
    no_sync: bool,
    /// Keep the recordings it is made of, whatever retention wants, for this reason
    #[arg(long, value_name = "TEXT")]
    pin: Option<String>,
    /// Read an export, a folder or .zip file, and say whether it is what it was when it was made
    #[arg(long, value_name = "PATH", conflicts_with_all = ["names", "from", "last", "to_path"])]
    verify: Option<PathBuf>,
    /// A recorder's directory, instead of those of the topology
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The topology [default: framevisor.yml]
    #[arg(short, long = "file", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Fragmented MP4, as it was recorded: fastest
    Mp4,
    /// Matroska
    Mkv,
    /// MPEG transport stream
    Ts,
}

impl From<Format> for ExportFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Mp4 => Self::Mp4,
            Format::Mkv => Self::Mkv,
            Format::Ts => Self::Ts,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Gaps {
    /// Nothing: the file has a hole of that length, which players show as the last picture
    Leave,
    /// Black pictures, so that it has one at each moment from begin to end
    #[value(alias = "fill")]
    Black,
    /// The last picture before it
    Hold,
}

impl From<Gaps> for ExportGaps {
    fn from(gaps: Gaps) -> Self {
        match gaps {
            Gaps::Leave => Self::Leave,
            Gaps::Black => Self::Black,
            Gaps::Hold => Self::Hold,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hash {
    /// BLAKE3: as fast as a copy; B3SUMS beside it is for b3sum -c
    Blake3,
    /// SHA-256: SHA256SUMS beside it is for sha256sum -c
    Sha256,
}

impl From<Hash> for ExportHash {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Blake3 => Self::Blake3,
            Hash::Sha256 => Self::Sha256,
        }
    }
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    if let Some(path) = args.verify {
        let path = std::path::absolute(path).map_err(CliError::io("current directory"))?;
        let wanted = ExportVerify { path, json: context.is_json() };
        let error = launch::verb("export", "verify", &wanted)?.exec();
        return Err(CliError::io("start the program of the verb")(error));
    }
    let here = Here::now();
    let wanted = wanted(context, &args, &here)?;
    // Ctrl-C is the program's, which leaves nothing half behind.
    let error = launch::verb("export", "export", &wanted)?.exec();
    Err(CliError::io("start the program of the verb")(error))
}

fn wanted(context: &Context, args: &Args, here: &Here) -> Result<Export, CliError> {
    let from = match (args.last, &args.from) {
        (Some(span), _) => here.from(&When::Ago(span)),
        (None, Some(from)) => here.from(from),
        (None, None) => here.from(&When::Now),
    };
    let from = from.map_err(CliError::When)?;
    let to = here.to(&args.to, from).map_err(CliError::When)?;
    if to <= from {
        return Err(CliError::Backwards { end: "--to", begin: "--from" });
    }
    let out = args.to_path.as_ref().map(std::path::absolute).transpose();
    let out = out.map_err(CliError::io("current directory"))?;
    let format = args.format.map_or_else(|| format_of(out.as_deref()), ExportFormat::from);
    let cut = cut(args);
    if cut == ExportCut::EditList && format != ExportFormat::Mp4 {
        return Err(CliError::NoEditList);
    }
    Ok(Export {
        name: called(&args.names),
        cameras: cameras(context, args)?,
        from,
        to,
        out,
        format,
        cut,
        gaps: args.gaps.into(),
        manifest: args.manifest,
        hash: args.hash.into(),
        sync: !args.no_sync,
        pin: args.pin.clone(),
        json: context.is_json(),
    })
}

/// Pictures that were never recorded can only be encoded.
fn cut(args: &Args) -> ExportCut {
    match args.trim {
        _ if args.exact || args.gaps != Gaps::Leave => ExportCut::Exact,
        true => ExportCut::EditList,
        false => ExportCut::KeyFrames,
    }
}

/// As the ending of the file says; folders and archives hold MP4.
fn format_of(out: Option<&Path>) -> ExportFormat {
    let ending =
        out.and_then(Path::extension).map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("mkv") => ExportFormat::Mkv,
        Some("ts") => ExportFormat::Ts,
        _ => ExportFormat::Mp4,
    }
}

/// What it is called that has no other name.
fn called(names: &[String]) -> String {
    match names {
        [name] if !name.contains('*') => name.clone(),
        _ => "export".to_owned(),
    }
}

/// Each once, in the order of the names.
fn cameras(context: &Context, args: &Args) -> Result<Vec<ExportCamera>, CliError> {
    let known: Vec<ExportCamera> =
        folders(context, args.dir.as_deref())?.into_iter().map(camera).collect();
    let mut meant: Vec<ExportCamera> = Vec::new();
    for name in groups::members(context, &args.names) {
        let of_name: Vec<&ExportCamera> =
            known.iter().filter(|camera| matches(&name, &camera.name)).collect();
        if of_name.is_empty() {
            let names: Vec<&str> = known.iter().map(|camera| camera.name.as_str()).collect();
            let (wanted, known) = (name, names.join(", "));
            return Err(CliError::NoNamed { what: "recorded camera", wanted, known });
        }
        for camera in of_name {
            if !meant.contains(camera) {
                meant.push(camera.clone());
            }
        }
    }
    Ok(meant)
}

fn camera(folder: PathBuf) -> ExportCamera {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ExportCamera { name, folder }
}
