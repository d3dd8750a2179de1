//! From predictions to a path: utility, confidence, and when to stay with the static rules.

mod format;

use routewright_domain::{Arm, Paths};
use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::forest::{Forest, RowSlots};

/// How much of a predicted advantage must be there, and what an outcome is worth. Utilities are in points of success probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySettings {
    /// Confidence below which the static path is kept.
    pub min_confidence: f64,
    /// Training rows below which a path is never chosen.
    pub min_support: u64,
    /// Utility that a path must gain over the static one: noise in the predictions should not move traffic. 0.005 is half a point.
    pub min_gain: f64,
    /// Weight of the latency in the utility.
    pub lambda_latency: f64,
    /// Latency that counts as one, in milliseconds.
    pub latency_scale_ms: f64,
    /// Weight of the cost in the utility.
    pub lambda_cost: f64,
    /// Cost that counts as one, in US dollars.
    pub cost_scale: f64,
    /// Predicted success within which two paths count as equal, so that the faster one is taken (H-009c); 0 turns this off.
    pub success_tolerance: f64,
    /// What the utility starts from.
    pub rank: Rank,
}

/// What the utility of a path starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// The calibrated probability of success.
    #[default]
    Probability,
    /// The regressor's own output, for regressors that learnt a graded outcome: how well a path does, not only whether. Calibration per path would
    /// take away what tells two successes apart.
    Grade,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            min_confidence: 0.7,
            min_support: 30,
            min_gain: 0.005,
            lambda_latency: 0.0,
            latency_scale_ms: 1000.0,
            lambda_cost: 0.0,
            cost_scale: 0.01,
            success_tolerance: 0.0,
            rank: Rank::Probability,
        }
    }
}

impl PolicySettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`PolicyError::Setting`] names the first setting out of range.
    pub fn check(&self) -> Result<(), PolicyError> {
        let range = |name, value: f64, valid: bool| if valid { Ok(()) } else { Err(PolicyError::Setting { name, value }) };
        range("min_confidence", self.min_confidence, (0.0..=1.0).contains(&self.min_confidence))?;
        range("min_gain", self.min_gain, (0.0..=f64::MAX).contains(&self.min_gain))?;
        range("lambda_latency", self.lambda_latency, (0.0..=f64::MAX).contains(&self.lambda_latency))?;
        range("lambda_cost", self.lambda_cost, (0.0..=f64::MAX).contains(&self.lambda_cost))?;
        range("latency_scale_ms", self.latency_scale_ms, 0.0 < self.latency_scale_ms && self.latency_scale_ms.is_finite())?;
        range("cost_scale", self.cost_scale, 0.0 < self.cost_scale && self.cost_scale.is_finite())?;
        range("success_tolerance", self.success_tolerance, (0.0..=1.0).contains(&self.success_tolerance))
    }
}

/// A path's success regressor and the map from its output to a probability.
#[derive(Clone, Debug, PartialEq)]
pub struct SuccessModel {
    /// Predicts success in [0, 1]: one output.
    pub forest: Forest,
    /// Makes the prediction a probability.
    pub calibration: Calibration,
}

/// The learned router without its encoder: forests, costs and rules, one entry per path where not said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The paths.
    pub paths: Paths,
    /// Success regressors; `None` where the path had too few rows.
    pub success: Vec<Option<SuccessModel>>,
    /// Latency regressors, predicting ln(1 + milliseconds): one output.
    pub latency: Vec<Option<Forest>>,
    /// Mean cost in US dollars, where logged.
    pub cost: Vec<Option<f64>>,
    /// Imitates the log: one output per path.
    pub classifier: Option<Forest>,
    /// Training rows that ran the path.
    pub support: Vec<u64>,
    /// Rules of the choice.
    pub settings: PolicySettings,
}

/// A policy whose parts do not fit together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// A list that has not one entry per path.
    #[error("`{part}` has {found} entries for {expected} paths")]
    Length {
        /// The list.
        part: &'static str,
        /// Its length.
        found: usize,
        /// The number of paths.
        expected: usize,
    },
    /// A forest of the wrong shape.
    #[error("`{part}` reads {n_features} columns and gives {n_outputs} numbers, expected {expected_features} and {expected_outputs}")]
    Shape {
        /// The forest.
        part: &'static str,
        /// Columns it reads.
        n_features: usize,
        /// Numbers it gives.
        n_outputs: usize,
        /// Columns of a row.
        expected_features: usize,
        /// Numbers it should give.
        expected_outputs: usize,
    },
    /// A setting out of range.
    #[error("`{name}` is out of range: {value}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// A cost that is not finite.
    #[error("cost of path {path} is not finite")]
    Cost {
        /// Position of the path.
        path: usize,
    },
}

/// Why the static path is kept although the model prefers another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// No path has a model.
    NoModel,
    /// No path with a model ran often enough in training.
    NoSupport,
    /// The predicted advantage is smaller than [`PolicySettings::min_gain`].
    SmallGain,
    /// The confidence is below [`PolicySettings::min_confidence`].
    LowConfidence,
    /// The confidence is too low and there is no static path to fall back to: the learned path is taken all the same.
    NoStaticPath,
    /// The request does not carry the vector of the sentence model that the features need.
    NoEmbedding,
}

impl Fallback {
    /// Every reason, in the order in which they are checked.
    pub const ALL: [Self; 6] =
        [Self::NoModel, Self::NoSupport, Self::SmallGain, Self::LowConfidence, Self::NoStaticPath, Self::NoEmbedding];

    /// The reason as written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoModel => "no_model",
            Self::NoSupport => "no_support",
            Self::SmallGain => "small_gain",
            Self::LowConfidence => "low_confidence",
            Self::NoStaticPath => "no_static_path",
            Self::NoEmbedding => "no_embedding",
        }
    }
}

/// What a policy decides on one row; its lists are in [`PolicyScratch`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The path to take; `None` where there is neither a model nor a static path.
    pub arm: Option<Arm>,
    /// The path of highest utility among the supported ones, before any fallback.
    pub learned_arm: Option<Arm>,
    /// Estimated probability that taking [`Self::learned_arm`] does not turn a success into a failure.
    pub confidence: f64,
    /// Why [`Self::arm`] is not [`Self::learned_arm`], or is not to be trusted.
    pub fallback: Option<Fallback>,
}

/// Predictions for one row, one entry per path; reused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyScratch {
    /// Probability of success; NaN without a model.
    pub success: Vec<f64>,
    /// Expected latency in milliseconds; NaN without a model.
    pub latency_ms: Vec<f64>,
    /// Success, less what latency and cost take away; NaN without a success model.
    pub utility: Vec<f64>,
    slots: RowSlots,
}

impl Policy {
    /// Checks that every part fits the paths and rows of `n_columns`.
    ///
    /// # Errors
    /// [`PolicyError`] names the part that does not fit.
    pub fn check(&self, n_columns: usize) -> Result<(), PolicyError> {
        let n_paths = self.paths.len();
        let lengths =
            [("success", self.success.len()), ("latency", self.latency.len()), ("cost", self.cost.len()), ("support", self.support.len())];
        if let Some(&(part, found)) = lengths.iter().find(|(_, found)| *found != n_paths) {
            return Err(PolicyError::Length { part, found, expected: n_paths });
        }
        let shape = |part, forest: &Forest, expected_outputs| {
            let (n_features, n_outputs) = (forest.n_features(), forest.n_outputs());
            let fits = n_features == n_columns && n_outputs == expected_outputs;
            if fits {
                Ok(())
            } else {
                Err(PolicyError::Shape { part, n_features, n_outputs, expected_features: n_columns, expected_outputs })
            }
        };
        for model in self.success.iter().flatten() {
            shape("success", &model.forest, 1)?;
        }
        for forest in self.latency.iter().flatten() {
            shape("latency", forest, 1)?;
        }
        if let Some(forest) = &self.classifier {
            shape("classifier", forest, n_paths)?;
        }
        if let Some(path) = self.cost.iter().position(|cost| cost.is_some_and(|cost| !cost.is_finite())) {
            return Err(PolicyError::Cost { path });
        }
        self.settings.check()
    }

    /// Chooses a path for a row. `row`: the columns of the schema the forests were grown on.
    ///
    /// Utility `u = P(success) − λ_latency · latency / scale − λ_cost · cost / scale` (from the grade instead of the probability, with
    /// [`Rank::Grade`]); an unknown latency or cost takes nothing away.
    /// The learned path has the highest utility among supported paths, the first of equals; with a success tolerance, the fastest of those
    /// whose success is within it. Confidence is `1 − (1 − p_learned) · p_static` where the two differ, 1 where they agree, and `p_learned`
    /// without a static path (or `p_static` taken as 1 where the static path has no model).
    pub fn choose(&self, row: &[f32], static_arm: Option<Arm>, scratch: &mut PolicyScratch) -> Choice {
        self.predict_for_choice(row, scratch);
        self.decide(static_arm, scratch)
    }

    /// Probabilities with which the log took each path on rows like this one; `None` without a classifier. `out` gets one per path.
    pub fn classify(&self, row: &[f32], out: &mut Vec<f64>) -> Option<Arm> {
        let classifier = self.classifier.as_ref()?;
        out.clear();
        out.resize(self.paths.len(), 0.0);
        classifier.predict(row, out);
        first_largest(out.iter().copied().enumerate())
    }

    /// Fills in success, latency and utility of every path.
    pub fn predict(&self, row: &[f32], scratch: &mut PolicyScratch) {
        self.predict_with(&self.latency, row, scratch);
    }

    /// Fills in what a choice rests on: [`Self::predict`] without the latencies where they have no weight, which is half the time.
    pub fn predict_for_choice(&self, row: &[f32], scratch: &mut PolicyScratch) {
        self.predict_with(self.weighed_latency(), row, scratch);
    }

    /// Makes what the first choice makes otherwise, so that it takes no longer than others.
    pub fn warm_up(&self) {
        let success = self.success.iter().flatten().map(|model| &model.forest);
        success.chain(self.weighed_latency().iter().flatten()).for_each(Forest::warm_up);
    }

    /// The latency regressors, where a choice may depend on what they say.
    fn weighed_latency(&self) -> &[Option<Forest>] {
        let is_weighed = self.settings.lambda_latency > 0.0 || self.settings.success_tolerance > 0.0;
        if is_weighed { &self.latency } else { &[] }
    }

    fn predict_with(&self, latency: &[Option<Forest>], row: &[f32], scratch: &mut PolicyScratch) {
        let n_paths = self.paths.len();
        for list in [&mut scratch.success, &mut scratch.latency_ms, &mut scratch.utility] {
            list.clear();
            list.resize(n_paths, f64::NAN);
        }
        let forests = self.success.iter().flatten().map(|model| &model.forest).chain(latency.iter().flatten());
        scratch.slots.lay_out(row, forests.map(Forest::n_features).max().unwrap_or(0));
        let mut output = [0.0];
        for path in 0..n_paths {
            if let Some(Some(forest)) = latency.get(path) {
                forest.predict_laid_out(row, &scratch.slots, &mut output);
                scratch.latency_ms[path] = output[0].exp_m1().max(0.0);
            }
            if let Some(Some(model)) = self.success.get(path) {
                model.forest.predict_laid_out(row, &scratch.slots, &mut output);
                let success = model.calibration.apply(output[0]).clamp(0.0, 1.0);
                scratch.success[path] = success;
                scratch.utility[path] = self.worth(success, output[0]) - self.penalty(path, scratch.latency_ms[path]);
            }
        }
    }

    /// [`Self::predict_for_choice`] for rows that lie one after another, forest by forest, which keeps each tree in the cache; equal to it
    /// bit for bit.
    ///
    /// `rows`: n × `n_columns` numbers; `out`: n predictions, made where there are fewer.
    pub fn predict_rows(&self, rows: &[f32], n_columns: usize, out: &mut Vec<PolicyScratch>) {
        let (n_rows, n_paths) = (rows.len() / n_columns.max(1), self.paths.len());
        out.resize_with(n_rows, PolicyScratch::default);
        for scratch in out.iter_mut() {
            for list in [&mut scratch.success, &mut scratch.latency_ms, &mut scratch.utility] {
                list.clear();
                list.resize(n_paths, f64::NAN);
            }
        }
        let (latency, mut outputs) = (self.weighed_latency(), vec![0.0; n_rows]);
        for path in 0..n_paths {
            if let Some(Some(forest)) = latency.get(path) {
                forest.predict_rows(rows, &mut outputs);
                out.iter_mut().zip(&outputs).for_each(|(scratch, output)| scratch.latency_ms[path] = output.exp_m1().max(0.0));
            }
            if let Some(Some(model)) = self.success.get(path) {
                model.forest.predict_rows(rows, &mut outputs);
                for (scratch, &output) in out.iter_mut().zip(&outputs) {
                    let success = model.calibration.apply(output).clamp(0.0, 1.0);
                    scratch.success[path] = success;
                    scratch.utility[path] = self.worth(success, output) - self.penalty(path, scratch.latency_ms[path]);
                }
            }
        }
    }

    /// The choice on predictions already made, such as predictions on held-out folds.
    pub fn decide(&self, static_arm: Option<Arm>, predictions: &PolicyScratch) -> Choice {
        let static_arm = static_arm.filter(|arm| arm.index() < self.paths.len());
        let stay = |fallback| Choice { arm: static_arm, learned_arm: None, confidence: 0.0, fallback: Some(fallback) };
        if predictions.success.iter().all(|success| success.is_nan()) {
            return stay(Fallback::NoModel);
        }
        let Some(learned) = self.best_supported(predictions) else { return stay(Fallback::NoSupport) };
        let success = predictions.success[learned.index()];
        let choice = |arm, confidence, fallback| Choice { arm, learned_arm: Some(learned), confidence, fallback };
        let Some(fixed) = static_arm else {
            let fallback = (success < self.settings.min_confidence).then_some(Fallback::NoStaticPath);
            return choice(Some(learned), success, fallback);
        };
        if fixed == learned {
            return choice(static_arm, 1.0, None);
        }
        let known = |value: f64| if value.is_nan() { None } else { Some(value) };
        let static_success = known(predictions.success[fixed.index()]);
        let confidence = 1.0 - (1.0 - success) * static_success.unwrap_or(1.0);
        let gain = known(predictions.utility[fixed.index()]).map(|utility| predictions.utility[learned.index()] - utility);
        // Within the success tolerance a faster path is the gain, also where latency has no weight in the utility.
        let is_faster_equal = self.settings.success_tolerance > 0.0
            && static_success.is_some_and(|fixed| success >= fixed - self.settings.success_tolerance)
            && predictions.latency_ms[learned.index()] < predictions.latency_ms[fixed.index()];
        if gain.is_some_and(|gain| gain < self.settings.min_gain) && !is_faster_equal {
            return choice(static_arm, confidence, Some(Fallback::SmallGain));
        }
        if confidence < self.settings.min_confidence {
            return choice(static_arm, confidence, Some(Fallback::LowConfidence));
        }
        choice(Some(learned), confidence, None)
    }

    /// The supported path of highest utility; within the success tolerance, the fastest.
    fn best_supported(&self, predictions: &PolicyScratch) -> Option<Arm> {
        let supported = |path: usize| self.support.get(path).is_some_and(|&rows| rows >= self.settings.min_support);
        let candidates = || (0..self.paths.len()).filter(|&path| supported(path) && !predictions.utility[path].is_nan());
        let best = first_largest(candidates().map(|path| (path, predictions.utility[path])))?;
        if self.settings.success_tolerance == 0.0 {
            return Some(best);
        }
        let floor = predictions.success[best.index()] - self.settings.success_tolerance;
        let equals = candidates().filter(|&path| predictions.success[path] >= floor && !predictions.latency_ms[path].is_nan());
        first_largest(equals.map(|path| (path, -predictions.latency_ms[path]))).or(Some(best))
    }

    /// What a path's utility starts from.
    fn worth(&self, success: f64, output: f64) -> f64 {
        match self.settings.rank {
            Rank::Probability => success,
            Rank::Grade => output,
        }
    }

    /// What latency and cost take from a path's utility.
    fn penalty(&self, path: usize, latency_ms: f64) -> f64 {
        let settings = &self.settings;
        let latency = if latency_ms.is_nan() { 0.0 } else { settings.lambda_latency * latency_ms / settings.latency_scale_ms };
        let cost = self.cost.get(path).copied().flatten().unwrap_or(0.0);
        latency + settings.lambda_cost * cost / settings.cost_scale
    }
}

/// The position of the largest number, the first of equals.
fn first_largest(numbers: impl Iterator<Item = (usize, f64)>) -> Option<Arm> {
    let best = numbers.fold(None, |best: Option<(usize, f64)>, (position, number)| match best {
        Some((_, largest)) if largest >= number => best,
        _ => Some((position, number)),
    });
    best.and_then(|(position, _)| u16::try_from(position).ok()).map(Arm)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::calibration::Isotonic;
    use crate::forest::{Node, Side, Tree};

    /// A forest of one stump on the first column: `low` up to 0 and where missing, `high` above.
    fn stump(n_features: usize, low: &[f32], high: &[f32]) -> Forest {
        let nodes = vec![Node::split(0, 0.0, Side::Left, 1, 2.0), Node::leaf(0, 1.0), Node::leaf(1, 1.0)];
        Forest::new(n_features, low.len(), &[Tree { nodes, values: [low, high].concat(), ..Tree::default() }]).unwrap()
    }

    /// Three paths; the first is best up to 0, the second above, the third has no model.
    fn policy() -> Policy {
        let success = |low, high| Some(SuccessModel { forest: stump(2, &[low], &[high]), calibration: Calibration::default() });
        Policy {
            paths: Paths::from_names(["a", "b", "c"]),
            success: vec![success(0.9, 0.5), success(0.6, 0.8), None],
            latency: vec![Some(stump(2, &[5.0], &[5.0])), Some(stump(2, &[3.0], &[3.0])), None],
            cost: vec![Some(0.02), Some(0.01), None],
            classifier: Some(stump(2, &[0.7, 0.2, 0.1], &[0.1, 0.2, 0.7])),
            support: vec![100, 100, 100],
            settings: PolicySettings::default(),
        }
    }

    fn choose(policy: &Policy, value: f32, static_arm: Option<u16>) -> Choice {
        policy.choose(&[value, 0.0], static_arm.map(Arm), &mut PolicyScratch::default())
    }

    #[test]
    fn the_path_of_highest_success_is_taken_where_confidence_allows() {
        let choice = choose(&policy(), 1.0, Some(0));
        assert_eq!((choice.arm, choice.learned_arm, choice.fallback), (Some(Arm(1)), Some(Arm(1)), None));
        assert!((choice.confidence - (1.0 - 0.2 * 0.5)).abs() < 1e-6);
    }

    #[test]
    fn agreement_is_certain() {
        assert_eq!(
            choose(&policy(), 1.0, Some(1)),
            Choice { arm: Some(Arm(1)), learned_arm: Some(Arm(1)), confidence: 1.0, fallback: None }
        );
    }

    #[test]
    fn below_the_confidence_the_static_path_stays() {
        let mut policy = policy();
        policy.settings.min_confidence = 0.95;
        let choice = choose(&policy, 1.0, Some(0));
        assert_eq!((choice.arm, choice.learned_arm, choice.fallback), (Some(Arm(0)), Some(Arm(1)), Some(Fallback::LowConfidence)));
    }

    #[test]
    fn a_static_path_without_a_model_counts_as_certain_to_succeed() {
        let choice = choose(&policy(), 1.0, Some(2));
        assert!((choice.confidence - 0.8).abs() < 1e-6);
        assert_eq!(choice.arm, Some(Arm(1)));
    }

    #[test]
    fn without_a_static_path_the_learned_one_is_taken_and_marked_where_it_is_doubtful() {
        let mut policy = policy();
        let choice = choose(&policy, 1.0, None);
        assert_eq!((choice.arm, choice.fallback), (Some(Arm(1)), None));
        policy.settings.min_confidence = 0.9;
        let choice = choose(&policy, 1.0, None);
        assert_eq!((choice.arm, choice.fallback), (Some(Arm(1)), Some(Fallback::NoStaticPath)));
    }

    #[test]
    fn a_small_gain_moves_nothing() {
        let mut policy = policy();
        policy.settings.min_gain = 0.31;
        assert_eq!(choose(&policy, 1.0, Some(0)).fallback, Some(Fallback::SmallGain));
        policy.settings.min_gain = 0.29;
        assert_eq!(choose(&policy, 1.0, Some(0)).fallback, None);
    }

    #[test]
    fn paths_with_too_few_rows_are_never_chosen() {
        let mut policy = policy();
        policy.support = vec![100, 29, 100];
        let choice = choose(&policy, 1.0, Some(2));
        assert_eq!((choice.arm, choice.learned_arm, choice.fallback), (Some(Arm(2)), Some(Arm(0)), Some(Fallback::LowConfidence)));
        policy.support = vec![0; 3];
        assert_eq!(choose(&policy, 1.0, Some(2)).fallback, Some(Fallback::NoSupport));
        policy.success = vec![None, None, None];
        assert_eq!(
            choose(&policy, 1.0, Some(2)),
            Choice { arm: Some(Arm(2)), learned_arm: None, confidence: 0.0, fallback: Some(Fallback::NoModel) }
        );
    }

    #[test]
    fn grades_rank_paths_and_probabilities_stay_probabilities() {
        let mut policy = policy();
        // Calibrated, both paths always succeed; graded, the second is better above 0.
        for model in policy.success.iter_mut().flatten() {
            model.calibration = Calibration::Isotonic(Isotonic::new(vec![0.0, 1.0], vec![1.0, 1.0]).unwrap());
        }
        assert_eq!(choose(&policy, 1.0, Some(0)).learned_arm, Some(Arm(0)));
        policy.settings.rank = Rank::Grade;
        let choice = choose(&policy, 1.0, Some(0));
        assert_eq!((choice.arm, choice.confidence), (Some(Arm(1)), 1.0));
    }

    #[test]
    fn rows_predicted_together_are_predicted_as_one_by_one() {
        let mut policy = policy();
        policy.settings.lambda_cost = 0.4;
        for model in policy.success.iter_mut().flatten() {
            model.calibration = Calibration::Isotonic(Isotonic::new(vec![0.0, 1.0], vec![0.2, 0.4]).unwrap());
        }
        for (rank, tolerance) in [(Rank::Probability, 0.0), (Rank::Grade, 0.1)] {
            (policy.settings.rank, policy.settings.success_tolerance) = (rank, tolerance);
            let (mut together, mut single) = (Vec::new(), PolicyScratch::default());
            policy.predict_rows(&[-1.0, 0.0, 1.0, 0.0], 2, &mut together);
            for (row, predictions) in [[-1.0, 0.0], [1.0, 0.0]].iter().zip(&together) {
                policy.predict_for_choice(row, &mut single);
                // Compared as text, where the NaN of a path without a model equals itself.
                assert_eq!(format!("{predictions:?}"), format!("{single:?}"), "{rank:?}");
            }
        }
    }

    #[test]
    fn latency_and_cost_lower_the_utility() {
        let mut policy = policy();
        assert_eq!(choose(&policy, 0.0, None).learned_arm, Some(Arm(0)));
        policy.settings.lambda_cost = 0.4;
        assert_eq!(choose(&policy, 0.0, None).learned_arm, Some(Arm(1)));
        (policy.settings.lambda_cost, policy.settings.lambda_latency) = (0.0, 4.0);
        // Path a takes e⁵ − 1 = 147 ms, path b 19 ms.
        assert_eq!(choose(&policy, 0.0, None).learned_arm, Some(Arm(1)));
    }

    #[test]
    fn latency_is_predicted_for_a_choice_only_where_it_has_weight() {
        let mut policy = policy();
        let (mut all, mut needed) = (PolicyScratch::default(), PolicyScratch::default());
        let mut is_predicted = |policy: &Policy| {
            policy.predict(&[1.0, 0.0], &mut all);
            policy.predict_for_choice(&[1.0, 0.0], &mut needed);
            assert!(!all.latency_ms[0].is_nan());
            assert_eq!((all.success[0], all.utility[0]), (needed.success[0], needed.utility[0]));
            !needed.latency_ms[0].is_nan()
        };
        assert!(!is_predicted(&policy));
        policy.settings.success_tolerance = 0.1;
        assert!(is_predicted(&policy));
        (policy.settings.success_tolerance, policy.settings.lambda_latency) = (0.0, 0.5);
        assert!(is_predicted(&policy));
    }

    #[test]
    fn within_the_tolerance_the_faster_path_is_taken() {
        let mut policy = policy();
        policy.settings.success_tolerance = 0.31;
        let choice = choose(&policy, 0.0, Some(0));
        assert_eq!((choice.learned_arm, choice.fallback), (Some(Arm(1)), Some(Fallback::LowConfidence)));
        policy.settings.min_confidence = 0.6;
        assert_eq!(choose(&policy, 0.0, Some(0)).arm, Some(Arm(1)));
    }

    #[test]
    fn the_classifier_imitates_the_log() {
        let mut probabilities = Vec::new();
        assert_eq!(policy().classify(&[1.0, 0.0], &mut probabilities), Some(Arm(2)));
        assert!((probabilities[2] - 0.7).abs() < 1e-6);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let mut wrong = policy();
        assert_eq!(wrong.check(2), Ok(()));
        assert!(wrong.check(3).is_err());
        wrong.support.pop();
        assert_eq!(wrong.check(2).unwrap_err().to_string(), "`support` has 2 entries for 3 paths");
        let mut wrong = policy();
        wrong.settings.latency_scale_ms = 0.0;
        assert_eq!(wrong.check(2).unwrap_err().to_string(), "`latency_scale_ms` is out of range: 0");
    }

    #[test]
    fn a_policy_survives_its_bytes() {
        assert_eq!(Policy::from_bytes(&policy().to_bytes(), 2), Ok(policy()));
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_refused_or_harmless(position in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let mut bytes = policy().to_bytes();
            let position = position.index(bytes.len());
            prop_assert!(Policy::from_bytes(&bytes[..position], 2).is_err());
            bytes[position] ^= flip;
            if let Ok(policy) = Policy::from_bytes(&bytes, 2) {
                choose(&policy, 1.0, Some(0));
            }
        }

        #[test]
        fn the_chosen_path_is_the_static_or_the_learned_one(
            success in prop::collection::vec(prop::option::of(0.0..1.0), 3),
            latency in prop::collection::vec(prop::option::of(0.0..1e4), 3),
            support in prop::collection::vec(0..60_u64, 3),
            static_arm in prop::option::of(0..4_u16),
            tolerance in prop::sample::select(vec![0.0, 0.1]),
        ) {
            let mut policy = policy();
            policy.support = support;
            policy.settings.success_tolerance = tolerance;
            let or_nan = |list: &[Option<f64>]| list.iter().map(|number| number.unwrap_or(f64::NAN)).collect::<Vec<_>>();
            let predictions = PolicyScratch {
                utility: or_nan(&success),
                success: or_nan(&success),
                latency_ms: or_nan(&latency),
                ..PolicyScratch::default()
            };
            let choice = policy.decide(static_arm.map(Arm), &predictions);
            let static_arm = static_arm.filter(|arm| *arm < 3).map(Arm);
            prop_assert!(choice.arm == static_arm || choice.arm == choice.learned_arm);
            prop_assert!((0.0..=1.0).contains(&choice.confidence));
            if choice.fallback.is_some_and(|reason| reason != Fallback::NoStaticPath) {
                prop_assert_eq!(choice.arm, static_arm);
            }
            if let Some(learned) = choice.learned_arm {
                prop_assert!(policy.support[learned.index()] >= policy.settings.min_support);
                prop_assert!(!predictions.success[learned.index()].is_nan());
            }
        }
    }
}
