//! Nightly looks at a growing log: intervals that hold at every look, beside the one that would hold at a single planned look.

use std::collections::BTreeMap;

use routewright_ope::Confidence;
use routewright_ope::stats::asymptotic_half_width;

use crate::artifacts::Look;

/// Error over all looks together.
const ALPHA: f64 = 0.05;

/// Looks below which nothing is said: the sequence is asymptotic.
const MIN_UNITS: f64 = 30.0;

/// One look per day: the mean of everything up to its end, in points.
///
/// `days`, `sessions`: one number per difference. Differences of one session are added up before they count, so that a session is one observation; the
/// sequence is tightest at half of all sessions.
pub(super) fn nightly(differences: &[f64], days: &[i64], sessions: Option<&[u32]>) -> Vec<Look> {
    let mut units: BTreeMap<(i64, u32), (f64, f64)> = BTreeMap::new();
    for (row, difference) in differences.iter().enumerate() {
        let session = sessions.map_or(row as u32, |sessions| sessions[row]);
        let unit = units.entry((days[row], session)).or_default();
        *unit = (unit.0 + difference, unit.1 + 1.0);
    }
    let planned = (units.len() as f64 / 2.0).max(1.0);
    let mut looks = Vec::new();
    let (mut n, mut rows, mut sums, mut products) = (0.0, 0.0, [0.0; 2], [0.0; 3]);
    let mut units = units.into_iter().peekable();
    while let Some(((day, _), (sum, count))) = units.next() {
        n += 1.0;
        rows += count;
        sums = [sums[0] + sum, sums[1] + count];
        products = [products[0] + sum * sum, products[1] + sum * count, products[2] + count * count];
        let is_last_of_day = units.peek().is_none_or(|((next, _), _)| *next != day);
        if !is_last_of_day || n < MIN_UNITS {
            continue;
        }
        // A ratio of means over sessions: the variance of `sum − ratio · count`, in units of the mean count.
        let ratio = sums[0] / sums[1];
        let variance = (products[0] - 2.0 * ratio * products[1] + ratio * ratio * products[2]).max(0.0) / n / (sums[1] / n).powi(2);
        let half = asymptotic_half_width(variance, n, planned, ALPHA);
        let fixed = Confidence::TWO_SIDED_95.z() * (variance / n).sqrt();
        looks.push(Look {
            day,
            rows: rows as usize,
            uplift_points: 100.0 * ratio,
            lower: 100.0 * (ratio - half),
            upper: 100.0 * (ratio + half),
            lower_at_one_look: 100.0 * (ratio - fixed),
            upper_at_one_look: 100.0 * (ratio + fixed),
        });
    }
    looks
}

#[cfg(test)]
mod tests {
    use routewright_domain::Seed;

    use super::*;

    /// Thirty nights of a hundred differences without any gain.
    fn looks(seed: u64, copies: usize) -> Vec<Look> {
        let single: Vec<f64> = (0..3_000).map(|row| (Seed(seed).derive("difference", row).0 % 3) as f64 - 1.0).collect();
        let differences: Vec<f64> = single.iter().flat_map(|difference| vec![*difference; copies]).collect();
        let days: Vec<i64> = (0..differences.len()).map(|row| (row / copies / 100) as i64).collect();
        let sessions: Vec<u32> = (0..differences.len()).map(|row| (row / copies) as u32).collect();
        nightly(&differences, &days, Some(&sessions))
    }

    #[test]
    fn the_interval_of_many_looks_is_wider_and_rarely_wrong() {
        let wrong = (0..100).filter(|seed| looks(*seed, 1).iter().any(|look| look.lower > 0.0 || look.upper < 0.0)).count();
        let fooled =
            (0..100).filter(|seed| looks(*seed, 1).iter().any(|look| look.lower_at_one_look > 0.0 || look.upper_at_one_look < 0.0));
        assert!(wrong <= 8, "{wrong} of 100 sequences left the truth, 5 expected at most");
        assert!(fooled.count() > 15, "looking every night at an interval for one look is wrong far too often");
    }

    #[test]
    fn a_session_repeated_is_one_observation() {
        let (once, thrice) = (looks(1, 1), looks(1, 3));
        assert_eq!(once.len(), 30);
        assert!((once[29].lower - thrice[29].lower).abs() < 1e-9);
    }
}
