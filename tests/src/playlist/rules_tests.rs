use super::*;

const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n\
    #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.66\n#EXT-X-PART-INF:PART-TARGET=0.22\n";

/// Four segments of a second from `first` on, the last with parts; one part of the next is there.
fn list(first: u64) -> String {
    let mut text = format!(
        "{HEAD}#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:7\n#EXT-X-MAP:URI=\"init-a.mp4\"\n"
    );
    for number in first..first + 4 {
        let second = number % 60;
        text += &format!("#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:{second:02}.000Z\n");
        if number == first + 3 {
            for place in 0..5 {
                let independent = if place == 0 { ",INDEPENDENT=YES" } else { "" };
                text += &format!(
                    "#EXT-X-PART:DURATION=0.2,URI=\"{number}.{place}.m4s\"{independent}\n"
                );
            }
        }
        text += &format!("#EXTINF:1.000,\n{number}.m4s\n");
    }
    let next = first + 4;
    text += &format!("#EXT-X-PART:DURATION=0.2,URI=\"{next}.0.m4s\",INDEPENDENT=YES\n");
    text + &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{next}.1.m4s\"\n")
}

fn parsed(text: &str) -> Media {
    Media::parse(text).expect("a list")
}

/// What is said of a list in which something was replaced, which must have been there.
fn said(from: &str, to: &str) -> String {
    let good = list(10);
    assert!(good.contains(from), "{from}");
    violations(&parsed(&good.replace(from, to))).join("; ")
}

#[test]
fn a_list_that_slides_keeps_every_rule() {
    for first in 10..30 {
        let (before, after) = (parsed(&list(first)), parsed(&list(first + 1)));
        assert_eq!(violations(&before), [""; 0]);
        assert_eq!(violations_between(&before, &after), [""; 0]);
    }
    assert_eq!(parsed(&list(10)).next_part(), (14, 1));
}

#[test]
fn each_rule_of_one_list_is_told_by_its_own_sentence() {
    for (from, to, sentence) in [
        ("#EXTINF:1.000,\n11", "#EXTINF:1.600,\n11", "segment 11 lasts 1.6 s"),
        ("#EXT-X-MAP:URI=\"init-a.mp4\"\n", "", "segment 10 has no EXT-X-MAP"),
        ("10:00:12.000Z", "10:00:11.000Z", "segment 12 is dated before"),
        ("10:00:12.000Z", "soon", "a date that is none"),
        ("PART-HOLD-BACK=0.66", "PART-HOLD-BACK=0.5", "PART-HOLD-BACK"),
        ("CAN-BLOCK-RELOAD=YES,", "", "CAN-BLOCK-RELOAD"),
        (",INDEPENDENT=YES", "", "the first part of segment 13 is not INDEPENDENT"),
        ("0.2,URI=\"13.1", "0.4,URI=\"13.1", "part 13.1 lasts 0.4 s"),
        ("0.2,URI=\"13.1", "0.1,URI=\"13.1", "part 13.1 lasts only 0.1 s"),
        ("#EXT-X-PRELOAD", "#EXT-X-ENDLIST\n#EXT-X-PRELOAD", "has an end"),
    ] {
        let said = said(from, to);
        assert!(said.contains(sentence), "{to}: {said}");
    }
}

#[test]
fn the_last_part_of_a_segment_may_be_short() {
    let shorter = list(10)
        .replace("0.2,URI=\"13.4", "0.05,URI=\"13.4")
        .replace("#EXTINF:1.000,\n13", "#EXTINF:0.850,\n13");
    assert_eq!(violations(&parsed(&shorter)), [""; 0]);
}

#[test]
fn parts_may_not_be_listed_for_ever() {
    let part = "#EXT-X-PART:DURATION=0.2,URI=\"x\",INDEPENDENT=YES\n".repeat(5);
    let mut old = parsed(&list(10));
    let parts = parsed(&format!("{HEAD}{part}")).open;
    let segments: Vec<_> = (0..8)
        .map(|nth| super::super::Segment {
            number: nth,
            parts: parts.clone(),
            ..old.segments[0].clone()
        })
        .collect();
    old.segments = segments;
    assert!(violations(&old).iter().any(|it| it.contains("parts of segment 0 are listed")));
}

/// What is said of a list behind `list(10)`.
fn said_of_next(next: &str) -> String {
    violations_between(&parsed(&list(10)), &parsed(next)).join("; ")
}

#[test]
fn each_rule_of_two_lists_is_told_by_its_own_sentence() {
    assert!(said_of_next(&list(9)).contains("EXT-X-MEDIA-SEQUENCE was 10 and is 9"));
    let slid = list(11);
    for (from, to, sentence) in [
        ("TARGETDURATION:1", "TARGETDURATION:2", "target duration was 1 s"),
        ("\n12.m4s", "\nother.m4s", "segment 12 became another"),
        ("#EXTINF:1.000,\n13", "#EXTINF:0.900,\n13", "segment 13 became another"),
        ("init-a.mp4", "init-b.mp4", "segment 11 became another"),
        ("SEQUENCE:7", "SEQUENCE:6", "EXT-X-DISCONTINUITY-SEQUENCE was 7 and is 6"),
        ("SEQUENCE:7", "SEQUENCE:9", "the number of cuts was 7 and is 9 without one"),
    ] {
        let said = said_of_next(&slid.replace(from, to));
        assert!(said.contains(sentence), "{to}: {said}");
    }
}

#[test]
fn a_list_that_removes_keeps_three_target_durations() {
    let mut short = parsed(&list(11));
    short.segments.truncate(2);
    let said = violations_between(&parsed(&list(10)), &short).join("; ");
    assert!(said.contains("2 s are left"), "{said}");
}

#[test]
fn a_restart_of_the_camera_may_raise_the_number_of_cuts_by_more_than_one() {
    let cut = list(11)
        .replace("SEQUENCE:7", "SEQUENCE:900")
        .replace("#EXTINF:1.000,\n14", "#EXT-X-DISCONTINUITY\n#EXTINF:1.000,\n14");
    assert_eq!(said_of_next(&cut), "");
    // Its first segment need not be complete.
    let cut = list(11).replace("SEQUENCE:7", "SEQUENCE:900").replace(
        "#EXT-X-PART:DURATION=0.2,URI=\"15.0",
        "#EXT-X-DISCONTINUITY\n#EXT-X-PART:DURATION=0.2,URI=\"15.0",
    );
    assert_eq!(said_of_next(&cut), "");
}
