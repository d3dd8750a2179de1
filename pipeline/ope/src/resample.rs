//! The bootstrap of an estimator: every resample recomputes the whole statistic, numerator and denominator alike.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_distr::{Binomial, Distribution};
use routewright_domain::Rng;

use crate::error::check_length;
use crate::{OpeError, Terms};

/// Rows from which a resample is not drawn row by row: a thousand resamples would take minutes.
pub const LARGE_LOG: usize = 50_000;

/// With more distinct terms than this, drawing counts is slower than drawing the rows of a small log.
const MAX_DISTINCT: usize = 256;

/// What a cell may hold of the sum of squares of a large log's influences. Cells of equal shares are the best cells there are; of evenly spread influences
/// 128 cells would hold 128⁻³ each and 128⁻² = 0.00006 together, of normal ones 0.00017: too little to be seen in a standard error.
const INFLUENCE_SHARE: f64 = 1.0 / (128.0 * 128.0 * 128.0);

/// The same for the terms of the denominator, whose cells are cut first, and again by influence.
const DENOMINATOR_SHARE: f64 = 1.0 / (32.0 * 32.0 * 32.0);

impl Terms {
    /// The statistic on `resamples` resamples of all rows, in the order drawn; resamples without overlap are left out.
    ///
    /// Where rows have few distinct terms (weights of few classes, rewards of 0 and 1), resamples are drawn as counts of those, which is the same
    /// distribution in a fraction of the time. Of other logs of more than [`LARGE_LOG`] rows, rows of nearly equal influence and denominator count as
    /// equal: such cells keep all but some ten-thousandths of the variance, and every resample still draws as many rows as the log has.
    pub fn bootstrap(&self, resamples: usize, rng: &mut Rng) -> Vec<f64> {
        let cells = self.distinct().or_else(|| (self.n_rows() > LARGE_LOG).then(|| self.near()));
        if let Some(cells) = cells {
            return (0..resamples).filter_map(|_| resample_cells(&cells, rng)).collect();
        }
        let mut rows = vec![0_u32; self.n_rows()];
        (0..resamples)
            .filter_map(|_| {
                resample_rows(&mut rows, rng);
                self.value_on(&rows)
            })
            .collect()
    }

    /// The same where the rows of one cluster (session, user) move together: as many clusters as there are, drawn with replacement, with all their rows.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one cluster per row.
    pub fn clustered_bootstrap(&self, clusters: &[u32], resamples: usize, rng: &mut Rng) -> Result<Vec<f64>, OpeError> {
        check_length("clusters", self.n_rows(), clusters.len())?;
        let mut sums: BTreeMap<u32, Cell> = BTreeMap::new();
        for (row, cluster) in clusters.iter().enumerate() {
            sums.entry(*cluster).or_default().add(self.row(row));
        }
        let sums: Vec<Cell> = sums.into_values().collect();
        let mut drawn = vec![0_u32; sums.len()];
        let values = (0..resamples).filter_map(|_| {
            resample_rows(&mut drawn, rng);
            let mut total = Cell::default();
            drawn.iter().for_each(|cluster| total.merge(&sums[*cluster as usize], 1.0));
            total.statistic(self.ratio.is_some())
        });
        Ok(values.collect())
    }

    /// The terms of one row: additive, numerator, denominator.
    fn row(&self, row: usize) -> [f64; 3] {
        let (above, below) = self.ratio.as_ref().map_or((0.0, 0.0), |ratio| (ratio.numerator[row], ratio.denominator[row]));
        [self.additive[row], above, below]
    }

    /// The distinct terms with their counts, in a fixed order; `None` where there are too many for counts to pay.
    fn distinct(&self) -> Option<Cells> {
        let mut counts: BTreeMap<[u64; 3], Cell> = BTreeMap::new();
        for row in 0..self.n_rows() {
            let terms = self.row(row);
            counts.entry(terms.map(f64::to_bits)).or_default().add(terms);
            if counts.len() > MAX_DISTINCT {
                return None;
            }
        }
        Some(Cells { cells: counts.into_values().collect(), has_ratio: self.ratio.is_some() })
    }

    /// Rows of nearly equal denominator and influence, together.
    fn near(&self) -> Cells {
        let influence = self.influence();
        let mut rows: Vec<NearRow> =
            influence.into_iter().enumerate().map(|(row, influence)| NearRow { influence, terms: self.row(row) }).collect();
        let budget = INFLUENCE_SHARE * sum_of_squares(&rows, |row| row.influence);
        let mut cells = Vec::new();
        for group in by_denominator(&mut rows) {
            group.sort_unstable_by(|left, right| left.influence.total_cmp(&right.influence));
            for cell in cut(group, budget, |row| row.influence) {
                let mut sums = Cell::default();
                cell.iter().for_each(|row| sums.add(row.terms));
                cells.push(sums);
            }
        }
        Cells { cells, has_ratio: self.ratio.is_some() }
    }
}

/// A row that is to be put with its like.
#[derive(Clone, Copy)]
struct NearRow {
    influence: f64,
    terms: [f64; 3],
}

impl NearRow {
    fn below(&self) -> f64 {
        self.terms[2]
    }
}

/// Rows of nearly equal denominators, as slices of the sorted rows.
fn by_denominator(rows: &mut [NearRow]) -> Vec<&mut [NearRow]> {
    let budget = DENOMINATOR_SHARE * sum_of_squares(rows, NearRow::below);
    if budget > 0.0 {
        rows.sort_unstable_by(|left, right| left.below().total_cmp(&right.below()));
    }
    let sizes: Vec<usize> = cut(rows, budget, NearRow::below).iter().map(|group| group.len()).collect();
    let (mut groups, mut rest) = (Vec::with_capacity(sizes.len()), rows);
    for size in sizes {
        let (group, others) = rest.split_at_mut(size);
        groups.push(group);
        rest = others;
    }
    groups
}

/// Sum of squared distances from the mean.
fn sum_of_squares(rows: &[NearRow], key: impl Fn(&NearRow) -> f64) -> f64 {
    let centre = rows.iter().map(&key).sum::<f64>() / rows.len() as f64;
    rows.iter().map(|row| (key(row) - centre).powi(2)).sum()
}

/// Sorted rows, cut where a cell would hold more than its share of the sum of squares.
fn cut(rows: &[NearRow], budget: f64, key: impl Fn(&NearRow) -> f64) -> Vec<&[NearRow]> {
    let (mut cells, mut start) = (Vec::new(), 0);
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for (position, row) in rows.iter().enumerate() {
        let (value, more) = (key(row), count + 1.0);
        let step = value - mean;
        let grown = squares + step * step * count / more;
        if grown > budget && position > start {
            cells.push(&rows[start..position]);
            (start, count, mean, squares) = (position, 1.0, value, 0.0);
        } else {
            (count, mean, squares) = (more, mean + step / more, grown);
        }
    }
    cells.extend((start < rows.len()).then(|| &rows[start..]));
    cells
}

/// Rows that are drawn as one: their number and the sums of their terms.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    count: f64,
    sums: [f64; 3],
}

impl Cell {
    fn add(&mut self, terms: [f64; 3]) {
        self.merge(&Self { count: 1.0, sums: terms }, 1.0);
    }

    /// Adds another cell, so many times.
    fn merge(&mut self, other: &Self, times: f64) {
        self.count += times * other.count;
        self.sums.iter_mut().zip(other.sums).for_each(|(own, sum)| *own += times * sum);
    }

    /// The statistic of these rows; `None` where there are none, or the denominator is 0.
    fn statistic(&self, has_ratio: bool) -> Option<f64> {
        let [additive, above, below] = self.sums;
        if self.count == 0.0 || (has_ratio && below == 0.0) {
            return None;
        }
        Some(additive / self.count + if has_ratio { above / below } else { 0.0 })
    }
}

/// All rows of a log, in cells.
struct Cells {
    cells: Vec<Cell>,
    has_ratio: bool,
}

/// The statistic on one resample of cells: multinomial counts, as a chain of binomial draws; `None` where its denominator is 0.
fn resample_cells(all: &Cells, rng: &mut Rng) -> Option<f64> {
    let mut rows_left: u64 = all.cells.iter().map(|cell| cell.count as u64).sum();
    let mut draws_left = rows_left;
    let mut total = Cell::default();
    for cell in &all.cells {
        let count = cell.count as u64;
        let drawn = if count == rows_left { draws_left } else { binomial(draws_left, cell.count / rows_left as f64, rng) };
        rows_left -= count;
        draws_left -= drawn;
        total.merge(cell, drawn as f64 / cell.count);
    }
    total.statistic(all.has_ratio)
}

/// One binomial draw; a probability out of range draws nothing.
fn binomial(trials: u64, probability: f64, rng: &mut Rng) -> u64 {
    Binomial::new(trials, probability).map_or(0, |distribution| distribution.sample(rng))
}

/// Fills a resample: as many row positions as there are rows, drawn with replacement.
pub fn resample_rows(rows: &mut [u32], rng: &mut Rng) {
    let n_rows = rows.len() as u32;
    for row in rows {
        *row = rng.random_range(0..n_rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Confidence, mean};
    use crate::std_error;
    use routewright_domain::Seed;

    /// Standard deviation of resampled values.
    fn spread(values: &[f64]) -> f64 {
        std_error(&values.iter().map(|value| value - mean(values)).collect::<Vec<f64>>()) * (values.len() as f64).sqrt()
    }

    #[test]
    fn counts_of_cells_and_rows_are_resampled_alike() {
        // 400 rows of four kinds. Standard deviations of 2,000 resamples are good to 1.6 %: five times that, for both, is 11 %.
        let column = |step: usize| (0..400).map(|row| (row / step % 2) as f64).collect::<Vec<f64>>();
        let terms = Terms::with_ratio(vec![0.0; 400], column(1), column(2).iter().map(|term| 1.0 + term).collect()).unwrap();
        let mut rng = Seed(5).rng();
        let of_cells = terms.bootstrap(2_000, &mut rng);
        let mut rows = vec![0_u32; 400];
        let of_rows: Vec<f64> = (0..2_000)
            .map(|_| {
                resample_rows(&mut rows, &mut rng);
                terms.value_on(&rows).unwrap()
            })
            .collect();
        assert!((spread(&of_cells) / spread(&of_rows) - 1.0).abs() < 0.11);
        assert!((mean(&of_cells) - mean(&of_rows)).abs() < 0.01);
    }

    /// Doubly robust terms of an exploring log: a model that varies by row, and residuals with weights of 0, 1.04 and 100.
    fn heavy(n_rows: usize) -> Terms {
        let mut rng = Seed(6).rng();
        let (mut additive, mut above, mut below) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..n_rows {
            let model = 0.8 + 0.1 * rng.random::<f64>();
            let weight = match rng.random::<f64>() {
                draw if draw < 0.4 => 0.0,
                draw if draw < 0.996 => 1.04,
                _ => 100.0,
            };
            let reward = f64::from(u8::from(rng.random::<f64>() < model));
            additive.push(model);
            above.push(weight * (reward - model));
            below.push(weight);
        }
        Terms::with_ratio(additive, above, below).unwrap()
    }

    #[test]
    fn cells_of_a_large_log_keep_its_value_and_its_variance() {
        let terms = heavy(60_000);
        let estimate = terms.estimate(Confidence::TWO_SIDED_95);
        let found = terms.near();
        let (mut total, mut squares) = (Cell::default(), 0.0);
        found.cells.iter().for_each(|cell| total.merge(cell, 1.0));
        assert_eq!(total.count, 60_000.0);
        assert!((total.statistic(true).unwrap() - estimate.value).abs() < 1e-12);
        let [additive, above, below] = total.sums.map(|sum| sum / total.count);
        for cell in &found.cells {
            let [a, b, c] = cell.sums.map(|sum| sum / cell.count);
            squares += cell.count * (a - additive + (b - above / below * c) / below).powi(2);
        }
        let kept = (squares / total.count / total.count).sqrt() / estimate.std_error;
        assert!(0.9995 < kept && kept <= 1.0 + 1e-9, "{kept} of the standard error in {} cells", found.cells.len());
        assert!(found.cells.len() < 2_000, "{}", found.cells.len());
    }

    #[test]
    fn a_large_log_is_resampled_like_its_rows() {
        // 1,000 resamples give a standard deviation to 2.2 %; for two of them, four times that is 13 %. The ends have errors of 0.085 standard errors.
        let terms = heavy(LARGE_LOG + 1_000);
        let mut rng = Seed(7).rng();
        let found = terms.bootstrap(1_000, &mut rng);
        let mut rows = vec![0_u32; terms.n_rows()];
        let of_rows: Vec<f64> = (0..300)
            .map(|_| {
                resample_rows(&mut rows, &mut rng);
                terms.value_on(&rows).unwrap()
            })
            .collect();
        assert!((spread(&found) / spread(&of_rows) - 1.0).abs() < 0.19, "{} for {}", spread(&found), spread(&of_rows));
        assert!((mean(&found) - mean(&of_rows)).abs() < 0.3 * spread(&of_rows));
    }

    #[test]
    fn a_repeated_session_is_drawn_as_one() {
        let mut rng = Seed(8).rng();
        let single: Vec<f64> = (0..300).map(|_| rng.random::<f64>()).collect();
        let twice: Vec<f64> = single.iter().flat_map(|term| [*term, *term]).collect();
        let clusters: Vec<u32> = (0..600).map(|row| row / 2).collect();
        let (alone, together) = (Terms::mean(single), Terms::mean(twice));
        let sessions = together.clustered_bootstrap(&clusters, 50, &mut Seed(9).rng()).unwrap();
        let expected = alone.bootstrap(50, &mut Seed(9).rng());
        for (found, expected) in sessions.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!(together.clustered_bootstrap(&[0], 1, &mut rng).is_err());
    }

    #[test]
    fn a_bootstrap_repeats_itself() {
        let terms = heavy(100);
        assert_eq!(terms.bootstrap(50, &mut Seed(1).rng()), terms.bootstrap(50, &mut Seed(1).rng()));
    }
}
