//! How soon the learned router ages: a rolling-origin back-test on the whole log.
//!
//! The log is cut, in time order, into a first half and blocks of the second. A router trained on the first half (the old one) and one trained on as many
//! rows right before a block (the fresh one) both route the block; the loss is the value of the fresh minus that of the old. Both have equally many
//! rows, so that what is measured is age, not size. Forests are smaller than the product's, and of long logs see the last rows of their part: the
//! same for both.

use routewright_domain::{Arm, Seed};
use routewright_engine::StageError;
use routewright_forest::{Binned, ForestParams, MAX_BINS, Matrix, fit_regressor};
use routewright_ope::Confidence;
use routewright_router::{Calibration, Forest, Policy, SuccessModel};

use super::MAX_SAMPLE_ROWS;
use super::held_out::{HeldOut, group};
use super::judge::Judge;
use super::logged::LoggedRows;
use super::paired::Cells;
use super::regime::Regime;
use crate::artifacts::{AgePoint, RetrainingResult, UpliftResult};
use crate::predictions::with_predictions;

/// Blocks of the second half.
const N_BLOCKS: usize = 4;

/// Days below which a log says nothing about ageing.
const MIN_DAYS: f64 = 4.0;

/// Rows of a block below which a loss of a point is out of sight.
const MIN_BLOCK_ROWS: usize = 100;

/// Rows that a router learns from, at most: what more would teach it, it would teach the old one and the fresh one alike.
const MAX_TRAINING_ROWS: usize = 100_000;

/// Trees of each forest, and rows of a leaf.
const N_TREES: u32 = 30;
const LEAF: u32 = 20;

/// Training rows of a path below which it has no forest.
const MIN_ROWS: usize = 30;

/// Loss that asks for retraining, in points.
const LOSS_POINTS: f64 = 1.0;

/// Microseconds of a day.
const DAY: f64 = 86_400e6;

/// Measures the loss by age; `None` where the log is too short, carries no times, or identifies nothing.
pub(super) fn retraining(judge: &Judge<'_>, regime: Regime<'_>) -> Result<Option<RetrainingResult>, StageError> {
    if matches!(regime, Regime::Bounded(_)) {
        return Ok(None);
    }
    let outcomes = &judge.table.outcomes;
    let rows: Vec<u32> = (0..judge.table.n_rows() as u32).filter(|row| outcomes.successes[*row as usize].is_some()).collect();
    let time = |position: usize| outcomes.timestamps[rows[position] as usize].0 as f64 / DAY;
    let half = rows.len() / 2;
    let block = (rows.len() - half) / N_BLOCKS;
    if block < MIN_BLOCK_ROWS || time(rows.len() - 1) - time(0) < MIN_DAYS {
        return Ok(None);
    }
    let n_training = half.min(MAX_TRAINING_ROWS);
    let old = fit(judge, &rows[half - n_training..half], judge.seed.derive("age", 0))?;
    let trained_until = time(half - 1);
    let mut points = Vec::new();
    for number in 1..N_BLOCKS {
        let (from, to) = (half + number * block, half + (number + 1) * block);
        let fresh = fit(judge, &rows[from - n_training..from], judge.seed.derive("age", number as u64))?;
        let fixed = outcomes.static_arms.iter().all(Option::is_none).then(|| judge.fixed.first().copied()).flatten();
        let window = group(judge.table, &rows[from..to], fixed);
        let age_days = f64::midpoint(time(from), time(to - 1)) - trained_until;
        let uplift = compare(judge, regime, &window, &choices(judge, &fresh, &window), &choices(judge, &old, &window))?;
        if let Some(loss) = uplift.points.value {
            points.push(AgePoint { age_days, loss_points: loss, lower: uplift.points.lower, upper: uplift.points.upper });
        }
    }
    Ok(verdict(points))
}

/// The loss per day, by least squares through the origin with weights from the intervals.
fn verdict(points: Vec<AgePoint>) -> Option<RetrainingResult> {
    let oldest = points.iter().map(|point| point.age_days).fold(0.0, f64::max);
    let (mut information, mut sum) = (0.0, 0.0);
    for point in &points {
        let std_error = (point.upper - point.lower) / (2.0 * Confidence::TWO_SIDED_95.z());
        // Routers that choose alike everywhere lose nothing for certain; a floor keeps such a block from being the only one that counts.
        let weight = 1.0 / std_error.max(0.05).powi(2);
        information += weight * point.age_days * point.age_days;
        sum += weight * point.age_days * point.loss_points;
    }
    if information <= 0.0 || oldest <= 0.0 {
        return None;
    }
    let (per_day, std_error) = (sum / information, information.sqrt().recip());
    let lower = per_day - Confidence::ONE_SIDED_95.z() * std_error;
    // Only a loss that is shown counts against the router; an interval past the log's end is not claimed.
    let interval = if lower > 0.0 { (LOSS_POINTS / per_day).max(1.0) } else { oldest };
    let decays = lower > 0.0 && interval <= oldest;
    Some(RetrainingResult {
        interval_days: interval.min(oldest).floor().max(1.0) as u32,
        decays,
        loss_per_day: per_day,
        loss_per_day_lower: lower,
        loss_per_day_upper: per_day + Confidence::ONE_SIDED_95.z() * std_error,
        points,
    })
}

/// Fresh against old on a block.
fn compare(judge: &Judge<'_>, regime: Regime<'_>, window: &HeldOut, fresh: &[Arm], old: &[Arm]) -> Result<UpliftResult, StageError> {
    if matches!(regime, Regime::Paired(_)) {
        let cells = Cells::collect(judge.table, window);
        return Ok(cells.uplift("old", fresh, old)?.unwrap_or_default());
    }
    let rows = LoggedRows::of_queries(judge.table, window)?;
    Ok(if rows.rows.is_empty() { UpliftResult::default() } else { rows.uplift("old", &rows.pair(fresh, old)?)? })
}

/// A router's choices on a block.
fn choices(judge: &Judge<'_>, policy: &Policy, window: &HeldOut) -> Vec<Arm> {
    let fixed = |position: usize| window.queries[position].static_arm;
    with_predictions(policy, judge.table, &window.feature_rows(), |position, predictions| {
        policy.decide(Some(fixed(position)), predictions).arm.unwrap_or(fixed(position))
    })
}

/// Success regressors on some rows, with the rules of the learned router.
fn fit(judge: &Judge<'_>, rows: &[u32], seed: Seed) -> Result<Policy, StageError> {
    let table = judge.table;
    let binned = Binned::new(&Matrix::new(&table.columns_of(rows))?, MAX_BINS);
    let target: Vec<f64> = rows.iter().map(|row| f64::from(u8::from(table.outcomes.successes[*row as usize] == Some(true)))).collect();
    let params = ForestParams { n_trees: N_TREES, min_samples_leaf: LEAF, max_sample_rows: MAX_SAMPLE_ROWS, ..ForestParams::default() };
    let (mut success, mut support) = (Vec::new(), Vec::new());
    for arm in table.paths.arms() {
        let own: Vec<u32> = (0..rows.len() as u32).filter(|row| table.outcomes.arms[rows[*row as usize] as usize] == arm).collect();
        let seed = seed.derive("path", u64::from(arm.0));
        let forest: Option<Forest> =
            if own.len() < MIN_ROWS { None } else { Some(fit_regressor(&binned, &own, &target, None, &params, seed)?.forest) };
        success.push(forest.map(|forest| SuccessModel { forest, calibration: Calibration::Identity }));
        support.push(own.len() as u64);
    }
    let n_paths = table.paths.len();
    Ok(Policy {
        paths: table.paths.clone(),
        success,
        latency: vec![None; n_paths],
        cost: vec![None; n_paths],
        classifier: None,
        support,
        settings: judge.policy.settings.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(age_days: f64, loss_points: f64, half: f64) -> AgePoint {
        AgePoint { age_days, loss_points, lower: loss_points - half, upper: loss_points + half }
    }

    #[test]
    fn a_loss_that_is_shown_gives_the_day_on_which_a_point_is_lost() {
        let found = verdict(vec![point(5.0, 1.0, 0.3), point(10.0, 2.0, 0.3), point(15.0, 3.0, 0.3)]).unwrap();
        assert_eq!((found.interval_days, found.decays), (5, true));
    }

    #[test]
    fn a_loss_within_the_noise_is_no_decay() {
        let found = verdict(vec![point(5.0, 1.0, 6.0), point(10.0, -2.0, 6.0), point(15.0, 3.0, 6.0)]).unwrap();
        assert_eq!((found.interval_days, found.decays), (15, false));
    }

    #[test]
    fn a_point_that_is_lost_after_the_end_of_the_log_is_not_claimed() {
        let found = verdict(vec![point(5.0, 0.1, 0.05), point(10.0, 0.2, 0.05)]).unwrap();
        assert_eq!((found.interval_days, found.decays), (10, false));
    }
}
