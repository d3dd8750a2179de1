//! Maps from scores to probabilities, fitted on rows the scoring forest did not see, and chosen by cross-validation.

use routewright_domain::Seed;
use routewright_router::{Calibration, CalibrationError, Isotonic, Platt};
use serde::{Deserialize, Serialize};

use crate::folds::{FoldError, Folds};
use crate::reliability::Scored;

/// Folds in which candidates are compared.
const N_FOLDS: usize = 5;

/// Newton steps before a logistic fit is taken as it is; it converges in fewer than ten where it converges.
const MAX_STEPS: usize = 50;

/// Steepest logistic curve: at 20 the curve is a step, and separable data would have it grow for ever.
const MAX_SLOPE: f64 = 20.0;

/// How far from 0 and 1 a score is held before its logit is taken.
const LOGIT_MARGIN: f64 = 1e-12;

/// Outcomes of each kind below which only the identity is considered: fewer say nothing about a curve.
const MIN_OUTCOMES: f64 = 10.0;

/// A calibration and how the candidates fared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenCalibration {
    /// The candidate of least Brier score, fitted on all rows; the simpler one of equals.
    pub calibration: Calibration,
    /// Cross-validated Brier scores: identity, then Platt, then isotonic.
    pub brier: Vec<CandidateBrier>,
}

/// One candidate's cross-validated Brier score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateBrier {
    /// The candidate's name.
    pub name: String,
    /// Its score.
    pub brier: f64,
}

/// Scores that no calibration can be chosen for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    /// Groups that make no folds.
    #[error("no folds to choose a calibration in")]
    Folds(#[from] FoldError),
    /// A fitted curve that the calibration type refuses.
    #[error("the fitted curve is no calibration")]
    Curve(#[from] CalibrationError),
}

/// Chooses between identity, Platt and isotonic by Brier score in five folds, and fits the best on all rows.
///
/// `scored`: out-of-bag or held-out scores, never those of training rows; `groups`: one key per row, such as the query, kept in one fold.
/// With fewer than ten successes or failures the identity is taken.
///
/// # Errors
/// [`CalibrateError`] when there is not one group key per row.
pub fn choose_calibration(scored: &Scored<'_>, groups: &[u64], seed: Seed) -> Result<ChosenCalibration, CalibrateError> {
    let folds = Folds::grouped(groups, None, N_FOLDS, seed.derive("calibration", 0))?;
    let n_rows = scored.scores().len();
    if groups.len() != n_rows {
        return Err(FoldError::Length { list: "groups", expected: n_rows, found: groups.len() }.into());
    }
    let identity = CandidateBrier { name: Calibration::Identity.name().to_owned(), brier: scored.brier() };
    let successes: f64 = scored.outcomes().iter().sum();
    if successes.min(n_rows as f64 - successes) < MIN_OUTCOMES {
        return Ok(ChosenCalibration { calibration: Calibration::Identity, brier: vec![identity] });
    }
    let (mut platt_loss, mut isotonic_loss) = (0.0, 0.0);
    let rows: Vec<u32> = (0..n_rows as u32).collect();
    for fold in 0..folds.n_folds() {
        let (train, test) = folds.split(&rows, fold);
        let pairs = |rows: &[u32]| -> Vec<(f64, f64)> {
            rows.iter().map(|&row| (scored.scores()[row as usize], scored.outcomes()[row as usize])).collect()
        };
        let (train, test) = (pairs(&train), pairs(&test));
        let loss =
            |calibration: &Calibration| -> f64 { test.iter().map(|&(score, outcome)| (calibration.apply(score) - outcome).powi(2)).sum() };
        platt_loss += loss(&Calibration::Platt(platt(&train)?));
        isotonic_loss += loss(&Calibration::Isotonic(isotonic(&train)?));
    }
    let candidate = |name: &str, loss: f64| CandidateBrier { name: name.to_owned(), brier: loss / n_rows as f64 };
    let all: Vec<(f64, f64)> = scored.pairs().collect();
    let candidates = [
        (Calibration::Identity, identity),
        (Calibration::Platt(platt(&all)?), candidate("platt", platt_loss)),
        (Calibration::Isotonic(isotonic(&all)?), candidate("isotonic", isotonic_loss)),
    ];
    let best = candidates.iter().map(|(_, candidate)| candidate.brier).fold(f64::INFINITY, f64::min);
    let chosen = candidates.iter().find(|(_, candidate)| candidate.brier <= best).map(|(calibration, _)| calibration.clone());
    let brier = candidates.into_iter().map(|(_, candidate)| candidate).collect();
    Ok(ChosenCalibration { calibration: chosen.unwrap_or_default(), brier })
}

/// Fits the curve that never falls and is nearest to the outcomes in squares, by pooling adjacent violators.
///
/// # Errors
/// [`CalibrationError`] never happens for scores that were checked.
///
/// Source: Barlow, Bartholomew, Bremner, Brunk (1972). Golden values: `tests/golden/calibration.json`.
pub fn fit_isotonic(scored: &Scored<'_>) -> Result<Isotonic, CalibrationError> {
    isotonic(&scored.pairs().collect::<Vec<_>>())
}

/// Fits a logistic curve over the scores' logits by maximum likelihood, with a slope from 0 to 20.
///
/// # Errors
/// [`CalibrationError`] never happens for scores that were checked.
///
/// Source: Platt (1999), without his smoothed targets. Golden values: `tests/golden/calibration.json`.
pub fn fit_platt(scored: &Scored<'_>) -> Result<Platt, CalibrationError> {
    platt(&scored.pairs().collect::<Vec<_>>())
}

/// A run of scores with one probability.
struct Block {
    low: f64,
    high: f64,
    sum: f64,
    count: f64,
}

fn isotonic(pairs: &[(f64, f64)]) -> Result<Isotonic, CalibrationError> {
    let mut pairs: Vec<(f64, f64)> = pairs.iter().map(|&(score, outcome)| (score.clamp(0.0, 1.0), outcome)).collect();
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let mut blocks: Vec<Block> = Vec::new();
    for tied in pairs.chunk_by(|one, other| one.0 == other.0) {
        let sum = tied.iter().map(|pair| pair.1).sum();
        let mut block = Block { low: tied[0].0, high: tied[0].0, sum, count: tied.len() as f64 };
        while let Some(last) = blocks.pop_if(|last| last.sum * block.count >= block.sum * last.count) {
            block = Block { low: last.low, high: block.high, sum: last.sum + block.sum, count: last.count + block.count };
        }
        blocks.push(block);
    }
    let (mut scores, mut probabilities) = (Vec::new(), Vec::new());
    for block in &blocks {
        let probability = (block.sum / block.count).clamp(0.0, 1.0);
        let n_ends = if block.low < block.high { 2 } else { 1 };
        scores.extend(&[block.low, block.high][..n_ends]);
        probabilities.extend(&[probability; 2][..n_ends]);
    }
    Isotonic::new(scores, probabilities)
}

fn platt(pairs: &[(f64, f64)]) -> Result<Platt, CalibrationError> {
    let n_rows = pairs.len() as f64;
    let logit = |score: f64| {
        let held = score.clamp(LOGIT_MARGIN, 1.0 - LOGIT_MARGIN);
        (held / (1.0 - held)).ln()
    };
    let points: Vec<(f64, f64)> = pairs.iter().map(|&(score, outcome)| (logit(score), outcome)).collect();
    // Half a success and half a failure more keep the flat curve finite.
    let rate = (pairs.iter().map(|pair| pair.1).sum::<f64>() + 0.5) / (n_rows + 1.0);
    let flat = Platt::new(0.0, logit(rate));
    let (mut slope, mut intercept) = (0.0, logit(rate));
    let mut loss = logistic_loss(&points, slope, intercept);
    for _ in 0..MAX_STEPS {
        let (mut gradient, mut curvature) = ([0.0; 2], [0.0; 3]);
        for &(x, outcome) in &points {
            let p = 1.0 / (1.0 + (-(slope * x + intercept)).exp());
            let (error, weight) = (p - outcome, p * (1.0 - p));
            gradient = [gradient[0] + error * x, gradient[1] + error];
            curvature = [curvature[0] + weight * x * x, curvature[1] + weight * x, curvature[2] + weight];
        }
        let determinant = curvature[0] * curvature[2] - curvature[1] * curvature[1];
        if determinant <= f64::EPSILON * curvature[0] * curvature[2] {
            break;
        }
        let step = [
            (curvature[2] * gradient[0] - curvature[1] * gradient[1]) / determinant,
            (curvature[0] * gradient[1] - curvature[1] * gradient[0]) / determinant,
        ];
        let moved = (0..20).map(|halvings| 0.5_f64.powi(halvings)).find_map(|share| {
            let (slope, intercept) = (slope - share * step[0], intercept - share * step[1]);
            let moved = logistic_loss(&points, slope, intercept);
            (moved < loss).then_some((slope, intercept, moved))
        });
        let Some(moved) = moved else { break };
        let gain = loss - moved.2;
        (slope, intercept, loss) = moved;
        if gain < 1e-13 * n_rows || slope.abs() > MAX_SLOPE {
            break;
        }
    }
    if slope <= 0.0 { flat } else { Platt::new(slope.min(MAX_SLOPE), intercept) }
}

/// Sum of −ln of what a logistic curve gives to what happened.
fn logistic_loss(points: &[(f64, f64)], slope: f64, intercept: f64) -> f64 {
    let loss = |&(x, outcome): &(f64, f64)| {
        let z = slope * x + intercept;
        z.max(0.0) + (-z.abs()).exp().ln_1p() - outcome * z
    };
    points.iter().map(loss).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reliability::tests::{golden, near};

    #[test]
    fn isotonic_matches_scikit_learn() {
        let (scores, outcomes, expected) = golden();
        let isotonic = Calibration::Isotonic(fit_isotonic(&Scored::new(&scores, &outcomes).unwrap()).unwrap());
        for (score, probability) in expected["isotonic_pred_at"].as_object().unwrap() {
            near(isotonic.apply(score.parse().unwrap()), probability, 1e-9);
        }
    }

    #[test]
    fn platt_matches_scikit_learn() {
        let (scores, outcomes, expected) = golden();
        let platt = fit_platt(&Scored::new(&scores, &outcomes).unwrap()).unwrap();
        // Its solver stops at a gradient of 1e-4.
        near(platt.slope(), &expected["platt_on_logit_slope_intercept"][0], 1e-4);
        near(platt.intercept(), &expected["platt_on_logit_slope_intercept"][1], 1e-4);
    }

    #[test]
    fn a_calibration_is_chosen_where_it_helps_and_the_identity_where_not() {
        let (scores, outcomes, _) = golden();
        let groups: Vec<u64> = (0..scores.len() as u64).collect();
        let chosen = choose_calibration(&Scored::new(&scores, &outcomes).unwrap(), &groups, Seed(1)).unwrap();
        assert_eq!(chosen.calibration.name(), "platt");
        assert!(chosen.brier[1].brier < chosen.brier[0].brier);
        let few = choose_calibration(&Scored::new(&scores[..12], &outcomes[..12]).unwrap(), &groups[..12], Seed(1)).unwrap();
        assert_eq!(few.calibration, Calibration::Identity);
    }

    #[test]
    fn separable_outcomes_give_a_steep_finite_curve_and_reversed_ones_a_flat_one() {
        let steep = fit_platt(&Scored::new(&[0.4, 0.45, 0.55, 0.6], &[0.0, 0.0, 1.0, 1.0]).unwrap()).unwrap();
        assert!(steep.slope() > 5.0 && steep.slope() <= MAX_SLOPE);
        let flat = fit_platt(&Scored::new(&[0.4, 0.45, 0.55, 0.6], &[1.0, 1.0, 0.0, 0.0]).unwrap()).unwrap();
        assert_eq!((flat.slope(), flat.intercept()), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn any_scores_give_curves_that_do_not_lose_to_the_constant(
            pairs in prop::collection::vec((prop_oneof![0.0..=1.0, Just(0.0), Just(1.0), Just(0.5)], prop::bool::ANY), 1..60)
        ) {
            let (scores, outcomes): (Vec<f64>, Vec<f64>) = pairs.iter().map(|&(score, is_success)| (score, f64::from(u8::from(is_success)))).unzip();
            let scored = Scored::new(&scores, &outcomes).unwrap();
            let isotonic = Calibration::Isotonic(fit_isotonic(&scored).unwrap());
            prop_assert!(fit_platt(&scored).is_ok());
            let rate = outcomes.iter().sum::<f64>() / outcomes.len() as f64;
            let loss: f64 = scored.pairs().map(|(score, outcome)| (isotonic.apply(score) - outcome).powi(2)).sum();
            let constant: f64 = outcomes.iter().map(|outcome| (rate - outcome).powi(2)).sum();
            prop_assert!(loss <= constant + 1e-9);
        }
    }
}
