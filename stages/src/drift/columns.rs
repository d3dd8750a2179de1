//! Distributions: every feature, and how often paths and query types come.

use rayon::prelude::*;
use routewright_ope::stats::{binned_kolmogorov_smirnov, family_wise, population_stability};

use super::verdict::{Family, Tested};
use super::windows::Compared;
use crate::artifacts::{DriftKind, DriftMeasure};

/// Bins of a feature: tenths of the reference window.
const N_BINS: usize = 10;

/// Rows per day and bin.
struct Binned {
    n_bins: usize,
    /// Days × bins.
    counts: Vec<f64>,
}

impl Binned {
    /// Counts rows; `bins`: the bin of each of `positions`.
    fn new(compared: &Compared<'_>, positions: &[usize], bins: &[usize]) -> Self {
        let n_bins = bins.iter().max().map_or(0, |largest| largest + 1);
        let mut counts = vec![0.0; compared.days.len() * n_bins];
        for (position, bin) in positions.iter().zip(bins) {
            counts[compared.day[*position] as usize * n_bins + bin] += 1.0;
        }
        Self { n_bins, counts }
    }

    /// Index and distance of an arrangement of the days; NaN where a window is empty.
    fn statistics(&self, current: &[bool]) -> [f64; 2] {
        let (mut of_reference, mut of_current) = (vec![0.0; self.n_bins], vec![0.0; self.n_bins]);
        for (day, is_current) in self.counts.chunks_exact(self.n_bins.max(1)).zip(current) {
            let sums = if *is_current { &mut of_current } else { &mut of_reference };
            sums.iter_mut().zip(day).for_each(|(sum, count)| *sum += count);
        }
        let index = population_stability(&of_reference, &of_current);
        [index.unwrap_or(f64::NAN), binned_kolmogorov_smirnov(&of_reference, &of_current).unwrap_or(f64::NAN)]
    }
}

/// Every feature's distribution.
pub(super) fn features(compared: &Compared<'_>, columns: &[usize]) -> Family {
    let positions = compared.queries();
    let binned: Vec<(String, [Option<f64>; 2], Binned)> = columns
        .par_iter()
        .map(|column| {
            let feature = &compared.table.features[*column];
            let values: Vec<f32> = positions.iter().map(|position| feature.values[compared.rows[*position] as usize]).collect();
            let is_current: Vec<bool> = positions.iter().map(|position| compared.is_current[*position]).collect();
            let mean = |wanted: bool| {
                let own = || values.iter().zip(&is_current).filter(|(value, own)| **own == wanted && value.is_finite());
                let count = own().count() as f64;
                (count > 0.0).then(|| own().map(|(value, _)| f64::from(*value)).sum::<f64>() / count)
            };
            (feature.name.clone(), [mean(false), mean(true)], Binned::new(compared, &positions, &bins_of(&values, &is_current)))
        })
        .collect();
    compare(compared, DriftKind::Feature, binned)
}

/// How often paths, static paths and query types come.
pub(super) fn mixes(compared: &Compared<'_>) -> Family {
    let outcomes = &compared.table.outcomes;
    let all: Vec<usize> = (0..compared.rows.len()).collect();
    let mut types: Vec<&str> = compared.rows.iter().map(|row| outcomes.query_types[*row as usize].as_str()).collect();
    types.sort_unstable();
    types.dedup();
    let n_paths = compared.table.paths.len();
    let column = |name: &str, bin: &dyn Fn(usize) -> usize| {
        let bins: Vec<usize> = compared.rows.iter().map(|row| bin(*row as usize)).collect();
        (name.to_owned(), [None, None], Binned::new(compared, &all, &bins))
    };
    let of_type = |row: usize| types.binary_search(&outcomes.query_types[row].as_str()).unwrap_or_default();
    let binned = vec![
        column("path", &|row| outcomes.arms[row].index()),
        column("static_path", &|row| outcomes.static_arms[row].map_or(n_paths, |arm| arm.index())),
        column("query_type", &of_type),
    ];
    compare(compared, DriftKind::Mix, binned)
}

/// Index and distance of every column, with p-values that hold together.
fn compare(compared: &Compared<'_>, kind: DriftKind, columns: Vec<(String, [Option<f64>; 2], Binned)>) -> Family {
    let statistics = |current: &[bool]| -> Vec<f64> { columns.iter().flat_map(|(_, _, binned)| binned.statistics(current)).collect() };
    let observed = statistics(compared.windows.current());
    let permuted: Vec<Vec<f64>> = compared.permutations.par_iter().map(|drawn| statistics(drawn)).collect();
    let p = family_wise(&observed, &permuted);
    let tested = columns
        .into_iter()
        .enumerate()
        .filter(|(row, _)| observed[2 * row].is_finite())
        .map(|(row, (name, [reference, current], _))| Tested {
            kind,
            name,
            measure: DriftMeasure::Psi,
            reference,
            current,
            effect: observed[2 * row],
            distance: Some(observed[2 * row + 1]),
            p: p[2 * row].min(p[2 * row + 1]),
            since: None,
        })
        .collect();
    Family { n_comparisons: observed.len(), tested }
}

/// The bin of every value: cut at the tenths of the reference window, missing values in a bin of their own.
fn bins_of(values: &[f32], is_current: &[bool]) -> Vec<usize> {
    let mut sorted: Vec<f32> =
        values.iter().zip(is_current).filter(|(value, own)| !**own && value.is_finite()).map(|(value, _)| *value).collect();
    sorted.sort_by(f32::total_cmp);
    let mut cuts: Vec<f32> = (1..N_BINS).filter_map(|tenth| sorted.get(tenth * sorted.len() / N_BINS).copied()).collect();
    cuts.dedup();
    // A value that is rarer than a tenth keeps a bin of its own where there are few values anyway.
    let mut distinct = sorted;
    distinct.dedup();
    if distinct.len() <= N_BINS {
        cuts = distinct;
    }
    let bin = |value: &f32| if value.is_finite() { cuts.partition_point(|cut| cut <= value) } else { cuts.len() + 1 };
    values.iter().map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_missing_ones_their_own() {
        assert_eq!(bins_of(&[0.0, 1.0, f32::NAN, 1.0, 2.0], &[false, false, false, true, true]), [1, 2, 3, 2, 2]);
    }

    #[test]
    fn many_values_fall_into_tenths() {
        let values: Vec<f32> = (0..1_000).map(|row| row as f32).collect();
        let bins = bins_of(&values, &vec![false; 1_000]);
        for bin in 0..10 {
            assert_eq!(bins.iter().filter(|own| **own == bin).count(), 100, "{bin}");
        }
    }
}
