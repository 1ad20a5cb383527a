//! RTSP cameras by each way their packets travel: our own server is the camera, since it has them all.

use serde_json::{Value, json};

use super::rtsp_clients::{PASSWORD, USER, give_password};
use crate::framecode::Run;
use crate::project::{Project, free_port};
use crate::{Failure, Outcome, ensure, ffmpeg, wait_for};

const SIZE: (usize, usize) = (320, 192);
const SECONDS: &str = "4";
const PICTURES: u64 = 50;
/// A machine that is busy elsewhere may lose datagrams, which is told and no fault here.
const TRIES: usize = 5;

/// Every picture of a camera comes in by TCP, UDP and multicast, from a camera that asks for a password; what was
/// taken in is served again, and read from there.
pub fn each_brings_every_picture() -> Outcome<Value> {
    let (camera, again) = (free_port()?, free_port()?);
    let url = format!("'rtsp://{USER}:${{cred:{USER}}}@127.0.0.1:{camera}/src'");
    let project = Project::new(&format!(
        "version: 1
workers:
  src: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=10'}}
  camera:
    use: rtsp
    in: src.packets
    listen: 127.0.0.1:{camera}
    multicast: 239.255.42.0/28
    users: {{{USER}: {{password: '${{cred:{USER}}}', play: '*'}}}}
  tcp: {{use: ingest, source: {url}}}
  udp: {{use: ingest, source: {url}, transport: udp}}
  multicast: {{use: ingest, source: {url}, transport: multicast}}
  again: {{use: rtsp, in: [tcp.packets, udp.packets, multicast.packets], listen: '127.0.0.1:{again}'}}
"
    ))?;
    give_password(&project)?;
    project.up()?;
    let mut pictures = serde_json::Map::new();
    for name in ["tcp", "udp", "multicast"] {
        wait_for(60, &format!("{name} to flow"), || {
            let ring = project.rings().ok()?.into_iter().find(|ring| ring.name.camera() == name)?;
            (ring.head > 25).then_some(())
        })?;
        let url = format!("rtsp://127.0.0.1:{again}/{name}");
        let seen = (0..TRIES).map(|_| exact(&url)).find_map(Result::ok);
        let seen = seen.ok_or_else(|| Failure(format!("{name}: {TRIES} times not exact")))?;
        pictures.insert(name.to_owned(), json!(seen));
    }
    let told = project.succeed(&["-o", "json", "ps"])?;
    ensure(!told.contains(PASSWORD), || "ps shows the password".to_owned())?;
    project.down()?;
    Ok(Value::Object(pictures))
}

/// How many pictures in a row were each the next one.
fn exact(url: &str) -> Outcome<u64> {
    let codes =
        ffmpeg::codes(&["-rtsp_transport", "tcp", "-i", url, "-t", SECONDS], SIZE.0, SIZE.1)?;
    let run = Run::of(&codes, None);
    ensure(run.is_exact() && run.pictures >= PICTURES, || format!("{run:?}"))?;
    Ok(run.pictures)
}
