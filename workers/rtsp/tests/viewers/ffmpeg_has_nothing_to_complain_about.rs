//! Reading a camera with ffmpeg prints nothing, and every picture is the source's, by whichever way it comes.

use crate::harness::{Camera, Clip, GOP, PATIENCE, Site, has, hashes, run, run_for, skipped, text};

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
    assert_eq!(complaint(&site, clip, "tcp"), None);
}

#[test]
fn every_picture_arrives_through_an_http_tunnel() {
    if has("ffmpeg") {
        let site = Site::open(8);
        let _camera = Camera::start(&site.project, Clip::plain());
        assert_eq!(complaint(&site, Clip::plain(), "http"), None);
    }
}

#[test]
fn every_picture_arrives_over_udp() {
    if has("ffmpeg") {
        for clip in [Clip::plain(), Clip::with_b_frames()] {
            let site = Site::open_with_datagrams();
            let _camera = Camera::start(&site.project, clip);
            assert_exact_once(&site, clip, "udp");
        }
    }
}

/// Set where this program runs itself in a network of its own.
const IN_NETWORK: &str = "FRAMEVISOR_RTSP_IN_NETWORK";

/// ffmpeg joins groups by the route to them, and has no option for another network: it gets one in which that is
/// loopback.
#[test]
fn every_picture_arrives_over_multicast() {
    if !has("ffmpeg") {
        return;
    }
    if std::env::var_os(IN_NETWORK).is_some() {
        let site = Site::open_with_datagrams();
        let _camera = Camera::start(&site.project, Clip::plain());
        return assert_exact_once(&site, Clip::plain(), "udp_multicast");
    }
    let prepare = "ip link set lo up multicast on && ip route add 224.0.0.0/4 dev lo";
    if !has("unshare") || !run("unshare", &["-n", "sh", "-c", prepare]).status.success() {
        return skipped("no network of its own can be made");
    }
    let own = std::env::current_exe().unwrap();
    let name = "ffmpeg_has_nothing_to_complain_about::every_picture_arrives_over_multicast";
    let again = format!("{prepare} && {IN_NETWORK}=1 exec '{}' --exact {name}", own.display());
    let output = run_for("unshare", &["-n", "sh", "-c", &again], 5 * PATIENCE);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Datagrams are lost where a machine lets nobody read them for a second, and nobody is to blame: one of a few
/// attempts has to be exact.
fn assert_exact_once(site: &Site, clip: &Clip, transport: &str) {
    let complaints: Vec<_> = (0..4).map_while(|_| complaint(site, clip, transport)).collect();
    assert!(complaints.len() < 4, "{complaints:#?}");
}

/// What is wrong with sixty pictures that ffmpeg reads.
fn complaint(site: &Site, clip: &Clip, transport: &str) -> Option<String> {
    // The first key frame of any RTSP stream with B-frames has no time in ffmpeg 5.1 (from
    // gst-rtsp-server neither), so the pictures are numbered anew: their order is what counts.
    let url = site.url();
    let input = ["-v", "error", "-xerror", "-rtsp_transport", transport, "-i", &url];
    let output =
        ["-frames:v", "60", "-fps_mode", "passthrough", "-vf", "setpts=N", "-f", "framemd5", "-"];
    let output = run("ffmpeg", &[&input[..], &output].concat());
    let seen = hashes(&text(&output.stdout));
    let Some(first) =
        seen.first().and_then(|first| clip.pictures.iter().position(|it| it == first))
    else {
        return Some(format!("no picture of the camera: {}", text(&output.stderr)));
    };
    let expected: Vec<_> = clip.pictures.iter().cycle().skip(first).take(60).cloned().collect();
    let whole = seen == expected && first % GOP == 0 && output.stderr.is_empty();
    (!whole).then(|| format!("{} pictures from {first} on: {}", seen.len(), text(&output.stderr)))
}
