//! Randomised groups: an A/B gateway sent a share of the traffic to each router.

use routewright_domain::{Estimate, Interval};
use serde::{Deserialize, Serialize};

use crate::stats::{Confidence, newcombe, pooled_z, sample_ratio};

/// A group of a randomised test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Successes.
    pub successes: u64,
    /// Decisions with an outcome.
    pub decisions: u64,
}

/// Learned group against static group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupComparison {
    /// Difference of the success rates, learned minus static, with Newcombe's interval.
    pub estimate: Estimate,
    /// Two-sided p-value of the pooled z test.
    pub p_value: f64,
    /// p-value of the group sizes against the declared share: small means that the split is broken.
    pub sample_ratio_p_value: f64,
}

/// Compares two randomised groups; `None` when one of them is empty. `learned_share`: declared share of traffic in the learned group.
pub fn compare_groups(learned: Group, baseline: Group, learned_share: f64, confidence: Confidence) -> Option<GroupComparison> {
    if learned.decisions == 0 || baseline.decisions == 0 {
        return None;
    }
    let successes = [learned.successes as f64, baseline.successes as f64];
    let trials = [learned.decisions as f64, baseline.decisions as f64];
    let interval: Interval = newcombe(successes, trials, confidence);
    let std_error = (interval.upper - interval.lower) / (2.0 * confidence.z());
    Some(GroupComparison {
        estimate: Estimate { value: successes[0] / trials[0] - successes[1] / trials[1], std_error, interval },
        p_value: pooled_z(successes, trials).1,
        sample_ratio_p_value: sample_ratio(&[learned.decisions, baseline.decisions], &[learned_share, 1.0 - learned_share]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_group_compares_with_nothing() {
        let empty = Group { successes: 0, decisions: 0 };
        assert_eq!(compare_groups(empty, Group { successes: 1, decisions: 2 }, 0.5, Confidence::TWO_SIDED_95), None);
    }

    #[test]
    fn a_broken_split_shows_in_the_sample_ratio() {
        let (learned, baseline) = (Group { successes: 5_000, decisions: 5_300 }, Group { successes: 4_400, decisions: 4_700 });
        let comparison = compare_groups(learned, baseline, 0.5, Confidence::TWO_SIDED_95).unwrap();
        assert!(comparison.sample_ratio_p_value < 1e-8);
    }
}
