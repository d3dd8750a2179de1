//! What is wrong with single columns: constant, twice the same, drifting, or too good to be true. Looks at the training window only.

use std::collections::BTreeMap;

use rayon::prelude::*;
use routewright_router::Column;
use routewright_table::{Outcomes, Window};
use serde::{Deserialize, Serialize};

use crate::artifacts::{ColumnReport, FeatureReport, Finding};

/// Rows that quantiles and rates are computed from, per half of the training window, taken evenly.
const MAX_ROWS: usize = 20_000;

/// Bins of the stability index, by quantiles of the first half, and of the prediction from one column.
const STABILITY_BINS: usize = 10;
const PREDICTION_BINS: usize = 32;

/// Outcomes of each kind below which a column's prediction is not judged.
const MIN_OUTCOMES: usize = 20;

/// Settings of `[features.selection]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SelectionParams {
    /// Findings whose columns are left out.
    pub drop: Vec<Finding>,
    /// Share of the rows with one value from which on a column counts as near-constant.
    pub max_repeat_share: f64,
    /// Population stability index above which a column counts as unstable.
    pub max_psi: f64,
    /// Area under the ROC curve above which a column alone predicts success too well.
    pub max_auc: f64,
}

impl Default for SelectionParams {
    fn default() -> Self {
        Self { drop: Vec::new(), max_repeat_share: 0.999, max_psi: 0.25, max_auc: 0.95 }
    }
}

impl SelectionParams {
    /// Checks the ranges.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(0.5..=1.0).contains(&self.max_repeat_share) {
            return Err(format!("`max_repeat_share` must lie in [0.5, 1], found {}", self.max_repeat_share));
        }
        if !(0.5..=1.0).contains(&self.max_auc) {
            return Err(format!("`max_auc` must lie in [0.5, 1], found {}", self.max_auc));
        }
        if self.max_psi > 0.0 { Ok(()) } else { Err(format!("`max_psi` must be positive, found {}", self.max_psi)) }
    }
}

/// The training window in two halves of time, thinned out, and its outcomes.
struct Halves {
    all: Vec<usize>,
    parts: [Vec<usize>; 2],
}

impl Halves {
    fn of(outcomes: &Outcomes) -> Self {
        let all: Vec<usize> = (0..outcomes.windows.len()).filter(|row| outcomes.windows[*row] == Window::Training).collect();
        let (first, second) = all.split_at(all.len() / 2);
        let thin = |rows: &[usize]| rows.iter().copied().step_by(rows.len().div_ceil(MAX_ROWS).max(1)).collect();
        Self { parts: [thin(first), thin(second)], all }
    }
}

/// Looks at every column of the table.
pub(super) fn judge(columns: &[Column], values: &[Vec<f32>], outcomes: &Outcomes, params: &SelectionParams) -> FeatureReport {
    let halves = Halves::of(outcomes);
    let digests: Vec<u64> = values.par_iter().map(|values| digest(values, &halves.all)).collect();
    let mut first_of: BTreeMap<u64, usize> = BTreeMap::new();
    let twins: Vec<Option<usize>> = (0..values.len())
        .map(|position| {
            let first = *first_of.entry(digests[position]).or_insert(position);
            let same = |row: &usize| bits(values[first][*row]) == bits(values[position][*row]);
            (first < position && halves.all.iter().all(same)).then_some(first)
        })
        .collect();
    let columns = columns.par_iter().zip(values).zip(&twins).map(|((column, values), twin)| {
        let repeat_share = repeat_share(values, &halves);
        let psi = stability_index(values, &halves);
        let auc = prediction(values, outcomes, &halves);
        let mut findings = Vec::new();
        if repeat_share >= params.max_repeat_share {
            findings.push(Finding::NearConstant);
        }
        if twin.is_some() {
            findings.push(Finding::Duplicate);
        }
        if psi > params.max_psi {
            findings.push(Finding::Unstable);
        }
        if auc.is_some_and(|auc| auc > params.max_auc) {
            findings.push(Finding::Leaking);
        }
        let n_missing = halves.all.iter().filter(|row| values[**row].is_nan()).count();
        ColumnReport {
            name: column.name.clone(),
            group: column.group.clone(),
            missing_share: n_missing as f64 / halves.all.len().max(1) as f64,
            repeat_share,
            same_as: twin.map(|twin| columns[twin].name.clone()),
            stability_index: psi,
            auc,
            dropped: findings.iter().any(|finding| params.drop.contains(finding)),
            findings,
        }
    });
    FeatureReport { n_rows: halves.all.len(), columns: columns.collect() }
}

/// A number's bits, one NaN for all.
fn bits(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}

/// FNV-1a of a column.
fn digest(values: &[f32], rows: &[usize]) -> u64 {
    rows.iter().fold(0xcbf2_9ce4_8422_2325, |hash, row| (hash ^ u64::from(bits(values[*row]))).wrapping_mul(0x0100_0000_01b3))
}

/// Share of the most frequent value, a missing one included.
fn repeat_share(values: &[f32], halves: &Halves) -> f64 {
    let mut sorted: Vec<u32> = halves.parts.iter().flatten().map(|row| bits(values[*row])).collect();
    sorted.sort_unstable();
    let longest = sorted.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0);
    longest as f64 / sorted.len().max(1) as f64
}

/// Upper ends of bins by quantiles of some values, the last one open; missing values have a bin of their own.
fn bin_ends(values: &[f32], rows: &[usize], n_bins: usize) -> Vec<f32> {
    let mut sorted: Vec<f32> = rows.iter().map(|row| values[*row]).filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut ends: Vec<f32> = (1..n_bins).filter_map(|bin| sorted.get(bin * sorted.len() / n_bins).copied()).collect();
    ends.dedup();
    ends
}

/// The bin of a value.
fn bin_of(value: f32, ends: &[f32]) -> usize {
    if value.is_nan() { ends.len() + 1 } else { ends.partition_point(|end| *end < value) }
}

/// Population stability index of the second half against the first: `Σ (b − a) ln(b / a)` over the bins' shares.
fn stability_index(values: &[f32], halves: &Halves) -> f64 {
    let ends = bin_ends(values, &halves.parts[0], STABILITY_BINS);
    let shares = [0, 1].map(|half: usize| {
        let rows = &halves.parts[half];
        let mut counts = vec![0.5; ends.len() + 2];
        rows.iter().for_each(|row| counts[bin_of(values[*row], &ends)] += 1.0);
        let total: f64 = counts.iter().sum();
        counts.into_iter().map(|count| count / total).collect::<Vec<f64>>()
    });
    shares[0].iter().zip(&shares[1]).map(|(a, b)| (b - a) * (b / a).ln()).sum()
}

/// Area under the ROC curve of predicting success from this column alone: rates per bin of the first half, judged on the second.
/// `None` with too few outcomes of either kind.
fn prediction(values: &[f32], outcomes: &Outcomes, halves: &Halves) -> Option<f64> {
    let ends = bin_ends(values, &halves.parts[0], PREDICTION_BINS);
    let counts = [0, 1].map(|half: usize| {
        let mut counts = vec![[0_usize; 2]; ends.len() + 2];
        for row in &halves.parts[half] {
            if let Some(success) = outcomes.successes[*row] {
                counts[bin_of(values[*row], &ends)][usize::from(success)] += 1;
            }
        }
        counts
    });
    let totals = counts[1].iter().fold([0, 0], |sum, bin| [sum[0] + bin[0], sum[1] + bin[1]]);
    if totals.iter().any(|total| *total < MIN_OUTCOMES) {
        return None;
    }
    let rate = |bin: &[usize; 2]| (bin[1] as f64 + 0.5) / ((bin[0] + bin[1]) as f64 + 1.0);
    let mut bins: Vec<(f64, [usize; 2])> = counts[0].iter().map(rate).zip(counts[1].iter().copied()).collect();
    bins.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut area) = (0.0, 0.0);
    for tied in bins.chunk_by(|a, b| a.0 == b.0) {
        let sum = |kind: usize| tied.iter().map(|bin| bin.1[kind]).sum::<usize>() as f64;
        area += sum(1) * (below + 0.5 * sum(0));
        below += sum(0);
    }
    Some(area / (totals[0] as f64 * totals[1] as f64))
}

#[cfg(test)]
mod tests {
    use routewright_router::ColumnKind;

    use super::*;

    const N_ROWS: usize = 2_000;

    type NamedColumn = (&'static str, fn(usize) -> f32);

    /// A report on columns given as functions of the row; every third row fails.
    fn report(columns: &[NamedColumn]) -> FeatureReport {
        let outcomes = Outcomes {
            windows: vec![Window::Training; N_ROWS],
            successes: (0..N_ROWS).map(|row| Some(row % 3 > 0)).collect(),
            ..Outcomes::default()
        };
        let column =
            |name: &str| Column { name: name.to_owned(), group: "g".to_owned(), kind: ColumnKind::Number, meaning: "m".to_owned() };
        let described: Vec<Column> = columns.iter().map(|(name, _)| column(name)).collect();
        let values: Vec<Vec<f32>> = columns.iter().map(|(_, value)| (0..N_ROWS).map(value).collect()).collect();
        judge(&described, &values, &outcomes, &SelectionParams { drop: vec![Finding::Leaking], ..SelectionParams::default() })
    }

    #[test]
    fn each_fault_is_found_and_a_sound_column_has_none() {
        let report = report(&[
            ("sound", |row| (row * 7919 % 1009) as f32),
            ("twin", |row| (row * 7919 % 1009) as f32),
            ("constant", |_| f32::NAN),
            ("rising", |row| row as f32),
            ("leak", |row| if row % 3 > 0 { 0.7 } else { 0.2 }),
        ]);
        let findings: Vec<&[Finding]> = report.columns.iter().map(|column| column.findings.as_slice()).collect();
        let expected: [&[Finding]; 5] = [&[], &[Finding::Duplicate], &[Finding::NearConstant], &[Finding::Unstable], &[Finding::Leaking]];
        assert_eq!(findings, expected);
        assert_eq!(report.columns[1].same_as.as_deref(), Some("sound"));
        assert_eq!((report.columns[4].auc, report.columns[4].dropped), (Some(1.0), true));
        assert!(report.columns[0].auc.unwrap() < 0.6);
    }
}
