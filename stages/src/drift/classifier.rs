//! All features together: a forest that is asked which window a query is from, judged on days that it did not see.

use routewright_engine::StageError;
use routewright_forest::{Binned, ClassWeight, Folds, ForestParams, MAX_BINS, Matrix, fit_classifier, predict};
use routewright_ope::stats::clustered_auc;

use super::verdict::{Family, Tested};
use super::windows::Compared;
use crate::artifacts::{DriftKind, DriftMeasure, ImpurityShare};

/// Folds of whole days; fewer where the current window has fewer days.
const N_FOLDS: usize = 5;

/// The forest: large leaves, because little is to be told from few rows.
const N_TREES: u32 = 60;
const LEAF: u32 = 20;

/// Draws of a tree, so that the cost does not grow with the log.
const MAX_SAMPLE_ROWS: u32 = 4_000;

/// Queries of a window that are told apart from the other's, at most.
const MAX_ROWS: usize = 50_000;

/// Level of the interval on file.
const LEVEL: f64 = 0.95;

/// What the forest told.
#[derive(Default)]
pub(super) struct Told {
    /// Area under the curve with its interval.
    pub auc: Option<[f64; 3]>,
    /// Features by their part in it.
    pub importance: Vec<ImpurityShare>,
}

/// Grows the forest and tests its area under the curve against chance, with days as units.
///
/// Source: Lopez-Paz & Oquab (2017), classifier two-sample tests.
pub(super) fn tell_apart(compared: &Compared<'_>, columns: &[usize]) -> Result<(Vec<Family>, Told), StageError> {
    let positions: Vec<u32> = compared.queries().into_iter().map(|at| at as u32).collect();
    let positions = compared.thinned(&positions, MAX_ROWS);
    let features = &compared.table.features;
    let values = |column: &usize| positions.iter().map(|at| features[*column].values[compared.rows[*at as usize] as usize]).collect();
    let matrix: Vec<Vec<f32>> = columns.iter().map(values).collect();
    let matrix = Matrix::new(&matrix)?;
    let labels: Vec<u16> = positions.iter().map(|at| u16::from(compared.is_current[*at as usize])).collect();
    let days: Vec<u32> = positions.iter().map(|at| compared.day[*at as usize]).collect();
    let groups: Vec<u64> = days.iter().map(|day| u64::from(*day)).collect();
    let n_folds = N_FOLDS.min(compared.window(true).days);
    let seed = compared.seed.derive("apart", 0);
    let folds = Folds::grouped(&groups, Some(&labels), n_folds, seed.derive("folds", 0)).map_err(StageError::data)?;
    let binned = Binned::new(&matrix, MAX_BINS);
    let params = ForestParams {
        n_trees: N_TREES,
        min_samples_leaf: LEAF,
        max_sample_rows: MAX_SAMPLE_ROWS,
        class_weight: ClassWeight::Balanced,
        ..ForestParams::default()
    };
    let all: Vec<u32> = (0..positions.len() as u32).collect();
    let mut scores = vec![f64::NAN; positions.len()];
    let mut importance = vec![0.0; columns.len()];
    for fold in 0..n_folds {
        let (training, held_out) = folds.split(&all, fold);
        let fitted = fit_classifier(&binned, &training, &labels, 2, None, &params, seed.derive("fold", fold as u64))?;
        for (row, shares) in held_out.iter().zip(predict(&fitted.forest, &matrix, &held_out).chunks_exact(2)) {
            scores[*row as usize] = shares[1];
        }
        importance.iter_mut().zip(&fitted.importance).for_each(|(sum, share)| *sum += share / n_folds as f64);
    }
    let is_current: Vec<bool> = labels.iter().map(|label| *label == 1).collect();
    let Some(found) = clustered_auc(&scores, &is_current, &days, LEVEL) else { return Ok((Vec::new(), Told::default())) };
    let mut importance: Vec<ImpurityShare> = columns
        .iter()
        .zip(&importance)
        .map(|(column, share)| ImpurityShare { feature: features[*column].name.clone(), share: *share })
        .collect();
    importance.sort_by(|one, other| other.share.total_cmp(&one.share).then_with(|| one.feature.cmp(&other.feature)));
    let tested = Tested {
        kind: DriftKind::Features,
        name: "all".to_owned(),
        measure: DriftMeasure::Auc,
        reference: None,
        current: None,
        effect: (found.auc - 0.5).max(0.0),
        distance: None,
        p: found.p,
        since: None,
    };
    let told = Told { auc: Some([found.auc, found.interval.lower, found.interval.upper]), importance };
    Ok((vec![Family { n_comparisons: 1, tested: vec![tested] }], told))
}
