//! The worker: a reader thread a ring, the server, and an eye on both.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use access::Access;
use protocol::config::{RtspConfig, RtspSetup, WorkerConfig};
use protocol::control::Condition;
use protocol::name::RingName;
use protocol::time::MonoNs;
use sha2::{Digest, Sha256};
use shmring::clock;
use worker::{Context, Fault, STEP_WAIT, Step};

use crate::certificate;
use crate::fanout::Tap;
use crate::feed::{Feed, Feeds};
use crate::house::Terms;
use crate::note::Note;
use crate::onvif::http::Sign;
use crate::onvif::reception::Device;
use crate::recorded::shelf::Shelf;
use crate::server::{Opening, Secure, Server};

/// The thread of the sockets beats five times a second; this much silence is a hang.
const PULSE_MAX_AGE: Duration = Duration::from_secs(5);

/// How often what is told of wrong passwords may change: each change is a line of events.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Packet rings to RTSP clients.
#[derive(Debug)]
pub struct Rtsp {
    server: Server,
    taps: Vec<Tap>,
    /// The last pulse of the server, and when it was new.
    pulse: (u64, MonoNs),
    /// What is told of wrong passwords, and since when.
    told: Option<(String, MonoNs)>,
    note: Note,
}

impl worker::Worker for Rtsp {
    type Config = RtspSetup;

    fn section(config: WorkerConfig) -> Option<RtspSetup> {
        match config {
            WorkerConfig::Rtsp(config) => Some(config),
            _ => None,
        }
    }

    fn start(setup: RtspSetup, cx: &mut Context) -> Result<Self, Fault> {
        let RtspSetup { section: config, shelf } = setup;
        let listener = cx.listener().ok_or_else(|| {
            Fault::contract(
                "no listening socket was handed over: rtsp serves on the one of `listen`",
            )
        })?;
        let secure = secure(&config, cx)?;
        let access = Access::of(&config.users, config.basic)
            .map_err(|error| Fault::contract(error.to_string()))?;
        let feeds: Vec<_> =
            cx.inputs().iter().map(|ring| Arc::new(Feed::new(path(ring)))).collect();
        let taps = cx.inputs().iter().zip(&feeds).map(|(ring, feed)| {
            Tap::open(cx.project(), ring, cx.worker().as_str(), Arc::clone(feed))
        });
        let taps = taps.collect::<Result<_, _>>()?;
        let feeds = feeds.into_iter().collect::<Feeds>().with_doors(cx.doors_dir());
        let terms = Terms::of(&config);
        let shelf = Shelf::new(shelf);
        let onvif = device(&config, cx)?;
        let opening = Opening { plain: listener, secure, feeds, shelf, access, terms, onvif };
        let server = Server::open(opening)
            .map_err(|error| Fault::unavailable(format!("serving {}: {error}", config.listen)))?;
        tracing::info!(address = %server.address(), cameras = cx.inputs().len(), "serving RTSP");
        let note = Note::of(&cx.notes_dir(), cx.worker());
        Ok(Self { server, taps, pulse: (0, clock::mono()), told: None, note })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        thread::sleep(STEP_WAIT);
        self.end_with_a_dead_tap()?;
        self.check_pulse(clock::mono())?;
        self.tell_of_clients();
        if cx.draining() {
            return Ok(self.drain(cx));
        }
        self.report(cx);
        Ok(Step::Again)
    }

    fn stop(&mut self, _cx: &mut Context) -> Result<(), Fault> {
        self.server.stop();
        self.taps.iter().for_each(Tap::ask_to_end);
        self.taps.drain(..).try_for_each(Tap::close)
    }
}

/// The second listener, when the section has one.
fn secure(config: &RtspConfig, cx: &mut Context) -> Result<Option<Secure<TcpListener>>, Fault> {
    let Some(tls) = &config.tls else { return Ok(None) };
    let listener = cx.listener().ok_or_else(|| {
        Fault::contract(
            "no second listening socket was handed over: TLS is served on the one of `tls`",
        )
    })?;
    let certificate =
        certificate::load(tls).map_err(|error| Fault::unavailable(error.to_string()))?;
    tracing::info!(address = ?config.tls_listen(), "serving RTSP over TLS");
    Ok(Some((listener, certificate)))
}

/// Where cameras are looked for, when the section says so.
fn device(config: &RtspConfig, cx: &mut Context) -> Result<Option<Device>, Fault> {
    let Some(onvif) = &config.onvif else { return Ok(None) };
    let listener = cx.listener().ok_or_else(|| {
        Fault::contract(
            "no further listening socket was handed over: ONVIF is served on that of `onvif`",
        )
    })?;
    tracing::info!(address = %onvif.listen, "an ONVIF device");
    let name = onvif.name.clone().unwrap_or_else(|| cx.project().to_string());
    let sign = Sign { name, serial: serial(cx) };
    let (users, basic) = (config.users.clone(), config.basic);
    Ok(Some(Device { listener, sign, discovery: onvif.discovery, users, basic }))
}

/// The same on this machine for this worker of this project, whatever its address.
fn serial(cx: &Context) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let all = format!("{}/{}/{}", machine.trim(), cx.project(), cx.worker());
    Sha256::digest(all).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The path of a ring: the camera's name, or `camera.output` for a further ring of it.
fn path(ring: &RingName) -> &str {
    let kind = ring.kind().as_str();
    ring.as_str().strip_suffix(kind).map_or(ring.as_str(), |path| path.trim_end_matches('.'))
}

impl Rtsp {
    /// A successor serves whoever comes; those who are here may stay.
    fn drain(&mut self, cx: &mut Context) -> Step {
        self.server.close_door();
        if self.server.is_empty() {
            return Step::Done;
        }
        let clients = self.server.clients();
        cx.condition(Condition::Flowing, format!("{clients} clients stay"));
        Step::Again
    }

    /// Nobody is served worse without it.
    fn tell_of_clients(&mut self) {
        let now = clock::now();
        let written = self.note.write(|| self.server.list(now.mono), now.mono, now.utc);
        if let Err(error) = written {
            tracing::debug!(%error, "the list of clients cannot be written");
        }
    }

    fn end_with_a_dead_tap(&mut self) -> Result<(), Fault> {
        match self.taps.iter().position(Tap::has_ended) {
            Some(dead) => self.taps.swap_remove(dead).close(),
            None => Ok(()),
        }
    }

    fn check_pulse(&mut self, now: MonoNs) -> Result<(), Fault> {
        let pulse = self.server.pulse();
        if pulse != self.pulse.0 {
            self.pulse = (pulse, now);
        } else if now.saturating_since(self.pulse.1) > PULSE_MAX_AGE {
            return Err(Fault::failed("the thread of the sockets stands still"));
        }
        Ok(())
    }

    /// As of now, or of some seconds ago.
    fn wrong_passwords(&mut self, now: MonoNs) -> Option<String> {
        match &self.told {
            Some((told, since)) if now.saturating_since(*since) < TOLD_EVERY => Some(told.clone()),
            _ => {
                let told = self.server.wrong_passwords(now);
                self.told = told.clone().map(|told| (told, now));
                told
            }
        }
    }

    fn report(&mut self, cx: &mut Context) {
        let warning = self.wrong_passwords(clock::mono());
        let mut absences = Vec::new();
        cx.reached(self.taps.iter().map(|tap| tap.progress().reached()));
        for tap in &self.taps {
            let progress = tap.progress();
            cx.missed(progress.missed.swap(0, Ordering::Relaxed));
            absences.extend(Some(progress.absence()).filter(|why| !why.is_empty()));
        }
        let condition = if absences.is_empty() { Condition::Flowing } else { Condition::Waiting };
        absences.extend(warning);
        cx.condition(condition, absences.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_ring_is_its_camera_and_output() {
        assert_eq!(path(&"cam1.packets".parse().unwrap()), "cam1");
        assert_eq!(path(&"cam1.small.packets".parse().unwrap()), "cam1.small");
    }
}
