//! Score intervals and tests of the difference of two proportions (Miettinen and Nurminen 1985), and an interval of their ratio.

use std::f64::consts::PI;

use routewright_domain::Interval;

use super::{Confidence, normal_sf};

/// The score statistic of `p₁ − p₂ = difference`: how many standard errors, under that difference, the one seen lies above it.
///
/// Variance of the two proportions that are likeliest under the difference, times N/(N − 1).
///
/// No golden values: the linear term of the cubic in statsmodels 0.15.0 has the second group's successes where the source has its trials, so that its
/// proportions are not the likeliest. The tests below hold ours against the likelihood itself.
pub fn score_statistic(successes: [f64; 2], trials: [f64; 2], difference: f64) -> f64 {
    let total = trials[0] + trials[1];
    let second = likeliest_second(successes, trials, difference);
    let first = second + difference;
    let variance = (first * (1.0 - first) / trials[0] + second * (1.0 - second) / trials[1]) * total / (total - 1.0);
    let distance = successes[0] / trials[0] - successes[1] / trials[1] - difference;
    if distance == 0.0 { 0.0 } else { distance / variance.max(0.0).sqrt() }
}

/// One-sided p-value of `p₁ − p₂ ≤ difference`: small where the first proportion is larger by more.
pub fn score_superiority(successes: [f64; 2], trials: [f64; 2], difference: f64) -> f64 {
    normal_sf(score_statistic(successes, trials, difference))
}

/// The score interval for `p₁ − p₂`: all differences that the score test does not refute.
pub fn score_interval(successes: [f64; 2], trials: [f64; 2], confidence: Confidence) -> Interval {
    let seen = successes[0] / trials[0] - successes[1] / trials[1];
    let end = |limit: f64| {
        let (mut inside, mut outside) = (seen, limit);
        for _ in 0..100 {
            let middle = f64::midpoint(inside, outside);
            if score_statistic(successes, trials, middle).abs() <= confidence.z() { inside = middle } else { outside = middle }
        }
        inside
    };
    Interval { lower: end(-1.0), upper: end(1.0) }
}

/// Interval for `p₁ / p₂` on the log scale, with half a success added to each group.
pub fn ratio_of_proportions(successes: [f64; 2], trials: [f64; 2], confidence: Confidence) -> Interval {
    let shares = [0, 1].map(|group| (successes[group] + 0.5) / (trials[group] + 0.5));
    let part = |group: usize| 1.0 / (successes[group] + 0.5) - 1.0 / (trials[group] + 0.5);
    let half = confidence.z() * (part(0) + part(1)).sqrt();
    let ratio = shares[0] / shares[1];
    Interval { lower: ratio * (-half).exp(), upper: ratio * half.exp() }
}

/// The second proportion that is likeliest when the first is larger by `difference`: the root of a cubic.
fn likeliest_second(successes: [f64; 2], trials: [f64; 2], difference: f64) -> f64 {
    let (total, hits) = (trials[0] + trials[1], successes[0] + successes[1]);
    if difference == 0.0 {
        return hits / total;
    }
    let square = (trials[0] + 2.0 * trials[1]) * difference - total - hits;
    let linear = (trials[1] * difference - total - 2.0 * successes[1]) * difference + hits;
    let constant = successes[1] * difference * (1.0 - difference);
    let (centre, quarter) = (square / (3.0 * total), linear / (3.0 * total));
    let skew = centre.powi(3) - centre * linear / (2.0 * total) + constant / (2.0 * total);
    let radius = (centre * centre - quarter).max(0.0).sqrt().copysign(skew);
    if radius == 0.0 {
        return -centre;
    }
    let angle = (PI + (skew / radius.powi(3)).clamp(-1.0, 1.0).acos()) / 3.0;
    (2.0 * radius * angle.cos() - centre).clamp((-difference).max(0.0), (1.0 - difference).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_proportions_are_a_maximum() {
        let (successes, trials, difference) = ([45.0, 80.0], [60.0, 100.0], 0.1);
        let likelihood = |second: f64| {
            let of = |hits: f64, n: f64, share: f64| hits * share.ln() + (n - hits) * (1.0 - share).ln();
            of(successes[0], trials[0], second + difference) + of(successes[1], trials[1], second)
        };
        let best = likeliest_second(successes, trials, difference);
        assert!(likelihood(best) > likelihood(best + 1e-4) && likelihood(best) > likelihood(best - 1e-4), "{best}");
    }

    #[test]
    fn the_ends_are_where_the_test_turns() {
        let interval = score_interval([95.0, 90.0], [100.0, 100.0], Confidence::TWO_SIDED_95);
        for end in [interval.lower, interval.upper] {
            assert!((score_statistic([95.0, 90.0], [100.0, 100.0], end).abs() - Confidence::TWO_SIDED_95.z()).abs() < 1e-9);
        }
    }

    #[test]
    fn groups_without_failures_have_an_interval() {
        let interval = score_interval([5.0, 5.0], [5.0, 5.0], Confidence::TWO_SIDED_95);
        assert!(interval.lower < 0.0 && 0.0 < interval.upper, "{interval:?}");
    }
}
