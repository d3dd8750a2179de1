//! Every estimator of the learned router's value and uplift, reported beside the one that decides.

use rayon::prelude::*;
use routewright_domain::{Arm, Interval, Seed};
use routewright_forest::{Binned, ForestParams, MAX_BINS, Matrix, fit_regressor};
use routewright_ope::{
    Confidence, ESTIMATORS, Estimator, Needs, OpeError, PropensitySource, Sample, Terms, cressie_read, estimator, mrdr_weights,
    paired_difference, percentile_interval, slope,
};

use super::MAX_SAMPLE_ROWS;
use super::judge::Judge;
use super::logged::LoggedRows;
use super::policies::Choices;
use crate::artifacts::{Answer, Bounded};
use crate::predictions::{thinned, with_predictions};

/// Resamples of the bootstrap: ends of 95 % intervals to about a tenth of a standard error.
const RESAMPLES: usize = 400;

/// Limits on the weights among which SLOPE chooses.
const LIMITS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, f64::INFINITY];

/// Error of the intervals that SLOPE compares.
const SLOPE_DELTA: f64 = 0.1;

/// Estimators whose limit SLOPE chooses.
const TUNED: [&str; 4] = ["clipped_ips", "clipped_dr", "switch_dr", "dr_os"];

/// Trees and leaf size of the model that MRDR fits: a nuisance, not the product.
const MRDR_TREES: u32 = 50;
const MRDR_LEAF: u32 = 20;

/// Rows of the training window that it is fitted on, at most.
const MRDR_ROWS: usize = 100_000;

/// Reward models for the rows of a log, n × k, row after row.
#[derive(Clone, Copy)]
pub(super) struct RewardModels<'a> {
    /// The learned router's own regressors, trained before the window.
    pub regressors: &'a [f64],
    /// The same paths, fitted with the weights of MRDR; `None` where the training window gives none.
    pub mrdr: Option<&'a [f64]>,
}

/// Every estimator's value of a policy; without logged propensities only those that need none, and they are diagnostics.
pub(super) fn values(
    rows: &LoggedRows<'_>,
    choices: &Choices,
    models: Option<RewardModels<'_>>,
    seed: Seed,
) -> Result<Vec<Answer>, OpeError> {
    let target = rows.target(choices)?;
    let sample = sample(rows, &target, models)?;
    let is_logged = rows.source == PropensitySource::Logged;
    let fits = |entry: &&Estimator| (is_logged || entry.name == "dm" || entry.name == "replay") && usable(entry, models);
    let plain = ESTIMATORS.par_iter().filter(fits).map(|entry| {
        let Some(terms) = overlapping(entry.terms(&sample))? else { return Ok(None) };
        let limit = entry.default_limit.map(|limit| limit(rows.rows.len()));
        answer(rows, entry.name, &terms, limit, seed).map(Some)
    });
    let mut answers: Vec<Answer> = plain.collect::<Result<Vec<_>, OpeError>>()?.into_iter().flatten().collect();
    if !is_logged {
        return Ok(answers);
    }
    let tuned = TUNED.par_iter().filter_map(|name| estimator(name)).filter(|entry| usable(entry, models)).map(|entry| {
        let Some(tuned) = overlapping(slope(entry, &sample, &LIMITS, SLOPE_DELTA))? else { return Ok(None) };
        let terms = entry.terms_with_limit(&sample, tuned.limit)?;
        let limit = Some(tuned.limit).filter(|limit| limit.is_finite());
        answer(rows, &format!("{} (SLOPE)", entry.name), &terms, limit, seed).map(Some)
    });
    answers.extend(tuned.collect::<Result<Vec<_>, OpeError>>()?.into_iter().flatten());
    // The largest weight is that of the smallest probability the logger gives any path, known from the vectors alone.
    let smallest = rows.vectors.iter().copied().filter(|propensity| *propensity > 0.0).fold(1.0, f64::min);
    if smallest < 1.0
        && let Some(value) = cressie_read(&sample, Interval { lower: 0.0, upper: 1.0 / smallest })
    {
        let estimate = Bounded { value: Some(value), lower: 0.0, upper: 1.0 };
        answers.push(Answer { name: "cressie_read".to_owned(), estimate, bootstrap: None, limit: Some(1.0 / smallest) });
    }
    Ok(answers)
}

/// Every estimator's uplift of one choice over another, in points, paired row by row.
pub(super) fn uplifts(rows: &LoggedRows<'_>, learned: &[Arm], baseline: &[Arm], models: RewardModels<'_>) -> Result<Vec<Answer>, OpeError> {
    let targets = [rows.target(&Choices::Fixed(learned.to_vec()))?, rows.target(&Choices::Fixed(baseline.to_vec()))?];
    let [ours, theirs] = [sample(rows, &targets[0], Some(models))?, sample(rows, &targets[1], Some(models))?];
    // MRDR's model is fitted for the learned router alone.
    let answers = ESTIMATORS.par_iter().filter(|entry| entry.needs != Needs::MrdrModel).map(|entry| {
        let both = entry.terms(&ours).and_then(|ours| entry.terms(&theirs).map(|theirs| (ours, theirs)));
        let Some((ours, theirs)) = overlapping(both)? else { return Ok(None) };
        let estimate = paired_difference(&ours, &theirs, rows.sessions.as_deref(), Confidence::TWO_SIDED_95)?;
        Ok(Some(Answer { name: entry.name.to_owned(), estimate: Bounded::of(estimate).times(100.0), bootstrap: None, limit: None }))
    });
    Ok(answers.collect::<Result<Vec<_>, OpeError>>()?.into_iter().flatten().collect())
}

/// The per-row terms of the uplift that is watched while the log grows: doubly robust, learned minus static.
pub(super) fn uplift_terms(
    rows: &LoggedRows<'_>,
    learned: &[Arm],
    baseline: &[Arm],
    models: RewardModels<'_>,
) -> Result<Option<Vec<f64>>, OpeError> {
    let Some(dr) = estimator("dr") else { return Ok(None) };
    let terms = |choices: &[Arm]| -> Result<Vec<f64>, OpeError> {
        let target = rows.target(&Choices::Fixed(choices.to_vec()))?;
        Ok(dr.terms(&sample(rows, &target, Some(models))?)?.additive)
    };
    Ok(Some(terms(learned)?.iter().zip(terms(baseline)?).map(|(ours, theirs)| ours - theirs).collect()))
}

fn sample<'a>(
    rows: &'a LoggedRows<'_>,
    target: &'a routewright_domain::Target,
    models: Option<RewardModels<'_>>,
) -> Result<Sample<'a>, OpeError> {
    let mut sample = Sample::new(rows.log()?, target)?;
    if let Some(models) = models {
        sample = sample.with_model(models.regressors)?;
        if let Some(mrdr) = models.mrdr {
            sample = sample.with_mrdr_model(mrdr)?;
        }
    }
    Ok(sample)
}

/// Whether the models that an estimator needs are there.
fn usable(entry: &Estimator, models: Option<RewardModels<'_>>) -> bool {
    match entry.needs {
        Needs::Nothing => true,
        Needs::Model => models.is_some(),
        Needs::MrdrModel => models.is_some_and(|models| models.mrdr.is_some()),
    }
}

/// A policy that no logged row agrees with has no value, a randomised one cannot be matched: the other estimators go on.
fn overlapping<T>(result: Result<T, OpeError>) -> Result<Option<T>, OpeError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(OpeError::NoOverlap | OpeError::StochasticTarget { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An estimate with its interval by influence (and session), and by bootstrap.
fn answer(rows: &LoggedRows<'_>, name: &str, terms: &Terms, limit: Option<f64>, seed: Seed) -> Result<Answer, OpeError> {
    let estimate = match &rows.sessions {
        Some(sessions) => terms.clustered_estimate(sessions, Confidence::TWO_SIDED_95)?,
        None => terms.estimate(Confidence::TWO_SIDED_95),
    };
    let mut rng = seed.derive(name, 0).rng();
    // A bootstrap of single rows would deny that sessions hang together.
    let values = match &rows.sessions {
        Some(sessions) => terms.clustered_bootstrap(sessions, RESAMPLES, &mut rng)?,
        None => terms.bootstrap(RESAMPLES, &mut rng),
    };
    let resampled = percentile_interval(&values, Confidence::TWO_SIDED_95);
    let bootstrap = resampled.lower.is_finite().then_some([resampled.lower, resampled.upper]);
    Ok(Answer { name: name.to_owned(), estimate: Bounded::of(estimate), bootstrap, limit })
}

/// The reward model of MRDR: per path a forest on the training rows on which the learned router agrees with what ran, weighted so that the
/// estimator's variance is small. Predictions for the rows of a log, n × k; `None` where no path has such rows.
pub(super) fn mrdr_model(
    judge: &Judge<'_>,
    rows: &LoggedRows<'_>,
    regressors: &[f64],
) -> Result<Option<Vec<f64>>, Box<dyn std::error::Error + Send + Sync>> {
    let table = judge.table;
    let training = table.training_rows();
    let known: Vec<usize> = thinned(training.as_slice(), MRDR_ROWS)
        .into_iter()
        .map(|row| row as usize)
        .filter(|row| table.outcomes.static_arms[*row].is_some())
        .collect();
    let baseline: Vec<Arm> = known.iter().filter_map(|row| table.outcomes.static_arms[*row]).collect();
    if known.is_empty() {
        return Ok(None);
    }
    let logged = LoggedRows::of_rows(table, &known, &baseline)?;
    if logged.source != PropensitySource::Logged || logged.rows.is_empty() {
        return Ok(None);
    }
    let of_log: Vec<u32> = logged.rows.iter().map(|row| *row as u32).collect();
    let choices: Vec<Arm> = with_predictions(judge.policy, table, &of_log, |position, predictions| {
        let fixed = logged.baseline[position];
        judge.policy.decide(Some(fixed), predictions).arm.unwrap_or(fixed)
    });
    let target = routewright_domain::Target::deterministic(logged.n_arms, &choices)?;
    let weights: Vec<f32> = mrdr_weights(&Sample::new(logged.log()?, &target)?).into_iter().map(|weight| weight as f32).collect();
    let binned = Binned::new(&Matrix::new(&table.columns_of(&of_log))?, MAX_BINS);
    let params =
        ForestParams { n_trees: MRDR_TREES, min_samples_leaf: MRDR_LEAF, max_sample_rows: MAX_SAMPLE_ROWS, ..ForestParams::default() };
    let held_out = Matrix::new(&table.features)?;
    let positions: Vec<u32> = rows.rows.iter().map(|row| *row as u32).collect();
    let (mut predictions, mut n_fitted) = (regressors.to_vec(), 0);
    for arm in table.paths.arms() {
        let own: Vec<u32> =
            (0..weights.len() as u32).filter(|row| weights[*row as usize] > 0.0 && logged.arms[*row as usize] == arm).collect();
        if own.len() < 2 * MRDR_LEAF as usize {
            continue;
        }
        let seed = judge.seed.derive("mrdr", u64::from(arm.0));
        let forest = fit_regressor(&binned, &own, &logged.rewards, Some(weights.as_slice()), &params, seed)?.forest;
        let of_arm = routewright_forest::predict(&forest, &held_out, &positions);
        for (cell, predicted) in predictions.iter_mut().skip(arm.index()).step_by(rows.n_arms).zip(of_arm) {
            *cell = predicted.clamp(0.0, 1.0);
        }
        n_fitted += 1;
    }
    Ok((n_fitted > 0).then_some(predictions))
}
