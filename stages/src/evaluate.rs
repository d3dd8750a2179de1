//! `evaluate`: how good the models are on the held-out window, which features carry them, and how well a person can follow them.

mod importance;

use routewright_domain::{Arm, Seed};
use routewright_engine::{Context, Stage, StageError};
use routewright_forest::{Binned, Binning, Classified, MAX_BINS, Matrix, Rule as SurrogateRule, Scored, fit_surrogate, predict};
use routewright_ope::{Explainability, Rule};
use routewright_router::Policy;
use routewright_table::FeatureTable;
use serde::{Deserialize, Serialize};

use crate::artifacts::{
    CalibrationBin, CalibrationReport, ClassReport, ClassifierReport, Evaluation, Features, LatencyModelReport, Models, SuccessModelReport,
    TrainingReport,
};
use crate::predictions::{thinned, with_predictions};
use crate::train::{Label, labels};

/// Features of the importance table that come from the ten most important ones.
const TOP: usize = 10;

/// Settings of `[evaluate]`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EvaluateParams {
    /// Bins of the reliability diagram.
    pub calibration_bins: usize,
    /// Features whose permutation importance is measured, by impurity.
    pub importance_features: usize,
    /// Held-out rows that are shuffled.
    pub importance_rows: usize,
    /// Shuffles of each feature.
    pub importance_repeats: u32,
    /// Rank correlation from which features of the importance table are also shuffled together.
    pub importance_correlation: f64,
    /// Features whose partial dependence is computed, the most important ones.
    pub dependence_features: usize,
    /// Values of each at which it is computed.
    pub dependence_values: usize,
    /// Resamples behind the interval of the calibration error.
    pub calibration_resamples: u32,
    /// Depth of the tree that imitates the learned router.
    pub surrogate_depth: u16,
    /// Rows of each window, at most, from which that tree learns and on which it is judged.
    pub surrogate_rows: usize,
}

impl Default for EvaluateParams {
    fn default() -> Self {
        Self {
            calibration_bins: 10,
            importance_features: 30,
            importance_rows: 2_000,
            importance_repeats: 5,
            importance_correlation: 0.8,
            dependence_features: 4,
            dependence_values: 12,
            calibration_resamples: 200,
            surrogate_depth: routewright_forest::MAX_SURROGATE_DEPTH,
            surrogate_rows: 100_000,
        }
    }
}

/// The stage.
pub(crate) struct Evaluate;

impl Stage for Evaluate {
    const NAME: &'static str = "evaluate";
    const SUMMARY: &'static str = "judges the models on the held-out window: accuracy, calibration, importance, explainability";
    const VERSION: u32 = 6;
    const USES_SEED: bool = true;
    type Params = EvaluateParams;
    type Inputs = (Features, Models, TrainingReport);
    type Outputs = (Evaluation,);

    fn check(params: &EvaluateParams) -> Result<(), (&'static str, String)> {
        let counts = [
            ("calibration_bins", params.calibration_bins),
            ("importance_rows", params.importance_rows),
            ("importance_repeats", params.importance_repeats as usize),
            ("surrogate_depth", usize::from(params.surrogate_depth)),
            ("surrogate_rows", params.surrogate_rows),
            ("dependence_values", params.dependence_values),
            ("calibration_resamples", params.calibration_resamples as usize),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((key, _)) => Err((key, "must be at least 1".to_owned())),
            None => Ok(()),
        }
    }

    fn run(
        params: &EvaluateParams,
        (Features(table), models, training): (Features, Models, TrainingReport),
        context: &Context<'_>,
    ) -> Result<(Evaluation,), StageError> {
        let held_out = table.held_out_rows();
        if held_out.as_slice().is_empty() {
            return Err(StageError::data("the held-out window has no decision with an outcome"));
        }
        let judged = Judged {
            params,
            table: &table,
            policy: &models.policy,
            training: &training,
            rows: held_out.as_slice(),
            seed: Seed(context.seed()).derive("evaluate", 0),
        };
        let (raw, calibrated) = judged.scores()?;
        let (explainability, surrogate_rules, surrogate) = judged.surrogate()?;
        let (importance, importance_groups) = judged.importance()?;
        Ok((Evaluation {
            n_training: training.n_rows,
            n_held_out: held_out.as_slice().len(),
            classifier: judged.classifier()?,
            success: judged.success_models(&calibrated)?,
            latency: judged.latency_models()?,
            uncalibrated: judged.calibration(&raw)?,
            calibrated: judged.calibration(&calibrated)?,
            dependence: judged.dependence(&importance)?,
            importance,
            importance_groups,
            learning_curve: training.learning_curve.clone(),
            learning_curve_of_rate: training.learning_curve_of_rate.clone(),
            explainability,
            surrogate_rules,
            surrogate,
        },))
    }
}

/// What is judged.
struct Judged<'a> {
    params: &'a EvaluateParams,
    table: &'a FeatureTable,
    policy: &'a Policy,
    training: &'a TrainingReport,
    /// Held-out rows.
    rows: &'a [u32],
    seed: Seed,
}

impl Judged<'_> {
    fn matrix(&self) -> Result<Matrix<'_>, StageError> {
        Ok(Matrix::new(&self.table.features)?)
    }

    /// 1 where the row succeeded, 0 where it failed.
    fn success(&self, row: u32) -> f64 {
        f64::from(u8::from(self.table.outcomes.successes[row as usize] == Some(true)))
    }

    fn arm(&self, row: u32) -> Arm {
        self.table.outcomes.arms[row as usize]
    }

    /// Predicted success of every held-out row on the path that ran, before and after calibration; `NaN` without a model.
    fn scores(&self) -> Result<(Vec<f64>, Vec<f64>), StageError> {
        let matrix = self.matrix()?;
        let (mut raw, mut calibrated) = (vec![f64::NAN; self.rows.len()], vec![f64::NAN; self.rows.len()]);
        for arm in self.table.paths.arms() {
            let Some(model) = &self.policy.success[arm.index()] else { continue };
            let positions: Vec<usize> = (0..self.rows.len()).filter(|position| self.arm(self.rows[*position]) == arm).collect();
            let rows: Vec<u32> = positions.iter().map(|position| self.rows[*position]).collect();
            for (position, score) in positions.into_iter().zip(predict(&model.forest, &matrix, &rows)) {
                raw[position] = score.clamp(0.0, 1.0);
                calibrated[position] = model.calibration.apply(score);
            }
        }
        Ok((raw, calibrated))
    }

    /// Scores and outcomes of the rows that have a score and for which something holds.
    fn pairs(&self, scores: &[f64], holds: impl Fn(u32) -> bool) -> (Vec<f64>, Vec<f64>) {
        self.rows
            .iter()
            .zip(scores)
            .filter(|(row, score)| score.is_finite() && holds(**row))
            .map(|(row, score)| (*score, self.success(*row)))
            .unzip()
    }

    /// One report per path that has a model and held-out rows.
    fn success_models(&self, calibrated: &[f64]) -> Result<Vec<SuccessModelReport>, StageError> {
        let mut reports = Vec::new();
        for arm in self.table.paths.arms() {
            let (scores, outcomes) = self.pairs(calibrated, |row| self.arm(row) == arm);
            if scores.is_empty() {
                continue;
            }
            let found = Scored::new(&scores, &outcomes)?;
            let rate = self.training.paths[arm.index()].success_rate;
            reports.push(SuccessModelReport {
                path: self.table.paths.name(arm).to_owned(),
                n_rows: scores.len(),
                success_rate: outcomes.iter().sum::<f64>() / outcomes.len() as f64,
                log_loss: found.log_loss(),
                log_loss_of_rate: Scored::new(&vec![rate; outcomes.len()], &outcomes)?.log_loss(),
                brier: found.brier(),
                ece: found.reliability(self.params.calibration_bins, Binning::EqualMass).expected_error,
                auc: found.auc(),
            });
        }
        Ok(reports)
    }

    fn calibration(&self, scores: &[f64]) -> Result<CalibrationReport, StageError> {
        let known = self.rows.iter().zip(scores).filter(|(_, score)| score.is_finite());
        let queries: Vec<u64> = known.map(|(row, _)| Seed(0).derive(&self.table.outcomes.query_ids[*row as usize], 0).0).collect();
        let (scores, outcomes) = self.pairs(scores, |_| true);
        if scores.is_empty() {
            return Ok(CalibrationReport::default());
        }
        let scored = Scored::new(&scores, &outcomes)?;
        let (n_bins, seed) = (self.params.calibration_bins, self.seed.derive("calibration", 0));
        let interval = scored.calibration_error(n_bins, &queries, self.params.calibration_resamples, seed)?;
        let found = scored.reliability(self.params.calibration_bins, Binning::EqualMass);
        Ok(CalibrationReport {
            ece: found.expected_error,
            ece_interval: Some(interval),
            brier: scored.brier(),
            brier_parts: Some(found.decomposition),
            log_loss: scored.log_loss(),
            bins: found
                .bins
                .iter()
                .map(|bin| CalibrationBin { predicted: bin.mean_score, observed: bin.rate, count: bin.count as usize })
                .collect(),
        })
    }

    fn latency_models(&self) -> Result<Vec<LatencyModelReport>, StageError> {
        let matrix = self.matrix()?;
        let latency = |row: u32| self.table.outcomes.latencies_ms[row as usize];
        let mut reports = Vec::new();
        for arm in self.table.paths.arms() {
            let Some(forest) = &self.policy.latency[arm.index()] else { continue };
            let rows: Vec<u32> = self.rows.iter().copied().filter(|row| self.arm(*row) == arm && latency(*row).is_finite()).collect();
            if rows.is_empty() {
                continue;
            }
            let logs: Vec<f64> = rows.iter().map(|row| latency(*row).max(0.0).ln_1p()).collect();
            let errors: Vec<f64> = predict(forest, &matrix, &rows).iter().zip(&logs).map(|(predicted, log)| predicted - log).collect();
            let n = rows.len() as f64;
            let mean = logs.iter().sum::<f64>() / n;
            let spread: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
            reports.push(LatencyModelReport {
                path: self.table.paths.name(arm).to_owned(),
                n_rows: rows.len(),
                mean_absolute_log_error: errors.iter().map(|error| error.abs()).sum::<f64>() / n,
                r_squared: if spread > 0.0 { 1.0 - errors.iter().map(|error| error * error).sum::<f64>() / spread } else { 0.0 },
            });
        }
        Ok(reports)
    }

    fn classifier(&self) -> Result<Option<ClassifierReport>, StageError> {
        let Some(classifier) = &self.policy.classifier else { return Ok(None) };
        let found = labels(Label::named(&self.training.classifier.label), self.table, self.rows);
        let rows: Vec<u32> = found.positions.iter().map(|position| self.rows[*position as usize]).collect();
        let label = found.name;
        let truth: Vec<u16> = found.positions.iter().map(|position| found.arms[*position as usize]).collect();
        let n_paths = self.table.paths.len();
        let shares = predict(classifier, &self.matrix()?, &rows);
        let found = Classified::new(n_paths, &shares, &truth)?.metrics();
        Ok(Some(ClassifierReport {
            label: label.to_owned(),
            n_rows: found.n_rows,
            accuracy: found.accuracy,
            log_loss: found.log_loss,
            brier: found.brier,
            paths: found
                .classes
                .iter()
                .zip(self.table.paths.names())
                .map(|(class, path)| ClassReport {
                    path: path.clone(),
                    precision: class.precision,
                    recall: class.recall,
                    f1: class.f1,
                    support: class.support,
                })
                .collect(),
            confusion: found.confusion,
        }))
    }

    /// A shallow tree that says where the learned router leaves the static one, and for which path.
    fn surrogate(&self) -> Result<(Explainability, String, SurrogateRule), StageError> {
        let most = self.params.surrogate_rows;
        let (training, held_out) = (thinned(self.table.training_rows().as_slice(), most), thinned(self.rows, most));
        let rows: Vec<u32> = training.iter().chain(&held_out).copied().collect();
        let chosen = with_predictions(self.policy, self.table, &rows, |position, predictions| {
            let static_arm = self.table.outcomes.static_arms[rows[position] as usize];
            let chosen = self.policy.decide(static_arm, predictions).arm;
            chosen.filter(|arm| Some(*arm) != static_arm).map_or(0, |arm| arm.0 + 1)
        });
        let mut classes = vec!["as the static router".to_owned()];
        classes.extend_from_slice(self.table.paths.names());
        let columns: Vec<String> = self.table.names().into_iter().map(str::to_owned).collect();
        let values = self.table.columns_of(&rows);
        let matrix = Matrix::new(&values)?;
        let (learns, judges): (Vec<u32>, Vec<u32>) = (0..rows.len() as u32).partition(|position| (*position as usize) < training.len());
        let binned = Binned::new(&matrix, MAX_BINS);
        let found = fit_surrogate(&matrix, &binned, (&learns, &judges), &chosen, classes.len(), self.params.surrogate_depth)?;
        let top10: f64 = self.training.impurity.iter().take(TOP).map(|share| share.share).sum();
        let explainability = Explainability::judge(found.fidelity, found.depth, top10, &Rule::default());
        Ok((explainability, found.rules(&columns, &classes), found.structure(&columns, &classes)))
    }
}
