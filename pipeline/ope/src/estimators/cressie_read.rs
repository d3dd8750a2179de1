//! The empirical-likelihood estimate of the Cressie-Read family, and its interval.

use routewright_domain::Interval;

use crate::Sample;
use crate::stats::{Confidence, mean, student_quantile};

/// The Cressie-Read estimate with power −2: rows are reweighted as little as possible so that the importance weights average 1.
///
/// `weight_range`: smallest and largest weight the logging policy makes possible (`upper` may be infinite).
/// Mass that the rows cannot carry gets the mean logged reward. One row of the extreme weight is imagined, so that a
/// solution exists. `None` when even that leaves all weights equal.
///
/// Source: Karampatziakis, Langford, Mineiro (2020). Golden values: vw-estimators 0.2.2.
pub fn cressie_read(sample: &Sample<'_>, weight_range: Interval) -> Option<f64> {
    let weights = sample.weights();
    let n = weights.len() as f64;
    let [sum_w, sum_ww, sum_wr, sum_wwr] =
        weights.iter().zip(sample.log().rewards()).fold([0.0; 4], |[w, ww, wr, wwr], (weight, reward)| {
            [w + weight, ww + weight * weight, wr + weight * reward, wwr + weight * weight * reward]
        });
    let imagined = if sum_w < n { weight_range.upper } else { weight_range.lower };
    let (constant, slope) = if imagined.is_infinite() {
        (1.0 + 1.0 / n, 0.0)
    } else {
        let first = (imagined + sum_w) / (1.0 + n);
        let second = (imagined * imagined + sum_ww) / (1.0 + n);
        let variance = second - first * first;
        if variance <= 0.0 {
            return None;
        }
        ((second - first) / variance, (1.0 - first) / variance)
    };
    let carried = (constant * sum_w + slope * sum_ww) / (1.0 + n);
    let missing = (1.0 - carried).max(0.0);
    let value = (constant * sum_wr + slope * sum_wwr) / (1.0 + n);
    Some(value + missing * mean(sample.log().rewards()))
}

/// The interval that goes with it: all values that weights near 1 could bring about, for rewards in `reward_range`.
///
/// `weight_range` as in [`cressie_read`]. One row of an extreme weight and an extreme reward is imagined at each end; the end is cut to the rewards there
/// can be. Unlike Wald's interval of IPS it stays short where a few rows carry the weight.
///
/// Source: Karampatziakis, Langford, Mineiro (2020). Golden values: vw-estimators 0.2.2.
pub fn cressie_read_interval(sample: &Sample<'_>, weight_range: Interval, reward_range: Interval, confidence: Confidence) -> Interval {
    let sums = Sums::of(sample);
    let n = sums.n;
    let quantile = student_quantile(0.5 + confidence.level() / 2.0, n);
    let imagined = if sums.w < n { weight_range.upper } else { weight_range.lower };
    let at_best = if imagined.is_infinite() {
        1.0 + 1.0 / n
    } else {
        let first = (imagined + sums.w) / (1.0 + n);
        let second = (imagined * imagined + sums.ww) / (1.0 + n);
        (1.0 + n) * (first - 1.0) * (first - 1.0) / (second - first * first)
    };
    let level = (-at_best - quantile * quantile) / (2.0 * (1.0 + n));
    let end = |reward: f64, sign: f64| {
        let candidates = [weight_range.lower, weight_range.upper].into_iter().filter_map(|weight| sums.least(weight, reward, sign, level));
        let best = candidates.fold(f64::INFINITY, f64::min);
        let value = if best.is_finite() { sign * best } else { reward };
        value.clamp(reward_range.lower, reward_range.upper)
    };
    Interval { lower: end(reward_range.lower, 1.0), upper: end(reward_range.upper, -1.0) }
}

/// Sums over the rows of products of weight and reward.
struct Sums {
    n: f64,
    w: f64,
    ww: f64,
    wr: f64,
    wwr: f64,
    wwrr: f64,
}

impl Sums {
    fn of(sample: &Sample<'_>) -> Self {
        let mut sums = Self { n: sample.weights().len() as f64, w: 0.0, ww: 0.0, wr: 0.0, wwr: 0.0, wwrr: 0.0 };
        for (weight, reward) in sample.weights().iter().zip(sample.log().rewards()) {
            let product = weight * reward;
            sums.w += weight;
            sums.ww += weight * weight;
            sums.wr += product;
            sums.wwr += weight * product;
            sums.wwrr += product * product;
        }
        sums
    }

    /// The least value, times `sign`, with one more row of some weight and reward; `None` where there is no such solution.
    fn least(&self, weight: f64, reward: f64, sign: f64, level: f64) -> Option<f64> {
        let n = self.n;
        let (x, y, z) = if weight.is_infinite() {
            let rest = reward * self.w - self.wr;
            let spread = (reward * reward * self.ww - 2.0 * reward * self.wwr + self.wwrr) / (1.0 + n);
            (sign * (reward - rest / n), rest * rest / (n * (1.0 + n)) - spread, level + 1.0 / (2.0 * n))
        } else {
            let average = |own: f64, sum: f64| (own + sum) / (1.0 + n);
            let (w, ww) = (average(weight, self.w), average(weight * weight, self.ww));
            let (wr, wwr) = (sign * average(weight * reward, self.wr), sign * average(weight * weight * reward, self.wwr));
            let wwrr = average(weight * weight * reward * reward, self.wwrr);
            let (variance, covariance) = (ww - w * w, wwr - w * wr);
            if variance <= 0.0 {
                return None;
            }
            let distance = 1.0 - w;
            (
                wr + distance * covariance / variance,
                covariance * covariance / variance - (wwrr - wr * wr),
                level + 0.5 * distance * distance / variance,
            )
        };
        (z <= 0.0 && y * z >= 0.0).then(|| x - (2.0 * y * z).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Arm, Log, Propensity, Target};

    use super::*;

    #[test]
    fn the_interval_holds_the_estimate_and_stays_within_the_rewards() {
        let arms: Vec<Arm> = (0..40).map(|row| Arm(u16::from(row % 4 == 0))).collect();
        let rewards: Vec<f64> = (0..40).map(|row| f64::from(u8::from(row % 5 != 0))).collect();
        let propensities: Vec<Propensity> =
            arms.iter().map(|arm| Propensity::try_from(if arm.0 == 1 { 0.25 } else { 0.75 }).unwrap()).collect();
        let target = Target::deterministic(2, &[Arm(1); 40]).unwrap();
        let sample = Sample::new(Log::new(2, &arms, &rewards, &propensities).unwrap(), &target).unwrap();
        let (weights, unit) = (Interval { lower: 0.0, upper: 4.0 }, Interval { lower: 0.0, upper: 1.0 });
        let interval = cressie_read_interval(&sample, weights, unit, Confidence::TWO_SIDED_95);
        assert!(interval.contains(cressie_read(&sample, weights).unwrap()), "{interval:?}");
        assert!(0.0 <= interval.lower && interval.upper <= 1.0);
    }
}
