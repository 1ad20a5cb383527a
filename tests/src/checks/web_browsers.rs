//! W1, W2, J1 and P1: a camera in browsers and in clients without a browser, by each way that is not HLS, picture by
//! picture.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use shmring::clock;

use super::rtsp_clips::make_clip_of;
use super::rtsp_players::python;
use super::web_site::{SIZE, Site, tenth};
use crate::fleet::{Ask, Fleet, holes};
use crate::framecode::Run;
use crate::glass::{self, Engine, Glass, Shown, Way, settled};
use crate::project::{Project, free_port, source_root};
use crate::{Failure, Outcome, ensure, ffmpeg, wait_for};

/// A player that begins may be restless for so long.
const SETTLES_MS: f64 = 2_000.0;

/// W1: by our player or without it in between, and each message looked at by a client that is no browser.
pub fn fragments_in_a_media_source(engine: Engine, way: Way, seconds: u64) -> Outcome<Value> {
    let site = Site::plain()?;
    let fleet = Fleet::start(&[Ask::of(site.port)])?;
    let mut glass = match Glass::open_in(engine, &site.base(), way, "cam1")? {
        Ok(glass) => glass,
        Err(why) => return Ok(json!({ "skipped": why })),
    };
    glass.wait_for(seconds * 25)?;
    let lag_s = glass.browser.evaluate("glass.lag()")?;
    let by = glass.browser.evaluate("glass.player?.transport ?? 'ws-mse'")?;
    ensure(by == "ws-mse", || format!("the page's player took {by}"))?;
    let run = glass::exact_enough(&settled(glass.shown()?, SETTLES_MS))?;
    let errors = glass.errors()?;
    ensure(errors.is_empty(), || errors.join("; "))?;
    ensure(lag_s.as_f64().is_some_and(|lag_s| lag_s < 1.0), || format!("{lag_s} s are buffered"))?;
    drop(glass);
    let log = fleet.finish().remove(0);
    let missed = holes(&log.pictures);
    ensure(log.wrong.is_empty() && missed.is_empty() && log.skipped == 0, || {
        format!("{:?}, {missed:?}, {} skipped", log.wrong, log.skipped)
    })?;
    Ok(json!({
        "pictures": run.pictures, "left_out_by_the_browser": run.lost, "torn": run.torn,
        "buffered_s_at_end": lag_s, "messages_looked_at": log.pictures.len(),
    }))
}

/// W2: pictures that are shown in another order than they are sent in.
pub fn of_a_source_with_b_frames(seconds: u64) -> Outcome<Value> {
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: '{{dir}}/b.mp4'}}
  web: {{use: web, in: cam1.packets, listen: '127.0.0.1:{port}'}}
"
    ))?;
    make_clip_of(&project.dir().join("b.mp4"), 60, 25, 2)?;
    project.up()?;
    let base = format!("http://127.0.0.1:{port}");
    let mut glass = match Glass::open(&base, Way::WebSocket, "cam1")? {
        Ok(glass) => glass,
        Err(why) => return Ok(json!({ "skipped": why })),
    };
    glass.wait_for(seconds * 25)?;
    let begins_s = glass.browser.evaluate("glass.begun - glass.head.at_s")?;
    let begins_s = begins_s.as_f64().unwrap_or(f64::INFINITY);
    ensure((-0.001..=0.1).contains(&begins_s), || {
        format!("what is buffered begins {begins_s} s behind the first picture")
    })?;
    let run = glass::exact_enough(&glass.shown()?)?;
    let errors = glass.errors()?;
    ensure(errors.is_empty(), || errors.join("; "))?;
    drop(glass);
    project.down()?;
    Ok(json!({
        "pictures": run.pictures, "left_out_by_the_browser": run.lost, "torn": run.torn,
        "begins_s_behind_its_first_picture": begins_s,
    }))
}

const MJPEG: &str = "  eyes: {use: decoder, in: cam1.packets, out: cam1.frames}
  web: {use: web, in: [cam1.frames, cam1.packets], listen: '127.0.0.1:{port}'}
";

/// J1: at most ten pictures a second, none torn, each in a part that says how long it is.
pub fn mjpeg_for_everything() -> Outcome<Value> {
    let site = Site::begin(MJPEG)?;
    let url = format!("{}/mjpeg/cam1", site.base());
    wait_for(60, "a picture", || site.text("/snap/cam1.jpg").ok())?;
    let input = ["-f", "mpjpeg", "-t", "6", "-i", &url];
    let codes = ffmpeg::codes(&input, SIZE.0, SIZE.1)?;
    let run = Run::of(&codes, None);
    let damage = run.torn + run.unreadable + run.doubled + run.backward;
    ensure(damage == 0 && run.pictures > 20, || format!("ffmpeg: {run:?}"))?;
    let file = site.project.dir().join("mjpeg");
    let head = site.project.dir().join("mjpeg-head");
    // It ends by its own clock, which is no failure of what it was given.
    Command::new("curl")
        .args(["-sSN", "--max-time", "5", "-D"])
        .arg(&head)
        .arg("-o")
        .arg(&file)
        .arg(&url)
        .output()
        .map_err(|error| Failure(format!("curl: {error}")))?;
    let head = fs::read_to_string(&head).map_err(Failure::new)?;
    let parts = parts_of(&head, &fs::read(&file).map_err(Failure::new)?).map_err(Failure)?;
    ensure(parts > 20, || format!("curl: {parts} parts"))?;
    site.project.down()?;
    Ok(json!({ "ffmpeg_pictures": run.pictures, "torn": run.torn, "curl_parts": parts }))
}

/// Whole parts of a multipart body, each a JPEG that is as long as it says.
fn parts_of(head: &str, body: &[u8]) -> Result<u64, String> {
    let kind = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-type:"));
    let kind = kind.ok_or("no Content-Type")?;
    let (_, boundary) =
        kind.split_once("boundary=").ok_or_else(|| format!("no boundary: {kind}"))?;
    let opening = format!("--{}", boundary.trim().trim_matches('"'));
    let (mut rest, mut parts) = (body, 0);
    loop {
        // Lines between parts.
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
        }
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else { break };
        let told = String::from_utf8_lossy(&rest[..end]).into_owned();
        if !told.starts_with(&opening) {
            return Err(format!("part {parts} begins with {told}"));
        }
        let length = told.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.ok_or_else(|| format!("no Content-Length: {told}"))?;
        // The last one is cut where the client ended.
        let Some(jpeg) = rest.get(end + 4..end + 4 + length) else { break };
        if !jpeg.starts_with(&[0xff, 0xd8]) || !jpeg.ends_with(&[0xff, 0xd9]) {
            return Err(format!("part {parts} is no whole JPEG"));
        }
        rest = &rest[end + 4 + length..];
        parts += 1;
    }
    Ok(parts)
}

const VIEWERS: &str = "framevisor_webrtc_viewers{camera=\"cam1\"}";

/// P1 in a browser: nothing torn, nothing left behind when it goes, and, where nobody else uses the machine, nothing dropped.
pub fn whep_in_a_browser(engine: Engine, seconds: u64, is_alone: bool) -> Outcome<Value> {
    let site = Site::plain()?;
    let mut glass = match Glass::open_in(engine, &site.base(), Way::Whep, "cam1")? {
        Ok(glass) => glass,
        Err(why) => return Ok(json!({ "skipped": why })),
    };
    // A viewer runs through what it begins with.
    glass.wait_for(50)?;
    let before = glass.browser.evaluate("glass.inbound()")?;
    glass.wait_for(seconds * 25)?;
    let after = glass.browser.evaluate("glass.inbound()")?;
    let dropped = |stats: &Value| stats["framesDropped"].as_u64();
    ensure(!is_alone || dropped(&after).is_some() && dropped(&after) == dropped(&before), || {
        format!("pictures were dropped: {before}, then {after}")
    })?;
    let run = glass::run(&settled(glass.shown()?, SETTLES_MS));
    let is_whole = run.pictures > 0 && run.torn + run.unreadable + run.backward == 0;
    ensure(is_whole && (!is_alone || glass::is_exact_enough(&run)), || format!("{run:?}"))?;
    let errors = glass.errors()?;
    ensure(errors.is_empty(), || errors.join("; "))?;
    let begun = clock::mono();
    glass.browser.evaluate("glass.whep.close()")?;
    wait_for(60, "the session to be free", || (site.metric(VIEWERS).ok()? == 0.0).then_some(()))?;
    let free_ms = super::ms_since(begun);
    drop(glass);
    site.project.down()?;
    Ok(json!({
        "pictures": run.pictures, "left_out_by_the_browser": run.lost, "torn": run.torn,
        "frames_dropped": dropped(&after), "frames_decoded": after["framesDecoded"], "free_ms": free_ms.round(),
    }))
}

/// What aiortc saw of a camera: numbers and times. `Ok(Err(why))` where it is not installed.
pub fn aiortc(site: &Site, seconds: u64) -> Outcome<Result<Value, String>> {
    let client = source_root().join("tests/python/whep_client.py");
    let url = format!("{}/whep/cam1", site.base());
    let output = Command::new("timeout")
        .args(["-k", "5", &(seconds + 60).to_string()])
        .arg(python())
        .arg(client)
        .args([&url, &seconds.to_string()])
        .output()
        .map_err(Failure::new)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) {
        return Ok(Err(said.trim().to_owned()));
    }
    ensure(output.status.success(), || format!("aiortc: {}: {said}", output.status))?;
    serde_json::from_slice(&output.stdout).map(Ok).map_err(Failure::new)
}

/// Its pictures, as those of a screen.
pub fn shown_by(told: &Value) -> Vec<Shown> {
    let read = |row: &Value| {
        let number = row[0].as_u64().and_then(|number| u32::try_from(number).ok());
        Some(Shown { top: number, bottom: number, at_ms: row[1].as_f64()? })
    };
    told["seen"].as_array().into_iter().flatten().filter_map(read).collect()
}

/// P1 without a browser.
pub fn whep_in_aiortc(seconds: u64) -> Outcome<Value> {
    let site = Site::plain()?;
    let told = match aiortc(&site, seconds)? {
        Ok(told) => told,
        Err(why) => return Ok(json!({ "skipped": why })),
    };
    let shown = shown_by(&told);
    let codes: Vec<_> = shown.iter().map(|one| (one.top, one.bottom)).collect();
    let run = Run::of(&codes, None);
    ensure(run.is_exact() && told["torn"] == 0 && run.pictures + 75 >= seconds * 25, || {
        format!("{run:?}, {} torn", told["torn"])
    })?;
    ensure(told["deleted"] == 200, || format!("DELETE: {}", told["deleted"]))?;
    let free = || (site.metric(VIEWERS).ok()? == 0.0).then(|| clock::now().utc);
    let (free, _) = wait_for(60, "the session to be free", free)?;
    let free_ms = Duration::from_nanos(free.0).as_secs_f64() * 1000.0
        - told["deleted_at_ms"].as_f64().unwrap_or(0.0);
    site.project.down()?;
    Ok(
        json!({ "pictures": run.pictures, "lost": run.lost, "torn": run.torn, "free_ms": tenth(free_ms.max(0.0)) }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n";

    fn part(length: usize) -> Vec<u8> {
        let mut part =
            format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n")
                .into_bytes();
        part.extend([0xff, 0xd8, 1, 2, 0xff, 0xd9]);
        part.extend(b"\r\n");
        part
    }

    #[test]
    fn parts_are_counted_when_they_are_as_long_as_they_say() {
        let mut body = [part(6), part(6)].concat();
        assert_eq!(parts_of(HEAD, &body), Ok(2));
        body.extend(&part(6)[..50]);
        assert_eq!(parts_of(HEAD, &body), Ok(2));
        assert!(parts_of(HEAD, &part(4)).is_err());
        assert!(parts_of("HTTP/1.1 200 OK\r\n", &body).is_err());
    }
}
