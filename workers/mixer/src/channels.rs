//! Samples of so many channels as samples of as many as the mix has. Pure.

/// Mono is on both sides of stereo. To mono, channels are averaged, so nothing gets louder than it was. Of
/// more than two, every other one is on the left: so are front and back of usual layouts.
pub(crate) fn remix(samples: Vec<f32>, from: usize, to: usize) -> Vec<f32> {
    let (from, to) = (from.max(1), to.max(1));
    if from == to {
        return samples;
    }
    let whole = samples.chunks_exact(from);
    match (from, to) {
        (1, _) => samples.iter().flat_map(|sample| std::iter::repeat_n(*sample, to)).collect(),
        (_, 1) => whole.map(|all| mean(all.iter())).collect(),
        _ => whole
            .flat_map(|all| (0..to).map(move |side| mean(all.iter().skip(side).step_by(to))))
            .collect(),
    }
}

fn mean<'a>(samples: impl Iterator<Item = &'a f32>) -> f32 {
    let (sum, count) = samples.fold((0.0, 0u16), |(sum, count), sample| (sum + sample, count + 1));
    sum / f32::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_spread_or_averaged() {
        assert_eq!(remix(vec![1.0, 2.0], 1, 2), [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(remix(vec![1.0, 0.0, -1.0, 1.0], 2, 1), [0.5, 0.0]);
        assert_eq!(remix(vec![1.0, 2.0, 3.0, 4.0], 4, 2), [2.0, 3.0]);
        assert_eq!(remix(vec![1.0, 2.0], 2, 2), [1.0, 2.0]);
        // Half a sample is none.
        assert_eq!(remix(vec![1.0, 1.0, 7.0], 2, 1), [1.0]);
    }
}
