//! What the learned router's choices weigh on held-out rows, which its figure needs and no earlier stage tells.
//!
//! Measured on a sample of fixed size, so that it takes seconds for logs of any length.

use routewright_domain::Arm;
use routewright_router::Policy;
use routewright_table::FeatureTable;

use crate::predictions::{thinned, with_predictions};

/// Held-out rows whose choices are looked at.
const WEIGHT_ROWS: usize = 10_000;

/// Bins of the weights.
const WEIGHT_BINS: usize = 24;

/// Importance weights of the learned router on held-out rows.
pub(super) struct WeightSample {
    /// Edges of the bins of positive weights.
    pub edges: Vec<f64>,
    /// Rows per bin.
    pub counts: Vec<u64>,
    pub n: u64,
    pub n_zero: u64,
    pub effective_size: f64,
    pub largest: f64,
    /// Per path: its share in the log and under the learned router.
    pub shares: Vec<(f64, f64)>,
    /// Whether these are all held-out rows.
    pub is_whole: bool,
}

/// Where the log has propensities, what the learned router's choices weigh.
pub(super) fn weights(table: &FeatureTable, policy: &Policy) -> Option<WeightSample> {
    let outcomes = &table.outcomes;
    let held_out = table.held_out_rows();
    let held_out = held_out.as_slice();
    let rows = thinned(held_out, WEIGHT_ROWS);
    let known: Vec<u32> = rows
        .into_iter()
        .filter(|row| outcomes.propensities[*row as usize].is_some() && outcomes.static_arms[*row as usize].is_some())
        .collect();
    if known.is_empty() {
        return None;
    }
    let static_arm = |position: usize| outcomes.static_arms[known[position] as usize];
    let choices = with_predictions(policy, table, &known, |position, predictions| policy.decide(static_arm(position), predictions).arm);
    let weight = |(row, choice): (&u32, &Option<Arm>)| match outcomes.propensities[*row as usize] {
        Some(propensity) if *choice == Some(outcomes.arms[*row as usize]) => 1.0 / propensity.get(),
        _ => 0.0,
    };
    let weights: Vec<f64> = known.iter().zip(&choices).map(weight).collect();
    let positive: Vec<f64> = weights.iter().copied().filter(|weight| *weight > 0.0).collect();
    let edges = log_edges(&positive, WEIGHT_BINS);
    let (sum, squares) = weights.iter().fold((0.0, 0.0), |(sum, squares), weight| (sum + weight, squares + weight * weight));
    let n = known.len() as f64;
    let share = |arm: Arm| {
        let logged = known.iter().filter(|row| outcomes.arms[**row as usize] == arm).count() as f64 / n;
        (logged, choices.iter().filter(|choice| **choice == Some(arm)).count() as f64 / n)
    };
    Some(WeightSample {
        counts: histogram(&edges, &positive),
        edges,
        n: known.len() as u64,
        n_zero: (known.len() - positive.len()) as u64,
        effective_size: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        largest: positive.iter().copied().fold(0.0, f64::max),
        shares: table.paths.arms().map(share).collect(),
        is_whole: known.len() == held_out.len(),
    })
}

/// Edges of bins of equal ratio around positive numbers.
fn log_edges(positive: &[f64], n_bins: usize) -> Vec<f64> {
    let (low, high) = positive.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    if low > high {
        return Vec::new();
    }
    let (low, high) = (low / 1.2, high * 1.2);
    (0..=n_bins).map(|edge| low * (high / low).powf(edge as f64 / n_bins as f64)).collect()
}

/// Numbers per bin; what lies beyond the ends counts in the end bins.
pub(super) fn histogram(edges: &[f64], values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; edges.len().saturating_sub(1)];
    if let Some(last) = counts.len().checked_sub(1) {
        for value in values {
            counts[edges.partition_point(|edge| edge <= value).saturating_sub(1).min(last)] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_falls_into_one_bin() {
        let values = [1.0, 1.5, 2.0, 4.0];
        let edges = log_edges(&values, 4);
        assert_eq!(edges.len(), 5);
        assert_eq!(histogram(&edges, &values).iter().sum::<u64>(), 4);
        assert_eq!(histogram(&[0.0, 1.0, 2.0], &[-1.0, 0.5, 1.0, 2.0, 9.0]), [2, 3]);
    }

    #[test]
    fn nothing_gives_no_bins() {
        assert!(log_edges(&[], 4).is_empty() && histogram(&[], &[1.0]).is_empty());
    }
}
