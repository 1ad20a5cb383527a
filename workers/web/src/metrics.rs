//! Prometheus text (version 0.0.4): our prefix, base units, `_total` on counters, bounded labels.
//! Pure. Every label value is a parsed name or a fixed word, so nothing needs escaping: a reader is
//! a worker of the topology or "external", whatever it calls itself.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::LazyLock;

use protocol::admin::{ClientReception, ClientStatus, RingStatus, WorkerState, WorkerStatus};
use protocol::health::PictureHealth;
use protocol::name::{RingName, WorkerName};
use protocol::time::{NS_PER_S, UtcNs};
use recordings::UploadStatus;

use crate::board::CameraStatus;
use crate::sources::SharedMemory;
use crate::tally::{BUCKETS_MS, EXTERNAL, Tally};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is measured, taken together.
#[derive(Debug)]
pub struct Measured<'a> {
    pub now: UtcNs,
    pub rings: &'a [RingStatus],
    /// `None` when the supervisor does not answer; then nothing is said about workers.
    pub workers: Option<&'a [WorkerStatus]>,
    pub cameras: &'a [CameraStatus],
    pub connections: usize,
    /// Uploaders that said lately how they do.
    pub uploads: &'a [(WorkerName, UploadStatus)],
    /// Who is connected to each RTSP server.
    pub clients: &'a [(WorkerName, Vec<ClientStatus>)],
    /// Items a second, of the rings where that is known.
    pub rates: &'a BTreeMap<RingName, f64>,
    pub tally: &'a Tally,
    pub shm: Option<SharedMemory>,
}

const NO_RATES: &BTreeMap<RingName, f64> = &BTreeMap::new();
static NO_TALLY: LazyLock<Tally> = LazyLock::new(Tally::default);

impl Measured<'static> {
    /// With nothing in it.
    pub fn nothing() -> Self {
        Self {
            now: UtcNs(0),
            rings: &[],
            workers: None,
            cameras: &[],
            connections: 0,
            uploads: &[],
            clients: &[],
            rates: NO_RATES,
            tally: &NO_TALLY,
            shm: None,
        }
    }
}

/// An uploader that has said nothing for so long is not there: its figures are left out, not frozen.
const SAID_WITHIN_NS: u64 = 60 * NS_PER_S;

/// Whether this word of an uploader still counts.
pub fn is_fresh(status: &UploadStatus, now: UtcNs) -> bool {
    now.0.saturating_sub(status.at_utc_ns.0) < SAID_WITHIN_NS
}

/// The whole page of `/metrics`.
pub fn text(measured: &Measured<'_>) -> String {
    let mut page = Page::default();
    page.family("build_info", "gauge", "The version of this worker.");
    page.sample(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
    page.family("web_connections", "gauge", "Open connections to this worker.");
    page.sample(&[], measured.connections);
    rings(&mut page, measured.rings);
    shared_memory(&mut page, measured);
    late(&mut page, measured.tally);
    readers(&mut page, measured);
    workers(&mut page, measured.workers.unwrap_or_default());
    restarts(&mut page, measured);
    cameras(&mut page, measured);
    recordings(&mut page, measured.tally);
    uploads(&mut page, measured.uploads);
    clients(&mut page, measured.clients);
    health(&mut page, measured.cameras);
    page.text
}

fn rings(page: &mut Page, rings: &[RingStatus]) {
    page.family("ring_frames_total", "counter", "Items published in the ring's epoch.");
    for ring in rings {
        page.sample(&[("ring", &ring.name)], ring.head);
    }
    page.family("ring_bytes_total", "counter", "Bytes published in the ring's epoch.");
    for ring in rings {
        page.sample(&[("ring", &ring.name)], ring.published_bytes);
    }
    page.family("ring_shm_bytes", "gauge", "Shared memory of the ring.");
    for ring in rings {
        page.sample(&[("ring", &ring.name)], ring.bytes);
    }
    page.family("ring_up", "gauge", "Whether the ring has a writer now.");
    for ring in rings {
        page.sample(&[("ring", &ring.name)], u8::from(ring.live));
    }
}

/// Of the machine: what this project's rings have, what is free, and what others have.
fn shared_memory(page: &mut Page, measured: &Measured<'_>) {
    let Some(SharedMemory { all, free }) = measured.shm else { return };
    let own: u64 = measured.rings.iter().map(|ring| ring.bytes).sum();
    let others = all.saturating_sub(free).saturating_sub(own);
    page.family("shm_bytes", "gauge", "Shared memory of this machine, by who has it.");
    for (state, bytes) in [("rings", own), ("free", free), ("other", others)] {
        page.sample(&[("state", &state)], bytes);
    }
}

/// Of the newest item at each look, so of some of all there were: of packets, key frames.
fn late(page: &mut Page, tally: &Tally) {
    page.family(
        "capture_to_ring_seconds",
        "histogram",
        "From capture to the ring, of items looked at.",
    );
    for (ring, histogram) in tally.late() {
        let bounds = BUCKETS_MS.iter().map(|bound| seconds_of(bound * 1_000_000));
        let bounds = bounds.chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(histogram.cumulative()) {
            page.part("_bucket", &[("ring", ring), ("le", &bound)], count);
        }
        page.part("_sum", &[("ring", ring)], seconds_of(histogram.sum_ns));
        page.part("_count", &[("ring", ring)], histogram.count());
    }
}

/// Whole numbers stay exact.
fn seconds_of(ns: u64) -> String {
    let text = format!("{}.{:09}", ns / NS_PER_S, ns % NS_PER_S);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn restarts(page: &mut Page, measured: &Measured<'_>) {
    page.family("worker_restarts_total", "counter", "Restarts since the supervisor began.");
    // A series that begins at one hides that first restart from whoever asks for the increase: the sum over the
    // reasons begins at zero.
    for worker in measured.workers.unwrap_or_default() {
        page.sample(&[("worker", &worker.name), ("reason", &"none")], 0);
    }
    for (worker, reason, count) in measured.tally.restarts() {
        page.sample(&[("worker", worker), ("reason", &reason)], count);
    }
}

fn recordings(page: &mut Page, tally: &Tally) {
    page.family("recording_bytes_total", "counter", "Bytes of files that were completed.");
    for (camera, recorded) in tally.recordings() {
        page.sample(&[("camera", &camera)], recorded.bytes);
    }
    page.family(
        "recording_gap_seconds_total",
        "counter",
        "Time that was to be recorded and was not.",
    );
    for (camera, recorded) in tally.recordings() {
        page.sample(&[("camera", &camera)], seconds_of(recorded.gap_ns));
    }
}

fn readers(page: &mut Page, measured: &Measured<'_>) {
    let known = measured.workers.unwrap_or_default();
    // The largest lag of all readers under one label.
    let mut readers: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for ring in measured.rings {
        for reader in &ring.readers {
            let label = known
                .iter()
                .find(|worker| worker.name.as_str() == reader.name)
                .map_or(EXTERNAL, |worker| worker.name.as_str());
            let lag = readers.entry((ring.name.as_str(), label)).or_default();
            *lag = reader.lag.max(*lag);
        }
    }
    page.family("reader_lag_items", "gauge", "Items the reader is behind the ring's head.");
    for ((ring, reader), lag) in &readers {
        page.sample(&[("ring", ring), ("reader", reader)], lag);
    }
    page.family("reader_lag_seconds", "gauge", "The same in time, at the ring's rate of late.");
    for ((ring, reader), lag) in &readers {
        let rate = measured.rates.iter().find(|(name, _)| name.as_str() == *ring);
        // Of a ring that stands still nobody can tell how long its items are.
        let seconds = match rate.map(|(_, rate)| *rate) {
            _ if *lag == 0 => Some(0.0),
            Some(rate) if rate > 0.0 => Some(as_f64(*lag) / rate),
            _ => None,
        };
        if let Some(seconds) = seconds {
            page.sample(&[("ring", ring), ("reader", reader)], format!("{seconds:.3}"));
        }
    }
    page.family("ring_overruns_total", "counter", "Items the reader missed.");
    for (ring, reader, missed) in measured.tally.overruns() {
        page.sample(&[("ring", ring), ("reader", &reader)], missed);
    }
}

fn workers(page: &mut Page, workers: &[WorkerStatus]) {
    page.family("worker_up", "gauge", "Whether the worker runs and is ready.");
    for worker in workers {
        let up = matches!(
            worker.state,
            WorkerState::Ready | WorkerState::Running | WorkerState::Degraded
        );
        page.sample(&[("worker", &worker.name)], u8::from(up));
    }
    page.family("worker_degraded", "gauge", "Whether it works, but not as asked; ps says why.");
    for worker in workers {
        let degraded = worker.state == WorkerState::Degraded;
        page.sample(&[("worker", &worker.name)], u8::from(degraded));
    }
}

fn cameras(page: &mut Page, measured: &Measured<'_>) {
    page.family("last_frame_timestamp_seconds", "gauge", "When the camera's newest frame came.");
    for camera in measured.cameras {
        let Some(age_ms) = camera.age_ms else {
            continue;
        };
        let at_ms = (measured.now.0 / (NS_PER_S / 1_000)).saturating_sub(age_ms);
        let seconds = format!("{}.{:03}", at_ms / 1_000, at_ms % 1_000);
        page.sample(&[("camera", &camera.name)], seconds);
    }
}

fn uploads(page: &mut Page, uploads: &[(WorkerName, UploadStatus)]) {
    type Figure = fn(&UploadStatus) -> u64;
    let families: [(&'static str, &str, &str, Figure); 7] = [
        ("upload_backlog_files", "gauge", "Recordings that wait for the store.", |it| {
            it.backlog_files
        }),
        ("upload_backlog_bytes", "gauge", "What they take.", |it| it.backlog_bytes),
        (
            "upload_backlog_oldest_seconds",
            "gauge",
            "Time since the oldest of them was begun.",
            |it| it.oldest_s,
        ),
        ("upload_in_trouble", "gauge", "Whether nothing goes out now; ps says why.", |it| {
            it.in_trouble.into()
        }),
        ("upload_files_total", "counter", "Recordings sent since its start.", |it| it.files_sent),
        ("upload_bytes_total", "counter", "Bytes of them.", |it| it.bytes_sent),
        (
            "upload_lost_files_total",
            "counter",
            "Recordings that were removed before they were sent.",
            |it| it.files_lost,
        ),
    ];
    for (name, kind, help, figure) in families {
        if !uploads.is_empty() {
            page.family(name, kind, help);
        }
        for (worker, status) in uploads {
            page.sample(&[("worker", worker)], figure(status));
        }
    }
}

/// By worker, camera and transport: clients come and go, and a label of each would never end.
fn clients(page: &mut Page, servers: &[(WorkerName, Vec<ClientStatus>)]) {
    type Figure = fn(&[&ClientStatus]) -> f64;
    let families: [(&'static str, &str, Figure); 4] = [
        ("rtsp_clients", "Clients that play.", |them| them.iter().map(|_| 1.0).sum()),
        (
            "rtsp_client_skipped_units",
            "Lost by clients that are connected, by being slow.",
            |them| them.iter().map(|it| as_f64(it.skipped)).sum(),
        ),
        (
            "rtsp_client_loss_ratio",
            "Of the packets lately, of the client that loses most.",
            |them| worst(them, |it| it.loss),
        ),
        ("rtsp_client_jitter_seconds", "Of the client with most.", |them| {
            worst(them, |it| it.jitter_ms / 1e3)
        }),
    ];
    let groups: Vec<_> = servers.iter().flat_map(|(worker, them)| grouped(worker, them)).collect();
    for (index, (name, help, figure)) in families.into_iter().enumerate() {
        if !servers.is_empty() {
            page.family(name, "gauge", help);
        }
        for ((worker, camera, transport), them) in &groups {
            let labels: [(&str, &dyn Display); 3] =
                [("worker", worker), ("camera", camera), ("transport", transport)];
            page.sample(&labels, figure(them));
        }
        let is_alone =
            |server: &WorkerName| !groups.iter().any(|((worker, ..), _)| *worker == server);
        // That nobody plays is said too; empty labels are none to Prometheus.
        for (worker, _) in servers.iter().filter(|(server, _)| index == 0 && is_alone(server)) {
            page.sample(&[("worker", worker), ("camera", &""), ("transport", &"")], 0);
        }
    }
}

type Group<'a> = (&'a WorkerName, &'a str, &'a str);

/// Those who play. Names are looked at here, since a file tells them: what is no name of a camera or transport is left
/// out.
fn grouped<'a>(
    worker: &'a WorkerName,
    clients: &'a [ClientStatus],
) -> BTreeMap<Group<'a>, Vec<&'a ClientStatus>> {
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for client in clients.iter().filter(|it| it.playing) {
        if is_plain(&client.camera) && is_plain(&client.transport) {
            let group = (worker, client.camera.as_str(), client.transport.as_str());
            groups.entry(group).or_default().push(client);
        }
    }
    groups
}

/// Zero where nobody says anything.
fn worst(clients: &[&ClientStatus], figure: fn(&ClientReception) -> f64) -> f64 {
    clients.iter().filter_map(|it| it.reception.as_ref()).map(figure).fold(0.0, f64::max)
}

#[expect(clippy::cast_precision_loss, reason = "a count that is exact up to 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Nothing of a camera that nobody looks at: silence is not health.
fn health(page: &mut Page, cameras: &[CameraStatus]) {
    page.family("camera_health", "gauge", "Whether the camera's pictures have this fault.");
    for camera in cameras.iter().filter(|camera| !camera.health.is_unknown()) {
        for fault in PictureHealth::FAULTS {
            let labels: [(&str, &dyn Display); 2] =
                [("camera", &camera.name), ("fault", &fault.as_str())];
            page.sample(&labels, u8::from(camera.health == fault));
        }
    }
}

/// The text being written; samples go to the family begun last.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) text: String,
    name: &'static str,
}

impl Page {
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    pub(crate) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let line = format!("# HELP framevisor_{name} {help}\n# TYPE framevisor_{name} {kind}\n");
        self.text.push_str(&line);
    }

    pub(crate) fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.part("", labels, value);
    }

    /// A sample of a family that has several.
    fn part(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let mut set = String::new();
        for (index, (name, label)) in labels.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(set, "{comma}{name}=\"{label}\"");
        }
        let set = if set.is_empty() { set } else { format!("{{{set}}}") };
        let _ = writeln!(self.text, "framevisor_{}{suffix}{set} {value}", self.name);
    }
}

#[cfg(test)]
mod tests;
