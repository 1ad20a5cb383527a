//! Which pictures are worth making for the readers of one ring, and which packets no picture needs. Pure.

use std::time::Duration;

use bitstream::nal;
use protocol::stream::Codec;
use protocol::time::MonoNs;
use shmring::Demand;

/// The state of one ring's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Pictures that came since one was chosen.
    passed: u32,
    /// Nothing is chosen before this, for readers that want so many a second.
    due: MonoNs,
}

impl Choice {
    /// Whether the picture that comes now is wanted, and by which step the ring's sequence goes on with it:
    /// what readers of each nth picture take has a number that n divides. `None`: it is not.
    pub(crate) fn step(&mut self, demand: &Demand, key: bool, now: MonoNs) -> Option<u32> {
        self.passed = self.passed.saturating_add(1);
        let is_turn = demand.every > 0 && self.passed >= demand.every && now >= self.due;
        if !is_turn {
            return (demand.keys && key).then_some(1);
        }
        self.passed = 0;
        if let Some(fps) = demand.max_fps {
            let period = Duration::from_secs(1) / fps.max(1);
            let in_step = now.saturating_since(self.due) < period;
            self.due = if in_step { self.due } else { now } + period;
        }
        Some(demand.every)
    }
}

/// Tells packets that no other picture refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// H.265: the highest temporal layer, as the newest parameter sets say.
    highest_layer: Option<u8>,
}

impl References {
    /// To be asked of every packet, because parameter sets are in them. Where it cannot be told, a picture is
    /// referred to.
    pub(crate) fn is_disposable(&mut self, codec: Codec, payload: &[u8]) -> bool {
        match codec {
            Codec::Mjpeg => true,
            Codec::H264 => all_and_any(nal::units(payload).filter_map(h264_slice)),
            Codec::H265 => {
                let announced = nal::units(payload).filter_map(h265_highest_layer).last();
                self.highest_layer = announced.or(self.highest_layer);
                let highest = self.highest_layer;
                all_and_any(nal::units(payload).filter_map(|unit| h265_slice(unit, highest)))
            }
            _ => false,
        }
    }
}

fn all_and_any(mut disposable: impl Iterator<Item = bool>) -> bool {
    disposable.next() == Some(true) && disposable.all(|it| it)
}

/// Whether a slice is of a picture that nothing refers to (nal_ref_idc, 7.4.1), which a parameter set never is;
/// `None` for what is neither.
fn h264_slice(unit: &[u8]) -> Option<bool> {
    let header = *unit.first()?;
    match header & 0x1f {
        1..=5 => Some(header >> 5 & 3 == 0),
        7 | 8 | 13 | 15 => Some(false),
        _ => None,
    }
}

/// The same of H.265: a sub-layer non-reference picture (7.4.2.2) of the highest layer.
fn h265_slice(unit: &[u8], highest_layer: Option<u8>) -> Option<bool> {
    let (kind, layer) = h265_header(unit)?;
    let is_referred_to = kind > 14 || kind % 2 == 1;
    // 32 to 34 are parameter sets.
    (kind < 35).then_some(!is_referred_to && Some(layer) == highest_layer)
}

/// sps_max_sub_layers_minus1 of a sequence parameter set (7.3.2.2).
fn h265_highest_layer(unit: &[u8]) -> Option<u8> {
    let (kind, _) = h265_header(unit)?;
    (kind == 33).then_some(unit.get(2)? >> 1 & 7)
}

/// Type and temporal layer.
fn h265_header(unit: &[u8]) -> Option<(u8, u8)> {
    Some((unit.first()? >> 1 & 0x3f, (unit.get(1)? & 7).checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    const ALL: Demand = Demand { readers: 1, keys: false, every: 1, max_fps: None };

    /// Steps of pictures that come 25 a second, each tenth a key picture.
    fn steps(demand: Demand, count: u64) -> Vec<Option<u32>> {
        let mut choice = Choice::default();
        let step = |n| choice.step(&demand, n % 10 == 0, at(1_000_000 + n * 40));
        (0..count).map(step).collect()
    }

    #[test]
    fn who_wants_all_gets_all() {
        assert_eq!(steps(ALL, 20), vec![Some(1); 20]);
    }

    #[test]
    fn each_nth_picture_is_chosen_with_a_number_that_n_divides() {
        let chosen = steps(Demand { every: 5, ..ALL }, 20);
        let expected: Vec<_> = (1..=20).map(|n| (n % 5 == 0).then_some(5)).collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn so_many_a_second_are_chosen_and_no_more() {
        let demand = Demand { max_fps: Some(5), ..ALL };
        assert_eq!(steps(demand, 250).into_iter().flatten().count(), 50);
        let faster = Demand { max_fps: Some(60), ..ALL };
        assert_eq!(steps(faster, 250).into_iter().flatten().count(), 250);
    }

    #[test]
    fn key_pictures_are_chosen_whatever_the_others_want() {
        let keys = Demand { keys: true, every: 0, ..ALL };
        let expected: Vec<_> = (0..30).map(|n| (n % 10 == 0).then_some(1)).collect();
        assert_eq!(steps(keys, 30), expected);
        let both = steps(Demand { keys: true, every: 4, ..ALL }, 12);
        assert_eq!((both[0], both[3], both[10]), (Some(1), Some(4), Some(1)));
        assert_eq!(both.into_iter().flatten().count(), 5);
    }

    fn annex_b(units: &[&[u8]]) -> Vec<u8> {
        nal::stream(units)
    }

    #[test]
    fn h264_pictures_say_themselves_whether_others_refer_to_them() {
        let is_disposable =
            |units: &[&[u8]]| References::default().is_disposable(Codec::H264, &annex_b(units));
        assert!(is_disposable(&[&[0x09, 0x10], &[0x01, 9, 9], &[0x01, 8]]));
        assert!(!is_disposable(&[&[0x41, 9, 9]]), "a reference picture");
        assert!(!is_disposable(&[&[0x01, 9], &[0x21, 9]]), "the second field is one");
        assert!(!is_disposable(&[&[0x67, 1, 2]]), "no picture at all");
        assert!(!is_disposable(&[&[0x68, 1], &[0x01, 9]]), "what comes next needs the set");
        assert!(!is_disposable(&[]));
    }

    #[test]
    fn h265_pictures_of_lower_layers_are_referred_to_by_those_of_higher_ones() {
        let mut references = References::default();
        let trail_n = |layer: u8| annex_b(&[&[0, layer + 1, 7]]);
        assert!(!references.is_disposable(Codec::H265, &trail_n(0)), "nothing is known yet");
        let sps_of_two_layers = [0x42, 1, 0b0000_0010];
        references.is_disposable(Codec::H265, &annex_b(&[&sps_of_two_layers, &[0x26, 1, 7]]));
        assert!(!references.is_disposable(Codec::H265, &trail_n(0)));
        assert!(references.is_disposable(Codec::H265, &trail_n(1)));
        let trail_r = annex_b(&[&[0x02, 2, 7]]);
        assert!(!references.is_disposable(Codec::H265, &trail_r));
    }

    #[test]
    fn what_cannot_be_told_is_referred_to() {
        for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Mpeg4] {
            assert!(!References::default().is_disposable(codec, &[0, 0, 1, 1]), "{codec:?}");
        }
        assert!(References::default().is_disposable(Codec::Mjpeg, &[0xff, 0xd8]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(bytes in prop::collection::vec(0u8..4, 0..60)) {
            let mut references = References::default();
            for codec in Codec::ALL {
                references.is_disposable(codec, &bytes);
            }
        }
    }
}
