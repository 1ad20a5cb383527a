//! The sound of the synthetic microphone. Pure: a sample's number in, its value out, the same for ever.

use protocol::config::ingest::{TestSound, Wave};

/// A beep lasts so many parts of a second.
const BEEP_PART: u64 = 10;

/// Samples of one channel from number `first` on.
pub(crate) fn samples(sound: &TestSound, first: u64, count: usize) -> Vec<i16> {
    (first..).take(count).map(|number| sample(sound, number)).collect()
}

fn sample(sound: &TestSound, number: u64) -> i16 {
    let rate = u64::from(sound.rate_hz.max(1));
    let hz = match sound.wave {
        Wave::Beep { .. } if number % rate >= rate / BEEP_PART => return 0,
        Wave::Beep { hz } | Wave::Tone { hz } => u64::from(hz),
    };
    // Turns that are whole are left out before anything is rounded.
    let turn = (number % rate * hz % rate) as f64 / rate as f64;
    let value = (turn * std::f64::consts::TAU).sin() * f64::from(sound.level.factor()) * 32_767.0;
    #[expect(clippy::cast_possible_truncation, reason = "a level is 0 dB at most")]
    let value = value.round() as i16;
    value
}

#[cfg(test)]
mod tests {
    use protocol::units::Decibels;

    use super::*;

    #[test]
    fn a_tone_repeats_itself_each_second_for_ever_and_is_as_loud_as_asked() {
        let sound = TestSound {
            wave: Wave::Tone { hz: 1_000 },
            level: Decibels(-60),
            ..TestSound::default()
        };
        let second = samples(&sound, 0, 48_000);
        assert_eq!(samples(&sound, 48_000 * 1_000_000, 48_000), second);
        let peak = second.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((16_300..16_500).contains(&peak), "{peak}");
        // Twelve samples are a quarter of a turn.
        assert_eq!([second[0], second[24], second[48]], [0, 0, 0]);
        assert!(second[12] > 16_000 && second[36] < -16_000);
    }

    #[test]
    fn silence_is_silent_and_a_beep_begins_each_second() {
        let silence = TestSound::default();
        assert!(samples(&silence, 0, 48_000).iter().all(|sample| *sample == 0));
        let beep = TestSound { wave: Wave::Beep { hz: 1_000 }, rate_hz: 8_000, ..silence };
        let seconds = samples(&beep, 0, 16_000);
        for begin in [0, 8_000] {
            assert!(seconds[begin + 1] != 0 && seconds[begin + 799] != 0);
            assert!(seconds[begin + 800..begin + 8_000].iter().all(|sample| *sample == 0));
        }
    }
}
