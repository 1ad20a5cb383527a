//! Sources as a user meets them: looked at first, read when somebody reads, printed by a command.

use std::time::Duration;

use shmring::{Next, PacketOptions, Start};
use tests::checks::{ingest_cases, ingest_lines, transports};
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, wait_for};
use worker::PacketInput;

use crate::first_light::{ONE_AT_A_TIME, holds};

const SEED: u64 = 20_261_122;

fn topology(port: u16) -> String {
    format!(
        "version: 1
workers:
  src: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=10'}}
  rtsp: {{use: rtsp, in: src.packets, listen: '127.0.0.1:{port}'}}
  far: {{use: ingest, source: 'rtsp://127.0.0.1:{port}/src', on_demand: true}}
  made:
    run: [ffmpeg, -loglevel, error, -re, -f, lavfi, -i, 'testsrc2=size=320x240:rate=25', -c:v, libx264,
          -preset, ultrafast, -g, '25', -f, mpegts, '-']
    stdout: made.packets
    codec: {{name: mpegts}}
"
    )
}

#[test]
fn a_source_is_probed_read_on_demand_or_printed_by_a_command() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

fn check() -> Outcome<()> {
    let port = free_port()?;
    let project = Project::new(&topology(port))?;
    project.succeed(&["up", "-d"])?;
    flows_on(&project, "src.packets", 10)?;
    is_probed(&project, &format!("rtsp://127.0.0.1:{port}/src"))?;
    is_read_on_demand(&project)?;
    flows_on(&project, "made.packets", 25)?;
    project.down()
}

fn head(project: &Project, ring: &str) -> u64 {
    let rings = shmring::census::rings(project.name());
    rings.iter().filter(|it| it.name.as_str() == ring).map(|it| it.head).sum()
}

fn flows_on(project: &Project, ring: &str, items: u64) -> Outcome<()> {
    let before = head(project, ring);
    let more = || (head(project, ring) >= before + items).then_some(());
    wait_for(60, &format!("more of {ring}"), more).map(drop)
}

fn is_probed(project: &Project, url: &str) -> Outcome<()> {
    let text = project.succeed(&["-o", "json", "probe", url, "--within", "60s"])?;
    let told: serde_json::Value = serde_json::from_str(&text).map_err(Failure::new)?;
    let track = &told["tracks"][0];
    let is_it = track["codec"] == "h264"
        && track["size"] == "320x192"
        && track["key_every_ns"] == 400_000_000
        && told["transport"] == "tcp";
    ensure(is_it, || text.clone())?;
    let lines = told["topology"].as_str().unwrap_or_default();
    ensure(lines.contains(&format!("url: '{url}'")), || text.clone())?;
    let page = project.succeed(&["probe", "far", "--within", "60s"])?;
    ensure(page.contains("320x192") && page.contains("cameras:"), || page.clone())?;
    let nobody = project.run(&["probe", "rtsp://127.0.0.1:1/none"])?;
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    ensure(nobody.status.code() == Some(1) && said.contains("connection refused"), || said.clone())
}

fn is_read_on_demand(project: &Project) -> Outcome<()> {
    let rests = || {
        let status = project.worker("far").ok()?;
        status.why.contains("nobody reads far.packets").then_some(())
    };
    wait_for(60, "far to rest", rests)?;
    let before = head(project, "far.packets");
    let options = PacketOptions { reader: "test".to_owned(), start: Start::NewestKey };
    let mut reader = PacketInput::detached(project.name(), &Project::ring("far.packets")?, options);
    let newer = || {
        let next = reader.poll(Duration::from_millis(20)).ok()??;
        let Next::Item(packet) = next else { return None };
        (packet.sequence > before + 10).then_some(())
    };
    wait_for(60, "far to be read again", newer)?;
    drop(reader);
    wait_for(60, "far to rest again", rests).map(drop)
}

#[test]
fn a_camera_that_asks_for_a_password_comes_in_by_tcp_udp_and_multicast() {
    holds(transports::each_brings_every_picture);
}

/// I1.
#[test]
fn every_picture_of_another_server_is_in_the_decoded_ring_whatever_codec_and_transport_it_has() {
    holds(|| ingest_cases::a_camera_of_each_codec(8));
}

/// I2.
#[test]
fn a_camera_that_refuses_the_password_is_told_as_such_and_left_alone() {
    holds(|| ingest_cases::a_wrong_password_is_told(3));
}

/// I3.
#[test]
fn a_camera_that_was_gone_begins_again_with_a_marked_key_frame_and_times_that_rise() {
    holds(|| ingest_lines::a_camera_that_was_gone_is_back(3));
}

/// I4.
#[test]
fn a_tcp_link_that_loses_packets_loses_no_picture() {
    holds(|| ingest_lines::a_tcp_link_that_loses(6, 20, SEED));
}

/// I5.
#[test]
fn four_cameras_of_one_clock_name_the_same_moment_for_the_same_picture() {
    holds(|| ingest_lines::four_cameras_show_the_same(6));
}

/// I6.
#[test]
fn streams_files_and_commands_bring_every_picture_and_a_command_ends_as_it_is_told() {
    holds(|| ingest_cases::a_source_of_each_kind(6));
}
