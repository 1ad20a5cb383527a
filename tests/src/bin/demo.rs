//! `scripts/demo`: the whole system on synthetic cameras, a file or an RTSP camera.
//!
//! People read stderr; stdout gets one JSON object at the end.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to people")]

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use protocol::admin::WorkerStatus;
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::time::MonoNs;
use serde_json::json;
use shmring::{census, clock};
use signal_hook::consts::{SIGINT, SIGTERM};
use tests::project::{binary, source_root};
use tests::recordings::{self, Balance};
use tests::tally::Tally;
use tests::witness::Witness;
use tests::{Failure, Outcome};

/// Runs two synthetic cameras with decoding, motion, recording, RTSP and a web page.
#[derive(Debug, Parser)]
#[command(name = "scripts/demo")]
struct Options {
    /// Stop after so many seconds; without it, on Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
    /// A file (looped) or an rtsp:// URL instead of the synthetic cameras.
    #[arg(long)]
    source: Option<String>,
    /// Where recordings go.
    #[arg(long, default_value = "recordings")]
    recordings: PathBuf,
    /// Address of the RTSP server.
    #[arg(long, default_value = "127.0.0.1:8554")]
    rtsp: String,
    /// Address of the web page.
    #[arg(long, default_value = "127.0.0.1:8080")]
    web: String,
    /// Install what is missing without asking (read by scripts/demo).
    #[arg(long)]
    yes: bool,
}

fn main() -> ExitCode {
    match Options::try_parse() {
        Err(usage) => {
            let _ = usage.print();
            ExitCode::from(if usage.use_stderr() { 2 } else { 0 })
        }
        Ok(options) => match demo(&options) {
            Ok(code) => code,
            Err(failure) => {
                eprintln!("demo: {failure}");
                ExitCode::FAILURE
            }
        },
    }
}

fn demo(options: &Options) -> Outcome<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::new)?;
    }
    let system = System::prepare(options)?;
    system.start()?;
    system.print_links();
    let witness = Witness::start(&system.project, &system.packet_rings());
    let tally = Tally::start(&system.project);
    let start = clock::mono();
    let until = options.seconds.map(|seconds| start + Duration::from_secs(seconds));
    let watched = system.watch(&stop, start, until, &witness, &tally);
    let worker_restarts = system.restarts();
    // Whatever happened meanwhile, end it in order.
    system.framevisor(&["down"])?;
    watched?;
    let seconds = clock::mono().saturating_since(start).as_secs_f64();
    let balance = recordings::balance(&system.recordings, &witness.finish())?;
    let figures = Figures {
        frames_decoded: tally.items(RingKind::Frames),
        motion_events: tally.items(RingKind::Events),
        worker_restarts: worker_restarts?,
    };
    print_summary(seconds, &balance, &figures);
    Ok(if balance.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The running demo.
struct System {
    project: ProjectName,
    topology: PathBuf,
    /// Holds the topology written for `--source`; removed at the end.
    own_folder: Option<PathBuf>,
    recordings: PathBuf,
    rtsp: String,
    web: String,
}

struct Figures {
    frames_decoded: u64,
    motion_events: u64,
    worker_restarts: u64,
}

impl System {
    fn prepare(options: &Options) -> Outcome<Self> {
        std::fs::create_dir_all(&options.recordings)
            .map_err(|error| Failure(format!("{}: {error}", options.recordings.display())))?;
        let recordings = options.recordings.canonicalize().map_err(Failure::new)?;
        let own_folder = options.source.as_deref().map(write_topology).transpose()?;
        let topology = match &own_folder {
            None => source_root().join("scripts/topologies/demo.yml"),
            Some(folder) => folder.join("framevisor.yml"),
        };
        let project = "demo".parse().map_err(Failure::new)?;
        Ok(Self {
            project,
            topology,
            own_folder,
            recordings,
            rtsp: options.rtsp.clone(),
            web: options.web.clone(),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("framevisor"));
        command
            .arg("-f")
            .arg(&self.topology)
            .args(["-p", self.project.as_str()])
            .args(arguments)
            .env("FRAMEVISOR_RECORDINGS", &self.recordings)
            .env("FRAMEVISOR_RTSP", &self.rtsp)
            .env("FRAMEVISOR_WEB", &self.web);
        command
    }

    /// Starts it. What runs without flowing (a source that cannot be read) is ended again: the
    /// command has said why, and nobody would stop it. A project that ran before is not ours.
    fn start(&self) -> Outcome<()> {
        let ours = self.workers().is_err();
        self.framevisor(&["up", "-d", "--wait", "--timeout", "60s"]).inspect_err(|_| {
            if ours && self.workers().is_ok() {
                // The first failure is the one to tell.
                let _ = self.framevisor(&["down"]);
            }
        })
    }

    /// Runs a verb that must exit 0; it speaks for itself on stderr.
    fn framevisor(&self, arguments: &[&str]) -> Outcome<()> {
        let status =
            self.command(arguments).stdout(Stdio::null()).status().map_err(Failure::new)?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure(format!("framevisor {}: {status}", arguments.join(" "))))
        }
    }

    fn workers(&self) -> Outcome<Vec<WorkerStatus>> {
        let output = self.command(&["ps", "-o", "json"]).output().map_err(Failure::new)?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure(format!("framevisor ps: {error}")))
    }

    fn packet_rings(&self) -> Vec<RingName> {
        census::names(&self.project)
            .into_iter()
            .filter(|ring| ring.kind() == RingKind::Packets)
            .collect()
    }

    fn print_links(&self) {
        eprintln!("\n  page        http://{}/", self.web);
        for ring in self.packet_rings() {
            eprintln!("  {:<10}  rtsp://{}/{}", ring.camera(), self.rtsp, ring.camera());
        }
        eprintln!("  recordings  {}", self.recordings.display());
        eprintln!("  try         framevisor -p {0} ps      framevisor -p {0} rings", self.project);
        eprintln!("  stop        Ctrl-C\n");
    }

    /// Shows one line a second until it is time to stop.
    fn watch(
        &self,
        stop: &AtomicBool,
        start: MonoNs,
        until: Option<MonoNs>,
        witness: &Witness,
        tally: &Tally,
    ) -> Outcome<()> {
        loop {
            let now = clock::mono();
            if stop.load(Ordering::Relaxed) || until.is_some_and(|until| now >= until) {
                eprintln!();
                return Ok(());
            }
            let restarts = self.restarts()?;
            eprint!(
                "\r  {:4.0} s   {} packets   {} frames   {} motion events   {} restarts   ",
                now.saturating_since(start).as_secs_f64(),
                witness.seen(),
                tally.items(RingKind::Frames),
                tally.items(RingKind::Events),
                restarts,
            );
            let next = now + Duration::from_secs(1);
            while clock::mono() < until.map_or(next, |until| until.min(next))
                && !stop.load(Ordering::Relaxed)
            {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn restarts(&self) -> Outcome<u64> {
        Ok(self.workers()?.iter().map(|worker| worker.restarts).sum())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(folder) = &self.own_folder {
            // Left over in the temp folder at worst.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// One camera from a file or URL, with everything the synthetic ones have, in a folder of its own.
fn write_topology(source: &str) -> Outcome<PathBuf> {
    let source = match source.contains("://") {
        true => source.to_owned(),
        false => std::fs::canonicalize(source)
            .map_err(|error| Failure(format!("--source {source}: {error}")))?
            .display()
            .to_string(),
    };
    let text = format!(
        "version: 1
project: demo
workers:
  cam1: {{use: ingest, source: {}}}
  cam1-decoder: {{use: decoder, in: cam1.packets}}
  motion: {{use: motion, in: cam1.frames}}
  recorder: {{use: recorder, in: cam1.packets, dir: '${{FRAMEVISOR_RECORDINGS}}'}}
  rtsp: {{use: rtsp, in: cam1.packets, listen: '${{FRAMEVISOR_RTSP}}'}}
  web: {{use: web, in: [cam1.frames, motion.events], listen: '${{FRAMEVISOR_WEB}}'}}
",
        json!(source)
    );
    let folder = std::env::temp_dir().join(format!("framevisor-demo-{}", std::process::id()));
    // The source may hold a camera's password: the owner's alone, and made here, not found.
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|error| Failure(format!("{}: {error}", folder.display())))?;
    let file = folder.join("framevisor.yml");
    std::fs::write(&file, text).map_err(Failure::new)?;
    Ok(folder)
}

fn print_summary(seconds: f64, balance: &Balance, figures: &Figures) {
    eprintln!("  captured    {} packets", balance.captured);
    eprintln!("  recorded    {} packets, {} lost", balance.recorded, balance.lost);
    eprintln!("  decoded     {} frames", figures.frames_decoded);
    eprintln!("  motion      {} events", figures.motion_events);
    eprintln!("  restarts    {}", figures.worker_restarts);
    let summary = json!({
        "seconds": (seconds * 10.0).round() / 10.0,
        "packets_captured": balance.captured,
        "packets_recorded": balance.recorded,
        "packets_lost": balance.lost,
        "frames_decoded": figures.frames_decoded,
        "motion_events": figures.motion_events,
        "worker_restarts": figures.worker_restarts,
    });
    println!("{summary}");
}
