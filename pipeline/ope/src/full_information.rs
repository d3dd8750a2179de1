//! Full information: every path ran on the query, so values are exact for the queries seen, and differences are paired.

use routewright_domain::{Arm, Estimate};
use serde::{Deserialize, Serialize};

use crate::error::check_length;
use crate::stats::{Confidence, Mcnemar, Ratio, bonett_price, mcnemar, mean, paired_ratio};
use crate::terms::{clustered_std_error, std_error, wald_estimate};
use crate::{OpeError, Terms};

/// Outcomes of queries × paths, row after row, NaN where a path did not run.
#[derive(Clone, Copy, Debug)]
pub struct OutcomeMatrix<'a> {
    n_arms: usize,
    outcomes: &'a [f64],
}

/// The uplift of one choice of paths over another, paired query by query.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedUplift {
    /// Mean difference on the queries where both outcomes are known.
    pub estimate: Estimate,
    /// Queries with both outcomes.
    pub pairs: usize,
    /// Queries with an outcome missing on a path that was chosen.
    pub missing: usize,
    /// Queries on which only the learned choice succeeds (is better).
    pub gains: u64,
    /// Queries on which only the static choice succeeds (is better).
    pub losses: u64,
    /// Queries on which the choices differ.
    pub differing: usize,
    /// McNemar's test on gains and losses.
    pub test: Mcnemar,
}

impl<'a> OutcomeMatrix<'a> {
    /// Checks n × k outcomes; NaN means missing.
    ///
    /// # Errors
    /// [`OpeError`] when the length is no multiple of `n_arms`, or an outcome is infinite.
    pub fn new(n_arms: usize, outcomes: &'a [f64]) -> Result<Self, OpeError> {
        if n_arms == 0 || outcomes.is_empty() || !outcomes.len().is_multiple_of(n_arms) {
            return Err(OpeError::Length { column: "outcomes", expected: n_arms, found: outcomes.len() });
        }
        match outcomes.iter().position(|outcome| outcome.is_infinite()) {
            Some(row) => Err(OpeError::NotFinite { column: "outcomes", row }),
            None => Ok(Self { n_arms, outcomes }),
        }
    }

    /// Number of queries.
    pub fn n_queries(&self) -> usize {
        self.outcomes.len() / self.n_arms
    }

    /// Number of paths.
    pub fn n_arms(&self) -> usize {
        self.n_arms
    }

    /// The outcome of a path on a query, where it ran.
    pub fn outcome(&self, query: usize, arm: Arm) -> Option<f64> {
        let outcome = self.outcomes.get(query * self.n_arms..)?.get(arm.index())?;
        (arm.index() < self.n_arms && !outcome.is_nan()).then_some(*outcome)
    }

    /// Mean outcome of a choice of paths on the queries where it is known, with its Wald interval; `None` where it is known nowhere.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one choice per query.
    pub fn value(&self, choices: &[Arm], confidence: Confidence) -> Result<Option<Estimate>, OpeError> {
        check_length("choices", self.n_queries(), choices.len())?;
        let known: Vec<f64> = choices.iter().enumerate().filter_map(|(query, &arm)| self.outcome(query, arm)).collect();
        Ok((!known.is_empty()).then(|| Terms::mean(known).estimate(confidence)))
    }

    /// The best outcome of every query by a score that counts more as better (`NaN` without any outcome): the oracle of successes.
    pub fn best(&self) -> Vec<f64> {
        self.outcomes.chunks_exact(self.n_arms).map(|row| row.iter().copied().fold(f64::NAN, f64::max)).collect()
    }

    /// The uplift of `learned` over `baseline`; `None` without a query where both are known.
    ///
    /// Successes of 0 and 1 get Bonett and Price's paired interval, other outcomes Wald's. With `clusters`, one per query, the standard
    /// error and the interval allow for queries that move together.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one choice (or cluster) per query.
    pub fn uplift(
        &self,
        learned: &[Arm],
        baseline: &[Arm],
        clusters: Option<&[u32]>,
        confidence: Confidence,
    ) -> Result<Option<PairedUplift>, OpeError> {
        check_length("learned choices", self.n_queries(), learned.len())?;
        check_length("static choices", self.n_queries(), baseline.len())?;
        if let Some(clusters) = clusters {
            check_length("clusters", self.n_queries(), clusters.len())?;
        }
        let pairs = self.pairs(learned, baseline);
        if pairs.is_empty() {
            return Ok(None);
        }
        let differences: Vec<f64> = pairs.iter().map(|&(_, ours, theirs)| ours - theirs).collect();
        let gains = differences.iter().filter(|&&difference| difference > 0.0).count() as u64;
        let losses = differences.iter().filter(|&&difference| difference < 0.0).count() as u64;
        let value = mean(&differences);
        let influence: Vec<f64> = differences.iter().map(|difference| difference - value).collect();
        let binary = pairs.iter().all(|&(_, ours, theirs)| is_binary(ours) && is_binary(theirs));
        let mut estimate = match clusters {
            Some(clusters) => {
                let kept: Vec<u32> = pairs.iter().map(|&(query, ..)| clusters[query]).collect();
                wald_estimate(value, clustered_std_error(&influence, &kept)?, confidence)
            }
            None => wald_estimate(value, std_error(&influence), confidence),
        };
        if binary && clusters.is_none() {
            estimate.interval = bonett_price(gains as f64, losses as f64, pairs.len() as f64, confidence);
        }
        Ok(Some(PairedUplift {
            estimate,
            pairs: pairs.len(),
            missing: self.n_queries() - pairs.len(),
            gains,
            losses,
            differing: learned.iter().zip(baseline).filter(|(ours, theirs)| ours != theirs).count(),
            test: mcnemar(gains, losses),
        }))
    }

    /// The ratio of the mean outcomes (latency, cost) of two choices on the queries where both are known; `None` where there is none.
    ///
    /// # Errors
    /// [`OpeError::Length`] when there is not one choice per query.
    pub fn ratio(&self, learned: &[Arm], baseline: &[Arm], confidence: Confidence) -> Result<Option<Ratio>, OpeError> {
        check_length("learned choices", self.n_queries(), learned.len())?;
        check_length("static choices", self.n_queries(), baseline.len())?;
        let (ours, theirs): (Vec<f64>, Vec<f64>) = self.pairs(learned, baseline).into_iter().map(|(_, a, b)| (a, b)).unzip();
        paired_ratio(&ours, &theirs, confidence)
    }

    /// Queries on which both choices are known, with both outcomes.
    fn pairs(&self, learned: &[Arm], baseline: &[Arm]) -> Vec<(usize, f64, f64)> {
        let choices = learned.iter().zip(baseline).enumerate();
        choices.filter_map(|(query, (&ours, &theirs))| Some((query, self.outcome(query, ours)?, self.outcome(query, theirs)?))).collect()
    }
}

/// Whether an outcome is a plain success or failure.
fn is_binary(outcome: f64) -> bool {
    outcome == 0.0 || outcome == 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATRIX: [f64; 8] = [1.0, 0.0, 0.0, 1.0, f64::NAN, 1.0, 1.0, 1.0];

    #[test]
    fn pairs_with_a_missing_cell_are_counted_and_left_out() {
        let matrix = OutcomeMatrix::new(2, &MATRIX).unwrap();
        let uplift = matrix.uplift(&[Arm(1); 4], &[Arm(0); 4], None, Confidence::TWO_SIDED_95).unwrap().unwrap();
        assert_eq!((uplift.pairs, uplift.missing, uplift.gains, uplift.losses), (3, 1, 1, 1));
        assert_eq!(uplift.estimate.value, 0.0);
        assert_eq!(uplift.test.exact, 1.0);
    }

    #[test]
    fn the_oracle_takes_the_best_known_outcome() {
        assert_eq!(OutcomeMatrix::new(2, &MATRIX).unwrap().best(), [1.0; 4]);
    }

    #[test]
    fn a_path_past_the_last_has_no_outcome() {
        assert_eq!(OutcomeMatrix::new(2, &MATRIX).unwrap().outcome(0, Arm(2)), None);
    }

    #[test]
    fn latency_is_compared_pair_by_pair() {
        let matrix = OutcomeMatrix::new(2, &[100.0, 50.0, 200.0, 100.0]).unwrap();
        let ratio = matrix.ratio(&[Arm(1); 2], &[Arm(0); 2], Confidence::TWO_SIDED_95).unwrap().unwrap();
        assert_eq!((ratio.ratio, ratio.log_std_error), (0.5, 0.0));
    }
}
