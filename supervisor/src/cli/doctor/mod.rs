//! `doctor`: whether this machine can do what the topology asks, a line a check, with what to do; and
//! all that a bug report needs in one file, without secrets.

mod archive;
mod bundle;
mod machine;
mod row;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::thread;

use nix::sys::resource::Resource;
use protocol::config::ingest::Source;
use protocol::config::source_url::SourceUrl;
use protocol::config::stream_url::{Scheme, StreamUrl};
use protocol::config::{Kind, WorkerConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::memory::shared_memory;
use super::{CliError, Context, FileArg, shortage, table, terminal};
use crate::budget;
use crate::launch;
use crate::topology::{Launch, Topology, WorkerSpec};
use row::{Isolation, Row, Verdict, worst};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor doctor
  framevisor doctor -o json
  framevisor doctor --bundle report.tar.gz";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write a bug report there too: a .tar.gz without secrets; look into it before you send it
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(super) file: FileArg,
}

/// 0 all is well, 5 something may go wrong, 1 something will.
pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let topology = if context.has_files() { Some(context.topology()) } else { None };
    let rows = match &topology {
        Some(Ok(topology)) => examine(Some(topology)),
        Some(Err(error)) => {
            let (seen, cure) = ("it has mistakes", error.to_string());
            [vec![Row::fail("topology", seen, cure)], examine(None)].concat()
        }
        None => {
            let cure = "`framevisor init` writes one; rings, disks and cameras were not looked at";
            [vec![Row::warn("topology", "none here", cure)], examine(None)].concat()
        }
    };
    let report = report(&rows);
    if let Some(file) = &args.bundle {
        let topology = topology.as_ref().and_then(|read| read.as_ref().ok());
        bundle::write(context, topology, &report, file)?;
        terminal::talk(&format!("wrote {}; look into it before you send it", file.display()));
    }
    if context.is_json() {
        terminal::json(&report)?;
    } else {
        terminal::data(&page(&rows))?;
    }
    Ok(match worst(&rows) {
        Verdict::Ok => ExitCode::SUCCESS,
        Verdict::Warn => ExitCode::from(5),
        Verdict::Fail => ExitCode::FAILURE,
    })
}

fn report(rows: &[Row]) -> Value {
    json!({"version": env!("CARGO_PKG_VERSION"), "verdict": worst(rows), "checks": rows})
}

fn page(rows: &[Row]) -> String {
    let mut text = String::new();
    let width = rows.iter().map(|row| row.check.chars().count()).max().unwrap_or(0);
    for row in rows {
        let verdict = match row.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        text.push_str(&format!("{verdict}  {:width$}  {}\n", row.check, row.seen));
        for line in row.cure.lines() {
            text.push_str(&format!("      {:width$}  -> {line}\n", ""));
        }
    }
    text
}

fn examine(topology: Option<&Topology>) -> Vec<Row> {
    let workers = topology.map_or(0, |topology| topology.workers.len());
    let largest =
        topology.iter().flat_map(|topology| &topology.workers).map(|w| w.inputs.len()).max();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let needed = row::descriptors_of(count(workers), count(largest.unwrap_or(0)));
    let mut rows = vec![
        row::descriptors(needed, machine::limit(Resource::RLIMIT_NOFILE)),
        row::processes(count(workers), machine::threads_left()),
        memlock(),
        codecs(),
        row::clock(spawn::clock_state()),
        row::isolation(&Isolation {
            landlock: spawn::landlock_version(),
            seccomp: machine::has_seccomp(),
            cgroup: machine::cgroup_is_delegated(),
        }),
        row::kernel(&machine::kernel_release(), machine::has_pidfd(), machine::has_futex_waitv()),
    ];
    if let Some(topology) = topology {
        rows.insert(0, memory(topology));
        rows.extend(programs(topology));
        rows.extend(disks(topology));
        rows.extend(models(topology));
        rows.extend(cameras(topology));
    }
    rows
}

fn memory(topology: &Topology) -> Row {
    let (needed, unknown) = budget::total(topology);
    let Some(shm) = shared_memory(topology) else {
        let cure = "mount one: `mount -t tmpfs tmpfs /dev/shm`";
        return Row::fail("shared memory", "there is no /dev/shm", cure);
    };
    if let Some(shortage) = shortage::of(topology, shm) {
        return Row::fail("shared memory", "too little", shortage.to_string());
    }
    let (needed_text, free) = (table::bytes(needed), table::bytes(shm.free_bytes));
    let seen = format!("the rings take {needed_text}, /dev/shm has {free} for them");
    if unknown.is_empty() {
        return Row::ok("shared memory", seen);
    }
    let seen = format!("{seen}; {} rings tell their size only when they run", unknown.len());
    if needed > shm.free_bytes / 2 {
        return Row::warn("shared memory", seen, "look again with `framevisor rings` when it runs");
    }
    Row::ok("shared memory", seen)
}

/// Nothing is locked into memory: a small limit does no harm.
fn memlock() -> Row {
    let limit = machine::limit(Resource::RLIMIT_MEMLOCK);
    let limit = limit.map_or_else(|| "no limit".to_owned(), table::bytes);
    Row::ok("locked memory", format!("{limit}; none is needed"))
}

fn codecs() -> Row {
    match ask(Kind::Decoder, "codecs", &()) {
        Ok(found) => row::codecs(&found),
        Err(why) => Row::fail("codecs", why, "install framevisor-decoder and the system's FFmpeg"),
    }
}

/// What a worker's program answers, or what it says why not.
fn ask<T: DeserializeOwned>(
    kind: Kind,
    verb: &'static str,
    arguments: &impl Serialize,
) -> Result<T, String> {
    let command = launch::verb(kind, verb, arguments);
    let mut command = command.map_err(|error| error.to_string())?;
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// A row a model: each is loaded and run once, as its worker would.
fn models(topology: &Topology) -> Vec<Row> {
    let examine = |worker: &WorkerSpec| {
        let Launch::Use(WorkerConfig::Detect(config)) = &worker.launch else { return None };
        let found = ask(Kind::Detect, "examine", config.as_ref());
        Some(row::model(worker.name.as_str(), found.as_ref()))
    };
    topology.workers.iter().filter_map(examine).collect()
}

fn programs(topology: &Topology) -> Option<Row> {
    let missing = launch::Launcher::find(topology).err()?;
    let cure = "install all of framevisor's programs, or name their folder in FRAMEVISOR_LIBEXEC";
    Some(Row::fail("programs", missing.to_string(), cure))
}

/// A row a folder: two on the same disk share it, which nobody can tell from here.
fn disks(topology: &Topology) -> Vec<Row> {
    let mut folders: BTreeMap<&Path, u64> = BTreeMap::new();
    for worker in &topology.workers {
        if let Launch::Use(WorkerConfig::Recorder(recorder)) = &worker.launch {
            *folders.entry(&recorder.dir).or_default() += recorded_bits(topology, worker);
        }
    }
    let judge = |(dir, bits): (&Path, u64)| {
        let name = dir.display().to_string();
        match machine::write_rate(dir) {
            Ok(rate) => row::disk(&name, rate, bits),
            Err(error) => {
                let cure =
                    "make it writable for the user who runs the project, or record elsewhere";
                Row::fail(format!("disk {name}"), format!("cannot be written: {error}"), cure)
            }
        }
    };
    folders.into_iter().map(judge).collect()
}

fn recorded_bits(topology: &Topology, recorder: &WorkerSpec) -> u64 {
    let rings = recorder.recorded().filter_map(|ring| topology.ring(ring));
    rings.map(|ring| ring.config.max_bitrate.0).sum()
}

/// All at once: many that are down are waited for as long as one.
fn cameras(topology: &Topology) -> Vec<Row> {
    let urls = topology.workers.iter().filter_map(|worker| match &worker.launch {
        Launch::Use(WorkerConfig::Ingest(ingest)) => match &ingest.source {
            Source::Rtsp(url) => Some((worker.name.to_string(), url.clone())),
            Source::Stream(stream) if connects(stream) => {
                Some((worker.name.to_string(), stream.url().clone()))
            }
            Source::Device(_)
            | Source::File(_)
            | Source::Publisher(_)
            | Source::Stream(_)
            | Source::Test(_) => None,
        },
        _ => None,
    });
    let asked: Vec<_> =
        urls.map(|(name, url)| thread::spawn(move || camera(&name, &url))).collect();
    asked.into_iter().filter_map(|camera| camera.join().ok()).collect()
}

/// Whether a TCP connection tells if somebody is there.
fn connects(stream: &StreamUrl) -> bool {
    !stream.listens() && !matches!(stream.scheme(), Scheme::Srt | Scheme::Udp)
}

fn camera(name: &str, url: &SourceUrl) -> Row {
    let (check, address) = (format!("camera {name}"), address(url.url()));
    // What came as a credential is called by its name.
    let shown = url.to_string();
    let shown = if shown.contains("${") { &shown } else { &address };
    match machine::connect(&address) {
        Ok(took) => Row::ok(check, format!("{shown} answers after {}", table::short(took))),
        Err(why) => {
            let cure = "is it on, and does its network reach this machine?";
            Row::fail(check, format!("{shown}: {why}"), cure)
        }
    }
}

/// `HOST:PORT` of a URL, with the port of its scheme where it says none.
fn address(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let usual = match scheme {
        "http" => 80,
        "https" | "rtmps" => 443,
        "rtmp" => 1935,
        _ => 554,
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => format!("{name}:{port}"),
        _ => format!("{host}:{usual}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cameras_address_is_that_of_its_url() {
        assert_eq!(address("rtsp://10.0.0.5/main"), "10.0.0.5:554");
        assert_eq!(address("rtsp://a:b@10.0.0.5:1/main?x=@"), "10.0.0.5:1");
        assert_eq!(address("rtsp://cam.example:8554"), "cam.example:8554");
        assert_eq!(address("rtsp://[::1]/x?y"), "[::1]:554");
        assert_eq!(address("rtsp://[::1]:8554/x"), "[::1]:8554");
        assert_eq!(address("https://a:b@cam.example/x"), "cam.example:443");
        assert_eq!(address("rtmp://10.0.0.5/live/door"), "10.0.0.5:1935");
    }
}
