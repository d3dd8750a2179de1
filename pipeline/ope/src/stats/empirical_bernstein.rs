//! The predictable plug-in empirical Bernstein sequence: bounds for every look that are short where the values hardly vary.

use routewright_domain::Interval;

/// The largest bet: beyond it, one surprise would cost too much.
const LARGEST_BET: f64 = 0.5;

/// Bets on values in [0, 1], each from the values before it only: large where those varied little; at a level of `alpha`.
///
/// One value of ½ with variance ¼ is imagined before the first.
///
/// Source: Waudby-Smith and Ramdas (2024).
pub(super) fn predictable_bets(values: &[f64], alpha: f64) -> Vec<f64> {
    let (mut sum, mut squares, mut variance) = (0.5, 0.25, 0.25);
    values
        .iter()
        .enumerate()
        .map(|(position, value)| {
            let t = position as f64 + 1.0;
            let bet = (2.0 * (1.0 / alpha).ln() / (t * (1.0 + t).ln() * variance)).sqrt();
            sum += value;
            squares += (value - sum / (t + 1.0)).powi(2);
            variance = squares / (t + 1.0);
            bet
        })
        .collect()
}

/// An interval of the mean of values in [0, 1] after every value; all of them cover together except with probability `alpha`.
///
/// Intervals are not intersected with those before.
///
/// Source: Waudby-Smith and Ramdas (2024), theorem 2. Golden values: confseq 0.0.11.
pub fn empirical_bernstein_sequence(values: &[f64], alpha: f64) -> Vec<Interval> {
    let mirrored: Vec<f64> = values.iter().map(|value| 1.0 - value).collect();
    let (lower, upper) = (lower_bounds(values, alpha / 2.0), lower_bounds(&mirrored, alpha / 2.0));
    lower.into_iter().zip(upper).map(|(lower, upper)| Interval { lower: lower.max(0.0), upper: (1.0 - upper).min(1.0) }).collect()
}

/// The lower bound after every value.
fn lower_bounds(values: &[f64], alpha: f64) -> Vec<f64> {
    let (mut bets, mut won, mut cost) = (0.0, 0.0, (1.0 / alpha).ln());
    let (mut sum, mut count) = (0.0, 0.0);
    values
        .iter()
        .zip(predictable_bets(values, alpha))
        .map(|(value, bet)| {
            let bet = bet.min(LARGEST_BET);
            let before = if count > 0.0 { sum / count } else { 0.0 };
            bets += bet;
            won += bet * value;
            cost += (value - before).powi(2) * (-(-bet).ln_1p() - bet);
            sum += value;
            count += 1.0;
            (won - cost) / bets
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_do_not_vary_are_pinned_down_sooner() {
        let at = |values: Vec<f64>| empirical_bernstein_sequence(&values, 0.05)[199];
        let (steady, wild) = (at(vec![0.5; 200]), at((0..200).map(|row| f64::from(row % 2)).collect()));
        assert!(steady.upper - steady.lower < 0.7 * (wild.upper - wild.lower));
        assert!(steady.contains(0.5) && wild.contains(0.5));
    }
}
