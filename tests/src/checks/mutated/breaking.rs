//! What becomes of a stream on a bad day. Pure: the same seed breaks the same things.

use shmring::PacketMeta;

/// A packet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) meta: PacketMeta,
    pub(super) payload: Vec<u8>,
}

/// How a stream is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    BitsFlipped,
    TornEnds,
    PacketsDropped,
    PacketsDoubled,
    PacketsReordered,
    /// The first bytes of key packets: sizes, profiles, numbers of references.
    Headers,
    /// Stretches of zeros.
    Holes,
    /// Packets of anything among the others.
    Garbage,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::BitsFlipped,
        Self::TornEnds,
        Self::PacketsDropped,
        Self::PacketsDoubled,
        Self::PacketsReordered,
        Self::Headers,
        Self::Holes,
        Self::Garbage,
    ];

    /// In turn.
    pub(super) fn of(number: u64) -> Self {
        Self::ALL[usize::try_from(number % Self::ALL.len() as u64).unwrap_or(0)]
    }
}

/// Bytes of a key packet that are mostly headers.
const HEADER_BYTES: usize = 48;

/// The stream, broken. Never empty, and its first packet is still called a key packet.
pub(super) fn broken(samples: &[Sample], kind: Kind, number: u64, seed: u64) -> Vec<Sample> {
    let mut dice = Dice::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut all = samples.to_vec();
    match kind {
        Kind::BitsFlipped => each_with(&mut all, &mut dice, 2, |payload, dice| flip(payload, dice)),
        Kind::TornEnds => each_with(&mut all, &mut dice, 3, |payload, dice| {
            payload.truncate(1 + dice.below(payload.len()));
        }),
        Kind::Holes => each_with(&mut all, &mut dice, 3, |payload, dice| {
            let (from, length) = (dice.below(payload.len()), 1 + dice.below(200));
            payload.iter_mut().skip(from).take(length).for_each(|byte| *byte = 0);
        }),
        Kind::Headers => {
            for sample in all.iter_mut().filter(|sample| sample.meta.key) {
                for _ in 0..=dice.below(4) {
                    let at = dice.below(sample.payload.len().min(HEADER_BYTES));
                    sample.payload[at] ^= 1 << dice.below(8);
                }
            }
        }
        Kind::PacketsDropped => {
            let mut first = true;
            all.retain(|_| std::mem::take(&mut first) || dice.below(4) != 0);
        }
        Kind::PacketsDoubled => {
            for at in (1..all.len()).rev() {
                if dice.below(3) == 0 {
                    all.insert(at, all[at].clone());
                }
            }
        }
        Kind::PacketsReordered => {
            for at in 2..all.len() {
                if dice.below(2) == 0 {
                    let other = 1 + dice.below(at);
                    let (payload, key) = (all[at].payload.clone(), all[at].meta.key);
                    all[at].payload = std::mem::replace(&mut all[other].payload, payload);
                    all[at].meta.key = std::mem::replace(&mut all[other].meta.key, key);
                }
            }
        }
        Kind::Garbage => {
            for at in (1..all.len()).rev() {
                if dice.below(4) == 0 {
                    let length = 1 + dice.below(2_000);
                    let payload = (0..length).map(|_| dice.byte()).collect();
                    let meta = PacketMeta { key: dice.below(3) == 0, ..all[at].meta };
                    all.insert(at, Sample { meta, payload });
                }
            }
        }
    }
    all
}

/// Breaks one packet in `rarity`, and the first of them surely.
fn each_with(
    all: &mut [Sample],
    dice: &mut Dice,
    rarity: usize,
    mut damage: impl FnMut(&mut Vec<u8>, &mut Dice),
) {
    for (at, sample) in all.iter_mut().enumerate() {
        if (at == 0 || dice.below(rarity) == 0) && !sample.payload.is_empty() {
            damage(&mut sample.payload, dice);
        }
    }
}

fn flip(payload: &mut [u8], dice: &mut Dice) {
    for _ in 0..=dice.below(6) {
        let at = dice.below(payload.len());
        payload[at] ^= 1 << dice.below(8);
    }
}

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// 0 where there is nothing below.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit as u64).max(1)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<Sample> {
        let sample = |number: u8| {
            let meta = PacketMeta { key: number.is_multiple_of(10), ..PacketMeta::default() };
            Sample { meta, payload: (0..100).map(|at: u8| at.wrapping_mul(number)).collect() }
        };
        (0..40).map(sample).collect()
    }

    #[test]
    fn the_same_seed_breaks_the_same_and_each_kind_breaks_something() {
        for number in 0..16 {
            let kind = Kind::of(number);
            let once = broken(&stream(), kind, number, 7);
            assert_eq!(once, broken(&stream(), kind, number, 7), "{kind:?}");
            assert_ne!(once, stream(), "{kind:?}");
            assert_ne!(once, broken(&stream(), kind, number, 8), "{kind:?}");
            assert!(once[0].meta.key && once.iter().all(|it| !it.payload.is_empty()), "{kind:?}");
        }
    }
}
