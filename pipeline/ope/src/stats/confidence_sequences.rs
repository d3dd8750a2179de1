//! Confidence sequences of means in [0, 1], and the uniform boundaries behind them: bounds that hold at every look at a growing log.
//!
//! A boundary gives, at intrinsic time `v`, the height that a sum stays below at all times together except with probability `alpha`.
//!
//! Sources: Howard, Ramdas, McAuliffe, Sekhon (2021); Waudby-Smith and Ramdas (2024). Golden values: confseq 0.0.11.

use routewright_domain::Interval;
use statrs::function::beta::ln_beta;
use statrs::function::gamma::{gamma_lr, ln_gamma};

use super::normal_cdf;

/// The tuning of a mixture that is tightest at intrinsic time `v_opt`, two-sided.
pub(super) fn two_sided_rho(v_opt: f64, alpha: f64) -> f64 {
    let log_inverse = 2.0 * (1.0 / alpha).ln();
    v_opt / (log_inverse + (1.0 + log_inverse).ln())
}

/// The same, one-sided.
fn one_sided_rho(v_opt: f64, alpha: f64) -> f64 {
    two_sided_rho(v_opt, 2.0 * alpha)
}

/// The one-sided normal mixture bound of a sub-Gaussian sum.
pub fn normal_mixture_bound_one_sided(v: f64, alpha: f64, v_opt: f64) -> f64 {
    let rho = one_sided_rho(v_opt, alpha);
    let log_martingale = |s: f64| 0.5 * (4.0 * rho / (v + rho)).ln() + s * s / (2.0 * (v + rho)) + normal_cdf(s / (v + rho).sqrt()).ln();
    crossing(|s| log_martingale(s) - (1.0 / alpha).ln())
}

/// The gamma-exponential mixture bound of a sub-exponential sum with scale `c` > 0.
pub fn gamma_exponential_mixture_bound(v: f64, alpha: f64, v_opt: f64, c: f64) -> f64 {
    let rho = one_sided_rho(v_opt, alpha);
    let shape = rho / (c * c);
    let leading = shape * shape.ln() - ln_gamma(shape) - gamma_lr(shape, shape).ln();
    let log_martingale = |s: f64| {
        let (own, at) = ((v + rho) / (c * c), (c * s + v) / (c * c));
        leading + ln_gamma(own) + gamma_lr(own, at + shape).ln() - own * (at + shape).ln() + at
    };
    crossing(|s| log_martingale(s) - (1.0 / alpha).ln())
}

/// The polynomially stitched bound of a sub-Gaussian sum from intrinsic time `v_min` on.
pub fn poly_stitching_bound(v: f64, alpha: f64, v_min: f64) -> f64 {
    /// The power and the spacing of the epochs, as in the source, and Riemann's zeta function at the power.
    const POWER: f64 = 1.4;
    const SPACING: f64 = 2.0;
    const ZETA_OF_POWER: f64 = 3.105_547_277_977_472_6;
    let v = v.max(v_min);
    let level = POWER * (SPACING * v / v_min).ln().ln() + (ZETA_OF_POWER / (alpha * SPACING.ln().powf(POWER))).ln();
    let factor = (SPACING.powf(0.25) + SPACING.powf(-0.25)) / std::f64::consts::SQRT_2;
    (factor * factor * v * level).sqrt()
}

/// The beta-binomial confidence sequence of a success rate after `trials`, tightest at `tuned_for` trials; `alpha` over all looks and both sides.
pub fn bernoulli_sequence(successes: f64, trials: f64, alpha: f64, tuned_for: f64) -> Interval {
    let rate = successes / trials;
    let excess = |p: f64| {
        let q = 1.0 - p;
        let r = (two_sided_rho(tuned_for * p * q, alpha) - p * q).max(1e-3 * p * q);
        let (s, v) = ((rate - p) * trials, trials * p * q);
        let mixed = ln_beta((r + v - p * s) / p, (r + v + q * s) / q) - ln_beta(r / p, r / q);
        mixed - (v + q * s) / q * p.ln() - (v - p * s) / p * q.ln() - (1.0 / alpha).ln()
    };
    /// Nearest to 0 and 1 that is looked at.
    const EDGE: f64 = 1e-9;
    let lower = if rate <= EDGE { 0.0 } else { root(EDGE, rate, &excess) };
    let upper = if rate >= 1.0 - EDGE { 1.0 } else { root(1.0 - EDGE, rate, &excess) };
    Interval { lower, upper }
}

/// The predictable plug-in Hoeffding sequence of the mean of values in [0, 1], after every value; each interval lies within the one before.
pub fn hoeffding_sequence(values: &[f64], alpha: f64) -> Vec<Interval> {
    let log = (2.0 / alpha).ln();
    let (mut weights, mut weighted, mut cost) = (0.0, 0.0, log);
    let intervals = values.iter().enumerate().map(|(position, value)| {
        let t = position as f64 + 1.0;
        let lambda = (8.0 * log / (t * (1.0 + t).ln())).sqrt().min(1.0);
        weights += lambda;
        weighted += lambda * value;
        cost += lambda * lambda / 8.0;
        (weighted / weights, cost / weights)
    });
    narrowing(intervals)
}

/// Intersections of the intervals so far, within [0, 1].
fn narrowing(intervals: impl Iterator<Item = (f64, f64)>) -> Vec<Interval> {
    let mut best = Interval { lower: 0.0, upper: 1.0 };
    intervals
        .map(|(centre, half)| {
            best = Interval { lower: best.lower.max(centre - half), upper: best.upper.min(centre + half) };
            best
        })
        .collect()
}

/// Where a function that rises from below 0 crosses it, above 0.
fn crossing(excess: impl Fn(f64) -> f64) -> f64 {
    let mut high = 1.0;
    while excess(high) < 0.0 && high < 1e300 {
        high *= 2.0;
    }
    root(high, 0.0, &excess)
}

/// The root of a function between a point where it is positive and one where it is not.
fn root(positive: f64, negative: f64, excess: &impl Fn(f64) -> f64) -> f64 {
    let (mut above, mut below) = (positive, negative);
    for _ in 0..200 {
        let middle = f64::midpoint(above, below);
        if excess(middle) > 0.0 {
            above = middle;
        } else {
            below = middle;
        }
    }
    f64::midpoint(above, below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_failures_the_upper_end_is_one() {
        let interval = bernoulli_sequence(50.0, 50.0, 0.05, 50.0);
        assert_eq!(interval.upper, 1.0);
        assert!(0.8 < interval.lower && interval.lower < 1.0);
    }

    #[test]
    fn a_sequence_only_narrows() {
        let values: Vec<f64> = (0..200).map(|row| f64::from(u8::from(row % 3 != 0))).collect();
        let sequence = hoeffding_sequence(&values, 0.05);
        assert!(sequence.windows(2).all(|pair| pair[0].lower <= pair[1].lower && pair[1].upper <= pair[0].upper));
    }
}
