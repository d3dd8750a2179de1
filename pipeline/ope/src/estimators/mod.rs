//! The estimators: one file each, one list.
//!
//! All are reported. None of them decides: that is [`Comparison`](crate::Comparison).

mod clipped_dr;
mod clipped_ips;
mod cressie_read;
mod dm;
mod dr;
mod dr_os;
mod empirical_likelihood;
mod ips;
mod mrdr;
mod replay;
mod sg_dr;
mod sg_ips;
mod sndr;
mod snips;
mod switch_dr;

use routewright_domain::Estimate;

use crate::stats::Confidence;
use crate::{OpeError, Sample, Terms};

pub use cressie_read::{cressie_read, cressie_read_interval};
pub use empirical_likelihood::empirical_likelihood;
pub use mrdr::mrdr_weights;

/// An estimator of a policy's mean reward.
#[derive(Clone, Copy, Debug)]
pub struct Estimator {
    /// Its name in reports and JSON.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// The model it needs.
    pub needs: Needs,
    /// The limit on the weights it uses when none is given, as a function of the number of rows; `None` where it has no limit.
    pub default_limit: Option<fn(usize) -> f64>,
    terms: fn(&Sample<'_>, f64) -> Result<Terms, OpeError>,
}

/// The reward model an estimator needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// None.
    Nothing,
    /// Cross-fitted predictions per path: [`Sample::with_model`].
    Model,
    /// Predictions fitted with [`mrdr_weights`]: [`Sample::with_mrdr_model`].
    MrdrModel,
}

/// Every estimator, in the order of reports.
pub const ESTIMATORS: &[Estimator] = &[
    replay::ESTIMATOR,
    ips::ESTIMATOR,
    clipped_ips::ESTIMATOR,
    sg_ips::ESTIMATOR,
    snips::ESTIMATOR,
    dm::ESTIMATOR,
    dr::ESTIMATOR,
    clipped_dr::ESTIMATOR,
    sndr::ESTIMATOR,
    switch_dr::ESTIMATOR,
    dr_os::ESTIMATOR,
    sg_dr::ESTIMATOR,
    mrdr::ESTIMATOR,
];

impl Estimator {
    /// The per-row terms, with the default limit.
    ///
    /// # Errors
    /// [`OpeError`] when a model is missing, the target randomises (replay), or nothing overlaps.
    pub fn terms(&self, sample: &Sample<'_>) -> Result<Terms, OpeError> {
        let limit = self.default_limit.map_or(f64::INFINITY, |limit| limit(sample.log().n_rows()));
        (self.terms)(sample, limit)
    }

    /// The per-row terms with a limit on the weights; its meaning is in the estimator's file, and others ignore it.
    ///
    /// # Errors
    /// As [`Self::terms`], and [`OpeError::Setting`] for a negative limit.
    pub fn terms_with_limit(&self, sample: &Sample<'_>, limit: f64) -> Result<Terms, OpeError> {
        if limit >= 0.0 {
            (self.terms)(sample, limit)
        } else {
            Err(OpeError::Setting { name: "limit", expected: "be at least 0", found: limit })
        }
    }

    /// The estimate with its influence-function standard error and Wald interval, with the default limit.
    ///
    /// # Errors
    /// As [`Self::terms`].
    pub fn estimate(&self, sample: &Sample<'_>, confidence: Confidence) -> Result<Estimate, OpeError> {
        Ok(self.terms(sample)?.estimate(confidence))
    }
}

/// The estimator of a name.
pub fn estimator(name: &str) -> Option<&'static Estimator> {
    ESTIMATORS.iter().find(|estimator| estimator.name == name)
}

/// A limit that grows with the data, so that the bias it brings goes away: √n.
fn root_of_rows(n_rows: usize) -> f64 {
    (n_rows as f64).sqrt()
}

/// Sums two columns.
fn sum(mut first: Vec<f64>, second: &[f64]) -> Vec<f64> {
    for (own, other) in first.iter_mut().zip(second) {
        *own += other;
    }
    first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use routewright_domain::{Arm, Log, Propensity, Target};

    use super::*;

    /// Rows (arm, reward, propensity, learned arm) and n × 3 predictions.
    type Rows = (Vec<(u16, bool, f64, u16)>, Vec<f64>);

    fn rows() -> impl Strategy<Value = Rows> {
        (1_usize..40).prop_flat_map(|n| {
            (prop::collection::vec((0_u16..3, any::<bool>(), 0.05_f64..=1.0, 0_u16..3), n), prop::collection::vec(0.0_f64..1.0, 3 * n))
        })
    }

    /// Runs a check on the sample that rows make.
    fn with_sample(rows: &Rows, check: impl Fn(&Sample<'_>)) {
        let arms: Vec<Arm> = rows.0.iter().map(|row| Arm(row.0)).collect();
        let rewards: Vec<f64> = rows.0.iter().map(|row| f64::from(u8::from(row.1))).collect();
        let propensities: Vec<Propensity> = rows.0.iter().map(|row| Propensity::try_from(row.2).unwrap()).collect();
        let choices: Vec<Arm> = rows.0.iter().map(|row| Arm(row.3)).collect();
        let target = Target::deterministic(3, &choices).unwrap();
        let log = Log::new(3, &arms, &rewards, &propensities).unwrap();
        let sample = Sample::new(log, &target).unwrap().with_model(&rows.1).unwrap().with_mrdr_model(&rows.1).unwrap();
        check(&sample);
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::BTreeSet<_> = ESTIMATORS.iter().map(|estimator| estimator.name).collect();
        assert_eq!(names.len(), ESTIMATORS.len());
    }

    #[test]
    fn a_missing_model_is_named() {
        let (arms, rewards, propensities) = ([Arm(0)], [1.0], [Propensity::CERTAIN]);
        let target = Target::deterministic(1, &[Arm(0)]).unwrap();
        let sample = Sample::new(Log::new(1, &arms, &rewards, &propensities).unwrap(), &target).unwrap();
        for estimator in ESTIMATORS {
            assert_eq!(estimator.terms(&sample).is_err(), estimator.needs != Needs::Nothing, "{}", estimator.name);
        }
    }

    #[test]
    fn replay_refuses_a_target_that_randomises() {
        let (arms, rewards, propensities) = ([Arm(0)], [1.0], [Propensity::CERTAIN]);
        let target = Target::new(2, vec![0.5, 0.5]).unwrap();
        let sample = Sample::new(Log::new(2, &arms, &rewards, &propensities).unwrap(), &target).unwrap();
        assert_eq!(replay::ESTIMATOR.terms(&sample), Err(OpeError::StochasticTarget { row: 0 }));
    }

    proptest! {
        #[test]
        fn every_estimator_is_finite_or_says_no_overlap(rows in rows()) {
            with_sample(&rows, |sample| {
                for estimator in ESTIMATORS {
                    match estimator.terms(sample) {
                        Ok(terms) => {
                            let estimate = terms.estimate(Confidence::TWO_SIDED_95);
                            assert!(estimate.value.is_finite() && estimate.std_error >= 0.0, "{}", estimator.name);
                            assert!(estimate.interval.contains(estimate.value), "{}", estimator.name);
                            let sum: f64 = terms.influence().iter().sum();
                            assert!(sum.abs() < 1e-6, "{}: influences sum to {sum}", estimator.name);
                        }
                        Err(error) => assert_eq!(error, OpeError::NoOverlap, "{}", estimator.name),
                    }
                }
            });
        }

        #[test]
        fn every_estimator_ignores_the_order_of_rows(rows in rows()) {
            let reversed = (rows.0.iter().rev().copied().collect(), rows.1.chunks(3).rev().flatten().copied().collect());
            let values = std::cell::RefCell::new(Vec::new());
            for order in [&rows, &reversed] {
                with_sample(order, |sample| {
                    let estimates = ESTIMATORS.iter().map(|estimator| estimator.estimate(sample, Confidence::TWO_SIDED_95).ok());
                    values.borrow_mut().push(estimates.map(|estimate| estimate.map(|e| e.value)).collect::<Vec<_>>());
                });
            }
            let values = values.into_inner();
            for (first, second) in values[0].iter().zip(&values[1]) {
                match (first, second) {
                    (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-9),
                    _ => prop_assert_eq!(first, second),
                }
            }
        }
    }
}
