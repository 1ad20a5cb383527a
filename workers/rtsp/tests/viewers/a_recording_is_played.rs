//! Ranges of recordings over RTSP: where they begin and end, seeking, pausing, faster.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::datagrams_reach_their_viewers::{between, datagram, own_ports, wait_for_farewell};
use crate::film::{
    Cinema, SETS, STEP_NS, Seen, clock_of, header, is_key, is_picture, promises, time_of,
};
use crate::harness::{Clip, GOP, PATIENCE, has, hashes, run, text};
use rtsp::house::Terms;
use rtsp::recorded::belt::{Given, belt};
use rtsp::recorded::range::{Scale, Stretch, Window};
use rtsp::recorded::spool::{self, Order, Strip};
use rtsp::sdp::Presentation;
use shmring::clock;

/// Four groups of pictures, of two seconds each, in two files.
fn film() -> Cinema {
    Cinema::new().file(1..=170).file(171..=400).open()
}

/// Seconds behind the first packet, as npt.
fn npt_of(number: u64) -> String {
    let us = (number - 1) * STEP_NS / 1_000;
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn number(seen: &Seen) -> u64 {
    match seen {
        Seen::Packet { number, .. } => *number,
        Seen::Goodbye { channel } => panic!("goodbye on channel {channel}"),
    }
}

#[test]
fn a_range_that_starts_inside_a_group_begins_at_the_key_frame_before_it_and_holds_the_time_asked_for()
 {
    let cinema = film();
    // Packet 250 lies in the group that begins with 201; the range ends with 280.
    let (asked, key, end) = (250, 201, 281);
    for (range, told) in [
        (
            format!("clock={}-{}", clock_of(asked), clock_of(end)),
            format!("clock={}-{}", clock_of(key), clock_of(end)),
        ),
        (
            format!("npt={}-{}", npt_of(asked), npt_of(end)),
            format!("npt={}-{}", npt_of(key), npt_of(end)),
        ),
    ] {
        let mut visitor = cinema.visitor().set_up();
        let answer = visitor.play(&format!("Range: {range}\r\n"));
        assert_eq!(header(&answer, "Range"), told);
        let first = visitor.next();
        let Seen::Packet { number, sequence, ticks } = first else { panic!("{first:?}") };
        assert_eq!((number, (sequence, ticks)), (key, promises(&answer)[0]));
        let rest = visitor.rest();
        assert_eq!(rest, (key + 1..end).collect::<Vec<_>>(), "each once and in order, {asked} too");
    }
}

#[test]
fn times_in_the_url_are_the_range_and_describe_tells_how_long_it_is() {
    let cinema = film();
    let mut client = cinema.visitor().client;
    let url = format!("{}?from={}&to={}", cinema.url(), clock_of(250), clock_of(281));
    let answer = client.ask("DESCRIBE", &url, "");
    let base = header(&answer, "Content-Base");
    assert_eq!(base, format!("{}/from={}/to={}/", cinema.url(), clock_of(250), clock_of(281)));
    assert!(
        answer.contains(&format!("\r\na=range:npt=0.000000-{}\r\n", npt_of(281 - 200))),
        "{answer}"
    );
    assert!(answer.contains("H264/90000") && answer.contains("mpeg4-generic/48000/2"));
    let whole = client.ask("DESCRIBE", &cinema.url(), "");
    assert!(whole.contains(&format!("\r\na=range:npt=0.000000-{}\r\n", "8.020000")), "{whole}");
}

#[test]
fn the_end_of_a_range_is_told_and_another_one_can_be_played() {
    let cinema = film();
    let mut visitor = cinema.visitor().set_up();
    visitor.play(&format!("Range: npt={}-{}\r\n", npt_of(101), npt_of(111)));
    assert_eq!(visitor.rest(), (101..111).collect::<Vec<_>>());
    let again = visitor.play(&format!("Range: npt={}-{}\r\n", npt_of(1), npt_of(6)));
    let first = visitor.next();
    let Seen::Packet { number, sequence, ticks } = first else { panic!("{first:?}") };
    assert_eq!((number, (sequence, ticks)), (1, promises(&again)[0]));
    assert_eq!(visitor.rest(), [2, 3, 4, 5]);
}

#[test]
fn what_was_set_up_is_played_whatever_else_is_described_meanwhile() {
    let cinema = film();
    let mut visitor = cinema.visitor().set_up();
    for (from, status) in [(100_000, "404"), (250, "200")] {
        let url = format!("{}?from={}", cinema.url(), clock_of(from));
        let answer = visitor.client.ask("DESCRIBE", &url, "");
        assert!(answer.starts_with(&format!("RTSP/1.0 {status}")), "{answer}");
        visitor.play(&format!("Range: npt=0-{}\r\n", npt_of(6)));
        assert_eq!(visitor.rest(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_second_play_seeks_and_sequence_numbers_go_on() {
    let cinema = film();
    let mut visitor = cinema.visitor().set_up();
    let first = visitor.play("Range: npt=0-\r\n");
    let seen: Vec<_> = (0..20).map(|_| visitor.next()).collect();
    assert_eq!(seen.iter().map(number).collect::<Vec<_>>(), (1..21).collect::<Vec<_>>());
    let answer = visitor.play(&format!("Range: npt={}-{}\r\n", npt_of(350), npt_of(355)));
    assert_eq!(header(&answer, "Range"), format!("npt={}-{}", npt_of(301), npt_of(355)));
    let (before, after) = (promises(&first)[0], promises(&answer)[0]);
    assert!(after.0.wrapping_sub(before.0) < 1 << 15, "the sequence goes on: {before:?} {after:?}");
    assert!(after.1.wrapping_sub(before.1) < 1 << 31, "and so does time: {before:?} {after:?}");
    // What was under way when the request came stands before its answer.
    let numbers = visitor.rest();
    assert_eq!(numbers, (301..355).collect::<Vec<_>>());
}

#[test]
fn a_pause_loses_and_repeats_nothing() {
    let cinema = film();
    let mut visitor = cinema.visitor().set_up();
    // Seconds more than are read here: it must not end before it is paused.
    let end = 201;
    visitor.play(&format!("Range: npt=0-{}\r\n", npt_of(end)));
    let mut numbers: Vec<u64> = (0..20).map(|_| number(&visitor.next())).collect();
    // What is on its way comes before the answer.
    let paused = visitor.ask("PAUSE", "");
    assert!(paused.starts_with("RTSP/1.0 200"), "{paused}");
    let answer = visitor.play("");
    let from = header(&answer, "Range").to_owned();
    numbers.clear();
    numbers.extend(visitor.rest());
    assert_eq!(from, format!("npt={}-{}", npt_of(numbers[0]), npt_of(end)));
    assert!(numbers[0] > 20, "{numbers:?}");
    assert_eq!(numbers, (numbers[0]..end).collect::<Vec<_>>());
}

#[test]
fn a_range_that_is_asked_for_track_by_track_is_played_of_both() {
    let cinema = film();
    let mut visitor = cinema.visitor().set_up();
    let range = format!("Range: npt=0-{}\r\n", npt_of(11));
    let both = [0, 1].map(|track| visitor.request_of(track, "PLAY", &range)).concat();
    visitor.client.socket.write_all(both.as_bytes()).unwrap();
    let first = visitor.client.response();
    assert_eq!(promises(&first).len(), 1, "{first}");
    let second = visitor.client.response();
    assert_eq!(promises(&second).len(), 2, "what played begins with the other: {second}");
    assert_eq!(visitor.rest(), (1..11).collect::<Vec<_>>());
}

#[test]
fn a_track_that_paused_alone_is_played_again_from_a_key_frame_on() {
    let cinema = film();
    let mut visitor = cinema.visitor().set_up();
    visitor.play("Range: npt=0-\r\n");
    for (method, expected) in [("PAUSE", 0), ("PLAY", 1)] {
        let request = visitor.request_of(0, method, "");
        visitor.client.socket.write_all(request.as_bytes()).unwrap();
        let answer = visitor.client.response();
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        assert_eq!(answer.matches("trackID=0;seq=").count(), expected, "{answer}");
    }
    let first = std::iter::repeat_with(|| visitor.next()).find_map(|seen| match seen {
        Seen::Packet { number, .. } if is_picture(number) => Some(number),
        Seen::Packet { .. } | Seen::Goodbye { .. } => None,
    });
    let first = first.unwrap();
    assert!(is_key(first), "packet {first} does not decode");
}

#[test]
fn faster_than_it_was_recorded_key_frames_alone_are_sent() {
    let cinema = film();
    let mut visitor = cinema.visitor().set_up();
    let answer = visitor.play("Range: npt=0-\r\nScale: 8\r\n");
    assert_eq!(header(&answer, "Scale"), "8.000");
    let first = visitor.next();
    let Seen::Packet { ticks, .. } = first else { panic!("{first:?}") };
    let second = visitor.next();
    let Seen::Packet { number, ticks: later, .. } = second else { panic!("{second:?}") };
    assert_eq!(number, 101);
    assert_eq!(later.wrapping_sub(ticks), 90_000 * 2 / 8, "two seconds of recording in an eighth");
    assert_eq!(visitor.rest(), [201, 301]);
    let slower = visitor.play("Range: npt=0-0.1\r\nScale: 0.5\r\n");
    assert_eq!(header(&slower, "Scale"), "0.500");
    assert_eq!(visitor.rest(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_recording_comes_by_udp_though_multicast_is_offered_first_and_its_end_is_told() {
    let (udp_ports, multicast) =
        ("20000-28999".parse().unwrap(), "239.255.44.0/24".parse().unwrap());
    let cinema = Cinema::new().file(1..=170);
    let cinema = cinema.open_with(Terms { udp_ports, multicast, ..Terms::over_tcp(8) });
    let mut client = cinema.visitor().client;
    let (rtp, rtcp, ports) = own_ports();
    let offers = format!("Transport: RTP/AVP;multicast,RTP/AVP;unicast;client_port={ports}\r\n");
    let answer = client.ask("SETUP", &format!("{}/trackID=1", cinema.url()), &offers);
    assert!(answer.contains(&format!("client_port={ports}")), "{answer}");
    let session = format!("Session: {}\r\n", between(&answer, "Session: ", ';'));
    let range = format!("{session}Range: npt=0-{}\r\n", npt_of(11));
    let played = client.ask("PLAY", &cinema.url(), &range);
    assert!(played.starts_with("RTSP/1.0 200"), "{played}");
    // Every second packet is sound.
    for _ in 0..5 {
        datagram(&rtp);
    }
    wait_for_farewell(&rtcp);
    let deadline = clock::mono() + PATIENCE;
    loop {
        let list = cinema.server.as_ref().unwrap().list(clock::mono());
        // What is read of the other track counts, as with cameras.
        let told = list.iter().find(|it| it.units == 10 && !it.playing);
        if let Some(told) = told {
            let seen = (told.camera.as_str(), told.transport.as_str());
            assert_eq!(seen, ("recordings/cam1", "udp"));
            break;
        }
        assert!(clock::mono() < deadline, "it is not listed: {list:?}");
        // A request is a reason to note it.
        client.ask("GET_PARAMETER", &cinema.url(), &session);
    }
}

#[test]
fn a_track_that_is_torn_down_alone_is_told_goodbye() {
    let udp_ports = "20000-28999".parse().unwrap();
    let cinema = Cinema::new().file(1..=400);
    let cinema = cinema.open_with(Terms { udp_ports, ..Terms::over_tcp(8) });
    let mut client = cinema.visitor().client;
    let (url, mut session) = (cinema.url(), String::new());
    let tracks = [0, 1].map(|track| {
        let (rtp, rtcp, ports) = own_ports();
        let lines = format!("Transport: RTP/AVP;unicast;client_port={ports}\r\n{session}");
        let answer = client.ask("SETUP", &format!("{url}/trackID={track}"), &lines);
        session = format!("Session: {}\r\n", between(&answer, "Session: ", ';'));
        (rtp, rtcp)
    });
    let played = client.ask("PLAY", &url, &session);
    assert!(played.starts_with("RTSP/1.0 200"), "{played}");
    datagram(&tracks[1].0);
    let over = client.ask("TEARDOWN", &format!("{url}/trackID=1"), &session);
    assert!(over.starts_with("RTSP/1.0 200"), "{over}");
    wait_for_farewell(&tracks[1].1);
    let still = client.ask("PLAY", &url, &session);
    assert!(still.starts_with("RTSP/1.0 200"), "the other one stays: {still}");
}

#[test]
fn what_was_not_recorded_takes_no_time_and_behind_it_a_key_frame_comes_first() {
    // An hour is missing, and the file behind it begins inside a group.
    let far = 180_000;
    let cinema = Cinema::new().file(1..=50).file(far + 41..=far + 150).open();
    let mut visitor = cinema.visitor().set_up();
    visitor.play("Range: npt=0-\r\n");
    let mut seen = Vec::new();
    while seen.len() < 60 {
        seen.push(visitor.next());
    }
    let numbers: Vec<u64> = seen.iter().map(number).collect();
    let expected: Vec<u64> = (1..=50).chain(far + 101..=far + 110).collect();
    assert_eq!(numbers, expected);
    let ticks = |at: usize| match seen[at] {
        Seen::Packet { ticks, .. } => ticks,
        Seen::Goodbye { .. } => panic!(),
    };
    // Packet 49 is the last picture, 50 the last sound; behind the hour stand 60 that do not decode.
    assert!(is_picture(numbers[48]) && is_key(numbers[50]));
    let step = ticks(50).wrapping_sub(ticks(48));
    assert_eq!(step, 90_000 * 60 / 1_000, "the picture and the sound are played out, and no more");
    let inside = visitor.play(&format!("Range: clock={}-\r\n", clock_of(90_000)));
    assert!(
        header(&inside, "Range").starts_with(&format!("clock={}-", clock_of(far + 101))),
        "{inside}"
    );
}

#[test]
fn tracks_that_change_end_the_connection_and_a_range_behind_the_change_can_be_described() {
    // Of another level.
    let mut other = SETS.to_vec();
    other[7] = 0x28;
    let mut cinema = Cinema::new().file(1..=50);
    cinema.write(&crate::film::tracks(&other), 101..=150, |number| fmp4::Sample {
        payload: vec![0, 0, 0, 1, if is_key(number) { 0x65 } else { 0x41 }, 9],
        track: 0,
        key: is_key(number),
        pts_ns: i64::try_from(number * STEP_NS).unwrap(),
        dts_ns: i64::try_from(number * STEP_NS).unwrap(),
        duration_ns: i64::try_from(STEP_NS).unwrap(),
    });
    let cinema = cinema.open();
    let mut visitor = cinema.visitor().set_up();
    let refused = visitor.ask("PLAY", &format!("Range: clock={}-\r\n", clock_of(120)));
    assert!(refused.starts_with("RTSP/1.0 455"), "{refused}");
    visitor.play("Range: npt=0.5-\r\n");
    assert!(visitor.client.is_closed_within(PATIENCE));
    let url = format!("{}?from={}", cinema.url(), clock_of(120));
    let described = cinema.visitor().client.ask("DESCRIBE", &url, "");
    assert!(described.contains("profile-level-id=640028"), "{described}");
}

#[test]
fn what_is_not_recorded_is_told() {
    let cinema = film();
    let mut client = cinema.visitor().client;
    let root = cinema.url().replace("cam1", "");
    for (url, status) in [
        (format!("{root}cam2"), "404"),
        (format!("{root}.."), "404"),
        (root.clone(), "404"),
        (format!("{}?from={}", cinema.url(), clock_of(100_000)), "404"),
        (format!("{}?from=yesterday", cinema.url()), "404"),
        (cinema.url(), "200"),
    ] {
        let answer = client.ask("DESCRIBE", &url, "");
        assert!(answer.starts_with(&format!("RTSP/1.0 {status}")), "{url}: {answer}");
    }
    let mut visitor = cinema.visitor().set_up();
    for range in ["npt=500-", "npt=3-2", "smpte=0:10:20-", "clock=20300101T000000Z-"] {
        let answer = visitor.ask("PLAY", &format!("Range: {range}\r\n"));
        assert!(answer.starts_with("RTSP/1.0 457"), "{range}: {answer}");
    }
    visitor.play("");
    assert_eq!(number(&visitor.next()), 1, "the session is as usable as before");
}

#[test]
fn a_recording_is_played_as_fast_as_it_was_recorded_and_no_faster() {
    let cinema = film();
    let mut visitor = cinema.visitor().set_up();
    let begun = clock::mono();
    visitor.play(&format!("Range: npt=0-{}\r\n", npt_of(101)));
    assert_eq!(visitor.rest().len(), 100);
    let took = clock::mono().saturating_since(begun);
    // The last of it is due after 1.98 s; how much later it comes is the machine's affair.
    assert!(took >= Duration::from_nanos(99 * STEP_NS), "{took:?}");
}

#[test]
fn a_disk_that_does_not_answer_holds_up_nobody_else() {
    let cinema = Cinema::new().open();
    // A pipe without a writer: who opens it waits for ever.
    let name = recordings::FileName { capture: crate::film::time_of(1), number: 1 };
    let pipe = cinema.folder().join(name.to_string());
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut stuck = cinema.visitor().client;
    let mut other = cinema.visitor().client;
    let request = format!("DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", cinema.url());
    stuck.socket.write_all(request.as_bytes()).unwrap();
    for _ in 0..20 {
        let answer = other.ask("OPTIONS", &cinema.url(), "");
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
    }
    let answer = stuck.response();
    assert!(answer.starts_with("RTSP/1.0 503"), "{answer}");
}

/// Numbers of packets, and when each is due, of a film that is read in parts of so many packets.
fn read_in_parts(cinema: &Cinema, packets: std::ops::Range<u64>, part: u64) -> Vec<(u64, u64)> {
    let (from, to) = (time_of(packets.start), time_of(packets.end));
    let begin = spool::beginning(&cinema.folder(), Stretch { from, to }).unwrap().unwrap();
    let presentation = Presentation::recorded("x", &begin.streams, Window { from, to });
    let (giver, taker) = belt();
    let order = Order {
        folder: cinema.folder(),
        stretch: Stretch { from, to },
        scale: Scale::NORMAL,
        presentation: Arc::new(presentation),
        part_ns: part * STEP_NS,
    };
    spool::run(order, &giver);
    drop(giver);
    let shown = std::iter::from_fn(|| match taker.take() {
        Given::Item(Strip::Shown(shown)) => Some(shown),
        _ => None,
    });
    let number = |payload: &[u8]| {
        let text = String::from_utf8_lossy(payload).into_owned();
        text.split("packet ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    shown.map(|shown| (number(&shown.unit.payload), shown.due_ns)).collect()
}

#[test]
fn where_one_part_of_the_files_meets_the_next_nothing_is_lost_repeated_or_late() {
    let cinema = Cinema::new().file(1..=170).file(171..=400);
    let expected: Vec<(u64, u64)> =
        (101..391_u64).map(|number| (number, number.saturating_sub(150) * STEP_NS)).collect();
    for part in [1, 7, 49, 50, 51, 120, 1000] {
        let read = read_in_parts(&cinema, 150..391, part);
        assert_eq!(read, expected, "in parts of {part} packets");
    }
}

#[test]
fn a_gap_is_the_same_however_the_files_are_read() {
    let cinema = Cinema::new().file(1..=150).file(641..=800);
    let whole = read_in_parts(&cinema, 1..801, 100_000);
    let numbers: Vec<u64> = whole.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=150).chain(701..=800).collect::<Vec<_>>());
    for part in [3, 60, 333] {
        assert_eq!(read_in_parts(&cinema, 1..801, part), whole, "in parts of {part} packets");
    }
}

/// Eight seconds of what ffmpeg encoded, as a recording.
fn recorded_clip() -> Cinema {
    let clip = Clip::plain();
    let units: Vec<(bool, Vec<u8>)> = clip.units().collect();
    let mut cinema = Cinema::new();
    cinema.step_ns = 40_000_000;
    let last = u64::try_from(units.len()).unwrap();
    cinema.write(&[clip.track()], 1..=last, |number| {
        let ns = i64::try_from(number * 40_000_000).unwrap();
        let at = usize::try_from(number - 1).unwrap().min(units.len() - 1);
        fmp4::Sample {
            track: 0,
            key: units[at].0,
            pts_ns: ns,
            dts_ns: ns,
            duration_ns: 40_000_000,
            payload: units[at].1.clone(),
        }
    });
    cinema.open()
}

/// The pictures that ffmpeg shows.
fn through_ffmpeg(url: &str, options: &[&str]) -> Vec<String> {
    let input =
        ["-rtsp_transport", "tcp", "-i", url, "-fps_mode", "passthrough", "-vf", "setpts=N"];
    let output =
        run("ffmpeg", &[&["-v", "error"], options, &input, &["-f", "framemd5", "-"]].concat());
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
    hashes(&text(&output.stdout))
}

#[test]
fn ffmpeg_plays_a_recording_to_its_end_and_every_picture_is_the_source_s() {
    if !has("ffmpeg") {
        return;
    }
    let cinema = recorded_clip();
    let seen = through_ffmpeg(&cinema.url(), &[]);
    let pictures = &Clip::plain().pictures;
    assert_eq!(seen.len(), pictures.len());
    assert_eq!(&seen, pictures);
}

#[test]
fn ffmpeg_seeks_in_a_recording_and_knows_how_long_it_is() {
    if !has("ffmpeg") {
        return;
    }
    let cinema = recorded_clip();
    let url = cinema.url();
    let asked = [
        "-v",
        "error",
        "-rtsp_transport",
        "tcp",
        "-show_entries",
        "format=duration",
        "-of",
        "csv=p=0",
        &url,
    ];
    let duration = text(&run("ffprobe", &asked).stdout);
    assert_eq!(duration.trim(), "8.000000");
    // Half a second into the fifth group.
    let seen = through_ffmpeg(&url, &["-noaccurate_seek", "-ss", "4.5"]);
    let pictures = &Clip::plain().pictures[4 * GOP..];
    let begin = seen.iter().position(|picture| *picture == pictures[0]);
    let begin = begin.expect("the key frame before the time asked for");
    assert_eq!(&seen[begin..], pictures);
}

#[test]
fn gstreamer_plays_a_recording_to_its_end_too() {
    if !has("ffmpeg") || !has("gst-launch-1.0") {
        return;
    }
    let cinema = recorded_clip();
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("seen.mkv");
    let pipeline = format!(
        "-q rtspsrc location={} protocols=tcp ! rtph264depay ! h264parse ! matroskamux ! filesink location={}",
        cinema.url(),
        film.display()
    );
    let output = run("gst-launch-1.0", &pipeline.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read = ["-v", "error", "-i", film.to_str().unwrap(), "-f", "framemd5", "-"];
    let seen = hashes(&text(&run("ffmpeg", &read).stdout));
    assert_eq!(seen, Clip::plain().pictures);
}
