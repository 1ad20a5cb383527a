//! The promises, each a function that runs the real thing and tells what it
//! saw. Small in the tests, at length in `framevisor-verify`.

pub mod analysis;
pub mod analysis_languages;
pub mod analysis_peers;
mod analysis_truth;
pub mod analyzers;
pub mod chain;
pub mod clean;
pub mod cost;
pub mod cycles;
pub mod deaths;
pub mod decode_cost;
pub mod detection;
pub mod drills;
pub mod errors;
pub mod evil;
pub mod exits;
pub mod export_cost;
pub mod faults;
pub mod five_commands;
pub mod hangs;
pub mod index;
pub mod ingest_cases;
pub mod ingest_lines;
pub mod kills;
pub mod many;
pub mod motion_cost;
pub mod mutated;
pub mod order;
pub mod pages;
pub mod python;
pub mod recording;
pub mod rings;
pub mod rtsp_clients;
pub mod rtsp_clips;
pub mod rtsp_crowd;
mod rtsp_floor;
pub mod rtsp_onvif;
pub mod rtsp_players;
pub mod rtsp_restream;
pub mod rtsp_sound;
pub mod rtsp_units;
pub mod scripts;
pub mod sources;
pub mod storage;
pub mod streamview;
pub mod streamview_cost;
pub mod succession;
pub mod sync;
pub mod transports;
pub mod uploading;
pub mod web_browsers;
pub mod web_crowd;
pub mod web_grid;
pub mod web_latency;
pub mod web_lists;
pub mod web_players;
pub mod web_rows;
pub mod web_site;
pub mod web_workers;

use protocol::name::{ProjectName, RingName};
use protocol::time::MonoNs;
use serde_json::{Map, Value, json};

use crate::project::{Project, free_port};
use crate::recordings::{self, Balance};
use crate::witness::Witness;
use crate::{Outcome, ensure, ffmpeg};

/// Size of the pictures of [`two_cameras`].
pub const SIZE: (usize, usize) = (320, 192);
/// Pictures a second.
pub const FPS: u64 = 25;
/// What a looped source counts to before it begins again: one minute.
pub const LOOP_PICTURES: u32 = 60 * 25;

/// A project with everything in it, and where it listens.
#[derive(Debug)]
pub struct Running {
    pub project: Project,
    pub rtsp_port: u16,
    pub web_port: u16,
}

/// Two synthetic cameras, live and looped, with every worker kind. `restart` is put into each
/// worker's section.
pub fn two_cameras(restart: &str) -> Outcome<Running> {
    let (rtsp_port, web_port) = (free_port()?, free_port()?);
    let text = format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'{restart}}}
  cam2: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=loop'{restart}}}
  cam1-decoder: {{use: decoder, in: cam1.packets{restart}}}
  cam2-decoder: {{use: decoder, in: cam2.packets{restart}}}
  motion: {{use: motion, in: cam1.frames{restart}}}
  recorder: {{use: recorder, in: [cam1.packets, cam2.packets], dir: '{{dir}}/recordings'{restart}}}
  rtsp: {{use: rtsp, in: [cam1.packets, cam2.packets], listen: '127.0.0.1:{rtsp_port}'{restart}}}
  web: {{use: web, in: [cam1.frames, cam2.frames, motion.events], listen: '127.0.0.1:{web_port}'{restart}}}
"
    );
    Ok(Running { project: Project::new(&text)?, rtsp_port, web_port })
}

/// Back-off and hold off: what kill tests need, said openly.
pub const RESTART_AT_ONCE: &str = ", restart: {delay: 0s, limit: none}";

impl Running {
    pub fn rtsp_url(&self, camera: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{camera}", self.rtsp_port)
    }

    pub fn web_url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.web_port)
    }
}

/// A camera of [`two_cameras`] and what its frame code counts to.
pub type Camera = (&'static str, Option<u32>);
pub const LIVE: Camera = ("cam1", None);
pub const LOOPED: Camera = ("cam2", Some(LOOP_PICTURES));

/// [`two_cameras`] at work, with a reader of its own on both packet rings.
#[derive(Debug)]
pub struct Watched {
    running: Running,
    witness: Witness,
}

impl Watched {
    pub fn start(restart: &str) -> Outcome<Self> {
        let running = two_cameras(restart)?;
        running.project.up()?;
        let rings = [Project::ring("cam1.packets")?, Project::ring("cam2.packets")?];
        let witness = Witness::start(running.project.name(), &rings);
        Ok(Self { running, witness })
    }

    pub fn project(&self) -> &Project {
        &self.running.project
    }

    /// Addresses of the RTSP server and the page.
    pub fn addresses(&self) -> [std::net::SocketAddr; 2] {
        [self.running.rtsp_port, self.running.web_port].map(|port| ([127, 0, 0, 1], port).into())
    }

    /// Packets seen so far.
    pub fn seen(&self) -> u64 {
        self.witness.seen()
    }

    /// The 99th percentile of what publishing took since the last call, in us.
    pub fn publish_us_p99(&self) -> f64 {
        let mut costs = self.witness.take_costs_us();
        costs.sort_by(f64::total_cmp);
        let at = (costs.len() * 99 / 100).min(costs.len().saturating_sub(1));
        costs.get(at).copied().unwrap_or(f64::INFINITY).round()
    }

    /// Stops it. Every packet that was published is in the files, and the pictures of `exact` cameras
    /// play without a hole. The files live as long as the answer.
    pub fn finish(self, exact: &[Camera]) -> Outcome<Ended> {
        let project = self.running.project;
        project.down()?;
        let balance = recordings::balance(&project.recordings(), &self.witness.finish())?;
        ensure(balance.lost == 0 && balance.captured > 0, || format!("packets lost: {balance:?}"))?;
        for (camera, modulo) in exact {
            let files = recordings::files(&project.recordings(), camera)?;
            let run = ffmpeg::run_of_files(&files, SIZE, *modulo)?;
            ensure(run.is_exact(), || format!("{camera}: the files have holes: {run:?}"))?;
        }
        Ok(Ended { balance, project })
    }
}

/// A project that has stopped and lost nothing.
#[derive(Debug)]
pub struct Ended {
    pub balance: Balance,
    pub project: Project,
}

impl Ended {
    /// Its counts, among the figures of a check.
    pub fn tell(&self, figures: &mut Map<String, Value>) {
        figures.insert("packets_captured".into(), json!(self.balance.captured));
        figures.insert("packets_lost".into(), json!(self.balance.lost));
    }
}

/// Median and worst of some times, in ms; infinite without any.
pub(crate) fn median_and_worst(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::INFINITY);
    (at(values.len() / 2), at(values.len().saturating_sub(1)))
}

/// What a ring is like now.
pub(crate) fn ring_now(project: &ProjectName, ring: &RingName) -> protocol::admin::RingStatus {
    shmring::census::status(project, ring, shmring::clock::mono())
}

#[expect(clippy::cast_precision_loss, reason = "to the us")]
pub(crate) fn ms(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1000.0
}

/// Milliseconds since then.
pub(crate) fn ms_since(start: MonoNs) -> f64 {
    shmring::clock::mono().saturating_since(start).as_secs_f64() * 1000.0
}
