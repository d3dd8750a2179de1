//! Maps from scores to probabilities, fitted on rows the scoring forest did not see, and chosen by cross-validation.

use routewright_domain::Seed;
use routewright_router::{Beta, Calibration, CalibrationError, Isotonic, Platt};
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
    /// Cross-validated Brier scores: identity, then Platt, then beta, then isotonic.
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

/// Chooses between identity, Platt, beta and isotonic by Brier score in five folds, and fits the best on all rows.
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
    let (mut platt_loss, mut beta_loss, mut isotonic_loss) = (0.0, 0.0, 0.0);
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
        beta_loss += loss(&Calibration::Beta(beta(&train)?));
        isotonic_loss += loss(&Calibration::Isotonic(isotonic(&train)?));
    }
    let candidate = |name: &str, loss: f64| CandidateBrier { name: name.to_owned(), brier: loss / n_rows as f64 };
    let all: Vec<(f64, f64)> = scored.pairs().collect();
    let candidates = [
        (Calibration::Identity, identity),
        (Calibration::Platt(platt(&all)?), candidate("platt", platt_loss)),
        (Calibration::Beta(beta(&all)?), candidate("beta", beta_loss)),
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

/// Fits a beta curve over the scores by maximum likelihood, with slopes from 0 to 20.
///
/// # Errors
/// [`CalibrationError`] never happens for scores that were checked.
///
/// Source: Kull, Silva Filho, Flach (2017). Golden values: `tests/golden/calibration.json`.
pub fn fit_beta(scored: &Scored<'_>) -> Result<Beta, CalibrationError> {
    beta(&scored.pairs().collect::<Vec<_>>())
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
    let rate_logit = rate_logit(pairs);
    let points: Vec<([f64; 2], f64)> = pairs.iter().map(|&(score, outcome)| ([logit(score), 1.0], outcome)).collect();
    let [slope, intercept] = maximum_likelihood(&points, [0.0, rate_logit]);
    if slope <= 0.0 { Platt::new(0.0, rate_logit) } else { Platt::new(slope.min(MAX_SLOPE), intercept) }
}

fn beta(pairs: &[(f64, f64)]) -> Result<Beta, CalibrationError> {
    let rate_logit = rate_logit(pairs);
    let logarithms = |score: f64| {
        let held = score.clamp(LOGIT_MARGIN, 1.0 - LOGIT_MARGIN);
        [held.ln(), -(1.0 - held).ln()]
    };
    let both: Vec<([f64; 3], f64)> = pairs
        .iter()
        .map(|&(score, outcome)| {
            let [success, failure] = logarithms(score);
            ([success, failure, 1.0], outcome)
        })
        .collect();
    let [success, failure, intercept] = maximum_likelihood(&both, [0.0, 0.0, rate_logit]);
    if 0.0 <= success && 0.0 <= failure {
        return Beta::new(success.min(MAX_SLOPE), failure.min(MAX_SLOPE), intercept);
    }
    // A slope that would be negative is held at 0, and the other one fitted again, as the curve's authors do.
    let side = if success < 0.0 { 1 } else { 0 };
    let one: Vec<([f64; 2], f64)> = pairs.iter().map(|&(score, outcome)| ([logarithms(score)[side], 1.0], outcome)).collect();
    let [slope, intercept] = maximum_likelihood(&one, [0.0, rate_logit]);
    match (slope <= 0.0, side) {
        (true, _) => Beta::new(0.0, 0.0, rate_logit),
        (false, 0) => Beta::new(slope.min(MAX_SLOPE), 0.0, intercept),
        (false, _) => Beta::new(0.0, slope.min(MAX_SLOPE), intercept),
    }
}

/// A score's logit, held away from the ends.
fn logit(score: f64) -> f64 {
    let held = score.clamp(LOGIT_MARGIN, 1.0 - LOGIT_MARGIN);
    (held / (1.0 - held)).ln()
}

/// The logit of the rate of successes; half a success and half a failure more keep it finite.
fn rate_logit(pairs: &[(f64, f64)]) -> f64 {
    logit((pairs.iter().map(|pair| pair.1).sum::<f64>() + 0.5) / (pairs.len() as f64 + 1.0))
}

/// The coefficients of a logistic regression of greatest likelihood, by Newton steps that are halved until they help.
fn maximum_likelihood<const D: usize>(points: &[([f64; D], f64)], start: [f64; D]) -> [f64; D] {
    let mut at = start;
    let mut loss = logistic_loss(points, &at);
    for _ in 0..MAX_STEPS {
        let (mut gradient, mut curvature) = ([0.0; D], [[0.0; D]; D]);
        for (x, outcome) in points {
            let p = 1.0 / (1.0 + (-dot(&at, x)).exp());
            let (error, weight) = (p - outcome, p * (1.0 - p));
            for row in 0..D {
                gradient[row] += error * x[row];
                for column in 0..D {
                    curvature[row][column] += weight * x[row] * x[column];
                }
            }
        }
        let Some(step) = solve(curvature, gradient) else { break };
        let moved = (0..20).map(|halvings| 0.5_f64.powi(halvings)).find_map(|share| {
            let moved: [f64; D] = std::array::from_fn(|position| at[position] - share * step[position]);
            let moved_loss = logistic_loss(points, &moved);
            (moved_loss < loss).then_some((moved, moved_loss))
        });
        let Some(moved) = moved else { break };
        let gain = loss - moved.1;
        (at, loss) = moved;
        if gain < 1e-13 * points.len() as f64 || at[..D - 1].iter().any(|slope| slope.abs() > MAX_SLOPE) {
            break;
        }
    }
    at
}

/// Solves a symmetric, positive system by elimination; `None` where it is singular to the last digits.
fn solve<const D: usize>(mut matrix: [[f64; D]; D], mut right: [f64; D]) -> Option<[f64; D]> {
    let scale: [f64; D] = std::array::from_fn(|position| matrix[position][position]);
    for pivot in 0..D {
        if matrix[pivot][pivot] <= f64::EPSILON * scale[pivot] {
            return None;
        }
        let (above, pivot_right) = (matrix[pivot], right[pivot]);
        for (row, right) in matrix.iter_mut().zip(&mut right).skip(pivot + 1) {
            let factor = row[pivot] / above[pivot];
            row.iter_mut().zip(&above).for_each(|(number, above)| *number -= factor * above);
            *right -= factor * pivot_right;
        }
    }
    for row in (0..D).rev() {
        let known: f64 = (row + 1..D).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    Some(right)
}

fn dot<const D: usize>(one: &[f64; D], other: &[f64; D]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Sum of −ln of what a logistic curve gives to what happened.
fn logistic_loss<const D: usize>(points: &[([f64; D], f64)], at: &[f64; D]) -> f64 {
    let loss = |(x, outcome): &([f64; D], f64)| {
        let z = dot(at, x);
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
    fn beta_matches_scikit_learn() {
        let (scores, outcomes, expected) = golden();
        let beta = fit_beta(&Scored::new(&scores, &outcomes).unwrap()).unwrap();
        for (found, expected) in beta.parameters().into_iter().zip(expected["beta_slopes_intercept"].as_array().unwrap()) {
            near(found, expected, 1e-4);
        }
    }

    #[test]
    fn scores_that_err_at_one_end_only_are_cured_by_beta_and_not_by_platt() {
        // The truth is the square of the score: right near 1, twice as doubtful near 0.
        let scores: Vec<f64> = (0..4000).map(|row| (f64::from(row) + 0.5) / 4000.0).collect();
        let outcomes: Vec<f64> = scores.iter().map(|score| score * score).collect();
        let scored = Scored::new(&scores, &outcomes).unwrap();
        let error = |calibration: &Calibration| -> f64 {
            scores.iter().map(|score| (calibration.apply(*score) - score * score).powi(2)).sum::<f64>() / 4000.0
        };
        let beta = error(&Calibration::Beta(fit_beta(&scored).unwrap()));
        let platt = error(&Calibration::Platt(fit_platt(&scored).unwrap()));
        assert!(2.0 * beta < platt, "{beta} {platt}");
    }

    #[test]
    fn a_calibration_is_chosen_where_it_helps_and_the_identity_where_not() {
        let (scores, outcomes, _) = golden();
        let groups: Vec<u64> = (0..scores.len() as u64).collect();
        let chosen = choose_calibration(&Scored::new(&scores, &outcomes).unwrap(), &groups, Seed(1)).unwrap();
        let brier = |name: &str| chosen.brier.iter().find(|candidate| candidate.name == name).unwrap().brier;
        assert_eq!(chosen.calibration.name(), "beta");
        assert!(brier("beta") < brier("platt") && brier("platt") < brier("identity"));
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
            prop_assert!(fit_platt(&scored).is_ok() && fit_beta(&scored).is_ok());
            let rate = outcomes.iter().sum::<f64>() / outcomes.len() as f64;
            let loss: f64 = scored.pairs().map(|(score, outcome)| (isotonic.apply(score) - outcome).powi(2)).sum();
            let constant: f64 = outcomes.iter().map(|outcome| (rate - outcome).powi(2)).sum();
            prop_assert!(loss <= constant + 1e-9);
        }
    }
}
