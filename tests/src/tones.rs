//! How loud a tone is in some sound.

/// Of the peaks of the part of `samples` at `hz`, in decibels below the loudest that there can be; best over
/// whole periods.
pub fn level_db(samples: &[f32], hz: f64, rate_hz: f64) -> f64 {
    let turn = std::f64::consts::TAU * hz / rate_hz;
    let (mut re, mut im) = (0.0, 0.0);
    for (number, sample) in samples.iter().enumerate() {
        let (sin, cos) = (turn * number as f64).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
    }
    let amplitude = 2.0 * re.hypot(im) / samples.len().max(1) as f64;
    20.0 * amplitude.max(1e-9).log10()
}

/// Samples of 16 bits, the low byte first.
pub fn samples(bytes: &[u8]) -> Vec<f32> {
    let pairs = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    pairs.map(|sample| f32::from(sample) / 32_768.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_among_others_is_as_loud_as_it_is() {
        let at = |hz: f64, n: u32| (std::f64::consts::TAU * hz * f64::from(n) / 48_000.0).sin();
        let wave = |n: u32| 0.1 * at(1_000.0, n) + 0.5 * at(2_000.0, n);
        let bytes: Vec<u8> = (0..48_000u32)
            .flat_map(|n| {
                #[expect(clippy::cast_possible_truncation, reason = "less than its range")]
                let sample = (wave(n) * 32_767.0) as i16;
                sample.to_le_bytes()
            })
            .collect();
        let heard = samples(&bytes);
        assert!((level_db(&heard, 1_000.0, 48_000.0) + 20.0).abs() < 0.1);
        assert!((level_db(&heard, 2_000.0, 48_000.0) + 6.0).abs() < 0.1);
        assert!(level_db(&heard, 3_000.0, 48_000.0) < -60.0);
    }
}
