//! Verbs of the command that live in a worker's program, because that has what they need: a codec,
//! a muxer. The command runs `framevisor-<kind> <verb> <arguments>`, git style; the arguments are
//! one of these types as JSON. `dump` answers with one line of JSON on stdout, its [`Dumped`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::ingest::Transport;
use crate::control;
use crate::name::{ProjectName, RingName};
use crate::stream::Codec;
use crate::time::UtcNs;
use crate::units::{BitRate, Size, Span};

/// Exit code of a wrong command line, as everywhere.
pub const USAGE: u8 = 2;
/// Exit code when there is no such ring.
pub const NOT_RUNNING: u8 = 4;
/// Exit code when nothing came in time.
pub const TIMEOUT: u8 = 6;

/// Arguments of `tap`: the newest picture of a ring, once or again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tap {
    pub project: ProjectName,
    pub ring: RingName,
    pub to: TapTo,
    /// From one picture to the next; `None` is what suits `to`.
    pub every: Option<Span>,
    /// Ends after so many; `None` is one PNG without `every`, else until it is interrupted.
    pub frames: Option<u64>,
}

/// Where pictures go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TapTo {
    /// A file, written over whole by each picture.
    Png(PathBuf),
    /// The terminal on stdout.
    Term,
}

/// Arguments of `dump`: the last of what a ring still holds, into a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dump {
    pub project: ProjectName,
    pub ring: RingName,
    /// Before the newest item.
    pub last: Span,
    /// Its ending says what is written.
    pub file: PathBuf,
    /// Write over what is there.
    pub force: bool,
}

/// Arguments of `keep`: one thing of a ring as files, for whoever wants to know why a worker died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    pub project: ProjectName,
    pub ring: RingName,
    pub what: KeepWhat,
    /// Where to; nothing there is written over.
    pub folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepWhat {
    /// The packet behind its group of pictures, or the picture, and a `.json` that describes it.
    Item(control::ItemId),
    /// The newest picture as PNG, decoded if the ring is of packets.
    Picture,
}

/// Answer of `keep`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Names in the folder.
    pub files: Vec<PathBuf>,
    pub epoch: u64,
    pub sequence: u64,
    pub captured_utc_ns: UtcNs,
}

/// Answer of `codecs`, which takes no arguments: what the system's FFmpeg can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codecs {
    /// Its name and version.
    pub library: String,
    /// Video codecs of the rings that it decodes.
    pub decoders: Vec<String>,
    /// What `use: encoder` can make by the processor.
    pub encoders: Vec<String>,
    /// What framevisor could use and is not there.
    pub missing: Vec<String>,
}

/// Answer of `examine`, whose arguments are the section of a detector: what runs its model on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExaminedModel {
    /// The engine and what it computes with.
    pub by: String,
    /// Why that is not what the section asks for.
    pub fell_back: Option<String>,
    /// What its output means, as `form` of the section says it.
    pub form: String,
    /// Of its input.
    pub size: Size,
    /// Names of its classes; empty where nobody has given them any.
    pub labels: Vec<String>,
}

/// What `dump` wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dumped {
    pub ring: RingName,
    /// One, or more when what follows a hole or a restart cannot be in the same.
    pub files: Vec<DumpedFile>,
    /// Holes in what was written, oldest first.
    pub gaps: Vec<Gap>,
    /// What is not in the files, and why; empty when all is.
    pub left_out: String,
}

/// One file, from its first item to its last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpedFile {
    pub file: PathBuf,
    pub bytes: u64,
    pub items: u64,
    /// Epoch of the first item.
    pub epoch: u64,
    pub first: u64,
    /// Of the last item's epoch, which is another when the writer was restarted in between.
    pub last: u64,
    /// When the first and last item were captured.
    pub from_utc_ns: UtcNs,
    pub to_utc_ns: UtcNs,
    /// From the first item's publication to the last one's.
    pub span_ns: u64,
}

/// A place where items are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The item before it.
    pub epoch: u64,
    pub sequence: u64,
    /// Items that were published and are gone; 0 where the writer was restarted.
    pub missing: u64,
}

/// Arguments of `recordings`: what lies in the directories of recorders, and what becomes of it. `List`
/// and `Verify` answer with a [`Recording`] for each file, the others with those they changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recordings {
    /// Directories of cameras; one that is not there holds nothing.
    pub folders: Vec<PathBuf>,
    pub work: RecordingsWork,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingsWork {
    /// By their headers.
    List,
    /// By their every byte.
    Verify,
    /// They stay, whatever retention wants. The text says why, for people.
    Pin {
        files: Vec<PathBuf>,
        why: String,
    },
    Unpin {
        files: Vec<PathBuf>,
    },
    Remove {
        files: Vec<PathBuf>,
    },
    /// Cuts off what is not whole at the end of files that nobody writes.
    Repair,
}

/// Arguments of `export`: what was recorded of cameras over a time, as files for others. It tells its
/// progress on stderr and its result on stdout, and ends with the exit code of the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The camera or group, after which files are named that have no other name.
    pub name: String,
    pub cameras: Vec<ExportCamera>,
    pub from: UtcNs,
    /// Behind `from`.
    pub to: UtcNs,
    /// A file, a folder, or a file that ends in `.zip`; `None` is one in the working directory.
    pub out: Option<PathBuf>,
    pub format: ExportFormat,
    /// Where it begins and ends.
    pub cut: ExportCut,
    /// What is shown where nothing was recorded.
    pub gaps: ExportGaps,
    /// A folder with a manifest, also for one camera.
    pub manifest: bool,
    /// What its files are told by.
    pub hash: ExportHash,
    /// Whether it is on the disk when it is done; without, when the kernel gets to it.
    pub sync: bool,
    /// Why the recordings that it is made of stay from now on; retention may have them without.
    pub pin: Option<String>,
    /// Tell the result as JSON.
    pub json: bool,
}

/// A camera that an [`Export`] is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportCamera {
    pub name: String,
    /// Where its recordings are; one that is not there holds nothing.
    pub folder: PathBuf,
}

/// Containers of an [`Export`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Fragmented MP4, as recorded.
    Mp4,
    /// Matroska.
    Mkv,
    /// MPEG transport stream.
    Ts,
}

impl ExportFormat {
    /// The ending of file names.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mkv => "mkv",
            Self::Ts => "ts",
        }
    }
}

/// Where an [`Export`] begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportCut {
    /// From the key frame before `from` to the end of the fragment with `to`, as recorded.
    #[default]
    KeyFrames,
    /// The same pictures, as recorded, in a plain MP4 file whose edit list shows those asked for.
    EditList,
    /// From exactly `from` to exactly `to`, encoded anew.
    Exact,
}

/// What an [`Export`] shows where nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportGaps {
    /// Nothing: the file has a hole of that length.
    #[default]
    Leave,
    /// Black pictures. Only with [`ExportCut::Exact`], as the next one.
    Black,
    /// The last picture before it.
    Hold,
}

/// What the files of an [`Export`] are told by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportHash {
    /// BLAKE3, 256 bits.
    #[default]
    Blake3,
    Sha256,
}

impl ExportHash {
    pub const ALL: [Self; 2] = [Self::Blake3, Self::Sha256];

    /// As in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
        }
    }

    /// The file beside a manifest that `b3sum -c` and `sha256sum -c` take.
    pub fn sums_file(self) -> &'static str {
        match self {
            Self::Blake3 => "B3SUMS",
            Self::Sha256 => "SHA256SUMS",
        }
    }
}

/// Arguments of `verify` of the export program: whether an export is what it was when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportVerify {
    /// A folder with a manifest, or such a `.zip`.
    pub path: PathBuf,
    /// Tell the result as JSON.
    pub json: bool,
}

/// Arguments of `probe`: what a source is. The source itself comes on stdin, as the text that a topology has,
/// because a command line is seen by everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Of RTSP; `None` tries one after the other.
    pub transport: Option<Transport>,
    /// Longest time for all of it.
    pub within: Span,
}

/// Answer of `probe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Without what nobody may see of it.
    pub source: String,
    /// How RTSP's packets came; `None` of other sources.
    pub transport: Option<Transport>,
    /// From the first try to the first picture.
    pub connected_ns: u64,
    /// How much of it was looked at.
    pub watched_ns: u64,
    pub tracks: Vec<ProbedTrack>,
    /// How much the camera's clock is ahead of this machine's, by its sender reports; negative: behind. As
    /// far as packets are under way they make it look behind.
    pub clock_ahead_ns: Option<i64>,
    /// What may surprise whoever uses it, and what to do.
    pub warnings: Vec<String>,
    /// Lines of a topology; a password is a variable's name in it.
    pub topology: String,
}

/// One track of what was probed; what is not its kind's is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbedTrack {
    pub codec: Codec,
    pub profile: Option<String>,
    pub size: Option<Size>,
    pub sample_rate_hz: Option<u32>,
    pub channels: Option<u32>,
    /// Pictures a second, as the stream says it.
    pub declared_rate: Option<f64>,
    /// The same as it was measured.
    pub rate: Option<f64>,
    /// From key frame to key frame, as it was measured.
    pub key_every_ns: Option<u64>,
    pub units: u64,
    pub bit_rate: BitRate,
}

/// Arguments of `discover`: which ONVIF cameras there are. User and password come on stdin, a line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discover {
    /// Addresses of this machine, on whose networks everybody is asked; of all of them when it is empty.
    pub on: Vec<Ipv4Addr>,
    /// Who is asked alone, instead of everybody.
    pub to: Vec<SocketAddr>,
    /// How long answers are waited for.
    pub within: Span,
    /// There are two lines on stdin.
    pub has_login: bool,
}

/// Answer of `discover`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Discovered {
    /// By their addresses.
    pub devices: Vec<DiscoveredDevice>,
    /// Lines of a topology for those that told their streams.
    pub topology: String,
}

/// Somebody who answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiscoveredDevice {
    /// Its own name, which stays when its address changes.
    pub endpoint: String,
    pub from: IpAddr,
    /// Where its service is.
    pub service: String,
    pub name: Option<String>,
    pub hardware: Option<String>,
    pub location: Option<String>,
    pub profiles: Vec<DiscoveredProfile>,
    /// Why it has told no streams.
    pub problem: Option<String>,
}

/// A stream of a camera, as it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiscoveredProfile {
    pub name: String,
    pub codec: Option<String>,
    pub size: Option<Size>,
    /// Pictures a second, at most.
    pub rate: Option<u32>,
    pub bit_rate: Option<BitRate>,
    /// Without user and password.
    pub url: Option<String>,
}

/// A recorded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Name of its directory.
    pub camera: String,
    pub file: PathBuf,
    /// Counts up for each camera, and is never used again.
    pub number: u64,
    /// When its first packet was captured; `None` when nothing of the file is whole.
    pub from_utc_ns: Option<UtcNs>,
    /// The end of its last picture or sound.
    pub to_utc_ns: Option<UtcNs>,
    /// Packets of the ring that are in it.
    pub packets: u64,
    pub bytes: u64,
    /// Packets of the ring that no file holds, before this one and inside it.
    pub missing: u64,
    /// The source was interrupted before it or inside it; what it sent meanwhile is unknown.
    pub interrupted: bool,
    /// What lies before it, or inside it, was not to be recorded.
    #[serde(default)]
    pub paused: bool,
    /// Why it stays, when it is pinned.
    pub pinned: Option<String>,
    /// Where else it is, as it lies here.
    pub uploaded: Vec<String>,
    /// What is not whole; of the file being written that is its end.
    pub damage: Option<String>,
    /// A recorder writes it now.
    pub open: bool,
}

/// Arguments of `replayable`: what of these cameras was recorded between two moments. Answered with a
/// [`ReplayableTape`] for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replayable {
    /// Directories of cameras; one that is not there holds nothing.
    pub folders: Vec<PathBuf>,
    pub from: UtcNs,
    pub to: UtcNs,
}

/// What a replay of one camera would play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayableTape {
    pub folder: PathBuf,
    /// The ring that was recorded; `None` when nothing was.
    pub ring: Option<RingName>,
    /// When the first packet was captured: of the key frame before the wanted begin.
    pub from: UtcNs,
    pub to: UtcNs,
    /// About so many: of all fragments that the range touches.
    pub packets: u64,
    pub gaps: u64,
}

/// An item of a ring, by what a range of them is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemId {
    pub epoch: u64,
    pub sequence: u64,
}

/// The holes between items that lie one behind the other.
pub fn gaps(items: impl IntoIterator<Item = ItemId>) -> Vec<Gap> {
    let mut found = Vec::new();
    let mut before: Option<ItemId> = None;
    for item in items {
        if let Some(ItemId { epoch, sequence }) = before.replace(item) {
            let missing = item.sequence.saturating_sub(sequence + 1);
            if item.epoch != epoch {
                found.push(Gap { epoch, sequence, missing: 0 });
            } else if missing > 0 {
                found.push(Gap { epoch, sequence, missing });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_told_with_its_size_and_a_restart_without() {
        let items = [(1, 7), (1, 8), (1, 11), (2, 1), (2, 2)];
        let items = items.map(|(epoch, sequence)| ItemId { epoch, sequence });
        let hole = Gap { epoch: 1, sequence: 8, missing: 2 };
        let restart = Gap { epoch: 1, sequence: 11, missing: 0 };
        assert_eq!(gaps(items), [hole, restart]);
        assert_eq!(gaps([]), []);
    }

    #[test]
    fn arguments_are_json_and_an_unknown_one_is_refused() {
        let text =
            r#"{"project":"yard","ring":"cam1.packets","last":"10s","file":"a.mp4","force":false}"#;
        let dump: Dump = serde_json::from_str(text).unwrap();
        assert_eq!(dump.last, Span::from_millis(10_000));
        assert_eq!(serde_json::to_string(&dump).unwrap(), text);
        let unknown = text.replace("force", "forse");
        assert!(serde_json::from_str::<Dump>(&unknown).is_err());
    }
}
