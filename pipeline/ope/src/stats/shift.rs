//! Whether two windows of time differ: distances of distributions, a classifier's area under the curve, change points, and tests of many
//! of them at once by permuting whole days.

use rand::RngExt;
use routewright_domain::{Interval, Rng};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::student_quantile;

/// What an empty bin counts, in rows, so that the logarithm of a share stays finite.
const EMPTY_BIN: f64 = 0.5;

/// Population stability index of two windows: `Σ (c − r) ln(c / r)` over the shares of bins; 0 where both are alike.
///
/// `reference`, `current`: rows per bin, equally many bins; an empty bin counts half a row, so that the index is finite. `None` where a window
/// is empty. Under equal distributions of independent rows its mean is about `(bins − 1)(1/n + 1/m)`.
pub fn population_stability(reference: &[f64], current: &[f64]) -> Option<f64> {
    let used: Vec<(f64, f64)> = reference.iter().zip(current).map(|(r, c)| (*r, *c)).filter(|(r, c)| r + c > 0.0).collect();
    let totals = used.iter().fold((0.0, 0.0), |sum, (r, c)| (sum.0 + r.max(EMPTY_BIN), sum.1 + c.max(EMPTY_BIN)));
    let is_empty = |window: &[f64]| window.iter().sum::<f64>() <= 0.0;
    if is_empty(reference) || is_empty(current) {
        return None;
    }
    let term = |(r, c): &(f64, f64)| {
        let (r, c) = (r.max(EMPTY_BIN) / totals.0, c.max(EMPTY_BIN) / totals.1);
        (c - r) * (c / r).ln()
    };
    Some(used.iter().map(term).sum())
}

/// Largest distance of two distribution functions that are given as rows per bin, in the order of the values; `None` where a window is empty.
pub fn binned_kolmogorov_smirnov(reference: &[f64], current: &[f64]) -> Option<f64> {
    let totals: (f64, f64) = (reference.iter().sum(), current.iter().sum());
    if totals.0 <= 0.0 || totals.1 <= 0.0 {
        return None;
    }
    let (mut below, mut largest) = ((0.0, 0.0), 0.0_f64);
    for (r, c) in reference.iter().zip(current) {
        below = (below.0 + r / totals.0, below.1 + c / totals.1);
        largest = largest.max((below.0 - below.1).abs());
    }
    Some(largest)
}

/// Whole days of two windows: which belong to the current one, and which are of a kind (weekdays), so that only these may change places.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    current: Vec<bool>,
    strata: Vec<u32>,
}

impl Windows {
    /// Units of two windows; `strata`: one per unit. Where strata leave fewer than `1 / level` arrangements, all units count as of one kind.
    pub fn new(current: Vec<bool>, mut strata: Vec<u32>, level: f64) -> Self {
        strata.resize(current.len(), 0);
        let mut windows = Self { current, strata };
        if windows.ln_arrangements() < -level.ln() {
            windows.strata.fill(0);
        }
        windows
    }

    /// Which units belong to the current window.
    pub fn current(&self) -> &[bool] {
        &self.current
    }

    /// The smallest p-value that permutations can give: one over the number of arrangements.
    pub fn smallest_p(&self) -> f64 {
        (-self.ln_arrangements()).exp()
    }

    /// Arrangements of the units: `count` of them drawn at random, the same number of current units in every stratum.
    pub fn permutations(&self, count: usize, rng: &mut Rng) -> Vec<Vec<bool>> {
        let strata = self.members();
        let draw = |_| {
            let mut drawn = vec![false; self.current.len()];
            for members in &strata {
                let mut order = members.clone();
                let n_current = members.iter().filter(|unit| self.current[**unit]).count();
                for place in 0..n_current {
                    let other = rng.random_range(place..order.len());
                    order.swap(place, other);
                    drawn[order[place]] = true;
                }
            }
            drawn
        };
        (0..count).map(draw).collect()
    }

    /// Units by stratum.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut strata: Vec<u32> = self.strata.clone();
        strata.sort_unstable();
        strata.dedup();
        strata.iter().map(|stratum| (0..self.strata.len()).filter(|unit| self.strata[*unit] == *stratum).collect()).collect()
    }

    /// Natural logarithm of the number of arrangements.
    fn ln_arrangements(&self) -> f64 {
        let ln_choose = |n: usize, k: usize| (0..k).map(|i| ((n - i) as f64 / (i + 1) as f64).ln()).sum::<f64>();
        self.members().iter().map(|members| ln_choose(members.len(), members.iter().filter(|unit| self.current[**unit]).count())).sum()
    }
}

/// Orders of `n` units, drawn at random.
pub fn random_orders(n: usize, count: usize, rng: &mut Rng) -> Vec<Vec<usize>> {
    let draw = |_| {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|place| order.swap(place, rng.random_range(0..=place)));
        order
    };
    (0..count).map(draw).collect()
}

/// P-values of many statistics at once, which hold together: the chance that the largest of all would be as large if nothing had moved.
///
/// `observed`: one per statistic, large where something moved, NaN where it cannot be computed; `permuted`: the same under every arrangement.
/// Statistics are compared in units of their own spread over the arrangements, so that none drowns the others.
///
/// Source: Westfall & Young (1993), the single-step maximum.
pub fn family_wise(observed: &[f64], permuted: &[Vec<f64>]) -> Vec<f64> {
    let n = permuted.len() as f64 + 1.0;
    let scale: Vec<(f64, f64)> = (0..observed.len())
        .map(|column| {
            let values = || permuted.iter().map(|row| row[column]).chain([observed[column]]).filter(|value| value.is_finite());
            let count = values().count() as f64;
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            (mean, variance.sqrt())
        })
        .collect();
    let standard = |column: usize, value: f64| {
        let (mean, spread) = scale[column];
        if spread > 0.0 && value.is_finite() { (value - mean) / spread } else { f64::NEG_INFINITY }
    };
    let largest: Vec<f64> = permuted
        .iter()
        .map(|row| row.iter().enumerate().map(|(column, value)| standard(column, *value)).fold(f64::NEG_INFINITY, f64::max))
        .collect();
    observed
        .iter()
        .enumerate()
        .map(|(column, value)| match standard(column, *value) {
            f64::NEG_INFINITY => 1.0,
            // Equal arrangements give sums that differ in the last digits.
            own => (1.0 + largest.iter().filter(|largest| **largest >= own - 1e-9).count() as f64) / n,
        })
        .collect()
}

/// How well scores tell one window from the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusteredAuc {
    /// Chance that a row of the current window scores higher than one of the reference, ties counting half.
    pub auc: f64,
    /// Two-sided interval at the level asked for.
    pub interval: Interval,
    /// One-sided p-value of "no better than chance".
    pub p: f64,
}

/// Area under the curve of scores whose rows come in clusters (days); `None` with fewer than two clusters in a window.
///
/// `scores`, `is_current`, `clusters`: one per row. The spread is that of the clusters' mean placements, with Student's quantiles for the smaller
/// number of clusters: few days give wide intervals.
///
/// Source: Obuchowski (1997), who extends DeLong, DeLong & Clarke-Pearson (1988).
pub fn clustered_auc(scores: &[f64], is_current: &[bool], clusters: &[u32], level: f64) -> Option<ClusteredAuc> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|one, other| scores[*one].total_cmp(&scores[*other]));
    let n_current = is_current.iter().filter(|current| **current).count() as f64;
    let n_reference = scores.len() as f64 - n_current;
    let n_clusters = clusters.iter().max().map_or(0, |largest| *largest as usize + 1);
    // Per cluster: placements and rows of the current window, then of the reference.
    let mut sums = vec![[0.0_f64; 4]; n_clusters];
    let mut below = (0.0, 0.0);
    for equals in order.chunk_by(|one, other| scores[*one] == scores[*other]) {
        let current = equals.iter().filter(|row| is_current[**row]).count() as f64;
        let reference = equals.len() as f64 - current;
        for row in equals {
            let sum = &mut sums[clusters[*row] as usize];
            if is_current[*row] {
                sum[0] += (below.1 + reference / 2.0) / n_reference;
                sum[1] += 1.0;
            } else {
                sum[2] += (n_current - below.0 - current / 2.0) / n_current;
                sum[3] += 1.0;
            }
        }
        below = (below.0 + current, below.1 + reference);
    }
    let k_current = sums.iter().filter(|sum| sum[1] > 0.0).count();
    let k_reference = sums.iter().filter(|sum| sum[3] > 0.0).count();
    if k_current < 2 || k_reference < 2 {
        return None;
    }
    let auc = sums.iter().map(|sum| sum[0]).sum::<f64>() / n_current;
    let spread = |placements: usize, n: f64, k: usize| {
        let squares: f64 = sums.iter().map(|sum| (sum[placements] - sum[placements + 1] * auc).powi(2)).sum();
        k as f64 / (k as f64 - 1.0) * squares / (n * n)
    };
    let std_error = (spread(0, n_current, k_current) + spread(2, n_reference, k_reference)).sqrt();
    let degrees = (k_current.min(k_reference) - 1) as f64;
    let half = student_quantile(0.5 + level / 2.0, degrees) * std_error;
    let p = if std_error > 0.0 {
        StudentsT::new(0.0, 1.0, degrees).map_or(1.0, |student| student.sf((auc - 0.5) / std_error))
    } else {
        f64::from(u8::from(auc <= 0.5))
    };
    Some(ClusteredAuc { auc, interval: Interval { lower: (auc - half).max(0.0), upper: (auc + half).min(1.0) }, p })
}

/// The moment that splits a series best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// First unit after the change.
    pub at: usize,
    /// Mean before.
    pub before: f64,
    /// Mean from then on.
    pub after: f64,
    /// Distance of the means in pooled standard errors.
    pub statistic: f64,
}

/// The unit that splits a series of sums best, at least `margin` units with rows on each side; `None` where there is none.
///
/// `series`: per unit the number of rows and the sum of their values, in the order of time. The spread is that of the units' means around the two
/// sides' means, weighted by rows, so that days that differ by themselves do not count as changes. Its p-value comes from permuting the units.
pub fn best_split(series: &[(f64, f64)], margin: usize) -> Option<Split> {
    let known: Vec<(usize, f64, f64)> =
        series.iter().enumerate().filter(|(_, (n, _))| *n > 0.0).map(|(unit, (n, sum))| (unit, *n, *sum)).collect();
    let margin = margin.max(1);
    let total = known.iter().fold((0.0, 0.0, 0.0), |all, (_, n, sum)| (all.0 + n, all.1 + sum, all.2 + sum * sum / n));
    let (mut n, mut sum, mut best) = (0.0, 0.0, None::<Split>);
    for (position, unit) in known.iter().enumerate() {
        if margin <= position && margin <= known.len() - position {
            let (before, after) = (sum / n, (total.1 - sum) / (total.0 - n));
            let within = (total.2 - n * before * before - (total.0 - n) * after * after).max(0.0) / (known.len() as f64 - 2.0).max(1.0);
            let statistic = (after - before).abs() / (within * (1.0 / n + 1.0 / (total.0 - n))).sqrt().max(1e-12);
            if best.is_none_or(|known| known.statistic < statistic) {
                best = Some(Split { at: unit.0, before, after, statistic });
            }
        }
        (n, sum) = (n + unit.1, sum + unit.2);
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use routewright_domain::{Rng, Seed};

    use super::*;

    fn uniform(rng: &mut Rng) -> f64 {
        rng.random::<f64>()
    }

    #[test]
    fn the_index_is_the_sum_over_bins() {
        let expected = (0.5 - 0.25) * (0.5_f64 / 0.25).ln() + (0.5 - 0.75) * (0.5_f64 / 0.75).ln();
        let found = population_stability(&[25.0, 75.0, 0.0], &[50.0, 50.0, 0.0]).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}");
        assert_eq!(population_stability(&[1.0], &[0.0]), None);
        assert_eq!(binned_kolmogorov_smirnov(&[25.0, 75.0], &[50.0, 50.0]), Some(0.25));
    }

    proptest! {
        #[test]
        fn the_index_is_finite_and_zero_only_for_equal_shares(counts in proptest::collection::vec((0_u32..50, 0_u32..50), 2..12)) {
            let (r, c): (Vec<f64>, Vec<f64>) = counts.iter().map(|(r, c)| (f64::from(*r), f64::from(*c))).unzip();
            if let Some(found) = population_stability(&r, &c) {
                prop_assert!(found.is_finite() && found >= -1e-12);
            }
            if let Some(same) = population_stability(&r, &r) {
                prop_assert!(same.abs() < 1e-12);
            }
        }

        #[test]
        fn arrangements_keep_the_number_of_current_units_in_every_stratum(flags in proptest::collection::vec((any::<bool>(), 0_u32..3), 1..30)) {
            let (current, strata): (Vec<bool>, Vec<u32>) = flags.into_iter().unzip();
            let windows = Windows { current: current.clone(), strata: strata.clone() };
            for drawn in windows.permutations(5, &mut Seed(1).rng()) {
                for stratum in 0..3 {
                    let count = |flags: &[bool]| flags.iter().zip(&strata).filter(|(flag, own)| **flag && **own == stratum).count();
                    prop_assert_eq!(count(&drawn), count(&current));
                }
            }
        }

        #[test]
        fn the_area_is_the_share_of_pairs(rows in proptest::collection::vec((0_u8..6, any::<bool>()), 8..40)) {
            let scores: Vec<f64> = rows.iter().map(|(score, _)| f64::from(*score)).collect();
            let current: Vec<bool> = rows.iter().map(|(_, current)| *current).collect();
            let clusters: Vec<u32> = (0..rows.len() as u32).collect();
            let (mut won, mut pairs) = (0.0, 0.0);
            for (one, is_current) in scores.iter().zip(&current).filter(|(_, current)| **current) {
                prop_assert!(*is_current);
                for (other, _) in scores.iter().zip(&current).filter(|(_, current)| !**current) {
                    won += if one > other { 1.0 } else if one == other { 0.5 } else { 0.0 };
                    pairs += 1.0;
                }
            }
            if let Some(found) = clustered_auc(&scores, &current, &clusters, 0.95) {
                prop_assert!((found.auc - won / pairs).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn weekdays_change_places_among_themselves_where_that_leaves_enough_arrangements() {
        let days = |weeks: usize| (0..7 * weeks).map(|day| (day >= 7 * (weeks - 1), day as u32 % 7)).unzip();
        let (current, strata) = days(3);
        assert!((Windows::new(current, strata, 0.01).smallest_p() - 3.0_f64.powi(-7)).abs() < 1e-12);
        let (current, strata): (Vec<bool>, Vec<u32>) = days(1);
        assert!((Windows::new(current, strata, 0.01).smallest_p() - 1.0).abs() < 1e-12);
    }

    /// Days of three quantities, noisy by day and by row, of which the last moves by `shift` in the last of five weeks.
    fn p_values(shift: f64, seed: u64) -> Vec<f64> {
        let mut rng = Seed(seed).rng();
        let day_means: Vec<[f64; 3]> = (0..35)
            .map(|day| std::array::from_fn(|row| 0.3 * (uniform(&mut rng) - 0.5) + if row == 2 && day >= 28 { shift } else { 0.0 }))
            .collect();
        let windows = Windows::new((0..35).map(|day| day >= 28).collect(), (0..35).map(|day| day % 7).collect(), 0.01);
        let statistic = |current: &[bool]| -> Vec<f64> {
            let mean = |wanted: bool, row: usize| {
                let values: Vec<f64> = day_means.iter().zip(current).filter(|(_, own)| **own == wanted).map(|(day, _)| day[row]).collect();
                values.iter().sum::<f64>() / values.len() as f64
            };
            (0..3).map(|row| (mean(true, row) - mean(false, row)).abs()).collect()
        };
        let permuted: Vec<Vec<f64>> = windows.permutations(199, &mut rng).iter().map(|drawn| statistic(drawn)).collect();
        family_wise(&statistic(windows.current()), &permuted)
    }

    #[test]
    fn what_moved_is_found_and_what_did_not_is_left_alone() {
        let p = p_values(0.4, 3);
        assert!(p[2] <= 0.005 && p[0] > 0.05 && p[1] > 0.05, "{p:?}");
    }

    /// 300 still worlds at 5 %: the chance of more than 28 false alarms is 0.1 %.
    #[test]
    fn still_worlds_raise_as_few_alarms_as_promised() {
        let alarms = (0..300).filter(|seed| p_values(0.0, *seed).iter().any(|p| *p <= 0.05)).count();
        assert!(alarms <= 28, "{alarms}");
    }

    #[test]
    fn scores_that_tell_nothing_are_no_better_than_chance_however_alike_the_rows_of_a_day_are() {
        let mut alarms = 0;
        for seed in 0..200 {
            let mut rng = Seed(seed).rng();
            let days: Vec<f64> = (0..35).map(|_| uniform(&mut rng)).collect();
            let rows: Vec<(f64, bool, u32)> =
                (0..1_400).map(|row| (days[row % 35] + 0.2 * uniform(&mut rng), row % 35 >= 28, (row % 35) as u32)).collect();
            let column: Vec<f64> = rows.iter().map(|row| row.0).collect();
            let current: Vec<bool> = rows.iter().map(|row| row.1).collect();
            let clusters: Vec<u32> = rows.iter().map(|row| row.2).collect();
            alarms += usize::from(clustered_auc(&column, &current, &clusters, 0.95).unwrap().p <= 0.05);
        }
        // 200 at 5 %: more than 20 is a chance of 0.1 %; rows that count as independent would raise a hundred.
        assert!(alarms <= 20, "{alarms}");
    }

    #[test]
    fn a_change_is_found_on_its_day() {
        let series: Vec<(f64, f64)> = (0..30).map(|day| (100.0, if day < 21 { 90.0 } else { 80.0 } + f64::from(day % 3))).collect();
        let found = best_split(&series, 2).unwrap();
        assert_eq!(found.at, 21);
        assert!((found.before - 0.91).abs() < 0.005 && (found.after - 0.81).abs() < 0.005, "{found:?}");
        assert_eq!(best_split(&[(1.0, 1.0); 3], 2), None);
        assert_eq!(best_split(&[(0.0, 0.0); 9], 1), None);
    }
}
