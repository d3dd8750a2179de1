//! What a learned router has to beat, and the oracle.

use routewright_domain::Arm;
use routewright_engine::StageError;

use super::{Choices, Setting, best_of};

/// Training runs that a path needs in a query type before it can be the best there: fewer are luck.
const MIN_MATCHES_PER_TYPE: f64 = 20.0;

/// What the static router chose.
pub(super) fn static_router(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    Ok(Some(Choices::Fixed(setting.held_out.static_choices())))
}

/// The path with the highest training success rate, for every query.
pub(super) fn best_single(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    Ok(setting.training.best().map(|best| Choices::Fixed(vec![best; setting.held_out.queries.len()])))
}

/// The best path of every query type, the best single one where a type has too few runs.
pub(super) fn best_per_query_type(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    let Some(overall) = setting.training.best() else { return Ok(None) };
    let best = |query_type: &String| {
        let means = setting.training.by_type.get(query_type)?;
        best_of(means.iter().map(|(success, n)| if *n >= MIN_MATCHES_PER_TYPE { *success } else { f64::NAN }))
    };
    Ok(Some(Choices::Fixed(setting.query_types().map(|query_type| best(query_type).unwrap_or(overall)).collect())))
}

/// The mix of two paths that costs what the learned router's shares cost and succeeds most: what a coin can do.
pub(super) fn static_mix(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    let n_arms = setting.table.paths.len();
    let shares = Choices::Fixed(setting.learned_arms()).shares(n_arms);
    let training = setting.training;
    let prices = if training.latency_ms.iter().all(|latency| latency.is_finite()) { &training.latency_ms } else { &training.cost_usd };
    if prices.iter().chain(&training.success).any(|value| !value.is_finite()) {
        return Ok(None);
    }
    let budget: f64 = shares.iter().zip(prices).map(|(share, price)| share * price).sum();
    let mut best: Option<(f64, Vec<f64>)> = None;
    for cheap in 0..n_arms {
        for dear in 0..n_arms {
            if !(prices[cheap] <= budget && budget <= prices[dear]) {
                continue;
            }
            let spread = prices[dear] - prices[cheap];
            let share = if spread > 0.0 { (budget - prices[cheap]) / spread } else { 0.0 };
            let success = (1.0 - share) * training.success[cheap] + share * training.success[dear];
            if best.as_ref().is_none_or(|(highest, _)| success > *highest) {
                let mut mix = vec![0.0; n_arms];
                mix[cheap] += 1.0 - share;
                mix[dear] += share;
                best = Some((success, mix));
            }
        }
    }
    Ok(best.map(|(_, mix)| Choices::Mixed(mix)))
}

/// A coin with the learned router's path shares.
pub(super) fn random_shares(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    let fixed = Choices::Fixed(setting.learned_arms());
    Ok(Some(Choices::Mixed(fixed.shares(setting.table.paths.len()))))
}

/// The best path of every query, with hindsight.
pub(super) fn oracle(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    let n_arms = setting.table.paths.len();
    let best = |cells: &[f64]| best_of(cells.iter().copied());
    let chosen = || setting.outcomes.chunks_exact(n_arms).map(|cells| best(cells).unwrap_or(Arm(0))).collect();
    Ok(setting.full_information.then(|| Choices::Fixed(chosen())))
}
