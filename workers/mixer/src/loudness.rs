//! Sums that are louder than there can be. Pure.

/// Up to here, -3 dB of the loudest, nothing is changed.
const KNEE: f32 = 0.707_945_8;

/// What is above the knee is bent into the rest of the range: never cut off, and the same for the same sum
/// whatever came before, so nothing pumps.
pub(crate) fn limited(sum: f32) -> f32 {
    if !sum.is_finite() {
        return 0.0;
    }
    let over = sum.abs() - KNEE;
    if over <= 0.0 {
        return sum;
    }
    let room = 1.0 - KNEE;
    (KNEE + room * (over / room).tanh()).copysign(sum)
}

/// As encoders take it.
pub(crate) fn to_i16(sample: f32) -> i16 {
    let scaled = (sample * 32_767.0).round().clamp(-32_768.0, 32_767.0);
    #[expect(clippy::cast_possible_truncation, reason = "it is clamped to the range")]
    let whole = scaled as i16;
    whole
}

/// In decibels below the loudest, to a tenth; `None` for silence.
pub(crate) fn decibels(peak: f32) -> Option<f32> {
    (peak > 1e-5).then(|| (200.0 * peak.log10()).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_loud_is_not_touched() {
        for sample in [0.0, 0.1, -0.5, KNEE, -KNEE] {
            assert_eq!(limited(sample), sample);
        }
        assert_eq!([limited(f32::NAN), limited(f32::INFINITY)], [0.0, 0.0]);
    }

    #[test]
    fn levels_are_told_to_a_tenth() {
        assert_eq!(decibels(1.0), Some(0.0));
        assert_eq!(decibels(0.1), Some(-20.0));
        assert_eq!(decibels(0.0), None);
        assert_eq!([to_i16(1.0), to_i16(-1.5), to_i16(0.0)], [32_767, -32_768, 0]);
    }

    proptest! {
        #[test]
        fn louder_stays_louder_and_within_the_range(a in -20.0f32..20.0, b in -20.0f32..20.0) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(limited(low) <= limited(high));
            prop_assert!(limited(high).abs() <= 1.0);
            prop_assert_eq!(limited(-a), -limited(a));
        }
    }
}
