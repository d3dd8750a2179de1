//! How sure a calibration error is: its interval, and what a perfect forecaster would show by chance.

use rand::RngExt as _;
use rayon::prelude::*;
use routewright_domain::{Rng, Seed};
use serde::{Deserialize, Serialize};

use crate::metrics::MetricError;
use crate::reliability::{Binning, Scored};

/// An expected calibration error in bins of equal mass, with what chance makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationGap {
    /// The error as found. Never below what chance alone gives, so small samples look worse than they are.
    pub value: f64,
    /// Lower end of the 95 % interval of the error that the rows stand for.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// The mean error that a perfect forecaster of the same scores would show on as many rows that do not depend on each other.
    pub if_calibrated: f64,
}

impl Scored<'_> {
    /// The expected calibration error in `n_bins` bins of equal mass, with its interval.
    ///
    /// Groups (one key per row, such as the query) are drawn again with Poisson weights, `n_resamples` times; the interval is the pivotal one,
    /// which takes back the error's upward bias. Equal scores, outcomes, groups and seed give equal numbers for any order of the rows.
    ///
    /// # Errors
    /// [`MetricError::Length`] unless there is one group per row.
    pub fn calibration_error(&self, n_bins: usize, groups: &[u64], n_resamples: u32, seed: Seed) -> Result<CalibrationGap, MetricError> {
        let n_rows = self.scores().len();
        if groups.len() != n_rows {
            return Err(MetricError::Length { list: "groups", expected: n_rows, found: groups.len() });
        }
        let value = self.reliability(n_bins, Binning::EqualMass).expected_error;
        let mut rows: Vec<(f64, f64, u64)> = self.pairs().zip(groups).map(|((score, outcome), group)| (score, outcome, *group)).collect();
        rows.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2)));
        let resample = |position: u32| {
            let seed = seed.derive("resample", u64::from(position));
            let weights: Vec<f64> = rows.iter().map(|(_, _, group)| f64::from(poisson(&mut seed.derive("group", *group).rng()))).collect();
            let outcome = |row: usize| rows[row].1;
            let again = weighted_error(&rows, &weights, outcome, n_bins);
            let mut rng = seed.derive("outcomes", 0).rng();
            let drawn: Vec<f64> = rows.iter().map(|(score, _, _)| f64::from(u8::from(rng.random_bool(*score)))).collect();
            (again, weighted_error(&rows, &vec![1.0; n_rows], |row| drawn[row], n_bins))
        };
        let resamples: Vec<(f64, f64)> = (0..n_resamples.max(1)).into_par_iter().map(resample).collect();
        let mut again: Vec<f64> = resamples.iter().map(|pair| pair.0).collect();
        again.sort_by(f64::total_cmp);
        let quantile = |share: f64| again[((again.len() - 1) as f64 * share).round() as usize];
        Ok(CalibrationGap {
            value,
            lower: (2.0 * value - quantile(0.975)).clamp(0.0, value),
            upper: (2.0 * value - quantile(0.025)).max(value).min(1.0),
            if_calibrated: resamples.iter().map(|pair| pair.1).sum::<f64>() / resamples.len() as f64,
        })
    }
}

/// Mean distance between prediction and rate of bins of equal weight, over rows that are sorted by score.
fn weighted_error(rows: &[(f64, f64, u64)], weights: &[f64], outcome: impl Fn(usize) -> f64, n_bins: usize) -> f64 {
    let total: f64 = weights.iter().sum();
    let (mut before, mut bin, mut gap, mut error) = (0.0, 0, 0.0, 0.0);
    for (row, weight) in weights.iter().enumerate() {
        let here = (before * n_bins as f64 / total) as usize;
        if here != bin {
            error += f64::abs(gap);
            (bin, gap) = (here, 0.0);
        }
        gap += weight * (rows[row].0 - outcome(row));
        before += weight;
    }
    (error + f64::abs(gap)) / total
}

/// A draw of the Poisson distribution of mean 1.
fn poisson(rng: &mut Rng) -> u32 {
    let (mut left, mut count, mut share) = (rng.random::<f64>(), 0, (-1.0_f64).exp());
    while share <= left && count < 12 {
        left -= share;
        count += 1;
        share /= f64::from(count);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores over the unit interval and outcomes that come true with `truth` of them.
    fn forecast(n_rows: usize, seed: u64, truth: fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
        let mut rng = Seed(seed).rng();
        (0..n_rows)
            .map(|_| {
                let score: f64 = rng.random();
                (score, f64::from(u8::from(rng.random_bool(truth(score)))))
            })
            .unzip()
    }

    #[test]
    fn the_interval_holds_the_true_error_and_chance_is_told_apart() {
        // Coverage of a 95 % interval: 20 forecasters, of which fewer than 16 would be inside with a chance of 3e-3.
        let mut n_inside = 0;
        for seed in 0..20 {
            let (scores, outcomes) = forecast(2000, seed, |score| score * 0.8 + 0.02);
            let groups: Vec<u64> = (0..2000).collect();
            let found = Scored::new(&scores, &outcomes).unwrap().calibration_error(10, &groups, 60, Seed(seed)).unwrap();
            // Mean of |score − truth| = |0.2 score − 0.02|: below 0.1 and above.
            n_inside += usize::from(found.lower <= 0.082 && 0.082 <= found.upper);
            assert!(found.if_calibrated < 0.04 && found.lower > found.if_calibrated, "{found:?}");
        }
        assert!(n_inside >= 16, "{n_inside} of 20");
        let (scores, outcomes) = forecast(2000, 99, |score| score);
        let groups: Vec<u64> = (0..2000).collect();
        let found = Scored::new(&scores, &outcomes).unwrap().calibration_error(10, &groups, 60, Seed(1)).unwrap();
        assert!((found.value - found.if_calibrated).abs() < 0.012 && found.lower < 0.012, "{found:?}");
    }

    #[test]
    fn rows_of_one_group_are_drawn_together_and_order_does_not_matter() {
        let (scores, outcomes) = forecast(300, 3, |score| 0.5 * score);
        let repeat = |list: &[f64]| -> Vec<f64> { list.iter().flat_map(|value| [*value; 4]).collect() };
        let groups: Vec<u64> = (0..1200).map(|row| row / 4).collect();
        let (many, outcomes_of_many) = (repeat(&scores), repeat(&outcomes));
        let scored = Scored::new(&many, &outcomes_of_many).unwrap();
        let together = scored.calibration_error(10, &groups, 200, Seed(1)).unwrap();
        let apart = scored.calibration_error(10, &(0..1200).collect::<Vec<u64>>(), 200, Seed(1)).unwrap();
        assert!(together.lower > 0.0 && together.upper - together.lower > 1.5 * (apart.upper - apart.lower), "{together:?} {apart:?}");
        let turn = |list: &[f64]| -> Vec<f64> { list.iter().rev().copied().collect() };
        let (turned, turned_outcomes) = (turn(&many), turn(&outcomes_of_many));
        let turned_groups: Vec<u64> = groups.iter().rev().copied().collect();
        let again = Scored::new(&turned, &turned_outcomes).unwrap().calibration_error(10, &turned_groups, 200, Seed(1)).unwrap();
        assert_eq!(again, together);
        assert!(scored.calibration_error(10, &[1], 5, Seed(1)).is_err());
    }
}
