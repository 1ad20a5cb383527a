//! Reading a camera with ffmpeg over TCP prints nothing, and every picture is the source's.

use crate::harness::{Camera, Clip, GOP, Site, has, hashes, run, text};

#[test]
fn ffmpeg_reads_three_seconds_and_prints_nothing() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open(8);
    let _camera = Camera::start(&site.project, Clip::plain());
    let output = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-xerror",
            "-rtsp_transport",
            "tcp",
            "-i",
            &site.url(),
            "-t",
            "3",
            "-f",
            "null",
            "-",
        ],
    );
    assert_eq!(text(&output.stdout) + &text(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn without_being_asked_for_tcp_ffmpeg_falls_back_to_it() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open(8);
    let _camera = Camera::start(&site.project, Clip::plain());
    let output =
        run("ffmpeg", &["-v", "error", "-i", &site.url(), "-frames:v", "10", "-f", "null", "-"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn every_picture_arrives_once_in_order_and_the_first_is_a_key_frame() {
    if has("ffmpeg") {
        pictures_are_those_of(Clip::plain());
    }
}

#[test]
fn pictures_of_a_stream_with_b_frames_arrive_in_order_too() {
    if has("ffmpeg") {
        pictures_are_those_of(Clip::with_b_frames());
    }
}

fn pictures_are_those_of(clip: &'static Clip) {
    let site = Site::open(8);
    let _camera = Camera::start(&site.project, clip);
    // The first key frame of any RTSP stream with B-frames has no time in ffmpeg 5.1 (from
    // gst-rtsp-server neither), so the pictures are numbered anew: their order is what counts.
    let output = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-xerror",
            "-rtsp_transport",
            "tcp",
            "-i",
            &site.url(),
            "-frames:v",
            "60",
            "-fps_mode",
            "passthrough",
            "-vf",
            "setpts=N",
            "-f",
            "framemd5",
            "-",
        ],
    );
    assert_eq!(text(&output.stderr), "");
    let seen = hashes(&text(&output.stdout));
    assert_eq!(seen.len(), 60);
    let first = clip.pictures.iter().position(|picture| *picture == seen[0]).unwrap();
    assert_eq!(first % GOP, 0);
    let expected: Vec<_> = clip.pictures.iter().cycle().skip(first).take(60).cloned().collect();
    assert_eq!(seen, expected);
}
