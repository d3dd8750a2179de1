//! Which features carry the success regressors, alone and together, and how predictions move with them.

use routewright_domain::Paths;
use routewright_engine::StageError;
use routewright_forest::{PermutationImportance, Scored, correlated_columns, partial_dependence, permutation_importance, quantile_grid};

use super::Judged;
use crate::artifacts::{FeatureDependence, FeatureImportance, GroupImportance, ImpurityShare, PathDependence};

/// Held-out rows that partial dependence is averaged over: a mean of hundreds is smooth, and each is predicted for every value and path.
const DEPENDENCE_ROWS: usize = 500;

impl Judged<'_> {
    /// Permutation importance of the features with the largest impurity shares, and of those among them that go together, each most
    /// important first.
    ///
    /// Each path's regressor is judged on the rows that ran the path; a feature's importance is the mean over all rows.
    pub(super) fn importance(&self) -> Result<(Vec<FeatureImportance>, Vec<GroupImportance>), StageError> {
        let sample = self.sample(self.params.importance_rows);
        let names = self.table.names();
        let known = |share: &ImpurityShare| names.iter().position(|name| *name == share.feature);
        let shares = self.training.impurity.iter().filter_map(|share| Some((share, known(share)?)));
        let chosen: Vec<(&ImpurityShare, usize)> = shares.take(self.params.importance_features).collect();
        let columns: Vec<usize> = chosen.iter().map(|(_, column)| *column).collect();
        let mut groups: Vec<Vec<usize>> = columns.iter().map(|column| vec![*column]).collect();
        let together = correlated_columns(&self.matrix()?, &sample, &columns, self.params.importance_correlation);
        groups.extend(together.into_iter().filter(|group| group.len() > 1));
        let Some(found) = self.permuted(&sample, &groups)? else { return Ok((Vec::new(), Vec::new())) };
        let one = |((share, _), found): (&(&ImpurityShare, usize), &PermutationImportance)| FeatureImportance {
            feature: share.feature.clone(),
            label: label(&share.feature, &self.table.paths),
            impurity: share.share,
            permutation: found.mean,
            permutation_sd: found.sd,
        };
        let mut importance: Vec<FeatureImportance> = chosen.iter().zip(&found).map(one).collect();
        importance.sort_by(|left, right| right.permutation.total_cmp(&left.permutation).then(left.feature.cmp(&right.feature)));
        let group = |(group, found): (&Vec<usize>, &PermutationImportance)| GroupImportance {
            features: group.iter().map(|column| names[*column].to_owned()).collect(),
            permutation: found.mean,
            permutation_sd: found.sd,
        };
        let mut together: Vec<GroupImportance> = groups.iter().zip(&found).skip(chosen.len()).map(group).collect();
        together.sort_by(|left, right| right.permutation.total_cmp(&left.permutation).then(left.features.cmp(&right.features)));
        Ok((importance, together))
    }

    /// What shuffling each group adds to the log loss, over all paths; `None` where no path has a model and rows.
    fn permuted(&self, sample: &[u32], groups: &[Vec<usize>]) -> Result<Option<Vec<PermutationImportance>>, StageError> {
        let matrix = self.matrix()?;
        let (mut means, mut variances, mut n_rows) = (vec![0.0; groups.len()], vec![0.0; groups.len()], 0.0);
        for arm in self.table.paths.arms() {
            let rows: Vec<u32> = sample.iter().copied().filter(|row| self.arm(*row) == arm).collect();
            let Some(model) = self.policy.success[arm.index()].as_ref().filter(|_| !rows.is_empty()) else { continue };
            let outcomes: Vec<f64> = rows.iter().map(|row| self.success(*row)).collect();
            let loss = |scores: &[f64]| {
                let calibrated: Vec<f64> = scores.iter().map(|score| model.calibration.apply(*score)).collect();
                Scored::new(&calibrated, &outcomes).map_or(f64::NAN, |scored| scored.log_loss())
            };
            let seed = self.seed.derive("importance", u64::from(arm.0));
            let found = permutation_importance(&model.forest, &matrix, &rows, groups, self.params.importance_repeats, loss, seed);
            let weight = rows.len() as f64;
            n_rows += weight;
            for ((mean, variance), found) in means.iter_mut().zip(&mut variances).zip(found) {
                *mean += weight * found.mean;
                *variance += (weight * found.sd).powi(2);
            }
        }
        let one = |(mean, variance): (&f64, &f64)| PermutationImportance { mean: mean / n_rows, sd: variance.sqrt() / n_rows };
        Ok((n_rows > 0.0).then(|| means.iter().zip(&variances).map(one).collect()))
    }

    /// Mean predicted success of every path by the values of the most important features, on held-out rows.
    pub(super) fn dependence(&self, importance: &[FeatureImportance]) -> Result<Vec<FeatureDependence>, StageError> {
        let (sample, names, matrix) = (self.sample(DEPENDENCE_ROWS), self.table.names(), self.matrix()?);
        let mut found = Vec::new();
        for feature in importance.iter().take(self.params.dependence_features) {
            let Some(column) = names.iter().position(|name| *name == feature.feature) else { continue };
            let grid = quantile_grid(&matrix, self.rows, column, self.params.dependence_values);
            let mut paths = Vec::new();
            for arm in self.table.paths.arms() {
                let Some(model) = &self.policy.success[arm.index()] else { continue };
                let calibrated = |score| model.calibration.apply(score);
                let curve = partial_dependence(&model.forest, &matrix, &sample, (column, &grid), calibrated);
                let success = curve.means.iter().map(|mean| mean[0]).collect();
                paths.push(PathDependence { path: self.table.paths.name(arm).to_owned(), success });
            }
            let mut counts = vec![0; grid.len() + 1];
            for row in self.rows {
                let value = matrix.column(column)[*row as usize];
                if !value.is_nan() {
                    counts[grid.partition_point(|at| *at < value)] += 1;
                }
            }
            let values = grid.iter().map(|value| f64::from(*value)).collect();
            let (feature, label) = (feature.feature.clone(), feature.label.clone());
            found.push(FeatureDependence { feature, label, values, paths, counts, n_rows: sample.len() });
        }
        Ok(found)
    }

    /// About so many held-out rows, evenly spread.
    fn sample(&self, n_rows: usize) -> Vec<u32> {
        self.rows.iter().copied().step_by(self.rows.len().div_ceil(n_rows).max(1)).collect()
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
