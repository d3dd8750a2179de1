//! Two groups compared by the order of their values: for latencies, whose means a few slow requests decide.

use super::normal_sf;

/// Mann and Whitney's test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which the first group's value is larger; ties count half.
    pub u: f64,
    /// Two-sided p-value by the normal approximation, corrected for ties.
    pub p: f64,
    /// The same with the continuity correction.
    pub p_continuous: f64,
}

/// Mann and Whitney's U test of two groups; `None` where one is empty or all values are equal.
///
/// Golden values: scipy `mannwhitneyu(method="asymptotic")`.
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Option<MannWhitney> {
    let mut values: Vec<(f64, bool)> = first.iter().map(|value| (*value, true)).chain(second.iter().map(|value| (*value, false))).collect();
    values.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (n_first, n_second, n) = (first.len() as f64, second.len() as f64, values.len() as f64);
    let (mut rank_sum, mut ties, mut below) = (0.0, 0.0, 0.0);
    for equals in values.chunk_by(|left, right| left.0 == right.0) {
        let count = equals.len() as f64;
        rank_sum += equals.iter().filter(|(_, is_first)| *is_first).count() as f64 * (below + (count + 1.0) / 2.0);
        ties += count * count * count - count;
        below += count;
    }
    let u = rank_sum - n_first * (n_first + 1.0) / 2.0;
    let spread = (n_first * n_second / 12.0 * ((n + 1.0) - ties / (n * (n - 1.0)))).sqrt();
    let distance = (u - n_first * n_second / 2.0).abs();
    let p = |distance: f64| (2.0 * normal_sf(distance / spread)).min(1.0);
    (spread > 0.0).then(|| MannWhitney { u, p: p(distance), p_continuous: p(distance - 0.5) })
}

/// Kolmogorov and Smirnov's statistic: the largest distance between the distribution functions of two groups; NaN where one is empty.
pub fn kolmogorov_smirnov(first: &[f64], second: &[f64]) -> f64 {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (first, second) = (sorted(first), sorted(second));
    let share = |values: &[f64], at: f64| values.partition_point(|value| *value <= at) as f64 / values.len() as f64;
    let distance = |at: &f64| (share(&first, *at) - share(&second, *at)).abs();
    first.iter().chain(&second).map(distance).fold(if first.is_empty() || second.is_empty() { f64::NAN } else { 0.0 }, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_do_not_overlap_differ_wholly() {
        assert_eq!(kolmogorov_smirnov(&[1.0, 2.0], &[3.0]), 1.0);
        assert_eq!(mann_whitney(&[3.0, 4.0], &[1.0, 2.0]).map(|test| test.u), Some(4.0));
    }

    #[test]
    fn equal_values_say_nothing() {
        assert_eq!(kolmogorov_smirnov(&[1.0, 1.0], &[1.0]), 0.0);
        assert_eq!(mann_whitney(&[1.0, 1.0], &[1.0]), None);
    }
}
