use std::io::Cursor;

use fmp4::{FoundFragment, read_init, scan};
use protocol::stream::Codec;

use super::*;
use crate::stream::testing::{EPOCH, FIRST_GROUP, MS, NOON_NS, noise, picture, sound, video};

fn packager() -> Packager {
    Packager::new(&"cam1.packets".parse().unwrap(), Arc::default())
}

fn take_all(
    packager: &mut Packager,
    tracks: &[Track],
    packets: impl IntoIterator<Item = Packet>,
) -> Vec<Unit> {
    packets.into_iter().flat_map(|packet| packager.take(packet, tracks).unwrap()).collect()
}

/// The fragment as players read it.
fn read(unit: &Unit) -> FoundFragment {
    let file = [&unit.run.init.bytes[..], &unit.bytes].concat();
    let found = scan(&mut Cursor::new(&file)).unwrap();
    assert_eq!(found.damage, None);
    assert_eq!(found.fragments.len(), 1);
    found.fragments.into_iter().next().unwrap()
}

#[test]
fn each_picture_is_a_fragment_at_its_own_time_and_names_its_packet() {
    let pictures = (0..30).map(|number| picture(EPOCH, number + 1, number));
    let units = take_all(&mut packager(), &[video()], pictures);
    assert_eq!(units.len(), 30);
    let entries: Vec<u64> =
        units.iter().filter(|unit| unit.entry).map(|unit| unit.sequence).collect();
    assert_eq!(entries, [1, 26]);
    let fragment = read(&units[26]);
    assert_eq!((fragment.origin.epoch, fragment.origin.first), (EPOCH, 27));
    assert_eq!(fragment.origin.capture.0, NOON_NS + 26 * 40_000_000);
    let [sample] = fragment.samples[..] else { panic!("{:?}", fragment.samples) };
    // 26 x 40 ms behind the zero that lies ten seconds before.
    assert_eq!((sample.decode_ticks, sample.duration_ticks, sample.key), (993_600, 3_600, false));
    assert!((units[26].shown_s() - 11.04).abs() < 1e-9);
    assert_eq!(units[26].run.init.mime, "video/mp4; codecs=\"avc1.64001e\"");
}

#[test]
fn sound_goes_with_the_picture_behind_it_and_alone_when_none_comes() {
    let tracks = [video(), sound()];
    let packets = [
        picture(EPOCH, 1, 0),
        noise(EPOCH, 2, 0),
        noise(EPOCH, 3, 20),
        picture(EPOCH, 4, 1),
        noise(EPOCH, 5, 40),
        noise(EPOCH, 6, 60),
        noise(EPOCH, 7, 80),
        noise(EPOCH, 8, 100),
        noise(EPOCH, 9, 120),
    ];
    let units = take_all(&mut packager(), &tracks, packets);
    let made: Vec<(usize, bool)> =
        units.iter().map(|unit| (read(unit).samples.len(), unit.has_picture)).collect();
    assert_eq!(made, [(1, true), (3, true), (5, false)]);
    assert_eq!(units[0].run.init.codecs, "avc1.64001e,opus");
}

#[test]
fn it_does_not_matter_where_reading_began() {
    let pictures = |from: u64| (from..60).map(|number| picture(EPOCH, number + 1, number));
    let mut early = take_all(&mut packager(), &[video()], pictures(0));
    let late = take_all(&mut packager(), &[video()], pictures(30));
    let early = early.split_off(50);
    assert_eq!(late.len(), 10, "nothing before the next key frame");
    let sounding = |from: usize| {
        let film = film(3, 0..3);
        let units = take_all(&mut packager(), &[video(), sound()], film.into_iter().skip(from));
        units.into_iter().last().unwrap().run.number
    };
    assert_eq!(sounding(0), sounding(90));
    for (one, other) in early.iter().zip(&late) {
        assert_eq!(one.run.init.name, other.run.init.name);
        assert_eq!(one.run.number, other.run.number);
        assert_eq!(read(one).samples, read(other).samples);
        assert_eq!(
            (one.sequence, one.group, one.pts_ns),
            (other.sequence, other.group, other.pts_ns)
        );
    }
    assert_eq!(late[0].group, FIRST_GROUP + 2);
}

#[test]
fn after_a_gap_nothing_is_made_before_the_next_key_frame() {
    let mut packager = packager();
    take_all(&mut packager, &[video()], (0..10).map(|n| picture(EPOCH, n + 1, n)));
    packager.gap();
    let units = take_all(&mut packager, &[video()], (15..30).map(|n| picture(EPOCH, n + 1, n)));
    assert_eq!(units.iter().map(|unit| unit.sequence).collect::<Vec<_>>(), [26, 27, 28, 29, 30]);
}

#[test]
fn a_new_epoch_is_a_new_run_with_a_higher_number() {
    let mut packager = packager();
    let before = take_all(&mut packager, &[video()], (0..10).map(|n| picture(EPOCH, n + 1, n)));
    let later = EPOCH + 300_000;
    let packets = (20..30).map(|n| picture(later, n - 19, n));
    let after = take_all(&mut packager, &[video()], packets);
    assert_eq!(after.len(), 5);
    assert_eq!(after[0].run.number, before[0].run.number + 1);
    assert_eq!(after[0].run.init.name, before[0].run.init.name, "the tracks are the same");
}

#[test]
fn other_parameter_sets_are_a_new_run_at_their_key_frame() {
    let mut packager = packager();
    let changed = |number: u64| {
        let mut packet = picture(EPOCH, number + 1, number);
        if packet.meta.key && number > 0 {
            packet.payload[9] ^= 1;
        }
        packet
    };
    let units = take_all(&mut packager, &[video()], (0..60).map(changed));
    assert_eq!(units.len(), 60);
    let numbers: Vec<u64> =
        units.iter().map(|unit| unit.run.number - units[0].run.number).collect();
    assert_eq!((numbers[24], numbers[25], numbers[59]), (0, 1, 1));
    assert_ne!(units[0].run.init.name, units[25].run.init.name);
}

#[test]
fn what_a_browser_cannot_have_is_told_and_the_pictures_are_shown() {
    let call = Track { codec: Codec::PcmMulaw, ..sound() };
    let mut packager = packager();
    let packets = [picture(EPOCH, 1, 0), noise(EPOCH, 2, 0), picture(EPOCH, 3, 1)];
    let units = take_all(&mut packager, &[video(), call], packets);
    assert_eq!(units.len(), 2);
    assert_eq!(packager.refused(), "");
    let left_out = units[0].run.init.left_out.join("; ");
    assert!(left_out.contains("PcmMulaw"), "{left_out}");
}

#[test]
fn pictures_no_browser_plays_are_refused_and_named() {
    let vp8 = Track { codec: Codec::Vp8, ..video() };
    let mut packager = packager();
    assert!(take_all(&mut packager, &[vp8, sound()], [picture(EPOCH, 1, 0)]).is_empty());
    assert!(packager.refused().contains("Vp8"), "{}", packager.refused());
    let blind = Track { extradata: Vec::new(), ..video() };
    let mut without_sets = picture(EPOCH, 1, 0);
    without_sets.payload = vec![0, 0, 0, 1, 0x65, 1, 2];
    assert!(take_all(&mut packager, &[blind], [without_sets]).is_empty());
    assert!(packager.refused().contains("parameter set"), "{}", packager.refused());
    assert_eq!(take_all(&mut packager, &[video()], [picture(EPOCH, 2, 25)]).len(), 1);
    assert_eq!(packager.refused(), "");
}

/// Pictures from second to second, and sounds of 20 ms in some of the seconds.
fn film(seconds: u64, sounds_in: std::ops::Range<u64>) -> Vec<Packet> {
    let mut packets = Vec::new();
    for number in 0..seconds * 25 {
        packets.push(picture(EPOCH, 0, number));
        if sounds_in.contains(&(number / 25)) {
            packets.extend([0, 20].map(|ms| noise(EPOCH, 0, number * 40 + ms)));
        }
    }
    (1..).zip(packets).map(|(sequence, packet)| Packet { sequence, ..packet }).collect()
}

/// The codecs that each second of a film was told to have.
fn told(units: &[Unit]) -> Vec<&str> {
    let entries = units.iter().filter(|unit| unit.entry);
    entries.map(|unit| unit.run.init.codecs.as_str()).collect()
}

#[test]
fn a_sound_track_without_sound_is_not_told_and_no_picture_is_lost_over_it() {
    let mut packager = packager();
    let units = take_all(&mut packager, &[video(), sound()], film(3, 0..0));
    assert_eq!(told(&units), ["avc1.64001e"; 3]);
    assert_eq!(units.len(), 75);
    let mut first = self::packager();
    let first_pictures = film(1, 0..0).into_iter().take(20);
    assert!(take_all(&mut first, &[video(), sound()], first_pictures).is_empty(), "they are held");
    let noise = take_all(&mut first, &[video(), sound()], [noise(EPOCH, 21, 800)]);
    assert_eq!((noise.len(), told(&noise)), (20, vec!["avc1.64001e,opus"]));
}

#[test]
fn sound_that_begins_and_ends_is_told_at_a_key_frame() {
    let units = take_all(&mut packager(), &[video(), sound()], film(12, 3..6));
    let (without, with) = ("avc1.64001e", "avc1.64001e,opus");
    // Heard within the fourth second; not heard for three seconds from the tenth on.
    let expected = [&[without; 4][..], &[with; 5], &[without; 3]].concat();
    assert_eq!(told(&units), expected);
    let pictures = units.iter().filter(|unit| unit.has_picture).count();
    assert_eq!(pictures, 300, "every picture");
    let numbers: Vec<u64> =
        units.iter().map(|unit| unit.run.number - units[0].run.number).collect();
    assert!(numbers.is_sorted() && numbers.last() == Some(&2));
}

#[test]
fn a_new_epoch_waits_for_its_own_first_sound() {
    let mut packager = packager();
    let tracks = [video(), sound()];
    take_all(&mut packager, &tracks, film(2, 0..2));
    let later = EPOCH + 1_000_000;
    let packet = |sequence: u64, number: u64| picture(later, sequence, number);
    assert!(take_all(&mut packager, &tracks, [packet(1, 0), packet(2, 1)]).is_empty());
    let units = take_all(&mut packager, &tracks, [noise(later, 3, 40)]);
    assert_eq!((units.len(), told(&units)), (2, vec!["avc1.64001e,opus"]));
}

#[test]
fn sound_alone_is_sent_ten_times_a_second_and_may_begin_anywhere() {
    let packets = (0..20).map(|n| {
        let packet = noise(EPOCH, n + 1, n * 20);
        Packet { meta: PacketMeta { track: 0, ..packet.meta }, ..packet }
    });
    let units = take_all(&mut packager(), &[sound()], packets);
    assert_eq!(units.len(), 4);
    assert!(units.iter().all(|unit| unit.entry && !unit.has_picture));
    assert_eq!(units[0].run.init.video, None);
}

#[test]
fn pictures_that_are_decoded_before_they_are_shown_need_no_edit() {
    let of = |number: u64| {
        let packet = picture(EPOCH, number + 1, number);
        let dts_ns = packet.meta.dts_ns - 80 * MS;
        Packet { meta: PacketMeta { dts_ns, ..packet.meta }, ..packet }
    };
    let units = take_all(&mut packager(), &[video()], (0..3).map(of));
    let init = read_init(&mut Cursor::new(&units[0].run.init.bytes)).unwrap().unwrap();
    assert_eq!(init.tracks[0].lead_ticks, 0);
    let sample = read(&units[0]).samples[0];
    assert_eq!((sample.decode_ticks, sample.composition_ticks), (900_000 - 7_200, 7_200));
}

#[test]
fn what_comes_after_a_minute_of_nothing_is_a_stretch_of_its_own() {
    let runs_around = |next: u64| {
        let packets = (0..30).chain([next]).map(|number| picture(EPOCH, number + 1, number));
        let units = take_all(&mut packager(), &[video()], packets);
        (Arc::clone(&units[29].run), Arc::clone(&units[30].run))
    };
    let (before, after) = runs_around(2_500);
    assert_eq!((before.epoch, before.number + 1), (after.epoch, after.number));
    let (before, after) = runs_around(1_000);
    assert!(Arc::ptr_eq(&before, &after), "40 s are a hole in it");
}
