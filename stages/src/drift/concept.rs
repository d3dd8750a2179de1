//! What the reference window taught about success, held against the current one; and whether newer rows teach it better.

use rayon::prelude::*;
use routewright_domain::{Arm, Seed};
use routewright_engine::StageError;
use routewright_forest::{Binned, Folds, ForestParams, MAX_BINS, Matrix, fit_regressor, predict, rolling_origin};
use routewright_ope::stats::student_quantile;

use super::windows::Compared;
use crate::artifacts::RetrainingGain;

/// The forests: smaller than the product's, the same for both windows.
const N_TREES: u32 = 40;
const LEAF: u32 = 20;

/// Draws of a tree, so that the cost does not grow with the log.
const MAX_SAMPLE_ROWS: u32 = 10_000;

/// Rows of a path in a window that are kept for trees to draw from, at most: more than a tree draws.
const MAX_LEARNED_ROWS: usize = 15_000;

/// Rows of a path below which it is expected to go as it went on average.
const MIN_ROWS: usize = 60;

/// Folds of whole days within the reference window.
const N_FOLDS: usize = 5;

/// Stretches of the current window that the back-test judges.
const N_ORIGINS: usize = 3;

/// Level of the back-test's one-sided bounds.
const LEVEL: f64 = 0.95;

/// Per row of both windows, how likely success was by what the reference window taught: its other days for its own days.
pub(super) struct Expectations {
    /// NaN for rows without an outcome.
    pub expected: Vec<f64>,
    /// Whether each row succeeded; none without an outcome.
    pub success: Vec<Option<bool>>,
}

impl Expectations {
    /// Grows forests per path on the reference window.
    pub fn new(learner: &Learner<'_>) -> Result<Self, StageError> {
        let compared = learner.compared;
        let success: Vec<Option<bool>> = compared.rows.iter().map(|row| compared.table.outcomes.successes[*row as usize]).collect();
        let with = |current: bool| -> Vec<u32> {
            (0..compared.rows.len() as u32)
                .filter(|at| compared.is_current[*at as usize] == current && success[*at as usize].is_some())
                .collect()
        };
        let (reference, current) = (with(false), with(true));
        let mut expected = vec![f64::NAN; compared.rows.len()];
        let seed = compared.seed.derive("expect", 0);
        learner.expect(&reference, &current, &mut expected, seed.derive("all", 0))?;
        let groups: Vec<u64> = compared.day.iter().map(|day| u64::from(*day)).collect();
        let folds = Folds::grouped(&groups, None, N_FOLDS, seed.derive("folds", 0)).map_err(StageError::data)?;
        for fold in 0..N_FOLDS {
            let (training, held_out) = folds.split(&reference, fold);
            learner.expect(&training, &held_out, &mut expected, seed.derive("fold", fold as u64))?;
        }
        Ok(Self { expected, success })
    }
}

/// What forests are grown from, binned once for all of them.
pub(super) struct Learner<'a> {
    arms: Vec<Arm>,
    columns: Vec<Vec<f32>>,
    /// Some of each path's rows, from which all forests learn, with their outcomes.
    binned: Binned,
    learned_target: Vec<f64>,
    /// The place of each row among these, for those that are.
    learnable: Vec<Option<u32>>,
    target: Vec<f64>,
    compared: &'a Compared<'a>,
}

impl<'a> Learner<'a> {
    /// The rows of both windows, in some columns.
    pub fn new(compared: &'a Compared<'a>, columns: &[usize]) -> Result<Self, StageError> {
        let table = compared.table;
        let values = |column: &usize| compared.rows.iter().map(|row| table.features[*column].values[*row as usize]).collect();
        let columns: Vec<Vec<f32>> = columns.par_iter().map(values).collect();
        let arms: Vec<Arm> = compared.rows.iter().map(|row| table.outcomes.arms[*row as usize]).collect();
        let mut learned = Vec::new();
        for arm in table.paths.arms() {
            let own: Vec<u32> = (0..arms.len() as u32).filter(|at| arms[*at as usize] == arm).collect();
            learned.extend(compared.thinned(&own, MAX_LEARNED_ROWS));
        }
        let of_learned: Vec<Vec<f32>> = columns.par_iter().map(|column| learned.iter().map(|at| column[*at as usize]).collect()).collect();
        let binned = Binned::new(&Matrix::new(&of_learned)?, MAX_BINS);
        let mut learnable = vec![None; compared.rows.len()];
        learned.iter().zip(0..).for_each(|(at, place)| learnable[*at as usize] = Some(place));
        let succeeded = |row: &u32| f64::from(u8::from(table.outcomes.successes[*row as usize] == Some(true)));
        let target: Vec<f64> = compared.rows.iter().map(succeeded).collect();
        Ok(Self {
            arms,
            learned_target: learned.iter().map(|at| target[*at as usize]).collect(),
            target,
            columns,
            binned,
            learnable,
            compared,
        })
    }

    /// Writes into `expected` what forests that learned from `training` say of the rows of `judged`, each on the path that it ran.
    fn expect(&self, training: &[u32], judged: &[u32], expected: &mut [f64], seed: Seed) -> Result<(), StageError> {
        let params = ForestParams { n_trees: N_TREES, min_samples_leaf: LEAF, max_sample_rows: MAX_SAMPLE_ROWS, ..ForestParams::default() };
        let matrix = Matrix::new(&self.columns)?;
        let mean = |rows: &[u32]| rows.iter().map(|at| self.target[*at as usize]).sum::<f64>() / rows.len() as f64;
        for arm in self.compared.table.paths.arms() {
            let own = |rows: &[u32]| -> Vec<u32> { rows.iter().copied().filter(|at| self.arms[*at as usize] == arm).collect() };
            let (known, asked) = (own(training), own(judged));
            if asked.is_empty() {
                continue;
            }
            let learned: Vec<u32> = known.iter().filter_map(|at| self.learnable[*at as usize]).collect();
            if learned.len() < MIN_ROWS {
                let rate = if known.is_empty() { mean(training) } else { mean(&known) };
                asked.iter().for_each(|at| expected[*at as usize] = rate);
                continue;
            }
            let seed = seed.derive("path", u64::from(arm.0));
            let forest = fit_regressor(&self.binned, &learned, &self.learned_target, None, &params, seed)?.forest;
            asked.iter().zip(predict(&forest, &matrix, &asked)).for_each(|(at, value)| expected[*at as usize] = value);
        }
        Ok(())
    }
}

/// The back-test: what the reference window taught against forests of equally many rows right before each stretch of the current one.
///
/// `None` where the current window has too few rows with outcomes to be cut.
pub(super) fn retraining(learner: &Learner<'_>, expectations: &Expectations) -> Result<Option<RetrainingGain>, StageError> {
    let compared = learner.compared;
    let outcomes = &compared.table.outcomes;
    let judged_rows: Vec<u32> =
        (0..compared.rows.len() as u32).filter(|at| outcomes.successes[compared.rows[*at as usize] as usize].is_some()).collect();
    let (reference, current): (Vec<u32>, Vec<u32>) = judged_rows.iter().partition(|at| !compared.is_current[**at as usize]);
    if current.len() < MIN_ROWS * (N_ORIGINS + 1) || reference.len() < MIN_ROWS {
        return Ok(None);
    }
    let times: Vec<_> = current.iter().map(|at| outcomes.timestamps[compared.rows[*at as usize] as usize]).collect();
    let Ok(origins) = rolling_origin(&times, N_ORIGINS) else { return Ok(None) };
    let mut fresh = vec![f64::NAN; compared.rows.len()];
    let mut judged = Vec::new();
    for (number, origin) in origins.iter().enumerate() {
        let seed = compared.seed.derive("origin", number as u64);
        let stretch: Vec<u32> = origin.test.iter().map(|at| current[*at as usize]).collect();
        let n_new = origin.train.len();
        let known: Vec<u32> = reference.iter().copied().skip(n_new).chain(origin.train.iter().map(|at| current[*at as usize])).collect();
        learner.expect(&known, &stretch, &mut fresh, seed)?;
        judged.extend(stretch);
    }
    Ok(Some(gain(learner, &judged, &expectations.expected, &fresh, origins.len())))
}

/// Difference of the Brier scores with one-sided bounds, days as units.
fn gain(learner: &Learner<'_>, judged: &[u32], old: &[f64], fresh: &[f64], origins: usize) -> RetrainingGain {
    let error = |scores: &[f64], at: u32| (learner.target[at as usize] - scores[at as usize]).powi(2);
    let n = judged.len() as f64;
    let mean = |scores: &[f64]| judged.iter().map(|at| error(scores, *at)).sum::<f64>() / n;
    let (brier_old, brier_fresh) = (mean(old), mean(fresh));
    let gain = brier_old - brier_fresh;
    let mut of_days = vec![None::<f64>; learner.compared.days.len()];
    for at in judged {
        let day = learner.compared.day[*at as usize] as usize;
        *of_days[day].get_or_insert(0.0) += error(old, *at) - error(fresh, *at) - gain;
    }
    let sums: Vec<f64> = of_days.into_iter().flatten().collect();
    let k = sums.len() as f64;
    let std_error = (k / (k - 1.0).max(1.0) * sums.iter().map(|sum| sum * sum).sum::<f64>()).sqrt() / n;
    let half = student_quantile(LEVEL, (k - 1.0).max(1.0)) * std_error;
    let lower = if k > 1.0 { gain - half } else { f64::NEG_INFINITY };
    RetrainingGain {
        origins,
        rows: judged.len(),
        brier_old,
        brier_fresh,
        gain,
        lower: lower.max(-1.0),
        upper: if k > 1.0 { gain + half } else { 1.0 },
        helps: lower > 0.0,
    }
}
