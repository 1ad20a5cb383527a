//! What an export costs, beside `cp` of the same files.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use fmp4::{Fragment, Movie, Muxer, OriginFlags, Sample};
use protocol::stream::{Codec, Track};
use protocol::time::{NS_PER_S, TimeBase, UtcNs};
use recordings::FileName;
use serde_json::{Value, json};
use shmring::clock;

use super::{median_and_worst, ms_since};
use crate::project::Project;
use crate::{Failure, Outcome, ensure};

/// Rounds of each way.
const ROUNDS: usize = 7;
const PICTURES_A_SECOND: u64 = 25;
/// Of 2 Mbit/s.
const PICTURE_BYTES: usize = 10_000;
/// As the recorder cuts by default.
const FILE_SECONDS: u64 = 60;
/// Parameter sets of x264, High, 640x480.
const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68, 0xeb,
    0xe3, 0xcb, 0x22, 0xc0,
];

/// Makes recordings of `cameras` of 2 Mbit/s and so long, in fragments and files as the recorder makes them, then
/// copies and exports all of it in turn. The speed is that of the copy in time over that of the export: 0.5
/// takes twice as long. A copy is done when the kernel has it: beside it stands `export --no-sync`, which is, too; an
/// export as it is by default is on the disk, and so beside a copy and a sync. What the hashes take is told as well.
pub fn beside_cp(cameras: usize, seconds: u64) -> Outcome<Value> {
    let project = recorded(cameras, seconds)?;
    let (recordings, to) = (project.recordings(), project.dir().join("to"));
    let bytes = bytes_below(&recordings)?;
    let copy = || run(Command::new("cp").arg("-r").arg(&recordings).arg(&to));
    let and_sync = || copy().and_then(|()| run(Command::new("sync").args(files_below(&to)?)));
    let export = |options: &[&str]| exported(&project, &to, cameras, bytes, options);
    // Both read what the first one brought into memory.
    timed(&to, copy)?;
    let (mut copies, mut synced) = (Vec::new(), Vec::new());
    let (mut exports, mut exports_synced, mut by_sha256) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        copies.push(timed(&to, copy)?);
        synced.push(timed(&to, and_sync)?);
        exports.push(timed(&to, || export(&["--no-sync"]))?);
        exports_synced.push(timed(&to, || export(&[]))?);
        by_sha256.push(timed(&to, || export(&["--no-sync", "--hash", "sha256"]))?);
    }
    let speed = |copies: &[f64], exports: &[f64]| {
        median(copies.iter().zip(exports).map(|(copy, export)| copy / export).collect())
    };
    // The same against itself, a turn later: what a ratio means here.
    let itself = copies.windows(2).map(|pair| pair[1] / pair[0]);
    let (least, most) = itself
        .fold((f64::INFINITY, 0.0_f64), |(least, most), ratio| (least.min(ratio), most.max(ratio)));
    Ok(json!({
        "cameras": cameras,
        "seconds": seconds,
        "bytes": bytes,
        "rounds": ROUNDS,
        "processors": thread::available_parallelism().map_or(1, usize::from),
        "cp_ms": median(copies.clone()),
        "cp_and_sync_ms": median(synced.clone()),
        "export_ms": median(exports_synced.clone()),
        "export_no_sync_ms": median(exports.clone()),
        "export_no_sync_sha256_ms": median(by_sha256.clone()),
        "speed_of_cp": speed(&copies, &exports),
        "speed_of_cp_and_sync": speed(&synced, &exports_synced),
        "speed_of_cp_sha256": speed(&copies, &by_sha256),
        "cp_against_itself": [round(least), round(most)],
    }))
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    round(median_and_worst(&mut values).0)
}

/// A project whose recorder has recorded that, as far as its files tell.
fn recorded(cameras: usize, seconds: u64) -> Outcome<Project> {
    let names: Vec<String> = (1..=cameras).map(|number| format!("cam{number:02}")).collect();
    let mut text = "version: 1\nworkers:\n".to_owned();
    for name in &names {
        // Writing to a text never fails.
        let _ = writeln!(text, "  {name}: {{use: ingest, source: 'test:'}}");
    }
    let rings: Vec<String> = names.iter().map(|name| format!("{name}.packets")).collect();
    let rings = rings.join(", ");
    let _ =
        writeln!(text, "  recorder: {{use: recorder, in: [{rings}], dir: '{{dir}}/recordings'}}");
    let project = Project::new(&text)?;
    let begin = UtcNs(clock::now().utc.0.saturating_sub((seconds + 60) * NS_PER_S));
    for (name, seed) in names.iter().zip(1..) {
        let folder = project.recordings().join(name);
        fs::create_dir_all(&folder).map_err(Failure::new)?;
        Camera { name, seed, begin }.record(&folder, seconds)?;
    }
    Ok(project)
}

/// One that sends a key frame a second, of bytes that are different each time.
struct Camera<'a> {
    name: &'a str,
    seed: u64,
    begin: UtcNs,
}

impl Camera<'_> {
    fn record(mut self, folder: &Path, seconds: u64) -> Outcome<()> {
        let from = (0..seconds).step_by(usize::try_from(FILE_SECONDS).unwrap_or(1));
        for (from, number) in from.zip(1..) {
            let capture = UtcNs(self.begin.0 + from * NS_PER_S);
            let name = FileName { capture, number }.to_string();
            let file = File::create_new(folder.join(name)).map_err(Failure::new)?;
            let mut file = BufWriter::with_capacity(1 << 20, file);
            let (movie, _) = Movie::new(&[track()]);
            let mut muxer = None;
            for second in from..seconds.min(from + FILE_SECONDS) {
                let fragment = self.second(second)?;
                let is_first = muxer.is_none();
                let muxer = muxer.get_or_insert_with(|| Muxer::new(movie.clone(), &fragment));
                if is_first {
                    let init = muxer.init_segment().map_err(Failure::new)?;
                    file.write_all(&init).map_err(Failure::new)?;
                }
                let bytes = muxer.write(&fragment, None).map_err(Failure::new)?;
                file.write_all(&bytes).map_err(Failure::new)?;
            }
            file.flush().map_err(Failure::new)?;
        }
        Ok(())
    }

    fn second(&mut self, second: u64) -> Outcome<Fragment> {
        let ring = format!("{}.packets", self.name).parse().map_err(Failure::new)?;
        let capture = UtcNs(self.begin.0 + second * NS_PER_S);
        let first = second * PICTURES_A_SECOND + 1;
        let mut fragment = Fragment::new(&ring, 1, first, capture, OriginFlags::default());
        for picture in 0..PICTURES_A_SECOND {
            let at = second * NS_PER_S + picture * NS_PER_S / PICTURES_A_SECOND;
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            let key = picture == 0;
            let duration_ns = i64::try_from(NS_PER_S / PICTURES_A_SECOND).unwrap_or(0);
            let payload = self.picture(key);
            fragment.push(Sample { track: 0, key, pts_ns: at, dts_ns: at, duration_ns, payload });
        }
        Ok(fragment)
    }

    /// A slice of bytes that hold no start code: none of them is zero.
    fn picture(&mut self, key: bool) -> Vec<u8> {
        let mut payload = vec![0, 0, 0, 1, if key { 0x65 } else { 0x41 }];
        while payload.len() < PICTURE_BYTES {
            // xorshift64: one seed, one recording.
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
            payload.extend(self.seed.to_le_bytes().map(|byte| byte.max(1)));
        }
        payload
    }
}

fn track() -> Track {
    Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: 640,
        height: 480,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: SETS.to_vec(),
    }
}

/// Everything, as a folder with manifest and page.
fn exported(
    project: &Project,
    to: &Path,
    cameras: usize,
    bytes: u64,
    options: &[&str],
) -> Outcome<()> {
    let folder = to.display().to_string();
    project.succeed(&[&["export", "cam*", "--last", "24h", "-o", &folder], options].concat())?;
    let manifest = fs::read(to.join("manifest.json")).map_err(Failure::new)?;
    let manifest: Value = serde_json::from_slice(&manifest).map_err(Failure::new)?;
    let told = manifest["cameras"].as_array().map_or(0, Vec::len);
    ensure(told == cameras, || format!("{told} cameras in the manifest, {cameras} recorded"))?;
    let exported = bytes_below(to)?;
    ensure(exported * 100 >= bytes * 99, || format!("{exported} bytes exported of {bytes}"))
}

/// In ms; what was made is removed.
fn timed(made: &Path, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let start = clock::mono();
    work()?;
    let took = ms_since(start);
    fs::remove_dir_all(made).map_err(Failure::new)?;
    Ok(took)
}

fn run(command: &mut Command) -> Outcome<()> {
    let status = command.status().map_err(Failure::new)?;
    ensure(status.success(), || format!("{command:?}: {status}"))
}

fn files_below(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Failure::new)? {
        let path = entry.map_err(Failure::new)?.path();
        match path.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

fn bytes_below(folder: &Path) -> Outcome<u64> {
    let files = files_below(folder)?;
    let bytes = files.iter().map(|file| fs::metadata(file).map(|facts| facts.len()));
    bytes.sum::<std::io::Result<u64>>().map_err(Failure::new)
}
