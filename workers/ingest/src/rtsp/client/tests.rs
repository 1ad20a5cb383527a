//! What is taken of a description.

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
