use protocol::time::{MonoNs, TimeBase, UtcNs};

use super::*;

/// Samples of a packet: 20 ms at 8 kHz, as cameras send them.
const PACKET: usize = 160;
const PACKET_NS: i64 = 20_000_000;
const FRAME_NS: i64 = 128_000_000;

fn g711(codec: Codec) -> Track {
    Track {
        codec,
        time_base: TimeBase { num: 1, den: 8_000 },
        width: 0,
        height: 0,
        sample_rate_hz: 8_000,
        channels: 1,
        frame_rate: (0, 1),
        extradata: Vec::new(),
    }
}

fn sound(to: Codec) -> Sound {
    Sound::open(&g711(Codec::PcmMulaw), to, 48_000).unwrap().unwrap()
}

fn meta(pts_ns: i64) -> PacketMeta {
    let ns = 1_000_000_000_000u64.saturating_add_signed(pts_ns);
    let capture = Stamp { mono: MonoNs(ns), utc: UtcNs(ns + 77) };
    PacketMeta { track: 1, key: true, pts_ns, dts_ns: pts_ns, capture, ..PacketMeta::default() }
}

/// Packet `number` of a stream that begins at `zero_ns`.
fn packet(sound: &mut Sound, number: u64, pts_ns: i64, discontinuity: bool) -> Vec<Made> {
    let meta = PacketMeta { discontinuity, ..meta(pts_ns) };
    let source = SourceId { epoch: 7, sequence: number };
    sound.take(&meta, source, &[0xff; PACKET]).unwrap()
}

fn packets(sound: &mut Sound, numbers: std::ops::Range<i64>, zero_ns: i64) -> Vec<Made> {
    let each = numbers.flat_map(|number| {
        let pts_ns = zero_ns + number * PACKET_NS;
        packet(sound, u64::try_from(number).unwrap(), pts_ns, false)
    });
    each.collect()
}

fn times(made: &[Made]) -> Vec<i64> {
    made.iter().map(|made| made.meta.pts_ns).collect()
}

#[test]
fn frames_have_the_times_of_their_first_samples_and_the_name_of_its_packet() {
    let mut sound = sound(Codec::Aac);
    let mut made = packets(&mut sound, 0..100, 5_000_000_000);
    made.extend(sound.begin_anew().unwrap());
    let expected: Vec<i64> = (0..).map(|n| 5_000_000_000 + n * FRAME_NS).take(made.len()).collect();
    assert_eq!(times(&made), expected);
    // 2 s in frames of 128 ms.
    assert_eq!(made.len(), 16);
    for made in &made {
        let into_ns = made.meta.pts_ns - 5_000_000_000;
        let source = u64::try_from(into_ns / PACKET_NS).unwrap();
        assert_eq!(made.meta.source, Some(SourceId { epoch: 7, sequence: source }));
        assert_eq!(made.meta.capture, meta(made.meta.pts_ns).capture);
        assert!(made.meta.key && made.meta.track == 1 && !made.meta.discontinuity);
    }
}

#[test]
fn opus_frames_lie_where_their_sound_was() {
    let mut sound = sound(Codec::Opus);
    let made = packets(&mut sound, 0..50, 0);
    // The first begins with what the encoder is behind by, 6.5 ms.
    assert_eq!(times(&made)[..3], [-6_500_000, 13_500_000, 33_500_000]);
}

#[test]
fn lost_packets_are_silence_and_shift_nothing() {
    let mut sound = sound(Codec::Aac);
    let mut made = packets(&mut sound, 0..30, 0);
    made.extend(packets(&mut sound, 40..100, 0));
    made.extend(sound.begin_anew().unwrap());
    let expected: Vec<i64> = (0..).map(|n| n * FRAME_NS).take(made.len()).collect();
    assert_eq!((times(&made), made.len()), (expected, 16));
}

#[test]
fn what_comes_twice_is_left_out() {
    let mut sound = sound(Codec::Aac);
    let mut made = packets(&mut sound, 0..50, 0);
    made.extend(packets(&mut sound, 45..100, 0));
    made.extend(sound.begin_anew().unwrap());
    let expected: Vec<i64> = (0..).map(|n| n * FRAME_NS).take(made.len()).collect();
    assert_eq!((times(&made), made.len()), (expected, 16));
}

#[test]
fn a_clock_that_drifts_is_followed_for_ever() {
    let mut sound = sound(Codec::Aac);
    // A tenth of a percent fast: after 100 s it is 100 ms ahead.
    let drifted = |n: i64| n * PACKET_NS + n * PACKET_NS / 1_000;
    let all: Vec<Made> = (0..5_000)
        .flat_map(|n| packet(&mut sound, u64::try_from(n).unwrap(), drifted(n), false))
        .collect();
    for made in &all {
        let source = i64::try_from(made.meta.source.unwrap().sequence).unwrap();
        let off_ns = made.meta.pts_ns - drifted(source);
        assert!((0..=PACKET_NS).contains(&off_ns), "{off_ns}");
    }
    // No silence was put in, and nothing taken out: 5000 x 160 samples, but for what is still inside.
    assert!((776..=781).contains(&all.len()), "{}", all.len());
}

#[test]
fn a_jump_begins_a_line_of_its_own_and_is_marked() {
    for (jump_ns, marked) in
        [(3_600_000_000_000, false), (-3_600_000_000_000, false), (40_000_000, true)]
    {
        let mut sound = sound(Codec::Aac);
        let before = packets(&mut sound, 0..50, 0);
        let at_ns = 50 * PACKET_NS + jump_ns;
        let mut after = packet(&mut sound, 50, at_ns, marked);
        // The end of the old line comes out with the first packet of the new one.
        assert!(after.iter().all(|made| made.meta.pts_ns < 50 * PACKET_NS));
        assert_eq!((before.len() + after.len()), 8);
        after.clear();
        after.extend((51..100).flat_map(|n| {
            packet(&mut sound, n, at_ns + (n.cast_signed() - 50) * PACKET_NS, false)
        }));
        assert_eq!(times(&after)[..2], [at_ns, at_ns + FRAME_NS]);
        assert_eq!([0, 1].map(|n: usize| after[n].meta.discontinuity), [true, false]);
    }
}

#[test]
fn a_successor_begins_behind_what_was_given() {
    let mut sound = sound(Codec::Aac);
    sound.has_given(30_000_000);
    // The first packets were heard by the predecessor already.
    let made = packets(&mut sound, 0..60, 0);
    assert_eq!(times(&made)[..2], [30_000_000, 158_000_000]);
    assert_eq!(made[0].meta.source.unwrap().sequence, 1);
}

proptest::proptest! {
    #[test]
    fn times_rise_within_a_line_whatever_comes(
        steps in proptest::collection::vec((-3_000i64..3_000, 0usize..400, proptest::bool::weighted(0.02)), 1..80),
    ) {
        let mut sound = sound(Codec::Aac);
        let (mut at_ns, mut last) = (0, None);
        for (number, (step_ms, bytes, discontinuity)) in (0..).zip(steps) {
            at_ns += step_ms * 1_000_000 / 50;
            let meta = PacketMeta { discontinuity, ..meta(at_ns) };
            let source = SourceId { epoch: 7, sequence: number };
            for made in sound.take(&meta, source, &vec![1; bytes]).unwrap() {
                let follows = last.is_none_or(|last| made.meta.pts_ns > last);
                proptest::prop_assert!(follows || made.meta.discontinuity);
                last = Some(made.meta.pts_ns);
            }
        }
    }
}
