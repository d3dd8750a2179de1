//! Judging on full information: every path ran on the query, so each policy's value is exact for the queries seen.

use routewright_domain::Arm;
use routewright_ope::{Confidence, LogFacts, OpeError, OutcomeMatrix, PropensitySource};
use routewright_table::FeatureTable;

use super::held_out::HeldOut;
use super::logged::points;
use super::policies::Choices;
use super::regime::Measure;
use super::segments::Difference;
use crate::artifacts::{Bounded, DisagreementResult, GapResult, RatePair, RatioResult, UpliftResult};

/// How much worse than the cutoff a failure counts in PAR10, the score of algorithm selection (Bischl et al. 2016).
const PENALTY: f64 = 10.0;

/// Outcomes of every held-out query on every path, `NaN` where it did not run.
pub(super) struct Cells {
    n_arms: usize,
    pub success: Vec<f64>,
    latency_ms: Vec<f64>,
    cost_usd: Vec<f64>,
    /// Positions of the rows of the table that hold each cell.
    rows: Vec<Option<usize>>,
    /// Session per query, where sessions have several queries.
    sessions: Option<Vec<u32>>,
}

impl Cells {
    /// Collects the cells of the held-out queries.
    pub fn collect(table: &FeatureTable, held_out: &HeldOut) -> Self {
        let outcomes = &table.outcomes;
        let rows = held_out.cell_rows(table);
        let values = |value: &dyn Fn(usize) -> f64| rows.iter().map(|row| row.map_or(f64::NAN, value)).collect::<Vec<f64>>();
        Self {
            n_arms: table.paths.len(),
            success: values(&|row| outcomes.successes[row].map_or(f64::NAN, |success| f64::from(u8::from(success)))),
            latency_ms: values(&|row| outcomes.latencies_ms[row]),
            cost_usd: values(&|row| outcomes.costs[row]),
            sessions: held_out.sessions(table),
            rows,
        }
    }

    /// The cells of a measure.
    pub fn of(&self, measure: Measure) -> &[f64] {
        match measure {
            Measure::Latency => &self.latency_ms,
            Measure::Cost => &self.cost_usd,
        }
    }

    /// A rate of both routers on the queries where both know it.
    pub fn rates(&self, flags: &[Option<bool>], learned: &[Arm], baseline: &[Arm]) -> Result<RatePair, OpeError> {
        let flag = |row: &Option<usize>| row.and_then(|row| flags[row]).map_or(f64::NAN, |flag| f64::from(u8::from(flag)));
        let cells: Vec<f64> = self.rows.iter().map(flag).collect();
        let matrix = OutcomeMatrix::new(self.n_arms, &cells)?;
        let n = (0..learned.len())
            .filter(|query| matrix.outcome(*query, learned[*query]).is_some() && matrix.outcome(*query, baseline[*query]).is_some())
            .count();
        let rate = |choices: &[Arm]| Ok::<_, OpeError>(matrix.value(choices, Confidence::TWO_SIDED_95)?.map(Bounded::of));
        if n == 0 { Ok(RatePair::default()) } else { Ok(RatePair { n, static_rate: rate(baseline)?, learned_rate: rate(learned)? }) }
    }

    /// Differences in success of two choices, one per query where both are known, with the position of the query.
    pub fn differences<'a>(&'a self, learned: &'a [Arm], baseline: &'a [Arm]) -> impl Iterator<Item = (usize, f64)> + 'a {
        let cell = move |position: usize, arm: Arm| self.success[position * self.n_arms + arm.index()];
        let difference = move |position: usize| cell(position, learned[position]) - cell(position, baseline[position]);
        (0..learned.len()).map(move |position| (position, difference(position))).filter(|(_, difference)| difference.is_finite())
    }

    /// Share of queries on which several paths ran and both routers' paths are among them.
    pub fn both_known(&self, learned: &[Arm], baseline: &[Arm]) -> f64 {
        let known = |position: usize, arm: Arm| self.success[position * self.n_arms + arm.index()].is_finite();
        let several = |position: usize| (0..self.n_arms).filter(|arm| known(position, Arm(*arm as u16))).count() > 1;
        let n = learned.len();
        (0..n)
            .filter(|position| several(*position) && known(*position, learned[*position]) && known(*position, baseline[*position]))
            .count() as f64
            / n.max(1) as f64
    }

    /// The facts of a log in which every path ran.
    pub fn facts(&self, learned: &[Arm], baseline: &[Arm]) -> LogFacts {
        let differing = learned.iter().zip(baseline).filter(|(ours, theirs)| ours != theirs).count();
        LogFacts {
            both_paths_known: self.both_known(learned, baseline),
            randomised_groups: false,
            propensity_source: PropensitySource::Absent,
            uncertain_share: 0.0,
            deviation_share: 0.0,
            disagreement: differing as f64 / learned.len().max(1) as f64,
            unsupported_mass: 0.0,
        }
    }

    /// A policy's success rate.
    pub fn value(&self, choices: &Choices) -> Result<Bounded, OpeError> {
        let matrix = OutcomeMatrix::new(self.n_arms, &self.success)?;
        match choices {
            Choices::Fixed(arms) => Ok(matrix.value(arms, Confidence::TWO_SIDED_95)?.map_or_else(unknown, Bounded::of)),
            Choices::Mixed(shares) => {
                let mixed: Vec<f64> = self
                    .success
                    .chunks_exact(self.n_arms)
                    .map(|cells| expectation(shares, cells))
                    .filter(|mean| mean.is_finite())
                    .collect();
                let single = OutcomeMatrix::new(1, &mixed)?;
                Ok(single.value(&vec![Arm(0); mixed.len()], Confidence::TWO_SIDED_95)?.map_or_else(unknown, Bounded::of))
            }
        }
    }

    /// A policy's mean of other cells (latency, cost); `None` where it is unknown for a query.
    pub fn mean_of(&self, cells: &[f64], choices: &Choices) -> Option<f64> {
        let n_queries = cells.len() / self.n_arms;
        let total: f64 = match choices {
            Choices::Fixed(arms) => arms.iter().enumerate().map(|(position, arm)| cells[position * self.n_arms + arm.index()]).sum(),
            Choices::Mixed(shares) => cells.chunks_exact(self.n_arms).map(|cells| expectation(shares, cells)).sum(),
        };
        Some(total / n_queries as f64).filter(|mean| mean.is_finite())
    }

    /// The uplift of one choice over another, in points.
    pub fn uplift(&self, over: &str, learned: &[Arm], baseline: &[Arm]) -> Result<Option<UpliftResult>, OpeError> {
        let matrix = OutcomeMatrix::new(self.n_arms, &self.success)?;
        let two = matrix.uplift(learned, baseline, self.sessions.as_deref(), Confidence::TWO_SIDED_95)?;
        let one = matrix.uplift(learned, baseline, self.sessions.as_deref(), Confidence::ONE_SIDED_95)?;
        Ok(two.zip(one).map(|(two, one)| points(over, "paired", two.estimate, one.estimate)))
    }

    /// The paired difference on some queries where both outcomes are known.
    pub fn difference(&self, holds: impl Fn(usize) -> bool, learned: &[Arm], baseline: &[Arm]) -> Difference {
        let differences: Vec<f64> =
            self.differences(learned, baseline).filter(|(position, _)| holds(*position)).map(|(_, difference)| difference).collect();
        let count = |sign: f64| differences.iter().filter(|difference| **difference * sign > 0.0).count();
        Difference::of(count(1.0), count(-1.0), differences.len())
    }

    /// What happens where the routers disagree.
    pub fn disagreement(&self, learned: &[Arm], baseline: &[Arm]) -> Result<DisagreementResult, OpeError> {
        let matrix = OutcomeMatrix::new(self.n_arms, &self.success)?;
        let Some(all) = matrix.uplift(learned, baseline, self.sessions.as_deref(), Confidence::TWO_SIDED_95)? else {
            return Ok(DisagreementResult::default());
        };
        let share = all.differing as f64 / learned.len().max(1) as f64;
        let difference_points = if share > 0.0 { Bounded::of(all.estimate).times(100.0 / share) } else { Bounded::default() };
        Ok(DisagreementResult { share, difference_points, gains: Some(all.gains), losses: Some(all.losses) })
    }

    /// Means of latency (or cost) under both routers and their ratio.
    pub fn ratio(&self, cells: &[f64], learned: &[Arm], baseline: &[Arm]) -> Result<Option<RatioResult>, OpeError> {
        let ratio = OutcomeMatrix::new(self.n_arms, cells)?.ratio(learned, baseline, Confidence::ONE_SIDED_95)?;
        Ok(ratio.and_then(RatioResult::of))
    }

    /// The 95th percentile of latency under both routers.
    pub fn p95(&self, learned: &[Arm], baseline: &[Arm]) -> Option<(f64, f64)> {
        let quantile = |choices: &[Arm]| {
            let mut latencies: Vec<f64> =
                choices.iter().enumerate().map(|(position, arm)| self.latency_ms[position * self.n_arms + arm.index()]).collect();
            latencies.sort_by(f64::total_cmp);
            latencies.get((latencies.len() * 95).div_ceil(100).saturating_sub(1)).copied().filter(|latency| latency.is_finite())
        };
        quantile(baseline).zip(quantile(learned))
    }

    /// How much of the way from the best single path to the oracle the learned router goes.
    pub fn gap_closed(&self, learned: &Choices, best_single: &Choices, oracle: &Choices) -> Result<Option<GapResult>, OpeError> {
        let share = |learned: f64, single: f64, best: f64| (learned - single) / (best - single);
        let values = [self.value(learned)?.value, self.value(best_single)?.value, self.value(oracle)?.value];
        let [Some(ours), Some(single), Some(best)] = values else { return Ok(None) };
        if best <= single {
            return Ok(None);
        }
        let cutoff = self.latency_ms.iter().copied().filter(|latency| latency.is_finite()).fold(0.0, f64::max);
        let penalised: Vec<f64> = self
            .success
            .iter()
            .zip(&self.latency_ms)
            .map(|(success, latency)| if *success == 1.0 { *latency } else { PENALTY * cutoff })
            .collect();
        let best_penalised = Choices::Fixed(penalised.chunks_exact(self.n_arms).map(lowest).collect());
        let par10 = self
            .mean_of(&penalised, learned)
            .zip(self.mean_of(&penalised, best_single))
            .zip(self.mean_of(&penalised, &best_penalised))
            .map(|((ours, single), best)| share(ours, single, best))
            .filter(|share| share.is_finite() && cutoff > 0.0);
        Ok(Some(GapResult { success: share(ours, single, best), par10, cutoff_ms: (cutoff > 0.0).then_some(cutoff) }))
    }
}

/// The mean of the cells under shares; `NaN` where a path with a share did not run.
fn expectation(shares: &[f64], cells: &[f64]) -> f64 {
    shares.iter().zip(cells).filter(|(share, _)| **share > 0.0).map(|(share, cell)| share * cell).sum()
}

/// The position of the lowest cell, the first of equals.
fn lowest(cells: &[f64]) -> Arm {
    let position = (0..cells.len()).min_by(|left, right| cells[*left].total_cmp(&cells[*right])).unwrap_or_default();
    Arm(position as u16)
}

/// What is known of a policy whose cells are missing.
fn unknown() -> Bounded {
    Bounded { value: None, lower: 0.0, upper: 1.0 }
}
