//! Off-policy evaluation: what a log says about a router that did not write it.
//!
//! * [`Comparison`]: learned against static, by the stratified estimator that decides; [`ESTIMATORS`] are all others, reported beside it.
//! * [`Gate`]: a check that the log can bear a verdict; [`Identification`]: what can be known from it at all.
//! * [`decide`]: the rule of E-009, one pure function from [`Evidence`] to [`Decision`].
//!
//! Everything works on slices, reads no file and no clock, and gives the same answer in any order of rows and on any number of threads.
//!
//! ```
//! use routewright_domain::{Arm, Log, Propensity};
//! use routewright_ope::{Comparison, Confidence};
//!
//! // Ten queries on which the routers disagree: the static path ran on seven, the learned one was explored on three.
//! let arms: Vec<Arm> = (0..10).map(|row| Arm(u16::from(row >= 7))).collect();
//! let rewards = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0];
//! let propensities = [vec![Propensity::try_from(0.7)?; 7], vec![Propensity::try_from(0.3)?; 3]].concat();
//! let log = Log::new(2, &arms, &rewards, &propensities)?;
//! let uplift = Comparison::new(log, &[Arm(1); 10], &[Arm(0); 10])?.uplift(Confidence::ONE_SIDED_95);
//! assert!((uplift.estimate.value - 3.0 / 7.0).abs() < 1e-12);
//! assert!(uplift.estimate.interval.lower < 0.0, "three matches prove nothing");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod sample;
mod terms;

mod resample;

pub mod stats;

mod ab_test;
mod anytime;
mod bounds;
mod comparison;
mod decision;
mod dependence;
mod diagnostics;
mod estimators;
mod frontier;
mod full_information;
mod gates;
mod identification;
mod latency;
mod power;
mod randomised;
mod segments;
mod slope;
mod tally;

#[cfg(test)]
mod golden;

pub use ab_test::{AbTest, Assigned, Period, ab_test};
pub use anytime::{anytime_interval, weighted_clopper_pearson};
pub use bounds::{IdentifiedSet, PartialIdentification, deterministic_bounds, imbens_manski, partial_identification, uplift_bounds};
pub use comparison::{Comparison, ExplorationUnit, Sessions, cross_strata, propensity_classes, supported_choices};
pub use decision::{
    CandidateUplift, Counts, Decision, Evidence, Explainability, LatencyRatio, Reason, Retraining, Rule, SimpleRule, UpliftPoints, Verdict,
    decide,
};
pub use dependence::{ExplorationDependence, exploration_dependence, exploration_unit};
pub use diagnostics::{Diagnostics, WeightSummary, diagnostics, weight_summary};
pub use error::OpeError;
pub use estimators::{ESTIMATORS, Estimator, Needs, cressie_read, cressie_read_interval, empirical_likelihood, estimator, mrdr_weights};
pub use frontier::{FrontierPoint, average_gap_recovered, average_quality, call_threshold, hull};
pub use full_information::{OutcomeMatrix, PairedUplift};
pub use gates::{
    GATE_ERROR, Gate, GateName, MIN_EXPECTED, SAMPLE_RATIO_LEVEL, aa_replay, enough_decisions, exploration_matches, exploration_share,
    independent_draws, logged_mean, mean_weight, mean_weight_per_path, mean_weight_per_slice, pending_outcomes, propensity_source,
    sample_ratio_gate, time_split, unsupported_mass,
};
pub use identification::{FULL_INFORMATION_SHARE, Identification, LogFacts, PropensitySource, identify};
pub use latency::{WeightedQuantile, counterfactual_quantile, counterfactual_ratio};
pub use power::{
    EXACT_POWER_ROWS, MATCHES_ABOVE_THREE, MATCHES_ABOVE_ZERO, POWER, PowerPlan, exploration_rows, matches_needed, paired_runs, per_arm,
    per_arm_arcsine, per_arm_to_prove, plan, power_per_arm, shadow_runs_on_disagreement,
};
pub use randomised::{Group, GroupComparison, compare_groups};
pub use resample::{LARGE_LOG, resample_rows};
pub use routewright_domain::{Estimate, Interval};
pub use sample::Sample;
pub use segments::{CHOOSE_LEVEL, Segment, SegmentFolds, SegmentSearch, harmed_segments, search_segments};
pub use slope::{Tuned, least_error, slope};
pub use stats::{Confidence, Ratio};
pub use tally::{Side, StratifiedValue, Stratum, Tally, Uplift};
pub use terms::{Moments, RatioTerms, Terms, clustered_std_error, paired_difference, percentile_interval, std_error};
