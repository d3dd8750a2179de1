//! The cost-quality frontier: what other weights of latency and cost would give, and how the routing literature scores it.

use rayon::prelude::*;
use routewright_domain::{Arm, Interval};
use routewright_ope::{FrontierPoint, OpeError, average_gap_recovered, average_quality, call_threshold, hull};

use super::judge::Judge;
use super::policies::Choices;
use super::regime::{Measure, Regime};
use crate::artifacts::{FrontierResult, FrontierSetting, StrongCalls};

/// Weights that are tried: success probability that one mean price of the paths is worth.
const LAMBDAS: &[f64] = &[0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

/// Shares of the queries that go to the strong path.
const STRONG_SHARES: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Quality of every weight on success by what it costs; cost in US dollars where logged, latency elsewhere. `None` where neither is known.
pub(super) fn frontier(judge: &Judge<'_>, regime: Regime<'_>) -> Result<Option<FrontierResult>, OpeError> {
    let training = judge.training;
    let is_known =
        |prices: &[f64]| prices.iter().all(|price| price.is_finite() && *price >= 0.0) && prices.iter().any(|price| *price > 0.0);
    let (measure, prices, unit) = if is_known(&training.cost_usd) {
        (Measure::Cost, &training.cost_usd, "usd")
    } else if is_known(&training.latency_ms) {
        (Measure::Latency, &training.latency_ms, "milliseconds")
    } else {
        return Ok(None);
    };
    let scale = prices.iter().sum::<f64>() / prices.len() as f64;
    let setting = |lambda: &f64| {
        let choices = Choices::Fixed(judge.with_prices(prices, lambda / scale));
        let found = regime.mean_of(measure, &choices)?.zip(regime.value(&choices)?.0.value);
        Ok(found.map(|(cost, quality)| FrontierSetting { lambda: *lambda, cost, quality }))
    };
    let settings = LAMBDAS.par_iter().filter_map(|lambda| setting(lambda).transpose()).collect::<Result<Vec<_>, OpeError>>()?;
    let points: Vec<FrontierPoint> =
        settings.iter().map(|setting| FrontierPoint { cost: setting.cost, quality: setting.quality }).collect();
    let Some(costs) = range(&points) else { return Ok(None) };
    Ok(Some(FrontierResult {
        unit: unit.to_owned(),
        aiq: average_quality(&points, costs),
        hull: hull(&points).into_iter().map(|point| [point.cost, point.quality]).collect(),
        costs: [costs.lower, costs.upper],
        settings,
        strong_calls: strong_calls(judge, regime, prices)?,
    }))
}

/// From the cheapest to the dearest setting.
fn range(points: &[FrontierPoint]) -> Option<Interval> {
    let lower = points.iter().map(|point| point.cost).fold(f64::INFINITY, f64::min);
    let upper = points.iter().map(|point| point.cost).fold(f64::NEG_INFINITY, f64::max);
    (lower <= upper).then_some(Interval { lower, upper })
}

/// Routing between two paths, the cheapest and the best of the training window, by predicted advantage: APGR and CPT.
fn strong_calls(judge: &Judge<'_>, regime: Regime<'_>, prices: &[f64]) -> Result<Option<StrongCalls>, OpeError> {
    let arms = || judge.table.paths.arms();
    let weak = arms().min_by(|left, right| prices[left.index()].total_cmp(&prices[right.index()]));
    let Some((weak, strong)) = weak.zip(judge.training.best()).filter(|(weak, strong)| weak != strong) else { return Ok(None) };
    let n_queries = judge.held_out.queries.len();
    let mut by_advantage: Vec<(f64, usize)> = judge
        .learned
        .iter()
        .enumerate()
        .map(|(query, found)| (found.predictions.success[strong.index()] - found.predictions.success[weak.index()], query))
        .collect();
    if by_advantage.iter().any(|(advantage, _)| advantage.is_nan()) {
        return Ok(None);
    }
    by_advantage.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
    let quality = |n_strong: usize| -> Result<Option<f64>, OpeError> {
        let mut choices: Vec<Arm> = vec![weak; n_queries];
        for (_, query) in &by_advantage[..n_strong] {
            choices[*query] = strong;
        }
        Ok(regime.value(&Choices::Fixed(choices))?.0.value)
    };
    let Some((of_weak, of_strong)) = quality(0)?.zip(quality(n_queries)?) else { return Ok(None) };
    let point = |share: &f64| {
        let n_strong = (share * n_queries as f64).round() as usize;
        Ok(quality(n_strong)?.map(|quality| FrontierPoint { cost: n_strong as f64 / n_queries as f64, quality }))
    };
    let points = STRONG_SHARES.par_iter().filter_map(|share| point(share).transpose()).collect::<Result<Vec<_>, OpeError>>()?;
    Ok(Some(StrongCalls {
        weak: judge.table.paths.name(weak).to_owned(),
        strong: judge.table.paths.name(strong).to_owned(),
        weak_success: of_weak,
        strong_success: of_strong,
        curve: points.iter().map(|point| [point.cost, point.quality]).collect(),
        apgr: average_gap_recovered(&points, of_weak, of_strong),
        cpt_50: call_threshold(&points, of_weak, of_strong, 0.5),
        cpt_80: call_threshold(&points, of_weak, of_strong, 0.8),
    }))
}
