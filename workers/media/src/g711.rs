//! G.711: eight bits a sample on a logarithmic scale, as telephones and cameras send sound. Pure: it needs no
//! FFmpeg, and is here because both who encodes and who makes sound use it.

/// Samples of 16 bits (ITU-T G.711 tables 2a and 2b; the standard's 14 bits of mu-law and 13 of A-law lie
/// in the upper ones).
pub fn expand(law: Law, bytes: &[u8]) -> Vec<i16> {
    let sample = match law {
        Law::Mu => of_mu,
        Law::A => of_a,
    };
    bytes.iter().map(|byte| sample(*byte)).collect()
}

/// Which of the two scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    Mu,
    A,
}

/// The code of each sample whose value is nearest.
pub fn compress(law: Law, samples: &[i16]) -> Vec<u8> {
    let code = match law {
        Law::Mu => to_mu,
        Law::A => to_a,
    };
    samples.iter().map(|sample| code(*sample)).collect()
}

/// Added before a mu-law sample is taken apart, so that all segments have their leading bit.
const MU_BIAS: i16 = 0x84;

fn of_mu(byte: u8) -> i16 {
    let told = !byte;
    let (segment, step) = (told >> 4 & 7, i16::from(told & 0x0f));
    let magnitude = (((step << 3) + MU_BIAS) << segment) - MU_BIAS;
    if told & 0x80 == 0 { magnitude } else { -magnitude }
}

fn of_a(byte: u8) -> i16 {
    // Every second bit is sent inverted.
    let told = byte ^ 0x55;
    let (segment, step) = (told >> 4 & 7, i16::from(told & 0x0f));
    // In the middle of its step.
    let linear = (step << 4) + 8;
    let magnitude = match segment {
        0 => linear,
        segment => (linear + 0x100) << (segment - 1),
    };
    if told & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Beyond it there is no code of mu-law.
const MU_MAX: i32 = 32_635;

fn to_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(MU_MAX) + i32::from(MU_BIAS);
    // The bias makes bit 7 the lowest leading one.
    let segment = magnitude.ilog2() - 7;
    !(sign | low_byte(segment) << 4 | low_byte((magnitude >> (segment + 3)).unsigned_abs() & 0x0f))
}

fn to_a(sample: i16) -> u8 {
    // Of a pair of codes around zero the negative one begins at -1.
    let (sign, magnitude) = match sample {
        0.. => (0x80, i32::from(sample)),
        _ => (0, -1 - i32::from(sample)),
    };
    let (segment, step) = match magnitude {
        ..0x100 => (0, magnitude >> 4),
        _ => {
            let segment = magnitude.ilog2() - 7;
            (segment, magnitude >> (segment + 3))
        }
    };
    (sign | low_byte(segment) << 4 | low_byte(step.unsigned_abs() & 0x0f)) ^ 0x55
}

fn low_byte(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_of_both_scales_are_those_of_the_standard() {
        assert_eq!(expand(Law::Mu, &[0xff, 0x7f, 0x80, 0x00]), [0, 0, 32_124, -32_124]);
        assert_eq!(expand(Law::A, &[0xd5, 0x55, 0xaa, 0x2a]), [8, -8, 32_256, -32_256]);
    }

    #[test]
    fn both_scales_rise_step_by_step_and_are_the_same_on_both_sides() {
        let rises = |samples: Vec<i16>| samples.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(rises(expand(Law::Mu, &(0x80..=0xff).rev().collect::<Vec<u8>>())));
        let a_law: Vec<u8> = (0x80..=0xff).map(|told: u8| told ^ 0x55).collect();
        assert!(rises(expand(Law::A, &a_law)));
        for law in [Law::Mu, Law::A] {
            for byte in 0..0x80u8 {
                let [a, b] = [byte, byte | 0x80].map(|byte| expand(law, &[byte])[0]);
                assert_eq!(a, -b, "{law:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn every_code_is_its_own_sample_and_every_sample_is_near_its_code() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=0xff {
                let back = compress(law, &expand(law, &[code]));
                // Mu-law has two zeros.
                assert!(back == [code] || (law, code) == (Law::Mu, 0x7f), "{law:?} {code:#x}");
            }
            for sample in (i16::MIN..=i16::MAX).step_by(7) {
                let near = expand(law, &compress(law, &[sample]))[0];
                let off = i32::from(near).abs_diff(i32::from(sample));
                // A step of the segment is a sixteenth of it.
                let step = 16.max(u32::from(sample.unsigned_abs()) / 16);
                assert!(off <= step, "{law:?} {sample} is {near}");
            }
        }
    }
}
