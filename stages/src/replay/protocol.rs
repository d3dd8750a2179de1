//! The protocol that E-009 began with: 200 held-out queries, 100 to each variant, and the power that it has.

use std::collections::BTreeSet;

use routewright_domain::{Arm, Interval};
use routewright_ope::stats::newcombe;
use routewright_ope::{Confidence, OpeError, Rule, Side, power_per_arm};

use super::judge::Judge;
use super::regime::Regime;
use crate::artifacts::{Bounded, SeedProtocol};

/// Queries of each variant.
const PER_VARIANT: usize = 100;

/// Assigns the first held-out queries to the variants by a hash, and compares them; `None` where nothing is identified.
///
/// Where every path ran, a variant's successes are counted. On a log of single runs they are estimated from the rows of its queries on which its
/// path ran, which are fewer: the interval says so.
pub(super) fn seed_protocol(judge: &Judge<'_>, regime: Regime<'_>) -> Result<Option<SeedProtocol>, OpeError> {
    let ids = &judge.table.outcomes.query_ids;
    let mut first: Vec<usize> = (0..judge.held_out.queries.len().min(2 * PER_VARIANT)).collect();
    first.sort_by_key(|position| (judge.seed.derive(&ids[judge.held_out.queries[*position].row], 2).0, *position));
    let (to_static, to_learned) = first.split_at(first.len() / 2);
    let Some(([of_static, of_learned], difference)) = (match regime {
        Regime::Bounded(_) => None,
        Regime::Paired(_) => counted(judge, to_static, to_learned),
        Regime::Logged(_) => estimated(judge, to_static, to_learned)?,
    }) else {
        return Ok(None);
    };
    let baseline = of_static.value.unwrap_or(0.9).clamp(0.01, 0.94);
    let uplift = Rule::ADOPT_POINTS / 100.0;
    Ok(Some(SeedProtocol {
        static_queries: to_static.len(),
        learned_queries: to_learned.len(),
        static_success: of_static,
        learned_success: of_learned,
        difference_points: difference.times(100.0),
        power: power_per_arm(baseline, uplift, to_static.len().max(1), Confidence::TWO_SIDED_95),
        power_for_points: Rule::ADOPT_POINTS,
        power_from_baseline: baseline,
    }))
}

/// Both variants' rates, and their difference.
type Compared = ([Bounded; 2], Bounded);

/// Successes counted on full information.
fn counted(judge: &Judge<'_>, to_static: &[usize], to_learned: &[usize]) -> Option<Compared> {
    let n_arms = judge.table.paths.len();
    let successes = |positions: &[usize], choices: &[Arm]| {
        let known: Vec<f64> = positions
            .iter()
            .map(|position| judge.cells.success[position * n_arms + choices[*position].index()])
            .filter(|success| success.is_finite())
            .collect();
        (known.iter().sum::<f64>(), known.len() as f64)
    };
    let (theirs, n_static) = successes(to_static, judge.baseline());
    let (ours, n_learned) = successes(to_learned, judge.learned_arms());
    if n_static == 0.0 || n_learned == 0.0 {
        return None;
    }
    let two = Confidence::TWO_SIDED_95;
    let rate = |successes: f64, n: f64| {
        let interval = routewright_ope::stats::wilson(successes, n, two);
        Bounded { value: Some(successes / n), lower: interval.lower, upper: interval.upper }
    };
    let Interval { lower, upper } = newcombe([ours, theirs], [n_learned, n_static], two);
    let difference = Bounded { value: Some(ours / n_learned - theirs / n_static), lower, upper };
    Some(([rate(theirs, n_static), rate(ours, n_learned)], difference))
}

/// Rates estimated from single runs with propensities.
fn estimated(judge: &Judge<'_>, to_static: &[usize], to_learned: &[usize]) -> Result<Option<Compared>, OpeError> {
    let rows = judge.logged;
    let comparison = judge.pair.comparison(rows)?;
    let of = |positions: &[usize], side: Side| {
        let chosen: BTreeSet<usize> = positions.iter().copied().collect();
        let tally = comparison.tally_of((0..rows.rows.len()).filter(|row| chosen.contains(&rows.queries[*row])));
        let value = tally.value(side, Confidence::TWO_SIDED_95);
        (!value.partial).then_some(value.estimate)
    };
    Ok(of(to_static, Side::Baseline).zip(of(to_learned, Side::Learned)).map(|(theirs, ours)| {
        let value = ours.value - theirs.value;
        let below = (ours.value - ours.interval.lower).hypot(theirs.interval.upper - theirs.value);
        let above = (ours.interval.upper - ours.value).hypot(theirs.value - theirs.interval.lower);
        let difference = Bounded { value: Some(value), lower: value - below, upper: value + above };
        ([Bounded::of(theirs), Bounded::of(ours)], difference)
    }))
}
