//! Medians, spreads, and arms that are measured in turn. Pure but for the arms.

use crate::Outcome;

/// Half of the values lie below it; 0 for none.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Linear between neighbours; 0 for no values.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = part * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor())
}

/// One thing to measure: its name, and one measurement.
pub(crate) struct Arm<'a> {
    pub(crate) name: &'static str,
    pub(crate) measure: Box<dyn FnMut() -> Outcome<f64> + 'a>,
}

impl std::fmt::Debug for Arm<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arm").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the arms showed. The first is the floor; it was measured again at the end of every round.
#[derive(Clone, Debug)]
pub(crate) struct Rounds {
    names: Vec<&'static str>,
    /// By arm, then by round.
    values: Vec<Vec<f64>>,
    floor_again: Vec<f64>,
}

/// A comparison with the floor of the same rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Compared {
    pub(crate) value: f64,
    pub(crate) floor: f64,
    /// Median over the rounds.
    pub(crate) ratio: f64,
    pub(crate) added: f64,
    /// From the tenth to the ninetieth of a hundred of the floor against itself.
    pub(crate) ratio_spread: (f64, f64),
    pub(crate) added_spread: (f64, f64),
}

impl Rounds {
    /// Measures all arms in turn, so often, and the floor again behind them each time.
    pub(crate) fn measure(rounds: usize, arms: &mut [Arm<'_>]) -> Outcome<Self> {
        let mut values = vec![Vec::new(); arms.len()];
        let mut floor_again = Vec::new();
        for _ in 0..rounds {
            for (arm, values) in arms.iter_mut().zip(&mut values) {
                values.push((arm.measure)()?);
            }
            if let Some(floor) = arms.first_mut() {
                floor_again.push((floor.measure)()?);
            }
        }
        Ok(Self { names: arms.iter().map(|arm| arm.name).collect(), values, floor_again })
    }

    fn values(&self, arm: &str) -> &[f64] {
        let at = self.names.iter().position(|name| *name == arm);
        at.map_or(&[], |at| &self.values[at])
    }

    /// An arm against the first one.
    pub(crate) fn compare(&self, arm: &str) -> Compared {
        let (floor, values) = (&self.values[0], self.values(arm));
        let ratios = zip(values, floor, |value, floor| value / floor);
        let differences = zip(values, floor, |value, floor| value - floor);
        let control = zip(&self.floor_again, floor, |again, floor| again / floor);
        let control_added = zip(&self.floor_again, floor, |again, floor| again - floor);
        Compared {
            value: median(values),
            floor: median(floor),
            ratio: median(&ratios),
            added: median(&differences),
            ratio_spread: spread(&control),
            added_spread: spread(&control_added),
        }
    }

    /// How two arms differ from each other, round by round.
    pub(crate) fn ratio(&self, arm: &str, other: &str) -> f64 {
        median(&zip(self.values(arm), self.values(other), |value, other| value / other))
    }
}

fn zip(values: &[f64], others: &[f64], join: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    values.iter().zip(others).map(|(value, other)| join(*value, *other)).collect()
}

fn spread(values: &[f64]) -> (f64, f64) {
    (quantile(values, 0.1), quantile(values, 0.9))
}

/// Whether a figure that ought to be at most `limit` is, or differs from it by no more than the floor
/// does from itself.
pub(crate) fn holds(figure: f64, limit: f64, spread: (f64, f64)) -> bool {
    figure <= limit || (spread.0..=spread.1).contains(&figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_between_its_neighbours() {
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(quantile(&[0.0, 10.0], 0.9), 9.0);
    }

    #[test]
    fn a_round_is_compared_with_its_own_floor() {
        let (mut floors, mut values) = ([1.0, 1.0, 2.0, 2.0].iter(), [2.0, 4.0].iter());
        let mut arms = [
            Arm { name: "floor", measure: Box::new(|| Ok(*floors.next().unwrap())) },
            Arm { name: "ours", measure: Box::new(|| Ok(*values.next().unwrap())) },
        ];
        let rounds = Rounds::measure(2, &mut arms).unwrap();
        drop(arms);
        let compared = rounds.compare("ours");
        assert_eq!((compared.ratio, compared.added, compared.value), (2.0, 1.5, 3.0));
        assert_eq!(compared.ratio_spread, (1.0, 1.0));
    }

    #[test]
    fn a_claim_holds_at_its_target_or_inside_the_noise() {
        assert!(holds(1.05, 1.1, (0.99, 1.01)));
        assert!(holds(1.15, 1.1, (0.8, 1.2)));
        assert!(!holds(1.15, 1.1, (0.99, 1.01)));
    }
}
