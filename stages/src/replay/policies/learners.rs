//! The ways to use what was learned: E-009's approaches 1 and 2 and its variations.

use routewright_domain::Arm;
use routewright_engine::StageError;
use routewright_forest::{Matrix, most_probable, predict};
use routewright_router::{Policy, PolicyScratch};
use routewright_table::FeatureTable;

use super::{Choices, Setting};
use crate::predictions::with_predictions;
use crate::replay::held_out::{HeldOut, Query};

/// What the learned router decides on one query.
#[derive(Clone, Debug)]
pub(in crate::replay) struct Learned {
    /// The path it takes.
    pub arm: Arm,
    /// The path it prefers, before any fallback.
    pub preferred: Option<Arm>,
    /// What it predicted.
    pub predictions: PolicyScratch,
}

/// What the classifier says about one query.
#[derive(Clone, Copy, Debug)]
pub(in crate::replay) struct Classified {
    /// The most probable path.
    pub arm: Arm,
    /// Its probability.
    pub probability: f64,
}

/// The learned router's choices, one per query, in parallel.
pub(in crate::replay) fn choose(policy: &Policy, table: &FeatureTable, held_out: &HeldOut) -> Vec<Learned> {
    with_predictions(policy, table, &held_out.feature_rows(), |position, predictions| {
        let query = &held_out.queries[position];
        // A path that was not allowed has no utility, so it is never preferred.
        for (path, utility) in predictions.utility.iter_mut().enumerate() {
            if !table.outcomes.allows(query.row, Arm(path as u16)) {
                *utility = f64::NAN;
            }
        }
        let choice = policy.decide(Some(query.static_arm), predictions);
        let predictions = std::mem::take(predictions);
        Learned { arm: choice.arm.unwrap_or(query.static_arm), preferred: choice.learned_arm, predictions }
    })
}

/// What the classifier says, one per query; empty without a classifier.
///
/// # Errors
/// Columns of features of unequal length.
pub(in crate::replay) fn classify(policy: &Policy, table: &FeatureTable, held_out: &HeldOut) -> Result<Vec<Classified>, StageError> {
    let Some(classifier) = &policy.classifier else { return Ok(Vec::new()) };
    let shares = predict(classifier, &Matrix::new(&table.features)?, &held_out.feature_rows());
    let said = shares.chunks_exact(classifier.n_outputs()).map(|shares| {
        let class = most_probable(shares);
        Classified { arm: Arm(class as u16), probability: shares[class] }
    });
    Ok(said.collect())
}

/// Approach 2: the path of highest utility, with the fallback.
pub(super) fn learned(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    Ok(Some(Choices::Fixed(setting.learned_arms())))
}

/// Approach 1: the classifier's path where it is confident, the static one elsewhere.
pub(super) fn classifier(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    let needed = setting.policy.settings.min_confidence;
    let arm = |(said, query): (&Classified, &Query)| if said.probability >= needed { said.arm } else { query.static_arm };
    let chosen = || setting.classified.iter().zip(&setting.held_out.queries).map(arm).collect();
    Ok((!setting.classified.is_empty()).then(|| Choices::Fixed(chosen())))
}

/// Variation 1: learned in the query types in which it gains on the training window, static elsewhere.
pub(super) fn hybrid_by_query_type(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    let arm = |((learned, query), query_type): ((Arm, &Query), &String)| {
        if setting.helped_types.contains(query_type) { learned } else { query.static_arm }
    };
    let choices = setting.learned_arms().into_iter().zip(&setting.held_out.queries).zip(setting.query_types()).map(arm).collect();
    Ok(Some(Choices::Fixed(choices)))
}

/// Variation 2: static rules, regressors and classifier vote, each with its confidence; the static path wins ties.
///
/// The static rules are as sure of their path as its training success rate in the query type, the regressors as their predicted success, the
/// classifier as its probability.
pub(super) fn confidence_ensemble(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    if setting.classified.is_empty() {
        return Ok(None);
    }
    let n_arms = setting.table.paths.len();
    let queries = setting.held_out.queries.iter().zip(setting.query_types()).zip(setting.learned.iter().zip(setting.classified));
    let arm = |((query, query_type), (learned, said)): ((&Query, &String), (&Learned, &Classified))| {
        let fixed = query.static_arm;
        let known = |rate: f64| if rate.is_finite() { rate } else { 0.0 };
        let by_type = setting.training.by_type.get(query_type).map(|means| means[fixed.index()].0).filter(|rate| rate.is_finite());
        let mut votes = vec![0.0; n_arms];
        votes[fixed.index()] += by_type.unwrap_or_else(|| known(setting.training.success[fixed.index()]));
        if let Some(preferred) = learned.preferred {
            votes[preferred.index()] += known(learned.predictions.success[preferred.index()]);
        }
        votes[said.arm.index()] += said.probability;
        let best = (0..n_arms).fold(fixed.index(), |best, path| if votes[path] > votes[best] { path } else { best });
        Arm(best as u16)
    };
    Ok(Some(Choices::Fixed(queries.map(arm).collect())))
}

/// The learned choice where the log supports it, static elsewhere.
pub(super) fn supported(setting: &Setting<'_>) -> Result<Option<Choices>, StageError> {
    Ok(setting.supported.map(|arms| Choices::Fixed(arms.to_vec())))
}
