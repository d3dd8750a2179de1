//! `train`: a classifier of the path, and per path a success and a latency regressor, on the training window only.

mod curve;
mod gain;
mod grade;
mod labels;
mod references;
mod success;

use std::collections::BTreeSet;

use routewright_domain::{Arm, Seed};
use routewright_engine::{Context, Stage, StageError};
use routewright_forest::references::REFERENCES;
use routewright_forest::{Binned, Folds, ForestParams, Matrix, SearchParams, fit_classifier, fit_regressor, most_probable, predict};
use routewright_router::{Forest, Policy, PolicySettings, Rank};
use routewright_table::{FeatureTable, TrainingRows};
use serde::{Deserialize, Serialize};

use self::gain::OutOfFold;
pub(crate) use self::labels::{Label, labels};
use crate::artifacts::{ClassifierTraining, Features, ImpurityShare, Models, PathTraining, TrainingReport};
use crate::numbered::numbered;

/// Decisions with an outcome below which nothing is trained (E-009: "1000+ decisions before training").
pub(crate) const MIN_DECISIONS: usize = 1_000;

/// The share of a model's trees that a forest has of which only the score is wanted: one in this many.
const JUDGED_TREES_OF: u32 = 4;

/// Training rows that are predicted on every path to choose the least gain, about: ends of intervals to a few tenths of a point.
const MAX_GAIN_ROWS: usize = 200_000;

/// Settings of `[train]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrainParams {
    /// What the classifier learns.
    pub label: Label,
    /// Folds of the cross-validation, grouped by query, at most: a model whose trees see a part of the rows anyway is judged on fewer.
    pub folds: usize,
    /// Training rows below which a path gets no regressors.
    pub min_rows: usize,
    /// Bins per column.
    pub max_bins: usize,
    /// Columns of features that hold categories without an order; all others are numbers.
    pub categories: Vec<String>,
    /// How forests are grown.
    pub forest: ForestParams,
    /// Leaf sizes that each path's success regressor is tried with; the lowest out-of-fold Brier score decides.
    pub success_leaf_sizes: Vec<u32>,
    /// Share by which a success regressor's out-of-fold Brier score may grow for fewer trees, which decide faster.
    pub tree_tolerance: f64,
    /// Further settings that each path's success regressor is tried with.
    pub search: SearchParams,
    /// Shares of the training window that the learning curve is drawn from; none draws no curve.
    pub learning_curve: Vec<f64>,
    /// Points in time up to which regressors learn, to be judged on the stretch that follows; 0 judges none.
    pub origins: usize,
    /// Other people's models that are trained on each path's folds for comparison.
    pub references: Vec<String>,
    /// How often rows are dealt out to folds anew for that comparison.
    pub reference_repeats: usize,
    /// Whether `policy.min_gain` is raised where the training window says that smaller predicted gains are noise.
    pub tune_min_gain: bool,
    /// What the success regressors learn.
    pub outcome: Outcome,
    /// How predictions become a choice.
    pub policy: PolicySettings,
}

/// What the success regressors learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The grade where failures are timeouts, success elsewhere.
    Auto,
    /// Success or failure.
    Success,
    /// How well the path did, by its time to success: a success in time to spare is worth more than one just before the timeout.
    Grade,
}

impl Default for TrainParams {
    fn default() -> Self {
        Self {
            label: Label::Auto,
            folds: 5,
            min_rows: 20,
            max_bins: 255,
            categories: Vec::new(),
            forest: ForestParams { min_samples_leaf: 20, max_sample_rows: 25_000, ..ForestParams::default() },
            success_leaf_sizes: vec![5, 20, 80, 320],
            tree_tolerance: 0.0,
            search: SearchParams::default(),
            learning_curve: vec![0.1, 0.25, 0.5, 1.0],
            origins: 3,
            references: Vec::new(),
            reference_repeats: 3,
            tune_min_gain: true,
            outcome: Outcome::Auto,
            policy: PolicySettings::default(),
        }
    }
}

/// The stage.
pub(crate) struct Train;

impl Stage for Train {
    const NAME: &'static str = "train";
    const SUMMARY: &'static str = "grows a path classifier and per path a success and a latency regressor on the training window";
    const VERSION: u32 = 13;
    const USES_SEED: bool = true;
    type Params = TrainParams;
    type Inputs = (Features,);
    type Outputs = (Models, TrainingReport);

    fn check(params: &TrainParams) -> Result<(), (&'static str, String)> {
        if params.folds < 2 {
            return Err(("folds", format!("must be at least 2, found {}", params.folds)));
        }
        if params.reference_repeats == 0 {
            return Err(("reference_repeats", "must be at least 1".to_owned()));
        }
        if params.success_leaf_sizes.is_empty() || params.success_leaf_sizes.contains(&0) {
            return Err(("success_leaf_sizes", "needs at least one size, each at least 1".to_owned()));
        }
        if !(0.0..=1.0).contains(&params.tree_tolerance) {
            return Err(("tree_tolerance", format!("must lie in [0, 1], found {}", params.tree_tolerance)));
        }
        if let Some(share) = params.learning_curve.iter().find(|share| !(0.0 < **share && **share <= 1.0)) {
            return Err(("learning_curve", format!("shares must lie in (0, 1], found {share}")));
        }
        let known: Vec<&str> = REFERENCES.iter().map(|reference| reference.name()).collect();
        if let Some(name) = params.references.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(("references", format!("`{name}` is not one of {}", known.join(", "))));
        }
        params.search.check(&params.forest).map_err(|error| ("search", error))?;
        params.forest.check().map_err(|error| ("forest", error.to_string()))?;
        params.policy.check().map_err(|error| ("policy", error.to_string()))
    }

    fn run(params: &TrainParams, (Features(table),): (Features,), context: &Context<'_>) -> Result<Self::Outputs, StageError> {
        let rows = table.training_rows();
        let held_out = table.held_out_rows();
        let with_outcome = rows.as_slice().iter().chain(held_out.as_slice());
        let n_decisions = with_outcome.map(|row| table.outcomes.query_ids[*row as usize].as_str()).collect::<BTreeSet<_>>().len();
        if n_decisions < MIN_DECISIONS {
            return Err(StageError::data(format!(
                "{n_decisions} decisions with an outcome, {MIN_DECISIONS} are needed to train; collect more, the tables and the exploration are ready"
            )));
        }
        if rows.as_slice().is_empty() {
            return Err(StageError::data("the training window has no decision with an outcome"));
        }
        Training::new(params, &table, &rows, Seed(context.seed()).derive("train", 0))?.run(context)
    }
}

/// The training window, binned once for every forest and fold.
struct Training<'a> {
    params: &'a TrainParams,
    table: &'a FeatureTable,
    seed: Seed,
    /// Rows of the table, in the order of the bins' rows.
    rows: &'a [u32],
    /// Their features, column by column.
    columns: Vec<Vec<f32>>,
    binned: Binned,
    /// Identity of every row's query.
    groups: Vec<u64>,
    /// Positions that are predicted on every path, to choose the least gain on: all, or those of some queries of a long log.
    tried: Vec<u32>,
    /// What the success regressors learn, per row, where it is not success itself.
    grades: Option<Vec<f64>>,
}

impl<'a> Training<'a> {
    fn new(params: &'a TrainParams, table: &'a FeatureTable, rows: &'a TrainingRows, seed: Seed) -> Result<Self, StageError> {
        let rows = rows.as_slice();
        let columns = table.columns_of(rows);
        let names = table.names();
        if let Some(missing) = params.categories.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(StageError::settings(format!("`train.categories` names `{missing}`, which is no column of the features")));
        }
        let is_category = |column: usize| params.categories.iter().any(|name| name == names[column]);
        let binned = Binned::with_categories(&Matrix::new(&columns)?, params.max_bins, is_category);
        let groups: Vec<u64> = rows.iter().map(|row| Seed(0).derive(&table.outcomes.query_ids[*row as usize], 0).0).collect();
        let part = (MAX_GAIN_ROWS as f64 / rows.len() as f64 * u64::MAX as f64) as u64;
        let tried = (0..rows.len() as u32).filter(|position| groups[*position as usize] <= part).collect();
        let grades = grade::grades(params.outcome, table, rows);
        Ok(Self { params, table, seed, rows, columns, binned, groups, tried, grades })
    }

    fn run(&self, context: &Context<'_>) -> Result<(Models, TrainingReport), StageError> {
        let n_paths = self.table.paths.len();
        let total = 2 * n_paths as u64 + 1;
        let (classifier, classifier_report) = self.classifier()?;
        context.advance("forests grown", 1, total);
        let mut policy = Policy {
            paths: self.table.paths.clone(),
            success: Vec::new(),
            latency: Vec::new(),
            cost: Vec::new(),
            classifier,
            support: Vec::new(),
            settings: PolicySettings {
                rank: if self.grades.is_some() { Rank::Grade } else { self.params.policy.rank },
                ..self.params.policy.clone()
            },
        };
        let (mut reports, mut comparisons) = (Vec::new(), Vec::new());
        let mut impurity = vec![0.0; self.table.features.len()];
        let mut predictions = vec![f64::NAN; self.tried.len() * n_paths];
        let mut worths = predictions.clone();
        for arm in self.table.paths.arms() {
            let positions = self.positions(|row| self.table.outcomes.arms[row] == arm);
            let (model, report, fitted) = self.success(arm, &positions, (&mut predictions, &mut worths))?;
            for (sum, share) in impurity.iter_mut().zip(fitted.iter().flat_map(|fitted| &fitted.importance)) {
                *sum += share * positions.len() as f64;
            }
            comparisons.extend(self.references(arm, &positions)?);
            policy.success.push(model);
            policy.latency.push(self.latency(arm, &positions)?);
            policy.cost.push(self.mean_cost(&positions));
            policy.support.push(positions.len() as u64);
            reports.push(report);
            context.advance("forests grown", 1 + 2 * (arm.index() as u64 + 1), total);
        }
        let fallback = best_rate(&reports);
        // A router that ranks by grade is judged by grade: a gain in time is one that success does not see.
        let earned = self.grades.clone().unwrap_or_else(|| self.successes());
        let (queries, _) = numbered(self.tried.iter().map(|position| self.groups[*position as usize]));
        let found = OutOfFold {
            table: self.table,
            rows: &self.tried.iter().map(|position| self.rows[*position as usize]).collect::<Vec<_>>(),
            queries: &queries,
            success: &predictions,
            worth: &worths,
            earned: &self.tried.iter().map(|position| earned[*position as usize]).collect::<Vec<_>>(),
            fallback,
        };
        let (min_gain, gain_candidates) =
            if self.params.tune_min_gain { gain::choose(&policy, &found) } else { (policy.settings.min_gain, Vec::new()) };
        policy.settings.min_gain = min_gain;
        let helped_query_types = gain::helped_types(&policy, &found);
        let times = self.rows.iter().map(|row| self.table.outcomes.timestamps[*row as usize].0);
        let leaf_sizes: Vec<u32> = reports.iter().map(|report| report.min_samples_leaf).collect();
        let curves = self.learning_curves(&leaf_sizes)?;
        let report = TrainingReport {
            n_rows: self.rows.len(),
            window_us: (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default()),
            classifier: classifier_report,
            paths: reports,
            min_gain,
            gain_candidates,
            helped_query_types,
            learning_curve: curves.forests,
            learning_curve_of_rate: curves.rate,
            origins: self.rolling_origins(&leaf_sizes)?,
            references: comparisons,
            impurity: shares(&self.table.names(), &impurity),
        };
        Ok((Models { policy, n_columns: self.table.features.len() }, report))
    }

    /// Positions in the training window of the rows of the table for which something holds.
    fn positions(&self, holds: impl Fn(usize) -> bool) -> Vec<u32> {
        (0..self.rows.len() as u32).filter(|position| holds(self.rows[*position as usize] as usize)).collect()
    }

    /// One path's latency regressor on ln(1 + milliseconds); `None` with too few latencies.
    fn latency(&self, arm: Arm, positions: &[u32]) -> Result<Option<Forest>, StageError> {
        let latency = |position: u32| self.table.outcomes.latencies_ms[self.rows[position as usize] as usize];
        let known: Vec<u32> = positions.iter().copied().filter(|position| latency(*position).is_finite()).collect();
        if known.len() < self.params.min_rows {
            return Ok(None);
        }
        let target: Vec<f64> = (0..self.rows.len() as u32)
            .map(|position| Some(latency(position)).filter(|value| value.is_finite()).map_or(0.0, |value| value.max(0.0).ln_1p()))
            .collect();
        let seed = self.seed.derive("latency", u64::from(arm.0));
        Ok(Some(fit_regressor(&self.binned, &known, &target, None, &self.params.forest, seed)?.forest))
    }

    /// Folds for a model of so many rows.
    fn folds_for(&self, n_rows: usize) -> Result<Folds, StageError> {
        let n_folds = self.n_folds_for(n_rows, self.params.folds);
        Folds::grouped(&self.groups, None, n_folds, self.seed.derive("folds", 0)).map_err(StageError::data)
    }

    /// The same for at most so many folds.
    fn n_folds_for(&self, n_rows: usize, most: usize) -> usize {
        n_folds_for(n_rows, self.params.forest.max_sample_rows as usize, most)
    }

    /// Settings of forests that are only judged: a judgement needs fewer trees than a model.
    fn judged_forest(&self) -> ForestParams {
        ForestParams { n_trees: self.params.forest.n_trees.div_ceil(JUDGED_TREES_OF), ..self.params.forest }
    }

    /// Mean cost of some rows, where logged.
    fn mean_cost(&self, positions: &[u32]) -> Option<f64> {
        let costs: Vec<f64> = positions
            .iter()
            .map(|position| self.table.outcomes.costs[self.rows[*position as usize] as usize])
            .filter(|cost| cost.is_finite())
            .collect();
        (!costs.is_empty()).then(|| costs.iter().sum::<f64>() / costs.len() as f64)
    }

    /// The path classifier and its accuracy on every fold.
    fn classifier(&self) -> Result<(Option<Forest>, ClassifierTraining), StageError> {
        let labels = labels(self.params.label, self.table, self.rows);
        let mut report = ClassifierTraining { label: labels.name.to_owned(), tie_share: labels.tie_share, fold_accuracy: Vec::new() };
        if labels.positions.is_empty() || self.table.paths.len() < 2 {
            return Ok((None, report));
        }
        let n_classes = self.table.paths.len();
        let seed = self.seed.derive("classifier", 0);
        let fit = |positions: &[u32], params: &ForestParams, seed| {
            fit_classifier(&self.binned, positions, &labels.arms, n_classes, labels.weights.as_deref(), params, seed)
        };
        let judged = self.judged_forest();
        let matrix = Matrix::new(&self.columns)?;
        let folds = self.folds_for(labels.positions.len())?;
        for fold in 0..folds.n_folds() {
            let (training, held_out) = folds.split(&labels.positions, fold);
            if training.is_empty() || held_out.is_empty() {
                continue;
            }
            let shares = predict(&fit(&training, &judged, seed.derive("fold", fold as u64))?.forest, &matrix, &held_out);
            let chosen = shares.chunks_exact(n_classes).map(most_probable);
            let n_hits =
                chosen.zip(&held_out).filter(|(chosen, position)| *chosen == usize::from(labels.arms[**position as usize])).count();
            report.fold_accuracy.push(n_hits as f64 / held_out.len() as f64);
        }
        Ok((Some(fit(&labels.positions, &self.params.forest, seed)?.forest), report))
    }
}

/// Number of folds, `most` at most: as few as leave each tree in its fold the `seen` rows that it sees at most (0: all), because more would teach the
/// trees nothing. At 300,000 decisions two folds choose the same leaf sizes as five, and held-out log losses are the same to .0001.
fn n_folds_for(n_rows: usize, seen: usize, most: usize) -> usize {
    let holds_enough = |n_folds: &usize| 0 < seen && seen <= n_rows - n_rows / n_folds;
    (2..most).find(holds_enough).unwrap_or(most)
}

/// A policy of which only the rules are wanted: deciding on predictions that are already made needs no forests.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a>(pub &'a Policy);

impl Rules<'_> {
    /// The rules with changed settings.
    pub(crate) fn with(self, change: impl FnOnce(&mut PolicySettings)) -> Policy {
        let mut settings = self.0.settings.clone();
        change(&mut settings);
        Policy {
            paths: self.0.paths.clone(),
            success: Vec::new(),
            latency: Vec::new(),
            cost: Vec::new(),
            classifier: None,
            support: self.0.support.clone(),
            settings,
        }
    }
}

/// The path with the highest success rate in training, the first of equals.
fn best_rate(paths: &[PathTraining]) -> Arm {
    let known = paths.iter().enumerate().filter(|(_, path)| path.n_rows > 0);
    let best = known.rev().max_by(|left, right| left.1.success_rate.total_cmp(&right.1.success_rate));
    Arm(best.map_or(0, |(position, _)| position) as u16)
}

/// Names with their shares of a total, largest first.
fn shares(names: &[&str], values: &[f64]) -> Vec<ImpurityShare> {
    let total: f64 = values.iter().sum();
    let mut shares: Vec<ImpurityShare> = names
        .iter()
        .zip(values)
        .map(|(name, value)| ImpurityShare { feature: (*name).to_owned(), share: if total > 0.0 { value / total } else { 0.0 } })
        .collect();
    shares.sort_by(|left, right| right.share.total_cmp(&left.share).then(left.feature.cmp(&right.feature)));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_whose_trees_see_a_part_of_the_rows_are_judged_on_fewer_folds() {
        assert_eq!([400, 90, 70, 60].map(|n_rows| n_folds_for(n_rows, 50, 5)), [2, 3, 4, 5]);
        assert_eq!(n_folds_for(1_000_000, 0, 5), 5, "trees that see all rows gain from every fold");
        assert_eq!(n_folds_for(1_000_000, 50, 2), 2);
    }

    #[test]
    fn shares_sum_to_one_and_start_with_the_largest() {
        let found = shares(&["a", "b"], &[1.0, 3.0]);
        assert_eq!((found[0].feature.as_str(), found[0].share, found[1].share), ("b", 0.75, 0.25));
    }
}
