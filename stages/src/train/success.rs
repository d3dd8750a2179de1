//! One path's success regressor: its settings are sought, and its scores made probabilities, on folds it was not trained on.

use routewright_domain::{Arm, Seed};
use routewright_engine::StageError;
use routewright_forest::{
    Fitted, Folds, ForestParams, Matrix, Scored, Trial, Walked, choose_calibration, continue_regressor, fewest_trees, fit_regressor,
    predict, rungs, walk,
};
use routewright_router::{Calibration, Forest, SuccessModel};

use super::Training;
use crate::artifacts::{Evidence, PathTraining};

/// One forest per fold, grown without it; none where a fold left nothing to train on.
type FoldForests = Vec<Option<Forest>>;

impl Training<'_> {
    /// One path's success regressor, calibrated on folds it was not trained on. Writes the path's calibrated out-of-fold prediction of the rows on
    /// which the least gain is chosen into the first of `out` (rows × paths), and what its utility starts from into the second.
    pub(super) fn success(
        &self,
        arm: Arm,
        positions: &[u32],
        (predictions, worths): (&mut [f64], &mut [f64]),
    ) -> Result<(Option<SuccessModel>, PathTraining, Option<Fitted>), StageError> {
        let target = self.successes();
        let rate = positions.iter().map(|position| target[*position as usize]).sum::<f64>() / positions.len().max(1) as f64;
        let mut report = PathTraining {
            path: self.table.paths.name(arm).to_owned(),
            n_rows: positions.len(),
            evidence: self.evidence(positions.len()),
            success_rate: rate,
            n_folds: 0,
            log_loss: None,
            log_loss_of_rate: None,
            auc: None,
            calibration: Calibration::Identity.name().to_owned(),
            min_samples_leaf: self.params.forest.min_samples_leaf,
            n_trees: self.params.forest.n_trees,
            trials: Vec::new(),
        };
        if report.evidence == Evidence::NoModel {
            return Ok((None, report, None));
        }
        let seed = self.seed.derive("success", u64::from(arm.0));
        let learned = self.grades.as_ref().unwrap_or(&target);
        let folds = self.folds_for(positions.len())?;
        report.n_folds = folds.n_folds();
        let (forest, every_score, trials) = self.best_settings((positions, &folds), learned, seed)?;
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
        for (row, score) in
            self.tried.iter().map(|position| every_score[*position as usize]).enumerate().filter(|(_, score)| score.is_finite())
        {
            let cell = row * n_paths + arm.index();
            predictions[cell] = calibration.apply(score);
            worths[cell] = if self.grades.is_some() { score } else { predictions[cell] };
        }
        let fitted = fit_regressor(&self.binned, positions, learned, None, &forest, seed)?;
        (report.min_samples_leaf, report.n_trees) = (forest.min_samples_leaf, forest.n_trees);
        report.trials = trials;
        Ok((Some(SuccessModel { forest: fitted.forest.clone(), calibration }), report, Some(fitted)))
    }

    /// 1 where a training row succeeded, 0 where it failed.
    pub(super) fn successes(&self) -> Vec<f64> {
        self.rows.iter().map(|row| f64::from(u8::from(self.table.outcomes.successes[*row as usize] == Some(true)))).collect()
    }

    /// What so many rows of a path are enough for.
    fn evidence(&self, n_rows: usize) -> Evidence {
        if n_rows < self.params.min_rows {
            Evidence::NoModel
        } else if (n_rows as u64) < self.params.policy.min_support {
            Evidence::NeverChosen
        } else {
            Evidence::Sufficient
        }
    }

    /// The settings with the lowest out-of-fold Brier score, the first of equals, and their out-of-fold predictions: one per training row, `NaN`
    /// where a fold left nothing to train on, and for rows of other paths on which nothing is chosen.
    ///
    /// Candidates are the leaf sizes and what the search draws; all grow some of their trees, the better ones the rest.
    fn best_settings(
        &self,
        (positions, folds): (&[u32], &Folds),
        target: &[f64],
        seed: Seed,
    ) -> Result<(ForestParams, Vec<f64>, Vec<Trial>), StageError> {
        let matrix = Matrix::new(&self.columns)?;
        let leaf_sizes = self.params.success_leaf_sizes.iter();
        let first: Vec<ForestParams> =
            leaf_sizes.map(|&min_samples_leaf| ForestParams { min_samples_leaf, ..self.params.forest }).collect();
        let search = &self.params.search;
        let mut candidates = search.candidates(&first, &self.params.forest, seed.derive("search", 0));
        let plan = rungs(candidates.len(), self.params.forest.n_trees, search.strategy, search.budget);
        candidates.truncate(plan.first().map_or(1, |rung| rung.n_candidates));
        let Walked { winner, trials } = walk(&candidates, &plan, |params, state: Option<FoldForests>, n_trees| {
            self.grow_folds(&ForestParams { n_trees, ..*params }, state, (positions, folds), (&matrix, target), seed)
        })?;
        let (best, forests) = winner.ok_or_else(|| StageError::settings("`train.success_leaf_sizes` is empty"))?;
        let forests = self.with_fewest_trees(forests, (positions, folds), (&matrix, target));
        let n_trees = forests.iter().flatten().map(|forest| forest.n_trees() as u32).max().unwrap_or(candidates[best].n_trees);
        let mut asked = [positions, &self.tried].concat();
        asked.sort_unstable();
        asked.dedup();
        let mut scores = vec![f64::NAN; self.rows.len()];
        for (fold, forest) in forests.iter().enumerate() {
            let (_, held_out) = folds.split(&asked, fold);
            for (position, score) in held_out.iter().zip(forest.iter().flat_map(|forest| predict(forest, &matrix, &held_out))) {
                scores[*position as usize] = score.clamp(0.0, 1.0);
            }
        }
        Ok((ForestParams { n_trees, ..candidates[best] }, scores, trials))
    }

    /// The forests without the trees that hardly lower the mean squared error on the rows of the folds.
    fn with_fewest_trees(
        &self,
        forests: FoldForests,
        (positions, folds): (&[u32], &Folds),
        (matrix, target): (&Matrix<'_>, &[f64]),
    ) -> FoldForests {
        let Some(n_trees) = forests.iter().flatten().map(Forest::n_trees).max() else { return forests };
        let first = |n_trees| -> FoldForests { forests.iter().map(|forest| Some(forest.as_ref()?.first_trees(n_trees))).collect() };
        let squares = |n_trees| -> f64 {
            let of_fold = |(fold, forest): (usize, Option<Forest>)| {
                let (_, held_out) = folds.split(positions, fold);
                let scores = forest.map(|forest| predict(&forest, matrix, &held_out)).unwrap_or_default();
                scores.iter().zip(&held_out).map(|(score, row)| (score - target[*row as usize]).powi(2)).sum::<f64>()
            };
            first(n_trees).into_iter().enumerate().map(of_fold).sum()
        };
        first(fewest_trees(n_trees, self.params.tree_tolerance, squares))
    }

    /// Grows every fold's forest to the number of trees that is asked for; also their mean squared error on the rows of the folds.
    fn grow_folds(
        &self,
        params: &ForestParams,
        state: Option<FoldForests>,
        (positions, folds): (&[u32], &Folds),
        (matrix, target): (&Matrix<'_>, &[f64]),
        seed: Seed,
    ) -> Result<(FoldForests, f64), StageError> {
        let before = state.unwrap_or_else(|| vec![None; folds.n_folds()]);
        let (mut forests, mut squares, mut n_judged) = (Vec::new(), 0.0, 0);
        for (fold, before) in before.into_iter().enumerate() {
            let (training, held_out) = folds.split(positions, fold);
            if training.is_empty() {
                forests.push(None);
                continue;
            }
            let seed = seed.derive("fold", fold as u64);
            let fitted = match before {
                None => fit_regressor(&self.binned, &training, target, None, params, seed)?,
                Some(before) => continue_regressor(&before, (&self.binned, &training), target, None, params, seed)?,
            };
            let scores = predict(&fitted.forest, matrix, &held_out);
            squares += scores.iter().zip(&held_out).map(|(score, row)| (score - target[*row as usize]).powi(2)).sum::<f64>();
            n_judged += held_out.len();
            forests.push(Some(fitted.forest));
        }
        Ok((forests, squares / n_judged.max(1) as f64))
    }
}
