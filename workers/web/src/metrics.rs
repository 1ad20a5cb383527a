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
mod tests {
    use super::*;
    use crate::board::CameraState;
    use protocol::admin::ReaderStatus;

    fn reader(name: &str, lag: u64, missed: u64) -> ReaderStatus {
        ReaderStatus { name: name.to_owned(), lag, missed, ..ReaderStatus::default() }
    }

    fn ring() -> RingStatus {
        let name: protocol::name::RingName = "cam1.frames".parse().unwrap();
        RingStatus {
            epoch: 3,
            head: 750,
            readers: vec![
                reader("motion", 2, 1),
                reader("evil\"} 1\nx", 7, 3),
                reader("notebook", 9, 4),
            ],
            bytes: 4096,
            live: true,
            writer_pid: Some(1),
            age_ms: Some(40),
            late_ns: Some(40_000_000),
            late_sequence: 750,
            published_bytes: 9_000,
            ..RingStatus::absent(name)
        }
    }

    fn motion() -> WorkerStatus {
        serde_json::from_value(serde_json::json!({
            "name": "motion", "kind": "motion", "pid": null, "state": "backoff", "why": "SIGKILL",
            "restarts": 4, "uptime_s": 0.0, "last_exit": "SIGKILL", "restart_ms": null
        }))
        .unwrap()
    }

    fn camera() -> CameraStatus {
        CameraStatus {
            name: "cam1".to_owned(),
            state: CameraState::Live,
            why: String::new(),
            health: PictureHealth::Black,
            fps: None,
            age_ms: Some(40),
            width: 0,
            height: 0,
            frames: None,
            packets: None,
            snapshot: None,
            live: None,
        }
    }

    fn tally(workers: &[WorkerStatus]) -> Tally {
        let mut tally = Tally::default();
        tally.workers(workers);
        tally.rings(&[ring()]);
        tally.recorded("cam1", 1_500);
        let gap = (UtcNs(5), UtcNs(2_500_000_005));
        tally.missing("cam1", UtcNs(5), UtcNs(3_000_000_000), &[gap]);
        tally
    }

    fn page(workers: Option<&[WorkerStatus]>) -> String {
        text(&Measured {
            now: UtcNs(1_700_000_000_000_000_000),
            rings: &[ring()],
            workers,
            cameras: &[camera()],
            connections: 2,
            rates: &[("cam1.frames".parse().unwrap(), 25.0)].into(),
            tally: &tally(workers.unwrap_or_default()),
            shm: Some(SharedMemory { all: 100_000, free: 60_000 }),
            ..Measured::nothing()
        })
    }

    #[test]
    fn every_sample_is_on_a_line_of_its_own() {
        let page = page(Some(&[motion()]));
        for line in [
            "framevisor_ring_frames_total{ring=\"cam1.frames\"} 750",
            "framevisor_ring_shm_bytes{ring=\"cam1.frames\"} 4096",
            "framevisor_worker_up{worker=\"motion\"} 0",
            "framevisor_worker_restarts_total{worker=\"motion\",reason=\"none\"} 0",
            "framevisor_worker_restarts_total{worker=\"motion\",reason=\"sigkill\"} 4",
            "framevisor_last_frame_timestamp_seconds{camera=\"cam1\"} 1699999999.960",
            "framevisor_camera_health{camera=\"cam1\",fault=\"black\"} 1",
            "framevisor_camera_health{camera=\"cam1\",fault=\"rate\"} 0",
            "framevisor_web_connections 2",
        ] {
            assert!(page.lines().any(|seen| seen == line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn readers_we_do_not_know_share_one_label() {
        let page = page(Some(&[motion()]));
        assert!(
            page.contains("framevisor_reader_lag_items{ring=\"cam1.frames\",reader=\"motion\"} 2")
        );
        assert!(
            page.contains(
                "framevisor_reader_lag_items{ring=\"cam1.frames\",reader=\"external\"} 9"
            )
        );
        assert!(page.contains(
            "framevisor_ring_overruns_total{ring=\"cam1.frames\",reader=\"external\"} 7"
        ));
        assert!(!page.contains("evil"));
    }

    #[test]
    fn uploaders_tell_what_waits_and_no_others_are_told() {
        let now = UtcNs(1_700_000_000_000_000_000);
        let status = UploadStatus { at_utc_ns: now, backlog_files: 12, ..UploadStatus::default() };
        assert!(is_fresh(&status, UtcNs(now.0 + 59 * NS_PER_S)));
        assert!(!is_fresh(&status, UtcNs(now.0 + 61 * NS_PER_S)));
        let uploads = [("upload".parse().unwrap(), status)];
        let measured = Measured { now, uploads: &uploads, ..Measured::nothing() };
        let line = "framevisor_upload_backlog_files{worker=\"upload\"} 12";
        assert!(text(&measured).lines().any(|seen| seen == line), "{}", text(&measured));
        assert!(!page(None).contains("upload_"));
    }

    #[test]
    fn clients_are_counted_by_camera_and_transport_and_the_worst_reception_is_told() {
        let client = |camera: &str, transport: &str, loss: f64| ClientStatus {
            address: "10.0.0.7:5000".to_owned(),
            camera: camera.to_owned(),
            transport: transport.to_owned(),
            playing: !camera.is_empty(),
            connected_s: 1.0,
            units: 10,
            skipped: 3,
            reception: Some(ClientReception {
                age_s: 1.0,
                loss,
                lost: 5,
                jitter_ms: 20.0,
                round_trip_ms: None,
            }),
        };
        let them = vec![
            client("cam1", "udp", 0.25),
            client("cam1", "udp", 0.5),
            client("cam1", "tcp", 0.0),
            client("", "", 1.0),
            client("cam1\"} 1\nevil", "udp", 1.0),
        ];
        let clients = [("rtsp".parse().unwrap(), them)];
        let measured = Measured { clients: &clients, ..Measured::nothing() };
        let page = text(&measured);
        let labels = "{worker=\"rtsp\",camera=\"cam1\",transport=\"udp\"}";
        for line in [
            format!("framevisor_rtsp_clients{labels} 2"),
            format!("framevisor_rtsp_client_skipped_units{labels} 6"),
            format!("framevisor_rtsp_client_loss_ratio{labels} 0.5"),
            format!("framevisor_rtsp_client_jitter_seconds{labels} 0.02"),
        ] {
            assert!(page.lines().any(|seen| seen == line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("evil"));
        let nobody = [("rtsp".parse().unwrap(), Vec::new())];
        let page = text(&Measured { clients: &nobody, ..Measured::nothing() });
        let line = "framevisor_rtsp_clients{worker=\"rtsp\",camera=\"\",transport=\"\"} 0";
        assert!(page.lines().any(|seen| seen == line), "{line} is not in\n{page}");
        assert!(!page.contains("rtsp_client_loss_ratio{"), "nobody loses anything");
    }

    #[test]
    fn a_silent_supervisor_leaves_the_rings() {
        let page = page(None);
        assert!(page.contains("framevisor_ring_up{ring=\"cam1.frames\"} 1"));
        assert!(!page.contains("framevisor_worker_up{"));
    }

    /// What programs and people count on: name, kind and labels.
    const PROMISED: [(&str, &str, &[&str]); 13] = [
        ("ring_frames_total", "counter", &["ring"]),
        ("ring_bytes_total", "counter", &["ring"]),
        ("ring_overruns_total", "counter", &["ring", "reader"]),
        ("reader_lag_seconds", "gauge", &["ring", "reader"]),
        ("capture_to_ring_seconds", "histogram", &["ring", "le"]),
        ("last_frame_timestamp_seconds", "gauge", &["camera"]),
        ("worker_restarts_total", "counter", &["worker", "reason"]),
        ("worker_up", "gauge", &["worker"]),
        ("recording_bytes_total", "counter", &["camera"]),
        ("recording_gap_seconds_total", "counter", &["camera"]),
        ("rtsp_clients", "gauge", &["worker", "camera", "transport"]),
        ("shm_bytes", "gauge", &["state"]),
        ("build_info", "gauge", &["version"]),
    ];

    fn client() -> ClientStatus {
        ClientStatus {
            address: "10.0.0.7:5000".to_owned(),
            camera: "cam1".to_owned(),
            transport: "tcp".to_owned(),
            playing: true,
            connected_s: 1.0,
            units: 10,
            skipped: 0,
            reception: None,
        }
    }

    #[test]
    fn every_figure_that_is_promised_is_served_with_its_labels() {
        let workers = [motion()];
        let clients = [("rtsp".parse().unwrap(), vec![client()])];
        let counted = tally(&workers);
        let page = text(&Measured {
            rings: &[ring()],
            workers: Some(&workers),
            cameras: &[camera()],
            clients: &clients,
            rates: &[("cam1.frames".parse().unwrap(), 25.0)].into(),
            tally: &counted,
            shm: Some(SharedMemory { all: 100_000, free: 60_000 }),
            ..Measured::nothing()
        });
        for (name, kind, labels) in PROMISED {
            assert!(page.contains(&format!("# TYPE framevisor_{name} {kind}\n")), "{name}\n{page}");
            let suffix = if kind == "histogram" { "_bucket" } else { "" };
            let begin = format!("framevisor_{name}{suffix}{{");
            let line = page.lines().find(|line| line.starts_with(&begin));
            let line = line.unwrap_or_else(|| panic!("no sample of {name}\n{page}"));
            let set = line[begin.len()..].split('}').next().unwrap();
            let seen: Vec<&str> = set.split(',').filter_map(|it| it.split('=').next()).collect();
            assert_eq!(seen, labels, "{line}");
        }
    }

    #[test]
    fn lateness_is_a_histogram_whose_buckets_add_up() {
        let page = page(None);
        for line in [
            "framevisor_capture_to_ring_seconds_bucket{ring=\"cam1.frames\",le=\"0.025\"} 0",
            "framevisor_capture_to_ring_seconds_bucket{ring=\"cam1.frames\",le=\"0.05\"} 1",
            "framevisor_capture_to_ring_seconds_bucket{ring=\"cam1.frames\",le=\"30\"} 1",
            "framevisor_capture_to_ring_seconds_bucket{ring=\"cam1.frames\",le=\"+Inf\"} 1",
            "framevisor_capture_to_ring_seconds_sum{ring=\"cam1.frames\"} 0.04",
            "framevisor_capture_to_ring_seconds_count{ring=\"cam1.frames\"} 1",
        ] {
            assert!(page.lines().any(|seen| seen == line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn lag_is_told_in_time_and_memory_by_who_has_it() {
        let page = page(Some(&[motion()]));
        for line in [
            "framevisor_reader_lag_seconds{ring=\"cam1.frames\",reader=\"motion\"} 0.080",
            "framevisor_ring_bytes_total{ring=\"cam1.frames\"} 9000",
            "framevisor_shm_bytes{state=\"rings\"} 4096",
            "framevisor_shm_bytes{state=\"free\"} 60000",
            "framevisor_shm_bytes{state=\"other\"} 35904",
            "framevisor_recording_bytes_total{camera=\"cam1\"} 1500",
            "framevisor_recording_gap_seconds_total{camera=\"cam1\"} 2.5",
        ] {
            assert!(page.lines().any(|seen| seen == line), "{line} is not in\n{page}");
        }
    }
}
