//! Query types with their own uplift: chosen on one half of the held-out queries, confirmed on the other.

use routewright_domain::{Arm, Seed};
use routewright_ope::stats::{holm, normal_sf};
use routewright_ope::{CandidateUplift, Confidence, OpeError, Segment, SegmentFolds, UpliftPoints, harmed_segments, search_segments};

use super::held_out::Query;
use super::judge::Judge;
use super::logged::{LoggedRows, Pair};
use super::paired::Cells;
use super::regime::Regime;
use crate::numbered::numbered;

/// Query types with a smaller share of the held-out queries are judged together.
const MIN_WEIGHT: f64 = 0.05;

/// Name of the query types that are judged together.
const OTHERS: &str = "(others)";

/// One-sided error of the search.
const ALPHA: f64 = 0.05;

/// A query type is a candidate when its one-sided p-value on the first half is below this.
const CHOOSE_LEVEL: f64 = 0.2;

/// What the search found.
#[derive(Default)]
pub(super) struct Found {
    /// Every segment with its uplift on the second half.
    pub segments: Vec<Segment>,
    /// Learned in the confirmed segments, static elsewhere.
    pub composed: Option<CandidateUplift>,
    /// Segments in which the learned router does harm.
    pub harmed: Vec<String>,
}

/// Searches the query types; nothing is found where the log does not identify uplifts.
pub(super) fn search(judge: &Judge<'_>, regime: Regime<'_>, pair: &Pair, seed: u64) -> Result<Found, OpeError> {
    let types: Vec<&str> = judge.held_out.queries.iter().map(|query| judge.table.outcomes.query_types[query.row].as_str()).collect();
    let (segments, names) = large_types(&types);
    // The halves follow the session, so that rows that move together, and a query that is asked again, stay on one side.
    let half = |query: &Query| Seed(seed).derive(&judge.table.outcomes.clusters[query.row], 1).0 & 1 == 1;
    let confirm: Vec<bool> = judge.held_out.queries.iter().map(half).collect();
    match regime {
        Regime::Bounded(_) => Ok(Found::default()),
        Regime::Paired(cells) => paired(cells, &segments, &names, &confirm, judge.learned_arms(), judge.baseline()),
        Regime::Logged(logged) => on_log(logged, &segments, &names, &confirm, pair),
    }
}

/// Numbers the query types of at least [`MIN_WEIGHT`]; the others share one number.
fn large_types(types: &[&str]) -> (Vec<u32>, Vec<String>) {
    let (numbers, names) = numbered(types.iter().map(|name| (*name).to_owned()));
    let mut counts = vec![0_usize; names.len()];
    for number in &numbers {
        counts[*number as usize] += 1;
    }
    let large = |number: &u32| counts[*number as usize] as f64 >= MIN_WEIGHT * types.len() as f64;
    numbered(numbers.iter().map(|number| if large(number) { names[*number as usize].clone() } else { OTHERS.to_owned() }))
}

/// The search on a log of single runs.
fn on_log(logged: &LoggedRows<'_>, segments: &[u32], names: &[String], confirm: &[bool], pair: &Pair) -> Result<Found, OpeError> {
    let comparison = pair.comparison(logged)?;
    let row_segments: Vec<u32> = logged.queries.iter().map(|query| segments[*query]).collect();
    let row_confirm: Vec<bool> = logged.queries.iter().map(|query| confirm[*query]).collect();
    let search = search_segments(&comparison, SegmentFolds { segments: &row_segments, names, confirm: &row_confirm }, ALPHA)?;
    let harmed = harmed_segments(&comparison, &row_segments, names, MIN_WEIGHT, ALPHA)?;
    Ok(Found { segments: search.segments, composed: search.composed, harmed })
}

/// The search on full information: the same rule on paired differences.
fn paired(
    cells: &Cells,
    segments: &[u32],
    names: &[String],
    confirm: &[bool],
    learned: &[Arm],
    baseline: &[Arm],
) -> Result<Found, OpeError> {
    let of = |segment: usize, fold: Option<bool>| {
        let chosen = |position: usize| segments[position] as usize == segment && fold.is_none_or(|fold| confirm[position] == fold);
        cells.difference(chosen, learned, baseline)
    };
    let n_confirming = confirm.iter().filter(|second| **second).count().max(1) as f64;
    let mut found = Found::default();
    let (mut chosen, mut p_values, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (segment, name) in names.iter().enumerate() {
        let (first, second, all) = (of(segment, Some(false)), of(segment, Some(true)), of(segment, None));
        let points = second.bounds(Confidence::ONE_SIDED_95);
        weights.push(second.n as f64 / n_confirming);
        if first.p_value_of_gain() < CHOOSE_LEVEL {
            chosen.push((segment, second));
            p_values.push(second.p_value_of_gain());
        }
        if all.n as f64 >= MIN_WEIGHT * segments.len() as f64
            && normal_sf(-all.mean / all.std_error.max(f64::MIN_POSITIVE)) < ALPHA / names.len() as f64
        {
            found.harmed.push(name.clone());
        }
        found.segments.push(Segment {
            name: name.clone(),
            weight: second.n as f64 / n_confirming,
            uplift_points: points.points,
            lower: points.lower,
            upper: points.upper,
            use_learned: false,
        });
    }
    let adjusted = holm(&p_values);
    let confirmed: Vec<_> = chosen.iter().zip(adjusted).filter(|(_, p)| *p < ALPHA).map(|(pair, _)| *pair).collect();
    if confirmed.is_empty() {
        return Ok(found);
    }
    let simultaneous = Confidence::one_sided(1.0 - ALPHA / chosen.len() as f64)?;
    let mut uplift = UpliftPoints { points: 0.0, lower: 0.0, upper: 0.0 };
    for (segment, difference) in &confirmed {
        found.segments[*segment].use_learned = true;
        let points = difference.bounds(simultaneous);
        uplift.points += weights[*segment] * points.points;
        uplift.lower += weights[*segment] * points.lower;
        uplift.upper += weights[*segment] * points.upper;
    }
    let used: Vec<&str> = confirmed.iter().map(|(segment, _)| names[*segment].as_str()).collect();
    found.composed = Some(CandidateUplift { name: used.join(", "), uplift, latency: None });
    Ok(found)
}

/// A mean of paired differences.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Difference {
    /// Queries.
    pub n: usize,
    /// Mean difference in success.
    pub mean: f64,
    /// Its standard error.
    pub std_error: f64,
}

impl Difference {
    /// Of differences in {−1, 0, 1}; one half is added to both kinds of change, so that few pairs never look certain (Agresti & Min 2005).
    pub fn of(gains: usize, losses: usize, n: usize) -> Self {
        let (gains, losses, total) = (gains as f64 + 0.5, losses as f64 + 0.5, n as f64 + 2.0);
        let mean = (gains - losses) / total;
        Self { n, mean, std_error: (((gains + losses) / total - mean * mean) / total).sqrt() }
    }

    fn p_value_of_gain(&self) -> f64 {
        if self.n == 0 { 1.0 } else { normal_sf(self.mean / self.std_error) }
    }

    fn bounds(&self, confidence: Confidence) -> UpliftPoints {
        let half = confidence.z() * self.std_error;
        UpliftPoints { points: 100.0 * self.mean, lower: 100.0 * (self.mean - half), upper: 100.0 * (self.mean + half) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_query_types_are_judged_together() {
        let types: Vec<&str> = [vec!["a"; 90], vec!["b"; 4], vec!["c"; 6]].concat();
        let (numbers, names) = large_types(&types);
        assert_eq!(names, ["(others)", "a", "c"]);
        assert_eq!((numbers[0], numbers[90], numbers[99]), (1, 0, 2));
    }

    #[test]
    fn one_lucky_pair_proves_nothing() {
        assert!(Difference::of(1, 0, 1).p_value_of_gain() > 0.05);
        assert!(Difference::of(40, 5, 200).p_value_of_gain() < 1e-4);
    }
}
