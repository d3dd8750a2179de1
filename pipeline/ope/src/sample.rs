//! What every estimator gets: a log, a target policy, and the reward models there are.

use routewright_domain::{Log, Target};

use crate::OpeError;
use crate::error::{check_finite, check_length};

/// A log, a target policy on its rows, the importance weights, and the reward models where there are some.
///
/// Weights and model values are computed once and shared by all estimators.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    log: Log<'a>,
    target: &'a Target,
    weights: Vec<f64>,
    model: Option<ModelValues>,
    mrdr_model: Option<ModelValues>,
}

/// A reward model seen through a target policy.
#[derive(Clone, Debug)]
pub(crate) struct ModelValues {
    /// `v = Σ_a π(a|x) q(x, a)` per row.
    pub(crate) policy: Vec<f64>,
    /// `q(x, a)` of the path that ran, per row.
    pub(crate) logged: Vec<f64>,
}

impl<'a> Sample<'a> {
    /// Puts a log and a target together and computes `w = π(a|x) / p`.
    ///
    /// # Errors
    /// [`OpeError::Length`] when the target has other rows or paths than the log.
    pub fn new(log: Log<'a>, target: &'a Target) -> Result<Self, OpeError> {
        check_length("target rows", log.n_rows(), target.n_rows())?;
        check_length("target paths", log.n_arms(), target.n_arms())?;
        let logged = log.arms().iter().zip(log.propensities()).enumerate();
        let weights = logged.map(|(row, (arm, propensity))| target.row(row)[arm.index()] / propensity.get()).collect();
        Ok(Self { log, target, weights, model: None, mrdr_model: None })
    }

    /// Adds a cross-fitted reward model: n × k predictions, row after row, in the unit of the reward.
    ///
    /// # Errors
    /// [`OpeError`] when the length is not n × k or a prediction is not finite.
    pub fn with_model(mut self, predictions: &[f64]) -> Result<Self, OpeError> {
        self.model = Some(self.through_target(predictions)?);
        Ok(self)
    }

    /// Adds a reward model fitted with [`mrdr_weights`](crate::mrdr_weights), for the estimator of that name.
    ///
    /// # Errors
    /// [`OpeError`] when the length is not n × k or a prediction is not finite.
    pub fn with_mrdr_model(mut self, predictions: &[f64]) -> Result<Self, OpeError> {
        self.mrdr_model = Some(self.through_target(predictions)?);
        Ok(self)
    }

    /// The log.
    pub fn log(&self) -> Log<'a> {
        self.log
    }

    /// The target policy.
    pub fn target(&self) -> &'a Target {
        self.target
    }

    /// Importance weights, one per row.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The reward model, or the error that says who misses it.
    pub(crate) fn model(&self, estimator: &'static str) -> Result<&ModelValues, OpeError> {
        self.model.as_ref().ok_or(OpeError::MissingModel { estimator, model: "cross-fitted predictions per path" })
    }

    /// The reward model of MRDR, or the error that says who misses it.
    pub(crate) fn mrdr_model(&self) -> Result<&ModelValues, OpeError> {
        self.mrdr_model.as_ref().ok_or(OpeError::MissingModel { estimator: "mrdr", model: "fitted with the MRDR weights" })
    }

    /// Weighted rewards `w r`, the weights changed by a function.
    pub(crate) fn weighted_rewards(&self, change: impl Fn(f64) -> f64) -> Vec<f64> {
        self.weights.iter().zip(self.log.rewards()).map(|(&weight, reward)| change(weight) * reward).collect()
    }

    /// Weighted residuals `w (r − q)` of a model, the weights changed by a function.
    pub(crate) fn weighted_residuals(&self, model: &ModelValues, change: impl Fn(f64) -> f64) -> Vec<f64> {
        let rows = self.weights.iter().zip(self.log.rewards()).zip(&model.logged);
        rows.map(|((&weight, reward), predicted)| change(weight) * (reward - predicted)).collect()
    }

    /// Averages n × k predictions over the target and picks those of the paths that ran.
    fn through_target(&self, predictions: &[f64]) -> Result<ModelValues, OpeError> {
        let n_arms = self.log.n_arms();
        check_length("reward model", self.log.n_rows() * n_arms, predictions.len())?;
        check_finite("reward model", predictions)?;
        let rows = predictions.chunks_exact(n_arms);
        let average = |(row, q): (usize, &[f64])| self.target.row(row).iter().zip(q).map(|(share, value)| share * value).sum();
        Ok(ModelValues {
            policy: rows.clone().enumerate().map(average).collect(),
            logged: rows.zip(self.log.arms()).map(|(q, arm)| q[arm.index()]).collect(),
        })
    }
}
