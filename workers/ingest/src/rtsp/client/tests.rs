//! What is taken of a description, and whom a silence is blamed on.

use super::*;

fn encodings(sdp: &str) -> Vec<String> {
    let description = sdp::read(sdp.as_bytes());
    let offered = offered("cam", &description.medias, &mut Vec::new()).unwrap();
    offered.into_iter().map(|(media, _)| media.encoding.clone()).collect()
}

#[test]
fn of_several_videos_the_first_is_carried_and_all_sounds_are() {
    let video = |encoding| format!("m=video 0 RTP/AVP 96\na=rtpmap:96 {encoding}/90000\n");
    let sdp = ["m=audio 0 RTP/AVP 0\n", &video("H265"), &video("H264"), "m=audio 0 RTP/AVP 8\n"];
    assert_eq!(encodings(&sdp.concat()), ["H265", "PCMU", "PCMA"]);
}

#[test]
fn an_error_names_some_of_very_many_streams() {
    let sdp = "m=video 0 RTP/AVP 96\na=rtpmap:96 X-MAGIC/90000\n".repeat(1000);
    let told =
        offered("cam", &sdp::read(sdp.as_bytes()).medias, &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(told.matches("X-MAGIC").count(), NAMED_MAX, "{told}");
}

#[test]
fn a_silence_in_which_nobody_looked_is_not_the_cameras() {
    let (second, begun) = (Duration::from_secs(1), MonoNs(5_000_000_000));
    let watch = |passed_s: u32, away: Duration| {
        let mut watch = Watch { at: begun, bytes: 0, sounds: 0 };
        let now = begun + second * passed_s;
        watch.forgive(away, now);
        now.saturating_since(watch.at)
    };
    assert_eq!(watch(12, second * 11), second);
    assert_eq!(watch(12, second), second * 12, "an ordinary turn");
    // A picture that was taken out in the meantime is not from the future.
    assert_eq!(watch(2, second * 11), Duration::ZERO);
}
