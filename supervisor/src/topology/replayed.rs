//! The same topology on what was recorded: who brought in the cameras gives way to replays, and nothing
//! that happens then reaches the outside. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use protocol::config::replay::{Speed, Utc};
use protocol::config::{ReplayConfig, WorkerConfig};
use protocol::name::{RingKind, RingName, WorkerName};
use protocol::units::Span;
use serde::{Deserialize, Serialize};

use super::rehearsal::{free, free_web};
use super::{Launch, Survival, Topology, WorkerSpec, meant};

/// What is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Playing {
    /// Packet rings, and what was recorded of them.
    pub(crate) tapes: BTreeMap<RingName, PathBuf>,
    pub(crate) since: Option<Utc>,
    pub(crate) until: Option<Utc>,
    pub(crate) speed: Speed,
    pub(crate) pause: Span,
}

impl Topology {
    /// Packet rings that recorders of this topology write, and where.
    pub(crate) fn recorded(&self) -> BTreeMap<RingName, PathBuf> {
        let mut all = BTreeMap::new();
        for worker in &self.workers {
            let Launch::Use(WorkerConfig::Recorder(recorder)) = &worker.launch else { continue };
            for ring in worker.recorded() {
                all.entry(ring.clone()).or_insert_with(|| recorder.dir.join(ring.owner()));
            }
        }
        all
    }

    /// Rings that something outside comes in by.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &RingName> {
        let workers = self.workers.iter().filter(|worker| is_source(worker));
        workers.filter_map(|worker| worker.output.as_ref())
    }

    /// The writers of these rings become replays that wait for a word to begin; other cameras, recorders,
    /// hooks, who sends to servers elsewhere, and whoever then has nothing to read are left out; servers listen
    /// on free ports of this machine alone.
    pub(crate) fn replay(&mut self, playing: &Playing) {
        self.hooks.clear();
        self.survival = Survival::End;
        let piped = self.piped();
        for worker in &mut self.workers {
            if let Some(tape) = worker.output.as_ref().and_then(|ring| playing.tapes.get(ring)) {
                become_replay(worker, tape.clone(), playing);
            }
            match &mut worker.launch {
                Launch::Use(WorkerConfig::Rtsp(rtsp)) => {
                    rtsp.section.listen = free(rtsp.section.listen);
                    rtsp.section.tls = None;
                    rtsp.section.onvif = None;
                }
                Launch::Use(WorkerConfig::Web(web)) => free_web(&mut web.section),
                // Yesterday's burglar is not filed under today.
                Launch::Use(WorkerConfig::Rules(rules)) => rules.keep_no_pictures(),
                Launch::Run { .. } | Launch::Use(_) => {}
            }
        }
        let is_out = |worker: &WorkerSpec| match &worker.launch {
            Launch::Use(WorkerConfig::Recorder(_)) => true,
            _ => sends_elsewhere(worker) || is_source(worker) && !is_replay(worker),
        };
        let mut out = self.named(is_out);
        out.extend(self.halves(&piped));
        while !out.is_empty() {
            self.leave_out(&out);
            out = self.starving();
            out.extend(self.halves(&piped));
        }
        self.relate_again();
    }

    /// Leaves out who sends to servers elsewhere.
    pub(super) fn send_nothing(&mut self) {
        let out = self.named(sends_elsewhere);
        if !out.is_empty() {
            self.leave_out(&out);
            self.relate_again();
        }
    }

    /// The pipe workers and their commands.
    fn piped(&self) -> Vec<(WorkerName, WorkerName)> {
        let pair = |worker: &WorkerSpec| match &worker.launch {
            Launch::Use(WorkerConfig::Pipe(pipe)) => {
                Some((worker.name.clone(), pipe.command.clone()))
            }
            Launch::Run { .. } | Launch::Use(_) => None,
        };
        self.workers.iter().filter_map(pair).collect()
    }

    /// Who has nothing to read any more.
    fn starving(&self) -> BTreeSet<WorkerName> {
        let written: BTreeSet<&RingName> =
            self.workers.iter().flat_map(|worker| worker.outputs()).collect();
        let is_there = |ring: &RingName| written.contains(ring) || ring.is_external();
        self.named(|worker| !worker.inputs.is_empty() && !worker.inputs.iter().any(is_there))
    }

    /// Commands whose pipe is gone or is a replay now, and pipes whose command is gone.
    fn halves(&self, piped: &[(WorkerName, WorkerName)]) -> BTreeSet<WorkerName> {
        let is_pipe = |name: &WorkerName| {
            let launch = self.worker(name).map(|worker| &worker.launch);
            matches!(launch, Some(Launch::Use(WorkerConfig::Pipe(_))))
        };
        let mut halves = BTreeSet::new();
        for (pipe, command) in piped {
            match (is_pipe(pipe), self.worker(command).is_some()) {
                (false, true) => halves.insert(command.clone()),
                (true, false) => halves.insert(pipe.clone()),
                (true, true) | (false, false) => false,
            };
        }
        halves
    }

    fn named(&self, is_meant: impl Fn(&WorkerSpec) -> bool) -> BTreeSet<WorkerName> {
        let meant = self.workers.iter().filter(|worker| is_meant(worker));
        meant.map(|worker| worker.name.clone()).collect()
    }

    fn leave_out(&mut self, names: &BTreeSet<WorkerName>) {
        self.workers.retain(|worker| !names.contains(&worker.name));
        self.rings.retain(|ring| !names.contains(&ring.writer));
    }

    fn relate_again(&mut self) {
        let there: BTreeSet<WorkerName> = self.named(|_| true);
        let rings: BTreeSet<RingName> = self.rings.iter().map(|ring| ring.name.clone()).collect();
        for worker in &mut self.workers {
            worker.after.retain(|name| there.contains(name));
            worker.inputs.retain(|ring| rings.contains(ring) || ring.is_external());
        }
        for ring in &mut self.rings {
            meant::relate_ring(&self.workers, ring);
        }
    }
}

fn become_replay(worker: &mut WorkerSpec, from: PathBuf, playing: &Playing) {
    let Playing { since, until, speed, pause, .. } = playing.clone();
    let own = ReplayConfig { since, until, speed, pause, hold: true, ..ReplayConfig::of(from) };
    worker.launch = Launch::Use(WorkerConfig::Replay(own));
    worker.inputs.clear();
    worker.after.clear();
    (worker.policy, worker.ready) = (None, None);
}

fn is_replay(worker: &WorkerSpec) -> bool {
    matches!(worker.launch, Launch::Use(WorkerConfig::Replay(_)))
}

/// What it writes comes from no ring.
fn is_source(worker: &WorkerSpec) -> bool {
    let writes = worker.output.as_ref().is_some_and(|ring| ring.kind() != RingKind::Events);
    writes && worker.inputs.is_empty()
}

/// A server elsewhere has one place for each stream, and somebody else may have it; what is only tried out is
/// nothing to upload, and nothing to tell of.
fn sends_elsewhere(worker: &WorkerSpec) -> bool {
    matches!(
        worker.launch,
        Launch::Use(
            WorkerConfig::Notify(_) | WorkerConfig::RtspPush(_) | WorkerConfig::Uploader(_)
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Overrides, parse};

    const YARD: &str = "version: 1
project: yard
supervisor: {on_death: adopt}
hooks: {tell: {on: worker.held, run: [tell]}}
workers:
  cam1: {use: ingest, source: 'rtsp://10.0.0.5/main', after: own}
  cam2: {use: ingest, source: 'rtsp://10.0.0.6/main'}
  decode1: {use: decoder, in: cam1.packets}
  decode2: {use: decoder, in: cam2.packets}
  motion1: {use: motion, in: cam1.frames}
  motion2: {use: motion, in: cam2.frames}
  counter: {run: [count], in: [cam1.frames, cam2.frames, motion2.events], after: recorder}
  recorder: {use: recorder, in: '*.packets', dir: recordings}
  web: {use: web, in: '*', listen: '0.0.0.0:8080', users: {anyone: {play: '*'}}}
  own: {run: [sleep, '1']}
  push: {use: rtsp-push, in: cam1.packets, to: 'udp://10.0.0.9:5000'}
  upload: {use: uploader, dir: recordings, to: s3://cameras/site1}
  alarm: {use: notify, url: 'http://10.0.0.9/alarm', on: [camera.down]}
  cam3:
    run: [grab]
    stdout: cam3.packets
    codec: {name: h264, size: 640x480, fps: 25}
";

    fn yard(speed: &str) -> Topology {
        let mut yard = parse(YARD, "/srv/framevisor.yml".as_ref(), &Overrides::default()).unwrap();
        let mut tapes = yard.recorded();
        assert_eq!(tapes.len(), 3);
        tapes.retain(|ring, _| ring.camera() == "cam1");
        let pause = Span::from_millis(1_000);
        let speed = speed.parse().unwrap();
        yard.replay(&Playing { tapes, since: None, until: None, speed, pause });
        yard
    }

    #[test]
    fn cameras_become_replays_and_nothing_reaches_the_outside() {
        let yard = yard("1x");
        let names: Vec<&str> = yard.workers.iter().map(|worker| worker.name.as_str()).collect();
        assert_eq!(names, ["cam1", "decode1", "motion1", "counter", "web", "own"]);
        let Launch::Use(WorkerConfig::Replay(replay)) = &yard.workers[0].launch else {
            panic!("{:?}", yard.workers[0]);
        };
        assert_eq!(replay.from, PathBuf::from("/srv/recordings/cam1"));
        assert!(replay.hold && yard.workers[0].after.is_empty());
        assert_eq!(yard.workers[3].inputs.len(), 1);
        assert!(yard.workers[3].after.is_empty());
        assert_eq!(yard.workers[4].listen(), Some("127.0.0.1:0".parse().unwrap()));
        assert!(yard.hooks.is_empty() && yard.survival == Survival::End);
        let rings: Vec<&str> = yard.rings.iter().map(|ring| ring.name.as_str()).collect();
        assert_eq!(rings, ["cam1.packets", "cam1.frames", "motion1.events"]);
        assert!(yard.rings.iter().all(|ring| ring.essential.is_empty()));
    }

    #[test]
    fn a_replay_without_a_pace_waits_for_all_but_people() {
        let yard = yard("max");
        let readers = |ring: &str| {
            let ring = yard.ring(&ring.parse().unwrap()).unwrap();
            assert!(ring.waits, "{}", ring.name);
            ring.essential.iter().map(|one| one.reader.clone()).collect::<Vec<_>>()
        };
        assert_eq!(readers("cam1.packets"), ["decode1"]);
        assert_eq!(readers("cam1.frames"), ["motion1", "counter"]);
        assert!(readers("motion1.events").is_empty());
    }
}
