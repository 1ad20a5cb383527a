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
    assert!(page.contains("framevisor_reader_lag_items{ring=\"cam1.frames\",reader=\"motion\"} 2"));
    assert!(
        page.contains("framevisor_reader_lag_items{ring=\"cam1.frames\",reader=\"external\"} 9")
    );
    assert!(
        page.contains("framevisor_ring_overruns_total{ring=\"cam1.frames\",reader=\"external\"} 7")
    );
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
