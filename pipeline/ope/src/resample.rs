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
        let cells = self.distinct().or_else(|| (self.n_rows() > LARGE_LOG).then(|| Cells::near(self.units(), self.ratio.is_some())));
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
    /// Of more than [`LARGE_LOG`] clusters, those of nearly equal influence, size and denominator count as equal.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one cluster per row.
    pub fn clustered_bootstrap(&self, clusters: &[u32], resamples: usize, rng: &mut Rng) -> Result<Vec<f64>, OpeError> {
        check_length("clusters", self.n_rows(), clusters.len())?;
        let mut sums: BTreeMap<u32, Cell> = BTreeMap::new();
        for (row, cluster) in clusters.iter().enumerate() {
            sums.entry(*cluster).or_default().add(self.row(row));
        }
        let sums: Vec<Cell> = sums.into_values().map(|rows| Cell { n_units: 1.0, ..rows }).collect();
        if sums.len() > LARGE_LOG {
            let cells = Cells::near(sums, self.ratio.is_some());
            return Ok((0..resamples).filter_map(|_| resample_cells(&cells, rng)).collect());
        }
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

    /// Every row by itself.
    fn units(&self) -> Vec<Cell> {
        (0..self.n_rows()).map(|row| Cell::of_row(self.row(row))).collect()
    }
}

/// What is drawn as one, a row or a cluster, that is to be put with its like.
#[derive(Clone, Copy)]
struct Unit {
    influence: f64,
    sums: Cell,
}

/// Units of nearly equal keys, as slices of the sorted units; a key that is the same everywhere leaves them together.
fn grouped(units: &mut [Unit], budget: f64, key: impl Fn(&Unit) -> f64) -> Vec<&mut [Unit]> {
    if budget > 0.0 {
        units.sort_unstable_by(|left, right| key(left).total_cmp(&key(right)));
    }
    let sizes: Vec<usize> = cut(units, budget, key).iter().map(|group| group.len()).collect();
    let (mut groups, mut rest) = (Vec::with_capacity(sizes.len()), units);
    for size in sizes {
        let (group, others) = rest.split_at_mut(size);
        groups.push(group);
        rest = others;
    }
    groups
}

/// Sum of squared distances from the mean.
fn sum_of_squares(units: &[Unit], key: impl Fn(&Unit) -> f64) -> f64 {
    let centre = units.iter().map(&key).sum::<f64>() / units.len() as f64;
    units.iter().map(|unit| (key(unit) - centre).powi(2)).sum()
}

/// Sorted units, cut where a cell would hold more than its share of the sum of squares.
fn cut(units: &[Unit], budget: f64, key: impl Fn(&Unit) -> f64) -> Vec<&[Unit]> {
    let (mut cells, mut start) = (Vec::new(), 0);
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for (position, unit) in units.iter().enumerate() {
        let (value, more) = (key(unit), count + 1.0);
        let step = value - mean;
        let grown = squares + step * step * count / more;
        if grown > budget && position > start {
            cells.push(&units[start..position]);
            (start, count, mean, squares) = (position, 1.0, value, 0.0);
        } else {
            (count, mean, squares) = (more, mean + step / more, grown);
        }
    }
    cells.extend((start < units.len()).then(|| &units[start..]));
    cells
}

/// Rows that are drawn as one, or cells of those: how many are drawn, their rows and the sums of their terms.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    n_units: f64,
    n_rows: f64,
    /// Additive, numerator, denominator.
    sums: [f64; 3],
}

impl Cell {
    fn of_row(terms: [f64; 3]) -> Self {
        Self { n_units: 1.0, n_rows: 1.0, sums: terms }
    }

    fn add(&mut self, terms: [f64; 3]) {
        self.merge(&Self::of_row(terms), 1.0);
    }

    /// Adds another cell, so many times.
    fn merge(&mut self, other: &Self, times: f64) {
        self.n_units += times * other.n_units;
        self.n_rows += times * other.n_rows;
        self.sums.iter_mut().zip(other.sums).for_each(|(own, sum)| *own += times * sum);
    }

    /// The statistic of these rows; `None` where there are none, or the denominator is 0.
    fn statistic(&self, has_ratio: bool) -> Option<f64> {
        let [additive, above, below] = self.sums;
        if self.n_rows == 0.0 || (has_ratio && below == 0.0) {
            return None;
        }
        Some(additive / self.n_rows + if has_ratio { above / below } else { 0.0 })
    }
}

/// All rows of a log, in cells.
struct Cells {
    cells: Vec<Cell>,
    has_ratio: bool,
}

impl Cells {
    /// Units of nearly equal size, denominator and influence, together.
    fn near(units: Vec<Cell>, has_ratio: bool) -> Self {
        let mut total = Cell::default();
        units.iter().for_each(|unit| total.merge(unit, 1.0));
        let [additive, above, below] = total.sums;
        let (mean, ratio) = (additive / total.n_rows, if has_ratio { above / below } else { 0.0 });
        let (mean_rows, mean_below) = (total.n_rows / total.n_units, if has_ratio { below / total.n_units } else { 1.0 });
        let influence = |unit: &Cell| {
            let [additive, above, below] = unit.sums;
            (additive - mean * unit.n_rows) / mean_rows + (above - ratio * below) / mean_below
        };
        let mut units: Vec<Unit> = units.into_iter().map(|sums| Unit { influence: influence(&sums), sums }).collect();
        // The size of a unit is a denominator too, of what is added.
        let size = |unit: &Unit| if additive == 0.0 { 0.0 } else { unit.sums.n_rows };
        let below = |unit: &Unit| unit.sums.sums[2];
        let of_influence = INFLUENCE_SHARE * sum_of_squares(&units, |unit| unit.influence);
        let (of_size, of_below) = (DENOMINATOR_SHARE * sum_of_squares(&units, size), DENOMINATOR_SHARE * sum_of_squares(&units, below));
        let mut cells = Vec::new();
        for alike in grouped(&mut units, of_size, size) {
            for alike in grouped(alike, of_below, below) {
                for cell in grouped(alike, of_influence, |unit| unit.influence) {
                    let mut sums = Cell::default();
                    cell.iter().for_each(|unit| sums.merge(&unit.sums, 1.0));
                    cells.push(sums);
                }
            }
        }
        Self { cells, has_ratio }
    }
}

/// The statistic on one resample of cells: multinomial counts, as a chain of binomial draws; `None` where its denominator is 0.
fn resample_cells(all: &Cells, rng: &mut Rng) -> Option<f64> {
    let mut units_left: u64 = all.cells.iter().map(|cell| cell.n_units as u64).sum();
    let mut draws_left = units_left;
    let mut total = Cell::default();
    for cell in &all.cells {
        let n_units = cell.n_units as u64;
        let drawn = if n_units == units_left { draws_left } else { binomial(draws_left, cell.n_units / units_left as f64, rng) };
        units_left -= n_units;
        draws_left -= drawn;
        total.merge(cell, drawn as f64 / cell.n_units);
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
        let found = Cells::near(terms.units(), true);
        let (mut total, mut squares) = (Cell::default(), 0.0);
        found.cells.iter().for_each(|cell| total.merge(cell, 1.0));
        assert_eq!((total.n_units, total.n_rows), (60_000.0, 60_000.0));
        assert!((total.statistic(true).unwrap() - estimate.value).abs() < 1e-12);
        let [additive, above, below] = total.sums.map(|sum| sum / total.n_rows);
        for cell in &found.cells {
            let [a, b, c] = cell.sums.map(|sum| sum / cell.n_rows);
            squares += cell.n_rows * (a - additive + (b - above / below * c) / below).powi(2);
        }
        let kept = (squares / total.n_rows / total.n_rows).sqrt() / estimate.std_error;
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
    fn many_sessions_are_resampled_like_few() {
        // Sessions of 1 to 4 rows that share a mood: the interval is wider than that of as many single rows.
        let n_sessions = LARGE_LOG + 1_000;
        let mut rng = Seed(10).rng();
        let (mut additive, mut above, mut below, mut clusters) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for session in 0..n_sessions {
            let mood: f64 = rng.random();
            for _ in 0..1 + session % 4 {
                let weight = if rng.random::<f64>() < 0.5 { 0.0 } else { 2.0 };
                additive.push(mood);
                above.push(weight * 0.2 * (rng.random::<f64>() - 0.5));
                below.push(weight);
                clusters.push(session as u32);
            }
        }
        let terms = Terms::with_ratio(additive, above, below).unwrap();
        let estimate = terms.clustered_estimate(&clusters, Confidence::TWO_SIDED_95).unwrap();
        let found = terms.clustered_bootstrap(&clusters, 1_000, &mut rng).unwrap();
        // A standard deviation of 1,000 resamples is good to 2.2 %: four times that is 9 %.
        assert!((spread(&found) / estimate.std_error - 1.0).abs() < 0.09, "{} for {}", spread(&found), estimate.std_error);
        assert!((mean(&found) - estimate.value).abs() < 0.2 * estimate.std_error);
        assert!(spread(&found) > 1.2 * terms.estimate(Confidence::TWO_SIDED_95).std_error);
    }

    #[test]
    fn a_bootstrap_repeats_itself() {
        let terms = heavy(100);
        assert_eq!(terms.bootstrap(50, &mut Seed(1).rng()), terms.bootstrap(50, &mut Seed(1).rng()));
    }
}
