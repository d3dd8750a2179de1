//! How much rows of one session depend on each other, and what that costs the intervals.
//!
//! Rows of a session share a user, a task, and with sticky exploration the draw itself. With ρ the correlation of two rows of a session and
//! `b = Σ_g W_g² / Σ w²` the size of a session as the weights see it, the variance of a mean is `1 + (b − 1) ρ` times that of independent rows (Kish
//! 1965): effective counts are divided by it. ρ is measured over all strata together and its one-sided upper bound is used; where exploration
//! was drawn per session, ρ is 1: a session counts once. Where sessions hold one row each, b is 1 and nothing changes.

use std::collections::BTreeMap;

use super::{Cell, Row, Side, Tally};
use crate::ExplorationUnit;
use crate::stats::Confidence;

/// Sessions with several rows below which their dependence is not measured but assumed to be total.
const MIN_SESSIONS: usize = 10;

/// Sums per session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionSums {
    unit: ExplorationUnit,
    sessions: BTreeMap<u32, Session>,
}

/// One session.
#[derive(Clone, Debug, Default, PartialEq)]
struct Session {
    n_rows: f64,
    n_differing: f64,
    /// Sums per stratum and side.
    sums: BTreeMap<(u32, bool, Side), Sums>,
}

/// The rows of a session, a stratum and a side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    count: f64,
    weight: f64,
    reward: f64,
    reward_squared: f64,
}

/// How the session part of the variance is made.
pub(super) struct Dependence {
    of_matches: BTreeMap<(u32, bool, Side), f64>,
    of_shares: f64,
}

impl Dependence {
    /// Independent rows.
    pub(super) fn none() -> Self {
        Self { of_matches: BTreeMap::new(), of_shares: 1.0 }
    }

    /// Design effect on the mean of a side's matches in a stratum; at least 1.
    pub(super) fn of_matches(&self, key: u32, differ: bool, side: Side) -> f64 {
        self.of_matches.get(&(key, differ, side)).copied().unwrap_or(1.0)
    }

    /// Design effect on the strata's shares; at least 1.
    pub(super) fn of_shares(&self) -> f64 {
        self.of_shares
    }
}

impl SessionSums {
    pub(super) fn new(unit: ExplorationUnit) -> Self {
        Self { unit, sessions: BTreeMap::new() }
    }

    /// Counts one row.
    pub(super) fn push(&mut self, session: u32, row: Row) {
        let found = self.sessions.entry(session).or_default();
        found.n_rows += 1.0;
        found.n_differing += f64::from(u8::from(row.differ));
        for side in [Side::Learned, Side::Baseline] {
            if row.ran(side) {
                let weight = 1.0 / row.propensity;
                found.sums.entry((row.key, row.differ, side)).or_default().add(&Sums {
                    count: 1.0,
                    weight,
                    reward: row.reward,
                    reward_squared: row.reward * row.reward,
                });
            }
        }
    }

    /// Adds another shard.
    pub(super) fn merge(&mut self, other: &Self) {
        for (session, theirs) in &other.sessions {
            let own = self.sessions.entry(*session).or_default();
            own.n_rows += theirs.n_rows;
            own.n_differing += theirs.n_differing;
            for (key, sums) in &theirs.sums {
                own.sums.entry(*key).or_default().add(sums);
            }
        }
    }

    /// Sessions with a row of D on which the learned path ran.
    pub(super) fn exploration_sessions(&self) -> usize {
        self.sessions.values().filter(|session| session.sums.keys().any(|(_, differ, side)| *differ && *side == Side::Learned)).count()
    }

    /// Measures the dependence.
    pub(super) fn dependence(&self, tally: &Tally) -> Dependence {
        let rho = match self.unit {
            ExplorationUnit::Session => 1.0,
            ExplorationUnit::Decision => self.outcome_correlation(tally),
        };
        let mut squares: BTreeMap<(u32, bool, Side), f64> = BTreeMap::new();
        for session in self.sessions.values() {
            for (key, sums) in &session.sums {
                *squares.entry(*key).or_default() += sums.weight * sums.weight;
            }
        }
        let effect = |((key, differ, side), squares): ((u32, bool, Side), f64)| {
            let own = tally.strata.get(&(key, differ)).map_or(1.0, |cell| cell.side(side).weight_squared);
            ((key, differ, side), design_effect(squares / own, rho))
        };
        let n_rows = tally.n_rows().max(1) as f64;
        let size = self.sessions.values().map(|session| session.n_rows * session.n_rows).sum::<f64>() / n_rows;
        Dependence { of_matches: squares.into_iter().map(effect).collect(), of_shares: design_effect(size, self.share_correlation(tally)) }
    }

    /// Upper bound of the correlation of the outcomes of two rows of a session, each as its distance from its stratum's mean.
    fn outcome_correlation(&self, tally: &Tally) -> f64 {
        let sums = |session: &Session| {
            let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
            for ((key, differ, side), sums) in &session.sums {
                // Where the routers agree both sides hold the same rows.
                let counted = *differ || *side == Side::Baseline;
                let Some((mean, sd)) = tally.strata.get(&(*key, *differ)).filter(|_| counted).and_then(|cell| spread(cell, *side)) else {
                    continue;
                };
                sum += (sums.reward - mean * sums.count) / sd;
                squares += (sums.reward_squared - 2.0 * mean * sums.reward + mean * mean * sums.count) / (sd * sd);
                count += sums.count;
            }
            Pairs::of(sum, squares, count)
        };
        upper_correlation(self.sessions.values().map(sums))
    }

    /// Upper bound of the correlation within a session of whether the routers disagree.
    fn share_correlation(&self, tally: &Tally) -> f64 {
        let n_rows = tally.n_rows().max(1) as f64;
        let share = self.sessions.values().map(|session| session.n_differing).sum::<f64>() / n_rows;
        let variance = share * (1.0 - share);
        if variance <= 0.0 {
            return 0.0;
        }
        upper_correlation(self.sessions.values().map(|session| {
            let sum = session.n_differing - share * session.n_rows;
            let squares = session.n_differing * (1.0 - 2.0 * share) + share * share * session.n_rows;
            Pairs::of(sum / variance.sqrt(), squares / variance, session.n_rows)
        }))
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.weight += other.weight;
        self.reward += other.reward;
        self.reward_squared += other.reward_squared;
    }
}

/// The ordered pairs of different rows of one session.
struct Pairs {
    /// Sum of the products of their standardised values.
    products: f64,
    /// Their number.
    count: f64,
}

impl Pairs {
    /// From the sum of the standardised values, the sum of their squares, and the number of rows.
    fn of(sum: f64, squares: f64, count: f64) -> Self {
        Self { products: sum * sum - squares, count: count * (count - 1.0) }
    }
}

/// One-sided 95 % upper bound of the mean product per pair, in [0, 1]; 1 where too few sessions have pairs to tell.
fn upper_correlation(sessions: impl Iterator<Item = Pairs>) -> f64 {
    let pairs: Vec<Pairs> = sessions.filter(|pairs| pairs.count > 0.0).collect();
    if pairs.len() < MIN_SESSIONS {
        return 1.0;
    }
    let count: f64 = pairs.iter().map(|pairs| pairs.count).sum();
    let rho = pairs.iter().map(|pairs| pairs.products).sum::<f64>() / count;
    let squares: f64 = pairs.iter().map(|pairs| (pairs.products - rho * pairs.count).powi(2)).sum();
    (rho + Confidence::ONE_SIDED_95.z() * squares.sqrt() / count).clamp(0.0, 1.0)
}

/// Mean and standard deviation of the outcomes of a stratum's side; `None` where all are equal.
fn spread(cell: &Cell, side: Side) -> Option<(f64, f64)> {
    let matches = cell.side(side);
    let mean = 1.0 - matches.failures / matches.count.max(1) as f64;
    let variance = mean * (1.0 - mean);
    (variance > 0.0).then(|| (mean, variance.sqrt()))
}

/// `1 + (size − 1) ρ`, at least 1.
fn design_effect(size: f64, rho: f64) -> f64 {
    1.0 + (size - 1.0).max(0.0) * rho
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of D, in sessions of `size`: all outcomes of a session equal, or every second one a failure.
    fn tally(size: usize, alike: bool, unit: ExplorationUnit) -> Tally {
        let mut tally = Tally::default();
        for row in 0..600 {
            let session = (row / size) as u32;
            let reward = if alike { f64::from(session % 2) } else { f64::from(u8::from(row % 2 == 0)) };
            let (learned_ran, baseline_ran) = (session.is_multiple_of(3), !session.is_multiple_of(3));
            let row = Row { key: 0, differ: true, learned_ran, baseline_ran, propensity: 0.5, reward, session: Some((session, unit)) };
            tally.push(row);
        }
        tally
    }

    fn effective(tally: &Tally) -> f64 {
        tally.value(Side::Learned, Confidence::TWO_SIDED_95).strata[0].effective
    }

    #[test]
    fn sessions_of_one_row_change_nothing() {
        assert_eq!(effective(&tally(1, true, ExplorationUnit::Decision)), 200.0);
        assert_eq!(effective(&tally(1, true, ExplorationUnit::Session)), 200.0);
    }

    #[test]
    fn a_session_whose_outcomes_are_all_alike_counts_once() {
        let found = effective(&tally(10, true, ExplorationUnit::Decision));
        assert!((found - 20.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn sessions_whose_outcomes_have_nothing_in_common_cost_nothing() {
        assert_eq!(effective(&tally(10, false, ExplorationUnit::Decision)), 200.0);
    }

    #[test]
    fn a_session_that_was_explored_as_a_whole_counts_once_whatever_its_outcomes() {
        assert_eq!(effective(&tally(10, false, ExplorationUnit::Session)), 20.0);
        assert_eq!(tally(10, false, ExplorationUnit::Session).uplift(Confidence::TWO_SIDED_95).exploration_sessions, 20);
    }
}
