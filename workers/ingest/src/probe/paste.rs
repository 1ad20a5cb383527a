//! The lines of a topology that mean what was probed. Pure.

use protocol::config::ingest::{Source, Transport};
use protocol::units::BitRate;
use protocol::verb::ProbedTrack;

use super::warn::lacks_mp4;

/// What a ring is made for unless it is told.
const USUAL_BIT_RATE: u64 = 8_000_000;

/// `transport`: how packets came.
pub(super) fn lines(
    source: &Source,
    transport: Option<Transport>,
    tracks: &[ProbedTrack],
) -> String {
    let mut keys = vec![format!("url: '{}'", url(source))];
    keys.extend(
        transport
            .filter(|transport| *transport != Transport::Tcp)
            .map(|transport| format!("transport: {}", transport.as_str())),
    );
    let bits: u64 = tracks.iter().map(|track| track.bit_rate.0).sum();
    if let Some(rate) = ring_rate(bits) {
        keys.push(format!("max_bitrate: {rate}"));
    }
    if tracks.iter().any(|track| lacks_mp4(track.codec)) {
        keys.push("audio: aac".to_owned());
    }
    format!("version: 1\ncameras:\n  cam1:\n    {}\n", keys.join("\n    "))
}

/// The next power of two of Mbit/s that leaves as much room again; `None` where the usual one does.
fn ring_rate(bits: u64) -> Option<BitRate> {
    let wanted = bits.saturating_mul(2);
    let rate = (0..7).map(|power| USUAL_BIT_RATE << power).find(|rate| *rate >= wanted);
    rate.filter(|rate| *rate > USUAL_BIT_RATE).map(BitRate)
}

/// The address with a variable in place of each secret.
fn url(source: &Source) -> String {
    let text = String::from(source.clone());
    let Some(address) = source.url() else { return quoted(&text) };
    // What a credential makes stands under its name already.
    if text.parse::<Source>().is_ok_and(|plain| plain.to_string() != address.to_string()) {
        return address.to_string().replace('\'', "''");
    }
    let mut text = quoted(&text);
    for secret in address.secrets() {
        text = text.replace(&format!("={}", quoted(secret)), "=${CAM1_SECRET}");
    }
    let Some((scheme, rest)) = text.split_once("://") else { return text };
    let shown = address.to_string();
    let host = shown.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default();
    // What is shown begins behind the credentials, if there are any.
    let Some((login, at)) = rest.rsplit_once(&format!("@{host}")) else { return text };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:${{CAM1_PASSWORD}}@{host}{at}"),
        None => format!("{scheme}://{login}@{host}{at}"),
    }
}

/// As it stands between single quotes, with no variable that was not there.
fn quoted(text: &str) -> String {
    text.replace('\'', "''").replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use protocol::stream::Codec;

    use super::*;

    fn track(codec: Codec, bit_rate: u64) -> ProbedTrack {
        ProbedTrack {
            codec,
            profile: None,
            size: None,
            sample_rate_hz: None,
            channels: None,
            declared_rate: None,
            rate: None,
            key_every_ns: None,
            units: 0,
            bit_rate: BitRate(bit_rate),
        }
    }

    fn of(source: &str) -> String {
        lines(&source.parse().unwrap(), Some(Transport::Tcp), &[track(Codec::H264, 2_000_000)])
    }

    #[test]
    fn passwords_become_variables_wherever_they_are() {
        for (source, url) in [
            (
                "rtsp://admin:s%40cret@10.0.0.5/main?a=b@c",
                "rtsp://admin:${CAM1_PASSWORD}@10.0.0.5/main?a=b@c",
            ),
            (
                "rtsp://admin:p@ss@10.0.0.5:554/main",
                "rtsp://admin:${CAM1_PASSWORD}@10.0.0.5:554/main",
            ),
            (
                "http://10.0.0.5/v.cgi?user=a&pwd=s3cret",
                "http://10.0.0.5/v.cgi?user=a&pwd=${CAM1_SECRET}",
            ),
            ("rtsp://10.0.0.5/it's", "rtsp://10.0.0.5/it''s"),
            ("clip.mp4", "file:clip.mp4"),
        ] {
            let lines = of(source);
            assert!(lines.contains(&format!("    url: '{url}'\n")), "{lines}");
            assert!(!lines.contains("cret@") && !lines.contains("s3cret"), "{lines}");
        }
    }

    #[test]
    fn what_a_credential_makes_stays_under_its_name() {
        let source: Source = "rtsp://10.0.0.5/live/s3cret".parse().unwrap();
        let source = source.shown_as("rtsp://10.0.0.5/live/${cred:path}").unwrap();
        let lines = lines(&source, Some(Transport::Tcp), &[track(Codec::H264, 2_000_000)]);
        assert!(lines.contains("    url: 'rtsp://10.0.0.5/live/${cred:path}'\n"), "{lines}");
    }

    #[test]
    fn what_is_unusual_is_said_and_nothing_else() {
        let source: Source = "rtsp://10.0.0.5/main".parse().unwrap();
        let plain = lines(&source, Some(Transport::Tcp), &[track(Codec::H264, 4_000_000)]);
        assert_eq!(plain, "version: 1\ncameras:\n  cam1:\n    url: 'rtsp://10.0.0.5/main'\n");
        for sound in [Codec::PcmAlaw, Codec::PcmS16le] {
            let tracks = [track(Codec::H265, 12_000_000), track(sound, 64_000)];
            let told = lines(&source, Some(Transport::Udp), &tracks);
            let keys = "    transport: udp\n    max_bitrate: 32M\n    audio: aac\n";
            assert!(told.ends_with(keys), "{told}");
        }
    }
}
