//! Samples of one rate as samples of another, and a little faster or slower for a clock that drifts. Pure.
//!
//! A sample that comes out is a sum of those that lie around its instant, weighted by a sinc in a Kaiser
//! window. Each one's instant among the inputs is known, to a part of a sample, for ever: that is what keeps a
//! source in its place.

/// Inputs on either side that a sample is made of, where the rate does not fall.
const HALF: usize = 16;
/// Of the Kaiser window: what lies beyond the band is 80 dB down.
const BETA: f64 = 8.0;
/// Instants between two inputs that weights are kept for; between those they are linear.
const PHASES: usize = 256;
/// Of the lower rate's band: the rest is for the filter to fall in.
const BAND: f64 = 0.94;

#[derive(Clone, Debug)]
pub(crate) struct Resampler {
    channels: usize,
    /// Inputs from one output to the next while nothing drifts.
    step: f64,
    half: usize,
    /// Of each phase, and one more, 2 x `half` weights.
    weights: Vec<f32>,
    /// All channels by turns; begins with those that the next output still needs.
    inputs: Vec<f32>,
    /// Number of the first of them. The line's first is 0; silence lies before it.
    first: i64,
    /// Where the next output lies: so far behind this input.
    whole: i64,
    part: f64,
}

impl Resampler {
    pub(crate) fn new(from_hz: u32, to_hz: u32, channels: usize) -> Self {
        let (from, to) = (f64::from(from_hz.max(1)), f64::from(to_hz.max(1)));
        let narrow = (to / from).min(1.0);
        let half = half_of(from_hz, to_hz);
        let channels = channels.max(1);
        // The same rate needs no filter: at whole instants samples are what they were.
        let band = if from_hz == to_hz { 1.0 } else { BAND * narrow };
        Self {
            channels,
            step: from / to,
            half,
            weights: (0..=PHASES).flat_map(|phase| weights_of(phase, half, band)).collect(),
            inputs: vec![0.0; (half - 1) * channels],
            first: 1 - i64::try_from(half).unwrap_or(1),
            whole: 0,
            part: 0.0,
        }
    }

    /// The input that the next output lies at.
    pub(crate) fn instant(&self) -> f64 {
        self.whole as f64 + self.part
    }

    /// Inputs from one output to the next.
    pub(crate) fn step(&self) -> f64 {
        self.step
    }

    /// What the inputs so far make, at so much more than the usual speed (1.001: in 1000 outputs one input
    /// more).
    pub(crate) fn convert(&mut self, inputs: &[f32], speed: f64) -> Vec<f32> {
        self.inputs.extend_from_slice(inputs);
        let held = i64::try_from(self.inputs.len() / self.channels).unwrap_or(i64::MAX);
        let half = i64::try_from(self.half).unwrap_or(0);
        let last = self.first + held - 1;
        let step = self.step * speed;
        let mut out = Vec::new();
        while self.whole + half <= last {
            self.sample(&mut out);
            let next = self.part + step;
            #[expect(clippy::cast_possible_truncation, reason = "some inputs at most")]
            let ahead = next.floor() as i64;
            self.whole += ahead;
            self.part = next - next.floor();
        }
        self.forget();
        out
    }

    /// The next output of each channel.
    fn sample(&self, out: &mut Vec<f32>) {
        let from = self.index(self.whole - self.first) + self.channels;
        let begin = from.saturating_sub(self.half * self.channels);
        if self.part == 0.0 && self.step == 1.0 {
            let at = begin + (self.half - 1) * self.channels;
            out.extend_from_slice(&self.inputs[at..at + self.channels]);
            return;
        }
        let place = self.part * PHASES as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below PHASES")]
        let phase = (place.floor() as usize).min(PHASES - 1);
        let between = single(place - phase as f64);
        let taps = 2 * self.half;
        let low = &self.weights[phase * taps..][..taps];
        let high = &self.weights[(phase + 1) * taps..][..taps];
        for channel in 0..self.channels {
            let inputs = self.inputs[begin + channel..].iter().step_by(self.channels);
            let weights = low.iter().zip(high).map(|(low, high)| low + (high - low) * between);
            out.push(inputs.zip(weights).map(|(input, weight)| input * weight).sum());
        }
    }

    fn forget(&mut self) {
        let half = i64::try_from(self.half).unwrap_or(0);
        let gone = (self.whole - half + 1 - self.first).max(0);
        let values = self.index(gone).min(self.inputs.len());
        self.inputs.drain(..values);
        self.first += gone;
    }

    fn index(&self, inputs: i64) -> usize {
        usize::try_from(inputs).unwrap_or(0) * self.channels
    }
}

/// More where the rate falls: the band that is left is narrower.
fn half_of(from_hz: u32, to_hz: u32) -> usize {
    let more = from_hz.div_ceil(to_hz.max(1)).max(1);
    HALF * usize::try_from(more).unwrap_or(1)
}

/// Together 1, so that a sum of equal samples is as loud as they are.
fn weights_of(phase: usize, half: usize, band: f64) -> Vec<f32> {
    let part = phase as f64 / PHASES as f64;
    let weight = |tap: usize| {
        let away = tap as f64 - (half as f64 - 1.0) - part;
        band * sinc(band * away) * kaiser(away / half as f64)
    };
    let all: Vec<f64> = (0..2 * half).map(weight).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|weight| single(weight / sum)).collect()
}

/// As samples are.
fn single(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a sample has no more digits")]
    let value = value as f32;
    value
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x.abs() < 1e-9 { 1.0 } else { x.sin() / x }
}

fn kaiser(x: f64) -> f64 {
    bessel(BETA * (1.0 - x * x).max(0.0).sqrt()) / bessel(BETA)
}

/// The modified one of the first kind, of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let square = x * x / 4.0;
    let terms = (1..30u8).scan(1.0, |term, n| {
        *term *= square / (f64::from(n) * f64::from(n));
        Some(*term)
    });
    1.0 + terms.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tone(hz: f64, rate_hz: u32, count: u32) -> Vec<f32> {
        let at = |n: u32| (std::f64::consts::TAU * hz * f64::from(n) / f64::from(rate_hz)).sin();
        (0..count).map(|n| single(at(n))).collect()
    }

    /// The loudest part of `samples` at `hz`, 1 for a full tone, in decibels.
    fn level(samples: &[f32], hz: f64, rate_hz: u32) -> f64 {
        let turn = std::f64::consts::TAU * hz / f64::from(rate_hz);
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            re += f64::from(*sample) * (turn * n as f64).cos();
            im += f64::from(*sample) * (turn * n as f64).sin();
        }
        20.0 * (2.0 * (re * re + im * im).sqrt() / samples.len() as f64).log10()
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_its_loudness_at_every_rate() {
        for rate_hz in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000] {
            let mut resampler = Resampler::new(rate_hz, 48_000, 1);
            let out = resampler.convert(&tone(1_000.0, rate_hz, rate_hz), 1.0);
            assert!((47_000..=48_000).contains(&out.len()), "{rate_hz}: {}", out.len());
            let middle = &out[4_800..43_200];
            let loud = level(middle, 1_000.0, 48_000);
            assert!(loud.abs() < 0.05, "{rate_hz} Hz: {loud} dB");
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_gone() {
        let mut resampler = Resampler::new(96_000, 48_000, 1);
        let out = resampler.convert(&tone(30_000.0, 96_000, 96_000), 1.0);
        // It would be heard at 18 kHz.
        let left = level(&out[4_800..43_200], 18_000.0, 48_000);
        assert!(left < -70.0, "{left} dB");
        let mut resampler = Resampler::new(8_000, 48_000, 1);
        let out = resampler.convert(&tone(1_000.0, 8_000, 8_000), 1.0);
        let image = level(&out[4_800..43_200], 7_000.0, 48_000);
        assert!(image < -70.0, "{image} dB");
    }

    #[test]
    fn the_same_rate_is_the_same_samples() {
        let inputs = tone(1_234.0, 48_000, 2_000);
        let mut resampler = Resampler::new(48_000, 48_000, 2);
        let mut out = Vec::new();
        for part in inputs.chunks(62) {
            out.extend(resampler.convert(part, 1.0));
        }
        assert!(out.len() + 4 * HALF >= inputs.len());
        assert_eq!(out, inputs[..out.len()]);
    }

    #[test]
    fn a_speed_moves_the_instants_and_not_the_loudness() {
        let mut resampler = Resampler::new(48_000, 48_000, 1);
        let out = resampler.convert(&tone(1_000.0, 48_000, 48_000), 1.001);
        // It lies a thousandth higher.
        let loud = level(&out[4_800..43_200], 1_001.0, 48_000);
        assert!(loud.abs() < 0.05, "{loud} dB");
        let expected = out.len() as f64 * 1.001;
        assert!((resampler.instant() - expected).abs() < 1e-6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn however_the_inputs_are_cut_the_outputs_are_the_same(
            from_hz in prop_oneof![Just(8_000u32), Just(44_100), Just(48_000), Just(96_000)],
            cuts in proptest::collection::vec(1usize..300, 1..12),
        ) {
            let all = tone(440.0, from_hz, 1_500);
            let whole = Resampler::new(from_hz, 48_000, 1).convert(&all, 1.0);
            let (mut parts, mut rest) = (Vec::new(), &all[..]);
            let mut resampler = Resampler::new(from_hz, 48_000, 1);
            for cut in cuts {
                let (part, behind) = rest.split_at(cut.min(rest.len()));
                parts.extend(resampler.convert(part, 1.0));
                rest = behind;
            }
            parts.extend(resampler.convert(rest, 1.0));
            prop_assert_eq!(parts, whole);
        }
    }
}
