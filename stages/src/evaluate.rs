//! `evaluate`: how good the models are on the held-out window, which features carry them, and how well a person can follow them.

use rayon::prelude::*;
use routewright_domain::{Arm, Paths, Seed};
use routewright_engine::{Context, Stage, StageError};
use routewright_forest::{Binned, Binning, Classified, MAX_BINS, Matrix, Scored, fit_surrogate, permutation_importance, predict};
use routewright_ope::{Explainability, Rule};
use routewright_router::{Policy, PolicyScratch};
use routewright_table::FeatureTable;
use serde::{Deserialize, Serialize};

use crate::artifacts::{
    CalibrationBin, CalibrationReport, ClassReport, ClassifierReport, Evaluation, FeatureImportance, Features, ImpurityShare,
    LatencyModelReport, Models, SuccessModelReport, TrainingReport,
};
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
    /// Depth of the tree that imitates the learned router.
    pub surrogate_depth: u16,
}

impl Default for EvaluateParams {
    fn default() -> Self {
        Self {
            calibration_bins: 10,
            importance_features: 30,
            importance_rows: 2_000,
            importance_repeats: 5,
            surrogate_depth: routewright_forest::MAX_SURROGATE_DEPTH,
        }
    }
}

/// The stage.
pub(crate) struct Evaluate;

impl Stage for Evaluate {
    const NAME: &'static str = "evaluate";
    const SUMMARY: &'static str = "judges the models on the held-out window: accuracy, calibration, importance, explainability";
    const VERSION: u32 = 2;
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
        let (explainability, surrogate_rules) = judged.surrogate()?;
        Ok((Evaluation {
            n_training: training.n_rows,
            n_held_out: held_out.as_slice().len(),
            classifier: judged.classifier()?,
            success: judged.success_models(&calibrated)?,
            latency: judged.latency_models()?,
            uncalibrated: judged.calibration(&raw)?,
            calibrated: judged.calibration(&calibrated)?,
            importance: judged.importance()?,
            explainability,
            surrogate_rules,
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
        let (scores, outcomes) = self.pairs(scores, |_| true);
        if scores.is_empty() {
            return Ok(CalibrationReport::default());
        }
        let scored = Scored::new(&scores, &outcomes)?;
        let found = scored.reliability(self.params.calibration_bins, Binning::EqualMass);
        Ok(CalibrationReport {
            ece: found.expected_error,
            brier: scored.brier(),
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

    /// Permutation importance of the features with the largest impurity shares, most important first.
    ///
    /// Each path's regressor is judged on the rows that ran the path; a feature's importance is the mean over all rows.
    fn importance(&self) -> Result<Vec<FeatureImportance>, StageError> {
        let every = self.rows.len().div_ceil(self.params.importance_rows).max(1);
        let sample: Vec<u32> = self.rows.iter().copied().step_by(every).collect();
        let names = self.table.names();
        let chosen: Vec<_> = self.training.impurity.iter().take(self.params.importance_features).collect();
        let columns: Vec<Vec<usize>> =
            chosen.iter().map(|share| names.iter().position(|name| *name == share.feature).into_iter().collect()).collect();
        let matrix = self.matrix()?;
        let (mut means, mut variances, mut n_rows) = (vec![0.0; columns.len()], vec![0.0; columns.len()], 0.0);
        for arm in self.table.paths.arms() {
            let rows: Vec<u32> = sample.iter().copied().filter(|row| self.arm(*row) == arm).collect();
            let Some(model) = self.policy.success[arm.index()].as_ref().filter(|_| !rows.is_empty()) else { continue };
            let outcomes: Vec<f64> = rows.iter().map(|row| self.success(*row)).collect();
            let loss = |scores: &[f64]| {
                let calibrated: Vec<f64> = scores.iter().map(|score| model.calibration.apply(*score)).collect();
                Scored::new(&calibrated, &outcomes).map_or(f64::NAN, |scored| scored.log_loss())
            };
            let seed = self.seed.derive("importance", u64::from(arm.0));
            let found = permutation_importance(&model.forest, &matrix, &rows, &columns, self.params.importance_repeats, loss, seed);
            let weight = rows.len() as f64;
            n_rows += weight;
            for ((mean, variance), found) in means.iter_mut().zip(&mut variances).zip(found) {
                *mean += weight * found.mean;
                *variance += (weight * found.sd).powi(2);
            }
        }
        if n_rows == 0.0 {
            return Ok(Vec::new());
        }
        let one = |((share, mean), variance): ((&&ImpurityShare, f64), f64)| FeatureImportance {
            feature: share.feature.clone(),
            label: label(&share.feature, &self.table.paths),
            impurity: share.share,
            permutation: mean / n_rows,
            permutation_sd: variance.sqrt() / n_rows,
        };
        let mut importance: Vec<FeatureImportance> = chosen.iter().zip(means).zip(variances).map(one).collect();
        importance.sort_by(|left, right| right.permutation.total_cmp(&left.permutation).then(left.feature.cmp(&right.feature)));
        Ok(importance)
    }

    /// A shallow tree that says where the learned router leaves the static one, and for which path.
    fn surrogate(&self) -> Result<(Explainability, String), StageError> {
        let training = self.table.training_rows();
        let matrix = self.matrix()?;
        let label = |(row, scratch): &mut (Vec<f32>, PolicyScratch), position: &u32| {
            self.table.copy_row(*position as usize, row);
            let static_arm = self.table.outcomes.static_arms[*position as usize];
            let chosen = self.policy.choose(row, static_arm, scratch).arm;
            (*position, chosen.filter(|arm| Some(*arm) != static_arm).map_or(0, |arm| arm.0 + 1))
        };
        let rows: Vec<u32> = training.as_slice().iter().chain(self.rows).copied().collect();
        let room = || (vec![0.0; self.table.features.len()], PolicyScratch::default());
        let chosen: Vec<(u32, u16)> = rows.par_iter().map_init(room, label).collect();
        let mut labels = vec![0; self.table.n_rows()];
        for (position, label) in chosen {
            labels[position as usize] = label;
        }
        let mut classes = vec!["as the static router".to_owned()];
        classes.extend_from_slice(self.table.paths.names());
        let columns: Vec<String> = self.table.names().into_iter().map(str::to_owned).collect();
        let binned = Binned::new(&matrix, MAX_BINS);
        let found = fit_surrogate(&matrix, &binned, (training.as_slice(), self.rows), &labels, classes.len(), self.params.surrogate_depth)?;
        let top10: f64 = self.training.impurity.iter().take(TOP).map(|share| share.share).sum();
        Ok((Explainability::judge(found.fidelity, found.depth, top10, &Rule::default()), found.rules(&columns, &classes)))
    }
}

/// A column for people: columns of the history that are about one path end in its position, which says nothing without the list of paths.
fn label(column: &str, paths: &Paths) -> String {
    let about = column.strip_prefix("history_").and_then(|rest| rest.rsplit_once('_'));
    let path = about.and_then(|(kind, position)| Some((kind, paths.names().get(position.parse::<usize>().ok()?)?)));
    match path {
        Some((kind, path)) => format!("{} of {path}", kind.replace('_', " ")),
        None => column.strip_prefix("extra:").unwrap_or(column).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_about_a_path_names_the_path() {
        let paths = Paths::from_names(["CODING", "STANDARD"]);
        assert_eq!(label("history_similar_success_1", &paths), "similar success of STANDARD");
        assert_eq!(label("history_recent_load", &paths), "history_recent_load");
        assert_eq!(label("extra:query_features.length", &paths), "query_features.length");
    }
}
