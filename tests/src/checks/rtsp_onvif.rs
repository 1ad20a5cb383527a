//! A server whose cameras are found by themselves: by `framevisor discover`, and by a client library of others.

use std::process::Command;

use serde_json::{Value, json};

use super::rtsp_clients::{PASSWORD, USER, give_password};
use super::rtsp_players::python;
use crate::project::{Project, free_port, source_root};
use crate::{Failure, Outcome, ensure, wait_for};

/// Two cameras, of which the user may play one.
#[derive(Debug)]
struct Site {
    project: Project,
    streams: u16,
    device: u16,
    probes: u16,
}

impl Site {
    fn open() -> Outcome<(Self, std::path::PathBuf)> {
        let (streams, device, probes) = (free_port()?, free_port()?, free_port()?);
        let project = Project::new(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}}
  cam2: {{use: ingest, source: 'test:?size=640x480&fps=25&gop=25'}}
  rtsp:
    use: rtsp
    in: [cam1.packets, cam2.packets]
    listen: 127.0.0.1:{streams}
    users: {{{USER}: {{password: '${{cred:{USER}}}', play: cam1}}}}
    onvif: {{listen: '127.0.0.1:{device}', name: hall, discovery: {probes}}}
"
        ))?;
        let password = give_password(&project)?;
        project.up()?;
        Ok((Self { project, streams, device, probes }, password))
    }

    fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam1", self.streams)
    }
}

/// Probed, asked with the user's password, and told the one camera that the user may play.
pub fn discover_finds_the_cameras() -> Outcome<Value> {
    let (site, _) = Site::open()?;
    let to = format!("127.0.0.1:{}", site.probes);
    let arguments = ["-o", "json", "discover", "--to", &to, "--within", "2s", "--user", USER];
    let arguments = [&arguments[..], &["--password", PASSWORD]].concat();
    // The camera's pictures are described once it has been seen.
    let (found, _) = wait_for(60, "the device to tell its camera", || {
        let text = site.project.succeed(&arguments).ok()?;
        let found: Value = serde_json::from_str(&text).ok()?;
        found["devices"][0]["profiles"][0]["codec"].is_string().then_some(found)
    })?;
    let device = &found["devices"][0];
    ensure(device["name"] == "hall", || format!("{device}"))?;
    let profiles = device["profiles"].as_array().cloned().unwrap_or_default();
    ensure(profiles.len() == 1, || format!("{} profiles: {device}", profiles.len()))?;
    ensure(profiles[0]["url"] == site.url().as_str(), || format!("{device}"))?;
    plays(&site)?;
    site.project.down()?;
    Ok(json!({ "profile": profiles[0] }))
}

/// The same by onvif-zeep, where it is installed.
pub fn a_client_library_finds_them() -> Outcome<Value> {
    let (site, password) = Site::open()?;
    let client = source_root().join("tests/python/onvif_client.py");
    let ask = || {
        Command::new(python())
            .arg(&client)
            .args(["127.0.0.1", &site.device.to_string(), USER])
            .arg(&password)
            .output()
            .map_err(Failure::new)
    };
    let first = ask()?;
    if first.status.code() == Some(3) {
        let why = String::from_utf8_lossy(&first.stderr).trim().to_owned();
        site.project.down()?;
        return Ok(json!({ "skipped": why }));
    }
    let mut said = String::new();
    let told = wait_for(60, "the library to be told of the camera", || {
        let output = ask().ok()?;
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice::<Value>(&output.stdout).ok()
    });
    let (told, _) = told.map_err(|failure| Failure(format!("{failure}: {said}")))?;
    let profiles = told["profiles"].as_array().cloned().unwrap_or_default();
    ensure(profiles.len() == 1 && told["sources"] == 1, || format!("{told}"))?;
    let camera = &profiles[0];
    ensure(camera["uri"] == site.url().as_str() && camera["encoding"] == "H264", || {
        format!("{told}")
    })?;
    ensure(camera["width"] == 320 && told["maker"] == "framevisor", || format!("{told}"))?;
    plays(&site)?;
    site.project.down()?;
    Ok(told)
}

/// What was told can be played.
fn plays(site: &Site) -> Outcome<()> {
    let url = format!("rtsp://{USER}:{PASSWORD}@127.0.0.1:{}/cam1", site.streams);
    let output = Command::new("timeout")
        .args(["60", "ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", &url])
        .args(["-frames:v", "5", "-f", "null", "-"])
        .output()
        .map_err(Failure::new)?;
    let said = String::from_utf8_lossy(&output.stderr).replace(PASSWORD, "***");
    ensure(output.status.success() && said.is_empty(), || said.clone())
}
