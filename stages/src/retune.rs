//! The fallback threshold of the router in force, moved within limits where later decisions prove that it pays: the proof that `tune` asks for.
//!
//! Candidates are chosen on the older half of decisions that the router did not learn from, and the one that wins is proven on the newer half.

use std::sync::Arc;

use routewright_domain::Timestamp;
use routewright_router::{Policy, PolicySettings, Router};
use routewright_table::Decisions;
use serde::{Deserialize, Serialize};

use crate::duel::{Duel, DuelError, DuelSettings, DuelVerdict, duel};

/// Limits of the confidence below which the static path is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetuneSettings {
    /// How far it moves in a night at most; 0 never moves it.
    pub step: f64,
    /// Smallest it may become.
    pub lowest: f64,
    /// Largest it may become.
    pub highest: f64,
}

impl Default for RetuneSettings {
    fn default() -> Self {
        Self { step: 0.05, lowest: 0.5, highest: 0.95 }
    }
}

/// A threshold that is proven to pay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retuned {
    /// The threshold in force.
    pub from: f64,
    /// The better one.
    pub to: f64,
    /// Better against present, on decisions that had no part in the choice.
    pub proof: Duel,
}

/// Looks for a better fallback threshold; `None` where none is proven. `after`: the moment up to which the router learnt.
///
/// # Errors
/// [`DuelError`] for decisions that cannot be read or judged.
pub fn retune(
    router: &Router,
    decisions: &Decisions,
    after: Timestamp,
    limits: &RetuneSettings,
    judged: &DuelSettings,
) -> Result<Option<Retuned>, DuelError> {
    let mut times = Vec::new();
    for day in decisions.iter() {
        times.extend(day?.into_iter().map(|decision| decision.timestamp).filter(|time| after < *time));
    }
    times.sort_unstable();
    let Some(&middle) = times.get(times.len() / 2) else { return Ok(None) };
    let from = router.policy().settings.min_confidence;
    let mut best: Option<(f64, f64)> = None;
    for to in candidates(from, limits) {
        let points = duel(Some(router), &with_threshold(router, to), decisions, after..middle, judged)?.points;
        if let Some(points) = points.filter(|points| best.map_or(0.0, |best| best.1) < *points) {
            best = Some((to, points));
        }
    }
    let Some((to, _)) = best else { return Ok(None) };
    let proof = duel(Some(router), &with_threshold(router, to), decisions, middle..Timestamp(i64::MAX), judged)?;
    Ok((proof.verdict == DuelVerdict::Better).then_some(Retuned { from, to, proof }))
}

/// The thresholds that may be tried: half a step and a step to both sides, within the limits.
fn candidates(from: f64, limits: &RetuneSettings) -> Vec<f64> {
    let moves = [-1.0, -0.5, 0.5, 1.0].map(|share| ((from + share * limits.step) * 1e4).round() / 1e4);
    moves.into_iter().filter(|to| limits.step > 0.0 && (limits.lowest..=limits.highest).contains(to)).collect()
}

/// A router with another threshold.
fn with_threshold(router: &Router, min_confidence: f64) -> Router {
    let policy = router.policy();
    let settings = PolicySettings { min_confidence, ..policy.settings.clone() };
    Router::new(Arc::clone(router.encoder().schema()), Policy { settings, ..policy.clone() }, router.history().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_stay_within_their_limits() {
        let limits = RetuneSettings { step: 0.1, lowest: 0.6, highest: 0.72 };
        assert_eq!(candidates(0.7, &limits), [0.6, 0.65]);
        assert_eq!(candidates(0.7, &RetuneSettings { step: 0.0, ..limits }), [0.0; 0]);
    }
}
