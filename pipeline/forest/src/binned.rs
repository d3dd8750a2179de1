//! A table as small integers: every column cut at its quantiles, once for all forests that are grown on it.

use rayon::prelude::*;
use routewright_router::category_of;

use crate::matrix::Matrix;

/// Most bins that a column may have; one more code stands for missing values.
pub const MAX_BINS: usize = 255;

/// The code of a missing value.
pub(crate) const MISSING: u8 = 255;

/// Rows that one task turns from columns into rows at a time: few enough for the first-level caches.
const CHUNK_ROWS: usize = 256;

/// How often a column of many values is cut, each time at other quantiles, for trees to take in turn.
///
/// Trees that share their cuts err at the same places, which no mean over trees mends: at 100,000 rows, 255 cuts for all of them cost nearly
/// one per cent of log loss.
const N_CODINGS: usize = 4;

/// A table whose numbers are replaced by the positions of their bins.
///
/// Bins follow the order of the values only, so a monotone transform of a column gives the same codes. Columns with at most
/// `max_bins` distinct values get one bin per value; others are cut into bins of about equally many rows, several times at different quantiles,
/// which trees take in turn.
#[derive(Clone, Debug)]
pub struct Binned {
    codings: Vec<Coding>,
}

/// A table coded by one choice of cuts.
#[derive(Clone, Debug)]
pub(crate) struct Coding {
    n_rows: usize,
    n_columns: usize,
    /// n_rows × n_columns, row after row: the few columns that a node looks at are then in one or two cache lines of each row.
    codes: Vec<u8>,
    /// The same codes column after column: nodes that hold many of the rows read one column from end to end.
    column_codes: Vec<u8>,
    columns: Vec<BinnedColumn>,
}

/// The cuts of one column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BinnedColumn {
    /// Largest raw value of each bin but the last, moved half-way to the next bin's smallest: the thresholds of splits.
    pub cuts: Vec<f32>,
    /// Whether the column holds categories, which are their own codes and have no cuts.
    pub is_category: bool,
}

impl Binned {
    /// Codes a table. `max_bins`: 2 to [`MAX_BINS`], held there.
    pub fn new(matrix: &Matrix<'_>, max_bins: usize) -> Self {
        Self::with_categories(matrix, max_bins, |_| false)
    }

    /// Codes a table, some of whose columns hold categories: whole numbers from 0 to 254 without an order, everything else being missing.
    ///
    /// Splits of such a column send a set of its categories to the left, found among the sets that the mean target orders
    /// (Fisher 1958; with more than two classes, one order per class).
    pub fn with_categories(matrix: &Matrix<'_>, max_bins: usize, is_category: impl Fn(usize) -> bool + Sync) -> Self {
        let max_bins = max_bins.clamp(2, MAX_BINS);
        let columns: Vec<Vec<BinnedColumn>> = (0..matrix.n_columns())
            .into_par_iter()
            .map(|column| {
                let category = BinnedColumn { cuts: Vec::new(), is_category: true };
                if is_category(column) { vec![category] } else { cut(matrix.column(column), max_bins) }
            })
            .collect();
        let (n_rows, n_columns) = (matrix.n_rows(), matrix.n_columns());
        let n_codings = columns.iter().map(Vec::len).max().unwrap_or(1);
        let mut column_codes = vec![vec![0; n_rows * n_columns]; n_codings];
        // Every coding's part of each column, so that one look at a value codes it in all ways.
        let mut parts: Vec<Vec<&mut [u8]>> = (0..n_columns).map(|_| Vec::with_capacity(n_codings)).collect();
        for codes in &mut column_codes {
            parts.iter_mut().zip(codes.chunks_exact_mut(n_rows.max(1))).for_each(|(parts, part)| parts.push(part));
        }
        parts.into_par_iter().zip(&columns).enumerate().for_each(|(column, (parts, ways))| code_column(matrix.column(column), ways, parts));
        let coding = |(position, column_codes): (usize, Vec<u8>)| Coding {
            n_rows,
            n_columns,
            codes: transposed(&column_codes, n_rows, n_columns),
            column_codes,
            columns: columns.iter().map(|ways| ways[position % ways.len()].clone()).collect(),
        };
        Self { codings: column_codes.into_iter().enumerate().map(coding).collect() }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.codings[0].n_rows
    }

    /// Number of columns.
    pub fn n_columns(&self) -> usize {
        self.codings[0].n_columns
    }

    /// Most bins of a column, without the one for missing values.
    pub fn n_bins(&self, column: usize) -> usize {
        self.codings.iter().map(|coding| coding.columns[column].cuts.len() + 1).max().unwrap_or(1)
    }

    /// The table as a tree sees it.
    pub(crate) fn coding(&self, tree: usize) -> &Coding {
        &self.codings[tree % self.codings.len()]
    }
}

impl Coding {
    /// Number of rows.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub(crate) fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// The codes of one row.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.codes[row * self.n_columns..(row + 1) * self.n_columns]
    }

    /// The code of one value.
    #[inline]
    pub(crate) fn code(&self, row: u32, column: usize) -> u8 {
        self.codes[row as usize * self.n_columns + column]
    }

    /// The codes of one column.
    pub(crate) fn column_codes(&self, column: usize) -> &[u8] {
        &self.column_codes[column * self.n_rows..(column + 1) * self.n_rows]
    }

    /// The cuts of a column.
    pub(crate) fn column(&self, column: usize) -> &BinnedColumn {
        &self.columns[column]
    }
}

/// Codes a column in every way: a value is looked for once, among the cuts of all ways.
fn code_column(values: &[f32], ways: &[BinnedColumn], mut parts: Vec<&mut [u8]>) {
    let n_ways = ways.len();
    if ways.iter().any(|way| way.is_category) {
        for part in parts {
            part.iter_mut().zip(values).for_each(|(code, &value)| *code = category_of(value).unwrap_or(MISSING));
        }
        return;
    }
    let mut cuts: Vec<f32> = ways.iter().flat_map(|way| &way.cuts).copied().collect();
    cuts.sort_unstable_by(f32::total_cmp);
    cuts.dedup();
    // The bin of a value in each way, by the number of cuts of all ways below it: that of the first value above so many.
    let bins: Vec<Vec<u8>> = ways
        .iter()
        .map(|way| {
            let below = |place: usize| cuts[..place].last().map_or(0, |highest| way.cuts.partition_point(|cut| cut <= highest) as u8);
            (0..=cuts.len()).map(below).collect()
        })
        .collect();
    for (row, value) in values.iter().enumerate() {
        let place = cuts.partition_point(|cut| cut < value);
        for (way, part) in parts.iter_mut().enumerate() {
            part[row] = if value.is_nan() { MISSING } else { bins[way % n_ways][place] };
        }
    }
}

/// Codes row after row, from codes column after column.
fn transposed(column_codes: &[u8], n_rows: usize, n_columns: usize) -> Vec<u8> {
    let mut codes = vec![0; n_rows * n_columns];
    codes.par_chunks_mut((CHUNK_ROWS * n_columns).max(1)).enumerate().for_each(|(chunk, codes)| {
        let first = chunk * CHUNK_ROWS;
        for (position, column) in column_codes.chunks_exact(n_rows.max(1)).enumerate() {
            for (row, code) in codes.chunks_exact_mut(n_columns).zip(&column[first..]) {
                row[position] = *code;
            }
        }
    });
    codes
}

impl BinnedColumn {
    /// The threshold of a split after a bin: what is at most this goes left.
    pub(crate) fn threshold(&self, bin: usize) -> f32 {
        self.cuts.get(bin).copied().unwrap_or(f32::INFINITY)
    }
}

/// Finds a column's cuts: in one way where every value has a bin of its own, in [`N_CODINGS`] ways elsewhere.
fn cut(values: &[f32], max_bins: usize) -> Vec<BinnedColumn> {
    let mut keys: Vec<u32> = values.iter().filter(|value| !value.is_nan()).map(|&value| order_key(value)).collect();
    keys.sort_unstable();
    let n_distinct = keys.chunk_by(PartialEq::eq).take(max_bins + 1).count();
    let numbers = |cuts| BinnedColumn { cuts, is_category: false };
    if n_distinct <= max_bins {
        let distinct: Vec<f32> = keys.chunk_by(PartialEq::eq).map(|run| value_of(run[0])).collect();
        return vec![numbers(distinct.windows(2).map(|pair| between(pair[0], pair[1])).collect())];
    }
    // The first bin of each way is short by another part of a bin, which moves all cuts.
    (0..N_CODINGS).map(|way| numbers(quantile_cuts(&keys, max_bins, way as f64 / N_CODINGS as f64))).collect()
}

/// Cuts sorted values into at most `max_bins` runs, each as long as what is left divided by the bins that are left, the first one shorter by
/// a share of a bin; equal values stay together.
fn quantile_cuts(keys: &[u32], max_bins: usize, short: f64) -> Vec<f32> {
    let mut cuts = Vec::with_capacity(max_bins - 1);
    // As if so many values below all others were in the first bin already.
    let n_before = (short * keys.len() as f64 / max_bins as f64) as usize;
    let (mut n_coded, mut n_in_bin) = (0, n_before);
    let mut runs = keys.chunk_by(PartialEq::eq).peekable();
    while let (Some(run), Some(next)) = (runs.next(), runs.peek()) {
        n_in_bin += run.len();
        let n_bins_left = max_bins - cuts.len();
        let wanted = (n_before + keys.len() - n_coded) as f64 / n_bins_left as f64;
        // The run that would carry the bin further past its size than it is short of it now starts the next bin.
        let is_full = n_in_bin as f64 + next.len() as f64 / 2.0 > wanted;
        if is_full && n_bins_left > 1 {
            cuts.push(between(value_of(run[0]), value_of(next[0])));
            n_coded += n_in_bin;
            n_in_bin = 0;
        }
    }
    cuts
}

/// A number whose order as an integer is the order of the value; both zeros are one.
fn order_key(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// The value of an [`order_key`].
fn value_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// A number that is at least `low`, less than `high`, and half-way where there is room; never minus infinity.
fn between(low: f32, high: f32) -> f32 {
    let (finite_low, finite_high) = (low.max(f32::MIN), high.min(f32::MAX));
    let middle = ((f64::from(finite_low) + f64::from(finite_high)) / 2.0) as f32;
    if low <= middle && middle < high { middle } else { finite_low }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codes(values: &[f32], max_bins: usize) -> Vec<u8> {
        let columns = [values];
        let binned = Binned::new(&Matrix::new(&columns).unwrap(), max_bins);
        (0..values.len()).map(|row| binned.coding(0).code(row as u32, 0)).collect()
    }

    #[test]
    fn few_values_get_a_bin_each_with_thresholds_half_way() {
        let ways = cut(&[3.0, 1.0, f32::NAN, 1.0, -0.0, 0.0], 255);
        assert_eq!(ways, [BinnedColumn { cuts: vec![0.5, 2.0], is_category: false }]);
        assert_eq!(codes(&[3.0, 1.0, f32::NAN, 1.0, -0.0, 0.0], 255), [2, 1, 255, 1, 0, 0]);
    }

    #[test]
    fn a_value_that_is_a_cut_lies_below_it() {
        // Between neighbours there is no number, so that the lower one is the cut.
        let next = f32::from_bits(1.0_f32.to_bits() + 1);
        assert_eq!(cut(&[1.0, next], 255)[0].cuts, [1.0]);
        assert_eq!(codes(&[1.0, next, 0.5], 255), [1, 2, 0]);
    }

    #[test]
    fn many_values_get_bins_of_about_equal_size() {
        let values: Vec<f32> = (0..1000).map(|row| (row * 7 % 1000) as f32).collect();
        let codes = codes(&values, 10);
        for bin in 0..10 {
            assert_eq!(codes.iter().filter(|&&code| code == bin).count(), 100);
        }
    }

    #[test]
    fn every_way_of_cutting_cuts_elsewhere_and_evenly() {
        let values: Vec<f32> = (0..4000).map(|row| (row * 7 % 4000) as f32).collect();
        let ways = cut(&values, 10);
        assert_eq!(ways.len(), N_CODINGS);
        for (way, column) in ways.iter().enumerate() {
            assert_eq!(column.cuts.len(), 9);
            // Nine and some parts of ten bins hold all values.
            let size = 4000.0 + 100.0 * way as f32;
            for (position, cut) in column.cuts.iter().enumerate() {
                let expected = (position + 1) as f32 * size / 10.0 - 100.0 * way as f32;
                assert!((cut - expected).abs() <= 2.0, "way {way}: {cut} {expected}");
            }
        }
    }

    #[test]
    fn a_frequent_value_does_not_eat_the_bins_of_the_others() {
        let values: Vec<f32> = (0..1000).map(|row| if row < 900 { 0.0 } else { row as f32 }).collect();
        let codes = codes(&values, 11);
        assert_eq!(*codes.iter().max().unwrap(), 10);
    }

    #[test]
    fn a_column_without_values_has_one_empty_bin() {
        assert_eq!(cut(&[f32::NAN, f32::NAN], 255), [BinnedColumn { cuts: vec![], is_category: false }]);
    }

    #[test]
    fn neighbouring_and_extreme_values_keep_apart() {
        let next = f32::from_bits(1.0_f32.to_bits() + 1);
        for (low, high) in [(1.0, next), (f32::NEG_INFINITY, f32::MIN), (f32::MAX, f32::INFINITY), (f32::NEG_INFINITY, f32::INFINITY)] {
            let middle = between(low, high);
            assert!(low <= middle && middle < high || middle == f32::MIN, "{low} {middle} {high}");
        }
    }

    proptest! {
        #[test]
        fn codes_follow_the_order_of_values_and_thresholds(
            values in prop::collection::vec(prop_oneof![8 => -5.0_f32..5.0, 2 => (-3..3_i32).prop_map(|value| value as f32), 1 => Just(f32::NAN)], 1..300),
            max_bins in 2_usize..40,
        ) {
            let columns = [values.as_slice()];
            let binned = Binned::new(&Matrix::new(&columns).unwrap(), max_bins);
            prop_assert!(binned.n_bins(0) <= max_bins);
            for (coding, (row, &value)) in binned.codings.iter().flat_map(|coding| values.iter().enumerate().map(move |cell| (coding, cell))) {
                let code = usize::from(coding.code(row as u32, 0));
                for bin in 0..=coding.column(0).cuts.len() {
                    let goes_left = !value.is_nan() && value <= coding.column(0).threshold(bin);
                    prop_assert_eq!(goes_left, !value.is_nan() && code <= bin);
                }
            }
        }

        #[test]
        fn a_monotone_transform_gives_the_same_codes(values in prop::collection::vec(-5.0_f32..5.0, 1..300), max_bins in 2_usize..40) {
            let moved: Vec<f32> = values.iter().map(|value| value.exp() * 1000.0).collect();
            let distinct = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<std::collections::BTreeSet<u32>>().len();
            prop_assume!(distinct(&values) == distinct(&moved));
            prop_assert_eq!(codes(&values, max_bins), codes(&moved, max_bins));
        }
    }
}
