//! Variation 3: a learner for the edge cases, the queries on which static routing is likely to fail.

use routewright_domain::Arm;
use routewright_engine::StageError;
use routewright_forest::{Binned, ForestParams, MAX_BINS, Matrix, fit_regressor, predict};
use routewright_router::Forest;

use super::super::MAX_SAMPLE_ROWS;
use super::{Choices, Setting};

/// Share of the training rows that count as edge cases: those on which the static path's predicted success is lowest.
const SHARE: f64 = 0.25;

/// Training rows of a path among the edge cases below which the path is not considered there.
const MIN_ROWS: usize = 30;

/// Trees of each forest: the edge cases are few, and the policy is a comparison, not the product.
const N_TREES: u32 = 50;

/// Static routing, but on edge cases the path with the highest success by forests grown on the edge cases of the training window alone.
///
/// `None` where the static path has no model, or too few edge cases ran anything.
pub(super) fn edge_cases(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    let training = setting.table.training_rows();
    let matrix = Matrix::new(&setting.table.features)?;
    let Some(fallback) = setting.training.best() else { return Ok(None) };
    // Where the log names no static path, it is the one of the held-out window, which is then the same for all queries.
    let fixed = setting.held_out.queries.first().map_or(fallback, |query| query.static_arm);
    let mut by_arm: Vec<Vec<u32>> = vec![Vec::new(); setting.table.paths.len()];
    for row in training.as_slice() {
        by_arm[setting.table.outcomes.static_arms[*row as usize].unwrap_or(fixed).index()].push(*row);
    }
    let mut predicted: Vec<(f64, u32)> = Vec::new();
    for (model, rows) in setting.policy.success.iter().zip(&by_arm) {
        let Some(model) = model else { continue };
        let scores = predict(&model.forest, &matrix, rows).into_iter().map(|score| model.calibration.apply(score));
        predicted.extend(scores.zip(rows.iter().copied()));
    }
    predicted.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    let n_edge = (SHARE * predicted.len() as f64).ceil() as usize;
    let Some((threshold, _)) = n_edge.checked_sub(1).and_then(|last| predicted.get(last)).copied() else { return Ok(None) };
    let edge: Vec<u32> = predicted[..n_edge].iter().map(|(_, row)| *row).collect();
    let forests = forests(setting, &edge)?;
    if forests.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut choices = setting.held_out.static_choices();
    let is_edge = |query: &usize| setting.learned[*query].predictions.success[choices[*query].index()] <= threshold;
    let asked: Vec<usize> = (0..choices.len()).filter(is_edge).collect();
    let rows: Vec<u32> = asked.iter().map(|query| setting.held_out.queries[*query].row as u32).collect();
    // Per path its success on these queries; none without a forest.
    let success: Vec<Option<Vec<f64>>> =
        forests.iter().map(|forest| forest.as_ref().map(|forest| predict(forest, &matrix, &rows))).collect();
    for (position, query) in asked.into_iter().enumerate() {
        let success = |arm: Arm| success[arm.index()].as_ref().map(|success| success[position]);
        let Some(of_static) = success(choices[query]) else { continue };
        let mut best = (choices[query], of_static + setting.policy.settings.min_gain);
        for arm in setting.table.paths.arms() {
            if let Some(found) = success(arm).filter(|found| *found > best.1) {
                best = (arm, found);
            }
        }
        choices[query] = best.0;
    }
    Ok(Some(Choices::Fixed(choices)))
}

/// One forest per path on the edge cases that ran it; `None` for a path with too few.
fn forests(setting: &Setting<'_>, edge: &[u32]) -> Result<Vec<Option<Forest>>, StageError> {
    let outcomes = &setting.table.outcomes;
    let binned = Binned::new(&Matrix::new(&setting.table.columns_of(edge))?, MAX_BINS);
    let target: Vec<f64> = edge.iter().map(|row| f64::from(u8::from(outcomes.successes[*row as usize] == Some(true)))).collect();
    let params = ForestParams { n_trees: N_TREES, min_samples_leaf: 10, max_sample_rows: MAX_SAMPLE_ROWS, ..ForestParams::default() };
    let mut forests = Vec::new();
    for arm in setting.table.paths.arms() {
        let rows: Vec<u32> = (0..edge.len() as u32).filter(|position| outcomes.arms[edge[*position as usize] as usize] == arm).collect();
        let seed = setting.seed.derive("edge cases", u64::from(arm.0));
        forests.push(if rows.len() < MIN_ROWS { None } else { Some(fit_regressor(&binned, &rows, &target, None, &params, seed)?.forest) });
    }
    Ok(forests)
}
