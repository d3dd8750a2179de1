//! `train`: a classifier of the path, and per path a success and a latency regressor, on the training window only.

mod gain;
mod grade;

use std::collections::{BTreeMap, BTreeSet};

use routewright_domain::{Arm, Seed};
use routewright_engine::{Context, Stage, StageError};
use routewright_forest::{
    Binned, Fitted, Folds, ForestParams, Matrix, Scored, choose_calibration, fit_classifier, fit_regressor, most_probable, predict,
};
use routewright_router::{Calibration, Forest, Policy, PolicySettings, Rank, SuccessModel};
use routewright_table::{FeatureTable, TrainingRows};
use serde::{Deserialize, Serialize};

use self::gain::OutOfFold;
use crate::artifacts::{ClassifierTraining, Features, ImpurityShare, Models, PathTraining, TrainingReport};

/// Decisions with an outcome below which nothing is trained (E-009: "1000+ decisions before training").
pub(crate) const MIN_DECISIONS: usize = 1_000;

/// Settings of `[train]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrainParams {
    /// What the classifier learns.
    pub label: Label,
    /// Folds of the cross-validation, grouped by query.
    pub folds: usize,
    /// Training rows below which a path gets no regressors.
    pub min_rows: usize,
    /// Bins per column.
    pub max_bins: usize,
    /// How forests are grown.
    pub forest: ForestParams,
    /// Leaf sizes that each path's success regressor is tried with; the lowest out-of-fold Brier score decides.
    pub success_leaf_sizes: Vec<u32>,
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

/// What the classifier learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Label {
    /// The best path where every path ran on the query, the logged path elsewhere.
    Auto,
    /// The path that ran: imitates the logger.
    Logged,
    /// The path that ran, of rows that succeeded, weighted by 1/propensity where logged.
    Successful,
    /// The best path of the query: success, then latency, then cost, then the first.
    Best,
}

/// Names of labels in reports.
const LOGGED: &str = "logged path";
const SUCCESSFUL: &str = "successful path";
const BEST: &str = "best path";

impl Label {
    /// The label of a name in a report.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            SUCCESSFUL => Self::Successful,
            BEST => Self::Best,
            _ => Self::Logged,
        }
    }
}

impl Default for TrainParams {
    fn default() -> Self {
        Self {
            label: Label::Auto,
            folds: 5,
            min_rows: 20,
            max_bins: 255,
            forest: ForestParams { min_samples_leaf: 20, ..ForestParams::default() },
            success_leaf_sizes: vec![5, 20],
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
    const VERSION: u32 = 2;
    const USES_SEED: bool = true;
    type Params = TrainParams;
    type Inputs = (Features,);
    type Outputs = (Models, TrainingReport);

    fn check(params: &TrainParams) -> Result<(), (&'static str, String)> {
        if params.folds < 2 {
            return Err(("folds", format!("must be at least 2, found {}", params.folds)));
        }
        if params.success_leaf_sizes.is_empty() || params.success_leaf_sizes.contains(&0) {
            return Err(("success_leaf_sizes", "needs at least one size, each at least 1".to_owned()));
        }
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
    folds: Folds,
    /// What the success regressors learn, per row, where it is not success itself.
    grades: Option<Vec<f64>>,
}

impl<'a> Training<'a> {
    fn new(params: &'a TrainParams, table: &'a FeatureTable, rows: &'a TrainingRows, seed: Seed) -> Result<Self, StageError> {
        let rows = rows.as_slice();
        let columns: Vec<Vec<f32>> =
            table.features.iter().map(|feature| rows.iter().map(|row| feature.values[*row as usize]).collect()).collect();
        let binned = Binned::new(&Matrix::new(&columns)?, params.max_bins);
        let groups: Vec<u64> = rows.iter().map(|row| Seed(0).derive(&table.outcomes.query_ids[*row as usize], 0).0).collect();
        let folds = Folds::grouped(&groups, None, params.folds, seed.derive("folds", 0)).map_err(StageError::data)?;
        let grades = grade::grades(params.outcome, table, rows);
        Ok(Self { params, table, seed, rows, columns, binned, groups, folds, grades })
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
        let mut reports = Vec::new();
        let mut impurity = vec![0.0; self.table.features.len()];
        let mut predictions = vec![f64::NAN; self.rows.len() * n_paths];
        let mut worths = predictions.clone();
        for arm in self.table.paths.arms() {
            let positions = self.positions(|row| self.table.outcomes.arms[row] == arm);
            let (model, report, fitted) = self.success(arm, &positions, (&mut predictions, &mut worths))?;
            for (sum, share) in impurity.iter_mut().zip(fitted.iter().flat_map(|fitted| &fitted.importance)) {
                *sum += share * positions.len() as f64;
            }
            policy.success.push(model);
            policy.latency.push(self.latency(arm, &positions)?);
            policy.cost.push(self.mean_cost(&positions));
            policy.support.push(positions.len() as u64);
            reports.push(report);
            context.advance("forests grown", 1 + 2 * (arm.index() as u64 + 1), total);
        }
        let fallback = best_rate(&reports);
        let found = OutOfFold { table: self.table, rows: self.rows, success: &predictions, worth: &worths, fallback };
        let (min_gain, gain_candidates) =
            if self.params.tune_min_gain { gain::choose(&policy, &found) } else { (policy.settings.min_gain, Vec::new()) };
        policy.settings.min_gain = min_gain;
        let helped_query_types = gain::helped_types(&policy, &found);
        let times = self.rows.iter().map(|row| self.table.outcomes.timestamps[*row as usize].0);
        let report = TrainingReport {
            n_rows: self.rows.len(),
            window_us: (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default()),
            n_folds: self.params.folds,
            classifier: classifier_report,
            paths: reports,
            min_gain,
            gain_candidates,
            helped_query_types,
            impurity: shares(&self.table.names(), &impurity),
        };
        Ok((Models { policy, n_columns: self.table.features.len() }, report))
    }

    /// Positions in the training window of the rows of the table for which something holds.
    fn positions(&self, holds: impl Fn(usize) -> bool) -> Vec<u32> {
        (0..self.rows.len() as u32).filter(|position| holds(self.rows[*position as usize] as usize)).collect()
    }

    /// One path's success regressor, calibrated on folds it was not trained on. Writes the path's calibrated out-of-fold prediction of every
    /// training row into the first of `out` (rows × paths), and what its utility starts from into the second.
    fn success(
        &self,
        arm: Arm,
        positions: &[u32],
        (predictions, worths): (&mut [f64], &mut [f64]),
    ) -> Result<(Option<SuccessModel>, PathTraining, Option<Fitted>), StageError> {
        let target: Vec<f64> =
            self.rows.iter().map(|row| f64::from(u8::from(self.table.outcomes.successes[*row as usize] == Some(true)))).collect();
        let rate = positions.iter().map(|position| target[*position as usize]).sum::<f64>() / positions.len().max(1) as f64;
        let mut report = PathTraining {
            path: self.table.paths.name(arm).to_owned(),
            n_rows: positions.len(),
            success_rate: rate,
            log_loss: None,
            log_loss_of_rate: None,
            auc: None,
            calibration: Calibration::Identity.name().to_owned(),
            min_samples_leaf: self.params.forest.min_samples_leaf,
        };
        if positions.len() < self.params.min_rows {
            return Ok((None, report, None));
        }
        let seed = self.seed.derive("success", u64::from(arm.0));
        let learned = self.grades.as_ref().unwrap_or(&target);
        let (forest, every_score) = self.best_leaf_size(positions, learned, seed)?;
        let judged: Vec<u32> = positions.iter().copied().filter(|position| every_score[*position as usize].is_finite()).collect();
        let scores: Vec<f64> = judged.iter().map(|position| every_score[*position as usize]).collect();
        let outcomes: Vec<f64> = judged.iter().map(|position| target[*position as usize]).collect();
        let groups: Vec<u64> = judged.iter().map(|position| self.groups[*position as usize]).collect();
        let mut calibration = Calibration::Identity;
        // Too few queries for folds of their own leave the scores as they are.
        if let Ok(chosen) = choose_calibration(&Scored::new(&scores, &outcomes)?, &groups, seed) {
            calibration = chosen.calibration;
        }
        if !judged.is_empty() {
            let calibrated: Vec<f64> = scores.iter().map(|score| calibration.apply(*score)).collect();
            let found = Scored::new(&calibrated, &outcomes)?;
            report.log_loss = Some(found.log_loss());
            report.log_loss_of_rate = Some(Scored::new(&vec![rate; outcomes.len()], &outcomes)?.log_loss());
            report.auc = found.auc();
        }
        report.calibration = calibration.name().to_owned();
        let n_paths = self.table.paths.len();
        for (position, score) in every_score.iter().enumerate().filter(|(_, score)| score.is_finite()) {
            let cell = position * n_paths + arm.index();
            predictions[cell] = calibration.apply(*score);
            worths[cell] = if self.grades.is_some() { *score } else { predictions[cell] };
        }
        let fitted = fit_regressor(&self.binned, positions, learned, None, &forest, seed)?;
        report.min_samples_leaf = forest.min_samples_leaf;
        Ok((Some(SuccessModel { forest: fitted.forest.clone(), calibration }), report, Some(fitted)))
    }

    /// The leaf size with the lowest out-of-fold Brier score, the first of equals, and its out-of-fold predictions of every training row
    /// (`NaN` where a fold left nothing to train on).
    fn best_leaf_size(&self, positions: &[u32], target: &[f64], seed: Seed) -> Result<(ForestParams, Vec<f64>), StageError> {
        let matrix = Matrix::new(&self.columns)?;
        let mut best: Option<(f64, ForestParams, Vec<Option<Forest>>)> = None;
        for min_samples_leaf in self.params.success_leaf_sizes.iter().copied() {
            let params = ForestParams { min_samples_leaf, ..self.params.forest };
            let (mut forests, mut brier) = (Vec::new(), 0.0);
            for fold in 0..self.folds.n_folds() {
                let (training, held_out) = self.folds.split(positions, fold);
                if training.is_empty() {
                    forests.push(None);
                    continue;
                }
                let forest = fit_regressor(&self.binned, &training, target, None, &params, seed.derive("fold", fold as u64))?.forest;
                let errors =
                    predict(&forest, &matrix, &held_out).into_iter().zip(&held_out).map(|(score, row)| score - target[*row as usize]);
                brier += errors.map(|error| error * error).sum::<f64>();
                forests.push(Some(forest));
            }
            if best.as_ref().is_none_or(|(lowest, _, _)| brier < *lowest) {
                best = Some((brier, params, forests));
            }
        }
        let (_, params, forests) = best.ok_or_else(|| StageError::settings("`train.success_leaf_sizes` is empty"))?;
        let every_row: Vec<u32> = (0..self.rows.len() as u32).collect();
        let mut scores = vec![f64::NAN; self.rows.len()];
        for (fold, forest) in forests.iter().enumerate() {
            let (_, held_out) = self.folds.split(&every_row, fold);
            for (position, score) in held_out.iter().zip(forest.iter().flat_map(|forest| predict(forest, &matrix, &held_out))) {
                scores[*position as usize] = score.clamp(0.0, 1.0);
            }
        }
        Ok((params, scores))
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
        let fit = |positions: &[u32], seed| {
            fit_classifier(&self.binned, positions, &labels.arms, n_classes, labels.weights.as_deref(), &self.params.forest, seed)
        };
        let matrix = Matrix::new(&self.columns)?;
        for fold in 0..self.folds.n_folds() {
            let (training, held_out) = self.folds.split(&labels.positions, fold);
            if training.is_empty() || held_out.is_empty() {
                continue;
            }
            let shares = predict(&fit(&training, seed.derive("fold", fold as u64))?.forest, &matrix, &held_out);
            let chosen = shares.chunks_exact(n_classes).map(most_probable);
            let n_hits =
                chosen.zip(&held_out).filter(|(chosen, position)| *chosen == usize::from(labels.arms[**position as usize])).count();
            report.fold_accuracy.push(n_hits as f64 / held_out.len() as f64);
        }
        Ok((Some(fit(&labels.positions, seed)?.forest), report))
    }
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

/// What a classifier learns from.
pub(crate) struct Labels {
    /// What the label is.
    pub name: &'static str,
    /// Positions that take part.
    pub positions: Vec<u32>,
    /// The label of every position.
    pub arms: Vec<u16>,
    /// The weight of every position.
    pub weights: Option<Vec<f32>>,
    /// Share of queries with several equally successful paths.
    pub tie_share: Option<f64>,
}

/// The labels of some rows of the table.
pub(crate) fn labels(label: Label, table: &FeatureTable, rows: &[u32]) -> Labels {
    let outcomes = &table.outcomes;
    let mut queries: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (position, row) in rows.iter().enumerate() {
        queries.entry(&outcomes.query_ids[*row as usize]).or_default().push(position as u32);
    }
    let logged: Vec<u16> = rows.iter().map(|row| outcomes.arms[*row as usize].0).collect();
    let everything: Vec<u32> = (0..rows.len() as u32).collect();
    let every_path_ran = queries.values().filter(|positions| positions.len() > 1).count() * 2 > queries.len();
    match label {
        Label::Auto if every_path_ran => labels(Label::Best, table, rows),
        Label::Auto | Label::Logged => Labels { name: LOGGED, positions: everything, arms: logged, weights: None, tie_share: None },
        Label::Successful => {
            let row = |position: &u32| rows[*position as usize] as usize;
            let weights = rows.iter().map(|row| outcomes.propensities[*row as usize].map_or(1.0, |p| (1.0 / p.get()) as f32)).collect();
            let positions = everything.into_iter().filter(|position| outcomes.successes[row(position)] == Some(true)).collect();
            Labels { name: SUCCESSFUL, positions, arms: logged, weights: Some(weights), tie_share: None }
        }
        Label::Best => {
            let mut arms = logged;
            let (mut positions, mut n_ties) = (Vec::new(), 0);
            for runs in queries.values() {
                let row = |position: u32| rows[position as usize] as usize;
                let worth = |position: u32| {
                    let number = |value: f64| if value.is_finite() { value } else { f64::MAX };
                    let row = row(position);
                    (
                        u8::from(outcomes.successes[row] != Some(true)),
                        number(outcomes.latencies_ms[row]),
                        number(outcomes.costs[row]),
                        outcomes.arms[row],
                    )
                };
                let best = runs.iter().copied().min_by(|left, right| {
                    let (left, right) = (worth(*left), worth(*right));
                    left.0.cmp(&right.0).then(left.1.total_cmp(&right.1)).then(left.2.total_cmp(&right.2)).then(left.3.cmp(&right.3))
                });
                let Some(best) = best else { continue };
                n_ties +=
                    usize::from(runs.iter().filter(|run| outcomes.successes[row(**run)] == outcomes.successes[row(best)]).count() > 1);
                arms[runs[0] as usize] = outcomes.arms[row(best)].0;
                positions.push(runs[0]);
            }
            positions.sort_unstable();
            let tie_share = Some(n_ties as f64 / queries.len().max(1) as f64);
            Labels { name: BEST, positions, arms, weights: None, tie_share }
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
    fn shares_sum_to_one_and_start_with_the_largest() {
        let found = shares(&["a", "b"], &[1.0, 3.0]);
        assert_eq!((found[0].feature.as_str(), found[0].share, found[1].share), ("b", 0.75, 0.25));
    }
}
