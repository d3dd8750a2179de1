//! Other people's models on each path's folds, in one table with ours.

use routewright_domain::Arm;
use routewright_engine::StageError;
use routewright_forest::references::{OwnForest, REFERENCES, Reference, compare_references};
use routewright_forest::{Folds, Matrix};

use super::Training;
use crate::artifacts::PathReferences;

impl Training<'_> {
    /// One path's table: whether a row succeeds, said by our forest and by the references that were asked for; `None` where there are none,
    /// and where the path has too few rows.
    pub(super) fn references(&self, arm: Arm, positions: &[u32]) -> Result<Option<PathReferences>, StageError> {
        if self.params.references.is_empty() || positions.len() < self.params.min_rows {
            return Ok(None);
        }
        let ours = OwnForest { params: self.params.forest };
        let mut models: Vec<&dyn Reference> = vec![&ours];
        for reference in REFERENCES.iter().filter(|reference| self.params.references.iter().any(|name| name == reference.name())) {
            models.push(*reference);
        }
        let labels: Vec<u16> = self.successes().into_iter().map(|success| success as u16).collect();
        let seed = self.seed.derive("references", u64::from(arm.0));
        let repeats = (0..self.params.reference_repeats as u64)
            .map(|repeat| Folds::grouped(&self.groups, None, self.params.folds, self.seed.derive("folds", repeat)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(StageError::data)?;
        let scores = compare_references(&models, &Matrix::new(&self.columns)?, positions, (&labels, 2), &repeats, seed)?;
        Ok(Some(PathReferences { path: self.table.paths.name(arm).to_owned(), scores }))
    }
}
