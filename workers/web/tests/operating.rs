//! What `docs/operating/` has for Prometheus, Grafana, containers and nginx fits what is served and taken.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod operating {
    pub(super) mod query;
    pub(super) mod yaml;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use operating::{query, yaml};
use protocol::admin::{ClientReception, ClientStatus};
use protocol::health::PictureHealth;
use protocol::time::{MonoNs, UtcNs};
use recordings::UploadStatus;
use serde_json::{Value, json};
use web::board::{CameraState, CameraStatus};
use web::metrics::{Measured, text};
use web::sources::SharedMemory;
use web::stream::viewers::{Transport, Viewers};
use web::tally::Tally;
use web::webrtc::figures;
use whep::{CameraFigures, Figures};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating")
}

fn file(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page of `/metrics` with at least one sample of everything there is.
fn page() -> String {
    let now = UtcNs(1_700_000_000_000_000_000);
    let rings = json!([{
        "name": "cam1.frames", "kind": "frames", "epoch": 3, "head": 750,
        "readers": [{"name": "motion", "pid": 1, "lag": 2, "missed": 1, "leases": 1}],
        "bytes": 4096, "live": true, "writer_pid": 1, "gop_index": 1, "age_ms": 40, "width": 8, "height": 8,
        "late_ns": 40_000_000, "late_sequence": 750, "published_bytes": 9000
    }]);
    let workers = json!([{
        "name": "motion", "kind": "motion", "pid": null, "state": "backoff", "why": "SIGKILL", "restarts": 4,
        "uptime_s": 0.0, "last_exit": "SIGKILL", "restart_ms": null
    }]);
    let camera = CameraStatus {
        name: "cam1".to_owned(),
        state: CameraState::Live,
        why: String::new(),
        health: PictureHealth::Black,
        fps: None,
        age_ms: Some(40),
        width: 8,
        height: 8,
        frames: None,
        packets: None,
        snapshot: None,
        live: None,
    };
    let rings: Vec<_> = serde_json::from_value(rings).unwrap();
    let workers: Vec<_> = serde_json::from_value(workers).unwrap();
    let uploads =
        [("upload".parse().unwrap(), UploadStatus { at_utc_ns: now, ..UploadStatus::default() })];
    let reception =
        ClientReception { age_s: 1.0, loss: 0.1, lost: 3, jitter_ms: 2.0, round_trip_ms: None };
    let client = ClientStatus {
        address: "10.0.0.7:5000".to_owned(),
        camera: "cam1".to_owned(),
        transport: "udp".to_owned(),
        playing: true,
        connected_s: 1.5,
        units: 30,
        skipped: 1,
        reception: Some(reception),
    };
    let clients = [("rtsp".parse().unwrap(), vec![client])];
    let mut tally = Tally::default();
    tally.workers(&workers);
    tally.rings(&rings);
    tally.recorded("cam1", 1_500);
    tally.missing("cam1", UtcNs(0), now, &[(UtcNs(0), UtcNs(2_500_000_000))]);
    let mut page = text(&Measured {
        now,
        rings: &rings,
        workers: Some(&workers),
        cameras: &[camera],
        connections: 1,
        uploads: &uploads,
        clients: &clients,
        rates: &[("cam1.frames".parse().unwrap(), 25.0)].into(),
        tally: &tally,
        shm: Some(SharedMemory { all: 100_000, free: 60_000 }),
    });
    page.push_str(&browsers());
    page
}

/// Of those who watch in browsers.
fn browsers() -> String {
    let viewers = Arc::new(Viewers::default());
    let _watching = viewers.join("cam1", Transport::WsMse, None, MonoNs(1));
    let cameras = [("cam1".to_owned(), CameraFigures { viewers: 1, ..CameraFigures::default() })];
    let webrtc = Figures { cameras: cameras.into(), viewers_max: 64, refused: 2 };
    viewers.metrics(MonoNs(2)) + &figures::text(&webrtc)
}

/// Labels of each metric that is served. Prometheus adds two of its own.
fn served() -> BTreeMap<String, BTreeSet<String>> {
    let mut served: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in page().lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let labels = rest.split_once('}').map_or("", |(labels, _)| labels);
        let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        let all = served.entry(name.to_owned()).or_default();
        all.extend(names);
        all.extend(["instance", "job"].map(str::to_owned));
    }
    let own = ["instance", "job"].map(str::to_owned);
    served.insert("up".to_owned(), own.into());
    served
}

fn fits_what_is_served(place: &str, expression: &str) {
    let served = served();
    let uses = query::uses(expression);
    assert!(!uses.is_empty(), "{place}: no metric in {expression}");
    for used in uses {
        let labels = served.get(&used.metric);
        let labels = labels.unwrap_or_else(|| panic!("{place}: {} is not served", used.metric));
        for label in used.labels {
            assert!(labels.contains(&label), "{place}: {} has no label {label}", used.metric);
        }
    }
}

/// All values under `key`, wherever it stands.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        Value::Object(entries) => {
            for (name, value) in entries {
                if name == key {
                    found.push(value);
                }
                all(value, key, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_metric_of_the_dashboard_is_served_with_its_labels() {
    let dashboard: Value = serde_json::from_str(&file("grafana.json")).unwrap();
    let mut expressions = Vec::new();
    all(&dashboard, "expr", &mut expressions);
    assert!(expressions.len() > 15, "{} expressions", expressions.len());
    let mut shown = BTreeSet::new();
    for expression in expressions {
        let expression = expression.as_str().unwrap();
        fits_what_is_served("grafana.json", expression);
        shown.extend(query::uses(expression).into_iter().map(|used| used.metric));
    }
    let mut unused: Vec<String> = served().into_keys().filter(|name| name != "up").collect();
    unused.retain(|name| !shown.contains(name));
    assert!(unused.is_empty(), "the dashboard shows nothing of {unused:?}");
}

#[test]
fn the_dashboards_panels_are_whole_and_its_variables_exist() {
    let dashboard: Value = serde_json::from_str(&file("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is there twice");
        let place = &panel["gridPos"];
        let end = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(end <= 24 && place["h"].as_u64().unwrap() > 0, "{title}: {place}");
        assert!(
            panel["type"] == "row" || !panel["targets"].as_array().unwrap().is_empty(),
            "{title}"
        );
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let known: BTreeSet<&str> = variables.iter().map(|it| it["name"].as_str().unwrap()).collect();
    for name in query::variables(&dashboard.to_string()) {
        assert!(known.contains(name.as_str()) || name.starts_with("__"), "${name} is no variable");
    }
    for variable in variables {
        let asked = variable["query"]["query"].as_str().unwrap_or_default();
        let Some(inside) = asked.strip_prefix("label_values(") else { continue };
        let (metric, label) = inside.trim_end_matches(')').split_once(", ").unwrap();
        assert!(served()[metric].contains(label), "{asked}");
    }
}

#[test]
fn every_alert_asks_for_what_is_served_and_says_what_to_do() {
    let rules = yaml::parse(&file("alerts.yml"));
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    let page = fs::read_to_string(folder().join("../operating.md")).unwrap();
    let mut names = BTreeSet::new();
    for rule in &rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        fits_what_is_served(name, rule["expr"].as_str().unwrap());
        assert!(
            ["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()),
            "{name}"
        );
        let labels = query::uses(rule["expr"].as_str().unwrap()).remove(0).metric;
        for said in ["summary", "action"].map(|key| rule["annotations"][key].as_str().unwrap()) {
            for label in said.split("$labels.").skip(1) {
                let label: String =
                    label.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(served()[&labels].contains(&label), "{name}: no label {label}");
            }
        }
        assert!(page.contains(&format!("`{name}`")), "operating.md says nothing of {name}");
    }
    assert!(rules.len() >= 10);
    let asked = yaml::parse(&file("prometheus.yml"));
    assert_eq!(asked["rule_files"][0], "alerts.yml");
    assert_eq!(asked["scrape_configs"][0]["job_name"], "framevisor");
}

#[test]
fn promtool_takes_the_metrics_and_the_alerts() {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("skipped: promtool is not installed (Debian's package prometheus)");
        return;
    }
    for (verb, name) in [("rules", "alerts.yml"), ("config", "prometheus.yml")] {
        let checked = Command::new("promtool")
            .args(["check", verb])
            .arg(folder().join(name))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{name}: {said}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics");
    fs::write(&path, page()).unwrap();
    let input = fs::File::open(&path).unwrap();
    let checked =
        Command::new("promtool").args(["check", "metrics"]).stdin(input).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn the_container_has_room_for_rings_devices_and_an_orderly_stop() {
    let compose = yaml::parse(&file("compose.yaml"));
    let service = &compose["services"]["framevisor"];
    assert!(service["shm_size"].is_string() && service["stop_grace_period"] == "15s");
    assert!(!service["devices"].as_array().unwrap().is_empty());
    let root = folder().join("../..");
    let built = service["build"]["dockerfile"].as_str().unwrap();
    assert!(root.join(built).is_file(), "{built}");
    // What is mounted from beside the file is there, but for what its user brings.
    let services = compose["services"].as_object().unwrap().values();
    let mounts = services.flat_map(|it| it["volumes"].as_array().unwrap());
    let named = compose["volumes"].as_object().unwrap();
    for mount in mounts.map(|it| it.as_str().unwrap()) {
        let (from, _) = mount.split_once(':').unwrap();
        match from.strip_prefix("./") {
            Some("credentials") => {}
            Some(name) => assert!(folder().join(name).is_file(), "{mount}"),
            None => assert!(from.starts_with('/') || named.contains_key(from), "{mount}"),
        }
    }
    let docker = file("Dockerfile");
    for line in docker.lines().filter(|line| line.contains("scripts/")) {
        let script = line.split_whitespace().find(|word| word.starts_with("scripts/")).unwrap();
        assert!(root.join(script).is_file(), "{script}");
    }
    let setup = fs::read_to_string(root.join("scripts/lib/setup.sh")).unwrap();
    let needed = setup.split("BUILD_PACKAGES=\"").nth(1).unwrap().split('"').next().unwrap();
    for package in
        needed.split_whitespace().filter(|it| it.starts_with("lib") || *it == "pkg-config")
    {
        assert!(docker.contains(package), "the Dockerfile does not install {package}");
    }
    let pinned = fs::read_to_string(root.join("rust-toolchain.toml")).unwrap();
    let version = docker.split("rust:").nth(1).unwrap().split('-').next().unwrap();
    assert!(pinned.contains(&format!("\"{version}")), "rust:{version} is not what {pinned} says");
}

#[test]
fn nginx_takes_the_example() {
    let known = ["nginx", "/usr/sbin/nginx"];
    let Some(nginx) = known.into_iter().find(|it| Command::new(it).arg("-v").output().is_ok())
    else {
        println!("skipped: nginx is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().display();
    fs::write(dir.path().join("cameras.htpasswd"), "me:{PLAIN}secret\n").unwrap();
    let example = file("nginx.conf");
    let map = example.lines().find_map(|line| line.strip_prefix("# map ")).unwrap();
    let example =
        example.replace("/etc/nginx/cameras.htpasswd", &format!("{own}/cameras.htpasswd"));
    let text = format!(
        "pid {own}/pid; error_log {own}/error.log; events {{}}\nhttp {{ access_log off;\nmap {map}\n\
         server {{ listen unix:{own}/socket;\n{example}\n}} }}\n"
    );
    let path = dir.path().join("nginx.conf");
    fs::write(&path, text).unwrap();
    let checked = Command::new(nginx).arg("-t").arg("-c").arg(&path).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
