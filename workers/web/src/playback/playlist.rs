//! A reel as an HLS media playlist (RFC 8216). Pure.
//!
//! Names are relative to the playlist's own, and the same for the same bytes whatever range was asked for.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use protocol::time::{NS_PER_S, UtcNs};
use recordings::{FileName, Gap, Growth, Reel, Segment};

/// Of a recording under way it must not change: longer than what a segment may last.
const TARGET_S: u64 = 12;

/// Of one that grows or did only what is behind its end may come, and the end itself (RFC 8216, 6.2.1).
pub fn playlist(reel: &Reel, growth: Growth) -> String {
    let is_fixed = growth == Growth::None;
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
    let lasts_s = |segment: &Segment| seconds(segment.lasts_ns).round();
    let longest = reel.segments.iter().map(lasts_s).fold(0.0, f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds")]
    let target = (longest as u64).max(if is_fixed { 1 } else { TARGET_S });
    let kind = if is_fixed { "VOD" } else { "EVENT" };
    // Writing into a text does not fail.
    let _ = writeln!(text, "#EXT-X-TARGETDURATION:{target}");
    let _ = writeln!(text, "#EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-MEDIA-SEQUENCE:0");
    if is_fixed && reel.segments.iter().all(|segment| segment.key) {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    if is_fixed {
        start(&mut text, reel);
    }
    for (number, gap) in reel.gaps.iter().enumerate() {
        hole(&mut text, number, gap);
    }
    let mut before: Option<&Segment> = None;
    for segment in &reel.segments {
        one(&mut text, reel, before, segment);
        before = Some(segment);
    }
    if growth != Growth::UnderWay {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// What is played begins with the key frame before the time asked for.
fn start(text: &mut String, reel: &Reel) {
    let Some(first) = reel.segments.first() else { return };
    let offset_ns = reel.range.from.0.saturating_sub(first.utc.0);
    if offset_ns > 0 {
        let offset_s = seconds(i64::try_from(offset_ns).unwrap_or(0));
        let _ = writeln!(text, "#EXT-X-START:TIME-OFFSET={offset_s:.3},PRECISE=YES");
    }
}

fn hole(text: &mut String, number: usize, gap: &Gap) {
    let lasts_s = seconds(i64::try_from(gap.to.0.saturating_sub(gap.from.0)).unwrap_or(0));
    let _ = writeln!(
        text,
        "#EXT-X-DATERANGE:ID=\"gap-{number}\",CLASS=\"framevisor.gap\",START-DATE=\"{}\",DURATION={lasts_s:.3},X-REASON=\"{}\",X-MISSING={}",
        date(gap.from),
        gap.reason.as_str(),
        gap.missing,
    );
}

fn one(text: &mut String, reel: &Reel, before: Option<&Segment>, segment: &Segment) {
    let other_init = before.is_none_or(|before| before.init != segment.init);
    let other_tracks = before
        .is_some_and(|before| reel.inits[before.init].streams != reel.inits[segment.init].streams);
    if before.is_some() && (segment.behind_gap || other_tracks) {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if other_init && let Some(stem) = stem(reel, reel.inits[segment.init].file) {
        let _ = writeln!(text, "#EXT-X-MAP:URI=\"init/{stem}.mp4\"");
    }
    let Some(stem) = stem(reel, segment.file) else { return };
    let Segment { at_bytes, bytes, shift_ns, .. } = segment;
    let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", date(segment.utc));
    let (at_s, key) = (seconds(segment.begin_ns), if segment.key { "YES" } else { "NO" });
    // Of ours: players pass over tags that they do not know.
    let _ = writeln!(text, "#EXT-X-FRAMEVISOR-SEGMENT:AT={at_s:.6},KEY={key}");
    let _ = writeln!(text, "#EXTINF:{:.6},", seconds(segment.lasts_ns));
    let _ = writeln!(text, "segment/{stem}/{at_bytes}-{bytes}.m4s?shift={shift_ns}");
}

fn stem(reel: &Reel, file: usize) -> Option<String> {
    let stem = reel.files.get(file)?.file_stem()?.to_str()?;
    recordings::file_name(stem).map(|name: FileName| name.to_string().replace(".mp4", ""))
}

/// RFC 3339 with ms, as players read it.
pub fn date(utc: UtcNs) -> String {
    // Rounded: cut off, it would be early by half a millisecond.
    let ms = utc.0.saturating_add(500_000) / 1_000_000;
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

#[expect(clippy::cast_precision_loss, reason = "far less than 2^53 us")]
fn seconds(ns: i64) -> f64 {
    (ns / 1_000) as f64 / (NS_PER_S / 1_000) as f64
}

#[cfg(test)]
mod tests {
    use protocol::config::replay::Utc;
    use protocol::stream::{Codec, Track};
    use protocol::time::TimeBase;
    use recordings::{GapReason, Init, PacketId, Range};

    use super::*;

    const NOON: UtcNs = UtcNs(1_795_176_000_000_000_000);

    fn after(seconds: u64) -> UtcNs {
        UtcNs(NOON.0 + seconds * NS_PER_S)
    }

    fn segment(number: u64, lasts: i64) -> Segment {
        Segment {
            file: 0,
            at_bytes: 1_000 * (number + 1),
            bytes: 1_000,
            init: 0,
            shift_ns: -7,
            begin_ns: i64::try_from(number).unwrap() * 4_000_000_000,
            lasts_ns: lasts,
            utc: after(number * 4),
            packets: 100,
            key: true,
            behind_gap: number == 0,
        }
    }

    /// Each of tracks of its own.
    fn init(file: usize) -> Init {
        let track = Track {
            codec: Codec::H264,
            time_base: TimeBase::VIDEO_90K,
            width: 640,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: vec![u8::try_from(file).unwrap()],
        };
        Init { file, streams: vec![(0, track)], bytes: Vec::new() }
    }

    fn reel(segments: Vec<Segment>) -> Reel {
        Reel {
            camera: "cam1".to_owned(),
            range: Range { from: after(1), to: after(20) },
            files: ["20261120T120000.000Z-00000007.mp4", "20261120T120100.000Z-00000008.mp4"]
                .map(|name| format!("/srv/cam1/{name}").into())
                .to_vec(),
            segments,
            inits: vec![init(0), init(1)],
            gaps: Vec::new(),
        }
    }

    #[test]
    fn a_range_of_the_past_is_a_playlist_that_ends() {
        let text = playlist(
            &reel(vec![segment(0, 4_000_000_000), segment(1, 3_520_000_000)]),
            Growth::None,
        );
        let expected = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=1.000,PRECISE=YES
#EXT-X-MAP:URI=\"init/20261120T120000.000Z-00000007.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:00.000Z
#EXT-X-FRAMEVISOR-SEGMENT:AT=0.000000,KEY=YES
#EXTINF:4.000000,
segment/20261120T120000.000Z-00000007/1000-1000.m4s?shift=-7
#EXT-X-PROGRAM-DATE-TIME:2026-11-20T12:00:04.000Z
#EXT-X-FRAMEVISOR-SEGMENT:AT=4.000000,KEY=YES
#EXTINF:3.520000,
segment/20261120T120000.000Z-00000007/2000-1000.m4s?shift=-7
#EXT-X-ENDLIST
";
        assert_eq!(text, expected);
        assert_eq!(NOON, "2026-11-20T12:00:00Z".parse::<Utc>().unwrap().0);
    }

    #[test]
    fn a_recording_under_way_has_no_end_and_a_target_that_stays() {
        let text = playlist(&reel(vec![segment(0, 4_000_000_000)]), Growth::UnderWay);
        assert!(
            text.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n") && !text.contains("ENDLIST"),
            "{text}"
        );
        assert!(
            text.contains("#EXT-X-TARGETDURATION:12\n") && !text.contains("EXT-X-START"),
            "{text}"
        );
    }

    #[test]
    fn what_was_told_of_a_recording_under_way_stays_when_it_grows_and_ends() {
        let of = |count: u64, growth| {
            let segments = (0..count).map(|number| segment(number, 4_000_000_000));
            playlist(&reel(segments.collect()), growth)
        };
        let told = [of(1, Growth::UnderWay), of(3, Growth::UnderWay), of(4, Growth::Ended)];
        for (before, after) in told.iter().zip(&told[1..]) {
            assert!(after.starts_with(before.as_str()), "{before} became {after}");
        }
        assert!(told[2].ends_with("#EXT-X-ENDLIST\n"), "{}", told[2]);
    }

    #[test]
    fn a_gap_and_other_tracks_are_discontinuities_and_gaps_say_why() {
        let mut segments: Vec<Segment> =
            (0..4).map(|number| segment(number, 4_000_000_000)).collect();
        segments[1].behind_gap = true;
        (segments[3].file, segments[3].init) = (1, 1);
        let mut reel = reel(segments);
        let id = PacketId { epoch: 1, sequence: 9 };
        let (from, to) = (after(4), after(6));
        let reason = GapReason::SourceRestart;
        reel.gaps.push(Gap { from, to, missing: 3, reason, before: id, after: id });
        let text = playlist(&reel, Growth::None);
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 2, "{text}");
        assert!(
            text.contains("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init/20261120T120100"),
            "{text}"
        );
        let told = "ID=\"gap-0\",CLASS=\"framevisor.gap\",START-DATE=\"2026-11-20T12:00:04.000Z\",DURATION=2.000,X-REASON=\"source_restart\",X-MISSING=3";
        assert!(text.contains(told), "{text}");
    }
}
