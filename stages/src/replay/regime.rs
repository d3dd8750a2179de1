//! What can be computed at all: on outcomes of every path, on single runs with propensities, or only bounds.

use routewright_domain::Arm;
use routewright_ope::OpeError;

use super::logged::LoggedRows;
use super::paired::Cells;
use super::policies::Choices;
use crate::artifacts::{Bounded, DisagreementResult, RatePair, RatioResult, UpliftResult};

/// How values and uplifts follow from the held-out window.
#[derive(Clone, Copy)]
pub(super) enum Regime<'a> {
    /// Every path ran on the query: paired and exact.
    Paired(&'a Cells),
    /// Single runs with propensities: weighted.
    Logged(&'a LoggedRows<'a>),
    /// Single runs whose paths were not chosen at random: bounds.
    Bounded(&'a LoggedRows<'a>),
}

/// A number of an outcome beside success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Latency in milliseconds.
    Latency,
    /// Cost in US dollars.
    Cost,
}

impl Regime<'_> {
    /// A policy's success rate and the estimator that gave it.
    pub fn value(&self, choices: &Choices) -> Result<(Bounded, &'static str), OpeError> {
        match self {
            Self::Paired(cells) => Ok((cells.value(choices)?, "exact")),
            Self::Logged(rows) => rows.value(choices),
            Self::Bounded(rows) => rows.bounded_value(choices),
        }
    }

    /// The uplift of one choice over another, in points.
    pub fn uplift(&self, over: &str, learned: &[Arm], other: &[Arm]) -> Result<UpliftResult, OpeError> {
        match self {
            Self::Paired(cells) => Ok(cells.uplift(over, learned, other)?.unwrap_or_default()),
            Self::Logged(rows) => rows.uplift(over, &rows.pair(learned, other)?),
            Self::Bounded(rows) => rows.bounded_uplift(over, &rows.pair(learned, other)?),
        }
    }

    /// A policy's mean latency or cost; where only bounds are known, that of the static router.
    pub fn mean_of(&self, measure: Measure, choices: &Choices) -> Result<Option<f64>, OpeError> {
        match self {
            Self::Paired(cells) => Ok(cells.mean_of(cells.of(measure), choices)),
            Self::Logged(rows) => rows.mean_of(measure, choices),
            Self::Bounded(rows) if rows.is_static(choices) => rows.mean_of(measure, choices),
            Self::Bounded(_) => Ok(None),
        }
    }

    /// Mean latency or cost of both routers, and their ratio.
    pub fn ratio(&self, measure: Measure, learned: &[Arm], baseline: &[Arm]) -> Result<Option<RatioResult>, OpeError> {
        match self {
            Self::Paired(cells) => cells.ratio(cells.of(measure), learned, baseline),
            Self::Logged(rows) => rows.ratio(measure, learned, baseline),
            Self::Bounded(_) => Ok(None),
        }
    }

    /// The 95th percentile of latency under both routers.
    pub fn p95(&self, learned: &[Arm], baseline: &[Arm]) -> Result<Option<(f64, f64)>, OpeError> {
        match self {
            Self::Paired(cells) => Ok(cells.p95(learned, baseline)),
            Self::Logged(rows) => rows.p95(learned, baseline),
            Self::Bounded(_) => Ok(None),
        }
    }

    /// A rate of both routers, from flags per row of the table; known where single runs have propensities, or every path ran.
    pub fn rates(&self, flags: &[Option<bool>], learned: &[Arm], baseline: &[Arm]) -> Result<RatePair, OpeError> {
        match self {
            Self::Paired(cells) => cells.rates(flags, learned, baseline),
            Self::Logged(rows) => rows.rates(flags, learned, baseline),
            Self::Bounded(_) => Ok(RatePair::default()),
        }
    }

    /// What happens where the routers disagree.
    pub fn disagreement(&self, uplift: &UpliftResult, learned: &[Arm], baseline: &[Arm]) -> Result<DisagreementResult, OpeError> {
        if let Self::Paired(cells) = self {
            return cells.disagreement(learned, baseline);
        }
        let share = learned.iter().zip(baseline).filter(|(ours, theirs)| ours != theirs).count() as f64 / learned.len().max(1) as f64;
        let difference_points = if share > 0.0 { uplift.points.times(1.0 / share) } else { Bounded::default() };
        Ok(DisagreementResult { share, difference_points, gains: None, losses: None })
    }
}
